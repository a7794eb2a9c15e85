//! A batch: everything that must happen together.

use bytes::Bytes;

use crate::{Content, Kind, Query, Row, Scope, Seq};

/// Records, preconditions and audit entries of one scope, committed together or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The scope all of it belongs to.
    pub scope: Scope,
    /// When, in milliseconds since 1970 UTC; the time of every version in it.
    pub time_ms: i64,
    /// What must hold for the batch to happen, decided inside the commit.
    pub preconditions: Vec<Precondition>,
    /// New versions, at most one per record.
    pub puts: Vec<Put>,
    /// Audit entries.
    pub audit: Vec<AuditEntry>,
}

/// A new version of a record.
///
/// Its version must be one more than the newest; anything else is
/// [`crate::Error::Conflict`] with `precondition: None`.
#[derive(Clone, Debug)]
pub struct Put {
    /// Kind of the record.
    pub kind: Kind,
    /// Id of the record, 1 to 64 bytes, not containing a zero byte.
    pub id: Box<str>,
    /// The version that this makes.
    pub version: u64,
    /// New content.
    pub content: Content,
    /// Every value by which this version is to be found; empty for a deletion.
    pub rows: Vec<Row>,
    /// The main date of the record, by which its references are ordered, in
    /// milliseconds since 1970 UTC.
    pub main_date_ms: Option<i64>,
    /// Whose key seals the content.
    pub seal: SealKey,
}

/// The key that seals a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SealKey {
    /// The key of the scope.
    Scope,
    /// The key of a patient, by id.
    Patient(Box<str>),
}

/// What must hold for a batch to be committed.
#[derive(Clone, Debug)]
pub enum Precondition {
    /// The newest version of a record is this one; `None`: there never was one.
    VersionIs {
        /// Kind of the record.
        kind: Kind,
        /// Id of the record.
        id: Box<str>,
        /// Its newest version, deletions included.
        version: Option<u64>,
    },
    /// No current record matches.
    NoneMatch(Query),
}

/// Something that happened, to be kept for ever.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// The entry in its own format, opaque to the store.
    pub body: Bytes,
    /// The records it is about, by which [`crate::AuditQuery`] finds it.
    pub about: Vec<(Kind, Box<str>)>,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The last point of the batch; a snapshot at it shows the batch.
    pub seq: Seq,
}
