//! Drills: proof that what is archived can be restored.
//!
//! Whoever runs the server restores the archive somewhere else, and asks the store that was made
//! and the one that runs the same questions ([`sample`]). What came of it is a signed
//! [report](REPORT), and is noted here: in the audit, in metrics, and in what a health check says.

mod sample;

use std::sync::Arc;

use salus_store::Scope;

pub use sample::{Asked, Difference, Sample, compare, sample};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::error::Error;
use crate::statement::Form;

/// What the key is derived for that signs reports. It never means anything else.
pub const KEY_PURPOSE: &str = "salus drill report 1";

/// The form of a report.
pub const REPORT: Form = Form {
    ty: "salus-drill-report+jws",
    shown: "report",
};

/// The rule of an audit entry that says that a drill is overdue.
pub(crate) const OVERDUE: &str = "drill-overdue";
/// Characters of what is said of a drill, at most.
const TEXT_MAX: usize = 500;

/// Says how drills went.
#[derive(Clone)]
pub struct AskDrills(pub Arc<dyn Fn() -> Numbers + Send + Sync>);

impl std::fmt::Debug for AskDrills {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskDrills")
    }
}

/// How drills went, for metrics and health checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Since the last one ended, or since they are to be run if there was none.
    pub age_seconds: u64,
    /// Whether there was one and the last one passed.
    pub last_ok: bool,
    /// Whether one should have been run since, or the last one did not pass.
    pub warns: bool,
}

/// What came of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Everything was as it should be.
    Passed,
    /// A check failed, a target was missed, or it could not be carried out.
    Failed,
    /// None was run for too long.
    Overdue,
}

impl Service {
    /// Keeps in the audit of the server that a drill was run and how it ended, or that none was.
    pub async fn note_drill(&self, noted: Noted, text: &str) -> Result<(), Error> {
        let (outcome, rule) = match noted {
            Noted::Passed => (Outcome::Success, "operator"),
            Noted::Failed => (Outcome::Failed, "operator"),
            Noted::Overdue => (Outcome::Failed, OVERDUE),
        };
        let cx = self.operator_context(Scope::SYSTEM);
        let mut entry = Entry::new(&cx, What::SystemDrill, outcome, rule);
        let text: String = text.chars().take(TEXT_MAX).collect();
        entry.query = text.into();
        self.record(&cx, entry).await
    }

    /// Whether somebody has to look after drills.
    #[must_use]
    pub fn is_drill_due(&self) -> bool {
        self.drills().is_some_and(|drills| drills.warns)
    }

    pub(crate) fn drills(&self) -> Option<Numbers> {
        let ask = self.settings.drills.as_ref();
        ask.map(|AskDrills(ask)| ask())
    }
}
