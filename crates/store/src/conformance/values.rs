//! Every test of a value but those that compare.

use super::data::*;
use super::{Subject, View};
use crate::{Comparison, Filter, Kind, Param, Place, Query, References, Test, Tokens, Value};

pub(super) const VALUE: Param = Param::named("Patient", "value");

/// One record per name, with these values of [`VALUE`].
pub(super) fn fill<'a>(subject: &'a Subject<'a>, records: Vec<(&str, Vec<Value>)>) -> View<'a> {
    let rows = |values: Vec<Value>| values.into_iter().map(|value| row(VALUE, value)).collect();
    let puts = records
        .into_iter()
        .map(|(id, values)| patient_with(id, 1, rows(values)));
    subject.must(batch(10, puts.collect()));
    subject.now(ONE)
}

pub(super) fn one(value: Value) -> Vec<Value> {
    vec![value]
}

/// The records that a filter describes are these, their ids in order and with spaces between.
///
/// Asked in several ways: alone, counted, negated, with others that change nothing.
#[track_caller]
pub(super) fn check(view: &View<'_>, filter: Filter, expected: &str) {
    check_of(view, PATIENT, filter, expected);
}

/// The same for the records of a kind.
#[track_caller]
pub(super) fn check_of(view: &View<'_>, kind: Kind, filter: Filter, expected: &str) {
    let mut expected: Vec<&str> = expected.split_whitespace().collect();
    expected.sort_unstable();
    let everything = view.find(&query(kind, Filter::Everything));
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
        check_once(view, query(kind, same), &expected);
    }
    let opposite = [
        not(&filter),
        Filter::All(vec![not(&filter), Filter::Everything]),
    ];
    for opposite in opposite {
        check_once(view, query(kind, opposite), &others);
    }
}

#[track_caller]
fn check_once(view: &View<'_>, query: Query, expected: &[&str]) {
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
    for id in expected {
        assert!(view.holds(query.kind, id, &query.filter), "{id}");
    }
    assert!(!view.holds(query.kind, "never", &query.filter));
}

pub(super) fn is(test: Test) -> Filter {
    Filter::Value(VALUE, test)
}

pub(super) fn is_token(system: Option<&str>, code: Option<&str>) -> Filter {
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

pub(super) fn sets_of_tokens_match_any_of_theirs(subject: &Subject<'_>) {
    let long = "x".repeat(72);
    let longer = "x".repeat(100);
    let records = [
        ("a", "s", "a"),
        ("t", "t", "a"),
        ("zero", "s", "a\0"),
        ("bare", "", "b"),
        ("long", "s", &long),
        ("longer", "s", &longer),
        ("z", "s", "z"),
    ];
    let mut rows: Vec<(&str, Vec<Value>)> = records
        .iter()
        .map(|(id, system, code)| (*id, one(token(system, code))))
        .collect();
    rows.push(("two", vec![token("s", "a"), token("s", "z")]));
    rows.push(("text", one(text("a"))));
    let view = fill(subject, rows);
    // The same with few tokens beside them, and with many.
    for more in [0, 1, 60, 64, 70, 3_000] {
        let more: Vec<String> = (0..more).map(|at| format!("m{at}")).collect();
        let set = |tokens: &[(&str, &str)]| {
            let more = more.iter().map(|code| ("s", code.as_str()));
            is(Test::Tokens(Tokens::of(tokens.iter().copied().chain(more))))
        };
        check(&view, set(&[]), "");
        check(&view, set(&[("s", "a")]), "a two");
        check(&view, set(&[("s", "a"), ("t", "a"), ("u", "a")]), "a t two");
        check(
            &view,
            set(&[("s", "z"), ("", "b"), ("", "a")]),
            "bare z two",
        );
        check(&view, set(&[("s", "a\0"), ("s", "a\0b")]), "zero");
        check(&view, set(&[("s", &longer)]), "longer");
        check(&view, set(&[("s", &longer[1..])]), "");
        check(&view, set(&[("s", &long), ("s", "z")]), "long z two");
        let both = Filter::All(vec![set(&[("s", "a")]), set(&[("s", "z")])]);
        check(&view, both, "two");
        let either = Filter::Any(vec![set(&[("t", "a")]), set(&[("s", "z")])]);
        check(&view, either, "t z two");
    }
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
    let is_one_of = is;
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
    // The same with few beside them, and with more than an index goes to.
    for more in [0, 1, 1_000, 3_000] {
        let set = |kind, ids: &[&str]| {
            let ids = ids.iter().map(|id| Box::from(*id));
            let more = (0..more).map(|at| format!("m{at}").into());
            let set = References::of(kind, ids.chain(more).collect());
            is_one_of(Test::References(set))
        };
        check(&view, set(PATIENT, &[]), "");
        check(&view, set(PATIENT, &["1"]), "p1 both");
        check(&view, set(PATIENT, &["12", "1", "2"]), "p1 p12 both");
        check(&view, set(OBSERVATION, &["1", "2"]), "o1 both");
        let not = Filter::Not(set(PATIENT, &["1", "12"]).into());
        check(&view, not, "o1 uri none");
        let either = Filter::Any(vec![set(PATIENT, &["12"]), set(OBSERVATION, &["2"])]);
        check(&view, either, "p12 both");
    }
}

pub(super) fn texts_end_and_have_an_order(subject: &Subject<'_>) {
    let long = "m".repeat(100);
    let view = fill(
        subject,
        vec![
            ("empty", one(text(""))),
            ("ab", one(text("ab"))),
            ("abc", one(text("abc"))),
            ("b", one(text("b"))),
            ("both", vec![text("a"), text("zc")]),
            ("long", one(text(&format!("{long}c")))),
            ("longer", one(text(&format!("{long}d")))),
            ("token", one(token("", "abc"))),
            ("none", vec![]),
        ],
    );
    let ends = |text: &str| is(Test::StringEnds(text.into()));
    check(&view, ends("c"), "abc both long");
    check(&view, ends("ab"), "ab");
    check(&view, ends(""), "empty ab abc b both long longer");
    let order = |comparison, text: &str| is(Test::StringOrder(comparison, text.into()));
    check(&view, order(Comparison::Equal, "ab"), "ab");
    check(&view, order(Comparison::Overlaps, "abc"), "abc");
    check(
        &view,
        order(Comparison::NotEqual, "a"),
        "empty ab abc b both long longer",
    );
    check(
        &view,
        order(Comparison::Greater, "ab"),
        "abc b both long longer",
    );
    check(
        &view,
        order(Comparison::GreaterOrEqual, "b"),
        "b both long longer",
    );
    check(&view, order(Comparison::Less, "ab"), "empty both");
    check(&view, order(Comparison::LessOrEqual, "ab"), "empty ab both");
    let first = format!("{long}c");
    check(&view, order(Comparison::After, &first), "longer both");
    check(&view, order(Comparison::Equal, &first), "long");
    check(
        &view,
        order(Comparison::Before, &first),
        "empty ab abc b both",
    );
}

pub(super) fn other_values_are_of_the_same_type(subject: &Subject<'_>) {
    let view = fill(
        subject,
        vec![
            ("same", one(token("s", "x"))),
            ("system", one(token("t", "x"))),
            ("code", one(token("s", "y"))),
            ("two", vec![token("s", "x"), token("s", "y")]),
            ("text", one(text("y"))),
            ("none", vec![]),
        ],
    );
    let other = |test| is(Test::Other(Box::new(test)));
    let token = |system: Option<&str>, code: Option<&str>| Test::Token {
        system: system.map(Into::into),
        code: code.map(Into::into),
    };
    check(&view, other(token(Some("s"), Some("x"))), "system code two");
    check(&view, other(token(None, Some("x"))), "code two");
    check(&view, other(token(None, None)), "");
    check(&view, other(Test::StringStarts("x".into())), "text");
    check(&view, other(Test::UriIs("x".into())), "");
    check(&view, other(Test::Present), "");
}

pub(super) fn places_are_found_by_their_distance(subject: &Subject<'_>) {
    let place = |latitude: f64, longitude: f64| {
        Place::of_degrees(latitude, longitude).expect("it is on the Earth")
    };
    let at = |latitude, longitude| one(Value::Place(place(latitude, longitude)));
    let view = fill(
        subject,
        vec![
            ("paris", at(48.8566, 2.3522)),
            ("versailles", at(48.8014, 2.1301)),
            ("london", at(51.5074, -0.1278)),
            ("fiji", at(-17.7134, 178.065)),
            ("samoa", at(-13.759, -172.1046)),
            ("north", at(90.0, 12.0)),
            ("alert", at(82.5018, -62.3481)),
            ("svalbard", at(78.2232, 15.6267)),
            ("text", one(text("48.8566|2.3522"))),
            ("none", vec![]),
        ],
    );
    let near = |latitude, longitude, kilometres: u64| {
        is(Test::Near(
            place(latitude, longitude),
            kilometres * 1_000_000,
        ))
    };
    check(&view, near(48.8566, 2.3522, 0), "paris");
    check(&view, near(48.8566, 2.3522, 17), "paris");
    check(&view, near(48.8566, 2.3522, 18), "paris versailles");
    check(&view, near(48.8566, 2.3522, 344), "paris versailles london");
    check(&view, near(-17.0, 180.0, 300), "fiji");
    check(&view, near(-15.0, -180.0, 900), "fiji samoa");
    check(&view, near(-15.0, 180.0, 900), "fiji samoa");
    check(&view, near(90.0, -100.0, 1), "north");
    check(&view, near(89.0, -168.0, 230), "north");
    check(&view, near(88.0, 100.0, 1_500), "north alert svalbard");
    let all = "paris versailles london fiji samoa north alert svalbard";
    check(&view, near(0.0, 0.0, 21_000), all);
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
            ("v1", uri("urn:v|1")),
            ("v12", uri("urn:v|1.2")),
            ("v2", uri("urn:v|2")),
            ("bare", uri("urn:v")),
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
    check(&view, below("urn:v"), "v1 v12 v2 bare");
    check(&view, below("urn:v|"), "v1 v12 v2");
    check(&view, below("urn:v|1"), "v1 v12");
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
