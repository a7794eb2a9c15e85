//! What who is no auditor sees of the audit: patients the entries about their chart, and
//! nobody more of others than they may read.

use serde_json::{Value, json};

use crate::balp;
use crate::relations::Ward;

const POLICIES: &str = "/admin/policies/audit";

fn rules(ward: &Ward) {
    let rule = |id: &str, role: &str, actions: Value, kinds: Value, condition: Option<&str>| {
        let mut rule = json!({"id": id, "effect": "allow", "subjects": [format!("role:{role}")],
            "actions": actions, "kinds": kinds});
        if let Some(condition) = condition {
            rule["condition"] = json!(condition);
        }
        rule
    };
    let (see, own) = (json!(["read", "search"]), Some("Patient/%user.patient/*"));
    let rules = json!([
        rule("own", "patient", see.clone(), json!(["*"]), own),
        rule(
            "own-audit",
            "patient",
            see.clone(),
            json!(["AuditEvent"]),
            own
        ),
        rule("all", "clinician", json!(["*"]), json!(["*"]), None),
        rule("desk", "desk", see.clone(), json!(["AuditEvent"]), None),
        rule("auditor", "auditor", see, json!(["AuditEvent"]), None),
        rule(
            "whole",
            "auditor",
            json!(["$audit"]),
            json!(["AuditEvent"]),
            None
        ),
    ]);
    let answer = ward.admin("PUT", POLICIES, json!({"rules": rules}));
    assert!(answer.status < 300, "{}", answer.body);
}

/// A ward whose clinician has looked at both patients at once, and at one alone.
fn looked_at(slug: &str) -> Ward {
    let ward = Ward::new(slug);
    rules(&ward);
    let doctor = ward.user("doc", "clinician", "Practitioner/d");
    let get = |path: &str| ward.ask(&doctor, "GET", path, Value::Null).expect(200);
    get("/fhir/Observation?code:text=x");
    get("/fhir/Observation/oa");
    get("/fhir/Observation/ob");
    ward.ask(&doctor, "GET", "/fhir/Patient/none", Value::Null)
        .expect(404);
    ward
}

#[track_caller]
fn events(ward: &Ward, token: &str, search: &str) -> Vec<Value> {
    let path = format!("/fhir/AuditEvent?{search}");
    let page = ward
        .ask(token, "GET", &path, Value::Null)
        .expect(200)
        .json();
    let entries = page["entry"].as_array().into_iter().flatten();
    entries.map(|entry| entry["resource"].clone()).collect()
}

#[test]
fn patients_see_who_saw_their_chart_and_nothing_of_others() {
    let ward = looked_at("audit-seen-own");
    let patient = ward.user("pat", "patient", "Patient/a");
    let seen = events(&ward, &patient, "_count=100");
    // Made by the project's client: the patient and the observation; then two by the doctor.
    let codes: Vec<&str> = seen
        .iter()
        .map(|event| event["subtype"][0]["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["read", "search-type", "update", "update"]);
    for event in &seen {
        let text = event.to_string();
        for hidden in [
            "Patient/b",
            "Observation/ob",
            "\"127.0.0.1\"",
            "\"query\"",
            "User/",
            "session:",
            "rule:",
        ] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        assert!(text.contains("Patient/a"), "{text}");
    }
    let who = &seen[0]["agent"][0];
    assert_eq!(who["who"]["display"], "doc");
    assert_eq!(who["role"][0]["coding"][0]["code"], "clinician");
    assert_eq!(seen[0]["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
    assert_eq!(events(&ward, &patient, "patient=a&_count=100").len(), 4);
    assert_eq!(events(&ward, &patient, "patient=b"), Vec::<Value>::new());
}

#[test]
fn no_parameter_tells_of_what_is_masked() {
    let ward = looked_at("audit-seen-probe");
    let patient = ward.user("pat", "patient", "Patient/a");
    let doctor = ward.admin("GET", "/admin/users", Value::Null).json();
    let doctor = doctor["users"].as_array().unwrap().iter();
    let doctor = doctor.clone().find(|user| user["name"] == "doc").unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let auditor = ward.user("aud", "auditor", "Practitioner/d");
    let probes = [
        "entity=Observation/ob".to_owned(),
        "entity=Patient/b".to_owned(),
        "address=127.0.0.1&agent-name=doc".to_owned(),
        "address=127.0.0.1&subtype=update".to_owned(),
        format!("agent:identifier=urn:salus:subject%7CUser/{doctor}"),
        format!("altid=User/{doctor}"),
        "agent=Practitioner/d".to_owned(),
    ];
    for probe in &probes {
        let mine = events(&ward, &patient, probe);
        let own = |event: &Value| event["agent"][0]["who"]["display"] == "User";
        assert!(mine.iter().all(own), "{probe}: {mine:?}");
        assert!(!events(&ward, &auditor, probe).is_empty(), "{probe}");
    }
    // By id, too: the entry about the other patient is not there.
    let other = &events(&ward, &auditor, "entity=Observation/ob&action=R")[0];
    let path = format!("/fhir/AuditEvent/{}", other["id"].as_str().unwrap());
    ward.ask(&patient, "GET", &path, Value::Null).expect(404);
    ward.ask(&auditor, "GET", &path, Value::Null).expect(200);
}

#[test]
fn auditors_see_all_and_others_what_they_may_read() {
    let ward = looked_at("audit-seen-whole");
    let auditor = ward.user("aud", "auditor", "Practitioner/d");
    let all = events(&ward, &auditor, "entity=Observation/ob&action=R");
    all.iter().for_each(balp::check);
    assert_eq!(all[0]["agent"][1]["network"]["address"], "127.0.0.1");
    // Who may not read records is told that something was done, and by whom.
    let desk = ward.user("des", "desk", "Practitioner/d");
    assert!(events(&ward, &desk, "entity=Observation/ob").is_empty());
    let masked = events(&ward, &desk, "agent-name=doc&subtype=read&_count=10");
    assert_eq!(masked.len(), 3);
    for event in &masked {
        assert!(!event.to_string().contains("Observation/"), "{event}");
        assert_eq!(event["entity"].as_array().unwrap().len(), 1, "{event}");
    }
    // And who has no rule for it nothing.
    let doctor = ward.sign_in("doc");
    ward.ask(&doctor, "GET", "/fhir/AuditEvent", Value::Null)
        .expect(403);
}

#[test]
fn the_audit_is_found_by_all_that_r4_names() {
    let ward = looked_at("audit-seen-found");
    let project = &ward.0;
    let count = |search: &str| {
        let path = format!("AuditEvent?_count=200&{search}");
        project.get(&path).expect(200).found().len()
    };
    for search in [
        "action=R",
        "address=127.0.0.1",
        "agent=Practitioner/d",
        "agent-name=doc",
        "agent-role=clinician",
        "altid=Client/all",
        "date=ge2026-01-01",
        "entity=Observation/ob",
        "entity=Observation/oa,Observation/ob",
        "entity-name=AuditEvent",
        "entity-role=24",
        "entity-type=1",
        "outcome=4",
        "patient=a,b",
        "patient:Patient=a",
        "policy=urn:salus:rule:audit/all",
        "site=host",
        "subtype=search-type",
        "type=rest",
        "_lastUpdated=ge2026-01-01",
    ] {
        let search = match search {
            "site=host" => format!("site={}", project.server.address()),
            other => other.to_owned(),
        };
        assert!(count(&search) > 0, "{search}");
    }
    assert_eq!(count("entity=Observation/oa&action=R"), 1);
    assert_eq!(count("entity=Observation/oa,Observation/ob&action=R"), 2);
    assert_eq!(count("entity=Practitioner/d&action=U"), 1);
    assert_eq!(count("patient=a,b&action=R"), 2);
    assert_eq!(count("patient=nobody"), 0);
    for chained in [
        "patient.name=x",
        "agent.name=x",
        "_has:Provenance:target:agent=x",
    ] {
        let answer = project.get(&format!("AuditEvent?{chained}")).expect(400);
        assert!(!answer.body.contains("=x"), "{}", answer.body);
    }
    // Several at once come in order, each once, over pages in both directions.
    let all = project
        .get("AuditEvent?patient=a,b&_count=200&_sort=date")
        .expect(200);
    let (mut paged, mut next) = (
        Vec::new(),
        Some("AuditEvent?patient=a,b&_count=2&_sort=date".to_owned()),
    );
    let mut back = None;
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        paged.extend(page.found());
        back = page.link("previous").or(back);
        next = page.link("next");
    }
    assert_eq!(paged, all.found());
    let before = project.get(&back.unwrap()).expect(200).found();
    assert_eq!(
        before,
        paged[paged.len() - paged.len() % 2 - if paged.len() % 2 == 0 { 4 } else { 2 }..][..2]
    );
}
