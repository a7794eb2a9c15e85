//! From format 4 to 5: audit entries get what they are about.
//!
//! That stands under `o` in the order of records, and is wanted in the order of
//! entries. So many of it as fit in memory are gathered in one walk, for the
//! entries from one seq to another, and there are as many walks as that needs.

use std::collections::BTreeMap;

use salus_store::{Error, Kind, Scope, ordered};

use crate::audit::{self, About};
use crate::keys;
use crate::kv::{Kv, View, When};

/// Records that entries are about, gathered at once.
const ABOUT_MAX: usize = if cfg!(test) { 4 } else { 1_000_000 };
/// Bytes of entries written at once.
const WRITTEN_AT_ONCE: usize = 4 << 20;

/// Changes every entry that is of format 1.
pub(super) fn bring_up_to_date(kv: &Kv) -> Result<(), Error> {
    let mut from = 0;
    loop {
        let (about, next) = gather(&kv.view()?, from)?;
        change(kv, &about, from, next.unwrap_or(u64::MAX))?;
        match next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// What the entries from a seq on are about, and from where on it is missing.
fn gather(view: &View, from: u64) -> Result<(BTreeMap<u64, About>, Option<u64>), Error> {
    let mut gathered: BTreeMap<u64, About> = BTreeMap::new();
    let (mut size, mut next) = (0, None);
    let mut cursor = view.forward(&[keys::ABOUT], &[keys::ABOUT + 1])?;
    while let Some(key) = cursor.next_key()? {
        let (seq, kind, id) = read(key).ok_or_else(|| Error::Damaged("an audit key".into()))?;
        if seq < from || next.is_some_and(|next| seq >= next) {
            continue;
        }
        gathered.entry(seq).or_default().push((kind, id));
        size += 1;
        if size > ABOUT_MAX
            && gathered.len() > 1
            && let Some((last, dropped)) = gathered.pop_last()
        {
            size -= dropped.len();
            next = Some(last);
        }
    }
    Ok((gathered, next))
}

fn read(key: &[u8]) -> Option<(u64, Kind, Box<str>)> {
    let mut rest = key.get(1..)?;
    let _: Scope = keys::take_scope(&mut rest)?;
    let kind = Kind(ordered::take_u32(&mut rest)?);
    let id = ordered::take_id(&mut rest)?;
    Some((keys::last_number(key), kind, id))
}

/// Changes the entries from one seq to before another.
fn change(kv: &Kv, about: &BTreeMap<u64, About>, from: u64, end: u64) -> Result<(), Error> {
    let mut start = vec![keys::AUDIT];
    loop {
        let view = kv.view()?;
        let mut entries = view.forward(&start, &[keys::AUDIT + 1])?;
        let (mut writes, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        while bytes < WRITTEN_AT_ONCE
            && let Some((key, entry)) = entries.next()?
        {
            let seq = keys::last_number(key);
            last = Some(key.to_vec());
            if seq < from || seq >= end {
                continue;
            }
            let about = about.get(&seq).map_or(&[][..], Vec::as_slice);
            if let Some(entry) = audit::from_format_1(&entry, about)? {
                bytes += entry.len();
                writes.push((key.to_vec(), Some(entry)));
            }
        }
        drop(entries);
        if !writes.is_empty() {
            kv.write_here(writes, When::Now)?;
        }
        match last {
            Some(mut key) => {
                key.push(0);
                start = key;
            }
            None => return Ok(()),
        }
    }
}
