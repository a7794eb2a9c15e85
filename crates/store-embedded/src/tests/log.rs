//! The suite of logs, and stores that a restore has left behind.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use salus_crypto::{Founding, Keyring};
use salus_store::log_conformance::{Engine, Logged};
use salus_store::{Error, Log, Restored, Restoring, Seq};
use tempfile::TempDir;

use super::room::{Room, SCOPE, put};
use crate::{Embedded, Options};

struct OnDisk {
    dir: TempDir,
    keyring: Arc<Keyring>,
    stores: Mutex<usize>,
    runtime: tokio::runtime::Runtime,
}

impl OnDisk {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            keyring: Keyring::open(&dir.path().join("keys"), Founding::New, 0).unwrap(),
            dir,
            stores: Mutex::new(0),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn options(&self, restoring: bool) -> Options {
        let dir = self.dir.path().join(self.stores.lock().to_string());
        Options {
            disk_bytes_min: 0,
            restoring,
            dictionary: b"a dictionary for bodies, entry 1, 2, 3",
            ..Options::new(dir, Arc::clone(&self.keyring))
        }
    }
}

impl Engine for OnDisk {
    fn create(&self) -> Arc<dyn Logged> {
        *self.stores.lock() += 1;
        Embedded::open(self.options(false)).unwrap()
    }

    fn restore(&self, dictionaries: &[Bytes]) -> Box<dyn Restoring> {
        *self.stores.lock() += 1;
        Embedded::restore(self.options(false), dictionaries).unwrap()
    }

    fn restored(&self) -> Arc<dyn Logged> {
        assert!(Embedded::open(self.options(false)).is_err());
        let store = Embedded::open(self.options(true)).unwrap();
        store.restored().unwrap();
        store
    }

    fn wait(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        self.runtime.block_on(future);
    }
}

salus_store::log_conformance!(OnDisk::new());

/// A store with some versions, and an empty folder beside it.
fn source(dir: &TempDir) -> (Room, Arc<Embedded>, PathBuf) {
    let room = Room::new(dir.path());
    let store = room.open();
    for version in 1..=30 {
        room.commit(&store, put("a", version, "1")).unwrap();
    }
    (room, store, dir.path().join("copy"))
}

fn beside(store: &Embedded, dir: PathBuf, restoring: bool) -> Options {
    Options {
        disk_bytes_min: 0,
        restoring,
        ..Options::new(dir, Arc::clone(&store.core.keyring))
    }
}

#[test]
fn a_store_whose_restore_was_cut_off_says_so() {
    let dir = TempDir::new().unwrap();
    let (room, store, copy) = source(&dir);
    let log = room.runtime.block_on(store.batches(Seq(0), usize::MAX));
    let mut restoring = Embedded::restore(beside(&store, copy.clone(), false), &[]).unwrap();
    room.runtime.block_on(restoring.add(log.unwrap())).unwrap();
    drop(restoring);
    for again in 0..2 {
        let opened = Embedded::open(beside(&store, copy.clone(), false));
        let Err(Error::Unavailable(why)) = opened else {
            panic!("it opened");
        };
        assert!(
            why.contains("restore into it was cut off"),
            "{again}: {why}"
        );
    }
    let begun = Embedded::restore(beside(&store, copy, false), &[]);
    let Err(Error::Unavailable(why)) = begun else {
        panic!("it began over the other");
    };
    assert!(why.contains("empty"), "{why}");
}

#[test]
fn a_keyring_older_than_the_log_restores_nothing() {
    let dir = TempDir::new().unwrap();
    let (room, store, copy) = source(&dir);
    let log = room.runtime.block_on(store.batches(Seq(0), usize::MAX));
    let keyring = Keyring::open(&dir.path().join("other"), Founding::New, 0).unwrap();
    let options = Options {
        keyring,
        ..beside(&store, copy, false)
    };
    let mut restoring = Embedded::restore(options, &[]).unwrap();
    let added = room.runtime.block_on(restoring.add(log.unwrap()));
    let Err(Error::Unavailable(why)) = added else {
        panic!("{added:?}");
    };
    assert!(why.contains("lacks keys"), "{why}");
}

/// Destroys the key of a patient in a keyring that nobody has open, as its record's
/// form tells: status in byte 2, and at the end the first bytes of the hash of all before.
fn destroy(keys: &Path, slot: u32) {
    let path = keys.join("keyring");
    let mut ring = std::fs::read(&path).unwrap();
    let record = &mut ring[slot as usize * 128..][..128];
    record[2] = 2;
    let hash = salus_crypto::sha256(&record[..120]);
    record[120..].copy_from_slice(&hash[..8]);
    std::fs::write(path, ring).unwrap();
}

#[test]
fn what_a_destroyed_key_sealed_is_restored_unread() {
    let dir = TempDir::new().unwrap();
    let (room, store, copy) = source(&dir);
    room.commit(&store, put("b", 1, "1")).unwrap();
    let log = room.runtime.block_on(store.batches(Seq(0), usize::MAX));
    let slot = store.core.keyring.find(SCOPE.0, Some("a")).unwrap();
    drop(store);
    destroy(&dir.path().join("keys"), slot.number());
    let options = |restoring| Options {
        dir: copy.clone(),
        restoring,
        ..room.options()
    };
    let mut restoring = Embedded::restore(options(false), &[]).unwrap();
    room.runtime.block_on(restoring.add(log.unwrap())).unwrap();
    let head = room.runtime.block_on(restoring.finish()).unwrap().head;
    let restored = Embedded::open(options(true)).unwrap();
    let records = restored.records((Seq(0), head.seq), usize::MAX);
    let found = room.runtime.block_on(records).unwrap();
    assert_eq!(found.unreadable, 1);
    let ids = found.records.iter().map(|bare| &*bare.record.id);
    assert_eq!(ids.collect::<Vec<_>>(), ["b"]);
}
