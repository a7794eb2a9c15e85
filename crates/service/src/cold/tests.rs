//! Crashes between the commits of moves, retrievals and disposals: a store that fails at some commit, and
//! a service that is opened anew over what it left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use salus_auth::record::{KeptFrom, RetentionClass, Then};
use salus_crypto::{Founding, Keyring, SecretKey, Shreds};
use salus_store::{Batch, Committed, Error as StoreError, Reply, Scope, Store};
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};

use super::{ColdPlace, NewMove, NewRetrieval, PlaceError, Settings as ColdSettings};
use crate::context::{Context, World};
use crate::error::{Error, Kind};
use crate::fhir::{ReadConditions, Which, WriteCondition, WriteOptions};
use crate::retention::NewDisposal;
use crate::shredding::{NewShred, Shredding};
use crate::{Service, Settings, keyring};

/// A day in 2026.
const NOW_MS: i64 = 1_790_000_000_000;
const REASON: &str = "made for a test";

struct Clock(AtomicU64);

impl World for Clock {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }

    fn random(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().zip(number.into_iter().cycle()) {
            *to = from;
        }
    }
}

/// A place in memory.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<String, Bytes>>);

impl ColdPlace for Shelf {
    fn label(&self) -> &str {
        "shelf"
    }

    fn is_locked(&self) -> bool {
        false
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PlaceError>> {
        let before = self.0.lock().insert(name.to_owned(), bytes);
        assert!(before.is_none(), "{name} is written twice");
        Box::pin(async { Ok(()) })
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, PlaceError>> {
        let found = self.0.lock().get(name).cloned();
        Box::pin(async { Ok(found) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, PlaceError>> {
        let objects = self.0.lock();
        let names = objects.keys().filter(|name| name.starts_with(prefix));
        let names: Vec<String> = names.cloned().collect();
        Box::pin(async { Ok(names) })
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), PlaceError>> {
        self.0.lock().remove(name);
        Box::pin(async { Ok(()) })
    }
}

/// A store that takes so many commits and then no more; the last may be done without an answer.
struct Breaking {
    store: Arc<Embedded>,
    left: AtomicI64,
    silent: bool,
}

impl Store for Breaking {
    salus_store::pass_on!(
        store: snapshot, changes, sealed, forget, audit_tree, ready, check, disk_bytes, close
    );

    fn commit(&self, batch: Batch) -> Reply<'_, Committed> {
        let gone = || Err(StoreError::Unavailable("it is broken off".into()));
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            ..=0 => Box::pin(async move { gone() }),
            1 if self.silent => Box::pin(async move {
                self.store.commit(batch).await?;
                gone()
            }),
            _ => self.store.commit(batch),
        }
    }
}

/// A store with records, and cold storage beside it.
struct Stage {
    dir: tempfile::TempDir,
    keyring: Arc<Keyring>,
    engine: Arc<Embedded>,
    shelf: Arc<Shelf>,
    world: Arc<Clock>,
}

const RECORDS: [(&str, &str); 4] = [
    ("Observation", "one"),
    ("Observation", "two"),
    ("Observation", "nobody"),
    ("Binary", "scan"),
];

impl Stage {
    async fn lived(then: Then) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(&dir.path().join("keys"), Founding::New, 0).unwrap();
        let options = Options {
            disk_bytes_min: 0,
            ..Options::new(dir.path().join("store"), Arc::clone(&keyring))
        };
        let stage = Self {
            keyring,
            engine: Embedded::open(options).unwrap(),
            shelf: Arc::default(),
            world: Arc::new(Clock(AtomicU64::new(1))),
            dir,
        };
        let service = stage.whole().await;
        let cx = cx(&service);
        put(
            &service,
            &cx,
            &json!({"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01"}),
        )
        .await;
        for id in ["one", "two"] {
            put(&service, &cx, &observation(id, true, "first")).await;
            put(&service, &cx, &observation(id, true, "second")).await;
        }
        put(&service, &cx, &observation("nobody", false, "first")).await;
        let data = "QUJD".repeat(400_000);
        put(
            &service,
            &cx,
            &json!({"resourceType": "Binary", "id": "scan", "contentType": "a/b",
            "securityContext": {"reference": "Patient/p"}, "data": data}),
        )
        .await;
        let class = |name: &str, ty: &str, from| RetentionClass {
            name: name.into(),
            types: vec![ty.into()],
            years: 0,
            from,
            minors: None,
            then,
            cold_after_years: Some(0),
        };
        let classes = vec![
            class("findings", "Observation", KeptFrom::MainDate),
            class("scans", "Binary", KeptFrom::LastUpdate),
        ];
        service.write_retention(&cx, classes).await.unwrap();
        stage
    }

    /// A service that nothing happens to.
    async fn whole(&self) -> Service {
        self.over(Arc::clone(&self.engine) as Arc<dyn Store>).await
    }

    /// One whose store takes so many commits.
    async fn breaking(&self, commits: i64, silent: bool) -> (Service, Arc<Breaking>) {
        let store = Arc::new(Breaking {
            store: Arc::clone(&self.engine),
            left: AtomicI64::new(i64::MAX),
            silent,
        });
        let service = self.over(Arc::clone(&store) as Arc<dyn Store>).await;
        store.left.store(commits, Ordering::SeqCst);
        (service, store)
    }

    async fn over(&self, store: Arc<dyn Store>) -> Service {
        let keys = self.dir.path().join("keys");
        let settings = Settings {
            cold: ColdSettings {
                place: Some(Arc::clone(&self.shelf) as Arc<dyn ColdPlace>),
            },
            keys: keyring::Settings {
                keyring: Some(Arc::clone(&self.keyring)),
                ..keyring::Settings::default()
            },
            shreds: Some(Shreds::open(&keys, &self.keyring).unwrap()),
            ..Settings::default()
        };
        let key = SecretKey::from_bytes([7; 32]);
        let blobs = Arc::clone(&self.engine);
        let service = Service::open(store, blobs, Arc::clone(&self.world) as _, settings, key);
        service.await.unwrap()
    }
}

fn cx(service: &Service) -> Context {
    let scopes = service.scopes();
    service.operator_context(
        *scopes
            .iter()
            .find(|scope| **scope != Scope::SYSTEM)
            .unwrap(),
    )
}

fn observation(id: &str, of_patient: bool, text: &str) -> Value {
    let mut observation = json!({"resourceType": "Observation", "id": id, "status": "final",
        "code": {"text": text}, "effectiveDateTime": "2001-01-01"});
    if of_patient {
        observation["subject"] = json!({"reference": "Patient/p"});
    }
    observation
}

async fn put(service: &Service, cx: &Context, resource: &Value) {
    try_put(service, cx, resource).await.unwrap();
}

async fn try_put(service: &Service, cx: &Context, resource: &Value) -> Result<(), Error> {
    let text = |name: &str| resource[name].as_str().unwrap().to_owned();
    let (ty, id) = (text("resourceType"), text("id"));
    let options = WriteOptions {
        condition: WriteCondition::None,
        idempotency_key: None,
    };
    let body = Bytes::from(resource.to_string());
    let written = service.update(cx, &ty, Which::Id(&id), body, &options);
    written.await.map(|_| ())
}

async fn read(service: &Service, cx: &Context, (ty, id): (&str, &str)) -> Result<Value, Error> {
    let reply = service.read(cx, ty, id, &ReadConditions::default()).await?;
    if let Some(content) = &reply.content {
        assert_eq!(content.bytes(), 1_200_000);
        let mut at = 0;
        while at < content.bytes() {
            let piece = content.read(at, 1 << 20).await?;
            assert!(piece.iter().all(|byte| b"ABC".contains(byte)));
            at += piece.len() as u64;
        }
    }
    Ok(serde_json::from_slice(&reply.body.unwrap()).unwrap())
}

async fn move_all(service: &Service, cx: &Context) -> Result<u64, Error> {
    let new = NewMove {
        reason: REASON.into(),
        dry_run: false,
    };
    let moved = service.move_cold(cx, new).await?.moved.value;
    assert_eq!((moved.left, moved.held), (0, 0));
    Ok(moved.counts.values().sum())
}

async fn retrieve(service: &Service, cx: &Context, (ty, id): (&str, &str)) -> Result<(), Error> {
    let new = NewRetrieval {
        ty: ty.into(),
        id: id.into(),
        reason: REASON.into(),
    };
    service.retrieve_cold(cx, new).await.map(|_| ())
}

async fn dispose(service: &Service, cx: &Context) -> Result<u64, Error> {
    let new = NewDisposal {
        reason: REASON.into(),
        dry_run: false,
    };
    let disposed = service.dispose(cx, new).await?.disposal.value;
    Ok(disposed.counts.values().sum())
}

/// Every record is here with all its versions, or in cold storage as it was; how many are there.
async fn nothing_is_lost(stage: &Stage) -> usize {
    let service = stage.whole().await;
    let cx = cx(&service);
    let verified = service.verify_cold(&cx, None).await.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    let mut cold = 0;
    for (ty, id) in RECORDS {
        let here = read(&service, &cx, (ty, id)).await;
        let left = service.read_cold(&cx, ty, id).await;
        let there = left
            .as_ref()
            .is_ok_and(|left| left.state == crate::ColdState::Cold);
        cold += usize::from(there);
        match here {
            Ok(_) => assert!(!there, "{ty}/{id} is in both"),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Gone);
                assert!(
                    error.issues()[0].details.contains("cold storage"),
                    "{ty}/{id}"
                );
                assert!(there, "{ty}/{id} is in neither");
            }
        }
        if id == "one" && left.is_err() {
            service.vread(&cx, (ty, id, "1"), &[]).await.unwrap();
        }
    }
    cold
}

#[tokio::test]
async fn a_move_that_is_broken_off_anywhere_loses_nothing_and_is_finished() {
    for silent in [false, true] {
        for commits in 0.. {
            let stage = Stage::lived(Then::Report).await;
            let (service, _store) = stage.breaking(commits, silent).await;
            let done = move_all(&service, &cx(&service)).await;
            drop(service);
            let cold = nothing_is_lost(&stage).await;
            let service = stage.whole().await;
            let cx = cx(&service);
            let moved = move_all(&service, &cx).await.unwrap();
            assert_eq!(cold as u64 + moved, 4, "{commits} {silent}");
            assert_eq!(nothing_is_lost(&stage).await, 4);
            // What a broken move had written is gone, and each object is somebody's.
            let mut objects = Vec::new();
            for (ty, id) in RECORDS {
                let left = service.read_cold(&cx, ty, id).await.unwrap();
                objects.extend(left.objects.into_iter().map(|object| object.name));
                let purged = service.vread(&cx, (ty, id, "1"), &[]).await.unwrap_err();
                assert_eq!(purged.kind(), Kind::Gone, "{ty}/{id}");
            }
            objects.sort();
            objects.dedup();
            let there: Vec<String> = stage.shelf.0.lock().keys().cloned().collect();
            assert_eq!(there, objects, "{commits} {silent}");
            let history = service
                .cold_history(&cx, "Observation", "one")
                .await
                .unwrap();
            assert_eq!(history["total"], 2);
            assert_eq!(history["entry"][1]["resource"]["code"]["text"], "first");
            if done.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_retrieval_that_is_broken_off_anywhere_can_be_made_again() {
    for silent in [false, true] {
        let stage = Stage::lived(Then::Report).await;
        let service = stage.whole().await;
        move_all(&service, &cx(&service)).await.unwrap();
        for (at, record) in RECORDS.into_iter().enumerate() {
            for commits in 0.. {
                let (service, _store) = stage.breaking(commits, silent).await;
                let done = retrieve(&service, &cx(&service), record).await;
                let there = nothing_is_lost(&stage).await;
                assert!(there == 4 - at || there == 3 - at);
                if done.is_ok() || there == 3 - at {
                    break;
                }
            }
        }
        let service = stage.whole().await;
        let cx = cx(&service);
        let one = read(&service, &cx, ("Observation", "one")).await.unwrap();
        assert_eq!(one["code"]["text"], "second");
        // The second, its deletion here, and that it is back.
        assert_eq!(one["meta"]["versionId"], "4");
        // It moves again, with what it has become.
        put(&service, &cx, &observation("one", true, "third")).await;
        assert_eq!(move_all(&service, &cx).await.unwrap(), 4);
        assert_eq!(nothing_is_lost(&stage).await, 4);
        let history = service
            .cold_history(&cx, "Observation", "one")
            .await
            .unwrap();
        assert_eq!(history["entry"][0]["resource"]["code"]["text"], "third");
        assert_eq!(history["entry"][4]["resource"]["code"]["text"], "first");
        retrieve(&service, &cx, ("Observation", "one"))
            .await
            .unwrap();
        let one = read(&service, &cx, ("Observation", "one")).await.unwrap();
        assert_eq!(one["code"]["text"], "third");
    }
}

#[tokio::test]
async fn a_disposal_that_is_broken_off_between_its_commits_is_finished() {
    for (moved, silent) in [(false, false), (false, true), (true, false), (true, true)] {
        for commits in 0.. {
            let stage = Stage::lived(Then::Dispose).await;
            let service = stage.whole().await;
            if moved {
                move_all(&service, &cx(&service)).await.unwrap();
            }
            let (service, _store) = stage.breaking(commits, silent).await;
            let done = dispose(&service, &cx(&service)).await;
            let service = stage.whole().await;
            let cx = cx(&service);
            for (ty, id) in RECORDS {
                let here = read(&service, &cx, (ty, id)).await;
                let there = service.read_cold(&cx, ty, id).await.is_ok();
                let first = service.vread(&cx, (ty, id, "1"), &[]).await;
                // Both or neither: what is deleted has no content left.
                assert_eq!(first.is_ok(), here.is_ok(), "{ty}/{id} {commits} {silent}");
                assert!(!(here.is_ok() && there));
            }
            dispose(&service, &cx).await.unwrap();
            for (ty, id) in RECORDS {
                assert!(read(&service, &cx, (ty, id)).await.is_err());
                assert!(service.read_cold(&cx, ty, id).await.is_err());
            }
            assert_eq!(stage.shelf.0.lock().len(), 0, "{commits} {silent}");
            if done.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn nothing_comes_over_a_cold_record_and_damage_is_named() {
    let stage = Stage::lived(Then::Report).await;
    let service = stage.whole().await;
    let cx = cx(&service);
    assert_eq!(move_all(&service, &cx).await.unwrap(), 4);
    let over = try_put(&service, &cx, &observation("one", true, "other")).await;
    let over = over.unwrap_err();
    assert_eq!(over.kind(), Kind::Conflict);
    assert!(over.issues()[0].details.contains("cold storage"));
    let one = service.read_cold(&cx, "Observation", "one").await.unwrap();
    let name = &one.objects[0].name;
    let whole = stage.shelf.0.lock().get(name).cloned().unwrap();
    let foreign = stage
        .shelf
        .0
        .lock()
        .values()
        .find(|other| **other != whole)
        .cloned()
        .unwrap();
    let mut damaged = whole.to_vec();
    let at = damaged.len() - 50;
    damaged[at] ^= 1;
    for (bytes, told) in [
        (Some(Bytes::from(damaged)), "damaged"),
        (Some(whole.slice(..whole.len() - 1)), "damaged"),
        (Some(foreign), "foreign"),
        (None, "missing"),
    ] {
        match bytes {
            Some(bytes) => stage.shelf.0.lock().insert(name.clone(), bytes),
            None => stage.shelf.0.lock().remove(name),
        };
        let error = retrieve(&service, &cx, ("Observation", "one"))
            .await
            .unwrap_err();
        let details = error.issues()[0].details.to_string();
        assert!(
            details.contains(told) && details.contains(name),
            "{details}"
        );
        let verified = service.verify_cold(&cx, None).await.unwrap();
        assert!(
            verified
                .faults
                .iter()
                .any(|fault| fault.record == "Observation/one")
        );
        assert!(read(&service, &cx, ("Observation", "one")).await.is_err());
    }
    stage.shelf.0.lock().insert(name.clone(), whole);
    retrieve(&service, &cx, ("Observation", "one"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_shredding_takes_what_is_cold() {
    let stage = Stage::lived(Then::Report).await;
    let service = stage.whole().await;
    let cx = cx(&service);
    move_all(&service, &cx).await.unwrap();
    let new = NewShred {
        patient: "p".into(),
        reason: REASON.into(),
        dry_run: false,
    };
    let Shredding::Done(certificate) = service.shred(&cx, new).await.unwrap() else {
        panic!("it is no dry run");
    };
    let copies = certificate["certificate"]["copies"].as_array().unwrap();
    let cold = copies
        .iter()
        .find(|copy| copy["copy"] == "cold storage")
        .unwrap();
    assert_eq!(cold["objectsLeft"], 0, "{certificate}");
    let folders = copies
        .iter()
        .find(|copy| copy["copy"] == "copies of the data folder made before");
    assert!(folders.unwrap()["destroyBy"].is_string());
    for (ty, id) in [("Observation", "one"), ("Binary", "scan")] {
        assert!(service.read_cold(&cx, ty, id).await.is_err());
    }
    // That of nobody stays.
    retrieve(&service, &cx, ("Observation", "nobody"))
        .await
        .unwrap();
    assert_eq!(stage.shelf.0.lock().len(), 1);
}
