//! `_contained`: <https://hl7.org/fhir/R4/search.html#contained>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn medication(id: &str, code: &str) -> Value {
    json!({"resourceType": "Medication", "id": id, "code": {"coding": [{"system": "urn:drugs", "code": code}]}})
}

fn request(id: &str, contained: &[Value]) -> Value {
    let reference = |it: &Value| json!({"reference": format!("#{}", it["id"].as_str().unwrap())});
    let information: Vec<Value> = contained.iter().map(reference).collect();
    json!({
        "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
        "contained": contained, "subject": {"reference": "Patient/ada"},
        "medicationReference": {"reference": "#m1"}, "supportingInformation": information,
    })
}

fn ward(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        medication("free", "aspirin"),
        request("one", &[medication("m1", "aspirin")]),
        request(
            "two",
            &[medication("m1", "aspirin"), medication("m2", "aspirin")],
        ),
        request("three", &[medication("m1", "ibuprofen")]),
        json!({
            "resourceType": "MedicationStatement", "id": "four", "status": "active",
            "contained": [medication("m1", "aspirin")], "subject": {"reference": "Patient/ada"},
            "medicationReference": {"reference": "#m1"},
        }),
    ] {
        let answer = project.put(&resource);
        assert_eq!(answer.status, 201, "{}", answer.json());
    }
    project
}

#[test]
fn containers_are_found_by_what_they_contain() {
    let project = ward("contained");
    check(&project, "Medication?code=aspirin", &["free"]);
    check(
        &project,
        "Medication?code=aspirin&_contained=false",
        &["free"],
    );
    check(
        &project,
        "Medication?code=aspirin&_contained=true",
        &["four", "one", "two"],
    );
    check(
        &project,
        "Medication?code=aspirin&_contained=both",
        &["four", "free", "one", "two"],
    );
    check(
        &project,
        "Medication?code=urn:drugs|ibuprofen&_contained=true&_containedType=container",
        &["three"],
    );
    check(&project, "Medication?_id=m2&_contained=true", &["two"]);
    check(
        &project,
        "Medication?code:not=aspirin&_contained=true",
        &["three"],
    );
    check(
        &project,
        "Medication?_contained=true&_count=1&code=ibuprofen",
        &["three"],
    );
    // Nothing else sees what is kept of them.
    assert_eq!(project.count("Medication"), 1);
    let history = project.get("_history").expect(200).json();
    assert_eq!(history["entry"].as_array().unwrap().len(), 5);
}

#[test]
fn contained_resources_are_given_alone() {
    let project = ward("contained-alone");
    let search = "Medication?code=aspirin&_contained=true&_containedType=contained";
    let answer = project.get(search).expect(200).json();
    assert_eq!(answer["total"], 4);
    let mut urls: Vec<&str> = answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["resource"]["resourceType"], "Medication");
            assert_eq!(entry["search"]["mode"], "match");
            entry["fullUrl"]
                .as_str()
                .unwrap()
                .rsplit_once("/fhir/")
                .unwrap()
                .1
        })
        .collect();
    urls.sort_unstable();
    let expected = [
        "MedicationRequest/one#m1",
        "MedicationRequest/two#m1",
        "MedicationRequest/two#m2",
        "MedicationStatement/four#m1",
    ];
    assert_eq!(urls, expected);
    let both = project.get(&format!("{search}&_contained=both").replace("_contained=true&", ""));
    assert_eq!(both.expect(200).json()["total"], 5);
    let page = project.get(&format!("{search}&_count=3&_total=accurate"));
    let page = page.expect(200);
    assert_eq!(page.json()["total"], 4);
    let next = page.link("next").expect("a second page");
    let rest = project.get(&next).expect(200).json();
    assert_eq!(rest["entry"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_kept_follows_its_container() {
    let project = ward("contained-follows");
    let find = |code: &str, expect: &[&str]| {
        check(
            &project,
            &format!("Medication?code={code}&_contained=true"),
            expect,
        );
    };
    project
        .put(&request("one", &[medication("m1", "ibuprofen")]))
        .expect(200);
    find("aspirin", &["four", "two"]);
    find("ibuprofen", &["one", "three"]);
    project.delete("MedicationRequest/three").expect(204);
    find("ibuprofen", &["one"]);
    let bundle = json!({
        "resourceType": "Bundle", "type": "transaction",
        "entry": [
            {"request": {"method": "DELETE", "url": "MedicationStatement/four"}},
            {
                "request": {"method": "PUT", "url": "MedicationRequest/two"},
                "resource": request("two", &[medication("m1", "codeine")]),
            },
            {
                "request": {"method": "PUT", "url": "MedicationRequest/three"},
                "resource": request("three", &[medication("m1", "aspirin")]),
            },
        ],
    });
    project.post("", &bundle).expect(200);
    find("aspirin", &["three"]);
    find("codeine", &["two"]);
}

#[test]
fn contained_resources_are_as_visible_as_their_containers() {
    let project = ward("contained-access");
    let seen = |scopes: &str, id: &str| {
        let reader = project.with(&project.client(id, scopes));
        let alone = "Medication?code=aspirin&_contained=true&_containedType=contained";
        let alone = reader.get(alone).expect(200).json()["total"].clone();
        let around = reader
            .get("Medication?code=aspirin&_contained=true")
            .expect(200);
        (alone, around.json()["total"].clone())
    };
    assert_eq!(seen("system/Medication.rs", "first"), (json!(0), json!(0)));
    let requests = "system/Medication.rs system/MedicationRequest.rs";
    assert_eq!(seen(requests, "second"), (json!(3), json!(2)));
    assert_eq!(seen("system/*.rs", "third"), (json!(4), json!(3)));
    let blind = project.with(&project.client("fourth", "system/MedicationRequest.rs"));
    blind
        .get("Medication?code=aspirin&_contained=true")
        .expect(403);
}

#[test]
fn what_cannot_be_told_of_contained_resources_is_refused() {
    let project = ward("contained-refused");
    for (search, words) in [
        ("Medication?_contained=maybe", "true, false or both"),
        ("Medication?_containedType=all", "container or contained"),
        ("Medication?_contained=true&_sort=nothing", "_lastUpdated"),
        (
            "Medication?_contained=true&_content=aspirin&_sort=_score",
            "no score",
        ),
        (
            "?_contained=true&_type=Medication&_explain=true",
            "explained",
        ),
        ("AuditEvent?_contained=true", "audit events"),
    ] {
        let (details, _) = refused(&project, search);
        assert!(details.contains(words), "{search}: {details}");
    }
}
