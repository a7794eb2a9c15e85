//! Web pages of other origins call the projects that let them, and no others.

use serde_json::{Value, json};

use crate::host::{Project, Server, project};
use crate::wire::{Answer, Request};

const APP: &str = "https://app.example.org";

#[track_caller]
fn set(project: &Project, policy: &Value) -> Answer {
    let path = format!("/p/{}/admin/cors", project.slug);
    project.server.admin("PUT", &path, policy)
}

fn preflight(project: &Project, path: &str, origin: &str) -> Answer {
    let request = Request::new("OPTIONS", path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "PUT")
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type",
        );
    project.send(request)
}

/// What a page of an origin is told about reading, and about who may not.
#[track_caller]
fn allows(project: &Project, origin: &str, allowed: Option<&str>) {
    let path = project.base() + "/Patient/a";
    let answer = preflight(project, &path, origin);
    assert_eq!(answer.status, if allowed.is_some() { 204 } else { 403 });
    assert_eq!(answer.header("access-control-allow-origin"), allowed);
    let stranger = project.with("sl1.none");
    for (project, status) in [(project, 200), (&stranger, 401)] {
        let request = project.request("GET", "Patient/a").header("Origin", origin);
        let answer = project.send(request).expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed.is_some(), allowed.is_some());
    }
}

#[test]
fn pages_call_the_projects_that_name_their_origin() {
    let (project, other) = (project("cors"), project("cors-other"));
    for project in [&project, &other] {
        project
            .put(&json!({"resourceType": "Patient", "id": "a"}))
            .expect(201);
    }
    allows(&project, APP, None);
    let policy = json!({"origins": [APP, "http://localhost:3000"], "max_age_seconds": 60});
    assert_eq!(set(&project, &policy).expect(200).json(), policy);
    let path = format!("/p/{}/admin/cors", project.slug);
    let read = project.server.admin("GET", &path, &Value::Null);
    assert_eq!(read.expect(200).json(), policy);
    allows(&project, APP, Some(APP));
    allows(
        &project,
        "http://localhost:3000",
        Some("http://localhost:3000"),
    );
    for stranger in [
        "https://app.example.org.evil.example",
        "http://app.example.org",
        "null",
        "",
    ] {
        allows(&project, stranger, None);
    }
    allows(&other, APP, None);
    set(&other, &json!({"origins": ["*"]})).expect(200);
    allows(&other, APP, Some("*"));
    allows(&other, "null", Some("*"));
    set(&project, &json!({"origins": []})).expect(200);
    allows(&project, APP, None);
}

#[test]
fn a_preflight_tells_what_a_page_may_send() {
    let project = project("cors-preflight");
    set(&project, &json!({"origins": [APP]})).expect(200);
    let answer = preflight(&project, &(project.base() + "/Patient"), APP).expect(204);
    for (name, parts) in [
        (
            "access-control-allow-methods",
            &["GET", "PUT", "PATCH", "DELETE"][..],
        ),
        (
            "access-control-allow-headers",
            &["Authorization", "If-Match", "Prefer"][..],
        ),
        ("access-control-max-age", &["600"][..]),
        ("vary", &["Origin"][..]),
    ] {
        let value = answer.header(name).unwrap_or_default();
        assert!(
            parts.iter().all(|part| value.contains(part)),
            "{name}: {value}"
        );
    }
    let request = project.request("GET", "Patient").header("Origin", APP);
    let answer = project.send(request).expect(200);
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in [
        "ETag",
        "Location",
        "Content-Location",
        "Last-Modified",
        "X-Request-Id",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }
    // What is of the server is of no project, and OPTIONS without the question of a page is one for methods.
    preflight(&project, "/admin/projects", APP).expect(403);
    preflight(&project, "/p/no-such-project/fhir/Patient", APP).expect(403);
    project
        .send(project.request("OPTIONS", "Patient").header("Origin", APP))
        .expect(204);
}

#[test]
fn a_policy_that_means_nothing_is_refused() {
    let project = project("cors-bad");
    for bad in [
        json!({"origins": ["*", APP]}),
        json!({"origins": ["https://*.example.org"]}),
        json!({"origins": ["https://app.example.org/"]}),
        json!({"origins": ["app.example.org"]}),
        json!({"origins": [APP], "max_age_seconds": 86401}),
        json!({"origins": [APP], "credentials": true}),
        json!({"max_age_seconds": 1}),
    ] {
        set(&project, &bad).expect(400);
    }
}

#[test]
fn a_policy_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0"]);
    let policy = json!({"origins": [APP], "max_age_seconds": 600});
    server.admin("PUT", "/admin/cors", &policy).expect(200);
    assert!(server.stop().success());
    let server = Server::start_on(&data, &["--demo=0"]);
    let read = server.admin("GET", "/admin/cors", &Value::Null);
    assert_eq!(read.expect(200).json(), policy);
    let request = Request::new("GET", "/fhir/metadata").header("Origin", APP);
    let answer = server.send(request).expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
}
