//! Libraries that others wrote sign in: the npm packages openid-client and fhirclient.
//!
//! `.ci/run` installs them below the target folder, as crates/server/tests/clients/package-lock.json
//! names them. The tests are skipped, with a message, where they or Node are absent.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::oauth::register;
use crate::oauth_users::{BACK, PASSWORD, place, text};
use crate::smart::clinic;

#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// Runs a program of crates/server/tests/clients, which has to say this at its end.
#[track_caller]
pub(crate) fn check(script: &str, arguments: &[&str], expect: &str) {
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    if !room.join("node_modules/playwright-core").exists() {
        return skipped("the packages of tests/clients are not installed");
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    for name in ["browser.mjs", script] {
        std::fs::copy(source.join(name), room.join(name)).unwrap();
    }
    let done = Command::new("node")
        .arg(room.join(script))
        .args(arguments)
        .output();
    let Ok(done) = done else {
        return skipped("there is no Node");
    };
    let said = String::from_utf8_lossy(&done.stdout);
    let why = String::from_utf8_lossy(&done.stderr);
    assert_eq!(said.trim(), expect, "{why}");
}

#[test]
fn openid_client_signs_in() {
    let place = place();
    let issuer = format!("http://{}", place.project.server.address());
    let arguments = [&*issuer, "app", BACK, "first@example.org", PASSWORD];
    check("openid_client.mjs", &arguments, "signed in");
}

#[test]
fn fhirclient_launches_alone_and_from_elsewhere() {
    let place = clinic();
    let client = json!({
        "id": "chart", "name": "Chart", "token_endpoint_auth_method": "none",
        "scopes": "openid fhirUser launch launch/patient patient/*.rs",
        "grant_types": ["authorization_code"], "redirect_uris": [BACK],
    });
    register(&place.project, &client).expect(201);
    let body = json!({"client_id": "chart", "patient": "bob"});
    let made = place.project.server.admin("POST", "/auth/launch", &body);
    let launch = text(&made.expect(201).json(), "launch");
    // Alone it is about the first one who is found.
    place.project.delete("Observation/vital").expect(204);
    let endpoint = format!("http://{}/fhir", place.project.server.address());
    let arguments = [
        &*endpoint,
        "chart",
        BACK,
        "first@example.org",
        PASSWORD,
        &launch,
    ];
    check("fhirclient.mjs", &arguments, "launched");
}
