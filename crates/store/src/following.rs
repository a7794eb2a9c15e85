//! A store that follows the log of another: each of its commits is one of the other's, with
//! the same bytes and the same seqs, and with the rows that were made of them.
//!
//! A batch that was followed is committed like one of the store's own: all of it is durable, or
//! none, so whoever is cut off goes on behind [`crate::Log::head`].

use crate::{Batch, Error, Kind, Log, LogBatch, NewRows, Record, Reply, Seq};

/// A batch of another store's log.
#[derive(Clone, Debug)]
pub struct Followed {
    /// As its log has it.
    pub batch: LogBatch,
    /// The rows of its versions, by seq; what is not named has none.
    pub rows: Vec<NewRows>,
}

/// What is in a batch, as far as it can be opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opened {
    /// Its versions, but for deletions and what cannot be opened.
    pub records: Vec<Record>,
    /// No version up to these was written later, in milliseconds since 1970 UTC.
    pub latest_ms: Vec<i64>,
    /// The kinds of all its versions.
    pub kinds: Vec<Kind>,
    /// Versions that cannot be opened: they were purged, or their keys are destroyed.
    pub unreadable: u64,
}

/// A store that can follow another. Nothing else is committed to it meanwhile that takes a seq.
pub trait Following: Log {
    /// How many slots of the keyring a batch needs: the largest that it names, and one.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its parts are none.
    fn slots_of(&self, batch: &LogBatch) -> Result<u32, Error>;

    /// Opens the versions of a batch, to make rows of.
    fn open_batch<'a>(&'a self, batch: &'a LogBatch) -> Reply<'a, Opened>;

    /// Commits batches in their order, each atomically: durable when it answers.
    /// [`Error::Damaged`] if one is not the next, or not what was written; those before it are
    /// committed then.
    fn follow(&self, batches: Vec<Followed>) -> Reply<'_, ()>;

    /// What a batch of nothing but audit entries would be as the next of the log. Nothing is
    /// committed: it may be offered to an archive first, and followed if that takes it.
    fn draft(&self, batch: Batch) -> Reply<'_, LogBatch>;
}

impl Opened {
    /// Adds a record that was opened.
    pub fn push(&mut self, record: Record, latest_ms: i64) {
        self.records.push(record);
        self.latest_ms.push(latest_ms);
    }
}

impl Followed {
    /// The rows of the version at a seq.
    pub fn take_rows(&mut self, seq: Seq) -> Option<NewRows> {
        let place = self.rows.iter().position(|new| new.seq == seq)?;
        Some(self.rows.swap_remove(place))
    }
}
