//! A batch happens whole or not at all, after all that came before it.

use super::Subject;
use super::data::*;
use crate::{
    At, AuditQuery, Batch, Content, Error, Filter, HistoryOf, Precondition, Put, Record, Seq,
};

pub(super) fn a_version_that_is_not_the_next_is_a_conflict(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1), patient("b", 1)]));
    subject.must(batch(10, vec![patient("a", 2)]));
    subject.must(batch(10, vec![deletion("b", 2)]));
    for (id, version) in [
        ("a", 1),
        ("a", 2),
        ("a", 4),
        ("b", 1),
        ("b", 2),
        ("b", 4),
        ("new", 2),
        ("a", u64::MAX),
    ] {
        let refused = subject.commit(batch(20, vec![patient(id, version)]));
        assert_conflict(refused, None);
    }
    let view = subject.now(ONE);
    assert_eq!(view.seq(), Seq(4));
    assert_eq!(body(&view.get(PATIENT, "a").unwrap()), "a 2");
    assert_eq!(body(&view.get(PATIENT, "b").unwrap()), "-");
    assert_eq!(view.get(PATIENT, "new"), None);
}

pub(super) fn a_failing_batch_leaves_nothing(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1)]));
    let version = Some(7);
    let wrong = Precondition::VersionIs {
        kind: PATIENT,
        id: "a".into(),
        version,
    };
    let rows = || vec![row(CODE, token("", "x"))];
    let puts = |last| {
        vec![
            patient_with("new", 1, rows()),
            patient_with("a", last, rows()),
        ]
    };
    let refused = |preconditions, puts| Batch {
        preconditions,
        audit: vec![entry("e", &[(PATIENT, "a")])],
        ..batch(20, puts)
    };
    assert_conflict(subject.commit(refused(vec![wrong], puts(2))), Some(0));
    assert_conflict(subject.commit(refused(vec![], puts(3))), None);
    assert_conflict(subject.commit(refused(vec![], puts(1))), None);
    let view = subject.now(ONE);
    assert_eq!(view.seq(), Seq(1));
    assert_eq!(view.get(PATIENT, "new"), None);
    assert_eq!(body(&view.get(PATIENT, "a").unwrap()), "a 1");
    assert_eq!(view.count(&patients(has_code("x"))), 0);
    let all = history(HistoryOf::Kinds(vec![PATIENT]));
    assert_eq!(versions(&view.history(&all)), ["a 1"]);
    let limit = 10;
    assert_eq!(
        view.audit(&AuditQuery {
            limit,
            ..AuditQuery::default()
        }),
        []
    );
    assert_eq!(subject.changes(Seq(0), 10).len(), 1);
    // What was refused may come again, without its fault.
    subject.must(refused(vec![], puts(2)));
    assert_eq!(subject.now(ONE).count(&patients(has_code("x"))), 2);
}

pub(super) fn the_first_failing_precondition_is_named(subject: &Subject<'_>) {
    let rows = vec![row(CODE, token("", "x"))];
    subject.must(batch(10, vec![patient_with("a", 1, rows)]));
    let is = |version| Precondition::VersionIs {
        kind: PATIENT,
        id: "a".into(),
        version,
    };
    let none = |code| Precondition::NoneMatch(patients(has_code(code)));
    for (preconditions, failing) in [
        (vec![is(Some(2)), none("x")], 0),
        (vec![is(Some(1)), none("x"), is(None)], 1),
        (vec![none("y"), is(Some(1)), is(None), none("x")], 2),
    ] {
        // The put would be a conflict too; preconditions come first.
        let refused = Batch {
            preconditions,
            ..batch(20, vec![patient("a", 9)])
        };
        assert_conflict(subject.commit(refused), Some(failing));
    }
    let preconditions = vec![is(Some(1)), none("y")];
    subject.must(Batch {
        preconditions,
        ..batch(20, vec![patient("b", 1)])
    });
}

pub(super) fn version_is_compares_the_newest_version(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1), patient("gone", 1)]));
    subject.must(batch(20, vec![patient("a", 2), deletion("gone", 2)]));
    for (id, truth) in [("a", Some(2)), ("gone", Some(2)), ("never", None)] {
        for version in [None, Some(0), Some(1), Some(2), Some(3)] {
            let id = id.into();
            let is = Precondition::VersionIs {
                kind: PATIENT,
                id,
                version,
            };
            let result = subject.commit(Batch {
                preconditions: vec![is],
                ..batch(30, vec![])
            });
            match version == truth {
                true => assert_eq!(result.unwrap().seq, Seq(4)),
                false => assert_conflict(result, Some(0)),
            }
        }
    }
}

pub(super) fn none_match_looks_at_current_records_only(subject: &Subject<'_>) {
    let with =
        |id: &str, version, code: &str| patient_with(id, version, vec![row(CODE, token("", code))]);
    let first = vec![
        with("a", 1, "old"),
        with("b", 1, "gone"),
        with("c", 1, "kept"),
    ];
    subject.must(batch(10, first));
    subject.must(batch(20, vec![with("a", 2, "new"), deletion("b", 2)]));
    let passes = |query| {
        let preconditions = vec![Precondition::NoneMatch(query)];
        match subject.commit(Batch {
            preconditions,
            ..batch(30, vec![])
        }) {
            Ok(_) => true,
            Err(Error::Conflict {
                precondition: Some(0),
            }) => false,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(passes(patients(has_code("old"))));
    assert!(passes(patients(has_code("gone"))));
    assert!(passes(query(OBSERVATION, has_code("new"))));
    assert!(passes(patients(Filter::Nothing)));
    assert!(!passes(patients(has_code("new"))));
    assert!(!passes(patients(has_code("kept"))));
    assert!(!passes(patients(Filter::Everything)));
    assert!(!passes(patients(Filter::Not(Box::new(has_code("new"))))));
    // The limit of the query has no effect.
    assert!(!passes(crate::Query {
        limit: 0,
        ..patients(has_code("new"))
    }));
}

pub(super) fn preconditions_see_the_state_before_the_batch(subject: &Subject<'_>) {
    let rows = || vec![row(CODE, token("", "x"))];
    let preconditions = vec![
        Precondition::NoneMatch(patients(has_code("x"))),
        Precondition::VersionIs {
            kind: PATIENT,
            id: "a".into(),
            version: None,
        },
    ];
    let both = vec![patient_with("a", 1, rows()), patient_with("b", 1, rows())];
    subject.must(Batch {
        preconditions: preconditions.clone(),
        ..batch(10, both)
    });
    let next = batch(20, vec![deletion("a", 2), deletion("b", 2)]);
    assert_conflict(
        subject.commit(Batch {
            preconditions,
            ..next
        }),
        Some(0),
    );
}

pub(super) fn impossible_batches_are_misuse(subject: &Subject<'_>) {
    let rows = vec![row(CODE, token("", "x"))];
    let long = "x".repeat(65);
    let is = |id: &str| Precondition::VersionIs {
        kind: PATIENT,
        id: id.into(),
        version: None,
    };
    for (what, impossible) in [
        (
            "a record twice",
            batch(10, vec![patient("a", 1), patient("a", 2)]),
        ),
        (
            "a record twice, apart",
            batch(10, vec![patient("a", 1), patient("b", 1), patient("a", 1)]),
        ),
        ("version 0", batch(10, vec![patient("a", 0)])),
        (
            "a deletion with rows",
            batch(
                10,
                vec![Put {
                    rows,
                    ..deletion("a", 1)
                }],
            ),
        ),
        (
            "an id too long in a precondition",
            Batch {
                preconditions: vec![is(&long)],
                ..batch(10, vec![])
            },
        ),
        (
            "an empty id in a precondition",
            Batch {
                preconditions: vec![is("")],
                ..batch(10, vec![])
            },
        ),
        (
            "an entry about no id",
            Batch {
                audit: vec![entry("e", &[(PATIENT, "")])],
                ..batch(10, vec![])
            },
        ),
    ] {
        let refused = subject.commit(impossible);
        assert!(
            matches!(refused, Err(Error::Misuse(_))),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(subject.now(ONE).seq(), Seq(0));
    // The same id in two kinds is no duplicate.
    subject.must(batch(
        10,
        vec![patient("a", 1), of_kind(OBSERVATION, patient("a", 1))],
    ));
}

pub(super) fn an_empty_batch_changes_nothing(subject: &Subject<'_>) {
    assert_eq!(subject.must(batch(10, vec![])).seq, Seq(0));
    subject.must(batch(10, vec![patient("a", 1)]));
    assert_eq!(subject.must(batch(20, vec![])).seq, Seq(1));
    assert_eq!(subject.now(ONE).seq(), Seq(1));
    assert_eq!(subject.changes(Seq(0), 10).len(), 1);
}

pub(super) fn points_are_counted_without_gaps(subject: &Subject<'_>) {
    let audit = || vec![entry("1", &[]), entry("2", &[])];
    let both = batch(10, vec![patient("a", 1), patient("b", 1)]);
    assert_eq!(
        subject
            .must(Batch {
                audit: audit(),
                ..both
            })
            .seq,
        Seq(4)
    );
    let refused = batch(20, vec![patient("c", 1), patient("a", 1)]);
    assert_conflict(subject.commit(refused), None);
    let elsewhere = Batch {
        scope: TWO,
        ..batch(30, vec![patient("a", 1)])
    };
    assert_eq!(subject.must(elsewhere).seq, Seq(5));
    let only_audit = Batch {
        audit: audit(),
        ..batch(40, vec![])
    };
    assert_eq!(subject.must(only_audit).seq, Seq(7));
    let view = subject.now(ONE);
    let seq = |id| view.get(PATIENT, id).unwrap().seq;
    assert_eq!((seq("a"), seq("b")), (Seq(1), Seq(2)));
    let query = AuditQuery {
        limit: 10,
        ascending: true,
        ..AuditQuery::default()
    };
    let entries: Vec<_> = view.audit(&query).iter().map(|entry| entry.seq.0).collect();
    assert_eq!(entries, [3, 4, 6, 7]);
}

pub(super) fn a_snapshot_does_not_change(subject: &Subject<'_>) {
    let with =
        |id: &str, version, code: &str| patient_with(id, version, vec![row(CODE, token("", code))]);
    let audit = vec![entry("1", &[(PATIENT, "a")])];
    let first = vec![with("a", 1, "x"), with("b", 1, "x"), with("c", 1, "x")];
    subject.must(Batch {
        audit,
        ..batch(10, first)
    });
    let open = subject.now(ONE);
    let audit = vec![entry("2", &[(PATIENT, "a")])];
    let second = vec![
        with("a", 2, "x"),
        with("b", 2, "y"),
        deletion("c", 2),
        with("d", 1, "x"),
    ];
    subject.must(Batch {
        audit,
        ..batch(20, second)
    });
    subject.must(batch(30, vec![with("c", 3, "x")]));
    let again = subject.at(ONE, open.seq());
    assert_eq!(again.seq(), open.seq());
    for view in [open, again] {
        assert_eq!(body(&view.get(PATIENT, "a").unwrap()), "a 1");
        assert_eq!(body(&view.get(PATIENT, "c").unwrap()), "c 1");
        assert_eq!(view.get(PATIENT, "d"), None);
        assert_eq!(view.version(PATIENT, "a", 2), None);
        assert_eq!(body(&view.version(PATIENT, "a", 1).unwrap()), "a 1");
        let found = view.find(&patients(has_code("x")));
        assert_eq!(versions(&found), ["c 1", "b 1", "a 1"]);
        assert_eq!(view.count(&patients(has_code("x"))), 3);
        assert_eq!(view.count(&patients(has_code("y"))), 0);
        let all = view.history(&history(HistoryOf::Kinds(vec![PATIENT])));
        assert_eq!(versions(&all), ["c 1", "b 1", "a 1"]);
        let limit = 10;
        let entries = view.audit(&AuditQuery {
            limit,
            ..AuditQuery::default()
        });
        assert_eq!(entries.len(), 1);
    }
    let now = subject.now(ONE).find(&patients(has_code("x")));
    assert_eq!(versions(&now), ["c 3", "d 1", "a 2"]);
}

pub(super) fn every_point_keeps_its_counts(subject: &Subject<'_>) {
    let rows = || vec![row(CODE, token("", "x"))];
    let put = |id, version| patient_with(id, version, rows());
    // What each batch does, and how many there are after it.
    let batches = [
        (vec![put("a", 1)], 1),
        (vec![put("b", 1)], 2),
        (vec![deletion("a", 2)], 1),
        (vec![deletion("b", 2)], 0),
        (vec![put("a", 3)], 1),
        (vec![put("a", 4)], 1),
        (vec![deletion("a", 5)], 0),
        (vec![of_kind(OBSERVATION, put("a", 1))], 0),
    ];
    let mut points = vec![(Seq(0), 0)];
    for (puts, count) in batches {
        points.push((subject.must(batch(10, puts)).seq, count));
        for (seq, count) in &points {
            let view = subject.at(ONE, *seq);
            let has_none = Filter::Not(Box::new(has_code("y")));
            for filter in [Filter::Everything, has_code("x"), has_none] {
                let found = view.find(&patients(filter.clone()));
                assert_eq!(found.hits.len() as u64, *count, "{filter:?} at {seq:?}");
                assert_eq!(view.count(&patients(filter)), *count, "at {seq:?}");
            }
        }
    }
}

pub(super) fn a_point_never_reached_is_gone(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1)]));
    for seq in [Seq(2), Seq(u64::MAX)] {
        let refused = subject.open(ONE, At::Seq(seq)).err();
        assert!(
            matches!(refused, Some(Error::SnapshotGone(gone)) if gone == seq),
            "{refused:?}"
        );
    }
}

pub(super) fn a_closed_store_refuses_commits(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1)]));
    let store = subject.store();
    subject.wait(store.close()).expect("it closes");
    let refused = subject.wait(store.commit(batch(20, vec![patient("b", 1)])));
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let unready = subject.wait(store.ready());
    assert!(matches!(unready, Err(Error::Unavailable(_))), "{unready:?}");
    // To close again is no error, and the store may be opened again.
    subject.wait(store.close()).expect("it is closed");
    drop(store);
    if subject.reopen() {
        assert_eq!(subject.now(ONE).seq(), Seq(1));
        subject.must(batch(30, vec![patient("b", 1)]));
    }
}

pub(super) fn what_was_committed_is_there_after_reopening(subject: &Subject<'_>) {
    let mut seen = Vec::new();
    for round in 0..5_u64 {
        let rows = vec![row(CODE, token("", "x")), row(DATE, date(5, 6))];
        let puts = vec![
            patient_with("a", round + 1, rows),
            patient(&format!("p{round}"), 1),
        ];
        let audit = vec![entry("e", &[(PATIENT, "a")])];
        let committed = subject.must(Batch {
            audit,
            ..batch(10, puts)
        });
        assert_eq!(committed.seq, Seq(3 * (round + 1)));
        seen = read_back(subject);
        if !subject.reopen() {
            return;
        }
        assert_eq!(read_back(subject), seen);
    }
    assert_eq!(seen.len(), 5 + 1 + 10 + 10 + 5);
    // Points from before are still there, within their ten minutes.
    let before = subject.at(ONE, Seq(6));
    assert_eq!(body(&before.get(PATIENT, "a").unwrap()), "a 2");
}

/// Everything that the store shows, as a flat list of points and contents.
fn read_back(subject: &Subject<'_>) -> Vec<(u64, Vec<u8>)> {
    let view = subject.now(ONE);
    let content = |record: &Record| match &record.content {
        Content::Body(bytes) => (record.seq.0, bytes.to_vec()),
        Content::Deleted => (record.seq.0, Vec::new()),
    };
    let current = view.find(&patients(Filter::Everything)).hits;
    let mut seen: Vec<_> = current.iter().map(|hit| content(&hit.record)).collect();
    let all = view.history(&history(HistoryOf::Kinds(vec![PATIENT]))).hits;
    seen.extend(all.iter().map(|hit| content(&hit.record)));
    let changes = subject.changes(Seq(0), 1_000);
    seen.extend(changes.iter().map(|change| content(&change.record)));
    let limit = 1_000;
    let audit = view.audit(&AuditQuery {
        limit,
        ..AuditQuery::default()
    });
    seen.extend(audit.iter().map(|entry| (entry.seq.0, entry.body.to_vec())));
    seen
}

#[track_caller]
fn assert_conflict(result: Result<crate::Committed, Error>, expected: Option<usize>) {
    match result {
        Err(Error::Conflict { precondition }) => assert_eq!(precondition, expected),
        other => panic!("expected a conflict, got {other:?}"),
    }
}
