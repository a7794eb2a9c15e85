//! Pages in an order, wherever they lie in it: how many rows they touch does
//! not depend on how many match, nor on how many have the same value.

use salus_store::{
    At, Filter, Param, Plan, Position, Put, Query, Row, Snapshot, Sort, Test, Value,
};
use tempfile::TempDir;

use super::room::{CODE, KIND, PATIENT, Room, batch, observation};

const STATUS: Param = Param::named("Observation", "status");
const DATE: Param = Param::named("Observation", "date");
const SUBJECT: Param = Param::named("Observation", "subject");
const PERFORMER: Param = Param::named("Observation", "performer");
const NAME: Param = Param::named("Observation", "name");
const NOTE: Param = Param::named("Observation", "note");

const SIZES: [u64; 2] = [4_000, 16_000];
const DAY_MS: i64 = 86_400_000;
const PAGE: usize = 20;

fn by(param: Param, descending: bool) -> Sort {
    Sort::Value { param, descending }
}

fn updated(descending: bool) -> Sort {
    Sort::Updated { descending }
}

/// Of so many: each with the same status, one of two codes in one of three
/// systems, its own date, one of many patients, the same performer, one of
/// five names; a quarter with a note.
fn record(n: u64, size: u64) -> Put {
    let mixed = n * 7919 % size;
    let from_ms = mixed as i64 * DAY_MS;
    let token = |system: &str, code: &str| Value::Token {
        system: system.into(),
        code: code.into(),
    };
    let text = |text: String| Value::String {
        folded: text.to_lowercase().into(),
        exact: text.into(),
    };
    let patient = |id: String| Value::Reference {
        kind: PATIENT,
        id: id.into(),
    };
    let row = |param, value| Row { param, value };
    let mut put = observation(&format!("o{mixed}"), 1, "");
    put.main_date_ms = Some(from_ms);
    put.rows = vec![
        row(
            CODE,
            token(&format!("s{}", n % 3), &(n / 3 % 2).to_string()),
        ),
        row(STATUS, token("s", "final")),
        row(SUBJECT, patient(format!("p{}", n % 400))),
        row(PERFORMER, patient("p".into())),
        row(
            NAME,
            text(["Ann", "ANN", "Bo", "Cy", "Di"][(n % 5) as usize].into()),
        ),
        row(
            DATE,
            Value::Date {
                from_ms,
                to_ms: from_ms + 1,
            },
        ),
    ];
    if n.is_multiple_of(4) {
        put.rows.push(row(NOTE, text(format!("note {}", n % 100))));
    }
    put
}

struct World {
    room: Room,
    snapshot: Box<dyn Snapshot>,
    size: u64,
    _dir: TempDir,
}

impl World {
    fn new(size: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let room = Room::new(dir.path());
        let store = room.open();
        let mut time_ms = 1_000_000;
        for from in (0..size).step_by(50) {
            let mut batch = batch((from..from + 50).map(|n| record(n, size)).collect());
            // Now and then one comes a little late.
            time_ms += 10;
            batch.time_ms = time_ms - if from % 1000 == 0 { 25 } else { 0 };
            room.commit(&store, batch).unwrap();
        }
        let snapshot = room.snapshot(&store, At::Now).unwrap();
        Self {
            room,
            snapshot,
            size,
            _dir: dir,
        }
    }

    fn query(sort: &[Sort], limit: usize, after: Option<Position>) -> Query {
        let (system, code) = (None, Some("final".into()));
        Query {
            kind: KIND,
            // Holds for all.
            filter: Filter::Value(STATUS, Test::Token { system, code }),
            sort: sort.to_vec(),
            limit,
            after,
            rows: Vec::new(),
        }
    }

    /// The most rows that a page touches: the first, the last, and those
    /// behind and before a record in the middle.
    fn rows(&self, sort: &[Sort]) -> (u64, Plan) {
        let half = Self::query(sort, self.size as usize / 2, None);
        let middle = self
            .room
            .find(&*self.snapshot, &half)
            .unwrap()
            .next
            .unwrap();
        let seq = middle.seq().unwrap();
        let pages = [
            None,
            Some(Position::End),
            Some(middle),
            Some(Position::UpTo(seq)),
        ];
        let plans = pages.map(|after| {
            let query = Self::query(sort, PAGE, after);
            let explained = self.room.runtime.block_on(self.snapshot.explain(&query));
            let (found, plan) = explained.unwrap();
            assert_eq!(found.hits.len(), PAGE, "{sort:?} {after:?}");
            plan
        });
        let plan = plans.into_iter().max_by_key(|plan| plan.rows).unwrap();
        (plan.rows, plan)
    }
}

#[test]
fn a_page_touches_as_few_rows_of_many_as_of_few() {
    let [small, large] = SIZES.map(World::new);
    let id = Sort::Id { descending: false };
    for sort in [
        vec![by(STATUS, false)],
        vec![by(STATUS, true)],
        vec![by(CODE, false)],
        vec![by(CODE, true)],
        vec![by(NAME, false)],
        vec![by(SUBJECT, false)],
        vec![by(SUBJECT, true)],
        vec![by(DATE, false)],
        vec![by(DATE, true)],
        vec![id.clone()],
        vec![Sort::Id { descending: true }],
        vec![updated(false)],
        vec![updated(true)],
        vec![updated(true), by(NAME, false)],
        vec![by(STATUS, false), by(DATE, true)],
        vec![by(STATUS, true), by(CODE, false), by(DATE, false)],
        vec![by(CODE, false), by(NAME, true), by(DATE, true)],
        vec![by(CODE, false), id.clone()],
        vec![by(NAME, false), updated(false)],
        vec![by(STATUS, false), by(NOTE, false)],
        vec![by(PERFORMER, false), by(SUBJECT, true), by(DATE, false)],
    ] {
        let ((few, _), (many, plan)) = (small.rows(&sort), large.rows(&sort));
        assert!(
            many <= few + few / 4 + 64 && many < 3000,
            "{sort:?}: {few}, then {plan:#?}"
        );
    }
    // Entries of the performer are read in the order of dates until they are known to be many.
    let (many, plan) = large.rows(&[by(PERFORMER, false)]);
    assert!(many < 1500, "{plan:#?}");
}
