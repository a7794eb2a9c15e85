//! Ways through records in the order asked for, so that a page is found
//! without reading all that match.

use std::collections::BinaryHeap;

use salus_store::{Error, Filter, Param, Test};

use crate::gather::Top;
use crate::index::{Access, Span};
use crate::page::SHORT_WALK;
use crate::row::Entry;
use crate::search::{After, Chosen, Search};
use crate::walk::{Merged, Run, Walk};
use crate::{index, keys};

impl<'a> Search<'a> {
    /// Entries of one index key, newest first; `None` if it takes too long.
    pub(crate) fn by_seq(
        &mut self,
        access: &Access,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let rows_max = self.links.touched.saturating_add(rows_max);
        let filtered = self.is_filtered(access);
        let mut page = Vec::new();
        for span in &access.spans {
            let mut cursor = self.seqs_from(&span.start, after)?;
            while page.len() < wanted {
                let Some(key) = cursor.next_key()? else {
                    break;
                };
                let seq = keys::last_number(key);
                if self.touch()? > rows_max {
                    return Ok(None);
                }
                if self.shows(seq) {
                    page.extend(self.choose(seq, filtered)?);
                }
            }
        }
        Ok(Some(page))
    }

    /// All current records, newest first; `None` if it takes too long.
    pub(crate) fn by_current(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut cursor = self.current_from(after)?;
        let mut page = Vec::new();
        while page.len() < wanted {
            let Some((key, entry)) = cursor.next()? else {
                break;
            };
            let seq = keys::last_number(key);
            if self.touch()? > rows_max {
                return Ok(None);
            }
            if self.shows(seq) && self.passes(&Entry::read(&entry)?.candidate(seq)?)? {
                let entry = Some(entry.into());
                page.push(Chosen { seq, entry });
            }
        }
        Ok(Some(page))
    }

    /// All current records, latest time first. Times mostly follow seqs: what
    /// was read is given out as soon as nothing that comes can be later.
    pub(crate) fn by_time(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        if self.backward {
            return self.by_time_up_to(after, wanted, rows_max);
        }
        let mut cursor = self.current()?;
        let mut waiting: BinaryHeap<(i64, u64)> = BinaryHeap::new();
        let mut page = Vec::new();
        while let Some((key, bytes)) = cursor.next()? {
            let seq = keys::last_number(key);
            if self.touch()? > rows_max {
                return Ok(None);
            }
            let entry = Entry::read(&bytes)?;
            // Times of this one and all that come are at most this.
            while let Some((time, seq)) = waiting.peek().copied()
                && time >= entry.latest_ms
                && page.len() < wanted
            {
                waiting.pop();
                page.push(Chosen { seq, entry: None });
            }
            if page.len() >= wanted {
                return Ok(Some(page));
            }
            if !self.shows(seq) {
                continue;
            }
            let candidate = entry.candidate(seq)?;
            if self.is_behind(after, &candidate) && self.passes(&candidate)? {
                waiting.push((entry.time_ms, seq));
            }
        }
        while page.len() < wanted
            && let Some((_, seq)) = waiting.pop()
        {
            page.push(Chosen { seq, entry: None });
        }
        Ok(Some(page))
    }

    /// As [`Self::by_time`], up to a record: those that come last on the way
    /// to it. What a later page costs is what this one costs.
    fn by_time_up_to(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let Some(after) = after else {
            return Ok(None);
        };
        let time_ms = Entry::read(&after.entry)?.time_ms;
        let mut cursor = self.current()?;
        let mut top = Top::new(wanted);
        while let Some((key, bytes)) = cursor.next()? {
            let seq = keys::last_number(key);
            if self.touch()? > rows_max {
                return Ok(None);
            }
            let entry = Entry::read(&bytes)?;
            // This one and all that come are behind the page.
            if seq < after.seq && entry.latest_ms < time_ms {
                break;
            }
            let candidate = entry.candidate(seq)?;
            let key = self.sort_key(&candidate);
            if after.admits(&key) && self.shows(seq) && self.passes(&candidate)? {
                top.add(key, seq);
            }
        }
        Ok(Some(top.into_chosen()))
    }

    /// In the order of a parameter's index, and last what has no value there.
    pub(crate) fn by_value(
        &mut self,
        param: Param,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let begins_missing = match after {
            Some(after) => self.lacks(after, param)?,
            None => self.backward,
        };
        let mut page = Vec::new();
        // Forward what has no value comes last, backward first.
        for missing in [self.backward, !self.backward] {
            let begins_later = begins_missing != missing && missing == self.backward;
            // Nothing without a value satisfies a condition on it.
            let none = missing && self.wants_value(param);
            if page.len() >= wanted || begins_later || none {
                continue;
            }
            let rest = wanted - page.len();
            let part = match missing {
                true => self.without_value(param, after, rest, rows_max)?,
                false => self.with_value(param, descending, after, rest, rows_max)?,
            };
            let Some(part) = part else {
                return Ok(None);
            };
            page.extend(part);
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// Whether the record beside the page has no value of a parameter.
    fn lacks(&self, after: &After, param: Param) -> Result<bool, Error> {
        let candidate = Entry::read(&after.entry)?.candidate(after.seq)?;
        Ok(candidate.sort_value(param, false).is_none())
    }

    /// In the order of a parameter's index.
    fn with_value(
        &mut self,
        param: Param,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let reader = self.reader;
        let prefix = keys::of_param(keys::INDEX, reader.scope, self.query.kind, param);
        // Above tokens: those that are here say only that something is there.
        let mut start = [&prefix[..], &[index::TOKEN + 1]].concat();
        let mut end = keys::after_prefix(&prefix);
        if let Some(bounds) = &self.bounds {
            start = start.max(bounds.start.clone());
            end.clone_from(&bounds.end);
        }
        let down = descending != self.backward;
        if let Some(after) = after {
            let candidate = Entry::read(&after.entry)?.candidate(after.seq)?;
            match self.run_key(&prefix, param, descending, &candidate) {
                Some(key) if down => end = end.min(keys::after_prefix(&key)),
                Some(key) => start = start.max(key),
                None => {}
            }
        }
        let mut page = Vec::new();
        let mut walk = Walk::new(&reader.view, &start, &end, down, &[])?;
        while page.len() < wanted
            && let Some(run) = walk.next()?
        {
            let chosen = self.choose_run(run, Some((&prefix, param, descending)), after)?;
            page.extend(chosen);
            if self.links.touched > rows_max {
                return Ok(None);
            }
        }
        Ok(Some(page))
    }

    /// Whether some condition holds only for records with a value of a parameter.
    fn wants_value(&self, param: Param) -> bool {
        // A token may be one that has no place in an order.
        let is_ordered =
            |test: &Test| !matches!(test, Test::Present | Test::Token { .. } | Test::Tokens(_));
        let mut conditions = self.conditions.all.iter();
        conditions.any(
            |filter| matches!(filter, Filter::Value(of, test) if *of == param && is_ordered(test)),
        )
    }

    /// References to certain records, in the order of main dates; `None` if it takes too long.
    pub(crate) fn by_main_date(
        &mut self,
        access: &Access,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut rows_left = SHORT_WALK;
        let date = match after {
            Some(after) => Some(Entry::read(&after.entry)?.main_date_ms),
            None => None,
        };
        let mut page = Vec::new();
        let down = descending != self.backward;
        // Those without a date are at the beginning, and belong at the end.
        for dated in [!self.backward, self.backward] {
            let begins_here = date.is_none_or(|date| date.is_some() == dated);
            if page.len() >= wanted || !begins_here && dated != self.backward {
                continue;
            }
            let mut merged = self.merged(access, down, dated, date.flatten())?;
            while page.len() < wanted
                && rows_left > 0
                && let Some(run) = merged.next()?
            {
                rows_left = rows_left.saturating_sub(run.seqs.len() as u64);
                page.extend(self.choose_run(run, None, after)?);
            }
            self.links.skip(merged.skipped());
            if rows_left == 0 && page.len() < wanted {
                return Ok(None);
            }
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// The references that have a date, or those that have none, from a date on.
    fn merged(
        &mut self,
        access: &Access,
        descending: bool,
        dated: bool,
        from: Option<i64>,
    ) -> Result<Merged<'a>, Error> {
        let view = &self.reader.view;
        let mut walks = Vec::with_capacity(access.spans.len());
        for span in &access.spans {
            self.touch()?;
            let (start, end) = dates_of(span, dated, descending, from);
            walks.push(Walk::new(view, &start, &end, descending, self.wanted)?);
        }
        Merged::new(walks, descending)
    }

    /// The records of a run that belong behind the position, in order.
    pub(crate) fn choose_run(
        &mut self,
        run: Run,
        of_param: Option<(&[u8], Param, bool)>,
        after: Option<&After>,
    ) -> Result<Vec<Chosen>, Error> {
        let mut chosen: Vec<(Vec<u8>, Chosen)> = Vec::new();
        for seq in run.seqs {
            self.touch()?;
            if !self.shows(seq) {
                continue;
            }
            let entry = self.entry(seq)?;
            let candidate = Entry::read(&entry)?.candidate(seq)?;
            if let Some((prefix, param, descending)) = of_param
                && self.run_key(prefix, param, descending, &candidate).as_ref() != Some(&run.key)
            {
                // It has another value that comes first.
                continue;
            }
            if !self.passes(&candidate)? {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.admits(&key)) {
                let entry = Some(entry);
                chosen.push((key, Chosen { seq, entry }));
            }
        }
        chosen.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(chosen.into_iter().map(|(_, chosen)| chosen).collect())
    }

    /// Current records without a value of a parameter, in order.
    pub(crate) fn without_value(
        &mut self,
        param: Param,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let by_seq = self.query.sort.len() == 1;
        let near = match after {
            Some(after) if by_seq && self.lacks(after, param)? => Some(after),
            _ => None,
        };
        let mut cursor = self.current_from(near)?;
        let mut top = Top::new(wanted);
        while let Some((key, bytes)) = cursor.next()? {
            let seq = keys::last_number(key);
            if self.touch()? > rows_max {
                return Ok(None);
            }
            let candidate = Entry::read(&bytes)?.candidate(seq)?;
            let lacks = candidate.sort_value(param, false).is_none();
            if !lacks || !self.shows(seq) || !self.passes(&candidate)? {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.admits(&key)) {
                top.add(key, seq);
            }
            // By nothing else than the seq: what comes is further away.
            if by_seq && top.is_full() {
                break;
            }
        }
        Ok(Some(top.into_chosen()))
    }
}

/// The references of a span that have a date, or have none, from a date on.
fn dates_of(span: &Span, dated: bool, descending: bool, from: Option<i64>) -> (Vec<u8>, Vec<u8>) {
    let first = [&span.start[..], &1_u64.to_be_bytes()].concat();
    if !dated {
        return (span.start.clone(), first);
    }
    let from = from.map(|date| [&span.start[..], &index::main_date_bytes(Some(date))].concat());
    match from {
        Some(key) if descending => (first, keys::after_prefix(&key)),
        Some(key) => (key, span.end.clone()),
        None => (first, span.end.clone()),
    }
}
