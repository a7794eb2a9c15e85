//! Counts of the entries under one value, kept in memory.
//!
//! Under one value entries lie in the order of their seq. What was counted at
//! one point therefore gives the count at a later one: the entries added
//! since, less those whose version was superseded since. How long that takes
//! depends on what has changed, not on how many there are. Where rows were
//! replaced meanwhile, nothing that was counted before is used.

use quick_cache::sync::Cache;
use salus_store::{Error, ordered};

use crate::cache::Era;
use crate::index::{Access, KeyTest};
use crate::keys;
use crate::links::ENTRIES_AT_ONCE;
use crate::reader::Reader;
use crate::search::Search;

/// Values whose counts are kept.
const KEPT: usize = 4096;
/// Counts of fewer entries than these are not worth a place.
const ENTRIES_MIN: u64 = 4096;
/// Versions superseded since that are looked at, rather than count anew.
const SUPERSEDED_MAX: usize = 10_000;

/// Counts by the key of the value.
pub(crate) struct Counted(Cache<Vec<u8>, Count>);

/// How many entries showed at a point.
#[derive(Clone, Copy)]
struct Count {
    era: Era,
    at: u64,
    count: u64,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Search<'_> {
    /// The start of all keys in an access, if they are of one value: then each
    /// is of another record.
    pub(crate) fn only_value(&self, access: &Access) -> Result<Option<Vec<u8>>, Error> {
        let ([span], []) = (access.spans.as_slice(), access.given.as_slice()) else {
            return Ok(None);
        };
        if span.start.first() != Some(&keys::INDEX) || !matches!(span.test, KeyTest::Any) {
            return Ok(None);
        }
        let view = &self.reader.view;
        let mut cursor = view.forward(&span.start, &span.end)?;
        let Some(first) = cursor.next_key()? else {
            return Ok(None);
        };
        let value = first[..first.len().saturating_sub(keys::SEQ_LEN)].to_vec();
        if value.len() < span.start.len() {
            return Ok(None);
        }
        cursor.seek(&keys::after_prefix(&value))?;
        let more = cursor
            .next_key()?
            .is_some_and(|key| key < span.end.as_slice());
        Ok((!more).then_some(value))
    }

    /// How many records show that have this value.
    pub(crate) fn count_value(&mut self, value: Vec<u8>) -> Result<u64, Error> {
        let reader = self.reader;
        let kept = reader.core.counted.0.get(&value);
        let kept = kept.filter(|kept| kept.era == reader.era);
        let since = match kept {
            Some(kept) if kept.at <= reader.at => self.gone_since(&value, kept)?,
            Some(_) | None => None,
        };
        let (from, before, gone) = match (kept, since) {
            (Some(kept), Some(gone)) => (kept.at + 1, kept.count, gone),
            _ => (0, 0, 0),
        };
        let count = (before + self.count_from(&value, from)?).saturating_sub(gone);
        if count >= ENTRIES_MIN && kept.is_none_or(|kept| kept.at < reader.at) {
            let (era, at) = (reader.era, reader.at);
            let count = Count { era, at, count };
            reader.core.counted.0.insert(value, count);
            return Ok(count.count);
        }
        Ok(count)
    }

    /// How many entries from a seq on show.
    fn count_from(&mut self, value: &[u8], from: u64) -> Result<u64, Error> {
        let reader = self.reader;
        let mut start = value.to_vec();
        ordered::put_u64(&mut start, from);
        let mut cursor = reader.view.forward(&start, &keys::after_prefix(value))?;
        let (mut count, mut read) = (0, 0);
        while let Some(key) = cursor.next_key()? {
            read += 1;
            if read == ENTRIES_AT_ONCE {
                self.links.read(std::mem::take(&mut read))?;
            }
            count += u64::from(reader.shows(keys::last_number(key)));
        }
        self.links.read(read)?;
        Ok(count)
    }

    /// How many that were counted were superseded since; `None` if that is no
    /// longer known, or they are many.
    fn gone_since(&mut self, value: &[u8], kept: Count) -> Result<Option<u64>, Error> {
        let reader: &Reader = self.reader;
        let start = keys::at(keys::GARBAGE, kept.at.saturating_add(1));
        let end = keys::at(keys::GARBAGE, reader.at.saturating_add(1));
        let mut cursor = reader.view.forward(&start, &end)?;
        let of_kind = keys::of_kind(keys::CURRENT, reader.scope, self.query.kind);
        let (mut gone, mut looked) = (0, 0);
        while let Some((key, of)) = cursor.next()? {
            looked += 1;
            if looked > SUPERSEDED_MAX {
                return Ok(None);
            }
            let older = keys::last_number(key);
            if *of != of_kind || older > kept.at {
                continue;
            }
            self.links.touch()?;
            let mut entry = value.to_vec();
            ordered::put_u64(&mut entry, older);
            gone += u64::from(reader.view.get(&entry)?.is_some());
        }
        // Asked when all was read: what was removed before would be missing.
        let is_known = reader.core.superseded.floor() <= kept.at;
        Ok(is_known.then_some(gone))
    }
}
