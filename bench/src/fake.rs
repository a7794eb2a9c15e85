//! A FHIR server of a hundred lines for tests, which can be told to lie.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::net::TcpListener;

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// Answers updates without storing them.
    ForgetsUpdates,
    /// Reads what was deleted.
    KeepsDeleted,
    /// Stores another value than it was sent.
    ChangesContent,
    /// Stores transactions with `urn:uuid:` references as sent.
    LeavesReferences,
    /// Skips the last entry of a transaction.
    HalfTransactions,
    /// Refuses the first token it gave.
    ForgetsTokens,
}

#[derive(Default)]
struct Memory {
    /// Version and content by `Type/id`; nothing when deleted.
    resources: HashMap<String, (u64, Option<Value>)>,
    next: u64,
    tokens: u64,
}

type Shared = Rc<RefCell<Memory>>;

/// Serves on a free loopback port for as long as the thread's tasks run; the base URL.
pub(crate) async fn serve(lie: Lie) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let memory = Shared::default();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let memory = Rc::clone(&memory);
            let service = service_fn(move |request| answer(Rc::clone(&memory), lie, request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::task::spawn_local(connection);
        }
    });
    format!("http://{address}/fhir")
}

async fn answer(
    memory: Shared,
    lie: Lie,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut memory = memory.borrow_mut();
    if head.uri.path() == "/token" {
        memory.tokens += 1;
        let token = format!("t{}", memory.tokens);
        return Ok(response(
            StatusCode::OK,
            None,
            &json!({"access_token": token}),
        ));
    }
    let token = head
        .headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    if token.is_none() || (lie == Lie::ForgetsTokens && token.as_deref() == Some("Bearer t1")) {
        return Ok(response(StatusCode::UNAUTHORIZED, None, &Value::Null));
    }
    let path = head
        .uri
        .path()
        .trim_start_matches("/fhir")
        .trim_matches('/')
        .to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(match (head.method, path.is_empty()) {
        (Method::POST, true) => memory.transaction(lie, &body),
        (Method::POST, false) => memory.create(lie, &path, body),
        (Method::PUT, _) => memory.update(lie, &path, body),
        (Method::DELETE, _) => memory.delete(lie, &path),
        _ => memory.read(&path),
    })
}

impl Memory {
    fn put(&mut self, key: &str, mut resource: Value) -> (u64, Value) {
        let version = self
            .resources
            .get(key)
            .map_or(1, |(version, _)| version + 1);
        resource["id"] = json!(key.split('/').next_back());
        resource["meta"] = json!({"versionId": version.to_string()});
        self.resources
            .insert(key.to_owned(), (version, Some(resource.clone())));
        (version, resource)
    }

    fn create(&mut self, lie: Lie, kind: &str, mut resource: Value) -> Response<Full<Bytes>> {
        self.next += 1;
        let key = format!("{kind}/{}", self.next);
        if lie == Lie::ChangesContent {
            resource["language"] = json!("en");
        }
        let (version, resource) = self.put(&key, resource);
        response(StatusCode::CREATED, Some((&key, version)), &resource)
    }

    fn update(&mut self, lie: Lie, key: &str, resource: Value) -> Response<Full<Bytes>> {
        let before = self.resources.get(key).cloned();
        let (version, resource) = self.put(key, resource);
        if lie == Lie::ForgetsUpdates {
            self.resources
                .extend(before.map(|before| (key.to_owned(), before)));
        }
        response(StatusCode::OK, Some((key, version)), &resource)
    }

    fn delete(&mut self, lie: Lie, key: &str) -> Response<Full<Bytes>> {
        let (version, _) = self.resources[key];
        if lie != Lie::KeepsDeleted {
            self.resources.insert(key.to_owned(), (version + 1, None));
        }
        response(StatusCode::NO_CONTENT, None, &Value::Null)
    }

    fn read(&self, key: &str) -> Response<Full<Bytes>> {
        match self.resources.get(key) {
            Some((version, Some(resource))) => {
                response(StatusCode::OK, Some((key, *version)), resource)
            }
            Some((_, None)) => response(StatusCode::GONE, None, &Value::Null),
            None => response(StatusCode::NOT_FOUND, None, &Value::Null),
        }
    }

    fn transaction(&mut self, lie: Lie, bundle: &Value) -> Response<Full<Bytes>> {
        let entries = bundle["entry"].as_array().unwrap();
        let mut text = bundle.to_string();
        let mut keys = Vec::new();
        for entry in entries {
            self.next += 1;
            let key = format!(
                "{}/{}",
                entry["request"]["url"].as_str().unwrap(),
                self.next
            );
            if lie != Lie::LeavesReferences {
                text = text.replace(entry["fullUrl"].as_str().unwrap(), &key);
            }
            keys.push(key);
        }
        let resolved: Value = serde_json::from_str(&text).unwrap();
        let stored = keys.len() - usize::from(lie == Lie::HalfTransactions);
        for (key, entry) in keys
            .iter()
            .zip(resolved["entry"].as_array().unwrap())
            .take(stored)
        {
            self.put(key, entry["resource"].clone());
        }
        let entry = |key: &String| json!({"response": {"status": "201 Created", "location": format!("{key}/_history/1"), "etag": "W/\"1\""}});
        let answer = json!({"type": "transaction-response", "entry": keys.iter().map(entry).collect::<Vec<_>>()});
        response(StatusCode::OK, None, &answer)
    }
}

fn response(status: StatusCode, at: Option<(&str, u64)>, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    if let Some((key, version)) = at {
        response = response.header("etag", format!("W/\"{version}\""));
        response = response.header(
            "location",
            format!("http://h/fhir/{key}/_history/{version}"),
        );
    }
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    response.body(Full::new(Bytes::from(body))).unwrap()
}
