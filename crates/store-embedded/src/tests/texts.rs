//! Postings: laid with their versions, and taken out with them.

use salus_store::{Batch, Kind, Param, Place, Put, Reindexed, Row, Store, Value, Word, Words};
use tempfile::TempDir;

use super::room::{KIND, Room, SCOPE, batch, observation};
use crate::Embedded;
use crate::commit::Job;
use crate::index;
use crate::keys;
use crate::kv::When;
use crate::prepare::Prepared;
use crate::text::{Edits, Postings};

const TEXT: Param = Param::named("Observation", "_content");

fn text(words: &str) -> Row {
    let words = words.split(' ').zip(0..).map(|(word, at)| Word {
        word: word.into(),
        stem: word.into(),
        at,
    });
    Row {
        param: TEXT,
        value: Value::Words(Words::of(words.collect(), 0)),
    }
}

fn put(id: &str, version: u64, words: &str) -> Put {
    let mut put = observation(id, version, "c");
    put.rows.push(text(words));
    put
}

fn one(id: &str, version: u64, words: &str) -> Batch {
    batch(vec![put(id, version, words)])
}

/// The seqs of all postings, by their term.
fn postings(store: &Embedded) -> Vec<(String, Vec<u64>)> {
    let view = store.core.kv.view().unwrap();
    let mut cursor = view.forward(&[keys::TEXT], &[keys::TEXT + 1]).unwrap();
    let mut all = Vec::new();
    let start = keys::of_param(keys::TEXT, SCOPE, KIND, TEXT).len();
    while let Some((key, value)) = cursor.next().unwrap() {
        let term = key[start..key.len() - keys::SEQ_LEN - 1].to_vec();
        let postings = Postings::read(keys::last_number(key), &value).unwrap();
        let seqs = postings.map(|placed| placed.unwrap().seq).collect();
        all.push((String::from_utf8(term).unwrap(), seqs));
    }
    all
}

#[track_caller]
fn check(room: &Room, store: &Embedded, expected: &[(&str, &[u64])]) {
    let found = postings(store);
    let found: Vec<_> = found
        .iter()
        .map(|(term, seqs)| (&**term, &**seqs))
        .collect();
    assert_eq!(found, expected);
    room.check(store);
}

#[test]
fn a_batch_lays_a_block_for_each_word() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let other = Put {
        kind: Kind::named("Other"),
        ..observation("x", 1, "c")
    };
    room.commit(
        &store,
        batch(vec![put("a", 1, "one two"), other, put("b", 1, "two")]),
    )
    .unwrap();
    // The fourth is an audit entry.
    room.commit(&store, one("c", 1, "two")).unwrap();
    check(
        &room,
        &store,
        &[("one", &[1]), ("two", &[1, 3]), ("two", &[5])],
    );
}

#[test]
fn postings_of_superseded_versions_are_taken_out() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let puts = [
        put("a", 1, "one two"),
        put("b", 1, "two"),
        put("c", 1, "two"),
    ];
    room.commit(&store, batch(puts.into())).unwrap();
    room.commit(&store, one("a", 2, "three")).unwrap();
    let last = room.commit(&store, one("c", 2, "two")).unwrap();
    check(
        &room,
        &store,
        &[
            ("one", &[1]),
            ("three", &[5]),
            ("two", &[1, 2, 3]),
            ("two", &[7]),
        ],
    );
    store.forget_before(last).unwrap();
    check(
        &room,
        &store,
        &[("three", &[5]), ("two", &[2]), ("two", &[7])],
    );
}

fn edit(store: &Embedded, change: &dyn Fn(&mut Edits)) {
    let mut edits = Edits::default();
    change(&mut edits);
    let view = store.core.kv.view().unwrap();
    let writes = edits.into_writes(&view).unwrap();
    store.core.kv.write_here(writes, When::Now).unwrap();
}

fn new_rows(id: &str, words: &[&str]) -> Reindexed {
    let mut rows = observation(id, 1, "c").rows;
    rows.extend(words.iter().map(|words| text(words)));
    Reindexed {
        kind: KIND,
        id: id.into(),
        version: 1,
        rows,
        main_date_ms: None,
    }
}

#[test]
fn new_rows_of_versions_share_blocks() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    // As builds wrote them that knew no texts, but for the last.
    for id in ["a", "b", "c", "d"] {
        room.commit(&store, batch(vec![observation(id, 1, "c")]))
            .unwrap();
    }
    room.commit(&store, one("e", 1, "one")).unwrap();
    let reindex = |reindexed: Vec<Reindexed>| {
        let batch = Batch {
            reindexed,
            ..batch(Vec::new())
        };
        room.commit(&store, batch).unwrap();
    };
    reindex(vec![new_rows("d", &["one"]), new_rows("c", &["one two"])]);
    check(
        &room,
        &store,
        &[("one", &[5, 7]), ("one", &[9]), ("two", &[5])],
    );
    reindex(vec![new_rows("b", &["two"]), new_rows("a", &["one"])]);
    reindex(vec![new_rows("c", &["two"]), new_rows("d", &[])]);
    check(
        &room,
        &store,
        &[("one", &[1]), ("one", &[9]), ("two", &[3]), ("two", &[5])],
    );
}

#[test]
fn new_rows_that_come_too_late_are_dropped() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    room.commit(&store, one("a", 1, "one")).unwrap();
    let late = Batch {
        reindexed: vec![new_rows("a", &["late"])],
        ..batch(Vec::new())
    };
    let late = Prepared::new(&store.core, late).unwrap();
    room.commit(&store, one("a", 2, "two")).unwrap();
    let (job, answered) = Job::new(late);
    room.runtime.block_on(async {
        store.queue.push(job).await.unwrap();
        answered.await.unwrap().unwrap();
    });
    check(&room, &store, &[("one", &[1]), ("two", &[3])]);
    room.commit(&store, one("a", 3, "three")).unwrap();
    room.check(&store);
}

#[test]
fn large_blocks_are_parted() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let rows = [text("one")];
    let lay = |seqs: &mut dyn Iterator<Item = u64>| {
        let seqs: Vec<u64> = seqs.collect();
        edit(&store, &|edits| {
            seqs.iter()
                .for_each(|seq| edits.lay((SCOPE, KIND), *seq, &rows));
        });
    };
    lay(&mut (100..1400).step_by(2));
    let sizes = || -> Vec<usize> { postings(&store).iter().map(|(_, all)| all.len()).collect() };
    assert_eq!(sizes(), [512, 138]);
    lay(&mut (0..1500));
    let all = postings(&store);
    let seqs: Vec<u64> = all.iter().flat_map(|(_, seqs)| seqs.clone()).collect();
    assert_eq!(seqs, (0..1500).collect::<Vec<_>>());
    assert!(sizes().iter().all(|size| *size <= 512));
    edit(&store, &|edits| {
        (0..1500).for_each(|seq| edits.take_out((SCOPE, KIND), seq, &rows));
    });
    assert_eq!(sizes(), [0; 0]);
}

#[test]
fn rows_can_be_made_anew() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let puts = [
        put("a", 1, "one"),
        put("b", 1, "one two"),
        put("c", 1, "one"),
    ];
    room.commit(&store, batch(puts.into())).unwrap();
    let edit = |change: &dyn Fn(&mut Edits)| edit(&store, change);
    let rows = [text("one two")];
    edit(&|edits| edits.take_out((SCOPE, KIND), 2, &rows));
    assert_eq!(postings(&store), [("one".to_owned(), vec![1, 3])]);
    edit(&|edits| {
        edits.lay((SCOPE, KIND), 2, &rows);
        // Twice is as good as once.
        edits.lay((SCOPE, KIND), 2, &rows);
    });
    check(&room, &store, &[("one", &[1, 2, 3]), ("two", &[2])]);
    edit(&|edits| {
        edits.take_out((SCOPE, KIND), 2, &rows);
        edits.lay((SCOPE, KIND), 2, &rows);
    });
    check(&room, &store, &[("one", &[1, 2, 3]), ("two", &[2])]);
}

/// Without one of the keys under `space`, a check says this.
#[track_caller]
fn check_without(space: u8, ty: u8, fault: &str) {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let mut put = put("a", 1, "one");
    let param = Param::named("Observation", "at");
    let place = Value::Place(Place::of_degrees(50.0, 8.0).unwrap());
    let to = Value::Reference {
        kind: KIND,
        id: "b".into(),
    };
    put.rows
        .extend([place, to].map(|value| Row { param, value }));
    room.commit(&store, batch(vec![put])).unwrap();
    room.check(&store);
    let mut start = keys::of_param(space, SCOPE, KIND, param);
    if space == keys::TEXT {
        start = keys::of_param(space, SCOPE, KIND, TEXT);
    } else {
        start.push(ty);
    }
    let view = store.core.kv.view().unwrap();
    let mut cursor = view.forward(&start, &[space + 1]).unwrap();
    let key = cursor.next().unwrap().unwrap().0.to_vec();
    assert!(key.starts_with(&start));
    drop(cursor);
    drop(view);
    store
        .core
        .kv
        .write_here(vec![(key, None)], When::Now)
        .unwrap();
    let faults = room.runtime.block_on(store.check()).unwrap();
    assert_eq!(faults, [fault]);
}

#[test]
fn a_check_names_what_is_missing() {
    check_without(
        keys::INDEX,
        index::PLACE,
        "version 1: a place is not in the index",
    );
    check_without(
        keys::INDEX,
        index::REFERENCE,
        "version 1: a reference is not in the index",
    );
    check_without(
        keys::TEXT,
        0,
        "version 1: its words are not those of its postings",
    );
}
