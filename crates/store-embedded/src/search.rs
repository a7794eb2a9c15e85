//! Finding and counting records.
//!
//! Every way to a page gives records in one total order, that of
//! [`Sort::put_key`], so each page may go its own way: a position is only the
//! last record of the page before.

use std::collections::BinaryHeap;
use std::sync::Arc;

use salus_store::{Candidate, Error, Filter, Found, Hit, Query, Row, Sort};

use crate::index::{Access, Hints, Span};
use crate::kv::Cursor;
use crate::newest::Newest;
use crate::plan::{COLLECT_MAX, Conditions, Driver, FEW, MANY, Reading};
use crate::reader::Reader;
use crate::row::Entry;
use crate::walk::next_wanted;
use crate::{index, keys, position};

/// Rows that a walk may look at before the driver's entries are counted further,
pub(crate) const SHORT_WALK: u64 = 1024;
/// and before they are collected after all.
const LONG_WALK: u64 = 8 * COLLECT_MAX as u64;

impl Reader {
    pub(crate) fn find_now(&self, query: &Query) -> Result<Found, Error> {
        let wanted = hints(query);
        let mut search = Search::new(self, query, &wanted);
        let mut chosen = search.page(query.limit)?;
        let more = chosen.len() > query.limit;
        chosen.truncate(query.limit);
        let mut found = Found::default();
        for one in chosen {
            found.hits.push(Hit {
                record: self.load(one.seq)?,
                rows: search.rows(&one)?,
            });
        }
        if more {
            let last = found.hits.last();
            found.next = last.map(|hit| position::write(hit.record.seq.0));
        }
        Ok(found)
    }

    /// The ids of records that match, so many at most, in no order that means anything.
    pub(crate) fn ids(&self, query: &Query, limit: usize) -> Result<Vec<Box<str>>, Error> {
        let unsorted = Query {
            kind: query.kind,
            filter: query.filter.clone(),
            sort: Vec::new(),
            limit,
            after: None,
            rows: Vec::new(),
        };
        let wanted = hints(&unsorted);
        let mut search = Search::new(self, &unsorted, &wanted);
        let mut chosen = search.page(limit)?;
        chosen.truncate(limit);
        let mut ids = Vec::with_capacity(chosen.len());
        for one in chosen {
            let entry = search.entry(one.seq)?;
            ids.push(Entry::read(&entry)?.id.into());
        }
        Ok(ids)
    }

    pub(crate) fn count_now(&self, query: &Query) -> Result<u64, Error> {
        let wanted = hints(query);
        let mut search = Search::new(self, query, &wanted);
        match search.conditions.all.as_slice() {
            [] => search.count(),
            _ => self.core.aside.run(|| search.count()),
        }
    }
}

/// What the conditions of a query want to see in hints.
fn hints(query: &Query) -> Vec<Vec<u8>> {
    let conditions = Conditions::of(&query.filter);
    let wanted = conditions.all.iter().filter_map(|one| Hints::wanted(one));
    wanted.collect()
}

pub(crate) struct Search<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) query: &'a Query,
    pub(crate) conditions: Conditions<'a>,
    /// What the hints of a record must show.
    pub(crate) wanted: &'a [Vec<u8>],
    /// Rows looked at.
    pub(crate) touched: u64,
}

/// A record that belongs on the page.
pub(crate) struct Chosen {
    pub(crate) seq: u64,
    /// What its rows were read from, if they were.
    pub(crate) entry: Option<Arc<[u8]>>,
}

/// What comes before the page.
pub(crate) struct After {
    pub(crate) seq: u64,
    pub(crate) entry: Vec<u8>,
    /// As [`Sort::put_key`] makes it.
    pub(crate) key: Vec<u8>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(reader: &'a Reader, query: &'a Query, wanted: &'a [Vec<u8>]) -> Self {
        Self {
            reader,
            query,
            conditions: Conditions::of(&query.filter),
            wanted,
            touched: 0,
        }
    }

    /// The page, and one more record if there is one.
    pub(crate) fn page(&mut self, limit: usize) -> Result<Vec<Chosen>, Error> {
        let after = self.after()?;
        if limit == 0 || self.conditions.impossible {
            return Ok(Vec::new());
        }
        let wanted = limit.saturating_add(1);
        if let Some(ids) = self.conditions.ids() {
            let seqs = self.seqs_of_ids(ids)?;
            return self.sorted(seqs, true, after.as_ref(), wanted);
        }
        if let Some((access, descending)) = self.in_order()
            && let Some(page) = self.by_main_date(&access, descending, after.as_ref(), wanted)?
        {
            return Ok(page);
        }
        let driver = match self.driver(FEW)? {
            Some(Driver {
                access,
                seqs: Some(seqs),
                ..
            }) => return self.by_few(&access, seqs, after.as_ref(), wanted),
            Some(Driver { access, .. }) if access.by_seq && self.query.sort.is_empty() => {
                return self.by_seq(&access, after.as_ref(), wanted);
            }
            driver => driver,
        };
        let walk_max = driver.as_ref().map_or(u64::MAX, |_| SHORT_WALK);
        if let Some(page) = self.walk(after.as_ref(), wanted, walk_max)? {
            return Ok(page);
        }
        let driver = match driver {
            Some(_) => self.driver(MANY)?,
            None => None,
        };
        match driver {
            Some(Driver {
                access,
                seqs: Some(seqs),
                ..
            }) => self.by_few(&access, seqs, after.as_ref(), wanted),
            driver => {
                let access = driver.map(|driver| driver.access);
                let core = &self.reader.core;
                core.aside
                    .run(|| self.by_many(access.as_ref(), after.as_ref(), wanted))
            }
        }
    }

    pub(crate) fn reading(&self) -> Reading<'a> {
        Reading {
            view: &self.reader.view,
            index: &self.reader.core.index,
            of: (self.reader.scope, self.query.kind),
            wanted: self.wanted,
        }
    }

    pub(crate) fn driver(&mut self, rounds: &[usize]) -> Result<Option<Driver>, Error> {
        let mut driver = self.conditions.driver(&self.reading(), rounds)?;
        if let Some(driver) = &mut driver {
            self.touched += driver.touched;
            if let Some(seqs) = &mut driver.seqs {
                seqs.retain(|seq| self.shows(*seq));
            }
        }
        Ok(driver)
    }

    /// References to one record, if their order is the order asked for.
    pub(crate) fn in_order(&self) -> Option<(Access, bool)> {
        let main_dates = self.reader.core.main_dates.read();
        let main_date = main_dates.get(&(self.reader.scope, self.query.kind))?;
        self.conditions
            .in_order(&self.reading(), &self.query.sort, |param| {
                main_date.is(param)
            })
    }

    /// Whether the records that an index gives have to be looked at.
    pub(crate) fn is_filtered(&self, access: &Access) -> bool {
        !(access.exact && self.conditions.all.len() == 1)
    }

    pub(crate) fn after(&mut self) -> Result<Option<After>, Error> {
        let Some(after) = &self.query.after else {
            return Ok(None);
        };
        let seq = position::read(after)?;
        let foreign = Error::Misuse("not a position of this query");
        let key = self.current_key(seq);
        let Some(entry) = self.reader.view.get(&key)? else {
            return Err(foreign);
        };
        let mut key = Vec::new();
        let candidate = Entry::read(&entry)?.candidate(seq)?;
        let fits = self.query.filter.matches(&candidate);
        Sort::put_key(&self.query.sort, &candidate, &mut key);
        if !fits || !self.shows(seq) {
            return Err(foreign);
        }
        Ok(Some(After { seq, entry, key }))
    }

    /// All that the driver gives, sorted.
    pub(crate) fn by_few(
        &mut self,
        access: &Access,
        seqs: Vec<u64>,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let filtered = self.is_filtered(access);
        self.sorted(seqs, filtered, after, wanted)
    }

    /// Many entries, or no driver: walk for long, and if that does not fill the page, collect.
    pub(crate) fn by_many(
        &mut self,
        driver: Option<&Access>,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        if driver.is_some()
            && let Some(page) = self.walk(after, wanted, LONG_WALK)?
        {
            return Ok(page);
        }
        let seqs = match driver {
            Some(driver) => self.collect(driver)?,
            None => self.collect_current()?,
        };
        self.sorted(seqs, true, after, wanted)
    }

    /// Goes through records in the order asked for, if there is a way, until
    /// the page is full; `None` if there is none or it takes too many rows.
    pub(crate) fn walk(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let rows_max = self.touched.saturating_add(rows_max);
        match self.query.sort.as_slice() {
            [] => self.by_current(after, wanted, rows_max),
            [Sort::Updated { descending: true }] => self.by_time(after, wanted, rows_max),
            [Sort::Value { param, descending }, ..] if self.can_walk(*param)? => {
                self.by_value(*param, *descending, after, wanted, rows_max)
            }
            _ => Ok(None),
        }
    }

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
            let mut page = Vec::new();
            for seq in seqs {
                if after.is_some_and(|after| after.seq <= seq) {
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
            let candidate = Entry::read(&entry)?.candidate(seq)?;
            if filtered && !self.passes(&candidate) {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.key < key) {
                top.add(key, seq);
            }
        }
        Ok(top.into_chosen())
    }

    /// The visible records of a driver, each once, in no order.
    pub(crate) fn collect(&mut self, access: &Access) -> Result<Vec<u64>, Error> {
        let mut seqs = Vec::new();
        for span in &access.spans {
            self.collect_span(span, access.hinted, &mut seqs)?;
        }
        Ok(if access.single { seqs } else { distinct(seqs) })
    }

    pub(crate) fn collect_span(
        &mut self,
        span: &Span,
        hinted: bool,
        seqs: &mut Vec<u64>,
    ) -> Result<(), Error> {
        let reader = self.reader;
        let wanted = if hinted { self.wanted } else { &[] };
        let mut cursor = reader.view.forward(&span.start, &span.end)?;
        while let Some(key) = next_wanted(&mut cursor, wanted)? {
            self.touch()?;
            let seq = keys::last_number(key);
            if span.test.passes(key) && self.shows(seq) {
                seqs.push(seq);
            }
        }
        Ok(())
    }

    pub(crate) fn collect_current(&mut self) -> Result<Vec<u64>, Error> {
        let mut seqs = Vec::new();
        let mut cursor = self.current(self.reader.at.saturating_add(1))?;
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

    /// The current list below a seq, newest first.
    pub(crate) fn current(&self, below: u64) -> Result<Cursor<'a>, Error> {
        let start = keys::of_kind(keys::CURRENT, self.reader.scope, self.query.kind);
        self.reader.view.backward(&start, &self.current_key(below))
    }

    pub(crate) fn current_key(&self, seq: u64) -> Vec<u8> {
        keys::of_kind_at(keys::CURRENT, self.reader.scope, self.query.kind, seq)
    }

    pub(crate) fn entry(&self, seq: u64) -> Result<Arc<[u8]>, Error> {
        self.reader.core.cache.rows(seq, || {
            let entry = self.reader.view.get(&self.current_key(seq))?;
            entry.ok_or_else(|| Error::Damaged(format!("the rows of version {seq} are missing")))
        })
    }

    pub(crate) fn choose(&mut self, seq: u64, filtered: bool) -> Result<Option<Chosen>, Error> {
        if !filtered {
            return Ok(Some(Chosen { seq, entry: None }));
        }
        self.touch()?;
        let entry = self.entry(seq)?;
        let passes = self.passes(&Entry::read(&entry)?.candidate(seq)?);
        Ok(passes.then_some(Chosen {
            seq,
            entry: Some(entry),
        }))
    }

    pub(crate) fn passes(&self, candidate: &Candidate<'_>) -> bool {
        let mut all = self.conditions.all.iter();
        all.all(|filter: &&Filter| filter.matches(candidate))
    }

    pub(crate) fn sort_key(&self, candidate: &Candidate<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        Sort::put_key(&self.query.sort, candidate, &mut key);
        key
    }

    pub(crate) fn is_behind(&self, after: Option<&After>, candidate: &Candidate<'_>) -> bool {
        after.is_none_or(|after| after.key < self.sort_key(candidate))
    }

    /// The key of the run in which a record stands when a parameter sorts.
    pub(crate) fn run_key(
        &self,
        prefix: &[u8],
        param: salus_store::Param,
        descending: bool,
        candidate: &Candidate<'_>,
    ) -> Option<Vec<u8>> {
        let values = candidate.rows.values(param);
        let value = if descending {
            values.max()
        } else {
            values.min()
        };
        let index = &self.reader.core.index;
        value.map(|value| {
            let mut key = prefix.to_vec();
            index.put_value(&mut key, value, None);
            key
        })
    }

    /// Whether the index of a parameter is in the order of its values.
    pub(crate) fn can_walk(&self, param: salus_store::Param) -> Result<bool, Error> {
        let prefix = keys::of_param(keys::INDEX, self.reader.scope, self.query.kind, param);
        for tag in [index::TOKEN, index::REFERENCE] {
            let mut start = prefix.clone();
            start.push(tag);
            let end = keys::after_prefix(&start);
            let mut cursor = self.reader.view.forward(&start, &end)?;
            if cursor.next_key()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn shows(&self, seq: u64) -> bool {
        self.reader.core.superseded.shows(seq, self.reader.at)
    }

    /// Counts a row against what one query may cost.
    pub(crate) fn touch(&mut self) -> Result<u64, Error> {
        self.touched += 1;
        let rows_max = self.reader.core.rows_max;
        if self.touched > rows_max {
            return Err(Error::TooCostly { rows_max });
        }
        Ok(self.touched)
    }

    pub(crate) fn rows(&self, chosen: &Chosen) -> Result<Vec<Row>, Error> {
        if self.query.rows.is_empty() {
            return Ok(Vec::new());
        }
        match &chosen.entry {
            Some(entry) => Entry::read(entry)?.pick(&self.query.rows),
            None => Entry::read(&self.entry(chosen.seq)?)?.pick(&self.query.rows),
        }
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
    heap: BinaryHeap<(Vec<u8>, u64)>,
}

impl Top {
    pub(crate) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            heap: BinaryHeap::new(),
        }
    }

    pub(crate) fn add(&mut self, key: Vec<u8>, seq: u64) {
        if self.is_full() && self.heap.peek().is_some_and(|(last, _)| *last < key) {
            return;
        }
        self.heap.push((key, seq));
        if self.heap.len() > self.wanted {
            self.heap.pop();
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.heap.len() >= self.wanted
    }

    pub(crate) fn into_chosen(self) -> Vec<Chosen> {
        let sorted = self.heap.into_sorted_vec();
        let chosen = sorted
            .into_iter()
            .map(|(_, seq)| Chosen { seq, entry: None });
        chosen.collect()
    }
}
