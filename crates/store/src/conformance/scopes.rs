//! Nothing of one scope shows in another.

use super::Subject;
use super::data::*;
use crate::{AuditQuery, Batch, Filter, History, HistoryOf, Precondition, Query, Scope, Seq, Sort};

/// Neighbours, and numbers whose bytes begin alike.
const SCOPES: [Scope; 6] = [
    Scope::SYSTEM,
    ONE,
    TWO,
    Scope(256),
    Scope(257),
    Scope(u32::MAX),
];

/// In scope `n` of the list: `n + 1` versions of `a`, and one record of its own.
fn fill(subject: &Subject<'_>) {
    for (index, scope) in SCOPES.into_iter().enumerate() {
        let rows = || {
            vec![
                row(CODE, token("", "x")),
                row(DATE, date(index as i64, 100)),
            ]
        };
        for version in 1..=index as u64 + 1 {
            let audit = vec![entry(&format!("{index}"), &[(PATIENT, "a")])];
            let puts = vec![patient_with("a", version, rows())];
            subject.must(Batch {
                scope,
                audit,
                ..batch(version as i64, puts)
            });
        }
        let own = patient_with(&format!("own-{index}"), 1, rows());
        subject.must(Batch {
            scope,
            ..batch(100, vec![own])
        });
    }
}

pub(super) fn no_read_shows_another_scope(subject: &Subject<'_>) {
    fill(subject);
    let sort = Sort::Value {
        param: DATE,
        descending: true,
    };
    for (index, scope) in SCOPES.into_iter().enumerate() {
        let view = subject.now(scope);
        let newest = index as u64 + 1;
        let own = format!("own-{index}");
        assert_eq!(view.get(PATIENT, "a").unwrap().version, newest);
        assert_eq!(view.version(PATIENT, "a", newest + 1), None);
        for other in (0..SCOPES.len()).filter(|&other| other != index) {
            assert_eq!(view.get(PATIENT, &format!("own-{other}")), None);
            let by_id = patients(Filter::Ids(vec![format!("own-{other}").into()]));
            assert_eq!(view.find(&by_id).hits, []);
        }
        for filter in [Filter::Everything, has_code("x")] {
            let query = patients(filter);
            assert_eq!(ids(&view.find(&query)), [&*own, "a"]);
            assert_eq!(view.count(&query), 2);
            let page = view.find(&Query {
                sort: vec![sort.clone()],
                limit: 1,
                ..query.clone()
            });
            let rest = Query {
                sort: vec![sort.clone()],
                after: page.next,
                ..query
            };
            assert_eq!(
                (ids(&page), ids(&view.find(&rest))),
                (vec![&*own], vec!["a"])
            );
        }
        let all = history(HistoryOf::Kinds(vec![PATIENT]));
        assert_eq!(view.history(&all).hits.len() as u64, newest + 1);
        let of = HistoryOf::Record(PATIENT, "a".into());
        let one = view.history(&History {
            limit: 100,
            ..history(of)
        });
        assert_eq!(one.hits.len() as u64, newest);
        for about in [None, Some((PATIENT, "a".into()))] {
            let entries = view.audit(&AuditQuery {
                about,
                limit: 100,
                ..AuditQuery::default()
            });
            assert_eq!(entries.len() as u64, newest);
            assert!(
                entries
                    .iter()
                    .all(|entry| entry.body == index.to_string().as_bytes())
            );
        }
    }
    let absent = subject.now(Scope(3));
    assert_eq!(absent.count(&patients(Filter::Everything)), 0);
    assert_eq!(absent.get(PATIENT, "a"), None);
    // The feed alone shows all scopes, and says which.
    let changes = subject.changes(Seq(0), 1_000);
    let of = |scope| {
        changes
            .iter()
            .filter(|change| change.scope == scope)
            .count()
    };
    assert_eq!(SCOPES.map(of), [2, 3, 4, 5, 6, 7]);
}

pub(super) fn preconditions_see_their_own_scope(subject: &Subject<'_>) {
    fill(subject);
    let is = |version| Precondition::VersionIs {
        kind: PATIENT,
        id: "a".into(),
        version,
    };
    for (index, scope) in SCOPES.into_iter().enumerate() {
        let own = vec![is(Some(index as u64 + 1))];
        subject.must(Batch {
            scope,
            preconditions: own,
            ..batch(0, vec![])
        });
    }
    let preconditions = vec![
        is(None),
        Precondition::NoneMatch(patients(Filter::Everything)),
    ];
    let put = vec![patient("a", 1)];
    subject.must(Batch {
        scope: Scope(3),
        preconditions,
        ..batch(0, put)
    });
}
