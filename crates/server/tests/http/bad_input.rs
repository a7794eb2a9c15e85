//! Bad input gets a clear error and changes nothing.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

pub(crate) const GOOD: &str = r#"{"resourceType":"Patient","id":"a","name":[{"family":"Good"}]}"#;

/// A project with one patient, to see that nothing happens to it.
pub(crate) fn guarded(slug: &str) -> Project {
    let project = project(slug);
    project
        .send(project.request("PUT", "Patient/a").body(GOOD))
        .expect(201);
    project
}

#[track_caller]
pub(crate) fn check_untouched(project: &Project) {
    assert_eq!(project.count("Patient"), 1);
    assert_eq!(
        project.get("Patient/a").expect(200).header("etag"),
        Some("W/\"1\"")
    );
}

/// A refusal is an OperationOutcome that says something.
#[track_caller]
pub(crate) fn check_outcome(answer: &Answer) -> Value {
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let text = outcome["issue"][0]["details"]["text"].as_str().unwrap();
    assert!(text.len() > 10, "{outcome}");
    outcome
}

/// Sends a body as a create, an update and a bundle.
#[track_caller]
fn check(project: &Project, body: impl AsRef<[u8]>, status: u16) -> Value {
    let body = body.as_ref();
    let put = project
        .send(project.request("PUT", "Patient/a").body(body))
        .expect(status);
    check_outcome(&put);
    let post = project
        .send(project.request("POST", "Patient").body(body))
        .expect(status);
    check_untouched(project);
    check_outcome(&post)
}

#[test]
fn what_is_no_json_is_refused() {
    let project = guarded("bad-json");
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"resourceType":"Patient","id":"a","x":{open}{close}}}"#)
    };
    let extensions = |depth: usize| {
        let open = r#"{"url":"urn:e","extension":["#.repeat(depth);
        let close = "]}".repeat(depth);
        format!(
            r#"{{"resourceType":"Patient","id":"a","extension":[{open}{{"url":"urn:e","valueCode":"c"}}{close}]}}"#
        )
    };
    for body in [
        "",
        " ",
        "{",
        "null garbage",
        "{\"resourceType\":\"Patient\",\"id\":\"a\"",
        "{\"resourceType\":\"Patient\",\"id\":\"a\",}",
        "{'resourceType':'Patient'}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\"} {}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\",\"id\":\"a\"}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\",\"active\":tru}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\",\"multipleBirthInteger\":01}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\",\"name\":[{\"text\":\"\u{1}\"}]}",
        "{\"resourceType\":\"Patient\",\"id\":\"a\",\"name\":[{\"text\":\"\\ud800\"}]}",
        &nested(100),
        &nested(100_000),
        &extensions(1_000),
        "<Patient xmlns=\"http://hl7.org/fhir\"/>",
    ] {
        check(&project, body, 400);
    }
    check(
        &project,
        b"{\"resourceType\":\"Patient\",\"id\":\"a\",\"name\":[{\"text\":\"\xff\xfe\"}]}",
        400,
    );
    check(&project, b"\x00\x01\x02", 400);
    let outcome = check(
        &project,
        "{\n  \"resourceType\": \"Patient\",\n  oops\n}",
        400,
    );
    let text = outcome["issue"][0]["details"]["text"].as_str().unwrap();
    assert!(text.contains("line 3"), "{text}");
}

#[test]
fn what_breaks_the_definitions_is_refused_with_its_place() {
    let project = guarded("bad-resource");
    for (members, place) in [
        (r#""what":1"#, "Patient.what"),
        (r#""active":"true""#, "Patient.active"),
        (r#""gender":"unheard""#, "Patient.gender"),
        (r#""birthDate":"1970-13-01""#, "Patient.birthDate"),
        (r#""name":{"family":"x"}"#, "Patient.name"),
        (r#""name":[]"#, "Patient.name"),
        (r#""name":[{"family":""}]"#, "Patient.name[0].family"),
        (
            r#""name":[{"given":["a"]},{"given":["b",1]}]"#,
            "Patient.name[1].given[1]",
        ),
        (
            r#""deceasedBoolean":true,"deceasedDateTime":"2020""#,
            "Patient.deceased",
        ),
        (r#""link":[{"type":"refer"}]"#, "Patient.link[0].other"),
        (r#""maritalStatus":null"#, "Patient.maritalStatus"),
        (
            r#""contained":[{"resourceType":"Patient","active":1}]"#,
            "Patient.contained[0].active",
        ),
        (
            r#""identifier":[{"period":{"start":"x"}}]"#,
            "Patient.identifier[0].period.start",
        ),
    ] {
        let body = format!(r#"{{"resourceType":"Patient","id":"a",{members}}}"#);
        let outcome = check(&project, body, 422);
        let expression = outcome["issue"][0]["expression"][0]
            .as_str()
            .unwrap_or_default();
        assert_eq!(expression, place, "{outcome}");
    }
    // Every fault is named, not only the first.
    let outcome = check(
        &project,
        r#"{"resourceType":"Patient","id":"a","active":1,"gender":"x","what":2}"#,
        422,
    );
    assert_eq!(outcome["issue"].as_array().unwrap().len(), 3);
}

#[test]
fn urls_and_bodies_must_agree() {
    let project = guarded("bad-urls");
    let put = |path: &str, body: &str| {
        let answer = project.send(project.request("PUT", path).body(body));
        check_outcome(&answer);
        check_untouched(&project);
        answer.status
    };
    assert_eq!(put("Patient/b", GOOD), 400);
    assert_eq!(put("Patient/a", r#"{"resourceType":"Patient"}"#), 400);
    assert_eq!(put("Observation/a", GOOD), 400);
    assert_eq!(put("Nothing/a", GOOD), 404);
    assert_eq!(put("patient/a", GOOD), 404);
    assert_eq!(put("DomainResource/a", GOOD), 404);
    assert_eq!(put("Patient/a_b", GOOD), 400);
    assert_eq!(put(&format!("Patient/{}", "a".repeat(65)), GOOD), 400);
    assert_eq!(put("Patient/%F0%9F%98%80", GOOD), 400);
    // A type in disguise is no type.
    let disguised = r#"{"resourceType":"Pati\u0065nt","id":"a"}"#;
    assert_eq!(put("Observation/a", disguised), 422);
    for (path, status) in [
        ("Nothing", 404),
        ("Nothing/1", 404),
        ("Patient/a_b", 400),
        ("Patient/a/_history/x", 404),
        ("Patient/a/what", 404),
        ("Patient/a%2Fb", 400),
        ("Patient/..", 404),
        ("Patient/%FF", 400),
        ("$everything", 404),
        ("Patient/a/_history/99999999999999999999", 404),
    ] {
        let answer = project.get(path);
        assert_eq!(answer.status, status, "{path} {}", answer.body);
        check_outcome(&answer);
    }
}

#[test]
fn media_types_that_are_not_ours_are_refused() {
    let project = guarded("bad-media");
    for ty in [
        "text/turtle",
        "text/plain",
        "application/json; charset=latin1",
        "",
    ] {
        for (method, path) in [("PUT", "Patient/a"), ("POST", "Patient"), ("POST", "")] {
            let request = project
                .request(method, path)
                .header("Content-Type", ty)
                .body(GOOD);
            check_outcome(&project.send(request).expect(415));
        }
    }
    let coded = project
        .request("PUT", "Patient/a")
        .header("Content-Encoding", "deflate")
        .body(GOOD);
    check_outcome(&project.send(coded).expect(415));
    let none = project
        .request("PUT", "Patient/a")
        .without("Content-Type")
        .body(GOOD);
    check_outcome(&project.send(none).expect(415));
    for accept in ["application/fhir+xml;q=0", "text/turtle", "image/png"] {
        let request = project
            .request("PUT", "Patient/a")
            .header("Accept", accept)
            .body(GOOD);
        check_outcome(&project.send(request).expect(406));
    }
    check_untouched(&project);
}

#[test]
fn methods_that_a_path_does_not_take_are_refused() {
    let project = guarded("bad-methods");
    for (method, path) in [
        ("PATCH", "Patient/a/_history/1"),
        ("POST", "Patient/a"),
        ("PUT", ""),
        ("DELETE", ""),
        ("DELETE", "Patient/a/_history/1"),
        ("PUT", "metadata"),
        ("TRACE", "Patient/a"),
        ("FOO", "Patient/a"),
    ] {
        let answer = project
            .send(project.request(method, path).body(GOOD))
            .expect(405);
        check_outcome(&answer);
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
    check_untouched(&project);
}

#[test]
fn what_is_no_route_is_counted_and_has_an_id() {
    let project = guarded("bad-routes");
    let mut ids = std::collections::BTreeSet::new();
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "Patient/a/what", 404),
        ("PATCH", "_history", 405),
        ("POST", "/health/live", 405),
        ("GET", "Patient/%FF", 400),
    ] {
        let answer = project.send(project.request(method, path)).expect(status);
        check_outcome(&answer);
        ids.insert(answer.header("x-request-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 5);
    let metrics = project.server.admin("GET", "/metrics", &Value::Null);
    let metrics = metrics.expect(200).body;
    for (route, status) in [("no-such-path", 404), ("no-such-method", 405)] {
        let count = format!("salus_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        assert!(metrics.contains(&count), "{count}: {metrics}");
    }
}

#[test]
fn bundles_with_faults_change_nothing() {
    let project = guarded("bad-bundles");
    let send = |bundle: &Value, status: u16| {
        check_outcome(&project.post("", bundle).expect(status));
        check_untouched(&project);
    };
    let put = |url: &str| json!({"resource": {"resourceType": "Patient", "id": "b"}, "request": {"method": "PUT", "url": url}});
    let transaction =
        |entry: Value| json!({"resourceType": "Bundle", "type": "transaction", "entry": entry});
    send(&json!({"resourceType": "Bundle", "type": "what"}), 422);
    send(&json!({"resourceType": "Bundle"}), 422);
    send(&transaction(json!({})), 422);
    send(&transaction(json!([put("Patient/a_b")])), 400);
    send(&transaction(json!([put("Patient/c")])), 400);
    send(&transaction(json!([put("Patient?nothing=1")])), 400);
    send(
        &transaction(json!([put("http://elsewhere.example/fhir/Patient/b")])),
        400,
    );
    send(&transaction(json!([put("/Patient/b")])), 400);
    send(
        &transaction(
            json!([{"resource": {"resourceType": "Patient"}, "request": {"method": "WHAT", "url": "Patient"}}]),
        ),
        422,
    );
}

#[test]
fn administration_takes_what_it_expects() {
    let project = project("bad-admin");
    let server = &project.server;
    for (path, body) in [
        ("/admin/projects", json!({"slug": "x"})),
        (
            "/admin/projects",
            json!({"slug": "x", "name": "n", "more": 1}),
        ),
        ("/admin/projects", json!([])),
        (
            "/admin/clients",
            json!({"name": "n", "scopes": "everything"}),
        ),
        (
            "/admin/clients",
            json!({"name": "", "scopes": "system/*.cruds"}),
        ),
        (
            "/admin/clients",
            json!({"id": "a b", "name": "n", "scopes": "system/*.cruds"}),
        ),
        ("/auth/sign-in", json!({"email": "x"})),
        (
            "/auth/sign-in",
            json!({"email": "no address", "password": "p"}),
        ),
    ] {
        check_outcome(&server.admin("POST", path, &body).expect(400));
    }
    check_outcome(
        &server
            .admin("DELETE", "/admin/clients/none", &Value::Null)
            .expect(404),
    );
    for form in [
        "",
        "grant_type=password",
        "grant_type=client_credentials",
        "grant_type=client_credentials&client_id=%FF&client_secret=x",
    ] {
        let request = Request::new("POST", "/auth/token").body(form);
        assert_eq!(server.send(request).status, 400, "{form}");
    }
}
