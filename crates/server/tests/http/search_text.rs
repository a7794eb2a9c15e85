//! Full text: <https://hl7.org/fhir/R4/search.html#content>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn narrative(text: &str) -> Value {
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{text}</p></div>");
    json!({"status": "generated", "div": div})
}

fn condition(id: &str, code: &str, note: &str) -> Value {
    json!({
        "resourceType": "Condition", "id": id, "subject": {"reference": "Patient/ann"},
        "code": {"text": code, "coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
        "note": [{"text": note}],
    })
}

fn ward(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "Patient", "id": "ann", "name": [{"family": "Chalmers"}],
            "identifier": [{"system": "urn:mrn", "value": "wound-1"}],
            "text": narrative("Ann &amp; her <b>Diabètes</b> since a heart attack"),
        }),
        json!({
            "resourceType": "Patient", "id": "bob", "name": [{"family": "Heart"}],
            "managingOrganization": {"reference": "#o"},
            "contained": [{"resourceType": "Organization", "id": "o", "name": "Clinic", "text": narrative("a heart clinic")}],
        }),
        condition(
            "sugar",
            "Diabetes mellitus type 2",
            "an infection of the foot",
        ),
        condition(
            "wound",
            "Infected wound",
            "seen on the foot, foot and foot again",
        ),
        condition(
            "heart",
            "Attack",
            "the heart had no attack; a beta-blocker was given",
        ),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

#[test]
fn words_are_found_in_any_form_and_where_they_stand() {
    let project = ward("text-words");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check("Patient?_content=DIABETES", &["ann"]);
    check("Patient?_text=diabetes", &["ann"]);
    check("Condition?_content=diabetes", &["sugar"]);
    check("Condition?_content=infections", &["sugar", "wound"]);
    check("Condition?_content=foot+diabetes", &["sugar"]);
    check("Condition?_content=diabetes+wound", &[]);
    // Narratives are asked alone, and contained ones do not count as one.
    check("Condition?_text=diabetes", &[]);
    check("Patient?_text=heart", &["ann"]);
    check("Patient?_text=chalmers", &[]);
    check("Patient?_content=clinic", &["bob"]);
    // What is an address is no text.
    check("Condition?_content=ann", &[]);
    check("Condition?_content=44054006", &[]);
    check("Condition?_content=snomed", &[]);
    check("Patient?_content=wound", &[]);
}

#[test]
fn phrases_beginnings_and_conditions() {
    let project = ward("text-syntax");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check("Patient?_text=%22heart+attacks%22", &["ann"]);
    check("Condition?_content=heart+attack", &["heart"]);
    check("Condition?_content=%22heart+attack%22", &[]);
    // A phrase does not go from one string to the next.
    check("Condition?_content=%22attack+the%22", &[]);
    check("Condition?_content=beta-blockers", &["heart"]);
    check("Condition?_content=blocker-beta", &[]);
    check("Condition?_content=infectio*", &["sugar"]);
    check("Condition?_content=infect*", &["sugar", "wound"]);
    check("Condition?_content=%22beta+block*%22", &["heart"]);
    check("Condition?_content=foot+-diabetes", &["wound"]);
    check("Condition?_content=foot+NOT+(diabetes+OR+wound)", &[]);
    check("Condition?_content=mellitus+OR+wound", &["sugar", "wound"]);
    check("Condition?_content=mellitus,wound", &["sugar", "wound"]);
    check("Condition?_content=foot&_content=wound", &["wound"]);
}

#[test]
fn matches_are_ranked_and_have_scores() {
    let project = ward("text-scores");
    let page = project.get("Condition?_content=foot").expect(200);
    assert_eq!(page.found(), ["Condition/wound", "Condition/sugar"]);
    let scores = scores(&page.json());
    assert!(
        1.0 >= scores[0] && scores[0] > scores[1] && scores[1] > 0.0,
        "{scores:?}"
    );
    let same = project
        .get("Condition?_content=foot&_sort=_score")
        .expect(200);
    assert_eq!(same.found(), page.found());
    let other = project.get("Condition?_content=foot&_sort=_id").expect(200);
    assert_eq!(other.found(), ["Condition/sugar", "Condition/wound"]);
    assert_eq!(scores.len(), self::scores(&other.json()).len());
    // Of those that are as good, the newest first; and so in pages.
    let all = project
        .get("Condition?_content=foot+OR+heart")
        .expect(200)
        .found();
    let (mut found, mut next) = (
        Vec::new(),
        Some("Condition?_content=foot+OR+heart&_count=1".to_owned()),
    );
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        found.extend(page.found());
        next = page.link("next");
    }
    assert_eq!(found, all);
    assert_eq!(all.len(), 3);
    let plain = project.get("Condition?_id=sugar").expect(200).json();
    assert!(plain["entry"][0]["search"].get("score").is_none());
}

fn scores(bundle: &Value) -> Vec<f64> {
    let entries = bundle["entry"].as_array().unwrap();
    let score = |entry: &Value| entry["search"]["score"].as_f64();
    entries.iter().filter_map(score).collect()
}

#[test]
fn texts_go_with_everything_else() {
    let project = ward("text-together");
    let base = project.base();
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check(
        "Condition?_content=foot&code=44054006&_id=wound",
        &["wound"],
    );
    check(
        "Condition?subject:Patient._content=diabetes&_content=foot",
        &["sugar", "wound"],
    );
    check("Condition?subject:Patient._text=clinic", &[]);
    check("Patient?_has:Condition:patient:_content=mellitus", &["ann"]);
    let count = project
        .get("Condition?_content=foot&_summary=count")
        .expect(200);
    assert_eq!(count.json()["total"], 2);
    let total = project
        .get("Condition?_content=foot&_count=1&_total=accurate")
        .expect(200);
    assert_eq!(total.json()["total"], 2);
    let included = project
        .get("Condition?_content=mellitus&_include=Condition:subject")
        .expect(200);
    assert_eq!(included.json()["entry"][1]["resource"]["id"], "ann");
    assert!(included.json()["entry"][1]["search"].get("score").is_none());
    let own = project
        .get("Patient/ann/Condition?_content=foot")
        .expect(200);
    assert_eq!(own.found().len(), 2);
    let several = project
        .get(&format!("{base}?_type=Patient,Condition&_content=diabetes"))
        .expect(200);
    assert_eq!(several.found().len(), 2);
    let scores = scores(&several.json());
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let everywhere = project.get(&format!("{base}?_content=heart")).expect(200);
    assert_eq!(everywhere.found().len(), 3);
}

#[test]
fn texts_change_with_their_resources_and_pages_do_not() {
    let project = ward("text-changes");
    let first = project.get("Condition?_content=foot&_count=1").expect(200);
    project
        .put(&condition("sugar", "Gout", "of the toe"))
        .expect(200);
    project.delete("Condition/wound").expect(204);
    check(&project, "Condition?_content=foot", &[]);
    check(&project, "Condition?_content=diabetes", &[]);
    check(&project, "Condition?_content=gout+toe", &["sugar"]);
    let second = project.get(&first.link("next").unwrap()).expect(200);
    assert_eq!(second.found(), ["Condition/sugar"]);
    // A condition of a write knows texts too.
    let new = json!({"resourceType": "Condition", "subject": {"reference": "Patient/ann"}});
    let create = |condition: &str| {
        let request = project
            .request("POST", "Condition")
            .header("If-None-Exist", condition);
        project.send(request.body(new.to_string()))
    };
    create("_content=gout").expect(200);
    create("_content=mellitus").expect(201);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let project = ward("text-refused");
    let refused = |search: &str, expect: &str, place: &str| {
        let (text, at) = refused(&project, search);
        assert!(text.contains(expect), "{search}: {text}");
        assert_eq!(at, place);
    };
    refused("Patient?_content=", "lacks a word", "http._content");
    refused("Patient?_text=-heart", "nothing beside", "http._text");
    refused("Patient?_content=%22heart", "not closed", "http._content");
    refused("Patient?_content=he*art", "*", "http._content");
    refused(
        "Patient?_content:exact=heart",
        "no modifiers",
        "http._content:exact",
    );
    refused(
        "Patient?_sort=_score",
        "needs _text or _content",
        "http._sort",
    );
    refused("Patient?_content=x&_sort=-_score", "_score", "http._sort");
    refused(
        "Binary?_text=heart",
        "unknown search parameter",
        "http._text",
    );
}
