//! The log of a store held against checkpoints that were kept elsewhere.

use std::collections::BTreeMap;

use salus_auth::record::AuditLog;
use salus_crypto::SecretKey;
use salus_crypto::checkpoint::{Note, Verdict};
use salus_crypto::merkle::{Frontier, Hash};
use salus_store::{Scope, Store};

use super::signer;
use crate::error::Error;
use crate::records::one;

/// Leaves read at once.
const LEAVES: usize = 8192;

/// What checkpoints say that the log of a store does not, one line a finding.
///
/// # Errors
/// When the log cannot be read.
pub async fn compare(
    store: &dyn Store,
    key: &SecretKey,
    notes: impl Iterator<Item = Note>,
) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    let Some(log) = one::<AuditLog>(store, Scope::SYSTEM, AuditLog::ID).await? else {
        if notes.count() > 0 {
            findings.push("checkpoints were kept of an audit log that the store has not".into());
        }
        return Ok(findings);
    };
    let signer = signer(&log.value, key)?;
    let mut expected: BTreeMap<u64, Hash> = BTreeMap::new();
    for note in notes {
        let signed = note.verify(signer.public()) == Verdict::Signed(None);
        let Some(checkpoint) = note.checkpoint().ok().filter(|_| signed) else {
            findings
                .push("a checkpoint that was kept is not signed with the key of the log".into());
            continue;
        };
        let size = checkpoint.size;
        if *expected.entry(size).or_insert(checkpoint.root) != checkpoint.root {
            findings.push(format!("two checkpoints of {size} audit entries differ"));
        }
    }
    against(store, expected, &mut findings).await?;
    Ok(findings)
}

async fn against(
    store: &dyn Store,
    mut expected: BTreeMap<u64, Hash>,
    findings: &mut Vec<String>,
) -> Result<(), Error> {
    let head = store.audit_tree().tree_head().await?;
    if let Some((size, _)) = expected.last_key_value()
        && *size > head.size
    {
        findings.push(format!(
            "the store was rolled back: a checkpoint covers {size} audit entries, and it has {}",
            head.size
        ));
    }
    expected.split_off(&(head.size + 1));
    let mut frontier = Frontier::default();
    while let Some((size, root)) = expected.pop_first() {
        extend(store, &mut frontier, size).await?;
        if frontier.root() != root {
            findings.push(format!(
                "the first {size} audit entries are not those that a checkpoint covers"
            ));
            break;
        }
    }
    Ok(())
}

/// Adds the leaves as far as a size.
async fn extend(store: &dyn Store, frontier: &mut Frontier, size: u64) -> Result<(), Error> {
    while frontier.size() < size {
        let left = usize::try_from(size - frontier.size()).unwrap_or(usize::MAX);
        let tree = store.audit_tree();
        let leaves = tree
            .tree_leaves(frontier.size(), left.min(LEAVES), &|_| false)
            .await?;
        if leaves.is_empty() {
            return Err(salus_store::Error::Damaged("the audit log".into()).into());
        }
        leaves
            .into_iter()
            .for_each(|leaf| frontier.append(leaf.leaf));
    }
    Ok(())
}
