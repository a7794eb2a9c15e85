//! Counting records.

use salus_store::Error;

use crate::core::read_count;
use crate::estimate::Estimate;
use crate::gather::distinct;
use crate::keys;
use crate::page::TEXT_MAX;
use crate::plan::{ALL, COLLECT_MAX, Driver, FEW, MANY};
use crate::row::Entry;
use crate::search::Search;

/// Of a kind with fewer records than these, what is asked for is counted.
const EXACT: u64 = 500;
/// So many of a sample say enough of all.
const ENOUGH: u32 = 4;

impl Search<'_> {
    pub(crate) fn count(&mut self) -> Result<u64, Error> {
        if self.conditions.impossible {
            return Ok(0);
        }
        if self.conditions.all.is_empty() {
            return self.count_all();
        }
        if let Some(ids) = self.conditions.ids() {
            let seqs = self.seqs_of_ids(ids)?;
            return self.count_seqs(seqs, true);
        }
        if let Some(count) = self.count_few(ALL)? {
            return Ok(count);
        }
        self.resolve_texts(TEXT_MAX)?;
        if !self.is_all_decidable() && !self.has_short_index()? {
            self.resolve_rather_than_read_all()?;
        }
        if let Some(count) = self.count_by_estimate()? {
            return Ok(count);
        }
        match self.driver(&[0])? {
            Some(driver) => {
                let filtered = self.is_filtered(&driver.access);
                let seqs = self.collect(&driver.access)?;
                self.count_seqs(seqs, filtered)
            }
            None => self.count_current(),
        }
    }

    /// How many there are, if some condition has few entries.
    pub(crate) fn count_few(&mut self, rounds: &[usize]) -> Result<Option<u64>, Error> {
        let Some(Driver {
            access,
            seqs: Some(seqs),
        }) = self.driver(rounds)?
        else {
            return Ok(None);
        };
        let filtered = self.is_filtered(&access);
        self.count_seqs(distinct(seqs), filtered).map(Some)
    }

    /// How many of these records satisfy the conditions.
    pub(crate) fn count_seqs(&mut self, seqs: Vec<u64>, filtered: bool) -> Result<u64, Error> {
        if !filtered {
            return Ok(seqs.len() as u64);
        }
        let mut count = 0;
        for seq in seqs {
            self.touch()?;
            let entry = self.entry(seq)?;
            count += u64::from(self.passes(&Entry::read(&entry)?.candidate(seq)?)?);
        }
        Ok(count)
    }

    /// About how many there are; `None` if that cannot be said.
    pub(crate) fn about(&mut self) -> Result<Option<u64>, Error> {
        if self.conditions.impossible || self.conditions.all.is_empty() {
            return self.count().map(Some);
        }
        let all = read_count(&self.reader.view, self.reader.scope, self.query.kind)?;
        if all < EXACT || self.conditions.ids().is_some() {
            return self.count().map(Some);
        }
        if let Some(count) = self.count_few(FEW)? {
            return Ok(Some(count));
        }
        self.resolve_texts(COLLECT_MAX)?;
        self.resolve(COLLECT_MAX)?;
        let is_decided = self.is_all_decidable();
        let Some(estimate) = self.estimate()? else {
            return Ok(None);
        };
        let found = match is_decided {
            true => estimate.found(),
            false => self.found_in(&estimate)?,
        };
        if found >= ENOUGH {
            return Ok(Some(estimate.of_found(found)));
        }
        match self.count_few(MANY)? {
            Some(count) => Ok(Some(count)),
            None => Ok(Some(estimate.of_found(found.max(1)))),
        }
    }

    /// How many of a sample satisfy all conditions, others read where need be.
    fn found_in(&mut self, estimate: &Estimate) -> Result<u32, Error> {
        let mut found = 0;
        for (seq, entry) in estimate.records_of_sample() {
            if self.shows(*seq) {
                self.touch()?;
                let passes = self.passes(&Entry::read(entry)?.candidate(*seq)?)?;
                found += u32::from(passes);
            }
        }
        Ok(found)
    }

    /// From the count that is kept, and what has happened since the point.
    pub(crate) fn count_all(&mut self) -> Result<u64, Error> {
        let reader = self.reader;
        let (scope, kind) = (reader.scope, self.query.kind);
        let from = reader.at.saturating_add(1);
        let mut count = read_count(&reader.view, scope, kind)?;
        let of_kind = keys::of_kind(keys::CURRENT, scope, kind);
        let mut replaced = reader
            .view
            .forward(&keys::at(keys::GARBAGE, from), &[keys::GARBAGE + 1])?;
        while let Some((_, of)) = replaced.next()? {
            self.touch()?;
            count += u64::from(*of == of_kind);
        }
        // After those that were replaced: the count must not fall below zero in between.
        let start = self.current_key(from);
        let mut newer = reader.view.forward(&start, &keys::after_prefix(&of_kind))?;
        while newer.next_key()?.is_some() {
            self.touch()?;
            count = count.saturating_sub(1);
        }
        Ok(count)
    }

    pub(crate) fn count_current(&mut self) -> Result<u64, Error> {
        let mut cursor = self.current()?;
        let mut count = 0;
        while let Some((key, entry)) = cursor.next()? {
            let seq = keys::last_number(key);
            self.touch()?;
            let candidate = Entry::read(&entry)?.candidate(seq)?;
            count += u64::from(self.shows(seq) && self.passes(&candidate)?);
        }
        Ok(count)
    }
}
