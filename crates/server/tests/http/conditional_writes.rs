//! Conditional update and delete, alone and in bundles:
//! <https://hl7.org/fhir/R4/http.html#cond-update>,
//! <https://hl7.org/fhir/R4/http.html#cdelete>.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::Answer;

fn patient(value: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{"system": "urn:s", "value": value}],
    })
}

fn with_id(id: &str, value: &str) -> Value {
    let mut patient = patient(value);
    patient["id"] = json!(id);
    patient
}

fn update(project: &Project, search: &str, body: &Value) -> Answer {
    let request = project.request("PUT", &format!("Patient?{search}"));
    project.send(request.body(body.to_string()))
}

fn batch(ty: &str, entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": ty, "entry": entries})
}

fn put(search: &str, resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": "PUT", "url": format!("Patient?{search}")}})
}

fn delete(search: &str) -> Value {
    json!({"request": {"method": "DELETE", "url": format!("Patient?{search}")}})
}

#[track_caller]
fn statuses(answer: &Answer) -> Vec<String> {
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().unwrap().iter();
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
    entries.map(status).collect()
}

/// Sends the same request from eight clients at once.
fn at_once(send: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    let start = Barrier::new(8);
    let client = |number| {
        start.wait();
        send(number)
    };
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..8)
            .map(|number| threads.spawn(move || client(number)))
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn an_update_by_condition_follows_the_number_of_matches() {
    let project = project("conditional-update");
    // None, without an id: it is created under one of ours.
    let made = update(&project, "identifier=urn:s|1", &patient("1")).expect(201);
    let id = made.id();
    assert!(made.header("location").unwrap().contains(&id));
    // One, without an id or with its own: it is updated.
    let updated = update(&project, "identifier=urn:s|1", &patient("1")).expect(200);
    assert_eq!(
        (updated.id(), updated.header("etag")),
        (id.clone(), Some("W/\"2\""))
    );
    update(&project, "identifier=urn:s|1", &with_id(&id, "1")).expect(200);
    // One, with the id of another.
    update(&project, "identifier=urn:s|1", &with_id("other", "1")).expect(400);
    // None, with an id: update as create.
    let own = update(&project, "identifier=urn:s|2", &with_id("mine", "2")).expect(201);
    assert_eq!(own.id(), "mine");
    // None, with the id of what the condition does not find.
    update(&project, "identifier=urn:s|3", &with_id("mine", "3")).expect(409);
    project.delete("Patient/mine").expect(204);
    let again = update(&project, "identifier=urn:s|3", &with_id("mine", "3")).expect(201);
    assert_eq!(again.header("etag"), Some("W/\"3\""));
    update(&project, "identifier=urn:s|4", &with_id("no id", "4")).expect(422);
    // Several.
    project.post("Patient", &patient("1")).expect(201);
    update(&project, "identifier=urn:s|1", &patient("1")).expect(412);
    // No condition is not any resource.
    update(&project, "", &patient("1")).expect(412);
    update(&project, "_format=json", &patient("1")).expect(412);
    update(&project, "nothing=1", &patient("1")).expect(400);
    let wrong = project.request("PUT", "Observation?code=1");
    project
        .send(wrong.body(patient("1").to_string()))
        .expect(400);
    assert_eq!(project.count("Patient"), 3);
}

#[test]
fn an_update_by_condition_may_name_the_version_too() {
    let project = project("conditional-if-match");
    let send = |name: &str, value: &str| {
        let request = project.request("PUT", "Patient?identifier=urn:s|1");
        project.send(request.header(name, value).body(patient("1").to_string()))
    };
    send("If-Match", "W/\"1\"").expect(412);
    send("If-None-Match", "*").expect(201);
    send("If-None-Match", "*").expect(412);
    send("If-Match", "W/\"2\"").expect(412);
    send("If-Match", "W/\"1\"").expect(200);
    assert_eq!(project.count("Patient"), 1);
}

#[test]
fn a_delete_by_condition_takes_all_matches_or_none() {
    let project = project("conditional-delete");
    for value in ["1", "1", "1", "2", "3"] {
        project.post("Patient", &patient(value)).expect(201);
    }
    project.delete("Patient?identifier=urn:s|none").expect(204);
    let one = project.delete("Patient?identifier=urn:s|2").expect(204);
    assert_eq!(one.header("etag"), Some("W/\"2\""));
    project.delete("Patient?identifier=urn:s|1").expect(204);
    assert_eq!(project.count("Patient"), 1);
    project.delete("Patient?").expect(412);
    project.delete("Patient").expect(412);
    project.delete("Patient?nothing=1").expect(400);
    let several = project.request("DELETE", "Patient?_id:missing=false");
    let several = project.send(several.header("If-Match", "W/\"2\""));
    assert!(
        several.status == 412 || several.status == 400,
        "{}",
        several.body
    );
    assert_eq!(project.count("Patient"), 1);
    // The audit names what was deleted.
    let events = project
        .get("AuditEvent?subtype=delete&action=D&outcome=0")
        .expect(200);
    let named = events.body.matches("/_history/2").count();
    assert_eq!(named, 4, "{}", events.body);
}

#[test]
fn a_delete_by_condition_has_a_bound() {
    let project = project("conditional-bound");
    let entry = json!({"resource": patient("1"), "request": {"method": "POST", "url": "Patient"}});
    let most = vec![entry.clone(); 1000];
    let made = project.post("", &batch("transaction", json!(most)));
    made.expect(200);
    project.post("Patient", &patient("1")).expect(201);
    project.delete("Patient?identifier=urn:s|1").expect(412);
    assert_eq!(project.count("Patient"), 1001);
    let newest = project.get("Patient?_count=1").expect(200).json();
    let id = newest["entry"][0]["resource"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    project.delete(&format!("Patient/{id}")).expect(204);
    project.delete("Patient?identifier=urn:s|1").expect(204);
    assert_eq!(project.count("Patient"), 0);
}

#[test]
fn of_conditional_updates_at_once_one_creates() {
    let project = project("conditional-race");
    for round in 0..5 {
        let (value, search) = (round.to_string(), format!("identifier=urn:s|{round}"));
        let answers = at_once(|number| match number % 2 {
            0 => update(&project, &search, &patient(&value)),
            _ => project.post(
                "",
                &batch("transaction", json!([put(&search, patient(&value))])),
            ),
        });
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
        }
        let found = project.get(&format!("Patient?{search}")).expect(200).json();
        assert_eq!(found["entry"].as_array().unwrap().len(), 1, "round {round}");
        // Each of them wrote a version.
        let version = &found["entry"][0]["resource"]["meta"]["versionId"];
        assert_eq!(version, "8", "round {round}");
    }
    assert_eq!(project.count("Patient"), 5);
}

#[test]
fn deletes_and_updates_at_once_leave_one_or_none() {
    let project = project("conditional-mixed");
    for round in 0..5 {
        let search = format!("identifier=urn:s|{round}");
        let answers = at_once(|number| match number % 3 {
            0 => project.delete(&format!("Patient?{search}")),
            1 => update(&project, &search, &patient(&round.to_string())),
            _ => {
                let request = project.request("POST", "Patient");
                let request = request.header("If-None-Exist", &search);
                project.send(request.body(patient(&round.to_string()).to_string()))
            }
        });
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 201 | 204), "{}", answer.body);
        }
        let found = project.get(&format!("Patient?{search}")).expect(200);
        assert!(found.found().len() <= 1, "round {round}: {}", found.body);
    }
}

#[test]
fn conditions_are_entries_of_bundles() {
    for ty in ["batch", "transaction"] {
        let project = project(&format!("conditional-{ty}"));
        for value in ["gone", "gone", "old"] {
            project.post("Patient", &patient(value)).expect(201);
        }
        let entries = json!([
            put("identifier=urn:s|old", patient("old")),
            put("identifier=urn:s|new", patient("new")),
            put("identifier=urn:s|mine", with_id("mine", "mine")),
            delete("identifier=urn:s|gone"),
            delete("identifier=urn:s|none"),
        ]);
        let answer = project.post("", &batch(ty, entries)).expect(200);
        assert_eq!(statuses(&answer), ["200", "201", "201", "204", "204"]);
        assert_eq!(project.count("Patient"), 3, "{ty}");
        project.get("Patient/mine").expect(200);
    }
}

#[test]
fn a_transaction_with_a_condition_that_fails_does_nothing() {
    let project = project("conditional-atomic");
    for value in ["twice", "twice", "once"] {
        project.post("Patient", &patient(value)).expect(201);
    }
    let good = put("identifier=urn:s|new", patient("new"));
    for (bad, status) in [
        (put("identifier=urn:s|twice", patient("twice")), 412),
        (put("identifier=urn:s|once", with_id("other", "once")), 400),
        (put("", patient("x")), 412),
        (put("nothing=1", patient("x")), 400),
        (delete("nothing=1"), 400),
        // One resource, or one condition, in two entries.
        (put("identifier=urn:s|new", patient("new")), 400),
        (put("identifier=urn:s%7Cnew", patient("new")), 400),
        (delete("identifier=urn:s|once,urn:s|twice"), 400),
    ] {
        let entries = json!([good, bad, put("identifier=urn:s|once", patient("once"))]);
        let answer = project.post("", &batch("transaction", entries));
        let answer = answer.expect(status);
        let said = &answer.json()["issue"][0]["details"]["text"];
        assert!(
            said.as_str().unwrap().starts_with("Bundle.entry["),
            "{said}"
        );
        assert_eq!(project.count("Patient"), 3);
    }
}

#[test]
fn a_condition_does_not_find_what_its_transaction_deletes() {
    let project = project("conditional-deleted");
    let old = project.post("Patient", &patient("a")).expect(201).id();
    let urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9";
    let made = json!({
        "fullUrl": urn,
        "resource": patient("a"),
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|a"},
    });
    let subject =
        json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": urn}});
    let entries = json!([
        made,
        {"resource": subject, "request": {"method": "POST", "url": "Basic"}},
        delete("identifier=urn:s|a"),
    ]);
    let answer = project.post("", &batch("transaction", entries)).expect(200);
    assert_eq!(statuses(&answer), ["201", "201", "204"]);
    let found = project.get("Patient?identifier=urn:s|a").expect(200).json();
    let new = found["entry"][0]["resource"]["id"].as_str().unwrap();
    assert_ne!(new, old);
    project.get(&format!("Patient/{old}")).expect(410);
    let basic = project.get("Basic").expect(200).json();
    let reference = &basic["entry"][0]["resource"]["subject"]["reference"];
    assert_eq!(*reference, format!("Patient/{new}"));
    // Nor does a conditional reference.
    let linked = json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient?identifier=urn:s|a"}});
    let entries = json!([
        {"resource": linked, "request": {"method": "POST", "url": "Basic"}},
        delete("identifier=urn:s|a"),
    ]);
    project.post("", &batch("transaction", entries)).expect(412);
    project.get(&format!("Patient/{new}")).expect(200);
}

#[test]
fn a_repeated_conditional_write_does_nothing_again() {
    let project = project("conditional-key");
    let send = |method: &str, body: &str| {
        let request = project.request(method, "Patient?identifier=urn:s|1");
        let request = request.header("Idempotency-Key", method);
        project.send(request.body(body))
    };
    let body = patient("1").to_string();
    let first = send("PUT", &body).expect(201);
    let again = send("PUT", &body).expect(201);
    assert_eq!((first.body, first.status), (again.body, again.status));
    send("DELETE", "").expect(204);
    project.post("Patient", &patient("1")).expect(201);
    send("DELETE", "").expect(204);
    assert_eq!(project.count("Patient"), 1);
}

#[test]
fn a_condition_takes_the_right_to_search() {
    let project = project("conditional-rights");
    project.post("Patient", &patient("1")).expect(201);
    let weak = project.with(&project.client("weak", "system/Patient.cud"));
    update(&weak, "identifier=urn:s|1", &patient("1")).expect(403);
    weak.delete("Patient?identifier=urn:s|1").expect(403);
    let entries = json!([delete("identifier=urn:s|1")]);
    weak.post("", &batch("transaction", entries)).expect(403);
    assert_eq!(project.count("Patient"), 1);
}
