//! A query that costs too much is refused, and never answered in part.

use salus_store::{
    At, Comparison, Error, Filter, Kind, Param, Place, Put, Query, Row, Snapshot, Sort, Store,
    Test, Value,
};
use tempfile::TempDir;

use super::room::{CODE, KIND, PATIENT, Room, batch, observation};
use crate::{Embedded, Options};

const SUBJECT: Param = Param::named("Observation", "subject");
const PATIENTS: usize = 200;

fn to(kind: Kind, id: String) -> Row {
    let (param, id) = (SUBJECT, id.into());
    Row {
        param,
        value: Value::Reference { kind, id },
    }
}

/// Patients with codes 0 to 9, and three observations of each with codes 0 to 3.
fn fill(room: &Room, store: &Embedded) {
    let mut puts = Vec::new();
    for n in 0..PATIENTS {
        let put = observation(&format!("p{n}"), 1, &(n % 10).to_string());
        puts.push(Put {
            kind: PATIENT,
            ..put
        });
    }
    for n in 0..PATIENTS * 3 {
        let mut put = observation(&format!("o{n}"), 1, &(n % 4).to_string());
        put.rows.push(to(PATIENT, format!("p{}", n % PATIENTS)));
        puts.push(put);
    }
    room.commit(store, batch(puts)).unwrap();
}

fn code(code: &str) -> Filter {
    let (system, code) = (None, Some(code.into()));
    Filter::Value(CODE, Test::Token { system, code })
}

fn refers(filter: Filter) -> Filter {
    let (param, kind, filter) = (SUBJECT, PATIENT, Box::new(filter));
    Filter::Refers {
        param,
        kind,
        filter,
    }
}

fn referred(filter: Filter) -> Filter {
    let (param, kind, filter) = (SUBJECT, KIND, Box::new(filter));
    Filter::Referred {
        kind,
        param,
        filter,
    }
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn queries() -> Vec<Query> {
    let filters = [
        (KIND, refers(code("3"))),
        (KIND, refers(not(code("3")))),
        (KIND, not(refers(code("3")))),
        (KIND, Filter::All(vec![code("1"), refers(code("5"))])),
        (KIND, refers(referred(code("2")))),
        (PATIENT, referred(code("2"))),
        (PATIENT, not(referred(code("2")))),
        (PATIENT, referred(refers(not(code("1"))))),
        (PATIENT, referred(Filter::Updated(Comparison::Less, 0, 1))),
    ];
    let by_id = vec![Sort::Id { descending: true }];
    let queries = filters.into_iter().flat_map(|(kind, filter)| {
        [Vec::new(), by_id.clone()].map(|sort| Query {
            kind,
            filter: filter.clone(),
            sort,
            limit: 7,
            after: None,
            rows: Vec::new(),
        })
    });
    queries.collect()
}

/// The answers to a query, where it was not too costly.
fn answers(room: &Room, snapshot: &dyn Snapshot, query: &Query) -> (Option<Vec<u64>>, Option<u64>) {
    let found = match room.find(snapshot, query) {
        Ok(found) => Some(found.hits.iter().map(|hit| hit.record.seq.0).collect()),
        Err(Error::TooCostly { .. }) => None,
        Err(error) => panic!("{error}"),
    };
    let count = match room.runtime.block_on(snapshot.count(query)) {
        Ok(count) => Some(count),
        Err(Error::TooCostly { .. }) => None,
        Err(error) => panic!("{error}"),
    };
    (found, count)
}

#[test]
fn an_answer_is_whole_or_none() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    fill(&room, &store);
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    let whole = queries()
        .iter()
        .map(|query| answers(&room, &*snapshot, query))
        .collect::<Vec<_>>();
    assert!(
        whole
            .iter()
            .all(|(found, count)| found.is_some() && count.is_some())
    );
    drop(snapshot);
    room.runtime.block_on(store.close()).unwrap();
    drop(store);
    let mut refused = 0;
    for rows_max in [0, 1, 10, 50, 100, 200, 400, 800] {
        let store = Embedded::open(Options {
            rows_max,
            ..room.options()
        });
        let store = store.unwrap();
        let snapshot = room.snapshot(&store, At::Now).unwrap();
        for (query, (hits, count)) in queries().iter().zip(&whole) {
            let (our_hits, our_count) = answers(&room, &*snapshot, query);
            refused += usize::from(our_hits.is_none()) + usize::from(our_count.is_none());
            assert!(our_hits.is_none() || our_hits == *hits, "{query:?}");
            assert!(our_count.is_none() || our_count == *count, "{query:?}");
        }
        drop(snapshot);
        room.runtime.block_on(store.close()).unwrap();
    }
    assert!(refused > queries().len() * 4, "only {refused} were refused");
}

#[test]
fn places_far_away_are_not_read() {
    const PLACE: Param = Param::named("Location", "near");
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = Embedded::open(Options {
        rows_max: 150,
        ..room.options()
    });
    let store = store.unwrap();
    // A place in each square degree of a hundred by a hundred.
    let put = |n: usize| {
        let (latitude, longitude) = ((n / 100) as f64 - 50.0, (n % 100) as f64 + 130.0);
        let longitude = if longitude > 180.0 {
            longitude - 360.0
        } else {
            longitude
        };
        let mut put = observation(&format!("l{n}"), 1, "x");
        let place = Place::of_degrees(latitude, longitude).unwrap();
        let (param, value) = (PLACE, Value::Place(place));
        put.rows.push(Row { param, value });
        Row::sort(&mut put.rows);
        put
    };
    for begin in (0..10_000).step_by(500) {
        let puts = (begin..begin + 500).map(put).collect();
        room.commit(&store, batch(puts)).unwrap();
    }
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    for (latitude, longitude, places) in [(0.0, 140.0, 13), (10.0, 180.0, 13), (0.0, -100.0, 0)] {
        let center = Place::of_degrees(latitude, longitude).unwrap();
        let query = Query {
            kind: KIND,
            filter: Filter::Value(PLACE, Test::Near(center, 230_000_000)),
            sort: Vec::new(),
            limit: 50,
            after: None,
            rows: Vec::new(),
        };
        let found = room.find(&*snapshot, &query).unwrap();
        assert_eq!(found.hits.len(), places, "{latitude} {longitude}");
        let count = room.runtime.block_on(snapshot.count(&query)).unwrap();
        assert_eq!(count, places as u64);
    }
}
