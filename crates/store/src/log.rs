//! The log as it leaves a store, still sealed: what an archive keeps, and what a store is
//! restored from.
//!
//! A part is bytes in the form of the engine that wrote it, sealed with the keys of its patient
//! or project: whoever carries it need not be able to read it. Rows are not in it. They are
//! values of records, and whoever restores gives them anew ([`crate::Batch::reindexed`]), so
//! that what was sealed with a destroyed key is found by nothing.

use bytes::Bytes;

use crate::{Kind, Purge, Reply, Scope, Seq};

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// that shows no point before this one.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if a record was something at this point whose content
    /// was purged before the log was read.
    fn finish(self: Box<Self>) -> Reply<'static, LogHead>;
}
