//! Finding and counting records.
//!
//! Every way to a page gives records in one total order, that of
//! [`Sort::put_key`], so each page may go its own way: a position is only the
//! last record of the page before.

use std::collections::BinaryHeap;

use salus_store::{Candidate, Error, Filter, Found, Hit, Query, Row, Sort};

use crate::core::read_count;
use crate::index::{Access, Hints, Span};
use crate::kv::Cursor;
use crate::newest::Newest;
use crate::plan::{ALL, COLLECT_MAX, Conditions, Driver, FEW, MANY, Reading};
use crate::reader::Reader;
use crate::row::Entry;
use crate::walk::{Run, Walk, next_wanted};
use crate::{index, keys, position};

/// Rows that a walk may look at before the driver's entries are counted further,
const SHORT_WALK: u64 = 1024;
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
        Search::new(self, query, &wanted).count()
    }
}

/// What the conditions of a query want to see in hints.
fn hints(query: &Query) -> Vec<Vec<u8>> {
    let conditions = Conditions::of(&query.filter);
    let wanted = conditions.all.iter().filter_map(|one| Hints::wanted(one));
    wanted.collect()
}

struct Search<'a> {
    reader: &'a Reader,
    query: &'a Query,
    conditions: Conditions<'a>,
    /// What the hints of a record must show.
    wanted: &'a [Vec<u8>],
    /// Rows looked at.
    touched: u64,
}

/// A record that belongs on the page.
struct Chosen {
    seq: u64,
    /// What its rows were read from, if they were.
    entry: Option<Vec<u8>>,
}

/// What comes before the page.
struct After {
    seq: u64,
    entry: Vec<u8>,
    key: Vec<u8>,
}

impl<'a> Search<'a> {
    fn new(reader: &'a Reader, query: &'a Query, wanted: &'a [Vec<u8>]) -> Self {
        Self {
            reader,
            query,
            conditions: Conditions::of(&query.filter),
            wanted,
            touched: 0,
        }
    }

    /// The page, and one more record if there is one.
    fn page(&mut self, limit: usize) -> Result<Vec<Chosen>, Error> {
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
                self.by_many(access.as_ref(), after.as_ref(), wanted)
            }
        }
    }

    fn reading(&self) -> Reading<'a> {
        Reading {
            view: &self.reader.view,
            index: &self.reader.core.index,
            of: (self.reader.scope, self.query.kind),
            wanted: self.wanted,
        }
    }

    fn driver(&mut self, rounds: &[usize]) -> Result<Option<Driver>, Error> {
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
    fn in_order(&self) -> Option<(Access, bool)> {
        let main_dates = self.reader.core.main_dates.read();
        let main_date = main_dates.get(&(self.reader.scope, self.query.kind))?;
        self.conditions
            .in_order(&self.reading(), &self.query.sort, |param| {
                main_date.is(param)
            })
    }

    /// Whether the records that an index gives have to be looked at.
    fn is_filtered(&self, access: &Access) -> bool {
        !(access.exact && self.conditions.all.len() == 1)
    }

    fn after(&mut self) -> Result<Option<After>, Error> {
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
    fn by_few(
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
    fn by_many(
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
    fn walk(
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

    /// Entries of one index key, newest first.
    fn by_seq(
        &mut self,
        access: &Access,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let filtered = self.is_filtered(access);
        let mut page = Vec::new();
        for span in &access.spans {
            let below = after.map_or(self.reader.at.saturating_add(1), |after| after.seq);
            let mut end = span.start.clone();
            end.extend_from_slice(&below.to_be_bytes());
            let reader = self.reader;
            let mut cursor = reader.view.backward(&span.start, &end)?;
            while page.len() < wanted {
                let Some(key) = cursor.next_key()? else {
                    break;
                };
                let seq = keys::last_number(key);
                self.touch()?;
                if self.shows(seq) {
                    page.extend(self.choose(seq, filtered)?);
                }
            }
        }
        Ok(page)
    }

    /// All current records, newest first; `None` if it takes too long.
    fn by_current(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let below = after.map_or(self.reader.at.saturating_add(1), |after| after.seq);
        let mut cursor = self.current(below)?;
        let mut page = Vec::new();
        while page.len() < wanted {
            let Some((key, entry)) = cursor.next()? else {
                break;
            };
            let seq = keys::last_number(key);
            if self.touch()? > rows_max {
                return Ok(None);
            }
            if self.shows(seq) && self.passes(&Entry::read(&entry)?.candidate(seq)?) {
                let entry = Some(entry.into_owned());
                page.push(Chosen { seq, entry });
            }
        }
        Ok(Some(page))
    }

    /// All current records, latest time first. Times mostly follow seqs: what
    /// was read is given out as soon as nothing that comes can be later.
    fn by_time(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut cursor = self.current(self.reader.at.saturating_add(1))?;
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
            if self.is_behind(after, &candidate) && self.passes(&candidate) {
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

    /// In the order of a parameter's index, and last what has no value there.
    fn by_value(
        &mut self,
        param: salus_store::Param,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let reader = self.reader;
        let prefix = keys::of_param(keys::INDEX, reader.scope, self.query.kind, param);
        let (mut start, mut end) = (prefix.clone(), keys::after_prefix(&prefix));
        let mut missing_only = false;
        if let Some(after) = after {
            let candidate = Entry::read(&after.entry)?.candidate(after.seq)?;
            match self.run_key(&prefix, param, descending, &candidate) {
                Some(key) if descending => end = keys::after_prefix(&key),
                Some(key) => start = key,
                None => missing_only = true,
            }
        }
        let mut page = Vec::new();
        if !missing_only {
            let mut walk = Walk::new(&reader.view, &start, &end, descending, &[])?;
            while page.len() < wanted
                && let Some(run) = walk.next()?
            {
                let chosen = self.choose_run(run, Some((&prefix, param, descending)), after)?;
                page.extend(chosen);
                if self.touched > rows_max {
                    return Ok(None);
                }
            }
        }
        if page.len() < wanted {
            let rest = wanted - page.len();
            let Some(missing) = self.without_value(param, after, rest, rows_max)? else {
                return Ok(None);
            };
            page.extend(missing);
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// References to one record, in the order of main dates; `None` if it takes too long.
    fn by_main_date(
        &mut self,
        access: &Access,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let reader = self.reader;
        let rows_max = self.touched.saturating_add(SHORT_WALK);
        let mut page = Vec::new();
        for span in &access.spans {
            // Those without a date are at the beginning, and belong at the end.
            let mut dated = span.start.clone();
            dated.extend_from_slice(&1_u64.to_be_bytes());
            let mut spans = [
                (dated.clone(), span.end.clone()),
                (span.start.clone(), dated),
            ];
            if let Some(after) = after {
                let date = Entry::read(&after.entry)?.main_date_ms;
                let mut key = span.start.clone();
                key.extend_from_slice(&index::main_date_bytes(date));
                match (date, descending) {
                    (None, _) => spans[0].1 = spans[0].0.clone(),
                    (Some(_), true) => spans[0].1 = keys::after_prefix(&key),
                    (Some(_), false) => spans[0].0 = key,
                }
            }
            for (start, end) in spans {
                let mut walk = Walk::new(&reader.view, &start, &end, descending, self.wanted)?;
                while page.len() < wanted
                    && let Some(run) = walk.next()?
                {
                    page.extend(self.choose_run(run, None, after)?);
                    if self.touched > rows_max {
                        return Ok(None);
                    }
                }
            }
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// The records of a run that belong behind the position, in order.
    fn choose_run(
        &mut self,
        run: Run,
        of_param: Option<(&[u8], salus_store::Param, bool)>,
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
            if !self.passes(&candidate) {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.key < key) {
                let entry = Some(entry);
                chosen.push((key, Chosen { seq, entry }));
            }
        }
        chosen.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(chosen.into_iter().map(|(_, chosen)| chosen).collect())
    }

    /// Current records without a value of a parameter, in order.
    fn without_value(
        &mut self,
        param: salus_store::Param,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut cursor = self.current(self.reader.at.saturating_add(1))?;
        let mut top = Top::new(wanted);
        while let Some((key, bytes)) = cursor.next()? {
            let seq = keys::last_number(key);
            if self.touch()? > rows_max {
                return Ok(None);
            }
            let candidate = Entry::read(&bytes)?.candidate(seq)?;
            let lacks = candidate.rows.values(param).next().is_none();
            if !lacks || !self.shows(seq) || !self.passes(&candidate) {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.key < key) {
                top.add(key, seq);
            }
            // By nothing else than the seq: what comes is older.
            if self.query.sort.len() == 1 && top.is_full() {
                break;
            }
        }
        Ok(Some(top.into_chosen()))
    }

    /// These records, filtered and sorted.
    fn sorted(
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

    fn count(&mut self) -> Result<u64, Error> {
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
            count += u64::from(self.passes(&Entry::read(&entry)?.candidate(seq)?));
        }
        Ok(count)
    }

    /// From the count that is kept, and what has happened since the point.
    fn count_all(&mut self) -> Result<u64, Error> {
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

    fn count_current(&mut self) -> Result<u64, Error> {
        let mut cursor = self.current(self.reader.at.saturating_add(1))?;
        let mut count = 0;
        while let Some((key, entry)) = cursor.next()? {
            let seq = keys::last_number(key);
            self.touch()?;
            let candidate = Entry::read(&entry)?.candidate(seq)?;
            count += u64::from(self.shows(seq) && self.passes(&candidate));
        }
        Ok(count)
    }

    /// The visible records of a driver, each once, in no order.
    fn collect(&mut self, access: &Access) -> Result<Vec<u64>, Error> {
        let mut seqs = Vec::new();
        for span in &access.spans {
            self.collect_span(span, access.hinted, &mut seqs)?;
        }
        Ok(if access.single { seqs } else { distinct(seqs) })
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
        while let Some(key) = next_wanted(&mut cursor, wanted)? {
            self.touch()?;
            let seq = keys::last_number(key);
            if span.test.passes(key) && self.shows(seq) {
                seqs.push(seq);
            }
        }
        Ok(())
    }

    fn collect_current(&mut self) -> Result<Vec<u64>, Error> {
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

    fn seqs_of_ids(&mut self, ids: &[Box<str>]) -> Result<Vec<u64>, Error> {
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
    fn current(&self, below: u64) -> Result<Cursor<'a>, Error> {
        let start = keys::of_kind(keys::CURRENT, self.reader.scope, self.query.kind);
        self.reader.view.backward(&start, &self.current_key(below))
    }

    fn current_key(&self, seq: u64) -> Vec<u8> {
        keys::of_kind_at(keys::CURRENT, self.reader.scope, self.query.kind, seq)
    }

    fn entry(&self, seq: u64) -> Result<Vec<u8>, Error> {
        let entry = self.reader.view.get(&self.current_key(seq))?;
        entry.ok_or_else(|| Error::Damaged(format!("the rows of version {seq} are missing")))
    }

    fn choose(&mut self, seq: u64, filtered: bool) -> Result<Option<Chosen>, Error> {
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

    fn passes(&self, candidate: &Candidate<'_>) -> bool {
        let mut all = self.conditions.all.iter();
        all.all(|filter: &&Filter| filter.matches(candidate))
    }

    fn sort_key(&self, candidate: &Candidate<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        Sort::put_key(&self.query.sort, candidate, &mut key);
        key
    }

    fn is_behind(&self, after: Option<&After>, candidate: &Candidate<'_>) -> bool {
        after.is_none_or(|after| after.key < self.sort_key(candidate))
    }

    /// The key of the run in which a record stands when a parameter sorts.
    fn run_key(
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
    fn can_walk(&self, param: salus_store::Param) -> Result<bool, Error> {
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

    fn shows(&self, seq: u64) -> bool {
        self.reader.core.superseded.shows(seq, self.reader.at)
    }

    /// Counts a row against what one query may cost.
    fn touch(&mut self) -> Result<u64, Error> {
        self.touched += 1;
        let rows_max = self.reader.core.rows_max;
        if self.touched > rows_max {
            return Err(Error::TooCostly { rows_max });
        }
        Ok(self.touched)
    }

    fn rows(&self, chosen: &Chosen) -> Result<Vec<Row>, Error> {
        if self.query.rows.is_empty() {
            return Ok(Vec::new());
        }
        match &chosen.entry {
            Some(entry) => Entry::read(entry)?.pick(&self.query.rows),
            None => Entry::read(&self.entry(chosen.seq)?)?.pick(&self.query.rows),
        }
    }
}

fn distinct(mut seqs: Vec<u64>) -> Vec<u64> {
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// The least keys of many.
struct Top {
    wanted: usize,
    heap: BinaryHeap<(Vec<u8>, u64)>,
}

impl Top {
    fn new(wanted: usize) -> Self {
        Self {
            wanted,
            heap: BinaryHeap::new(),
        }
    }

    fn add(&mut self, key: Vec<u8>, seq: u64) {
        if self.is_full() && self.heap.peek().is_some_and(|(last, _)| *last < key) {
            return;
        }
        self.heap.push((key, seq));
        if self.heap.len() > self.wanted {
            self.heap.pop();
        }
    }

    fn is_full(&self) -> bool {
        self.heap.len() >= self.wanted
    }

    fn into_chosen(self) -> Vec<Chosen> {
        let sorted = self.heap.into_sorted_vec();
        let chosen = sorted
            .into_iter()
            .map(|(_, seq)| Chosen { seq, entry: None });
        chosen.collect()
    }
}
