//! `GET /openapi.json`: all routes as OpenAPI 3.1, made from the route table.
//! <https://spec.openapis.org/oas/v3.1.0>
//!
//! What a route takes and how it may answer follows from its method, its
//! mount, its name and its path; the few that are special are named below. A
//! resource has the type that it must have and no more: its structure is
//! FHIR's, which other documents describe.

mod examples;
mod objects;
mod parts;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use salus_service::fhir::operations::{Level, OPERATIONS};
use salus_service::fhir::types::ResourceType;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::route::{Access, Mount, ROUTES, Route};

/// `GET /openapi.json`
pub(crate) async fn document(_call: &mut Call) -> Result<Response, Failure> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| whole().to_string().into());
    let mut response = Response::new(text.clone().into());
    let ty = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, ty);
    Ok(response)
}

fn whole() -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES {
        // The endpoint with a slash behind it is another spelling of the same.
        let spellings = route.mount.paths(route.path).into_iter();
        for path in spellings.filter(|path| path == "/" || !path.ends_with('/')) {
            let method = route.method.as_str().to_lowercase();
            let operation = operation(route, &path);
            paths.entry(path).or_default().insert(method, operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Salus",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "FHIR R4 (4.0.1), signing in and administration",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": parts::parameters(),
            "schemas": schemas(),
            "responses": parts::responses(),
        },
    })
}

fn operation(route: &Route, path: &str) -> Value {
    let of_any = path.starts_with("/p/{project}");
    let prefix = match (of_any, path.ends_with("/p/{project}")) {
        (true, _) => "project-",
        (false, true) => "of-project-",
        (false, false) => "",
    };
    let mut operation = json!({
        "operationId": format!("{prefix}{}", route.name),
        "tags": [tag(route)],
        "parameters": parameters(route, path),
        "responses": answers(route),
    });
    if route.access == Access::Public {
        operation["security"] = json!([]);
    }
    if let Some(body) = parts::body(route) {
        operation["requestBody"] = body;
    }
    operation
}

fn tag(route: &Route) -> &'static str {
    match route.mount {
        Mount::Fhir => "fhir",
        Mount::Root | Mount::Project | Mount::WellKnown if route.path.starts_with("/admin") => {
            "administration"
        }
        Mount::Root | Mount::Project | Mount::WellKnown if is_signing_in(route) => "signing in",
        Mount::Root | Mount::Project | Mount::WellKnown => "server",
    }
}

fn is_signing_in(route: &Route) -> bool {
    let paths = ["/auth", "/setup", "/.well-known"];
    paths.iter().any(|path| route.path.starts_with(path))
}

fn parameters(route: &Route, path: &str) -> Vec<Value> {
    let in_path = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(match (name, route.mount) {
            ("id", Mount::Root | Mount::Project | Mount::WellKnown) => "client",
            (name, _) => name,
        })
    });
    let mut names: Vec<&str> = in_path.collect();
    if route.mount == Mount::Fhir {
        names.extend(["_format", "_pretty"]);
        names.extend(parts::taken(route));
        if let Access::Token(_) = route.access {
            names.push("Salus-Purpose-Of-Use");
        }
    }
    if route.name == "audit-export" {
        names.extend(["audited", "after"]);
    }
    let reference = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    let parameter = |name: &str| match (name, &*operation_types(route)) {
        ("type", types @ [_, ..]) => parts::one_of_types(types),
        (name, _) => reference(name),
    };
    names.into_iter().map(parameter).collect()
}

/// The types that have the operation of a route; none is all of them.
fn operation_types(route: &Route) -> Vec<&'static str> {
    let name = route.operation().trim_start_matches('$');
    let level = match route.path {
        path if path.contains("{id}") => Level::Instance,
        path if path.contains("{type}") => Level::Type,
        _ => Level::System,
    };
    let named = OPERATIONS.iter().filter(|operation| operation.name == name);
    named
        .filter(|operation| operation.level.contains(&level))
        .flat_map(|operation| operation.types.iter().copied())
        .collect()
}

/// How a route may answer, by status.
fn answers(route: &Route) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for status in parts::successes(route) {
        answers.insert(status.to_string(), parts::success(route, *status));
    }
    if crate::may_be_deferred(route) {
        answers.insert("202".to_owned(), parts::success(route, 202));
    }
    for status in refusals(route) {
        let name = match route.name {
            "token" | "introspect" | "revoke" | "par" | "device-authorization" => "OAuthError",
            "provider-page" | "provider-begin" | "provider-callback" => "RefusedPage",
            name if name.starts_with("register") => "OAuthError",
            "setup" => "RefusedPage",
            name if name.starts_with("authorize") || name.starts_with("logout") => "RefusedPage",
            _ => "Refused",
        };
        let answer = json!({"$ref": format!("#/components/responses/{name}")});
        answers.entry(status.to_string()).or_insert(answer);
    }
    answers
}

/// The statuses of the kinds of error (`salus_service::error::Kind`) that a route can meet.
fn refusals(route: &Route) -> Vec<u16> {
    let mut statuses = vec![400, 500, 503];
    if let Access::Token(_) = route.access {
        statuses.extend([401, 403]);
    }
    let audit = route.name.starts_with("audit-");
    if audit || route.path.contains('{') || route.mount != Mount::Root {
        statuses.push(404);
    }
    if parts::body(route).is_some() {
        // Understood, and against the rules, or nothing that this server was set up for.
        statuses.extend([408, 413, 415, 422]);
    }
    if matches!(route.name, "read" | "vread") {
        statuses.push(416);
    }
    let writes = route.method != Method::GET;
    if route.mount == Mount::Fhir {
        statuses.push(406);
        if let Access::Token(_) = route.access {
            // Gone is what was deleted, and a page that is too old.
            statuses.extend([410, 422]);
            // Of jobs there may be too many.
            statuses.push(429);
        }
    }
    if writes && route.access != Access::Public {
        statuses.extend([409, 412]);
    }
    let accounts = [
        "account-",
        "users-",
        "groups-",
        "providers-",
        "factors-",
        "passkeys-",
        "recovery-codes",
        "step-up",
        "break-glass",
        "shreds-",
    ];
    if accounts.iter().any(|of| route.name.starts_with(of)) {
        // A page that is too old; groups that are too many, a password or a factor that is not right.
        statuses.extend([410, 422]);
    }
    if route.name.starts_with("cold-") {
        // Cold storage that this server has not, or an object there that is not as it was.
        statuses.push(422);
    }
    if is_signing_in(route) {
        statuses.extend([401, 403, 429]);
    }
    statuses
}

/// One schema for each type of resource, and those of our own.
fn schemas() -> Map<String, Value> {
    let types = ResourceType::all();
    let named = types.iter().map(|ty| {
        let schema = json!({
            "type": "object",
            "properties": {"resourceType": {"const": ty.name}},
            "required": ["resourceType"],
        });
        (ty.name.to_owned(), schema)
    });
    let mut schemas: Map<String, Value> = named.collect();
    let names: Vec<&str> = types.iter().map(|ty| ty.name).collect();
    let resource = json!({
        "type": "object",
        "properties": {"resourceType": {"enum": names}},
        "required": ["resourceType"],
    });
    schemas.insert("Resource".to_owned(), resource);
    schemas.extend(parts::schemas());
    schemas
}

#[cfg(test)]
mod tests;
