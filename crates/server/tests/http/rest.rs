//! The life of a resource: <https://hl7.org/fhir/R4/http.html>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::host::{Project, project};

fn patient(family: &str) -> Value {
    json!({"resourceType": "Patient", "name": [{"family": family}]})
}

#[test]
fn a_resource_lives_from_create_to_delete_and_again() {
    let project = project("rest-life");
    let created = project.post("Patient", &patient("One")).expect(201);
    let id = created.id();
    let path = format!("Patient/{id}");
    assert_eq!(created.header("etag"), Some("W/\"1\""));
    let base = format!(
        "{}/p/rest-life/fhir",
        project.server.ready["base"].as_str().unwrap()
    );
    let location = format!("{base}/{path}/_history/1");
    assert_eq!(created.header("location"), Some(&*location));
    assert_eq!(created.json()["meta"]["versionId"], "1");

    let read = project.get(&path).expect(200);
    assert_eq!(read.header("etag"), Some("W/\"1\""));
    assert_eq!(
        read.header("last-modified"),
        created.header("last-modified")
    );
    assert_eq!(
        read.header("content-type"),
        Some("application/fhir+json; charset=utf-8")
    );
    assert_eq!(read.body, created.body);

    let mut second = patient("Two");
    second["id"] = json!(id);
    let updated = project.put(&second).expect(200);
    assert_eq!(updated.header("etag"), Some("W/\"2\""));
    assert_eq!(updated.header("location"), None);
    let one = project.get(&format!("{path}/_history/1")).expect(200);
    assert_eq!(
        (one.header("etag"), &one.body),
        (Some("W/\"1\""), &created.body)
    );
    assert_eq!(
        project.get(&format!("{path}/_history/2")).expect(200).body,
        updated.body
    );

    let deleted = project.delete(&path).expect(204);
    assert_eq!(
        (deleted.header("etag"), &*deleted.body),
        (Some("W/\"3\""), "")
    );
    project.get(&path).expect(410);
    project.get(&format!("{path}/_history/1")).expect(200);
    project.get(&format!("{path}/_history/3")).expect(410);
    project.get(&format!("{path}/_history/4")).expect(404);
    project.delete(&path).expect(204);

    let again = project.put(&second).expect(201);
    assert_eq!(again.header("etag"), Some("W/\"4\""));
    check_history(
        &project,
        &format!("{path}/_history"),
        &["PUT 4 201", "DELETE 3 204", "PUT 2 200", "POST 1 201"],
    );
    check_history(
        &project,
        "Patient/_history",
        &["PUT 4 201", "DELETE 3 204", "PUT 2 200", "POST 1 201"],
    );
    check_history(
        &project,
        "_history",
        &["PUT 4 201", "DELETE 3 204", "PUT 2 200", "POST 1 201"],
    );
}

#[track_caller]
fn check_history(project: &Project, path: &str, expect: &[&str]) {
    let bundle = project.get(path).expect(200).json();
    assert_eq!(bundle["type"], "history");
    let entries = bundle["entry"].as_array().unwrap().iter();
    let found: Vec<String> = entries
        .map(|entry| {
            let etag = entry["response"]["etag"].as_str().unwrap();
            let version = etag.trim_matches(|c| "W/\"".contains(c));
            let method = entry["request"]["method"].as_str().unwrap();
            let status = entry["response"]["status"].as_str().unwrap();
            format!("{method} {version} {status}")
        })
        .collect();
    assert_eq!(found, expect, "{path}");
}

#[test]
fn an_update_creates_what_is_not_there() {
    let project = project("rest-update-create");
    let mut mine = patient("Mine");
    mine["id"] = json!("my-own.id-1");
    let created = project.put(&mine).expect(201);
    assert_eq!(created.id(), "my-own.id-1");
    assert_eq!(
        project.get("Patient/my-own.id-1").expect(200).json()["name"],
        mine["name"]
    );
    // A UUID, even of the server's form, is the client's all the same.
    let history = ["PUT 2 200", "PUT 1 201"];
    for id in ["my-own.id-2", "018bcfe5-687b-7fff-bfff-ffffffff79e7"] {
        mine["id"] = json!(id);
        project.put(&mine).expect(201);
        project.put(&mine).expect(200);
        check_history(&project, &format!("Patient/{id}/_history"), &history);
        // The version before may be on the next page.
        let first = format!("Patient/{id}/_history?_count=1");
        check_history(&project, &first, &history[..1]);
    }
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": mine, "request": {"method": "POST", "url": "Patient"}},
    ]});
    let made = project.post("", &bundle).expect(200).json();
    let location = made["entry"][0]["response"]["location"].as_str().unwrap();
    let path = location.strip_suffix("/1").unwrap();
    check_history(&project, path, &["POST 1 201"]);
}

#[test]
fn what_never_was_is_not_found() {
    let project = project("rest-absent");
    project.get("Patient/none").expect(404);
    project.get("Patient/none/_history").expect(404);
    project.get("Patient/none/_history/1").expect(404);
    project.delete("Patient/none").expect(204);
    project.get("Patient/none").expect(404);
}

#[test]
fn prefer_says_what_a_write_answers() {
    let project = project("rest-prefer");
    let create = |prefer: &str| {
        let request = project.request("POST", "Patient").header("Prefer", prefer);
        project
            .send(request.body(patient("P").to_string()))
            .expect(201)
    };
    assert_eq!(create("return=minimal").body, "");
    assert_eq!(
        create("return=OperationOutcome").json()["resourceType"],
        "OperationOutcome"
    );
    assert_eq!(
        create("return=representation").json()["resourceType"],
        "Patient"
    );
    assert_eq!(create("wait=10, return=minimal").body, "");
    assert_eq!(create("what=ever").json()["resourceType"], "Patient");
    let delete = |prefer: &str| {
        let id = create("").json()["id"].as_str().unwrap().to_owned();
        let path = format!("Patient/{id}");
        project.send(project.request("DELETE", &path).header("Prefer", prefer))
    };
    for prefer in ["return=minimal", "return=representation"] {
        assert_eq!(delete(prefer).expect(204).body, "");
    }
    let told = delete("return=OperationOutcome").expect(200);
    assert_eq!(told.json()["resourceType"], "OperationOutcome");
    let applied = told.header("preference-applied");
    assert_eq!(applied, Some("return=OperationOutcome"));
}

#[test]
fn prefer_says_what_the_entries_of_a_bundle_answer() {
    let project = project("rest-prefer-bundle");
    for ty in ["batch", "transaction"] {
        let bundle = json!({"resourceType": "Bundle", "type": ty, "entry": [
            {"resource": patient("P"), "request": {"method": "POST", "url": "Patient"}},
            {"request": {"method": "GET", "url": "Patient?_summary=count"}},
        ]});
        let send = |prefer: &str| {
            let request = project.request("POST", "").header("Prefer", prefer);
            let answer = project.send(request.body(bundle.to_string())).expect(200);
            assert_eq!(
                answer.json()["entry"][1]["resource"]["resourceType"],
                "Bundle"
            );
            answer.json()["entry"][0].clone()
        };
        let written = send("return=minimal");
        assert_eq!(written.get("resource"), None);
        assert_eq!(written["response"].get("outcome"), None);
        let written = send("return=representation");
        assert_eq!(written["resource"]["name"][0]["family"], "P");
        let written = send("return=OperationOutcome");
        assert_eq!(written.get("resource"), None);
        let outcome = &written["response"]["outcome"];
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert_eq!(outcome["issue"][0]["severity"], "information");
    }
}

/// What a write of each kind answers, by its status and what it prefers.
#[track_caller]
fn check_preferred(project: &Project, (method, path): (&str, &str), body: &str, status: u16) {
    for (prefer, ty) in [
        ("return=minimal", None),
        ("return=representation", Some("Patient")),
        ("return=OperationOutcome", Some("OperationOutcome")),
    ] {
        let request = project.request(method, path).header("Prefer", prefer);
        let request = match method {
            "PATCH" => request.header("Content-Type", "application/json-patch+json"),
            _ => request,
        };
        let answer = project.send(request.body(body)).expect(status);
        assert_eq!(answer.header("preference-applied"), Some(prefer), "{path}");
        assert!(answer.header("etag").is_some(), "{method} {path}");
        let found = (!answer.body.is_empty()).then(|| answer.json()["resourceType"].clone());
        assert_eq!(
            found.as_ref().and_then(Value::as_str),
            ty,
            "{method} {path}"
        );
    }
}

#[test]
fn every_write_answers_as_is_preferred() {
    let project = project("rest-preferred");
    let whole = patient("P").to_string();
    let given = json!({"resourceType": "Patient", "id": "a", "gender": "other"}).to_string();
    project
        .put(&serde_json::from_str(&given).unwrap())
        .expect(201);
    check_preferred(&project, ("POST", "Patient"), &whole, 201);
    check_preferred(&project, ("PUT", "Patient/a"), &given, 200);
    check_preferred(&project, ("PUT", "Patient?_id=a"), &given, 200);
    let patch = r#"[{"op":"add","path":"/active","value":true}]"#;
    check_preferred(&project, ("PATCH", "Patient/a"), patch, 200);
    check_preferred(&project, ("PATCH", "Patient?_id=a"), patch, 200);
    let read = project.request("GET", "Patient/a");
    let read = project.send(read.header("Prefer", "return=minimal"));
    assert_eq!(read.expect(200).header("preference-applied"), None);
    // The first of two counts, and none that is unknown.
    let twice = project.request("PUT", "Patient/a");
    let twice = twice.header(
        "Prefer",
        "return=all, return=minimal, return=representation",
    );
    assert_eq!(project.send(twice.body(given)).expect(200).body, "");
}

#[test]
fn format_and_pretty() {
    let project = project("rest-format");
    project
        .put(&json!({"resourceType": "Basic", "id": "a", "code": {"text": "x"}}))
        .expect(201);
    let plain = project.get("Basic/a").expect(200).body;
    for path in [
        "Basic/a?_format=json",
        "Basic/a?_format=application/fhir%2Bjson",
        "Basic/a?_format=application/json",
        "Basic/a?_pretty=false",
    ] {
        assert_eq!(project.get(path).expect(200).body, plain, "{path}");
    }
    let pretty = project.get("Basic/a?_pretty=true").expect(200);
    assert!(pretty.body.contains("\n  \"id\": \"a\""), "{}", pretty.body);
    assert_eq!(
        pretty.json(),
        serde_json::from_str::<Value>(&plain).unwrap()
    );
    for path in ["Basic/a?_format=ttl", "Basic?_format=text/html"] {
        project.get(path).expect(406);
    }
    let accept =
        |value: &str| project.send(project.request("GET", "Basic/a").header("Accept", value));
    accept("application/fhir+xml, */*;q=0.1").expect(200);
    accept("application/fhir+json").expect(200);
    accept("text/turtle").expect(406);
}

#[test]
fn head_answers_without_a_body() {
    let project = project("rest-head");
    let id = project.post("Patient", &patient("H")).expect(201).id();
    let head = project
        .send(project.request("HEAD", &format!("Patient/{id}")))
        .expect(200);
    assert_eq!((head.header("etag"), &*head.body), (Some("W/\"1\""), ""));
}

#[test]
fn history_pages_and_begins_where_asked() {
    let project = project("rest-history");
    let mut updated = Vec::new();
    for round in 0..5 {
        let mut resource = patient(&format!("Round {round}"));
        resource["id"] = json!("a");
        updated.push(project.put(&resource).json()["meta"]["lastUpdated"].clone());
        project
            .post(
                "Basic",
                &json!({"resourceType": "Basic", "code": {"text": "b"}}),
            )
            .expect(201);
    }
    for path in ["Patient/a/_history", "Patient/_history", "_history"] {
        let expect = match path {
            "_history" => 5 + project.count("Basic"),
            _ => 5,
        };
        let (mut seen, mut next) = (Vec::new(), Some(format!("{path}?_count=2")));
        while let Some(path) = next {
            let page = project.get(&path).expect(200);
            let entries = page.json()["entry"].as_array().cloned().unwrap_or_default();
            assert!(entries.len() <= 2);
            seen.extend(
                entries
                    .iter()
                    .map(|e| format!("{}{}", e["fullUrl"], e["response"]["etag"])),
            );
            next = page.link("next");
            // What is written meanwhile is on no page.
            project.post(
                "Basic",
                &json!({"resourceType": "Basic", "code": {"text": "b"}}),
            );
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!(
            (seen.len(), distinct.len()),
            (expect as usize, expect as usize),
            "{path}"
        );
    }
    let since = updated[3].as_str().unwrap();
    let found = project
        .get(&format!("Patient/a/_history?_since={since}"))
        .expect(200);
    let found = found.json()["entry"].as_array().unwrap().len();
    assert!((2..=5).contains(&found), "{found}");
    project.get("Patient/a/_history?_since=soon").expect(400);
    project.get("Patient/a/_history?_count=x").expect(400);
    project.get("Patient/a/_history?what=1").expect(400);
    let later = project
        .get("Patient/a/_history?_since=2999-01-01T00:00:00Z")
        .expect(200);
    assert_eq!(later.json().get("entry"), None);
    // The link to itself says what was asked, on later pages too.
    let asked = "Patient/a/_history?_count=1&_since=2020-01-01T00%3A00%3A00%2B01%3A00";
    let page = project.get(asked).expect(200);
    let own = page.link("self").unwrap();
    assert!(own.ends_with(asked), "{own}");
    let second = project.get(&page.link("next").unwrap()).expect(200);
    assert_eq!(second.link("self").unwrap(), own);
    let plain = project
        .get("_history?_pretty=true")
        .expect(200)
        .link("self");
    assert!(plain.unwrap().ends_with("/fhir/_history"));
}

#[test]
fn the_capability_statement_is_valid_and_true() {
    let project = project("rest-metadata");
    let answer = project
        .send(project.request("GET", "metadata").without("Authorization"))
        .expect(200);
    let document = salus_fhir::json::Document::parse(
        answer.body.clone().into_bytes(),
        &salus_fhir::json::Limits::default(),
    );
    if let Err(issues) = salus_fhir::validate::resource(document.unwrap().root()) {
        panic!("{issues:?}");
    }
    let statement = answer.json();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    check_defined(&project, &statement);
    let patient = resources.iter().find(|r| r["type"] == "Patient").unwrap();
    let names = |list: &Value, name: &str| -> Vec<String> {
        let items = list.as_array().unwrap().iter();
        let mut names: Vec<_> = items
            .map(|i| i[name].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let served = salus_api::route::ROUTES
        .iter()
        .filter(|r| r.mount == salus_api::route::Mount::Fhir);
    let mut of_type: Vec<&str> = served
        .filter(|route| route.path.starts_with("/{type}") && !route.name.ends_with("-post"))
        // No interactions of a type: the statement has a list of compartments, and says
        // by other elements what conditions may be set.
        .filter(|route| route.name != "search-compartment")
        .filter(|route| !route.name.starts_with("conditional-"))
        .filter(|route| !route.name.starts_with('$'))
        .map(|route| route.name)
        .collect();
    of_type.sort();
    assert_eq!(names(&patient["interaction"], "code"), of_type);
    let system = names(&statement["rest"][0]["interaction"], "code");
    assert_eq!(
        system,
        ["batch", "history-system", "search-system", "transaction"]
    );
    let compartments = &statement["rest"][0]["compartment"];
    let patients = "http://hl7.org/fhir/CompartmentDefinition/patient";
    assert!(compartments.as_array().unwrap().contains(&patients.into()));
    resources
        .iter()
        .for_each(|resource| check_taken(&project, resource));
}

#[test]
fn capabilities_come_in_three_modes() {
    let project = project("rest-modes");
    let get = |mode: &str| {
        let request = project.request("GET", &format!("metadata?mode={mode}"));
        project.send(request.without("Authorization"))
    };
    let full = project.get("metadata").expect(200).json();
    assert_eq!(get("full").expect(200).json(), full);
    let normative = get("normative").expect(200).json();
    let patient = |statement: &Value| statement["rest"][0]["resource"][0].clone();
    assert!(full["rest"][0]["security"].is_object());
    assert!(normative["rest"][0].get("security").is_none());
    assert!(patient(&full).get("searchInclude").is_some());
    let kept: Vec<String> = patient(&normative)
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    for name in ["type", "interaction", "searchParam"] {
        assert!(kept.iter().any(|key| key == name), "{name}");
        assert_eq!(patient(&normative)[name], patient(&full)[name]);
    }
    assert!(
        !kept
            .iter()
            .any(|key| key == "versioning" || key == "searchInclude")
    );
    let terminology = get("terminology").expect(200);
    for answer in [&get("normative"), &terminology] {
        let limits = salus_fhir::json::Limits::default();
        let text = answer.body.clone().into_bytes();
        let document = salus_fhir::json::Document::parse(text, &limits).unwrap();
        salus_fhir::validate::resource(document.root()).unwrap();
    }
    let terminology = terminology.json();
    assert_eq!(terminology["resourceType"], "TerminologyCapabilities");
    // What is listed is known to searches.
    let systems = terminology["codeSystem"].as_array().unwrap();
    let has = |url: &str| systems.iter().any(|system| system["uri"] == url);
    assert!(has("http://hl7.org/fhir/administrative-gender"));
    assert!(!has("http://snomed.info/sct"));
    let below = "Patient?gender:below=http://hl7.org/fhir/administrative-gender|male";
    project.get(below).expect(200);
    for mode in ["", "Full", "all"] {
        let answer = get(mode).expect(400);
        assert!(answer.body.contains("full, normative or terminology"));
    }
}

/// Every operation that the statement names has a definition where it says.
#[track_caller]
fn check_defined(project: &Project, statement: &Value) {
    let rest = &statement["rest"][0];
    let resources = rest["resource"].as_array().unwrap().iter();
    let levels = resources
        .chain([rest])
        .filter_map(|level| level["operation"].as_array());
    let base = format!("{}/", statement["implementation"]["url"].as_str().unwrap());
    let mut definitions: Vec<(&str, &str)> = levels
        .flatten()
        .map(|operation| {
            let url = operation["definition"].as_str().unwrap();
            (
                operation["name"].as_str().unwrap(),
                url.strip_prefix(&base).unwrap(),
            )
        })
        .collect();
    definitions.sort();
    definitions.dedup();
    assert!(definitions.len() > 5);
    for (name, path) in definitions {
        let definition = project.get(path).expect(200).json();
        assert_eq!(definition["code"], name);
        assert_eq!(definition["url"], format!("{base}{path}"));
    }
}

#[test]
fn a_projects_own_definition_of_an_operation_comes_first() {
    let project = project("rest-definitions");
    let path = "OperationDefinition/Patient-everything";
    let mut own = project.get(path).expect(200).json();
    own["title"] = json!("Our own");
    project.put(&own).expect(201);
    assert_eq!(project.get(path).expect(200).json()["title"], "Our own");
    project.delete(path).expect(204);
    project.get(path).expect(410);
    project
        .get("OperationDefinition/Patient-nothing")
        .expect(404);
}

#[test]
fn versions_of_fhir_are_told_to_anyone() {
    let project = project("rest-versions");
    let request = project.request("GET", "$versions").without("Authorization");
    let versions = project.send(request).expect(200).json();
    assert_eq!(
        versions["parameter"][0],
        json!({"name": "version", "valueCode": "4.0"})
    );
    assert_eq!(
        versions["parameter"][1],
        json!({"name": "default", "valueCode": "4.0"})
    );
}

/// Every search parameter and include that the statement names for a type is taken.
#[track_caller]
fn check_taken(project: &Project, resource: &Value) {
    let ty = resource["type"].as_str().unwrap();
    let list = |name: &str| resource[name].as_array().cloned().unwrap_or_default();
    let value = |kind: &str| match kind {
        "date" => "2020",
        "reference" => "urn:x",
        "number" | "quantity" => "1",
        "uri" => "urn:x",
        _ => "x",
    };
    let parameters = list("searchParam");
    let kind = |url: &str| {
        let part = parameters.iter().find(|part| part["definition"] == url);
        part.unwrap()["type"].as_str().unwrap()
    };
    // No query has a name here.
    let served = parameters.iter().filter(|part| part["name"] != "_query");
    let parameters = served.map(|parameter| {
        let name = parameter["name"].as_str().unwrap();
        match name {
            "_filter" => return "_filter=_id pr true".to_owned(),
            "_list" => return "_list=x".to_owned(),
            "near" => return "near=0|0".to_owned(),
            _ => {}
        }
        let definition = salus_fhir::definitions::r4().search_parameter(ty, name);
        let components = definition.unwrap().components.iter();
        let mut values: Vec<&str> = components
            .map(|part| value(kind(part.definition)))
            .collect();
        if values.is_empty() {
            values.push(value(parameter["type"].as_str().unwrap()));
        }
        format!("{name}={}", values.join("$"))
    });
    let includes = list("searchInclude")
        .into_iter()
        .map(|v| format!("_include={}", v.as_str().unwrap()));
    let reverse = list("searchRevInclude")
        .into_iter()
        .map(|v| format!("_revinclude={}", v.as_str().unwrap()));
    let query: Vec<String> = parameters.chain(includes).chain(reverse).collect();
    for some in query.chunks(40) {
        let form = project
            .request("POST", &format!("{ty}/_search"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(some.join("&"));
        let answer = project.send(form);
        assert_eq!(answer.status, 200, "{ty}: {}", answer.body);
    }
}
