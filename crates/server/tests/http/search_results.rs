//! Parts of resources, and what a result says of itself:
//! <https://hl7.org/fhir/R4/search.html#return>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::refused;

fn shelf(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "Patient", "id": "ada", "active": true, "birthDate": "1970-03-05", "language": "en",
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"},
            "name": [{"family": "Lovelace"}], "maritalStatus": {"text": "married"},
            "meta": {"tag": [{"system": "urn:t", "code": "kept"}]},
        }),
        json!({
            "resourceType": "Observation", "id": "heart", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/ada"}, "note": [{"text": "n"}], "valueString": "v",
        }),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

/// The names of the members of the resource in an entry, but for those that
/// every part has; and whether it says that it is a part.
#[track_caller]
fn members(project: &Project, search: &str, entry: usize) -> (Vec<String>, bool) {
    let bundle = project.get(search).expect(200).json();
    let resource = &bundle["entry"][entry]["resource"];
    let given = |name: &&String| !matches!(name.as_str(), "resourceType" | "id" | "meta");
    let mut names: Vec<String> = resource
        .as_object()
        .unwrap()
        .keys()
        .filter(given)
        .cloned()
        .collect();
    names.sort_unstable();
    assert!(resource["id"].is_string() && resource["meta"]["versionId"].is_string());
    let tags = resource["meta"]["tag"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_subset = |tag: &&Value| tag["code"] == "SUBSETTED";
    let subset = tags.iter().filter(is_subset).count();
    assert!(subset <= 1, "{tags:?}");
    (names, subset == 1)
}

#[track_caller]
fn check(project: &Project, search: &str, expect: &[&str]) {
    let (names, subset) = members(project, search, 0);
    assert_eq!(names, expect, "{search}");
    assert!(subset, "{search}");
}

#[test]
fn a_part_of_each_resource_says_that_it_is_one() {
    let project = shelf("search-subsets");
    check(
        &project,
        "Patient?_summary=true",
        &["active", "birthDate", "name"],
    );
    check(&project, "Patient?_summary=text", &["text"]);
    let data = ["active", "birthDate", "language", "maritalStatus", "name"];
    check(&project, "Patient?_summary=data", &data);
    check(&project, "Patient?_elements=name", &["name"]);
    check(
        &project,
        "Patient?_elements=maritalStatus,birthDate",
        &["birthDate", "maritalStatus"],
    );
    check(
        &project,
        "Observation?_elements=value",
        &["code", "status", "valueString"],
    );
    check(&project, "Observation?_summary=text", &["code", "status"]);
    let (_, subset) = members(&project, "Patient?_summary=false", 0);
    assert!(!subset);
    // The tags of the resource itself stay, and none is stored.
    let bundle = project.get("Patient?_elements=name").expect(200).json();
    assert_eq!(
        bundle["entry"][0]["resource"]["meta"]["tag"][0]["code"],
        "kept"
    );
    assert!(
        !project
            .get("Patient/ada")
            .expect(200)
            .body
            .contains("SUBSETTED")
    );
    // Elements are those of the matches, a summary is of all.
    let include = "Observation?_include=Observation:subject&";
    let (names, subset) = members(&project, &format!("{include}_elements=code"), 1);
    assert!(names.len() == 6 && !subset, "{names:?}");
    let (names, subset) = members(&project, &format!("{include}_summary=true"), 1);
    assert!(names.len() == 3 && subset, "{names:?}");
    let audit = project.with(&project.token);
    check(
        &audit,
        "AuditEvent?_elements=agent",
        &["agent", "recorded", "source", "type"],
    );
    // Every page is of the same part.
    let next = project
        .put(&json!({"resourceType": "Patient", "id": "bob", "active": true, "gender": "male"}));
    next.expect(201);
    let first = project.get("Patient?_elements=active&_count=1").expect(200);
    let second = project.get(&first.link("next").unwrap()).expect(200);
    assert!(second.body.contains("SUBSETTED") && !second.body.contains("birthDate"));
}

#[test]
fn parts_that_make_no_sense_are_refused() {
    let project = shelf("search-subsets-refused");
    let (text, place) = refused(
        &project,
        "Observation?_summary=text&_include=Observation:subject",
    );
    assert!(text.contains("_include"), "{text}");
    assert_eq!(place, "http._summary");
    refused(&project, "Patient?_summary=true&_elements=name");
    refused(&project, "Patient?_summary=true&_summary=false");
    let (text, _) = refused(&project, "Patient?_elements=name,nothing");
    assert!(text.contains("no element of Patient"), "{text}");
}
