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
    check(
        &project,
        "Patient/p/$everything?_type=Practitioner,Organization",
        &OF_P[..3],
    );
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

/// The names on each page from this one to the last, and turned back from
/// there to the first the same.
fn pages(project: &Project, first: &str) -> Vec<Vec<String>> {
    let (mut pages, mut back) = (Vec::new(), Vec::new());
    let mut answer = project.get(first).expect(200);
    loop {
        pages.push(names(&answer.json()));
        let own = answer.link("self").unwrap();
        assert!(own.ends_with(first), "{own}");
        let Some(next) = answer.link("next") else {
            break;
        };
        assert!(answer.json().get("total").is_none());
        assert!(answer.link("first").is_some());
        answer = project.get(&next).expect(200);
    }
    loop {
        back.insert(0, names(&answer.json()));
        let Some(previous) = answer.link("previous") else {
            break;
        };
        answer = project.get(&previous).expect(200);
    }
    assert_eq!(back, pages, "{first}");
    pages
}

#[test]
fn pages_show_one_state_and_each_resource_once() {
    let project = ward("everything-pages");
    let first = "Patient/p/$everything?_count=2";
    let link = project.get(first).link("next").unwrap();
    project.put(
        &json!({"resourceType": "Observation", "id": "new", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}),
    );
    let rest = project.get(&link).expect(200);
    assert!(!rest.body.contains("Observation/new"));
    project.delete("Observation/new").expect(204);
    for count in 1..8 {
        let pages = pages(&project, &format!("Patient/p/$everything?_count={count}"));
        assert_eq!(pages.len(), 5_usize.div_ceil(count), "{pages:?}");
        // What is referred to stands on the last page.
        let (last, others) = pages.split_last().unwrap();
        assert_eq!(last[..3], OF_P[..3]);
        assert!(others.iter().all(|page| page.len() == count), "{others:?}");
        let mut all = pages.concat();
        all.sort();
        assert_eq!(all, OF_P, "{count}");
    }
}

#[test]
fn what_is_referred_to_has_pages_of_its_own_when_there_is_much() {
    let project = ward("everything-much");
    let practitioners = (0..1500).map(|number| {
        json!({"resource": {"resourceType": "Practitioner", "id": format!("n{number}")},
            "request": {"method": "PUT", "url": format!("Practitioner/n{number}")}})
    });
    let members =
        (0..1500).map(|number| json!({"member": {"reference": format!("Practitioner/n{number}")}}));
    let mut entries: Vec<Value> = practitioners.collect();
    entries.push(
        json!({"request": {"method": "PUT", "url": "CareTeam/t"}, "resource": {
        "resourceType": "CareTeam", "id": "t", "subject": {"reference": "Patient/p"},
        "participant": members.collect::<Vec<_>>()}}),
    );
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    project.post("", &bundle).expect(200);
    for (query, lengths) in [
        ("", vec![1006, 503]),
        ("?_count=4", vec![4, 1002, 503]),
        ("?_type=Practitioner", vec![1000, 501]),
    ] {
        let pages = pages(&project, &format!("Patient/p/$everything{query}"));
        let found: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(found, lengths, "{query}");
        let mut all = pages.concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), lengths.iter().sum::<usize>(), "{query}");
    }
}

#[test]
fn all_patients_come_with_all_that_is_theirs() {
    let project = ward("everything-all");
    project.put(
        &json!({"resourceType": "Observation", "id": "nobodys", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "Device/d"}}),
    );
    let mut expect: Vec<String> = OF_P.iter().map(|name| (*name).to_owned()).collect();
    expect.extend(
        OF_P[3..]
            .iter()
            .map(|name| name.replace("-p", "-q").replace("/p", "/q")),
    );
    expect.sort();
    for count in [1, 2, 3, 10, 100] {
        let pages = pages(&project, &format!("Patient/$everything?_count={count}"));
        assert_eq!(pages.len(), 10_usize.div_ceil(count), "{pages:?}");
        let mut all = pages.concat();
        all.sort();
        assert_eq!(all, expect, "{count}");
    }
    check(
        &project,
        "Patient/$everything?_type=Encounter,Practitioner&start=2020-01-01",
        &["+Practitioner/doctor", "Encounter/e-p", "Encounter/e-q"],
    );
    let weak = project.with(&project.client("weak", "system/Patient.r system/Encounter.s"));
    weak.get("Patient/$everything").expect(403);
    let some = project.with(&project.client("some", "system/Patient.s"));
    check(&some, "Patient/$everything", &["Patient/p", "Patient/q"]);
    // R4 has it of all patients only.
    let answer = project.get("Encounter/$everything").expect(404);
    assert!(answer.body.contains("an instance"), "{}", answer.body);
    project.get("Observation/$everything").expect(404);
}

#[test]
fn a_place_is_good_for_its_own_request() {
    let project = ward("everything-places");
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
    weak.get("Patient/p/$everything?_type=Practitioner")
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
