//! History, changes and audit: what happened, in its order.

use super::data::*;
use super::{Subject, View};
use crate::{AuditQuery, Batch, Change, History, HistoryOf, Seq};

/// The versions of a request, as one page and in pages of every small size, are these.
#[track_caller]
fn check(view: &View<'_>, query: &History, expected: &[&str]) {
    for limit in [1, 2, 3, expected.len() + 1, usize::MAX] {
        let mut query = History {
            limit,
            ..query.clone()
        };
        let mut all = Vec::new();
        loop {
            let found = view.history(&query);
            assert!(found.hits.iter().all(|hit| hit.rows.is_empty()));
            let page = versions(&found);
            let more = found.next.is_some();
            assert!(if more {
                page.len() == limit
            } else {
                page.len() <= limit
            });
            all.extend(page);
            assert_eq!(more, all.len() < expected.len(), "{query:?} at {all:?}");
            query.after = found.next;
            if !more {
                break;
            }
        }
        assert_eq!(all, expected, "{query:?}");
    }
    let none = view.history(&History {
        limit: 0,
        ..query.clone()
    });
    assert_eq!((none.hits.len(), none.next), (0, None));
}

fn fill(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1), patient("b", 1)]));
    subject.must(batch(
        20,
        vec![of_kind(OBSERVATION, patient("o", 1)), patient("a", 2)],
    ));
    subject.must(batch(30, vec![deletion("b", 2)]));
    // A clock that went back.
    subject.must(batch(15, vec![patient("a", 3)]));
    subject.must(batch(
        40,
        vec![patient("b", 3), of_kind(OBSERVATION, deletion("o", 2))],
    ));
}

pub(super) fn the_history_of_a_record_is_newest_first(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    let of = |kind, id: &str| history(HistoryOf::Record(kind, id.into()));
    check(&view, &of(PATIENT, "a"), &["a 3", "a 2", "a 1"]);
    check(&view, &of(PATIENT, "b"), &["b 3", "b 2", "b 1"]);
    check(&view, &of(OBSERVATION, "o"), &["o 2", "o 1"]);
    check(&view, &of(OBSERVATION, "a"), &[]);
    check(&view, &of(PATIENT, "never"), &[]);
    let found = view.history(&of(PATIENT, "b"));
    let bodies: Vec<_> = found.hits.iter().map(|hit| body(&hit.record)).collect();
    assert_eq!(bodies, ["b 3", "-", "b 1"]);
    let records = found.hits.iter().map(|hit| hit.record.clone());
    for record in records {
        assert_eq!(view.version(PATIENT, "b", record.version), Some(record));
    }
    for (seq, expected) in [
        (1, &["a 1"][..]),
        (4, &["a 2", "a 1"]),
        (5, &["a 2", "a 1"]),
    ] {
        check(&subject.at(ONE, Seq(seq)), &of(PATIENT, "a"), expected);
    }
}

pub(super) fn the_history_of_kinds_is_newest_first(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    let of = |kinds: &[crate::Kind]| history(HistoryOf::Kinds(kinds.to_vec()));
    let patients = ["b 3", "a 3", "b 2", "a 2", "b 1", "a 1"];
    let both = ["o 2", "b 3", "a 3", "b 2", "a 2", "o 1", "b 1", "a 1"];
    check(&view, &of(&[PATIENT]), &patients);
    check(&view, &of(&[OBSERVATION]), &["o 2", "o 1"]);
    check(&view, &of(&[PATIENT, OBSERVATION]), &both);
    check(&view, &of(&[OBSERVATION, PATIENT, OBSERVATION]), &both);
    check(&view, &of(&[]), &[]);
    check(&view, &of(&[crate::Kind(1)]), &[]);
    check(&subject.at(ONE, Seq(4)), &of(&[PATIENT]), &patients[3..]);
}

pub(super) fn the_newest_version_of_kinds_is_known_at_any_point(subject: &Subject<'_>) {
    fill(subject);
    let newest = subject.now(ONE);
    let kinds = [PATIENT, OBSERVATION, crate::Kind(1)];
    for seq in 0..=newest.seq().0 {
        let view = subject.at(ONE, Seq(seq));
        for of in [&kinds[..1], &kinds[1..2], &kinds[..2], &kinds[2..], &[]] {
            let log = view.history(&history(HistoryOf::Kinds(of.to_vec())));
            let expected = log.hits.first().map(|hit| hit.record.seq);
            assert_eq!(view.changed(of), expected, "at {seq}, {of:?}");
        }
    }
    assert_eq!(subject.now(TWO).changed(&kinds[..1]), None);
}

pub(super) fn history_since_a_time_leaves_out_what_is_older(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    let since = |since_ms, of| History {
        since_ms: Some(since_ms),
        ..history(of)
    };
    let a = || HistoryOf::Record(PATIENT, "a".into());
    check(&view, &since(20, a()), &["a 2"]);
    check(&view, &since(15, a()), &["a 3", "a 2"]);
    check(&view, &since(10, a()), &["a 3", "a 2", "a 1"]);
    check(&view, &since(41, a()), &[]);
    let kinds = || HistoryOf::Kinds(vec![PATIENT, OBSERVATION]);
    check(
        &view,
        &since(20, kinds()),
        &["o 2", "b 3", "b 2", "a 2", "o 1"],
    );
    check(
        &view,
        &since(i64::MIN, kinds()),
        &["o 2", "b 3", "a 3", "b 2", "a 2", "o 1", "b 1", "a 1"],
    );
    check(&view, &since(i64::MAX, kinds()), &[]);
}

pub(super) fn history_at_a_time_has_what_was_current_then(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    let at = |from_ms, to_ms, of| History {
        current_ms: Some((from_ms, to_ms)),
        ..history(of)
    };
    let b = || HistoryOf::Record(PATIENT, "b".into());
    check(&view, &at(9, 10, b()), &[]);
    check(&view, &at(9, 11, b()), &["b 1"]);
    check(&view, &at(25, 26, b()), &["b 1"]);
    check(&view, &at(25, 31, b()), &["b 2", "b 1"]);
    check(&view, &at(30, 31, b()), &["b 2"]);
    check(&view, &at(35, 36, b()), &[]);
    check(&view, &at(50, i64::MAX, b()), &["b 3"]);
    let kinds = || HistoryOf::Kinds(vec![PATIENT, OBSERVATION]);
    // The clock went back behind the third version of a.
    check(&view, &at(25, 26, kinds()), &["a 3", "o 1", "b 1"]);
    let before = subject.at(ONE, Seq(4));
    check(&before, &at(25, 26, kinds()), &["a 2", "o 1", "b 1"]);
}

pub(super) fn history_pages_stay_whole_while_others_write(subject: &Subject<'_>) {
    fill(subject);
    let seq = subject.now(ONE).seq();
    for of in [
        HistoryOf::Kinds(vec![PATIENT]),
        HistoryOf::Record(PATIENT, "a".into()),
    ] {
        let whole = versions(&subject.at(ONE, seq).history(&history(of.clone())));
        let mut query = History {
            limit: 1,
            ..history(of)
        };
        let mut seen = Vec::new();
        loop {
            let found = subject.at(ONE, seq).history(&query);
            seen.extend(versions(&found));
            let next = subject.now(ONE).get(PATIENT, "a").unwrap().version + 1;
            let new = format!("new-{next}");
            subject.must(batch(50, vec![patient("a", next), patient(&new, 1)]));
            query.after = found.next;
            if query.after.is_none() {
                break;
            }
        }
        assert_eq!(seen, whole);
    }
}

/// Scope, record, and whether its batch ends there.
fn change(change: &Change) -> String {
    let record = &change.record;
    let end = if change.ends_batch { " end" } else { "" };
    format!(
        "{} {} {} {}{end}",
        change.scope.0, record.seq.0, record.id, record.version
    )
}

pub(super) fn changes_come_in_commit_order_of_all_scopes(subject: &Subject<'_>) {
    let audit = || vec![entry("e", &[]), entry("e", &[])];
    let mixed = vec![patient("a", 1), of_kind(OBSERVATION, patient("o", 1))];
    subject.must(Batch {
        audit: audit(),
        ..batch(10, mixed)
    });
    subject.must(Batch {
        audit: audit(),
        ..batch(10, vec![])
    });
    subject.must(Batch {
        scope: TWO,
        ..batch(20, vec![patient("a", 1)])
    });
    subject.must(batch(
        20,
        vec![deletion("a", 2), patient("b", 1), patient("c", 1)],
    ));
    let refused = subject.commit(batch(20, vec![patient("d", 1), patient("a", 1)]));
    assert!(refused.is_err());
    let all = [
        "1 1 a 1",
        "1 2 o 1 end",
        "2 7 a 1 end",
        "1 8 a 2",
        "1 9 b 1",
        "1 10 c 1 end",
    ];
    let changes = subject.changes(Seq(0), 100);
    let shown: Vec<_> = changes.iter().map(change).collect();
    assert_eq!(shown, all);
    for change in changes.iter().filter(|change| change.scope == ONE) {
        let record = &change.record;
        let read = subject
            .now(ONE)
            .version(record.kind, &record.id, record.version);
        assert_eq!(read.as_ref(), Some(record));
    }
    for (after, limit, expected) in [
        (0, 0, 0..0),
        (0, 1, 0..1),
        (0, 2, 0..2),
        (1, 2, 1..3),
        (2, 1, 2..3),
        (4, 9, 2..6),
        (7, 2, 3..5),
        (9, 5, 5..6),
        (10, 5, 6..6),
        (u64::MAX, 5, 6..6),
    ] {
        let some = subject.changes(Seq(after), limit);
        let shown: Vec<_> = some.iter().map(change).collect();
        assert_eq!(shown, all[expected], "after {after}, at most {limit}");
    }
}

fn fill_audit(subject: &Subject<'_>) {
    let log = |time_ms, audit| {
        subject.must(Batch {
            audit,
            ..batch(time_ms, vec![])
        })
    };
    log(10, vec![entry("1", &[(PATIENT, "a")]), entry("2", &[])]);
    log(
        20,
        vec![entry(
            "3",
            &[(PATIENT, "a"), (PATIENT, "b"), (PATIENT, "a")],
        )],
    );
    let with_put = vec![entry("4", &[(OBSERVATION, "a")])];
    subject.must(Batch {
        audit: with_put,
        ..batch(30, vec![patient("a", 1)])
    });
    // A clock that went back.
    log(
        15,
        vec![
            entry("5", &[(PATIENT, "aa")]),
            entry("6", &[(PATIENT, "a")]),
        ],
    );
    log(40, vec![entry("7", &[(PATIENT, "b")])]);
}

/// The entries of a request, as one page and in pages, in both directions.
#[track_caller]
fn check_audit(view: &View<'_>, query: &AuditQuery, expected: &str) {
    for ascending in [true, false] {
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        if !ascending {
            expected.reverse();
        }
        for limit in [1, 2, 3, 100, usize::MAX] {
            let mut query = AuditQuery {
                ascending,
                limit,
                ..query.clone()
            };
            let mut all = Vec::new();
            loop {
                let page = view.audit(&query);
                assert!(page.len() <= limit);
                query.after = page.last().map(|entry| entry.seq);
                let full = page.len() == limit;
                all.extend(page);
                if !full {
                    break;
                }
            }
            let bodies: Vec<_> = all
                .iter()
                .map(|entry| std::str::from_utf8(&entry.body).unwrap())
                .collect();
            assert_eq!(bodies, expected, "{query:?}");
        }
        let none = AuditQuery {
            ascending,
            limit: 0,
            ..query.clone()
        };
        assert_eq!(view.audit(&none), []);
    }
}

pub(super) fn audit_entries_come_in_both_orders_and_pages(subject: &Subject<'_>) {
    fill_audit(subject);
    let view = subject.now(ONE);
    check_audit(&view, &AuditQuery::default(), "1 2 3 4 5 6 7");
    let query = AuditQuery {
        limit: 10,
        ascending: true,
        ..AuditQuery::default()
    };
    let facts: Vec<_> = view
        .audit(&query)
        .iter()
        .map(|entry| (entry.seq.0, entry.time_ms))
        .collect();
    assert_eq!(
        facts,
        [
            (1, 10),
            (2, 10),
            (3, 20),
            (5, 30),
            (6, 15),
            (7, 15),
            (8, 40)
        ]
    );
    // A point between two entries, or beyond all, is a place to go on from too.
    let from = |after, ascending| {
        let query = AuditQuery {
            limit: 10,
            ascending,
            after: Some(Seq(after)),
            ..AuditQuery::default()
        };
        view.audit(&query)
            .iter()
            .map(|entry| entry.seq.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(from(4, true), [5, 6, 7, 8]);
    assert_eq!(from(4, false), [3, 2, 1]);
    assert_eq!(from(u64::MAX, true), [0; 0]);
    assert_eq!(from(u64::MAX, false), [8, 7, 6, 5, 3, 2, 1]);
    assert_eq!(from(0, true).len(), 7);
    assert_eq!(from(0, false), [0; 0]);
    check_audit(&subject.at(ONE, Seq(3)), &AuditQuery::default(), "1 2 3");
}

pub(super) fn audit_entries_are_found_by_what_they_are_about(subject: &Subject<'_>) {
    fill_audit(subject);
    let view = subject.now(ONE);
    let about = |kind, id: &str| AuditQuery {
        about: Some((kind, id.into())),
        ..AuditQuery::default()
    };
    check_audit(&view, &about(PATIENT, "a"), "1 3 6");
    check_audit(&view, &about(PATIENT, "b"), "3 7");
    check_audit(&view, &about(PATIENT, "aa"), "5");
    check_audit(&view, &about(OBSERVATION, "a"), "4");
    check_audit(&view, &about(OBSERVATION, "b"), "");
    check_audit(&view, &about(PATIENT, ""), "");
    let timed = AuditQuery {
        from_ms: Some(15),
        to_ms: Some(20),
        ..about(PATIENT, "a")
    };
    check_audit(&view, &timed, "6");
    check_audit(&subject.at(ONE, Seq(3)), &about(PATIENT, "a"), "1 3");
}

pub(super) fn audit_entries_are_found_by_time(subject: &Subject<'_>) {
    fill_audit(subject);
    let view = subject.now(ONE);
    let between = |from_ms, to_ms| AuditQuery {
        from_ms,
        to_ms,
        ..AuditQuery::default()
    };
    check_audit(&view, &between(Some(15), None), "3 4 5 6 7");
    check_audit(&view, &between(Some(16), None), "3 4 7");
    check_audit(&view, &between(None, Some(20)), "1 2 5 6");
    check_audit(&view, &between(Some(15), Some(30)), "3 5 6");
    check_audit(&view, &between(Some(30), Some(30)), "");
    check_audit(
        &view,
        &between(Some(i64::MIN), Some(i64::MAX)),
        "1 2 3 4 5 6 7",
    );
}
