//! Keys on a server at work: rotated while it writes, killed in between, kept by somebody else.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::host::{Server, salus};
use crate::wire::{Answer, Request};

fn keys(data: &Path, arguments: &[&str]) -> Output {
    let mut all = vec!["keys"];
    all.extend(arguments);
    all.extend(["--data", data.to_str().unwrap()]);
    salus(&all).output().unwrap()
}

#[track_caller]
fn told(data: &Path, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = keys(data, &all);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fhir(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::new(method, &format!("/fhir/{path}"))
        .header("Authorization", format!("Bearer {}", server.token()))
        .header("Content-Type", "application/fhir+json");
    server.send(match body.is_null() {
        true => request,
        false => request.body(body.to_string()),
    })
}

fn write(server: &Server, id: &str) {
    let patient = json!({"resourceType": "Patient", "id": id, "gender": "other"});
    let answer = fhir(server, "PUT", &format!("Patient/{id}"), &patient);
    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
}

#[track_caller]
fn reads(server: &Server, ids: &[String]) {
    for id in ids {
        fhir(server, "GET", &format!("Patient/{id}"), &Value::Null).expect(200);
    }
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!("p{i}")).collect()
}

/// Waits until no rotation is under way.
fn settled(data: &Path) -> Value {
    loop {
        let status = told(data, &["status"]);
        if status["rotation"].is_null() {
            return status;
        }
    }
}

#[test]
fn keys_are_rotated_while_the_server_writes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0"]);
    let before = names(0, 20);
    before.iter().for_each(|id| write(&server, id));
    let first = told(&data, &["status"]);
    assert_eq!(first["root"]["answers"], true);

    let during = names(20, 60);
    std::thread::scope(|threads| {
        let writing = threads.spawn(|| during.iter().for_each(|id| write(&server, id)));
        for what in [
            &["rotate", "project", "default", "--wait"][..],
            &["rotate", "root"],
            &["rotate", "patient", "default", "p1"],
            &["rotate", "all", "--wait"],
        ] {
            told(&data, what);
        }
        writing.join().unwrap();
    });
    let last = settled(&data);
    assert_ne!(first["root"]["id"], last["root"]["id"]);
    let projects = last["projects"].as_array().unwrap();
    let project = projects.iter().find(|one| one["project"] == "default");
    let project = project.unwrap();
    assert_eq!(project["older"], 2);
    assert_eq!(project["patients"]["behind"], 0);
    assert_eq!(project["patients"]["keys"], 60);
    reads(&server, &before);
    reads(&server, &during);
    let unknown = keys(&data, &["rotate", "patient", "default", "nobody"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no key yet"));
    let unknown = keys(&data, &["rotate", "project", "nowhere"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no such project"));

    assert!(server.stop().success());
    assert_eq!(told(&data, &["check"])["bad"], 0, "without a server, too");
    let server = Server::start_on(&data, &["--demo=0"]);
    reads(&server, &before);
    reads(&server, &during);
    // Somebody reads in the audit of the patient that a key was rotated.
    let query = "AuditEvent?entity=Patient/p1&_count=200";
    let events = fhir(&server, "GET", query, &Value::Null).expect(200);
    assert!(events.body.contains("rotate"), "{}", events.body);
}

#[test]
fn a_rotation_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ids = names(0, 300);
    let server = Server::start_on(&data, &["--demo=0"]);
    ids.iter().for_each(|id| write(&server, id));
    drop(server);
    for round in 1..=4 {
        let server = Server::start_on(&data, &["--demo=0"]);
        settled(&data);
        told(&data, &["rotate", "all"]);
        // Dropping kills it, a little later each time.
        reads(&server, &ids[..round]);
        drop(server);
        let server = Server::start_on(&data, &["--demo=0"]);
        let status = settled(&data);
        let behind = status["projects"].as_array().unwrap().iter();
        assert!(behind.clone().all(|one| one["patients"]["behind"] == 0));
        reads(&server, &ids);
        assert_eq!(told(&data, &["check"])["bad"], 0);
    }
}

#[test]
fn the_root_key_moves_to_a_passphrase_and_the_keyring_lies_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ring = folder.path().join("ring");
    let elsewhere = ["--demo=0", "--keys", ring.to_str().unwrap()];
    let server = Server::start_on(&data, &elsewhere);
    write(&server, "a");
    let path = folder.path().join("passphrase");
    private(&path, "correct horse battery\n");
    let source = format!("passphrase:file:{}", path.display());
    told(&data, &["rotate", "root", "--to", &source]);
    assert!(server.stop().success());
    assert!(!data.join("keys").exists() && !ring.join("root.key").exists());

    let ring = ring.to_str().unwrap();
    let before = everything(folder.path());
    let refused = keys(&data, &["check", "--keys", ring]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("kept by passphrase"), "{said}");
    private(&path, "correct horse batterz\n");
    let refused = keys(&data, &["check", "--keys", ring, "--root-key", &source]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the passphrase is another one"), "{said}");
    private(&path, "correct horse battery\n");
    assert_eq!(everything(folder.path()), before, "nothing has changed");
    let server = Server::start_on(&data, &["--demo=0", "--keys", ring, "--root-key", &source]);
    reads(&server, &["a".to_owned()]);
}

#[test]
fn administrators_rotate_but_do_not_move_the_root_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0"]);
    let path = "/admin/keyring/rotate";
    server
        .admin("POST", path, &json!({"what": "root"}))
        .expect(200);
    let to = json!({"what": "root", "to": format!("file:{}", data.join("x").display())});
    server.admin("POST", path, &to).expect(403);
    for wrong in [
        json!({"what": "project"}),
        json!({"what": "all", "to": "file:x"}),
        json!({"what": "patient", "project": "default"}),
        json!({"what": "nothing"}),
    ] {
        server.admin("POST", path, &wrong).expect(400);
    }
    let status = server
        .admin("GET", "/admin/keyring", &Value::Null)
        .expect(200);
    assert_eq!(status.json()["root"]["answers"], true);
    let check = json!({});
    let checked = server
        .admin("POST", "/admin/keyring/check", &check)
        .expect(200);
    assert_eq!(checked.json()["bad"], 0);
}

#[test]
fn an_administrator_without_a_step_up_rotates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &[]);
    server.set_up("ada@example.org", "a quiet green bicycle");
    let sign_in = json!({"email": "ada@example.org", "password": "a quiet green bicycle"});
    let request = Request::new("POST", "/auth/sign-in").body(sign_in.to_string());
    let token = server.send(request).expect(200).json();
    let token = token["access_token"].as_str().unwrap_or("none").to_owned();
    let request = Request::new("POST", "/admin/keyring/rotate")
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .body(json!({"what": "all"}).to_string());
    let answer = server.send(request);
    assert!(matches!(answer.status, 401 | 403), "{}", answer.body);
    assert_eq!(told(&data, &["status"])["rotation"], Value::Null);
}

pub(crate) fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Every file below a folder, with its bytes; logs of ours and sockets apart.
pub(crate) fn everything(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(everything(&path));
        } else if path.is_file() && path.extension().is_none_or(|ending| ending != "log") {
            let bytes = std::fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}
