//! Choosing the way to a page.
//!
//! First what is surely short: a few records by an index, references in the
//! order asked for. Then a short walk in that order, which often fills the
//! page. Then more is read to know which conditions have few records, and at
//! last all of them are collected.

use salus_store::{Error, Sort};

use crate::index::Access;
use crate::plan::{COLLECT_MAX, Driver, FEW, MANY};
use crate::search::{After, Chosen, Search};

/// Rows that a walk may look at before the driver's entries are counted further,
pub(crate) const SHORT_WALK: u64 = 1024;
/// or rather these, if the conditions look at other records,
const LINKED_WALK: u64 = 256;
/// and before they are collected after all.
const LONG_WALK: u64 = 8 * COLLECT_MAX as u64;

/// Versions with certain words that are listed before it is known whether
/// another way is shorter.
pub(crate) const TEXT_MAX: usize = 64 * COLLECT_MAX;

impl<'a> Search<'a> {
    /// The page, and one more record if there is one.
    pub(crate) fn page(&mut self, limit: usize) -> Result<Vec<Chosen>, Error> {
        let after = self.after()?;
        if limit == 0 || self.conditions.impossible {
            return Ok(Vec::new());
        }
        let (after, wanted) = (after.as_ref(), limit.saturating_add(1));
        if let Some(ids) = self.conditions.ids() {
            self.step("go to the ids", &[], None);
            let seqs = self.seqs_of_ids(ids)?;
            return self.sorted(seqs, true, after, wanted);
        }
        if let Some(page) = self.in_order(after, wanted)? {
            return Ok(page);
        }
        self.step("read a little of each index", &[], None);
        let driver = match self.driver(FEW)? {
            Some(Driver {
                access,
                seqs: Some(seqs),
            }) => return self.by_few(&access, seqs, after, wanted),
            driver => driver,
        };
        if let Some(page) = self.by_relevance(after, wanted)? {
            return Ok(page);
        }
        self.resolve_texts(TEXT_MAX)?;
        if self.is_all_decidable()
            && let Some(page) = self.by_estimate(after, wanted)?
        {
            return Ok(page);
        }
        self.step("walk in the order asked for", &[], None);
        // There is another way if this one is long.
        let choice = driver.is_some() || self.conditions.may_resolve() || self.conditions.wide;
        let walk_max = match choice {
            true if self.conditions.linked => LINKED_WALK,
            true => SHORT_WALK,
            false => u64::MAX,
        };
        if let Some(page) = self.short_walk(driver.as_ref(), after, wanted, walk_max)? {
            return Ok(page);
        }
        let core = &self.reader.core;
        core.aside.run(|| self.long_way(choice, after, wanted))
    }

    /// The first ways to try once nothing is known to be few.
    fn short_walk(
        &mut self,
        driver: Option<&Driver>,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        if self.conditions.linked {
            // Linked conditions may have become references.
            if let Some(rows_max) = self.walk_worth(wanted)?
                && let Some(page) = self.walk(after, wanted, rows_max)?
            {
                return Ok(Some(page));
            }
            if let Some(page) = self.in_order(after, wanted)? {
                return Ok(Some(page));
            }
        }
        match driver {
            Some(driver) if driver.access.by_seq && self.query.sort.is_empty() => {
                let alone = self.conditions.all.len() == 1;
                let rows_max = if alone { u64::MAX } else { rows_max };
                self.by_seq(&driver.access, after, wanted, rows_max)
            }
            _ => self.walk(after, wanted, rows_max),
        }
    }

    /// What is left when a short walk has not filled the page.
    fn long_way(
        &mut self,
        choice: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        self.step("find the records referred to", &[], None);
        if self.conditions.linked
            && self.resolve(COLLECT_MAX)?
            && self.is_all_decidable()
            && let Some(page) = self.by_estimate(after, wanted)?
        {
            return Ok(page);
        }
        let alone = self.conditions.all.len() == 1;
        if alone
            && self.resolve(COLLECT_MAX)?
            && let Some(page) = self.short_walk(None, after, wanted, SHORT_WALK)?
        {
            // What is pointed to is known: each row is soon decided.
            return Ok(page);
        }
        self.step("read more of each index", &[], None);
        let driver = match choice {
            true => self.driver(MANY)?,
            false => None,
        };
        match driver {
            Some(Driver {
                access,
                seqs: Some(seqs),
            }) => self.by_few(&access, seqs, after, wanted),
            Some(Driver { access, .. }) => {
                if self.conditions.linked
                    && let Some(page) = self.in_order(after, wanted)?
                {
                    return Ok(page);
                }
                let page = match access.by_seq && self.query.sort.is_empty() {
                    true => self.by_seq(&access, after, wanted, u64::MAX)?,
                    false => self.walk(after, wanted, LONG_WALK)?,
                };
                match page {
                    Some(page) => Ok(page),
                    None => self.by_many(&access, after, wanted),
                }
            }
            None => self.without_driver(choice, after, wanted),
        }
    }

    /// No index answers any condition, or those that are linked to too many.
    fn without_driver(
        &mut self,
        choice: bool,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        if choice {
            if let Some(page) = self.walk(after, wanted, LONG_WALK)? {
                return Ok(page);
            }
            if let Some(access) = self.resolve_rather_than_read_all()? {
                return self.by_many(&access, after, wanted);
            }
            if let Some(page) = self.walk(after, wanted, u64::MAX)? {
                return Ok(page);
            }
        }
        let seqs = self.collect_current()?;
        self.sorted(seqs, true, after, wanted)
    }

    /// Along references that lie in the order asked for, if there are that
    /// were not tried before.
    fn in_order(
        &mut self,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        if !self.is_by_main_date() {
            return Ok(None);
        }
        let Some((condition, access)) = self.dated_access() else {
            return Ok(None);
        };
        self.step("merge references by date", &[condition], None);
        self.walked.push(condition);
        self.by_main_date(&access, self.is_descending(), after, wanted)
    }

    /// Whether references lie in the order asked for.
    pub(crate) fn is_by_main_date(&self) -> bool {
        let [Sort::Value { param, .. }, ..] = *self.query.sort else {
            return false;
        };
        let of = (self.reader.scope, self.query.kind);
        let main_dates = &self.reader.core.main_dates;
        main_dates.read().get(&of).is_some_and(|it| it.is(param))
    }

    /// Whether the greatest value of a parameter comes first.
    pub(crate) fn is_descending(&self) -> bool {
        matches!(
            self.query.sort,
            [
                Sort::Value {
                    descending: true,
                    ..
                },
                ..
            ]
        )
    }

    /// All that the driver gives, sorted.
    pub(crate) fn by_few(
        &mut self,
        access: &Access,
        seqs: Vec<u64>,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let filtered = self.is_filtered(access);
        self.sorted(seqs, filtered, after, wanted)
    }

    /// All that an index gives, whatever it is, sorted.
    fn by_many(
        &mut self,
        access: &Access,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let seqs = self.collect(access)?;
        self.sorted(seqs, true, after, wanted)
    }

    /// Goes through records in the order asked for, if there is a way, until
    /// the page is full; `None` if there is none or it takes too many rows.
    pub(crate) fn walk(
        &mut self,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let rows_max = self.links.touched.saturating_add(rows_max);
        self.walk_by(self.query.sort, after, wanted, rows_max)
    }

    /// The same in the order of these keys, until so many rows were touched.
    pub(crate) fn walk_by(
        &mut self,
        sort: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        match sort {
            [] => self.by_current(after, wanted, rows_max),
            [Sort::Updated { descending }, rest @ ..] => {
                let by = (*descending, rest.is_empty());
                self.by_time(by, after, wanted, rows_max)
            }
            [Sort::Id { descending }, ..] => self.by_id(*descending, after, wanted, rows_max),
            [Sort::Value { param, descending }, rest @ ..] if self.can_walk(*param)? => {
                let by = (*param, *descending);
                self.by_value(by, rest, after, wanted, rows_max)
            }
            [Sort::Value { .. } | Sort::Relevance(_), ..] => Ok(None),
        }
    }
}
