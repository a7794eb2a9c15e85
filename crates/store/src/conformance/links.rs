//! Filters that look at other records.

use super::Subject;
use super::data::*;
use super::pages::{self, by};
use super::values::check_of;
use crate::{
    Batch, Error, Filter, Kind, Param, Precondition, Put, Query, Row, Scope, Seq, Sort, Value,
};

const SUBJECT: Param = Param::named("Observation", "subject");
const GENERAL: Param = Param::named("Patient", "general-practitioner");
const PRACTITIONER: Kind = Kind::named("Practitioner");

fn to(param: Param, kind: Kind, id: &str) -> Row {
    let id = id.into();
    row(param, Value::Reference { kind, id })
}

fn code(code: &str) -> Row {
    row(CODE, token("s", code))
}

fn observation(id: &str, version: u64, rows: Vec<Row>) -> Put {
    of_kind(OBSERVATION, patient_with(id, version, rows))
}

fn practitioner(id: &str, rows: Vec<Row>) -> Put {
    of_kind(PRACTITIONER, patient_with(id, 1, rows))
}

fn refers(param: Param, kind: Kind, filter: Filter) -> Filter {
    let filter = Box::new(filter);
    Filter::Refers {
        param,
        kind,
        filter,
    }
}

fn referred(kind: Kind, param: Param, filter: Filter) -> Filter {
    let filter = Box::new(filter);
    Filter::Referred {
        kind,
        param,
        filter,
    }
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// Three patients, what was observed of them, and who cares for them.
fn ward(subject: &Subject<'_>) {
    let of = |id| to(SUBJECT, PATIENT, id);
    let by = |id| to(GENERAL, PRACTITIONER, id);
    subject.must(batch(
        10,
        vec![
            patient_with("ann", 1, vec![code("f"), by("house")]),
            patient_with("bob", 1, vec![code("m"), by("house"), by("who")]),
            patient_with("eve", 1, vec![code("f")]),
            practitioner("house", vec![code("md")]),
            practitioner("who", vec![code("dr")]),
            observation("a1", 1, vec![of("ann"), code("x")]),
            observation("a2", 1, vec![of("ann"), code("y")]),
            observation("b1", 1, vec![of("bob"), code("x")]),
            observation("both", 1, vec![of("ann"), of("bob"), code("z")]),
            // Of nobody that exists, of a record of another kind, and of nothing.
            observation("lost", 1, vec![of("zoe"), code("x")]),
            observation("else", 1, vec![to(SUBJECT, PRACTITIONER, "ann"), code("x")]),
            observation(
                "uri",
                1,
                vec![row(SUBJECT, Value::Uri("Patient/ann".into()))],
            ),
            observation("free", 1, vec![code("x")]),
        ],
    ));
}

pub(super) fn records_are_found_by_what_they_refer_to(subject: &Subject<'_>) {
    ward(subject);
    let view = subject.now(ONE);
    let check = |filter, expected| check_of(&view, OBSERVATION, filter, expected);
    let of = |filter| refers(SUBJECT, PATIENT, filter);
    check(of(has_code("f")), "a1 a2 both");
    check(of(has_code("m")), "b1 both");
    check(of(has_code("q")), "");
    check(of(Filter::Everything), "a1 a2 b1 both");
    check(of(Filter::Nothing), "");
    check(of(not(has_code("f"))), "b1 both");
    check(of(Filter::Ids(vec!["bob".into(), "zoe".into()])), "b1 both");
    check(refers(SUBJECT, PRACTITIONER, Filter::Everything), "");
    check(refers(CODE, PATIENT, Filter::Everything), "");
    check(Filter::All(vec![has_code("x"), of(has_code("f"))]), "a1");
    check(
        Filter::Any(vec![has_code("x"), of(has_code("f"))]),
        "a1 a2 b1 both lost else free",
    );
    // Two conditions on two patients, or both on one.
    check(
        Filter::All(vec![of(has_code("f")), of(has_code("m"))]),
        "both",
    );
    check(of(Filter::All(vec![has_code("f"), has_code("m")])), "");
}

pub(super) fn records_are_found_by_what_refers_to_them(subject: &Subject<'_>) {
    ward(subject);
    let view = subject.now(ONE);
    let check = |filter, expected| check_of(&view, PATIENT, filter, expected);
    let has = |filter| referred(OBSERVATION, SUBJECT, filter);
    check(has(has_code("x")), "ann bob");
    check(has(has_code("y")), "ann");
    check(has(has_code("q")), "");
    check(has(Filter::Everything), "ann bob");
    check(has(Filter::Nothing), "");
    check(has(not(has_code("x"))), "ann bob");
    check(has(Filter::Ids(vec!["b1".into(), "a2".into()])), "ann bob");
    check(referred(OBSERVATION, CODE, Filter::Everything), "");
    check(referred(PATIENT, SUBJECT, Filter::Everything), "");
    check(Filter::All(vec![has_code("f"), has(has_code("x"))]), "ann");
    check(
        Filter::Any(vec![has_code("f"), has(has_code("x"))]),
        "ann bob eve",
    );
    check(
        Filter::All(vec![has(has_code("x")), has(has_code("y"))]),
        "ann",
    );
    check(has(Filter::All(vec![has_code("x"), has_code("y")])), "");
}

pub(super) fn links_nest_and_combine(subject: &Subject<'_>) {
    ward(subject);
    let view = subject.now(ONE);
    let of = |filter| refers(SUBJECT, PATIENT, filter);
    let by = |filter| refers(GENERAL, PRACTITIONER, filter);
    let has = |filter| referred(OBSERVATION, SUBJECT, filter);
    let cares = |filter| referred(PATIENT, GENERAL, filter);
    let observations = |filter, expected| check_of(&view, OBSERVATION, filter, expected);
    observations(of(by(has_code("md"))), "a1 a2 b1 both");
    observations(of(by(has_code("dr"))), "b1 both");
    observations(of(not(by(has_code("dr")))), "a1 a2 both");
    // What was observed of those of whom y was.
    observations(of(has(has_code("y"))), "a1 a2 both");
    observations(
        of(Filter::Any(vec![has(has_code("y")), by(has_code("dr"))])),
        "a1 a2 b1 both",
    );
    let practitioners = |filter, expected| check_of(&view, PRACTITIONER, filter, expected);
    practitioners(cares(has(has_code("y"))), "house");
    practitioners(cares(has(has_code("x"))), "house who");
    practitioners(
        cares(Filter::All(vec![has_code("m"), has(has_code("x"))])),
        "house who",
    );
    practitioners(cares(has(of(by(has_code("dr"))))), "house who");
    practitioners(not(cares(has_code("m"))), "");
    practitioners(not(cares(has(has_code("y")))), "who");
}

pub(super) fn links_see_the_state_of_the_snapshot(subject: &Subject<'_>) {
    ward(subject);
    let before = subject.now(ONE).seq();
    let of = |filter| refers(SUBJECT, PATIENT, filter);
    let has = |filter| referred(OBSERVATION, SUBJECT, filter);
    subject.must(batch(20, vec![deletion("ann", 2)]));
    let deleted = subject.now(ONE).seq();
    subject.must(batch(30, vec![patient_with("ann", 3, vec![code("m")])]));
    let changed = subject.now(ONE).seq();
    subject.must(batch(
        40,
        vec![
            of_kind(OBSERVATION, deletion("a2", 2)),
            observation("a1", 2, vec![to(SUBJECT, PATIENT, "bob"), code("y")]),
        ],
    ));
    let moved = subject.now(ONE).seq();
    let check = |seq: Seq, kind, filter, expected| {
        check_of(&subject.at(ONE, seq), kind, filter, expected);
    };
    for (seq, all, women, men) in [
        (before, "a1 a2 b1 both", "a1 a2 both", "b1 both"),
        (deleted, "b1 both", "", "b1 both"),
        (changed, "a1 a2 b1 both", "", "a1 a2 b1 both"),
        (moved, "a1 b1 both", "", "a1 b1 both"),
    ] {
        check(seq, OBSERVATION, of(Filter::Everything), all);
        check(seq, OBSERVATION, of(has_code("f")), women);
        check(seq, OBSERVATION, of(has_code("m")), men);
    }
    for (seq, any, x, y) in [
        (before, "ann bob", "ann bob", "ann"),
        (deleted, "bob", "bob", ""),
        (changed, "ann bob", "ann bob", "ann"),
        (moved, "ann bob", "bob", "bob"),
    ] {
        check(seq, PATIENT, has(Filter::Everything), any);
        check(seq, PATIENT, has(has_code("x")), x);
        check(seq, PATIENT, has(has_code("y")), y);
    }
}

pub(super) fn links_stay_in_their_scope(subject: &Subject<'_>) {
    ward(subject);
    let of = |id| to(SUBJECT, PATIENT, id);
    subject.must(Batch {
        scope: TWO,
        ..batch(
            20,
            vec![
                patient_with("eve", 1, vec![code("m")]),
                observation("a1", 1, vec![of("ann"), code("x")]),
                observation("e1", 1, vec![of("eve"), code("x")]),
            ],
        )
    });
    let check = |scope: Scope, kind, filter, expected| {
        check_of(&subject.now(scope), kind, filter, expected);
    };
    let of = || refers(SUBJECT, PATIENT, Filter::Everything);
    let has = || referred(OBSERVATION, SUBJECT, Filter::Everything);
    check(ONE, OBSERVATION, of(), "a1 a2 b1 both");
    check(ONE, PATIENT, has(), "ann bob");
    check(TWO, OBSERVATION, of(), "e1");
    check(TWO, PATIENT, has(), "eve");
}

pub(super) fn linked_records_come_in_order(subject: &Subject<'_>) {
    let put = |n: i64| {
        let of = format!("p{}", n % 7);
        let rows = vec![to(SUBJECT, PATIENT, &of), row(DATE, date(n * 37 % 50, 100))];
        let put = observation(&format!("o{n}"), 1, rows);
        Put {
            main_date_ms: Some(n * 37 % 50),
            ..put
        }
    };
    let whose = |n: usize| patient_with(&format!("p{n}"), 1, vec![code(["a", "b"][n % 2])]);
    subject.must(batch(10, (0..7).map(whose).collect()));
    subject.must(batch(20, (0..50).map(put).collect()));
    let view = subject.now(ONE);
    // Those of the patients 1, 3 and 5; the last date first.
    let mut expected: Vec<i64> = (0..50).filter(|n| n % 7 % 2 == 1).collect();
    expected.sort_by_key(|n| std::cmp::Reverse(n * 37 % 50));
    let ids = |numbers: &[i64]| {
        let ids = numbers.iter().map(|n| format!("o{n}"));
        ids.collect::<Vec<_>>().join(" ")
    };
    let sorted = |sort| Query {
        sort,
        ..query(OBSERVATION, refers(SUBJECT, PATIENT, has_code("b")))
    };
    pages::check(&view, &sorted(vec![by(DATE, true)]), &ids(&expected));
    let id = Sort::Id { descending: false };
    pages::check(&view, &sorted(vec![by(DATE, true), id]), &ids(&expected));
    expected.reverse();
    pages::check(&view, &sorted(vec![by(DATE, false)]), &ids(&expected));
    expected.sort_unstable_by(|a, b| b.cmp(a));
    pages::check(&view, &sorted(vec![]), &ids(&expected));
}

pub(super) fn links_that_go_too_far_are_misuse(subject: &Subject<'_>) {
    ward(subject);
    let view = subject.now(ONE);
    let chain = |links: usize| {
        (0..links).fold(Filter::Everything, |filter, link| match link % 2 {
            0 => Filter::All(vec![referred(OBSERVATION, SUBJECT, filter)]),
            _ => not(refers(SUBJECT, PATIENT, filter)),
        })
    };
    let asked = query(OBSERVATION, chain(8));
    assert_eq!(view.count(&asked), view.find(&asked).hits.len() as u64);
    let asked = query(OBSERVATION, chain(9));
    let found = subject.wait(view.snapshot.find(&asked));
    assert!(matches!(found, Err(Error::Misuse(_))), "{found:?}");
    let counted = subject.wait(view.snapshot.count(&asked));
    assert!(matches!(counted, Err(Error::Misuse(_))), "{counted:?}");
    let refused = subject.commit(Batch {
        preconditions: vec![Precondition::NoneMatch(asked)],
        ..batch(20, vec![])
    });
    assert!(matches!(refused, Err(Error::Misuse(_))), "{refused:?}");
}

pub(super) fn preconditions_look_at_other_records(subject: &Subject<'_>) {
    ward(subject);
    let create = |id: &str, filter| Batch {
        preconditions: vec![Precondition::NoneMatch(query(OBSERVATION, filter))],
        ..batch(20, vec![observation(id, 1, vec![code("new")])])
    };
    let of = |of: &str| refers(SUBJECT, PATIENT, has_code(of));
    let refused = subject.commit(create("c", of("f")));
    let expected = Some(0);
    assert!(
        matches!(refused, Err(Error::Conflict { precondition }) if precondition == expected),
        "{refused:?}"
    );
    subject.must(create("c", of("q")));
    subject.must(create("d", Filter::All(vec![of("m"), has_code("y")])));
    subject.must(batch(30, vec![patient_with("bob", 2, vec![])]));
    subject.must(create("e", of("m")));
}
