//! The records of one rank, in the order asked for.
//!
//! A few entries are read and sorted. Many are not read: where no other key
//! follows, most lie in the order of their seqs, and a page is cut out of them;
//! else the records are walked in the order of the keys that follow, passing
//! over those of another rank.

use salus_store::{Error, Sort};

use super::{By, Group, PATIENCE, Pin, ROWS_MIN};
use crate::core::read_count;
use crate::index::Lie;
use crate::keys;
use crate::row::Entry;
use crate::search::{After, Chosen, Search};

/// Systems with the same code whose entries are merged.
const SYSTEMS_MAX: usize = 64;

impl<'a> Search<'a> {
    /// The records of a group that belong behind the position, in order, so
    /// many at most.
    pub(super) fn choose_group(
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
        seqs: Vec<u64>,
        after: Option<&After>,
        wanted: usize,
    ) -> Result<Vec<Chosen>, Error> {
        let mut shown = Vec::with_capacity(seqs.len());
        for seq in seqs {
            if self.shows(seq) {
                shown.push(seq);
            } else {
                self.touch()?;
            }
        }
        self.sorted(shown, true, after, wanted)
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
    pub(super) fn rows_until(&self, rows: u64) -> u64 {
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
}
