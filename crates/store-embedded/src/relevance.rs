//! Conditions on texts: what their postings give, and pages in the order of
//! relevance.

use std::collections::{BinaryHeap, HashMap, HashSet};

use salus_store::{Error, Filter, Param, Relevance, Sort, Test, TextTest};

use crate::index::Access;
use crate::plan::{COLLECT_MAX, Driver, MANY};
use crate::search::{After, Chosen, Search};
use crate::text::{List, Lister};
use crate::walk::Run;

/// So many postings, which lie side by side, are read for what a row costs.
const POSTINGS_PER_ROW: u64 = 32;

/// What is known of the texts that a query asks for, by the place of the
/// filter inside the condition.
#[derive(Default)]
pub(crate) struct Texts(HashMap<*const Filter, Known>);

#[derive(Default)]
struct Known {
    /// As many postings were read to find all.
    tried: usize,
    /// All that have the words.
    list: Option<List>,
}

impl<'a> Search<'a> {
    /// Tries to find the versions that conditions on texts want by reading so
    /// many postings of each; says whether that has succeeded for one more.
    pub(crate) fn resolve_texts(&mut self, most: usize) -> Result<bool, Error> {
        if !self.conditions.texts {
            return Ok(false);
        }
        let mut texts = Vec::new();
        let all = self.conditions.all.iter();
        all.for_each(|filter| put_texts(filter, &mut texts));
        let mut more = false;
        for (filter, param, test) in texts {
            let known = self.texts.0.entry(filter).or_default();
            if known.list.is_some() || known.tried >= most {
                continue;
            }
            known.tried = most;
            let list = self.list(param, test, most)?;
            more |= list.is_some();
            self.texts.0.entry(filter).or_default().list = list;
        }
        Ok(more)
    }

    /// The versions that a condition on a text wants, if they were found.
    pub(crate) fn text_access(&self, filter: &Filter) -> Option<Access> {
        let list = self
            .texts
            .0
            .get(&std::ptr::from_ref(filter))?
            .list
            .as_ref()?;
        Some(Access {
            given: list.found.iter().map(|(seq, _)| *seq).collect(),
            exact: list.exact,
            single: true,
            ..Access::any(Vec::new())
        })
    }

    fn list(&mut self, param: Param, test: &TextTest, most: usize) -> Result<Option<List>, Error> {
        let reader = self.reader;
        let left = reader.core.rows_max.saturating_sub(self.links.touched);
        let mut lister = Lister {
            reader,
            kind: self.query.kind,
            read: 0,
            read_max: left.saturating_mul(POSTINGS_PER_ROW),
        };
        let list = lister.list(param, test, most)?;
        self.links.skip(lister.read);
        Ok(list)
    }

    /// The best matches first, from postings alone but for what they cannot
    /// tell; `None` if that is not the order asked for.
    pub(crate) fn by_relevance(
        &mut self,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let [Sort::Relevance(relevance), others @ ..] = self.query.sort else {
            return Ok(None);
        };
        if !self.wants_all_of(relevance) {
            return Ok(None);
        }
        let mut list: Option<List> = None;
        for (param, test) in &relevance.0 {
            let Some(one) = self.list(*param, test, usize::MAX)? else {
                return Ok(None);
            };
            list = Some(match list {
                Some(mut list) => {
                    list.keep(&one, |a, b| a + b);
                    list
                }
                None => one,
            });
        }
        let Some(mut list) = list else {
            return Ok(None);
        };
        let filtered = !(list.exact && self.conditions.all.len() == relevance.0.len());
        if !list.scored {
            let seqs = list.found.into_iter().map(|(seq, _)| seq).collect();
            return self.sorted(seqs, filtered, after, wanted).map(Some);
        }
        if filtered && list.found.len() > COLLECT_MAX {
            self.keep_driven(&mut list)?;
        }
        match others {
            [] => self.best(list, filtered, after, wanted).map(Some),
            _ => self.best_runs(list, after, wanted).map(Some),
        }
    }

    /// Of many, those that another condition lets pass, if that is one that
    /// few records satisfy.
    fn keep_driven(&mut self, list: &mut List) -> Result<(), Error> {
        if let Some(Driver {
            seqs: Some(seqs), ..
        }) = self.driver(MANY)?
        {
            let seqs: HashSet<u64> = seqs.into_iter().collect();
            list.found.retain(|(seq, _)| seqs.contains(seq));
        }
        Ok(())
    }

    /// Whether each of these tests must hold anyway.
    fn wants_all_of(&self, relevance: &Relevance) -> bool {
        let is_wanted = |(param, test): &(Param, TextTest)| {
            self.conditions.all.iter().any(|filter| {
                matches!(filter, Filter::Value(of, Test::Words(wanted)) if of == param && wanted == test)
            })
        };
        !relevance.0.is_empty() && relevance.0.iter().all(is_wanted)
    }

    /// By points, and of equal ones the newest first; or the opposite way.
    fn best(
        &mut self,
        list: List,
        filtered: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let backward = self.backward;
        // Of keys as `Search::sort_key` makes them the least, and so the
        // greatest of their opposites.
        let key = |(seq, points): (u64, u32)| match backward {
            true => (!points, !seq),
            false => (points, seq),
        };
        let admits = |(points, seq): &(u32, u64)| {
            let mut key = [0; 12];
            key[..4].copy_from_slice(&(!points).to_be_bytes());
            key[4..].copy_from_slice(&(!seq).to_be_bytes());
            after.is_none_or(|after| after.admits(&key))
        };
        let found = list.found.into_iter().map(key);
        let mut heap: BinaryHeap<(u32, u64)> = found.filter(admits).collect();
        let mut page = Vec::new();
        while page.len() < wanted
            && let Some((_, seq)) = heap.pop()
        {
            let seq = if backward { !seq } else { seq };
            page.extend(self.choose(seq, filtered)?);
        }
        Ok(page)
    }

    /// By points, and those of equal points by what else was asked for.
    fn best_runs(
        &mut self,
        list: List,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let mut found = list.found;
        found.sort_unstable_by_key(|&(seq, points)| std::cmp::Reverse((points, seq)));
        let mut runs: Vec<_> = found.chunk_by(|a, b| a.1 == b.1).collect();
        if self.backward {
            runs.reverse();
        }
        let mut page = Vec::new();
        for run in runs {
            let points = run.first().map_or(0, |(_, points)| *points);
            if !self.may_admit(after, points) {
                continue;
            }
            let run = Run {
                key: Vec::new(),
                seqs: run.iter().map(|(seq, _)| *seq).collect(),
            };
            page.extend(self.choose_run(run, after)?);
            if page.len() >= wanted {
                break;
            }
        }
        page.truncate(wanted);
        Ok(page)
    }

    /// Whether a record of so many points may belong on the page or behind it.
    fn may_admit(&self, after: Option<&After>, points: u32) -> bool {
        let mut greatest = [0xFF; 64];
        let key = if self.backward { points } else { !points };
        greatest[..4].copy_from_slice(&key.to_be_bytes());
        after.is_none_or(|after| after.admits(&greatest))
    }
}

/// The conditions on texts of which one must hold for this to hold.
fn put_texts<'a>(filter: &'a Filter, texts: &mut Vec<(&'a Filter, Param, &'a TextTest)>) {
    filter.each_value(&mut |filter, param, test| {
        if let Test::Words(test) = test {
            texts.push((filter, param, test));
        }
    });
}

/// Whether an index of texts may help to decide a condition.
pub(crate) fn has_text(filter: &Filter) -> bool {
    let mut texts = Vec::new();
    put_texts(filter, &mut texts);
    !texts.is_empty()
}
