//! Jobs: `$import`, `Prefer: respond-async`, who may follow them, how they end.
//! <https://hl7.org/fhir/R4/async.html>

use serde_json::{Value, json};

use crate::bulk::{kick_off, lines, path_of, place, signed, wait};
use crate::host::{Project, Server, project};
use crate::wire::{Answer, Request};

#[track_caller]
fn defer(project: &Project, request: Request) -> Answer {
    let request = request.header("Prefer", "respond-async, return=minimal");
    let job = place(&signed(project, request).expect(202));
    wait(project, &job)
}

#[test]
fn a_search_may_be_asked_for_and_fetched_later() {
    let project = project("async-search");
    project.put(&json!({"resourceType": "Patient", "id": "1", "gender": "other"}));
    let bundle = defer(
        &project,
        project.request("GET", "Patient?gender=other&_format=xml"),
    )
    .expect(200)
    .json();
    assert_eq!(bundle["type"], "batch-response");
    let entry = &bundle["entry"][0];
    assert_eq!(entry["response"]["status"], "200 OK");
    let found = &entry["resource"];
    assert_eq!(
        (&found["type"], &found["total"]),
        (&json!("searchset"), &json!(1))
    );
    let url = found["entry"][0]["fullUrl"].as_str().unwrap();
    assert!(url.ends_with("/p/async-search/fhir/Patient/1"), "{url}");
    let refused = defer(&project, project.request("GET", "Patient?nothing=1"));
    let refused = refused.expect(200).json();
    let response = &refused["entry"][0]["response"];
    assert_eq!(response["status"], "400 Bad Request");
    assert_eq!(response["outcome"]["resourceType"], "OperationOutcome");
}

#[test]
fn a_transaction_may_be_sent_and_looked_after_later() {
    let project = project("async-transaction");
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Basic", "code": {"text": "x"}},
         "request": {"method": "POST", "url": "Basic"}}]});
    let request = project.request("POST", "").body(bundle.to_string());
    let answer = defer(&project, request).expect(200).json();
    let inner = &answer["entry"][0]["resource"];
    assert_eq!(inner["type"], "transaction-response");
    assert_eq!(inner["entry"][0]["response"]["status"], "201 Created");
    assert_eq!(project.count("Basic"), 1);
    let create = json!({"resourceType": "Basic", "code": {"text": "y"}});
    let request = project.request("POST", "Basic").body(create.to_string());
    let answer = defer(&project, request).expect(200).json();
    let response = &answer["entry"][0]["response"];
    assert_eq!(response["status"], "201 Created");
    assert_eq!(response["etag"], "W/\"1\"");
    assert!(
        response["location"]
            .as_str()
            .unwrap()
            .contains("/p/async-transaction/fhir/Basic/")
    );
    assert!(response["lastModified"].as_str().unwrap().ends_with('Z'));
    assert_eq!(project.count("Basic"), 2);
}

#[test]
fn a_deferred_request_may_do_what_its_client_may() {
    let project = project("async-rights");
    project.put(&json!({"resourceType": "Patient", "id": "1"}));
    let weak = project.with(&project.client("weak", "system/Basic.r"));
    let answer = defer(&weak, weak.request("GET", "Patient/1")).expect(200);
    let response = &answer.json()["entry"][0]["response"];
    assert_eq!(response["status"], "403 Forbidden");
    // Nobody gets in by a header.
    let request = Request::new("GET", &format!("{}/Patient", project.base()));
    let request = request.header("Prefer", "respond-async");
    project
        .send(
            request
                .without("Authorization")
                .header("Authorization", "Bearer no"),
        )
        .expect(401);
}

#[test]
fn a_job_is_there_for_its_owner_and_the_administrator_only() {
    let project = project("jobs-owner");
    project.put(&json!({"resourceType": "Patient", "id": "1", "gender": "other"}));
    let job = kick_off(&project, "$export?_type=Patient");
    let manifest = wait(&project, &job).expect(200).json();
    let file = path_of(manifest["output"][0]["url"].as_str().unwrap());
    let other = project.with(&project.client("other", "system/*.cruds"));
    for (method, path) in [("GET", &job), ("DELETE", &job), ("GET", &file)] {
        signed(&other, Request::new(method, path)).expect(404);
        project.send(Request::new(method, path)).expect(401);
    }
    project.server.admin("GET", &job, &Value::Null).expect(200);
    let read = project.server.admin("GET", &file, &Value::Null).expect(200);
    assert!(read.header("expires").is_some());
    assert_eq!(read.body.lines().count(), 1);
    // Who fetched what of whom is found by the patient.
    let events = project
        .get("AuditEvent?entity=Patient/1")
        .expect(200)
        .json();
    let text = events.to_string();
    assert_eq!(text.matches("\"extract\"").count(), 2, "{text}");
    signed(&project, Request::new("DELETE", &job)).expect(202);
    for path in [&job, &file] {
        signed(&project, Request::new("GET", path)).expect(404);
    }
    signed(&project, Request::new("DELETE", &job)).expect(404);
}

#[test]
fn a_job_of_a_client_that_is_gone_is_gone_for_it() {
    let project = project("jobs-deleted");
    let token = project.client("leaving", "system/*.cruds");
    let leaving = project.with(&token);
    let job = kick_off(&leaving, "$export");
    wait(&leaving, &job).expect(200);
    let path = "/p/jobs-deleted/admin/clients/leaving";
    project
        .server
        .admin("DELETE", path, &Value::Null)
        .expect(200);
    signed(&leaving, Request::new("GET", &job)).expect(401);
    project.server.admin("GET", &job, &Value::Null).expect(200);
}

fn upload(project: &Project, query: &str, body: &str) -> Request {
    Request::new("POST", &format!("{}/$import{query}", project.base()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/fhir+ndjson")
        .body(body)
}

#[test]
fn an_import_loads_what_is_valid_and_tells_the_lines_that_are_not() {
    let project = project("import-lines");
    let mut text = String::new();
    for number in 0..1200 {
        let line = match number {
            7 => "not json SECRET".to_owned(),
            600 => json!({"resourceType": "Patient", "id": "p600", "gender": "SECRET"}).to_string(),
            700 => String::new(),
            800 => json!({"id": "SECRET"}).to_string(),
            1100 => json!({"resourceType": "Basic", "code": {"text": "x"}}).to_string(),
            number => json!({"resourceType": "Patient", "id": format!("p{number}")}).to_string(),
        };
        text.push_str(&line);
        text.push_str(if number % 2 == 0 { "\r\n" } else { "\n" });
    }
    let job = place(&signed(&project, upload(&project, "?type=Patient", &text)).expect(202));
    let manifest = wait(&project, &job).expect(200).json();
    let report = &manifest["output"][0];
    assert_eq!(
        (&report["count"], &report["failed"]),
        (&json!(1195), &json!(4)),
        "{manifest}"
    );
    assert_eq!(project.count("Patient"), 1195);
    let faults = lines(&project, &manifest, "error");
    let told: Vec<&str> = faults
        .iter()
        .map(|outcome| outcome["issue"][0]["details"]["text"].as_str().unwrap())
        .collect();
    let numbers: Vec<&str> = told
        .iter()
        .map(|text| text.split_once(':').unwrap().0)
        .collect();
    assert_eq!(numbers, ["line 8", "line 601", "line 801", "line 1101"]);
    assert_eq!(
        faults[1]["issue"][0]["expression"],
        json!(["Patient.gender"])
    );
    assert!(!told.join(" ").contains("SECRET"), "{told:?}");
    let gone = format!("{job}/Patient-0.ndjson");
    signed(&project, Request::new("GET", &gone)).expect(404);
}

#[test]
fn an_import_needs_lines_and_rights() {
    let project = project("import-refused");
    let line = json!({"resourceType": "Patient", "id": "1"}).to_string();
    signed(&project, upload(&project, "?type=Nothing", &line)).expect(400);
    signed(&project, upload(&project, "?kind=Patient", &line)).expect(400);
    let json = upload(&project, "", &line).header("Content-Type", "application/json");
    signed(&project, json).expect(400);
    let other = upload(&project, "", &line).header("Content-Type", "text/csv");
    signed(&project, other).expect(415);
    signed(&project, upload(&project, "", &line).header("Prefer", "x")).expect(400);
    let reader = project.with(&project.client("reader", "system/*.rs"));
    let job = place(&signed(&reader, upload(&project, "", &line)).expect(202));
    let manifest = wait(&reader, &job).expect(200).json();
    assert_eq!(manifest["output"][0]["count"], 0);
    assert_eq!(manifest["output"][0]["failed"], 1);
    assert_eq!(project.count("Patient"), 0);
}

#[test]
fn too_many_jobs_and_too_many_questions_wait() {
    let project = project("jobs-many");
    let job = kick_off(&project, "$export?_type=Patient");
    wait(&project, &job).expect(200);
    // A job that is done may be asked about as often as one likes.
    for _ in 0..40 {
        signed(&project, Request::new("GET", &job)).expect(200);
    }
}

#[test]
fn what_was_kept_long_enough_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (job, token) = {
        let server = Server::start_on(&data, &["--demo=0"]);
        let token = server.token().to_owned();
        let answer = server.send(
            Request::new("GET", "/fhir/$export?_type=Organization")
                .header("Authorization", format!("Bearer {token}"))
                .header("Prefer", "respond-async"),
        );
        let job = place(&answer.expect(202));
        loop {
            let answer = server.admin("GET", &job, &Value::Null);
            if answer.status == 200 {
                break;
            }
        }
        assert!(server.stop().success());
        (job, token)
    };
    let server = Server::start_on(&data, &["--demo=0", "--job-hours=0"]);
    server.admin("GET", &job, &Value::Null).expect(404);
    drop(token);
}
