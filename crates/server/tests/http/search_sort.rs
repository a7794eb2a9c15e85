//! Orders: <https://hl7.org/fhir/R4/search.html#sort>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::refused;

/// The ids of what is found, in order; small pages give the same.
#[track_caller]
fn check(project: &Project, search: &str, expect: &str) {
    let ids = |found: Vec<String>| {
        let id = |name: &String| name.split_once('/').unwrap().1.to_owned();
        found.iter().map(id).collect::<Vec<_>>()
    };
    let expect: Vec<&str> = expect.split_whitespace().collect();
    assert_eq!(
        ids(project.get(search).expect(200).found()),
        expect,
        "{search}"
    );
    let (mut found, mut next) = (Vec::new(), Some(format!("{search}&_count=2")));
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        found.extend(ids(page.found()));
        next = page.link("next");
    }
    assert_eq!(found, expect, "{search} in pages");
}

fn with(base: Value, more: Value) -> Value {
    let (Value::Object(mut base), Value::Object(more)) = (base, more) else {
        panic!("not objects");
    };
    base.extend(more);
    base.into()
}

#[test]
fn what_is_missing_comes_last_in_both_directions() {
    let project = project("sort-missing");
    let absent = json!({"extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown",
    }]});
    for (id, more) in [
        ("none", json!({})),
        (
            "old",
            json!({"effectiveDateTime": "1950-01-01", "valueQuantity": {"value": 1}}),
        ),
        // There, but with nothing to sort by.
        (
            "said",
            json!({"effectivePeriod": absent, "valueQuantity": {"unit": "kg"}}),
        ),
        (
            "young",
            json!({"effectiveDateTime": "2001-01-01", "valueQuantity": {"value": 2}}),
        ),
    ] {
        let base = json!({
            "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        });
        project.put(&with(base, more)).expect(201);
    }
    for key in ["date", "value-quantity"] {
        let check = |search: &str, expect: &str| {
            check(
                &project,
                &format!("Observation?{}", search.replace("KEY", key)),
                expect,
            );
        };
        check("_sort=KEY", "old young said none");
        check("_sort=-KEY", "young old said none");
        check("_sort=KEY,_id", "old young none said");
        check("_sort=-KEY,-_id", "young old said none");
        check("KEY:missing=false&_sort=KEY", "old young said");
        check("KEY:missing=false&_sort=-KEY", "young old said");
        check("KEY:missing=true&_sort=KEY", "none");
    }
    check(&project, "Observation?date=ge1900&_sort=-date", "young old");
}

#[test]
fn every_type_of_parameter_gives_an_order() {
    let project = project("sort-types");
    let observation = |id: &str, more: Value| {
        let base = json!({
            "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        });
        project.put(&with(base, more)).expect(201);
    };
    observation(
        "a",
        json!({"valueQuantity": {"value": 10}, "subject": {"reference": "Patient/2"}}),
    );
    observation(
        "b",
        json!({"valueQuantity": {"value": 9.5}, "subject": {"reference": "Patient/1"}}),
    );
    observation(
        "c",
        json!({
            "valueString": "z",
            "meta": {"tag": [{"system": "urn:t", "code": "x"}], "profile": ["urn:p:2"]},
        }),
    );
    observation(
        "d",
        json!({
            "effectivePeriod": {"start": "2020-01-01"},
            "meta": {"tag": [{"system": "urn:t", "code": "a"}], "profile": ["urn:p:1"]},
        }),
    );
    observation("e", json!({"effectiveDateTime": "2020-06-01"}));
    check(&project, "Observation?_sort=value-quantity", "b a e d c");
    check(&project, "Observation?_sort=-value-quantity", "a b e d c");
    check(&project, "Observation?_sort=subject", "b a e d c");
    check(&project, "Observation?_sort=-subject", "a b e d c");
    check(&project, "Observation?_sort=value-string", "c e d b a");
    check(&project, "Observation?_sort=_tag", "d c e b a");
    check(&project, "Observation?_sort=_profile", "d c e b a");
    check(&project, "Observation?_sort=-_profile,_id", "c d a b e");
    // Periods are sorted by their beginnings.
    check(&project, "Observation?_sort=date", "d e c b a");
    check(&project, "Observation?_sort=-date", "e d c b a");
    for (id, probability) in [("r1", 0.9), ("r2", 0.10), ("r3", 1.0)] {
        let risk = json!({
            "resourceType": "RiskAssessment", "id": id, "status": "final",
            "subject": {"reference": "Patient/1"},
            "prediction": [{"probabilityDecimal": probability}],
        });
        project.put(&risk).expect(201);
    }
    check(&project, "RiskAssessment?_sort=probability", "r2 r1 r3");
    for id in ["v1", "v2"] {
        let set = json!({
            "resourceType": "ValueSet", "id": id, "status": "draft", "url": format!("http://e/{id}"),
        });
        project.put(&set).expect(201);
    }
    check(&project, "ValueSet?_sort=-url", "v2 v1");
}

#[test]
fn several_types_are_in_one_order() {
    let project = project("sort-several");
    let put = |resource: Value| drop(project.put(&resource).expect(201));
    put(json!({"resourceType": "Patient", "id": "ada", "birthDate": "1970-01-01"}));
    for (id, date) in [("o1", "2020-01-01"), ("o2", "2022-01-01")] {
        put(json!({
            "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/ada"}, "effectiveDateTime": date,
        }));
    }
    for (id, date) in [("e1", "2019-01-01"), ("e2", "2021-01-01")] {
        put(json!({
            "resourceType": "Encounter", "id": id, "status": "finished", "class": {"code": "AMB"},
            "subject": {"reference": "Patient/ada"}, "period": {"start": date, "end": date},
        }));
    }
    let base = project.base();
    let both = format!("{base}?_type=Observation,Encounter&_sort");
    check(&project, &format!("{both}=date"), "e1 o1 e2 o2");
    check(&project, &format!("{both}=-date"), "o2 e2 o1 e1");
    // What only one type has is missing in the other, and so it comes last.
    check(
        &project,
        &format!("{both}=value-string,-_id"),
        "o2 o1 e2 e1",
    );
    check(&project, &format!("{both}=class,date"), "e1 e2 o1 o2");
    check(&project, "Patient/ada/*?_sort=-date", "o2 e2 o1 e1 ada");
    check(
        &project,
        &format!("{base}?_sort=birthdate,date"),
        "ada e1 o1 e2 o2",
    );
}

#[test]
fn orders_that_are_none_are_refused() {
    let project = project("sort-refused");
    let check = |search: &str, words: &str| {
        let (text, place) = refused(&project, search);
        assert!(text.contains(words), "{search}: {text}");
        assert_eq!(place, "http._sort", "{search}");
    };
    check("Patient?_sort=nothing", "allowed: _id");
    check("Patient?_sort=", "cannot sort by that");
    check("Patient?_sort=family,", "cannot sort by that");
    check(
        "Observation?_sort=code-value-quantity",
        "cannot sort by that",
    );
    check("Location?_sort=near", "cannot sort by that");
    check("Patient?_sort=family,-family", "twice");
    check("Patient?_sort=family&_sort=family", "twice");
    let base = project.base();
    check(
        &format!("{base}?_type=Patient,Observation&_sort=nothing"),
        "one of the types",
    );
}
