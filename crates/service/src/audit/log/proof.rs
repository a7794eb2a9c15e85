//! Hashes of parts of a long log, by the roots of full subtrees that the engine keeps.

use std::ops::Range;

use salus_crypto::merkle::{Frontier, Hash};
use salus_store::{AuditTree, Error, SUBTREE};

/// Leaves that are read at once where there is no subtree for them.
const LEAVES_AT_ONCE: u64 = SUBTREE;
/// The highest level of subtrees that a log can fill.
const LEVEL_MAX: u32 = 7;

/// The hash of each part, every one of which is a subtree of RFC 6962.
pub(super) async fn roots(
    tree: &dyn AuditTree,
    parts: Vec<Range<u64>>,
) -> Result<Vec<Hash>, Error> {
    let mut roots = Vec::with_capacity(parts.len());
    for one in parts {
        roots.push(part(tree, one).await?.root());
    }
    Ok(roots)
}

/// The frontier over a part that is a subtree, or over all leaves up to a place.
pub(in crate::audit) async fn part(
    tree: &dyn AuditTree,
    part: Range<u64>,
) -> Result<Frontier, Error> {
    let damaged = || Error::Damaged("the hash tree of the audit log".into());
    let (mut frontier, mut at) = (Frontier::default(), part.start);
    while at < part.end {
        let (level, size) = largest(at, part.end);
        let in_parent = SUBTREE - at / size % SUBTREE;
        let count = ((part.end - at) / size).min(in_parent);
        let hashes = hashes(tree, level, at / size, count).await?;
        if hashes.len() as u64 != count {
            return Err(damaged());
        }
        for hash in hashes {
            if !frontier.append_subtree(level * SUBTREE.ilog2(), hash) {
                return Err(damaged());
            }
        }
        at += count * size;
    }
    Ok(frontier)
}

/// The largest subtree that begins here and ends before `end`: level and leaves.
fn largest(at: u64, end: u64) -> (u32, u64) {
    let levels = (0..=LEVEL_MAX).rev();
    let mut sizes = levels.filter_map(|level| Some((level, SUBTREE.checked_pow(level)?)));
    let fits = |(_, size): &(u32, u64)| at.is_multiple_of(*size) && end - at >= *size;
    sizes.find(fits).unwrap_or((0, 1))
}

async fn hashes(
    tree: &dyn AuditTree,
    level: u32,
    first: u64,
    count: u64,
) -> Result<Vec<Hash>, Error> {
    let limit = usize::try_from(count.min(LEAVES_AT_ONCE)).unwrap_or(usize::MAX);
    if level > 0 {
        return tree.subtrees(level, first, limit).await;
    }
    let leaves = tree.tree_leaves(first, limit, &|_| false).await?;
    Ok(leaves.into_iter().map(|leaf| leaf.leaf).collect())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use salus_crypto::merkle;
    use salus_store::memory::Memory;
    use salus_store::{AuditEntry, Batch, Scope, Store};

    use super::*;

    async fn log(entries: usize) -> (Memory, Vec<Hash>) {
        let store = Memory::new();
        let entry = |number: usize| AuditEntry {
            body: Bytes::from(number.to_string()),
            about: Vec::new(),
        };
        let batch = Batch {
            audit: (0..entries).map(entry).collect(),
            ..Batch::of(Scope(1), 1, Vec::new())
        };
        store.commit(batch).await.unwrap();
        let leaves = store.tree_leaves(0, entries, &|_| false).await.unwrap();
        (store, leaves.into_iter().map(|leaf| leaf.leaf).collect())
    }

    /// Sizes about those at which subtrees are full.
    const SIZES: [usize; 12] = [0, 1, 2, 255, 256, 257, 511, 512, 513, 700, 1023, 1030];

    #[tokio::test]
    async fn growth_is_proved_by_subtrees() {
        let (store, all) = log(1030).await;
        for old in SIZES {
            for size in SIZES.into_iter().filter(|size| *size >= old) {
                let parts = merkle::consistency(old as u64, size as u64).unwrap();
                let proof = roots(&store, parts).await.unwrap();
                let (was, is) = (merkle::root(&all[..old]), merkle::root(&all[..size]));
                let holds = merkle::verify_consistency(old as u64, &was, size as u64, &is, &proof);
                assert!(holds, "{old} {size}");
            }
        }
    }

    #[tokio::test]
    async fn entries_are_proved_by_subtrees() {
        let (store, all) = log(1030).await;
        for size in SIZES {
            let root = merkle::root(&all[..size]);
            for index in SIZES.into_iter().filter(|index| *index < size) {
                let parts = merkle::inclusion(index as u64, size as u64).unwrap();
                let proof = roots(&store, parts).await.unwrap();
                let (leaf, index) = (&all[index], index as u64);
                let holds = merkle::verify_inclusion(leaf, index, size as u64, &proof, &root);
                assert!(holds, "{index} {size}");
            }
        }
    }

    #[tokio::test]
    async fn the_frontier_of_a_log_is_found_by_subtrees() {
        let (store, all) = log(1030).await;
        for size in SIZES {
            let mut expected = Frontier::default();
            all[..size].iter().for_each(|leaf| expected.append(*leaf));
            assert_eq!(
                part(&store, 0..size as u64).await.unwrap(),
                expected,
                "{size}"
            );
        }
    }
}
