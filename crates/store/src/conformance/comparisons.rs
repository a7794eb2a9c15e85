//! Every comparison of dates, numbers, quantities and times.

use super::Subject;
use super::data::*;
use super::values::{VALUE, check, fill, is, one};
use crate::{Comparison, Filter, Test, Value};

const COMPARISONS: [Comparison; 9] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Greater,
    Comparison::Less,
    Comparison::GreaterOrEqual,
    Comparison::LessOrEqual,
    Comparison::After,
    Comparison::Before,
    Comparison::Overlaps,
];

pub(super) fn dates_compare_as_spans(subject: &Subject<'_>) {
    let spans = [
        ("before", 0, 5),
        ("until", 5, 10),
        ("left", 5, 15),
        ("start", 10, 12),
        ("inside", 12, 15),
        ("same", 10, 20),
        ("end", 15, 20),
        ("right", 15, 25),
        ("from", 20, 25),
        ("after", 30, 40),
        ("around", 5, 25),
        ("ever", i64::MIN, i64::MAX),
        ("past", i64::MIN, 8),
        ("future", 15, i64::MAX),
        ("negative", -10, -5),
    ];
    let records = spans
        .iter()
        .map(|&(id, from, to)| (id, one(date(from, to))));
    let view = fill(
        subject,
        records
            .chain([("text", one(text("a"))), ("none", vec![])])
            .collect(),
    );
    let inside = "start inside same end";
    let outside = "before until left right from after around ever past future negative";
    let above = "right from after around ever future";
    let below = "before until left around ever past negative";
    let is = |comparison| is(Test::Date(comparison, 10, 20));
    for comparison in COMPARISONS {
        let expected = match comparison {
            Comparison::Equal => inside.to_owned(),
            Comparison::NotEqual => outside.to_owned(),
            Comparison::Greater => above.to_owned(),
            Comparison::Less => below.to_owned(),
            Comparison::GreaterOrEqual => format!("{inside} {above}"),
            Comparison::LessOrEqual => format!("{inside} {below}"),
            Comparison::After => "from after".to_owned(),
            Comparison::Before => "before until past negative".to_owned(),
            Comparison::Overlaps => {
                "left start inside same end right around ever future".to_owned()
            }
        };
        check(&view, is(comparison), &expected);
    }
    let is = |comparison, from, to| Filter::Value(VALUE, Test::Date(comparison, from, to));
    check(
        &view,
        is(Comparison::Equal, i64::MIN, i64::MAX),
        &format!("{inside} {outside}"),
    );
    check(&view, is(Comparison::Greater, -6, i64::MAX), "");
    check(&view, is(Comparison::Before, -5, 0), "negative");
    check(&view, is(Comparison::Less, -9, -8), "negative ever past");
}

pub(super) fn dates_compare_where_a_record_has_several(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("one", vec![date(0, 5), date(100, 105)]),
            ("two", vec![date(0, 200)]),
            ("three", vec![date(50, 51), date(0, 5), date(50, 51)]),
        ],
    );
    let is = |comparison, from, to| is(Test::Date(comparison, from, to));
    check(&view, is(Comparison::Overlaps, 50, 60), "two three");
    check(&view, is(Comparison::After, 100, 100), "one");
    check(&view, is(Comparison::Before, 5, 6), "one three");
    check(&view, is(Comparison::NotEqual, 0, 5), "one two three");
    check(
        &view,
        Filter::Not(Box::new(is(Comparison::Equal, 0, 5))),
        "two",
    );
    // Both conditions hold, though not of one value.
    let both = vec![is(Comparison::Before, 5, 6), is(Comparison::After, 99, 100)];
    check(&view, Filter::All(both), "one");
}

pub(super) fn numbers_compare_at_any_precision(subject: &Subject<'_>) {
    let names = [
        "-1e300",
        "-100",
        "-99.5",
        "-0.001",
        "0",
        "0.001",
        "99.49999999999999999999",
        "99.5",
        "100",
        "100.4",
        "100.49999999999999999999",
        "100.5",
        "101",
        "1e300",
    ];
    let mut records: Vec<_> = names
        .map(|name| (name, one(Value::Number(decimal(name)))))
        .into();
    records.extend([("text", one(text("100"))), ("none", vec![])]);
    let view = fill(subject, records);
    let upto = |n: usize| names[..n].join(" ");
    let from = |n: usize| names[n..].join(" ");
    let both = |a: &str, b: &str| format!("{a} {b}");
    for comparison in COMPARISONS {
        let inside = names[7..11].join(" ");
        let expected = match comparison {
            Comparison::Equal | Comparison::Overlaps => inside,
            Comparison::NotEqual => both(&upto(7), &from(11)),
            Comparison::Greater | Comparison::After => from(11),
            Comparison::Less | Comparison::Before => upto(7),
            Comparison::GreaterOrEqual => from(7),
            Comparison::LessOrEqual => upto(11),
        };
        let test = Test::Number(comparison, decimal("99.5"), decimal("100.5"));
        check(&view, is(test), &expected);
        // Equal ends mean that number alone.
        let expected = match comparison {
            Comparison::Equal | Comparison::Overlaps => "100".to_owned(),
            Comparison::NotEqual => both(&upto(8), &from(9)),
            Comparison::Greater | Comparison::After => from(9),
            Comparison::Less | Comparison::Before => upto(8),
            Comparison::GreaterOrEqual => from(8),
            Comparison::LessOrEqual => upto(9),
        };
        let test = Test::Number(comparison, decimal("1.00e2"), decimal("100.0"));
        check(&view, is(test), &expected);
    }
    let is = |comparison, from, to| is(Test::Number(comparison, decimal(from), decimal(to)));
    check(
        &view,
        is(Comparison::Equal, "-0.5", "0.5"),
        "-0.001 0 0.001",
    );
    check(&view, is(Comparison::Less, "-100", "-100"), "-1e300");
    check(&view, is(Comparison::Greater, "-100", "-100"), &from(2));
    check(&view, is(Comparison::Greater, "1e300", "1e300"), "");
}

pub(super) fn quantities_compare_with_their_unit(subject: &Subject<'_>) {
    let quantity = |value, system: &str, code: &str| Value::Quantity {
        value: decimal(value),
        system: system.into(),
        code: code.into(),
    };
    let view = fill(
        subject,
        vec![
            ("mg", one(quantity("5", "u", "mg"))),
            ("more", one(quantity("7.0", "u", "mg"))),
            ("kg", one(quantity("5", "u", "kg"))),
            ("other", one(quantity("5.0", "v", "mg"))),
            ("bare", one(quantity("5", "", ""))),
            ("text", one(quantity("5", "", "mg"))),
            (
                "two",
                vec![quantity("1", "u", "mg"), quantity("5", "u", "g")],
            ),
            ("number", one(Value::Number(decimal("5")))),
        ],
    );
    let is = |comparison, value, system: Option<&str>, code: Option<&str>| {
        is(Test::Quantity {
            comparison,
            from: decimal(value),
            to: decimal(value),
            system: system.map(Box::from),
            code: code.map(Box::from),
        })
    };
    let equal = Comparison::Equal;
    check(
        &view,
        is(equal, "5.00", None, None),
        "mg kg other bare text two",
    );
    check(&view, is(equal, "5", Some("u"), Some("mg")), "mg");
    check(&view, is(equal, "5", None, Some("mg")), "mg other text");
    check(&view, is(equal, "5", Some("u"), None), "mg kg two");
    check(&view, is(equal, "5", Some(""), None), "bare text");
    check(&view, is(equal, "5", None, Some("")), "bare");
    check(&view, is(equal, "1", Some("u"), Some("g")), "");
    check(&view, is(Comparison::Greater, "5", None, None), "more");
    check(
        &view,
        is(Comparison::GreaterOrEqual, "5", Some("u"), Some("mg")),
        "mg more",
    );
    check(
        &view,
        is(Comparison::Less, "5", Some("u"), Some("mg")),
        "two",
    );
    check(
        &view,
        is(Comparison::NotEqual, "5", Some("u"), Some("mg")),
        "more two",
    );
    let wide = Test::Quantity {
        comparison: equal,
        from: decimal("4.5"),
        to: decimal("7"),
        system: None,
        code: Some("mg".into()),
    };
    check(&view, Filter::Value(VALUE, wide), "mg other text");
}

pub(super) fn the_time_of_the_version_is_compared(subject: &Subject<'_>) {
    for (id, time_ms) in [
        ("long-ago", -5),
        ("early", 10),
        ("middle", 15),
        ("late", 20),
    ] {
        subject.must(batch(time_ms, vec![patient(id, 1)]));
    }
    subject.must(batch(15, vec![patient("early", 2)]));
    let view = subject.now(ONE);
    let is = |comparison| Filter::Updated(comparison, 15, 20);
    check(&view, is(Comparison::Equal), "early middle");
    check(&view, is(Comparison::NotEqual), "long-ago late");
    check(&view, is(Comparison::Greater), "late");
    check(&view, is(Comparison::After), "late");
    check(&view, is(Comparison::Less), "long-ago");
    check(&view, is(Comparison::Before), "long-ago");
    check(&view, is(Comparison::GreaterOrEqual), "early middle late");
    check(&view, is(Comparison::LessOrEqual), "early middle long-ago");
    check(&view, is(Comparison::Overlaps), "early middle");
    let now = Filter::Updated(Comparison::Equal, i64::MIN, i64::MAX);
    check(&view, now, "long-ago early middle late");
}
