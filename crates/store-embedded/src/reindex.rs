//! New rows for versions that are there already: what the index keys were,
//! and what they will be.
//!
//! Most of it is done before the batch waits for its turn. The committer only
//! compares: if the version is no longer the current one, nothing is left to
//! do, and if other rows came first, the batch is refused.

use std::collections::HashSet;

use salus_store::{Error, Kind, Reindexed, Row, Scope, Value};

use crate::core::Core;
use crate::index::{self, Hints};
use crate::kv::View;
use crate::newest::Newest;
use crate::prepare::{Dates, dates};
use crate::sample::Seen;
use crate::{keys, row};

/// What a word needs in a row, about.
const BYTES_PER_WORD: usize = 8;

/// New rows of a version, ready to be written.
pub(crate) struct PreparedRows {
    pub(crate) kind: Kind,
    pub(crate) id: Box<str>,
    pub(crate) version: u64,
    pub(crate) seq: u64,
    /// As they were found. If they are others by now, all of this is void.
    pub(crate) before: Vec<u8>,
    pub(crate) entry: Vec<u8>,
    /// Index keys that are new, or have a new value.
    pub(crate) set: Vec<(Vec<u8>, Vec<u8>)>,
    /// Index keys that are not wanted any more.
    pub(crate) removed: Vec<Vec<u8>>,
    /// Rows of texts that are not wanted any more, and those that are new.
    /// Their postings are in blocks with those of others, so the committer
    /// changes them.
    pub(crate) texts: (Vec<Row>, Vec<Row>),
    pub(crate) dates: Dates,
    /// Its parameters.
    pub(crate) seen: Seen,
}

impl PreparedRows {
    /// `None` if the version is not the current one.
    pub(crate) fn of(
        core: &Core,
        view: &View,
        scope: Scope,
        mut new: Reindexed,
    ) -> Result<Option<Self>, Error> {
        let kind = new.kind;
        let key = keys::record(keys::NEWEST, scope, kind, &new.id);
        let newest = view.get(&key)?.map(|bytes| Newest::read(&bytes));
        let Some(newest) = newest.transpose()? else {
            return Ok(None);
        };
        if newest.deleted || newest.version != new.version {
            return Ok(None);
        }
        let key = keys::of_kind_at(keys::CURRENT, scope, kind, newest.seq);
        let missing = || Error::Damaged(format!("the rows of version {} are missing", newest.seq));
        let before = view.get(&key)?.ok_or_else(missing)?;
        let old = row::Entry::read(&before)?;
        let old_rows = old.all_rows()?;
        Row::sort(&mut new.rows);
        let mut entry = row::NewEntry {
            id: &new.id,
            version: new.version,
            time_ms: old.time_ms,
            main_date_ms: new.main_date_ms,
            rows: &new.rows,
        }
        .to_bytes();
        row::set_latest(&mut entry, old.latest_ms);
        let keys = |rows: &[Row], main_date_ms| {
            let mut keys = Vec::with_capacity(rows.len());
            for row in rows {
                core.index
                    .put_keys((scope, kind), row, main_date_ms, &mut keys);
            }
            keys.iter_mut()
                .for_each(|key| keys::set_seq(key, newest.seq));
            keys
        };
        let was = keys(&old_rows, old.main_date_ms);
        let becomes = keys(&new.rows, new.main_date_ms);
        let (set, removed) = difference(was, becomes, (&old_rows, &new.rows));
        Ok(Some(Self {
            kind,
            version: new.version,
            seq: newest.seq,
            entry,
            set,
            removed,
            texts: texts(old_rows, &new.rows),
            dates: dates(&new.rows, new.main_date_ms),
            seen: Seen::of(&new.rows),
            before,
            id: new.id,
        }))
    }

    /// About how many keys it writes.
    pub(crate) fn size(&self) -> usize {
        let texts = self.texts.0.iter().chain(&self.texts.1);
        let bytes = texts.filter_map(|row| {
            if let Value::Words(words) = &row.value {
                Some(words.as_bytes().len())
            } else {
                None
            }
        });
        let words = bytes.sum::<usize>() / BYTES_PER_WORD;
        1 + self.set.len() + self.removed.len() + words
    }
}

/// The texts that only one side has.
fn texts(old: Vec<Row>, new: &[Row]) -> (Vec<Row>, Vec<Row>) {
    let is_text = |row: &&Row| matches!(row.value, Value::Words(_));
    let added = new.iter().filter(|row| is_text(row) && !old.contains(row));
    let added = added.cloned().collect();
    let mut gone = old;
    gone.retain(|row| is_text(&row) && !new.contains(row));
    (gone, added)
}

type Keys = Vec<Vec<u8>>;
type Values = Vec<(Vec<u8>, Vec<u8>)>;

/// The keys to set, with their values, and those to remove.
fn difference(was: Keys, becomes: Keys, (old, new): (&[Row], &[Row])) -> (Values, Keys) {
    let hints = Hints::of_rows(new);
    let same_hints = Hints::of_rows(old) == hints;
    let old_keys: HashSet<&[u8]> = was.iter().map(Vec::as_slice).collect();
    let new_keys: HashSet<&[u8]> = becomes.iter().map(Vec::as_slice).collect();
    let stays = |key: &[u8]| old_keys.contains(key) && (same_hints || !index::has_hints(key));
    let set = becomes.iter().filter(|key| !stays(key));
    let set = set.map(|key| {
        let value = match index::has_hints(key) {
            true => hints.clone(),
            false => Vec::new(),
        };
        (key.clone(), value)
    });
    let set = set.collect();
    let removed = was.iter().filter(|key| !new_keys.contains(key.as_slice()));
    let removed = removed.cloned().collect();
    (set, removed)
}
