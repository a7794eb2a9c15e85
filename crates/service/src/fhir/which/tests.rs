//! Conditional writes that come between each other, in orders drawn from a seed:
//! a condition never makes two, no transaction happens by half, and what was
//! answered is there.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use salus_crypto::SecretKey;
use salus_store::memory::Memory;
use salus_store::{At, Batch, Committed, Reply as StoreReply, Scope, Snapshot, Store};
use serde_json::{Value, json};

use crate::choice::Choice;
use crate::context::{Context, World};
use crate::error::{Error, Kind};
use crate::fhir::reply::{Reply, Status};
use crate::fhir::{
    BundleOptions, CreateOptions, Handling, Returns, Which, WriteCondition, WriteOptions,
};
use crate::projects::DEFAULT;
use crate::{Service, Settings};

const SEEDS: u64 = 200;
const CLIENTS: u64 = 6;
const REQUESTS: u64 = 4;

/// Choices of several at once.
#[derive(Default)]
struct Draw(Mutex<Choice>);

impl Draw {
    fn below(&self, end: u64) -> u64 {
        self.0.lock().below(end)
    }
}

impl World for Draw {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.below(256) as u8);
    }
}

/// The memory engine, where others get their turn before each step.
struct Slow {
    memory: Memory,
    draw: Arc<Draw>,
}

/// Lets others go first a few times.
async fn wait(turns: u64) {
    let mut left = turns;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Store for Slow {
    salus_store::pass_on!(
        memory: changes, sealed, forget, audit_tree, ready, check, disk_bytes, close
    );

    fn snapshot(&self, scope: Scope, at: At) -> StoreReply<'_, Box<dyn Snapshot>> {
        let turns = self.draw.below(4);
        Box::pin(async move {
            wait(turns).await;
            self.memory.snapshot(scope, at).await
        })
    }

    fn commit(&self, batch: Batch) -> StoreReply<'_, Committed> {
        let turns = self.draw.below(4);
        Box::pin(async move {
            wait(turns).await;
            self.memory.commit(batch).await
        })
    }
}

/// What a client asks, of one of three identifiers.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Create,
    Update,
    Delete,
    /// A transaction that does one of these, and creates a resource to tell by.
    Transaction(&'static str),
}

fn patient(value: u64) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": value.to_string()}]})
}

fn transaction(method: &str, value: u64, mark: &str) -> Bytes {
    let search = format!("identifier=urn:s|{value}");
    let entry = match method {
        "POST" => json!({"resource": patient(value), "request":
            {"method": "POST", "url": "Patient", "ifNoneExist": search}}),
        "PUT" => json!({"resource": patient(value), "request":
            {"method": "PUT", "url": format!("Patient?{search}")}}),
        _ => json!({"request": {"method": "DELETE", "url": format!("Patient?{search}")}}),
    };
    let mark = json!({"resource": {"resourceType": "Basic", "id": mark, "code": {"text": "x"}},
        "request": {"method": "PUT", "url": format!("Basic/{mark}")}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry, mark]});
    bundle.to_string().into()
}

async fn ask(service: &Service, asked: Asked, value: u64, mark: &str) -> Result<Reply, Error> {
    let cx = &context(service);
    let search = format!("identifier=urn:s|{value}");
    let body = Bytes::from(patient(value).to_string());
    let (condition, idempotency_key) = (WriteCondition::None, None);
    let options = WriteOptions {
        condition,
        idempotency_key,
    };
    let which = Which::Matching(&search);
    match asked {
        Asked::Create => {
            let options = CreateOptions {
                if_none_exist: Some(search.clone()),
                idempotency_key: None,
            };
            service.create(cx, "Patient", body, &options).await
        }
        Asked::Update => service.update(cx, "Patient", which, body, &options).await,
        Asked::Delete => service.delete(cx, "Patient", which, &options).await,
        Asked::Transaction(method) => {
            let options = BundleOptions {
                returns: Returns::Minimal,
                handling: Handling::Strict,
                idempotency_key: None,
            };
            let body = transaction(method, value, mark);
            service.bundle(cx, body, options).await
        }
    }
}

fn context(service: &Service) -> Context {
    service.operator_context(service.project_scope(DEFAULT).unwrap())
}

async fn total(service: &Service, search: &str) -> u64 {
    let (ty, query) = search.split_once('?').unwrap();
    let parameters = crate::fhir::search::pairs(query);
    let cx = context(service);
    let found = service.search(&cx, ty, parameters, Handling::Strict);
    let body = found.await.unwrap().body.unwrap();
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    bundle["total"].as_u64().unwrap()
}

/// One client: after each of its requests no identifier is there twice.
async fn client(service: &Service, draw: &Draw, number: u64, versions: &Mutex<HashSet<String>>) {
    const KINDS: [Asked; 6] = [
        Asked::Create,
        Asked::Update,
        Asked::Delete,
        Asked::Transaction("POST"),
        Asked::Transaction("PUT"),
        Asked::Transaction("DELETE"),
    ];
    for request in 0..REQUESTS {
        let asked = KINDS[draw.below(6) as usize];
        let value = draw.below(3);
        let mark = format!("mark-{number}-{request}");
        let answer = ask(service, asked, value, &mark).await;
        for value in 0..3 {
            let search = format!("Patient?identifier=urn:s|{value}&_count=0");
            assert!(total(service, &search).await <= 1, "{asked:?} made another");
        }
        let marked = total(service, &format!("Basic?_id={mark}&_count=0")).await;
        let is_transaction = matches!(asked, Asked::Transaction(_));
        match answer {
            Ok(reply) => {
                assert_eq!(marked, u64::from(is_transaction), "{asked:?}");
                check_written(service, asked, &reply, versions).await;
            }
            Err(error) => {
                assert_eq!((error.kind(), marked), (Kind::Conflict, 0), "{asked:?}");
            }
        }
    }
}

/// What an answer shows as written is there, and no other answer wrote it.
async fn check_written(
    service: &Service,
    asked: Asked,
    reply: &Reply,
    versions: &Mutex<HashSet<String>>,
) {
    let wrote = matches!(asked, Asked::Update) || reply.status == Status::Created;
    let (true, Some(place), Some(version)) = (wrote, &reply.place, reply.version) else {
        return;
    };
    let cx = context(service);
    let version = version.to_string();
    let read = service.vread(&cx, (place.ty.name, &place.id, &version), &[]);
    assert_eq!(read.await.unwrap().body, reply.body);
    let location = reply.location().unwrap();
    assert!(versions.lock().insert(location), "written twice");
}

#[test]
fn a_condition_never_makes_two() {
    for seed in 0..SEEDS {
        let run = async {
            let draw = Arc::new(Draw(Mutex::new(Choice(seed))));
            let store = Slow {
                memory: Memory::new(),
                draw: Arc::clone(&draw),
            };
            let key = SecretKey::from_bytes([7; 32]);
            let world = Arc::clone(&draw);
            let blobs = Arc::new(store.memory.clone());
            let settings = Settings::default();
            let service = Service::open(Arc::new(store), blobs, world, settings, key);
            let service = service.await.unwrap();
            let versions = Mutex::default();
            let clients = (0..CLIENTS).map(|number| client(&service, &draw, number, &versions));
            join_all(clients).await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.unwrap().block_on(run);
        }));
        assert!(unwound.is_ok(), "seed {seed}");
    }
}
