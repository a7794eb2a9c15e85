//! Rows of a current version can be replaced; nothing else changes by it.

use std::sync::{Arc, Weak};

use super::Subject;
use super::data::*;
use crate::{Batch, Error, Held, HistoryOf, Reindexed, Row, Seq};

fn rows(code: &str) -> Vec<Row> {
    vec![row(CODE, token("", code))]
}

fn reindexed(id: &str, version: u64, rows: Vec<Row>) -> Reindexed {
    Reindexed {
        kind: PATIENT,
        id: id.into(),
        version,
        rows,
        main_date_ms: None,
    }
}

fn reindex(reindexed: Vec<Reindexed>) -> Batch {
    Batch {
        reindexed,
        ..batch(50, Vec::new())
    }
}

#[track_caller]
fn found(subject: &Subject<'_>, code: &str, ids: &[&str]) {
    let view = subject.now(ONE);
    let hits = view.find(&patients(has_code(code))).hits;
    let mut found: Vec<_> = hits.iter().map(|hit| &*hit.record.id).collect();
    found.sort_unstable();
    assert_eq!(found, ids, "{code}");
    assert_eq!(view.count(&patients(has_code(code))), ids.len() as u64);
}

pub(super) fn rows_are_replaced_without_a_new_version(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient_with("a", 1, rows("old"))]));
    subject.must(batch(20, vec![patient_with("b", 1, rows("old"))]));
    // Looked at, so that an engine may have kept them.
    found(subject, "old", &["a", "b"]);
    let before = subject.now(ONE).get(PATIENT, "a");
    let committed = subject.must(reindex(vec![reindexed("a", 1, rows("new"))]));
    assert_eq!(committed.seq, Seq(2));
    found(subject, "old", &["b"]);
    found(subject, "new", &["a"]);
    assert_eq!(subject.now(ONE).get(PATIENT, "a"), before);
    let all = history(HistoryOf::Record(PATIENT, "a".into()));
    assert_eq!(subject.now(ONE).history(&all).hits.len(), 1);
    assert_eq!(subject.changes(Seq(0), 10).len(), 2);
    // Older points show the version, so they show its rows.
    assert_eq!(subject.at(ONE, Seq(1)).count(&patients(has_code("new"))), 1);
    if subject.reopen() {
        found(subject, "old", &["b"]);
        found(subject, "new", &["a"]);
    }
}

pub(super) fn only_the_current_version_gets_new_rows(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient_with("a", 1, rows("first"))]));
    subject.must(batch(10, vec![patient_with("a", 2, rows("second"))]));
    subject.must(batch(10, vec![patient_with("b", 1, rows("first"))]));
    subject.must(batch(10, vec![deletion("b", 2)]));
    let all = [("a", 1), ("a", 3), ("b", 1), ("b", 2), ("c", 1)];
    let all = all.map(|(id, version)| reindexed(id, version, rows("new")));
    for one in all {
        subject.must(reindex(vec![one]));
    }
    found(subject, "new", &[]);
    found(subject, "second", &["a"]);
    found(subject, "first", &[]);
}

pub(super) fn a_version_with_new_rows_is_superseded_as_any(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient_with("a", 1, rows("first"))]));
    subject.must(reindex(vec![reindexed("a", 1, rows("new"))]));
    subject.must(batch(10, vec![patient_with("a", 2, rows("second"))]));
    found(subject, "new", &[]);
    found(subject, "second", &["a"]);
    assert_eq!(subject.at(ONE, Seq(1)).count(&patients(has_code("new"))), 1);
    // Rows may come beside versions of other records.
    let beside = Batch {
        reindexed: vec![reindexed("a", 2, Vec::new())],
        ..batch(20, vec![patient_with("b", 1, rows("second"))])
    };
    subject.must(beside);
    found(subject, "second", &["b"]);
}

pub(super) fn impossible_rows_are_misuse(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient_with("a", 1, rows("old"))]));
    let twice = reindex(vec![
        reindexed("a", 1, rows("x")),
        reindexed("a", 1, rows("y")),
    ]);
    let both = Batch {
        reindexed: vec![reindexed("a", 1, rows("x"))],
        ..batch(20, vec![patient_with("a", 2, rows("y"))])
    };
    let nobody = reindex(vec![reindexed("", 1, rows("x"))]);
    for refused in [twice, both, nobody] {
        let result = subject.commit(refused);
        assert!(matches!(result, Err(Error::Misuse(_))), "{result:?}");
    }
    found(subject, "old", &["a"]);
}

/// What a batch holds outlives its effect, and not the answer by much.
pub(super) fn what_a_batch_holds_is_let_go(subject: &Subject<'_>) {
    let hold = || {
        let held = Arc::new(7_u8);
        let weak = Arc::downgrade(&held);
        (Some(Held::new(held)), weak)
    };
    let wait = |weak: &Weak<u8>| {
        while weak.strong_count() > 0 {
            std::thread::yield_now();
        }
    };
    let (held, weak) = hold();
    subject.must(Batch {
        held,
        ..batch(10, vec![patient_with("a", 1, rows("x"))])
    });
    wait(&weak);
    let (held, weak) = hold();
    let refused = subject.commit(Batch {
        held,
        ..batch(10, vec![patient("a", 1)])
    });
    assert!(refused.is_err());
    wait(&weak);
}

pub(super) fn a_walk_sees_each_current_record_once(subject: &Subject<'_>) {
    for id in ["a", "b", "c", "d"] {
        subject.must(batch(10, vec![patient(id, 1)]));
    }
    subject.must(batch(10, vec![patient("b", 2), deletion("d", 2)]));
    let ids = |before, limit| {
        let records = subject.now(ONE).walk(PATIENT, Seq(before), limit, &[CODE]);
        let ids = records.iter().map(|hit| hit.record.id.to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(u64::MAX, 10), ["b", "c", "a"]);
    assert_eq!(ids(u64::MAX, 2), ["b", "c"]);
    assert_eq!(ids(3, 2), ["a"]);
    subject.must(reindex(vec![reindexed("c", 1, rows("x"))]));
    let walked = subject.now(ONE).walk(PATIENT, Seq(4), 1, &[CODE]);
    assert_eq!(walked[0].rows, rows("x"));
    // What is written meanwhile is left out.
    subject.must(batch(10, vec![patient("a", 2)]));
    assert_eq!(ids(3, 2), [""; 0]);
    assert_eq!(
        subject.at(ONE, Seq(2)).walk(PATIENT, Seq(3), 10, &[]).len(),
        2
    );
}
