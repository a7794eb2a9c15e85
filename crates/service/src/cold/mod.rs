//! Cold storage: records that are seldom needed, moved to a place for objects with all their
//! versions, verified there, and brought back when somebody asks.
//!
//! What is left here of each is a record that says where it lies, what each version has to be when it is read
//! back, and the key of its own that seals it there beside that of its patient
//! (`salus_auth::record::Cold`). Content goes from here only when what was written there has been read
//! back and compared. Why it is built so: `docs/adr/0054-cold-storage.md`.

mod back;
mod bundle;
mod ended;
mod gather;
mod known;
mod list;
mod moving;
mod object;
mod read;
mod seen;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_crypto::Keyring;

pub use back::NewRetrieval;
pub(crate) use ended::ColdOfPatient;
pub(crate) use known::{is_cold, last_encounter};
pub use list::{ColdList, ColdStatus};
pub use moving::{Moved, NewMove};
pub use verify::{ColdFault, Verified};

use crate::Service;
use crate::error::{Error, Kind};
use crate::keyring::no_keyring;
use object::Objects;

/// Where cold records lie: objects by name, made once and never changed.
pub trait ColdPlace: Send + Sync {
    /// What to call it: no credentials are in it.
    fn label(&self) -> &str;

    /// Whether objects are locked when they are made, so that nobody can remove them for a time.
    fn is_locked(&self) -> bool;

    /// Makes an object, whole and durable when the answer comes.
    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PlaceError>>;

    /// An object; `None` if there is none.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, PlaceError>>;

    /// The names of objects that begin so.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, PlaceError>>;

    /// Removes an object, if there is one.
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), PlaceError>>;
}

/// Why a place did not do as asked, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlaceError(pub String);

/// What use cases about cold storage need.
#[derive(Clone, Default)]
pub struct Settings {
    /// Where it is, if there is one.
    pub place: Option<Arc<dyn ColdPlace>>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.place.as_ref().map(|place| place.label());
        f.debug_tuple("Cold").field(&place).finish()
    }
}

/// The place, and how objects in it are sealed.
pub(crate) struct Storage {
    place: Arc<dyn ColdPlace>,
    objects: Objects,
}

impl Service {
    /// The cold storage of this server.
    fn cold_storage(&self) -> Result<Storage, Error> {
        let place = self.settings.cold.place.clone();
        let place = place.ok_or_else(|| {
            let details = "this server has no cold storage: start it with --cold DIR or s3://…";
            Error::new(Kind::Unprocessable, details)
        })?;
        let keyring: Option<&Arc<Keyring>> = self.settings.keys.keyring.as_ref();
        let keyring = keyring.ok_or_else(no_keyring)?;
        Ok(Storage {
            place,
            objects: Objects::of(keyring)?,
        })
    }
}

impl From<PlaceError> for Error {
    fn from(error: PlaceError) -> Self {
        let details = format!("the cold storage did not do as asked: {error}");
        Self::new(Kind::Unavailable, details)
    }
}
