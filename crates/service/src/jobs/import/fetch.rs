//! What imports need of the network, which the use cases know nothing of:
//! the server's room has it ([0027](../../../../../docs/adr/0027-fetching-files.md)).

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::location::Location;

/// Fetches files from other servers.
pub trait Fetch: Send + Sync {
    /// Asks for a file. Follows nothing elsewhere, and waits for no server for long.
    fn fetch<'a>(&'a self, location: &'a Location) -> BoxFuture<'a, Fetching<Box<dyn Fetched>>>;
}

/// A file that is coming.
pub trait Fetched: Send {
    /// What tells one state of the file from another, if its server says so.
    fn version(&self) -> Option<&str>;

    /// The next bytes of it, without any coding; none behind the last.
    fn next(&mut self) -> BoxFuture<'_, Fetching<Bytes>>;
}

/// What fetching gives.
pub type Fetching<T> = Result<T, Unfetched>;

/// Why a file cannot be fetched, without what its URL or the file holds.
// No PHI: reasons without the URL, written here.
#[derive(Clone, Debug)]
pub struct Unfetched {
    /// The reason, about "it".
    pub reason: String,
    /// Whether it may go better later.
    pub later: bool,
}

impl Unfetched {
    /// It will not go better.
    #[must_use]
    pub fn for_good(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            later: false,
        }
    }

    /// It may go better.
    #[must_use]
    pub fn for_now(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            later: true,
        }
    }
}
