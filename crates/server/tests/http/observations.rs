//! `$lastn` and `$stats` of observations, and `$document`:
//! <https://hl7.org/fhir/R4/observation-operations.html>.

use serde_json::{Value, json};

use crate::host::{Project, project};

/// Weights in two units and heart rates of one patient, a weight of another.
fn measured(slug: &str) -> Project {
    let project = project(slug);
    for (id, patient, code, year, value, unit) in [
        ("w1", "p", "29463-7", 2019, 70.0, "kg"),
        ("w2", "p", "29463-7", 2020, 72_000.0, "g"),
        ("w3", "p", "29463-7", 2021, 74.0, "kg"),
        ("h1", "p", "8867-4", 2018, 60.0, "/min"),
        ("h2", "p", "8867-4", 2022, 80.0, "/min"),
        ("other", "q", "29463-7", 2022, 90.0, "kg"),
    ] {
        let observation = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": format!("Patient/{patient}")},
            "effectiveDateTime": format!("{year}-01-01"),
            "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}});
        project.put(&observation).expect(201);
    }
    project
}

fn ids(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries
        .map(|entry| entry["resource"]["id"].as_str().unwrap())
        .collect()
}

#[track_caller]
fn check(project: &Project, query: &str, expect: &[&str]) {
    let found = project
        .get(&format!("Observation/$lastn?{query}"))
        .expect(200)
        .json();
    assert_eq!(ids(&found), expect, "{query}");
    assert_eq!(found["total"], expect.len());
}

#[test]
fn the_newest_of_each_code_are_found() {
    let project = measured("observations-lastn");
    check(&project, "patient=p", &["h2", "w3"]);
    check(
        &project,
        "subject=Patient/p&max=2",
        &["h2", "h1", "w3", "w2"],
    );
    check(
        &project,
        "patient=p&code=29463-7&max=9",
        &["w3", "w2", "w1"],
    );
    check(&project, "patient=p&date=lt2020-06", &["w2", "h1"]);
    check(&project, "patient=none", &[]);
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueString": "q"}, {"name": "max", "valuePositiveInt": 3}]});
    let found = project.post("Observation/$lastn", &body).expect(200).json();
    assert_eq!(ids(&found), ["other"]);
    for query in ["", "max=2", "patient=p&max=0", "patient=p&what=1"] {
        project
            .get(&format!("Observation/$lastn?{query}"))
            .expect(400);
    }
    project.get("Patient/$lastn?patient=p").expect(404);
}

/// The statistics of the first code, as `code value unit`.
fn statistics(answer: &Value) -> Vec<String> {
    let components = answer["parameter"][0]["resource"]["component"]
        .as_array()
        .unwrap()
        .iter();
    components
        .map(|component| {
            let quantity = &component["valueQuantity"];
            let code = component["code"]["coding"][0]["code"].as_str().unwrap();
            format!("{code} {} {}", quantity["value"], quantity["code"])
        })
        .collect()
}

#[test]
fn statistics_are_computed_in_one_unit() {
    let project = measured("observations-stats");
    let path = "Observation/$stats?subject=Patient/p&system=http://loinc.org&code=29463-7";
    let query =
        format!("{path}&statistic=average&statistic=count&statistic=maximum&statistic=skew");
    let answer = project.get(&query).expect(200).json();
    assert_eq!(
        statistics(&answer),
        [
            "average 72 \"kg\"",
            "count 3 null",
            "maximum 74 \"kg\"",
            "skew 0 null"
        ]
    );
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "subject", "valueUri": "Patient/p"},
        {"name": "coding", "valueCoding": {"system": "http://loinc.org", "code": "29463-7"}},
        {"name": "coding", "valueCoding": {"code": "8867-4"}},
        {"name": "period", "valuePeriod": {"start": "2020", "end": "2021-12"}},
        {"name": "statistic", "valueCode": "sum"},
        {"name": "statistic", "valueCode": "std-dev"},
        {"name": "include", "valueBoolean": true}, {"name": "limit", "valuePositiveInt": 1},
    ]});
    let answer = project.post("Observation/$stats", &body).expect(200).json();
    assert_eq!(
        statistics(&answer),
        ["sum 146 \"kg\"", "std-dev 1.41421356237 \"kg\""]
    );
    let parameters = answer["parameter"].as_array().unwrap();
    let names: Vec<_> = parameters
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["statistics", "statistics", "source"]);
    assert_eq!(parameters[2]["resource"]["id"], "w3");
    let empty = &parameters[1]["resource"]["component"][1];
    assert!(empty.get("dataAbsentReason").is_some(), "{empty}");
    let document = salus_fhir::json::Document::parse(
        answer.to_string().into(),
        &salus_fhir::json::Limits::default(),
    );
    assert!(
        salus_fhir::validate::resource(document.unwrap().root()).is_ok(),
        "{answer}"
    );
    // A mean of kilograms and beats is none.
    let mixed = "Observation/$stats?subject=Patient/p&code=29463-7&statistic=sum";
    project
        .put(
            &json!({"resourceType": "Observation", "id": "wrong", "status": "final",
        "code": {"coding": [{"code": "29463-7"}]}, "subject": {"reference": "Patient/p"},
        "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "/min"}}),
        )
        .expect(201);
    project.get(mixed).expect(422);
    for query in [
        "",
        "subject=Patient/p&statistic=sum",
        "subject=Patient/p&code=x&statistic=what",
        "code=x&statistic=sum",
    ] {
        project
            .get(&format!("Observation/$stats?{query}"))
            .expect(400);
    }
}

#[test]
fn a_document_has_what_its_composition_refers_to() {
    let project = measured("observations-document");
    project
        .put(&json!({"resourceType": "Patient", "id": "p"}))
        .expect(201);
    project
        .put(&json!({"resourceType": "Practitioner", "id": "d"}))
        .expect(201);
    project
        .put(
            &json!({"resourceType": "Composition", "id": "c", "status": "final",
        "type": {"text": "note"}, "subject": {"reference": "Patient/p"}, "date": "2022-01-01",
        "author": [{"reference": "Practitioner/d"}], "title": "Note",
        "section": [{"title": "Vital signs", "entry": [{"reference": "Observation/w1"},
            {"reference": "Observation/h1"}, {"reference": "Observation/missing"}]}]}),
        )
        .expect(201);
    let document = project.get("Composition/c/$document").expect(200);
    let bundle = document.json();
    assert_eq!(bundle["type"], "document");
    let mut found = ids(&bundle);
    assert_eq!(found[0], "c");
    found.sort_unstable();
    assert_eq!(found, ["c", "d", "h1", "p", "w1"]);
    let parsed = salus_fhir::json::Document::parse(
        document.body.into_bytes(),
        &salus_fhir::json::Limits::default(),
    );
    assert!(
        salus_fhir::validate::resource(parsed.unwrap().root()).is_ok(),
        "{bundle}"
    );
    assert_eq!(project.count("Bundle"), 0);
    project
        .get("Composition/c/$document?persist=true")
        .expect(400);
    let request = project.request("POST", "Composition/c/$document?persist=true");
    let kept = project.send(request).expect(201);
    project.get(&format!("Bundle/{}", kept.id())).expect(200);
    let weak = project.with(&project.client("weak", "system/Composition.r system/Patient.r"));
    let bundle = weak.get("Composition/c/$document").expect(200).json();
    assert_eq!(ids(&bundle), ["c", "p"]);
    let body = json!({"resourceType": "Parameters"});
    weak.post("Composition/c/$document?persist=true", &body)
        .expect(403);
}
