//! `$export`: <https://hl7.org/fhir/uv/bulkdata/STU2/export.html>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

/// Begins a job: the path where it is followed.
#[track_caller]
pub(crate) fn kick_off(project: &Project, path: &str) -> String {
    let request = Request::new("GET", &format!("{}/{path}", project.base()))
        .header("Prefer", "respond-async")
        .header("Accept", "application/fhir+json");
    place(&signed(project, request).expect(202))
}

/// The path of a job, from the answer that says where it is.
#[track_caller]
pub(crate) fn place(answer: &Answer) -> String {
    path_of(answer.header("content-location").unwrap())
}

/// The path and query of a URL.
pub(crate) fn path_of(url: &str) -> String {
    let at = url.find("://").unwrap() + 3;
    url[at + url[at..].find('/').unwrap()..].to_owned()
}

/// Sends a request with the project's token.
#[track_caller]
pub(crate) fn signed(project: &Project, request: Request) -> Answer {
    let bearer = format!("Bearer {}", project.token);
    project.send(request.header("Authorization", bearer))
}

/// Asks until a job is over.
#[track_caller]
pub(crate) fn wait(project: &Project, job: &str) -> Answer {
    loop {
        let answer = signed(project, Request::new("GET", job));
        match answer.status {
            202 => assert!(answer.header("x-progress").is_some()),
            // Asked too often: that is what the loop is.
            429 => assert_eq!(answer.header("retry-after"), Some("1")),
            _ => return answer,
        }
        std::thread::yield_now();
    }
}

/// The manifest of an export.
#[track_caller]
pub(crate) fn export(project: &Project, path: &str) -> Value {
    let job = kick_off(project, path);
    wait(project, &job).expect(200).json()
}

/// The lines of the files of one list of a manifest.
#[track_caller]
pub(crate) fn lines(project: &Project, manifest: &Value, list: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for file in manifest[list].as_array().unwrap() {
        let path = path_of(file["url"].as_str().unwrap());
        let answer = signed(project, Request::new("GET", &path)).expect(200);
        assert_eq!(
            answer.header("content-type"),
            Some("application/fhir+ndjson")
        );
        let lines: Vec<Value> = answer
            .body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(file["count"], lines.len());
        let is_of_type = |line: &Value| line["resourceType"] == file["type"];
        assert!(lines.iter().all(is_of_type), "{file}");
        all.extend(lines);
    }
    all
}

/// What was exported, as `Type/id`.
#[track_caller]
pub(crate) fn exported(project: &Project, path: &str) -> BTreeSet<String> {
    let manifest = export(project, path);
    let lines = lines(project, &manifest, "output");
    let names: BTreeSet<String> = lines.iter().map(name).collect();
    assert_eq!(names.len(), lines.len(), "some came twice");
    names
}

fn name(resource: &Value) -> String {
    let text = |key: &str| resource[key].as_str().unwrap();
    format!("{}/{}", text("resourceType"), text("id"))
}

/// Patients 1 to 3, each with an observation; a group of the first two; an organization.
#[track_caller]
fn filled(slug: &str) -> Project {
    let project = project(slug);
    for id in ["1", "2", "3"] {
        let patient = json!({"resourceType": "Patient", "id": id, "gender": "other",
            "birthDate": "2000-01-01", "name": [{"family": "Example"}]});
        project.put(&patient);
        let observation = json!({"resourceType": "Observation", "id": format!("o{id}"),
            "status": if id == "1" { "final" } else { "preliminary" },
            "code": {"text": "a, b"}, "subject": {"reference": format!("Patient/{id}")}});
        project.put(&observation);
    }
    let member = |id: &str| json!({"entity": {"reference": format!("Patient/{id}")}});
    let group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true,
        "member": [member("1"), member("2"),
            {"entity": {"reference": "Patient/3"}, "inactive": true}]});
    project.put(&group);
    let organization = json!({"resourceType": "Organization", "id": "org", "name": "Org"});
    project.put(&organization);
    project
}

#[track_caller]
fn check(project: &Project, path: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(exported(project, path), expected, "{path}");
}

#[test]
fn an_export_gives_what_each_level_and_parameter_says() {
    let project = filled("bulk-levels");
    let all = [
        "Patient/1",
        "Patient/2",
        "Patient/3",
        "Observation/o1",
        "Observation/o2",
        "Observation/o3",
        "Group/g",
        "Organization/org",
    ];
    check(&project, "$export", &all);
    check(&project, "%24export?_outputFormat=ndjson", &all);
    // A group is in the compartments of its members.
    let of_patients = [
        "Patient/1",
        "Patient/2",
        "Patient/3",
        "Observation/o1",
        "Observation/o2",
        "Observation/o3",
        "Group/g",
    ];
    check(&project, "Patient/$export", &of_patients);
    let of_group = [
        "Patient/1",
        "Patient/2",
        "Observation/o1",
        "Observation/o2",
        "Group/g",
    ];
    check(&project, "Group/g/$export", &of_group);
    let patients = ["Patient/1", "Patient/2", "Patient/3"];
    check(&project, "$export?_type=Patient", &patients);
    check(
        &project,
        "$export?_type=Patient,Group",
        &["Patient/1", "Patient/2", "Patient/3", "Group/g"],
    );
    let filter = "$export?_type=Patient,Observation&_typeFilter=Observation%3Fstatus%3Dfinal";
    check(
        &project,
        filter,
        &["Patient/1", "Patient/2", "Patient/3", "Observation/o1"],
    );
    let either = "$export?_type=Patient,Observation&_typeFilter=\
                  Observation%3Fstatus%3Dfinal,cancelled,Patient%3F_id%3D2,Patient%3F_id%3D3";
    check(
        &project,
        either,
        &["Patient/2", "Patient/3", "Observation/o1"],
    );
    check(&project, "$export?_type=Patient&_since=2100-01-01", &[]);
    check(&project, "$export?_type=Patient&_until=2000-01-01", &[]);
    check(
        &project,
        "$export?_type=Patient&_since=2000-01-01",
        &patients,
    );
    check(&project, "$export?_type=Device", &[]);
}

#[test]
fn an_export_by_post_takes_parameters() {
    let project = filled("bulk-post");
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Patient,Observation"},
        {"name": "patient", "valueReference": {"reference": "Patient/2"}},
        {"name": "patient", "valueReference": {"reference": "Patient/3"}}]});
    let post = |path: &str| {
        let request = Request::new("POST", &format!("{}/{path}", project.base()))
            .header("Prefer", "respond-async")
            .header("Content-Type", "application/fhir+json")
            .body(body.to_string());
        let job = place(&signed(&project, request).expect(202));
        let manifest = wait(&project, &job).expect(200).json();
        let lines = lines(&project, &manifest, "output");
        lines.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        post("Patient/$export"),
        "Patient/3 Patient/2 Observation/o3 Observation/o2"
    );
    assert_eq!(post("Group/g/$export"), "Patient/2 Observation/o2");
}

#[test]
fn elements_leave_out_others_and_say_so() {
    let project = filled("bulk-elements");
    let manifest = export(
        &project,
        "$export?_type=Patient,Group&_elements=Patient.gender,type",
    );
    let lines = lines(&project, &manifest, "output");
    let patient = &lines[0];
    assert_eq!(patient["gender"], "other");
    assert_eq!(patient["name"], Value::Null);
    assert_eq!(patient["meta"]["tag"][0]["code"], "SUBSETTED");
    let group = lines.last().unwrap();
    // What is mandatory stays.
    assert_eq!(
        (&group["type"], &group["actual"]),
        (&json!("person"), &json!(true))
    );
    assert_eq!(group["member"], Value::Null);
}

#[test]
fn a_manifest_says_what_there_is_and_what_was_deleted() {
    let project = filled("bulk-manifest");
    project.delete("Observation/o1");
    project.delete("Organization/org");
    let manifest = export(&project, "$export?_since=2000-01-01T00:00:00Z");
    assert_eq!(manifest["requiresAccessToken"], true);
    let request = manifest["request"].as_str().unwrap();
    assert!(
        request.ends_with("/fhir/$export?_since=2000-01-01T00:00:00Z"),
        "{request}"
    );
    assert!(manifest["transactionTime"].as_str().unwrap().ends_with('Z'));
    let deleted = lines(&project, &manifest, "deleted");
    let urls: Vec<&Value> = deleted
        .iter()
        .map(|bundle| {
            assert_eq!(
                (
                    bundle["type"].as_str(),
                    &bundle["entry"][0]["request"]["method"]
                ),
                (Some("transaction"), &json!("DELETE"))
            );
            &bundle["entry"][0]["request"]["url"]
        })
        .collect();
    assert_eq!(urls, ["Observation/o1", "Organization/org"]);
    // Of patients only what was theirs is told.
    let manifest = export(&project, "Patient/$export?_since=2000-01-01T00:00:00Z");
    let deleted = lines(&project, &manifest, "deleted");
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["entry"][0]["request"]["url"], "Observation/o1");
    assert_eq!(export(&project, "$export")["deleted"], json!([]));
}

#[test]
fn provenance_comes_with_what_it_is_about() {
    let project = filled("bulk-provenance");
    for (id, target) in [("a", "Patient/1"), ("b", "Patient/1"), ("c", "Group/g")] {
        let agent = json!({"who": {"display": "somebody"}});
        let recorded = "2020-01-01T00:00:00Z";
        project.put(
            &json!({"resourceType": "Provenance", "id": id, "agent": [agent],
            "recorded": recorded, "target": [{"reference": target}]}),
        );
    }
    let path = "$export?_type=Patient&_typeFilter=Patient%3F_id%3D1&includeAssociatedData=";
    let latest = format!("{path}LatestProvenanceResources");
    check(&project, &latest, &["Patient/1", "Provenance/b"]);
    let relevant = format!("{path}RelevantProvenanceResources");
    let all = ["Patient/1", "Provenance/a", "Provenance/b"];
    check(&project, &relevant, &all);
}

#[test]
fn a_record_of_two_members_comes_once() {
    let project = filled("bulk-few");
    let entries: Vec<Value> = (0..100)
        .map(|number| {
            let patient = format!("Patient/{}", number % 3 + 1);
            let appointment = json!({"resourceType": "Appointment", "id": format!("a{number}"),
                "status": "proposed", "participant": [
                    {"actor": {"reference": patient}, "status": "accepted"},
                    {"actor": {"reference": "Patient/2"}, "status": "accepted"}]});
            json!({"resource": appointment,
                "request": {"method": "PUT", "url": format!("Appointment/a{number}")}})
        })
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    project.post("", &bundle).expect(200);
    assert_eq!(
        exported(&project, "Group/g/$export?_type=Appointment").len(),
        100
    );
    let filter = "Group/g/$export?_type=Appointment&_typeFilter=Appointment%3Factor%3DPatient/3";
    assert_eq!(exported(&project, filter).len(), 33);
}

#[test]
fn resources_of_several_lines_become_one() {
    let project = project("bulk-lines");
    let text = "{\n  \"resourceType\": \"Basic\",\r\n  \"code\": {\"text\": \"a\\nb\"}\n}";
    let request = Request::new("POST", &format!("{}/Basic", project.base()))
        .header("Content-Type", "application/fhir+json")
        .body(text);
    signed(&project, request).expect(201);
    let manifest = export(&project, "$export?_type=Basic");
    let lines = lines(&project, &manifest, "output");
    assert_eq!(lines[0]["code"]["text"], "a\nb");
}

#[test]
fn what_cannot_be_done_is_refused_at_once() {
    let project = filled("bulk-refusals");
    let send = |path: &str, prefer: &str| {
        let request = Request::new("GET", &format!("{}/{path}", project.base()));
        signed(&project, request.header("Prefer", prefer))
    };
    for (path, status, told) in [
        ("$export?_outputFormat=csv", 400, "application/fhir+ndjson"),
        ("$export?_type=Nothing", 400, "_type"),
        ("$export?_type=AuditEvent", 400, "_type"),
        ("Patient/$export?_type=Organization", 400, "compartment"),
        ("$export?_since=yesterday", 400, "_since"),
        ("$export?_typeFilter=status", 400, "_typeFilter"),
        (
            "$export?_type=Patient&_typeFilter=Patient%3Fnothing%3D1",
            400,
            "nothing",
        ),
        (
            "$export?_type=Patient&_typeFilter=Patient%3F_sort%3Dname",
            400,
            "_typeFilter",
        ),
        (
            "$export?_type=Patient&_typeFilter=Group%3F_id%3D1",
            400,
            "_typeFilter",
        ),
        ("$export?_elements=Patient.nothing", 400, "_elements"),
        (
            "$export?includeAssociatedData=all",
            400,
            "LatestProvenanceResources",
        ),
        ("$export?organizeOutputBy=Patient", 400, "_outputFormat"),
        ("Observation/$export", 404, "Group"),
        ("Group/none/$export", 404, ""),
        ("Group/$export", 404, "Group"),
        ("Patient/1/$export", 404, "Group"),
    ] {
        let answer = send(path, "respond-async");
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(told), "{path}: {}", answer.body);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    send("$export", "return=minimal").expect(400);
    let lenient = "respond-async, handling=lenient";
    send(
        "$export?organizeOutputBy=Patient&includeAssociatedData=all",
        lenient,
    )
    .expect(202);
}
