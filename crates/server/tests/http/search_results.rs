//! Parts of resources, and what a result says of itself:
//! <https://hl7.org/fhir/R4/search.html#return>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::refused;

fn shelf(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "Patient", "id": "ada", "active": true, "birthDate": "1970-03-05", "language": "en",
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"},
            "name": [{"family": "Lovelace"}], "maritalStatus": {"text": "married"},
            "meta": {"tag": [{"system": "urn:t", "code": "kept"}]},
        }),
        json!({
            "resourceType": "Observation", "id": "heart", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/ada"}, "note": [{"text": "n"}], "valueString": "v",
        }),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

/// The names of the members of the resource in an entry, but for those that
/// every part has; and whether it says that it is a part.
#[track_caller]
fn members(project: &Project, search: &str, entry: usize) -> (Vec<String>, bool) {
    let bundle = project.get(search).expect(200).json();
    let resource = &bundle["entry"][entry]["resource"];
    let given = |name: &&String| !matches!(name.as_str(), "resourceType" | "id" | "meta");
    let mut names: Vec<String> = resource
        .as_object()
        .unwrap()
        .keys()
        .filter(given)
        .cloned()
        .collect();
    names.sort_unstable();
    assert!(resource["id"].is_string() && resource["meta"]["versionId"].is_string());
    let tags = resource["meta"]["tag"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_subset = |tag: &&Value| tag["code"] == "SUBSETTED";
    let subset = tags.iter().filter(is_subset).count();
    assert!(subset <= 1, "{tags:?}");
    (names, subset == 1)
}

#[track_caller]
fn check(project: &Project, search: &str, expect: &[&str]) {
    let (names, subset) = members(project, search, 0);
    assert_eq!(names, expect, "{search}");
    assert!(subset, "{search}");
}

#[test]
fn a_part_of_each_resource_says_that_it_is_one() {
    let project = shelf("search-subsets");
    check(
        &project,
        "Patient?_summary=true",
        &["active", "birthDate", "name"],
    );
    check(&project, "Patient?_summary=text", &["text"]);
    let data = ["active", "birthDate", "language", "maritalStatus", "name"];
    check(&project, "Patient?_summary=data", &data);
    check(&project, "Patient?_elements=name", &["name"]);
    check(
        &project,
        "Patient?_elements=maritalStatus,birthDate",
        &["birthDate", "maritalStatus"],
    );
    check(
        &project,
        "Observation?_elements=value",
        &["code", "status", "valueString"],
    );
    check(&project, "Observation?_summary=text", &["code", "status"]);
    let (_, subset) = members(&project, "Patient?_summary=false", 0);
    assert!(!subset);
    // The tags of the resource itself stay, and none is stored.
    let bundle = project.get("Patient?_elements=name").expect(200).json();
    assert_eq!(
        bundle["entry"][0]["resource"]["meta"]["tag"][0]["code"],
        "kept"
    );
    assert!(
        !project
            .get("Patient/ada")
            .expect(200)
            .body
            .contains("SUBSETTED")
    );
    // Elements are those of the matches, a summary is of all.
    let include = "Observation?_include=Observation:subject&";
    let (names, subset) = members(&project, &format!("{include}_elements=code"), 1);
    assert!(names.len() == 6 && !subset, "{names:?}");
    let (names, subset) = members(&project, &format!("{include}_summary=true"), 1);
    assert!(names.len() == 3 && subset, "{names:?}");
    let audit = project.with(&project.token);
    check(
        &audit,
        "AuditEvent?_elements=agent",
        &["agent", "recorded", "source", "type"],
    );
    // Every page is of the same part.
    let next = project
        .put(&json!({"resourceType": "Patient", "id": "bob", "active": true, "gender": "male"}));
    next.expect(201);
    let first = project.get("Patient?_elements=active&_count=1").expect(200);
    let second = project.get(&first.link("next").unwrap()).expect(200);
    assert!(second.body.contains("SUBSETTED") && !second.body.contains("birthDate"));
}

#[test]
fn a_read_gives_a_part_too() {
    let project = shelf("search-subset-read");
    let part = project.get("Patient/ada?_elements=name").expect(200);
    assert!(part.body.contains("SUBSETTED") && part.body.contains("Lovelace"));
    assert!(!part.body.contains("birthDate"));
    assert_eq!(part.header("etag"), Some("W/\"1\""));
    let text = project.get("Patient/ada?_summary=text").expect(200);
    assert!(text.body.contains("Ada</div>") && !text.body.contains("Lovelace"));
    let whole = project.get("Patient/ada?_summary=false").expect(200);
    assert_eq!(whole.body, project.get("Patient/ada").expect(200).body);
    project.get("Patient/ada?_summary=count").expect(400);
    project.get("Patient/ada?_elements=nothing").expect(400);
}

#[test]
fn versions_histories_and_audit_events_give_a_part_too() {
    let project = shelf("search-subset-versions");
    let part = project.get("Patient/ada/_history/1?_elements=name");
    let part = part.expect(200);
    assert!(part.body.contains("SUBSETTED") && part.body.contains("Lovelace"));
    assert!(!part.body.contains("birthDate"));
    project
        .get("Patient/ada/_history/1?_summary=count")
        .expect(400);
    for (path, gone) in [
        ("Patient/ada/_history?_summary=text", "Lovelace"),
        ("Patient/_history?_elements=name&_count=1", "birthDate"),
        ("_history?_elements=name,status", "birthDate"),
        ("_history?_summary=data", "Ada</div>"),
    ] {
        let history = project.get(path).expect(200);
        assert!(history.body.contains("SUBSETTED"), "{path}");
        assert!(!history.body.contains(gone), "{path}");
        let own = history.link("self").unwrap();
        assert!(
            own.contains("_elements=") || own.contains("_summary="),
            "{own}"
        );
    }
    for path in [
        "Patient/ada/_history?_elements=nothing",
        "_history?_elements=nothing",
        "Patient/_history?_summary=count",
        "Patient/_history?_count=0",
        "Patient/_history?_count=1&_count=2",
    ] {
        project.get(path).expect(400);
    }
    let auditor = project.with(&project.token);
    let events = auditor.get("AuditEvent?_count=1").expect(200);
    let event = format!("{}?_elements=agent", events.found()[0]);
    let part = auditor.get(&event).expect(200);
    assert!(part.body.contains("SUBSETTED") && !part.body.contains("\"outcome\""));
    auditor.get("AuditEvent?_include=*").expect(400);
    // The same in a batch, where compartments are searched too.
    let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        get("Patient/ada?_elements=name"),
        get("Patient/ada/_history/1?_elements=name"),
        get("Patient/ada/Observation?_summary=count"),
        get("?_type=Patient,Observation&_summary=count"),
    ]});
    let answer = project.post("", &batch).expect(200).json();
    for entry in [0, 1] {
        let resource = &answer["entry"][entry]["resource"];
        assert_eq!(resource["birthDate"], Value::Null, "{answer}");
        assert_eq!(resource["name"][0]["family"], "Lovelace");
    }
    assert_eq!(answer["entry"][2]["resource"]["total"], 1);
    assert_eq!(answer["entry"][3]["resource"]["total"], 2);
}

#[test]
fn the_own_link_says_what_was_used() {
    let project = shelf("search-self");
    let check = |query: &str, expect: &str, told: usize| {
        let get = project
            .request("GET", &format!("Patient?{query}"))
            .header("Prefer", "handling=lenient");
        let post = project
            .request("POST", "Patient/_search")
            .header("Prefer", "handling=lenient")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query);
        for answer in [get, post].map(|request| project.send(request).expect(200)) {
            let own = answer.link("self").unwrap();
            assert_eq!(own.split_once("/Patient").unwrap().1, expect, "{query}");
            let bundle = answer.json();
            let entries = bundle["entry"].as_array().into_iter().flatten();
            let outcomes: Vec<&Value> = entries
                .filter(|entry| entry["search"]["mode"] == "outcome")
                .map(|entry| &entry["resource"]["issue"])
                .collect();
            assert_eq!(outcomes.len(), told.min(1), "{query}");
            let issues = outcomes
                .first()
                .map_or(0, |it| it.as_array().unwrap().len());
            assert_eq!(issues, told, "{query}");
        }
    };
    check("", "", 0);
    check(
        "_count=5&active=true&_sort=_id",
        "?active=true&_sort=_id&_count=5",
        0,
    );
    check("_count=5000&_format=json", "?_count=1000", 0);
    check(
        "nothing=1&_summary=data&name:odd=x&active=true",
        "?active=true&_summary=data",
        2,
    );
    check("_sort=family,nothing&birthdate=1970", "?birthdate=1970", 1);
}

#[test]
fn parts_that_make_no_sense_are_refused() {
    let project = shelf("search-subsets-refused");
    let (text, place) = refused(
        &project,
        "Observation?_summary=text&_include=Observation:subject",
    );
    assert!(text.contains("_include"), "{text}");
    assert_eq!(place, "http._summary");
    refused(&project, "Patient?_summary=true&_elements=name");
    refused(&project, "Patient?_summary=true&_summary=false");
    let (text, _) = refused(&project, "Patient?_elements=name,nothing");
    assert!(text.contains("no element of Patient"), "{text}");
}

/// The ids of what is found and included, and the text of the outcome entry.
fn with_outcome(project: &Project, search: &str) -> (Vec<String>, Option<String>) {
    let answer = project.get(search).expect(200);
    let mut found = answer.found();
    let outcome = found
        .iter()
        .position(|id| id.starts_with("OperationOutcome"));
    let text = outcome.map(|at| {
        let entry = &answer.json()["entry"][at];
        assert_eq!(entry["search"]["mode"], "outcome");
        let text = &entry["resource"]["issue"][0]["details"]["text"];
        text.as_str().unwrap().to_owned()
    });
    found.retain(|id| !id.starts_with("OperationOutcome"));
    found.sort_unstable();
    (found, text)
}

#[test]
fn includes_follow_canonical_urls() {
    let project = project("search-canonical-includes");
    let questionnaire = |id: &str, version: &str| {
        json!({
            "resourceType": "Questionnaire", "id": id, "status": "active",
            "url": "http://example.org/q", "version": version,
        })
    };
    let answers = |id: &str, of: &str| {
        json!({
            "resourceType": "QuestionnaireResponse", "id": id, "status": "completed", "questionnaire": of,
        })
    };
    for resource in [
        questionnaire("q1", "1"),
        questionnaire("q2", "2"),
        answers("any", "http://example.org/q"),
        answers("first", "http://example.org/q|1"),
        answers("other", "http://example.org/none"),
    ] {
        project.put(&resource).expect(201);
    }
    let check = |id: &str, expect: &[&str]| {
        let include = "_include=QuestionnaireResponse:questionnaire";
        let search = format!("QuestionnaireResponse?_id={id}&{include}");
        assert_eq!(with_outcome(&project, &search).0, expect, "{id}");
    };
    // Without a version the newest is meant.
    check("any", &["Questionnaire/q2", "QuestionnaireResponse/any"]);
    check(
        "first",
        &["Questionnaire/q1", "QuestionnaireResponse/first"],
    );
    check("other", &["QuestionnaireResponse/other"]);
}

#[test]
fn includes_that_are_cut_say_so() {
    let project = project("search-cut-includes");
    let organization = |number: usize| {
        let mut resource =
            json!({"resourceType": "Organization", "id": format!("o{number}"), "name": "x"});
        if number > 0 {
            resource["partOf"] = json!({"reference": format!("Organization/o{}", number - 1)});
        }
        resource
    };
    let put = |resource: Value| {
        let url = format!(
            "{}/{}",
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        json!({"resource": resource, "request": {"method": "PUT", "url": url}})
    };
    let flat = (0..1002).map(|number| {
        put(json!({
            "resourceType": "Basic", "id": format!("b{number}"), "code": {"text": "x"},
            "subject": {"reference": "Organization/o0"},
        }))
    });
    let entries: Vec<Value> = (0..12)
        .map(|number| put(organization(number)))
        .chain(flat)
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    project.post("", &bundle).expect(200);
    let (found, text) = with_outcome(&project, "Organization?_id=o0&_revinclude=Basic:subject");
    assert_eq!(found.len(), 1001);
    assert!(text.unwrap().contains("more to include"));
    // One round without :iterate, eight with it.
    let (found, text) = with_outcome(&project, "Organization?_id=o9&_include=Organization:partof");
    assert_eq!((found.len(), text), (2, None));
    let iterate = "&_include:iterate=Organization:partof";
    let (found, text) = with_outcome(&project, &format!("Organization?_id=o11{iterate}"));
    assert_eq!(found.len(), 9);
    assert!(text.unwrap().contains("more to include"));
    let (found, text) = with_outcome(&project, &format!("Organization?_id=o4{iterate}"));
    assert_eq!((found.len(), text), (5, None));
    let (found, _) = with_outcome(&project, "Basic?_id=b1&_include=*");
    assert_eq!(found, ["Basic/b1", "Organization/o0"]);
    let (text, _) = refused(&project, "Organization?_revinclude=*");
    assert!(text.contains("Type:*"), "{text}");
}
