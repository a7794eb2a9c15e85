//! What a restored store holds, and what can be said of it without the store that runs: by the
//! archive, the checkpoints, the ledger of shreddings, and the report of the drill before.

use std::sync::Arc;

use salus_crypto::{Shreds, hex};
use salus_service::audit::log;
use salus_service::drill::Sample;
use salus_service::instant;
use salus_store::{At, Blobs, Content, Error, Scope, Seq, Store};
use salus_store_embedded::{Embedded, Tally};
use serde_json::{Value, json};

use super::checks::{self, Check};
use super::live::{Question, sent};
use super::run::Trial;
use super::{Failure, operator};
use crate::restore::Report;

/// Blobs that are opened.
const BLOBS_MAX: usize = 50;
/// Shreddings whose records are looked for, the newest ones.
const SHREDS_MAX: usize = 5;
/// Versions that are looked at for each.
const VERSIONS_MAX: usize = 1 << 20;

/// What a restored store holds.
pub(super) struct Held {
    engine: Arc<Embedded>,
    pub(super) seq: Seq,
    pub(super) tally: Tally,
    pub(super) audit_size: u64,
    pub(super) audit_root: [u8; 32],
}

impl Held {
    /// Of a store that was restored just now.
    pub(super) async fn of(engine: &Arc<Embedded>, report: &Report) -> Result<Self, Failure> {
        let head = report.head.ok_or("nothing was restored")?;
        let counting = Arc::clone(engine);
        let tally = tokio::task::spawn_blocking(move || counting.tally(head.seq)).await??;
        Ok(Self {
            engine: Arc::clone(engine),
            seq: head.seq,
            tally,
            audit_size: head.audit_size,
            audit_root: head.audit_root,
        })
    }

    /// How many records of which kinds there are, as it is sent.
    pub(super) fn kinds(&self) -> Vec<(u32, u32, u64, u64)> {
        sent(&self.tally)
    }

    /// The same choice of records as the running store makes.
    pub(super) async fn samples(
        &self,
        kinds: &[(u32, u32, u64, u64)],
        question: &Question,
    ) -> Result<Vec<Sample>, Error> {
        let store: &dyn Store = &*self.engine;
        let samples = operator::samples(store, self.seq, At::Now, (kinds, question));
        Ok(samples.await?.unwrap_or_default())
    }

    /// The counts by type, for the report.
    pub(super) fn counts(&self) -> Value {
        let types = checks::by_type(&self.tally.kinds).into_iter();
        let types = types.map(|(name, counts)| {
            let counts = json!({"records": counts.records, "versions": counts.versions});
            (name.to_owned(), counts)
        });
        Value::Object(types.collect())
    }

    /// What was restored, for the report.
    pub(super) fn view(&self, report: &Report) -> Value {
        let kinds = self.tally.kinds.values();
        let (records, versions) = kinds.fold((0, 0), |(records, versions), counts| {
            (records + counts.records, versions + counts.versions)
        });
        json!({
            "seq": self.seq.0,
            "time": report.time_ms.map(instant),
            "chain": hex(&self.tally.chain),
            "auditSize": self.audit_size,
            "auditRoot": hex(&self.audit_root),
            "records": records,
            "versions": versions,
            "unreadable": report.given.unreadable,
            "blobs": report.blobs,
        })
    }

    /// All that can be checked without the running store.
    pub(super) async fn checks(
        &self,
        trial: &Trial<'_>,
        report: &Report,
        before: Option<Value>,
    ) -> Result<Vec<Check>, Failure> {
        let history = match before {
            Some(before) => Check::of("history", self.history(trial, &before).await?),
            None => Check::none("history", "no earlier report of a drill is kept"),
        };
        Ok(vec![
            self.checkpoints(trial).await?,
            history,
            Check::of("blobs", self.blobs(report).await?),
            self.shredded(trial).await?,
        ])
    }

    /// The audit log is what checkpoints say that it was.
    async fn checkpoints(&self, trial: &Trial<'_>) -> Result<Check, Failure> {
        let mut notes = trial.notes.clone();
        if trial.is_past() {
            // What was signed later is of later entries.
            let covered = |size: u64| size <= self.audit_size;
            notes.retain(|note| note.checkpoint().is_ok_and(|one| covered(one.size)));
        }
        if notes.is_empty() {
            return Ok(Check::none("checkpoints", "no checkpoint is kept"));
        }
        let key = trial.keyring.derive(log::KEY_PURPOSE)?;
        let compared = log::compare(&*self.engine, &key, notes.into_iter()).await?;
        Ok(Check::of("checkpoints", compared))
    }

    /// What the drill before restored is still there.
    async fn history(&self, trial: &Trial<'_>, before: &Value) -> Result<Vec<String>, Failure> {
        let was = &before["restored"];
        let (Some(seq), Some(size)) = (was["seq"].as_u64(), was["auditSize"].as_u64()) else {
            return Ok(Vec::new());
        };
        if seq > self.seq.0 {
            let back = "the archive was rolled back: the drill before restored more of it";
            let back = (!trial.is_past()).then(|| back.to_owned());
            return Ok(back.into_iter().collect());
        }
        let (engine, mut faults) = (Arc::clone(&self.engine), Vec::new());
        let tally = tokio::task::spawn_blocking(move || engine.tally(Seq(seq))).await??;
        if was["chain"] != hex(&tally.chain) {
            faults.push("what the drill before restored was changed since".to_owned());
        }
        let then = Self {
            engine: Arc::clone(&self.engine),
            seq: Seq(seq),
            tally,
            ..*self
        };
        if before["counts"] != then.counts() {
            faults.push("there are not as many records as the drill before counted".to_owned());
        }
        let root = log::root_at(self.engine.audit_tree(), size).await;
        if root.ok().map(|root| hex(&root)).as_deref() != was["auditRoot"].as_str() {
            faults.push("the audit log is not what the drill before restored".to_owned());
        }
        Ok(faults)
    }

    /// Blobs that versions name can be opened.
    async fn blobs(&self, report: &Report) -> Result<Vec<String>, Failure> {
        let mut closed = 0;
        for blob in report.given.blobs.iter().take(BLOBS_MAX) {
            let opened = Blobs::open(&*self.engine, blob.scope, &blob.id).await;
            closed += u64::from(!matches!(opened, Ok(Some(_))));
        }
        let faults = (closed > 0).then(|| format!("{closed} blobs cannot be opened"));
        Ok(faults.into_iter().collect())
    }

    /// Patients who were shredded stay unreadable.
    async fn shredded(&self, trial: &Trial<'_>) -> Result<Check, Failure> {
        let shreds = Shreds::open(&trial.plan.work.join("keys"), &trial.keyring)?;
        let all = shreds.all();
        if all.is_empty() {
            return Ok(Check::none("shredded", "nobody was shredded"));
        }
        let mut faults = Vec::new();
        let kept = all.iter();
        let kept = kept.filter(|one| !shreds.is_destroyed(one.scope, &one.label));
        let kept = kept.count();
        if kept > 0 {
            faults.push(format!(
                "the keyring has keys of {kept} patients who were shredded"
            ));
        }
        let mut readable = 0;
        for one in all.iter().rev().take(SHREDS_MAX) {
            readable += self.readable(Scope(one.scope), &one.label).await?;
        }
        if readable > 0 {
            faults.push(format!(
                "{readable} versions of shredded patients can be read"
            ));
        }
        Ok(Check::of("shredded", faults))
    }

    /// Versions that a patient's key sealed and that can be opened.
    async fn readable(&self, scope: Scope, patient: &str) -> Result<u64, Error> {
        let snapshot = self.engine.snapshot(scope, At::Now).await?;
        let (mut readable, mut after) = (0, Some(Seq(0)));
        while let Some(from) = after {
            let found = self
                .engine
                .sealed(scope, patient, from, VERSIONS_MAX)
                .await?;
            for one in &found.versions {
                let read = snapshot.version(one.kind, &one.id, one.version).await;
                let body = |content: &Content| matches!(content, Content::Body(_));
                let opened = read.is_ok_and(|record| record.is_some_and(|r| body(&r.content)));
                readable += u64::from(opened);
            }
            after = found.next;
        }
        Ok(readable)
    }
}
