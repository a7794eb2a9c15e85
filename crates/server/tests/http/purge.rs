//! `$purge-history`, and the setting of which types superseded versions are kept.

use serde_json::{Value, json};

use crate::host::{Project, Server, project};
use crate::wire::Answer;

fn patient(id: &str, family: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]})
}

/// Four versions of Patient/a, two of Patient/b and a deletion, one of Patient/c.
fn lived(slug: &str) -> Project {
    let project = project(slug);
    for family in ["Erasmus", "Zwingli", "Calvin", "Luther"] {
        project.put(&patient("a", family));
    }
    project.put(&patient("b", "Erasmus"));
    project.put(&patient("b", "Zwingli"));
    project.delete("Patient/b").expect(204);
    project.put(&patient("c", "Calvin")).expect(201);
    project
}

/// Sends it as an administrator.
#[track_caller]
fn purge(project: &Project, path: &str, parameters: &Value) -> Answer {
    let path = format!("/p/{}/fhir/{path}", project.slug);
    let parameters: Vec<Value> = parameters
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            let ty = match (value.is_boolean(), value.is_number()) {
                (true, _) => "valueBoolean",
                (_, true) => "valuePositiveInt",
                (false, false) => "valueInstant",
            };
            json!({"name": name, ty: value})
        })
        .collect();
    let body = match parameters.is_empty() {
        true => Value::Null,
        false => json!({"resourceType": "Parameters", "parameter": parameters}),
    };
    project.server.admin("POST", &path, &body)
}

/// How many were purged, how many remain, and that all were looked at.
#[track_caller]
fn check(project: &Project, path: &str, parameters: &Value, expect: (u64, u64)) {
    let answer = purge(project, path, parameters).expect(200).json();
    let value = |at: usize, name: &str, member: &str| {
        let parameter = &answer["parameter"][at];
        assert_eq!(parameter["name"], name, "{answer}");
        parameter[member].clone()
    };
    assert_eq!(value(0, "purged", "valueInteger"), expect.0, "{answer}");
    assert_eq!(value(1, "remaining", "valueInteger"), expect.1, "{answer}");
    assert_eq!(value(2, "complete", "valueBoolean"), true, "{answer}");
}

/// The statuses of the first versions of a resource.
fn statuses(project: &Project, of: &str) -> Vec<u16> {
    let reads = (1..=4).map(|version| project.get(&format!("{of}/_history/{version}")));
    reads.map(|answer| answer.status).collect()
}

#[test]
fn a_resource_loses_its_past() {
    let project = lived("purge-instance");
    check(
        &project,
        "Patient/a/$purge-history",
        &json!({"dryRun": true}),
        (0, 3),
    );
    assert_eq!(statuses(&project, "Patient/a"), [200; 4]);
    check(
        &project,
        "Patient/a/$purge-history",
        &json!({"keep": 2}),
        (2, 0),
    );
    assert_eq!(statuses(&project, "Patient/a"), [404, 404, 200, 200]);
    let gone = project.get("Patient/a/_history/1").expect(404);
    assert!(gone.body.contains("purged"), "{}", gone.body);
    check(&project, "Patient/a/$purge-history", &json!({}), (1, 0));
    check(&project, "Patient/a/$purge-history", &json!({}), (0, 0));
    assert_eq!(statuses(&project, "Patient/a"), [404, 404, 404, 200]);
    assert_eq!(statuses(&project, "Patient/b"), [200, 200, 410, 404]);
    // Of one that was deleted, only that is left.
    check(&project, "Patient/b/$purge-history", &json!({}), (2, 0));
    assert_eq!(statuses(&project, "Patient/b"), [404, 404, 410, 404]);
    purge(&project, "Patient/none/$purge-history", &json!({})).expect(404);
    project.get("Patient/a").expect(200);
}

#[test]
fn nothing_shows_what_was_purged() {
    let project = lived("purge-shown");
    // Looked at before, so that something may have kept it.
    project.get("Patient/a/_history/1").expect(200);
    let page = project.get("Patient/_history?_count=3").expect(200);
    check(&project, "Patient/$purge-history", &json!({}), (5, 0));
    let paths = [
        "Patient/a/_history",
        "Patient/_history",
        "_history",
        "_history?_at=2020-01-01",
        "Patient/a/_history?_sort=_lastUpdated",
        "Patient/a/_history/1",
        "Patient/a/$diff?from=1&to=4",
        "Patient/b/_history/2",
        "Patient?name=erasmus",
        "Patient?name=zwingli",
        "Patient",
        "Patient/a",
        "Patient/c/_history",
    ];
    let next = page.link("next").unwrap();
    for path in paths.into_iter().chain([&*next]) {
        let answer = project.get(path);
        assert!(answer.status < 500, "{path}: {}", answer.body);
        for name in ["Erasmus", "Zwingli"] {
            assert!(!answer.body.contains(name), "{path}: {}", answer.body);
        }
    }
    let of = |path: &str| project.get(path).expect(200).json();
    let history = of("Patient/_history");
    assert_eq!(history["entry"].as_array().unwrap().len(), 3, "{history}");
    // What replaced a purged version was an update.
    let request = &of("Patient/a/_history")["entry"][0];
    assert_eq!(request["response"]["status"], "200", "{request}");
    let diff = project.get("Patient/a/$diff?from=1&to=4").expect(404);
    assert!(diff.body.contains("purged"), "{}", diff.body);
}

#[test]
fn life_goes_on_without_a_past() {
    let project = project("purge-goes-on");
    let create = || {
        let request = project.request("POST", "Patient");
        let request = request.header("Idempotency-Key", "one");
        let body = json!({"resourceType": "Patient", "name": [{"family": "Erasmus"}]});
        project.send(request.body(body.to_string()))
    };
    let made = create().expect(201).json();
    let id = made["id"].as_str().unwrap();
    project.put(&patient(id, "Calvin")).expect(200);
    check(&project, "Patient/$purge-history", &json!({}), (1, 0));
    // The receipt answers as before, without what nobody has any more.
    let again = create().expect(201);
    assert_eq!(again.header("etag"), Some("W/\"1\""));
    assert!(!again.body.contains("Erasmus"), "{}", again.body);
    assert_eq!(project.count("Patient"), 1);
    let write = |version: &str, family: &str| {
        let request = project.request("PUT", &format!("Patient/{id}"));
        let request = request.header("If-Match", format!("W/\"{version}\""));
        project.send(request.body(patient(id, family).to_string()))
    };
    write("1", "Luther").expect(412);
    write("2", "Luther").expect(200);
    let patch = project.request("PATCH", &format!("Patient/{id}"));
    let patch = patch.header("Content-Type", "application/json-patch+json");
    let patch = patch.body(r#"[{"op":"add","path":"/gender","value":"other"}]"#);
    project.send(patch).expect(200);
    project.delete(&format!("Patient/{id}")).expect(204);
    project.put(&patient(id, "Bullinger")).expect(201);
    check(&project, "$purge-history", &json!({}), (3, 0));
    assert_eq!(project.get("Patient?name=bullinger").json()["total"], 1);
}

#[test]
fn what_it_contains_is_found_as_before() {
    let project = project("purge-contained");
    let contained = |code: &str| {
        json!({"resourceType": "Observation", "id": "o", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "#p"},
            "contained": [{"resourceType": "Patient", "id": "p", "name": [{"family": code}]}]})
    };
    for name in ["Erasmus", "Zwingli", "Calvin"] {
        project.put(&contained(name));
    }
    check(&project, "Observation/$purge-history", &json!({}), (2, 0));
    let find = |name: &str| {
        let path = format!("Patient?_contained=true&name={name}");
        project.get(&path).expect(200).json()["total"].clone()
    };
    assert_eq!(find("calvin"), 1);
    assert_eq!(find("erasmus"), 0);
    project.put(&contained("Luther")).expect(200);
    assert_eq!((find("calvin"), find("luther")), (json!(0), json!(1)));
}

#[test]
fn older_versions_are_chosen_by_their_time() {
    let project = lived("purge-before");
    let before = json!({"before": "2020-01-01T00:00:00Z"});
    check(&project, "Patient/$purge-history", &before, (0, 0));
    let before = json!({"before": "2999-01-01T00:00:00Z", "dryRun": true});
    check(&project, "$purge-history", &before, (0, 5));
    for wrong in [
        json!({"keep": 0}),
        json!({"before": "yesterday"}),
        json!({"dryRun": 1}),
        json!({"all": true}),
    ] {
        purge(&project, "Patient/$purge-history", &wrong).expect(400);
    }
    project.get("Patient/a/$purge-history").expect(405);
}

#[test]
fn only_administrators_purge_and_the_audit_tells() {
    let project = lived("purge-audit");
    let none = json!({});
    for path in [
        "$purge-history",
        "Patient/$purge-history",
        "Patient/a/$purge-history",
    ] {
        project.post(path, &none).expect(403);
    }
    purge(&project, "AuditEvent/$purge-history", &none).expect(403);
    assert_eq!(statuses(&project, "Patient/a"), [200; 4]);
    check(
        &project,
        "Patient/$purge-history",
        &json!({"keep": 3}),
        (1, 0),
    );
    let events = project.get("AuditEvent?_count=3").expect(200).json();
    let events = events["entry"].as_array().unwrap();
    let purged = events.iter().map(|entry| entry["resource"].to_string());
    let purged: Vec<_> = purged
        .filter(|text| text.contains("Patient/a/_history/1"))
        .collect();
    assert_eq!(purged.len(), 1, "{events:?}");
    assert!(!purged[0].contains("Patient/a/_history/2"), "{purged:?}");
}

#[test]
fn the_setting_names_types() {
    let server = Server::start();
    let read = |server: &Server| {
        let setting = server.admin("GET", "/admin/history", &Value::Null);
        setting.expect(200).json()["types"].clone()
    };
    let write = |server: &Server, types: Value| {
        server.admin("PUT", "/admin/history", &json!({"types": types}))
    };
    assert_eq!(read(&server), json!({}));
    let both = json!({"Patient": "purge", "Observation": "keep"});
    write(&server, both).expect(200);
    assert_eq!(read(&server), json!({"Patient": "purge"}));
    for wrong in [
        json!({"Nothing": "purge"}),
        json!({"AuditEvent": "purge"}),
        json!({"Patient": "burn"}),
        json!(["Patient"]),
    ] {
        write(&server, wrong).expect(400);
    }
    assert_eq!(read(&server), json!({"Patient": "purge"}));
    write(&server, json!({})).expect(200);
    assert_eq!(read(&server), json!({}));
}
