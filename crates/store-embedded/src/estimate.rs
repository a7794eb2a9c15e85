//! How many records probably satisfy conditions, by a sample of their kind.

use std::rc::Rc;
use std::sync::Arc;

use salus_store::{Error, Filter, Kind, Param, Scope, Test};

use crate::core::read_count;
use crate::index::Access;
use crate::keys;
use crate::links::Among;
use crate::narrow::is_large;
use crate::row::Entry;
use crate::sample::{Loaded, SIZE};
use crate::search::Search;

/// What is taken for the part of the records that satisfy a condition of which nothing is known.
const UNKNOWN: f64 = 0.25;

/// Which records of a sample, a bit each.
type Bits = [u64; SIZE / 64];

/// What is known of the records of a kind.
pub(crate) struct Estimate {
    /// How many are current.
    pub(crate) all: f64,
    /// Those of the sample that show at the point.
    shown: Bits,
    /// Those that satisfy each condition; `None` where other records would have to be read.
    conditions: Vec<Option<Bits>>,
    sample: Arc<Loaded>,
}

impl<'a> Search<'a> {
    /// Looks at the sample of the kind, if there is one; not again while no
    /// other conditions can be decided.
    pub(crate) fn estimate(&mut self) -> Result<Option<Rc<Estimate>>, Error> {
        let all = self.conditions.all.iter();
        let decidable: Vec<bool> = all.map(|one| self.is_decidable(one)).collect();
        let is_same = |known: &Rc<Estimate>| known.decided().eq(decidable.iter().copied());
        if self.estimated.as_ref().is_some_and(is_same) {
            return Ok(self.estimated.clone());
        }
        self.estimated = self.estimate_anew(&decidable)?.map(Rc::new);
        Ok(self.estimated.clone())
    }

    fn estimate_anew(&mut self, decidable: &[bool]) -> Result<Option<Estimate>, Error> {
        let reader = self.reader;
        let kind = self.query.kind;
        let Some(sample) = reader.core.samples.of(reader, kind)? else {
            return Ok(None);
        };
        let all = read_count(&reader.view, reader.scope, kind)?;
        let mut shown = Bits::default();
        let decidable = decidable.iter();
        let mut conditions: Vec<_> = decidable.map(|it| it.then(Bits::default)).collect();
        for (at, (seq, entry)) in sample.entries.iter().enumerate() {
            if !self.shows(*seq) {
                continue;
            }
            let candidate = Entry::read(entry)?.candidate(*seq)?;
            set(&mut shown, at);
            let mut others = Among::new(reader, &mut self.links);
            for (filter, bits) in self.conditions.all.iter().zip(&mut conditions) {
                if let Some(bits) = bits
                    && filter.matches_among(kind, &candidate, &mut others)?
                {
                    set(bits, at);
                }
            }
        }
        let size = count(&shown);
        if (u64::from(size) * 2) < all.min(SIZE as u64) {
            // Most were superseded since.
            reader.core.samples.want((reader.scope, kind));
        }
        let estimate = Estimate {
            all: all as f64,
            shown,
            conditions,
            sample,
        };
        let conditions = 0..estimate.conditions.len();
        self.tell(conditions.map(|condition| estimate.records(condition)));
        Ok((size > 0).then_some(estimate))
    }

    /// Whether all conditions can be decided on a record without reading others.
    pub(crate) fn is_all_decidable(&self) -> bool {
        let mut all = self.conditions.all.iter();
        all.all(|filter| self.is_decidable(filter))
    }

    /// Whether it can be said of a record without reading others.
    fn is_decidable(&self, filter: &'a Filter) -> bool {
        match filter {
            // Not before it was compared with the index, or it is no way.
            Filter::Value(param, Test::Tokens(tokens)) if is_large(tokens) => {
                self.of_tokens(*param, tokens).is_some()
            }
            Filter::Refers { filter, .. } => self.links.targets(filter).is_some(),
            Filter::Referred { filter, .. } => self.links.referred(filter).is_some(),
            Filter::All(filters) | Filter::Any(filters) => {
                filters.iter().all(|filter| self.is_decidable(filter))
            }
            Filter::Not(filter) => self.is_decidable(filter),
            Filter::Everything
            | Filter::Nothing
            | Filter::Value(..)
            | Filter::Ids(_)
            | Filter::Updated(..) => true,
        }
    }
}

impl Estimate {
    /// The part of all records that satisfies each of these conditions; never zero.
    pub(crate) fn part(&self, conditions: impl IntoIterator<Item = usize>) -> f64 {
        let size = f64::from(count(&self.shown));
        let (mut joint, mut product, mut unknown) = (self.shown, 1.0, 1.0);
        for condition in conditions {
            match self.conditions.get(condition) {
                Some(Some(bits)) => {
                    let known = f64::from(count(bits));
                    product *= known.max(0.5) / size;
                    joint
                        .iter_mut()
                        .zip(bits)
                        .for_each(|(all, one)| *all &= one);
                }
                Some(None) | None => unknown *= UNKNOWN,
            }
        }
        let found = f64::from(count(&joint));
        let known = match found > 0.0 {
            true => found / size,
            false => product.min(0.5 / size),
        };
        known * unknown
    }

    /// The part that satisfies all conditions.
    pub(crate) fn part_of_all(&self) -> f64 {
        self.part(0..self.conditions.len())
    }

    /// Which conditions can be decided.
    fn decided(&self) -> impl Iterator<Item = bool> {
        self.conditions.iter().map(Option::is_some)
    }

    /// How many satisfy a condition, if that is known.
    pub(crate) fn records(&self, condition: usize) -> Option<f64> {
        let is_known = self.conditions.get(condition)?.is_some();
        is_known.then(|| self.part([condition]) * self.all)
    }

    /// How many of the sample satisfy all conditions that can be decided on it.
    pub(crate) fn found(&self) -> u32 {
        let mut joint = self.shown;
        for bits in self.conditions.iter().flatten() {
            joint
                .iter_mut()
                .zip(bits)
                .for_each(|(all, one)| *all &= one);
        }
        count(&joint)
    }

    /// How many records there probably are if so many of the sample are.
    pub(crate) fn of_found(&self, found: u32) -> u64 {
        (f64::from(found) / f64::from(count(&self.shown)) * self.all).round() as u64
    }

    /// The records of the sample, superseded ones among them.
    pub(crate) fn records_of_sample(&self) -> &[(u64, Vec<u8>)] {
        &self.sample.entries
    }

    /// How many entries lie in the spans of an index, whether or not their records pass.
    pub(crate) fn entries(&self, search: &Search<'_>, access: &Access) -> Result<f64, Error> {
        if access.spans.is_empty() {
            return Ok(access.given.len() as f64);
        }
        let (scope, kind) = (search.reader.scope, search.query.kind);
        let index = &search.reader.core.index;
        let mut found = access.given.len() as u32;
        for param in params(scope, kind, access) {
            let mut key = keys::of_param(keys::INDEX, scope, kind, param);
            let start = key.len();
            for (seq, entry) in &self.sample.entries {
                if !search.shows(*seq) {
                    continue;
                }
                for value in Entry::read(entry)?.rows()?.values(param) {
                    key.truncate(start);
                    index.put_value(&mut key, value, None);
                    let mut spans = access.spans.iter();
                    found += u32::from(spans.any(|span| span.start <= key && key < span.end));
                }
            }
        }
        let part = f64::from(found).max(0.5) / f64::from(count(&self.shown));
        Ok(part * self.all)
    }
}

/// The parameters whose keys lie in the spans.
fn params(scope: Scope, kind: Kind, access: &Access) -> Vec<Param> {
    let start = keys::of_kind(keys::INDEX, scope, kind);
    let params = access.spans.iter().filter_map(|span| {
        let param = span.start.strip_prefix(start.as_slice())?;
        Some(Param(u32::from_be_bytes(*param.first_chunk()?)))
    });
    let mut params: Vec<_> = params.collect();
    params.sort_unstable();
    params.dedup();
    params
}

fn set(bits: &mut Bits, at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn count(bits: &Bits) -> u32 {
    bits.iter().map(|word| word.count_ones()).sum()
}
