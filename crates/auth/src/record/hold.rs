//! A legal hold: records that nobody may dispose of, since a dispute or an inquiry needs them
//! (Federal Rules of Civil Procedure, rule 37(e)).
//!
//! Records of it are not deleted, and what was said at the beginning is not changed.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// One hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What people call it: a matter, a case number.
    pub name: String,
    /// Why it was placed.
    pub reason: String,
    /// The ids of the patients whose records it holds.
    pub patients: Vec<Box<str>>,
    /// Searches whose records it holds, as `Observation?code=http://loinc.org|4548-4`.
    pub searches: Vec<String>,
    /// Which of the audit it holds, if any: entries that name its patients, or, if it has none,
    /// all entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditHold>,
    /// The label of who placed it.
    pub by: Box<str>,
    /// Since when, in milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Lifted>,
}
salus_phi::guard!(Hold);

/// What of the audit a hold is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHold {
    /// What happened since then, in milliseconds since 1970 UTC; without it, whenever it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
}

/// How a hold ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The label of who lifted it.
    pub by: Box<str>,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Why.
    pub reason: String,
}
salus_phi::guard!(Lifted);

impl SystemRecord for Hold {
    const NAME: &'static str = "salus:Hold";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
