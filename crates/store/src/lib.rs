//! The storage contract: what every engine keeps, and what it promises.
//!
//! A [`Store`] holds records in scopes (one per project). A record is a kind,
//! an id, a version and bytes; beside it lie typed index [`Row`]s made by the
//! caller, by which a [`Query`] finds it. A [`Batch`] is committed whole and
//! durably, or not at all. This crate knows no FHIR, no SQL and no HTTP.
//!
//! [`Blobs`] keeps what is too long for a record, as streams of bytes.
//! [`memory`] is the reference engine, and [`mod@conformance`] the suite that
//! every engine passes.

// First, for their macros.
#[macro_use]
pub mod conformance;
#[macro_use]
pub mod blob_conformance;
#[macro_use]
pub mod log_conformance;
#[macro_use]
mod pass_on;

mod audit_tree;
mod batch;
mod blobs;
mod error;
mod following;
mod log;
mod matcher;
mod name;
mod place;
mod plan;
mod query;
mod record;
mod references;
mod row;
mod stored;
mod text;
mod tokens;
mod words;

pub mod memory;
pub mod ordered;

use std::future::Future;
use std::pin::Pin;

pub use audit_tree::{AuditTree, LeafForm, Open, OpenedLeaf, SUBTREE, TreeHead, TreeLeaf};
pub use batch::{
    AuditEntry, Batch, Committed, Held, Precondition, Purge, Put, Reindexed, SealKey, Shred,
};
pub use blobs::{Blob, BlobReader, BlobWriter, Blobs, NewBlob, SealedBlob, SealedBlobs};
pub use error::Error;
pub use following::{Followed, Following, Opened};
pub use log::{
    Bare, BareRecords, Finished, Log, LogBatch, LogHead, LogPart, Lost, NewRows, Restored,
    Restoring,
};
pub use matcher::{Candidate, Others};
pub use name::{Kind, Param, Scope, Seq};
pub use place::{Around, Place};
pub use plan::{Plan, PlanCondition, PlanStep};
pub use query::{
    AuditQuery, Comparison, Filter, Found, History, HistoryOf, Hit, Position, Query, Sort, Test,
};
pub use record::{
    AuditRecord, Change, Content, Record, SealedVersion, SealedVersions, Superseded,
    SupersededVersion,
};
pub use references::References;
pub use row::{Row, Value, ValueRef};
pub use stored::{Components, Rows};
pub use text::{PREFIX_IMPACT, Piece, Relevance, TextTest, Wanted};
pub use tokens::Tokens;
pub use words::{Posting, WORD_BYTES_MAX, WORDS_MAX, Word, Words};

/// A reply that may wait for a disk or a network.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Which state of the store a snapshot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// All that was committed when the snapshot opens.
    Now,
    /// All that was committed up to this point, as an earlier snapshot
    /// reported it in [`Snapshot::seq`]. Engines keep points for at least ten
    /// minutes, unless too many records change; after that opening one is
    /// [`Error::SnapshotGone`], and so is a point that the store never reached,
    /// or reading there what was purged since.
    Seq(Seq),
}

/// An engine: holds records, commits batches, opens snapshots.
pub trait Store: Send + Sync {
    /// Opens a view of one scope that later commits do not change.
    fn snapshot(&self, scope: Scope, at: At) -> Reply<'_, Box<dyn Snapshot>>;

    /// Commits a batch: durable, whole and visible when the reply comes, or
    /// without any effect when it is an error.
    ///
    /// Preconditions are decided inside the commit: no other commit can come
    /// between the decision and the effect.
    fn commit(&self, batch: Batch) -> Reply<'_, Committed>;

    /// The changes of every scope in commit order, after a point; at most
    /// `limit` of them.
    fn changes(&self, after: Seq, limit: usize) -> Reply<'_, Vec<Change>>;

    /// Versions of a scope that were sealed with the key of a patient and whose content was
    /// not purged, written after a point, the oldest first. Looks at `limit` versions of all
    /// scopes, and opens none: what the key sealed is found when it is destroyed, too.
    fn sealed<'a>(
        &'a self,
        scope: Scope,
        patient: &'a str,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, SealedVersions>;

    /// Removes now what only older points need, values of superseded versions by which they
    /// could be found among it, from memory and from what the engine's files still hold.
    /// Opening an older point may be [`Error::SnapshotGone`] afterwards. May take as long as
    /// reading all records.
    fn forget(&self) -> Reply<'_, ()>;

    /// The hash tree over the audit entries of every scope.
    fn audit_tree(&self) -> &dyn AuditTree;

    /// Says whether the engine can commit just now; the error says why not.
    fn ready(&self) -> Reply<'_, ()>;

    /// Reads everything back and says what does not fit together, one line a
    /// fault, without content of records.
    fn check(&self) -> Reply<'_, Vec<String>>;

    /// Bytes on disk, or zero where that has no meaning.
    fn disk_bytes(&self) -> u64;

    /// Finishes what is under way and releases files and locks. Commits after
    /// this are [`Error::Unavailable`].
    fn close(&self) -> Reply<'_, ()>;
}

/// A consistent view of one scope. Dropping it releases it.
pub trait Snapshot: Send + Sync {
    /// The point this snapshot shows; give it to [`At::Seq`] to see it again.
    fn seq(&self) -> Seq;

    /// The newest version of a record, deleted or not; `None` when there never was one.
    fn get<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>>;

    /// As [`Self::get`], for who wants to know about the record only: a body is empty.
    fn head<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        let whole = self.get(kind, id);
        Box::pin(async move { Ok(whole.await?.map(Record::without_body)) })
    }

    /// One version of a record; [`Error::Purged`] if its content was.
    fn version<'a>(&'a self, kind: Kind, id: &'a str, version: u64) -> Reply<'a, Option<Record>>;

    /// Superseded versions of a record, or of all records of a kind if there
    /// is no id, that were written after a point, the oldest first. Looks at
    /// `limit` of them; deletions and what was purged already are left out.
    fn superseded<'a>(
        &'a self,
        kind: Kind,
        id: Option<&'a str>,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, Superseded>;

    /// Versions, newest first; without those that were purged.
    fn history<'a>(&'a self, query: &'a History) -> Reply<'a, Found>;

    /// Current, undeleted records that a query describes, one page. A query
    /// that [`Query::validate`] refuses is refused here and by `count`.
    fn find<'a>(&'a self, query: &'a Query) -> Reply<'a, Found>;

    /// Whether [`Self::find`] by a filter finds a record; what is deleted is never found.
    fn holds<'a>(&'a self, kind: Kind, id: &'a str, filter: &'a Filter) -> Reply<'a, bool> {
        let this = Filter::Ids(vec![id.into()]);
        let query = Query {
            kind,
            filter: Filter::All(vec![this, filter.clone()]),
            sort: Vec::new(),
            limit: 1,
            after: None,
            rows: Vec::new(),
        };
        Box::pin(async move { Ok(!self.find(&query).await?.hits.is_empty()) })
    }

    /// As [`Self::find`], and how it was done.
    fn explain<'a>(&'a self, query: &'a Query) -> Reply<'a, (Found, Plan)>;

    /// About how many records a query describes, in bounded time; `None` if
    /// that cannot be said in it. Exact where the kind has less than 500
    /// records. An estimate tells how many records of the kind there are in
    /// all, whatever the filter: it is not for those who may not know.
    fn estimate<'a>(&'a self, query: &'a Query) -> Reply<'a, Option<u64>>;

    /// Current, undeleted records of a kind whose version came before a point,
    /// the newest version first: at most `limit` of them, and fewer, but one at
    /// least while there are any, if they are large. To go on, give the
    /// point of the last: in this snapshot or in a later one, where those that
    /// were written since are left out. Each hit has its rows of these parameters.
    fn walk<'a>(
        &'a self,
        kind: Kind,
        before: Seq,
        limit: usize,
        rows: &'a [Param],
    ) -> Reply<'a, Vec<Hit>>;

    /// How many records a query describes; `sort`, `limit`, `after` and `rows` have no effect.
    fn count<'a>(&'a self, query: &'a Query) -> Reply<'a, u64>;

    /// The point of the newest version of any record of these kinds, deletions
    /// included; `None` if there never was one. What depends on such records
    /// alone is the same at two points for which this is.
    fn changed<'a>(&'a self, kinds: &'a [Kind]) -> Reply<'a, Option<Seq>>;

    /// Audit entries of this scope, one page.
    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Reply<'a, Vec<AuditRecord>>;
}
