//! Reads everything back and says what does not fit together.
//!
//! Each fault is a line that names keys by kind and seq, never content. What there is most of
//! (`versions`, `rows`, `audit`) is read side by side, and then held against each other.

mod audit;
mod rows;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use salus_store::{Error, Kind, Scope};

use crate::chain::Link;
use crate::core::{Core, State, kind_of_key};
use crate::hash::BySeq;
use crate::kv::View;
use crate::newest::Newest;
use crate::{blobs, keys};
use rows::{Indexed, Listed};
use versions::{Purges, Versions};

/// More faults than this are not listed.
const FAULTS_MAX: usize = 1000;

/// What is wrong; nothing if it is empty.
pub(crate) fn check(core: &Arc<Core>) -> Result<Vec<String>, Error> {
    // Before the view, as a reader does.
    let _watch = core.superseded.watch();
    let view = core.kv.view()?;
    let state = State::load(&view)?;
    let at = Point { core, view, state };
    let purges = versions::purges(&at)?;
    let (bodies, listed, indexed, audit) = thread::scope(|scope| {
        let bodies = scope.spawn(|| versions::read(&at, &purges));
        let listed = scope.spawn(|| rows::listed(&at));
        let indexed = scope.spawn(|| rows::indexed(&at));
        let audit = audit::check(&at);
        (joined(bodies), joined(listed), joined(indexed), audit)
    });
    let (versions, faults) = bodies?;
    let mut check = Check {
        at: &at,
        faults,
        versions,
        purges,
    };
    check.chain()?;
    check.newest()?;
    check.older()?;
    check.rows(&listed?, &indexed?)?;
    check.past()?;
    let mut faults = check.faults;
    faults.append(audit?);
    blobs::check(core, |fault| faults.add(fault))?;
    Ok(faults.0)
}

/// The end of a walk beside others.
fn joined<T>(walk: thread::ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    let stopped = |_| Err(Error::Unavailable("a part of the check stopped".into()));
    walk.join().unwrap_or_else(stopped)
}

/// What is checked: all as it was at one point.
struct Point<'a> {
    core: &'a Arc<Core>,
    view: View,
    /// What the committer knew then.
    state: State,
}

impl Point<'_> {
    /// Walks over all keys of a space.
    fn scan(
        &self,
        space: u8,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut cursor = self.view.forward(&[space], &[space + 1])?;
        while let Some((key, value)) = cursor.next()? {
            each(key, &value)?;
        }
        Ok(())
    }
}

/// What was found, up to a bound.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, what: String) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(what);
        }
    }

    fn append(&mut self, more: Self) {
        more.0.into_iter().for_each(|what| self.add(what));
    }
}

struct Check<'a> {
    at: &'a Point<'a>,
    faults: Faults,
    versions: Versions,
    purges: Purges,
}

impl Check<'_> {
    fn fault(&mut self, what: String) {
        self.faults.add(what);
    }

    fn scan(
        &mut self,
        space: u8,
        mut each: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let at = self.at;
        at.scan(space, |key, value| each(self, key, value))
    }

    /// The chain of changes holds every version, and ends where the state says.
    fn chain(&mut self) -> Result<(), Error> {
        let visible = self.at.state.seq;
        let (mut hash, mut versions) = ([0; 32], 0);
        self.scan(keys::CHAIN, |check, key, bytes| {
            let first = keys::last_number(key);
            if first > visible {
                return Ok(());
            }
            let link = Link::read(bytes);
            let count = link.map_or(0, |link| u64::from(link.versions));
            let digests = (first..first.saturating_add(count))
                .map_while(|seq| check.versions.get(&seq))
                .map(|version| version.digest);
            let digests: Vec<_> = digests.collect();
            versions += digests.len();
            let rebuilt = Link::new(hash, first, digests.into_iter());
            if link != Some(rebuilt) {
                check.fault(format!("the chain of changes at {first}: not its versions"));
            }
            hash = link.map_or(hash, |link| link.hash);
            Ok(())
        })?;
        if versions != self.versions.len() {
            self.fault("the chain of changes does not hold every version".into());
        }
        if self.at.state.chain != hash {
            self.fault("the chain of changes does not end where it should".into());
        }
        Ok(())
    }

    /// Every record's newest version is there.
    fn newest(&mut self) -> Result<(), Error> {
        let visible = self.at.state.seq;
        self.scan(keys::NEWEST, |check, key, bytes| {
            let newest = Newest::read(bytes)?;
            if newest.seq > visible {
                return Ok(());
            }
            let of = kind_of_key(key);
            let fits = check.versions.get_mut(&newest.seq).is_some_and(|version| {
                version.newest = true;
                Some(version.of) == of
                    && version.number == newest.version
                    && version.deleted == newest.deleted
            });
            if !fits {
                check.fault(format!("newest version {}: not its body", newest.seq));
            }
            Ok(())
        })
    }

    /// Every older version is there, and every version is the newest or an older
    /// one, or was purged.
    fn older(&mut self) -> Result<(), Error> {
        self.scan(keys::VERSION, |check, key, bytes| {
            let (number, seq) = (keys::last_number(key), keys::last_number(bytes));
            let of = kind_of_key(key);
            let record = key.get(1..key.len() - keys::SEQ_LEN).unwrap_or_default();
            let below = check.purges.get(record).copied().unwrap_or(0);
            let fits = check.versions.get_mut(&seq).is_some_and(|version| {
                version.older = true;
                let kept = version.purged || version.deleted || number >= below;
                Some(version.of) == of && version.number == number && kept
            });
            if !fits {
                check.fault(format!("older version {seq}: not its body"));
            }
            Ok(())
        })?;
        let unmarked = self.versions.iter().filter(|(_, version)| {
            // A single version that was shredded is still led to.
            version.purged && !version.marked && !version.older
        });
        let mut unmarked: Vec<u64> = unmarked.map(|(seq, _)| *seq).collect();
        unmarked.sort_unstable();
        for seq in unmarked {
            self.fault(format!("version {seq}: purged without a mark"));
        }
        let lost = self.versions.iter();
        let lost = lost.filter(|(_, version)| match version.purged {
            true => version.newest,
            false => version.newest == version.older,
        });
        let lost: Vec<u64> = lost.map(|(seq, _)| *seq).collect();
        for seq in lost {
            self.fault(format!("version {seq}: no record leads to it"));
        }
        Ok(())
    }

    /// The list of current versions holds the newest ones, and those that wait for removal; the
    /// index has what their rows say, and nothing else.
    fn rows(&mut self, listed: &BySeq<Listed>, indexed: &BySeq<Indexed>) -> Result<(), Error> {
        self.listed(listed)?;
        let mut wrong = BySeq::default();
        let nothing = Indexed::default();
        for (seq, listed) in in_order(listed) {
            let found = indexed.get(&seq).unwrap_or(&nothing);
            if !found.has_keys_of(&listed.indexed) {
                wrong.insert(seq, listed.of);
            }
            if found.texts != listed.indexed.texts {
                self.fault(format!(
                    "version {seq}: its words are not those of its postings"
                ));
            }
        }
        for (seq, found) in in_order(indexed) {
            if listed.contains_key(&seq) {
                continue;
            }
            if found.keys > 0 {
                self.fault(format!("the index names version {seq} without a row"));
            }
            if found.texts != 0 {
                self.fault(format!("a posting names version {seq}"));
            }
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => rows::name_faults(self.at, &wrong, &mut self.faults),
        }
    }

    fn listed(&mut self, listed: &BySeq<Listed>) -> Result<(), Error> {
        let mut counts: BTreeMap<(Scope, Kind), u64> = BTreeMap::new();
        for (seq, listed) in in_order(listed) {
            let version = self.versions.get(&seq);
            let fits = version.is_some_and(|version| {
                version.of == listed.of
                    && version.number == listed.number
                    && !version.deleted
                    && version.newest == listed.shows
            });
            if !fits {
                self.fault(format!("current version {seq}: not its record"));
            }
            *counts.entry(listed.of).or_default() += u64::from(listed.shows);
        }
        let missing = self.versions.iter().filter(|(seq, version)| {
            version.newest && !version.deleted && !listed.contains_key(seq)
        });
        let mut missing: Vec<_> = missing.map(|(seq, _)| *seq).collect();
        missing.sort_unstable();
        for seq in missing {
            self.fault(format!("version {seq}: not in the list of its kind"));
        }
        self.counts(counts)
    }

    /// The count of each kind is how many there are.
    fn counts(&mut self, mut counts: BTreeMap<(Scope, Kind), u64>) -> Result<(), Error> {
        self.scan(keys::COUNT, |check, key, bytes| {
            let of = kind_of_key(key);
            let counted = of.and_then(|of| counts.remove(&of)).unwrap_or(0);
            if counted != keys::last_number(bytes) {
                check.fault(format!("the count of a kind: {counted} records are there"));
            }
            Ok(())
        })?;
        for count in counts.into_values().filter(|count| *count > 0) {
            self.fault(format!("no count of a kind with {count} records"));
        }
        Ok(())
    }

    /// The list of past versions holds those that are not current.
    fn past(&mut self) -> Result<(), Error> {
        let visible = self.at.state.seq;
        let mut past: BySeq<()> = BySeq::default();
        self.scan(keys::PAST, |check, key, _| {
            let seq = keys::last_number(key);
            past.insert(seq, ());
            let version = check.versions.get(&seq);
            let fits = version.is_some_and(|version| {
                (version.older || version.deleted) && Some(version.of) == kind_of_key(key)
            });
            if !fits && seq <= visible {
                check.fault(format!("past version {seq}: not its record"));
            }
            Ok(())
        })?;
        let missing = self.versions.iter().filter(|(seq, version)| {
            (version.older || version.deleted) && !past.contains_key(*seq)
        });
        let missing: Vec<_> = missing.map(|(seq, _)| *seq).collect();
        for seq in missing {
            self.fault(format!("version {seq}: not in the history of its kind"));
        }
        Ok(())
    }
}

/// By their seqs.
fn in_order<T>(all: &BySeq<T>) -> impl Iterator<Item = (u64, &T)> {
    let mut seqs: Vec<u64> = all.keys().copied().collect();
    seqs.sort_unstable();
    seqs.into_iter()
        .filter_map(|seq| Some((seq, all.get(&seq)?)))
}
