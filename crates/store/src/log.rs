//! The log as it leaves a store, still sealed: what an archive keeps, and what a store is
//! restored from.
//!
//! A part is bytes in the form of the engine that wrote it, sealed with the keys of its patient
//! or project: whoever carries it need not be able to read it. Rows are not in it. They are
//! values of records, and whoever restores gives them anew ([`Restored::give_rows`]), so
//! that what was sealed with a destroyed key is found by nothing.

use bytes::Bytes;

use crate::{Kind, Purge, Record, Reply, Row, Scope, SealKey, Seq};

/// What one commit wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// The seq of its first part that has one, or of its own if none has.
    pub first: Seq,
    /// The seq of its last part that has one, or of its own: a snapshot at it shows the batch.
    pub last: Seq,
    /// When, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The scope of all of it.
    pub scope: Scope,
    /// The chain of changes up to this batch, with it.
    pub chain: [u8; 32],
    /// Its versions, then its audit entries, in the order of their seqs; then what it purged.
    pub parts: Vec<LogPart>,
}

/// A part of a batch.
#[derive(Clone, PartialEq, Eq)]
pub enum LogPart {
    /// A version of a record: its header, and its body, sealed.
    Version(Bytes),
    /// An audit entry: its leaf in the hash tree, and its text, sealed.
    Audit {
        /// Its leaf in the hash tree over all entries: whoever keeps a log can tell its root.
        leaf: [u8; 32],
        /// As the engine keeps it.
        entry: Bytes,
        /// The records by which it is found.
        about: Vec<(Kind, Box<str>)>,
    },
    /// Superseded versions whose content went for good, of those that were superseded before
    /// the batch. It has no seq, but a batch of nothing else takes one.
    Purged(Purge),
}
salus_phi::guard!(LogPart);

/// How far a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The seq of its last part; zero if there is none.
    pub seq: Seq,
    /// The chain of changes up to it.
    pub chain: [u8; 32],
    /// How many audit entries there are, of all scopes.
    pub audit_size: u64,
    /// The root of the hash tree over them.
    pub audit_root: [u8; 32],
    /// How many slots of the keyring may be named up to here.
    pub key_slots: u32,
}

/// A store whose log can be read.
pub trait Log: Send + Sync {
    /// How far it is now, all of it durable.
    fn head(&self) -> Reply<'_, LogHead>;

    /// Whole batches behind a point, the oldest first: as many as have about `bytes` bytes
    /// together, one at least; none if there is nothing behind it. All of it is durable.
    fn batches(&self, after: Seq, bytes: usize) -> Reply<'_, Vec<LogBatch>>;

    /// Waits until there is something behind a point.
    fn grown(&self, after: Seq) -> Reply<'_, ()>;

    /// What bodies were compressed with, by number; a store that is restored is given these first.
    fn dictionaries(&self) -> Reply<'_, Vec<Bytes>>;
}

/// A store that is being made of a log. Nothing of it can be read before it is finished.
pub trait Restoring: Send {
    /// Adds batches behind those before, none left out.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if the keys are older than the log.
    /// [`crate::Error::Damaged`] if a seq is missing or the chain of changes is another; then
    /// the store can still be finished with what came before.
    fn add(&mut self, batches: Vec<LogBatch>) -> Reply<'_, ()>;

    /// Makes it a store like any other, whose current records have no rows yet, and
    /// that shows no point before this one. Until a new version of them is put, nobody can
    /// read the records that are [lost](Finished::lost).
    fn finish(self: Box<Self>) -> Reply<'static, Finished>;
}

/// A log was made into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How far the log is.
    pub head: LogHead,
    /// The records whose current version has no content, in the order of their seqs.
    pub lost: Vec<Lost>,
}

/// A record whose newest version was purged before the log was read: at the end of the log it is
/// what nobody has any more.
#[derive(Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its scope.
    pub scope: Scope,
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: Box<str>,
    /// Its newest version.
    pub version: u64,
    /// Whose key sealed it.
    pub seal: SealKey,
}
salus_phi::guard!(Lost);

/// A store that was made of a log, whose current records have no rows yet.
/// What is asked of it may come from several threads at once.
pub trait Restored: Send + Sync {
    /// The current records whose version came after the first point and not after the
    /// second, in the order of their seqs, of all scopes: as many as have about `bytes`
    /// bytes together.
    fn records(&self, span: (Seq, Seq), bytes: usize) -> Reply<'_, BareRecords>;

    /// Gives records the rows that they never had. Two calls at once must be of spans that do
    /// not overlap. It is durable when the engine says that the store is restored.
    fn give_rows(&self, rows: Vec<NewRows>) -> Reply<'_, ()>;
}

/// A current record without rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Bare {
    /// Its scope.
    pub scope: Scope,
    /// The record.
    pub record: Record,
    /// No version up to it was written later, in milliseconds since 1970 UTC.
    pub latest_ms: i64,
}

/// Some of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BareRecords {
    /// In the order of their seqs.
    pub records: Vec<Bare>,
    /// How many there were that cannot be opened, as when their key was destroyed: they stay
    /// without rows, and nothing finds them by a value.
    pub unreadable: u64,
    /// Up to where it is all, if not to the end of the span.
    pub next: Option<Seq>,
}

/// The rows of a current record that has none.
#[derive(Clone, PartialEq)]
pub struct NewRows {
    /// Its scope.
    pub scope: Scope,
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: Box<str>,
    /// Its version.
    pub version: u64,
    /// The seq of that.
    pub seq: Seq,
    /// When it was written.
    pub time_ms: i64,
    /// As [`Bare`] has it.
    pub latest_ms: i64,
    /// Every value by which it is to be found.
    pub rows: Vec<Row>,
    /// Its main date, as in [`crate::Put::main_date_ms`].
    pub main_date_ms: Option<i64>,
}
salus_phi::guard!(NewRows);

impl NewRows {
    /// Rows of a record.
    #[must_use]
    pub fn of(bare: Bare, rows: Vec<Row>, main_date_ms: Option<i64>) -> Self {
        let record = bare.record;
        Self {
            scope: bare.scope,
            kind: record.kind,
            id: record.id,
            version: record.version,
            seq: record.seq,
            time_ms: record.time_ms,
            latest_ms: bare.latest_ms,
            rows,
            main_date_ms,
        }
    }
}
