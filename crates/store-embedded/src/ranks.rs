//! Walking along the index of a parameter in the order of its values.
//!
//! Entries of one rank are read together: between ranks the index is in the
//! order asked for. Within one, the next key of the order decides, and after
//! the last the seq. A few entries are read and sorted. Many are not read:
//! where no other key follows, most lie in the order of their seqs, and a page
//! is cut out of them; else the records are walked in the order of the keys
//! that follow, passing over those of another rank.

use salus_store::{Candidate, Error, Param, Sort, ValueRef};

use crate::core::read_count;
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
/// Systems with the same code whose entries are merged.
const SYSTEMS_MAX: usize = 64;
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
        let mut cursor = self.cursor(&start, &end, down)?;
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
                cursor = self.cursor(&start, &end, down)?;
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
                cursor = self.cursor(&start, &end, down)?;
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

    fn cursor(&self, start: &[u8], end: &[u8], down: bool) -> Result<Cursor<'a>, Error> {
        match down {
            true => self.reader.view.backward(start, end),
            false => self.reader.view.forward(start, end),
        }
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

    /// The records of a group that belong behind the position, in order, so
    /// many at most.
    fn choose_group(
        &mut self,
        group: Group,
        by: By<'_>,
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let beside = match after {
            Some(after) => {
                let candidate = Entry::read(&after.entry)?.candidate(after.seq)?;
                let value = candidate.sort_value(by.param, by.descending);
                let rank = value.map(|value| self.rank_key(by.param, value));
                // Records of other groups are all behind it.
                (rank.as_ref() == Some(&group.rank)).then_some(after)
            }
            None => None,
        };
        let Group {
            rank,
            lie,
            seqs,
            more,
        } = group;
        let prefix = rank.clone();
        self.pins.push(Pin {
            param: by.param,
            descending: by.descending,
            rank: Some(rank),
        });
        let chosen = match (more, lie, rest) {
            (false, Lie::Cut, _) | (false, _, [_, ..]) => {
                self.choose_sorted(seqs, beside, wanted).map(Some)
            }
            (false, _, []) => self.choose_by_seq(seqs, beside, wanted, rows_max),
            (true, Lie::Cut, _) => self.choose_all(&prefix, beside, wanted, rows_max),
            (true, lie, []) => self.choose_next(&prefix, lie, by, beside, wanted, rows_max),
            (true, _, rest) => self.choose_rest(&prefix, rest, beside, wanted, rows_max),
        };
        self.pins.pop();
        chosen
    }

    /// Of these records those that belong on the page, sorted by their rows.
    fn choose_sorted(
        &mut self,
        mut seqs: Vec<u64>,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        seqs.sort_unstable();
        seqs.dedup();
        let mut top = Top::new(wanted);
        for seq in seqs {
            self.touch()?;
            if !self.shows(seq) {
                continue;
            }
            let entry = self.entry(seq)?;
            let candidate = Entry::read(&entry)?.candidate(seq)?;
            if !self.passes(&candidate)? {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.admits(&key)) {
                top.add(key, seq);
            }
        }
        Ok(top.into_chosen())
    }

    /// The same where nothing but the seq decides.
    fn choose_by_seq(
        &mut self,
        mut seqs: Vec<u64>,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        seqs.dedup();
        if self.backward {
            seqs.reverse();
        }
        let mut page = Vec::new();
        for seq in seqs {
            if page.len() >= wanted {
                break;
            }
            if !self.is_behind_seq(after, seq) || !self.shows(seq) {
                continue;
            }
            if self.touch()? > rows_max {
                return Ok(None);
            }
            page.extend(self.choose(seq, true)?);
        }
        Ok(Some(page))
    }

    fn is_behind_seq(&self, after: Option<&After>, seq: u64) -> bool {
        after.is_none_or(|after| match self.backward {
            true => seq >= after.seq,
            false => seq < after.seq,
        })
    }

    /// The next records of a long group by seq.
    fn choose_next(
        &mut self,
        rank: &[u8],
        lie: Lie,
        by: By<'_>,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let runs = match lie {
            Lie::BySeq => Some(vec![rank.to_vec()]),
            Lie::BySystem => self.runs_of(rank, &self.marker(by.prefix))?,
            Lie::ByDate | Lie::Cut => None,
        };
        if let Some(runs) = runs {
            return self.choose_merged(&runs, after, wanted, rows_max);
        }
        // Reading an entry costs less than half of passing over a record.
        let most = 2 * self.balance(wanted)? as usize;
        match self.seqs_of(rank, most)? {
            Some(seqs) => self.choose_by_seq(seqs, after, wanted, rows_max),
            None => self.walk_rest(rank, &[], after, wanted, rows_max),
        }
    }

    /// What the keys of each system of a code begin with, if they are not too many.
    fn runs_of(&mut self, rank: &[u8], marker: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let mut runs: Vec<Vec<u8>> = Vec::new();
        let view = &self.reader.view;
        let mut cursor = view.forward(rank, &keys::after_prefix(rank))?;
        while let Some(key) = cursor.next_key()? {
            if runs.len() >= SYSTEMS_MAX {
                return Ok(None);
            }
            self.links.touch()?;
            let run = key[..key.len().saturating_sub(keys::SEQ_LEN)].to_vec();
            cursor.seek(&keys::after_prefix(&run))?;
            if run != marker {
                runs.push(run);
            }
        }
        Ok(Some(runs))
    }

    /// The next records of several runs, each in the order of its seqs.
    fn choose_merged(
        &mut self,
        runs: &[Vec<u8>],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let mut heads = Vec::with_capacity(runs.len());
        for run in runs {
            let mut cursor = self.seqs_from(run, after)?;
            if let Some(seq) = cursor.next_key()?.map(keys::last_number) {
                heads.push((seq, cursor));
            }
        }
        let mut page = Vec::new();
        let mut last = None;
        while page.len() < wanted {
            let seqs = heads.iter().map(|(seq, _)| *seq).enumerate();
            let first = match self.backward {
                true => seqs.min_by_key(|(_, seq)| *seq),
                false => seqs.max_by_key(|(_, seq)| *seq),
            };
            let Some((at, seq)) = first else {
                break;
            };
            if let Some((head, cursor)) = heads.get_mut(at) {
                match cursor.next_key()?.map(keys::last_number) {
                    Some(next) => *head = next,
                    None => drop(heads.swap_remove(at)),
                }
            }
            if self.touch()? > rows_max {
                return Ok(None);
            }
            if last.replace(seq) != Some(seq) && self.shows(seq) {
                page.extend(self.choose(seq, true)?);
            }
        }
        Ok(Some(page))
    }

    /// By the keys that follow: by reading the rank if it is short enough, or
    /// else in their order.
    fn choose_rest(
        &mut self,
        rank: &[u8],
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let most = self.balance(wanted)? as usize;
        match self.seqs_of(rank, most)? {
            Some(seqs) => self.choose_sorted(seqs, after, wanted).map(Some),
            None => self.walk_rest(rank, rest, after, wanted, rows_max),
        }
    }

    /// If a rank has so many records, a page is found by passing over as many
    /// others: more are rather walked to, fewer rather read.
    pub(crate) fn balance(&self, wanted: usize) -> Result<f64, Error> {
        let reader = self.reader;
        let all = read_count(&reader.view, reader.scope, self.query.kind)?;
        Ok((wanted as f64 * all as f64).sqrt())
    }

    /// In the order of the keys that follow, or if that takes long, by reading
    /// all of the rank.
    fn walk_rest(
        &mut self,
        rank: &[u8],
        rest: &'a [Sort],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let worth = self.balance(wanted)? as u64 * PATIENCE + ROWS_MIN;
        let page = self.walk_by(rest, after, wanted, self.rows_until(worth).min(rows_max))?;
        if page.is_some() || self.links.touched > rows_max {
            return Ok(page);
        }
        self.choose_all(rank, after, wanted, rows_max)
    }

    /// So many rows from now on.
    fn rows_until(&self, rows: u64) -> u64 {
        self.links.touched.saturating_add(rows)
    }

    /// By reading all of a rank.
    fn choose_all(
        &mut self,
        rank: &[u8],
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let left = rows_max.saturating_sub(self.links.touched);
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        match self.seqs_of(rank, most)? {
            Some(seqs) => self.choose_sorted(seqs, after, wanted).map(Some),
            None => Ok(None),
        }
    }

    /// The seqs of all entries of a rank, if they are not too many.
    fn seqs_of(&mut self, rank: &[u8], most: usize) -> Result<Option<Vec<u64>>, Error> {
        let view = &self.reader.view;
        let mut cursor = view.forward(rank, &keys::after_prefix(rank))?;
        let mut seqs = Vec::new();
        while let Some(key) = cursor.next_key()? {
            if seqs.len() >= most {
                self.links.read(seqs.len() as u64)?;
                return Ok(None);
            }
            seqs.push(keys::last_number(key));
        }
        self.links.read(seqs.len() as u64)?;
        Ok(Some(seqs))
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
            if self.touch()? > rows_max {
                return Ok(None);
            }
            let candidate = Entry::read(&bytes)?.candidate(seq)?;
            if !self.shows(seq) || !self.passes(&candidate)? {
                continue;
            }
            let key = self.sort_key(&candidate);
            if after.is_none_or(|after| after.admits(&key)) {
                top.add(key, seq);
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
