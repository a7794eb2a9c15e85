//! The tree at its plainest: hashed anew from all entries whenever somebody asks.

use bytes::Bytes;
use salus_crypto::merkle::{self, Hash};

use super::{AuditLine, Cleared, Memory, State, reply};
use crate::{
    AuditEntry, AuditTree, LeafForm, Open, OpenedLeaf, Reply, SUBTREE, Scope, Seq, TreeHead,
    TreeLeaf,
};

/// Nothing here is kept from anybody, so one salt does.
const SALT: [u8; 32] = [0; 32];

impl AuditTree for Memory {
    fn tree_head(&self) -> Reply<'_, TreeHead> {
        let leaves = self.read(State::leaves);
        reply(Ok(TreeHead {
            size: leaves.len() as u64,
            root: merkle::root(&leaves),
        }))
    }

    fn tree_leaves<'a>(
        &'a self,
        first: u64,
        limit: usize,
        open: &'a Open<'a>,
    ) -> Reply<'a, Vec<TreeLeaf>> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        reply(Ok(self.read(|state| {
            let lines = state.audit.iter().skip(first).take(limit);
            lines
                .map(|(seq, line)| line.tree_leaf(*seq, open))
                .collect()
        })))
    }

    fn subtrees(&self, level: u32, first: u64, limit: usize) -> Reply<'_, Vec<Hash>> {
        let leaves = self.read(State::leaves);
        let size = SUBTREE.checked_pow(level).map(usize::try_from);
        let Some(Ok(size)) = size else {
            return reply(Ok(Vec::new()));
        };
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let full = leaves.chunks_exact(size).skip(first).take(limit);
        reply(Ok(full.map(merkle::root).collect()))
    }

    fn clear<'a>(&'a self, scope: Scope, entries: &'a [Seq]) -> Reply<'a, u64> {
        reply(self.write(|state| {
            state.open()?;
            let mut count = 0;
            for seq in entries {
                if let Some(line) = state.audit.get_mut(seq)
                    && line.scope == scope
                    && line.cleared.is_none()
                {
                    line.clear();
                    count += 1;
                }
            }
            Ok(count)
        }))
    }

    fn is_cleared(&self, scope: Scope, seq: Seq) -> Reply<'_, bool> {
        reply(Ok(self.read(|state| {
            let line = state.audit.get(&seq).filter(|line| line.scope == scope);
            line.is_some_and(|line| line.cleared.is_some())
        })))
    }
}

impl State {
    fn leaves(&self) -> Vec<Hash> {
        self.audit.values().map(AuditLine::leaf).collect()
    }
}

impl AuditLine {
    fn clear(&mut self) {
        self.cleared = Some(Cleared {
            leaf: self.leaf(),
            digest: self.digest(),
        });
        self.entry = AuditEntry {
            body: Bytes::new(),
            about: Vec::new(),
        };
    }

    fn leaf(&self) -> Hash {
        if let Some(cleared) = self.cleared {
            return cleared.leaf;
        }
        LeafForm::Placed.leaf(&SALT, self.scope, self.time_ms, &self.entry.body)
    }

    fn tree_leaf(&self, seq: Seq, open: &(dyn Fn(Scope) -> bool + Send + Sync + '_)) -> TreeLeaf {
        let opened = (open(self.scope) && self.cleared.is_none()).then(|| OpenedLeaf {
            form: LeafForm::Placed,
            salt: SALT,
            body: self.entry.body.clone(),
        });
        TreeLeaf {
            scope: self.scope,
            seq,
            time_ms: self.time_ms,
            leaf: self.leaf(),
            opened,
            cleared: self.cleared.is_some(),
        }
    }
}
