//! The audit: every entry opens, and together they are the tree that was written.

use std::collections::{BTreeMap, HashSet};

use salus_crypto::merkle::{Frontier, Hash};
use salus_store::Error;

use super::{Faults, Point};
use crate::core::META_FRONTIER;
use crate::tree::Tree;
use crate::{audit, keys};

/// What is wrong with the audit.
pub(super) fn check(at: &Point<'_>) -> Result<Faults, Error> {
    let mut faults = Faults::default();
    let mut leaves = entries(at, keys::AUDIT, &mut faults)?;
    let found: HashSet<u64> = leaves.keys().copied().collect();
    for (seq, leaf) in entries(at, keys::CLEARED, &mut faults)? {
        if leaves.insert(seq, leaf).is_some() {
            faults.add(format!("audit entry {seq}: cleared and still there"));
        }
    }
    tree(at, &leaves, &mut faults)?;
    at.scan(keys::ABOUT, |key, _| {
        let seq = keys::last_number(key);
        if !found.contains(&seq) {
            faults.add(format!(
                "a record names audit entry {seq}, which is missing"
            ));
        }
        Ok(())
    })?;
    Ok(faults)
}

/// The entries of a space: whole ones, or what is left of cleared ones.
fn entries(at: &Point<'_>, space: u8, faults: &mut Faults) -> Result<BTreeMap<u64, Hash>, Error> {
    let mut leaves = BTreeMap::new();
    at.scan(space, |key, bytes| {
        let seq = keys::last_number(key);
        let scope = key
            .get(1..)
            .and_then(|mut rest| keys::take_scope(&mut rest));
        let scope = scope.ok_or_else(|| Error::Damaged("an audit entry's key".into()))?;
        let stored = match audit::Stored::read(bytes) {
            Ok(stored) => stored,
            Err(error) => {
                faults.add(format!("audit entry {seq}: {error}"));
                return Ok(());
            }
        };
        match stored.verify(scope, seq, &at.core.keyring) {
            Ok(true) if audit::space(&stored) == space => {}
            Ok(_) => faults.add(format!("audit entry {seq}: not its leaf")),
            Err(error) => faults.add(format!("audit entry {seq}: {error}")),
        }
        leaves.insert(seq, stored.leaf);
        Ok(())
    })?;
    Ok(leaves)
}

/// The leaves make the tree, and what is kept of its subtrees.
fn tree(at: &Point<'_>, leaves: &BTreeMap<u64, Hash>, faults: &mut Faults) -> Result<(), Error> {
    let (mut tree, mut writes) = (Tree::default(), Vec::new());
    for (seq, leaf) in leaves {
        tree.append(*seq, *leaf, &mut writes);
    }
    let kept = at.view.get(&keys::meta(META_FRONTIER))?;
    let kept = kept.as_deref().and_then(Frontier::from_bytes);
    if kept.unwrap_or_default() != *tree.frontier() {
        faults.add("the audit log is not the one that was written".into());
    }
    // A later write to a key replaces an earlier one.
    let mut rebuilt: BTreeMap<_, _> = writes.into_iter().collect();
    at.scan(keys::SUBTREE, |key, value| {
        let expected = rebuilt.remove(key).flatten();
        if expected.as_deref() != Some(value) {
            faults.add("a subtree of the audit log is not that of its entries".into());
        }
        Ok(())
    })?;
    if !rebuilt.is_empty() {
        faults.add("subtrees of the audit log are missing".into());
    }
    Ok(())
}
