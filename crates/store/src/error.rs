//! Why a store could not do as asked.

use crate::Seq;

/// No message or source holds content of a record.
// No PHI: places in the store and what the system says of its files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A precondition did not hold, or a put's version was not the next one. Nothing happened.
    #[error("another change came first")]
    Conflict {
        /// Index of the precondition that failed, if it was one.
        precondition: Option<usize>,
    },
    /// The point asked for is no longer kept.
    #[error("the state at {0:?} is no longer kept")]
    SnapshotGone(Seq),
    /// The version asked for is one whose content was purged.
    #[error("the version was purged")]
    Purged,
    /// The key that seals this was destroyed: nothing is read of it or written with it any more.
    #[error("the key of a patient was destroyed")]
    KeyDestroyed,
    /// The query needs more work than one query may cause.
    #[error("the query touches more than {rows_max} rows")]
    TooCostly {
        /// The limit.
        rows_max: u64,
    },
    /// The query takes longer than one query may.
    #[error("the query takes longer than {time_max:?}")]
    TookTooLong {
        /// The limit.
        time_max: std::time::Duration,
    },
    /// The caller broke the contract: an id too long, a batch with a record twice.
    #[error("not a valid request to the store: {0}")]
    Misuse(&'static str),
    /// The engine cannot work just now: disk full, read-only, closed. Nothing was acknowledged.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What lies on disk is not what was written. Writes stop.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}
