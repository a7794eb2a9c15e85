//! Searches that need terminology or hierarchies: `:in`, `:not-in`, and
//! `:above` and `:below` on codes, references and canonical URLs
//! (<https://hl7.org/fhir/R4/search.html#modifiers>).

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn reference(to: &str) -> Value {
    json!({"reference": to})
}

fn condition(id: &str, system: &str, code: &str) -> Value {
    json!({
        "resourceType": "Condition", "id": id, "subject": reference("Patient/ada"),
        "code": {"coding": [{"system": system, "code": code}]},
    })
}

fn value_set(id: &str, compose: Value) -> Value {
    json!({
        "resourceType": "ValueSet", "id": id, "url": format!("http://example.org/vs/{id}"),
        "status": "active", "compose": compose,
    })
}

/// A code system of animals, value sets on it, and conditions with its codes.
fn zoo(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "CodeSystem", "id": "zoo", "url": "urn:zoo", "version": "1", "status": "active",
            "content": "complete", "hierarchyMeaning": "is-a", "concept": [
                {"code": "animal", "concept": [
                    {"code": "dog", "concept": [{"code": "pug"}]},
                    {"code": "cat"},
                ]},
                {"code": "plant"},
            ],
        }),
        value_set(
            "listed",
            json!({"include": [{"system": "urn:zoo", "concept": [{"code": "dog"}, {"code": "plant"}]}]}),
        ),
        value_set(
            "animals",
            json!({"include": [
                {"system": "urn:zoo", "filter": [{"property": "concept", "op": "is-a", "value": "animal"}]},
            ]}),
        ),
        value_set(
            "nested",
            json!({
                "include": [{"valueSet": ["http://example.org/vs/animals"]}],
                "exclude": [{"system": "urn:zoo", "concept": [{"code": "cat"}]}],
            }),
        ),
        value_set("whole", json!({"include": [{"system": "urn:loose"}]})),
        value_set(
            "lost",
            json!({"include": [{"valueSet": ["http://example.org/vs/nowhere"]}]}),
        ),
        value_set(
            "circle",
            json!({"include": [{"valueSet": ["http://example.org/vs/circle"]}]}),
        ),
        json!({"resourceType": "Patient", "id": "ada", "gender": "female"}),
        json!({"resourceType": "Patient", "id": "bob", "gender": "male"}),
        condition("cat", "urn:zoo", "cat"),
        condition("dog", "urn:zoo", "dog"),
        condition("loose", "urn:loose", "dog"),
        condition("plant", "urn:zoo", "plant"),
        condition("pug", "urn:zoo", "pug"),
    ] {
        project.put(&resource);
    }
    project
}

#[test]
fn codes_are_found_by_the_value_sets_that_they_are_in() {
    let project = zoo("terms-in");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    let set =
        |modifier: &str, id: &str| format!("Condition?code:{modifier}=http://example.org/vs/{id}");
    check(&set("in", "listed"), &["dog", "plant"]);
    check(&set("not-in", "listed"), &["cat", "loose", "pug"]);
    check(&set("in", "animals"), &["cat", "dog", "pug"]);
    check(&set("in", "nested"), &["dog", "pug"]);
    check(&set("in", "whole"), &["loose"]);
    check(
        &format!("{},http://example.org/vs/whole", set("in", "listed")),
        &["dog", "loose", "plant"],
    );
    check(
        "Condition?code:in=ValueSet/nested&_sort=_id",
        &["dog", "pug"],
    );
    // Of the release: one system, all of its codes.
    check(
        "Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender",
        &["ada", "bob"],
    );
    check(
        "Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender%7C4.0.1",
        &["ada", "bob"],
    );
    check(
        "Patient?_has:Condition:subject:code:in=http://example.org/vs/nested",
        &["ada"],
    );
    check(
        "Condition?subject:Patient.gender:not-in=ValueSet/listed&code:in=ValueSet/nested",
        &["dog", "pug"],
    );
    let counted = project.get(&format!("{}&_summary=count", set("in", "animals")));
    assert_eq!(counted.expect(200).json()["total"], 3);
}

#[test]
fn what_a_value_set_means_changes_with_it() {
    let project = zoo("terms-change");
    let search = "Condition?code:in=http://example.org/vs/listed";
    check(&project, search, &["dog", "plant"]);
    let first = project
        .get(&format!("{search}&_count=1"))
        .expect(200)
        .json();
    let listed = json!({"include": [{"system": "urn:zoo", "concept": [{"code": "cat"}]}]});
    project.put(&value_set("listed", listed));
    check(&project, search, &["cat"]);
    // The pages of a search agree with its first.
    let next = first["link"]
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["relation"] == "next");
    let next = next.unwrap()["url"]
        .as_str()
        .unwrap()
        .split_once("/p/")
        .unwrap()
        .1;
    let second = project.get(&format!("/p/{next}")).expect(200).json();
    let both = [&first, &second].map(|page| page["entry"][0]["resource"]["id"].as_str().unwrap());
    let mut both = both.to_vec();
    both.sort_unstable();
    assert_eq!(both, ["dog", "plant"]);
    // What it is composed of matters as much.
    check(
        &project,
        "Condition?code:in=ValueSet/nested",
        &["dog", "pug"],
    );
    project.put(&json!({
        "resourceType": "CodeSystem", "id": "zoo", "url": "urn:zoo", "status": "active", "content": "complete",
        "concept": [{"code": "animal", "concept": [{"code": "plant"}, {"code": "cat"}]}],
    }));
    check(&project, "Condition?code:in=ValueSet/nested", &["plant"]);
    project.delete("ValueSet/animals").expect(204);
    let (text, _) = refused(&project, "Condition?code:in=ValueSet/nested");
    assert!(text.contains("another one that is not known"), "{text}");
}

#[test]
fn versions_of_a_value_set_are_told_apart() {
    let project = zoo("terms-versions");
    for (id, version, status, code) in [
        ("v9", "1.9", "active", "dog"),
        ("v10", "1.10", "active", "cat"),
        ("v11", "1.11", "draft", "plant"),
    ] {
        project.put(&json!({
            "resourceType": "ValueSet", "id": id, "url": "urn:vs", "version": version, "status": status,
            "compose": {"include": [{"system": "urn:zoo", "concept": [{"code": code}]}]},
        }));
    }
    check(&project, "Condition?code:in=urn:vs%7C1.9", &["dog"]);
    check(&project, "Condition?code:in=urn:vs%7C1.11", &["plant"]);
    check(&project, "Condition?code:in=urn:vs", &["cat"]);
    refused(&project, "Condition?code:in=urn:vs%7C2");
}

#[test]
fn what_is_not_known_is_refused() {
    let project = zoo("terms-refused");
    for (search, part) in [
        (
            "Condition?code:in=http://example.org/vs/nowhere",
            "value set is not known",
        ),
        (
            "Condition?code:in=ValueSet/nowhere",
            "value set is not known",
        ),
        ("Condition?code:in=Patient/ada", "value set is not known"),
        (
            "Condition?code:in=http://example.org/vs/lost",
            "another one that is not known",
        ),
        (
            "Condition?code:not-in=http://example.org/vs/circle",
            "composed of itself",
        ),
        (
            "Condition?code:below=urn:nowhere%7Cdog",
            "code system is not known",
        ),
        ("Condition?code:above=urn:zoo%7Cunicorn", "no such code"),
        ("Condition?code:below=dog", "system|code"),
        ("Condition?code:below=urn:zoo%7C", "system|code"),
        (
            "Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender%7C3.0.0",
            "not known",
        ),
        ("Condition?subject:below=ada", "Type/id"),
        ("Condition?subject:below=Patient/ada", "hierarchy"),
    ] {
        let (text, place) = refused(&project, search);
        assert!(text.contains(part), "{search}: {text}");
        assert!(place.starts_with("http."), "{search}: {place}");
        let lenient = project
            .request("GET", search)
            .header("Prefer", "handling=lenient");
        project.send(lenient).expect(400);
    }
}

#[test]
fn too_many_codes_are_too_costly() {
    let project = zoo("terms-costly");
    let list = |system: &str| {
        let codes: Vec<Value> = (0..60_000)
            .map(|at| json!({"code": at.to_string()}))
            .collect();
        json!({"system": system, "concept": codes})
    };
    // Two resources, since one would be too large to be written.
    for (id, system) in [("one", "urn:a"), ("two", "urn:b")] {
        let half = value_set(id, json!({"include": [list(system)]}));
        project.put(&half).expect(201);
    }
    let sets = ["http://example.org/vs/one", "http://example.org/vs/two"];
    let parts = sets.map(|set| json!({"valueSet": [set]}));
    let include = json!({"include": parts});
    project.put(&value_set("large", include));
    let outcome = project
        .get("Condition?code:in=ValueSet/large")
        .expect(422)
        .json();
    assert_eq!(outcome["issue"][0]["code"], "too-costly");
    let text = outcome["issue"][0]["details"]["text"].as_str().unwrap();
    assert!(text.contains("too many codes"), "{text}");
}

#[test]
fn codes_are_found_by_what_subsumes_them() {
    let project = zoo("terms-below");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check(
        "Condition?code:below=urn:zoo%7Canimal",
        &["cat", "dog", "pug"],
    );
    check("Condition?code:below=urn:zoo%7Cdog", &["dog", "pug"]);
    check("Condition?code:above=urn:zoo%7Cpug", &["dog", "pug"]);
    check(
        "Condition?code:below=urn:zoo%7Ccat,urn:zoo%7Cdog",
        &["cat", "dog", "pug"],
    );
    check(
        "Condition?code:above=urn:zoo%7Cplant&code:below=urn:zoo%7Canimal",
        &[],
    );
    // Where the system is evident, and of the release.
    check("Patient?gender:below=male", &["bob"]);
    let allergy = |id: &str, status: &str| {
        let coding = json!({"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": status});
        json!({
            "resourceType": "Condition", "id": id, "subject": reference("Patient/ada"),
            "verificationStatus": {"coding": [coding]},
        })
    };
    project.put(&allergy("may-be", "differential"));
    project.put(&allergy("is", "confirmed"));
    check(
        "Condition?verification-status:below=unconfirmed",
        &["may-be"],
    );
}

/// Wards of houses of a hospital, and encounters there.
fn hospital(slug: &str) -> Project {
    let project = project(slug);
    let location = |id: &str, part_of: Option<&str>| {
        let mut location = json!({"resourceType": "Location", "id": id, "name": id});
        if let Some(part_of) = part_of {
            location["partOf"] = reference(&format!("Location/{part_of}"));
        }
        location
    };
    for (id, part_of) in [
        ("site", None),
        ("north", Some("site")),
        ("south", Some("site")),
        ("ward", Some("north")),
        ("bed", Some("ward")),
        // A circle.
        ("egg", Some("hen")),
        ("hen", Some("egg")),
    ] {
        project.put(&location(id, part_of));
    }
    for (id, at) in [
        ("at-bed", "bed"),
        ("at-north", "north"),
        ("at-south", "south"),
        ("at-hen", "hen"),
        ("at-gone", "gone"),
    ] {
        project.put(&json!({
            "resourceType": "Encounter", "id": id, "status": "finished", "class": {"code": "IMP"},
            "location": [{"location": reference(&format!("Location/{at}"))}],
        }));
    }
    project
}

#[test]
fn references_are_found_along_hierarchies() {
    let project = hospital("terms-tree");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check(
        "Encounter?location:below=Location/site",
        &["at-bed", "at-north", "at-south"],
    );
    check("Encounter?location:below=north", &["at-bed", "at-north"]);
    check(
        "Encounter?location:above=Location/bed",
        &["at-bed", "at-north"],
    );
    check("Encounter?location:below=Location/egg", &["at-hen"]);
    check("Encounter?location:above=Location/egg", &["at-hen"]);
    check("Encounter?location:below=Location/gone", &["at-gone"]);
    check(
        "Location?partof:below=Location/site",
        &["bed", "north", "south", "ward"],
    );
    check(
        "Location?partof:above=Location/ward",
        &["bed", "north", "south", "ward"],
    );
    check(
        "Encounter?location:below=Location/south,Location/ward",
        &["at-bed", "at-south"],
    );
    // More than are said one by one.
    for at in 0..70 {
        let part_of = reference("Location/bed");
        project.put(
            &json!({"resourceType": "Location", "id": format!("slot{at}"), "partOf": part_of}),
        );
    }
    check(
        "Encounter?location:below=Location/site",
        &["at-bed", "at-north", "at-south"],
    );
    let counted = project.get("Location?partof:below=Location/north&_summary=count");
    assert_eq!(counted.expect(200).json()["total"], 72);
}

#[test]
fn canonical_urls_are_found_by_their_versions_and_paths() {
    let project = project("terms-canonical");
    for (id, canonical) in [
        ("bare", "http://example.org/q/a"),
        ("v1", "http://example.org/q/a|1"),
        ("v1.0", "http://example.org/q/a|1.0"),
        ("v1.0.2", "http://example.org/q/a|1.0.2"),
        ("v12", "http://example.org/q/a|12"),
        ("other", "http://example.org/q/ab"),
    ] {
        project.put(&json!({
            "resourceType": "QuestionnaireResponse", "id": id, "status": "completed", "questionnaire": canonical,
        }));
    }
    let check = |search: &str, expect: &[&str]| {
        check(
            &project,
            &format!("QuestionnaireResponse?questionnaire:{search}"),
            expect,
        );
    };
    check(
        "below=http://example.org/q/a%7C1",
        &["v1", "v1.0", "v1.0.2"],
    );
    check("below=http://example.org/q/a%7C1.0", &["v1.0", "v1.0.2"]);
    check("above=http://example.org/q/a%7C1.0", &["v1", "v1.0"]);
    check(
        "below=http://example.org/q/a",
        &["bare", "v1", "v1.0", "v1.0.2", "v12"],
    );
    check(
        "below=http://example.org/q",
        &["bare", "other", "v1", "v1.0", "v1.0.2", "v12"],
    );
    check("above=http://example.org/q/ab/c", &["other"]);
}

#[test]
fn what_may_not_be_read_has_no_meaning() {
    let project = zoo("terms-access");
    let few = project.with(&project.client("few", "system/Condition.rs system/Patient.rs"));
    let (text, _) = refused(&few, "Condition?code:in=http://example.org/vs/listed");
    assert_eq!(
        text,
        refused(&few, "Condition?code:in=http://example.org/vs/nowhere").0
    );
    let (text, _) = refused(&few, "Condition?code:below=urn:zoo%7Cdog");
    assert_eq!(
        text,
        refused(&few, "Condition?code:below=urn:nowhere%7Cdog").0
    );
    // The release is no secret, and what a value set is composed of is its meaning.
    check(
        &few,
        "Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender",
        &["ada", "bob"],
    );
    let sets = project.with(&project.client("sets", "system/Condition.rs system/ValueSet.r"));
    check(
        &sets,
        "Condition?code:in=http://example.org/vs/nested",
        &["dog", "pug"],
    );

    let project = hospital("terms-tree-access");
    let few = project.with(&project.client("few", "system/Encounter.rs"));
    let answer = few
        .get("Encounter?location:below=Location/site")
        .expect(200)
        .json();
    assert_eq!(answer["total"], 0);
    let outcome = &answer["entry"][0]["resource"];
    let text = outcome["issue"][0]["details"]["text"].as_str().unwrap();
    assert!(text.contains("you may not search Location"), "{text}");
}

#[test]
fn conditions_of_writes_may_ask_for_terms() {
    let project = zoo("terms-write");
    let create = |set: &str| {
        let request = project.request("POST", "Condition");
        let condition = format!("code:in=http://example.org/vs/{set}&subject=Patient/ada");
        let body = condition_body();
        project.send(request.header("If-None-Exist", &condition).body(body))
    };
    create("whole").expect(200);
    create("animals").expect(412);
    create("nowhere").expect(400);
}

fn condition_body() -> String {
    json!({"resourceType": "Condition", "subject": reference("Patient/ada")}).to_string()
}
