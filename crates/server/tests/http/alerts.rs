//! Rules that watch the audit: what they find is listed, mailed and sent to a webhook once, and
//! waits for somebody to say what came of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use crate::host::{Project, Server};
use crate::postbox::Postbox;
use crate::relations::Ward;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// An alert is told within a minute.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// A message as it came: headers by name, and what it says.
pub(crate) type Message = (Vec<(String, String)>, String);

/// A place of the web that takes messages; the first is not taken.
pub(crate) struct Hook {
    pub(crate) origin: String,
    pub(crate) messages: Receiver<Message>,
}

impl Hook {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut status = "503 Service Unavailable";
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut headers = Vec::new();
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some((name, value)) = line.split_once(": ") {
                        headers.push((name.to_lowercase(), value.trim().to_owned()));
                    }
                    line.clear();
                }
                let mut body = vec![0; header(&headers, "content-length").parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                if status == "200 OK" {
                    let _ = sender.send((headers, String::from_utf8(body).unwrap()));
                }
                status = "200 OK";
            }
        });
        Self { origin, messages }
    }
}

fn header(headers: &[(String, String)], name: &str) -> String {
    let mut found = headers.iter().filter(|(known, _)| known == name);
    found.next().unwrap().1.clone()
}

/// A ward on a server of its own.
fn ward(arguments: &[&str]) -> (Ward, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["--demo=0"], arguments].concat();
    let server = Server::start_on(&folder.path().join("data"), &arguments);
    let ward = Ward(Project::create(&Arc::new(server), "ward"));
    for (id, family) in [("a", "Adams"), ("b", "Brown")] {
        let patient = json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
        ward.0.put(&patient).expect(201);
    }
    let practitioner =
        json!({"resourceType": "Practitioner", "id": "d", "name": [{"family": "ADAMS"}]});
    ward.0.put(&practitioner).expect(201);
    let rule = json!({"id": "all", "effect": "allow", "subjects": ["everyone"],
        "actions": ["*"], "kinds": ["*"]});
    ward.policy(json!([rule]));
    (ward, folder)
}

/// The alerts of these rules, when each of them is there.
#[track_caller]
fn alerts(ward: &Ward, rules: &[&str]) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let listed = ward.admin("GET", "/admin/alerts", Value::Null);
        let mut listed = listed.expect(200).json()["alerts"].take();
        let listed = std::mem::take(listed.as_array_mut().unwrap());
        let there: BTreeSet<&str> = listed
            .iter()
            .filter_map(|one| one["rule"].as_str())
            .collect();
        if rules.iter().all(|rule| there.contains(rule)) {
            return listed;
        }
        assert!(began.elapsed() < TOLD_WITHIN, "{rules:?} of {listed:?}");
        std::thread::yield_now();
    }
}

fn of<'a>(alerts: &'a [Value], rule: &str) -> &'a Value {
    alerts.iter().find(|alert| alert["rule"] == rule).unwrap()
}

#[test]
fn what_a_rule_finds_is_listed_mailed_and_sent_once() {
    let (hook, postbox) = (Hook::new(), Postbox::new());
    let (ward, _folder) = ward(&[
        "--alert-origins",
        &hook.origin,
        "--mail",
        &postbox.place(),
        "--mail-from",
        "salus@example.org",
    ]);
    let secret = format!("whsec_{}", Base64::encode_string(SECRET));
    let setting = json!({"mail": ["privacy@example.org"],
        "webhook": {"url": format!("{}/alerts?of=ward", hook.origin), "secret": secret},
        "rules": {"change": {"on": false}, "same-address": {"on": false}}});
    let set = ward.admin("PUT", "/admin/alerting", setting).expect(200);
    assert!(!set.body.contains("whsec_"), "{}", set.body);
    let token = ward.user("doc", "clinician", "Practitioner/d");
    let read = |id: &str| {
        let path = format!("/fhir/Patient/{id}");
        ward.ask(&token, "GET", &path, Value::Null).expect(200)
    };
    read("b");
    read("a");
    let found = alerts(&ward, &["same-surname"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let alert = of(&found, "same-surname");
    assert!(alert["agent"].as_str().unwrap().starts_with("User/"));

    // The first try was not taken.
    let (headers, body) = hook.messages.recv_timeout(TOLD_WITHIN).unwrap();
    let id = header(&headers, "webhook-id");
    let signed = format!("{id}.{}.{body}", header(&headers, "webhook-timestamp"));
    let signature = salus_crypto::hmac_sha256(SECRET, signed.as_bytes());
    let signature = format!("v1,{}", Base64::encode_string(&signature));
    assert_eq!(header(&headers, "webhook-signature"), signature);
    let message: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&message["type"], &message["data"]["rule"]),
        (&json!("alert"), &alert["rule"])
    );
    assert_eq!(alert["id"], id);
    let mail = postbox.next();
    assert_eq!(mail.to, "privacy@example.org");
    for told in [
        &body,
        &mail.parts[0],
        &mail.headers,
        &alert.to_string(),
        &ward.0.server.log(),
    ] {
        for said in ["Adams", "ADAMS", "Patient/a", "\"a\""] {
            assert!(!told.contains(said), "{said} in {told}");
        }
    }

    // What happens again is a part of it.
    let event = alert["audit_events"][0].as_str().unwrap();
    let event = ward
        .0
        .get(&format!("AuditEvent/{event}"))
        .expect(200)
        .json();
    assert_eq!(event["subtype"][0]["code"], "read");
    read("a");
    let began = Instant::now();
    while of(&alerts(&ward, &["same-surname"]), "same-surname")["count"] != 2 {
        assert!(began.elapsed() < TOLD_WITHIN);
    }
    assert!(hook.messages.try_recv().is_err(), "it was told twice");
}

#[test]
fn an_alert_is_open_until_somebody_says_what_came_of_it() {
    let (ward, _folder) = ward(&[]);
    let token = ward.user("pat", "patient", "Patient/a");
    ward.ask(&token, "GET", "/fhir/Patient/a", Value::Null)
        .expect(200);
    let found = alerts(&ward, &["own-chart"]);
    let path = format!(
        "/admin/alerts/{}/disposition",
        of(&found, "own-chart")["id"].as_str().unwrap()
    );
    let says = json!({"outcome": "justified", "text": "a portal for patients"});
    let refused = ward.ask(&token, "POST", &path, says.clone());
    assert_eq!(refused.status, 403, "{}", refused.body);
    ward.admin("POST", &path, json!({"outcome": "whatever"}))
        .expect(400);
    ward.admin("POST", "/admin/alerts/none/disposition", says.clone())
        .expect(404);
    let said = ward.admin("POST", &path, says).expect(200).json();
    assert_eq!(said["disposition"]["outcome"], "justified");
    let open = ward.admin("GET", "/admin/alerts", Value::Null).expect(200);
    assert!(!open.body.contains("own-chart"), "{}", open.body);
    let all = ward.admin("GET", "/admin/alerts?state=all", Value::Null);
    assert!(all.expect(200).body.contains("a portal for patients"));
}

#[test]
fn whoever_left_is_noticed_with_a_token_that_they_kept() {
    let (ward, _folder) = ward(&[]);
    let token = ward.user("left", "clinician", "Practitioner/d");
    let me = ward
        .ask(&token, "GET", "/auth/me", Value::Null)
        .expect(200)
        .json();
    let path = format!("/admin/users/{}", me["id"].as_str().unwrap());
    ward.admin("PATCH", &path, json!({"status": "suspended"}))
        .expect(200);
    ward.ask(&token, "GET", "/fhir/Patient/a", Value::Null)
        .expect(401);
    alerts(&ward, &["use-after-termination"]);
}

#[test]
fn a_setting_that_makes_no_sense_is_refused() {
    let (ward, _folder) = ward(&[]);
    for wrong in [
        json!({"mail": ["nobody"]}),
        json!({"rules": {"vip": {"failures": 3}}}),
        json!({"rules": {"no-rule": {}}}),
        json!({"webhook": {"url": "https://hooks.example.org/", "secret": "whsec_AAAA"}}),
        // The operator lists no such origin.
        json!({"webhook": {"url": "https://hooks.example.org/",
            "secret": format!("whsec_{}", Base64::encode_string(SECRET))}}),
    ] {
        ward.admin("PUT", "/admin/alerting", wrong).expect(400);
    }
    let setting = ward
        .admin("GET", "/admin/alerting", Value::Null)
        .expect(200)
        .json();
    assert_eq!(setting["quiet_minutes"], 60);
}
