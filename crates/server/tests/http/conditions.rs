//! Conditional reads and writes: <https://hl7.org/fhir/R4/http.html#cond-update>.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::Answer;

fn patient(identifier: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{"system": "urn:s", "value": identifier}],
    })
}

fn read(project: &Project, name: &str, value: &str) -> Answer {
    project.send(project.request("GET", "Patient/a").header(name, value))
}

#[test]
fn a_client_that_has_the_version_is_not_sent_it_again() {
    let project = project("conditions-read");
    let mut resource = patient("1");
    resource["id"] = json!("a");
    let put = project.put(&resource).expect(201);
    let modified = put.header("last-modified").unwrap();
    let same = read(&project, "If-None-Match", "W/\"1\"").expect(304);
    assert_eq!((&*same.body, same.header("etag")), ("", Some("W/\"1\"")));
    read(&project, "If-None-Match", "\"1\"").expect(304);
    read(&project, "If-None-Match", "W/\"2\"").expect(200);
    // A list, and any version (RFC 9110, 13.1.2).
    read(&project, "If-None-Match", "W/\"7\", W/\"1\"").expect(304);
    read(&project, "If-None-Match", "*").expect(304);
    read(&project, "If-Modified-Since", modified).expect(304);
    read(
        &project,
        "If-Modified-Since",
        "Mon, 01 Jan 2001 00:00:00 GMT",
    )
    .expect(200);
    read(&project, "If-Modified-Since", "yesterday").expect(200);
}

fn update(project: &Project, name: &str, value: &str) -> Answer {
    let mut resource = patient("1");
    resource["id"] = json!("a");
    let request = project.request("PUT", "Patient/a").header(name, value);
    project.send(request.body(resource.to_string()))
}

#[test]
fn writes_happen_only_on_the_version_they_name() {
    let project = project("conditions-write");
    update(&project, "If-Match", "W/\"1\"").expect(412);
    project.get("Patient/a").expect(404);
    update(&project, "If-None-Match", "*").expect(201);
    update(&project, "If-None-Match", "*").expect(412);
    update(&project, "If-Match", "W/\"1\"").expect(200);
    update(&project, "If-Match", "W/\"1\"").expect(412);
    update(&project, "If-Match", "W/\"3\"").expect(412);
    update(&project, "If-Match", "two").expect(400);
    update(&project, "If-None-Match", "W/\"1\"").expect(400);
    let delete = |etag| {
        project.send(
            project
                .request("DELETE", "Patient/a")
                .header("If-Match", etag),
        )
    };
    delete("W/\"1\"").expect(412);
    delete("W/\"2\"").expect(204);
    delete("W/\"2\"").expect(412);
    update(&project, "If-Match", "W/\"3\"").expect(412);
    // After a delete there is none again.
    update(&project, "If-None-Match", "*").expect(201);
}

fn create(project: &Project, condition: &str) -> Answer {
    let request = project
        .request("POST", "Patient")
        .header("If-None-Exist", condition);
    project.send(request.body(patient("1").to_string()))
}

#[test]
fn a_conditional_create_makes_at_most_one() {
    let project = project("conditions-create");
    let made = create(&project, "identifier=urn:s|1").expect(201);
    let found = create(&project, "identifier=urn:s|1").expect(200);
    assert_eq!(found.id(), made.id());
    assert_eq!(found.body, made.body);
    assert_eq!(project.count("Patient"), 1);
    // Some clients write the condition as a query.
    let again = project.post("Patient?identifier=urn:s|1&_format=json", &patient("1"));
    assert_eq!(again.expect(200).id(), made.id());
    project.post("Patient?nothing=1", &patient("1")).expect(400);
    project
        .post("Patient?_format=json", &patient("1"))
        .expect(201);
    create(&project, "identifier=urn:s|1").expect(412);
    create(&project, "").expect(412);
    create(&project, "_count=1").expect(412);
    create(&project, "nothing=1").expect(400);
    assert_eq!(project.count("Patient"), 2);
}

#[test]
fn a_condition_takes_the_right_to_search() {
    let project = project("conditions-rights");
    create(&project, "identifier=urn:s|1").expect(201);
    let entry = json!({"resource": patient("2"), "request": {
        "method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|2"}});
    for (scopes, status) in [("system/Patient.c", 403), ("system/Patient.cs", 201)] {
        let client = scopes.replace(['/', '.'], "-").to_lowercase();
        let weak = project.with(&project.client(&client, scopes));
        create(&weak, "identifier=urn:s|2").expect(status);
        for ty in ["batch", "transaction"] {
            let bundle = json!({"resourceType": "Bundle", "type": ty, "entry": [entry]});
            let answer = weak.post("", &bundle);
            let refused = answer.status == 403 || answer.body.contains("403 Forbidden");
            assert_eq!(refused, status == 403, "{scopes} {ty}: {}", answer.body);
        }
    }
}

#[test]
fn of_conditional_creates_at_once_one_creates() {
    let project = project("conditions-race");
    for round in 0..5 {
        let start = Barrier::new(8);
        let create = || {
            let request = project
                .request("POST", "Patient")
                .header("If-None-Exist", format!("identifier=urn:s|{round}"))
                .body(patient(&round.to_string()).to_string());
            start.wait();
            project.send(request)
        };
        let answers: Vec<Answer> = std::thread::scope(|threads| {
            let running: Vec<_> = (0..8).map(|_| threads.spawn(create)).collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let found = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((created, found), (1, 7), "round {round}");
        let first = answers[0].id();
        assert!(answers.iter().all(|answer| answer.id() == first));
    }
    assert_eq!(project.count("Patient"), 5);
}
