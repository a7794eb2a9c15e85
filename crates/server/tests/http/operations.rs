//! Operations on resources of any type:
//! <https://hl7.org/fhir/R4/operations-list.html>.

use serde_json::{Value, json};

use crate::host::{Project, project};

fn patient() -> Value {
    json!({"resourceType": "Patient", "id": "a", "name": [{"family": "One"}]})
}

fn given(name: &str, ty: &str, value: &Value) -> Value {
    let key = format!("value{ty}");
    json!({"resourceType": "Parameters", "parameter": [{"name": name, key: value}]})
}

/// The tags of a resource, as the operation with these answers.
#[track_caller]
fn tagged(project: &Project, operation: &str, codes: &[&str]) -> Vec<String> {
    let tags: Vec<Value> = codes.iter().map(|code| json!({"code": code})).collect();
    let body = given("meta", "Meta", &json!({"tag": tags}));
    let answer = project
        .post(&format!("Patient/a/{operation}"), &body)
        .expect(200)
        .json();
    let tags = &answer["parameter"][0]["valueMeta"]["tag"];
    let tags = tags.as_array().into_iter().flatten();
    tags.map(|tag| tag["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn tags_are_added_and_taken_away_as_a_set() {
    let project = project("operations-meta");
    project.put(&patient()).expect(201);
    assert_eq!(tagged(&project, "$meta-add", &["x", "y"]), ["x", "y"]);
    assert_eq!(tagged(&project, "$meta-add", &["y", "z"]), ["x", "y", "z"]);
    // What changes nothing makes no version.
    assert_eq!(tagged(&project, "$meta-add", &["y"]), ["x", "y", "z"]);
    assert_eq!(tagged(&project, "$meta-delete", &["y", "w"]), ["x", "z"]);
    let read = project.get("Patient/a").expect(200);
    assert_eq!(read.header("etag"), Some("W/\"4\""));
    assert_eq!(read.json()["name"], patient()["name"]);
    let meta = project.get("Patient/a/$meta").expect(200);
    assert_eq!(meta.header("etag"), Some("W/\"4\""));
    assert_eq!(
        meta.json()["parameter"][0]["valueMeta"],
        read.json()["meta"]
    );
    assert_eq!(project.get("Patient?_tag=z").json()["total"], 1);
    project.get("Patient/none/$meta").expect(404);
    project
        .post(
            "Patient/a/$meta-add",
            &json!({"resourceType": "Parameters"}),
        )
        .expect(400);
    let wrong = given("meta", "Meta", &json!({"tag": [{"code": 1}]}));
    project.post("Patient/a/$meta-add", &wrong).expect(422);
    let other = given("meta", "Coding", &json!({"code": "x"}));
    project.post("Patient/a/$meta-add", &other).expect(400);
    let weak = project.with(&project.client("weak", "system/Patient.u"));
    weak.post("Patient/a/$meta-add", &given("meta", "Meta", &json!({})))
        .expect(403);
    weak.get("Patient/a/$meta").expect(403);
}

/// The profiles, security labels and tags that are in use.
#[track_caller]
fn check_metas(project: &Project, path: &str, expect: &Value) {
    let meta = project.get(path).expect(200).json();
    assert_eq!(meta["parameter"][0]["valueMeta"], *expect, "{path}");
}

#[test]
fn the_metas_of_a_type_and_of_all_are_one() {
    let project = project("operations-metas");
    check_metas(&project, "$meta", &json!({}));
    let put = |ty: &str, id: &str, meta: &Value| {
        let mut resource = json!({"resourceType": ty, "id": id, "meta": meta});
        if ty == "Basic" {
            resource["code"] = json!({"text": "x"});
        }
        project.put(&resource)
    };
    let tags = |codes: &[&str]| {
        let tags = codes
            .iter()
            .map(|code| json!({"system": "urn:s", "code": code}));
        tags.collect::<Vec<_>>()
    };
    put(
        "Patient",
        "a",
        &json!({"tag": tags(&["x", "y"]), "profile": ["urn:p"]}),
    );
    put("Patient", "b", &json!({"tag": tags(&["y", "z"])}));
    put("Patient", "c", &json!({"tag": tags(&["gone"])}));
    put("Patient", "c", &json!({"security": [{"code": "R"}]}));
    put(
        "Basic",
        "d",
        &json!({"tag": tags(&["w"]), "profile": ["urn:p", "urn:q"]}),
    );
    let patients = json!({"profile": ["urn:p"], "security": [{"code": "R"}],
        "tag": tags(&["x", "y", "z"])});
    check_metas(&project, "Patient/$meta", &patients);
    check_metas(&project, "Observation/$meta", &json!({}));
    let all = json!({"profile": ["urn:p", "urn:q"], "security": [{"code": "R"}],
        "tag": tags(&["w", "x", "y", "z"])});
    check_metas(&project, "$meta", &all);
    let weak = project.with(&project.client("weak", "system/Patient.s"));
    check_metas(&weak, "Patient/$meta", &patients);
    weak.get("Basic/$meta").expect(403);
    weak.get("$meta").expect(403);
}

/// Severities and texts of the outcome.
#[track_caller]
fn check_outcome(project: &Project, path: &str, body: &Value, expect: &[(&str, &str)]) {
    let answer = match body.is_null() {
        true => project.get(path),
        false => project.post(path, body),
    };
    let outcome = answer.expect(200).json();
    let issues = outcome["issue"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found: Vec<_> = issues
        .iter()
        .map(|issue| (text(&issue["severity"]), text(&issue["details"]["text"])))
        .collect();
    assert_eq!(found.len(), expect.len(), "{path}: {found:?}");
    for ((severity, text), (expect_severity, part)) in found.iter().zip(expect) {
        assert!(
            severity == expect_severity && text.contains(part),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn a_resource_is_validated_and_not_stored() {
    let project = project("operations-validate");
    let fine = [("information", "All OK")];
    check_outcome(&project, "Patient/$validate", &patient(), &fine);
    let wrapped = json!({"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": patient()}, {"name": "mode", "valueCode": "create"}]});
    check_outcome(&project, "Patient/$validate", &wrapped, &fine);
    assert_eq!(project.count("Patient"), 0);
    let mut wrong = patient();
    wrong["gender"] = json!("unknowable");
    wrong["name"] = json!("x");
    let answer = project.post("Patient/$validate", &wrong).expect(200).json();
    assert_eq!(answer["issue"].as_array().unwrap().len(), 2, "{answer}");
    check_outcome(
        &project,
        "Basic/$validate",
        &patient(),
        &[("error", "not of type Basic")],
    );
    let reference =
        json!({"resourceType": "Patient", "generalPractitioner": [{"reference": "Device/1"}]});
    let answer = project
        .post("Patient/$validate", &reference)
        .expect(200)
        .json();
    assert_eq!(answer["issue"][0]["severity"], "warning", "{answer}");
    let base = "Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Patient";
    check_outcome(&project, base, &patient(), &fine);
    let other = "Patient/$validate?mode=profile&profile=urn:other";
    check_outcome(
        &project,
        other,
        &patient(),
        &[("error", "profile was not checked")],
    );
    project
        .post("Patient/$validate?mode=profile", &patient())
        .expect(400);
    project
        .post("Patient/$validate?mode=what", &patient())
        .expect(400);
    project
        .post("Patient/$validate?mode=update", &patient())
        .expect(400);
    project
        .post("Patient/$validate", &json!({"resourceType": "Parameters"}))
        .expect(400);
}

#[test]
fn what_is_stored_is_validated_too() {
    let project = project("operations-validate-stored");
    project.put(&patient()).expect(201);
    let fine = [("information", "All OK")];
    check_outcome(&project, "Patient/a/$validate", &Value::Null, &fine);
    check_outcome(
        &project,
        "Patient/a/$validate?mode=delete",
        &Value::Null,
        &fine,
    );
    check_outcome(
        &project,
        "Patient/a/$validate?mode=update",
        &patient(),
        &fine,
    );
    check_outcome(
        &project,
        "Patient/b/$validate?mode=update",
        &patient(),
        &[("error", "id of the URL")],
    );
    project.get("Patient/b/$validate?mode=delete").expect(404);
    let weak = project.with(&project.client("weak", "system/Basic.r"));
    weak.post("Patient/a/$validate", &patient()).expect(200);
    weak.get("Patient/a/$validate").expect(403);
}

#[test]
fn two_versions_are_compared() {
    let project = project("operations-diff");
    project.put(&patient()).expect(201);
    let mut second = patient();
    second["active"] = json!(true);
    project.put(&second).expect(200);
    second["name"][0]["family"] = json!("Two");
    project.put(&second).expect(200);
    let operations = |query: &str| {
        let patch = project
            .get(&format!("Patient/a/$diff{query}"))
            .expect(200)
            .json();
        let paths = patch["parameter"].as_array().cloned().unwrap_or_default();
        let paths = paths
            .iter()
            .map(|one| one["part"][1]["valueString"].clone());
        paths.collect::<Vec<_>>()
    };
    assert_eq!(operations(""), ["Patient.name[0].family"]);
    assert_eq!(operations("?from=1&to=2"), ["Patient"]);
    assert_eq!(operations("?from=1").len(), 2);
    assert_eq!(operations("?from=3&to=1").len(), 2);
    assert_eq!(operations("?from=2&to=2").len(), 0);
    project.get("Patient/a/$diff?to=1").expect(400);
    project.get("Patient/a/$diff?from=x").expect(400);
    project.get("Patient/a/$diff?to=9").expect(404);
    project.delete("Patient/a").expect(204);
    project.get("Patient/a/$diff").expect(410);
    project.get("Patient/a/$diff?from=1&to=3").expect(200);
}

#[test]
fn the_audit_says_which_operation_it_was() {
    let project = project("operations-audit");
    project.put(&patient()).expect(201);
    project.get("Patient/a/$everything?_count=5").expect(200);
    let events = project.get("AuditEvent?_count=1").expect(200).json();
    let event = &events["entry"][0]["resource"];
    assert_eq!(event["subtype"][0]["code"], "operation", "{event}");
    let entities = event["entity"].as_array().unwrap();
    let named = |name: &str| {
        entities
            .iter()
            .any(|entity| entity["what"]["reference"] == name)
    };
    assert!(named("Patient/a/_history/1"), "{event}");
    assert!(
        entities.iter().any(|entity| entity.get("query").is_some()),
        "{event}"
    );
}

#[test]
fn an_operation_that_changes_nothing_may_be_an_entry() {
    let project = project("operations-batch");
    project.put(&patient()).expect(201);
    let urls = [
        "Patient/a/$everything?_count=1",
        "Patient/a/$meta",
        "Patient/a/$meta-add?meta=x",
        "$what",
    ];
    let entries = urls.map(|url| json!({"request": {"method": "GET", "url": url}}));
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    let answer = project.post("", &batch).expect(200).json();
    let status = |at: usize| {
        answer["entry"][at]["response"]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        [status(0), status(1), status(2), status(3)].map(|text| text[..3].to_owned()),
        ["200", "200", "400", "404"]
    );
    assert_eq!(answer["entry"][0]["resource"]["total"], 1);
}
