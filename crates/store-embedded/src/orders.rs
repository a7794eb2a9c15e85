//! Ways along times and ids.
//!
//! Times mostly follow seqs. Each record knows the latest time of any up to
//! it, and the store how far a time ever lay before the latest: what lies that
//! far from a place on the way cannot come before it.

use salus_store::{Error, ordered};

use crate::gather::Top;
use crate::keys;
use crate::kv::Cursor;
use crate::newest::Newest;
use crate::row::Entry;
use crate::search::{After, Chosen, Search};

/// A walk along times, and where it stands.
struct Times<'a> {
    cursor: Cursor<'a>,
    /// Towards earlier ones.
    down: bool,
    /// What comes later by seq comes later in the order, where times are the same.
    seqs_decide: bool,
}

impl<'a> Search<'a> {
    /// By the time of versions; what follows in the order may be anything.
    pub(crate) fn by_time(
        &mut self,
        (descending, is_last): (bool, bool),
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let down = descending != self.backward;
        let mut top = Top::new(wanted);
        if let Some(after) = after {
            let time_ms = Entry::read(&after.entry)?.time_ms;
            // Against the direction, as far as something may be behind the position.
            let mut cursor = self.seqs_between(after.seq, !down)?;
            while let Some((key, bytes)) = cursor.next()? {
                let entry = Entry::read(&bytes)?;
                let is_past = match down {
                    true => self.earliest_behind(&entry) > time_ms,
                    false => entry.latest_ms < time_ms,
                };
                if is_past {
                    break;
                }
                let seq = keys::last_number(key);
                if seq == after.seq {
                    continue;
                }
                if !self.add_if_behind((seq, &entry), Some(after), &mut top, rows_max)? {
                    return Ok(None);
                }
            }
        }
        let from = match (after, down) {
            (Some(after), _) => after.seq,
            (None, true) => self.reader.at,
            (None, false) => 0,
        };
        let times = Times {
            cursor: self.seqs_between(from, down)?,
            down,
            seqs_decide: is_last && down != self.backward,
        };
        self.follow(times, top, after, rows_max)
    }

    /// No time of this record or one that was written later is earlier.
    fn earliest_behind(&self, entry: &Entry<'_>) -> i64 {
        match self.reader.core.lag_ms() {
            // It may be more than can be said.
            i64::MAX => i64::MIN,
            lag_ms => entry.latest_ms.saturating_sub(lag_ms),
        }
    }

    /// Goes on until nothing that comes belongs on the page.
    fn follow(
        &mut self,
        mut times: Times<'a>,
        mut top: Top,
        after: Option<&After>,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        while let Some((key, bytes)) = times.cursor.next()? {
            let seq = keys::last_number(key);
            let entry = Entry::read(&bytes)?;
            if let Some(last_ms) = top.last_ms() {
                // This one and all that come are at most, or at least, this late.
                let (ahead, bound) = match times.down {
                    true => (last_ms > entry.latest_ms, entry.latest_ms),
                    false => {
                        let bound = self.earliest_behind(&entry);
                        (last_ms < bound, bound)
                    }
                };
                if ahead || times.seqs_decide && last_ms == bound {
                    break;
                }
            }
            if !self.add_if_behind((seq, &entry), after, &mut top, rows_max)? {
                return Ok(None);
            }
        }
        Ok(Some(top.into_chosen()))
    }

    /// Looks at one record; false if that was one too many.
    pub(crate) fn add_if_behind(
        &mut self,
        (seq, entry): (u64, &Entry<'_>),
        after: Option<&After>,
        top: &mut Top,
        rows_max: u64,
    ) -> Result<bool, Error> {
        if self.touch()? > rows_max {
            return Ok(false);
        }
        if !self.shows(seq) {
            return Ok(true);
        }
        let candidate = entry.candidate(seq)?;
        if !self.passes(&candidate)? {
            return Ok(true);
        }
        let key = self.sort_key(&candidate);
        if after.is_none_or(|after| after.admits(&key)) {
            top.add(key, seq, entry.time_ms);
        }
        Ok(true)
    }

    /// The current list from a seq on, it included.
    fn seqs_between(&self, seq: u64, down: bool) -> Result<Cursor<'a>, Error> {
        let end = self.current_key(self.reader.at.saturating_add(1));
        let view = &self.reader.view;
        match down {
            true => {
                let start = keys::of_kind(keys::CURRENT, self.reader.scope, self.query.kind);
                view.backward(&start, &end.min(self.current_key(seq.saturating_add(1))))
            }
            false => view.forward(&self.current_key(seq), &end),
        }
    }

    /// By id.
    pub(crate) fn by_id(
        &mut self,
        descending: bool,
        after: Option<&After>,
        wanted: usize,
        rows_max: u64,
    ) -> Result<Option<Vec<Chosen>>, Error> {
        let reader = self.reader;
        let prefix = keys::of_kind(keys::NEWEST, reader.scope, self.query.kind);
        let (mut start, mut end) = (prefix.clone(), keys::after_prefix(&prefix));
        let down = descending != self.backward;
        if let Some(after) = after {
            let id = Entry::read(&after.entry)?.id;
            let key = keys::record(keys::NEWEST, reader.scope, self.query.kind, id);
            match down {
                true => end = keys::after_prefix(&key),
                false => start = key,
            }
        }
        let mut cursor = reader.view.toward(&start, &end, down)?;
        let mut page = Vec::new();
        while page.len() < wanted
            && let Some((key, value)) = cursor.next()?
        {
            if self.touch()? > rows_max {
                return Ok(None);
            }
            let mut newest = Some(Newest::read(&value)?);
            if newest.is_some_and(|newest| newest.seq > reader.at) {
                let id = ordered::take_id(&mut &key[prefix.len()..]);
                let id = id.ok_or_else(|| Error::Damaged("the id of a record".into()))?;
                newest = reader.newest(self.query.kind, &id)?;
            }
            let Some(Newest { seq, .. }) = newest.filter(|newest| !newest.deleted) else {
                continue;
            };
            let entry = self.entry(seq)?;
            let candidate = Entry::read(&entry)?.candidate(seq)?;
            if self.is_behind(after, &candidate) && self.passes(&candidate)? {
                let entry = Some(entry);
                page.push(Chosen { seq, entry });
            }
        }
        Ok(Some(page))
    }
}
