//! Killed at any moment, a store has every batch it acknowledged, whole.
//!
//! A child process, this test binary again, commits from several tasks and
//! prints each acknowledgement; it is killed without warning at a seeded
//! moment. `SALUS_CRASH_ROUNDS` says how often, 6 times if it does not.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use salus_store::{At, AuditQuery, Store};
use tempfile::TempDir;

use super::room::{KIND, Numbers, Room, SCOPE, batch, observation};

const DIR: &str = "SALUS_CRASH_DIR";
const TASKS: u64 = 8;
/// Two records each, that are always written together.
const PAIRS: u64 = 30;

#[test]
fn every_acknowledged_batch_survives_a_kill() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let rounds = std::env::var("SALUS_CRASH_ROUNDS").ok();
    let rounds = rounds.and_then(|n| n.parse().ok()).unwrap_or(6);
    let dir = TempDir::new().unwrap();
    let mut numbers = Numbers(0xC0FFEE);
    let mut acknowledged = HashMap::new();
    let mut audited = 0;
    for round in 0..rounds {
        let lines = run_and_kill(&dir, Duration::from_millis(numbers.below(600)));
        for line in lines {
            let (pair, version) = line.split_once(' ').unwrap();
            acknowledged.insert(pair.to_owned(), version.parse::<u64>().unwrap());
            audited += 1;
        }
        verify(&dir, round, &acknowledged, audited);
    }
    assert!(audited > rounds, "the children did next to nothing");
}

/// Runs a child for a time after its first word; gives back what it acknowledged.
fn run_and_kill(dir: &TempDir, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::child", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let mut keep = |line: String| {
        if let Some(what) = line.strip_prefix("ack ") {
            acknowledged.push(what.to_owned());
        }
    };
    for line in lines.by_ref() {
        let line = line.unwrap();
        let first = line.starts_with("ack ");
        keep(line);
        if first {
            break;
        }
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut short by the kill: an acknowledgement that nobody heard.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    rest.into_iter()
        .filter(|line| line.ends_with('.'))
        .for_each(keep);
    acknowledged
        .iter()
        .map(|line| line.trim_end_matches('.').to_owned())
        .collect()
}

fn verify(dir: &TempDir, round: u64, acknowledged: &HashMap<String, u64>, audited: u64) {
    let room = Room::new(dir.path());
    let store = room.open();
    room.check(&store);
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    let get = |id: &str| room.runtime.block_on(snapshot.get(KIND, id)).unwrap();
    for pair in (0..PAIRS * TASKS).map(|n| n.to_string()) {
        let (left, right) = (get(&format!("{pair}-left")), get(&format!("{pair}-right")));
        let version = left.as_ref().map_or(0, |record| record.version);
        let other = right.as_ref().map_or(0, |record| record.version);
        assert_eq!(version, other, "round {round}: half a batch of pair {pair}");
        let heard = acknowledged.get(&pair).copied().unwrap_or(0);
        assert!(
            version >= heard,
            "round {round}: pair {pair} lost version {heard}"
        );
        for version in 1..=version {
            let id = format!("{pair}-left");
            let old = room.runtime.block_on(snapshot.version(KIND, &id, version));
            assert!(
                old.unwrap().is_some(),
                "round {round}: a gap in pair {pair}"
            );
        }
    }
    let query = AuditQuery {
        limit: usize::MAX,
        ..AuditQuery::default()
    };
    let entries = room.runtime.block_on(snapshot.audit(&query)).unwrap();
    assert!(
        entries.len() as u64 >= audited,
        "round {round}: audit entries lost"
    );
    drop(snapshot);
    room.runtime.block_on(store.close()).unwrap();
}

/// Not a test of its own: what is killed.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let room = Room::new(dir.as_ref());
    let store = room.open();
    let tasks = (0..TASKS).map(|task| room.runtime.spawn(work(Arc::clone(&store), task)));
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        room.runtime.block_on(task).unwrap();
    }
}

async fn work(store: Arc<crate::Embedded>, task: u64) {
    let mut numbers = Numbers(task + 1);
    loop {
        let pair = task * PAIRS + numbers.below(PAIRS);
        let (left, right) = (format!("{pair}-left"), format!("{pair}-right"));
        let snapshot = store.snapshot(SCOPE, At::Now).await.unwrap();
        let newest = snapshot.get(KIND, &left).await.unwrap();
        let version = newest.map_or(0, |record| record.version) + 1;
        let puts = vec![
            observation(&left, version, "left"),
            observation(&right, version, "right"),
        ];
        store.commit(batch(puts)).await.unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(format!("ack {pair} {version}.\n").as_bytes())
            .unwrap();
        out.flush().unwrap();
    }
}
