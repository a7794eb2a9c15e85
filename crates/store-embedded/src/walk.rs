//! Walking index entries in the order of a sort, so that a page is found
//! without reading all that match.
//!
//! Entries that agree in all but their seq are a run. Index order is sort
//! order between runs; within one the rows decide, since keys hold values cut
//! short and later sort keys not at all.

use salus_store::Error;

use crate::index::Hints;
use crate::keys;
use crate::kv::{Cursor, View};

/// A walk over runs.
pub(crate) struct Walk<'a> {
    cursor: Cursor<'a>,
    /// What the hints of an entry must show.
    wanted: &'a [Vec<u8>],
    /// The first entry of the next run.
    next: Option<Vec<u8>>,
}

/// Entries that agree in all but their seq.
pub(crate) struct Run {
    /// The key without the seq.
    pub(crate) key: Vec<u8>,
    /// Newest first.
    pub(crate) seqs: Vec<u64>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        view: &'a View,
        start: &[u8],
        end: &[u8],
        descending: bool,
        wanted: &'a [Vec<u8>],
    ) -> Result<Self, Error> {
        let cursor = match descending {
            true => view.backward(start, end)?,
            false => view.forward(start, end)?,
        };
        let mut walk = Self {
            cursor,
            wanted,
            next: None,
        };
        walk.next = walk.next_key()?.map(<[u8]>::to_vec);
        Ok(walk)
    }

    /// The next entry whose hints show what is wanted.
    fn next_key(&mut self) -> Result<Option<&[u8]>, Error> {
        next_wanted(&mut self.cursor, self.wanted)
    }

    /// The next run.
    pub(crate) fn next(&mut self) -> Result<Option<Run>, Error> {
        let Some(first) = self.next.take() else {
            return Ok(None);
        };
        let mut seqs = vec![keys::last_number(&first)];
        let mut key = first;
        key.truncate(key.len().saturating_sub(keys::SEQ_LEN));
        while let Some(other) = next_wanted(&mut self.cursor, self.wanted)? {
            if other.len() == key.len() + keys::SEQ_LEN && other.starts_with(&key) {
                seqs.push(keys::last_number(other));
            } else {
                self.next = Some(other.to_vec());
                break;
            }
        }
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Some(Run { key, seqs }))
    }
}

/// The key of the next entry whose hints show what is wanted.
pub(crate) fn next_wanted<'a>(
    cursor: &'a mut Cursor<'_>,
    wanted: &[Vec<u8>],
) -> Result<Option<&'a [u8]>, Error> {
    if wanted.is_empty() {
        return cursor.next_key();
    }
    loop {
        match cursor.next()? {
            None => return Ok(None),
            Some((_, hints)) if Hints::may_match(&hints, wanted) => break,
            Some(_) => {}
        }
    }
    Ok(cursor.key())
}
