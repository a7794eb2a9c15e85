//! What stands in the JSON objects that requests of our own carry.

use std::collections::BTreeSet;

use salus_service::PurposeOfUse;
use salus_service::alerts::AlertRule;
use salus_service::fhir::operations::OPERATIONS;
use serde_json::{Map, Value, json};

/// The objects of signing in and administration.
pub(super) fn object(name: &str) -> Value {
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
        "cold-move" => of(
            &["reason"],
            json!({"reason": said, "dryRun": {"type": "boolean"}}),
        ),
        "cold-retrieve" => of(
            &["type", "id", "reason"],
            json!({"type": text, "id": text, "reason": said}),
        ),
        "cold-verify" => of(
            &[],
            json!({"before": {"type": ["integer", "null"], "minimum": 0}}),
        ),
        "holds-place" => of(
            &["name", "reason"],
            json!({
                "name": {"type": "string", "minLength": 1, "maxLength": 200},
                "reason": said,
                "patients": {"type": "array", "maxItems": 1000, "items": text},
                "searches": {"type": "array", "maxItems": 50, "items": text},
                "audit": {"type": "object", "properties": {"since": {"type": "string", "format": "date"}},
                    "additionalProperties": false},
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
            "cold_after_years": {"type": ["integer", "null"], "minimum": 0, "maximum": 200},
        },
        "additionalProperties": false,
    })
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

/// The purposes of use that may be stated.
pub(super) fn purposes() -> Vec<&'static str> {
    let all = PurposeOfUse::all().filter(|one| *one != PurposeOfUse::BTG);
    all.map(PurposeOfUse::code).collect()
}

/// The operations as rules name them.
fn operations() -> impl Iterator<Item = String> {
    let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    names.into_iter().map(|name| format!("${name}"))
}
