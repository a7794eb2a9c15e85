//! Search parameters that a project defines: <https://hl7.org/fhir/R4/searchparameter.html>.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::host::{Project, Server, project};
use crate::search::{check, refused};

/// A definition; what is told replaces and completes it.
fn definition(id: &str, more: Value) -> Value {
    let mut definition = json!({
        "resourceType": "SearchParameter", "id": id, "status": "active",
        "url": format!("http://example.org/{id}"), "name": id, "description": id,
        "code": id, "base": ["Patient"], "type": "token",
        "expression": format!("Patient.extension.where(url='http://example.org/{id}').value"),
    });
    for (name, value) in more.as_object().unwrap() {
        definition[name] = value.clone();
    }
    definition
}

fn patient(id: &str, extensions: Value) -> Value {
    let extensions: Vec<Value> = extensions
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            let mut extension = value.clone();
            extension["url"] = json!(format!("http://example.org/{name}"));
            extension
        })
        .collect();
    let mut patient = json!({"resourceType": "Patient", "id": id});
    if !extensions.is_empty() {
        patient["extension"] = json!(extensions);
    }
    patient
}

fn eye(color: &str) -> Value {
    json!({"eye": {"valueCode": color}})
}

/// The state of the project's indexes.
#[track_caller]
fn index(server: &Server, slug: &str) -> Value {
    let path = format!("/p/{slug}/admin/reindex");
    server.admin("GET", &path, &Value::Null).expect(200).json()
}

/// Waits until everything is indexed.
#[track_caller]
pub(crate) fn ready(server: &Server, slug: &str) -> Value {
    loop {
        let state = index(server, slug);
        if state["complete"] == true {
            return state;
        }
        std::thread::yield_now();
    }
}

#[track_caller]
fn pause(project: &Project, paused: bool) {
    let path = format!("/p/{}/admin/reindex", project.slug);
    let state = project
        .server
        .admin("POST", &path, &json!({"paused": paused}));
    assert_eq!(state.expect(200).json()["paused"], paused);
}

#[test]
fn a_definition_finds_old_and_new_records_until_it_is_removed() {
    let project = project("custom-life");
    let wait = || ready(&project.server, &project.slug);
    project.put(&patient("old", eye("blue"))).expect(201);
    project.put(&patient("none", json!({}))).expect(201);
    refused(&project, "Patient?eye=blue");
    project.put(&definition("eye", json!({}))).expect(201);
    project.put(&patient("new", eye("blue"))).expect(201);
    project.put(&patient("green", eye("green"))).expect(201);
    let state = wait();
    assert_eq!(state["parameters"][0]["code"], "eye");
    assert_eq!(state["parameters"][0]["ready"], true);
    check(&project, "Patient?eye=blue", &["new", "old"]);
    check(&project, "Patient?eye:missing=true", &["none"]);
    check(&project, "Patient?eye:not=blue", &["green", "none"]);
    check(
        &project,
        "Patient?eye:missing=false&_sort=-eye,_id",
        &["green", "new", "old"],
    );
    let statement = project.get("metadata").expect(200).json().to_string();
    assert!(statement.contains("http://example.org/eye"));

    let other =
        json!({"expression": "Patient.extension.where(url='http://example.org/eyes').value"});
    project.put(&definition("eye", other)).expect(200);
    project
        .put(&patient("two", json!({"eyes": {"valueCode": "blue"}})))
        .expect(201);
    wait();
    check(&project, "Patient?eye=blue", &["two"]);

    project
        .put(&definition("eye", json!({"status": "retired"})))
        .expect(200);
    refused(&project, "Patient?eye=blue");
    project.put(&definition("eye", json!({}))).expect(200);
    wait();
    check(&project, "Patient?eye=blue", &["new", "old"]);
    project.delete("SearchParameter/eye").expect(204);
    refused(&project, "Patient?eye=blue");
}

#[test]
fn a_custom_reference_is_included_and_chained() {
    let project = project("custom-reference");
    let twin = json!({"twin": {"valueReference": {"reference": "Patient/a"}}});
    project
        .put(&json!({"resourceType": "Patient", "id": "a", "name": [{"family": "Ada"}]}))
        .expect(201);
    project.put(&patient("b", twin)).expect(201);
    project
        .put(&definition(
            "twin",
            json!({"type": "reference", "target": ["Patient"]}),
        ))
        .expect(201);
    ready(&project.server, &project.slug);
    check(&project, "Patient?twin=Patient/a", &["b"]);
    check(&project, "Patient?twin=a", &["b"]);
    check(&project, "Patient?twin.family=ada", &["b"]);
    check(&project, "Patient?_has:Patient:twin:_id=b", &["a"]);
    check(&project, "Patient?_id=b&_include=Patient:twin", &["a", "b"]);
    check(&project, "Patient?_id=b&_include=*", &["a", "b"]);
    check(
        &project,
        "Patient?_id=a&_revinclude=Patient:twin",
        &["a", "b"],
    );
    let statement = project.get("metadata").expect(200).json().to_string();
    assert!(statement.contains("Patient:twin"));
}

#[test]
fn definitions_of_every_type_and_of_all_resources_are_served() {
    let project = project("custom-types");
    let all = json!({
        "n": {"valueInteger": 7}, "d": {"valueDate": "2020-05-01"}, "s": {"valueString": "Édith"},
        "q": {"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "kg"}},
        "u": {"valueUri": "urn:x"},
    });
    let mut a = patient("a", all);
    a["meta"] = json!({"source": "urn:lab"});
    a["gender"] = json!("female");
    a["communication"] = json!([{"language": {"coding": [{"code": "en"}]}}]);
    project.put(&a).expect(201);
    for (id, ty) in [
        ("n", "number"),
        ("d", "date"),
        ("s", "string"),
        ("q", "quantity"),
        ("u", "uri"),
    ] {
        project
            .put(&definition(id, json!({"type": ty})))
            .expect(201);
    }
    let both = |first: &str| {
        json!({"type": "composite", "expression": "Patient", "component": [
            {"definition": "http://hl7.org/fhir/SearchParameter/individual-gender", "expression": first},
            {"definition": "http://hl7.org/fhir/SearchParameter/Patient-language", "expression": "communication.language"},
        ]})
    };
    project.put(&definition("both", both("gender"))).expect(201);
    let condition = both("name.where(use='usual').text");
    project.put(&definition("never", condition)).expect(422);
    let any = json!({"base": ["Resource"], "type": "uri", "expression": "Resource.meta.source"});
    project.put(&definition("lab", any)).expect(201);
    let computed = json!({"expression": "Patient.extension.exists() and Patient.name.empty()"});
    project.put(&definition("odd", computed)).expect(201);
    ready(&project.server, &project.slug);
    for search in [
        "n=7",
        "n=gt6",
        "d=2020-05",
        "s=edith",
        "s:exact=%C3%89dith",
        "u=urn:x",
        "lab=urn:lab",
        "both=female$en",
        "odd=true",
        "q=1000%7Chttp://unitsofmeasure.org%7Cg",
    ] {
        check(&project, &format!("Patient?{search}"), &["a"]);
    }
    check(&project, "Group?lab=urn:lab", &[]);
}

#[test]
fn what_cannot_be_served_is_refused_when_it_is_written() {
    let project = project("custom-refused");
    project.put(&definition("taken", json!({}))).expect(201);
    for (id, more, reason) in [
        ("a", json!({"type": "special"}), "allowed: number"),
        (
            "a",
            json!({"code": "gender"}),
            "another parameter of Patient",
        ),
        ("a", json!({"code": "_mine"}), "begin with a letter"),
        (
            "a",
            json!({"code": "taken"}),
            "SearchParameter/taken defines",
        ),
        (
            "a",
            json!({"expression": "Patient.name.where("}),
            "expression",
        ),
        (
            "a",
            json!({"expression": "Patient.nothing"}),
            "leads to nothing",
        ),
        ("a", json!({"type": "composite"}), "component"),
    ] {
        let answer = project.put(&definition(id, more.clone())).expect(422);
        assert!(answer.body.contains(reason), "{more}: {}", answer.body);
    }
    for status in ["draft", "retired"] {
        let nothing = json!({"type": "special", "status": status});
        project.put(&definition(status, nothing)).expect(201);
    }
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": definition("one", json!({"code": "same"})), "request": {"method": "PUT", "url": "SearchParameter/one"}},
        {"resource": definition("two", json!({"code": "same"})), "request": {"method": "PUT", "url": "SearchParameter/two"}},
    ]});
    assert!(matches!(project.post("", &bundle).status, 400 | 422));
    assert_eq!(project.get("SearchParameter/one").status, 404);
}

#[test]
fn while_it_is_built_a_parameter_is_refused_wherever_it_is_used() {
    let project = project("custom-held");
    project.put(&patient("a", eye("blue"))).expect(201);
    pause(&project, true);
    project.put(&definition("eye", json!({}))).expect(201);
    let twin = json!({"type": "reference", "target": ["Patient"]});
    project.put(&definition("twin", twin)).expect(201);
    for search in [
        "Patient?eye=blue",
        "Patient?eye:missing=true",
        "Patient?_sort=eye",
        "Patient?_include=Patient:twin",
        "Patient?_include=*",
        "Patient?_revinclude=Patient:twin",
        "Patient?twin.name=x",
        "Patient?_has:Patient:twin:_id=x",
        "Observation?subject:Patient.eye=blue",
    ] {
        let answer = project.get(search).expect(503);
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.json()["issue"][0]["code"], "transient", "{search}");
        assert!(answer.body.contains("not ready"), "{}", answer.body);
        let lenient = project
            .request("GET", search)
            .header("Prefer", "handling=lenient");
        project.send(lenient).expect(503);
    }
    let create = project
        .request("POST", "Patient")
        .header("Content-Type", "application/fhir+json")
        .header("If-None-Exist", "eye=blue")
        .body(patient("x", json!({})).to_string());
    project.send(create).expect(503);
    check(&project, "Patient?_id=a", &["a"]);
    assert_eq!(index(&project.server, &project.slug)["complete"], false);
    pause(&project, false);
    ready(&project.server, &project.slug);
    check(&project, "Patient?eye=blue", &["a"]);
}

#[test]
fn no_record_is_missed_that_is_written_meanwhile() {
    let project = project("custom-writers");
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (project, done) = (&project, &done);
                threads.spawn(move || {
                    let mut written = 0;
                    while !done.load(Ordering::Acquire) {
                        let id = format!("w{writer}-{}", written % 40);
                        let status = project.put(&patient(&id, eye("blue"))).status;
                        assert!(matches!(status, 200 | 201));
                        written += 1;
                    }
                    written.min(40)
                })
            })
            .collect();
        for round in 0..6 {
            // Each time another definition, so that all has to be built anew.
            let expression = format!(
                "Patient.extension.where(url='http://example.org/eye').value | Patient.extension.where(url='http://example.org/{round}').value"
            );
            let status = project
                .put(&definition("eye", json!({"expression": expression})))
                .status;
            assert!(matches!(status, 200 | 201));
            ready(&project.server, &project.slug);
            let all = project.get("Patient?_summary=count").expect(200).json()["total"].clone();
            let found = project
                .get("Patient?eye=blue&_summary=count")
                .expect(200)
                .json()["total"]
                .clone();
            assert!(found.as_u64() >= all.as_u64(), "{found} of {all}");
        }
        done.store(true, Ordering::Release);
        let written: u64 = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        let found = project
            .get("Patient?eye=blue&_summary=count")
            .expect(200)
            .json();
        assert_eq!(found["total"], written);
    });
}

#[test]
fn parameters_of_one_project_are_unknown_to_others() {
    let (one, other) = (project("custom-one"), project("custom-other"));
    one.put(&definition("eye", json!({}))).expect(201);
    ready(&one.server, &one.slug);
    check(&one, "Patient?eye=blue", &[]);
    refused(&other, "Patient?eye=blue");
    let nowhere = one
        .server
        .admin("GET", "/p/nowhere/admin/reindex", &Value::Null);
    assert_eq!(nowhere.status, 403);
}

#[test]
fn all_parameters_of_us_core_are_accepted() {
    let folder = std::env::var_os("SALUS_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        Into::into,
    );
    for name in ["us_core_311", "us_core_610", "us_core_700", "us_core_800"] {
        let path = folder.join(format!("data/fhir-packages/{name}.tgz"));
        let Ok(packed) = std::fs::File::open(&path) else {
            println!("skipped: {} is not there", path.display());
            continue;
        };
        let project = project(&format!("custom-{}", name.replace('_', "-")));
        let mut count = 0;
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            if !path.starts_with("package/SearchParameter-") {
                continue;
            }
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let definition: Value = serde_json::from_str(&text).unwrap();
            let answer = project.put(&definition);
            assert_eq!(answer.status, 201, "{name} {path}: {}", answer.body);
            count += 1;
        }
        assert!(count > 50, "{count}");
        ready(&project.server, &project.slug);
        let race = json!({"resourceType": "Patient", "id": "a", "extension": [{
            "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
            "extension": [{"url": "ombCategory", "valueCoding": {"system": "urn:r", "code": "2106-3"}}, {"url": "text", "valueString": "White"}],
        }]});
        project.put(&race).expect(201);
        check(&project, "Patient?race=2106-3", &["a"]);
    }
}
