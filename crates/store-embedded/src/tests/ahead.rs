//! Groups that are written in pieces are there whole or not at all.

use salus_store::{At, Seq};
use tempfile::TempDir;

use super::room::{KIND, Room, SCOPE, batch, observation};
use crate::kv::{Kv, Memory, Write};
use crate::{ahead, keys};

/// More keys than three pieces have.
const MANY: u64 = 60;

fn many(from: u64) -> salus_store::Batch {
    batch(
        (from..from + MANY)
            .map(|n| observation(&n.to_string(), 1, "a"))
            .collect(),
    )
}

fn raw(room: &Room) -> Kv {
    let options = room.options();
    let key = options.keyring.derive("storage-engine").unwrap();
    Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap()
}

/// Whether there is any key between these.
fn has_any(kv: &Kv, start: &[u8], end: &[u8]) -> bool {
    let view = kv.view().unwrap();
    let mut cursor = view.forward(start, end).unwrap();
    cursor.next_key().unwrap().is_some()
}

#[test]
fn a_large_group_is_there_and_leaves_no_lists() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let seq = room.commit(&store, many(0)).unwrap();
    drop(store);
    let kv = raw(&room);
    assert!(!has_any(&kv, &[keys::AHEAD], &[keys::AHEAD + 1]));
    kv.close().unwrap();
    let store = room.open();
    room.check(&store);
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    assert_eq!(snapshot.seq(), seq);
    for n in 0..MANY {
        let id = n.to_string();
        let record = room.runtime.block_on(snapshot.get(KIND, &id)).unwrap();
        assert!(record.is_some(), "{id}");
    }
}

/// What a group of new versions would write behind a point: bodies and rows.
fn unfinished(after: Seq) -> Vec<Write> {
    let seqs = after.0 + 1..after.0 + 1 + MANY * 2;
    seqs.flat_map(|seq| {
        let body = keys::at(keys::BODY, seq);
        let row = keys::of_kind_at(keys::CURRENT, SCOPE, KIND, seq);
        [(body, Some(vec![9])), (row, Some(vec![9]))]
    })
    .collect()
}

#[test]
fn what_was_written_ahead_in_vain_is_gone_after_the_opening() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let seq = room.commit(&store, many(0)).unwrap();
    drop(store);
    let kv = raw(&room);
    let behind = keys::at(keys::BODY, seq.0 + 1);
    let pieces = room
        .runtime
        .block_on(ahead::write_ahead(&kv, unfinished(seq)));
    assert!(pieces.unwrap() > 1);
    assert!(has_any(&kv, &behind, &[keys::BODY + 1]));
    kv.close().unwrap();
    let store = room.open();
    room.check(&store);
    assert_eq!(room.snapshot(&store, At::Now).unwrap().seq(), seq);
    room.commit(&store, many(MANY)).unwrap();
    room.check(&store);
    drop(store);
    let kv = raw(&room);
    assert!(!has_any(&kv, &[keys::AHEAD], &[keys::AHEAD + 1]));
    kv.close().unwrap();
}
