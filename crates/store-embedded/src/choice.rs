//! Choosing between the ways to a page by what they probably cost.
//!
//! The short ways were tried: no condition has few records. What is left is to
//! walk in the order asked for, to walk along one index in the order of seqs,
//! or to read one or several indexes whole, keep what all of them have, and
//! sort. What each costs follows from the sample of the kind; the cheapest is
//! tried first, and given up for the next when it takes much longer than it
//! should.

use salus_store::{Error, Filter, Param, Sort};

use crate::estimate::Estimate;
use crate::index::{Access, Hints, Span};
use crate::keys;
use crate::links::SKIPPED_PER_ROW;
use crate::search::{After, Chosen, Search};

/// What things cost, in microseconds, about: the next entry of an index,
const ENTRY_US: f64 = 0.25;
/// the rows of a record that lies anywhere,
const ROW_US: f64 = 2.5;
/// those of the next one of a kind,
const NEXT_ROW_US: f64 = 0.6;
/// and going to a place.
const SEEK_US: f64 = 20.0;

/// What takes longer is done aside.
const LONG_US: f64 = 1500.0;
/// A way is given up after so many times the rows that it should take,
const PATIENCE: f64 = 4.0;
/// and these.
const ROWS_MIN: f64 = 1024.0;
/// So many times the balance of a walk to the next rank.
const SLACK: f64 = 6.0;
/// Entries of an index whose records may each be looked at.
const SHORT: f64 = 20_000.0;
/// References to more records than these are no way.
const SPANS_MAX: usize = 2048;

/// A way to a page, and what it probably takes.
struct Way {
    by: By,
    rows: f64,
    us: f64,
    /// Rows that it may take beside, where many have the same value.
    slack: f64,
}

enum By {
    /// The records in the order asked for.
    Order(Option<Bounds>),
    /// The entries of one index from the newest.
    Seq(Indexed),
    /// The entries of references to certain records, merged by their dates.
    Date(Indexed),
    /// All entries of these, and sorted.
    All(Vec<Indexed>, Filtered),
}

/// Whether the records have to be looked at.
type Filtered = bool;

/// Between which keys a walk along a parameter finds all that match.
#[derive(Clone)]
pub(crate) struct Bounds {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    /// Conditions that hold for most between them.
    conditions: Vec<usize>,
}
salus_phi::guard!(Bounds);

/// An index that answers a condition.
#[derive(Clone)]
pub(crate) struct Indexed {
    condition: usize,
    pub(crate) access: Access,
    entries: f64,
}

impl<'a> Search<'a> {
    /// The page by the cheapest way; `None` if nothing is known of what ways cost.
    pub(crate) fn by_estimate(
        &mut self,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        self.step("decide on a sample", &[], None);
        let Some(estimate) = self.estimate()? else {
            return Ok(None);
        };
        let mut ways = self.ways(&estimate, wanted)?;
        ways.sort_by(|a, b| a.us.total_cmp(&b.us));
        if let Some(first) = ways.first()
            && first.us < LONG_US
        {
            let rows_max = first.rows_max();
            let page = self.by_way(first, after, wanted, rows_max)?;
            if page.is_some() {
                return Ok(page);
            }
            if ways.len() > 1 {
                ways.remove(0);
            }
        }
        let core = &self.reader.core;
        core.aside.run(|| self.first_of(&ways, after, wanted))
    }

    /// The page by the first way that does not take too long; the last may.
    fn first_of(
        &mut self,
        ways: &[Way],
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        for (at, way) in ways.iter().enumerate() {
            let is_last = at + 1 == ways.len();
            let rows_max = match is_last {
                true => u64::MAX,
                false => way.rows_max(),
            };
            let page = self.by_way(way, after, wanted, rows_max)?;
            if page.is_some() {
                return Ok(page);
            }
        }
        Ok(None)
    }

    fn by_way(
        &mut self,
        way: &Way,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let expected = Some(way.rows);
        match &way.by {
            By::Order(bounds) => {
                let of = bounds.as_ref().map_or(&[][..], |bounds| &bounds.conditions);
                self.step("walk in the order asked for", of, expected);
                self.bounds.clone_from(bounds);
                self.walk(after, wanted, rows_max)
            }
            By::Seq(one) => {
                self.step("walk along an index", &[one.condition], expected);
                self.by_seq(&one.access, after, wanted, rows_max)
            }
            By::Date(one) => {
                self.step("merge references by date", &[one.condition], expected);
                self.by_main_date(&one.access, self.is_descending(), after, wanted)
            }
            By::All(all, filtered) => {
                let of: Vec<_> = all.iter().map(|one| one.condition).collect();
                self.step("read indexes whole and sort", &of, expected);
                let seqs = self.collect_common(all)?;
                Ok(Some(self.sorted(seqs, *filtered, after, wanted)?))
            }
        }
    }

    /// How many records satisfy the conditions, by the indexes that have the
    /// fewest; `None` if nothing is known of what that costs.
    pub(crate) fn count_by_estimate(&mut self) -> Result<Option<u64>, Error> {
        let Some(estimate) = self.estimate()? else {
            return Ok(None);
        };
        let indexed = self.indexed(&estimate)?;
        let Some(way) = self.all_of(&estimate, indexed, usize::MAX) else {
            return Ok(None);
        };
        let By::All(all, filtered) = way.by else {
            return Ok(None);
        };
        if way.us > estimate.all * NEXT_ROW_US {
            return self.count_current().map(Some);
        }
        if let [one] = all.as_slice()
            && !filtered
            && let Some(value) = self.only_value(&one.access)?
        {
            return self.count_value(value).map(Some);
        }
        let seqs = self.collect_common(&all)?;
        self.count_seqs(seqs, filtered).map(Some)
    }

    /// Whether some index is so short that its records are rather looked at
    /// one by one than the records found to which they should refer.
    pub(crate) fn has_short_index(&mut self) -> Result<bool, Error> {
        let Some(estimate) = self.estimate()? else {
            return Ok(self.driver(&[0])?.is_some());
        };
        let indexed = self.indexed(&estimate)?;
        Ok(indexed.iter().any(|one| one.entries < SHORT))
    }

    fn ways(&mut self, estimate: &Estimate, wanted: usize) -> Result<Vec<Way>, Error> {
        let indexed = self.indexed(estimate)?;
        let matching = estimate.part_of_all();
        let mut ways = Vec::new();
        ways.extend(self.in_order_asked(estimate, wanted)?);
        let by_date = self.is_by_main_date();
        for one in &indexed {
            if by_date && one.access.by_date && !self.walked.contains(&one.condition) {
                let part = estimate.part([one.condition]);
                let rows = (wanted as f64 * part / matching).min(one.entries);
                ways.push(Way {
                    by: By::Date(one.clone()),
                    rows,
                    us: one.access.spans.len() as f64 * SEEK_US + rows * (ENTRY_US + ROW_US),
                    slack: 0.0,
                });
            }
            if one.access.by_seq && self.query.sort.is_empty() {
                let part = estimate.part([one.condition]);
                let rows = (wanted as f64 * part / matching).min(one.entries);
                ways.push(Way {
                    by: By::Seq(one.clone()),
                    rows,
                    us: SEEK_US + rows * (ENTRY_US + ROW_US),
                    slack: 0.0,
                });
            }
        }
        ways.extend(self.all_of(estimate, indexed, wanted));
        Ok(ways)
    }

    /// Going through the records in the order asked for.
    fn in_order_asked(&mut self, estimate: &Estimate, wanted: usize) -> Result<Option<Way>, Error> {
        let (bounds, row_us, hinted) = match *self.query.sort {
            [] | [Sort::Updated { .. }, ..] => (None, NEXT_ROW_US, false),
            [Sort::Id { .. }, ..] => (None, ENTRY_US + ROW_US, false),
            [Sort::Value { param, .. }, ..] if self.can_walk(param)? => {
                let hinted = self.shows_hints(param)?;
                (self.bounds(param)?, ENTRY_US + ROW_US, hinted)
            }
            _ => return Ok(None),
        };
        let conditions = bounds.iter().flat_map(|bounds| &bounds.conditions);
        let conditions: Vec<usize> = conditions.copied().collect();
        let within = estimate.part(conditions.iter().copied());
        let entries = wanted as f64 * within / estimate.part_of_all();
        let entries = entries.min(estimate.all * within);
        let (rows, us) = match hinted {
            true => {
                let shown = self.hinted().chain(conditions);
                let shown = entries * estimate.part(shown) / within;
                let rows = shown + entries / SKIPPED_PER_ROW as f64;
                (rows, entries * ENTRY_US + shown * ROW_US)
            }
            false => (entries, entries * row_us),
        };
        Ok(Some(Way {
            by: By::Order(bounds),
            rows,
            us: SEEK_US + us,
            slack: SLACK * self.balance(wanted)?,
        }))
    }

    /// The conditions that hints tell of.
    fn hinted(&self) -> impl Iterator<Item = usize> {
        let conditions = self.conditions.all.iter().enumerate();
        let hinted = conditions.filter(|(_, one)| Hints::wanted(one).is_some());
        hinted.map(|(condition, _)| condition)
    }

    /// Reading all entries of the index that has the fewest, and of others as
    /// far as they spare more than they cost.
    fn all_of(&self, estimate: &Estimate, mut indexed: Vec<Indexed>, wanted: usize) -> Option<Way> {
        indexed.sort_by(|a, b| a.us().total_cmp(&b.us()));
        let matching = estimate.part_of_all();
        let rows_of = |part: f64| match self.query.sort.is_empty() {
            true => (wanted as f64 * part / matching).min(part * estimate.all),
            false => part * estimate.all,
        };
        let mut rest = indexed.into_iter();
        let first = rest.next()?;
        let mut us = first.us();
        let mut entries = first.entries;
        let mut taken = vec![first.condition];
        let mut is_exact = first.access.exact;
        let mut all = vec![first];
        for one in rest {
            let before = estimate.part(taken.iter().copied());
            let with = estimate.part(taken.iter().copied().chain([one.condition]));
            let all_exact =
                is_exact && one.access.exact && taken.len() + 1 == self.conditions.all.len();
            let spared = match all_exact && self.query.sort.is_empty() {
                true => rows_of(before),
                false => rows_of(before) - rows_of(with),
            };
            if one.us() < spared * ROW_US {
                us += one.us();
                entries += one.entries;
                is_exact &= one.access.exact;
                taken.push(one.condition);
                all.push(one);
            }
        }
        let filtered = !is_exact || taken.len() < self.conditions.all.len();
        let rows = match filtered || !self.query.sort.is_empty() {
            true => rows_of(estimate.part(taken)),
            false => 0.0,
        };
        Some(Way {
            by: By::All(all, filtered),
            rows: rows + entries,
            us: us + rows * ROW_US,
            slack: 0.0,
        })
    }

    /// The indexes that answer conditions, each with its size.
    fn indexed(&mut self, estimate: &Estimate) -> Result<Vec<Indexed>, Error> {
        let mut indexed = Vec::new();
        for (condition, filter) in self.conditions.all.iter().enumerate() {
            if self.targets_of(filter) > SPANS_MAX {
                continue;
            }
            let Some(access) = self.access(filter) else {
                continue;
            };
            let entries = match estimate.records(condition) {
                Some(records) if access.exact => records,
                Some(_) | None => estimate.entries(self, &access)?,
            };
            indexed.push(Indexed {
                condition,
                access,
                entries,
            });
        }
        Ok(indexed)
    }

    /// To how many records a condition points.
    fn targets_of(&self, filter: &'a Filter) -> usize {
        match filter {
            Filter::Refers { filter, .. } => self.links.targets(filter).map_or(0, <[_]>::len),
            Filter::All(filters) | Filter::Any(filters) => {
                filters.iter().map(|one| self.targets_of(one)).sum()
            }
            Filter::Everything
            | Filter::Nothing
            | Filter::Not(_)
            | Filter::Value(..)
            | Filter::Ids(_)
            | Filter::Updated(..)
            | Filter::Referred { .. } => 0,
        }
    }

    /// Where a walk along a parameter meets all that match, if conditions on
    /// it say so. Only if no record has several values: one might match by a
    /// value that is not the one it is sorted by.
    pub(crate) fn bounds(&self, param: Param) -> Result<Option<Bounds>, Error> {
        let reader = self.reader;
        let of = (reader.scope, self.query.kind);
        let mut bounds: Option<Bounds> = None;
        for (condition, filter) in self.conditions.all.iter().enumerate() {
            let Filter::Value(of_param, test) = filter else {
                continue;
            };
            if *of_param != param || !reader.core.samples.is_single(of, param) {
                continue;
            }
            let access = reader.core.index.access(of.0, of.1, param, test);
            let Some(span) = self.only_span(&access)? else {
                continue;
            };
            match &mut bounds {
                Some(bounds) => {
                    bounds.start = bounds.start.clone().max(span.start.clone());
                    bounds.end = bounds.end.clone().min(span.end.clone());
                    bounds.conditions.push(condition);
                }
                None => {
                    bounds = Some(Bounds {
                        start: span.start.clone(),
                        end: span.end.clone(),
                        conditions: vec![condition],
                    });
                }
            }
        }
        Ok(bounds)
    }

    /// The span in the index of values outside of which nothing passes. What
    /// lasts long has another, by its end, and may begin anywhere.
    fn only_span<'s>(&self, access: &'s Access) -> Result<Option<&'s Span>, Error> {
        let view = &self.reader.view;
        let mut only = None;
        for span in &access.spans {
            match span.start.first() {
                Some(&keys::INDEX) if only.is_none() => only = Some(span),
                Some(&keys::LONG)
                    if view.forward(&span.start, &span.end)?.next_key()?.is_none() => {}
                _ => return Ok(None),
            }
        }
        Ok(only)
    }
}

impl Way {
    /// After so many rows it is given up.
    fn rows_max(&self) -> u64 {
        (self.rows * PATIENCE + ROWS_MIN + self.slack) as u64
    }
}

impl Indexed {
    fn us(&self) -> f64 {
        self.access.spans.len() as f64 * SEEK_US + self.entries * ENTRY_US
    }
}
