//! `Patient/$match`, `$merge`, `$merge-undo`, and operations on the system.

use serde_json::{Value, json};

use crate::host::{Project, project};

fn registry(slug: &str) -> Project {
    let project = project(slug);
    for patient in [
        json!({"resourceType": "Patient", "id": "ann", "gender": "female", "birthDate": "1980-02-03",
            "name": [{"family": "Smith", "given": ["Ann", "B"]}],
            "identifier": [{"system": "urn:mrn", "value": "17"}],
            "telecom": [{"system": "email", "value": "ann@example.org"}]}),
        json!({"resourceType": "Patient", "id": "anne", "gender": "female", "birthDate": "1980-02-03",
            "name": [{"family": "Smyth", "given": ["Anne"]}]}),
        json!({"resourceType": "Patient", "id": "bob", "gender": "male", "birthDate": "1980-02-03",
            "name": [{"family": "Jones", "given": ["Bob"]}]}),
        json!({"resourceType": "Patient", "id": "carl", "gender": "male", "birthDate": "1951-12-12",
            "name": [{"family": "Smith", "given": ["Carl"]}]}),
    ] {
        project.put(&patient).expect(201);
    }
    project
}

/// Who it may be, as `id grade`.
#[track_caller]
fn check(project: &Project, query: &str, members: Value, expect: &[&str]) {
    let mut patient = json!({"resourceType": "Patient"});
    patient
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let mut parameters = vec![json!({"name": "resource", "resource": patient})];
    if query.contains("certain") {
        parameters.push(json!({"name": "onlyCertainMatches", "valueBoolean": true}));
    }
    let body = json!({"resourceType": "Parameters", "parameter": parameters});
    let found = project.post("Patient/$match", &body).expect(200).json();
    let entries = found["entry"].as_array().into_iter().flatten();
    let texts: Vec<_> = entries
        .map(|entry| {
            let score = entry["search"]["score"].as_f64().unwrap();
            assert!((0.2..=1.0).contains(&score), "{entry}");
            let grade = entry["search"]["extension"][0]["valueCode"]
                .as_str()
                .unwrap();
            format!("{} {grade}", entry["resource"]["id"].as_str().unwrap())
        })
        .collect();
    assert_eq!(texts, expect, "{found}");
}

#[test]
fn who_it_may_be_is_graded() {
    let project = registry("matching-match");
    let name = |family: &str, given: &str| json!([{"family": family, "given": [given]}]);
    check(
        &project,
        "",
        json!({"name": name("SMITH", "ann"), "birthDate": "1980-02-03", "gender": "female"}),
        &["ann certain", "anne probable"],
    );
    check(
        &project,
        "certain",
        json!({"name": name("Smith", "Ann"), "birthDate": "1980-02-03", "gender": "female"}),
        &["ann certain"],
    );
    check(
        &project,
        "",
        json!({"identifier": [{"system": "urn:mrn", "value": "17"}]}),
        &["ann probable"],
    );
    check(
        &project,
        "certain",
        json!({"identifier": [{"system": "urn:mrn", "value": "17"}]}),
        &[],
    );
    check(
        &project,
        "",
        json!({"name": name("Nobody", "Else"), "birthDate": "1933-01-01"}),
        &[],
    );
    check(&project, "", json!({"name": name("Smi,th|$", "x\\")}), &[]);
    check(&project, "", json!({}), &[]);
    // The resource may be the whole body.
    let patient =
        json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "17"}]});
    let found = project
        .post("Patient/$match?count=1", &patient)
        .expect(200)
        .json();
    assert_eq!(found["total"], 1);
    project
        .post("Patient/$match", &json!({"resourceType": "Basic"}))
        .expect(400);
    project
        .post("Patient/$match", &json!({"resourceType": "Parameters"}))
        .expect(400);
    project.post("Basic/$match", &patient).expect(404);
    let weak = project.with(&project.client("weak", "system/Observation.s"));
    weak.post("Patient/$match", &patient).expect(403);
}

fn references(source: &str, target: &str, preview: bool) -> Value {
    let named = |name: &str, id: &str| json!({"name": name, "valueReference": {"reference": format!("Patient/{id}")}});
    json!({"resourceType": "Parameters", "parameter": [
        named("source-patient", source), named("target-patient", target),
        {"name": "preview", "valueBoolean": preview}]})
}

fn observed(project: &Project) {
    for (id, patient) in [("o1", "ann"), ("o2", "ann"), ("o3", "anne")] {
        project
            .put(
                &json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"text": "x"}, "subject": {"reference": format!("Patient/{patient}")}}),
            )
            .expect(201);
    }
}

#[test]
fn two_patients_become_one_and_two_again() {
    let project = registry("matching-merge");
    observed(&project);
    let count = |patient: &str| {
        project
            .get(&format!("Observation?subject=Patient/{patient}"))
            .json()["total"]
            .clone()
    };
    let preview = project
        .post("Patient/$merge", &references("ann", "anne", true))
        .expect(200)
        .json();
    let outcome = preview["parameter"][0]["resource"]["issue"][0]["details"]["text"].clone();
    assert!(
        outcome.as_str().unwrap().contains("2 resources would be"),
        "{outcome}"
    );
    assert_eq!((count("ann"), count("anne")), (json!(2), json!(1)));

    let merged = project
        .post("Patient/$merge", &references("ann", "anne", false))
        .expect(200)
        .json();
    assert_eq!((count("ann"), count("anne")), (json!(0), json!(3)));
    let source = project.get("Patient/ann").expect(200).json();
    assert_eq!(source["active"], false);
    assert_eq!(source["link"][0]["type"], "replaced-by");
    let target = project.get("Patient/anne").expect(200).json();
    assert_eq!(target, merged["parameter"][1]["resource"]);
    assert_eq!(target["link"][0]["other"]["reference"], "Patient/ann");
    assert_eq!(
        target["identifier"],
        json!([{"system": "urn:mrn", "value": "17", "use": "old"}])
    );
    project
        .post("Patient/$merge", &references("ann", "bob", false))
        .expect(422);

    let provenance = merged["parameter"][2]["valueReference"].clone();
    let undo = json!({"resourceType": "Parameters", "parameter": [
        {"name": "provenance", "valueReference": provenance}]});
    let weak = project.with(&project.client("weak", "system/Patient.ru system/Provenance.r"));
    weak.post("Patient/$merge-undo", &undo).expect(403);
    project.post("Patient/$merge-undo", &undo).expect(200);
    assert_eq!((count("ann"), count("anne")), (json!(2), json!(1)));
    let again = project.get("Patient/ann").expect(200).json();
    assert_eq!((again.get("active"), again.get("link")), (None, None));
    assert_eq!(again["meta"]["versionId"], "3");
    // What has changed since is not undone.
    project.post("Patient/$merge-undo", &undo).expect(409);
}

#[test]
fn a_merge_that_cannot_be_done_changes_nothing() {
    let project = registry("matching-refused");
    observed(&project);
    project
        .post("Patient/$merge", &references("ann", "ann", false))
        .expect(400);
    project
        .post("Patient/$merge", &references("ann", "none", false))
        .expect(404);
    project
        .post("Patient/$merge", &json!({"resourceType": "Parameters"}))
        .expect(400);
    // Who may not change the observations may not merge.
    let weak = project.with(&project.client("weak", "system/Patient.cruds system/Observation.rs"));
    weak.post("Patient/$merge", &references("ann", "anne", false))
        .expect(403);
    let reader = project.with(&project.client("reader", "system/*.rs"));
    reader
        .post("Patient/$merge", &references("ann", "anne", true))
        .expect(403);
    for id in ["ann", "anne"] {
        let patient = project.get(&format!("Patient/{id}")).expect(200);
        assert_eq!(patient.header("etag"), Some("W/\"1\""));
    }
    assert_eq!(project.count("Provenance"), 0);
}

#[test]
fn indexes_are_made_anew_when_an_administrator_says_so() {
    let project = registry("matching-reindex");
    let path = format!("{}/$reindex", project.base());
    let types = json!({"resourceType": "Parameters", "parameter": [{"name": "type", "valueCode": "Patient"}]});
    let answer = project
        .server
        .admin("POST", &path, &types)
        .expect(200)
        .json();
    assert_eq!(answer["parameter"][0]["valueInteger"], 4);
    assert_eq!(
        project.get("Patient?family=smith").expect(200).json()["total"],
        2
    );
    project
        .server
        .admin(
            "POST",
            &path,
            &json!({"resourceType": "Parameters", "parameter": [
        {"name": "type", "valueCode": "None"}]}),
        )
        .expect(400);
    project.post("$reindex", &types).expect(403);
}

#[test]
fn a_message_that_nothing_handles_is_refused() {
    let project = project("matching-message");
    let message = json!({"resourceType": "Bundle", "type": "message", "entry": [{
        "fullUrl": "urn:uuid:3a0e7c0a-6a5c-4d2c-9d7b-1b6a1d2f3a4b",
        "resource": {"resourceType": "MessageHeader", "eventUri": "urn:event",
            "source": {"endpoint": "urn:source"}}}]});
    let answer = project.post("$process-message", &message).expect(422);
    assert!(
        answer.body.contains("nothing handles messages"),
        "{}",
        answer.body
    );
    let batch = json!({"resourceType": "Bundle", "type": "batch"});
    project.post("$process-message", &batch).expect(400);
    project
        .post("$process-message", &json!({"resourceType": "Parameters"}))
        .expect(400);
}
