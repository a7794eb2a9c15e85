//! PATCH, alone, by a condition and in bundles: <https://hl7.org/fhir/R4/http.html#patch>.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

const JSON_PATCH: &str = "application/json-patch+json";

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "gender": "male", "identifier": [{"system": "urn:s", "value": id}]})
}

fn set(path: &str, value: &str) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

fn request(project: &Project, path: &str, ty: &str) -> Request {
    project.request("PATCH", path).header("Content-Type", ty)
}

fn patch(project: &Project, path: &str, patch: &Value) -> Answer {
    project.send(request(project, path, JSON_PATCH).body(patch.to_string()))
}

fn operation(ty: &str, path: &str, rest: Value) -> Value {
    let mut parts = vec![
        json!({"name": "type", "valueCode": ty}),
        json!({"name": "path", "valueString": path}),
    ];
    parts.extend(rest.as_array().unwrap().iter().cloned());
    json!({"name": "operation", "part": parts})
}

fn parameters(operations: &[Value]) -> Value {
    json!({"resourceType": "Parameters", "parameter": operations})
}

fn replace_gender(code: &str) -> Value {
    let value = json!([{"name": "value", "valueCode": code}]);
    parameters(&[operation("replace", "Patient.gender", value)])
}

fn bundle(ty: &str, entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": ty, "entry": entries})
}

fn entry(url: &str, resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": "PATCH", "url": url}})
}

/// A Binary that holds `[{"op":"replace","path":"/gender","value":"female"}]`.
fn binary() -> Value {
    let data = "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6ImZlbWFsZSJ9XQ==";
    json!({"resourceType": "Binary", "contentType": JSON_PATCH, "data": data})
}

#[track_caller]
fn statuses(answer: &Answer) -> Vec<String> {
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().unwrap().iter();
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
    entries.map(status).collect()
}

#[test]
fn a_json_patch_changes_one_part_and_no_other() {
    let project = project("patch-json");
    let body = r#"{"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, "valueQuantity": {"value": 1.50}}"#;
    let put = project.request("PUT", "Observation/o").body(body);
    project.send(put).expect(201);
    let patched = patch(&project, "Observation/o", &set("/valueQuantity/unit", "kg")).expect(200);
    assert_eq!(patched.header("etag"), Some("W/\"2\""));
    assert!(patched.header("location").is_none());
    assert!(
        patched.body.contains(r#"{"value": 1.50,"unit":"kg"}"#),
        "{}",
        patched.body
    );
    assert_eq!(project.get("Observation/o").expect(200).body, patched.body);
    // What it finds is what is stored now.
    let found = project
        .get("Observation?value-quantity=1.50||kg")
        .expect(200);
    assert_eq!(found.found().len(), 1);
    let minimal = request(&project, "Observation/o", JSON_PATCH)
        .header("Prefer", "return=minimal")
        .body(set("/status", "amended").to_string());
    assert_eq!(project.send(minimal).expect(200).body, "");
    let history = project.get("Observation/o/_history").expect(200).json();
    assert_eq!(history["entry"].as_array().unwrap().len(), 3);
}

#[test]
fn a_fhirpath_patch_is_a_parameters_resource() {
    let project = project("patch-fhirpath");
    project.put(&patient("a")).expect(201);
    let send = |ty: &str, patch: &Value| {
        project.send(request(&project, "Patient/a", ty).body(patch.to_string()))
    };
    let answer = send("application/fhir+json", &replace_gender("female")).expect(200);
    assert_eq!(answer.json()["gender"], "female");
    let add = json!([
        {"name": "name", "valueString": "contact"},
        {"name": "value", "part": [{"name": "name", "valueHumanName": {"text": "x"}}]},
    ]);
    let both = parameters(&[
        operation("add", "Patient", add),
        operation(
            "delete",
            "Patient.identifier.where(system='urn:s')",
            json!([]),
        ),
    ]);
    let answer = send("application/json; charset=utf-8", &both)
        .expect(200)
        .json();
    assert_eq!(answer["contact"], json!([{"name": {"text": "x"}}]));
    assert!(answer.get("identifier").is_none());
    assert_eq!(answer["meta"]["versionId"], "3");
    // All operations or none.
    let half = parameters(&[
        operation("delete", "Patient.gender", json!([])),
        operation("delete", "Patient.what", json!([])),
    ]);
    send("application/fhir+json", &half).expect(400);
    assert_eq!(
        project.get("Patient/a").expect(200).header("etag"),
        Some("W/\"3\"")
    );
}

#[test]
fn a_merge_patch_has_the_members_to_change() {
    let project = project("patch-merge");
    project.put(&patient("a")).expect(201);
    let send = |ty: &str, patch: Value| {
        project.send(request(&project, "Patient/a", ty).body(patch.to_string()))
    };
    let merge = "application/merge-patch+json";
    let answer = send(merge, json!({"gender": "female", "identifier": null})).expect(200);
    assert_eq!(answer.json()["gender"], "female");
    assert!(answer.json().get("identifier").is_none());
    // As clients send it who know one media type of JSON.
    let partial = json!({"resourceType": "Patient", "id": "a", "active": true});
    let answer = send("application/fhir+json", partial).expect(200).json();
    assert_eq!(
        (&answer["active"], &answer["gender"]),
        (&json!(true), &json!("female"))
    );
    send("application/json", json!({"active": false})).expect(200);
    send(merge, json!({"id": "b"})).expect(400);
    send(merge, json!({"resourceType": "Basic"})).expect(400);
    send(merge, json!({"nonsense": 1})).expect(422);
    send(merge, json!([])).expect(400);
    let version = project.get("Patient/a").expect(200);
    assert_eq!(version.header("etag"), Some("W/\"4\""));
}

#[test]
fn an_xml_patch_changes_the_xml_form() {
    let project = project("patch-xml");
    let body = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}"#;
    let put = project.request("PUT", "Observation/o").body(body);
    project.send(put).expect(201);
    let send =
        |ty: &str, text: &str| project.send(request(&project, "Observation/o", ty).body(text));
    let patch = r#"<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Observation/f:status/@value">amended</replace><add sel="f:Observation/f:valueQuantity"><f:unit value="kg"/></add></diff>"#;
    let answer = send("application/xml-patch+xml", patch).expect(200);
    assert_eq!(answer.json()["status"], "amended");
    assert!(
        answer.body.contains(r#"{"value":1.50,"unit":"kg"}"#),
        "{}",
        answer.body
    );
    // A FHIRPath Patch may be written in XML too.
    let parameters = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="delete"/></part><part><name value="path"/><valueString value="Observation.value.unit"/></part></parameter></Parameters>"#;
    let answer = send("application/fhir+xml", parameters).expect(200);
    assert!(!answer.body.contains("kg"), "{}", answer.body);
    let missing = r#"<diff><remove sel="f:Observation/f:subject"/></diff>"#;
    send("application/xml-patch+xml", missing).expect(409);
    let unknown = r#"<diff><add sel="f:Observation"><what/></add></diff>"#;
    send("application/xml-patch+xml", unknown).expect(422);
    let id = r#"<diff><replace sel="f:Observation/f:id/@value">b</replace></diff>"#;
    send("application/xml-patch+xml", id).expect(400);
    for text in [
        "",
        "<diff>",
        "<diff/>",
        r#"<diff><remove sel="//x"/></diff>"#,
    ] {
        send("application/xml-patch+xml", text).expect(400);
    }
    send("application/fhir+xml", "<Parameters/>").expect(400);
    assert_eq!(
        project.get("Observation/o").expect(200).header("etag"),
        Some("W/\"3\"")
    );
    let data = "PGRpZmY+PHJlcGxhY2Ugc2VsPSJmOk9ic2VydmF0aW9uL2Y6c3RhdHVzL0B2YWx1ZSI+ZmluYWw8L3JlcGxhY2U+PC9kaWZmPg==";
    let binary =
        json!({"resourceType": "Binary", "contentType": "application/xml-patch+xml", "data": data});
    let entries = json!([entry("Observation/o", binary)]);
    project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(
        project.get("Observation/o").expect(200).json()["status"],
        "final"
    );
}

#[test]
fn what_cannot_be_patched_says_why() {
    let project = project("patch-refused");
    project.put(&patient("a")).expect(201);
    let check = |patch_text: &str, status: u16| {
        let answer = project.send(request(&project, "Patient/a", JSON_PATCH).body(patch_text));
        let answer = answer.expect(status);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        assert_eq!(
            project.get("Patient/a").expect(200).header("etag"),
            Some("W/\"1\"")
        );
        answer.body
    };
    // Not a patch.
    for text in [
        "",
        "{",
        "{}",
        "[1]",
        r#"[{"op":"add","path":"gender","value":"x"}]"#,
    ] {
        check(text, 400);
    }
    // A patch for something else.
    check(r#"[{"op":"remove","path":"/birthDate"}]"#, 409);
    let said = check(r#"[{"op":"test","path":"/gender","value":"female"}]"#, 409);
    assert!(
        said.contains("operation 0") && !said.contains("female"),
        "{said}"
    );
    // What it makes is no resource.
    let said = check(r#"[{"op":"add","path":"/gender","value":"wrong"}]"#, 422);
    assert!(said.contains("Patient.gender"), "{said}");
    check(r#"[{"op":"add","path":"/what","value":1}]"#, 422);
    // What makes it this resource.
    for (path, value) in [
        ("/id", "b"),
        ("/meta/versionId", "7"),
        ("/resourceType", "Basic"),
    ] {
        let patch = set(path, value).to_string();
        let said = check(&patch, 400);
        assert!(
            said.contains(&format!("Patient.{}", path[1..].replace('/', "."))),
            "{said}"
        );
    }
    check(r#"[{"op":"remove","path":"/id"}]"#, 400);
    check(r#"[{"op":"replace","path":"","value":[]}]"#, 400);
    for ty in ["text/plain", "application/octet-stream"] {
        project
            .send(request(&project, "Patient/a", ty).body("[]"))
            .expect(415);
    }
    patch(&project, "Patient/none", &set("/gender", "other")).expect(404);
    patch(&project, "Nothing/none", &set("/gender", "other")).expect(404);
    patch(&project, "AuditEvent/none", &set("/gender", "other")).expect(403);
    patch(&project, "Patient/a_b", &set("/gender", "other")).expect(400);
    project.delete("Patient/a").expect(204);
    patch(&project, "Patient/a", &set("/gender", "other")).expect(410);
}

#[test]
fn a_patch_that_changes_nothing_makes_no_version() {
    let project = project("patch-nothing");
    project.put(&patient("a")).expect(201);
    let whole = project.get("Patient/a").expect(200).body;
    for text in [
        json!([]),
        set("/gender", "male"),
        json!([{"op": "test", "path": "/id", "value": "a"}]),
    ] {
        let answer = patch(&project, "Patient/a", &text).expect(200);
        assert_eq!(
            (answer.header("etag"), &answer.body),
            (Some("W/\"1\""), &whole)
        );
    }
    let entries = json!([entry("Patient/a", parameters(&[]))]);
    let answer = project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(answer.json()["entry"][0]["response"]["etag"], "W/\"1\"");
}

#[test]
fn a_patch_is_for_the_version_it_names() {
    let project = project("patch-version");
    project.put(&patient("a")).expect(201);
    let send = |etag: &str| {
        let request = request(&project, "Patient/a", JSON_PATCH).header("If-Match", etag);
        project.send(request.body(set("/gender", "other").to_string()))
    };
    send("W/\"2\"").expect(412);
    send("W/\"1\"").expect(200);
    send("W/\"1\"").expect(412);
    send("one").expect(400);
}

#[test]
fn of_patches_at_once_none_is_lost() {
    let project = project("patch-race");
    project.put(&patient("a")).expect(201);
    let start = Barrier::new(8);
    std::thread::scope(|threads| {
        for number in 0..8 {
            let (project, start) = (&project, &start);
            threads.spawn(move || {
                let value = json!({"system": "urn:n", "value": number.to_string()});
                let text = json!([{"op": "add", "path": "/identifier/-", "value": value}]);
                start.wait();
                patch(project, "Patient/a", &text).expect(200);
            });
        }
    });
    let after = project.get("Patient/a").expect(200).json();
    assert_eq!(after["identifier"].as_array().unwrap().len(), 9);
    assert_eq!(after["meta"]["versionId"], "9");
}

#[test]
fn a_condition_says_what_to_patch() {
    let project = project("patch-conditional");
    for id in ["a", "b"] {
        project.put(&patient(id)).expect(201);
    }
    let text = set("/gender", "other");
    let answer = patch(&project, "Patient?identifier=urn:s|a", &text).expect(200);
    assert_eq!(
        (&*answer.id(), answer.header("etag")),
        ("a", Some("W/\"2\""))
    );
    patch(&project, "Patient?identifier=urn:s|none", &text).expect(404);
    patch(&project, "Patient?identifier=urn:s|", &text).expect(412);
    patch(&project, "Patient?", &text).expect(412);
    patch(&project, "Patient?nothing=1", &text).expect(400);
    assert_eq!(
        project.get("Patient/b").expect(200).json()["gender"],
        "male"
    );
}

#[test]
fn patches_are_entries_of_bundles() {
    for ty in ["batch", "transaction"] {
        let project = project(&format!("patch-{ty}"));
        for id in ["a", "b", "c"] {
            project.put(&patient(id)).expect(201);
        }
        let entries = json!([
            entry("Patient/a", binary()),
            entry("Patient/b", replace_gender("other")),
            entry("Patient?identifier=urn:s|c", replace_gender("unknown")),
        ]);
        let answer = project.post("", &bundle(ty, entries)).expect(200);
        assert_eq!(statuses(&answer), ["200"; 3], "{}", answer.body);
        for (id, gender) in [("a", "female"), ("b", "other"), ("c", "unknown")] {
            let patient = project.get(&format!("Patient/{id}")).expect(200).json();
            assert_eq!(patient["gender"], gender, "{ty}");
        }
    }
}

#[test]
fn a_transaction_with_a_patch_that_fails_does_nothing() {
    let project = project("patch-atomic");
    project.put(&patient("a")).expect(201);
    project.put(&patient("b")).expect(201);
    let good = entry("Patient/a", replace_gender("other"));
    let remove = parameters(&[operation("delete", "Patient.what", json!([]))]);
    let mut unmet = entry("Patient/b", replace_gender("other"));
    unmet["request"]["ifMatch"] = json!("W/\"2\"");
    for (bad, status) in [
        (entry("Patient/b", replace_gender("wrong")), 422),
        (entry("Patient/b", remove), 400),
        (entry("Patient/none", replace_gender("other")), 404),
        (
            entry("Patient?identifier=urn:s|none", replace_gender("other")),
            404,
        ),
        (unmet, 412),
        (entry("Patient/b", patient("b")), 400),
        (entry("Patient", replace_gender("other")), 400),
        // One resource in two entries.
        (entry("Patient/a", replace_gender("other")), 400),
        (entry("Patient?identifier=urn:s|a", parameters(&[])), 400),
    ] {
        let entries = json!([good, bad]);
        let answer = project.post("", &bundle("transaction", entries));
        let body = answer.expect(status).body;
        assert!(body.contains("Bundle.entry[1]"), "{body}");
        for id in ["a", "b"] {
            let etag = project.get(&format!("Patient/{id}")).expect(200);
            assert_eq!(etag.header("etag"), Some("W/\"1\""));
        }
    }
}

#[test]
fn a_patch_in_a_transaction_may_link_to_its_other_entries() {
    let project = project("patch-links");
    project.put(&patient("a")).expect(201);
    let urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9";
    let add = json!([
        {"name": "name", "valueString": "managingOrganization"},
        {"name": "value", "valueReference": {"reference": urn}},
    ]);
    let entries = json!([
        entry("Patient/a", parameters(&[operation("add", "Patient", add)])),
        {"fullUrl": urn, "resource": {"resourceType": "Organization", "name": "x"}, "request": {"method": "POST", "url": "Organization"}},
    ]);
    project
        .post("", &bundle("transaction", entries))
        .expect(200);
    let linked = project
        .get("Patient?organization:missing=false")
        .expect(200)
        .json();
    let reference = &linked["entry"][0]["resource"]["managingOrganization"]["reference"];
    assert!(
        reference.as_str().unwrap().starts_with("Organization/"),
        "{reference}"
    );
}

#[test]
fn who_may_not_read_is_not_shown_what_a_patch_leaves() {
    let project = project("patch-rights");
    project.put(&patient("a")).expect(201);
    let weak = project.with(&project.client("weak", "system/Patient.u"));
    let answer = patch(&weak, "Patient/a", &set("/gender", "other")).expect(200);
    assert_eq!(
        (&*answer.body, answer.header("etag")),
        ("", Some("W/\"2\""))
    );
    let send = |key: &str| {
        let entries = json!([entry("Patient/a", replace_gender("female"))]);
        let request = weak
            .request("POST", "")
            .header("Prefer", "return=representation");
        let request = request.header("Idempotency-Key", key);
        let body = bundle("transaction", entries).to_string();
        weak.send(request.body(body)).expect(200).body
    };
    assert!(!send("k").contains("urn:s"));
    assert!(!send("k").contains("urn:s"));
    patch(
        &weak,
        "Patient?identifier=urn:s|a",
        &set("/gender", "other"),
    )
    .expect(403);
    let none = project.with(&project.client("none", "system/Patient.crds"));
    patch(&none, "Patient/a", &set("/gender", "other")).expect(403);
}

#[test]
fn a_patch_is_in_the_audit_and_is_not_repeated() {
    let project = project("patch-audit");
    project.put(&patient("a")).expect(201);
    let send = || {
        let request = request(&project, "Patient/a", JSON_PATCH).header("Idempotency-Key", "k");
        let text = json!([{"op": "add", "path": "/identifier/-", "value": {"value": "x"}}]);
        project.send(request.body(text.to_string())).expect(200)
    };
    let (first, again) = (send(), send());
    assert_eq!(
        (&first.body, first.header("etag")),
        (&again.body, Some("W/\"2\""))
    );
    let events = project
        .get("AuditEvent?subtype=patch&action=U")
        .expect(200)
        .json();
    let events = events["entry"].as_array().unwrap().clone();
    assert_eq!(events.len(), 2);
    let what = &events[1]["resource"]["entity"][1]["what"]["reference"];
    assert_eq!(what, "Patient/a/_history/2");
}
