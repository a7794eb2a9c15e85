//! Whom a request is from where a proxy stands between, and that nobody else can say so.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::{Project, Server};
use crate::wire::{Answer, Request};

/// Two clients of a proxy.
const ONE: &str = "203.0.113.7";
const OTHER: &str = "198.51.100.9";

/// A project of a server with these arguments; the tests are its proxy.
fn behind(arguments: &[&str]) -> (Project, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["--demo=0"], arguments].concat();
    let server = Server::start_on(&folder.path().join("data"), &arguments);
    (Project::create(&Arc::new(server), "clinic"), folder)
}

fn trusting() -> (Project, TempDir) {
    behind(&["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"])
}

/// Where the audit says that a request came from.
#[track_caller]
fn audited(project: &Project, answer: &Answer) -> Value {
    let id = answer.header("x-request-id").unwrap();
    let events = project.get("AuditEvent?_count=100").expect(200).json();
    let mut events = events["entry"].as_array().unwrap().iter();
    let event = events.find(|event| event.to_string().contains(id)).unwrap();
    event["resource"]["agent"][0]["network"]["address"].clone()
}

fn read(project: &Project, header: &str, value: &str) -> Answer {
    project.send(project.request("GET", "Patient").header(header, value))
}

#[test]
fn a_proxy_that_is_trusted_says_whom_a_request_is_from() {
    let (project, _folder) = trusting();
    let lists = [
        (ONE.to_owned(), ONE),
        (format!("{OTHER}, {ONE}"), ONE),
        (format!("{OTHER}, {ONE}, 10.1.2.3"), ONE),
        (format!("{ONE}, unknown"), "127.0.0.1"),
    ];
    for (list, expect) in lists {
        let answer = read(&project, "X-Forwarded-For", &list).expect(200);
        assert_eq!(audited(&project, &answer), expect, "{list}");
    }
    let answer = project.get("Patient").expect(200);
    assert_eq!(audited(&project, &answer), "127.0.0.1");
    // It writes the other header; this one is its client's.
    let answer = read(&project, "Forwarded", "for=203.0.113.7").expect(200);
    assert_eq!(audited(&project, &answer), "127.0.0.1");
}

#[test]
fn a_proxy_may_write_the_header_of_the_standard() {
    let proxy = ["--trusted-proxies", "127.0.0.1"];
    let (project, _folder) = behind(&[&proxy[..], &["--proxy-header", "forwarded"]].concat());
    let list = format!("for={OTHER}, for=\"[2001:db8::7]:4711\";proto=https");
    let answer = read(&project, "Forwarded", &list).expect(200);
    assert_eq!(audited(&project, &answer), "2001:db8::7");
    let answer = read(&project, "X-Forwarded-For", ONE).expect(200);
    assert_eq!(audited(&project, &answer), "127.0.0.1");
}

#[test]
fn nobody_else_says_whom_a_request_is_from() {
    // Another proxy is trusted.
    let (project, _folder) = behind(&["--trusted-proxies", "127.0.0.9"]);
    for (header, value) in [("X-Forwarded-For", ONE), ("Forwarded", "for=203.0.113.7")] {
        let answer = read(&project, header, value).expect(200);
        assert_eq!(audited(&project, &answer), "127.0.0.1");
    }
    let key = key_for(&project, ONE);
    let asks = project.with(&key);
    read(&asks, "X-Forwarded-For", ONE).expect(401);
    // Another address in every try is still one guesser.
    let guess = |n| guess(&project, &format!("203.0.113.{}", n % 250));
    assert!((0..1000).any(|n| guess(n).status == 429));
}

#[test]
fn keys_are_good_from_the_addresses_of_their_servers() {
    let (project, _folder) = trusting();
    let asks = project.with(&key_for(&project, "203.0.113.0/24"));
    read(&asks, "X-Forwarded-For", ONE).expect(200);
    read(&asks, "X-Forwarded-For", &format!("{OTHER}, {ONE}")).expect(200);
    read(&asks, "X-Forwarded-For", OTHER).expect(401);
    read(&asks, "X-Forwarded-For", &format!("{ONE}, {OTHER}")).expect(401);
    asks.get("Patient").expect(401);
}

#[test]
fn clients_of_one_proxy_are_slowed_down_each_by_itself() {
    let (project, _folder) = trusting();
    let held = |from: &str, tries: u32| (0..tries).any(|_| guess(&project, from).status == 429);
    assert!(held(ONE, 1000));
    // Whatever it adds in front; one more is let through every now and then.
    assert!(held(&format!("{OTHER}, {ONE}"), 50));
    assert!(!held(OTHER, 50));
}

/// A key of a client that is good from there.
#[track_caller]
fn key_for(project: &Project, network: &str) -> String {
    project.client("lab", "system/Patient.rs");
    let key = json!({"name": "Lab", "addresses": [network], "days": 1});
    let path = "/p/clinic/admin/clients/lab/keys";
    let made = project.server.admin("POST", path, &key).expect(201).json();
    made["key"].as_str().unwrap().to_owned()
}

/// A wrong password for another account each time, too long for anyone to hash.
fn guess(project: &Project, from: &str) -> Answer {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("u{}@example.org", NEXT.fetch_add(1, Ordering::Relaxed));
    let body = json!({"email": name, "password": "x".repeat(2000)});
    let request = Request::new("POST", "/p/clinic/auth/sign-in")
        .header("X-Forwarded-For", from)
        .body(body.to_string());
    project.send(request)
}
