//! Blobs: content too long for a record, written and read as a stream.
//!
//! A blob is written once, in order, and never changed; it is there when
//! [`BlobWriter::finish`] has answered, durable and whole, and before that not
//! at all. It belongs to no record: who keeps one writes it first, then
//! commits the record that names it, so that no record names what is not there.
//! What no record names is found by [`Blobs::list`] and removed by whoever
//! knows the records.
//!
//! No engine holds more than a few pieces of a blob in memory (but
//! [`crate::memory`], which has nothing else).

use bytes::Bytes;

use crate::{Error, Reply, Scope, SealKey};

/// A blob to be written.
#[derive(Clone)]
pub struct NewBlob {
    /// The scope it belongs to.
    pub scope: Scope,
    /// Its id, never used before in this scope: 1 to 64 of `a-z`, `0-9` and `-`.
    pub id: Box<str>,
    /// Whose key seals it.
    pub seal: SealKey,
    /// Now, in milliseconds since 1970 UTC.
    pub time_ms: i64,
}
salus_phi::guard!(NewBlob);

/// What is known of a blob without opening it.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its id.
    pub id: Box<str>,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// When its writing began, in milliseconds since 1970 UTC.
    pub time_ms: i64,
}
salus_phi::guard!(Blob);

/// Where blobs are kept.
pub trait Blobs: Send + Sync {
    /// Begins a blob. [`Error::Misuse`] if its id is not legal or is there already.
    fn create(&self, new: NewBlob) -> Reply<'_, Box<dyn BlobWriter>>;

    /// Opens a blob to be read; `None` if there is none of this id.
    fn open<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, Option<Box<dyn BlobReader>>>;

    /// Removes a blob, if there is one. Whoever reads it may read on or not.
    fn remove<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, ()>;

    /// Blobs of a scope in an order of the engine's own, at most `limit`, from
    /// behind the one of this id, which need not be there; an empty id is
    /// before all. Those that are begun and not finished are not among them.
    fn list<'a>(&'a self, scope: Scope, after: &'a str, limit: usize) -> Reply<'a, Vec<Blob>>;
}

/// A blob being written. Dropped before it is finished, it was never there.
pub trait BlobWriter: Send {
    /// Appends some bytes, any number. After an error nothing more can be
    /// written. Waits while the engine has enough to do.
    fn write(&mut self, bytes: Bytes) -> Reply<'_, ()>;

    /// Makes the blob durable and visible; its length in bytes.
    fn finish(self: Box<Self>) -> Reply<'static, u64>;
}

/// A blob being read.
pub trait BlobReader: Send + Sync {
    /// How long it is, in bytes.
    fn bytes(&self) -> u64;

    /// Some bytes from a place on: at most `max`, and at least one unless the
    /// place is at the end or behind it, or `max` is 0. Whoever wants more asks
    /// again. [`Error::Damaged`] when they are not those that were written.
    fn read(&self, at: u64, max: usize) -> Reply<'_, Bytes>;
}

/// A blob as it leaves a store, still sealed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SealedBlob {
    /// The scope it belongs to.
    pub scope: Scope,
    /// Its id.
    pub id: Box<str>,
}
salus_phi::guard!(SealedBlob);

/// Blobs as an archive keeps them: bytes in the form of the engine that wrote them, sealed with
/// the keys of their patients or projects. Whoever carries them need not be able to read them.
pub trait SealedBlobs: Send + Sync {
    /// All finished blobs, of all scopes, in an order of the engine's own.
    fn all(&self) -> Reply<'_, Vec<SealedBlob>>;

    /// Some of the sealed bytes of a blob from a place on, at most `max`; none at the end or
    /// behind it; `None` if there is no such blob (any more).
    fn sealed<'a>(&'a self, blob: &'a SealedBlob, at: u64, max: usize) -> Reply<'a, Option<Bytes>>;

    /// How many blobs were finished since the store was opened. A commit that names a blob
    /// comes after the blob was counted.
    fn finished(&self) -> u64;

    /// Those that were finished behind a count, in order; `None` if that is too long ago to be
    /// known, and [`Self::all`] has to be asked.
    fn finished_since(&self, count: u64) -> Option<Vec<SealedBlob>>;
}

/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 64;

impl NewBlob {
    /// Refuses what no engine may accept; every engine asks this first.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the id is not legal.
    pub fn validate(&self) -> Result<(), Error> {
        match Blob::is_id(&self.id) {
            true => Ok(()),
            false => Err(Error::Misuse("not an id of a blob")),
        }
    }
}

impl Blob {
    /// Whether a blob can have this id. It may become the name of a file, so
    /// nothing else than these characters is in it.
    #[must_use]
    pub fn is_id(id: &str) -> bool {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(legal)
    }
}
