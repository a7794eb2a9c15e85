//! `_filter`: <https://hl7.org/fhir/R4/search_filter.html>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn observation(id: &str, patient: &str, code: &str, date: &str, value: f64) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectivePeriod": {"start": date, "end": "2020-12-31"},
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "mg", "unit": "mg"},
    })
}

fn practice(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "Patient", "id": "ada", "active": true, "gender": "female", "birthDate": "1970-03-05",
            "name": [{"family": "Lovelace", "given": ["Ada", "Augusta"]}],
        }),
        json!({
            "resourceType": "Patient", "id": "bob", "gender": "male", "birthDate": "1985-01-02",
            "name": [{"family": "Müller", "given": ["Bob"]}],
        }),
        json!({"resourceType": "Patient", "id": "eve", "name": [{"text": "Eve (or \"not\")"}]}),
        observation("heart", "ada", "8867-4", "2020-05-01", 80.0),
        observation("heart2", "ada", "8867-4", "2020-11-01", 64.5),
        observation("weight", "bob", "29463-7", "2020-01-01", 82.0),
        json!({
            "resourceType": "ValueSet", "id": "set", "status": "active",
            "url": "http://example.org/fhir/ValueSet/set",
            "compose": {"include": [{"system": "http://loinc.org", "concept": [{"code": "8867-4"}]}]},
        }),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

/// The search with this filter.
fn filter(ty: &str, text: &str) -> String {
    let text: String = form_encoded(text);
    format!("{ty}?_filter={text}")
}

fn form_encoded(text: &str) -> String {
    let encode = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => (b as char).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{b:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[test]
fn filters_compare_every_type_of_parameter() {
    let project = practice("filter-types");
    let find = |ty: &str, text: &str, expect: &[&str]| check(&project, &filter(ty, text), expect);
    find("Patient", "name co ug", &["ada"]);
    find("Patient", "family sw mull", &["bob"]);
    find("Patient", "family ew LACE", &["ada"]);
    find("Patient", "given eq ada", &["ada"]);
    find("Patient", "given eq ad", &[]);
    find("Patient", "given ne ada", &["ada", "bob"]);
    find("Patient", "given gt b", &["bob"]);
    find("Patient", "given le ada", &["ada"]);
    find("Patient", r#"name eq "eve (or \"not\")""#, &["eve"]);
    find("Patient", "gender eq male", &["bob"]);
    find("Patient", "gender ne male", &["ada"]);
    find("Patient", "gender pr false", &["eve"]);
    find("Patient", "birthdate lt 1980", &["ada"]);
    find("Patient", "birthdate eq 1985-01", &["bob"]);
    find("Patient", "_id eq ada or _id eq eve", &["ada", "eve"]);
    find("Patient", "_id ne ada", &["bob", "eve"]);
    find("Patient", "_lastUpdated gt 2020", &["ada", "bob", "eve"]);
    find("Observation", "date po 2020-02", &["weight"]);
    find("Observation", "date sa 2020-04", &["heart", "heart2"]);
    find(
        "Observation",
        "value-quantity gt 0.08|http://unitsofmeasure.org|g",
        &["weight"],
    );
    find("Observation", "value-quantity ap 80", &["heart", "weight"]);
    find(
        "Observation",
        "code eq http://loinc.org|8867-4",
        &["heart", "heart2"],
    );
    find("Observation", "subject re Patient/bob", &["weight"]);
    find(
        "Observation",
        "subject ne Patient/bob",
        &["heart", "heart2"],
    );
    find(
        "Observation",
        "code-value-quantity eq 8867-4$gt70",
        &["heart"],
    );
    let set = "http://example.org/fhir/ValueSet/set";
    find(
        "Observation",
        &format!("code in {set}"),
        &["heart", "heart2"],
    );
    find("Observation", &format!("code\tni\t{set}"), &["weight"]);
    find(
        "Observation",
        &format!("not(code in {set}) and status eq final"),
        &["weight"],
    );
    find("ValueSet", "url ss http://example.org/fhir", &["set"]);
}

#[test]
fn filters_combine_and_follow_references() {
    let project = practice("filter-combine");
    let find = |ty: &str, text: &str, expect: &[&str]| check(&project, &filter(ty, text), expect);
    find("Patient", "not(gender eq male)", &["ada", "eve"]);
    find(
        "Patient",
        "gender eq male or gender eq female and given eq bob",
        &["bob"],
    );
    find(
        "Patient",
        "gender eq female or (gender eq male and given eq x)",
        &["ada"],
    );
    find("Observation", "subject.name co love", &["heart", "heart2"]);
    find(
        "Observation",
        "subject[Patient].birthdate gt 1980",
        &["weight"],
    );
    find(
        "Observation",
        "subject[gender eq female and active eq true].family sw l and value-quantity lt 70",
        &["heart2"],
    );
    find("Observation", "not(subject.gender eq female)", &["weight"]);
    let beside = format!("{}&birthdate=lt1980", filter("Patient", "name pr true"));
    check(&project, &beside, &["ada"]);
    let both = form_encoded("_id eq ada or _id eq heart");
    let system = format!(
        "{}?_filter={both}&_type=Patient,Observation",
        project.base()
    );
    let found = project.get(&system).expect(200).found();
    assert_eq!(found, ["Observation/heart", "Patient/ada"]);
}

#[test]
fn filters_hold_within_what_may_be_searched() {
    let project = practice("filter-access");
    let token = project.client("observer", "system/Observation.rs");
    let observer = project.with(&token);
    let answer = observer
        .get(&filter("Observation", "subject.name co love"))
        .expect(200);
    assert_eq!(answer.found(), ["OperationOutcome/-"]);
    let hidden = filter(
        "Observation",
        "subject[name co love].birthdate lt 2000 or status eq final",
    );
    let all = observer.get(&hidden).expect(200).found();
    assert_eq!(all.len(), 3 + 1);
    observer.get(&filter("Patient", "name co love")).expect(403);
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    let project = practice("filter-refused");
    for (text, words) in [
        ("name", "column 5: "),
        ("name like x", "column 6: must be an operator; allowed: eq"),
        (
            "nme eq x",
            "column 1: unknown search parameter of Patient; allowed: ",
        ),
        ("gender co x", "column 8: gender is compared by eq, ne"),
        ("birthdate eq soon", "column 14: the value "),
        ("(name eq x", "column 11: "),
    ] {
        let (details, place) = refused(&project, &filter("Patient", text));
        assert!(details.starts_with(words), "{text}: {details}");
        assert_eq!(place, "http._filter");
    }
    let lenient = project
        .request("GET", &filter("Patient", "nme eq x"))
        .header("Prefer", "handling=lenient");
    assert_eq!(project.send(lenient).expect(200).found().len(), 3 + 1);
}
