//! Values that belong together.

use super::Subject;
use super::data::*;
use super::pages::{self, by, sorted};
use super::values::{VALUE, check, fill, is, one};
use crate::{Batch, Comparison, Error, Filter, Test, Value};

fn composite<const N: usize>(values: [Value; N]) -> Value {
    Value::Composite(values.into())
}

fn quantity(number: &str, code: &str) -> Value {
    Value::Quantity {
        value: decimal(number),
        system: "u".into(),
        code: code.into(),
    }
}

/// A pressure of this part, as it is measured.
fn pressure(code: &str, number: &str) -> Value {
    composite([token("l", code), quantity(number, "mm")])
}

fn code(system: Option<&str>, code: Option<&str>) -> Test {
    let [system, code] = [system, code].map(|text| text.map(Box::from));
    Test::Token { system, code }
}

fn number(comparison: Comparison, number: &str) -> Test {
    Test::Quantity {
        comparison,
        from: decimal(number),
        to: decimal(number),
        system: None,
        code: Some("mm".into()),
    }
}

fn both<const N: usize>(tests: [Test; N]) -> Filter {
    is(Test::Composite(tests.into()))
}

pub(super) fn composites_match_within_one_tuple(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            (
                "normal",
                vec![pressure("sys", "120"), pressure("dia", "80")],
            ),
            ("high", vec![pressure("sys", "150"), pressure("dia", "95")]),
            ("odd", vec![pressure("sys", "80"), pressure("dia", "150")]),
            (
                "twice",
                vec![pressure("sys", "150"), pressure("sys", "150")],
            ),
            (
                "other",
                one(composite([token("x", "sys"), quantity("150", "mm")])),
            ),
            (
                "unit",
                one(composite([token("l", "sys"), quantity("150", "kg")])),
            ),
            ("alone", vec![token("l", "sys"), quantity("150", "mm")]),
            ("none", vec![]),
        ],
    );
    let greater = |than| number(Comparison::Greater, than);
    let sys = || code(Some("l"), Some("sys"));
    check(&view, both([sys(), greater("100")]), "normal high twice");
    check(&view, both([sys(), greater("120")]), "high twice");
    check(&view, both([sys(), number(Comparison::Less, "100")]), "odd");
    check(
        &view,
        both([sys(), number(Comparison::Equal, "1.5e2")]),
        "high twice",
    );
    check(
        &view,
        both([sys(), number(Comparison::NotEqual, "150")]),
        "normal odd",
    );
    let any_system = || code(None, Some("sys"));
    check(
        &view,
        both([any_system(), greater("120")]),
        "high twice other",
    );
    let any_code = || code(Some("l"), None);
    check(&view, both([any_code(), greater("140")]), "high odd twice");
    check(
        &view,
        both([Test::Present, greater("140")]),
        "high odd twice other",
    );
    check(
        &view,
        both([sys(), Test::Present]),
        "normal high odd twice unit",
    );
    check(&view, both([greater("100"), sys()]), "");
    check(&view, both([sys()]), "");
    check(&view, both([]), "");
    check(&view, both([sys(), greater("1"), Test::Present]), "");
    check(&view, is(sys()), "alone");
    check(
        &view,
        is(Test::Present),
        "normal high odd twice other unit alone",
    );
}

pub(super) fn composites_are_of_any_types(subject: &Subject<'_>) {
    let long = "x".repeat(300);
    let to = |id: &str| Value::Reference {
        kind: PATIENT,
        id: id.into(),
    };
    let uri = |uri: &str| Value::Uri(uri.into());
    let window = |from: &str, to: &str| {
        let (from, to) = (Value::Number(decimal(from)), Value::Number(decimal(to)));
        composite([token("", "1"), from, to])
    };
    let view = fill(
        subject,
        vec![
            ("tt", one(composite([token("s", "a"), token("s", "b")]))),
            ("ta", one(composite([token("s", "a"), token("s2", "b")]))),
            ("ba", one(composite([token("s", "b"), token("s", "a")]))),
            (
                "ttt",
                one(composite([
                    token("s", "a"),
                    token("s", "b"),
                    token("s", "c"),
                ])),
            ),
            ("long", one(composite([token("s", &long), text(&long)]))),
            (
                "longer",
                one(composite([
                    token("s", &format!("{long}y")),
                    text(&format!("{long}y")),
                ])),
            ),
            ("day", one(composite([token("s", "a"), date(10, 20)]))),
            (
                "ever",
                one(composite([token("s", "a"), date(i64::MIN, i64::MAX)])),
            ),
            ("to", one(composite([to("1"), token("", "r")]))),
            ("uri", one(composite([uri("u/a"), to("1")]))),
            ("w1", one(window("1", "10"))),
            ("w2", one(window("5.00", "50"))),
        ],
    );
    let a = || code(Some("s"), Some("a"));
    check(&view, both([a(), code(Some("s"), Some("b"))]), "tt");
    check(&view, both([a(), code(None, Some("b"))]), "tt ta");
    check(
        &view,
        both([code(None, None), code(Some("s"), None)]),
        "tt ba",
    );
    check(
        &view,
        both([a(), code(Some("s"), Some("b")), Test::Present]),
        "ttt",
    );
    check(
        &view,
        both([a(), code(None, None), code(None, Some("c"))]),
        "ttt",
    );
    let starts = |text: &str| Test::StringStarts(text.into());
    check(
        &view,
        both([code(Some("s"), Some(&long)), starts("x")]),
        "long",
    );
    check(
        &view,
        both([code(None, None), starts(&format!("{long}y"))]),
        "longer",
    );
    check(
        &view,
        both([code(None, None), Test::StringIs((&*long).into())]),
        "long",
    );
    let when = |comparison| both([a(), Test::Date(comparison, 12, 15)]);
    check(&view, when(Comparison::Overlaps), "day ever");
    check(&view, when(Comparison::Greater), "day ever");
    check(&view, when(Comparison::GreaterOrEqual), "day ever");
    check(&view, when(Comparison::Less), "day ever");
    check(&view, when(Comparison::Equal), "");
    check(&view, when(Comparison::NotEqual), "day ever");
    let after = both([a(), Test::Date(Comparison::After, 0, 10)]);
    check(&view, after, "day");
    let first = |kind, id: &str| Test::Reference {
        kind,
        id: id.into(),
    };
    check(
        &view,
        both([first(Some(PATIENT), "1"), code(None, Some("r"))]),
        "to",
    );
    check(&view, both([first(None, "1"), code(None, Some("r"))]), "to");
    check(
        &view,
        both([first(Some(OBSERVATION), "1"), code(None, Some("r"))]),
        "",
    );
    check(
        &view,
        both([Test::UriBelow("u".into()), first(None, "1")]),
        "uri",
    );
    check(
        &view,
        both([Test::UriIs("u/a".into()), first(Some(PATIENT), "1")]),
        "uri",
    );
    let bound = |comparison, at| Test::Number(comparison, decimal(at), decimal(at));
    let overlaps = |from, to| {
        let (until, since) = (
            bound(Comparison::LessOrEqual, to),
            bound(Comparison::GreaterOrEqual, from),
        );
        both([code(None, Some("1")), until, since])
    };
    check(&view, overlaps("2", "3"), "w1");
    check(&view, overlaps("2", "5.0"), "w1 w2");
    check(&view, overlaps("11", "12"), "w2");
}

pub(super) fn composites_sort_by_their_components(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("b1", one(pressure("b", "1"))),
            ("a2", one(pressure("a", "2"))),
            ("a10", one(pressure("a", "10"))),
            ("none", vec![]),
            (
                "three",
                one(composite([
                    token("l", "a"),
                    quantity("2", "mm"),
                    token("", ""),
                ])),
            ),
            ("text", one(composite([text("a"), quantity("2", "mm")]))),
        ],
    );
    let sort = |descending| sorted(Filter::Everything, vec![by(VALUE, descending)]);
    pages::check(&view, &sort(false), "a2 three a10 b1 text none");
    pages::check(&view, &sort(true), "text b1 a10 three a2 none");
}

pub(super) fn impossible_composites_are_misuse(subject: &Subject<'_>) {
    let inner = composite([token("", "a"), token("", "b")]);
    for value in [
        composite([]),
        composite([token("", "a")]),
        composite([0, 1, 2, 3].map(|_| token("", "a"))),
        composite([inner, token("", "c")]),
    ] {
        let put = patient_with("a", 1, vec![row(VALUE, value)]);
        let result = subject.commit(Batch {
            scope: ONE,
            ..batch(10, vec![put])
        });
        assert!(matches!(result, Err(Error::Misuse(_))), "{result:?}");
    }
    assert_eq!(subject.now(ONE).count(&patients(Filter::Everything)), 0);
}
