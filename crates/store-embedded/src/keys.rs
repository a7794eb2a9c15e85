//! The keys: what is kept where. Part of the stored format (version 6).
//!
//! | key | value |
//! |---|---|
//! | `m` name | facts about the store itself |
//! | `b` seq | a version: header and sealed body, or that it was purged; in order of `seq` this is the log of changes |
//! | `c` seq | the chain of changes, by the first version of each batch |
//! | `r` scope kind id | the newest version of a record |
//! | `v` scope kind id version | the seq of an older version |
//! | `k` scope kind seq | a current, undeleted version: its rows |
//! | `h` scope kind seq | a version that is not current: superseded, or a deletion |
//! | `i` scope kind param value seq | a version can be found by this value; hints if it is a reference or a date, else nothing |
//! | `l` scope kind param to from seq | nothing: as `i`, for dates that last long, by their end |
//! | `t` scope kind param term seq | a block of postings: versions whose text has the term |
//! | `e` scope kind id | one more than the newest version of it that was purged |
//! | `g` superseding-seq superseded-seq | the rows of a superseded version are still there |
//! | `n` scope kind | how many records are current |
//! | `d` scope kind | which date parameters are the main date |
//! | `s` scope kind | a sample of the kind |
//! | `p` number | the keys of a piece of a group that is being written; see `ahead` |
//! | `q` seq | what the batch that ends there purged; see `purge` |
//! | `o` scope kind id seq | nothing: an audit entry is about this record |
//! | `w` scope seq | an audit entry |
//! | `y` scope seq | what is left of an audit entry that was cleared |
//! | `x` level index | a subtree of the audit log's hash tree; see `tree` |
//!
//! Numbers are big-endian. A scope is one byte when it is small, an id ends
//! itself, so keys sort field by field. What searches write stands behind what
//! they read: `m`, `o`, `q`, `w` and `x` behind `i`, `k` and `l`.

use salus_store::{Kind, Param, Scope, ordered};

pub(crate) const META: u8 = b'm';
pub(crate) const BODY: u8 = b'b';
pub(crate) const CHAIN: u8 = b'c';
pub(crate) const NEWEST: u8 = b'r';
pub(crate) const VERSION: u8 = b'v';
pub(crate) const CURRENT: u8 = b'k';
pub(crate) const PAST: u8 = b'h';
pub(crate) const INDEX: u8 = b'i';
pub(crate) const LONG: u8 = b'l';
pub(crate) const TEXT: u8 = b't';
pub(crate) const GARBAGE: u8 = b'g';
pub(crate) const COUNT: u8 = b'n';
pub(crate) const DATES: u8 = b'd';
pub(crate) const SAMPLE: u8 = b's';
pub(crate) const AHEAD: u8 = b'p';
pub(crate) const PURGED: u8 = b'e';
pub(crate) const PURGES: u8 = b'q';
pub(crate) const AUDIT: u8 = b'w';
pub(crate) const ABOUT: u8 = b'o';
pub(crate) const CLEARED: u8 = b'y';
pub(crate) const SUBTREE: u8 = b'x';

/// The length of a seq at the end of a key.
pub(crate) const SEQ_LEN: usize = 8;

/// A fact about the store.
pub(crate) fn meta(name: &str) -> Vec<u8> {
    let mut key = vec![META];
    key.extend_from_slice(name.as_bytes());
    key
}

/// `space` seq.
pub(crate) fn at(space: u8, seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + SEQ_LEN);
    key.push(space);
    ordered::put_u64(&mut key, seq);
    key
}

/// `g` superseding superseded.
pub(crate) fn garbage(superseding: u64, superseded: u64) -> Vec<u8> {
    let mut key = at(GARBAGE, superseding);
    ordered::put_u64(&mut key, superseded);
    key
}

/// `space` scope.
pub(crate) fn scoped(space: u8, scope: Scope, room: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(6 + room);
    key.push(space);
    put_scope(&mut key, scope);
    key
}

/// `space` scope kind.
pub(crate) fn of_kind(space: u8, scope: Scope, kind: Kind) -> Vec<u8> {
    let mut key = scoped(space, scope, 4 + SEQ_LEN);
    ordered::put_u32(&mut key, kind.0);
    key
}

/// `space` scope kind seq.
pub(crate) fn of_kind_at(space: u8, scope: Scope, kind: Kind, seq: u64) -> Vec<u8> {
    let mut key = of_kind(space, scope, kind);
    ordered::put_u64(&mut key, seq);
    key
}

/// `w` scope seq.
pub(crate) fn audit(scope: Scope, seq: u64) -> Vec<u8> {
    entry(AUDIT, scope, seq)
}

/// `space` scope seq, of `w` or `y`.
pub(crate) fn entry(space: u8, scope: Scope, seq: u64) -> Vec<u8> {
    let mut key = scoped(space, scope, SEQ_LEN);
    ordered::put_u64(&mut key, seq);
    key
}

/// `space` scope kind id.
pub(crate) fn record(space: u8, scope: Scope, kind: Kind, id: &str) -> Vec<u8> {
    let mut key = scoped(space, scope, 4 + id.len() + 2 + SEQ_LEN);
    ordered::put_u32(&mut key, kind.0);
    ordered::put_id(&mut key, id);
    key
}

/// `space` scope kind id number, where the number is a version or a seq.
pub(crate) fn record_at(space: u8, scope: Scope, kind: Kind, id: &str, number: u64) -> Vec<u8> {
    let mut key = record(space, scope, kind, id);
    ordered::put_u64(&mut key, number);
    key
}

/// `space` scope kind param.
pub(crate) fn of_param(space: u8, scope: Scope, kind: Kind, param: Param) -> Vec<u8> {
    let mut key = scoped(space, scope, 64);
    ordered::put_u32(&mut key, kind.0);
    ordered::put_u32(&mut key, param.0);
    key
}

/// Takes space, scope, kind and parameter from the front.
pub(crate) fn skip_param(key: &mut &[u8]) -> Option<()> {
    *key = key.get(1..)?;
    take_scope(key)?;
    *key = key.get(8..)?;
    Some(())
}

/// The number in the last eight bytes of a key.
pub(crate) fn last_number(key: &[u8]) -> u64 {
    key.last_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Writes a seq into the last eight bytes of a key, which were left free for it.
pub(crate) fn set_seq(key: &mut [u8], seq: u64) {
    if let Some(last) = key.last_chunk_mut() {
        *last = seq.to_be_bytes();
    }
}

/// The least key behind all keys that begin so.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xFF; prefix.len() + 1]
}

/// Scopes below 240 take one byte, others one that says how many follow.
fn put_scope(key: &mut Vec<u8>, scope: Scope) {
    let bytes = scope.0.to_be_bytes();
    match bytes {
        [0, 0, 0, small @ 0..0xF0] => key.push(small),
        [0, 0, low @ ..] => {
            key.push(0xF0);
            key.extend_from_slice(&low);
        }
        all => {
            key.push(0xF1);
            key.extend_from_slice(&all);
        }
    }
}

/// Takes what `put_scope` wrote from the front.
pub(crate) fn take_scope(key: &mut &[u8]) -> Option<Scope> {
    let (lead, rest) = key.split_first()?;
    *key = rest;
    let length = match lead {
        0..0xF0 => return Some(Scope(u32::from(*lead))),
        0xF0 => 2,
        _ => 4,
    };
    let (bytes, rest) = key.split_at_checked(length)?;
    *key = rest;
    Some(Scope(
        bytes.iter().fold(0, |n, byte| (n << 8) | u32::from(*byte)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_their_order_and_read_back() {
        let scopes = [0, 1, 0xEF, 0xF0, 0xFFFF, 0x1_0000, u32::MAX].map(Scope);
        let keys = scopes.map(|scope| scoped(b'x', scope, 0));
        assert!(keys.is_sorted());
        for (scope, key) in scopes.iter().zip(&keys) {
            assert_eq!(take_scope(&mut &key[1..]), Some(*scope));
        }
    }

    #[test]
    fn the_end_of_a_prefix_lies_behind_all_its_keys() {
        assert_eq!(after_prefix(b"ab"), b"ac");
        assert_eq!(after_prefix(&[1, 0xFF]), [2]);
        assert!(after_prefix(&[0xFF]) > vec![0xFF]);
    }
}
