//! The rows of current versions and what lies in the index, held against each other by sums:
//! two walks in the order of their keys, instead of a search in the index for each row.

use std::collections::HashSet;

use salus_store::{Error, Kind, Row, Scope};

use super::{Faults, Point};
use crate::core::kind_of_key;
use crate::hash::{self, BySeq};
use crate::row::Entry;
use crate::{keys, text};

/// What a version has in the index: how many keys, and the sums of the digests of its
/// keys and of its postings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) keys: u64,
    sum: u64,
    pub(super) texts: u64,
}

impl Indexed {
    fn key(&mut self, digest: u64) {
        self.keys += 1;
        self.sum = self.sum.wrapping_add(digest);
    }

    /// Whether its keys are those of another.
    pub(super) fn has_keys_of(&self, other: &Self) -> bool {
        (self.keys, self.sum) == (other.keys, other.sum)
    }
}

/// What the list of current versions says of one.
pub(super) struct Listed {
    pub(super) of: (Scope, Kind),
    pub(super) number: u64,
    pub(super) shows: bool,
    /// What it should have.
    pub(super) indexed: Indexed,
}

/// Reads the list of current versions.
pub(super) fn listed(at: &Point<'_>) -> Result<BySeq<Listed>, Error> {
    let mut all = BySeq::default();
    at.scan(keys::CURRENT, |key, bytes| {
        let seq = keys::last_number(key);
        let (Some(of), true) = (kind_of_key(key), seq <= at.state.seq) else {
            return Ok(());
        };
        let entry = Entry::read(bytes)?;
        let rows = entry.all_rows()?;
        let mut indexed = Indexed {
            texts: text::digests(of, seq, &rows),
            ..Indexed::default()
        };
        for digest in digests_of(at, (of, seq), &rows, entry.main_date_ms) {
            indexed.key(digest);
        }
        let listed = Listed {
            of,
            number: entry.version,
            shows: at.core.superseded.shows(seq, at.state.seq),
            indexed,
        };
        all.insert(seq, listed);
        Ok(())
    })?;
    Ok(all)
}

/// The digests of the keys of the index that a version should have, each once.
fn digests_of(
    at: &Point<'_>,
    version: ((Scope, Kind), u64),
    rows: &[Row],
    main_date_ms: Option<i64>,
) -> Vec<u64> {
    let mut digests = Vec::with_capacity(rows.len());
    each_key(at, version, rows, main_date_ms, |key, _| {
        digests.push(hash::quick(&key));
    });
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// The keys of the index that a version should have, each once, and what they are of.
fn keys_of(
    at: &Point<'_>,
    version: ((Scope, Kind), u64),
    rows: &[Row],
    main_date_ms: Option<i64>,
) -> Vec<(Vec<u8>, &'static str)> {
    let mut all = Vec::with_capacity(rows.len());
    each_key(at, version, rows, main_date_ms, |key, row| {
        all.push((key, row.value.name()));
    });
    all.sort_unstable();
    all.dedup_by(|one, other| one.0 == other.0);
    all
}

/// Gives the keys of the index that a version should have, with their rows; some come twice.
fn each_key(
    at: &Point<'_>,
    (of, seq): ((Scope, Kind), u64),
    rows: &[Row],
    main_date_ms: Option<i64>,
    mut take: impl FnMut(Vec<u8>, &Row),
) {
    let mut keys = Vec::new();
    for row in rows {
        at.core.index.put_keys(of, row, main_date_ms, &mut keys);
        for mut key in keys.drain(..) {
            keys::set_seq(&mut key, seq);
            take(key, row);
        }
    }
}

/// Reads the index: what each version has in it.
pub(super) fn indexed(at: &Point<'_>) -> Result<BySeq<Indexed>, Error> {
    let mut all: BySeq<Indexed> = BySeq::default();
    for space in [keys::INDEX, keys::LONG] {
        at.scan(space, |key, _| {
            let seq = keys::last_number(key);
            if seq <= at.state.seq {
                all.entry(seq).or_default().key(hash::quick(key));
            }
            Ok(())
        })?;
    }
    at.scan(keys::TEXT, |key, value| {
        let start = key.get(..key.len() - keys::SEQ_LEN).unwrap_or_default();
        let term = hash::quick(start);
        for placed in text::Postings::read(keys::last_number(key), value)? {
            let placed = placed?;
            if placed.seq <= at.state.seq {
                let indexed = all.entry(placed.seq).or_default();
                indexed.texts = indexed.texts.wrapping_add(placed.digest(term));
            }
        }
        Ok(())
    })?;
    Ok(all)
}

/// Names what some versions lack in the index, and what they have there without a row.
pub(super) fn name_faults(
    at: &Point<'_>,
    wrong: &BySeq<(Scope, Kind)>,
    faults: &mut Faults,
) -> Result<(), Error> {
    let mut wanted = HashSet::new();
    let mut versions: Vec<_> = wrong.iter().collect();
    versions.sort_unstable();
    for (seq, of) in versions {
        let listed = keys::of_kind_at(keys::CURRENT, of.0, of.1, *seq);
        let Some(bytes) = at.view.get(&listed)? else {
            continue;
        };
        let entry = Entry::read(&bytes)?;
        let rows = entry.all_rows()?;
        for (key, name) in keys_of(at, (*of, *seq), &rows, entry.main_date_ms) {
            if at.view.get(&key)?.is_none() {
                faults.add(format!("version {seq}: a {name} is not in the index"));
            }
            wanted.insert(key);
        }
    }
    for space in [keys::INDEX, keys::LONG] {
        at.scan(space, |key, _| {
            let seq = keys::last_number(key);
            if wrong.contains_key(&seq) && !wanted.contains(key) {
                faults.add(format!("the index names version {seq} without a row"));
            }
            Ok(())
        })?;
    }
    Ok(())
}
