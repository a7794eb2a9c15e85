//! What signing in by providers needs of the network, which the use cases know nothing of: the
//! server's room has it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::Secret;

use crate::jobs::{Location, Origin};

/// What this deployment says about providers.
#[derive(Clone, Default)]
pub struct Settings {
    /// Where providers may be: nothing else is ever asked.
    pub origins: Vec<Origin>,
    /// Who asks them; without, none is.
    pub ask: Option<Arc<dyn Ask>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("origins", &self.origins)
            .field("ask", &self.ask.is_some())
            .finish()
    }
}

/// Asks other servers for something short in JSON.
pub trait Ask: Send + Sync {
    /// Asks one, and follows nothing elsewhere. It waits for seconds and takes 256 KiB at most.
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Asking<Bytes>>;
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Where.
    pub location: &'a Location,
    /// The form that is sent, encoded; without, nothing is sent.
    pub form: Option<&'a Secret>,
    /// The `Authorization` header, if one is needed.
    pub authorization: Option<&'a Secret>,
}

/// What asking gives.
pub type Asking<T> = Result<T, Unanswered>;

/// Why there is no answer, without what was asked or answered.
// No PHI: reasons without what was asked or answered, written here.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(String);

impl Unanswered {
    /// For this reason, about "it".
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
