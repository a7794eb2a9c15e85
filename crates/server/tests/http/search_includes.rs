//! What comes with the matches: <https://hl7.org/fhir/R4/search.html#revinclude>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::refused;

/// The matches and what is included, each sorted, and whether more was left out.
#[track_caller]
fn check(project: &Project, search: &str, matches: &str, included: &str) {
    let bundle = project.get(search).expect(200).json();
    let of_mode = |mode: &str| {
        let entries = bundle["entry"].as_array().into_iter().flatten();
        let entries = entries.filter(|entry| entry["search"]["mode"] == mode);
        let mut names: Vec<String> = entries
            .map(|entry| entry["resource"]["id"].as_str().unwrap_or("-").to_owned())
            .collect();
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(of_mode("match"), matches, "{search}");
    assert_eq!(of_mode("include"), included, "{search}");
    assert_eq!(of_mode("outcome"), "", "{search}");
}

fn put(project: &Project, resource: Value) {
    project.put(&resource).expect(201);
}

#[test]
fn several_types_bring_what_they_refer_to() {
    let project = project("includes-several");
    put(
        &project,
        json!({"resourceType": "Organization", "id": "org", "name": "Org"}),
    );
    put(
        &project,
        json!({"resourceType": "Practitioner", "id": "doc"}),
    );
    put(
        &project,
        json!({
            "resourceType": "Patient", "id": "ada", "managingOrganization": {"reference": "Organization/org"},
        }),
    );
    put(
        &project,
        json!({
            "resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
            "subject": {"reference": "Patient/ada"},
            "participant": [{"individual": {"reference": "Practitioner/doc"}}],
        }),
    );
    put(
        &project,
        json!({
            "resourceType": "Observation", "id": "heart", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/ada"}, "encounter": {"reference": "Encounter/visit"},
        }),
    );
    let base = project.base();
    let both = format!("{base}?_type=Observation,Encounter");
    let check = |search: &str, matches: &str, included: &str| {
        check(&project, search, matches, included);
    };
    check(&both, "heart visit", "");
    check(
        &format!("{both}&_include=Observation:subject"),
        "heart visit",
        "ada",
    );
    check(
        &format!("{both}&_include=Observation:encounter"),
        "heart visit",
        "",
    );
    check(
        &format!("{both}&_include=Encounter:participant"),
        "heart visit",
        "doc",
    );
    check(
        &format!("{both}&_include=Observation:subject&_include:iterate=Patient:organization"),
        "heart visit",
        "ada org",
    );
    check(&format!("{both}&_include=*"), "heart visit", "ada doc");
    check(
        &format!("{both}&_sort=_id&_count=1&_include=*"),
        "heart",
        "ada visit",
    );
    check(
        &format!("{base}?_type=Patient,Organization&_revinclude=Observation:subject"),
        "ada org",
        "heart",
    );
    check(
        &format!(
            "{base}?_type=Patient,Organization&_revinclude:iterate=Observation:encounter&_revinclude=Encounter:subject"
        ),
        "ada org",
        "heart visit",
    );
    check(
        "Patient/ada/*?_type=Observation,Encounter&_include=Encounter:participant",
        "heart visit",
        "doc",
    );
    for (search, words) in [
        (
            format!("{both}&_include=Patient:organization"),
            "must begin with",
        ),
        (
            format!("{both}&_revinclude=Patient:organization"),
            "does not lead",
        ),
        (format!("{both}&_summary=text&_include=*"), "_include"),
    ] {
        let (text, _) = refused(&project, &search);
        assert!(text.contains(words), "{search}: {text}");
    }
}

#[test]
fn canonical_urls_are_followed_in_both_directions() {
    let project = project("includes-canonical");
    for (id, version) in [("q1", Some("1.2")), ("q2", Some("1.10")), ("q0", None)] {
        let mut form = json!({
            "resourceType": "Questionnaire", "id": id, "status": "active", "url": "http://e/q",
        });
        if let Some(version) = version {
            form["version"] = version.into();
        }
        put(&project, form);
    }
    for (id, names) in [
        ("r", "http://e/q"),
        ("r1", "http://e/q|1.2"),
        ("r9", "http://e/q|9"),
    ] {
        put(
            &project,
            json!({
                "resourceType": "QuestionnaireResponse", "id": id, "status": "completed",
                "questionnaire": names,
            }),
        );
    }
    let check = |search: &str, matches: &str, included: &str| {
        check(&project, search, matches, included);
    };
    let include = "_include=QuestionnaireResponse:questionnaire";
    check(&format!("QuestionnaireResponse?_id=r&{include}"), "r", "q2");
    check(
        &format!("QuestionnaireResponse?_id=r1&{include}"),
        "r1",
        "q1",
    );
    check(&format!("QuestionnaireResponse?_id=r9&{include}"), "r9", "");
    check(
        &format!("QuestionnaireResponse?{include}"),
        "r r1 r9",
        "q1 q2",
    );
    let reverse = "_revinclude=QuestionnaireResponse:questionnaire";
    check(&format!("Questionnaire?_id=q1&{reverse}"), "q1", "r r1");
    check(&format!("Questionnaire?_id=q2&{reverse}"), "q2", "r");
    check(&format!("Questionnaire?{reverse}"), "q0 q1 q2", "r r1");
    check(
        &format!(
            "QuestionnaireResponse?_id=r1&{include}&_revinclude:iterate=QuestionnaireResponse:questionnaire"
        ),
        "r1",
        "q1 r",
    );
}

#[test]
fn only_what_is_left_out_is_told() {
    let project = project("includes-limit");
    put(&project, json!({"resourceType": "Patient", "id": "ada"}));
    let observations = |numbers: std::ops::Range<usize>| {
        let entries: Vec<Value> = numbers
            .map(|n| {
                json!({
                    "request": {"method": "PUT", "url": format!("Observation/o{n}")},
                    "resource": {
                        "resourceType": "Observation", "id": format!("o{n}"), "status": "final",
                        "code": {"text": "x"}, "subject": {"reference": "Patient/ada"},
                    },
                })
            })
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        project.post("", &bundle).expect(200);
    };
    observations(0..1000);
    let told = |search: &str| {
        let bundle = project.get(search).expect(200).json();
        let entries = bundle["entry"].as_array().unwrap();
        let of_mode = |mode: &str| {
            let entries = entries.iter();
            entries
                .filter(|entry| entry["search"]["mode"] == mode)
                .count()
        };
        (of_mode("include"), of_mode("outcome"))
    };
    let all = "Patient?_revinclude=Observation:subject";
    assert_eq!(told(all), (1000, 0));
    // What refers to a match twice is there once, and one match is no more.
    let twice =
        format!("{all}&_revinclude=Observation:patient&_include:iterate=Observation:subject");
    assert_eq!(told(&twice), (1000, 0));
    observations(1000..1001);
    assert_eq!(told(all), (1000, 1));
    // Of a chain of eight, all that `:iterate` brings is there.
    for n in 0..10 {
        let mut part = json!({"resourceType": "Location", "id": format!("l{n}")});
        if n > 0 {
            part["partOf"] = json!({"reference": format!("Location/l{}", n - 1)});
        }
        put(&project, part);
    }
    let up = "_include:iterate=Location:partof";
    assert_eq!(told(&format!("Location?_id=l8&{up}")), (8, 0));
    assert_eq!(told(&format!("Location?_id=l9&{up}")), (8, 1));
}
