//! What a server knows of drills: the reports that it keeps, how the last one ended, and whether
//! the next is overdue.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use salus_crypto::ed25519::PUBLIC_BYTES;
use salus_crypto::{Ed25519Key, Keyring};
use salus_service::context::World;
use salus_service::drill::{KEY_PURPOSE, Numbers};
use serde_json::{Value, json};

use super::kept::Kept;
use super::report;
use crate::open::Machine;

/// Of a server.
pub(crate) struct Record {
    pub(super) kept: Kept,
    pub(super) every: Option<Duration>,
    /// What the archives are called that are to be drilled.
    archives: Vec<String>,
    key: [u8; PUBLIC_BYTES],
    /// When drills were first to be run.
    pub(super) since_ms: i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of each archive when the last one ended, and whether it passed.
    last: BTreeMap<String, Last>,
    /// Those of which one could not be carried out since.
    broken: BTreeSet<String>,
}

/// When a drill ended, and whether it passed.
pub(super) type Last = (i64, bool);

/// The key that signs reports.
pub(super) fn key(keyring: &Keyring) -> Result<Ed25519Key, salus_crypto::Error> {
    Ed25519Key::from_secret(&keyring.derive(KEY_PURPOSE)?)
}

impl Record {
    /// Of a data folder whose store is shipped to these archives.
    pub(crate) fn open(
        data: &Path,
        every: Option<Duration>,
        archives: Vec<String>,
        keyring: &Keyring,
    ) -> Result<Self, salus_crypto::Error> {
        let (kept, now_ms) = (Kept::of(data), Machine.now_ms());
        let key = key(keyring)?.public();
        // A disk that takes nothing is told of by the store.
        let since_ms = every.and_then(|_| kept.since_ms(now_ms).ok());
        let state = State {
            last: last(kept.proved(&key)),
            ..State::default()
        };
        Ok(Self {
            kept,
            every,
            archives,
            key,
            since_ms: since_ms.unwrap_or(now_ms),
            state: Mutex::new(state),
        })
    }

    /// The key that reports are checked with.
    pub(super) fn key(&self) -> &[u8; PUBLIC_BYTES] {
        &self.key
    }

    /// How the last drill of an archive ended.
    pub(super) fn last(&self, archive: &str) -> Option<Last> {
        self.state.lock().last.get(archive).copied()
    }

    /// Keeps a report, and what it says.
    pub(super) fn keep(&self, signed: &Value, said: &Value) -> Result<(), String> {
        let (ended_ms, passed) = ended(said).ok_or("the report does not say when it ended")?;
        let kept = self.kept.add(ended_ms, signed);
        kept.map_err(|error| format!("the report cannot be kept: {error}"))?;
        let (mut state, archive) = (self.state.lock(), archive(said));
        state.broken.remove(&archive);
        state.last.insert(archive, (ended_ms, passed));
        Ok(())
    }

    /// One of an archive could not be carried out.
    pub(super) fn broke(&self, archive: &str) {
        self.state.lock().broken.insert(archive.to_owned());
    }

    /// For metrics and health checks: of all archives that are to be drilled.
    pub(crate) fn numbers(&self) -> Numbers {
        let now_ms = Machine.now_ms();
        let (broken, last) = (self.is_broken(), self.wanted());
        let passed = |last: &Option<Last>| last.is_some_and(|(_, passed)| passed);
        let failed = |last: &Option<Last>| last.is_some_and(|(_, passed)| !passed);
        let age_ms = now_ms.saturating_sub(self.oldest_ms());
        Numbers {
            age_seconds: u64::try_from(age_ms / 1000).unwrap_or(0),
            last_ok: last.iter().all(passed),
            warns: last.iter().any(failed) || broken || self.is_overdue(now_ms),
        }
    }

    /// How the last drills ended of the archives that are to be drilled; of those that were, if
    /// none are said. One at least.
    fn wanted(&self) -> Vec<Option<Last>> {
        let state = self.state.lock();
        let last = |archive: &String| state.last.get(archive).copied();
        match (self.archives.is_empty(), state.last.is_empty()) {
            (false, _) => self.archives.iter().map(last).collect(),
            (true, false) => state.last.values().copied().map(Some).collect(),
            (true, true) => vec![None],
        }
    }

    /// When the drill ended that is longest ago.
    fn oldest_ms(&self) -> i64 {
        let ended_ms = |last: Option<Last>| last.map_or(self.since_ms, |(ended_ms, _)| ended_ms);
        let oldest_ms = self.wanted().into_iter().map(ended_ms).min();
        oldest_ms.unwrap_or(self.since_ms)
    }

    fn is_broken(&self) -> bool {
        !self.state.lock().broken.is_empty()
    }

    /// Whether one should have been run.
    pub(super) fn is_overdue(&self, now_ms: i64) -> bool {
        let every = self.every;
        every.is_some_and(|every| is_overdue(every, self.oldest_ms(), now_ms))
    }

    /// For `salus drill status`.
    pub(super) fn status(&self) -> Value {
        json!({
            "everySeconds": self.every.map(|every| every.as_secs()),
            "archives": self.archives,
            "key": salus_service::statement::jwk(&self.key),
            "overdue": self.is_overdue(Machine.now_ms()),
            "broken": self.is_broken(),
            "drills": self.kept.all(),
        })
    }
}

/// How the last drill of each archive ended, of reports from the newest on.
pub(super) fn last(reports: impl Iterator<Item = Value>) -> BTreeMap<String, Last> {
    let mut last = BTreeMap::new();
    for said in reports {
        if let Some(ended) = ended(&said) {
            last.entry(archive(&said)).or_insert(ended);
        }
    }
    last
}

/// What the archive of a report is called.
fn archive(said: &Value) -> String {
    said["archive"].as_str().unwrap_or_default().to_owned()
}

/// A quarter more than it should be: the time that a drill takes, and a night that was missed.
pub(super) fn is_overdue(every: Duration, last_ms: i64, now_ms: i64) -> bool {
    let most = every.saturating_add(every / 4);
    let most_ms = i64::try_from(most.as_millis()).unwrap_or(i64::MAX);
    now_ms.saturating_sub(last_ms) > most_ms
}

/// When a drill ended and whether it passed, as its report says.
pub(super) fn ended(said: &Value) -> Option<(i64, bool)> {
    let ended: jiff::Timestamp = said["ended"].as_str()?.parse().ok()?;
    Some((ended.as_millisecond(), report::passed(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_archive_has_its_own_last_drill() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = dir.path().join("keys");
        let keyring = Keyring::open(&keyring, salus_crypto::Founding::New, 0).unwrap();
        let archives = ["a", "b"].map(str::to_owned).to_vec();
        let every = Some(Duration::from_secs(3600));
        let record = Record::open(dir.path(), every, archives, &keyring).unwrap();
        let said = |archive: &str, outcome: &str, ended_ms: i64| {
            json!({"archive": archive, "outcome": outcome,
                "ended": salus_service::instant(ended_ms)})
        };
        let keep = |said: Value| record.keep(&json!({"report": said}), &said).unwrap();
        let now_ms = Machine.now_ms();
        keep(said("a", "passed", now_ms));
        assert!(!record.numbers().last_ok, "of the other nobody knows");
        keep(said("b", "failed", now_ms - 1_000_000));
        keep(said("a", "passed", now_ms));
        let numbers = record.numbers();
        assert!(numbers.warns && !numbers.last_ok);
        assert!(numbers.age_seconds >= 1_000);
        keep(said("b", "passed", now_ms));
        assert!(record.numbers().last_ok && !record.numbers().warns);
        record.broke("b");
        keep(said("a", "passed", now_ms));
        assert!(record.numbers().warns);
        keep(said("b", "passed", now_ms - 5_000_000));
        assert!(record.is_overdue(now_ms));
    }

    #[test]
    fn what_is_overdue_is_a_quarter_late() {
        let every = Duration::from_secs(100);
        assert!(!is_overdue(every, 1_000, 126_000));
        assert!(is_overdue(every, 1_000, 126_001));
        // A clock that was put back.
        assert!(!is_overdue(every, 200_000, 1_000));
    }
}
