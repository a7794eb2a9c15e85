//! Bodies that routes take, to show how they look, and to try them out.

use serde_json::{Value, json};

use crate::route::{Mount, Route};

/// An example of a route's body; its resource is the one of the path's examples.
pub(super) fn body(route: &Route) -> Option<Value> {
    let name = route.name;
    match name {
        "create" | "update" | "conditional-update" => Some(patient()),
        "transaction" => Some(json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"request": {"method": "GET", "url": "Patient/example"}},
            {"resource": patient(), "request": {"method": "PUT", "url": "Patient/example"}},
        ]})),
        "token" => Some(json!({
            "grant_type": "client_credentials",
            "client_id": "example",
            "client_secret": "example",
        })),
        "par" => Some(json!({
            "client_id": "example", "client_secret": "example", "response_type": "code",
        })),
        "device-authorization" => Some(json!({"client_id": "example", "scope": "openid"})),
        "client-keys-create" => Some(json!({
            "name": "Example", "addresses": ["192.0.2.0/24"], "days": 30,
        })),
        "register" => Some(json!({
            "client_name": "Example", "redirect_uris": ["https://app.example.org/back"],
            "token_endpoint_auth_method": "none",
        })),
        "register-change" => Some(json!({
            "client_id": "example", "client_name": "Example",
            "redirect_uris": ["https://app.example.org/back"],
            "token_endpoint_auth_method": "none",
        })),
        "registration-write" => Some(json!({"mode": "token"})),
        "registration-tokens-create" => Some(json!({"name": "Example", "days": 30, "uses": 1})),
        "introspect" | "revoke" => Some(json!({
            "client_id": "example",
            "client_secret": "example",
            "token": "example",
        })),
        "setup" => Some(json!({"link": "x", "email": "a@example.org", "password": "example"})),
        "sign-in" => Some(json!({"email": "a@example.org", "password": "example"})),
        "sign-in-factor" => Some(json!({"sign_in": "example", "totp": "123456"})),
        "sign-in-passkey" => Some(json!({"passkey": {"id": "example", "response": {
            "clientDataJSON": "e30", "authenticatorData": "e30", "signature": "e30"}}})),
        "passkeys-add" => Some(json!({"name": "Example", "passkey": {"response": {
            "clientDataJSON": "e30", "attestationObject": "e30"}}})),
        "step-up" => Some(json!({"totp": "123456"})),
        "factors-enrol" => Some(json!({"kind": "totp", "name": "Example"})),
        "factors-confirm" => Some(json!({"totp": "123456"})),
        "providers-create" | "providers-change" => {
            let mut provider = json!({
                "label": "Hospital", "issuer": "https://id.example.org", "client_id": "salus",
                "client_secret": "example",
            });
            if route.name == "providers-create" {
                provider["name"] = json!("hospital");
            }
            Some(provider)
        }
        "account-provider-connect" | "step-up-provider" => Some(json!({"provider": "hospital"})),
        "account-password" => Some(json!({"old": "example", "new": "example"})),
        "sign-up" | "recover" => Some(json!({"email": "a@example.org"})),
        "join" | "password" => Some(json!({"link": "example", "password": "example"})),
        "verify" => Some(json!({"link": "example"})),
        "account-change" => Some(json!({"name": "Example"})),
        "account-delete" => Some(json!({"password": "example"})),
        "invitations-create" => Some(json!({"email": "b@example.org", "name": "Example"})),
        "mails-write" => Some(json!({"subject": "{{project}}", "text": "Open {{link}}"})),
        "users-create" => Some(json!({"email": "a@example.org", "name": "Example"})),
        "users-change" => Some(json!({"name": "Example"})),
        "groups-create" | "groups-change" => Some(json!({"name": "Example", "roles": ["nurse"]})),
        "identity-write" => Some(json!({"sign_up": "closed", "idle_minutes": 60})),
        "break-glass" => Some(json!({"patient": "example",
            "reason": {"code": "ETREAT", "text": "found unconscious in the lobby"}})),
        "break-glass-review" => Some(json!({"outcome": "justified"})),
        "disclosures-record" => Some(json!({"patient": "example", "disclosure": {
            "date": "2026-01-31", "recipient": {"name": "County Health Department", "address": "1 Main St"},
            "description": "laboratory report", "purpose": "report required by law", "means": "fax"}})),
        "disclosures-suspend" => Some(json!({"agency": "County Sheriff", "until": "2026-12-01",
            "written": false, "statement": "Deputy Doe by telephone: an investigation"})),
        "alerts-dispose" => Some(json!({"outcome": "false-alarm"})),
        "alerting-write" => Some(json!({"rules": {"sign-in-burst": {"failures": 5}}})),
        "care-write" => Some(json!({"encounter_grace_hours": 24})),
        "retention-write" => Some(json!({"classes": [{"name": "records",
            "types": ["Observation"], "years": 10, "from": "last-encounter"}]})),
        "retention-dispose" => Some(json!({"reason": "yearly disposal", "dryRun": true})),
        "cold-move" => Some(json!({"reason": "yearly move", "dryRun": true})),
        "cold-retrieve" => Some(json!({"type": "Observation", "id": "example",
            "reason": "needed for a second opinion"})),
        "cold-verify" => Some(json!({})),
        "holds-place" => Some(
            json!({"name": "Case 2026/17", "reason": "a claim was filed",
            "patients": ["example"]}),
        ),
        "holds-lift" => Some(json!({"reason": "the claim was settled"})),
        "shreds-create" => Some(json!({"patient": "example",
            "reason": "the patient asked for erasure", "dryRun": true})),
        "projects-create" => Some(json!({"slug": "example", "name": "Example"})),
        "clients-create" => {
            Some(json!({"id": "example", "name": "Example", "scopes": "system/Patient.rs"}))
        }
        "keyring-rotate" => Some(json!({"what": "project", "project": "example"})),
        "reindex-pause" => Some(json!({"paused": false})),
        "policies-write" => Some(json!({"rules": [{"id": "own", "effect": "allow",
            "subjects": ["role:clinician"], "actions": ["read", "search"], "kinds": ["Patient"],
            "condition": "Patient?general-practitioner=%user.practitioner"}]})),
        "policies-ask" => Some(json!({"questions": [
            {"as": {"roles": ["clinician"]}, "action": "read", "type": "Patient"}]})),
        "launch" => Some(json!({"client_id": "example", "patient": "example"})),
        "brands-write" => Some(
            json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"resource": {"resourceType": "Organization", "name": "Example"}}]}),
        ),
        "theme-write" => Some(json!({"name": "Example"})),
        "cors-write" => Some(json!({"origins": ["https://app.example.org"]})),
        name if name.starts_with("search-") => Some(json!({"_id": "example"})),
        _ if route.mount == Mount::Fhir => operation(route.operation()),
        _ => None,
    }
}

/// <https://www.rfc-editor.org/rfc/rfc6902>
pub(super) fn json_patch() -> Value {
    json!([{"op": "add", "path": "/active", "value": true}])
}

/// <https://hl7.org/fhir/R4/fhirpatch.html>
pub(super) fn fhirpath_patch() -> Value {
    parameters(json!([{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "active"},
        {"name": "value", "valueBoolean": true},
    ]}]))
}

fn operation(name: &str) -> Option<Value> {
    let given = match name {
        "" => return None,
        "$validate" | "$match" => json!([{"name": "resource", "resource": patient()}]),
        "$meta-add" | "$meta-delete" => {
            json!([{"name": "meta", "valueMeta": {"tag": [{"system": "urn:tags", "code": "x"}]}}])
        }
        "$merge" => json!([
            {"name": "source-patient", "valueReference": {"reference": "Patient/other"}},
            {"name": "target-patient", "valueReference": {"reference": "Patient/example"}},
        ]),
        "$lastn" => json!([{"name": "subject", "valueString": "Patient/example"}]),
        "$stats" => json!([
            {"name": "subject", "valueUri": "Patient/example"},
            {"name": "code", "valueString": "http://loinc.org|2339-0"},
            {"name": "statistic", "valueCode": "count"},
        ]),
        "$everything" => json!([{"name": "_count", "valueInteger": 10}]),
        "$reindex" => json!([{"name": "type", "valueCode": "Basic"}]),
        "$document" => json!([{"name": "persist", "valueBoolean": false}]),
        "$import" => json!([{"name": "input", "part": [
            {"name": "type", "valueCode": "Basic"},
            {"name": "url", "valueUrl": "https://files.example.org/Basic.ndjson"},
        ]}]),
        _ => return Some(json!({"resourceType": "Parameters"})),
    };
    Some(parameters(given))
}

fn parameters(given: Value) -> Value {
    json!({"resourceType": "Parameters", "parameter": given})
}

fn patient() -> Value {
    json!({"resourceType": "Patient", "id": "example", "name": [{"family": "Example"}]})
}
