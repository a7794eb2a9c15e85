//! Where an archive lies: objects by name, made once and never changed.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// An answer that may wait for a disk or a network.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// A place for objects. Names are of `a-z`, `0-9`, `-` and `/`.
pub trait Destination: Send + Sync {
    /// What to call it in messages: no credentials are in it.
    fn label(&self) -> &str;

    /// Makes an object, whole and durable when the answer comes, unless there is one of this
    /// name: of two who try at once, one is told [`Put::Taken`].
    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, Put>;

    /// An object; `None` if there is none.
    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>>;

    /// The first bytes of an object, at most so many; `None` if there is none.
    fn head<'a>(&'a self, name: &'a str, bytes: u64) -> Answer<'a, Option<Bytes>>;

    /// Objects whose names begin so, in the order of their names.
    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>>;

    /// Removes an object, if there is one.
    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;
}

/// What came of making an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Made,
    /// Another was there before.
    Taken,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// When it was made, in milliseconds since 1970 UTC, as the destination says.
    pub made_ms: i64,
}

/// Why a destination did not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("{label}: {reason}")]
pub struct Trouble {
    /// What the destination is called.
    pub label: String,
    /// What was the matter, and what to do.
    pub reason: String,
    /// Whether trying again is of use.
    pub lasting: bool,
}

/// The longest object that is read, in bytes: one commit may be as long as a store's longest
/// bodies, and is never cut.
pub(crate) const OBJECT_BYTES_MAX: u64 = 4 << 30;
