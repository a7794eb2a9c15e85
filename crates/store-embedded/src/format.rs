//! The format of keys and values, and what brings an older store to it.
//!
//! - 1: audit entries under `a`.
//! - 2: audit entries under `w`. A table of nothing but audit entries, as
//!   searches make it, now lies behind the index, and searches need not look
//!   into it.
//! - 3: what large groups write ahead, under `p` until they are whole.
//! - 4: versions may be purged: another form of body, marks under `e`.
//! - 5: the log can be read whole: an audit entry holds what it is about and its
//!   place in its batch, and what a batch purged is kept under `q`. Subtrees of the audit log's
//!   hash tree under `x`; leaves of new entries commit to scope and time, too.
//! - 6: audit entries may be cleared: what is left of them under `y`.
//!
//! Audit entries of older stores get what they are about from the keys under `o`. Of what came
//! with 3, 4 and 6, an older store has nothing, and needs no change for it.

mod entries;

use std::path::Path;

use salus_store::Error;

use crate::kv::{Kv, View, When};
use crate::{keys, tree};

/// Raised by a change that older code cannot read.
const FORMAT: u32 = 6;

pub(crate) const META_FORMAT: &str = "format";

/// Where audit entries were kept in format 1.
pub(crate) const AUDIT_1: u8 = b'a';
/// Bytes of audit entries that move in one write.
const MOVED_AT_ONCE: usize = 4 << 20;

/// Brings a store to the format of this version, or refuses it. What is cut
/// off goes on at the next opening.
pub(crate) fn bring_up_to_date(kv: &Kv, dir: &Path) -> Result<(), Error> {
    let key = keys::meta(META_FORMAT);
    let kept = kv.view()?.get(&key)?;
    let damaged = || Error::Damaged(format!("{}: its format", dir.display()));
    let format = match kept {
        Some(bytes) => {
            let bytes: [u8; 4] = bytes.as_slice().try_into().map_err(|_| damaged())?;
            Some(u32::from_be_bytes(bytes))
        }
        None => None,
    };
    match format {
        Some(FORMAT) => return Ok(()),
        Some(1) => {
            move_audit(kv)?;
            entries::bring_up_to_date(kv)?;
            tree::build(kv)?;
        }
        Some(2..=4) => {
            entries::bring_up_to_date(kv)?;
            tree::build(kv)?;
        }
        Some(5) => {}
        Some(newer) if newer > FORMAT => {
            return Err(Error::Unavailable(format!(
                "{}: written by a later version (format {newer}; this one reads {FORMAT})",
                dir.display()
            )));
        }
        Some(_) => return Err(damaged()),
        // A new store.
        None => {}
    }
    kv.write_here(vec![(key, Some(FORMAT.to_be_bytes().into()))], When::Now)
}

fn move_audit(kv: &Kv) -> Result<(), Error> {
    let mut from = vec![AUDIT_1];
    loop {
        let (writes, next) = moves(&kv.view()?, &from)?;
        if writes.is_empty() {
            return Ok(());
        }
        kv.write_here(writes, When::Now)?;
        from = next;
    }
}

type Moves = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The next entries set where they belong and removed where they were, and
/// where the rest begins.
fn moves(view: &View, from: &[u8]) -> Result<(Moves, Vec<u8>), Error> {
    let mut cursor = view.forward(from, &[AUDIT_1 + 1])?;
    let (mut writes, mut bytes) = (Vec::new(), 0);
    while bytes < MOVED_AT_ONCE
        && let Some((key, entry)) = cursor.next()?
    {
        bytes += entry.len();
        let mut moved = key.to_vec();
        moved[0] = keys::AUDIT;
        writes.push((moved, Some(entry.into_owned())));
        writes.push((key.to_vec(), None));
    }
    let next = writes.last().map(|(key, _)| key.clone());
    Ok((writes, next.unwrap_or_default()))
}
