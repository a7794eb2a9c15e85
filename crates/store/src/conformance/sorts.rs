//! Orders by every type of value, in both directions.

use super::data::*;
use super::pages::{by, check, sorted};
use super::values::{VALUE, fill};
use super::{Subject, View};
use crate::{Comparison, Filter, Kind, Sort, Test, Value};

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
    // By the folded text only: where that is the same, the newest is first.
    check_both(
        &view,
        "empty a low many ab B b high zero none",
        "high many B b ab low a empty zero none",
    );
}

pub(super) fn tokens_sort_by_code(subject: &Subject<'_>) {
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
    check_both(&view, "s za two b sb tb none", "two b sb tb za s none");
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
            ("uuid", to(Kind(3), "7d444840-9dc0-11d1-b245-5ffdce74fad2")),
            ("u-b", uri("b")),
            ("none", vec![]),
            ("u-a", uri("a")),
        ],
    );
    check_both(
        &view,
        "q2a q2g q10 uuid r2-1 r1-10 r1-2 u-a u-b none",
        "u-b u-a r1-2 r1-10 r2-1 uuid q10 q2a q2g none",
    );
}

pub(super) fn what_is_only_there_is_sorted_as_if_it_were_not(subject: &Subject<'_>) {
    for (n, value) in [text("m"), token("", "x")].into_iter().enumerate() {
        let of_kind = |id: &str, value: Option<Value>| {
            let values = value.map(|value| row(VALUE, value));
            patient_with(&format!("{id}{n}"), 1, values.into_iter().collect())
        };
        subject.must(batch(
            10,
            vec![
                of_kind("there", Some(token("", ""))),
                of_kind("value", Some(value)),
                of_kind("system", Some(token("s", ""))),
                of_kind("none", None),
            ],
        ));
    }
    let view = subject.now(ONE);
    let ids = |ids: &str| {
        let ids = ids.split_whitespace().map(Box::from);
        Filter::Ids(ids.collect())
    };
    for (filter, ascending, descending) in [
        (
            Filter::Everything,
            "system1 system0 value1 value0 none1 there1 none0 there0",
            "value0 value1 system1 system0 none1 there1 none0 there0",
        ),
        (
            Filter::Value(VALUE, Test::Present),
            "system1 system0 value1 value0 there1 there0",
            "value0 value1 system1 system0 there1 there0",
        ),
        (
            ids("there0 value0 none0"),
            "value0 none0 there0",
            "value0 none0 there0",
        ),
    ] {
        let query = sorted(filter.clone(), vec![by(VALUE, false)]);
        check(&view, &query, ascending);
        check(&view, &sorted(filter, vec![by(VALUE, true)]), descending);
    }
}

pub(super) fn strings_sort_beside_what_is_only_there(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("there", vec![token("", "")]),
            ("b", vec![text("b")]),
            ("both", vec![token("", ""), text("a")]),
            ("too", vec![token("", "")]),
            ("none", vec![]),
        ],
    );
    check(
        &view,
        &sorted(Filter::Everything, vec![by(VALUE, false)]),
        "both b none too there",
    );
    check(
        &view,
        &sorted(Filter::Everything, vec![by(VALUE, true)]),
        "b both none too there",
    );
    let has = Filter::Value(VALUE, Test::Present);
    check(
        &view,
        &sorted(has, vec![by(VALUE, true)]),
        "b both too there",
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
    let sort = |keys: &[&Sort]| {
        let keys = keys.iter().copied().cloned();
        sorted(Filter::Everything, keys.collect())
    };
    let (code, date) = (&by(CODE, false), &by(DATE, false));
    let (code_down, date_down) = (&by(CODE, true), &by(DATE, true));
    check(&view, &sort(&[code, date]), "x1 x2 x- y1b y1 -2 --");
    check(&view, &sort(&[code, date_down]), "x2 x1 x- y1b y1 -2 --");
    check(&view, &sort(&[code_down, date]), "y1b y1 x1 x2 x- -2 --");
    check(&view, &sort(&[date, code_down]), "y1b y1 x1 x2 -2 x- --");
    let id = &Sort::Id { descending: false };
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
    check(
        &view,
        &sorted(has_code("x"), vec![date_down.clone()]),
        "x2 x1 x-",
    );
}
