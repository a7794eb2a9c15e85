//! Choosing what drives a query: the condition that the fewest records satisfy.
//!
//! There are no statistics to go stale. All conditions that an index answers
//! are read a little, then a little more; the first that comes to its end is
//! the driver, and has been read already.

use salus_store::{Error, Filter, Kind, Scope, Sort};

use crate::index::{Access, Index, KeyTest};
use crate::keys;
use crate::kv::{Cursor, View};
use crate::walk::next_wanted;

/// Entries read of each condition in the first rounds. A driver with fewer is
/// collected and sorted without a thought.
pub(crate) const FEW: &[usize] = &[64, 512];
/// Entries read when a short walk in the order asked for has not filled the page.
pub(crate) const MANY: &[usize] = &[COLLECT_MAX];
/// Entries read when all will be collected anyway.
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

/// The condition that drives.
pub(crate) struct Driver {
    pub(crate) access: Access,
    /// The seqs of its entries, if it came to its end; in no order, some perhaps twice.
    pub(crate) seqs: Option<Vec<u64>>,
    /// Entries read while choosing.
    pub(crate) touched: u64,
}

/// What is being read.
pub(crate) struct Reading<'v> {
    pub(crate) view: &'v View,
    pub(crate) index: &'v Index,
    pub(crate) of: (Scope, Kind),
    /// What hints must show.
    pub(crate) wanted: &'v [Vec<u8>],
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
            Filter::Everything
            | Filter::Nothing
            | Filter::All(_)
            | Filter::Any(_)
            | Filter::Not(_)
            | Filter::Value(..)
            | Filter::Updated(..) => None,
        })
    }

    /// The condition that fewest entries satisfy, among those that an index answers.
    pub(crate) fn driver(
        &self,
        reading: &Reading<'_>,
        rounds: &[usize],
    ) -> Result<Option<Driver>, Error> {
        let mut accesses = self.accesses(reading);
        // References first: they are selective more often than not.
        accesses.sort_by_key(|access| (!access.by_date, !access.single));
        let probes = accesses.iter().map(Probe::new);
        let mut probes: Vec<_> = probes.collect();
        let mut ended = None;
        'rounds: for &most in rounds {
            for (at, probe) in probes.iter_mut().enumerate() {
                if probe.read(reading, most)? {
                    ended = Some((at, std::mem::take(&mut probe.seqs)));
                    break 'rounds;
                }
            }
        }
        let touched = probes.iter().map(|probe| probe.touched as u64).sum();
        drop(probes);
        let (at, seqs) = match ended {
            Some((at, seqs)) => (at, Some(seqs)),
            None => (0, None),
        };
        if at >= accesses.len() {
            return Ok(None);
        }
        let access = accesses.swap_remove(at);
        Ok(Some(Driver {
            access,
            seqs,
            touched,
        }))
    }

    /// A condition whose entries lie in the order asked for, if `is_main_date` says so.
    pub(crate) fn in_order(
        &self,
        reading: &Reading<'_>,
        sort: &[Sort],
        is_main_date: impl Fn(salus_store::Param) -> bool,
    ) -> Option<(Access, bool)> {
        let [Sort::Value { param, descending }, ..] = sort else {
            return None;
        };
        if !is_main_date(*param) {
            return None;
        }
        let mut accesses = self.accesses(reading).into_iter();
        let by_date = accesses.find(|access| access.by_date)?;
        Some((by_date, *descending))
    }

    fn accesses(&self, reading: &Reading<'_>) -> Vec<Access> {
        let all = self.all.iter();
        all.filter_map(|filter| access(reading.index, reading.of, filter))
            .collect()
    }
}

/// A condition that is being read.
struct Probe<'a> {
    access: &'a Access,
    span: usize,
    cursor: Option<Cursor<'a>>,
    touched: usize,
    seqs: Vec<u64>,
}

impl<'a> Probe<'a> {
    fn new(access: &'a Access) -> Self {
        Self {
            access,
            span: 0,
            cursor: None,
            touched: 0,
            seqs: Vec::new(),
        }
    }

    /// Reads on until so many entries were read; says whether it came to its end before.
    fn read(&mut self, reading: &Reading<'a>, most: usize) -> Result<bool, Error> {
        let wanted = if self.access.hinted {
            reading.wanted
        } else {
            &[]
        };
        while let Some(span) = self.access.spans.get(self.span) {
            let cursor = match &mut self.cursor {
                Some(cursor) => cursor,
                none => none.insert(reading.view.forward(&span.start, &span.end)?),
            };
            loop {
                if self.touched >= most {
                    return Ok(false);
                }
                let Some(key) = next_wanted(cursor, wanted)? else {
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
