//! Counting records.

use salus_store::Error;

use crate::core::read_count;
use crate::gather::distinct;
use crate::keys;
use crate::plan::ALL;
use crate::row::Entry;
use crate::search::Search;

impl Search<'_> {
    pub(crate) fn count(&mut self) -> Result<u64, Error> {
        if self.conditions.impossible {
            return Ok(0);
        }
        if self.conditions.all.is_empty() {
            return self.count_all();
        }
        let (seqs, filtered) = if let Some(ids) = self.conditions.ids() {
            (self.seqs_of_ids(ids)?, true)
        } else if let Some(driver) = self.driver(ALL)? {
            let filtered = self.is_filtered(&driver.access);
            let seqs = match driver.seqs {
                Some(seqs) => distinct(seqs),
                None => self.collect(&driver.access)?,
            };
            (seqs, filtered)
        } else if let Some(access) = self.resolve_rather_than_read_all()? {
            let filtered = self.is_filtered(&access);
            (self.collect(&access)?, filtered)
        } else {
            return self.count_current();
        };
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
