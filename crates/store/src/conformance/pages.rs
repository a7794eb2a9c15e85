//! Order and pages.

use super::data::*;
use super::{Subject, View};
use crate::{Batch, Comparison, Filter, Kind, Param, Put, Query, Row, Seq, Sort, Test, Value};

const VALUE: Param = Param::named("Patient", "value");

/// The records of a query, as one page and as pages of every small size, are
/// these in this order.
#[track_caller]
fn check(view: &View<'_>, query: &Query, expected: &str) {
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
    let mut pages = Vec::new();
    loop {
        let found = view.find(&query);
        pages.push(ids(&found).into_iter().map(str::to_owned).collect());
        match found.next {
            Some(next) => query.after = Some(next),
            None => return pages,
        }
    }
}

fn sorted(filter: Filter, sort: Vec<Sort>) -> Query {
    Query {
        sort,
        ..patients(filter)
    }
}

fn by(param: Param, descending: bool) -> Sort {
    Sort::Value { param, descending }
}

fn fill<'a>(subject: &'a Subject<'a>, records: Vec<(&str, Vec<Value>)>) -> View<'a> {
    let rows = |values: Vec<Value>| values.into_iter().map(|value| row(VALUE, value)).collect();
    let puts = records
        .into_iter()
        .map(|(id, values)| patient_with(id, 1, rows(values)));
    subject.must(batch(10, puts.collect()));
    subject.now(ONE)
}

/// Ascending and descending, with and without a filter that an index could serve.
#[track_caller]
fn check_both(view: &View<'_>, ascending: &str, descending: &str) {
    for filter in [Filter::Everything, Filter::Not(Box::new(Filter::Nothing))] {
        check(
            view,
            &sorted(filter.clone(), vec![by(VALUE, false)]),
            ascending,
        );
        check(view, &sorted(filter, vec![by(VALUE, true)]), descending);
    }
    let present = |value: &str| {
        let missing = ["none", "zero"];
        let ids = value.split_whitespace().filter(|id| !missing.contains(id));
        ids.collect::<Vec<_>>().join(" ")
    };
    let has = Filter::Value(VALUE, Test::Present);
    check(
        view,
        &sorted(has.clone(), vec![by(VALUE, false)]),
        &present(ascending),
    );
    check(
        view,
        &sorted(has, vec![by(VALUE, true)]),
        &present(descending),
    );
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

pub(super) fn strings_and_tokens_sort_by_their_text(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("none", vec![]),
            ("b", vec![text("b")]),
            ("B", vec![text("B")]),
            ("ab", vec![text("ab")]),
            ("a", vec![text("a")]),
            ("empty", vec![text("")]),
            ("many", vec![text("c"), text("aa"), text("z")]),
            ("zero", vec![]),
            ("low", vec![text("a\0b")]),
            ("high", vec![text("é")]),
        ],
    );
    // Folded text first, then the exact one; capitals stand before small letters.
    check_both(
        &view,
        "empty a low many ab B b high zero none",
        "high many b B ab low a empty zero none",
    );
}

pub(super) fn tokens_sort_by_code_then_system(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("tb", vec![token("t", "b")]),
            ("sb", vec![token("s", "b")]),
            ("za", vec![token("z", "a")]),
            ("none", vec![]),
            ("b", vec![token("", "b")]),
            ("s", vec![token("s", "")]),
            ("two", vec![token("", "bb"), token("", "aa")]),
        ],
    );
    check_both(&view, "s za two b sb tb none", "two tb sb b za s none");
}

pub(super) fn dates_sort_by_their_start(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("ten", vec![date(10, 20)]),
            ("short", vec![date(10, 15)]),
            ("none", vec![]),
            ("ever", vec![date(i64::MIN, i64::MAX)]),
            ("negative", vec![date(-10, -5)]),
            ("last", vec![date(i64::MAX - 1, i64::MAX)]),
            ("wide", vec![date(0, 5), date(100, 200)]),
            ("same", vec![date(10, 20)]),
        ],
    );
    check_both(
        &view,
        "ever negative wide short same ten last none",
        "last wide same ten short negative ever none",
    );
}

pub(super) fn numbers_sort_as_numbers(subject: &Subject<'_>) {
    let number = |text| vec![Value::Number(decimal(text))];
    let view = fill(
        subject,
        vec![
            ("ten", number("10")),
            ("none", vec![]),
            ("nine", number("9.0")),
            ("minus", number("-1")),
            ("less", number("-10.5")),
            ("zero-number", number("0")),
            ("huge", number("1e200")),
            ("tiny", number("1e-200")),
            ("more", number("10.00000000000000000000001")),
            (
                "two",
                vec![Value::Number(decimal("-3")), Value::Number(decimal("50"))],
            ),
        ],
    );
    check_both(
        &view,
        "less two minus zero-number tiny nine ten more huge none",
        "huge two more ten nine tiny zero-number minus less none",
    );
}

pub(super) fn quantities_references_and_uris_sort(subject: &Subject<'_>) {
    let quantity = |value, code: &str| {
        let (system, code) = ("u".into(), code.into());
        vec![Value::Quantity {
            value: decimal(value),
            system,
            code,
        }]
    };
    let to = |kind, id: &str| {
        vec![Value::Reference {
            kind,
            id: id.into(),
        }]
    };
    let uri = |uri: &str| vec![Value::Uri(uri.into())];
    let view = fill(
        subject,
        vec![
            ("q2g", quantity("2", "g")),
            ("q10", quantity("10", "a")),
            ("q2a", quantity("2.0", "a")),
            ("r2-1", to(Kind(2), "1")),
            ("r1-2", to(Kind(1), "2")),
            ("r1-10", to(Kind(1), "10")),
            ("u-b", uri("b")),
            ("none", vec![]),
            ("u-a", uri("a")),
        ],
    );
    check_both(
        &view,
        "q2a q2g q10 r1-10 r1-2 r2-1 u-a u-b none",
        "u-b u-a r2-1 r1-2 r1-10 q10 q2g q2a none",
    );
}

pub(super) fn times_and_ids_sort_both_ways(subject: &Subject<'_>) {
    for (id, time_ms) in [
        ("b", 20),
        ("a", 30),
        ("aa", -5),
        ("B", 20),
        ("c", i64::MAX),
        ("d", i64::MIN),
    ] {
        subject.must(batch(time_ms, vec![patient(id, 1)]));
    }
    let view = subject.now(ONE);
    let updated = |descending| vec![Sort::Updated { descending }];
    check(
        &view,
        &sorted(Filter::Everything, updated(false)),
        "d aa B b a c",
    );
    check(
        &view,
        &sorted(Filter::Everything, updated(true)),
        "c a B b aa d",
    );
    let id = |descending| vec![Sort::Id { descending }];
    check(
        &view,
        &sorted(Filter::Everything, id(false)),
        "B a aa b c d",
    );
    check(&view, &sorted(Filter::Everything, id(true)), "d c b aa a B");
    let some = Filter::Updated(Comparison::After, 0, 20);
    check(&view, &sorted(some, id(true)), "c b a B");
}

pub(super) fn keys_decide_one_after_the_other(subject: &Subject<'_>) {
    let put = |id: &str, code: Option<&str>, day: Option<i64>| {
        let code = code.map(|code| row(CODE, token("", code)));
        let day = day.map(|day| row(DATE, date(day, day + 1)));
        patient_with(id, 1, code.into_iter().chain(day).collect())
    };
    subject.must(batch(
        10,
        vec![
            put("x1", Some("x"), Some(1)),
            put("x2", Some("x"), Some(2)),
            put("x-", Some("x"), None),
            put("y1", Some("y"), Some(1)),
            put("y1b", Some("y"), Some(1)),
            put("-2", None, Some(2)),
            put("--", None, None),
        ],
    ));
    let view = subject.now(ONE);
    let sort = |keys: &[Sort]| sorted(Filter::Everything, keys.to_vec());
    let (code, date) = (by(CODE, false), by(DATE, false));
    let (code_down, date_down) = (by(CODE, true), by(DATE, true));
    check(&view, &sort(&[code, date]), "x1 x2 x- y1b y1 -2 --");
    check(&view, &sort(&[code, date_down]), "x2 x1 x- y1b y1 -2 --");
    check(&view, &sort(&[code_down, date]), "y1b y1 x1 x2 x- -2 --");
    check(&view, &sort(&[date, code_down]), "y1b y1 x1 x2 -2 x- --");
    let id = Sort::Id { descending: false };
    check(
        &view,
        &sort(&[date_down, code, id]),
        "x2 -2 x1 y1 y1b x- --",
    );
    check(
        &view,
        &sort(&[code, code_down, id]),
        "x- x1 x2 y1 y1b -- -2",
    );
    check(&view, &sorted(has_code("x"), vec![date_down]), "x2 x1 x-");
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
    let after = first.next.clone();
    assert!(after.is_some());
    let none = view.find(&Query {
        limit: 0,
        after: after.clone(),
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
    let long = vec![0xFF; 10_000];
    for bytes in [
        &[][..],
        &[0],
        &[0xFF; 8],
        &[0x80; 9],
        b"\x01\x02\x03\x04\x05",
        &long,
    ] {
        for sort in [
            vec![],
            vec![by(CODE, true)],
            vec![Sort::Id { descending: false }],
        ] {
            let after = Some(crate::Position(bytes.to_vec()));
            let query = Query {
                after: after.clone(),
                ..sorted(Filter::Everything, sort)
            };
            let result = subject.wait(view.snapshot.find(&query));
            assert!(
                matches!(result, Ok(_) | Err(crate::Error::Misuse(_))),
                "{result:?}"
            );
            let kinds = crate::HistoryOf::Kinds(vec![PATIENT]);
            let of_kinds = crate::History {
                after,
                ..history(kinds)
            };
            let result = subject.wait(view.snapshot.history(&of_kinds));
            assert!(
                matches!(result, Ok(_) | Err(crate::Error::Misuse(_))),
                "{result:?}"
            );
        }
    }
}
