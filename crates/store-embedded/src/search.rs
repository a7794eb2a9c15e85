//! Finding and counting records.
//!
//! Every way to a page gives records in one total order, that of
//! [`Sort::put_key`], so each page may go its own way: a position is only the
//! record beside the page. A page that is known by its end is found in the
//! opposite order, whose keys are the complements, and turned around.

use std::rc::Rc;
use std::sync::Arc;

use salus_store::{
    Candidate, Error, Filter, Found, Hit, Kind, Param, Plan, Position, Query, Row, Seq, Sort,
};

use crate::choice::Bounds;
use crate::estimate::Estimate;
use crate::index::{Access, Hints};
use crate::keys;
use crate::kv::Cursor;
use crate::links::{Among, Links};
use crate::narrow::Sets;
use crate::plan::Conditions;
use crate::ranks::Pin;
use crate::reader::Reader;
use crate::relevance::Texts;
use crate::row::Entry;
use crate::trace::Trace;

/// Rows that may be touched for an estimate.
const ESTIMATE_ROWS: u64 = 20_000;

impl Reader {
    pub(crate) fn find_now(&self, query: &Query) -> Result<Found, Error> {
        query.validate()?;
        let wanted = hints(&query.filter);
        let mut search = Search::new(self, Asked::of(query), &wanted);
        self.found(&mut search, query)
    }

    /// The same, and how it was done.
    pub(crate) fn explain_now(&self, query: &Query) -> Result<(Found, Plan), Error> {
        query.validate()?;
        let wanted = hints(&query.filter);
        let mut search = Search::new(self, Asked::of(query), &wanted);
        search.trace = Some(Trace::new());
        let found = self.found(&mut search, query)?;
        Ok((found, search.plan()))
    }

    /// Whether a filter describes a record, from its rows alone: no body is opened.
    pub(crate) fn holds_now(&self, kind: Kind, id: &str, filter: &Filter) -> Result<bool, Error> {
        filter.validate()?;
        let newest = self.newest(kind, id)?;
        let Some(newest) = newest.filter(|newest| !newest.deleted) else {
            return Ok(false);
        };
        let mut search = Search::new(self, Asked::any_order(kind, filter), &[]);
        if search.conditions.impossible {
            return Ok(false);
        }
        Ok(search.choose(newest.seq, true)?.is_some())
    }

    fn found(&self, search: &mut Search<'_>, query: &Query) -> Result<Found, Error> {
        let mut chosen = search.page(query.limit)?;
        search.step("open the bodies of the page", &[], None);
        let further = chosen.get(query.limit).map(|one| Seq(one.seq));
        chosen.truncate(query.limit);
        let mut found = Found::default();
        if query.limit == 0 {
            return Ok(found);
        }
        let last = chosen.last();
        let beside = query.after.and_then(Position::seq);
        if search.backward {
            found.next = beside.map(Position::After);
            found.previous = further.map(Position::UpTo);
            chosen.reverse();
        } else {
            found.previous = beside.map(Position::UpTo);
            let last = last.filter(|_| further.is_some());
            found.next = last.map(|one| Position::After(Seq(one.seq)));
        }
        for one in chosen {
            found.hits.push(Hit {
                record: self.load(one.seq)?,
                rows: search.rows(&one)?,
            });
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

    pub(crate) fn estimate_now(&self, query: &Query) -> Result<Option<u64>, Error> {
        query.validate()?;
        let wanted = hints(&query.filter);
        let mut search = Search::new(self, Asked::of(query), &wanted);
        search.links.spend_at_most(ESTIMATE_ROWS);
        match self.core.aside.run(|| search.about()) {
            Err(Error::TooCostly { .. } | Error::TookTooLong { .. }) => Ok(None),
            about => about,
        }
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
    after: Option<Position>,
    rows: &'a [Param],
}

impl<'a> Asked<'a> {
    fn of(query: &'a Query) -> Self {
        Self {
            kind: query.kind,
            filter: &query.filter,
            sort: &query.sort,
            after: query.after,
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
    /// The opposite of the order asked for is wanted.
    pub(crate) backward: bool,
    /// What the hints of a record must show.
    pub(crate) wanted: &'a [Vec<u8>],
    /// What was looked at so far.
    pub(crate) links: Links,
    /// Large sets of tokens, compared with the index.
    pub(crate) sets: Sets,
    /// What the sample says, as far as it was asked.
    pub(crate) estimated: Option<Rc<Estimate>>,
    /// Conditions along whose references a walk has not filled the page.
    pub(crate) walked: Vec<usize>,
    /// Where a walk along the parameter that sorts finds all that match.
    pub(crate) bounds: Option<Bounds>,
    /// Ranks that records must have, one for each key of the order that is walked along.
    pub(crate) pins: Vec<Pin>,
    pub(crate) texts: Texts,
    /// What is done, if anybody asked.
    pub(crate) trace: Option<Trace>,
}

/// A record that belongs on the page.
pub(crate) struct Chosen {
    pub(crate) seq: u64,
    /// What its rows were read from, if they were.
    pub(crate) entry: Option<Arc<[u8]>>,
}

/// The record beside the page, in the order in which the page is found.
pub(crate) struct After {
    pub(crate) seq: u64,
    pub(crate) entry: Vec<u8>,
    /// As [`Search::sort_key`] makes it.
    key: Vec<u8>,
    /// The record belongs to the page itself.
    inclusive: bool,
}

impl After {
    /// Whether a record of this key belongs on the page or behind it.
    pub(crate) fn admits(&self, key: &[u8]) -> bool {
        *self.key < *key || self.inclusive && self.key == key
    }
}

impl<'a> Search<'a> {
    pub(crate) fn new(reader: &'a Reader, query: Asked<'a>, wanted: &'a [Vec<u8>]) -> Self {
        Self {
            reader,
            query,
            conditions: Conditions::of(query.filter),
            backward: query.after.is_some_and(Position::is_backward),
            wanted,
            links: Links::new(reader.core.rows_max, reader.core.time_max),
            sets: Sets::new(),
            estimated: None,
            walked: Vec::new(),
            bounds: None,
            pins: Vec::new(),
            texts: Texts::default(),
            trace: None,
        }
    }

    /// Whether the records that an index gives have to be looked at.
    pub(crate) fn is_filtered(&self, access: &Access) -> bool {
        !(access.exact && self.conditions.all.len() == 1)
    }

    pub(crate) fn after(&mut self) -> Result<Option<After>, Error> {
        let Some(Seq(seq)) = self.query.after.and_then(Position::seq) else {
            return Ok(None);
        };
        let foreign = Error::Misuse("not a position of this query");
        let key = self.current_key(seq);
        let Some(entry) = self.reader.view.get(&key)? else {
            return Err(foreign);
        };
        let candidate = Entry::read(&entry)?.candidate(seq)?;
        let fits = !self.conditions.impossible && self.passes(&candidate)?;
        let key = self.sort_key(&candidate);
        if !fits || !self.shows(seq) {
            return Err(foreign);
        }
        Ok(Some(After {
            seq,
            entry,
            key,
            inclusive: self.backward,
        }))
    }

    /// The current list, newest first.
    pub(crate) fn current(&self) -> Result<Cursor<'a>, Error> {
        let start = keys::of_kind(keys::CURRENT, self.reader.scope, self.query.kind);
        let end = self.current_key(self.reader.at.saturating_add(1));
        self.reader.view.backward(&start, &end)
    }

    /// Keys that end with a seq, from the position on in the order of seqs
    /// in which the page is found.
    pub(crate) fn seqs_from(
        &self,
        prefix: &[u8],
        after: Option<&After>,
    ) -> Result<Cursor<'a>, Error> {
        let end = self.reader.at.saturating_add(1);
        let (first, end) = match (after, self.backward) {
            (Some(after), true) => (after.seq, end),
            (Some(after), false) => (0, after.seq),
            (None, _) => (0, end),
        };
        let [first, end] = [first, end].map(|seq| [prefix, &seq.to_be_bytes()].concat());
        self.reader.view.toward(&first, &end, !self.backward)
    }

    /// The current list from the position on.
    pub(crate) fn current_from(&self, after: Option<&After>) -> Result<Cursor<'a>, Error> {
        let prefix = keys::of_kind(keys::CURRENT, self.reader.scope, self.query.kind);
        self.seqs_from(&prefix, after)
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
        if !self.is_pinned(candidate) {
            return Ok(false);
        }
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
        if self.backward {
            // No key is the beginning of another one.
            key.iter_mut().for_each(|byte| *byte = !*byte);
        }
        key
    }

    pub(crate) fn is_behind(&self, after: Option<&After>, candidate: &Candidate<'_>) -> bool {
        after.is_none_or(|after| after.admits(&self.sort_key(candidate)))
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
