//! Finding and counting records.
//!
//! Every way to a page gives records in one total order, that of
//! [`Sort::put_key`], so each page may go its own way: a position is only the
//! last record of the page before.

use std::collections::BinaryHeap;

use salus_store::{Candidate, Error, Filter, Found, Hit, Query, Row, Sort};

use crate::core::read_count;
use crate::index::Span;
use crate::kv::Cursor;
use crate::newest::Newest;
use crate::plan::{COLLECT_MAX, Conditions, Driver};
use crate::reader::Reader;
use crate::row::Entry;
use crate::walk::{Run, Walk};
use crate::{index, keys, position};

/// Rows that a walk may look at before the driver is collected after all.
const WALK_MAX: u64 = 8 * COLLECT_MAX as u64;

impl Reader {
    pub(crate) fn find_now(&self, query: &Query) -> Result<Found, Error> {
        let mut search = Search::new(self, query);
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
        let mut search = Search::new(self, &unsorted);
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
        Search::new(self, query).count()
    }
}

struct Search<'a> {
    reader: &'a Reader,
    query: &'a Query,
    conditions: Conditions<'a>,
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
    fn new(reader: &'a Reader, query: &'a Query) -> Self {
        Self {
            reader,
            query,
            conditions: Conditions::of(&query.filter),
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
        let driver = self.driver()?;
        match driver {
            Some(driver) if driver.entries.is_some() => {
                self.by_few(&driver, after.as_ref(), wanted)
            }
            driver => self.by_many(driver.as_ref(), after.as_ref(), wanted),
        }
    }

    fn driver(&self) -> Result<Option<Driver>, Error> {
        let of = (self.reader.scope, self.query.kind);
        self.conditions
            .driver(&self.reader.core.index, &self.reader.view, of)
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

    /// A driver with few entries: read them all, and only then the rows.
    fn by_few(
        &mut self,
        driver: &Driver,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        if let Some(descending) = self.main_date_order(driver) {
            return self.by_main_date(driver, descending, after, wanted);
        }
        let filtered = !(driver.access.exact && self.conditions.all.len() == 1);
        let seqs = self.collect(driver)?;
        self.sorted(seqs, filtered, after, wanted)
    }

    /// Many entries, or no driver: walk in order, and hope to fill the page soon.
    fn by_many(
        &mut self,
        driver: Option<&Driver>,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let begun = self.touched;
        let walk_max = driver.map(|_| begun + WALK_MAX);
        let walked = match (self.query.sort.as_slice(), driver) {
            ([], Some(driver)) if driver.access.by_seq => {
                return self.by_seq(driver, after, wanted);
            }
            ([], _) => self.by_current(after, wanted, walk_max)?,
            ([Sort::Updated { descending: true }], _) => self.by_time(after, wanted, walk_max)?,
            (_, Some(driver)) if self.main_date_order(driver).is_some() => {
                let descending = self.main_date_order(driver).unwrap_or_default();
                return self.by_main_date(driver, descending, after, wanted);
            }
            ([Sort::Value { param, descending }, ..], _) if self.can_walk(*param)? => {
                self.by_value(*param, *descending, after, wanted, walk_max)?
            }
            _ => None,
        };
        match (walked, driver) {
            (Some(page), _) => Ok(page),
            (None, Some(driver)) => {
                let seqs = self.collect(driver)?;
                self.sorted(seqs, true, after, wanted)
            }
            (None, None) => {
                let seqs = self.collect_current()?;
                self.sorted(seqs, true, after, wanted)
            }
        }
    }

    /// Entries of one index key, newest first.
    fn by_seq(
        &mut self,
        driver: &Driver,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let filtered = !(driver.access.exact && self.conditions.all.len() == 1);
        let mut page = Vec::new();
        for span in &driver.access.spans {
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
        walk_max: Option<u64>,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let below = after.map_or(self.reader.at.saturating_add(1), |after| after.seq);
        let mut cursor = self.current(below)?;
        let mut page = Vec::new();
        while page.len() < wanted {
            let Some((key, entry)) = cursor.next()? else {
                break;
            };
            let seq = keys::last_number(key);
            if self.touch()? > walk_max.unwrap_or(u64::MAX) {
                return Ok(None);
            }
            if self.shows(seq) && self.passes(seq, &entry)? {
                let entry = Some(entry);
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
        walk_max: Option<u64>,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut cursor = self.current(self.reader.at.saturating_add(1))?;
        let mut waiting: BinaryHeap<(i64, u64)> = BinaryHeap::new();
        let mut page = Vec::new();
        loop {
            let Some((key, bytes)) = cursor.next()? else {
                break;
            };
            let seq = keys::last_number(key);
            if self.touch()? > walk_max.unwrap_or(u64::MAX) {
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
            if self.shows(seq) && self.is_behind(after, seq, &bytes)? && self.passes(seq, &bytes)? {
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
        walk_max: Option<u64>,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let reader = self.reader;
        let prefix = keys::of_param(keys::INDEX, reader.scope, self.query.kind, param);
        let (mut start, mut end) = (prefix.clone(), keys::after_prefix(&prefix));
        let mut missing_only = false;
        if let Some(after) = after {
            match self.run_key(&prefix, param, descending, &after.entry)? {
                Some(key) if descending => end = keys::after_prefix(&key),
                Some(key) => start = key,
                None => missing_only = true,
            }
        }
        let mut page = Vec::new();
        if !missing_only {
            let mut walk = Walk::new(&reader.view, &start, &end, descending)?;
            while page.len() < wanted
                && let Some(run) = walk.next()?
            {
                let chosen = self.choose_run(run, Some((&prefix, param, descending)), after)?;
                page.extend(chosen);
                if self.touched > walk_max.unwrap_or(u64::MAX) {
                    return Ok(None);
                }
            }
        }
        if page.len() < wanted {
            let rest = wanted - page.len();
            let Some(missing) = self.without_value(param, after, rest, walk_max)? else {
                return Ok(None);
            };
            page.extend(missing);
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// References to one record, in the order of main dates.
    fn by_main_date(
        &mut self,
        driver: &Driver,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let reader = self.reader;
        let mut page = Vec::new();
        for span in &driver.access.spans {
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
                let mut walk = Walk::new(&reader.view, &start, &end, descending)?;
                while page.len() < wanted
                    && let Some(run) = walk.next()?
                {
                    page.extend(self.choose_run(run, None, after)?);
                }
            }
        }
        page.truncate(wanted);
        Ok(page)
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
            if let Some((prefix, param, descending)) = of_param
                && self.run_key(prefix, param, descending, &entry)?.as_deref() != Some(&run.key)
            {
                // It has another value that comes first.
                continue;
            }
            if !self.passes(seq, &entry)? {
                continue;
            }
            let key = self.sort_key(seq, &entry)?;
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
        walk_max: Option<u64>,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut cursor = self.current(self.reader.at.saturating_add(1))?;
        let mut top = Top::new(wanted);
        while let Some((key, bytes)) = cursor.next()? {
            let seq = keys::last_number(key);
            if self.touch()? > walk_max.unwrap_or(u64::MAX) {
                return Ok(None);
            }
            let lacks = Entry::read(&bytes)?.rows()?.values(param).next().is_none();
            if !lacks || !self.shows(seq) || !self.passes(seq, &bytes)? {
                continue;
            }
            let key = self.sort_key(seq, &bytes)?;
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
            if filtered && !self.passes(seq, &entry)? {
                continue;
            }
            let key = self.sort_key(seq, &entry)?;
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
        } else if let Some(driver) = self.driver()? {
            let filtered = !(driver.access.exact && self.conditions.all.len() == 1);
            (self.collect(&driver)?, filtered)
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
            count += u64::from(self.passes(seq, &entry)?);
        }
        Ok(count)
    }

    /// From the count that is kept, and what has happened since the point.
    fn count_all(&mut self) -> Result<u64, Error> {
        let (scope, kind) = (self.reader.scope, self.query.kind);
        let mut count = read_count(&self.reader.view, scope, kind)?;
        let from = self.reader.at.saturating_add(1);
        let reader = self.reader;
        // First what was replaced: a count cannot go below zero.
        let start = keys::at(keys::GARBAGE, from);
        let mut replaced = reader.view.forward(&start, &[keys::GARBAGE + 1])?;
        let of_kind = keys::of_kind(keys::CURRENT, scope, kind);
        while let Some((_, of)) = replaced.next()? {
            self.touch()?;
            count += u64::from(of == of_kind);
        }
        let start = keys::of_kind_at(keys::CURRENT, scope, kind, from);
        let end = keys::after_prefix(&keys::of_kind(keys::CURRENT, scope, kind));
        let mut newer = reader.view.forward(&start, &end)?;
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
            count += u64::from(self.shows(seq) && self.passes(seq, &entry)?);
        }
        Ok(count)
    }

    /// The visible records of a driver, each once, in no order.
    fn collect(&mut self, driver: &Driver) -> Result<Vec<u64>, Error> {
        let mut seqs = Vec::new();
        for span in &driver.access.spans {
            self.collect_span(span, &mut seqs)?;
        }
        if !driver.access.single {
            seqs.sort_unstable();
            seqs.dedup();
        }
        Ok(seqs)
    }

    fn collect_span(&mut self, span: &Span, seqs: &mut Vec<u64>) -> Result<(), Error> {
        let reader = self.reader;
        let mut cursor = reader.view.forward(&span.start, &span.end)?;
        while let Some(key) = cursor.next_key()? {
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
        let passes = self.passes(seq, &entry)?;
        Ok(passes.then_some(Chosen {
            seq,
            entry: Some(entry),
        }))
    }

    fn passes(&self, seq: u64, entry: &[u8]) -> Result<bool, Error> {
        let candidate = Entry::read(entry)?.candidate(seq)?;
        let mut all = self.conditions.all.iter();
        Ok(all.all(|filter: &&Filter| filter.matches(&candidate)))
    }

    fn sort_key(&self, seq: u64, entry: &[u8]) -> Result<Vec<u8>, Error> {
        let candidate = Entry::read(entry)?.candidate(seq)?;
        let mut key = Vec::with_capacity(32);
        Sort::put_key(&self.query.sort, &candidate, &mut key);
        Ok(key)
    }

    fn is_behind(&self, after: Option<&After>, seq: u64, entry: &[u8]) -> Result<bool, Error> {
        match after {
            None => Ok(true),
            Some(after) => Ok(after.key < self.sort_key(seq, entry)?),
        }
    }

    /// The key of the run in which a record stands when a parameter sorts.
    fn run_key(
        &self,
        prefix: &[u8],
        param: salus_store::Param,
        descending: bool,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        let candidate: Candidate<'_> = Entry::read(entry)?.candidate(0)?;
        let values = candidate.rows.values(param);
        let value = if descending {
            values.max()
        } else {
            values.min()
        };
        let index = &self.reader.core.index;
        Ok(value.map(|value| {
            let mut key = prefix.to_vec();
            index.put_value(&mut key, value, None);
            key
        }))
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

    /// Whether the driver's own order is the order asked for; if so, whether it descends.
    fn main_date_order(&self, driver: &Driver) -> Option<bool> {
        let [Sort::Value { param, descending }, ..] = self.query.sort.as_slice() else {
            return None;
        };
        let main_dates = self.reader.core.main_dates.read();
        let main_date = main_dates.get(&(self.reader.scope, self.query.kind))?;
        (driver.access.by_date && main_date.is(*param)).then_some(*descending)
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
