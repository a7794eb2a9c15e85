//! A mark in every place of a request to every route: its path, query, headers and body in the forms
//! that bodies have, over HTTP/1.1 and HTTP/2, with and without credentials.

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use salus_api::route::{ROUTES, Route};
use serde_json::{Map, Value, json};

use super::marks::{Marks, percent};
use crate::host::Project;
use crate::http2;
use crate::wire::{Answer, Request};

/// Headers that something reads, or that proxies and browsers send.
const HEADERS: &[&str] = &[
    "User-Agent",
    "Cookie",
    "Origin",
    "Referer",
    "Forwarded",
    "X-Forwarded-For",
    "X-Request-Id",
    "Traceparent",
    "If-Match",
    "If-None-Match",
    "If-None-Exist",
    "If-Modified-Since",
    "Prefer",
    "Range",
    "Accept-Language",
    "Idempotency-Key",
    "Salus-Purpose-Of-Use",
    "X-Provenance",
    "DPoP",
];

/// Parameters that some route understands.
const PARAMETERS: &[&str] = &[
    "_id",
    "name",
    "identifier",
    "patient",
    "code",
    "state",
    "iss",
    "link",
    "login_hint",
    "error",
    "error_description",
    "redirect_uri",
    "client_id",
    "scope",
    "launch",
    "user_code",
    "cursor",
    "_since",
    "_type",
    "_typeFilter",
    "email",
    "at",
    "from",
];

/// Sends all of it, from some clients at once; what comes back is looked at.
pub(super) fn send(project: &Project, marks: &Marks) {
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for route in ROUTES.iter().skip(part).step_by(4) {
                    to(project, marks, route);
                }
            });
        }
    });
    over_http2(project, marks);
}

fn to(project: &Project, marks: &Marks, route: &Route) {
    let name = route.name;
    let of = |what: &str| marks.of(&format!("{what} of {name}"));
    let bearer = || match name {
        // The administrator's own session goes on.
        "sign-out" => format!("Bearer {}", project.client(&of("client id"), "system/*.r")),
        _ => format!("Bearer {}", project.server.token()),
    };
    let good = crate::routes::request(project, route);
    let mut requests = bodies(&good, &of);
    requests.push(in_path(&good, route, &of));
    requests.push(in_query(good.clone(), &of));
    requests.push(in_headers(good.clone(), &of));
    let mut requests: Vec<Request> = requests
        .into_iter()
        .map(|request| request.header("Authorization", bearer()))
        .collect();
    let basic =
        Base64::encode_string(format!("{}:{}", of("basic id"), of("basic secret")).as_bytes());
    requests.push(
        good.clone()
            .header("Authorization", format!("Bearer {}", of("token"))),
    );
    requests.push(good.header("Authorization", format!("Basic {basic}")));
    for request in requests {
        look(marks, name, &project.send(request));
    }
}

/// What an answer says to somebody who may not be who sent it: an error, and every header.
fn look(marks: &Marks, route: &str, answer: &Answer) {
    let place = format!("answer {} of {route}", answer.status);
    if answer.status >= 400 {
        marks.look(&place, answer.body.as_bytes());
    }
    for (name, value) in &answer.headers {
        // Where a resource is, and where a browser goes on: by design what was asked for.
        if !matches!(name.as_str(), "location" | "content-location") {
            marks.look(
                &format!("answer header {name} of {route}"),
                value.as_bytes(),
            );
        }
    }
}

fn in_path(good: &Request, route: &Route, of: &impl Fn(&str) -> String) -> Request {
    let mut path = good.path().to_owned();
    for value in ["target", "victim", "none"] {
        let (before, query) = path.split_once('?').unwrap_or((&path, ""));
        let marked = before.replace(&format!("/{value}"), &format!("/{}", of("path")));
        path = format!("{marked}?{query}");
    }
    let path = match route.path.contains('{') {
        true => path,
        // What is no path at all.
        false => format!("{}/{}", good.path(), of("path")),
    };
    good.clone().at(path.trim_end_matches('?'))
}

fn in_query(good: Request, of: &impl Fn(&str) -> String) -> Request {
    let mut pairs: Vec<String> = PARAMETERS
        .iter()
        .map(|name| format!("{name}={}", of(&format!("value {name}"))))
        .collect();
    pairs.push(format!("{}=1", of("name in query")));
    pairs.push(format!("family={}", percent(&of("value family, encoded"))));
    let join = if good.path().contains('?') { '&' } else { '?' };
    let path = format!("{}{join}{}", good.path(), pairs.join("&"));
    good.at(&path)
}

fn in_headers(good: Request, of: &impl Fn(&str) -> String) -> Request {
    let mut request = good;
    for name in HEADERS {
        request = request.header(name, of(&format!("header {name}")));
    }
    let kinds = format!("text/{}", of("header Accept"));
    request.header("Accept", kinds)
}

/// Bodies with marks in every form that some route reads.
fn bodies(good: &Request, of: &impl Fn(&str) -> String) -> Vec<Request> {
    let json: Value = serde_json::from_slice(good.content()).unwrap_or_else(
        |_| json!({"resourceType": "Patient", "email": "", "name": "", "password": "", "link": ""}),
    );
    let form = |separator: &str| {
        let names = [
            "link",
            "email",
            "password",
            "username",
            "client_id",
            "client_secret",
            "token",
            "code",
            "state",
            "refresh_token",
            "assertion",
            "client_assertion",
            "name",
            "_id",
            "sign_in",
            "totp",
            "user_code",
            "request",
            "patient",
        ];
        let pairs = names.map(|name| format!("{name}={}", of(&format!("form {name}"))));
        let grant = "grant_type=authorization_code&client_assertion_type=x";
        format!("{grant}&{}", pairs.join(separator))
    };
    let mut broken = strings_marked(&json, of).to_string();
    broken.truncate(broken.len() - 1);
    broken.push_str(&of("broken json"));
    let xml = format!(
        "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"target\"/><text><div>{}</div></text><x{} {}=\"{}\"/>",
        of("xml text"),
        of("name of xml element"),
        of("name of xml attribute"),
        of("xml attribute"),
    );
    let of_kind = |kind: &str, body: String| good.clone().header("Content-Type", kind).body(body);
    vec![
        of_kind("application/fhir+json", words_marked(&json, of).to_string()),
        of_kind(
            "application/fhir+json",
            strings_marked(&json, of).to_string(),
        ),
        of_kind("application/json", names_marked(&json, of).to_string()),
        of_kind("application/fhir+json", broken),
        of_kind("application/x-www-form-urlencoded", form("&")),
        of_kind("application/fhir+xml", xml),
        of_kind(
            "application/fhir+ndjson",
            format!("{}\n{}\n", strings_marked(&json, of), of("line")),
        ),
        of_kind(&format!("text/{}", of("header Content-Type")), of("body")),
        good.clone()
            .header("Content-Encoding", of("header Content-Encoding"))
            .body(of("coded body")),
    ]
}

/// Every string is a mark.
fn strings_marked(value: &Value, of: &impl Fn(&str) -> String) -> Value {
    marked(value, &|_, _| true, of)
}

/// Only what people write freely: the request may succeed.
fn words_marked(value: &Value, of: &impl Fn(&str) -> String) -> Value {
    let free = |name: &str, text: &str| match name {
        "name" | "label" | "text" | "reason" | "statement" | "description" | "purpose"
        | "agency" | "display" | "family" | "subject" | "password" | "client_secret" => true,
        "email" => text.contains('@'),
        _ => false,
    };
    marked(value, &free, of)
}

fn marked(
    value: &Value,
    is_free: &impl Fn(&str, &str) -> bool,
    of: &impl Fn(&str) -> String,
) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let value = match value.as_str() {
                    Some(text) if is_free(name, text) => {
                        let mark = of(&format!("member {name}"));
                        let end = if text.contains('@') {
                            "@example.org"
                        } else {
                            ""
                        };
                        Value::String(format!("{mark}{end}"))
                    }
                    Some(_) | None => marked(value, is_free, of),
                };
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(|item| marked(item, is_free, of)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn names_marked(value: &Value, of: &impl Fn(&str) -> String) -> Value {
    let mut members = value.as_object().cloned().unwrap_or_default();
    members.insert(of("name of member"), json!(1));
    members.insert(
        "name".to_owned(),
        Value::Object(Map::from_iter([(of("name within"), json!(1))])),
    );
    Value::Object(members)
}

/// The same places over HTTP/2, where names and values of headers have tables of their own.
fn over_http2(project: &Project, marks: &Marks) {
    http2::run(async {
        let mut sender = http2::connect(project.server.address()).await;
        for route in ROUTES {
            let of = |what: &str| marks.of(&format!("{what} over HTTP/2 of {}", route.name));
            let good = crate::routes::request(project, route);
            let request = in_headers(in_query(in_path(&good, route, &of), &of), &of)
                .header("Authorization", format!("Bearer {}", of("token")))
                .body(of("body"));
            let (mut parts, body) = request.for_router().into_parts();
            parts.uri = format!("http://{}{}", project.server.address(), parts.uri)
                .parse()
                .unwrap();
            let body: Bytes = body.collect().await.unwrap().to_bytes();
            sender.ready().await.unwrap();
            let sent = http::Request::from_parts(parts, Full::new(body));
            let answer = sender.send_request(sent).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            if status >= 400 {
                marks.look(&format!("answer {status} of {}", route.name), &body);
            }
        }
    });
}
