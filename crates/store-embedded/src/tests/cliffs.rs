//! Searches whose conditions are each common and only together rare: what
//! they cost, in rows touched, by the plan that is told.

use salus_store::{
    At, Comparison, Filter, Kind, Param, Plan, Put, Query, References, Row, Snapshot, Sort, Store,
    Test, Value,
};
use tempfile::TempDir;

use super::room::{CODE, KIND, PATIENT, Room, batch, observation};
use crate::Embedded;

const SUBJECT: Param = Param::named("Observation", "subject");
const DATE: Param = Param::named("Observation", "date");
const STATUS: Param = Param::named("Observation", "status");

const RECORDS: u64 = 12_000;
const PATIENTS: u64 = 400;
const DAY_MS: i64 = 86_400_000;

fn token(param: Param, code: u64) -> Row {
    Row {
        param,
        value: Value::Token {
            system: "http://s".into(),
            code: code.to_string().into(),
        },
    }
}

/// Observations with one of eight codes, one of seven statuses, a date and a
/// patient; patients in twenty groups.
fn fill(room: &Room, store: &Embedded) {
    let patients = (0..PATIENTS).map(|n| Put {
        kind: PATIENT,
        ..observation(&format!("p{n}"), 1, &(n % 20).to_string())
    });
    room.commit(store, batch(patients.collect())).unwrap();
    for part in 0..RECORDS / 1000 {
        let puts = (part * 1000..(part + 1) * 1000).map(|n| {
            let mut put = observation(&format!("o{n}"), 1, &(n % 8).to_string());
            let from_ms = (n * 7919 % RECORDS) as i64 * DAY_MS;
            put.main_date_ms = Some(from_ms);
            let date = Value::Date {
                from_ms,
                to_ms: from_ms + 1,
            };
            let patient = Value::Reference {
                kind: PATIENT,
                id: format!("p{}", n % PATIENTS).into(),
            };
            // A status of those with code 1 that is rare among them only.
            let status = match n % 8 {
                1 if n % 800 != 1 => 1 + n % 6,
                _ => n % 7,
            };
            put.rows.extend([
                token(STATUS, status),
                Row {
                    param: DATE,
                    value: date,
                },
                Row {
                    param: SUBJECT,
                    value: patient,
                },
            ]);
            put
        });
        room.commit(store, batch(puts.collect())).unwrap();
    }
}

fn is(param: Param, code: u64) -> Filter {
    let (system, code) = (None, Some(code.to_string().into()));
    Filter::Value(param, Test::Token { system, code })
}

fn from(day: i64) -> Filter {
    let test = Test::Date(Comparison::GreaterOrEqual, day * DAY_MS, (day + 1) * DAY_MS);
    Filter::Value(DATE, test)
}

fn of_group(group: u64) -> Filter {
    Filter::Refers {
        param: SUBJECT,
        kind: PATIENT,
        filter: Box::new(is(CODE, group)),
    }
}

fn by_date(descending: bool) -> Vec<Sort> {
    let param = DATE;
    vec![Sort::Value { param, descending }]
}

struct World {
    room: Room,
    snapshot: Box<dyn Snapshot>,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let room = Room::new(dir.path());
        let store = room.open();
        fill(&room, &store);
        let snapshot = room.snapshot(&store, At::Now).unwrap();
        Self {
            room,
            snapshot,
            _dir: dir,
        }
    }

    fn query(filters: Vec<Filter>, sort: Vec<Sort>) -> Query {
        Query {
            kind: KIND,
            filter: Filter::All(filters),
            sort,
            limit: 20,
            after: None,
            rows: Vec::new(),
        }
    }

    /// The plan of a page that has to be full, and cost no more than so many rows.
    #[track_caller]
    fn check(&self, filters: Vec<Filter>, sort: Vec<Sort>, rows_max: u64) -> Plan {
        let query = Self::query(filters, sort);
        let explained = self.room.runtime.block_on(self.snapshot.explain(&query));
        let (found, plan) = explained.unwrap();
        assert_eq!(found.hits.len(), 20);
        assert!(plan.rows <= rows_max, "{plan:#?}");
        assert_eq!(plan.records, Some(RECORDS));
        plan
    }

    #[track_caller]
    fn estimate(&self, filters: Vec<Filter>, low: u64, high: u64) {
        let query = Self::query(filters, Vec::new());
        let estimate = self.room.runtime.block_on(self.snapshot.estimate(&query));
        let estimate = estimate.unwrap().unwrap();
        assert!((low..=high).contains(&estimate), "{estimate}");
    }
}

#[test]
fn what_is_common_alone_and_rare_together_is_found_without_walking_far() {
    let world = World::new();
    // What the short readings cost that come first, and a page.
    let few = 2 * 600;
    // Dates from the middle on, in their order: not from the beginning.
    let plan = world.check(vec![is(CODE, 3), from(6000)], by_date(false), few + 700);
    let walks = plan.steps.iter();
    let mut walks = walks.filter(|step| step.what == "walk in the order asked for");
    let walk = walks.find(|step| step.rows_expected.is_some()).unwrap();
    // Hints show which have the code.
    assert!(walk.rows < 60, "{plan:#?}");
    assert!(!walk.conditions.is_empty(), "{plan:#?}");
    world.check(vec![is(CODE, 3), from(6000)], by_date(true), few + 700);
    // A chain to a twentieth, and a code of an eighth.
    world.check(vec![is(CODE, 4), of_group(8)], Vec::new(), 700);
    // Two that go together a hundredth as often as by chance: both are read whole.
    let both = || vec![is(CODE, 1), is(STATUS, 0)];
    let query = World::query(both(), Vec::new());
    let explained = world.room.runtime.block_on(world.snapshot.explain(&query));
    let plan = explained.unwrap().1;
    assert!(plan.rows < 2500, "{plan:#?}");
}

/// References to the first so many patients.
fn of_patients(count: u64) -> Filter {
    let ids = (0..count).map(|n| format!("p{n}").into());
    let set = References::of(PATIENT, ids.collect());
    let one = Filter::Value(SUBJECT, Test::References(set.clone()));
    // As a compartment is, by several parameters.
    let other = Filter::Value(STATUS, Test::References(set));
    Filter::Any(vec![one, other])
}

#[test]
fn references_to_many_cost_little_more_than_a_page_without_them() {
    let world = World::new();
    // A twentieth of all patients, half of them, and nearly all.
    for (count, rows_max) in [(20, 1500), (200, 300), (390, 60)] {
        world.check(vec![of_patients(count)], Vec::new(), rows_max);
        for descending in [false, true] {
            let sort = by_date(descending);
            world.check(vec![of_patients(count)], sort, rows_max + 1100);
        }
    }
    let with_code = vec![is(CODE, 3), of_patients(200)];
    let alone = world.check(vec![is(CODE, 3)], Vec::new(), 1300);
    world.check(with_code, Vec::new(), 2 * alone.rows + 60);
    world.estimate(vec![of_patients(200)], 5000, 7000);
}

#[test]
fn estimates_are_near_and_told_without_counting() {
    let world = World::new();
    world.estimate(vec![is(CODE, 3)], 1000, 2000);
    world.estimate(vec![from(6000)], 5000, 7000);
    world.estimate(vec![is(CODE, 3), from(6000)], 450, 1100);
    world.estimate(vec![Filter::Not(Box::new(is(CODE, 3)))], 9500, 11_500);
    world.estimate(vec![of_group(3)], 300, 1000);
    world.estimate(vec![is(CODE, 9)], 0, 0);
    world.estimate(Vec::new(), RECORDS, RECORDS);
    let one = Test::Reference {
        kind: Some(Kind::named("Patient")),
        id: "p7".into(),
    };
    world.estimate(vec![Filter::Value(SUBJECT, one)], 30, 30);
}

#[test]
fn a_sample_survives_and_one_that_is_missing_is_drawn() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    fill(&room, &store);
    room.runtime.block_on(store.close()).unwrap();
    drop(store);
    let store = room.open();
    let query = World::query(vec![is(CODE, 3)], Vec::new());
    let estimate = || {
        let snapshot = room.snapshot(&store, At::Now).unwrap();
        room.runtime.block_on(snapshot.estimate(&query)).unwrap()
    };
    assert!(estimate().is_some());
    let of = (super::room::SCOPE, KIND);
    store.core.samples.forget(of);
    assert_eq!(estimate(), None);
    assert!(!store.core.samples.is_single(of, DATE));
    crate::sample::draw(&store.core, || false).unwrap();
    assert!(estimate().is_some());
    assert!(store.core.samples.is_single(of, DATE));
    drop(store);
}

#[test]
fn a_count_follows_what_changes_and_each_point_has_its_own() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let all = |from: u64, to: u64, version: u64, status: u64| {
        let puts = (from..to).map(|n| {
            let mut put = observation(&format!("o{n}"), version, "1");
            put.rows.push(token(STATUS, status));
            put
        });
        room.commit(&store, batch(puts.collect())).unwrap()
    };
    let count = |at: At| {
        let snapshot = room.snapshot(&store, at).unwrap();
        let query = World::query(vec![is(STATUS, 0)], Vec::new());
        room.runtime.block_on(snapshot.count(&query)).unwrap()
    };
    let first = all(0, 6000, 1, 0);
    assert_eq!(count(At::Now), 6000);
    let second = all(0, 500, 2, 1);
    let third = all(6000, 6100, 1, 0);
    assert_eq!(count(At::Now), 5600);
    assert_eq!(count(At::Seq(second)), 5500);
    assert_eq!(count(At::Seq(first)), 6000);
    let mut deleted = observation("o5999", 2, "1");
    deleted.content = salus_store::Content::Deleted;
    deleted.rows.clear();
    room.commit(&store, batch(vec![deleted])).unwrap();
    all(0, 100, 3, 0);
    assert_eq!(count(At::Now), 5699);
    assert_eq!(count(At::Seq(third)), 5600);
    all(100, 200, 3, 0);
    store
        .forget_before(room.snapshot(&store, At::Now).unwrap().seq())
        .unwrap();
    // What was superseded since is forgotten: counted anew.
    assert_eq!(count(At::Now), 5799);
    all(200, 300, 3, 0);
    assert_eq!(count(At::Now), 5899);
}

#[test]
fn a_query_that_takes_too_long_is_refused() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    fill(&room, &store);
    room.runtime.block_on(store.close()).unwrap();
    drop(store);
    let store = Embedded::open(crate::Options {
        time_max: std::time::Duration::ZERO,
        ..room.options()
    });
    let store = store.unwrap();
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    let none = Filter::Not(Box::new(Filter::Value(CODE, Test::Present)));
    let query = World::query(vec![none], Vec::new());
    let found = room.find(&*snapshot, &query);
    assert!(matches!(found, Err(salus_store::Error::TookTooLong { .. })));
}
