//! Users who sign in, under policies that hide elements; and what policies come
//! to, asked over HTTP and by the command line.

use serde_json::{Value, json};

use crate::host::{Server, salus};
use crate::relations::Ward;
use crate::wire::Answer;

const SECRET: &str = "unmistakable";

/// A ward whose patients have telephones, and a researcher who may not see them.
fn ward(slug: &str) -> (Ward, String) {
    let ward = Ward::new(slug);
    for id in ["a", "b"] {
        let patient = json!({"resourceType": "Patient", "id": id, "gender": "female",
            "text": {"status": "generated",
                "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{SECRET}</div>")},
            "telecom": [{"system": "phone", "value": SECRET}]});
        ward.0.put(&patient).expect(200);
    }
    ward.policy(
        json!([{"id": "all", "effect": "allow", "subjects": ["role:researcher"],
        "actions": ["*"], "kinds": ["*"], "hidden": ["Patient.telecom"],
        "readOnly": ["Patient.gender"]}]),
    );
    let token = ward.user("researcher", "researcher", "Practitioner/d");
    (ward, token)
}

#[test]
fn a_user_gets_nothing_hidden_by_any_request() {
    let (ward, token) = ward("policies-hidden");
    let get = |path: &str| ward.ask(&token, "GET", &format!("/fhir/{path}"), Value::Null);
    for path in [
        "Patient/a",
        "Patient/a/_history/2",
        "Patient/a/_history",
        "Patient/_history",
        "_history",
        "Patient?_id=a",
        "Patient?_id=a&_elements=telecom",
        "Observation?_id=oa&_include=Observation:subject",
        "Observation?_id=oa&_include=*",
        "?_type=Patient,Observation&_id=a",
        "Patient/a/$everything",
        "Patient/a/*",
    ] {
        let answer = get(path).expect(200);
        assert!(!answer.body.contains(SECRET), "{path}: {}", answer.body);
        assert!(answer.body.contains("SUBSETTED"), "{path}: {}", answer.body);
    }
    assert_eq!(get("Patient/a").header("etag"), Some("W/\"2\""));
    for path in [
        "Patient?telecom=1",
        "Patient?phone:missing=true",
        "Patient?_sort=phone",
        "Patient?_content=x",
        "Observation?subject:Patient.phone=1",
        "Practitioner?_has:Patient:general-practitioner:phone=1",
    ] {
        get(path).expect(403);
    }
    let entry = json!({"request": {"method": "GET", "url": "Patient/a"}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    let answer = ward.ask(&token, "POST", "/fhir", batch).expect(200);
    assert!(!answer.body.contains(SECRET) && answer.body.contains("SUBSETTED"));
}

#[test]
fn a_user_loses_nothing_hidden_by_writing() {
    let (ward, token) = ward("policies-kept");
    let put = |resource: &Value| {
        let id = resource["id"].as_str().unwrap();
        ward.ask(
            &token,
            "PUT",
            &format!("/fhir/Patient/{id}"),
            resource.clone(),
        )
    };
    let stored = || ward.0.get("Patient/a").expect(200).json();
    let path = "/fhir/Patient/a";
    let mut seen = ward
        .ask(&token, "GET", path, Value::Null)
        .expect(200)
        .json();
    seen["active"] = true.into();
    let answer = put(&seen).expect(200);
    assert!(!answer.body.contains(SECRET), "{}", answer.body);
    let after = stored();
    assert_eq!(after["telecom"][0]["value"], SECRET);
    assert_eq!(
        (&after["active"], after["meta"].get("tag")),
        (&json!(true), None)
    );
    let mut other = seen.clone();
    other["gender"] = "male".into();
    let answer = put(&other).expect(403);
    assert!(answer.body.contains("Patient.gender"), "{}", answer.body);
    seen["telecom"] = json!([{"system": "phone", "value": "2"}]);
    let answer = put(&seen).expect(403);
    assert!(answer.body.contains("Patient.telecom"), "{}", answer.body);
    let new = json!({"resourceType": "Patient", "id": "new", "gender": "male"});
    put(&new).expect(403);
    assert_eq!(stored(), after);
}

#[test]
fn questions_are_answered_for_administrators() {
    let (ward, token) = ward("policies-asked");
    let question = json!({"as": {"roles": ["researcher"]}, "action": "read",
        "resource": "Patient/a"});
    let body = json!({"questions": [question]});
    ward.ask(&token, "POST", "/admin/policy-questions", body.clone())
        .expect(403);
    let ask = |body: Value| -> Answer { ward.admin("POST", "/admin/policy-questions", body) };
    let answer = ask(body).expect(200).json()["answers"][0].clone();
    assert_eq!(answer["rule"], "test/all");
    assert_eq!(answer["hidden"], json!(["Patient.telecom"]));
    for wrong in [
        json!({}),
        json!({"questions": [{}]}),
        json!({"questions": [{"as": {}, "action": "fly", "type": "Patient"}]}),
        json!({"questions": [{"as": {}, "action": "read", "type": "Nothing"}]}),
        json!({"questions": [{"as": {"user": "nobody"}, "action": "read", "type": "Patient"}]}),
        json!({"questions": [], "policies": {"p": {"rules": [1]}}}),
    ] {
        ask(wrong).expect(400);
    }
    let sets = ward
        .admin("GET", "/admin/policy-sets", Value::Null)
        .expect(200);
    assert_eq!(sets.json()["policySets"].as_array().unwrap().len(), 5);
}

/// What a command prints, if it succeeds.
#[track_caller]
fn policy(data: &std::path::Path, arguments: &[&str]) -> Result<String, String> {
    let place = ["--data", data.to_str().unwrap()];
    let output = salus(&[&["policy"][..], &place, arguments].concat()).output();
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stdout) + &text(output.stderr)),
    }
}

#[test]
fn the_command_line_tries_policies() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start_on(&data, &[]);
    assert!(policy(&data, &["sets"]).unwrap().contains("front-desk"));
    policy(&data, &["install", "front-desk"]).unwrap();
    assert!(policy(&data, &["install", "nothing"]).is_err());
    let matrix = ["matrix", "--role", "front-desk", "--type", "Patient"];
    let matrix = policy(&data, &matrix).unwrap();
    let row = "front-desk  Patient  some  some    -        some    some    some   -";
    assert!(matrix.contains(row), "{matrix}");
    let expected = folder.path().join("expected.json");
    let write = |expect: bool| {
        let question = json!({"as": {"roles": ["front-desk"]}, "action": "delete",
            "type": "Patient", "expect": expect});
        std::fs::write(&expected, json!({"questions": [question]}).to_string()).unwrap();
    };
    let test = ["test", expected.to_str().unwrap()];
    write(false);
    assert!(policy(&data, &test).unwrap().contains("1 met, 0 not met"));
    write(true);
    assert!(policy(&data, &test).unwrap_err().contains("NOT MET"));
    let explain = ["explain", "--role", "front-desk", "Patient/none"];
    let explained = policy(&data, &explain).unwrap();
    assert!(
        explained.contains("refused by there is no such resource"),
        "{explained}"
    );
    let next = folder.path().join("front-desk.json");
    std::fs::write(&next, r#"{"rules":[]}"#).unwrap();
    let diff = ["diff", next.to_str().unwrap()];
    assert!(
        policy(&data, &diff)
            .unwrap()
            .contains("nobody gains or loses")
    );
}
