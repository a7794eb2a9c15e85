//! Scenarios against the router in this process, with a clock and a store of
//! the test's own: what no test over a wire can time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included

#[path = "support/staged.rs"]
mod staged;

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use salus_api::Peer;
use salus_crypto::SecretKey;
use salus_service::Service;
use salus_store::memory::Memory;
use salus_store::{Batch, Committed, Reply, Store};
use serde_json::{Value, json};
use staged::{Staged, router_settings};
use tower::ServiceExt;

const START_MS: i64 = 1_767_225_600_000;
const HOUR_MS: i64 = 60 * 60 * 1000;

type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store in which something happens just before the next commit of records.
#[derive(Default)]
struct Interrupted {
    inner: Memory,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Store for Interrupted {
    salus_store::pass_on!(
        inner: snapshot, changes, sealed, forget, audit_tree, ready, check, disk_bytes, close
    );

    fn commit(&self, batch: Batch) -> Reply<'_, Committed> {
        Box::pin(async move {
            if !batch.puts.is_empty() {
                let meanwhile = self.meanwhile.lock().unwrap().take();
                if let Some(meanwhile) = meanwhile {
                    meanwhile.await;
                }
            }
            self.inner.commit(batch).await
        })
    }
}

/// A server in this process.
struct Host {
    store: Arc<Interrupted>,
    world: Arc<Staged>,
    service: Arc<Service>,
    router: Router,
}

impl Host {
    async fn start() -> Self {
        let store = Arc::new(Interrupted::default());
        let world = Arc::new(Staged::at(START_MS));
        let (service, router) = open(&store, &world).await;
        Self {
            store,
            world,
            service,
            router,
        }
    }

    /// The same store and time, with nothing remembered.
    async fn restart(&mut self) {
        (self.service, self.router) = open(&self.store, &self.world).await;
    }

    /// A request of the operator.
    async fn send(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        exchange(
            self.router.clone(),
            Some(Peer::Operator),
            None,
            (method, path, body),
        )
        .await
    }

    async fn read_with(&self, token: &str) -> StatusCode {
        let read = ("GET", "/fhir/Patient", &Value::Null);
        exchange(self.router.clone(), None, Some(token), read)
            .await
            .0
    }
}

async fn open(store: &Arc<Interrupted>, world: &Arc<Staged>) -> (Arc<Service>, Router) {
    let (store, world) = (Arc::clone(store), Arc::clone(world));
    let key = SecretKey::from_bytes([7; 32]);
    let blobs = Arc::new(Memory::new());
    let settings = salus_service::Settings::default();
    let service = Service::open(store, blobs, world, settings, key);
    let service = Arc::new(service.await.unwrap());
    let router = salus_api::router(Arc::clone(&service), router_settings());
    (service, router)
}

async fn exchange(
    router: Router,
    peer: Option<Peer>,
    token: Option<&str>,
    (method, path, body): (&str, &str, &Value),
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("Content-Type", "application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::from(body.to_string())).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_token_ends_with_its_hour() {
    let mut host = Host::start().await;
    let client = json!({"id": "a", "name": "A", "scopes": "system/*.rs"});
    let (status, made) = host.send("POST", "/admin/clients", &client).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let secret = made["client_secret"].as_str().unwrap();
    let form = format!("grant_type=client_credentials&client_id=a&client_secret={secret}");
    let request = Request::post("/auth/token").body(Body::from(form)).unwrap();
    let answer = host.router.clone().oneshot(request).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["expires_in"], HOUR_MS / 1000);
    let token = answer["access_token"].as_str().unwrap();

    assert_eq!(host.read_with(token).await, StatusCode::OK);
    host.world.advance_ms(HOUR_MS - 1);
    assert_eq!(host.read_with(token).await, StatusCode::OK);
    // Whether it is remembered or read from the store.
    host.world.advance_ms(1);
    assert_eq!(host.read_with(token).await, StatusCode::UNAUTHORIZED);
    host.restart().await;
    assert_eq!(host.read_with(token).await, StatusCode::UNAUTHORIZED);
    let refused = "/fhir/AuditEvent?type=110114&outcome=4";
    let (_, refused) = host.send("GET", refused, &Value::Null).await;
    assert_eq!(refused["total"], 2, "{refused}");
}

fn patient(id: &str, identifier: &str) -> Value {
    let identifier = json!([{"system": "urn:s", "value": identifier}]);
    json!({"resourceType": "Patient", "id": id, "identifier": identifier})
}

/// Lets time pass, purges what no setting keeps, and says which versions of a
/// patient can be read then.
async fn kept_after(host: &Host, ms: i64) -> Vec<usize> {
    host.world.advance_ms(ms);
    host.service.sweep_histories().await.unwrap();
    let mut kept = Vec::new();
    for version in 1..=4 {
        let path = format!("/fhir/Patient/p/_history/{version}");
        let (status, _) = host.send("GET", &path, &Value::Null).await;
        kept.extend((status == StatusCode::OK).then_some(version));
    }
    kept
}

#[tokio::test]
async fn what_a_setting_no_longer_keeps_goes_with_an_audit_entry() {
    const MINUTE_MS: i64 = 60_000;
    let mut host = Host::start().await;
    for version in 1..=4 {
        let text = format!("v{version}");
        let (status, _) = host
            .send("PUT", "/fhir/Patient/p", &patient("p", &text))
            .await;
        assert!(status.is_success());
        host.world.advance_ms(MINUTE_MS);
    }
    let set = async |host: &Host, rule: Value| {
        let setting = json!({"types": {"Patient": rule}});
        let (status, set) = host.send("PUT", "/admin/history", &setting).await;
        assert_eq!(
            (status, set["types"].clone()),
            (StatusCode::OK, setting["types"].clone())
        );
    };
    assert_eq!(kept_after(&host, HOUR_MS).await, [1, 2, 3, 4]);
    set(&host, json!({"keep": 3, "days": 1})).await;
    assert_eq!(kept_after(&host, 22 * HOUR_MS).await, [1, 2, 3, 4]);
    host.restart().await;
    assert_eq!(kept_after(&host, HOUR_MS).await, [2, 3, 4]);
    assert_eq!(kept_after(&host, 240 * HOUR_MS).await, [2, 3, 4]);
    let (status, _) = host
        .send("PUT", "/fhir/Patient/p", &patient("p", "v5"))
        .await;
    assert_eq!(status, StatusCode::OK);
    set(&host, json!("purge")).await;
    assert_eq!(kept_after(&host, 10 * MINUTE_MS - 1).await, [4]);
    assert_eq!(kept_after(&host, 1).await, [0; 0]);
    let path = "/fhir/AuditEvent?entity=Patient/p&action=E";
    let (_, found) = host.send("GET", path, &Value::Null).await;
    let entries = found["entry"].as_array().unwrap().iter();
    let mut purged: Vec<_> = entries
        .flat_map(|entry| entry["resource"]["entity"].as_array().unwrap())
        .filter_map(|entity| entity["what"]["reference"].as_str())
        .filter_map(|what| what.strip_prefix("Patient/p/_history/"))
        .collect();
    purged.sort_unstable();
    assert_eq!(purged, ["1", "2", "3", "4"], "{found}");
}

/// An entry that refers to a patient.
fn referring(subject: &str) -> Value {
    let subject = json!({"reference": subject});
    let basic = json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": subject});
    json!({"resource": basic, "request": {"method": "POST", "url": "Basic"}})
}

/// Sends a transaction; another request comes first. There are
/// the patients `p`, the one with the identifier `x`, and `q`.
#[track_caller]
fn check(
    entries: Value,
    (method, path, body): (&'static str, &'static str, Value),
    expect: impl AsyncFnOnce(&Host, StatusCode, Value),
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(async move {
        let host = Host::start().await;
        for (id, identifier) in [("p", "x"), ("q", "y")] {
            let path = format!("/fhir/Patient/{id}");
            let (status, _) = host.send("PUT", &path, &patient(id, identifier)).await;
            assert_eq!(status, StatusCode::CREATED);
        }
        let router = host.router.clone();
        let meanwhile = Box::pin(async move {
            let sent = exchange(router, Some(Peer::Operator), None, (method, path, &body)).await;
            assert!(sent.0.is_success(), "{sent:?}");
        });
        *host.store.meanwhile.lock().unwrap() = Some(meanwhile);
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let (status, answer) = host.send("POST", "/fhir", &bundle).await;
        assert!(host.store.meanwhile.lock().unwrap().is_none());
        expect(&host, status, answer).await;
    });
}

async fn refused(host: &Host, status: StatusCode, answer: Value) {
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{answer}");
    let (_, found) = host
        .send("GET", "/fhir/Basic?_summary=count", &Value::Null)
        .await;
    assert_eq!(found["total"], 0);
}

async fn done(_: &Host, status: StatusCode, answer: Value) {
    assert_eq!(status, StatusCode::OK, "{answer}");
    let response = &answer["entry"][0]["response"];
    assert_eq!(response["status"], "201 Created", "{response}");
}

#[test]
fn a_conditional_reference_holds_when_it_is_stored() {
    let entries = || json!([referring("Patient?identifier=urn:s|x")]);
    let put = |path, id, identifier| ("PUT", path, patient(id, identifier));
    let delete = |path| ("DELETE", path, Value::Null);
    check(entries(), delete("/fhir/Patient/p"), refused);
    check(entries(), put("/fhir/Patient/p", "p", "z"), refused);
    check(entries(), put("/fhir/Patient/r", "r", "x"), refused);
    check(entries(), put("/fhir/Patient/q", "q", "x"), refused);
    // What leaves the one match does not matter.
    check(entries(), put("/fhir/Patient/p", "p", "x"), done);
    check(entries(), delete("/fhir/Patient/q"), done);
}

#[test]
fn what_a_conditional_create_found_is_there_when_others_refer_to_it() {
    let urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9";
    let entries = || {
        let request =
            json!({"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|x"});
        json!([
            {"fullUrl": urn, "resource": patient("new", "x"), "request": request},
            referring(urn),
        ])
    };
    // When it has gone, it is made again.
    check(entries(), ("DELETE", "/fhir/Patient/p", Value::Null), done);
    let second = ("PUT", "/fhir/Patient/r", patient("r", "x"));
    check(entries(), second, refused);
}

#[test]
fn a_delete_finds_what_came_meanwhile() {
    let delete = json!({"request": {"method": "DELETE", "url": "Patient/r"}});
    let entries = json!([delete, referring("Patient/p")]);
    let made = ("PUT", "/fhir/Patient/r", patient("r", "y"));
    check(entries, made, async |host: &Host, status, answer| {
        assert_eq!(status, StatusCode::OK, "{answer}");
        let read = host.send("GET", "/fhir/Patient/r", &Value::Null).await;
        assert_eq!(read.0, StatusCode::GONE);
    });
}
