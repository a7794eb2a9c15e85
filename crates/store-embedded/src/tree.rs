//! The hash tree of the audit log, as it is kept: its frontier, and the roots of full subtrees.
//!
//! Under `x`, a level and a number lies a subtree of 256 leaves (level 1), of 256 such (level 2),
//! and so on: 1 byte format, on level 1 the seq of its first entry in 8, and its root in 32 when
//! it is full. By these, entries of all scopes are found by their place in the tree, and a proof
//! reads no more than 255 hashes a level.

use salus_crypto::merkle::{Frontier, Hash};
use salus_store::{Error, SUBTREE};

use crate::core::{META_FRONTIER, State, set};
use crate::keys;
use crate::kv::{Kv, View, When, Write};
use crate::{audit, audit_tree};

const FORMAT: u8 = 1;
/// Joinings of two on the way from one level to the next.
const HEIGHT: u32 = SUBTREE.ilog2();
/// Seqs whose entries are read at once when the tree is made anew.
const SEQS_AT_ONCE: u64 = 1 << 16;

/// The tree as the committer adds to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    frontier: Frontier,
    /// The seq of the first entry of the subtree that is not full yet.
    begun: u64,
}

impl Tree {
    /// The tree as it is kept.
    pub(crate) fn load(view: &View) -> Result<Self, Error> {
        let frontier = frontier(view)?;
        let begun = match frontier.size() % SUBTREE {
            0 => 0,
            _ => begin(view, frontier.size() / SUBTREE)?.ok_or_else(damaged)?,
        };
        Ok(Self { frontier, begun })
    }

    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Adds the leaf of an entry, and what of the tree is to be written with it.
    pub(crate) fn append(&mut self, seq: u64, leaf: Hash, writes: &mut Vec<Write>) {
        let size = self.frontier.size();
        if size.is_multiple_of(SUBTREE) {
            self.begun = seq;
            writes.push(set(key(1, size / SUBTREE), begun(seq)));
        }
        let first = self.begun;
        self.frontier.append_noting(leaf, |height, root| {
            let (level, rest) = (height / HEIGHT, height % HEIGHT);
            if rest != 0 {
                return;
            }
            let value = match level {
                1 => [begun(first), root.to_vec()].concat(),
                _ => [&[FORMAT], &root[..]].concat(),
            };
            writes.push(set(key(level, size >> height), value));
        });
    }
}

/// The frontier as it is kept.
pub(crate) fn frontier(view: &View) -> Result<Frontier, Error> {
    match view.get(&keys::meta(META_FRONTIER))? {
        Some(bytes) => Frontier::from_bytes(&bytes)
            .ok_or_else(|| Error::Damaged("the frontier of the audit log".into())),
        None => Ok(Frontier::default()),
    }
}

/// The seq of the first entry of a subtree of level 1, if it has begun.
pub(crate) fn begin(view: &View, index: u64) -> Result<Option<u64>, Error> {
    let Some(value) = view.get(&key(1, index))? else {
        return Ok(None);
    };
    let seq = value.get(1..9).ok_or_else(damaged)?;
    Ok(Some(keys::last_number(seq)))
}

/// The roots of full subtrees of a level, from one on.
pub(crate) fn roots(view: &View, level: u32, first: u64, limit: usize) -> Result<Vec<Hash>, Error> {
    let end = key(level, first.saturating_add(limit as u64));
    let mut cursor = view.forward(&key(level, first), &end)?;
    let mut roots = Vec::new();
    while let Some((_, value)) = cursor.next()? {
        let length = if level == 1 { 41 } else { 33 };
        match value.last_chunk() {
            Some(root) if value.len() == length => roots.push(*root),
            _ => break,
        }
    }
    Ok(roots)
}

/// Makes what is kept of the tree, for a store that has the frontier only. Done again, it does
/// the same.
pub(crate) fn build(kv: &Kv) -> Result<(), Error> {
    let view = kv.view()?;
    let last = State::load(&view)?.seq;
    let mut tree = Tree::default();
    for first in (0..=last).step_by(SEQS_AT_ONCE as usize) {
        let mut writes = Vec::new();
        let end = first
            .saturating_add(SEQS_AT_ONCE)
            .min(last.saturating_add(1));
        for entry in audit_tree::entries(&view, first, end)? {
            let leaf = audit::Stored::read(&entry.bytes)?.leaf;
            tree.append(entry.seq, leaf, &mut writes);
        }
        if !writes.is_empty() {
            kv.write_here(writes, When::Now)?;
        }
    }
    Ok(())
}

fn key(level: u32, index: u64) -> Vec<u8> {
    // Eight levels hold every number of leaves.
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    let mut key = vec![keys::SUBTREE, level];
    key.extend_from_slice(&index.to_be_bytes());
    key
}

fn begun(seq: u64) -> Vec<u8> {
    [&[FORMAT], &seq.to_be_bytes()[..]].concat()
}

fn damaged() -> Error {
    Error::Damaged("the hash tree of the audit log".into())
}
