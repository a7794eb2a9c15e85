//! How far a standby is, for those who ask.

use parking_lot::Mutex;
use salus_service::context::World as _;
use salus_service::instant;
use salus_service::restored::Given;
use salus_store::Seq;
use serde_json::{Value, json};

use crate::open::Machine;

/// Faults that are remembered.
const FAULTS_MAX: usize = 100;
/// A standby that is further behind is not ready to be promoted without loss of time.
const LAG_MAX_S: u64 = 30;

/// What it is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Starting,
    Restoring,
    Following,
    WaitingForKeys,
    /// It tries again.
    Failing(String),
    Promoting,
}

/// How far it is.
#[derive(Default)]
pub(super) struct Progress(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    from: String,
    phase: Phase,
    seq: Seq,
    time_ms: Option<i64>,
    known: Seq,
    /// When the archive was looked at last and nothing was there that the standby does not have.
    caught_up_ms: Option<i64>,
    started_ms: i64,
    records: u64,
    unreadable: u64,
    failed: u64,
    blobs: u64,
    errors: u64,
    faults: Vec<String>,
}

impl Progress {
    pub(super) fn of(from: &str) -> Self {
        Self(Mutex::new(Inner {
            from: from.to_owned(),
            started_ms: Machine.now_ms(),
            ..Inner::default()
        }))
    }

    pub(super) fn set(&self, phase: Phase) {
        self.0.lock().phase = phase;
    }

    pub(super) fn failing(&self, reason: String) {
        let mut inner = self.0.lock();
        inner.errors += 1;
        inner.phase = Phase::Failing(reason);
    }

    pub(super) fn at(&self, seq: Seq, time_ms: Option<i64>) {
        let mut inner = self.0.lock();
        inner.seq = seq;
        inner.time_ms = time_ms.or(inner.time_ms);
        inner.known = inner.known.max(seq);
    }

    pub(super) fn known(&self, seq: Seq) {
        let mut inner = self.0.lock();
        inner.known = inner.known.max(seq);
    }

    pub(super) fn caught_up(&self, at_ms: i64) {
        let mut inner = self.0.lock();
        inner.caught_up_ms = Some(at_ms);
        if inner.phase != Phase::Promoting {
            inner.phase = Phase::Following;
        }
    }

    pub(super) fn given(&self, given: &Given) {
        let mut inner = self.0.lock();
        inner.records += given.records;
        inner.unreadable += given.unreadable;
        inner.failed += given.failed;
    }

    pub(super) fn blob(&self) {
        self.0.lock().blobs += 1;
    }

    /// Remembers a fault; whether it is new.
    pub(super) fn fault(&self, fault: String) -> bool {
        let mut inner = self.0.lock();
        let is_new = inner.faults.len() < FAULTS_MAX && !inner.faults.contains(&fault);
        if is_new {
            inner.faults.push(fault);
        }
        is_new
    }

    /// As `salus follow status` shows it.
    pub(super) fn json(&self) -> Value {
        let inner = self.0.lock();
        let (state, reason) = inner.phase.words();
        json!({
            "state": state,
            "reason": reason,
            "from": inner.from,
            "seq": inner.seq.0,
            "time": inner.time_ms.map(instant),
            "archiveSeq": inner.known.0,
            "behindSeqs": inner.known.0 - inner.seq.0,
            "behindSeconds": inner.behind_s(),
            "records": inner.records,
            "unreadable": inner.unreadable,
            "notIndexed": inner.failed,
            "blobs": inner.blobs,
            "errors": inner.errors,
            "faults": inner.faults,
        })
    }

    /// Whether it could be promoted in seconds, and what it says of itself.
    pub(super) fn ready(&self) -> (bool, Value) {
        let inner = self.0.lock();
        let (state, _) = inner.phase.words();
        let ready = inner.phase == Phase::Following && inner.behind_s() <= LAG_MAX_S;
        let status = if ready { "ready" } else { "unavailable" };
        let (seconds, seqs) = (inner.behind_s(), inner.known.0 - inner.seq.0);
        let answer = json!({
            "status": status,
            "state": state,
            "behindSeconds": seconds,
            "behindSeqs": seqs,
        });
        (ready, answer)
    }

    /// As a scraper wants it.
    pub(super) fn metrics(&self) -> String {
        let inner = self.0.lock();
        let ready = u64::from(inner.phase == Phase::Following);
        let gauges = [
            ("salus_follow_following", "Whether it follows", ready),
            (
                "salus_follow_lag_seconds",
                "Since when it may lack something of the archive",
                inner.behind_s(),
            ),
            (
                "salus_follow_lag_seqs",
                "Seqs that it is known to lack",
                inner.known.0 - inner.seq.0,
            ),
            ("salus_follow_seq", "The last seq that it has", inner.seq.0),
        ];
        let mut text = String::new();
        for (name, help, value) in gauges {
            text += &format!("# TYPE {name} gauge\n# HELP {name} {help}.\n{name} {value}\n");
        }
        let counters = [
            (
                "salus_follow_records",
                "Records whose rows were made",
                inner.records,
            ),
            (
                "salus_follow_errors",
                "Failures since the start",
                inner.errors,
            ),
        ];
        for (name, help, value) in counters {
            text +=
                &format!("# TYPE {name} counter\n# HELP {name} {help}.\n{name}_total {value}\n");
        }
        text + "# EOF\n"
    }
}

impl Inner {
    fn behind_s(&self) -> u64 {
        let since = self.caught_up_ms.unwrap_or(self.started_ms);
        u64::try_from(Machine.now_ms().saturating_sub(since) / 1000).unwrap_or(0)
    }
}

impl Phase {
    fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Starting => ("starting", None),
            Self::Restoring => ("restoring", None),
            Self::Following => ("following", None),
            Self::WaitingForKeys => (
                "waiting-for-keys",
                Some("the copy of the keys is older than the archive: renew it"),
            ),
            Self::Failing(reason) => ("failing", Some(reason)),
            Self::Promoting => ("promoting", None),
        }
    }
}
