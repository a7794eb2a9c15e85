//! Stores of older formats open, with all that is in them.

use salus_store::{
    At, AuditEntry, AuditQuery, AuditRecord, AuditTree, Batch, LeafForm, Log, LogPart, Scope, Seq,
};
use tempfile::TempDir;

use super::room::{Room, SCOPE, put};
use crate::audit::{Stored, to_format_1};
use crate::core::META_FRONTIER;
use crate::format::{AUDIT_1, META_FORMAT};
use crate::kv::{Kv, Memory, View, When, Write};
use crate::{Embedded, keys};
use salus_crypto::Keyring;
use salus_crypto::merkle::Frontier;

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
    change(room, |(view, keyring), writes| {
        writes.push((keys::meta(META_FORMAT), Some(vec![0, 0, 0, format])));
        let mut frontier = Frontier::default();
        let mut cursor = view.forward(&[keys::AUDIT], &[keys::AUDIT + 1]).unwrap();
        let mut number = 0;
        while let Some((key, entry)) = cursor.next().unwrap() {
            let stored = Stored::read(&entry).unwrap();
            if number >= entries {
                frontier.append(stored.leaf);
                continue;
            }
            number += 1;
            // Leaves were of the entry alone then.
            let (scope, seq) = (SCOPE, keys::last_number(key));
            let opened = stored.open_leaf(scope, seq, keyring);
            let opened = opened.unwrap().unwrap();
            let leaf = LeafForm::Entry.leaf(&opened.salt, scope, stored.time_ms, &opened.body);
            frontier.append(leaf);
            let (key, entry) = (key.to_vec(), to_format_1(&entry, leaf));
            if format == 1 {
                let old = [&[AUDIT_1], &key[1..]].concat();
                writes.push((old, Some(entry)));
                writes.push((key, None));
            } else {
                writes.push((key, Some(entry)));
            }
        }
        writes.push((keys::meta(META_FRONTIER), Some(frontier.to_bytes())));
        remove_subtrees(view, writes);
    });
}

fn remove_subtrees(view: &View, writes: &mut Vec<Write>) {
    let range = ([keys::SUBTREE], [keys::SUBTREE + 1]);
    let mut cursor = view.forward(&range.0, &range.1).unwrap();
    while let Some(key) = cursor.next_key().unwrap() {
        writes.push((key.to_vec(), None));
    }
}

/// Changes a closed store below the engine.
fn change(room: &Room, change: impl FnOnce((&View, &Keyring), &mut Vec<Write>)) {
    let options = room.options();
    let key = options.keyring.derive("storage-engine").unwrap();
    let kv = Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap();
    let (view, mut writes) = (kv.view().unwrap(), Vec::new());
    change((&view, &options.keyring), &mut writes);
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

/// So many audit entries, of two scopes in turns.
fn log(room: &Room, store: &Embedded, batches: u32) {
    for number in 0..batches {
        let entry = AuditEntry {
            body: number.to_string().into(),
            about: Vec::new(),
        };
        let batch = Batch {
            audit: vec![entry; 10],
            ..Batch::of(Scope(number % 2), 1_000, Vec::new())
        };
        room.commit(store, batch).unwrap();
    }
}

#[test]
fn the_subtrees_of_the_audit_are_made_for_a_store_of_format_4() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    log(&room, &store, 70);
    let leaves = |store: &Embedded| {
        let leaves = store.tree_leaves(0, usize::MAX, &|_| true);
        room.runtime.block_on(leaves).unwrap()
    };
    let before = leaves(&store);
    assert_eq!(before.len(), 700);
    drop(store);
    change(&room, |(view, _), writes| {
        writes.push((keys::meta(META_FORMAT), Some(vec![0, 0, 0, 4])));
        remove_subtrees(view, writes);
        assert_eq!(writes.len(), 1 + 3);
    });
    let store = room.open();
    assert_eq!(leaves(&store), before);
    room.check(&store);
    log(&room, &store, 10);
    assert_eq!(leaves(&store).len(), 800);
    room.check(&store);
}
