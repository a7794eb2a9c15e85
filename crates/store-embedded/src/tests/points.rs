//! Points: pages stay as they were while records change, until points are forgotten.

use salus_store::{At, Error, Filter, Position, Query, Seq, Test};
use tempfile::TempDir;

use super::room::{CODE, KIND, Room, everything, ids, put};

fn with_code(code: &str) -> Query {
    let token = Test::Token {
        system: None,
        code: Some(code.into()),
    };
    Query {
        filter: Filter::Value(CODE, token),
        ..everything(10, None)
    }
}

#[test]
fn pages_continue_where_they_were_after_changes_and_reopening() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for id in ["a", "b", "c", "d"] {
        room.commit(&store, put(id, 1, "1")).unwrap();
    }
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    let first = room.find(&*snapshot, &everything(2, None)).unwrap();
    assert_eq!(ids(&first), ["d", "c"]);
    let point = snapshot.seq();
    drop(snapshot);
    for id in ["a", "c", "e"] {
        let version = if id == "e" { 1 } else { 2 };
        room.commit(&store, put(id, version, "2")).unwrap();
    }
    room.runtime
        .block_on(salus_store::Store::close(&*store))
        .unwrap();
    drop(store);
    let store = room.open();
    let snapshot = room.snapshot(&store, At::Seq(point)).unwrap();
    let second = room.find(&*snapshot, &everything(2, first.next)).unwrap();
    assert_eq!(ids(&second), ["b", "a"]);
    assert_eq!(second.next, None);
    let old = room.runtime.block_on(snapshot.get(KIND, "a")).unwrap();
    assert_eq!(old.unwrap().version, 1);
    let count = room.runtime.block_on(snapshot.count(&everything(0, None)));
    assert_eq!(count.unwrap(), 4);
    room.check(&store);
}

#[test]
fn forgotten_points_are_gone_and_their_rows_too() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let old = room.commit(&store, put("a", 1, "1")).unwrap();
    let open = room.snapshot(&store, At::Now).unwrap();
    let new = room.commit(&store, put("a", 2, "2")).unwrap();
    store.forget_before(new).unwrap();
    let gone = room.snapshot(&store, At::Seq(old));
    assert!(matches!(gone, Err(Error::SnapshotGone(Seq(_)))));
    // One that was open before sees what it saw.
    assert_eq!(ids(&room.find(&*open, &with_code("1")).unwrap()), ["a"]);
    assert_eq!(ids(&room.find(&*open, &with_code("2")).unwrap()), [""; 0]);
    drop(open);
    let now = room.snapshot(&store, At::Now).unwrap();
    assert_eq!(ids(&room.find(&*now, &with_code("1")).unwrap()), [""; 0]);
    assert_eq!(ids(&room.find(&*now, &with_code("2")).unwrap()), ["a"]);
    drop(now);
    room.check(&store);
    drop(store);
    let store = room.open();
    assert!(room.snapshot(&store, At::Seq(old)).is_err());
    assert!(room.snapshot(&store, At::Seq(new)).is_ok());
    room.check(&store);
}

#[test]
fn a_position_that_is_none_is_refused() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    room.commit(&store, put("a", 1, "1")).unwrap();
    room.commit(&store, put("b", 1, "2")).unwrap();
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    let seqs = (0..64).map(|bit| Seq((1_u64 << bit) | 0x40));
    let positions = seqs.flat_map(|seq| [Position::After(seq), Position::UpTo(seq)]);
    for position in positions {
        let query = everything(1, Some(position));
        let found = room.find(&*snapshot, &query);
        assert!(matches!(found, Err(Error::Misuse(_))), "{query:?}");
    }
    // The position of another query.
    let after = room.find(&*snapshot, &everything(1, None)).unwrap().next;
    let query = Query {
        after,
        ..with_code("1")
    };
    let found = room.find(&*snapshot, &query);
    assert!(matches!(found, Err(Error::Misuse(_))));
}
