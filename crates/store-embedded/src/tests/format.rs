//! Stores of older formats open, with all that is in them.

use salus_store::{At, AuditQuery, AuditRecord};
use tempfile::TempDir;

use super::room::{Room, put};
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

/// Puts a store back to format 1, and so many of its audit entries where they were.
fn put_back(room: &Room, entries: usize) {
    let options = room.options();
    let key = options.keyring.derive("storage-engine").unwrap();
    let kv = Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap();
    let view = kv.view().unwrap();
    let mut cursor = view.forward(&[keys::AUDIT], &[keys::AUDIT + 1]).unwrap();
    let mut writes = vec![(keys::meta(META_FORMAT), Some(vec![0, 0, 0, 1]))];
    for _ in 0..entries {
        let (key, entry) = cursor.next().unwrap().unwrap();
        let old = [&[AUDIT_1], &key[1..]].concat();
        writes.push((old, Some(entry.into_owned())));
        writes.push((key.to_vec(), None));
    }
    drop(cursor);
    drop(view);
    kv.write_here(writes, When::Now).unwrap();
    kv.close().unwrap();
}

#[track_caller]
fn check(put_back_entries: usize) {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for version in 1..=6 {
        room.commit(&store, put("a", version, "1")).unwrap();
    }
    let before = audit(&room, &store);
    assert_eq!(before.len(), 6);
    drop(store);
    put_back(&room, put_back_entries);
    let store = room.open();
    assert_eq!(audit(&room, &store), before);
    room.check(&store);
}

#[test]
fn the_audit_log_of_format_1_is_moved() {
    check(6);
}

#[test]
fn a_move_that_was_cut_off_goes_on() {
    check(2);
}
