//! Finding and counting records.
//!
//! Every way to a page gives records in one total order, that of
//! [`Sort::put_key`], so each page may go its own way: a position is only the
//! last record of the page before.

use std::sync::Arc;

use salus_store::{Candidate, Error, Filter, Found, Hit, Kind, Param, Position, Query, Row, Sort};

use crate::choice::Bounds;
use crate::index::{Access, Hints};
use crate::kv::Cursor;
use crate::links::{Among, Links};
use crate::narrow::Sets;
use crate::plan::Conditions;
use crate::reader::Reader;
use crate::row::Entry;
use crate::{index, keys, position};

impl Reader {
    pub(crate) fn find_now(&self, query: &Query) -> Result<Found, Error> {
        query.validate()?;
        let wanted = hints(&query.filter);
        let mut search = Search::new(self, Asked::of(query), &wanted);
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
        let wanted = hints(&query.filter);
        let asked = Asked::any_order(query.kind, &query.filter);
        let mut search = Search::new(self, asked, &wanted);
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
        query.validate()?;
        let wanted = hints(&query.filter);
        let mut search = Search::new(self, Asked::of(query), &wanted);
        match search.conditions.all.as_slice() {
            [] => search.count(),
            _ => self.core.aside.run(|| search.count()),
        }
    }
}

/// What the conditions of a filter want to see in hints.
pub(crate) fn hints(filter: &Filter) -> Vec<Vec<u8>> {
    let conditions = Conditions::of(filter);
    let wanted = conditions.all.iter().filter_map(|one| Hints::wanted(one));
    wanted.collect()
}

/// A query, or a part of one.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) kind: Kind,
    pub(crate) filter: &'a Filter,
    pub(crate) sort: &'a [Sort],
    after: Option<&'a Position>,
    rows: &'a [Param],
}

impl<'a> Asked<'a> {
    fn of(query: &'a Query) -> Self {
        Self {
            kind: query.kind,
            filter: &query.filter,
            sort: &query.sort,
            after: query.after.as_ref(),
            rows: &query.rows,
        }
    }

    /// All records of a kind that a filter describes.
    pub(crate) fn any_order(kind: Kind, filter: &'a Filter) -> Self {
        Self {
            kind,
            filter,
            sort: &[],
            after: None,
            rows: &[],
        }
    }
}

pub(crate) struct Search<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) query: Asked<'a>,
    pub(crate) conditions: Conditions<'a>,
    /// What the hints of a record must show.
    pub(crate) wanted: &'a [Vec<u8>],
    /// What was looked at so far.
    pub(crate) links: Links,
    /// Large sets of tokens, compared with the index.
    pub(crate) sets: Sets,
    /// Conditions along whose references a walk has not filled the page.
    pub(crate) walked: Vec<usize>,
    /// Where a walk along the parameter that sorts finds all that match.
    pub(crate) bounds: Option<Bounds>,
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
    pub(crate) fn new(reader: &'a Reader, query: Asked<'a>, wanted: &'a [Vec<u8>]) -> Self {
        Self {
            reader,
            query,
            conditions: Conditions::of(query.filter),
            wanted,
            links: Links::new(reader.core.rows_max),
            sets: Sets::new(),
            walked: Vec::new(),
            bounds: None,
        }
    }

    /// Whether the records that an index gives have to be looked at.
    pub(crate) fn is_filtered(&self, access: &Access) -> bool {
        !(access.exact && self.conditions.all.len() == 1)
    }

    pub(crate) fn after(&mut self) -> Result<Option<After>, Error> {
        let Some(after) = self.query.after else {
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
        let fits = !self.conditions.impossible && self.passes(&candidate)?;
        Sort::put_key(self.query.sort, &candidate, &mut key);
        if !fits || !self.shows(seq) {
            return Err(foreign);
        }
        Ok(Some(After { seq, entry, key }))
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
        self.reader.entry(self.query.kind, seq)
    }

    pub(crate) fn choose(&mut self, seq: u64, filtered: bool) -> Result<Option<Chosen>, Error> {
        if !filtered {
            return Ok(Some(Chosen { seq, entry: None }));
        }
        self.touch()?;
        let entry = self.entry(seq)?;
        let passes = self.passes(&Entry::read(&entry)?.candidate(seq)?)?;
        Ok(passes.then_some(Chosen {
            seq,
            entry: Some(entry),
        }))
    }

    /// Whether a record satisfies all conditions.
    pub(crate) fn passes(&mut self, candidate: &Candidate<'_>) -> Result<bool, Error> {
        let all = self.conditions.all.iter();
        if !self.conditions.linked {
            return Ok(all.copied().all(|filter| filter.matches(candidate)));
        }
        let mut others = Among::new(self.reader, &mut self.links);
        for filter in all {
            if !filter.matches_among(self.query.kind, candidate, &mut others)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn sort_key(&self, candidate: &Candidate<'_>) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        Sort::put_key(self.query.sort, candidate, &mut key);
        key
    }

    pub(crate) fn is_behind(&self, after: Option<&After>, candidate: &Candidate<'_>) -> bool {
        after.is_none_or(|after| after.key < self.sort_key(candidate))
    }

    /// The key of the run in which a record stands when a parameter sorts.
    pub(crate) fn run_key(
        &self,
        prefix: &[u8],
        param: Param,
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
    pub(crate) fn can_walk(&self, param: Param) -> Result<bool, Error> {
        let prefix = keys::of_param(keys::INDEX, self.reader.scope, self.query.kind, param);
        for tag in [index::TOKEN, index::REFERENCE, index::COMPOSITE] {
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
        self.reader.shows(seq)
    }

    /// Counts a row against what one query may cost.
    pub(crate) fn touch(&mut self) -> Result<u64, Error> {
        self.links.touch()
    }

    pub(crate) fn rows(&self, chosen: &Chosen) -> Result<Vec<Row>, Error> {
        if self.query.rows.is_empty() {
            return Ok(Vec::new());
        }
        match &chosen.entry {
            Some(entry) => Entry::read(entry)?.pick(self.query.rows),
            None => Entry::read(&self.entry(chosen.seq)?)?.pick(self.query.rows),
        }
    }
}
