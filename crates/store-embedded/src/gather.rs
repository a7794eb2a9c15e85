//! Collecting records that match, and sorting them.

use std::collections::BinaryHeap;

use salus_store::Error;

use crate::choice::Indexed;
use crate::index::{Access, Span};
use crate::keys;
use crate::links::ENTRIES_AT_ONCE;
use crate::newest::Newest;
use crate::row::Entry;
use crate::search::{After, Chosen, Search};
use crate::walk::next_wanted;

impl Search<'_> {
    /// These records, filtered and sorted.
    pub(crate) fn sorted(
        &mut self,
        mut seqs: Vec<u64>,
        filtered: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        seqs.dedup();
        if self.query.sort.is_empty() {
            if self.backward {
                seqs.reverse();
            }
            let mut page = Vec::new();
            for seq in seqs {
                let admits = |after: &After| match self.backward {
                    true => seq >= after.seq,
                    false => seq < after.seq,
                };
                if !after.is_none_or(admits) {
                    continue;
                }
                page.extend(self.choose(seq, filtered)?);
                if page.len() >= wanted {
                    break;
                }
            }
            return Ok(page);
        }
        let mut top = Top::new(wanted);
        for seq in seqs {
            self.touch()?;
            let entry = self.entry(seq)?;
            let entry = Entry::read(&entry)?;
            let candidate = entry.candidate(seq)?;
            if filtered && !self.passes(&candidate)? {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.admits(&key)) {
                top.add(key, seq, entry.time_ms);
            }
        }
        Ok(top.into_chosen())
    }

    /// The visible records of a driver, each once, in no order.
    pub(crate) fn collect(&mut self, access: &Access) -> Result<Vec<u64>, Error> {
        let mut seqs = access.given.clone();
        for span in &access.spans {
            self.collect_span(span, access.hinted, &mut seqs)?;
        }
        Ok(if access.single { seqs } else { distinct(seqs) })
    }

    /// The visible records that all of these have, each once, in no order.
    pub(crate) fn collect_common(&mut self, all: &[Indexed]) -> Result<Vec<u64>, Error> {
        let mut common: Option<Vec<u64>> = None;
        for one in all {
            let seqs = self.collect(&one.access)?;
            common = Some(match common {
                None => distinct(seqs),
                Some(mut common) => {
                    let seqs = distinct(seqs);
                    let mut rest = seqs.iter().peekable();
                    common.retain(|seq| {
                        while rest.next_if(|other| *other < seq).is_some() {}
                        rest.peek() == Some(&seq)
                    });
                    common
                }
            });
        }
        Ok(common.unwrap_or_default())
    }

    fn collect_span(
        &mut self,
        span: &Span,
        hinted: bool,
        seqs: &mut Vec<u64>,
    ) -> Result<(), Error> {
        let reader = self.reader;
        let wanted = if hinted { self.wanted } else { &[] };
        let mut cursor = reader.view.forward(&span.start, &span.end)?;
        let mut skipped = 0;
        let mut read = 0;
        while let Some(key) = next_wanted(&mut cursor, wanted, &mut skipped)? {
            read += 1;
            if read == ENTRIES_AT_ONCE {
                self.links.skip(std::mem::take(&mut skipped));
                self.links.read(std::mem::take(&mut read))?;
            }
            let seq = keys::last_number(key);
            if span.test.passes(key) && self.shows(seq) {
                seqs.push(seq);
            }
        }
        self.links.skip(skipped);
        self.links.read(read)
    }

    pub(crate) fn collect_current(&mut self) -> Result<Vec<u64>, Error> {
        let mut seqs = Vec::new();
        let mut cursor = self.current()?;
        while let Some(key) = cursor.next_key()? {
            self.touch()?;
            let seq = keys::last_number(key);
            if self.shows(seq) {
                seqs.push(seq);
            }
        }
        Ok(seqs)
    }

    pub(crate) fn seqs_of_ids(&mut self, ids: &[Box<str>]) -> Result<Vec<u64>, Error> {
        let mut seqs = Vec::with_capacity(ids.len());
        for id in ids {
            self.touch()?;
            let newest = self.reader.newest(self.query.kind, id)?;
            let current = newest.filter(|newest: &Newest| !newest.deleted);
            seqs.extend(current.map(|newest| newest.seq));
        }
        seqs.sort_unstable();
        seqs.dedup();
        Ok(seqs)
    }
}

pub(crate) fn distinct(mut seqs: Vec<u64>) -> Vec<u64> {
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// The least keys of many.
pub(crate) struct Top {
    wanted: usize,
    /// Keys, seqs and times.
    heap: BinaryHeap<(Vec<u8>, u64, i64)>,
}

impl Top {
    pub(crate) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            heap: BinaryHeap::new(),
        }
    }

    pub(crate) fn add(&mut self, key: Vec<u8>, seq: u64, time_ms: i64) {
        let last = self.heap.peek();
        if self.heap.len() >= self.wanted && last.is_some_and(|(last, ..)| *last < key) {
            return;
        }
        self.heap.push((key, seq, time_ms));
        if self.heap.len() > self.wanted {
            self.heap.pop();
        }
    }

    /// The time of the last, if there are as many as are wanted.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        let last = self.heap.peek().map(|(.., time_ms)| *time_ms);
        last.filter(|_| self.heap.len() >= self.wanted)
    }

    pub(crate) fn into_chosen(self) -> Vec<Chosen> {
        let sorted = self.heap.into_sorted_vec();
        let chosen = sorted
            .into_iter()
            .map(|(_, seq, _)| Chosen { seq, entry: None });
        chosen.collect()
    }
}
