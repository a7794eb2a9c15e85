//! `HEAD`, `OPTIONS` and what a path takes (RFC 9110, 9.3.2 and 9.3.7), on every route.

use std::collections::{BTreeMap, BTreeSet};

use salus_api::route::{Access, Mount, ROUTES};
use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::Request;

/// The path of a route, of something that is there.
fn path_of(project: &Project, mount: Mount, path: &str) -> String {
    let path = match mount {
        Mount::Root => path.to_owned(),
        Mount::Project | Mount::WellKnown => format!("/p/{}{path}", project.slug),
        Mount::Fhir => format!("{}{path}", project.base()),
    };
    let path = path.replace("{type}", "Patient").replace("{id}", "a");
    path.replace("{member}", "Observation")
        .replace("{vid}", "1")
}

#[test]
fn head_is_get_without_its_body() {
    let project = project("methods-head");
    project
        .put(&json!({"resourceType": "Patient", "id": "a", "active": true}))
        .expect(201);
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        let path = path_of(&project, route.mount, route.path);
        let token = match route.mount {
            Mount::Fhir => project.token.clone(),
            Mount::Root | Mount::Project | Mount::WellKnown => project.server.token().to_owned(),
        };
        let send = |method: &str| {
            let request = Request::new(method, &path);
            project.send(match route.access {
                Access::Public => request,
                Access::Token(_) => request.header("Authorization", format!("Bearer {token}")),
            })
        };
        let (get, head) = (send("GET"), send("HEAD"));
        assert_eq!((head.status, &*head.body), (get.status, ""), "{path}");
        for header in [
            "content-type",
            "etag",
            "last-modified",
            "vary",
            "cache-control",
        ] {
            // The page of setting up names what it may load by a number of its own.
            assert_eq!(head.header(header), get.header(header), "{path} {header}");
        }
    }
}

#[test]
fn options_tells_what_a_path_takes() {
    let project = project("methods-options");
    let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for route in ROUTES {
        let path = path_of(&project, route.mount, route.path);
        let methods = taken.entry(path).or_default();
        methods.insert(route.method.to_string());
        if route.method == "GET" {
            methods.insert("HEAD".to_owned());
        }
    }
    let allowed = |answer: &crate::wire::Answer| -> BTreeSet<String> {
        let allow = answer.header("allow").unwrap_or_default().split(',');
        allow.map(|method| method.trim().to_owned()).collect()
    };
    for (path, methods) in taken {
        let answer = project.send(Request::new("OPTIONS", &path)).expect(204);
        assert_eq!(allowed(&answer), methods, "{path}");
        assert!(answer.header("x-request-id").is_some());
        let other = project.send(Request::new("TRACE", &path)).expect(405);
        assert_eq!(allowed(&other), methods, "{path}");
    }
    project
        .send(Request::new("OPTIONS", "/nothing"))
        .expect(404);
}

#[test]
fn a_patch_of_another_type_is_told_which_there_are() {
    let project = project("methods-patch");
    for path in ["Patient/a", "Patient?_id=a"] {
        let request = project
            .request("PATCH", path)
            .header("Content-Type", "text/plain");
        let answer = project.send(request.body("[]")).expect(415);
        let types = answer.header("accept-patch").unwrap();
        let listed = project.get("metadata").expect(200).json()["patchFormat"].clone();
        let listed: Vec<&str> = listed
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(types.split(", ").collect::<Vec<_>>(), listed);
    }
    let other = project
        .request("POST", "Patient")
        .header("Content-Type", "text/plain");
    assert_eq!(
        project
            .send(other.body("[]"))
            .expect(415)
            .header("accept-patch"),
        None
    );
}

#[test]
fn options_tell_which_patches_there_are() {
    let project = project("methods-patches");
    let listed = project.get("metadata").expect(200).json()["patchFormat"].clone();
    for (path, patched) in [
        ("Patient/a", true),
        ("Patient", true),
        ("Patient/a/_history", false),
        ("Patient/_search", false),
        ("metadata", false),
        ("Patient/a/$everything", false),
        ("", false),
    ] {
        let answer = project.send(project.request("OPTIONS", path)).expect(204);
        let types = answer.header("accept-patch").map(|types| types.split(", "));
        let types: Option<Vec<&str>> = types.map(Iterator::collect);
        assert_eq!(
            json!(types),
            if patched { listed.clone() } else { Value::Null },
            "{path}"
        );
        let allow = answer.header("allow").unwrap();
        assert_eq!(allow.contains("PATCH"), patched, "{path}");
    }
}

#[test]
fn who_asks_to_be_strict_hears_of_preferences_that_are_not_known() {
    let project = project("methods-prefer");
    for (prefer, status) in [
        ("return=everything", 201),
        ("handling=strict", 201),
        ("handling=strict, return=minimal", 201),
        ("handling=lenient; return=everything", 201),
        ("handling=lenient, handling=strict, return=everything", 201),
        ("handling=strict, return=everything", 400),
        ("wait=10; handling=strict", 400),
        ("handling=sometimes, handling=strict", 400),
    ] {
        let request = project
            .request("POST", "Patient")
            .header("Content-Type", "application/fhir+json")
            .header("Prefer", prefer);
        let request = request.body(r#"{"resourceType":"Patient"}"#);
        let answer = project.send(request).expect(status);
        assert_eq!(
            answer.body.contains("return=OperationOutcome"),
            status == 400,
            "{prefer}"
        );
    }
    assert_eq!(project.count("Patient"), 5);
    let search = project.request("GET", "Patient?what=1");
    let search = search.header("Prefer", "handling=lenient, handling=strict");
    project.send(search).expect(200);
}

/// What a read shows by these parameters and `Accept`: its members but for `meta`.
#[track_caller]
fn check_read(project: &Project, query: &str, accept: &str, members: &[&str]) {
    for path in ["Patient/a", "Patient/a/_history/1"] {
        let request = project.request("GET", &format!("{path}{query}"));
        let answer = project.send(request.header("Accept", accept)).expect(200);
        let ty = answer.header("content-type").unwrap();
        assert_eq!(ty, "application/fhir+json; charset=utf-8", "{accept}");
        let shown = answer.json();
        let keys = shown.as_object().unwrap().keys();
        let keys: BTreeSet<&str> = keys
            .map(String::as_str)
            .filter(|key| *key != "meta")
            .collect();
        assert_eq!(keys, members.iter().copied().collect(), "{path}{query}");
    }
}

#[test]
fn a_read_is_shortened_and_laid_out() {
    let project = project("methods-read");
    let patient = json!({"resourceType": "Patient", "id": "a", "active": true,
        "maritalStatus": {"text": "x"},
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}});
    project.put(&patient).expect(201);
    let all = ["resourceType", "id", "active", "maritalStatus", "text"];
    let plain = "application/fhir+json";
    check_read(&project, "", plain, &all);
    check_read(&project, "?_summary=false", plain, &all);
    check_read(
        &project,
        "?_summary=true",
        plain,
        &["resourceType", "id", "active"],
    );
    check_read(
        &project,
        "?_summary=text",
        plain,
        &["resourceType", "id", "text"],
    );
    check_read(
        &project,
        "?_summary=data",
        plain,
        &["resourceType", "id", "active", "maritalStatus"],
    );
    check_read(
        &project,
        "?_elements=active",
        plain,
        &["resourceType", "id", "active"],
    );
    for accept in [
        "application/fhir+json;charset=utf-8",
        "application/fhir+json; charset=\"UTF-8\"; fhirVersion=4.0",
        "text/html, application/fhir+json;q=0.9, */*;q=0.1",
        "application/vnd.example+json, application/fhir+json; q=0.2",
    ] {
        check_read(&project, "", accept, &all);
    }
    let lines = project.get("Patient/a?_pretty=true").expect(200).body;
    assert!(lines.contains("\n  \"active\": true"), "{lines}");
    for wrong in ["?_summary=some", "?_elements=", "?_pretty=yes"] {
        project.get(&format!("Patient/a{wrong}")).expect(400);
    }
    let other = project
        .request("GET", "Patient/a")
        .header("Accept", "application/vnd.example+json");
    project.send(other).expect(406);
    // Errors have the format that was asked for, by whichever means.
    for path in [
        "Patient/none?_format=xml",
        "Nothing?_format=application/fhir%2Bxml",
        "Patient?x=1&_format=xml",
    ] {
        let answer = project.get(path);
        assert!(
            answer.status >= 400 && answer.body.starts_with("<?xml"),
            "{}",
            answer.body
        );
    }
    let refused = project.get("Patient/a?_format=turtle").expect(406);
    assert_eq!(refused.json()["resourceType"], "OperationOutcome");
}
