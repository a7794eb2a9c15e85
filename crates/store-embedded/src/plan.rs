//! Choosing what drives a query: the condition that the fewest records satisfy.
//!
//! There are no statistics to go stale. Each condition that an index answers
//! is tried: its entries are counted until there are more than a few, then
//! until there are more than many. The first to run out is the driver.

use salus_store::{Error, Filter, Kind, Scope};

use crate::index::{Access, Index, Span};
use crate::kv::View;

/// Entries counted in the first rounds of choosing. Fewer than these are
/// collected and sorted without a thought.
pub(crate) const FEW: &[usize] = &[64, 512];
/// Entries counted when a short walk in the order asked for has not filled the page.
pub(crate) const MANY: &[usize] = &[COLLECT_MAX];
/// Entries counted when all will be collected anyway.
pub(crate) const ALL: &[usize] = &[64, 512, COLLECT_MAX];
/// So many records are rather collected and sorted than walked to for long.
pub(crate) const COLLECT_MAX: usize = 4096;

/// What a query asks, taken apart.
pub(crate) struct Conditions<'a> {
    /// Each of them must hold.
    pub(crate) all: Vec<&'a Filter>,
    /// None can hold.
    pub(crate) impossible: bool,
}

/// The condition that drives, and how it is read.
pub(crate) struct Driver {
    pub(crate) access: Access,
    /// There are fewer than were counted.
    pub(crate) few: bool,
}

impl<'a> Conditions<'a> {
    pub(crate) fn of(filter: &'a Filter) -> Self {
        let mut conditions = Self {
            all: Vec::new(),
            impossible: false,
        };
        conditions.add(filter);
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
            Filter::Not(_) | Filter::Value(..) | Filter::Ids(_) | Filter::Updated(..) => {
                self.all.push(filter);
            }
        }
    }

    /// Ids of which the record must have one.
    pub(crate) fn ids(&self) -> Option<&'a [Box<str>]> {
        self.all.iter().find_map(|filter| match filter {
            Filter::Ids(ids) => Some(ids.as_slice()),
            _ => None,
        })
    }

    /// The condition that fewest entries satisfy, among those that an index answers.
    pub(crate) fn driver(
        &self,
        index: &Index,
        view: &View,
        (scope, kind): (Scope, Kind),
        rounds: &[usize],
    ) -> Result<Option<Driver>, Error> {
        let found = self.all.iter();
        let found = found.filter_map(|filter| access(index, (scope, kind), filter));
        let mut found: Vec<_> = found.collect();
        // References first: they are selective more often than not.
        found.sort_by_key(|access| (!access.by_date, !access.single));
        for &most in rounds {
            for at in 0..found.len() {
                let entries = entries(view, &found[at].spans, most)?;
                if entries < most {
                    return Ok(Some(Driver {
                        access: found.swap_remove(at),
                        few: true,
                    }));
                }
            }
        }
        let first = found.into_iter().next();
        Ok(first.map(|access| Driver { access, few: false }))
    }
}

/// How an index answers a condition, if one does.
fn access(index: &Index, (scope, kind): (Scope, Kind), filter: &Filter) -> Option<Access> {
    match filter {
        Filter::Value(param, test) => Some(index.access(scope, kind, *param, test)),
        Filter::Any(filters) => {
            let all = filters.iter().map(|one| access(index, (scope, kind), one));
            let all: Vec<_> = all.collect::<Option<_>>()?;
            Some(Access {
                exact: all.iter().all(|one| one.exact),
                hinted: all.iter().all(|one| one.hinted),
                spans: all.into_iter().flat_map(|one| one.spans).collect(),
                single: false,
                by_seq: false,
                by_date: false,
            })
        }
        Filter::All(filters) => {
            let mut some = filters
                .iter()
                .filter_map(|one| access(index, (scope, kind), one));
            let one = some.next()?;
            Some(Access {
                exact: one.exact && filters.len() == 1,
                ..one
            })
        }
        Filter::Nothing => Some(Access {
            spans: Vec::new(),
            exact: true,
            single: true,
            by_seq: false,
            by_date: false,
            hinted: false,
        }),
        Filter::Everything | Filter::Not(_) | Filter::Ids(_) | Filter::Updated(..) => None,
    }
}

/// How many entries there are, counted up to `most`.
fn entries(view: &View, spans: &[Span], most: usize) -> Result<usize, Error> {
    let mut count = 0;
    for span in spans {
        let mut cursor = view.forward(&span.start, &span.end)?;
        while count < most && cursor.next_key()?.is_some() {
            count += 1;
        }
    }
    Ok(count)
}
