//! Ways through records in the order asked for, so that a page is found
//! without reading all that match.

use salus_store::{Error, Filter, Param, Sort, Test};

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

    /// In the order of a parameter's index, and last what has no value there.
    pub(crate) fn by_value(
        &mut self,
        (param, descending): (Param, bool),
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let by = (param, descending);
        let begins_missing = match after {
            Some(after) => self.lacks(after, param)?,
            None => self.backward,
        };
        let mut page = Vec::new();
        // Forward what has no value comes last, backward first.
        for missing in [self.backward, !self.backward] {
            let begins_later = begins_missing != missing && missing == self.backward;
            // Nothing without a value satisfies a condition on it.
            let none = missing && (self.wants_value(param) || self.has_always(param)?);
            if page.len() >= wanted || begins_later || none {
                continue;
            }
            let left = wanted - page.len();
            let part = match missing {
                true => self.without_value(by, rest, after, left, rows_max)?,
                false => self.with_value(by, rest, after, left, rows_max)?,
            };
            let Some(part) = part else {
                return Ok(None);
            };
            page.extend(part);
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// Whether no record of the kind lacks a value of a parameter.
    fn has_always(&self, param: Param) -> Result<bool, Error> {
        let of = (self.reader.scope, self.query.kind);
        let samples = &self.reader.core.samples;
        samples.load(&self.reader.view, of)?;
        Ok(samples.is_always(of, param))
    }

    /// Whether the record beside the page has no value of a parameter.
    pub(crate) fn lacks(&self, after: &After, param: Param) -> Result<bool, Error> {
        let candidate = Entry::read(&after.entry)?.candidate(after.seq)?;
        Ok(candidate.sort_value(param, false).is_none())
    }

    /// Whether some condition holds only for records with a value of a parameter.
    fn wants_value(&self, param: Param) -> bool {
        // A token may be one that has no place in an order, and words have none.
        let is_ordered = |test: &Test| {
            !matches!(
                test,
                Test::Present
                    | Test::Token { .. }
                    | Test::Tokens(_)
                    | Test::Words(_)
                    | Test::Passage(_)
            )
        };
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
                page.extend(self.choose_run(run, after)?);
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
