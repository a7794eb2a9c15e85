//! Every test of a value, every comparison, every way to combine them.

use super::data::*;
use super::{Subject, View};
use crate::{Comparison, Filter, Kind, Param, Query, Row, Test, Value};

const VALUE: Param = Param::named("Patient", "value");
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

/// One record per name, with these values of [`VALUE`].
fn fill<'a>(subject: &'a Subject<'a>, records: Vec<(&str, Vec<Value>)>) -> View<'a> {
    let rows = |values: Vec<Value>| values.into_iter().map(|value| row(VALUE, value)).collect();
    let puts = records
        .into_iter()
        .map(|(id, values)| patient_with(id, 1, rows(values)));
    subject.must(batch(10, puts.collect()));
    subject.now(ONE)
}

fn one(value: Value) -> Vec<Value> {
    vec![value]
}

/// The records that a filter describes are these, their ids in order and with spaces between.
///
/// Asked in several ways: alone, counted, negated, with others that change nothing.
#[track_caller]
fn check(view: &View<'_>, filter: Filter, expected: &str) {
    let mut expected: Vec<&str> = expected.split_whitespace().collect();
    expected.sort_unstable();
    let everything = view.find(&patients(Filter::Everything));
    let mut others = ids(&everything);
    others.retain(|id| !expected.contains(id));
    others.sort_unstable();
    let not = |filter: &Filter| Filter::Not(Box::new(filter.clone()));
    let same = [
        filter.clone(),
        not(&not(&filter)),
        Filter::All(vec![filter.clone()]),
        Filter::All(vec![Filter::Everything, filter.clone(), filter.clone()]),
        Filter::Any(vec![Filter::Nothing, filter.clone()]),
    ];
    for same in same {
        check_once(view, same, &expected);
    }
    let opposite = [
        not(&filter),
        Filter::All(vec![not(&filter), Filter::Everything]),
    ];
    for opposite in opposite {
        check_once(view, opposite, &others);
    }
}

#[track_caller]
fn check_once(view: &View<'_>, filter: Filter, expected: &[&str]) {
    let query = patients(filter);
    let found = view.find(&query);
    let mut found = ids(&found);
    found.sort_unstable();
    assert_eq!(found, expected, "{:?}", query.filter);
    assert_eq!(
        view.count(&query),
        expected.len() as u64,
        "{:?}",
        query.filter
    );
}

fn is(test: Test) -> Filter {
    Filter::Value(VALUE, test)
}

fn is_token(system: Option<&str>, code: Option<&str>) -> Filter {
    let [system, code] = [system, code].map(|text| text.map(Box::from));
    is(Test::Token { system, code })
}

pub(super) fn tokens_match_by_system_and_code(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("sa", one(token("s", "a"))),
            ("sb", one(token("s", "b"))),
            ("a", one(token("", "a"))),
            ("s2a", one(token("s2", "a"))),
            ("s", one(token("s", ""))),
            ("two", vec![token("s", "x"), token("", "y")]),
            ("twice", vec![token("s", "z"), token("s", "z")]),
            ("text", one(text("a"))),
            ("none", vec![]),
        ],
    );
    check(&view, is_token(None, Some("a")), "sa a s2a");
    check(&view, is_token(Some("s"), Some("a")), "sa");
    check(&view, is_token(Some(""), Some("a")), "a");
    check(&view, is_token(Some("s"), None), "sa sb s two twice");
    check(&view, is_token(Some(""), None), "a two");
    check(&view, is_token(None, Some("")), "s");
    check(&view, is_token(Some("s"), Some("")), "s");
    check(&view, is_token(None, None), "sa sb a s2a s two twice");
    check(&view, is_token(None, Some("A")), "");
    check(&view, is_token(Some("S"), Some("a")), "");
    check(&view, is_token(Some("s3"), None), "");
    check(&view, is_token(None, Some("z")), "twice");
    // System and code must be those of one value.
    check(&view, is_token(Some("s"), Some("y")), "");
    check(&view, is_token(Some(""), Some("y")), "two");
}

pub(super) fn tokens_of_odd_characters_are_kept_apart(subject: &Subject<'_>) {
    let long = "http://example.org/".repeat(500);
    let odd: [(&str, &str, &str); 9] = [
        ("bar", "s|a", "b"),
        ("bar2", "t", "a|b"),
        ("zero", "s\0", "a"),
        ("zero2", "s", "\0a"),
        ("one", "s\u{1}", "a"),
        ("high", "s\u{10FFFF}", "\u{10FFFF}"),
        ("long", &long, "a"),
        ("longer", &format!("{long}x"), "a"),
        ("space", " s ", " a "),
    ];
    let records = odd
        .iter()
        .map(|(id, system, code)| (*id, one(token(system, code))));
    let view = fill(subject, records.collect());
    for (id, system, code) in odd {
        check(&view, is_token(Some(system), Some(code)), id);
        check(&view, is_token(Some(system), None), id);
    }
    check(&view, is_token(None, Some("a")), "zero one long longer");
}

pub(super) fn strings_match_folded_or_exactly(subject: &Subject<'_>) {
    let exactly = |folded: &str, exact: &str| Value::String {
        folded: folded.into(),
        exact: exact.into(),
    };
    let long = "y".repeat(5_000);
    let view = fill(
        subject,
        vec![
            ("anna", one(text("Anna"))),
            ("anne", one(text("anne"))),
            ("hanna", one(text("Hanna"))),
            ("eve", vec![text("Eve"), text("Annabel")]),
            ("zoe", one(exactly("zoe", "Zoë"))),
            ("empty", one(text(""))),
            ("edge", one(text("ann\u{10FFFF}"))),
            ("zero", one(text("ann\0x"))),
            ("long", one(text(&long))),
            ("longer", one(text(&format!("{long}z")))),
            ("token", one(token("", "anna"))),
            ("none", vec![]),
        ],
    );
    let starts = |text: &str| is(Test::StringStarts(text.into()));
    check(&view, starts("ann"), "anna anne eve edge zero");
    check(&view, starts("anna"), "anna eve");
    check(&view, starts("ann\u{10FFFF}"), "edge");
    check(&view, starts("ann\0"), "zero");
    check(&view, starts("Ann"), "");
    check(&view, starts("zoe"), "zoe");
    check(&view, starts("zoë"), "");
    check(
        &view,
        starts(""),
        "anna anne hanna eve zoe empty edge zero long longer",
    );
    check(&view, starts(&long), "long longer");
    check(&view, starts(&format!("{long}z")), "longer");
    let contains = |text: &str| is(Test::StringContains(text.into()));
    check(&view, contains("nna"), "anna hanna eve");
    check(&view, contains("e"), "anne eve zoe");
    check(&view, contains("A"), "");
    check(
        &view,
        contains(""),
        "anna anne hanna eve zoe empty edge zero long longer",
    );
    check(&view, contains("yz"), "longer");
    check(&view, contains("\0"), "zero");
    let exact = |text: &str| is(Test::StringIs(text.into()));
    check(&view, exact("Anna"), "anna");
    check(&view, exact("anna"), "");
    check(&view, exact("Ann"), "");
    check(&view, exact("Annabel"), "eve");
    check(&view, exact("Zoë"), "zoe");
    check(&view, exact("zoe"), "");
    check(&view, exact(""), "empty");
    check(&view, exact(&long), "long");
}

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

pub(super) fn references_match_by_id_and_kind(subject: &Subject<'_>) {
    let to = |kind, id: &str| Value::Reference {
        kind,
        id: id.into(),
    };
    let view = fill(
        subject,
        vec![
            ("p1", one(to(PATIENT, "1"))),
            ("p12", one(to(PATIENT, "12"))),
            ("o1", one(to(OBSERVATION, "1"))),
            ("both", vec![to(PATIENT, "1"), to(OBSERVATION, "2")]),
            ("uri", one(Value::Uri("Patient/1".into()))),
            ("none", vec![]),
        ],
    );
    let is = |kind: Option<Kind>, id: &str| {
        is(Test::Reference {
            kind,
            id: id.into(),
        })
    };
    check(&view, is(Some(PATIENT), "1"), "p1 both");
    check(&view, is(None, "1"), "p1 o1 both");
    check(&view, is(Some(OBSERVATION), "1"), "o1");
    check(&view, is(Some(OBSERVATION), "2"), "both");
    check(&view, is(Some(PATIENT), "2"), "");
    check(&view, is(None, "12"), "p12");
    check(&view, is(None, ""), "");
    check(&view, is(Some(Kind(PATIENT.0 + 1)), "1"), "");
}

pub(super) fn uris_match_in_their_hierarchy(subject: &Subject<'_>) {
    let uri = |uri: &str| one(Value::Uri(uri.into()));
    let view = fill(
        subject,
        vec![
            ("top", uri("http://a.org")),
            ("slash", uri("http://a.org/")),
            ("one", uri("http://a.org/one")),
            ("onely", uri("http://a.org/onely")),
            ("deep", uri("http://a.org/one/two")),
            ("other", uri("http://b.org/one")),
            ("upper", uri("http://A.org/one")),
            ("oid", uri("urn:oid:1.2.3")),
            ("oid4", uri("urn:oid:1.2.3.4")),
            ("text", one(text("http://a.org/one"))),
        ],
    );
    let equal = |uri: &str| is(Test::UriIs(uri.into()));
    check(&view, equal("http://a.org/one"), "one");
    check(&view, equal("http://a.org/"), "slash");
    check(&view, equal("urn:oid:1.2.3"), "oid");
    check(&view, equal("http://a"), "");
    let below = |uri: &str| is(Test::UriBelow(uri.into()));
    check(&view, below("http://a.org"), "top slash one onely deep");
    check(&view, below("http://a.org/"), "slash one onely deep");
    check(&view, below("http://a.org/one"), "one deep");
    check(&view, below("http://a.org/one/"), "deep");
    check(&view, below("urn:oid:1.2.3"), "oid");
    let above = |uri: &str| is(Test::UriAbove(uri.into()));
    check(
        &view,
        above("http://a.org/one/two/three"),
        "top slash one deep",
    );
    check(&view, above("http://a.org/one"), "top slash one");
    check(&view, above("http://a.org"), "top");
    check(&view, above("urn:oid:1.2.3.4"), "oid4");
    check(&view, above(""), "");
}

pub(super) fn a_value_is_present_whatever_its_type(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("token", one(token("", ""))),
            ("string", one(text(""))),
            ("date", one(date(i64::MIN, i64::MAX))),
            ("number", one(Value::Number(decimal("0")))),
            ("uri", one(Value::Uri("".into()))),
            (
                "reference",
                one(Value::Reference {
                    kind: PATIENT,
                    id: "x".into(),
                }),
            ),
            ("none", vec![]),
        ],
    );
    check(
        &view,
        is(Test::Present),
        "token string date number uri reference",
    );
    check(&view, Filter::Not(Box::new(is(Test::Present))), "none");
    let neighbour = Param(VALUE.0 + 1);
    check(&view, Filter::Value(neighbour, Test::Present), "");
    // To differ from a value, there must be one.
    let differs = Test::Date(Comparison::NotEqual, 0, 1);
    check(&view, is(differs), "date");
    check(
        &view,
        Filter::Not(Box::new(is_token(None, Some("x")))),
        "token string date number uri reference none",
    );
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
            &subject.at(ONE, crate::Seq(seq)),
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
