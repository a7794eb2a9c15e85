//! What a server knows of drills: the reports that it keeps, how the last one ended, and whether
//! the next is overdue.

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
    key: [u8; PUBLIC_BYTES],
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// When drills were first to be run.
    pub(super) since_ms: i64,
    /// When the last one ended, and whether it passed.
    pub(super) last: Option<(i64, bool)>,
    /// One could not be carried out since.
    pub(super) broken: bool,
}

/// The key that signs reports.
pub(super) fn key(keyring: &Keyring) -> Result<Ed25519Key, salus_crypto::Error> {
    Ed25519Key::from_secret(&keyring.derive(KEY_PURPOSE)?)
}

impl Record {
    /// Of a data folder.
    pub(crate) fn open(
        data: &Path,
        every: Option<Duration>,
        keyring: &Keyring,
    ) -> Result<Self, salus_crypto::Error> {
        let (kept, now_ms) = (Kept::of(data), Machine.now_ms());
        let key = key(keyring)?.public();
        // A disk that takes nothing is told of by the store.
        let since_ms = every.and_then(|_| kept.since_ms(now_ms).ok());
        let last = kept.proved(&key).and_then(|said| ended(&said));
        Ok(Self {
            kept,
            every,
            key,
            state: Mutex::new(State {
                since_ms: since_ms.unwrap_or(now_ms),
                last,
                broken: false,
            }),
        })
    }

    /// The key that reports are checked with.
    pub(super) fn key(&self) -> &[u8; PUBLIC_BYTES] {
        &self.key
    }

    pub(super) fn state(&self) -> State {
        *self.state.lock()
    }

    /// Keeps a report, and what it says.
    pub(super) fn keep(&self, signed: &Value, said: &Value) -> Result<(), String> {
        let (ended_ms, passed) = ended(said).ok_or("the report does not say when it ended")?;
        let kept = self.kept.add(ended_ms, signed);
        kept.map_err(|error| format!("the report cannot be kept: {error}"))?;
        let mut state = self.state.lock();
        (state.last, state.broken) = (Some((ended_ms, passed)), false);
        Ok(())
    }

    /// One could not be carried out.
    pub(super) fn broke(&self) {
        self.state.lock().broken = true;
    }

    /// For metrics and health checks.
    pub(crate) fn numbers(&self) -> Numbers {
        let (state, now_ms) = (self.state(), Machine.now_ms());
        let last_ok = state.last.is_some_and(|(_, passed)| passed);
        let failed = state.last.is_some_and(|(_, passed)| !passed);
        let from_ms = state.last.map_or(state.since_ms, |(ended_ms, _)| ended_ms);
        Numbers {
            age_seconds: u64::try_from(now_ms.saturating_sub(from_ms) / 1000).unwrap_or(0),
            last_ok,
            warns: failed || state.broken || self.is_overdue(now_ms),
        }
    }

    /// Whether one should have been run.
    pub(super) fn is_overdue(&self, now_ms: i64) -> bool {
        let state = self.state();
        let last_ms = state.last.map(|(ended_ms, _)| ended_ms);
        let every = self.every;
        every.is_some_and(|every| is_overdue(every, last_ms.unwrap_or(state.since_ms), now_ms))
    }

    /// For `salus drill status`.
    pub(super) fn status(&self) -> Value {
        json!({
            "everySeconds": self.every.map(|every| every.as_secs()),
            "key": salus_service::statement::jwk(&self.key),
            "overdue": self.is_overdue(Machine.now_ms()),
            "broken": self.state().broken,
            "drills": self.kept.all(),
        })
    }
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
    fn what_is_overdue_is_a_quarter_late() {
        let every = Duration::from_secs(100);
        assert!(!is_overdue(every, 1_000, 126_000));
        assert!(is_overdue(every, 1_000, 126_001));
        // A clock that was put back.
        assert!(!is_overdue(every, 200_000, 1_000));
    }
}
