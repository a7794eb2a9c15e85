//! `$everything`: <https://hl7.org/fhir/R4/patient-operation-everything.html>.

use serde_json::{Value, json};

use crate::host::{Project, project};

/// Two patients with an encounter and two observations each, and those who treat them.
fn ward(slug: &str) -> Project {
    let project = project(slug);
    let mut all = vec![
        json!({"resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": {"reference": "Organization/trust"}}),
        json!({"resourceType": "Organization", "id": "trust", "name": "Trust"}),
        json!({"resourceType": "Organization", "id": "elsewhere", "name": "Elsewhere"}),
        json!({"resourceType": "Practitioner", "id": "doctor"}),
    ];
    for patient in ["p", "q"] {
        let subject = json!({"reference": format!("Patient/{patient}")});
        all.push(json!({"resourceType": "Patient", "id": patient,
            "managingOrganization": {"reference": "Organization/clinic"}}));
        all.push(
            json!({"resourceType": "Encounter", "id": format!("e-{patient}"), "status": "finished",
            "class": {"code": "AMB"}, "subject": subject, "period": {"start": "2020-03-01"},
            "participant": [{"individual": {"reference": "Practitioner/doctor"}}]}),
        );
        for year in ["2019", "2021"] {
            all.push(
                json!({"resourceType": "Observation", "id": format!("o-{patient}-{year}"),
                "status": "final", "code": {"text": "x"}, "subject": subject,
                "encounter": {"reference": format!("Encounter/e-{patient}")},
                "effectiveDateTime": format!("{year}-05-05")}),
            );
        }
        all.push(json!({"resourceType": "AllergyIntolerance", "id": format!("a-{patient}"),
            "patient": subject, "code": {"text": "nuts"},
            "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}}));
    }
    // Refers to a record of another patient, too.
    all.push(
        json!({"resourceType": "Observation", "id": "o-q-2021", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "Patient/q"},
        "encounter": {"reference": "Encounter/e-q"}, "effectiveDateTime": "2021-05-05",
        "hasMember": [{"reference": "Observation/o-p-2021"}]}),
    );
    all.iter()
        .for_each(|resource| assert!(project.put(resource).status < 300));
    project
}

/// The resources on a page by mode, in order of their names.
fn names(page: &Value) -> Vec<String> {
    let entries = page["entry"].as_array().into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| {
            let resource = &entry["resource"];
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let mark = if entry["search"]["mode"] == "include" {
                "+"
            } else {
                ""
            };
            format!(
                "{mark}{}/{}",
                text(&resource["resourceType"]),
                text(&resource["id"])
            )
        })
        .collect();
    names.sort();
    names
}

#[track_caller]
fn check(project: &Project, path: &str, expect: &[&str]) {
    let page = project.get(path).expect(200).json();
    assert_eq!(names(&page), expect, "{path}");
    assert_eq!(
        page.get("total").is_some(),
        page["link"].as_array().unwrap().len() == 1
    );
}

const OF_P: [&str; 8] = [
    "+Organization/clinic",
    "+Organization/trust",
    "+Practitioner/doctor",
    "AllergyIntolerance/a-p",
    "Encounter/e-p",
    "Observation/o-p-2019",
    "Observation/o-p-2021",
    "Patient/p",
];

#[test]
fn a_patient_comes_with_all_that_is_theirs_and_those_it_names() {
    let project = ward("everything-patient");
    check(&project, "Patient/p/$everything", &OF_P);
    check(&project, "Patient/p/%24everything", &OF_P);
    check(
        &project,
        "Patient/p/$everything?_type=Observation,Patient",
        &["Observation/o-p-2019", "Observation/o-p-2021", "Patient/p"],
    );
    check(&project, "Patient/p/$everything?_since=2999", &[]);
    check(
        &project,
        "Patient/p/$everything?start=2020&end=2020-12&_type=Encounter,Observation,AllergyIntolerance",
        &["AllergyIntolerance/a-p", "Encounter/e-p"],
    );
    check(
        &project,
        "Patient/p/$everything?start=2021-05-05&_type=Observation",
        &["Observation/o-p-2021"],
    );
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueCode": "Encounter"}, {"name": "_type", "valueCode": "Practitioner"},
    ]});
    let page = project
        .post("Patient/p/$everything", &body)
        .expect(200)
        .json();
    assert_eq!(names(&page), ["+Practitioner/doctor", "Encounter/e-p"]);
    // Nobody else's, whoever refers to it.
    let other = project.get("Patient/q/$everything").expect(200).body;
    assert!(other.contains("Observation/o-p-2021") && !other.contains("\"id\":\"o-p-2021\""));
}

#[test]
fn an_encounter_comes_with_what_happened_in_it() {
    let project = ward("everything-encounter");
    check(
        &project,
        "Encounter/e-p/$everything",
        &[
            "+Organization/clinic",
            "+Organization/trust",
            "+Patient/p",
            "+Practitioner/doctor",
            "Encounter/e-p",
            "Observation/o-p-2019",
            "Observation/o-p-2021",
        ],
    );
    project
        .get("Encounter/e-p/$everything?start=2020")
        .expect(400);
}

#[test]
fn pages_show_one_state_and_each_resource_of_the_compartment_once() {
    let project = ward("everything-pages");
    let mut next = Some("Patient/p/$everything?_count=2".to_owned());
    let (mut seen, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        assert!(page.json().get("total").is_none());
        let own = page.link("self").unwrap();
        assert!(own.ends_with("Patient/p/$everything?_count=2"), "{own}");
        let mut found = names(&page.json());
        found.retain(|name| !name.starts_with('+'));
        assert!(!found.is_empty() && found.len() <= 2, "{found:?}");
        seen.extend(found);
        next = page.link("next");
        pages += 1;
        project.put(
            &json!({"resourceType": "Observation", "id": "new", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}),
        );
    }
    seen.sort();
    assert_eq!(pages, 3);
    assert_eq!(seen, OF_P[3..]);
    let link = project
        .get("Patient/p/$everything?_count=2")
        .link("next")
        .unwrap();
    let cursor = link.split_once("_cursor=").unwrap().1;
    project
        .get(&format!("Patient/q/$everything?_cursor={cursor}"))
        .expect(400);
    project
        .get(&format!("Patient?_cursor={cursor}"))
        .expect(400);
    project
        .get("Patient/p/$everything?_cursor=AAAA")
        .expect(400);
}

#[test]
fn what_the_caller_may_not_find_is_not_there() {
    let project = ward("everything-scopes");
    let weak = project.with(&project.client("weak", "system/Patient.r system/Observation.s"));
    check(
        &weak,
        "Patient/p/$everything",
        &["Observation/o-p-2019", "Observation/o-p-2021", "Patient/p"],
    );
    weak.get("Patient/p/$everything?_type=Encounter")
        .expect(403);
    weak.get("Encounter/e-p/$everything").expect(403);
    let none = project.with(&project.client("none", "system/Observation.rs"));
    none.get("Patient/p/$everything").expect(403);
}

#[test]
fn what_is_not_there_and_what_makes_no_sense_is_refused() {
    let project = ward("everything-refused");
    project.get("Patient/none/$everything").expect(404);
    project.get("Patient/_/$everything").expect(400);
    project.delete("Patient/q").expect(204);
    project.get("Patient/q/$everything").expect(410);
    let answer = project.get("Observation/o-p-2019/$everything").expect(404);
    assert!(answer.body.contains("Patient"), "{}", answer.body);
    for query in [
        "what=1",
        "_count=0",
        "_count=x",
        "_type=None",
        "start=soon",
        "start=2020&start=2021",
    ] {
        let answer = project
            .get(&format!("Patient/p/$everything?{query}"))
            .expect(400);
        assert!(answer.body.contains("OperationOutcome"), "{query}");
    }
    let unknown = project.get("Patient/p/$everything?what=1").body;
    assert!(
        unknown.contains("start, end, _since, _type, _count"),
        "{unknown}"
    );
    for body in [
        json!({"resourceType": "Patient"}),
        json!({"resourceType": "Parameters", "parameter": [{"valueCode": "x"}]}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "_type"}]}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "start", "valuePeriod": {}}]}),
    ] {
        project.post("Patient/p/$everything", &body).expect(400);
    }
}
