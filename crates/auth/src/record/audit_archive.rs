//! What of the audit log lies in the audit archive: a record for each segment, and one over all.

use std::collections::BTreeMap;

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// The audit archive as a whole. There is one such record at most, the server's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditArchive {
    /// How many segments there are.
    pub segments: u64,
    /// How many entries are in them: the place of the next one.
    pub entries: u64,
    /// Of each scope from which entries were removed, the latest time of any of those, in
    /// milliseconds since 1970 UTC: a question that reaches so far back is not answered whole.
    pub removed: BTreeMap<u32, i64>,
}

/// A span of the log that was archived and read back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSegment {
    /// Its number; the first is 0.
    pub number: u64,
    /// The places of its entries in the log, the first and one behind the last.
    pub places: (u64, u64),
    /// The numbers of the first and the last entry, by which their AuditEvents are found.
    pub seqs: (u64, u64),
    /// The earliest and the latest time, in milliseconds since 1970 UTC.
    pub times_ms: (i64, i64),
    /// SHA-256 of the object, in hexadecimal digits.
    pub sha256: Box<str>,
    /// How long the object is.
    pub bytes: u64,
    /// When it was archived, in milliseconds since 1970 UTC.
    pub made_ms: i64,
    /// How many of its entries are in the store still.
    pub left: u64,
    /// How many of those are under legal hold, when that was last asked.
    pub held: u64,
}
salus_phi::guard!(AuditSegment);

impl AuditArchive {
    /// The id of the only record.
    pub const ID: &'static str = "archive";
}

impl AuditSegment {
    /// The id of the record of a number.
    #[must_use]
    pub fn id(number: u64) -> String {
        format!("{number:012}")
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> String {
        let (first, end) = self.places;
        format!("audit/{:012}-{first:020}-{end:020}", self.number)
    }
}

impl SystemRecord for AuditArchive {
    const NAME: &'static str = "salus:AuditArchive";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl SystemRecord for AuditSegment {
    const NAME: &'static str = "salus:AuditSegment";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
