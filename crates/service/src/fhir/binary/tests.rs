//! Where content goes, and what is removed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use salus_crypto::SecretKey;
use salus_store::memory::Memory;
use salus_store::{Blobs, NewBlob, SealKey};

use super::*;
use crate::Settings;
use crate::context::World;
use crate::fhir::{
    CreateOptions, PatchFormat, ReadConditions, Which, WriteCondition, WriteOptions,
};
use crate::projects::DEFAULT;

const HOUR_MS: i64 = 3_600_000;

/// A clock that stands until it is moved.
#[derive(Default)]
struct Clock(AtomicI64, AtomicU64);

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

/// Pieces that come one by one, and then an end or none.
struct Given(Vec<Bytes>, bool);

impl Source for Given {
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Interrupted>> + Send + '_>> {
        let next = self.0.pop();
        let given = match (next, self.1) {
            (Some(piece), _) => Ok(Some(piece)),
            (None, true) => Ok(None),
            (None, false) => Err(Interrupted),
        };
        Box::pin(std::future::ready(given))
    }
}

fn pieces(whole: bool) -> Given {
    Given(vec![Bytes::from(vec![b'x'; 100_000]); 3], whole)
}

struct Room {
    store: Memory,
    clock: Arc<Clock>,
    service: Service,
}

impl Room {
    fn new() -> Self {
        let (store, clock) = (Memory::new(), Arc::new(Clock::default()));
        let (of, key) = (Arc::new(store.clone()), SecretKey::from_bytes([7; 32]));
        let service = Service::open(of.clone(), of, clock.clone(), Settings::default(), key);
        Self {
            service: wait(service).unwrap(),
            store,
            clock,
        }
    }

    fn cx(&self) -> Context {
        let scope = self.service.project_scope(DEFAULT).unwrap();
        self.service.operator_context(scope)
    }

    /// The id of a new Binary, or why there is none.
    fn upload(&self, context: Option<&str>, mut source: Given) -> Result<String, Error> {
        let sent = Sent {
            content_type: "a/b",
            context,
        };
        let (cx, options) = (self.cx(), CreateOptions::default());
        let created = self.service.create_binary(&cx, sent, &mut source, &options);
        wait(created).map(|reply| reply.place.unwrap().id.into())
    }

    fn blobs(&self) -> usize {
        wait(self.store.list(self.cx().scope, "", 100))
            .unwrap()
            .len()
    }

    #[track_caller]
    fn swept_after(&self, ms: i64, removed: usize) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        assert_eq!(wait(self.service.sweep_blobs()).unwrap(), removed);
    }

    #[track_caller]
    fn holds(&self, id: &str, bytes: u64) {
        let conditions = ReadConditions::default();
        let cx = self.cx();
        let read = self.service.read(&cx, "Binary", id, &conditions);
        let raw = Raw::of(&wait(read).unwrap()).unwrap();
        assert_eq!(raw.content.bytes(), bytes);
        let some = wait(raw.content.read(bytes - 10, 100)).unwrap();
        assert_eq!(&some[..], b"xxxxxxxxxx");
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("nothing in memory has to wait")
}

#[test]
fn what_no_version_names_is_removed_after_an_hour() {
    let room = Room::new();
    let id = room.upload(None, pieces(true)).unwrap();
    for blob in ["binary-lost", "others"] {
        let new = NewBlob {
            scope: room.cx().scope,
            id: blob.into(),
            seal: SealKey::Scope,
            time_ms: 0,
        };
        let writer = wait(room.store.create(new)).unwrap();
        wait(writer.finish()).unwrap();
    }
    assert_eq!(room.blobs(), 3);
    room.swept_after(HOUR_MS - 1, 0);
    room.swept_after(1, 1);
    assert_eq!(room.blobs(), 2, "the one that is named and that of others");
    room.holds(&id, 300_000);
}

#[test]
fn what_is_written_just_now_stays_however_old() {
    let room = Room::new();
    let (mut writer, fresh) =
        wait(room.service.begin_content(&room.cx(), &SealKey::Scope)).unwrap();
    wait(writer.write(Bytes::from_static(b"x"))).unwrap();
    let placed = wait(room.service.end_content(writer, fresh, &SealKey::Scope)).unwrap();
    room.swept_after(2 * HOUR_MS, 0);
    drop(placed);
    room.swept_after(0, 1);
}

#[test]
fn what_comes_in_part_is_not_stored() {
    let room = Room::new();
    assert!(room.upload(None, pieces(false)).is_err());
    assert_eq!(room.blobs(), 0);
}

#[test]
fn content_moves_to_the_key_of_what_it_belongs_to() {
    let room = Room::new();
    let id = room.upload(None, pieces(true)).unwrap();
    let patch = |text: &'static str| {
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let patch = (PatchFormat::Json, Bytes::from_static(text.as_bytes()));
        let cx = room.cx();
        let patched = room
            .service
            .patch(&cx, "Binary", Which::Id(&id), patch, &options);
        wait(patched).unwrap();
    };
    patch(r#"[{"op": "add", "path": "/language", "value": "en"}]"#);
    assert_eq!(room.blobs(), 1, "versions share a blob");
    patch(r#"[{"op": "add", "path": "/securityContext", "value": {"reference": "Patient/p"}}]"#);
    assert_eq!(room.blobs(), 2, "it is sealed with another key");
    room.holds(&id, 300_000);
    room.swept_after(2 * HOUR_MS, 0);
}

#[test]
fn links_read_back() {
    let link = Link {
        binary: "a".into(),
        version: 3,
        blob: "binary-1".into(),
        bytes: u64::MAX,
    };
    let put = link.put(&SealKey::Scope);
    assert_eq!(put.id.len(), 64);
    let Body::Body(body) = put.content else {
        panic!("it has content")
    };
    assert_eq!(Link::read(&body), Some(link));
    for cut in 0..body.len() {
        assert_eq!(Link::read(&body[..cut]), None, "cut at {cut}");
    }
}
