//! Every way to combine tests, and what they look at.

use super::Subject;
use super::data::*;
use super::values::{VALUE, check, fill, is, is_token};
use crate::{Filter, Param, Query, Row, Seq, Test, Value};

pub(super) fn filters_combine(subject: &Subject<'_>) {
    let codes = |codes: &[&str]| {
        codes
            .iter()
            .map(|code| token("s", code))
            .collect::<Vec<_>>()
    };
    let view = fill(
        subject,
        vec![
            ("a", codes(&["a"])),
            ("b", codes(&["b"])),
            ("ab", codes(&["a", "b"])),
            ("abc", codes(&["c", "b", "a"])),
            ("none", vec![]),
        ],
    );
    let has = |code| is_token(None, Some(code));
    let not = |filter| Filter::Not(Box::new(filter));
    check(&view, Filter::Everything, "a b ab abc none");
    check(&view, Filter::Nothing, "");
    check(&view, Filter::All(vec![]), "a b ab abc none");
    check(&view, Filter::Any(vec![]), "");
    check(&view, Filter::All(vec![has("a"), has("b")]), "ab abc");
    check(&view, Filter::Any(vec![has("a"), has("b")]), "a b ab abc");
    check(&view, Filter::All(vec![has("a"), not(has("b"))]), "a");
    check(
        &view,
        Filter::Any(vec![has("c"), not(has("a"))]),
        "b abc none",
    );
    check(
        &view,
        Filter::All(vec![has("a"), Filter::Any(vec![has("c"), not(has("b"))])]),
        "a abc",
    );
    check(&view, not(Filter::Any(vec![has("a"), has("c")])), "b none");
    check(
        &view,
        not(Filter::All(vec![has("a"), has("b")])),
        "a b none",
    );
    let by_id = |ids: &[&str]| Filter::Ids(ids.iter().map(|id| Box::from(*id)).collect());
    check(&view, by_id(&["a", "none", "never", "a"]), "a none");
    check(&view, by_id(&[]), "");
    check(&view, Filter::All(vec![by_id(&["a", "b"]), has("b")]), "b");
    check(
        &view,
        Filter::All(vec![not(by_id(&["a", "b"])), has("b")]),
        "ab abc",
    );
    check(
        &view,
        Filter::Any(vec![by_id(&["none"]), has("c")]),
        "none abc",
    );
    let nested = (0..50).fold(has("c"), |inner, _| {
        Filter::All(vec![Filter::Any(vec![inner])])
    });
    check(&view, nested, "abc");
}

pub(super) fn rows_of_older_versions_are_not_searched(subject: &Subject<'_>) {
    let with = |version, code| patient_with("a", version, vec![row(VALUE, token("", code))]);
    subject.must(batch(10, vec![with(1, "x"), patient("b", 1)]));
    subject.must(batch(20, vec![with(2, "y")]));
    check(&subject.now(ONE), is_token(None, Some("x")), "");
    check(&subject.now(ONE), is_token(None, Some("y")), "a");
    subject.must(batch(30, vec![patient("a", 3)]));
    check(&subject.now(ONE), is(Test::Present), "");
    subject.must(batch(40, vec![with(4, "x")]));
    check(&subject.now(ONE), is_token(None, Some("x")), "a");
    subject.must(batch(50, vec![deletion("a", 5)]));
    check(&subject.now(ONE), is_token(None, Some("x")), "");
    subject.must(batch(60, vec![with(6, "z")]));
    check(&subject.now(ONE), is_token(None, Some("x")), "");
    check(&subject.now(ONE), is_token(None, Some("z")), "a");
    for (seq, code, expected) in [
        (1, "x", "a"),
        (3, "y", "a"),
        (3, "x", ""),
        (5, "x", "a"),
        (6, "x", ""),
    ] {
        check(
            &subject.at(ONE, Seq(seq)),
            is_token(None, Some(code)),
            expected,
        );
    }
}

pub(super) fn hits_carry_the_rows_asked_for(subject: &Subject<'_>) {
    let quantity = Value::Quantity {
        value: decimal("1.50"),
        system: "u".into(),
        code: "g".into(),
    };
    let all: Vec<Row> = vec![
        row(NAME, text("Zoë")),
        row(CODE, token("s", "b")),
        row(DATE, date(-1, 2)),
        row(NAME, text("Anna")),
        row(VALUE, quantity),
        row(CODE, token("s", "b")),
        row(
            NAME,
            Value::Reference {
                kind: PATIENT,
                id: "x".into(),
            },
        ),
        row(NAME, Value::Uri("u".into())),
        row(NAME, Value::Number(decimal("-7e2"))),
    ];
    subject.must(batch(
        10,
        vec![patient_with("a", 1, all.clone()), patient("b", 1)],
    ));
    let view = subject.now(ONE);
    for params in [
        vec![],
        vec![NAME],
        vec![DATE, CODE, CODE],
        vec![VALUE, NAME, CODE, DATE],
        vec![Param(1)],
    ] {
        let query = Query {
            rows: params.clone(),
            ..patients(Filter::Everything)
        };
        let found = view.find(&query);
        assert_eq!(found.hits[0].rows, []);
        let mut expected: Vec<_> = all
            .iter()
            .filter(|row| params.contains(&row.param))
            .cloned()
            .collect();
        Row::sort(&mut expected);
        assert_eq!(found.hits[1].rows, expected);
    }
}
