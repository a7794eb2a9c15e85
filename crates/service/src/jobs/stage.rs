//! A service over memory, whose jobs a test can hold up and whose clock it moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_crypto::SecretKey;
use salus_store::memory::Memory;
use salus_store::{Blob, BlobReader, BlobWriter, Blobs, NewBlob, Reply, Scope};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::{
    Answered, Fetch, Fetched, Fetching, Followed, Location, Outside, Packed, Perform, Settings,
};
use crate::context::{Context, World};
use crate::error::Error;
use crate::fhir::operations::Invocation;
use crate::fhir::{BundleOptions, Handling, Returns, Which, WriteCondition, WriteOptions};
use crate::projects::DEFAULT;
use crate::{Service, Subject};

/// A clock that stands until it is moved.
pub(super) struct Clock(AtomicI64, AtomicU64);

impl World for Clock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self, buffer: &mut [u8]) {
        let next = self.1.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        buffer.fill(0);
        buffer[..8].copy_from_slice(&next);
    }
}

/// Blobs that begin only as often as a test lets them.
pub(super) struct Gate {
    blobs: Memory,
    passes: Semaphore,
    asked: watch::Sender<usize>,
}

impl Blobs for Gate {
    fn create(&self, new: NewBlob) -> Reply<'_, Box<dyn BlobWriter>> {
        Box::pin(async move {
            self.asked.send_modify(|asked| *asked += 1);
            self.passes.acquire().await.unwrap().forget();
            self.blobs.create(new).await
        })
    }

    fn open<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, Option<Box<dyn BlobReader>>> {
        self.blobs.open(scope, id)
    }

    fn remove<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, ()> {
        self.blobs.remove(scope, id)
    }

    fn list<'a>(&'a self, scope: Scope, after: &'a str, limit: usize) -> Reply<'a, Vec<Blob>> {
        self.blobs.list(scope, after, limit)
    }
}

/// Carries out nothing and fetches nothing.
struct Nobody;

impl Perform for Nobody {
    fn perform(
        &self,
        _subject: Arc<Subject>,
        _base: &str,
        _request: Packed,
        _body: Bytes,
    ) -> BoxFuture<'static, Answered> {
        Box::pin(std::future::pending())
    }
}

impl Fetch for Nobody {
    fn fetch<'a>(&'a self, _location: &'a Location) -> BoxFuture<'a, Fetching<Box<dyn Fetched>>> {
        Box::pin(std::future::pending())
    }
}

pub(super) struct Stage {
    pub(super) service: Arc<Service>,
    pub(super) clock: Arc<Clock>,
    pub(super) store: Memory,
    gate: Arc<Gate>,
    running: Option<JoinHandle<()>>,
    settings: Settings,
}

/// Resources by `Type/id`, and of which version.
pub(super) type Exported = BTreeMap<String, u64>;

impl Stage {
    /// With files of so many records. Nothing runs yet.
    pub(super) async fn new(file_records_max: u64) -> Self {
        let store = Memory::new();
        let clock = Arc::new(Clock(AtomicI64::new(1_000_000), AtomicU64::new(1)));
        let gate = Arc::new(Gate {
            blobs: Memory::new(),
            passes: Semaphore::new(Semaphore::MAX_PERMITS),
            asked: watch::Sender::new(0),
        });
        let settings = Settings {
            file_records_max,
            ..Settings::default()
        };
        let service = open(&store, &gate, &clock, &settings).await;
        Self {
            service,
            clock,
            store,
            gate,
            running: None,
            settings,
        }
    }

    pub(super) fn advance(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn scope(&self) -> Scope {
        self.service.project_scope(DEFAULT).unwrap()
    }

    pub(super) fn cx(&self) -> Context {
        self.service.operator_context(self.scope())
    }

    /// Does the jobs from now on.
    pub(super) fn run(&mut self) {
        let service = Arc::clone(&self.service);
        let outside = Outside {
            perform: Arc::new(Nobody),
            fetch: Arc::new(Nobody),
        };
        self.running = Some(tokio::spawn(service.run_jobs(outside)));
    }

    /// From now on so many blobs may begin, and no more.
    pub(super) fn hold(&self, passes: usize) {
        self.gate.passes.forget_permits(Semaphore::MAX_PERMITS);
        self.gate.passes.add_permits(passes);
        self.gate.asked.send_replace(0);
    }

    /// Waits until one more than that wants to begin.
    pub(super) async fn held(&self, passes: usize) {
        let mut asked = self.gate.asked.subscribe();
        asked.wait_for(|asked| *asked > passes).await.unwrap();
    }

    pub(super) fn let_go(&self) {
        self.gate.passes.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Ends the service as a server that is stopped, and opens it again.
    pub(super) async fn restart(&mut self) {
        let (service, gate) = (Arc::clone(&self.service), Arc::clone(&self.gate));
        let paused = tokio::spawn(async move { service.pause_jobs().await });
        while !self.service.jobs.open.lock().stopping {
            tokio::task::yield_now().await;
        }
        gate.passes.add_permits(Semaphore::MAX_PERMITS / 2);
        paused.await.unwrap();
        if let Some(running) = self.running.take() {
            running.abort();
        }
        self.service = open(&self.store, &self.gate, &self.clock, &self.settings).await;
        self.run();
    }

    /// Writes resources in one transaction, with the time of this context.
    pub(super) async fn write(&self, cx: &Context, resources: &[Value]) {
        let entries = resources.iter().map(|resource| {
            let text = |key: &str| resource[key].as_str().unwrap();
            let url = format!("{}/{}", text("resourceType"), text("id"));
            serde_json::json!({"resource": resource, "request": {"method": "PUT", "url": url}})
        });
        let entries: Vec<Value> = entries.collect();
        let bundle =
            serde_json::json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let options = BundleOptions {
            returns: Returns::Minimal,
            handling: Handling::Strict,
            idempotency_key: None,
        };
        let written = self.service.bundle(cx, bundle.to_string().into(), options);
        written.await.unwrap();
    }

    /// Deletes a resource, there or not.
    pub(super) async fn delete(&self, resource: &Value) {
        let text = |key: &str| resource[key].as_str().unwrap();
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let (cx, which) = (self.cx(), Which::Id(text("id")));
        let deleted = self
            .service
            .delete(&cx, text("resourceType"), which, &options);
        deleted.await.unwrap();
    }

    /// Begins an export, as `Group/g?_type=Patient`; the id of its job.
    pub(super) async fn export(&self, path: &str) -> Result<Box<str>, Error> {
        self.export_as(path, Bytes::new(), Handling::Strict).await
    }

    /// The same with a body, and unknown parameters treated so.
    pub(super) async fn export_as(
        &self,
        path: &str,
        body: Bytes,
        handling: Handling,
    ) -> Result<Box<str>, Error> {
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        let (ty, id) = place.split_once('/').unwrap_or((place, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let call = Invocation {
            name: "export",
            ty,
            id,
            posted: false,
            query: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body,
        };
        let url = format!("http://localhost/fhir/{path}");
        self.service.export(&self.cx(), call, (handling, url)).await
    }

    /// Waits until a job is over: its manifest.
    pub(super) async fn manifest(&self, id: &str) -> Value {
        loop {
            let active = self.service.jobs.active(&(self.scope(), id.into()));
            if let Some(active) = active {
                active.ended().await;
            }
            match self.service.follow_job(&self.cx(), id).await.unwrap() {
                Followed::Manifest(manifest, _) => {
                    return serde_json::from_slice(&manifest).unwrap();
                }
                // After a restart it is not taken up at once.
                Followed::Open(_) => tokio::task::yield_now().await,
                other @ (Followed::Answer(..) | Followed::Failed(..)) => panic!("{other:?}"),
            }
        }
    }

    /// What the files of a manifest hold, each record once.
    pub(super) async fn exported(&self, id: &str, manifest: &Value) -> Exported {
        let mut all = Exported::new();
        for file in manifest["output"].as_array().unwrap() {
            let (_, name) = file["url"].as_str().unwrap().rsplit_once('/').unwrap();
            let contents = self.service.job_file(&self.cx(), id, name).await.unwrap();
            let mut text = Vec::new();
            while (text.len() as u64) < contents.reader.bytes() {
                let piece = contents.reader.read(text.len() as u64, 1 << 20).await;
                text.extend_from_slice(&piece.unwrap());
            }
            for line in text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
                let resource: Value = serde_json::from_slice(line).unwrap();
                let text = |key: &str| resource[key].as_str().unwrap();
                let version = resource["meta"]["versionId"].as_str().unwrap();
                let name = format!("{}/{}", text("resourceType"), text("id"));
                let before = all.insert(name.clone(), version.parse().unwrap());
                assert_eq!(before, None, "{name} came twice");
            }
        }
        all
    }

    /// The blobs that are there.
    pub(super) async fn blobs(&self) -> usize {
        let all = self.gate.blobs.list(self.scope(), "", 1000).await;
        all.unwrap().len()
    }
}

async fn open(
    store: &Memory,
    gate: &Arc<Gate>,
    clock: &Arc<Clock>,
    settings: &Settings,
) -> Arc<Service> {
    let (store, blobs) = (Arc::new(store.clone()), Arc::clone(gate));
    let settings = crate::Settings {
        jobs: settings.clone(),
        ..crate::Settings::default()
    };
    let key = SecretKey::from_bytes([7; 32]);
    let service = Service::open(store, blobs, Arc::clone(clock) as _, settings, key);
    Arc::new(service.await.unwrap())
}
