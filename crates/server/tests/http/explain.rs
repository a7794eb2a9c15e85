//! What administrators are told of the way to a page, estimated totals, and
//! searches that cost too much.

use serde_json::{Value, json};

use crate::host::{Project, Server, project};

/// The texts of the outcome entry.
fn told_of(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().unwrap();
    let outcome = entries
        .iter()
        .find(|entry| entry["search"]["mode"] == "outcome");
    let issues = outcome.map_or(&Value::Null, |entry| &entry["resource"]["issue"]);
    let issues = issues.as_array().map_or(&[][..], Vec::as_slice);
    let text = |issue: &Value| issue["details"]["text"].as_str().unwrap().to_owned();
    issues.iter().map(text).collect()
}

/// Puts patients into a project.
fn filled(project: &Project) {
    let entries = (0..300).map(|n| {
        json!({
            "resource": {"resourceType": "Patient", "gender": if n % 2 == 0 { "male" } else { "female" },
                "name": [{"family": format!("Secret{n}")}], "birthDate": format!("19{:02}-01-01", n % 90)},
            "request": {"method": "POST", "url": "Patient"}
        })
    });
    let entries: Vec<Value> = entries.collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    project.post("", &bundle).expect(200);
}

#[test]
fn administrators_are_told_how_a_search_was_answered() {
    let project = project("explained");
    filled(&project);
    let administrator = project.with(project.server.token());
    let search = "Patient?gender=male&family=secret&_sort=birthdate&_count=5&_explain=true";
    let bundle = administrator.get(search).expect(200).json();
    let told = told_of(&bundle);
    let is_told = |text: &str| told.iter().any(|line| line.contains(text));
    assert!(
        is_told("rows touched in all; Patient has 300 resources"),
        "{told:?}"
    );
    assert!(is_told("condition on gender"), "{told:?}");
    assert!(is_told("condition on family"), "{told:?}");
    assert!(is_told("step 1: ") && is_told(" us"), "{told:?}");
    assert!(!is_told("male") && !is_told("ecret"), "{told:?}");
    let matches = bundle["entry"].as_array().unwrap().iter();
    let matches = matches.filter(|entry| entry["search"]["mode"] == "match");
    assert_eq!(matches.count(), 5);
    // The same page without, and the next one with it.
    let plain = administrator
        .get(&search.replace("&_explain=true", ""))
        .expect(200)
        .json();
    assert_eq!(bundle["entry"][4], plain["entry"][4]);
    assert_eq!(plain["entry"][5], Value::Null);
    let links = bundle["link"].as_array().unwrap().iter();
    let mut next = links.filter(|link| link["relation"] == "next");
    let next = next.next().unwrap()["url"].as_str().unwrap();
    let at = next.find("/p/").unwrap();
    let page = administrator.get(&next[at..]).expect(200).json();
    assert!(!told_of(&page).is_empty());
}

#[test]
fn others_are_refused_an_explanation() {
    let project = project("unexplained");
    project.get("Patient?_explain=true").expect(403);
    project.get("Patient?_explain=false").expect(200);
    project.get("Patient?_explain=perhaps").expect(400);
    let administrator = project.with(project.server.token());
    administrator.get("Patient?_explain=true").expect(200);
    administrator.get("AuditEvent?_explain=true").expect(400);
    administrator
        .get(&format!("{}?_explain=true", project.base()))
        .expect(400);
}

#[test]
fn few_are_counted_when_an_estimate_is_asked_for() {
    let project = project("estimated");
    filled(&project);
    let total = |search: &str| project.get(search).expect(200).json()["total"].as_u64();
    assert_eq!(total("Patient?_total=estimate&_count=2"), Some(300));
    assert_eq!(
        total("Patient?gender=male&_total=estimate&_count=2"),
        Some(150)
    );
    assert_eq!(total("Patient?gender=other&_total=estimate"), Some(0));
}

#[test]
fn a_search_that_takes_too_long_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0", "--search-seconds-max", "0"]);
    let project = Project::create(&std::sync::Arc::new(server), "hurried");
    filled(&project);
    let refused = project.get("Patient?family:contains=nobody").expect(422);
    let issue = &refused.json()["issue"][0];
    assert_eq!(issue["code"], "too-costly");
    let text = issue["details"]["text"].as_str().unwrap();
    assert!(text.contains("add a condition"), "{text}");
    project.get("Patient?_count=5").expect(200);
}
