//! Changing postings that were laid: taking out those of a version whose rows
//! go, and laying those of one whose rows are made anew.
//!
//! Blocks are read, changed and written whole. Whoever does so holds
//! `Core::texts` from the view that it reads in to the end of the write; the
//! committer need not, since it only adds blocks of its own.

use std::collections::BTreeMap;

use salus_store::{Error, Kind, Row, Scope, Words, ordered};

use super::lay::texts;
use super::{Placed, Postings, block, of_term};
use crate::keys;
use crate::kv::{View, Write};

/// A block of postings: its key and its value.
type Block = (Vec<u8>, Vec<u8>);

/// Changes to blocks, made one after the other and written together.
pub(crate) struct Edits<'v> {
    view: &'v View,
    /// What blocks will hold; those that hold nothing go.
    blocks: BTreeMap<Vec<u8>, Vec<Placed>>,
}

impl<'v> Edits<'v> {
    /// Changes to what a view shows.
    pub(crate) fn new(view: &'v View) -> Self {
        Self {
            view,
            blocks: BTreeMap::new(),
        }
    }

    /// Takes out the postings of a version that has these rows.
    pub(crate) fn take_out(
        &mut self,
        of: (Scope, Kind),
        seq: u64,
        rows: &[Row],
    ) -> Result<(), Error> {
        self.each(of, seq, rows, |block, placed| {
            block.retain(|one| one.seq != placed.seq);
        })
    }

    /// Lays the postings of a version that has these rows.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for new rows of versions that are there already")
    )]
    pub(crate) fn lay(&mut self, of: (Scope, Kind), seq: u64, rows: &[Row]) -> Result<(), Error> {
        self.each(of, seq, rows, |block, placed| {
            let at = block.partition_point(|one| one.seq < placed.seq);
            match block.get_mut(at) {
                Some(one) if one.seq == placed.seq => *one = placed,
                _ => block.insert(at, placed),
            }
        })
    }

    /// The changes, to be written.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        let blocks = self.blocks.into_iter();
        let writes = blocks.map(|(key, postings)| {
            let value = block(keys::last_number(&key), &postings);
            let value = (!postings.is_empty()).then_some(value);
            (key, value)
        });
        writes.collect()
    }

    fn each(
        &mut self,
        (scope, kind): (Scope, Kind),
        seq: u64,
        rows: &[Row],
        change: impl Fn(&mut Vec<Placed>, Placed),
    ) -> Result<(), Error> {
        for (param, words) in texts(rows) {
            for posting in Words::postings(words.as_bytes()) {
                let start = of_term((scope, kind, param), &posting.term);
                let block = self.block(&start, seq)?;
                change(block, Placed::of(seq, &posting));
            }
        }
        Ok(())
    }

    /// The block of a term that a version belongs to; a new one if there is none.
    fn block(&mut self, start: &[u8], seq: u64) -> Result<&mut Vec<Placed>, Error> {
        let mut key = start.to_vec();
        ordered::put_u64(&mut key, seq);
        let known = self.blocks.range(start.to_vec()..=key.clone());
        let known = known.map(|(key, _)| key.clone()).next_back();
        if known.as_ref() == Some(&key) {
            return Ok(self.blocks.entry(key).or_default());
        }
        let found = self.found(start, &key)?;
        let key = match (known, found) {
            (known, Some((found, value))) if known.as_ref().is_none_or(|known| *known < found) => {
                let postings = Postings::read(keys::last_number(&found), &value)?;
                let postings = postings.collect::<Result<_, _>>()?;
                self.blocks.insert(found.clone(), postings);
                found
            }
            (Some(known), _) => known,
            (None, _) => key,
        };
        Ok(self.blocks.entry(key).or_default())
    }

    /// The last block up to a key. Most often a version had a batch of its own.
    fn found(&self, start: &[u8], key: &[u8]) -> Result<Option<Block>, Error> {
        if let Some(value) = self.view.get(key)? {
            return Ok(Some((key.to_vec(), value)));
        }
        let mut cursor = self.view.backward(start, key)?;
        let found = cursor.next()?;
        Ok(found.map(|(key, value)| (key.to_vec(), value.into_owned())))
    }
}
