//! A service over memory with keys and a place for segments, whose clock a test moves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use salus_crypto::checkpoint::Note;
use salus_crypto::{Founding, Keyring, SecretKey};
use salus_store::memory::Memory;
use salus_store::{Kind, Scope, SealKey};

use super::{Settings, Shelf};
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::{Context, World};
use crate::projects::DEFAULT;
use crate::{Service, keyring};

/// Checkpoints with where they lie.
type Kept = Arc<Mutex<Vec<(String, Note)>>>;

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
pub(super) const YEAR_MS: i64 = 366 * DAY_MS;
/// 2026-01-10.
const START_MS: i64 = 1_768_003_200_000;

struct Clock(AtomicI64, AtomicU64);

impl World for Clock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self, buffer: &mut [u8]) {
        let number = self.1.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().zip(number.into_iter().cycle()) {
            *to = from;
        }
    }
}

/// Objects in memory, which a test may change.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) all: Mutex<BTreeMap<String, Bytes>>,
    /// What is put is not there afterwards.
    pub(super) loses: AtomicBool,
}

impl Shelf for Objects {
    fn label(&self) -> &str {
        "memory"
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let mut all = self.all.lock();
            if all.contains_key(name) {
                return Ok(false);
            }
            if !self.loses.load(Ordering::Relaxed) {
                all.insert(name.to_owned(), bytes);
            }
            Ok(true)
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, String>> {
        Box::pin(async move { Ok(self.all.lock().get(name).cloned()) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let all = self.all.lock();
            let names = all.keys().filter(|name| name.starts_with(prefix));
            Ok(names.cloned().collect())
        })
    }
}

pub(super) struct Stage {
    pub(super) service: Service,
    pub(super) objects: Arc<Objects>,
    pub(super) store: Memory,
    pub(super) keyring: Arc<Keyring>,
    kept: Arc<Mutex<Vec<(String, Note)>>>,
    clock: Arc<Clock>,
    _keys: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let keyring = founded(keys.path());
        let clock = Arc::new(Clock(AtomicI64::new(START_MS), AtomicU64::new(1)));
        let (objects, kept) = (Arc::default(), Arc::default());
        let store = Memory::new();
        let service = open(&store, &keyring, &clock, (&objects, &kept)).await;
        Self {
            service,
            objects,
            store,
            keyring,
            kept,
            clock,
            _keys: keys,
        }
    }

    /// Another service over a store, with the same keys, place and time.
    pub(super) async fn over(&mut self, store: Memory) {
        let beside = (&self.objects, &self.kept);
        self.service = open(&store, &self.keyring, &self.clock, beside).await;
        self.store = store;
    }

    pub(super) fn advance_ms(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn scope(&self) -> Scope {
        self.service.project_scope(DEFAULT).unwrap()
    }

    pub(super) fn cx(&self) -> Context {
        self.service.operator_context(self.scope())
    }

    /// Somebody sees records of these patients, one after the other.
    pub(super) async fn seen(&self, patients: &[&str]) {
        for patient in patients {
            let cx = self.cx();
            let mut entry = Entry::new(&cx, What::Read, Outcome::Success, "test");
            let entity = Entity {
                ty: "Patient".into(),
                id: (*patient).into(),
                version: 1,
            };
            entry.concerns(entity, Kind::named("Patient"), &SealKey::Scope);
            self.service.record(&cx, entry).await.unwrap();
        }
    }

    /// This is found among what was kept elsewhere.
    pub(super) fn also_kept(&self, note: Note) {
        self.kept.lock().push(("elsewhere".into(), note));
    }

    /// A checkpoint as the log stands, kept elsewhere.
    pub(super) async fn keep_checkpoint(&self) -> Note {
        let note = self.service.sign_checkpoint().await.unwrap().note.clone();
        self.also_kept(note.clone());
        note
    }
}

fn founded(dir: &Path) -> Arc<Keyring> {
    Keyring::open(dir, Founding::New, START_MS).unwrap()
}

async fn open(
    store: &Memory,
    keyring: &Arc<Keyring>,
    clock: &Arc<Clock>,
    (objects, kept): (&Arc<Objects>, &Kept),
) -> Service {
    let kept = Arc::clone(kept);
    let settings = crate::Settings {
        checkpoint_key: Some(SecretKey::from_bytes([3; 32])),
        keys: keyring::Settings {
            keyring: Some(Arc::clone(keyring)),
            ..keyring::Settings::default()
        },
        audit: Settings {
            shelf: Some(Arc::clone(objects) as Arc<dyn Shelf>),
            kept: Some(Arc::new(move || Ok(kept.lock().clone()))),
            ..Settings::default()
        },
        ..crate::Settings::default()
    };
    let (store, clock) = (Arc::new(store.clone()), Arc::clone(clock) as Arc<dyn World>);
    let key = SecretKey::from_bytes([7; 32]);
    let service = Service::open(store.clone(), store, clock, settings, key).await;
    let service = service.unwrap();
    // As the engine does before it seals an entry; memory seals nothing.
    for scope in service.scopes() {
        keyring.slot(scope.0, None, START_MS).unwrap();
    }
    service
}
