//! Walking index entries in the order of a sort, so that a page is found
//! without reading all that match.
//!
//! Entries that agree in all but their seq are a run. Index order is sort
//! order between runs; within one the rows decide, since keys hold values cut
//! short and later sort keys not at all.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

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
    /// Entries passed over.
    skipped: u64,
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
        let cursor = view.toward(start, end, descending)?;
        let mut walk = Self {
            cursor,
            wanted,
            next: None,
            skipped: 0,
        };
        walk.next = walk.next_key()?.map(<[u8]>::to_vec);
        Ok(walk)
    }

    /// The next entry whose hints show what is wanted.
    fn next_key(&mut self) -> Result<Option<&[u8]>, Error> {
        next_wanted(&mut self.cursor, self.wanted, &mut self.skipped)
    }

    /// The next run.
    pub(crate) fn next(&mut self) -> Result<Option<Run>, Error> {
        let Some(first) = self.next.take() else {
            return Ok(None);
        };
        let mut seqs = vec![keys::last_number(&first)];
        let mut key = first;
        key.truncate(key.len().saturating_sub(keys::SEQ_LEN));
        while let Some(other) = next_wanted(&mut self.cursor, self.wanted, &mut self.skipped)? {
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

/// Several walks along references, as one by their dates.
pub(crate) struct Merged<'a> {
    walks: Vec<Walk<'a>>,
    /// The next run of each walk that has one.
    heads: BinaryHeap<Head>,
    descending: bool,
}

/// A run and the walk that it comes from.
struct Head {
    /// The date, or its complement: the greatest comes first.
    rank: u64,
    walk: usize,
    run: Run,
}

impl<'a> Merged<'a> {
    pub(crate) fn new(walks: Vec<Walk<'a>>, descending: bool) -> Result<Self, Error> {
        let mut merged = Self {
            heads: BinaryHeap::with_capacity(walks.len()),
            walks,
            descending,
        };
        for walk in 0..merged.walks.len() {
            merged.advance(walk)?;
        }
        Ok(merged)
    }

    /// The entries of the next date.
    pub(crate) fn next(&mut self) -> Result<Option<Run>, Error> {
        let Some(Head {
            rank,
            walk,
            mut run,
        }) = self.heads.pop()
        else {
            return Ok(None);
        };
        self.advance(walk)?;
        while self.heads.peek().is_some_and(|head| head.rank == rank)
            && let Some(same) = self.heads.pop()
        {
            run.seqs.extend(same.run.seqs);
            self.advance(same.walk)?;
        }
        // One that refers to several is in the walks of all of them.
        run.seqs.sort_unstable_by(|a, b| b.cmp(a));
        run.seqs.dedup();
        Ok(Some(run))
    }

    /// How many entries were passed over since this was asked before.
    pub(crate) fn skipped(&mut self) -> u64 {
        let walks = self.walks.iter_mut();
        walks.map(|walk| std::mem::take(&mut walk.skipped)).sum()
    }

    fn advance(&mut self, walk: usize) -> Result<(), Error> {
        let next = self.walks.get_mut(walk).map(Walk::next).transpose()?;
        if let Some(run) = next.flatten() {
            let date = keys::last_number(&run.key);
            let rank = if self.descending { date } else { !date };
            self.heads.push(Head { rank, walk, run });
        }
        Ok(())
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rank, self.walk).cmp(&(other.rank, other.walk))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

/// So many entries are passed over at once.
const SKIPPED_MAX: u32 = 4096;

/// The key of the next entry whose hints show what is wanted, or of one that
/// very many were passed over for, so that its reader can look at its limits;
/// those passed over are added to `skipped`.
pub(crate) fn next_wanted<'a>(
    cursor: &'a mut Cursor<'_>,
    wanted: &[Vec<u8>],
    skipped: &mut u64,
) -> Result<Option<&'a [u8]>, Error> {
    if wanted.is_empty() {
        return cursor.next_key();
    }
    for _ in 0..SKIPPED_MAX {
        match cursor.next()? {
            None => return Ok(None),
            Some((_, hints)) if Hints::may_match(&hints, wanted) => break,
            Some(_) => *skipped += 1,
        }
    }
    Ok(cursor.key())
}
