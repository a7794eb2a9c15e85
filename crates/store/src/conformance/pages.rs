//! Pages: none lost, none twice, whatever happens meanwhile.

use super::data::*;
use super::{Subject, View};
use crate::{
    Batch, Error, Filter, History, HistoryOf, Param, Position, Put, Query, Row, Seq, Sort,
};

/// The records of a query, as one page and as pages of every small size, are
/// these in this order.
#[track_caller]
pub(super) fn check(view: &View<'_>, query: &Query, expected: &str) {
    let expected: Vec<&str> = expected.split_whitespace().collect();
    for limit in [
        1,
        2,
        3,
        expected.len().max(1),
        expected.len() + 1,
        usize::MAX,
    ] {
        let pages = pages(view, query, limit);
        let all: Vec<&str> = pages.iter().flatten().map(String::as_str).collect();
        assert_eq!(all, expected, "{query:?} in pages of {limit}");
        let full = pages.iter().rev().skip(1).all(|page| page.len() == limit);
        assert!(full, "a page is short: {pages:?}");
        let count = expected.len().div_ceil(limit).max(1);
        assert_eq!(pages.len(), count, "{pages:?}");
        let rest = expected.len() - (count - 1) * limit.min(expected.len());
        let at_end = Query {
            limit: rest.max(1),
            after: Some(Position::End),
            ..query.clone()
        };
        let found = view.find(&at_end);
        assert_eq!(ids(&found), *pages.last().unwrap_or(&Vec::new()));
        assert_eq!((found.next, found.previous.is_some()), (None, count > 1));
    }
    assert_eq!(view.count(query), expected.len() as u64);
}

/// The ids on each page.
#[track_caller]
fn pages(view: &View<'_>, query: &Query, limit: usize) -> Vec<Vec<String>> {
    let mut query = Query {
        limit,
        ..query.clone()
    };
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut found = view.find(&query);
    loop {
        pages.push(ids(&found).into_iter().map(str::to_owned).collect());
        let Some(next) = found.next else { break };
        query.after = Some(next);
        found = view.find(&query);
    }
    // Turned back, each shows what it showed before.
    for page in pages.iter().rev().skip(1) {
        query.after = found.previous;
        found = view.find(&query);
        assert_eq!(ids(&found), *page, "{query:?} backwards");
    }
    assert_eq!(found.previous, None, "{query:?}");
    pages
}

pub(super) fn sorted(filter: Filter, sort: Vec<Sort>) -> Query {
    Query {
        sort,
        ..patients(filter)
    }
}

pub(super) fn by(param: Param, descending: bool) -> Sort {
    Sort::Value { param, descending }
}

pub(super) fn without_keys_the_newest_write_comes_first(subject: &Subject<'_>) {
    let codes = |code| vec![row(CODE, token("", code))];
    let put = |id, version, code| patient_with(id, version, codes(code));
    subject.must(batch(
        30,
        vec![put("a", 1, "x"), put("b", 1, "y"), put("c", 1, "x")],
    ));
    subject.must(batch(20, vec![put("d", 1, "x")]));
    subject.must(batch(10, vec![put("b", 2, "x"), put("a", 2, "x")]));
    let view = subject.now(ONE);
    check(&view, &patients(Filter::Everything), "a b d c");
    check(&view, &patients(has_code("x")), "a b d c");
    check(&view, &patients(has_code("y")), "");
    check(
        &view,
        &patients(Filter::Ids(["c", "a", "d"].map(Box::from).into())),
        "a d c",
    );
    let either = vec![has_code("y"), has_code("x")];
    check(&view, &patients(Filter::Any(either)), "a b d c");
}

pub(super) fn a_limit_of_zero_gives_nothing(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1), patient("b", 1)]));
    let view = subject.now(ONE);
    let query = patients(Filter::Everything);
    let none = view.find(&Query {
        limit: 0,
        ..query.clone()
    });
    assert_eq!((none.hits.len(), none.next), (0, None));
    let first = view.find(&Query {
        limit: 1,
        ..query.clone()
    });
    let after = first.next;
    assert!(after.is_some());
    let none = view.find(&Query {
        limit: 0,
        after,
        ..query.clone()
    });
    assert_eq!((none.hits.len(), none.next), (0, None));
    // Neither limit nor position changes a count.
    assert_eq!(
        view.count(&Query {
            limit: 0,
            after,
            ..query
        }),
        2
    );
}

pub(super) fn pages_stay_whole_while_others_write(subject: &Subject<'_>) {
    let rows = |n: u64| -> Vec<Row> {
        vec![
            row(CODE, token("s", "x")),
            row(DATE, date((n as i64 * 37) % 50, 100)),
        ]
    };
    let put =
        |n: u64, version| -> Put { patient_with(&format!("p{n:03}"), version, rows(n + version)) };
    subject.must(batch(10, (0..60).map(|n| put(n, 1)).collect()));
    let open = subject.now(ONE);
    let seq = open.seq();
    let sorts = [
        vec![],
        vec![by(DATE, false)],
        vec![by(DATE, true)],
        vec![Sort::Id { descending: true }],
        vec![Sort::Updated { descending: false }, by(CODE, true)],
    ];
    let queries = sorts.map(|sort| sorted(has_code("x"), sort));
    let whole: Vec<Vec<String>> = queries
        .iter()
        .map(|query| pages(&open, query, 1_000).concat())
        .collect();
    drop(open);
    let mut versions = [1_u64; 60];
    for (query, whole) in queries.iter().zip(whole) {
        let mut query = Query {
            limit: 7,
            ..query.clone()
        };
        let mut seen = Vec::new();
        loop {
            // Each page opens the snapshot anew, after more was written.
            let found = subject.at(ONE, seq).find(&query);
            assert!(found.hits.iter().all(|hit| hit.record.version == 1));
            seen.extend(ids(&found).into_iter().map(str::to_owned));
            change_some(subject, &mut versions, seen.len(), put);
            let Some(next) = found.next else { break };
            query.after = Some(next);
        }
        assert_eq!(seen, whole, "{query:?}");
    }
    assert!(subject.now(ONE).seq() > Seq(seq.0 + 100));
}

/// Updates some records, deletes one, creates one.
fn change_some(
    subject: &Subject<'_>,
    versions: &mut [u64; 60],
    step: usize,
    put: impl Fn(u64, u64) -> Put,
) {
    let mut puts = Vec::new();
    for n in [step % 60, (step + 17) % 60, (step + 31) % 60] {
        versions[n] += 1;
        let version = versions[n];
        let id = format!("p{n:03}");
        puts.push(match n % 5 {
            0 => deletion(&id, version),
            _ => put(n as u64, version),
        });
    }
    let created = subject.now(ONE).seq().0 + 1_000;
    puts.push(put(created, 1));
    subject.must(Batch {
        scope: ONE,
        ..batch(20, puts)
    });
}

pub(super) fn a_position_from_nowhere_breaks_nothing(subject: &Subject<'_>) {
    subject.must(batch(
        10,
        (0..5).map(|n| patient(&format!("p{n}"), 1)).collect(),
    ));
    let view = subject.now(ONE);
    let seqs = [0, 1, 1_000, u64::MAX - 1, u64::MAX].map(Seq);
    let positions = seqs.map(|seq| [Position::After(seq), Position::UpTo(seq)]);
    for after in positions.into_iter().flatten() {
        for sort in [
            vec![],
            vec![by(CODE, true)],
            vec![Sort::Id { descending: false }],
        ] {
            let query = Query {
                after: Some(after),
                ..sorted(Filter::Everything, sort)
            };
            let result = subject.wait(view.snapshot.find(&query));
            assert!(
                matches!(result, Ok(_) | Err(Error::Misuse(_))),
                "{result:?}"
            );
            let kinds = HistoryOf::Kinds(vec![PATIENT]);
            let of_kinds = History {
                after: Some(after),
                ..history(kinds)
            };
            let result = subject.wait(view.snapshot.history(&of_kinds));
            assert!(
                matches!(result, Ok(_) | Err(Error::Misuse(_))),
                "{result:?}"
            );
        }
    }
}
