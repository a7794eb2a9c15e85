//! Requests that come again under their `Idempotency-Key`.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

fn bundle(ty: &str, entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": ty, "entry": entries})
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:s", "value": id}]})
}

fn entry(method: &str, url: &str, resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": method, "url": url}})
}

fn made() -> Value {
    entry("POST", "Patient", patient("x"))
}

fn named(project: &Project, key: &str, method: &str, path: &str) -> Request {
    let request = project.request(method, path);
    request.header("Idempotency-Key", key)
}

#[track_caller]
fn send(project: &Project, key: &str, body: &Value) -> Answer {
    project.send(named(project, key, "POST", "").body(body.to_string()))
}

/// How many versions were ever written.
#[track_caller]
fn versions(project: &Project) -> usize {
    let history = project.get("_history?_count=1000").expect(200).json();
    history["entry"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_named_transaction_happens_once() {
    let project = project("idempotency-transaction");
    let make = bundle("transaction", json!([made()]));
    send(&project, "one", &make).expect(200);
    send(&project, "one", &make).expect(200);
    assert_eq!(project.count("Patient"), 1);
    send(&project, "two", &make).expect(200);
    assert_eq!(project.count("Patient"), 2);
    // One that failed was not carried out.
    let bad = entry(
        "POST",
        "Patient",
        json!({"resourceType": "Patient", "x": 1}),
    );
    send(&project, "three", &bundle("transaction", json!([bad]))).expect(422);
    send(&project, "three", &make).expect(200);
    assert_eq!(project.count("Patient"), 3);
}

#[test]
fn of_one_named_transaction_at_once_one_happens() {
    let project = project("idempotency-race");
    let make = bundle("transaction", json!([made()]));
    let answers: Vec<Value> = std::thread::scope(|threads| {
        let send = || send(&project, "k", &make).expect(200).json();
        let running: Vec<_> = (0..6).map(|_| threads.spawn(send)).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(project.count("Patient"), 1);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

/// A bundle with an entry of every kind.
fn of_every_kind(project: &Project, ty: &str) -> Value {
    for id in ["there", "leaving", "found"] {
        project.put(&patient(id)).expect(201);
    }
    let mut conditional = entry("POST", "Patient", patient("found"));
    conditional["request"]["ifNoneExist"] = json!("identifier=urn:s|found");
    let entries = json!([
        made(),
        entry("PUT", "Patient/there", patient("there")),
        entry("PUT", "Patient/new", patient("new")),
        {"request": {"method": "DELETE", "url": "Patient/leaving"}},
        {"request": {"method": "DELETE", "url": "Patient/none"}},
        conditional,
        {"request": {"method": "GET", "url": "Patient/found/_history/1"}},
    ]);
    bundle(ty, entries)
}

/// Sends a bundle, and again after other changes: nothing happens, and the answer is the same.
#[track_caller]
fn check_same_answer(project: &Project, body: &Value, prefer: &str) {
    let send = || {
        let request = named(project, "k", "POST", "").header("Prefer", prefer);
        project.send(request.body(body.to_string())).expect(200)
    };
    let first = send().json();
    for (index, status) in ["201", "200", "201", "204", "204", "200", "200"]
        .iter()
        .enumerate()
    {
        let response = &first["entry"][index]["response"];
        assert!(
            response["status"].as_str().unwrap().starts_with(status),
            "{response}"
        );
    }
    project.put(&patient("there")).expect(200);
    project.put(&patient("leaving")).expect(201);
    let before = versions(project);
    let again = send();
    assert_eq!(again.json(), first);
    assert_eq!(versions(project), before);
}

#[test]
fn a_repeated_transaction_gets_the_same_answer() {
    for prefer in ["return=minimal", "return=representation"] {
        let project = project(&format!("idempotency-{}", prefer.replace('=', "-")));
        let body = of_every_kind(&project, "transaction");
        check_same_answer(&project, &body, prefer);
    }
}

#[test]
fn a_repeated_batch_gets_the_same_answers() {
    for prefer in ["return=minimal", "return=representation"] {
        let project = project(&format!("idempotency-batch-{}", prefer.replace('=', "-")));
        let body = of_every_kind(&project, "batch");
        check_same_answer(&project, &body, prefer);
    }
}

#[test]
fn a_batch_goes_on_with_the_entries_that_are_not_done() {
    let project = project("idempotency-batch-resumed");
    let bad = entry(
        "POST",
        "Patient",
        json!({"resourceType": "Patient", "x": 1}),
    );
    let first = bundle("batch", json!([made(), bad, made()]));
    let whole = bundle("batch", json!([made(), made(), made(), made()]));
    let first = send(&project, "k", &first).expect(200).json();
    assert_eq!(project.count("Patient"), 2);
    let whole = send(&project, "k", &whole).expect(200).json();
    assert_eq!(project.count("Patient"), 4);
    for index in [0, 2] {
        assert_eq!(whole["entry"][index], first["entry"][index]);
    }
    // The whole name is not that of an entry.
    let make = bundle("transaction", json!([made()]));
    send(&project, "k", &make).expect(200);
    assert_eq!(project.count("Patient"), 5);
}

#[test]
fn single_writes_have_names_too() {
    let project = project("idempotency-single");
    let twice = |method: &str, path: &str, body: &str, status: u16| {
        let key = format!("{method} {path}");
        let send = || project.send(named(&project, &key, method, path).body(body));
        let (first, before) = (send().expect(status), versions(&project));
        let again = send().expect(status);
        assert_eq!(versions(&project), before);
        assert_eq!(again.body, first.body);
        for name in ["location", "etag", "last-modified", "content-type"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
    };
    let body = patient("a").to_string();
    twice("POST", "Patient", &body, 201);
    twice("PUT", "Patient/a", &body, 201);
    project.put(&patient("b")).expect(201);
    twice("PUT", "Patient/b", &patient("b").to_string(), 200);
    project.put(&patient("b")).expect(200);
    twice("DELETE", "Patient/b", "", 204);
}

#[test]
fn a_name_is_of_one_request_of_one_client() {
    let project = project("idempotency-names");
    let make = bundle("transaction", json!([made()]));
    send(&project, "k", &make).expect(200);
    let other = bundle("transaction", json!([made(), made()]));
    send(&project, "k", &other).expect(422);
    let single = named(&project, "k", "POST", "Patient");
    project
        .send(single.body(patient("x").to_string()))
        .expect(422);
    assert_eq!(project.count("Patient"), 1);
    let second = project.with(&project.client("second", "system/*.cruds"));
    send(&second, "k", &make).expect(200);
    assert_eq!(project.count("Patient"), 2);
    // What cannot be a name is not taken for none.
    for key in ["", "schl\u{fc}ssel"] {
        send(&project, key, &make).expect(400);
    }
    assert_eq!(project.count("Patient"), 2);
}

#[test]
fn a_repetition_is_in_the_audit() {
    let project = project("idempotency-audit");
    let make = bundle("transaction", json!([made()]));
    send(&project, "k", &make).expect(200);
    let again = send(&project, "k", &make).expect(200);
    let events = project.get("AuditEvent?subtype=transaction").expect(200);
    let events = events.json();
    assert_eq!(events["entry"].as_array().unwrap().len(), 2);
    let newest = &events["entry"][0]["resource"]["entity"];
    let id = newest[0]["what"]["identifier"]["value"].as_str();
    assert_eq!(id, again.header("x-request-id"));
    assert!(!events.to_string().contains("Receipt"));
}
