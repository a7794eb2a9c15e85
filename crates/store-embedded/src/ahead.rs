//! Large groups are written in pieces, and are still there whole or not at all.
//!
//! The engine below holds what it writes at once several times over. So what a
//! large group adds (bodies, rows, index entries, postings), which no reader
//! sees before the group's point is shown, is written ahead, piece by piece,
//! each with the list of its keys. The last write makes the group true and
//! takes the lists away. A list that is found when the store opens belongs to
//! a group that never came true, and what it names is removed.

use salus_store::Error;

use crate::keys;
use crate::kv::{Kv, When, Write};

/// Keys of one piece. Small in tests of the engine, so that they write in pieces too.
const PIECE_KEYS: usize = if cfg!(test) { 40 } else { 50_000 };
/// What is not this large is written at once.
const PIECES_MIN: usize = 3;

/// Whether it is better written in pieces.
pub(crate) fn is_large(ahead: &[Write]) -> bool {
    ahead.len() >= PIECE_KEYS * PIECES_MIN
}

/// Writes all of it, or fails; `ahead` holds keys that are new and that nobody
/// looks for before `last` is written.
pub(crate) async fn write(kv: &Kv, ahead: Vec<Write>, mut last: Vec<Write>) -> Result<(), Error> {
    let pieces = write_ahead(kv, ahead).await?;
    last.extend((0..pieces).map(|piece| (keys::at(keys::AHEAD, piece), None)));
    kv.write(last, When::Now).await
}

/// Writes the pieces, and says how many they are.
pub(crate) async fn write_ahead(kv: &Kv, ahead: Vec<Write>) -> Result<u64, Error> {
    let mut pieces = 0;
    let mut ahead = ahead.into_iter();
    loop {
        let mut piece: Vec<Write> = ahead.by_ref().take(PIECE_KEYS).collect();
        if piece.is_empty() {
            return Ok(pieces);
        }
        let list = list(&piece);
        piece.push((keys::at(keys::AHEAD, pieces), Some(list)));
        kv.write(piece, When::Now).await?;
        pieces += 1;
    }
}

/// Removes what groups left that never came true.
pub(crate) fn remove(kv: &Kv) -> Result<(), Error> {
    let view = kv.view()?;
    let mut lists = view.forward(&[keys::AHEAD], &[keys::AHEAD + 1])?;
    while let Some((key, list)) = lists.next()? {
        let mut writes = removals(&list)?;
        writes.push((key.to_vec(), None));
        kv.write_here(writes, When::Now)?;
    }
    Ok(())
}

/// Each key behind its length in four bytes.
fn list(piece: &[Write]) -> Vec<u8> {
    let bytes = piece.iter().map(|(key, _)| 4 + key.len()).sum();
    let mut list = Vec::with_capacity(bytes);
    for (key, _) in piece {
        // Keys are cut long before this.
        let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        list.extend_from_slice(&len.to_be_bytes());
        list.extend_from_slice(key);
    }
    list
}

fn removals(mut list: &[u8]) -> Result<Vec<Write>, Error> {
    let damaged = || Error::Damaged("the list of what was written ahead".into());
    let mut writes = Vec::new();
    while let Some((len, rest)) = list.split_first_chunk() {
        let len = u32::from_be_bytes(*len) as usize;
        let (key, rest) = rest.split_at_checked(len).ok_or_else(damaged)?;
        writes.push((key.to_vec(), None));
        list = rest;
    }
    match list {
        [] => Ok(writes),
        _ => Err(damaged()),
    }
}
