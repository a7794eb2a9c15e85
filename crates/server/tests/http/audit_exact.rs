//! Who saw a chart is exact: whatever shows records names each of them in the audit, in
//! the version that was shown and with its patient, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::balp;
use crate::host::{Project, project};
use crate::wire::Answer;

/// Two patients with records, and a practitioner of nobody.
fn furnished(slug: &str) -> Project {
    let project = project(slug);
    for patient in ["a", "b"] {
        project
            .put(&json!({"resourceType": "Patient", "id": patient, "name": [{"family": patient}]}))
            .expect(201);
        for (at, code) in ["x", "y"].iter().enumerate() {
            let observation = json!({"resourceType": "Observation", "id": format!("{patient}{at}"),
                "status": "final", "code": {"text": code}, "subject": {"reference": format!("Patient/{patient}")},
                "performer": [{"reference": "Practitioner/d"}], "effectiveDateTime": "2026-01-01"});
            project.put(&observation).expect(201);
        }
    }
    project
        .put(&json!({"resourceType": "Practitioner", "id": "d"}))
        .expect(201);
    let again = json!({"resourceType": "Patient", "id": "a", "name": [{"family": "other"}]});
    project.put(&again).expect(200);
    project
}

/// The records of an answer, each in its version.
fn shown(value: &Value, found: &mut BTreeSet<String>) {
    let meta = value["meta"]["versionId"].as_str();
    if let (Some(ty), Some(id), Some(version)) =
        (value["resourceType"].as_str(), value["id"].as_str(), meta)
    {
        found.insert(format!("{ty}/{id}/_history/{version}"));
    }
    for list in ["entry", "parameter"] {
        for one in value[list].as_array().into_iter().flatten() {
            shown(&one["resource"], found);
        }
    }
}

/// The events of a request.
#[track_caller]
fn events(project: &Project, answer: &Answer) -> Vec<Value> {
    let id = answer.header("x-request-id").unwrap();
    let path = format!("AuditEvent?entity:identifier={id}&_count=500");
    let page = project.get(&path).expect(200).json();
    let entries = page["entry"].as_array().into_iter().flatten();
    entries.map(|entry| entry["resource"].clone()).collect()
}

/// The records that events name in a version, and the patients.
fn named(events: &[Value]) -> (BTreeSet<String>, BTreeSet<String>) {
    let entities = events
        .iter()
        .flat_map(|event| event["entity"].as_array().unwrap());
    let references = entities.filter_map(|entity| entity["what"]["reference"].as_str());
    let (records, others): (Vec<&str>, Vec<&str>) =
        references.partition(|reference| reference.contains("/_history/"));
    let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
    (owned(records), owned(others))
}

/// The patients whose records these are.
fn patients(records: &BTreeSet<String>) -> BTreeSet<String> {
    let of = records.iter().filter_map(|reference| {
        let (ty, rest) = reference.split_once('/')?;
        match ty {
            "Patient" | "Observation" => Some(format!("Patient/{}", &rest[..1])),
            _ => None,
        }
    });
    of.collect()
}

#[track_caller]
fn check(project: &Project, answer: Answer) {
    assert!(answer.status < 300, "{}", answer.body);
    let mut expect = BTreeSet::new();
    shown(&answer.json(), &mut expect);
    let events = events(project, &answer);
    events.iter().for_each(balp::check);
    let (records, of) = named(&events);
    assert_eq!(records, expect, "{}", answer.body);
    assert_eq!(of, patients(&expect), "{events:?}");
}

#[test]
fn every_way_of_reading_names_what_it_shows() {
    let project = furnished("audit-exact");
    for path in [
        "Patient/a",
        "Patient/a?_elements=name",
        "Patient/a/_history/1",
        "Patient/a/_history",
        "Observation/_history",
        "_history?_count=3",
        "Observation",
        "Observation?_count=2",
        "Observation?subject=Patient/a&_include=Observation:subject&_include=Observation:performer",
        "Patient?_id=b&_revinclude=Observation:subject",
        "Patient?_has:Observation:subject:code=nothing",
        "Observation?subject:Patient.name=other",
        "?_type=Patient,Practitioner",
        "Patient/a/Observation",
        "Patient/a/$everything",
        "Patient/$everything?_count=2",
        "Observation/$lastn?subject=Patient/a",
        "Patient?_summary=count",
        "Observation?_summary=true",
        "Patient?name=nobody",
    ] {
        check(&project, project.get(path));
    }
    let page = project.get("Observation?_count=1").expect(200);
    let next = page.link("next").unwrap();
    check(&project, project.get(&next));
    let body = project
        .request("POST", "Observation/_search")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("subject=Patient/b");
    check(&project, project.send(body));
    let entries = [
        "Patient/a",
        "Observation?subject=Patient/b",
        "Patient/a/_history/1",
    ];
    let entries = entries.map(|url| json!({"request": {"method": "GET", "url": url}}));
    for ty in ["batch", "transaction"] {
        let bundle = json!({"resourceType": "Bundle", "type": ty, "entry": entries});
        check(&project, project.post("", &bundle));
    }
}

#[test]
fn who_has_a_record_already_is_told_of_it_too() {
    let project = furnished("audit-exact-known");
    let known = project
        .request("GET", "Patient/b")
        .header("If-None-Match", "W/\"1\"");
    let answer = project.send(known).expect(304);
    let (records, of) = named(&events(&project, &answer));
    assert_eq!(records, BTreeSet::from(["Patient/b/_history/1".to_owned()]));
    assert_eq!(of, BTreeSet::from(["Patient/b".to_owned()]));
}

#[test]
fn content_of_a_binary_names_it() {
    let project = furnished("audit-exact-binary");
    let made = project
        .request("PUT", "Binary/scan")
        .header("Content-Type", "text/plain")
        .header("X-Security-Context", "Patient/a")
        .body("0123456789");
    project.send(made).expect(201);
    for range in [None, Some("bytes=2-4")] {
        let request = project
            .request("GET", "Binary/scan")
            .header("Accept", "text/plain");
        let request = match range {
            Some(range) => request.header("Range", range),
            None => request,
        };
        let answer = project.send(request);
        assert!(answer.status < 300, "{}", answer.body);
        let (records, of) = named(&events(&project, &answer));
        assert_eq!(
            records,
            BTreeSet::from(["Binary/scan/_history/1".to_owned()])
        );
        assert_eq!(of, BTreeSet::from(["Patient/a".to_owned()]));
    }
}

/// Waits until a job is done; where it is.
#[track_caller]
fn done(project: &Project, begun: &Answer) -> (String, Answer) {
    let place = begun.header("content-location").unwrap();
    let (_, path) = place.split_once("/fhir/").unwrap();
    for _ in 0..6000 {
        let answer = project.get(path);
        if answer.status != 202 && answer.status != 429 {
            return (path.to_owned(), answer.expect(200));
        }
        std::thread::yield_now();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the job does not end");
}

#[test]
fn files_of_an_export_name_what_is_in_them_when_made_and_when_taken() {
    let project = furnished("audit-exact-export");
    let begun = project.request("GET", "$export?_type=Patient,Observation");
    let begun = project.send(begun.header("Prefer", "respond-async"));
    let (path, manifest) = done(&project, &begun.expect(202));
    let job = path.rsplit('/').next().unwrap();
    let search = "AuditEvent?type=110106&subtype=extract&_count=100";
    let made = project.get(search).expect(200).json();
    let made: Vec<Value> = made["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"].clone())
        .collect();
    made.iter().for_each(balp::check);
    assert!(
        made.iter()
            .all(|event| event.to_string().contains(&format!("Job/{job}")))
    );
    let mut all = BTreeSet::new();
    for file in manifest.json()["output"].as_array().unwrap() {
        let (_, path) = file["url"].as_str().unwrap().split_once("/fhir/").unwrap();
        let taken = project.get(path).expect(200);
        let mut expect = BTreeSet::new();
        for line in taken.body.lines() {
            shown(&serde_json::from_str(line).unwrap(), &mut expect);
        }
        let (records, of) = named(&events(&project, &taken));
        assert_eq!(records, expect);
        assert_eq!(of, patients(&expect));
        all.extend(expect);
    }
    assert_eq!(named(&made).0, all);
    assert_eq!(all.len(), 6);
    // Making and taking, of the patient and of each record.
    let mine = project
        .get("AuditEvent?patient=b&subtype=extract")
        .expect(200);
    assert_eq!(mine.found().len(), 4);
}

#[test]
fn the_answer_of_a_deferred_request_names_what_it_shows() {
    let project = furnished("audit-exact-deferred");
    let begun = project.request("GET", "Observation?subject=Patient/b");
    let begun = project.send(begun.header("Prefer", "respond-async"));
    let (_, answer) = done(&project, &begun.expect(202));
    let mut expect = BTreeSet::new();
    shown(&answer.json(), &mut expect);
    // The answer is within a bundle of its own.
    for entry in answer.json()["entry"].as_array().unwrap() {
        shown(&entry["resource"], &mut expect);
    }
    let (records, of) = named(&events(&project, &answer));
    assert_eq!(expect.len(), 2, "{}", answer.body);
    assert_eq!(records, expect);
    assert_eq!(of, BTreeSet::from(["Patient/b".to_owned()]));
}
