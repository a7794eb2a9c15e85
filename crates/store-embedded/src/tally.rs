//! What a store held at a point of its log: how many records of each kind, how many versions
//! of them, and the chain of changes. Whoever restores a store holds both against it.
//!
//! The newest version of each record tells it for those that have not changed since. For the
//! others it is looked up among their older versions, and in the log if those were purged.
//! Nothing is opened.

use std::collections::{BTreeMap, HashMap};

use salus_store::{Error, Kind, Scope, Seq};

use crate::core::{Core, State, kind_of_key};
use crate::kv::View;
use crate::newest::Newest;
use crate::{Embedded, body, keys, log};

/// What a store held at a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By scope and kind.
    pub kinds: BTreeMap<(Scope, Kind), Counts>,
    /// The chain of changes up to there.
    pub chain: [u8; 32],
}

/// Of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Current records that are not deleted.
    pub records: u64,
    /// Versions that were ever written of all its records, deletions and purged ones among them.
    pub versions: u64,
}

impl Embedded {
    /// What it held at a point that it has reached. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it has not got there, [`Error::Damaged`] if it is not what was written.
    pub fn tally(&self, upto: Seq) -> Result<Tally, Error> {
        tally(&self.core, upto)
    }
}

fn tally(core: &Core, upto: Seq) -> Result<Tally, Error> {
    let view = core.kv.view()?;
    if upto.0 > State::load(&view)?.seq {
        return Err(Error::Misuse("the store has not reached this point"));
    }
    let mut tally = Tally {
        chain: log::chain_until(&view, upto.0)?,
        ..Tally::default()
    };
    let mut in_log = HashMap::new();
    let mut records = view.forward(&[keys::NEWEST], &[keys::NEWEST + 1])?;
    while let Some((key, value)) = records.next()? {
        let of = kind_of_key(key).ok_or_else(|| Error::Damaged("the key of a record".into()))?;
        let newest = Newest::read(&value)?;
        if newest.seq <= upto.0 {
            tally.add(of, newest.version, newest.deleted);
            continue;
        }
        match at(&view, &key[1..], upto.0)? {
            Found::Version { number, deleted } => tally.add(of, number, deleted),
            Found::Purged => drop(in_log.insert(key[1..].to_vec(), (0, false))),
            Found::None => {}
        }
    }
    drop(records);
    read_log(&view, &mut in_log, upto.0)?;
    for (key, (number, deleted)) in in_log.into_iter().filter(|(_, (number, _))| *number > 0) {
        let of = kind_of_key(&[&[keys::NEWEST], &*key].concat());
        tally.add(of.unwrap_or((Scope::SYSTEM, Kind(0))), number, deleted);
    }
    Ok(tally)
}

impl Tally {
    fn add(&mut self, of: (Scope, Kind), versions: u64, deleted: bool) {
        let counts = self.kinds.entry(of).or_default();
        counts.versions += versions;
        counts.records += u64::from(!deleted);
    }
}

/// What a record was at a point.
enum Found {
    /// Its newest version then.
    Version { number: u64, deleted: bool },
    /// It may have been something whose versions were purged since.
    Purged,
    /// It was not there yet.
    None,
}

/// What a record was, by its key without the space.
fn at(view: &View, record: &[u8], upto: u64) -> Result<Found, Error> {
    let start = [&[keys::VERSION], record].concat();
    let mut older = view.backward(&start, &keys::after_prefix(&start))?;
    while let Some((key, value)) = older.next()? {
        let (number, seq) = (keys::last_number(key), keys::last_number(&value));
        if seq > upto {
            continue;
        }
        let missing = || Error::Damaged(format!("version {seq}: it is missing"));
        let bytes = view.get(&keys::at(keys::BODY, seq))?.ok_or_else(missing)?;
        let deleted = body::Stored::read(&bytes)?.is_deleted();
        return Ok(Found::Version { number, deleted });
    }
    let purged = view.get(&[&[keys::PURGED], record].concat())?.is_some();
    Ok(if purged { Found::Purged } else { Found::None })
}

/// Of some records their newest versions then, by the log: it has the heads of what was purged.
fn read_log(
    view: &View,
    records: &mut HashMap<Vec<u8>, (u64, bool)>,
    upto: u64,
) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let end = keys::at(keys::BODY, upto.saturating_add(1));
    let mut log = view.forward(&[keys::BODY], &end)?;
    while let Some((_, bytes)) = log.next()? {
        let stored = body::Stored::read(&bytes)?;
        let key = keys::record(keys::NEWEST, stored.scope, stored.kind, stored.id);
        if let Some(newest) = records.get_mut(&key[1..]) {
            *newest = (stored.version, stored.is_deleted());
        }
    }
    Ok(())
}
