//! Retention classes, legal holds and disposal.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::host::{PASSWORD, Project, Server, project};
use crate::wire::Answer;

fn observation(id: &str, patient: &str, date: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final", "code": {"text": id},
        "subject": {"reference": format!("Patient/{patient}")}, "effectiveDateTime": date,
    })
}

fn patient(id: &str, born: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "birthDate": born})
}

/// Records of a grown-up and of a child, old and new ones.
fn lived(slug: &str) -> Project {
    // What is disposed of takes older points with it: not on a server that others page on.
    let project = Project::create(&Arc::new(Server::start()), slug);
    project.put(&patient("adult", "1950-01-01")).expect(201);
    project.put(&patient("child", "2019-01-01")).expect(201);
    for (id, of, date) in [
        ("old", "adult", "2001-05-05"),
        ("older", "adult", "1999-05-05"),
        ("young", "child", "2020-05-05"),
        ("new", "adult", "2026-01-01"),
    ] {
        project.put(&observation(id, of, date)).expect(201);
        project.put(&observation(id, of, date)).expect(200);
    }
    project
}

fn classes(then: &str) -> Value {
    json!({"classes": [{"name": "findings", "types": ["Observation"], "years": 3,
        "minors": {"until_age": 18, "years": 3}, "then": then}]})
}

#[track_caller]
fn report(project: &Project) -> Value {
    let path = "/admin/retention/report";
    let report = project.admin("GET", path, &Value::Null).expect(200).json();
    assert_eq!(report["complete"], true);
    report
}

#[track_caller]
fn dispose(project: &Project, dry_run: bool) -> Value {
    let body = json!({"reason": "yearly disposal", "dryRun": dry_run});
    let path = "/admin/retention/dispose";
    project.admin("POST", path, &body).expect(200).json()
}

fn hold(project: &Project, patients: &[&str], searches: &[&str]) -> Answer {
    let body = json!({"name": "Case 1", "reason": "a claim was filed",
        "patients": patients, "searches": searches});
    project.admin("POST", "/admin/holds", &body)
}

#[track_caller]
fn lift(project: &Project, id: &str) {
    let body = json!({"reason": "the claim was settled"});
    let path = format!("/admin/holds/{id}/lift");
    let lifted = project.admin("POST", &path, &body).expect(200).json();
    assert_eq!(lifted["lifted"]["reason"], "the claim was settled");
    project.admin("POST", &path, &body).expect(409);
}

/// The codes of the events of a kind.
fn events(project: &Project, subtype: &str) -> u64 {
    let path = format!("AuditEvent?subtype={subtype}&_count=200");
    let found = project.get(&path).expect(200).json();
    found["entry"].as_array().map_or(0, Vec::len) as u64
}

#[test]
fn what_is_due_is_reported_and_disposed_of_and_nothing_else() {
    let project = lived("retention-due");
    let set = |then: &str| project.admin("PUT", "/admin/retention", &classes(then));
    set("report").expect(200);
    let counted = report(&project);
    let ty = &counted["classes"][0]["types"][0];
    assert_eq!(
        (&ty["kept"], &ty["unknown"], &ty["due"], &ty["held"]),
        (&json!(2), &json!(0), &json!(2), &json!(0)),
        "{counted}"
    );
    assert_eq!(
        dispose(&project, false)["disposed"],
        json!({}),
        "only reported"
    );
    set("dispose").expect(200);
    let would = dispose(&project, true);
    assert_eq!(would["disposed"], json!({"Observation": 2}));
    assert_eq!(project.count("Observation"), 4);
    let held = hold(&project, &[], &["Observation?date=lt2000"])
        .expect(201)
        .json();
    let done = dispose(&project, false);
    assert_eq!(done["disposed"], json!({"Observation": 1}), "{done}");
    assert_eq!(
        (&done["held"], &done["complete"]),
        (&json!(1), &json!(true))
    );
    project.get("Observation/old").expect(410);
    project.get("Observation/old/_history/1").expect(404);
    project.get("Observation/old/_history/2").expect(404);
    project.get("Observation/older/_history/1").expect(200);
    lift(&project, held["id"].as_str().unwrap());
    assert_eq!(
        dispose(&project, false)["disposed"],
        json!({"Observation": 1})
    );
    project.get("Observation/older").expect(410);
    project.get("Observation/older/_history/1").expect(404);
    for id in ["young", "new"] {
        project
            .get(&format!("Observation/{id}/_history/1"))
            .expect(200);
    }
    let told = report(&project);
    let disposals = told["disposals"].as_array().unwrap();
    assert_eq!(disposals.len(), 2, "{told}");
    assert_eq!(disposals[0]["reason"], "yearly disposal");
    assert!(disposals[0]["by"].as_str().unwrap().contains('/'));
    // Two commits for each disposal, three calls that changed nothing.
    assert_eq!(events(&project, "destroy"), 6);
    assert_eq!(
        (events(&project, "hold"), events(&project, "unhold")),
        (1, 2)
    );
}

#[test]
fn a_hold_stops_every_purge() {
    let project = project("retention-hold");
    for version in 1..=3 {
        let text = format!("version {version}");
        for id in ["held", "free"] {
            let patient = json!({"resourceType": "Patient", "id": id, "name": [{"text": text}]});
            project.put(&patient);
        }
    }
    let held = hold(&project, &["held"], &[]).expect(201).json();
    let purge = |path: &str| {
        let path = format!("/fhir/{path}/$purge-history");
        let answer = project.admin("POST", &path, &json!({"resourceType": "Parameters"}));
        let answer = answer.expect(200).json();
        let value = |at: usize| answer["parameter"][at]["valueInteger"].as_u64();
        assert_eq!(answer["parameter"][3]["name"], "held", "{answer}");
        (value(0), value(3))
    };
    assert_eq!(purge("Patient/held"), (Some(0), Some(2)));
    assert_eq!(purge("Patient"), (Some(2), Some(2)));
    let listed = project
        .admin("GET", "/admin/holds", &Value::Null)
        .expect(200)
        .json();
    assert_eq!(listed["holds"].as_array().unwrap().len(), 1);
    assert_eq!(listed["holds"][0]["reason"], "a claim was filed");
    let id = held["id"].as_str().unwrap();
    lift(&project, id);
    assert_eq!(purge("Patient"), (Some(2), Some(0)));
    let open = project
        .admin("GET", "/admin/holds", &Value::Null)
        .expect(200)
        .json();
    assert_eq!(open["holds"], json!([]));
    let path = "/admin/holds?state=all";
    let all = project.admin("GET", path, &Value::Null).expect(200).json();
    assert_eq!(all["holds"][0]["lifted"]["reason"], "the claim was settled");
    let path = format!("/admin/holds/{id}");
    project.admin("GET", &path, &Value::Null).expect(200);
    project
        .admin("GET", "/admin/holds/none", &Value::Null)
        .expect(404);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let project = project("retention-forms");
    let class = |types: Value, years: Value| json!({"classes": [{"name": "a", "types": types, "years": years}]});
    for body in [
        json!({}),
        class(json!([]), json!(1)),
        class(json!(["Nothing"]), json!(1)),
        class(json!(["AuditEvent"]), json!(1)),
        class(json!(["Patient", "Patient"]), json!(1)),
        class(json!(["Patient"]), json!(201)),
        class(json!(["Patient"]), json!(-1)),
    ] {
        project.admin("PUT", "/admin/retention", &body).expect(400);
    }
    hold(&project, &[], &[]).expect(400);
    hold(&project, &["not an id"], &[]).expect(400);
    hold(&project, &[], &["Nothing?a=b"]).expect(400);
    hold(&project, &[], &["Patient?nonsense=b"]).expect(400);
    hold(&project, &[], &["Patient?_count=1"]).expect(400);
    let short = json!({"name": "a", "reason": "short", "patients": ["a"]});
    project.admin("POST", "/admin/holds", &short).expect(400);
    let path = "/admin/holds?state=open&x=y";
    project.admin("GET", path, &Value::Null).expect(400);
    let short = json!({"reason": "short"});
    project
        .admin("POST", "/admin/retention/dispose", &short)
        .expect(400);
}

#[test]
fn only_administrators_end_records() {
    let project = project("retention-who");
    project.put(&patient("a", "1950-01-01")).expect(201);
    project.user("nurse", &json!({"roles": ["nurse"], "password": PASSWORD}));
    let nurse = project.sign_in_user("nurse");
    for token in [&nurse, &project.token] {
        for (method, path, body) in [
            ("GET", "/admin/retention", Value::Null),
            ("PUT", "/admin/retention", classes("dispose")),
            ("GET", "/admin/retention/report", Value::Null),
            (
                "POST",
                "/admin/retention/dispose",
                json!({"reason": "yearly disposal"}),
            ),
            ("GET", "/admin/holds", Value::Null),
            (
                "POST",
                "/admin/holds",
                json!({"name": "a", "reason": "a claim was filed", "patients": ["a"]}),
            ),
            (
                "POST",
                "/admin/holds/a/lift",
                json!({"reason": "the claim was settled"}),
            ),
            ("GET", "/admin/shreds", Value::Null),
            (
                "POST",
                "/admin/shreds",
                json!({"patient": "a", "reason": "the patient asked"}),
            ),
            ("GET", "/admin/shred-key", Value::Null),
        ] {
            project.ask(token, method, path, &body).expect(403);
        }
    }
    project.get("Patient/a").expect(200);
}
