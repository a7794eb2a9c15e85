//! Many records, and queries that take every way through the planner, against
//! the memory twin.

use bytes::Bytes;
use salus_store::memory::Memory;
use salus_store::ordered::Decimal;
use salus_store::{
    At, Batch, Comparison, Content, Filter, Kind, Param, Piece, Put, Query, Relevance, Row,
    SealKey, Snapshot, Sort, Store, Test, TextTest, Value, Wanted, Word, Words,
};
use tempfile::TempDir;

use super::room::{KIND, Numbers, PATIENT, Room, SCOPE};
use crate::Embedded;

const STATUS: Param = Param(1);
const RARE: Param = Param(2);
const DATE: Param = Param(3);
const PERIOD: Param = Param(4);
const SUBJECT: Param = Param(5);
const NAME: Param = Param(6);
const VALUE: Param = Param(7);
const PAIR: Param = Param(8);
const LAST: Param = Param(9);
const WORDS: Param = Param(10);

const DAY_MS: i64 = 86_400_000;

fn row(param: Param, value: Value) -> Row {
    Row { param, value }
}

fn token(param: Param, code: String) -> Row {
    row(
        param,
        Value::Token {
            system: "http://s".into(),
            code: code.into(),
        },
    )
}

fn text(numbers: &mut Numbers) -> String {
    let start = ["an", "ann", "bo", "b"][numbers.below(4) as usize];
    let long = "x".repeat(if numbers.below(8) == 0 { 90 } else { 0 });
    format!("{start}{long}{}", numbers.below(9))
}

fn put(numbers: &mut Numbers, id: u64, version: u64) -> Put {
    let from_ms = numbers.below(400) as i64 * DAY_MS;
    let dated = numbers.below(10) > 0;
    let mut rows = vec![
        token(STATUS, format!("{}", numbers.below(3))),
        token(RARE, format!("{}", numbers.below(300))),
        row(
            SUBJECT,
            Value::Reference {
                kind: PATIENT,
                id: format!("p{}", numbers.below(numbers_of_patients(id))).into(),
            },
        ),
    ];
    if dated {
        let to_ms = from_ms + 1 + numbers.below(2) as i64 * DAY_MS;
        rows.push(row(DATE, Value::Date { from_ms, to_ms }));
    }
    if numbers.below(3) == 0 {
        let long = [1, 20, 50, 300][numbers.below(4) as usize] * DAY_MS;
        let to_ms = from_ms + long;
        rows.push(row(PERIOD, Value::Date { from_ms, to_ms }));
    }
    for _ in 0..numbers.below(3) {
        let exact = text(numbers);
        let folded = exact.clone().into();
        let exact = exact.into();
        rows.push(row(NAME, Value::String { folded, exact }));
    }
    let number = format!("{}.{}", numbers.below(30), numbers.below(4));
    rows.push(row(VALUE, Value::Number(Decimal::parse(&number).unwrap())));
    for _ in 0..numbers.below(3) {
        rows.push(row(PAIR, pair(numbers)));
    }
    if numbers.below(10) > 0 {
        rows.push(row(WORDS, words(numbers)));
    }
    Put {
        kind: KIND,
        id: format!("r{id}").into(),
        version,
        content: Content::Body(Bytes::from(format!("{id}/{version}"))),
        rows,
        main_date_ms: dated.then_some(from_ms),
        seal: SealKey::Scope,
    }
}

/// A word, of which the first are in most texts and the last in few.
fn word(numbers: &mut Numbers) -> String {
    let most = 1 + numbers.below(40);
    format!("w{}", numbers.below(most))
}

/// Each word stands for itself or has an end; its stem has none.
fn words(numbers: &mut Numbers) -> Value {
    let words = (0..1 + numbers.below(12) as u32).map(|at| {
        let stem = word(numbers);
        let end = ["", "", "s"][numbers.below(3) as usize];
        Word {
            word: format!("{stem}{end}").into(),
            stem: stem.into(),
            at,
        }
    });
    let words = words.collect();
    Value::Words(Words::of(words, numbers.below(6) as u32))
}

fn text_test(numbers: &mut Numbers) -> TextTest {
    let lead = numbers.below(4) == 0;
    let wanted = wanted(numbers, 2);
    TextTest { lead, wanted }
}

fn wanted(numbers: &mut Numbers, depth: u64) -> Wanted {
    let piece = |numbers: &mut Numbers| match numbers.below(4) {
        0 => Piece::Prefix(format!("{}s", word(numbers)).into()),
        1 => Piece::Prefix(word(numbers).into()),
        _ => Piece::Stem(word(numbers).into()),
    };
    match numbers.below(if depth == 0 { 5 } else { 10 }) {
        0..4 => Wanted::One(piece(numbers)),
        4 => Wanted::Phrase((0..2).map(|_| piece(numbers)).collect()),
        5..8 => Wanted::All((0..2).map(|_| wanted(numbers, depth - 1)).collect()),
        8 => Wanted::Any((0..2).map(|_| wanted(numbers, depth - 1)).collect()),
        _ => {
            let (one, other) = (wanted(numbers, depth - 1), wanted(numbers, depth - 1));
            Wanted::Without(one.into(), other.into())
        }
    }
}

/// A code and a number that belong together.
fn pair(numbers: &mut Numbers) -> Value {
    let code = numbers.below(4).to_string().into();
    let system = "http://s".into();
    let number = Decimal::parse(&numbers.below(50).to_string()).unwrap();
    let value = Value::Quantity {
        value: number,
        system: "u".into(),
        code: "g".into(),
    };
    Value::Composite([Value::Token { system, code }, value].into())
}

fn patient(numbers: &mut Numbers, id: u64, version: u64) -> Put {
    let mut put = put(numbers, id, version);
    for _ in 0..numbers.below(4) {
        let id = format!("r{}", numbers.below(6_000)).into();
        put.rows
            .push(row(LAST, Value::Reference { kind: KIND, id }));
    }
    Put {
        kind: PATIENT,
        id: format!("p{id}").into(),
        ..put
    }
}

/// Some patients have few records, one has very many.
fn numbers_of_patients(id: u64) -> u64 {
    if id.is_multiple_of(3) { 1 } else { 60 }
}

fn filter(numbers: &mut Numbers) -> Filter {
    let day = numbers.below(420) as i64 * DAY_MS;
    let comparisons = [
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
    let comparison = comparisons[numbers.below(9) as usize];
    let code = |code: String| Test::Token {
        system: None,
        code: Some(code.into()),
    };
    match numbers.below(18) {
        16 | 17 => Filter::Value(WORDS, Test::Words(text_test(numbers))),
        14 => Filter::Refers {
            param: LAST,
            kind: KIND,
            filter: Box::new(filter(numbers)),
        },
        15 => Filter::Referred {
            kind: PATIENT,
            param: LAST,
            filter: Box::new(filter(numbers)),
        },
        12 => {
            let number = |n: u64| Decimal::parse(&n.to_string()).unwrap();
            let from = numbers.below(50);
            let system = (numbers.below(3) > 0).then(|| "http://s".into());
            let code = (numbers.below(3) > 0).then(|| numbers.below(4).to_string().into());
            let quantity = Test::Quantity {
                comparison,
                from: number(from),
                to: number(from + 2),
                system: None,
                code: Some("g".into()),
            };
            let token = Test::Token { system, code };
            Filter::Value(PAIR, Test::Composite(vec![token, quantity]))
        }
        13 => Filter::Refers {
            param: SUBJECT,
            kind: PATIENT,
            filter: Box::new(filter(numbers)),
        },
        0 => Filter::Everything,
        1 | 2 => Filter::Value(STATUS, code(numbers.below(3).to_string())),
        3 => Filter::Value(RARE, code(numbers.below(300).to_string())),
        4 => Filter::Value(DATE, Test::Date(comparison, day, day + 30 * DAY_MS)),
        5 => Filter::Value(PERIOD, Test::Date(comparison, day, day + 30 * DAY_MS)),
        6 | 7 => {
            let id = format!("p{}", numbers.below(4)).into();
            let kind = (numbers.below(2) == 0).then_some(PATIENT);
            Filter::Value(SUBJECT, Test::Reference { kind, id })
        }
        8 => Filter::Value(NAME, Test::StringStarts(text(numbers)[..2].into())),
        9 => {
            let number = |n: u64| Decimal::parse(&n.to_string()).unwrap();
            let from = numbers.below(30);
            Filter::Value(
                VALUE,
                Test::Number(comparison, number(from), number(from + 2)),
            )
        }
        10 => Filter::Any(vec![filter(numbers), filter(numbers)]),
        _ => Filter::Not(Box::new(filter(numbers))),
    }
}

/// Patients of whom such records are, at times of those of patients.
fn referred(numbers: &mut Numbers) -> Filter {
    let filters = (0..1 + numbers.below(2)).map(|_| filter(numbers)).collect();
    Filter::Referred {
        kind: KIND,
        param: SUBJECT,
        filter: Box::new(Filter::All(filters)),
    }
}

fn query(numbers: &mut Numbers) -> Query {
    let mut filters: Vec<_> = (0..1 + numbers.below(3)).map(|_| filter(numbers)).collect();
    let kind = match numbers.below(5) {
        0 => {
            filters.truncate(1);
            filters.push(referred(numbers));
            PATIENT
        }
        _ => KIND,
    };
    let sort = (0..numbers.below(3)).map(|_| {
        let descending = numbers.below(2) == 0;
        let param = [DATE, DATE, NAME, VALUE, PERIOD, STATUS, SUBJECT][numbers.below(7) as usize];
        match numbers.below(6) {
            0 => Sort::Updated { descending },
            1 => Sort::Id { descending },
            _ => Sort::Value { param, descending },
        }
    });
    let mut sort: Vec<_> = sort.collect();
    if numbers.below(4) == 0 {
        let tests = (0..1 + numbers.below(2)).map(|_| (WORDS, text_test(numbers)));
        let tests: Vec<_> = tests.collect();
        // Mostly what is asked for anyway, and at times nothing else.
        if numbers.below(2) == 0 {
            filters.clear();
        }
        if numbers.below(6) > 0 {
            let texts = tests.iter().cloned();
            filters.extend(texts.map(|(param, test)| Filter::Value(param, Test::Words(test))));
        }
        sort.insert(0, Sort::Relevance(Relevance(tests)));
    }
    Query {
        kind,
        sort,
        filter: Filter::All(filters),
        limit: 1 + numbers.below(30) as usize,
        after: None,
        rows: vec![NAME],
    }
}

/// Follows three pages in both and compares them.
async fn compare(ours: &dyn Snapshot, theirs: &dyn Snapshot, query: &Query) {
    let count = ours.count(query).await.unwrap();
    assert_eq!(count, theirs.count(query).await.unwrap(), "{query:?}");
    let (mut our_query, mut their_query) = (query.clone(), query.clone());
    for page in 0..3 {
        let (our, their) = (ours.find(&our_query), theirs.find(&their_query));
        let (our, their) = (our.await.unwrap(), their.await.unwrap());
        assert!(our.hits == their.hits, "page {page} of {query:?}");
        assert_eq!(our.next.is_some(), their.next.is_some(), "{query:?}");
        if our.next.is_none() {
            return;
        }
        (our_query.after, their_query.after) = (our.next, their.next);
    }
}

#[test]
fn every_way_through_the_planner_gives_what_the_twin_gives() {
    compare_ways(0x5EED, 400, |_| {});
}

#[test]
fn answers_are_right_without_statistics() {
    compare_ways(0x5EED_0001, 100, |store| {
        for kind in [KIND, PATIENT] {
            store.core.samples.forget((SCOPE, kind));
        }
    });
}

#[test]
fn answers_are_right_with_wrong_statistics() {
    compare_ways(0x5EED_0002, 100, |store| {
        for kind in [KIND, PATIENT] {
            store.core.samples.pretend((SCOPE, kind), 1..90);
        }
    });
}

/// Compares many queries; what is known of the records is spoiled before.
fn compare_ways(seed: u64, steps: usize, spoil: fn(&Embedded)) {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let ours = room.open();
    let theirs = Memory::new();
    let mut numbers = Numbers(seed);
    let mut versions: Vec<u64> = Vec::new();
    let mut points = Vec::new();
    let seed = std::env::var("SALUS_STORE_SEED").ok();
    if let Some(seed) = seed.and_then(|seed| seed.parse().ok()) {
        numbers.0 = seed;
    }
    room.runtime.block_on(async {
        for round in 0..70_i64 {
            let mut puts: Vec<Put> = Vec::new();
            for _ in 0..100 {
                let new = versions.len() as u64;
                let id = if numbers.below(5) > 0 {
                    new
                } else {
                    numbers.below(new + 1)
                };
                if id == new {
                    versions.push(0);
                }
                if puts.iter().any(|put| *put.id == *format!("r{id}")) {
                    continue;
                }
                versions[id as usize] += 1;
                let mut put = put(&mut numbers, id, versions[id as usize]);
                if numbers.below(20) == 0 {
                    put.content = Content::Deleted;
                    put.rows.clear();
                }
                puts.push(put);
            }
            match round {
                0 => puts.extend((0..60).map(|id| patient(&mut numbers, id, 1))),
                65 => puts.extend((7..20).map(|id| patient(&mut numbers, id, 2))),
                _ => {}
            }
            // Clocks go back now and then.
            let batch = Batch::of(SCOPE, round * 10 - (round % 7) * 25, puts);
            let seq = theirs.commit(batch.clone()).await.unwrap().seq;
            assert_eq!(ours.commit(batch).await.unwrap().seq, seq);
            points.push(seq);
        }
        spoil(&ours);
        let other = Kind::named("Other");
        for step in 0..steps {
            let at = match step % 4 {
                0 => At::Seq(points[numbers.below(70) as usize]),
                _ => At::Now,
            };
            let our = ours.snapshot(SCOPE, at).await.unwrap();
            let their = theirs.snapshot(SCOPE, at).await.unwrap();
            let mut query = query(&mut numbers);
            if step == 1 {
                query.kind = other;
            }
            compare(&*our, &*their, &query).await;
        }
        ours.forget_before(points[60]).unwrap();
        for step in 0..steps / 4 {
            let at = At::Seq(points[60 + step % 10]);
            let our = ours.snapshot(SCOPE, at).await.unwrap();
            let their = theirs.snapshot(SCOPE, at).await.unwrap();
            compare(&*our, &*their, &query(&mut numbers)).await;
        }
    });
    room.check(&ours);
}
