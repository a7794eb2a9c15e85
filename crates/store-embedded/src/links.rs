//! Conditions on other records: what was found out about them so far.
//!
//! Such a condition is checked record by record, each answer kept for the
//! query. Or, when few records satisfy the filter inside, all of them are
//! found at once: the condition then is one on references to these, or on the
//! records that these refer to, and can drive.

use std::collections::{HashMap, HashSet};

use salus_store::{Candidate, Error, Filter, Kind, Others, Param, Test, ValueRef};

use crate::core::read_count;
use crate::newest::Newest;
use crate::plan::COLLECT_MAX;
use crate::reader::Reader;
use crate::row::Entry;
use crate::search::{Asked, Search, hints};
use crate::walk::next_wanted;
use crate::{gather, keys};

/// More answers than these are not kept.
const KEPT_MAX: usize = 1 << 17;

/// What one query has looked at, and learned.
pub(crate) struct Links {
    /// Rows looked at.
    pub(crate) touched: u64,
    rows_max: u64,
    /// By the place of the filter inside the condition.
    known: HashMap<*const Filter, Known>,
    kept: usize,
}

/// What is known about one filter inside a condition.
#[derive(Default)]
struct Known {
    /// Whether the condition holds, by the id of the record it is about: the
    /// one that is pointed to.
    holds: HashMap<Box<str>, bool>,
    /// As many entries were read to find all.
    tried: usize,
    found: Option<Found>,
    /// What the filter wants to see in hints.
    hints: Option<Vec<Vec<u8>>>,
}

/// All records that are pointed to, where the condition holds for no other.
enum Found {
    /// Their ids, where the condition is about references to them.
    Targets(Vec<Box<str>>),
    /// Their seqs, where they are searched themselves.
    Referred(Vec<u64>),
}

impl Links {
    pub(crate) fn new(rows_max: u64) -> Self {
        Self {
            touched: 0,
            rows_max,
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
        Ok(self.touched)
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

    fn known(&mut self, filter: &Filter) -> &mut Known {
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

    fn hints(&mut self, filter: &Filter) -> Vec<Vec<u8>> {
        let known = self.known(filter);
        known.hints.get_or_insert_with(|| hints(filter)).clone()
    }
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
            while let Some(key) = next_wanted(&mut cursor, &hints)? {
                let seq = keys::last_number(key);
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

impl<'a> Search<'a> {
    /// Tries to find what the linked conditions point to by reading so many
    /// entries of each; says whether that has succeeded for one more.
    pub(crate) fn resolve(&mut self, most: usize) -> Result<bool, Error> {
        if !self.conditions.linked {
            return Ok(false);
        }
        let mut links = Vec::new();
        self.conditions
            .all
            .iter()
            .for_each(|filter| put_links(filter, &mut links));
        let mut more = false;
        for link in links {
            more |= self.resolve_one(link, most)?;
        }
        Ok(more)
    }

    fn resolve_one(&mut self, link: &'a Filter, most: usize) -> Result<bool, Error> {
        let (Filter::Refers { kind, filter, .. } | Filter::Referred { kind, filter, .. }) = link
        else {
            return Ok(false);
        };
        let known = self.links.known(filter);
        if known.found.is_some() || known.tried >= most {
            return Ok(false);
        }
        known.tried = most;
        let wanted = self.links.hints(filter);
        let mut inner = Search::new(self.reader, Asked::any_order(*kind, filter), &wanted);
        std::mem::swap(&mut inner.links, &mut self.links);
        let few = inner.few(most);
        std::mem::swap(&mut inner.links, &mut self.links);
        let Some(seqs) = few? else {
            return Ok(false);
        };
        let (ids, found) = if let Filter::Referred { param, .. } = link {
            let ids = self.pointed_to(*kind, *param, &seqs)?;
            let seqs = self.seqs_of_ids(&ids)?;
            (ids, Found::Referred(seqs))
        } else {
            let ids = self.ids_of(*kind, &seqs)?;
            (ids.clone(), Found::Targets(ids))
        };
        let known = self.links.known(filter);
        known.holds = ids.into_iter().map(|id| (id, true)).collect();
        known.found = Some(found);
        Ok(true)
    }

    fn ids_of(&self, kind: Kind, seqs: &[u64]) -> Result<Vec<Box<str>>, Error> {
        let id = |seq: &u64| {
            let entry = self.reader.entry(kind, *seq)?;
            Ok(Entry::read(&entry)?.id.into())
        };
        seqs.iter().map(id).collect()
    }

    /// The ids of records of the kind searched that others refer to.
    fn pointed_to(
        &mut self,
        kind: Kind,
        param: Param,
        seqs: &[u64],
    ) -> Result<Vec<Box<str>>, Error> {
        let mut ids: HashSet<Box<str>> = HashSet::new();
        for seq in seqs {
            self.touch()?;
            let entry = self.reader.entry(kind, *seq)?;
            for value in Entry::read(&entry)?.rows()?.values(param) {
                if let ValueRef::Reference { kind, id } = value
                    && kind == self.query.kind
                    && !ids.contains(id)
                {
                    ids.insert(id.into());
                }
            }
        }
        Ok(ids.into_iter().collect())
    }

    /// All records that match, if no more than so many entries have to be read to know them.
    fn few(&mut self, most: usize) -> Result<Option<Vec<u64>>, Error> {
        if self.conditions.impossible {
            return Ok(Some(Vec::new()));
        }
        let (seqs, filtered) = match self.conditions.ids() {
            Some(ids) if ids.len() > most => return Ok(None),
            Some(ids) => (self.seqs_of_ids(ids)?, true),
            None => match self.few_of_driver(most)? {
                Some(few) => few,
                None => return Ok(None),
            },
        };
        if !filtered {
            return Ok(Some(seqs));
        }
        let mut passing = Vec::new();
        for seq in seqs {
            passing.extend(self.choose(seq, true)?.map(|chosen| chosen.seq));
        }
        Ok(Some(passing))
    }

    /// The records of a driver, and whether they have to be looked at.
    fn few_of_driver(&mut self, most: usize) -> Result<Option<(Vec<u64>, bool)>, Error> {
        // By the way, in case another condition has fewer.
        let mut rounds = vec![most.min(COLLECT_MAX)];
        while let Some(last) = rounds.last()
            && *last < most
        {
            rounds.push(last.saturating_mul(8).min(most));
        }
        if let Some(driver) = self.driver(&rounds)?
            && let Some(seqs) = driver.seqs
        {
            let filtered = self.is_filtered(&driver.access);
            return Ok(Some((gather::distinct(seqs), filtered)));
        }
        let reader = self.reader;
        let all = read_count(&reader.view, reader.scope, self.query.kind)?;
        if all > most as u64 {
            return Ok(None);
        }
        let filtered = !self.conditions.all.is_empty();
        Ok(Some((self.collect_current()?, filtered)))
    }
}

/// The linked conditions of which one must hold for this to hold.
fn put_links<'a>(filter: &'a Filter, links: &mut Vec<&'a Filter>) {
    match filter {
        Filter::Refers { .. } | Filter::Referred { .. } => links.push(filter),
        Filter::All(filters) | Filter::Any(filters) => {
            filters.iter().for_each(|filter| put_links(filter, links));
        }
        Filter::Everything
        | Filter::Nothing
        | Filter::Not(_)
        | Filter::Value(..)
        | Filter::Ids(_)
        | Filter::Updated(..) => {}
    }
}
