//! Searches over many records, answered by the engine as by the memory twin:
//! enough of them that pages end inside runs of equal values, and that a plan
//! by one condition differs from a plan by another.

use std::sync::Mutex;

use super::choice::Choice;
use super::data::*;
use super::random::{Place, SEED, Twin, assert_same, number_from, pages};
use super::{Engine, Subject};
use crate::{Batch, Comparison, Filter, Kind, Param, Put, Query, Row, Seq, Sort, Test, Value};

const RECORDS: u64 = 1_000;
const SUBJECT: Param = Param::named("Observation", "subject");
const QUERIES: u64 = 200;
const PATIENTS: u64 = 44;

pub(super) fn many_records_are_searched_as_in_memory(subject: &Subject<'_>) {
    let seed = number_from("SALUS_STORE_SEED").unwrap_or(SEED);
    let twin = Subject {
        engine: &Twin,
        store: Mutex::new(Some(Twin.create())),
    };
    let mut choice = Choice::new(seed);
    let points = fill(&mut choice, [subject, &twin]);
    let mut place = Place { seed, step: 0 };
    while place.step < QUERIES {
        let query = query_like(&mut choice);
        let limits = [
            choice.below(60) as usize + 1,
            1,
            choice.below(200) as usize + 1,
        ];
        let point = *choice.of(&points);
        let [ours, twins] = [subject, &twin].map(|subject| {
            let view = subject.at(ONE, point);
            let page = |limit, after| {
                view.find(&Query {
                    limit,
                    after,
                    ..query.clone()
                })
            };
            (pages(&limits, page), view.count(&query))
        });
        assert_same(&(point, &query), &ours, &twins);
        place.step += 1;
    }
}

/// Puts records into both, then changes and deletes some; says after which points.
fn fill(choice: &mut Choice, both: [&Subject<'_>; 2]) -> Vec<Seq> {
    let mut versions = vec![0; RECORDS as usize];
    let mut points = Vec::new();
    for round in 0..15 {
        let mut puts = some_patients(choice, round);
        for n in 0..100 {
            // Ten rounds create, five change what happens to be chosen.
            let n = if round < 10 {
                round * 100 + n
            } else {
                choice.below(RECORDS)
            };
            let id = format!("r{n}");
            if puts.iter().any(|put: &Put| *put.id == *id) {
                continue;
            }
            versions[n as usize] += 1;
            puts.push(observation(choice, &id, versions[n as usize]));
        }
        let batch = Batch {
            scope: ONE,
            ..batch(round as i64 / 4, puts)
        };
        let [ours, twins] = both.map(|subject| subject.must(batch.clone()));
        assert_eq!(ours, twins);
        if round >= 9 {
            points.push(ours.seq);
        }
    }
    points
}

/// All but the last few, and in later rounds some of them again.
fn some_patients(choice: &mut Choice, round: u64) -> Vec<Put> {
    let (numbers, version) = match round {
        0 => (0..PATIENTS - 4, 1),
        12 => (5..15, 2),
        _ => return Vec::new(),
    };
    let put = |n| {
        let id = format!("p{n}");
        if version > 1 && n % 4 == 0 {
            return deletion(&id, version);
        }
        let mut rows = choice.rows(3);
        rows.push(row(CODE, token("s", &format!("c{}", choice.below(8)))));
        patient_with(&id, version, rows)
    };
    numbers.map(put).collect()
}

fn observation(choice: &mut Choice, id: &str, version: u64) -> Put {
    let put = of_kind(OBSERVATION, patient(id, version));
    if version > 1 && choice.one_in(4) {
        return of_kind(OBSERVATION, deletion(id, version));
    }
    let from_ms = choice.below(50) as i64;
    // Few patients have most of the records, few codes are most of the codes.
    let patients = if choice.one_in(8) { 40 } else { 4 };
    let codes = if choice.one_in(8) { 8 } else { 2 };
    let mut rows = vec![
        reference(choice.below(patients)),
        row(CODE, token("s", &format!("c{}", choice.below(codes)))),
        row(
            DATE,
            date(from_ms, from_ms + 1 + choice.below(4) as i64 * 10),
        ),
    ];
    rows.extend(choice.rows(3));
    Put {
        rows,
        main_date_ms: Some(from_ms),
        ..put
    }
}

fn reference(number: u64) -> Row {
    let id = format!("p{number}").into();
    let kind = PATIENT;
    row(SUBJECT, Value::Reference { kind, id })
}

/// A patient's records of a code in a span of time, in the order of their
/// dates; those of patients with a code; patients with such records; or
/// anything else.
fn query_like(choice: &mut Choice) -> Query {
    let filter = filter_like(choice);
    let sort = match choice.below(3) {
        0 => choice.sort(),
        _ => {
            let descending = choice.one_in(2);
            let param = if choice.one_in(4) { CODE } else { DATE };
            vec![Sort::Value { param, descending }]
        }
    };
    let (kind, filter) = match choice.below(4) {
        0 => {
            let other = patient_like(choice);
            (PATIENT, Filter::All(vec![referred(filter), other]))
        }
        _ => (OBSERVATION, filter),
    };
    Query {
        sort,
        rows: vec![DATE],
        ..query(kind, filter)
    }
}

fn patient_like(choice: &mut Choice) -> Filter {
    let codes = choice.some(4, |choice| has_code(&format!("c{}", choice.below(8))));
    match choice.below(5) {
        0 => Filter::Everything,
        1 => Filter::Not(Box::new(Filter::Any(codes))),
        2 => referred(has_code(&format!("c{}", choice.below(8)))),
        _ => Filter::Any(codes),
    }
}

fn referred(filter: Filter) -> Filter {
    Filter::Referred {
        kind: OBSERVATION,
        param: SUBJECT,
        filter: Box::new(filter),
    }
}

fn filter_like(choice: &mut Choice) -> Filter {
    let mut filters = Vec::new();
    if choice.one_in(3) {
        let refers = Filter::Refers {
            param: SUBJECT,
            kind: PATIENT,
            filter: Box::new(patient_like(choice)),
        };
        let not = choice.one_in(5);
        filters.push(if not {
            Filter::Not(Box::new(refers))
        } else {
            refers
        });
    }
    if choice.one_in(2) {
        let kind: Option<Kind> = choice.one_in(2).then_some(PATIENT);
        let id = format!("p{}", choice.below(8)).into();
        filters.push(Filter::Value(SUBJECT, Test::Reference { kind, id }));
    }
    if choice.one_in(2) {
        let codes = choice.some(3, |choice| has_code(&format!("c{}", choice.below(8))));
        filters.push(Filter::Any(codes));
    }
    if choice.one_in(2) {
        let from = choice.below(60) as i64;
        let to = from + choice.below(20) as i64;
        let comparison = choice.comparison();
        filters.push(Filter::Value(DATE, Test::Date(comparison, from, to)));
    }
    if choice.one_in(4) {
        filters.push(Filter::Updated(
            Comparison::GreaterOrEqual,
            choice.below(4) as i64,
            9,
        ));
    }
    if choice.one_in(3) {
        let ids = ["r1", "r27", "r333", "r999", "r1000"];
        filters.push(choice.filter(&ids, 2));
    }
    Filter::All(filters)
}
