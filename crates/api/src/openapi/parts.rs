//! What the routes take and give, by their names: parameters, bodies, answers.

use http::Method;
use salus_service::fhir::types::ResourceType;
use serde_json::{Map, Value, json};

use super::examples;
use super::objects::{object, purposes};
use crate::route::{Mount, Route};

const FHIR_JSON: &str = "application/fhir+json";

/// Parameters by the names under which operations refer to them.
pub(super) fn parameters() -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let path = |name: &str, schema: Value, example: &str| json!({"name": name, "in": "path", "required": true, "schema": schema, "example": example});
    let query = |name: &str, schema: Value| json!({"name": name, "in": "query", "schema": schema});
    let head = |name: &str| json!({"name": name, "in": "header", "schema": {"type": "string"}});
    let format = [
        "json",
        "xml",
        "application/fhir+json",
        "application/fhir+xml",
    ];
    let types: Vec<&str> = ResourceType::all().iter().map(|ty| ty.name).collect();
    let members: Vec<&str> = types.iter().copied().chain(["*"]).collect();
    json!({
        "project": path("project", text("^[a-z][a-z0-9-]{0,39}$"), "default"),
        "type": path("type", json!({"enum": types}), "Patient"),
        "member": path("member", json!({"enum": members}), "Observation"),
        "id": path("id", text("^[A-Za-z0-9.-]{1,64}$"), "example"),
        "vid": path("vid", text("^[1-9][0-9]*$"), "1"),
        "file": path("file", text("^[A-Za-z0-9.-]+$"), "Patient-1.ndjson"),
        "session": path("session", text("^[A-Za-z0-9_-]{1,64}$"), "example"),
        "app": path("app", text("^[A-Za-z0-9._-]{1,64}$"), "example"),
        "key": path("key", text("^[A-Za-z0-9_-]{1,64}$"), "example"),
        "client": path("id", text("^[A-Za-z0-9._-]{1,64}$"), "example"),
        "_format": query("_format", json!({"type": "string", "examples": format})),
        "_pretty": query("_pretty", json!({"type": "boolean"})),
        "audited": query("project", text("^[a-z][a-z0-9-]{0,39}$")),
        "after": query("after", json!({"type": "integer", "minimum": 0})),
        "_count": query("_count", json!({"type": "integer", "minimum": 0})),
        "_since": query("_since", json!({"type": "string"})),
        "mode": query("mode", json!({"enum": ["full", "normative", "terminology"]})),
        "_summary": query("_summary", json!({"enum": ["true", "text", "data", "count", "false"]})),
        "_elements": query("_elements", json!({"type": "string"})),
        // Whatever the type of resource, or the operation, has.
        "search": {
            "name": "search",
            "in": "query",
            "style": "form",
            "explode": true,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "Prefer": head("Prefer"),
        "Salus-Purpose-Of-Use": {
            "name": "Salus-Purpose-Of-Use",
            "in": "header",
            "schema": {"enum": purposes()},
        },
        "If-Match": head("If-Match"),
        "If-None-Match": head("If-None-Match"),
        "If-Modified-Since": head("If-Modified-Since"),
        "If-None-Exist": head("If-None-Exist"),
        "Idempotency-Key": head("Idempotency-Key"),
        "Range": head("Range"),
        "If-Range": head("If-Range"),
        "X-Security-Context": head("X-Security-Context"),
    })
}

/// The type in the path of an operation that only some types have.
pub(super) fn one_of_types(types: &[&str]) -> Value {
    json!({"name": "type", "in": "path", "required": true, "schema": {"enum": types}})
}

/// What a route of FHIR takes besides its path and what all take.
pub(super) fn taken(route: &Route) -> &'static [&'static str] {
    match route.name {
        "read" => &[
            "_summary",
            "_elements",
            "If-None-Match",
            "If-Modified-Since",
            "Range",
            "If-Range",
        ],
        "vread" => &["_summary", "_elements", "Range", "If-Range"],
        "create" => &[
            "Prefer",
            "If-None-Exist",
            "Idempotency-Key",
            "X-Security-Context",
        ],
        "update" => &[
            "Prefer",
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
            "X-Security-Context",
        ],
        "patch" | "delete" => &["Prefer", "If-Match", "If-None-Match", "Idempotency-Key"],
        "transaction" => &["Prefer", "Idempotency-Key"],
        "capabilities" => &["mode"],
        "$versions" | "smart-configuration" | "job" | "job-cancel" | "job-file" => &[],
        name if name.starts_with("history-") => &["_count", "_since", "search"],
        name if name.starts_with("conditional-") => &[
            "search",
            "Prefer",
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
        ],
        _ => &["search", "Prefer"],
    }
}

/// The body of a request, if it has one.
pub(super) fn body(route: &Route) -> Option<Value> {
    let form = "application/x-www-form-urlencoded";
    let (required, ty, schema) = match (route.method.as_str(), route.mount, route.name) {
        ("GET" | "DELETE", ..)
        | (_, _, "sign-out" | "keys-rotate" | "userinfo-post" | "account-verify") => {
            return None;
        }
        (
            _,
            _,
            "token"
            | "par"
            | "device-authorization"
            | "introspect"
            | "revoke"
            | "setup"
            | "authorize-sign-in"
            | "authorize-patient"
            | "authorize-post"
            | "authorize-provider"
            | "authorize-connect"
            | "provider-begin"
            | "authorize-decision"
            | "logout"
            | "logout-decision",
        ) => (true, form, json!({"type": "object"})),
        (_, Mount::Fhir, name) if name.starts_with("search-") => {
            (false, form, json!({"type": "object"}))
        }
        (_, Mount::Fhir, "transaction") => (true, FHIR_JSON, named("Bundle")),
        (_, Mount::Fhir, "patch" | "conditional-patch") => {
            return Some(patch());
        }
        (_, Mount::Fhir, "$import") => return Some(import(route)),
        (_, Mount::Fhir, "create" | "update") => {
            let mut content = with_raw(content(FHIR_JSON, named("Resource")));
            content[FHIR_JSON]["example"] = json!(examples::body(route));
            return Some(json!({"required": true, "content": content}));
        }
        (_, Mount::Fhir, name) => {
            let operation = name.starts_with('$');
            (!operation, FHIR_JSON, named("Resource"))
        }
        (_, Mount::Root | Mount::Project | Mount::WellKnown, name) => {
            (true, "application/json", object(name))
        }
    };
    let mut content = content(ty, schema);
    if let Some(example) = examples::body(route) {
        content[ty]["example"] = example;
    }
    Some(json!({"required": required, "content": content}))
}

/// Lines, or a list of files as Parameters or as an object of its own.
fn import(route: &Route) -> Value {
    let mut forms = content(FHIR_JSON, named("Resource"));
    forms[FHIR_JSON]["example"] = json!(examples::body(route));
    forms["application/json"] = json!({"schema": {"type": "object"}});
    let lines = "{\"resourceType\":\"Basic\",\"code\":{\"text\":\"x\"}}\n";
    forms["application/fhir+ndjson"] = json!({"schema": {"type": "string"}, "example": lines});
    json!({"required": true, "content": forms})
}

/// What is FHIR comes and goes in XML, too.
fn content(ty: &str, schema: Value) -> Value {
    let mut content = json!({ty: {"schema": schema}});
    if ty == FHIR_JSON {
        content["application/fhir+xml"] = json!({"schema": {"type": "string"}});
    }
    content
}

/// Content of a Binary comes and goes as it is, under whatever type it has.
fn with_raw(mut content: Value) -> Value {
    content["application/octet-stream"] = json!({"schema": {}});
    content
}

fn patch() -> Value {
    let operations = json!({"type": "array", "items": {"type": "object"}});
    json!({"required": true, "content": {
        "application/json-patch+json": {"schema": operations, "example": examples::json_patch()},
        "application/merge-patch+json": {"schema": {"type": "object"}, "example": {"active": true}},
        "application/xml-patch+xml": {"schema": {"type": "string"}},
        "application/fhir+xml": {"schema": {"type": "string"}},
        "application/fhir+json": {"schema": named("Parameters"), "example": examples::fhirpath_patch()},
    }})
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The statuses with which a route answers if all is well.
pub(super) fn successes(route: &Route) -> &'static [u16] {
    match (route.method.as_str(), route.mount, route.name) {
        (_, _, "read") => &[200, 206, 304],
        (
            _,
            _,
            "authorize" | "authorize-sign-in" | "authorize-patient" | "authorize-decision"
            | "authorize-factor" | "authorize-passkey" | "authorize-connect" | "provider-callback",
        ) => &[200, 303],
        (_, _, "authorize-post" | "logout") => &[303],
        (_, _, "logout-decision") => &[200, 303],
        (_, _, "register-delete") => &[204],
        (_, _, "vread") => &[200, 206],
        (_, _, "create" | "update" | "conditional-update") => &[200, 201],
        (
            _,
            _,
            "projects-create"
            | "client-keys-create"
            | "par"
            | "launch"
            | "clients-create"
            | "register"
            | "registration-tokens-create"
            | "users-create"
            | "groups-create"
            | "providers-create"
            | "invitations-create"
            | "disclosures-record"
            | "disclosures-suspend"
            | "factors-enrol"
            | "passkeys-add"
            | "break-glass"
            | "holds-place",
        ) => &[201],
        (_, _, "policies-write") => &[200, 201],
        (_, _, "patch" | "conditional-patch") => &[200, 201],
        (_, _, "job") => &[200, 202],
        (_, _, "job-cancel") => &[202],
        (_, _, name) if name.starts_with("$export") || name == "$import" => &[202],
        (_, _, "auth-logo") => &[200, 204, 304],
        (_, _, "auth-script" | "auth-style") => &[200, 304],
        ("DELETE", Mount::Fhir, _) => &[200, 204],
        _ => &[200],
    }
}

/// What stands in the answer if all is well.
pub(super) fn success(route: &Route, status: u16) -> Value {
    if status == 202 {
        return json!({"description": "It is done later: Content-Location says where to ask"});
    }
    if matches!(status, 204 | 303 | 304) {
        return json!({"description": "Nothing but headers"});
    }
    let (ty, schema) = match (route.mount, route.name) {
        (_, "metrics") => ("application/openmetrics-text", json!({"type": "string"})),
        (_, "audit-checkpoint" | "audit-key") => ("text/plain", json!({"type": "string"})),
        (_, "audit-export") => ("application/x-ndjson", json!({"type": "string"})),
        (
            _,
            "setup" | "device-page" | "setup-page" | "authorize" | "authorize-post"
            | "authorize-sign-in" | "authorize-patient" | "authorize-decision" | "authorize-factor"
            | "authorize-passkey" | "logout-page" | "logout-decision" | "authorize-provider"
            | "authorize-connect" | "provider-page" | "provider-begin" | "provider-callback",
        ) => ("text/html", json!({"type": "string"})),
        (_, "sign-up-page" | "join-page" | "recover-page" | "password-page" | "verify-page") => {
            ("text/html", json!({"type": "string"}))
        }
        (_, "auth-script") => ("text/javascript", json!({"type": "string"})),
        (_, "auth-style") => ("text/css", json!({"type": "string"})),
        (_, "auth-logo") => ("image/*", json!({})),
        (_, "brands") => (FHIR_JSON, named("Bundle")),
        (Mount::Fhir, "capabilities") => {
            let modes = ["CapabilityStatement", "TerminologyCapabilities"].map(named);
            (FHIR_JSON, json!({"anyOf": modes}))
        }
        (Mount::Fhir, "smart-configuration") => ("application/json", json!({"type": "object"})),
        (Mount::Fhir, "job") => ("application/json", json!({"type": "object"})),
        (Mount::Fhir, "job-file") => ("application/fhir+ndjson", json!({"type": "string"})),
        (Mount::Fhir, "$versions") => (FHIR_JSON, named("Parameters")),
        (Mount::Fhir, "transaction") => (FHIR_JSON, named("Bundle")),
        (Mount::Fhir, name) if name.starts_with("search-") || name.starts_with("history-") => {
            (FHIR_JSON, named("Bundle"))
        }
        (Mount::Fhir, _) => (FHIR_JSON, named("Resource")),
        (Mount::Root | Mount::Project | Mount::WellKnown, _) => {
            ("application/json", json!({"type": "object"}))
        }
    };
    let mut answer = json!({"description": "Done", "content": content(ty, schema)});
    if matches!(route.name, "read" | "vread") {
        answer["content"] = with_raw(answer["content"].take());
    }
    if route.mount == Mount::Fhir && route.method != Method::GET {
        // A client may prefer an answer without a body.
        answer["headers"] = json!({"ETag": {"schema": {"type": "string"}}});
    }
    answer
}

/// How refusals look.
pub(super) fn responses() -> Value {
    let outcome = content(FHIR_JSON, named("OperationOutcome"));
    let mut oauth = outcome.clone();
    oauth["application/json"] = json!({"schema": named("OAuthError")});
    let mut page = oauth.clone();
    page["text/html"] = json!({"schema": {"type": "string"}});
    json!({
        "RefusedPage": {
            "description": "Refused or failed; a page says why, unless it is no user's fault",
            "content": page,
        },
        "Refused": {
            "description": "Refused or failed; the outcome says why",
            "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
            "content": outcome,
        },
        "OAuthError": {
            "description": "Refused (RFC 6749, 5.2), or failed",
            "content": oauth,
        },
    })
}

/// Schemas that are no resources.
pub(super) fn schemas() -> Map<String, Value> {
    let error = json!({
        "type": "object",
        "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
        "required": ["error"],
    });
    Map::from_iter([("OAuthError".to_owned(), error)])
}
