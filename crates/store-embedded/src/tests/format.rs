//! Stores of older formats open, with all that is in them.

use salus_store::{At, AuditQuery, AuditRecord, Log, LogPart, Seq};
use tempfile::TempDir;

use super::room::{Room, put};
use crate::audit::to_format_1;
use crate::format::{AUDIT_1, META_FORMAT};
use crate::kv::{Kv, Memory, When};
use crate::{Embedded, keys};

fn audit(room: &Room, store: &Embedded) -> Vec<AuditRecord> {
    let query = AuditQuery {
        limit: 100,
        ascending: true,
        ..AuditQuery::default()
    };
    let snapshot = room.snapshot(store, At::Now).unwrap();
    room.runtime.block_on(snapshot.audit(&query)).unwrap()
}

/// Puts a store back to a format, and so many of its audit entries to that of the
/// time; in format 1 they were elsewhere.
fn put_back(room: &Room, format: u8, entries: usize) {
    let options = room.options();
    let key = options.keyring.derive("storage-engine").unwrap();
    let kv = Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap();
    let view = kv.view().unwrap();
    let mut cursor = view.forward(&[keys::AUDIT], &[keys::AUDIT + 1]).unwrap();
    let mut writes = vec![(keys::meta(META_FORMAT), Some(vec![0, 0, 0, format]))];
    for _ in 0..entries {
        let (key, entry) = cursor.next().unwrap().unwrap();
        let entry = to_format_1(&entry);
        let key = key.to_vec();
        if format == 1 {
            let old = [&[AUDIT_1], &key[1..]].concat();
            writes.push((old, Some(entry)));
            writes.push((key, None));
        } else {
            writes.push((key, Some(entry)));
        }
    }
    drop(cursor);
    drop(view);
    kv.write_here(writes, When::Now).unwrap();
    kv.close().unwrap();
}

#[track_caller]
fn check(format: u8, entries: usize) {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for version in 1..=6 {
        room.commit(&store, put("a", version, "1")).unwrap();
    }
    let before = audit(&room, &store);
    assert_eq!(before.len(), 6);
    let log = |store: &Embedded| {
        let log = store.batches(Seq(0), usize::MAX);
        room.runtime.block_on(log).unwrap()
    };
    let about = |store: &Embedded| {
        let parts = log(store).into_iter().flat_map(|batch| batch.parts);
        let about = parts.filter_map(|part| match part {
            LogPart::Audit { about, .. } => Some(about),
            LogPart::Version(_) | LogPart::Purged(_) => None,
        });
        about.collect::<Vec<_>>()
    };
    let (was, batches) = (about(&store), log(&store).len());
    drop(store);
    put_back(&room, format, entries);
    let store = room.open();
    assert_eq!(audit(&room, &store), before);
    assert_eq!((about(&store), log(&store).len()), (was, batches));
    room.check(&store);
}

#[test]
fn the_audit_log_of_format_1_is_moved() {
    check(1, 6);
}

#[test]
fn a_move_that_was_cut_off_goes_on() {
    check(1, 2);
}

#[test]
fn entries_of_format_4_get_what_they_are_about() {
    check(4, 6);
    check(4, 3);
}
