//! Walking along the index of a parameter in the order of its values.
//!
//! Entries of one rank are read together: between ranks the index is in the
//! order asked for. Within one, the next key of the order decides, and after
//! the last the seq (`ranks/group.rs`).

mod group;

use salus_store::{Candidate, Error, Param, Sort, ValueRef};

use crate::gather::Top;
use crate::index::Lie;
use crate::kv::Cursor;
use crate::row::Entry;
use crate::search::{After, Chosen, Search};
use crate::walk::next_wanted;
use crate::{index, keys};

/// Entries of one rank that are rather read and sorted,
const FEW: usize = 512;
/// or these, if they lie in the order asked for.
const NEXT: usize = 64;
/// A walk that passes over others is given up after so many times the rows
/// that it should take, and these.
const PATIENCE: u64 = 4;
const ROWS_MIN: u64 = 1024;

/// The rank that all records must have while one rank is walked along.
pub(crate) struct Pin {
    param: Param,
    descending: bool,
    /// What the keys of the rank begin with; `None` if there is no value.
    rank: Option<Vec<u8>>,
}

/// A parameter that sorts.
#[derive(Clone, Copy)]
struct By<'p> {
    /// What all its keys begin with.
    prefix: &'p [u8],
    param: Param,
    descending: bool,
}

/// Entries of one rank.
struct Group {
    rank: Vec<u8>,
    lie: Lie,
    /// The first that were read.
    seqs: Vec<u64>,
    /// There are more.
    more: bool,
}

impl<'a> Search<'a> {
    /// Whether a record has the ranks of those that are walked along.
    pub(crate) fn is_pinned(&self, candidate: &Candidate<'_>) -> bool {
        self.pins.iter().all(|pin| self.fits(pin, candidate))
    }

    fn fits(&self, pin: &Pin, candidate: &Candidate<'_>) -> bool {
        let value = candidate.sort_value(pin.param, pin.descending);
        match (&pin.rank, value) {
            (None, None) => true,
            (Some(rank), Some(value)) => self.rank_key(pin.param, value) == *rank,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What the keys begin with of all values of a rank.
    fn rank_key(&self, param: Param, value: ValueRef<'_>) -> Vec<u8> {
        let (scope, kind) = (self.reader.scope, self.query.kind);
        let mut key = keys::of_param(keys::INDEX, scope, kind, param);
        self.reader.core.index.put_rank(&mut key, value);
        key
    }

    /// In the order of a parameter's index.
    pub(crate) fn with_value(
        &mut self,
        (param, descending): (Param, bool),
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let prefix = keys::of_param(keys::INDEX, self.reader.scope, self.query.kind, param);
        let by = By {
            prefix: &prefix,
            param,
            descending,
        };
        let (mut start, mut end) = self.ends_of(by, after)?;
        let down = descending != self.backward;
        let few = if rest.is_empty() { NEXT } else { FEW };
        let marker = self.marker(&prefix);
        let mut page = Vec::new();
        let mut cursor = self.reader.view.toward(&start, &end, down)?;
        let mut next = self.next_key(&mut cursor)?.map(<[u8]>::to_vec);
        while page.len() < wanted
            && let Some(first) = next.take()
        {
            if first.starts_with(&marker) {
                // These say only that something is there.
                match down {
                    true => end.clone_from(&marker),
                    false => start = keys::after_prefix(&marker),
                }
                cursor = self.reader.view.toward(&start, &end, down)?;
                next = self.next_key(&mut cursor)?.map(<[u8]>::to_vec);
                continue;
            }
            let Some(group) = self.read_group(&first, (&prefix, &marker), few, &mut cursor)? else {
                return Ok(None);
            };
            if group.more {
                match down {
                    true => end.clone_from(&group.rank),
                    false => start = keys::after_prefix(&group.rank),
                }
                cursor = self.reader.view.toward(&start, &end, down)?;
                self.next_key(&mut cursor)?;
            }
            next = cursor.key().map(<[u8]>::to_vec);
            let left = wanted - page.len();
            match self.choose_group(group, by, rest, after, left, rows_max)? {
                Some(chosen) => page.extend(chosen),
                None => return Ok(None),
            }
            if self.links.touched > rows_max {
                return Ok(None);
            }
        }
        page.truncate(wanted);
        Ok(Some(page))
    }

    /// The key of the next entry whose hints, if it has any, show what is wanted.
    fn next_key<'c>(&mut self, cursor: &'c mut Cursor<'_>) -> Result<Option<&'c [u8]>, Error> {
        let mut skipped = 0;
        let key = next_wanted(cursor, self.wanted, &mut skipped)?;
        self.links.skip(skipped);
        Ok(key)
    }

    /// Where the walk begins and ends, both whatever its direction.
    fn ends_of(&self, by: By<'_>, after: Option<&After>) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let mut start = by.prefix.to_vec();
        let mut end = keys::after_prefix(by.prefix);
        if let Some(bounds) = &self.bounds
            && self.pins.is_empty()
        {
            start = start.max(bounds.start.clone());
            end.clone_from(&bounds.end);
        }
        if let Some(after) = after {
            let candidate = Entry::read(&after.entry)?.candidate(after.seq)?;
            if let Some(value) = candidate.sort_value(by.param, by.descending) {
                let key = self.rank_key(by.param, value);
                match by.descending != self.backward {
                    true => end = end.min(keys::after_prefix(&key)),
                    false => start = start.max(key),
                }
            }
        }
        Ok((start, end))
    }

    /// What the keys begin with that say only that something is there.
    fn marker(&self, prefix: &[u8]) -> Vec<u8> {
        let (code, system) = ("", "");
        let mut marker = prefix.to_vec();
        let value = ValueRef::Token { code, system };
        self.reader.core.index.put_value(&mut marker, value, None);
        marker
    }

    /// The entries of the rank of a key, as far as they are few; the cursor
    /// then stands behind them. `None` if such values are not sorted by keys.
    fn read_group(
        &mut self,
        first: &[u8],
        (prefix, marker): (&[u8], &[u8]),
        few: usize,
        cursor: &mut Cursor<'_>,
    ) -> Result<Option<Group>, Error> {
        let Some(rank) = self.reader.core.index.rank(first, prefix.len()) else {
            return Ok(None);
        };
        let mut group = Group {
            rank: first[..rank.end].to_vec(),
            lie: rank.lie,
            seqs: vec![keys::last_number(first)],
            more: false,
        };
        while let Some(key) = self.next_key(cursor)? {
            if !key.starts_with(&group.rank) {
                break;
            }
            if key.starts_with(marker) || group.seqs.len() >= few {
                group.more = true;
                break;
            }
            group.seqs.push(keys::last_number(key));
        }
        if group.more {
            self.links.read(group.seqs.len() as u64)?;
        }
        Ok(Some(group))
    }

    /// Current records without a value of a parameter, in order.
    pub(crate) fn without_value(
        &mut self,
        (param, descending): (Param, bool),
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let beside = match after {
            Some(after) if self.lacks(after, param)? => Some(after),
            _ => None,
        };
        let rank = None;
        self.pins.push(Pin {
            param,
            descending,
            rank,
        });
        let page = match rest {
            [] => self.by_current(beside, wanted, rows_max),
            rest => self.by_rest_or_all(rest, beside, wanted, rows_max),
        };
        self.pins.pop();
        page
    }

    fn by_rest_or_all(
        &mut self,
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let worth = self.rows_until(PATIENCE * ROWS_MIN).min(rows_max);
        let page = self.walk_by(rest, after, wanted, worth)?;
        if page.is_some() || self.links.touched > rows_max {
            return Ok(page);
        }
        let mut cursor = self.current()?;
        let mut top = Top::new(wanted);
        while let Some((key, bytes)) = cursor.next()? {
            let seq = keys::last_number(key);
            let entry = Entry::read(&bytes)?;
            if !self.add_if_behind((seq, &entry), after, &mut top, rows_max)? {
                return Ok(None);
            }
        }
        Ok(Some(top.into_chosen()))
    }

    /// Whether the index of a parameter is in the order of its values.
    pub(crate) fn can_walk(&self, param: Param) -> Result<bool, Error> {
        Ok(!self.has_any(param, index::COMPOSITE)? && !self.has_any(param, index::PLACE)?)
    }

    /// Whether entries of a walk along a parameter show what conditions want
    /// to see.
    pub(crate) fn shows_hints(&self, param: Param) -> Result<bool, Error> {
        Ok(!self.wanted.is_empty()
            && (self.has_any(param, index::DATE)? || self.has_any(param, index::REFERENCE)?))
    }

    fn has_any(&self, param: Param, tag: u8) -> Result<bool, Error> {
        let mut start = keys::of_param(keys::INDEX, self.reader.scope, self.query.kind, param);
        start.push(tag);
        let view = &self.reader.view;
        let mut cursor = view.forward(&start, &keys::after_prefix(&start))?;
        Ok(cursor.next_key()?.is_some())
    }
}
