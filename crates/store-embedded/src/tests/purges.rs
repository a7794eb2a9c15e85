//! Kinds whose superseded versions are purged unasked, and faults of what was purged.

use salus_store::{At, Batch, Error, Kind, Purge, Seq, Store};
use tempfile::TempDir;

use super::room::{KIND, PATIENT, Room, SCOPE, batch, observation, put};
use crate::kv::{Kv, Memory, When};
use crate::{Embedded, keys};

fn purging(kinds: &[Kind]) -> Batch {
    Batch {
        purging: Some(kinds.to_vec()),
        ..Batch::of(SCOPE, 1_000, Vec::new())
    }
}

/// Which of the first versions of a record are read, purged, or not there.
fn reads(room: &Room, store: &Embedded, kind: Kind, id: &str) -> String {
    let snapshot = room.snapshot(store, At::Now).unwrap();
    let versions =
        (1..=4).map(
            |version| match room.runtime.block_on(snapshot.version(kind, id, version)) {
                Ok(Some(_)) => 'k',
                Ok(None) => '-',
                Err(Error::Purged) => 'p',
                Err(error) => panic!("{error:?}"),
            },
        );
    versions.collect()
}

#[test]
fn kinds_so_set_lose_their_past_with_its_rows() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let mut store = room.open();
    let patient = |version| {
        let put = observation("p", version, "1");
        batch(vec![salus_store::Put {
            kind: PATIENT,
            ..put
        }])
    };
    for version in 1..=2 {
        room.commit(&store, put("a", version, "1")).unwrap();
        room.commit(&store, patient(version)).unwrap();
    }
    room.commit(&store, purging(&[KIND])).unwrap();
    let open = room.snapshot(&store, At::Now).unwrap();
    let point = room.commit(&store, put("a", 3, "1")).unwrap();
    // Points that show them are kept.
    assert_eq!(reads(&room, &store, KIND, "a"), "kkk-");
    store.forget_before(point).unwrap();
    assert_eq!(reads(&room, &store, KIND, "a"), "ppk-");
    assert_eq!(reads(&room, &store, PATIENT, "p"), "kk--");
    // Who looks since before sees what there was.
    let seen = room.runtime.block_on(open.version(KIND, "a", 2)).unwrap();
    assert_eq!(seen.unwrap().version, 2);
    drop(open);
    room.check(&store);
    drop(store);
    store = room.open();
    let point = room.commit(&store, put("a", 4, "1")).unwrap();
    store.forget_before(point).unwrap();
    assert_eq!(reads(&room, &store, KIND, "a"), "pppk");
    room.commit(&store, purging(&[])).unwrap();
    let point = room.commit(&store, put("a", 5, "1")).unwrap();
    store.forget_before(point).unwrap();
    assert_eq!(reads(&room, &store, KIND, "a"), "pppk");
    let changes = room.runtime.block_on(store.changes(Seq(0), 100)).unwrap();
    let purged = changes.iter().filter(|change| change.purged).count();
    assert_eq!((changes.len(), purged), (7, 3));
    room.check(&store);
}

/// Purges two of three versions, changes keys behind the store's back, and
/// says what a check finds.
fn faults(change: impl Fn(&Kv)) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for version in 1..=3 {
        room.commit(&store, put("a", version, "1")).unwrap();
    }
    let purge = Purge {
        kind: KIND,
        id: "a".into(),
        below: 3,
    };
    let purge = Batch {
        purged: vec![purge],
        ..batch(Vec::new())
    };
    room.commit(&store, purge).unwrap();
    drop(store);
    let options = room.options();
    let key = options.keyring.derive("storage-engine").unwrap();
    let kv = Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap();
    change(&kv);
    kv.close().unwrap();
    drop((kv, options));
    let store = room.open();
    room.runtime.block_on(store.check()).unwrap()
}

#[test]
fn stores_of_formats_without_purges_open() {
    for format in [2, 3] {
        let key = || keys::meta(crate::format::META_FORMAT);
        let writes = || vec![(key(), Some(vec![0, 0, 0, format]))];
        let none = faults(|kv| kv.write_here(writes(), When::Now).unwrap());
        assert_eq!(none, [""; 0]);
    }
}

#[test]
fn what_is_lost_is_told_from_what_was_purged() {
    let lose = |key: Vec<u8>| {
        faults(move |kv| {
            assert!(kv.view().unwrap().get(&key).unwrap().is_some());
            let writes = vec![(key.clone(), None)];
            kv.write_here(writes, When::Now).unwrap();
        })
    };
    // The first version is 1, its audit entry 2, and so on.
    let mark = lose(keys::record(keys::PURGED, SCOPE, KIND, "a"));
    assert_eq!(mark.len(), 2, "{mark:?}");
    assert!(mark[0].contains("purged without a mark"), "{mark:?}");
    for seq in [1, 3, 5] {
        let body = lose(keys::at(keys::BODY, seq));
        assert!(body.iter().any(|fault| fault.contains("chain")), "{body:?}");
    }
}

#[test]
fn a_changed_digest_breaks_the_chain() {
    let found = faults(|kv| {
        let key = keys::at(keys::BODY, 1);
        let mut left = kv.view().unwrap().get(&key).unwrap().unwrap();
        *left.last_mut().unwrap() ^= 1;
        kv.write_here(vec![(key, Some(left))], When::Now).unwrap();
    });
    assert!(
        found.iter().any(|fault| fault.contains("chain")),
        "{found:?}"
    );
}
