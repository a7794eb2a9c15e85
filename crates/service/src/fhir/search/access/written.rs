//! What a filter means for a record that is about to be written, in memory, is
//! what the indexes answer once it is: of records at random, filters at random.

use std::collections::HashMap;

use salus_store::memory::Memory;
use salus_store::{Kind, Row};

use super::*;
use crate::fhir::incoming;
use crate::fhir::stored::Stored;
use crate::policy::writes::Among;

/// A record as a write would have it.
struct Made {
    kind: Kind,
    id: Box<str>,
    time_ms: i64,
    rows: Vec<Row>,
}

async fn made(host: &Host, scope: Scope) -> Vec<Made> {
    let snapshot = host.service.store.snapshot(scope, At::Now).await.unwrap();
    let mut all = Vec::new();
    for ty in TYPES {
        let ty = ResourceType::named(ty).unwrap();
        let query = Query {
            kind: ty.kind,
            filter: Filter::Everything,
            sort: Vec::new(),
            limit: 1000,
            after: None,
            rows: Vec::new(),
        };
        for hit in snapshot.find(&query).await.unwrap().hits {
            let salus_store::Content::Body(body) = hit.record.content else {
                continue;
            };
            let document = incoming::parse(body, &host.service.settings.json).unwrap();
            let valid = incoming::check(document.root(), ty).unwrap();
            let cx = context(Subject::operator(), scope, hit.record.time_ms);
            let stored = Stored::of(&cx, ty, &hit.record.id, 1, &valid).unwrap();
            all.push(Made {
                kind: ty.kind,
                id: hit.record.id,
                time_ms: hit.record.time_ms,
                rows: stored.rows,
            });
        }
    }
    all
}

/// Compares both, over what is there and over nothing but what is written.
async fn compare(seed: u64, host: &Host, tally: &mut [usize; 2]) {
    let choice = &mut Choice(seed);
    let scope = Scope(u32::try_from(seed + 100).unwrap());
    for writing in world::at_random(choice) {
        write(host, scope, &writing).await;
    }
    let all = made(host, scope).await;
    let store = &host.service.store;
    let there = store.snapshot(scope, At::Now).await.unwrap();
    let empty = store.snapshot(Scope(1), At::Now).await.unwrap();
    let written = || {
        let rows = all
            .iter()
            .map(|one| ((one.kind, &*one.id), Some(&*one.rows)));
        rows.collect::<HashMap<_, _>>()
    };
    for _ in 0..5 {
        let (visible, text) = policy(scope, &clauses(choice, scope));
        for one in &all {
            let Some(filter) = visible.get(&one.kind) else {
                continue;
            };
            let this = Filter::Ids(vec![one.id.clone()]);
            let query = Query {
                kind: one.kind,
                filter: Filter::All(vec![this, filter.clone()]),
                sort: Vec::new(),
                limit: 1,
                after: None,
                rows: Vec::new(),
            };
            let want = !there.find(&query).await.unwrap().hits.is_empty();
            let record = (&*one.id, &*one.rows);
            let among = Among::over(&*there, one.time_ms, HashMap::new());
            let have = among.holds(one.kind, record, filter).await.unwrap();
            assert_eq!(have, want, "seed {seed}: {} {text}", one.id);
            tally[usize::from(want)] += 1;
            // All that is written in one commit has one time.
            if text.contains("_lastUpdated") {
                continue;
            }
            let among = Among::over(&*empty, one.time_ms, written());
            let have = among.holds(one.kind, record, filter).await.unwrap();
            assert_eq!(have, want, "seed {seed}, all written: {} {text}", one.id);
        }
    }
}

#[test]
fn filters_mean_in_memory_what_they_mean_in_indexes() {
    let (seeds, runtime) = (seeds_or(12), runtime());
    let many = seeds.clone().count();
    let mut tally = [0; 2];
    for seed in seeds {
        runtime.block_on(async {
            let host = Host::over(Arc::new(Memory::new())).await;
            compare(seed, &host, &mut tally).await;
        });
    }
    assert!(
        many < 12 || tally.iter().all(|many| *many > 100),
        "{tally:?}"
    );
}
