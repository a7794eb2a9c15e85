//! Links to the pages beside one, in both directions:
//! <https://hl7.org/fhir/R4/http.html#paging>.

use serde_json::json;

use crate::host::{Project, project};
use crate::wire::Answer;

fn ward(slug: &str) -> Project {
    let project = project(slug);
    for n in 0..7 {
        let mut patient = json!({
            "resourceType": "Patient", "id": format!("p{n}"), "gender": (["male", "female"][n % 2]),
            "name": [{"family": format!("F{}", (n * 3) % 7)}],
        });
        // One has no date, and one only says why.
        match n {
            2 => {}
            5 => {
                patient["_birthDate"] = json!({"extension": [{
                    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                    "valueCode": "unknown",
                }]});
            }
            _ => patient["birthDate"] = json!(format!("19{}0-01-01", (n * 4) % 9)),
        }
        project.put(&patient).expect(201);
        let observation = json!({
            "resourceType": "Observation", "id": format!("o{n}"), "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "Patient/p1"},
            "effectiveDateTime": format!("2020-0{}-01", (n * 5) % 7 + 1),
        });
        project.put(&observation).expect(201);
    }
    project
}

/// Follows `next` to the end, then `previous` to the beginning, while others
/// write: each page shows again what it showed first. What all of them have.
#[track_caller]
fn turn(project: &Project, first: &str) -> Vec<String> {
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut page = project.get(first).expect(200);
    assert_eq!(page.link("previous"), None, "{first}");
    loop {
        pages.push(shown(&page));
        let patient =
            json!({"resourceType": "Patient", "gender": "male", "birthDate": "1900-01-01"});
        project.post("Patient", &patient).expect(201);
        let Some(next) = page.link("next") else { break };
        page = project.get(&next).expect(200);
    }
    assert!(pages.len() > 1, "{first}");
    for expected in pages.iter().rev().skip(1) {
        let first_page = project.get(&page.link("first").unwrap()).expect(200);
        assert_eq!(shown(&first_page), pages[0], "{first}");
        page = project.get(&page.link("previous").unwrap()).expect(200);
        assert_eq!(shown(&page), *expected, "{first}");
        let next = page.link("next").unwrap();
        assert!(!project.get(&next).expect(200).found().is_empty());
    }
    assert_eq!(page.link("previous"), None, "{first}");
    pages.concat()
}

/// The entries of a page, versions too.
fn shown(page: &Answer) -> Vec<String> {
    let bundle = page.json();
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let name = |entry: &serde_json::Value| {
        let url = entry["fullUrl"].as_str().unwrap_or_default();
        let url = url.rsplit_once("/fhir/").map_or(url, |(_, path)| path);
        format!("{url} {}", entry["resource"]["meta"]["versionId"])
    };
    entries.map(name).collect()
}

#[test]
fn pages_turn_back_in_any_order() {
    let project = ward("pages-back");
    for sort in [
        "",
        "_id",
        "-_id",
        "_lastUpdated",
        "-_lastUpdated",
        "birthdate",
        "-birthdate",
        "family",
        "gender,-birthdate",
        "-gender,family",
    ] {
        for count in [1, 3] {
            let search = format!("Patient?_id=p0,p1,p2,p3,p4,p5,p6&_count={count}&_sort={sort}");
            let search = search.trim_end_matches("&_sort=");
            assert_eq!(turn(&project, search).len(), 7, "{search}");
        }
    }
    for search in [
        "Observation?patient=p1&_sort=-date&_count=2",
        "Observation?patient=p1&_sort=date&_count=3",
        "Observation?status=final&_count=2",
        "Observation?_count=4",
        "Patient/p1/Observation?_sort=-date&_count=2",
    ] {
        assert_eq!(turn(&project, search).len(), 7, "{search}");
    }
    assert_eq!(turn(&project, "Patient/p1/*?_sort=_id&_count=3").len(), 8);
    assert_eq!(turn(&project, "Patient/p1/*?_count=3").len(), 8);
}

#[test]
fn histories_and_audit_events_turn_back_too() {
    let project = ward("pages-logs");
    for round in 0..4 {
        let gender = ["male", "female"][round % 2];
        let patient = json!({"resourceType": "Patient", "id": "p1", "gender": gender});
        project.put(&patient).expect(200);
    }
    assert_eq!(turn(&project, "Patient/p1/_history?_count=2").len(), 5);
    let versions = turn(&project, "Observation/_history?_count=3");
    assert_eq!(versions.len(), 7, "{versions:?}");
    assert!(turn(&project, "_history?_count=7").len() > 18);
    let auditor = project.with(&project.token);
    for search in [
        "AuditEvent?_count=4",
        "AuditEvent?_sort=date&_count=5",
        "AuditEvent?patient=p1&_count=2",
        "AuditEvent?action=U&_count=2",
        "AuditEvent?action=U&_sort=date&_count=3",
    ] {
        turn(&auditor, search);
    }
}

#[test]
fn a_search_that_is_counted_knows_its_last_page() {
    let project = ward("pages-last");
    let both = format!("{}?_type=Patient,Observation", project.base());
    for (search, last) in [
        ("Observation?_sort=_id&_count=3", "o6"),
        ("Observation?_sort=-_id&_count=7&_id=o1,o2", ""),
        ("Patient?_sort=birthdate&_count=4", "p4 p5 p2"),
        (&*format!("{both}&_sort=_id&_count=5"), "p3 p4 p5 p6"),
        (&*format!("{both}&_count=7"), "p6 p5 p4 p3 p2 p1 p0"),
    ] {
        let search = &format!("{search}&_total=accurate");
        let last: Vec<&str> = last.split_whitespace().collect();
        let first = project.get(search).expect(200);
        let Some(link) = first.link("last") else {
            assert!(last.is_empty() && first.link("next").is_none(), "{search}");
            continue;
        };
        let page = project.get(&link).expect(200);
        let found = page.found();
        let ids: Vec<&str> = found
            .iter()
            .map(|id| id.split_once('/').unwrap().1)
            .collect();
        assert_eq!(ids, last, "{search}");
        assert_eq!(page.link("next"), None);
        // The page before it is full, and its next one is the last.
        let before = project.get(&page.link("previous").unwrap()).expect(200);
        let again = project.get(&before.link("next").unwrap()).expect(200);
        assert_eq!(again.found(), page.found(), "{search}");
    }
}

#[test]
fn links_stay_short_after_many_pages() {
    let project = project("pages-short");
    for n in 0..60 {
        let body =
            json!({"resourceType": "Basic", "id": format!("b{n:02}"), "code": {"text": "x"}});
        project.put(&body).expect(201);
    }
    let mut page = project.get("Basic?_count=1&_sort=_id").expect(200);
    let length = page.link("next").unwrap().len();
    while let Some(next) = page.link("next") {
        page = project.get(&next).expect(200);
    }
    assert_eq!(page.link("previous").unwrap().len(), length);
    assert_eq!(page.found(), ["Basic/b59"]);
}
