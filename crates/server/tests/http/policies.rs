//! Users who sign in, under policies that hide elements; and what policies come
//! to, asked over HTTP and by the command line.

use serde_json::{Value, json};

use crate::host::{Server, salus};
use crate::relations::Ward;
use crate::wire::{Answer, Request};

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
        explained.contains("refused: there is no such resource"),
        "{explained}"
    );
    let purpose = ["explain", "--role", "front-desk", "--purpose"];
    let for_care = policy(&data, &[&purpose[..], &["COC", "Patient"]].concat()).unwrap();
    assert!(for_care.contains("allowed by front-desk/"), "{for_care}");
    let for_sale = policy(&data, &[&purpose[..], &["HMARKT", "Patient"]].concat()).unwrap_err();
    assert!(for_sale.contains("they may not state"), "{for_sale}");
    let reindex = ["explain", "--role", "front-desk", "--action", "$reindex"];
    let told = policy(&data, &reindex).unwrap();
    assert!(told.contains("refused: no rule allows it"), "{told}");
    let next = folder.path().join("front-desk.json");
    std::fs::write(&next, r#"{"rules":[]}"#).unwrap();
    let rule = json!({"id": "r", "effect": "allow", "subjects": ["everyone"], "actions": ["read"],
        "kinds": ["Patient"], "purposes": ["HRESCH"]});
    std::fs::write(&next, json!({"rules": [rule]}).to_string()).unwrap();
    let diff = ["diff", next.to_str().unwrap(), "--name", "study"];
    let told = policy(&data, &diff).unwrap();
    assert!(told.contains("Give --purpose for another"), "{told}");
    let told = policy(&data, &[&diff[..], &["--purpose", "HRESCH"]].concat()).unwrap();
    assert!(!told.contains("--purpose"), "{told}");
    std::fs::write(&next, r#"{"rules":[]}"#).unwrap();
    let diff = ["diff", next.to_str().unwrap()];
    assert!(
        policy(&data, &diff)
            .unwrap()
            .contains("nobody gains or loses")
    );
}

#[test]
fn a_file_with_fixtures_is_tried_without_server_or_data() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let file = folder.path().join("expected.json");
    let rules = json!({"rules": [{"id": "team", "effect": "allow", "subjects": ["role:nurse"],
        "actions": ["read", "create"], "kinds": ["*"], "relationship": "care-team",
        "exceptLabels": ["R"]}]});
    std::fs::write(folder.path().join("wards.json"), rules.to_string()).unwrap();
    let team = |end: &str| {
        json!({"resourceType": "CareTeam", "id": "t", "status": "active",
            "subject": {"reference": "Patient/a"}, "period": {"end": end},
            "participant": [{"member": {"reference": "Practitioner/n"}}]})
    };
    let observation = |id: &str, labels: Value| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/a"}, "meta": {"security": labels}})
    };
    let restricted = json!([{"code": "R",
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"}]);
    let denial = json!({"resourceType": "Consent", "id": "c", "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "x"}], "patient": {"reference": "Patient/a"},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
        "provision": {"type": "permit", "provision": [{"type": "deny",
            "class": [{"code": "Observation"}], "action": [{"coding": [{"code": "access"}]}]}]}});
    let write = |end: &str, consent: &str, expect: [bool; 3]| {
        let ask = |action: &str, about: &str, expect: bool| json!({"as": "nurse", "action": action, "resource": about, "expect": expect});
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"resource": {"resourceType": "Patient", "id": "a"}},
            {"resource": team(end)},
            {"resource": observation("o", json!([{"code": "x"}]))},
            {"resource": observation("r", restricted.clone())},
            {"resource": denial.clone()}]});
        let content = observation("new", restricted.clone());
        let text = json!({"now": "2026-01-31T12:00:00Z", "care": {"consent": consent},
            "people": {"nurse": {"roles": ["nurse"], "profiles": ["Practitioner/n"]}},
            "policies": {"wards": "wards.json"}, "fixtures": bundle,
            "questions": [ask("read", "Patient/a", expect[0]),
                ask("read", "Observation/o", expect[1]),
                ask("read", "Observation/r", expect[2]),
                {"as": "nurse", "action": "create", "content": content, "expect": false}]});
        std::fs::write(&file, text.to_string()).unwrap();
    };
    let test = ["test", file.to_str().unwrap()];
    for (end, consent, expect) in [
        ("2026-02-01", "none", [true, true, false]),
        ("2026-02-01", "opt-out", [true, false, false]),
        ("2026-01-30", "none", [false; 3]),
    ] {
        write(end, consent, expect);
        let text = policy(&nowhere, &test).unwrap();
        assert!(text.contains("4 met, 0 not met"), "{text}");
    }
    write("2026-02-01", "none", [true, false, true]);
    let text = policy(&nowhere, &test).unwrap_err();
    let row = "NOT MET  nurse  read    Observation/o             allowed by wards/team\n         \
               allowed: expected false, got true\n";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("2 expectations are not met"), "{text}");
    let answer = policy(&nowhere, &[&test[..], &["--json"]].concat()).unwrap_err();
    let answer: Value = serde_json::from_str(answer.lines().next().unwrap()).unwrap();
    assert_eq!((&answer["met"], &answer["failed"]), (&json!(2), &json!(2)));
    assert_eq!(answer["results"][2]["differs"][0]["member"], "allowed");
    let set = policy(&nowhere, &["test", "--set", "patient-app"]).unwrap();
    assert!(set.contains(" met, 0 not met"), "{set}");
    std::fs::write(
        &file,
        r#"{"fixtures": [{"resourceType": "Patient"}], "questions": []}"#,
    )
    .unwrap();
    let refused = policy(&nowhere, &test).unwrap_err();
    assert!(
        refused.contains("fixtures[0]: needs a resourceType and an id"),
        "{refused}"
    );
    assert!(!nowhere.exists());
}

#[test]
fn the_command_line_tells_what_changes_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0"]);
    let put = |path: &str, body: Value| {
        let answer = server.admin("PUT", path, &body);
        assert!(answer.status < 300, "{}", answer.body);
    };
    for id in ["a", "b", "c"] {
        let patient = json!({"resourceType": "Patient", "id": id, "active": id != "c"});
        put(&format!("/fhir/Patient/{id}"), patient);
    }
    let rules = |condition: Option<&str>| {
        let mut rule = json!({"id": "patients", "effect": "allow", "subjects": ["role:clerk"],
            "actions": ["read", "update"], "kinds": ["Patient"]});
        if let Some(condition) = condition {
            rule["condition"] = condition.into();
            rule["hidden"] = json!(["Patient.name"]);
        }
        json!({"rules": [rule]})
    };
    put("/admin/policies/desk", rules(None));
    let new = json!({"email": "c@example.org", "name": "c", "roles": ["clerk"],
        "password": "a quiet green bicycle"});
    let user = server
        .admin("POST", "/admin/users", &new)
        .expect(201)
        .json();
    let user = user["id"].as_str().unwrap();
    let next = folder.path().join("desk.json");
    std::fs::write(&next, rules(Some("Patient?active=true")).to_string()).unwrap();
    let diff = ["diff", next.to_str().unwrap()];
    let text = policy(&data, &diff).unwrap();
    assert!(text.contains(user) && text.contains("\n  - c\n"), "{text}");
    assert!(text.contains("\n  - elements Patient.name\n"), "{text}");
    let nobody = folder.path().join("nobody.json");
    std::fs::write(&nobody, json!({"rules": []}).to_string()).unwrap();
    let all = [
        "diff",
        nobody.to_str().unwrap(),
        "--name",
        "desk",
        "--action",
        "update",
        "--limit",
        "2",
        "--json",
    ];
    let answer: Value = serde_json::from_str(&policy(&data, &all).unwrap()).unwrap();
    let expect = json!([{"user": user, "type": "Patient", "action": "update", "gained": 0,
        "lost": 3, "lostIds": ["a", "b"]}]);
    assert_eq!(answer["changes"], expect);
    // A request of the past, by the id that its answer had.
    put("/admin/policies/desk", rules(Some("Patient?active=true")));
    let body = json!({"email": "c@example.org", "password": "a quiet green bicycle"});
    let token = server
        .admin("POST", "/auth/sign-in", &body)
        .expect(200)
        .json();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let read = |id: &str| {
        let request = Request::new("GET", &format!("/fhir/Patient/{id}"));
        server.send(request.header("Authorization", &*bearer))
    };
    let request = read("c")
        .expect(404)
        .header("x-request-id")
        .unwrap()
        .to_owned();
    let text = policy(&data, &["explain", "--request", &request]).unwrap();
    let now = "as records and policies are now:\nrefused: no rule allows it\n";
    assert!(
        text.contains(&format!("User/{user}")) && text.contains(now),
        "{text}"
    );
    assert!(
        text.contains("  condition Patient?active=true does not match\n"),
        "{text}"
    );
    let request = read("a")
        .expect(200)
        .header("x-request-id")
        .unwrap()
        .to_owned();
    let text = policy(&data, &["explain", "--request", &request, "--json"]).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    let event = &told["events"][0]["event"];
    assert_eq!(
        event["agent"][0]["policy"][0],
        "urn:salus:rule:desk/patients"
    );
    assert_eq!(told["events"][0]["now"]["hidden"], json!(["Patient.name"]));
    let text = policy(
        &data,
        &["explain", "--audit", event["id"].as_str().unwrap()],
    )
    .unwrap();
    assert!(text.contains("rule     desk/patients\n"), "{text}");
    assert!(policy(&data, &["explain", "--request", "ffffffffffffffff"]).is_err());
}
