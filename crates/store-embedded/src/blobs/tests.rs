//! The suite of blobs, and what the files of this engine promise.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::OVERHEAD;
use salus_crypto::frames::{FRAME_BYTES, SEALED_BYTES};
use salus_store::blob_conformance::Engine;
use salus_store::{Blobs, Error, NewBlob, Scope, SealKey, Store};
use tempfile::TempDir;

use crate::Embedded;
use crate::tests::room::Room;

struct OnDisk {
    room: Room,
    _dir: TempDir,
}

impl OnDisk {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let room = Room::new(dir.path());
        Self { room, _dir: dir }
    }
}

impl Engine for OnDisk {
    fn create(&self) -> Arc<dyn Blobs> {
        self.room.open()
    }

    fn reopen(&self) -> Option<Arc<dyn Blobs>> {
        Some(self.room.open())
    }

    fn wait(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        self.room.runtime.block_on(future);
    }
}

salus_store::blob_conformance!(OnDisk::new());

const SCOPE: Scope = Scope(1);

/// Writes a blob of so many bytes and tells its file.
fn write(room: &Room, store: &Embedded, id: &str, length: usize) -> PathBuf {
    let new = NewBlob {
        scope: SCOPE,
        id: id.into(),
        seal: SealKey::Patient("p".into()),
        time_ms: 0,
    };
    room.runtime.block_on(async {
        let mut writer = store.create(new).await.unwrap();
        writer.write(Bytes::from(vec![b'x'; length])).await.unwrap();
        writer.finish().await.unwrap();
    });
    store.core.blobs.finished(SCOPE, id)
}

/// The first error on the way through a blob.
fn read(room: &Room, store: &Embedded, id: &str) -> Result<u64, Error> {
    room.runtime.block_on(async {
        let blob = store.open(SCOPE, id).await?.expect("it is there");
        let mut at = 0;
        while at < blob.bytes() {
            at += blob.read(at, usize::MAX).await?.len() as u64;
        }
        Ok(at)
    })
}

/// Changes the file of a blob, which then is found damaged by who reads it and
/// by the check.
#[track_caller]
fn check_noticed(what: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let path = write(&room, &store, "a", 3 * FRAME_BYTES + 100);
    room.check(&store);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, &bytes).unwrap();
    let found = read(&room, &store, "a");
    assert!(matches!(found, Err(Error::Damaged(_))), "{what}: {found:?}");
    let faults = room.runtime.block_on(store.check()).unwrap();
    assert_eq!(faults.len(), 1, "{what}: {faults:?}");
}

fn start(frame: usize) -> usize {
    // The header of a blob whose id is one byte.
    38 + frame * SEALED_BYTES
}

#[test]
fn a_changed_file_is_noticed() {
    check_noticed("a byte of the header", |bytes| bytes[20] ^= 1);
    check_noticed("the time", |bytes| bytes[15] ^= 1);
    check_noticed("another scope", |bytes| bytes[7] ^= 1);
    check_noticed("a byte of a frame", |bytes| bytes[start(1) + 99] ^= 1);
    check_noticed("cut by a byte", |bytes| bytes.truncate(bytes.len() - 1));
    check_noticed("cut by a frame", |bytes| bytes.truncate(start(3)));
    check_noticed("cut to its header", |bytes| bytes.truncate(start(0)));
    check_noticed("empty", Vec::clear);
    check_noticed("longer", |bytes| bytes.push(0));
    check_noticed("a frame twice", |bytes| {
        let last = bytes[start(3)..].to_vec();
        bytes.extend_from_slice(&last);
    });
    check_noticed("frames in another order", |bytes| {
        let (one, two) = bytes[start(0)..start(2)].split_at_mut(SEALED_BYTES);
        one.swap_with_slice(two);
    });
    check_noticed("a frame left out", |bytes| {
        bytes.drain(start(1)..start(2));
    });
}

#[test]
fn a_blob_in_the_place_of_another_is_noticed() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let one = write(&room, &store, "a", 10);
    let two = write(&room, &store, "b", 10);
    std::fs::copy(&one, &two).unwrap();
    assert!(matches!(read(&room, &store, "b"), Err(Error::Damaged(_))));
    assert_eq!(read(&room, &store, "a").unwrap(), 10);
}

#[test]
fn nothing_is_readable_in_a_file() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let path = write(&room, &store, "a", 100_000);
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len(), 38 + 100_000 + 2 * OVERHEAD);
    assert!(!bytes.windows(8).any(|part| part == b"xxxxxxxx"));
}

#[test]
fn the_space_that_blobs_take_is_known() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    assert_eq!(store.core.blobs.disk_bytes(), 0);
    let length = |path: &PathBuf| path.metadata().unwrap().len();
    let long = length(&write(&room, &store, "long", 3 * FRAME_BYTES));
    let short = length(&write(&room, &store, "short", 1));
    assert_eq!(store.core.blobs.disk_bytes(), long + short);
    assert!(store.disk_bytes() >= long + short);
    for _ in 0..2 {
        room.runtime.block_on(store.remove(SCOPE, "long")).unwrap();
        assert_eq!(store.core.blobs.disk_bytes(), short);
    }
    drop(store);
    let store = room.open();
    assert_eq!(store.core.blobs.disk_bytes(), short);
}

#[test]
fn what_a_crash_left_unfinished_is_removed() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let left = store.core.blobs.unfinished(SCOPE, "a");
    std::fs::write(&left, b"half").unwrap();
    drop(store);
    let store = room.open();
    assert!(!left.exists());
    write(&room, &store, "a", 10);
    room.check(&store);
}

#[test]
fn a_full_disk_takes_no_blob() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let options = crate::Options {
        disk_bytes_min: u64::MAX,
        ..room.options()
    };
    let store = Embedded::open(options).unwrap();
    let new = NewBlob {
        scope: SCOPE,
        id: "a".into(),
        seal: SealKey::Scope,
        time_ms: 0,
    };
    let refused = room.runtime.block_on(store.create(new));
    assert!(matches!(refused, Err(Error::Unavailable(_))));
}
