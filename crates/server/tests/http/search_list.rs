//! `_list`: <https://hl7.org/fhir/R4/search.html#list>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn lists(slug: &str) -> Project {
    let project = project(slug);
    let item = |to: &str| json!({"item": {"reference": to}});
    let condition = |id: &str, clinical: &str, verification: &str| {
        let code = |system: &str, code: &str| {
            let system = format!("http://terminology.hl7.org/CodeSystem/condition-{system}");
            json!({"coding": [{"system": system, "code": code}]})
        };
        let mut condition = json!({
            "resourceType": "Condition", "id": id, "subject": {"reference": "Patient/ada"},
            "verificationStatus": code("ver-status", verification),
        });
        if !clinical.is_empty() {
            condition["clinicalStatus"] = code("clinical", clinical);
        }
        condition
    };
    let allergy = |id: &str, category: &str| {
        json!({
            "resourceType": "AllergyIntolerance", "id": id, "patient": {"reference": "Patient/ada"},
            "category": [category],
            "clinicalStatus": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active",
            }]},
        })
    };
    for resource in [
        json!({"resourceType": "Patient", "id": "ada", "gender": "female"}),
        json!({"resourceType": "Patient", "id": "bob", "gender": "male"}),
        json!({"resourceType": "Patient", "id": "eve"}),
        condition("asthma", "active", "confirmed"),
        condition("flu", "resolved", "confirmed"),
        condition("wrong", "", "entered-in-error"),
        allergy("nuts", "food"),
        allergy("drug", "medication"),
        json!({
            "resourceType": "List", "id": "42", "status": "current", "mode": "changes",
            "entry": [
                item("Patient/ada"), item("Observation/x"), item("Patient/bob"),
                {"deleted": true, "item": {"reference": "Patient/bob"}},
                {"deleted": true, "item": {"reference": "Patient/eve"}},
            ],
        }),
        json!({
            "resourceType": "List", "id": "7", "status": "current", "mode": "working",
            "entry": [item("Patient/eve")],
        }),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

#[test]
fn members_of_lists_are_found() {
    let project = lists("list-members");
    check(&project, "Patient?_list=42", &["ada", "bob"]);
    check(&project, "Patient?_list=List/42", &["ada", "bob"]);
    check(&project, "Patient?_list=42&gender=male", &["bob"]);
    check(&project, "Patient?_list=42,7", &["ada", "bob", "eve"]);
    check(&project, "Patient?_list=none", &[]);
    check(&project, "Condition?_list=42", &[]);
    check(&project, "List?item=Patient/eve", &["42", "7"]);
    let shorter = json!({
        "resourceType": "List", "id": "42", "status": "current", "mode": "working",
        "entry": [{"item": {"reference": "Patient/bob"}}],
    });
    project.put(&shorter).expect(200);
    check(&project, "Patient?_list=42", &["bob"]);
    project.delete("List/42").expect(204);
    check(&project, "Patient?_list=42", &[]);
}

#[test]
fn what_is_current_is_found() {
    let project = lists("list-current");
    check(
        &project,
        "Condition?patient=ada&_list=$current-problems",
        &["asthma"],
    );
    check(
        &project,
        "AllergyIntolerance?patient=ada&_list=$current-allergies",
        &["drug", "nuts"],
    );
    check(
        &project,
        "AllergyIntolerance?patient=ada&_list=$current-drug-allergies",
        &["drug"],
    );
    check(
        &project,
        "MedicationStatement?patient=ada&_list=$current-medications",
        &[],
    );
    let (details, place) = refused(&project, "Patient?_list=$current-problems");
    assert!(
        details.contains("$current-problems of Condition"),
        "{details}"
    );
    assert_eq!(place, "http._list");
    let (details, _) = refused(&project, "Patient?_list=Patient/1");
    assert!(details.contains("id of a List"), "{details}");
}

#[test]
fn lists_that_may_not_be_searched_hold_nothing() {
    let project = lists("list-access");
    let reader = project.with(&project.client("reader", "system/Patient.rs"));
    let answer: Value = reader.get("Patient?_list=42").expect(200).json();
    assert_eq!(answer["total"], 0);
    assert_eq!(answer["entry"][0]["search"]["mode"], "outcome");
}
