//! Choosing what drives a query: the condition that the fewest records satisfy.
//!
//! There are no statistics to go stale. All conditions that an index answers
//! are read a little, then a little more; the first that comes to its end is
//! the driver, and has been read already.

use salus_store::{Error, Filter, Test};

use crate::core::read_count;
use crate::index::{Access, KeyTest};
use crate::keys;
use crate::kv::Cursor;
use crate::links::cost_of;
use crate::narrow::has_sets;
use crate::reader::Reader;
use crate::relevance::has_text;
use crate::search::Search;
use crate::walk::next_wanted;

/// Entries read of each condition in the first rounds. A driver with fewer is
/// collected and sorted without a thought.
pub(crate) const FEW: &[usize] = &[64, 512];
/// A condition for which the sample says so many times the entries to be read is not read on.
const UNLIKELY: f64 = 2.0;
/// Entries read when a short walk in the order asked for has not filled the page.
pub(crate) const MANY: &[usize] = &[COLLECT_MAX];
/// Entries read when all will be collected anyway.
pub(crate) const ALL: &[usize] = &[64, 512, COLLECT_MAX];
/// So many records are rather collected and sorted than walked to for long.
pub(crate) const COLLECT_MAX: usize = 4096;

/// References to more records than these are not merged by their dates.
const MERGED_MAX: usize = 1024;
/// References to more records than these are no way that is surely short.
const WIDE: usize = 64;
/// Going to a place costs about as much as reading so many rows here and there,
const ROWS_OF_SEEK: u64 = 8;
/// and so many that lie side by side.
const NEIGHBOURS_OF_SEEK: u64 = 64;
/// Going to a span counts as reading so many entries, lest many be gone to in vain.
pub(crate) const SEEK: usize = 2;
/// and as so many when there are others to try first.
const SEEK_OF_PROBE: usize = 8;

/// What a query asks, taken apart.
pub(crate) struct Conditions<'a> {
    /// Each of them must hold. Those that look at other records are last.
    pub(crate) all: Vec<&'a Filter>,
    /// Some look at other records.
    pub(crate) linked: bool,
    /// Some are large sets of tokens.
    pub(crate) sets: bool,
    /// Some look at texts.
    pub(crate) texts: bool,
    /// Some are references to many records.
    pub(crate) wide: bool,
    /// None can hold.
    pub(crate) impossible: bool,
}

/// The condition that drives.
pub(crate) struct Driver {
    pub(crate) access: Access,
    /// The seqs of its entries, if it came to its end; in no order, some perhaps twice.
    pub(crate) seqs: Option<Vec<u64>>,
}

impl<'a> Conditions<'a> {
    pub(crate) fn of(filter: &'a Filter) -> Self {
        let mut conditions = Self {
            all: Vec::new(),
            linked: false,
            sets: false,
            texts: false,
            wide: false,
            impossible: false,
        };
        conditions.add(filter);
        conditions.all.sort_by_key(|filter| filter.is_linked());
        conditions.texts = conditions.all.iter().any(|filter| has_text(filter));
        conditions.linked = conditions.all.last().is_some_and(|last| last.is_linked());
        conditions.wide = conditions.all.iter().any(|filter| is_wide(filter));
        conditions.sets = conditions.all.iter().any(|filter| has_sets(filter));
        conditions
    }

    fn add(&mut self, filter: &'a Filter) {
        match filter {
            Filter::Everything => {}
            Filter::Nothing => self.impossible = true,
            Filter::All(filters) => filters.iter().for_each(|filter| self.add(filter)),
            Filter::Any(filters) => match filters.as_slice() {
                [] => self.impossible = true,
                [one] => self.add(one),
                _ => self.all.push(filter),
            },
            Filter::Not(_)
            | Filter::Value(..)
            | Filter::Ids(_)
            | Filter::Updated(..)
            | Filter::Refers { .. }
            | Filter::Referred { .. } => self.all.push(filter),
        }
    }

    /// Reading what they are about may give conditions that an index answers.
    pub(crate) fn may_resolve(&self) -> bool {
        self.linked || self.sets || self.texts
    }

    /// Ids of which the record must have one.
    pub(crate) fn ids(&self) -> Option<&'a [Box<str>]> {
        self.all.iter().find_map(|filter| match filter {
            Filter::Ids(ids) => Some(ids.as_slice()),
            Filter::Everything
            | Filter::Nothing
            | Filter::All(_)
            | Filter::Any(_)
            | Filter::Not(_)
            | Filter::Value(..)
            | Filter::Updated(..)
            | Filter::Refers { .. }
            | Filter::Referred { .. } => None,
        })
    }
}

impl<'a> Search<'a> {
    /// The condition that fewest entries satisfy, among those that an index answers.
    pub(crate) fn driver(&mut self, rounds: &[usize]) -> Result<Option<Driver>, Error> {
        let mut probes = Vec::new();
        let mut ended = None;
        // They would not come to their end so soon.
        let but_wide = rounds.iter().all(|most| (1..COLLECT_MAX).contains(most));
        self.add_probes(&mut probes, but_wide);
        for (round, &most) in rounds.iter().enumerate() {
            if round > 0 && !self.may_end(most)? {
                break;
            }
            ended = self.first_to_end(&mut probes, most)?;
            if ended.is_none() && (self.narrow(most)? | self.resolve(most)?) {
                self.add_probes(&mut probes, but_wide);
                ended = self.first_to_end(&mut probes, most)?;
            }
            if ended.is_some() {
                break;
            }
        }
        for probe in &probes {
            self.links.touched += probe.touched as u64;
            self.links.skip(probe.skipped);
        }
        let at = ended.unwrap_or(0);
        if at >= probes.len() {
            return Ok(None);
        }
        let Probe {
            access, mut seqs, ..
        } = probes.swap_remove(at);
        seqs.retain(|seq| self.shows(*seq));
        let seqs = ended.map(|_| seqs);
        Ok(Some(Driver { access, seqs }))
    }

    /// Whether some condition probably has so few records that reading on in
    /// its entries is worth it.
    fn may_end(&mut self, most: usize) -> Result<bool, Error> {
        if self.conditions.may_resolve() {
            return Ok(true);
        }
        let Some(estimate) = self.estimate()? else {
            return Ok(true);
        };
        let mut known = (0..self.conditions.all.len()).map(|one| estimate.records(one));
        Ok(known.any(|records| records.is_none_or(|records| records < UNLIKELY * most as f64)))
    }

    /// Where nothing else drives: if linked conditions can be resolved by
    /// reading less than all records of the kind, what they become.
    pub(crate) fn resolve_rather_than_read_all(&mut self) -> Result<Option<Access>, Error> {
        if !self.conditions.may_resolve() {
            return Ok(None);
        }
        let reader = self.reader;
        let all = read_count(&reader.view, reader.scope, self.query.kind)?;
        let most = all.min(reader.core.rows_max);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.narrow(most)?;
        self.resolve(most)?;
        let mut probes = Vec::new();
        self.add_probes(&mut probes, false);
        Ok(probes.into_iter().next().map(|probe| probe.access))
    }

    /// The place of a condition whose entries lie in the order of main dates,
    /// and were not walked along before.
    pub(crate) fn dated_access(&self) -> Option<(usize, Access)> {
        let all = self.conditions.all.iter().enumerate();
        let rest = all.filter(|(condition, filter)| {
            !(self.walked.contains(condition) || self.conditions.wide && is_wide(filter))
        });
        let mut accesses =
            rest.filter_map(|(condition, filter)| Some((condition, self.access(filter)?)));
        accesses.find(|(_, access)| {
            access.by_date && access.given.is_empty() && access.spans.len() <= MERGED_MAX
        })
    }

    /// How long a walk in the order asked for may be, if it probably is shorter
    /// than going to the references to each of many records.
    pub(crate) fn walk_worth(&self, wanted: usize) -> Result<Option<u64>, Error> {
        let [Filter::Refers { kind, filter, .. }] = self.conditions.all[..] else {
            return Ok(None);
        };
        let Some(targets) = self.links.targets(filter) else {
            return Ok(None);
        };
        let reader = self.reader;
        let all = read_count(&reader.view, reader.scope, *kind)?;
        let targets = targets.len() as u64;
        // As if all of the kind were referred to as often.
        let rows = all.saturating_mul(wanted as u64) / targets.max(1);
        let of_seek = match self.query.sort {
            [] => NEIGHBOURS_OF_SEEK,
            _ => ROWS_OF_SEEK,
        };
        let worth = rows < targets.saturating_mul(of_seek);
        Ok(worth.then(|| rows.saturating_mul(4)))
    }

    /// Those of conditions that have none and can have one; references first:
    /// they are selective more often than not.
    fn add_probes(&self, probes: &mut Vec<Probe<'a>>, but_wide: bool) {
        let but_wide = but_wide && self.conditions.wide;
        let conditions = self.conditions.all.iter().enumerate();
        for (condition, filter) in conditions {
            let has = but_wide && is_wide(filter)
                || probes.iter().any(|probe| probe.condition == condition);
            let access = if has { None } else { self.access(filter) };
            probes.extend(access.map(|access| Probe::new(condition, access)));
        }
        probes.sort_by_key(|probe| (!probe.access.by_date, !probe.access.single));
    }

    /// Reads on in each until one comes to its end.
    fn first_to_end(&self, probes: &mut [Probe<'a>], most: usize) -> Result<Option<usize>, Error> {
        for (at, probe) in probes.iter_mut().enumerate() {
            if probe.read(self.reader, self.wanted, most)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// How an index answers a condition, if one does.
    pub(crate) fn access(&self, filter: &Filter) -> Option<Access> {
        let index = &self.reader.core.index;
        let scope = self.reader.scope;
        match filter {
            Filter::Value(param, Test::Tokens(tokens)) => self.of_tokens(*param, tokens),
            Filter::Value(_, Test::Words(_)) => self.text_access(filter),
            Filter::Value(_, Test::Passage(_)) => None,
            Filter::Value(param, test) => Some(index.access(scope, self.query.kind, *param, test)),
            Filter::Any(filters) => {
                let all = filters.iter().map(|one| self.access(one));
                Some(Access::any(all.collect::<Option<_>>()?))
            }
            Filter::All(filters) => {
                let one = filters.iter().find_map(|one| self.access(one))?;
                Some(Access {
                    exact: one.exact && filters.len() == 1,
                    ..one
                })
            }
            Filter::Refers {
                param,
                kind: to,
                filter,
            } => {
                let ids = self.links.targets(filter)?;
                let spans = ids.iter().map(|id| {
                    let (kind, id) = (Some(*to), id.clone());
                    let test = Test::Reference { kind, id };
                    index.access(scope, self.query.kind, *param, &test)
                });
                Some(Access::any(spans.collect()))
            }
            Filter::Referred { filter, .. } => Some(Access {
                given: self.links.referred(filter)?.to_vec(),
                single: true,
                ..Access::any(Vec::new())
            }),
            Filter::Nothing => Some(Access::any(Vec::new())),
            Filter::Everything | Filter::Not(_) | Filter::Ids(_) | Filter::Updated(..) => None,
        }
    }
}

/// Whether a condition is about references to many records.
fn is_wide(filter: &Filter) -> bool {
    match filter {
        Filter::Value(_, Test::References(set)) => set.ids().len() > WIDE,
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(is_wide),
        Filter::Everything
        | Filter::Nothing
        | Filter::Not(_)
        | Filter::Value(..)
        | Filter::Ids(_)
        | Filter::Updated(..)
        | Filter::Refers { .. }
        | Filter::Referred { .. } => false,
    }
}

/// A condition that is being read.
struct Probe<'a> {
    /// Its place among all.
    condition: usize,
    access: Access,
    span: usize,
    cursor: Option<Cursor<'a>>,
    touched: usize,
    skipped: u64,
    seqs: Vec<u64>,
}

impl<'a> Probe<'a> {
    fn new(condition: usize, access: Access) -> Self {
        Self {
            condition,
            span: 0,
            cursor: None,
            touched: access.given.len(),
            skipped: 0,
            seqs: access.given.clone(),
            access,
        }
    }

    /// Reads on until so many entries were read; says whether it came to its end before.
    fn read(&mut self, reader: &'a Reader, wanted: &[Vec<u8>], most: usize) -> Result<bool, Error> {
        let wanted = if self.access.hinted { wanted } else { &[] };
        if self.access.spans.len().saturating_mul(SEEK_OF_PROBE) > most {
            return Ok(false);
        }
        while let Some(span) = self.access.spans.get(self.span) {
            let cursor = match &mut self.cursor {
                Some(cursor) => cursor,
                none => none.insert(reader.view.forward(&span.start, &span.end)?),
            };
            loop {
                if self.touched as u64 + cost_of(self.skipped) >= most as u64 {
                    return Ok(false);
                }
                let Some(key) = next_wanted(cursor, wanted, &mut self.skipped)? else {
                    break;
                };
                self.touched += 1;
                if matches!(span.test, KeyTest::Any) || span.test.passes(key) {
                    self.seqs.push(keys::last_number(key));
                }
            }
            self.cursor = None;
            self.span += 1;
        }
        Ok(true)
    }
}
