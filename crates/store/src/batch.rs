//! A batch: everything that must happen together.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Content, Error, Kind, Query, Row, Scope, Seq, Value};

/// Records, preconditions and audit entries of one scope, committed together or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The scope all of it belongs to.
    pub scope: Scope,
    /// When, in milliseconds since 1970 UTC; the time of every version in it.
    pub time_ms: i64,
    /// What must hold for the batch to happen, decided inside the commit on
    /// the state before it. The first that does not is named in the error.
    pub preconditions: Vec<Precondition>,
    /// New versions, at most one per record.
    pub puts: Vec<Put>,
    /// New index rows of records that stay as they are, at most once per record.
    pub reindexed: Vec<Reindexed>,
    /// Superseded versions whose content goes, at most once per record.
    pub purged: Vec<Purge>,
    /// Single versions whose content goes, at most once per record.
    pub shredded: Vec<Shred>,
    /// Audit entries.
    pub audit: Vec<AuditEntry>,
    /// Let go when the batch is decided and, if it happened, every new
    /// snapshot shows it.
    pub held: Option<Held>,
}

impl Batch {
    /// New versions at a time, and nothing else.
    #[must_use]
    pub fn of(scope: Scope, time_ms: i64, puts: Vec<Put>) -> Self {
        Self {
            scope,
            time_ms,
            preconditions: Vec::new(),
            puts,
            reindexed: Vec::new(),
            purged: Vec::new(),
            shredded: Vec::new(),
            audit: Vec::new(),
            held: None,
        }
    }
}

/// A new version of a record.
///
/// Its version must be one more than the newest; anything else is
/// [`crate::Error::Conflict`] with `precondition: None`.
#[derive(Clone)]
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
salus_phi::guard!(Put);

/// New index rows of a current version, in the place of those that it has.
///
/// It makes no version and takes no [`Seq`]; neither histories nor
/// [`crate::Store::changes`] show it. Every snapshot that shows the version
/// shows these rows from now on, but one that was open already may show either.
/// If the version is not the current one, or is a deletion, nothing happens.
#[derive(Clone)]
pub struct Reindexed {
    /// Kind of the record.
    pub kind: Kind,
    /// Id of the record.
    pub id: Box<str>,
    /// The version that the rows are of.
    pub version: u64,
    /// Every value by which this version is to be found.
    pub rows: Vec<Row>,
    /// The main date of the record, as in [`Put::main_date_ms`].
    pub main_date_ms: Option<i64>,
}
salus_phi::guard!(Reindexed);

/// Superseded versions of a record whose content goes for good.
///
/// It makes no version, and takes a [`Seq`] only if its batch has nothing else that
/// does: so it has its place in the log. [`crate::Snapshot::version`] says
/// [`Error::Purged`] of them from now on, histories leave them out, and
/// [`crate::Store::changes`] goes on to show that they were there. What would
/// show their content at an older point is [`Error::SnapshotGone`]. The version
/// that is the newest before the batch stays, and so do deletions, which have
/// no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Purge {
    /// Kind of the record.
    pub kind: Kind,
    /// Id of the record.
    pub id: Box<str>,
    /// All that are older than this version.
    pub below: u64,
}
salus_phi::guard!(Purge);

/// Single versions of a record whose content goes for good, whatever becomes of those
/// between them: a record may have been another patient's for a while.
///
/// What is left of them is what a [`Purge`] leaves, and what it spares is spared: the newest
/// version before the batch, and deletions.
#[derive(Clone, PartialEq, Eq)]
pub struct Shred {
    /// Kind of the record.
    pub kind: Kind,
    /// Id of the record.
    pub id: Box<str>,
    /// The versions.
    pub versions: Vec<u64>,
}
salus_phi::guard!(Shred);

/// Something that a batch keeps alive until it is decided, whether or not its
/// caller waits so long.
#[derive(Clone)]
#[expect(dead_code, reason = "they are only there to be dropped")]
pub struct Held(
    Arc<dyn Any + Send + Sync>,
    Option<Arc<dyn Any + Send + Sync>>,
);

impl Held {
    /// Keeps this alive.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(held: Arc<T>) -> Self {
        Self(held, None)
    }

    /// Keeps this alive, too, in the place of another that came second.
    #[must_use]
    pub fn and<T: Any + Send + Sync>(self, held: Arc<T>) -> Self {
        Self(self.0, Some(held))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// The key that seals a record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum SealKey {
    /// The key of the scope.
    Scope,
    /// The key of a patient, by id.
    Patient(Box<str>),
}
salus_phi::guard!(SealKey);

/// What must hold for a batch to be committed.
#[derive(Clone, PartialEq)]
pub enum Precondition {
    /// The newest version of a record is this one, deletions included; `None`:
    /// there never was one.
    VersionIs {
        /// Kind of the record.
        kind: Kind,
        /// Id of the record.
        id: Box<str>,
        /// Its newest version.
        version: Option<u64>,
    },
    /// No current record matches.
    NoneMatch(Query),
}
salus_phi::guard!(Precondition);

/// Something that happened, to be kept for ever.
#[derive(Clone)]
pub struct AuditEntry {
    /// The entry in its own format, opaque to the store.
    pub body: Bytes,
    /// The records it is about, by which [`crate::AuditQuery`] finds it.
    pub about: Vec<(Kind, Box<str>)>,
}
salus_phi::guard!(AuditEntry);

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The last point of the batch; a snapshot at it shows the batch.
    pub seq: Seq,
}

/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 64;

impl Batch {
    /// Refuses what no store may accept, whatever its state; every engine asks this first.
    ///
    /// # Errors
    /// [`Error::Misuse`] if an id is not legal, a record is there twice, a
    /// version is 0, a deletion has rows, a composite is none, a parameter has two texts, or a query is
    /// one that [`Query::validate`] refuses.
    pub fn validate(&self) -> Result<(), Error> {
        let mut seen = HashSet::with_capacity(self.puts.len() + self.reindexed.len());
        for put in &self.puts {
            check_id(&put.id)?;
            if !seen.insert((put.kind, &*put.id)) {
                return Err(Error::Misuse("a record twice in a batch"));
            }
            if put.version == 0 {
                return Err(Error::Misuse("version 0"));
            }
            if put.content == Content::Deleted && !put.rows.is_empty() {
                return Err(Error::Misuse("a deletion with rows"));
            }
            check_rows(&put.rows)?;
        }
        for reindexed in &self.reindexed {
            check_id(&reindexed.id)?;
            if !seen.insert((reindexed.kind, &*reindexed.id)) {
                return Err(Error::Misuse("a record twice in a batch"));
            }
            check_rows(&reindexed.rows)?;
        }
        let mut purged = HashSet::with_capacity(self.purged.len());
        for purge in &self.purged {
            check_id(&purge.id)?;
            if !purged.insert((purge.kind, &*purge.id)) {
                return Err(Error::Misuse("a record twice in a batch"));
            }
        }
        for shred in &self.shredded {
            check_id(&shred.id)?;
            if !purged.insert((shred.kind, &*shred.id)) {
                return Err(Error::Misuse("a record twice in a batch"));
            }
        }
        for precondition in &self.preconditions {
            match precondition {
                Precondition::VersionIs { id, .. } => check_id(id)?,
                Precondition::NoneMatch(query) => query.validate()?,
            }
        }
        let mut about = self.audit.iter().flat_map(|entry| &entry.about);
        about.try_for_each(|(_, id)| check_id(id))
    }
}

fn texts_twice(rows: &[Row]) -> bool {
    let texts = rows
        .iter()
        .filter(|row| matches!(row.value, Value::Words(_)));
    let mut seen = Vec::new();
    texts.map(|row| row.param).any(|param| {
        let twice = seen.contains(&param);
        seen.push(param);
        twice
    })
}

fn check_rows(rows: &[Row]) -> Result<(), Error> {
    if texts_twice(rows) {
        return Err(Error::Misuse("two texts of a parameter"));
    }
    if rows.iter().all(|row| row.value.is_valid()) {
        return Ok(());
    }
    Err(Error::Misuse(
        "a composite of other than 2 or 3 plain values",
    ))
}

fn check_id(id: &str) -> Result<(), Error> {
    match id.len() {
        0 => Err(Error::Misuse("an empty id")),
        1..=ID_BYTES_MAX if id.contains('\0') => Err(Error::Misuse("an id with a zero byte")),
        1..=ID_BYTES_MAX => Ok(()),
        _ => Err(Error::Misuse("an id longer than 64 bytes")),
    }
}
