//! Searches over several types and in compartments:
//! <https://hl7.org/fhir/R4/http.html#search>.

use serde_json::json;

use crate::host::{Project, project};
use crate::wire::Answer;

fn house(slug: &str) -> Project {
    let project = project(slug);
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id, "active": true});
    let observation = |id: &str, of: &str, status: &str| {
        json!({
            "resourceType": "Observation", "id": id, "status": status, "code": {"text": "x"},
            "subject": {"reference": format!("Patient/{of}")},
        })
    };
    for resource in [
        patient("ada"),
        observation("b1", "ada", "final"),
        patient("bob"),
        observation("a2", "ada", "amended"),
        observation("c3", "bob", "final"),
        json!({
            "resourceType": "Condition", "id": "cough", "subject": {"reference": "Patient/ada"},
            "asserter": {"reference": "Patient/ada"},
        }),
        json!({"resourceType": "Practitioner", "id": "doc"}),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

fn sorted(answer: &Answer) -> Vec<String> {
    let mut found = answer.found();
    found.sort_unstable();
    found
}

/// By GET and by POST, what is found in any order, and that the total says so.
#[track_caller]
fn check(project: &Project, search: &str, expect: &[&str]) {
    let (path, query) = search.split_once('?').unwrap_or((search, ""));
    let slash = if path.is_empty() { "" } else { "/" };
    let post = project
        .request("POST", &format!("{path}{slash}_search"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(query);
    let get = if path.is_empty() {
        format!("{}?{query}", project.base())
    } else {
        search.to_owned()
    };
    for answer in [
        project.get(&get).expect(200),
        project.send(post).expect(200),
    ] {
        assert_eq!(sorted(&answer), expect, "{search}");
        assert_eq!(answer.json()["total"], expect.len(), "{search}");
    }
}

#[track_caller]
fn refused(project: &Project, path: &str, words: &str) {
    let answer = project.get(path).expect(400);
    let text = answer.json()["issue"][0]["details"]["text"].clone();
    assert!(text.as_str().unwrap().contains(words), "{path}: {text}");
}

#[test]
fn several_types_are_searched_at_once() {
    let project = house("several-types");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    let all = [
        "Condition/cough",
        "Observation/a2",
        "Observation/b1",
        "Observation/c3",
        "Patient/ada",
        "Patient/bob",
        "Practitioner/doc",
    ];
    check("?_lastUpdated=gt2001", &all);
    check("", &all);
    check("?_lastUpdated=lt2001", &[]);
    check(
        "?_type=Patient,Practitioner",
        &["Patient/ada", "Patient/bob", "Practitioner/doc"],
    );
    check("?_type=Patient", &["Patient/ada", "Patient/bob"]);
    check("?_id=ada,doc", &["Patient/ada", "Practitioner/doc"]);
    check(
        "?_type=Patient,Practitioner&active=true",
        &["Patient/ada", "Patient/bob"],
    );
    check(
        "?_type=Observation,Condition&patient=bob",
        &["Observation/c3"],
    );
    check(
        "?_type=Observation,Condition&patient._id=bob",
        &["Observation/c3"],
    );
    check(
        "?_type=Observation&status=final",
        &["Observation/b1", "Observation/c3"],
    );
}

#[test]
fn estimates_of_several_types_are_added() {
    let project = house("several-estimated");
    let total = |search: &str| {
        let answer = project.get(search).expect(200);
        answer.json()["total"].as_u64()
    };
    assert_eq!(
        total("?_type=Patient,Observation&_total=estimate&_count=2"),
        Some(5)
    );
    assert_eq!(total("?_type=Patient,Observation&_total=estimate"), Some(5));
    // As many clients write the endpoint.
    let slash = format!(
        "{}/?_type=Patient,Observation&_total=estimate",
        project.base()
    );
    assert_eq!(total(&slash), Some(5));
    let none = "?_type=Patient,Practitioner&_lastUpdated=lt2001&_total=estimate";
    assert_eq!(total(none), Some(0));
}

#[test]
fn compartments_hold_what_belongs_to_one() {
    let project = house("several-compartments");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check(
        "Patient/ada/Observation",
        &["Observation/a2", "Observation/b1"],
    );
    check("Patient/ada/Observation?status=final", &["Observation/b1"]);
    check("Patient/ada/Condition", &["Condition/cough"]);
    check("Patient/ada/Patient", &["Patient/ada"]);
    check(
        "Patient/ada/*",
        &[
            "Condition/cough",
            "Observation/a2",
            "Observation/b1",
            "Patient/ada",
        ],
    );
    check(
        "Patient/ada/*?_type=Condition,Observation&_id=a2,cough",
        &["Condition/cough", "Observation/a2"],
    );
    check("Patient/none/Observation", &[]);
    check("Practitioner/doc/Observation", &[]);
    let bundle = project
        .get("Patient/ada/Observation?_sort=_id&_count=1")
        .expect(200);
    assert_eq!(bundle.found(), ["Observation/a2"]);
    let own = bundle.link("self").unwrap();
    assert!(
        own.ends_with("/Patient/ada/Observation?_sort=_id&_count=1"),
        "{own}"
    );
    let next = bundle.link("next").unwrap();
    assert!(next.contains("/Patient/ada/Observation?_cursor="), "{next}");
    assert_eq!(project.get(&next).expect(200).found(), ["Observation/b1"]);
    let include = project
        .get("Patient/ada/Observation?_id=a2&_include=Observation:subject")
        .expect(200);
    assert_eq!(sorted(&include), ["Observation/a2", "Patient/ada"]);
    project.get("Observation/b1/Patient").expect(404);
    project.get("Patient/ada/Medication").expect(404);
    project.get("Patient/ada/Nothing").expect(404);
    refused(
        &project,
        "Patient/ada/*?_type=Medication",
        "Medication cannot be searched here",
    );
    // History is still there.
    project.get("Patient/ada/_history").expect(200);
}

/// Follows the links of a search: what each page has.
#[track_caller]
fn pages(project: &Project, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Some(format!("{}?{query}", project.base()));
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        // The last page is not empty, and none is more than full.
        assert_eq!(page.found().len().min(1), 1, "{path}");
        found.extend(page.found());
        next = page.link("next");
    }
    found
}

#[test]
fn pages_of_several_types_go_on_where_the_last_ended() {
    let project = house("several-pages");
    let whole = sorted(
        &project
            .get(&format!("{}?_count=100", project.base()))
            .expect(200),
    );
    assert_eq!(whole.len(), 7);
    for count in 1..8 {
        let mut found = pages(&project, &format!("_count={count}"));
        found.sort_unstable();
        assert_eq!(found, whole, "_count={count}");
        let ids = pages(&project, &format!("_count={count}&_sort=-_id"));
        let names: Vec<&str> = ids.iter().map(|id| id.split_once('/').unwrap().1).collect();
        assert_eq!(
            names,
            ["doc", "cough", "c3", "bob", "b1", "ada", "a2"],
            "_count={count}"
        );
        let times = pages(
            &project,
            &format!("_count={count}&_sort=_lastUpdated&_type=Patient,Observation"),
        );
        assert_eq!(times.len(), 5, "_count={count}");
    }
    // Others write meanwhile; the pages show what was there.
    let first = project
        .get(&format!("{}?_count=4&_sort=_id", project.base()))
        .expect(200);
    project.delete("Practitioner/doc").expect(204);
    let late = json!({"resourceType": "Basic", "id": "zz", "code": {"text": "x"}});
    project.put(&late).expect(201);
    let second = project.get(&first.link("next").unwrap()).expect(200);
    assert_eq!(
        second.found(),
        ["Observation/c3", "Condition/cough", "Practitioner/doc"]
    );
    assert_eq!(second.link("next"), None);
    let count = project.get(&format!(
        "{}?_summary=count&_type=Patient,Basic",
        project.base()
    ));
    assert_eq!(count.expect(200).json()["total"], 3);
}

#[test]
fn what_several_types_do_not_share_is_refused() {
    let project = house("several-refused");
    let base = project.base();
    let refused = |query: &str, words: &str| refused(&project, &format!("{base}?{query}"), words);
    refused("name=x", "unknown search parameter");
    refused(
        "_type=Patient,Observation&status=final",
        "unknown search parameter of Patient",
    );
    refused("_type=Patient,Nothing", "types of resources");
    refused(
        "_type=AuditEvent,Patient",
        "AuditEvent cannot be searched here",
    );
    refused("_type=Patient&_type=Observation", "repeated");
    refused(
        "_type=Patient,Observation&status=final",
        "not for Patient: ",
    );
    refused("active=true", " more: ");
    refused("_type=Patient,Observation&_sort=nothing", "_lastUpdated");
    refused(
        "_type=Patient,Observation&_include=Encounter:subject",
        "must begin with",
    );
    refused("_type=Patient,Observation&_elements=nothing", "no element");
    refused("_type=Patient&_cursor=x", "cursor");
    refused(&format!("_id={}", "a,".repeat(400)), "so many types");
    let lenient = project
        .request(
            "GET",
            &format!("{base}?_type=Patient,Observation&status=final&_id=ada"),
        )
        .header("Prefer", "handling=lenient");
    let answer = project.send(lenient).expect(200);
    // What one type does not know narrows none.
    assert_eq!(answer.found(), ["Patient/ada", "OperationOutcome/-"]);
    let own = answer.link("self").unwrap();
    assert!(
        own.ends_with("?_id=ada&_type=Patient%2CObservation"),
        "{own}"
    );
}

#[test]
fn of_several_types_one_sees_those_that_one_may_search() {
    let project = house("several-access");
    let observer = project.with(&project.client("observer", "system/Observation.rs"));
    let base = project.base();
    let found = sorted(&observer.get(&base).expect(200));
    assert_eq!(
        found,
        ["Observation/a2", "Observation/b1", "Observation/c3"]
    );
    let found = sorted(&observer.get("Patient/ada/*").expect(200));
    assert_eq!(found, ["Observation/a2", "Observation/b1"]);
    observer
        .get(&format!("{base}?_type=Observation"))
        .expect(200);
    observer
        .get(&format!("{base}?_type=Observation,Patient"))
        .expect(403);
    observer.get("Patient/ada/Condition").expect(403);
    let reader = project.with(&project.client("reader", "system/*.r"));
    reader.get(&base).expect(403);
    // A cursor is for the one it was given to.
    let first = project.get(&format!("{base}?_count=1")).expect(200);
    observer.get(&first.link("next").unwrap()).expect(400);
}
