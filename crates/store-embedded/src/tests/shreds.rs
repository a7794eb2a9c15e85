//! What a shredded patient leaves in the engine: no key and no value of theirs.

use std::sync::Arc;

use salus_store::{
    At, Batch, Content, Error, Filter, NewBlob, Param, Put, Row, SealKey, Seq, Shred, Store, Test,
    Value,
};
use salus_store::{Blobs, Snapshot};
use tempfile::TempDir;

use super::room::{CODE, KIND, Room, SCOPE, batch, everything, ids, observation};
use crate::Embedded;
use crate::kv::{Kv, Memory};

const MARKER: &str = "xylophonia";
const NAME: Param = Param::named("Observation", "name");
const DATE: Param = Param::named("Observation", "date");
/// A time whose bytes are found as no other.
const TIME_MS: i64 = 0x0102_0304_0506;

fn told(id: &str, version: u64, patient: &str, text: &str) -> Put {
    let row = |param, value| Row { param, value };
    let name = Value::String {
        folded: text.into(),
        exact: text.to_uppercase().into(),
    };
    let date = Value::Date {
        from_ms: TIME_MS,
        to_ms: TIME_MS + 1,
    };
    Put {
        content: Content::Body(text.to_owned().into()),
        rows: vec![
            row(
                CODE,
                Value::Token {
                    system: "urn:mrn".into(),
                    code: text.into(),
                },
            ),
            row(NAME, name),
            row(DATE, date),
        ],
        main_date_ms: Some(TIME_MS),
        seal: SealKey::Patient(patient.into()),
        ..observation(id, version, "none")
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|some| some == part)
}

/// How many keys and values of the engine hold something of the patient.
fn traces(room: &Room) -> usize {
    let options = room.options();
    let key = options.keyring.derive("storage-engine").unwrap();
    let kv = Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap();
    let view = kv.view().unwrap();
    let mut all = view.forward(&[0], &[0xFF]).unwrap();
    let mut count = 0;
    let parts = [
        MARKER.as_bytes().to_vec(),
        MARKER.to_uppercase().into_bytes(),
        TIME_MS.to_be_bytes()[2..].to_vec(),
    ];
    while let Some((key, value)) = all.next().unwrap() {
        let held = |part: &Vec<u8>| holds(key, part) || holds(&value, part);
        count += usize::from(parts.iter().any(held));
    }
    drop(all);
    drop(view);
    kv.close().unwrap();
    count
}

/// Deletes what the key sealed, destroys it, and takes out every version.
fn shred(room: &Room, store: &Arc<Embedded>, patient: &str) {
    let sealed = || {
        let found = store.sealed(SCOPE, patient, Seq(0), 1000);
        let found = room.runtime.block_on(found).unwrap();
        assert_eq!(found.next, None);
        found.versions
    };
    for one in sealed() {
        if one.version == one.newest && !one.deleted {
            let deletion = Put {
                content: Content::Deleted,
                rows: Vec::new(),
                seal: SealKey::Scope,
                ..observation(&one.id, one.version + 1, "none")
            };
            room.commit(store, batch(vec![deletion])).unwrap();
        }
    }
    store.core.keyring.destroy(SCOPE.0, patient).unwrap();
    for one in sealed().into_iter().filter(|one| !one.deleted) {
        let shred = Shred {
            kind: one.kind,
            id: one.id,
            versions: vec![one.version],
        };
        let shred = Batch {
            shredded: vec![shred],
            ..batch(Vec::new())
        };
        room.commit(store, shred).unwrap();
    }
    room.runtime.block_on(store.forget()).unwrap();
}

fn reads(room: &Room, view: &dyn Snapshot, id: &str, version: u64) -> Result<bool, Error> {
    let record = room.runtime.block_on(view.version(KIND, id, version))?;
    Ok(record.is_some())
}

#[test]
fn no_key_and_no_value_of_a_shredded_patient_is_left() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for number in 0..40 {
        let id = format!("k{number}");
        let kept = Put {
            rows: Vec::new(),
            main_date_ms: None,
            ..told(&id, 1, "kept", "ordinary")
        };
        room.commit(&store, batch(vec![kept])).unwrap();
    }
    for version in 1..=3 {
        room.commit(&store, batch(vec![told("a", version, "gone", MARKER)]))
            .unwrap();
    }
    room.commit(&store, batch(vec![told("b", 1, "gone", MARKER)]))
        .unwrap();
    let open = room.snapshot(&store, At::Now).unwrap();
    let before = open.seq();
    let query = salus_store::Query {
        filter: Filter::Value(NAME, Test::StringStarts(MARKER.into())),
        ..everything(10, None)
    };
    assert_eq!(ids(&room.find(&*open, &query).unwrap()).len(), 2);
    drop(open);
    shred(&room, &store, "gone");
    let view = room.snapshot(&store, At::Now).unwrap();
    assert!(room.find(&*view, &query).unwrap().hits.is_empty());
    assert_eq!(
        room.find(&*view, &everything(100, None))
            .unwrap()
            .hits
            .len(),
        40
    );
    let read = reads(&room, &*view, "a", 1);
    assert!(matches!(read, Err(Error::Purged)), "{read:?}");
    let older = room.snapshot(&store, At::Seq(before));
    assert!(matches!(older, Err(Error::SnapshotGone(_))));
    let refused = room.commit(&store, batch(vec![told("c", 1, "gone", MARKER)]));
    assert!(matches!(refused, Err(Error::KeyDestroyed)), "{refused:?}");
    let blob = NewBlob {
        scope: SCOPE,
        id: "blob".into(),
        seal: SealKey::Patient("gone".into()),
        time_ms: 0,
    };
    let blob = room.runtime.block_on(store.create(blob)).map(|_| ());
    assert!(matches!(blob, Err(Error::KeyDestroyed)), "{blob:?}");
    drop(view);
    room.check(&store);
    room.runtime.block_on(store.close()).unwrap();
    drop(store);
    assert_eq!(traces(&room), 0);
    let store = room.open();
    room.check(&store);
}

#[test]
fn what_a_destroyed_key_sealed_is_as_if_it_was_purged() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for (version, patient) in [(1, "kept"), (2, "gone"), (3, "kept")] {
        let put = told("a", version, patient, "text");
        room.commit(&store, batch(vec![put])).unwrap();
    }
    room.commit(&store, batch(vec![told("b", 1, "gone", "text")]))
        .unwrap();
    store.core.keyring.destroy(SCOPE.0, "gone").unwrap();
    drop(store);
    // A copy from before whose ledger was not replayed yet.
    let store = room.open();
    room.check(&store);
    let view = room.snapshot(&store, At::Now).unwrap();
    assert!(reads(&room, &*view, "a", 1).unwrap());
    assert!(matches!(
        reads(&room, &*view, "a", 2),
        Err(Error::KeyDestroyed)
    ));
    drop(view);
    let changes = room.runtime.block_on(store.changes(Seq(0), 100)).unwrap();
    let purged: Vec<u64> = changes
        .iter()
        .filter(|change| change.purged)
        .map(|change| change.record.version)
        .collect();
    assert_eq!(purged, [2, 1]);
    shred(&room, &store, "gone");
    room.check(&store);
    let view = room.snapshot(&store, At::Now).unwrap();
    assert!(matches!(reads(&room, &*view, "a", 2), Err(Error::Purged)));
    assert_eq!(
        ids(&room.find(&*view, &everything(10, None)).unwrap()),
        ["a"]
    );
}
