//! Conditions on other records: what was found out about them so far.
//!
//! Such a condition is checked record by record, each answer kept for the
//! query, unless `resolve.rs` has found all records that it points to.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use salus_store::{Candidate, Error, Filter, Kind, Others, Param, Test};

use crate::keys;
use crate::newest::Newest;
use crate::reader::Reader;
use crate::row::Entry;
use crate::search::hints as hints_of;
use crate::walk::next_wanted;

/// Passing over so many entries costs about as much as looking at a row.
pub(crate) const SKIPPED_PER_ROW: u64 = 32;
/// Reading so many entries costs about as much as looking at a row.
const ENTRIES_PER_ROW: u64 = 8;
/// Rows looked at between two looks at the clock.
const ROWS_OF_LOOK: u64 = 128;
/// Entries read between two countings.
pub(crate) const ENTRIES_AT_ONCE: u64 = 1024;
/// More answers than these are not kept.
const KEPT_MAX: usize = 1 << 17;

/// What one query has looked at, and learned.
pub(crate) struct Links {
    /// Rows looked at.
    pub(crate) touched: u64,
    rows_max: u64,
    time_max: Duration,
    begun: Instant,
    /// Entries passed over and not counted yet.
    skipped: u64,
    /// Entries read and not counted yet.
    entries: u64,
    /// By the place of the filter inside the condition.
    known: HashMap<*const Filter, Known>,
    kept: usize,
}

/// What is known about one filter inside a condition.
#[derive(Default)]
pub(crate) struct Known {
    /// Whether the condition holds, by the id of the record it is about: the
    /// one that is pointed to.
    pub(crate) holds: HashMap<Box<str>, bool>,
    /// As many entries were read to find all.
    pub(crate) tried: usize,
    pub(crate) found: Option<Found>,
    /// What the filter wants to see in hints.
    hints: Option<Rc<[Vec<u8>]>>,
}

/// All records that are pointed to, where the condition holds for no other.
pub(crate) enum Found {
    /// Their ids, where the condition is about references to them.
    Targets(Vec<Box<str>>),
    /// Their seqs, where they are searched themselves.
    Referred(Vec<u64>),
}

impl Links {
    pub(crate) fn new(rows_max: u64, time_max: Duration) -> Self {
        Self {
            touched: 0,
            rows_max,
            time_max,
            begun: Instant::now(),
            skipped: 0,
            entries: 0,
            known: HashMap::new(),
            kept: 0,
        }
    }

    /// Counts a row against what one query may cost.
    pub(crate) fn touch(&mut self) -> Result<u64, Error> {
        self.touched += 1;
        if self.touched > self.rows_max {
            let rows_max = self.rows_max;
            return Err(Error::TooCostly { rows_max });
        }
        if self.touched.is_multiple_of(ROWS_OF_LOOK) {
            self.look_at_clock()?;
        }
        Ok(self.touched)
    }

    /// Counts entries of an index that were read, but not their rows.
    pub(crate) fn read(&mut self, entries: u64) -> Result<(), Error> {
        self.entries += entries;
        self.touched += self.entries / ENTRIES_PER_ROW;
        self.entries %= ENTRIES_PER_ROW;
        if entries >= ENTRIES_AT_ONCE {
            self.look_at_clock()?;
        }
        match self.touched > self.rows_max {
            true => Err(Error::TooCostly {
                rows_max: self.rows_max,
            }),
            false => Ok(()),
        }
    }

    /// Allows less than a query may touch else.
    pub(crate) fn spend_at_most(&mut self, rows_max: u64) {
        self.rows_max = self.rows_max.min(rows_max);
    }

    fn look_at_clock(&self) -> Result<(), Error> {
        let time_max = self.time_max;
        match self.begun.elapsed() > time_max {
            true => Err(Error::TookTooLong { time_max }),
            false => Ok(()),
        }
    }

    /// Counts entries that were passed over for their hints.
    pub(crate) fn skip(&mut self, entries: u64) {
        self.skipped += entries;
        self.touched += cost_of(self.skipped);
        self.skipped %= SKIPPED_PER_ROW;
    }

    /// The ids of all records that satisfy the filter, if they were found.
    pub(crate) fn targets(&self, filter: &Filter) -> Option<&[Box<str>]> {
        match self
            .known
            .get(&std::ptr::from_ref(filter))?
            .found
            .as_ref()?
        {
            Found::Targets(ids) => Some(ids),
            Found::Referred(_) => None,
        }
    }

    /// The seqs of all records that those refer to that satisfy the filter, if they were found.
    pub(crate) fn referred(&self, filter: &Filter) -> Option<&[u64]> {
        match self
            .known
            .get(&std::ptr::from_ref(filter))?
            .found
            .as_ref()?
        {
            Found::Referred(seqs) => Some(seqs),
            Found::Targets(_) => None,
        }
    }

    pub(crate) fn known(&mut self, filter: &Filter) -> &mut Known {
        self.known.entry(filter).or_default()
    }

    fn holds(&self, filter: &Filter, id: &str) -> Option<bool> {
        let known = self.known.get(&std::ptr::from_ref(filter))?;
        let otherwise = known.found.as_ref().map(|_| false);
        known.holds.get(id).copied().or(otherwise)
    }

    fn keep(&mut self, filter: &Filter, id: &str, holds: bool) {
        if self.kept < KEPT_MAX {
            self.kept += 1;
            self.known(filter).holds.insert(id.into(), holds);
        }
    }

    pub(crate) fn hints(&mut self, filter: &Filter) -> Rc<[Vec<u8>]> {
        let hints = &mut self.known(filter).hints;
        Rc::clone(hints.get_or_insert_with(|| hints_of(filter).into()))
    }
}

/// What it costs to pass over so many entries, in rows.
pub(crate) fn cost_of(skipped: u64) -> u64 {
    skipped / SKIPPED_PER_ROW
}

/// The other records of a reader's scope at its point.
pub(crate) struct Among<'l> {
    reader: &'l Reader,
    links: &'l mut Links,
}

impl<'l> Among<'l> {
    pub(crate) fn new(reader: &'l Reader, links: &'l mut Links) -> Self {
        Self { reader, links }
    }

    fn is_current_and(&mut self, kind: Kind, id: &str, filter: &Filter) -> Result<bool, Error> {
        self.links.touch()?;
        let newest = self.reader.newest(kind, id)?;
        let Some(Newest { seq, .. }) = newest.filter(|newest| !newest.deleted) else {
            return Ok(false);
        };
        if *filter == Filter::Everything {
            return Ok(true);
        }
        let entry = self.reader.entry(kind, seq)?;
        let candidate = Entry::read(&entry)?.candidate(seq)?;
        filter.matches_among(kind, &candidate, self)
    }

    fn any_referrer(
        &mut self,
        (to, id): (Kind, &str),
        kind: Kind,
        param: Param,
        filter: &Filter,
    ) -> Result<bool, Error> {
        let reader = self.reader;
        let test = Test::Reference {
            kind: Some(to),
            id: id.into(),
        };
        let access = reader.core.index.access(reader.scope, kind, param, &test);
        let hints = self.links.hints(filter);
        let refers = |candidate: &Candidate<'_>| {
            let mut values = candidate.rows.values(param);
            access.exact || values.any(|value| test.accepts(&value))
        };
        for span in &access.spans {
            self.links.touch()?;
            let mut cursor = reader.view.forward(&span.start, &span.end)?;
            let mut skipped = 0;
            while let Some(key) = next_wanted(&mut cursor, &hints, &mut skipped)? {
                let seq = keys::last_number(key);
                self.links.skip(std::mem::take(&mut skipped));
                self.links.touch()?;
                if !reader.shows(seq) {
                    continue;
                }
                let entry = reader.entry(kind, seq)?;
                let candidate = Entry::read(&entry)?.candidate(seq)?;
                if refers(&candidate) && filter.matches_among(kind, &candidate, self)? {
                    return Ok(true);
                }
            }
            self.links.skip(skipped);
        }
        Ok(false)
    }
}

impl Others for Among<'_> {
    type Error = Error;

    fn satisfies(&mut self, kind: Kind, id: &str, filter: &Filter) -> Result<bool, Error> {
        if let Some(holds) = self.links.holds(filter, id) {
            return Ok(holds);
        }
        let holds = self.is_current_and(kind, id, filter)?;
        self.links.keep(filter, id, holds);
        Ok(holds)
    }

    fn referrer_satisfies(
        &mut self,
        to: (Kind, &str),
        kind: Kind,
        param: Param,
        filter: &Filter,
    ) -> Result<bool, Error> {
        if let Some(holds) = self.links.holds(filter, to.1) {
            return Ok(holds);
        }
        let holds = self.any_referrer(to, kind, param, filter)?;
        self.links.keep(filter, to.1, holds);
        Ok(holds)
    }
}
