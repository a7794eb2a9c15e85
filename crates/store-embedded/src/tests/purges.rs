//! Faults of what was purged.

use salus_store::{Batch, Purge, Store};
use tempfile::TempDir;

use super::room::{KIND, Room, SCOPE, batch, put};
use crate::keys;
use crate::kv::{Kv, Memory, When};

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
