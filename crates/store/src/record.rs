//! What a store gives back.

use bytes::Bytes;

use crate::{Kind, Scope, SealKey, Seq};

/// One version of a record.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Its kind.
    pub kind: Kind,
    /// Its id, unique within scope and kind.
    pub id: Box<str>,
    /// 1 for the first, one more for each change, deletions included.
    pub version: u64,
    /// When it was written, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Its place in the order of commits.
    pub seq: Seq,
    /// Whose key seals it, as it was put.
    pub seal: SealKey,
    /// Its bytes, or that this version is a deletion.
    pub content: Content,
}
salus_phi::guard!(Record);

impl Record {
    /// The same with an empty body, if it has one.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        if let Content::Body(body) = &mut self.content {
            *body = Bytes::new();
        }
        self
    }

    /// Whether a version was current at some moment of a span, when it is
    /// known when the next one came; see [`crate::History::current_ms`].
    pub(crate) fn is_current_in(
        &self,
        (from_ms, to_ms): (i64, i64),
        next_ms: impl FnOnce() -> Option<i64>,
    ) -> bool {
        match &self.content {
            _ if self.time_ms >= to_ms => false,
            _ if self.time_ms >= from_ms => true,
            Content::Deleted => false,
            Content::Body(_) => next_ms().is_none_or(|next_ms| next_ms > from_ms),
        }
    }
}

/// The content of a version.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// The bytes as they were put.
    Body(Bytes),
    /// The record was deleted in this version.
    Deleted,
}
salus_phi::guard!(Content);

/// One put of the feed that subscribers and the archive read.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The scope that changed.
    pub scope: Scope,
    /// The version that was written; its body is empty if it was purged since.
    pub record: Record,
    /// Whether its content was purged since.
    pub purged: bool,
    /// True on the last change of its batch.
    pub ends_batch: bool,
}

/// Superseded versions that have content, as a walk through them finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superseded {
    /// The versions.
    pub versions: Vec<SupersededVersion>,
    /// Where to go on; `None` at the end.
    pub next: Option<Seq>,
}

/// A version that another came after.
#[derive(Clone, PartialEq, Eq)]
pub struct SupersededVersion {
    /// Id of the record.
    pub id: Box<str>,
    /// The version.
    pub version: u64,
    /// The newest version of the record.
    pub newest: u64,
    /// When it was written, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// When the one after it was written, in the same unit.
    pub superseded_ms: i64,
    /// Whose key seals it.
    pub seal: SealKey,
}
salus_phi::guard!(SupersededVersion);

/// Versions that a patient's key sealed, as a walk along the log finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedVersions {
    /// The versions.
    pub versions: Vec<SealedVersion>,
    /// Where to go on; `None` at the end.
    pub next: Option<Seq>,
}

/// A version that a patient's key sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedVersion {
    /// Kind of the record.
    pub kind: Kind,
    /// Id of the record.
    pub id: Box<str>,
    /// The version.
    pub version: u64,
    /// The newest version of the record.
    pub newest: u64,
    /// Whether this version says that the record is deleted.
    pub deleted: bool,
}
salus_phi::guard!(SealedVersion);

/// One audit entry.
#[derive(Clone, PartialEq)]
pub struct AuditRecord {
    /// Its place in the order of commits; identifies it.
    pub seq: Seq,
    /// When it happened, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The entry as it was put.
    pub body: Bytes,
}
salus_phi::guard!(AuditRecord);
