//! Which batches may wait for the committer together.
//!
//! Batches are decided in groups, each on what is on disk and on what those
//! before it in the group will put there. A precondition that looks at other
//! records would have to follow them through both; a batch that has one
//! rather waits until nothing else waits, and is decided alone.

use std::sync::Arc;

use salus_store::Precondition;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::prepare::Prepared;

/// Hands out turns.
#[derive(Default)]
pub(crate) struct Turns(Arc<RwLock<()>>);

/// Held by a batch until it is decided, whether or not its caller waits so long.
pub(crate) enum Turn {
    /// With others.
    Together {
        /// Until it is dropped.
        _held: OwnedRwLockReadGuard<()>,
    },
    /// While no other has one.
    Alone {
        /// Until it is dropped.
        _held: OwnedRwLockWriteGuard<()>,
    },
}

impl Turns {
    /// Waits for the turn of a batch.
    pub(crate) async fn take(&self, batch: &Prepared) -> Turn {
        let lock = Arc::clone(&self.0);
        match batch.preconditions.iter().any(is_linked) {
            false => Turn::Together {
                _held: lock.read_owned().await,
            },
            true => Turn::Alone {
                _held: lock.write_owned().await,
            },
        }
    }
}

fn is_linked(precondition: &Precondition) -> bool {
    match precondition {
        Precondition::NoneMatch(query) => query.filter.is_linked(),
        Precondition::VersionIs { .. } => false,
    }
}
