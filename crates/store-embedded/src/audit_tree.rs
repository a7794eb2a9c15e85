//! Reading the audit log of all scopes in the order of its tree.
//!
//! Entries lie by scope, what is left of cleared ones apart from the others. A part of the tree is a span of seqs, of which every scope's entries are
//! read and put in order.

use salus_crypto::merkle::Hash;
use salus_store::{AuditTree, Error, Open, Reply, SUBTREE, Scope, Seq, TreeHead, TreeLeaf};

use crate::audit::{self, Stored};
use crate::core::{Core, State};
use crate::kv::{View, When};
use crate::reader::ready;
use crate::{Embedded, keys, tree};

impl AuditTree for Embedded {
    fn tree_head(&self) -> Reply<'_, TreeHead> {
        let frontier = self.core.frontier();
        ready(Ok(TreeHead {
            size: frontier.size(),
            root: frontier.root(),
        }))
    }

    fn tree_leaves<'a>(
        &'a self,
        first: u64,
        limit: usize,
        open: &'a Open<'a>,
    ) -> Reply<'a, Vec<TreeLeaf>> {
        ready(leaves(&self.core, first, limit, open))
    }

    fn subtrees(&self, level: u32, first: u64, limit: usize) -> Reply<'_, Vec<Hash>> {
        let view = self.core.kv.view();
        ready(view.and_then(|view| tree::roots(&view, level, first, limit)))
    }

    fn clear<'a>(&'a self, scope: Scope, entries: &'a [Seq]) -> Reply<'a, u64> {
        Box::pin(clear(&self.core, scope, entries))
    }

    fn is_cleared(&self, scope: Scope, seq: Seq) -> Reply<'_, bool> {
        let key = keys::entry(keys::CLEARED, scope, seq.0);
        let found = self.core.kv.view().and_then(|view| view.get(&key));
        ready(found.map(|found| found.is_some()))
    }
}

/// Clears entries beside the committer: it writes none of their keys again.
async fn clear(core: &Core, scope: Scope, entries: &[Seq]) -> Result<u64, Error> {
    core.ready()?;
    core.space.check()?;
    let (writes, count) = audit::clearing(&core.kv.view()?, scope, entries)?;
    if count > 0 {
        core.kv.write(writes, When::Now).await?;
    }
    Ok(count)
}

/// An entry as it is kept.
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) scope: Scope,
    pub(crate) bytes: Vec<u8>,
}

/// The entries of all scopes in a span of seqs, in their order.
pub(crate) fn entries(view: &View, first: u64, end: u64) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (space, scope) in lanes(view)? {
        let start = keys::entry(space, scope, first);
        let end = keys::entry(space, scope, end);
        let mut cursor = view.forward(&start, &end)?;
        while let Some((key, bytes)) = cursor.next()? {
            entries.push(Entry {
                seq: keys::last_number(key),
                scope,
                bytes: bytes.into_owned(),
            });
        }
    }
    entries.sort_unstable_by_key(|entry| entry.seq);
    Ok(entries)
}

/// The spaces of keys, and the scopes in each, that have entries.
pub(crate) fn lanes(view: &View) -> Result<Vec<(u8, Scope)>, Error> {
    let mut lanes = Vec::new();
    for space in [keys::AUDIT, keys::CLEARED] {
        let scopes = scopes(view, space)?.into_iter();
        lanes.extend(scopes.map(|scope| (space, scope)));
    }
    Ok(lanes)
}

fn scopes(view: &View, space: u8) -> Result<Vec<Scope>, Error> {
    let (mut scopes, mut from) = (Vec::new(), vec![space]);
    let mut cursor = view.forward(&from, &[space + 1])?;
    loop {
        cursor.seek(&from)?;
        let Some(key) = cursor.next_key()? else {
            return Ok(scopes);
        };
        let scope = key
            .get(1..)
            .and_then(|mut rest| keys::take_scope(&mut rest));
        let scope = scope.ok_or_else(|| Error::Damaged("an audit entry's key".into()))?;
        scopes.push(scope);
        from = keys::after_prefix(&keys::scoped(space, scope, 0));
    }
}

fn leaves(core: &Core, first: u64, limit: usize, open: &Open<'_>) -> Result<Vec<TreeLeaf>, Error> {
    let view = core.kv.view()?;
    let size = tree::frontier(&view)?.size();
    let end = first.saturating_add(limit as u64).min(size);
    if first >= end {
        return Ok(Vec::new());
    }
    let missing = || Error::Damaged("the hash tree of the audit log".into());
    let from = tree::begin(&view, first / SUBTREE)?.ok_or_else(missing)?;
    let to = match tree::begin(&view, end.div_ceil(SUBTREE))? {
        Some(to) => to,
        None => State::load(&view)?.seq.saturating_add(1),
    };
    let entries = entries(&view, from, to)?;
    let skipped = usize::try_from(first % SUBTREE).unwrap_or(usize::MAX);
    let wanted = entries.iter().skip(skipped).take(limit);
    let leaves = wanted.map(|entry| leaf(core, entry, open));
    leaves.collect()
}

fn leaf(core: &Core, entry: &Entry, open: &Open<'_>) -> Result<TreeLeaf, Error> {
    let stored = Stored::read(&entry.bytes)?;
    Ok(TreeLeaf {
        scope: entry.scope,
        seq: Seq(entry.seq),
        time_ms: stored.time_ms,
        leaf: stored.leaf,
        opened: match open(entry.scope) {
            true => stored.open_leaf(entry.scope, entry.seq, &core.keyring)?,
            false => None,
        },
        cleared: stored.is_cleared(),
    })
}
