//! Chains and `_has` over canonical URLs
//! (<https://hl7.org/fhir/R4/references.html#canonical>).

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::check;

fn form(id: &str, url: &str, version: Option<&str>, title: &str) -> Value {
    let mut form = json!({
        "resourceType": "Questionnaire", "id": id, "status": "active", "url": url, "title": title,
    });
    if let Some(version) = version {
        form["version"] = version.into();
    }
    form
}

fn answers(id: &str, names: &str, status: &str) -> Value {
    json!({
        "resourceType": "QuestionnaireResponse", "id": id, "status": status,
        "questionnaire": names, "subject": {"reference": "Patient/ada"},
    })
}

/// Two forms, one of them in two versions, and what answers them.
fn forms(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({"resourceType": "Patient", "id": "ada", "name": [{"family": "Lovelace"}]}),
        form("pain1", "http://e/pain", Some("1"), "Pain"),
        form("pain2", "http://e/pain", Some("2"), "Pain and sleep"),
        form("mood", "http://e/mood", None, "Mood"),
        form("moody", "http://e/moody", None, "Moody"),
        answers("any", "http://e/pain", "completed"),
        answers("first", "http://e/pain|1", "completed"),
        answers("second", "http://e/pain|2", "in-progress"),
        answers("gone", "http://e/pain|9", "amended"),
        answers("glad", "http://e/mood", "amended"),
        answers("part", "http://e/mood#1", "stopped"),
        answers("old", "http://e/mood|1", "stopped"),
        answers("none", "http://e/none", "completed"),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

#[test]
fn chains_follow_canonical_urls() {
    let project = forms("canonical-chains");
    let check = |search: &str, expect: &[&str]| {
        check(&project, &format!("QuestionnaireResponse?{search}"), expect);
    };
    check("questionnaire.title=pain", &["any", "first", "second"]);
    check("questionnaire.title=pain%20and", &["any", "second"]);
    check("questionnaire.version=1", &["any", "first"]);
    check("questionnaire.title=mood", &["glad", "part"]);
    check("questionnaire.title=sad", &[]);
    check("questionnaire:Questionnaire._id=pain1", &["any", "first"]);
    check(
        "questionnaire:Questionnaire.url=http://e/pain,http://e/mood",
        &["any", "first", "glad", "part", "second"],
    );
    check(
        "questionnaire.title:exact=Pain&status=completed",
        &["any", "first"],
    );
    check("questionnaire.version:missing=true", &["glad", "part"]);
    check("_filter=questionnaire.title%20eq%20mood", &["glad", "part"]);
    check(
        "_filter=not(questionnaire.title%20sw%20pain)",
        &["glad", "gone", "none", "old", "part"],
    );
    // Through what is referred to, in the middle and at the end.
    crate::search::check(
        &project,
        "Patient?_has:QuestionnaireResponse:subject:questionnaire.title=mood",
        &["ada"],
    );
    check(
        "questionnaire._has:QuestionnaireResponse:questionnaire:status=in-progress",
        &["any", "second"],
    );
    // Ordered, counted and continued like others.
    let page = project
        .get("QuestionnaireResponse?questionnaire.title=pain&_sort=status&_count=2&_total=accurate")
        .expect(200);
    assert_eq!(page.json()["total"], 3);
    // A page shows the state of the first.
    project
        .put(&form("pain1", "http://e/else", Some("1"), "Else"))
        .expect(200);
    let next = project.get(&page.link("next").unwrap()).expect(200);
    assert_eq!(next.found(), ["QuestionnaireResponse/second"]);
    check("questionnaire.version=1", &[]);
    check("questionnaire.title=pain", &["any", "second"]);
}

#[test]
fn has_follows_canonical_urls() {
    let project = forms("canonical-has");
    let check = |search: &str, expect: &[&str]| {
        check(&project, &format!("Questionnaire?{search}"), expect);
    };
    let has = "_has:QuestionnaireResponse:questionnaire";
    check(&format!("{has}:status=completed"), &["pain1", "pain2"]);
    check(&format!("{has}:status=in-progress"), &["pain2"]);
    check(&format!("{has}:status=amended"), &["mood"]);
    check(&format!("{has}:_id=first"), &["pain1"]);
    check(&format!("{has}:_id=gone,none"), &[]);
    check(
        &format!("{has}:subject:Patient.name=love&title=mood"),
        &["mood"],
    );
    check(&format!("{has}:status=entered-in-error"), &[]);
}

#[test]
fn urls_of_many_kinds_are_followed() {
    let project = project("canonical-kinds");
    let plan = |id: &str, action: Value, library: &str| {
        json!({
            "resourceType": "PlanDefinition", "id": id, "status": "active",
            "library": [library], "action": [action],
        })
    };
    for resource in [
        json!({"resourceType": "ActivityDefinition", "id": "walk", "status": "active", "url": "http://e/walk", "name": "Walk"}),
        json!({"resourceType": "Library", "id": "logic", "status": "active", "url": "http://e/logic", "name": "Logic", "type": {"text": "x"}}),
        plan(
            "canonical",
            json!({"definitionCanonical": "http://e/walk"}),
            "http://e/logic|1",
        ),
        plan(
            "uri",
            json!({"definitionUri": "http://e/walk"}),
            "http://e/logic",
        ),
        plan(
            "local",
            json!({"definitionCanonical": "ActivityDefinition/walk"}),
            "http://e/other",
        ),
    ] {
        project.put(&resource).expect(201);
    }
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    // A URL and a literal reference mean the same.
    check(
        "PlanDefinition?definition.name=walk",
        &["canonical", "local", "uri"],
    );
    check("PlanDefinition?depends-on:Library.name=logic", &["uri"]);
    check(
        "Library?_has:PlanDefinition:depends-on:_id=uri,local",
        &["logic"],
    );
    check("Library?_has:PlanDefinition:depends-on:_id=canonical", &[]);
    check(
        "ActivityDefinition?_has:PlanDefinition:definition:_id=local",
        &["walk"],
    );
}

#[test]
fn what_may_not_be_found_is_not_followed() {
    let project = forms("canonical-access");
    let observer = project.client("observer", "system/QuestionnaireResponse.rs");
    let observer = project.with(&observer);
    let bundle = observer.get("QuestionnaireResponse?questionnaire.title=pain");
    let bundle = bundle.expect(200).json();
    assert_eq!(bundle["total"], 0);
    assert_eq!(
        bundle["entry"][0]["resource"]["issue"][0]["code"],
        "suppressed"
    );
    let reader = project.with(&project.client("reader", "system/Questionnaire.rs"));
    let search = "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed";
    let bundle = reader.get(search).expect(200).json();
    assert_eq!(bundle["total"], 0);
    assert_eq!(
        bundle["entry"][0]["resource"]["issue"][0]["code"],
        "suppressed"
    );
}

#[test]
fn many_that_refer_are_followed_and_too_many_urls_are_refused() {
    let project = forms("canonical-many");
    let put_all = |all: Vec<Value>| {
        let put = |resource: Value| {
            let (ty, id) = (resource["resourceType"].clone(), resource["id"].clone());
            let url = format!("{}/{}", ty.as_str().unwrap(), id.as_str().unwrap());
            json!({"request": {"method": "PUT", "url": url}, "resource": resource})
        };
        let entries: Vec<Value> = all.into_iter().map(put).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        project.post("", &bundle).expect(200);
    };
    let many = (0..1001).map(|n| answers(&format!("r{n}"), "http://e/pain|1", "completed"));
    put_all(many.collect());
    let has = "Questionnaire?_has:QuestionnaireResponse:questionnaire:status";
    check(&project, &format!("{has}=completed"), &["pain1", "pain2"]);
    check(
        &project,
        &format!("{has}=completed,amended"),
        &["mood", "pain1", "pain2"],
    );
    project.delete("QuestionnaireResponse/any").expect(204);
    check(&project, &format!("{has}=completed"), &["pain1"]);
    let many = (0..1000).map(|n| form(&format!("f{n}"), &format!("http://e/{n}"), None, "Many"));
    put_all(many.collect());
    check(
        &project,
        "QuestionnaireResponse?questionnaire.title=many",
        &[],
    );
    for search in [
        "QuestionnaireResponse?questionnaire.status=active".to_owned(),
        format!("{has}=completed"),
    ] {
        let answer = project.get(&search).expect(422).json();
        assert_eq!(answer["issue"][0]["code"], "too-costly", "{search}");
    }
}
