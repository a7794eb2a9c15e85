//! The hash tree over the audit entries of all scopes, in the order of their commits (RFC 6962),
//! as those read it who sign it, prove it and hand it out.

use bytes::Bytes;
use salus_crypto::merkle::{self, Hash};

use crate::{Reply, Scope, Seq};

/// How many leaves a subtree of the next level has for each of the one below it. Roots of full
/// subtrees are kept, so that no proof reads a long log leaf by leaf.
pub const SUBTREE: u64 = 256;

/// How far the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Its leaves.
    pub size: u64,
    /// The hash of the tree over them.
    pub root: Hash,
}

/// A leaf, and the entry that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLeaf {
    /// The scope of the entry.
    pub scope: Scope,
    /// The place of the entry in the order of commits.
    pub seq: Seq,
    /// When it happened, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The leaf.
    pub leaf: Hash,
    /// What opens it; `None` when the key of the entry was destroyed, or the entry cleared.
    pub opened: Option<OpenedLeaf>,
    /// The entry was cleared: this is all that is left of it.
    pub cleared: bool,
}

/// What a leaf commits to.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedLeaf {
    /// What is in the leaf beside the entry itself.
    pub form: LeafForm,
    /// The salt.
    pub salt: [u8; 32],
    /// The entry as it was put.
    pub body: Bytes,
}
salus_phi::guard!(OpenedLeaf);

/// What is in a leaf. Part of stored formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafForm {
    /// The entry alone, as stores wrote it before format 5.
    Entry = 1,
    /// Scope (4 bytes), time (8) and the entry.
    Placed = 2,
}

impl LeafForm {
    /// The form of this number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Entry),
            2 => Some(Self::Placed),
            _ => None,
        }
    }

    /// The leaf of an entry.
    #[must_use]
    pub fn leaf(self, salt: &[u8; 32], scope: Scope, time_ms: i64, body: &[u8]) -> Hash {
        match self {
            Self::Entry => merkle::leaf(salt, &[body]),
            Self::Placed => {
                let (scope, time) = (scope.0.to_be_bytes(), time_ms.to_be_bytes());
                merkle::leaf(salt, &[&scope, &time, body])
            }
        }
    }
}

/// A store whose audit log can be proved.
pub trait AuditTree: Send + Sync {
    /// How far the log is now, all of it durable.
    fn tree_head(&self) -> Reply<'_, TreeHead>;

    /// Leaves from one on, at most `limit` and in their order; entries of `open` are opened,
    /// of the others the leaf is given alone. Reads as many scopes as there are, so ask for
    /// many at once.
    fn tree_leaves<'a>(
        &'a self,
        first: u64,
        limit: usize,
        open: &'a Open<'a>,
    ) -> Reply<'a, Vec<TreeLeaf>>;

    /// The roots of full subtrees of `SUBTREE^level` leaves, from one on, at most `limit`.
    fn subtrees(&self, level: u32, first: u64, limit: usize) -> Reply<'_, Vec<Hash>>;

    /// Removes what entries of a scope say, and what they are found by: durable when the reply
    /// comes. Their leaves stay, and with them every proof; the log has them as leaves alone
    /// from now on. What was cleared before, or never was, is passed over. Says how many
    /// were cleared now. What was removed may lie, sealed, in the engine's files for a while.
    fn clear<'a>(&'a self, scope: Scope, entries: &'a [Seq]) -> Reply<'a, u64>;

    /// Whether this is an entry of the scope that was cleared.
    fn is_cleared(&self, scope: Scope, seq: Seq) -> Reply<'_, bool>;
}

/// Of which scopes entries are opened.
pub type Open<'a> = dyn Fn(Scope) -> bool + Send + Sync + 'a;
