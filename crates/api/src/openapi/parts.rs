//! What the routes take and give, by their names: parameters, bodies, answers.

use std::collections::BTreeSet;

use http::Method;
use salus_service::PurposeOfUse;
use salus_service::alerts::AlertRule;
use salus_service::fhir::operations::OPERATIONS;
use salus_service::fhir::types::ResourceType;
use serde_json::{Map, Value, json};

use super::examples;
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

/// The purposes of use that may be stated.
fn purposes() -> Vec<&'static str> {
    let all = PurposeOfUse::all().filter(|one| *one != PurposeOfUse::BTG);
    all.map(PurposeOfUse::code).collect()
}

/// The operations as rules name them.
fn operations() -> impl Iterator<Item = String> {
    let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    names.into_iter().map(|name| format!("${name}"))
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

/// The objects of signing in and administration.
fn object(name: &str) -> Value {
    let text = json!({"type": "string"});
    let said = json!({"type": "string", "minLength": 10, "maxLength": 1000});
    let of = |required: &[&str], properties: Value| {
        json!({
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        })
    };
    match name {
        "sign-in" => of(
            &["email", "password"],
            json!({"email": text, "password": text}),
        ),
        "account-password" => of(
            &["new"],
            json!({"old": {"type": ["string", "null"]}, "new": text}),
        ),
        "sign-up" | "recover" => of(&["email"], json!({"email": text})),
        "join" => of(
            &["link", "password"],
            json!({"link": text, "name": {"type": ["string", "null"]}, "password": text}),
        ),
        "password" => of(
            &["link", "password"],
            json!({"link": text, "password": text}),
        ),
        "verify" => of(&["link"], json!({"link": text})),
        "account-delete" => of(&[], json!({"password": {"type": ["string", "null"]}})),
        "account-provider-connect" | "step-up-provider" => {
            of(&["provider"], json!({"provider": text}))
        }
        "providers-create" => of(&["name", "label", "issuer", "client_id"], provider()),
        "providers-change" => of(&["label", "issuer", "client_id"], provider()),
        "account-change" => {
            let text = json!({"type": ["string", "null"]});
            of(&[], json!({"name": text, "email": text, "password": text}))
        }
        "invitations-create" => {
            let texts = json!({"type": "array", "items": text});
            of(
                &["email"],
                json!({
                    "email": text,
                    "name": text,
                    "groups": texts,
                    "roles": texts,
                    "profiles": texts,
                }),
            )
        }
        "mails-write" => of(
            &["subject", "text"],
            json!({"subject": text, "text": text, "html": {"type": ["string", "null"]}}),
        ),
        "users-create" => of(&["email"], user(true)),
        "users-change" => of(&[], user(false)),
        "groups-create" | "groups-change" => of(
            &["name"],
            json!({
                "name": text,
                "parents": {"type": "array", "maxItems": 20, "items": text},
                "roles": {"type": "array", "maxItems": 50, "items": text},
                "mfa_required": {"type": "boolean"},
            }),
        ),
        "identity-write" => of(&["sign_up"], identity()),
        "break-glass" => of(
            &["patient", "reason"],
            json!({
                "patient": text,
                "reason": {
                    "type": "object",
                    "required": ["code", "text"],
                    "properties": {
                        "code": {"enum": ["ETREAT", "THREAT", "TREAT"]},
                        "text": {"type": "string", "minLength": 10, "maxLength": 1000},
                    },
                },
                "part_2": {"type": ["string", "null"], "minLength": 10, "maxLength": 1000},
            }),
        ),
        "break-glass-review" => of(
            &["outcome"],
            json!({
                "outcome": {"enum": ["justified", "unjustified", "escalated"]},
                "text": {"type": "string", "maxLength": 1000},
            }),
        ),
        "disclosures-record" => of(
            &[],
            json!({"patient": {"type": ["string", "null"]}, "disclosure": disclosure(), "protocol": protocol()}),
        ),
        "disclosures-suspend" => of(
            &["agency", "until", "written", "statement"],
            json!({"agency": text, "until": day(), "written": {"type": "boolean"}, "statement": text}),
        ),
        "alerts-dispose" => of(
            &["outcome"],
            json!({
                "outcome": {"enum": ["justified", "violation", "false-alarm", "escalated"]},
                "text": {"type": "string", "maxLength": 1000},
            }),
        ),
        "alerting-write" => of(
            &[],
            json!({
                "mail": {"type": "array", "maxItems": 10, "items": text},
                "webhook": {
                    "type": ["object", "null"],
                    "required": ["url", "secret"],
                    "additionalProperties": false,
                    "properties": {"url": text, "secret": text},
                },
                "quiet_minutes": {"type": "integer", "minimum": 1, "maximum": 10080},
                "labels": {"type": "array", "maxItems": 50, "items": text},
                "rules": {"type": "object", "additionalProperties": false, "properties": alert_rules()},
            }),
        ),
        "care-write" => of(
            &[],
            json!({
                "encounter_grace_hours": {"type": "integer", "minimum": 0, "maximum": 8784},
                "proxy_until_age": {"type": "integer", "minimum": 0, "maximum": 30},
                "break_glass_minutes": {"type": "integer", "minimum": 1, "maximum": 1440},
                "break_glass_mail": {"type": "array", "maxItems": 10, "items": text},
                "consent": {"enum": ["none", "opt-out", "opt-in"]},
                "payer_clients": {"type": "array", "maxItems": 100, "items": text},
                "purposes": {"type": "object", "additionalProperties": false, "properties": {
                    "default": {"enum": purposes()},
                    "allowed": {"type": "array", "maxItems": 20, "items": {"enum": purposes()}},
                }},
            }),
        ),
        "projects-create" => of(&["slug", "name"], json!({"slug": text, "name": text})),
        "clients-create" => of(
            &["name", "scopes"],
            json!({
                "id": {"type": ["string", "null"]},
                "name": text,
                "scopes": text,
                "token_endpoint_auth_method": {"enum": ["client_secret", "private_key_jwt", "none"]},
                "grant_types": {"type": "array", "items": {"enum": [
                    "client_credentials", "authorization_code", "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ]}},
                "redirect_uris": {"type": "array", "maxItems": 20, "items": text},
                "post_logout_redirect_uris": {"type": "array", "maxItems": 20, "items": text},
                "jwks": {"type": ["object", "null"]},
                "purposes": {"type": "array", "maxItems": 20, "items": {"enum": purposes()}},
                "default_purpose": {"enum": purposes()},
                "recipient": recipient(),
            }),
        ),
        "keyring-rotate" => of(
            &["what"],
            json!({
                "what": {"enum": ["root", "project", "patient", "all"]},
                "project": text,
                "patient": text,
                "to": text,
            }),
        ),
        "reindex-pause" => of(&["paused"], json!({"paused": {"type": "boolean"}})),
        "history-write" => of(
            &["types"],
            json!({"types": {
                "type": "object",
                "additionalProperties": {"oneOf": [
                    {"enum": ["keep", "purge"]},
                    {"type": "object", "additionalProperties": false, "properties": {
                        "keep": {"type": "integer", "minimum": 1, "maximum": u32::MAX},
                        "days": {"type": "integer", "minimum": 0, "maximum": u32::MAX},
                    }},
                ]},
            }}),
        ),
        "retention-write" => of(
            &["classes"],
            json!({"classes": {"type": "array", "maxItems": 100, "items": retention_class()}}),
        ),
        "retention-dispose" => of(
            &["reason"],
            json!({"reason": said, "dryRun": {"type": "boolean"}}),
        ),
        "holds-place" => of(
            &["name", "reason"],
            json!({
                "name": {"type": "string", "minLength": 1, "maxLength": 200},
                "reason": said,
                "patients": {"type": "array", "maxItems": 1000, "items": text},
                "searches": {"type": "array", "maxItems": 50, "items": text},
            }),
        ),
        "holds-lift" => of(&["reason"], json!({"reason": said})),
        "shreds-create" => of(
            &["patient", "reason"],
            json!({"patient": text, "reason": said, "dryRun": {"type": "boolean"}}),
        ),
        "policies-write" => of(
            &["rules"],
            json!({
                "description": text,
                "rules": {"type": "array", "maxItems": 200, "items": rule()},
            }),
        ),
        "client-keys-create" => of(
            &["name", "addresses", "days"],
            json!({
                "name": text,
                "scopes": text,
                "addresses": {"type": "array", "minItems": 1, "maxItems": 20, "items": text},
                "days": {"type": "integer", "minimum": 1, "maximum": 366},
            }),
        ),
        // What is not known of it is left out.
        "register" | "register-change" => json!({"type": "object", "properties": {
            "client_id": text,
            "client_name": {"type": ["string", "null"], "maxLength": 60},
            "redirect_uris": {"type": ["array", "null"], "maxItems": 20, "items": text},
            "grant_types": {"type": ["array", "null"], "items": text},
            "response_types": {"type": ["array", "null"], "items": {"const": "code"}},
            "scope": {"type": ["string", "null"]},
        }}),
        "registration-write" => of(
            &["mode"],
            json!({
                "mode": {"enum": ["off", "token", "open"]},
                "scopes": {"type": ["string", "null"]},
                "grant_types": {"type": ["array", "null"], "minItems": 1, "items": {"enum": [
                    "client_credentials", "authorization_code", "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ]}},
                "clients_max": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
            }),
        ),
        "registration-tokens-create" => of(
            &["name", "days", "uses"],
            json!({
                "name": text,
                "days": {"type": "integer", "minimum": 1, "maximum": 366},
                "uses": {"type": "integer", "minimum": 1, "maximum": 1000},
            }),
        ),
        "policies-ask" => of(
            &["questions"],
            json!({
                "policies": {"type": "object"},
                "questions": {"type": "array", "maxItems": 10_000, "items": question()},
            }),
        ),
        "launch" => of(
            &["client_id"],
            json!({
                "client_id": text, "user": {"type": ["string", "null"]},
                "patient": {"type": ["string", "null"]}, "encounter": {"type": ["string", "null"]},
                "fhirContext": {"type": "array", "maxItems": 20, "items": {"type": "object",
                    "required": ["reference"], "properties": {"reference": text, "role": text}}},
                "intent": {"type": ["string", "null"]},
                "need_patient_banner": {"type": ["boolean", "null"]},
                "smart_style_url": {"type": ["string", "null"]},
                "tenant": {"type": ["string", "null"]},
            }),
        ),
        "brands-write" => json!({"type": "object", "required": ["resourceType"]}),
        "theme-write" => of(
            &[],
            json!({
                "name": {"type": ["string", "null"]},
                "colours": {
                    "type": ["object", "null"],
                    "required": ["background", "text", "accent"],
                    "properties": {"background": text, "text": text, "accent": text},
                },
                "logo": {
                    "type": ["object", "null"],
                    "required": ["type", "data"],
                    "properties": {"type": {"enum": ["image/png", "image/jpeg"]}, "data": text},
                },
            }),
        ),
        "cors-write" => of(
            &["origins"],
            json!({
                "origins": {"type": "array", "maxItems": 100, "items": text},
                "max_age_seconds": {"type": "integer", "minimum": 0, "maximum": 86_400},
            }),
        ),
        _ => json!({"type": "object"}),
    }
}

fn user(is_new: bool) -> Value {
    let texts = |most: usize| {
        let text = json!({"type": "string"});
        json!({"type": ["array", "null"], "maxItems": most, "items": text})
    };
    let text = json!({"type": ["string", "null"]});
    let mut user = json!({
        "email": text,
        "name": text,
        "status": {"enum": ["active", "suspended", null]},
        "groups": texts(100),
        "roles": texts(50),
        "profiles": texts(20),
        "administers": texts(1000),
    });
    if is_new {
        user["email"] = json!({"type": "string"});
        user["password"] = text;
    }
    user
}

fn identity() -> Value {
    let text = json!({"type": "string"});
    let minutes = json!({"type": ["integer", "null"], "minimum": 1, "maximum": 1440});
    let lock_out = json!({
        "type": ["object", "null"],
        "required": ["failures", "minutes"],
        "properties": {
            "failures": {"type": "integer", "minimum": 1, "maximum": 25},
            "minutes": {"type": "integer", "minimum": 1, "maximum": 1440},
        },
    });
    json!({
        "sign_up": {"enum": ["open", "invite", "closed"]},
        "sign_up_groups": {"type": "array", "items": text},
        "idle_minutes": minutes,
        "session_minutes": minutes,
        "mfa_required": {"type": "boolean"},
        "password_length": {"type": ["integer", "null"], "minimum": 8, "maximum": 64},
        "lock_out": lock_out,
        "mail_from": {"type": ["string", "null"]},
        "notices": {"type": ["boolean", "null"]},
    })
}

fn provider() -> Value {
    let text = json!({"type": "string"});
    let list = |most: usize| json!({"type": "array", "maxItems": most, "items": text});
    json!({
        "name": {"type": ["string", "null"], "pattern": "^[a-z][a-z0-9-]{0,39}$"},
        "label": text,
        "issuer": text,
        "client_id": text,
        "token_endpoint_auth_method": {"enum": ["client_secret", "private_key_jwt", "none"]},
        "client_secret": {"type": ["string", "null"]},
        "scopes": list(20),
        "create": {"enum": ["never", "invited", "verified-mail"]},
        "domains": list(50),
        "groups": {
            "type": ["object", "null"],
            "required": ["claim", "values"],
            "properties": {
                "claim": text,
                "values": {"type": "object", "maxProperties": 100, "additionalProperties": text},
            },
            "additionalProperties": false,
        },
        "second_factor": {
            "type": "object",
            "properties": {"acr": list(20), "amr": list(20)},
            "additionalProperties": false,
        },
        "active": {"type": "boolean"},
    })
}

/// A rule of a policy.
fn rule() -> Value {
    let text = json!({"type": "string"});
    let list = json!({"type": "array", "minItems": 1, "maxItems": 200, "items": text});
    let actions = [
        "*", "read", "search", "history", "create", "update", "patch", "delete",
    ];
    let actions: Vec<String> = actions
        .map(str::to_owned)
        .into_iter()
        .chain(operations())
        .collect();
    json!({
        "type": "object",
        "required": ["id", "effect", "subjects", "actions", "kinds"],
        "properties": {
            "id": text,
            "effect": {"enum": ["allow", "deny"]},
            "subjects": list,
            "actions": {"type": "array", "minItems": 1, "maxItems": 200, "items": {"enum": actions}},
            "kinds": list,
            "condition": text,
            "relationship": {"enum": [
                "care-team", "encounter", "general-practitioner", "proxy", "break-glass",
            ]},
            "labels": list,
            "exceptLabels": list,
            "purposes": {"type": "array", "minItems": 1, "maxItems": 200, "items": {"enum": purposes()}},
            "hidden": list,
            "readOnly": list,
        },
        "additionalProperties": false,
    })
}

/// A question about policies.
fn question() -> Value {
    let text = json!({"type": "string"});
    let list = json!({"type": "array", "items": text});
    let actions = [
        "read", "search", "history", "create", "update", "patch", "delete",
    ];
    let actions: Vec<String> = actions
        .map(str::to_owned)
        .into_iter()
        .chain(operations())
        .collect();
    json!({
        "type": "object",
        "required": ["as", "action"],
        "properties": {
            "as": {"type": "object", "additionalProperties": false, "properties": {
                "user": text, "client": text, "roles": list, "groups": list, "profiles": list,
                "purpose": {"enum": purposes()},
            }},
            "action": {"enum": actions},
            "type": text,
            "resource": text,
            "content": {"type": "object"},
            "compare": {"type": "boolean"},
            "ids": {"type": "integer", "minimum": 0, "maximum": 1000},
            "expect": {},
        },
        "additionalProperties": false,
    })
}

/// Types that are kept alike.
fn retention_class() -> Value {
    let years = json!({"type": "integer", "minimum": 0, "maximum": 200});
    json!({
        "type": "object",
        "required": ["name", "types", "years"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "types": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            "years": years,
            "from": {"enum": ["main-date", "last-update", "death", "last-encounter"]},
            "minors": {
                "type": ["object", "null"],
                "required": ["until_age"],
                "properties": {"until_age": years, "years": years},
                "additionalProperties": false,
            },
            "then": {"enum": ["report", "dispose"]},
        },
        "additionalProperties": false,
    })
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

fn day() -> Value {
    json!({"type": "string", "format": "date"})
}

fn recipient() -> Value {
    let text = json!({"type": "string", "maxLength": 300});
    let names = salus_service::Exception::ALL.map(salus_service::Exception::name);
    json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {"name": text, "address": text, "basis": {"enum": names}},
    })
}

fn disclosure() -> Value {
    let text = json!({"type": "string", "maxLength": 2000});
    let names = salus_service::Exception::ALL.map(salus_service::Exception::name);
    json!({
        "type": ["object", "null"],
        "required": ["date", "recipient", "description", "purpose"],
        "additionalProperties": false,
        "properties": {
            "date": day(), "recipient": recipient(), "description": text, "purpose": text,
            "means": text, "exception": {"enum": names}, "last": day(),
            "times": {"type": "integer", "minimum": 2},
        },
    })
}

fn protocol() -> Value {
    let text = json!({"type": "string", "maxLength": 2000});
    json!({
        "type": ["object", "null"],
        "required": ["name", "description", "records", "from", "to", "sponsor"],
        "additionalProperties": false,
        "properties": {
            "name": text, "description": text, "records": text, "from": day(), "to": day(),
            "sponsor": recipient(), "phone": text,
        },
    })
}

/// The rules of alerts, each with its numbers.
fn alert_rules() -> Value {
    let rules = AlertRule::ALL.into_iter().map(|rule| {
        let mut members = Map::new();
        members.insert("on".to_owned(), json!({"type": "boolean"}));
        for limit in rule.limits() {
            let (least, most) = limit.within;
            let number = json!({"type": "integer", "minimum": least, "maximum": most});
            members.insert(limit.name.to_owned(), number);
        }
        let rule_schema =
            json!({"type": "object", "additionalProperties": false, "properties": members});
        (rule.name().to_owned(), rule_schema)
    });
    Value::Object(rules.collect())
}
