//! Every route of the table against every kind of credential: what no rule
//! allows is refused, shows nothing, changes nothing, and is in the audit.

use std::collections::BTreeMap;

use salus_api::route::{Access, Mount, ROUTES, Route};
use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

const SECRET: &str = "Unmistakable";

/// A project with something to see and to change on every route.
pub(crate) fn furnished(slug: &str) -> Project {
    furnish(project(slug))
}

/// The same of a project that is there.
pub(crate) fn furnish(project: Project) -> Project {
    project.put(&patient()).expect(201);
    project.client("victim", "system/*.r");
    let path = format!("/p/{}/admin/policies/victim", project.slug);
    let policy = json!({"rules": []});
    project.server.admin("PUT", &path, &policy).expect(201);
    project
}

fn patient() -> Value {
    json!({"resourceType": "Patient", "id": "target", "name": [{"family": SECRET}]})
}

/// Nothing of [`furnished`] has changed.
#[track_caller]
pub(crate) fn check_untouched(project: &Project) {
    assert_eq!(project.count("Patient"), 1);
    assert_eq!(
        project.get("Patient/target").expect(200).header("etag"),
        Some("W/\"1\"")
    );
    let path = format!("/p/{}/admin/clients", project.slug);
    let clients = project
        .server
        .admin("GET", &path, &Value::Null)
        .expect(200)
        .json();
    assert_eq!(clients["clients"].as_array().unwrap().len(), 2, "{clients}");
}

/// A request to a route that would succeed with every right.
pub(crate) fn request(project: &Project, route: &Route) -> Request {
    let path = match route.mount {
        Mount::Root => route.path.to_owned(),
        Mount::Project | Mount::WellKnown => format!("/p/{}{}", project.slug, route.path),
        Mount::Fhir => format!("/p/{}/fhir{}", project.slug, route.path),
    };
    let id = if route.mount == Mount::Fhir {
        "target"
    } else {
        "victim"
    };
    let path = path
        .replace("{type}", "Patient")
        .replace("{id}", id)
        .replace("{session}", "none")
        .replace("{key}", "none")
        .replace("{app}", "none")
        .replace("{member}", "Patient")
        .replace("{vid}", "1")
        .replace("{file}", "none");
    let path = match route.name.starts_with("conditional-") {
        true => format!("{path}?_id=target"),
        false => path,
    };
    let request =
        Request::new(route.method.as_str(), &path).header("Content-Type", "application/fhir+json");
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/target"}},
        {"request": {"method": "DELETE", "url": "Patient/target"}},
    ]});
    match route.name {
        "create" | "update" | "conditional-update" | "$validate-type" | "$validate-post" => {
            request.body(patient().to_string())
        }
        "patch" | "conditional-patch" => request
            .header("Content-Type", "application/json-patch+json")
            .body(r#"[{"op":"add","path":"/gender","value":"other"}]"#),
        "transaction" => request.body(bundle.to_string()),
        "search-type-post" | "search-system-post" | "search-compartment-post" => request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("_id=target"),
        "users-create" => request.body(json!({"email": "made@example.org"}).to_string()),
        "users-change" | "groups-create" | "groups-change" => {
            request.body(json!({"name": "Made"}).to_string())
        }
        "identity-write" => request.body(json!({"sign_up": "closed"}).to_string()),
        "break-glass" => {
            let reason = json!({"code": "ETREAT", "text": "found in the lobby"});
            request.body(json!({"patient": "victim", "reason": reason}).to_string())
        }
        "break-glass-review" => request.body(json!({"outcome": "justified"}).to_string()),
        "disclosures-record" => {
            let disclosure = json!({"date": "2026-01-05", "recipient": {"name": "Made"},
                "description": "made", "purpose": "made"});
            request.body(json!({"patient": "victim", "disclosure": disclosure}).to_string())
        }
        "disclosures-suspend" => {
            let suspension = json!({"agency": "Made", "until": "2026-01-05", "written": true,
                "statement": "made"});
            request.body(suspension.to_string())
        }
        "alerts-dispose" => request.body(json!({"outcome": "false-alarm"}).to_string()),
        "alerting-write" | "care-write" => request.body(json!({}).to_string()),
        "sign-up" | "recover" => request.body(json!({"email": "nobody@example.org"}).to_string()),
        "join" | "password" => {
            request.body(json!({"link": "none", "password": "none"}).to_string())
        }
        "verify" => request.body(json!({"link": "none"}).to_string()),
        "account-change" => request.body(json!({}).to_string()),
        "account-delete" => request.body(json!({"password": "none"}).to_string()),
        "invitations-create" => request.body(json!({"email": "b@example.org"}).to_string()),
        "mails-write" => request.body(json!({"subject": "Made", "text": "{{link}}"}).to_string()),
        "providers-create" | "providers-change" => {
            let provider = json!({
                "name": "victim", "label": "Made", "issuer": "https://id.example.org",
                "client_id": "made", "client_secret": "made",
            });
            request.body(provider.to_string())
        }
        "account-provider-connect" | "step-up-provider" => {
            request.body(json!({"provider": "none"}).to_string())
        }
        "account-password" => {
            request.body(json!({"old": "none", "new": "an unlikely answer"}).to_string())
        }
        "projects-create" => {
            let slug = format!("{}-made", project.slug);
            request.body(json!({"slug": slug, "name": "Made"}).to_string())
        }
        "clients-create" => {
            request.body(json!({"id": "made", "name": "Made", "scopes": "system/*.r"}).to_string())
        }
        "$meta-add" | "$meta-delete" => {
            let meta = json!({"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}});
            request.body(json!({"resourceType": "Parameters", "parameter": [meta]}).to_string())
        }
        "retention-write" => request.body(json!({"classes": []}).to_string()),
        "retention-dispose" => {
            request.body(json!({"reason": "made for a test", "dryRun": true}).to_string())
        }
        "holds-place" => {
            let hold = json!({"name": "Made", "reason": "made for a test", "patients": ["victim"]});
            request.body(hold.to_string())
        }
        "cold-move" => {
            request.body(json!({"reason": "made for a test", "dryRun": true}).to_string())
        }
        "cold-retrieve" => {
            let retrieval = json!({"type": "Patient", "id": "none", "reason": "made for a test"});
            request.body(retrieval.to_string())
        }
        "cold-verify" => request.body(json!({}).to_string()),
        "holds-lift" => request.body(json!({"reason": "made for a test"}).to_string()),
        "shreds-create" => {
            let shred = json!({"patient": "target", "reason": "made for a test", "dryRun": true});
            request.body(shred.to_string())
        }
        "history-write" => request.body(json!({"types": {}}).to_string()),
        "$import" => request
            .header("Prefer", "respond-async")
            .header("Content-Type", "application/fhir+ndjson")
            .body(r#"{"resourceType":"Patient"}"#),
        name if name.starts_with("$export") => request.header("Prefer", "respond-async"),
        "policies-write" => request.body(json!({"rules": []}).to_string()),
        "client-keys-create" => {
            let key = json!({"name": "Made", "addresses": ["::/0", "0.0.0.0/0"], "days": 1});
            request.body(key.to_string())
        }
        "par" | "device-authorization" => request.body("client_id=none&client_secret=none"),
        "brands-write" => {
            let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"resource": {"resourceType": "Organization", "name": "Example"}}]});
            request.body(bundle.to_string())
        }
        "register" | "register-change" => {
            let redirects = ["https://app.example.org/back"];
            request.body(json!({"client_id": "victim", "redirect_uris": redirects}).to_string())
        }
        "registration-write" => request.body(json!({"mode": "off"}).to_string()),
        "registration-tokens-create" => {
            request.body(json!({"name": "Made", "days": 1, "uses": 1}).to_string())
        }
        "launch" => request.body(json!({"client_id": "none"}).to_string()),
        "theme-write" => request.body(json!({"name": "Made"}).to_string()),
        "policies-ask" => {
            let question = json!({"as": {}, "action": "read", "type": "Patient"});
            request.body(json!({"questions": [question]}).to_string())
        }
        "cors-write" => request.body(json!({"origins": []}).to_string()),
        "keyring-rotate" => request.body(json!({"what": "project", "project": "none"}).to_string()),
        "reindex-pause" => request.body(json!({"paused": false}).to_string()),
        "token" => request.body("grant_type=client_credentials&client_id=none&client_secret=none"),
        "introspect" | "revoke" => request.body("client_id=none&client_secret=none&token=none"),
        "sign-in" => {
            request.body(json!({"email": "nobody@example.org", "password": "none"}).to_string())
        }
        "sign-in-factor" => request.body(json!({"sign_in": "none", "totp": "123456"}).to_string()),
        "sign-in-passkey" => {
            let response = json!({"clientDataJSON": "", "authenticatorData": "", "signature": ""});
            request.body(json!({"passkey": {"id": "", "response": response}}).to_string())
        }
        "passkeys-add" => {
            let response = json!({"clientDataJSON": "", "attestationObject": ""});
            request.body(json!({"passkey": {"response": response}}).to_string())
        }
        "step-up" => request.body(json!({"totp": "123456"}).to_string()),
        "factors-enrol" => request.body(json!({"kind": "totp"}).to_string()),
        "factors-confirm" => request.body(json!({"totp": "123456"}).to_string()),
        "setup" => request.body("link=none&email=nobody@example.org&password=none"),
        _ => request,
    }
}

fn is_closed(route: &Route) -> bool {
    matches!(route.access, Access::Token(_))
}

pub(crate) fn closed() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| is_closed(route))
}

#[track_caller]
pub(crate) fn check_shows_nothing(answer: &Answer, route: &Route) {
    assert!(
        !answer.body.contains(SECRET),
        "{}: {}",
        route.name,
        answer.body
    );
    assert!(
        !answer.body.contains("secret"),
        "{}: {}",
        route.name,
        answer.body
    );
}

#[test]
fn no_closed_route_answers_without_a_valid_token() {
    let project = furnished("routes-no-token");
    let mut unknown = project.token.clone();
    let last = if unknown.pop() == Some('A') { 'B' } else { 'A' };
    unknown.push(last);
    let ended = project.client("ended", "system/*.cruds");
    project
        .server
        .admin(
            "DELETE",
            "/p/routes-no-token/admin/clients/ended",
            &Value::Null,
        )
        .expect(200);
    // One that its owner signed out of, and one that its client took back.
    let left = project.client("left", "system/*.cruds");
    let path = "/p/routes-no-token/auth/sign-out";
    let leave = Request::new("POST", path).header("Authorization", format!("Bearer {left}"));
    project.send(leave).expect(200);
    let client = json!({"id": "revoker", "name": "R", "scopes": "system/*.cruds"});
    let clients = "/p/routes-no-token/admin/clients";
    let made = project
        .server
        .admin("POST", clients, &client)
        .expect(201)
        .json();
    let secret = made["client_secret"].as_str().unwrap();
    let revoked = project.sign_in("revoker", secret);
    let form = format!("client_id=revoker&client_secret={secret}&token={revoked}");
    let revoke = Request::new("POST", "/p/routes-no-token/auth/revoke").body(form);
    project.send(revoke).expect(200);
    let mut requests = BTreeMap::new();
    for route in closed() {
        for credentials in [
            None,
            Some("Bearer".to_owned()),
            Some("Bearer garbage".to_owned()),
            Some("Basic dmljdGltOnNlY3JldA==".to_owned()),
            Some(format!("Bearer {unknown}")),
            Some(format!("Bearer {ended}")),
            Some(format!("Bearer {left}")),
            Some(format!("Bearer {revoked}")),
            Some(project.token.clone()),
        ] {
            let request = request(&project, route);
            let request = match credentials {
                Some(value) => request.header("Authorization", value),
                None => request,
            };
            let answer = project.send(request);
            assert_eq!(answer.status, 401, "{}: {}", route.name, answer.body);
            assert!(
                answer.header("www-authenticate").is_some(),
                "{}",
                route.name
            );
            check_shows_nothing(&answer, route);
            requests.insert(
                answer.header("x-request-id").unwrap().to_owned(),
                route.name,
            );
        }
    }
    for id in ["left", "revoker"] {
        let path = format!("{clients}/{id}");
        project
            .server
            .admin("DELETE", &path, &Value::Null)
            .expect(200);
    }
    check_untouched(&project);
    check_audited(&project, requests);
}

#[test]
fn no_route_answers_a_token_of_another_project() {
    let (project, other) = (furnished("routes-foreign"), project("routes-foreigner"));
    let mut requests = BTreeMap::new();
    for route in closed() {
        let foreign = format!("Bearer {}", other.token);
        let answer = project.send(request(&project, route).header("Authorization", foreign));
        assert_eq!(answer.status, 403, "{}: {}", route.name, answer.body);
        check_shows_nothing(&answer, route);
        requests.insert(
            answer.header("x-request-id").unwrap().to_owned(),
            route.name,
        );
    }
    // It still works at home.
    other.get("Patient").expect(200);
    check_untouched(&project);
    check_audited(&project, requests);
}

/// What the right to search allows on a type.
const SEARCHES: &[&str] = &[
    "search-type",
    "search-type-post",
    "search-system",
    "search-system-post",
    "search-compartment",
    "search-compartment-post",
    "history-type",
    "$everything-type",
    "$everything-type-post",
    "$lastn",
    "$lastn-post",
    "$meta-type",
    "$meta-type-post",
    "$stats",
    "$stats-post",
    "$match",
];

#[test]
fn a_client_may_do_what_its_scopes_say_and_no_more() {
    let project = furnished("routes-scopes");
    for (scopes, allowed) in [
        ("system/Patient.c", vec!["create"]),
        (
            "system/Patient.r",
            vec![
                "read",
                "vread",
                "history-instance",
                "$everything",
                "$everything-post",
                "$diff",
                "$diff-post",
                "$meta",
                "$meta-post",
                "$validate",
                "$document",
                "$document-post",
                "$document-type",
                "$document-type-post",
            ],
        ),
        (
            "system/Patient.u",
            vec!["update", "patch", "$merge", "$merge-undo"],
        ),
        ("system/Patient.s", SEARCHES.to_vec()),
        (
            "system/*.s",
            [
                SEARCHES,
                &["history-system", "$meta-system", "$meta-system-post"],
            ]
            .concat(),
        ),
        // Of all types they find those that they may search.
        (
            "system/Observation.cruds",
            vec!["search-system", "search-system-post"],
        ),
        ("system/AuditEvent.rs", Vec::new()),
        // A condition tells what is there, so it takes the right to search.
        (
            "system/Patient.us",
            [
                SEARCHES,
                &[
                    "update",
                    "$merge",
                    "$merge-undo",
                    "conditional-update",
                    "patch",
                    "conditional-patch",
                ],
            ]
            .concat(),
        ),
        (
            "system/Patient.ds",
            [SEARCHES, &["delete", "conditional-delete"]].concat(),
        ),
        ("system/Patient.d", vec!["delete"]),
    ] {
        let id = scopes.replace(['/', '*', '.'], "-").to_lowercase();
        let token = project.client(&id, scopes);
        // Signing out comes last: the others need the token.
        let (last, others): (Vec<_>, Vec<_>) = closed().partition(|route| route.name == "sign-out");
        for route in others.into_iter().chain(last) {
            let bearer = format!("Bearer {token}");
            let answer = project.send(request(&project, route).header("Authorization", bearer));
            // They export what they may search.
            let exports = matches!(
                route.name,
                "$export" | "$export-post" | "$export-type" | "$export-type-post"
            );
            let expect = allowed.contains(&route.name)
                || exports && allowed.contains(&"search-system")
                || matches!(
                    route.name,
                    "transaction"
                        | "sign-out"
                        | "$validate-type"
                        | "$validate-post"
                        | "$process-message"
                        | "$import"
                        | "$export-group"
                        | "$export-group-post"
                        | "job"
                        | "job-cancel"
                        | "job-file"
                );
            assert_eq!(
                answer.status != 403,
                expect,
                "{scopes} {}: {}",
                route.name,
                answer.body
            );
            assert_ne!(answer.status, 401, "{scopes} {}", route.name);
            if route.name == "transaction" {
                let entries = answer.json();
                let may =
                    |entry: usize| entries["entry"][entry]["response"]["status"] != "403 Forbidden";
                let (read, delete) = (allowed.contains(&"read"), allowed.contains(&"delete"));
                assert_eq!((may(0), may(1)), (read, delete), "{scopes}: {entries}");
            }
            if !expect || scopes == "system/Observation.cruds" {
                check_shows_nothing(&answer, route);
            }
        }
    }
}

#[test]
fn a_client_never_administers() {
    let project = furnished("routes-admin");
    for route in
        closed().filter(|route| route.path.starts_with("/admin") || route.name == "metrics")
    {
        let bearer = format!("Bearer {}", project.token);
        let answer = project.send(request(&project, route).header("Authorization", bearer));
        assert_eq!(answer.status, 403, "{}: {}", route.name, answer.body);
        check_shows_nothing(&answer, route);
    }
    check_untouched(&project);
}

#[test]
fn the_default_project_is_at_both_of_its_paths() {
    let server = crate::host::shared();
    for route in ROUTES.iter().filter(|route| route.mount != Mount::Root) {
        for path in route.mount.paths(route.path) {
            let path = path
                .replace("{project}", "default")
                .replace("{type}", "Patient");
            let path = path.replace("{id}", "none").replace("{vid}", "1");
            let path = path.replace("{member}", "Patient");
            let answer = server.send(Request::new(route.method.as_str(), &path));
            let expect = if is_closed(route) { 401 } else { answer.status };
            assert_eq!(answer.status, expect, "{} {path}", route.method);
            assert_ne!(answer.status, 404, "{} {path}", route.method);
        }
    }
}

#[test]
fn every_route_leaves_an_entry_in_the_audit() {
    let project = furnished("routes-audit");
    // These decide nothing and show nothing that is not the same for everyone.
    let silent = [
        "home",
        "health-live",
        "health-ready",
        "audit-checkpoint",
        "audit-key",
        "setup-page",
        "capabilities",
        "$versions",
        "openapi",
        "authorization-server",
        "smart-configuration",
        "jwks",
        "openid-configuration",
        "auth-style",
        "brands",
        "device-page",
        "auth-logo",
        "smart-style",
        "sign-up-page",
        "join-page",
        "recover-page",
        "password-page",
        "verify-page",
        // Without a page of ours before them they decide nothing.
        "authorize-post",
        "authorize-patient",
        "authorize-sign-in",
        "authorize-decision",
        "authorize-factor",
        "authorize-passkey",
        "authorize-provider",
        "authorize-connect",
        "provider-begin",
        // Nothing is begun: the page says so.
        "provider-page",
        "provider-names",
        "auth-script",
        // They show who is at the browser to nobody else; signing out is told.
        "logout-page",
        "logout",
        "logout-decision",
        // It gives a challenge, which stands for nothing.
        "passkey-options",
    ];
    let bearer = format!("Bearer {}", project.server.token());
    let mut requests = BTreeMap::new();
    for route in ROUTES {
        let mut request = request(&project, route);
        match route.name {
            name if silent.contains(&name) => continue,
            // The administrator's own session goes on.
            "sign-out" => {
                request = request.header(
                    "Authorization",
                    format!("Bearer {}", project.client("leaving", "system/*.r")),
                )
            }
            _ if is_closed(route) => request = request.header("Authorization", bearer.clone()),
            _ => {}
        }
        // In this order each finds what it needs; a batch has an entry for each of its own.
        let answer = project.send(request);
        if is_closed(route) {
            assert!(
                answer.status < 500 && answer.status != 403 && answer.status != 401,
                "{}: {}",
                route.name,
                answer.body
            );
        }
        requests.insert(
            answer.header("x-request-id").unwrap().to_owned(),
            route.name,
        );
    }
    check_audited(&project, requests);
}

/// Each of these requests has an entry in the audit of the project, or of the server.
#[track_caller]
pub(crate) fn check_audited(project: &Project, mut requests: BTreeMap<String, &str>) {
    for endpoint in [project.base(), "/p/system/fhir".to_owned()] {
        let mut next = Some(format!("{endpoint}/AuditEvent?_count=500"));
        while let Some(path) = next {
            let page = project.server.admin("GET", &path, &Value::Null).expect(200);
            for entry in page.json()["entry"].as_array().into_iter().flatten() {
                let entities = entry["resource"]["entity"].as_array().unwrap().iter();
                for id in
                    entities.filter_map(|entity| entity["what"]["identifier"]["value"].as_str())
                {
                    requests.remove(id);
                }
            }
            next = page.link("next");
        }
    }
    assert!(requests.is_empty(), "without an audit entry: {requests:?}");
}
