//! Finding all records that a linked condition points to.
//!
//! When few records satisfy the filter inside, they are all found at once: the
//! condition then is one on references to these, or on the records that these
//! refer to, and can drive.

use std::collections::HashSet;

use salus_store::{Error, Filter, Kind, Param, ValueRef};

use crate::core::read_count;
use crate::gather::distinct;
use crate::links::Found;
use crate::plan::COLLECT_MAX;
use crate::row::Entry;
use crate::search::{Asked, Search};

impl<'a> Search<'a> {
    /// Tries to find what the linked conditions point to by reading so many
    /// entries of each; says whether that has succeeded for one more.
    pub(crate) fn resolve(&mut self, most: usize) -> Result<bool, Error> {
        let texts = self.resolve_texts(most)?;
        if !self.conditions.linked {
            return Ok(texts);
        }
        let mut links = Vec::new();
        self.conditions
            .all
            .iter()
            .for_each(|filter| put_links(filter, &mut links));
        let mut more = texts;
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
            return Ok(Some((distinct(seqs), filtered)));
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
