//! A choice of the records of a store, and what is found by their own values: asked of the store
//! that runs and of the one that was restored, it has to be the same.
//!
//! The choice follows from a seed and the point of the log alone, so both make it by themselves,
//! and nothing of a record goes from one to the other but digests.

use std::collections::BTreeMap;

use salus_crypto::{hex, sha256};
use salus_store::{
    Comparison, Content, Error, Filter, Hit, Kind, Param, Query, Record, Row, Scope, Seq, Snapshot,
    Test, Value,
};
use serde::{Deserialize, Serialize};

use crate::fhir::types::ResourceType;

/// Parameters by whose values records are looked for, where their type has them.
const CODES: [&str; 8] = [
    "identifier",
    "patient",
    "subject",
    "date",
    "code",
    "family",
    "birthdate",
    "status",
];
/// Searches by each parameter of a record.
const VALUES_MAX: usize = 2;
/// Records that a search is compared by.
const FOUND_MAX: usize = 100;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// What the choice follows from.
    pub seed: u64,
    /// The point that both stores show.
    pub upto: Seq,
    /// How many records of each kind.
    pub each: usize,
    /// Which kinds.
    pub kinds: &'a [Kind],
}

/// A record, and what was found by it, as digests.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The scope of the record.
    pub scope: u32,
    /// Its kind.
    pub kind: u32,
    /// It, with its id, version and place in the log.
    pub record: String,
    /// What was looked for and what was found, by the parameter and its place among those of the
    /// record.
    pub searches: BTreeMap<String, String>,
    /// Whether each of them found the record itself.
    pub finds_itself: bool,
}
salus_phi::guard!(Sample);

/// Chooses records of a scope and asks for each by its own values.
///
/// # Errors
/// When the store cannot be read.
pub async fn sample(
    snapshot: &dyn Snapshot,
    scope: Scope,
    asked: &Asked<'_>,
) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    for kind in asked.kinds {
        let params = params(*kind);
        for number in 0..asked.each {
            let place = place(asked, scope, *kind, number);
            let Some(hit) = choose(snapshot, *kind, (place, asked.upto), &params).await? else {
                break;
            };
            samples.push(ask(snapshot, scope, &hit).await?);
        }
    }
    Ok(samples)
}

/// Before which point of the log a record is looked for.
fn place(asked: &Asked<'_>, scope: Scope, kind: Kind, number: usize) -> Seq {
    let text = format!("{} {} {} {number}", asked.seed, scope.0, kind.0);
    let [a, b, c, d, e, f, g, h, ..] = sha256(text.as_bytes());
    let random = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    Seq(random % asked.upto.0.saturating_add(1) + 1)
}

/// The newest record before a point, or the newest of all if there is none.
async fn choose(
    snapshot: &dyn Snapshot,
    kind: Kind,
    (place, upto): (Seq, Seq),
    params: &[Param],
) -> Result<Option<Hit>, Error> {
    let mut hits = snapshot.walk(kind, place, 1, params).await?;
    if hits.is_empty() {
        let end = Seq(upto.0.saturating_add(1));
        hits = snapshot.walk(kind, end, 1, params).await?;
    }
    Ok(hits.into_iter().next())
}

fn params(kind: Kind) -> Vec<Param> {
    let ty = ResourceType::of(kind);
    ty.map_or_else(Vec::new, |ty| {
        let params = CODES.iter().map(|code| Param::named(ty.name, code));
        params.collect()
    })
}

async fn ask(snapshot: &dyn Snapshot, scope: Scope, hit: &Hit) -> Result<Sample, Error> {
    let record = &hit.record;
    let mut sample = Sample {
        scope: scope.0,
        kind: record.kind.0,
        record: digest([record]),
        searches: BTreeMap::new(),
        finds_itself: true,
    };
    let ty = ResourceType::of(record.kind).map_or("", |ty| ty.name);
    for code in CODES {
        let param = Param::named(ty, code);
        let rows = hit.rows.iter().filter(|row| row.param == param);
        let searches = rows.filter_map(|row| Some((row, filter(row)?)));
        for (number, (row, filter)) in searches.take(VALUES_MAX).enumerate() {
            let itself = snapshot.holds(record.kind, &record.id, &filter).await?;
            sample.finds_itself &= itself;
            let query = Query {
                kind: record.kind,
                filter,
                sort: Vec::new(),
                limit: FOUND_MAX,
                after: None,
                rows: Vec::new(),
            };
            let found = snapshot.find(&query).await?;
            // The value, too: one that is wrong may still find its record alone.
            let mut asked = Vec::new();
            row.value.put_key(&mut asked);
            asked.extend_from_slice(digest(found.hits.iter().map(|hit| &hit.record)).as_bytes());
            sample
                .searches
                .insert(format!("{code} {number}"), hex(&sha256(&asked)));
        }
    }
    Ok(sample)
}

/// The search that finds a value; none for those that other parameters have.
fn filter(row: &Row) -> Option<Filter> {
    let test = match &row.value {
        Value::Token { system, code } => Test::Token {
            system: Some(system.clone()),
            code: Some(code.clone()),
        },
        Value::String { folded, .. } => Test::StringStarts(folded.clone()),
        Value::Date { from_ms, to_ms } => Test::Date(Comparison::Equal, *from_ms, *to_ms),
        Value::Reference { kind, id } => Test::Reference {
            kind: Some(*kind),
            id: id.clone(),
        },
        Value::Uri(uri) => Test::UriIs(uri.clone()),
        Value::Number(_)
        | Value::Quantity { .. }
        | Value::Composite(_)
        | Value::Words(_)
        | Value::Passage(_)
        | Value::Place(_) => return None,
    };
    Some(Filter::Value(row.param, test))
}

/// One digest of records, in their order.
fn digest<'a>(records: impl IntoIterator<Item = &'a Record>) -> String {
    let mut all = Vec::new();
    for record in records {
        let numbers = [record.version, record.seq.0, record.time_ms.cast_unsigned()];
        numbers
            .iter()
            .for_each(|number| all.extend_from_slice(&number.to_be_bytes()));
        let body = match &record.content {
            Content::Body(body) => sha256(body),
            Content::Deleted => [0; 32],
        };
        all.extend_from_slice(&body);
        all.extend_from_slice(&sha256(record.id.as_bytes()));
    }
    hex(&sha256(&all))
}

/// What two stores answer otherwise.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Kinds of records that are not the same, or not there.
    pub records: Vec<Kind>,
    /// Kinds and parameters by whose values other records are found, or that have others.
    pub searches: Vec<(Kind, String)>,
}
salus_phi::guard!(Difference);

/// Compares what two stores answered to the same questions.
#[must_use]
pub fn compare(live: &[Sample], restored: &[Sample]) -> Difference {
    let mut difference = Difference::default();
    let longest = live.len().max(restored.len());
    for at in 0..longest {
        let (live, restored) = (live.get(at), restored.get(at));
        let kind = Kind(live.or(restored).map_or(0, |sample| sample.kind));
        let (Some(live), Some(restored)) = (live, restored) else {
            difference.records.push(kind);
            break;
        };
        if (live.scope, live.kind, &live.record)
            != (restored.scope, restored.kind, &restored.record)
        {
            difference.records.push(kind);
            continue;
        }
        let names = live.searches.keys().chain(restored.searches.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        let other = names
            .into_iter()
            .filter(|name| live.searches.get(*name) != restored.searches.get(*name));
        let code = |name: &String| name.split(' ').next().unwrap_or_default().to_owned();
        difference
            .searches
            .extend(other.map(|name| (kind, code(name))));
    }
    difference
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use salus_store::memory::Memory;
    use salus_store::{At, Batch, Put, SealKey, Store};

    use super::*;

    const SCOPE: Scope = Scope(1);
    const PATIENT: Kind = Kind::named("Patient");

    /// Patients with an identifier each; the one of this number has another row than it should.
    async fn asked(changed: Option<usize>, body: &'static str) -> Vec<Sample> {
        let store = Memory::new();
        for number in 0..20 {
            let code = match changed == Some(number) {
                true => "other".into(),
                false => format!("id-{number}").into(),
            };
            let put = Put {
                kind: PATIENT,
                id: format!("{number}").into(),
                version: 1,
                content: Content::Body(Bytes::from_static(body.as_bytes())),
                rows: vec![Row {
                    param: Param::named("Patient", "identifier"),
                    value: Value::Token {
                        system: "urn:a".into(),
                        code,
                    },
                }],
                main_date_ms: None,
                seal: SealKey::Scope,
            };
            let batch = Batch::of(SCOPE, 1_000, vec![put]);
            store.commit(batch).await.unwrap();
        }
        let snapshot = store.snapshot(SCOPE, At::Now).await.unwrap();
        let asked = Asked {
            seed: 7,
            upto: snapshot.seq(),
            each: 200,
            kinds: &[PATIENT],
        };
        sample(&*snapshot, SCOPE, &asked).await.unwrap()
    }

    #[tokio::test]
    async fn the_same_store_answers_the_same() {
        let (one, other) = (asked(None, "{}").await, asked(None, "{}").await);
        assert_eq!(one.len(), 200);
        assert!(one.iter().all(|sample| sample.finds_itself));
        assert!(one.iter().all(|sample| sample.searches.len() == 1));
        assert_eq!(compare(&one, &other), Difference::default());
    }

    #[tokio::test]
    async fn another_row_another_body_and_a_lost_record_are_noticed() {
        let live = asked(None, "{}").await;
        let row = compare(&live, &asked(Some(3), "{}").await);
        assert!(row.records.is_empty());
        assert!(!row.searches.is_empty());
        let name = (PATIENT, "identifier".to_owned());
        assert!(row.searches.iter().all(|one| *one == name));
        let body = compare(&live, &asked(None, "{\"a\":1}").await);
        assert_eq!(body.records.len(), 200);
        // Some were chosen twice, one after the other.
        assert!(compare(&live, &live[1..]).records.len() > 100);
        assert_eq!(compare(&live, &live[..100]).records, [PATIENT]);
    }
}
