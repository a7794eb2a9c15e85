//! Changing postings that were laid: taking out those of a version whose rows
//! go, and laying those of one whose rows are made anew.
//!
//! Blocks are read, changed and written whole. Whoever does so holds
//! `Core::texts` from the view that it reads in to the end of the write; the
//! blocks of new versions need not be waited for, since they come behind all
//! others.

use std::collections::BTreeMap;

use salus_store::{Error, Kind, Row, Scope, Words, ordered};

use super::lay::texts;
use super::{Placed, Postings, block, of_term};
use crate::keys;
use crate::kv::{View, Write};

/// A block that has more postings than this after a change is parted, so that
/// a change never writes much.
const POSTINGS_MAX: usize = 512;

/// Changes to postings, to be written together.
#[derive(Default)]
pub(crate) struct Edits {
    /// By what the keys of the term begin with: what becomes of the postings
    /// of which versions.
    terms: BTreeMap<Vec<u8>, Changes>,
}

/// By seq; `None` is taken out.
type Changes = BTreeMap<u64, Option<Placed>>;

impl Edits {
    /// Takes out the postings of a version that has these rows.
    pub(crate) fn take_out(&mut self, of: (Scope, Kind), seq: u64, rows: &[Row]) {
        self.each(of, seq, rows, |_| None);
    }

    /// Lays the postings of a version that has these rows.
    pub(crate) fn lay(&mut self, of: (Scope, Kind), seq: u64, rows: &[Row]) {
        self.each(of, seq, rows, Some);
    }

    fn each(
        &mut self,
        (scope, kind): (Scope, Kind),
        seq: u64,
        rows: &[Row],
        change: impl Fn(Placed) -> Option<Placed>,
    ) {
        for (param, words) in texts(rows) {
            for posting in Words::postings(words.as_bytes()) {
                let start = of_term((scope, kind, param), &posting.term);
                let changes = self.terms.entry(start).or_default();
                changes.insert(seq, change(Placed::of(seq, &posting)));
            }
        }
    }

    /// What has to be written to change what a view shows.
    pub(crate) fn into_writes(self, view: &View) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        for (start, mut changes) in self.terms {
            // Each block takes the changes from its beginning on that blocks
            // behind it did not take.
            while let Some((&seq, _)) = changes.last_key_value() {
                let (base, found) = match found(view, &start, seq)? {
                    Some((base, value)) => (base, Some(value)),
                    None => (0, None),
                };
                let own = changes.split_off(&base);
                let base = match &found {
                    Some(_) => base,
                    // The first of all blocks begins with what is laid first.
                    None => own.keys().next().copied().unwrap_or(seq),
                };
                let postings = changed(base, found.as_deref(), own)?;
                put_blocks(&start, base, &postings, &mut writes);
            }
        }
        Ok(writes)
    }
}

/// The last block of a term that begins at or before a version, by its seq.
fn found(view: &View, start: &[u8], seq: u64) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let key = at(start, seq);
    // Most often a version had a batch of its own.
    if let Some(value) = view.get(&key)? {
        return Ok(Some((seq, value)));
    }
    let mut cursor = view.backward(start, &key)?;
    let found = cursor.next()?;
    Ok(found.map(|(key, value)| (keys::last_number(key), value.into_owned())))
}

/// The postings of a block after changes.
fn changed(base: u64, value: Option<&[u8]>, changes: Changes) -> Result<Vec<Placed>, Error> {
    let mut postings = BTreeMap::new();
    if let Some(value) = value {
        for placed in Postings::read(base, value)? {
            let placed = placed?;
            postings.insert(placed.seq, placed);
        }
    }
    for (seq, change) in changes {
        match change {
            Some(placed) => drop(postings.insert(seq, placed)),
            None => drop(postings.remove(&seq)),
        }
    }
    Ok(postings.into_values().collect())
}

/// The block that begins at `base`, or several in its place; it goes if it
/// holds nothing.
fn put_blocks(start: &[u8], base: u64, postings: &[Placed], writes: &mut Vec<Write>) {
    if postings.is_empty() {
        writes.push((at(start, base), None));
    }
    let bases = std::iter::once(base).chain(
        postings
            .chunks(POSTINGS_MAX)
            .skip(1)
            .filter_map(|part| part.first().map(|first| first.seq)),
    );
    for (base, part) in bases.zip(postings.chunks(POSTINGS_MAX)) {
        writes.push((at(start, base), Some(block(base, part))));
    }
}

/// The key of a block.
fn at(start: &[u8], seq: u64) -> Vec<u8> {
    let mut key = start.to_vec();
    ordered::put_u64(&mut key, seq);
    key
}
