//! Postings: laid with their versions, and taken out with them.

use salus_store::{Batch, Kind, Param, Put, Row, Value, Word, Words};
use tempfile::TempDir;

use super::room::{KIND, Room, SCOPE, batch, observation};
use crate::Embedded;
use crate::keys;
use crate::kv::When;
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
    let edit = |change: &dyn Fn(&mut Edits<'_>)| {
        let view = store.core.kv.view().unwrap();
        let mut edits = Edits::new(&view);
        change(&mut edits);
        let writes = edits.into_writes();
        store.core.kv.write_here(writes, When::Now).unwrap();
    };
    let rows = [text("one two")];
    edit(&|edits| edits.take_out((SCOPE, KIND), 2, &rows).unwrap());
    assert_eq!(postings(&store), [("one".to_owned(), vec![1, 3])]);
    edit(&|edits| {
        edits.lay((SCOPE, KIND), 2, &rows).unwrap();
        // Twice is as good as once.
        edits.lay((SCOPE, KIND), 2, &rows).unwrap();
    });
    check(&room, &store, &[("one", &[1, 2, 3]), ("two", &[2])]);
    edit(&|edits| {
        edits.take_out((SCOPE, KIND), 2, &rows).unwrap();
        edits.lay((SCOPE, KIND), 2, &rows).unwrap();
    });
    check(&room, &store, &[("one", &[1, 2, 3]), ("two", &[2])]);
}
