//! What a restore tells when it is over.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use salus_crypto::hex;
use salus_service::fhir::types::ResourceType;
use salus_service::instant;
use salus_service::restored::Given;
use salus_store::{LogHead, Lost, Seq};
use serde_json::json;

use super::Failure;

/// Records without content that are listed.
const LOST_MAX: usize = 1_000;

/// The base that a store was restored from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Based {
    /// Where it ends.
    pub(super) seq: Seq,
    /// Since when it is of use.
    pub(super) time_ms: i64,
}

/// What was restored.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How far the log is.
    pub(crate) head: Option<LogHead>,
    /// When the last batch was committed.
    pub(crate) time_ms: Option<i64>,
    /// The base that it began with; without one it was read from the beginning of the log.
    pub(crate) base: Option<Based>,
    pub(crate) given: Given,
    /// Blobs that came back.
    pub(crate) blobs: u64,
    /// Records whose content was purged before it was archived: they are left out.
    pub(crate) lost: Vec<Lost>,
    /// What the archive lacks, or has otherwise than it was written.
    pub(crate) damaged: Vec<String>,
    /// What the store that was made is not as the archive says.
    pub(crate) findings: Vec<String>,
    /// What does not fit together in it.
    pub(crate) unfit: Vec<String>,
    /// How long each step took.
    pub(crate) steps: Vec<(&'static str, Duration)>,
    pub(crate) seconds: f64,
}

/// Something could not be restored, and the rest was.
#[derive(Debug, thiserror::Error)]
#[error("not all of it could be restored: {0} faults")]
pub(crate) struct Partial(usize);

impl Report {
    /// Keeps how long a step took.
    pub(crate) fn step(&mut self, name: &'static str, begun: Instant) {
        self.steps.push((name, begun.elapsed()));
    }

    fn findings(&self) -> impl Iterator<Item = &String> {
        self.findings.iter().chain(&self.unfit)
    }

    /// Those that are listed, with their types.
    fn lost_ones(&self) -> impl Iterator<Item = (&'static str, &Lost)> {
        let name = |kind| ResourceType::of(kind).map_or("other", |ty| ty.name);
        let listed = self.lost.iter().take(LOST_MAX);
        listed.map(move |one| (name(one.kind), one))
    }

    /// Whether all of it is there.
    pub(super) fn judge(&self) -> Result<(), Failure> {
        match self.damaged.len() + self.lost.len() + self.findings().count() {
            0 => Ok(()),
            faults => Err(Partial(faults).into()),
        }
    }

    pub(crate) fn json(&self) -> String {
        let head = self.head.as_ref();
        json!({
            "seq": head.map(|head| head.seq.0),
            "time": self.time_ms.map(instant),
            "base": self.base.map(|base| {
                json!({"seq": base.seq.0, "usableFrom": instant(base.time_ms)})
            }),
            "auditSize": head.map(|head| head.audit_size),
            "auditRoot": head.map(|head| hex(&head.audit_root)),
            "records": self.given.records,
            "unreadable": self.given.unreadable,
            "failed": self.given.failed,
            "blobs": self.blobs,
            "lost": self.lost_ones().map(|(ty, one)| json!({
                "project": one.scope.0, "type": ty, "id": one.id, "version": one.version,
            })).collect::<Vec<_>>(),
            "lostTotal": self.lost.len(),
            "damaged": self.damaged,
            "findings": self.findings().collect::<Vec<_>>(),
            "seconds": self.seconds,
        })
        .to_string()
    }

    pub(super) fn text(&self, to: &Path) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<16}{value}");
        };
        line("restored", to.display().to_string());
        if let Some(head) = &self.head {
            let time = self.time_ms.map_or_else(|| "nothing".to_owned(), instant);
            line("up to", format!("{time}, seq {}", head.seq.0));
            let from = self.base.map_or_else(
                || "the beginning of the log".to_owned(),
                |base| {
                    format!(
                        "the base up to seq {}, {}",
                        base.seq.0,
                        instant(base.time_ms)
                    )
                },
            );
            line("from", from);
            let root = hex(&head.audit_root);
            line(
                "audit log",
                format!("{} entries, root {root}", head.audit_size),
            );
        }
        line(
            "records",
            format!("{} in {:.1} s", self.given.records, self.seconds),
        );
        if self.given.unreadable > 0 {
            line(
                "unreadable",
                format!(
                    "{}: their keys are destroyed or they are damaged",
                    self.given.unreadable
                ),
            );
        }
        if self.given.failed > 0 {
            line("not indexed", self.given.failed.to_string());
        }
        line("blobs", self.blobs.to_string());
        for damaged in &self.damaged {
            line("in the archive", damaged.clone());
        }
        for (ty, one) in self.lost_ones() {
            let (id, version, scope) = (&one.id, one.version, one.scope.0);
            let lost = format!(
                "{ty}/{id} of project number {scope}, version {version}: it was purged before it was archived"
            );
            line("without content", lost);
        }
        if self.lost.len() > LOST_MAX {
            let more = self.lost.len() - LOST_MAX;
            line(
                "",
                format!("and {more} more; all are deleted in the store, as its audit names them"),
            );
        }
        for finding in self.findings() {
            line("in the store", finding.clone());
        }
        if self.lost.is_empty() && self.damaged.is_empty() && self.findings().next().is_none() {
            line("checked", "everything fits together".to_owned());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_and_judged() {
        let mut report = Report::default();
        assert!(report.judge().is_ok());
        assert!(
            report
                .text(Path::new("to"))
                .contains("everything fits together")
        );
        report.damaged.push("segments/1: it is missing".into());
        assert!(report.judge().is_err_and(|error| error.is::<Partial>()));
        let text = report.text(Path::new("to"));
        assert!(
            text.contains("in the archive  segments/1: it is missing"),
            "{text}"
        );
        assert!(!text.contains("everything fits"));
        assert!(report.json().contains("segments/1"));
    }
}
