//! Reads everything back and says what does not fit together.
//!
//! Each fault is a line that names keys by kind and seq, never content.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use salus_crypto::merkle::{Frontier, Hash};
use salus_store::{Error, Kind, Scope};

use crate::chain::Link;
use crate::core::{Core, META_FRONTIER, State, kind_of_key};
use crate::kv::View;
use crate::newest::Newest;
use crate::row::Entry;
use crate::superseded::Watch;
use crate::tree::Tree;
use crate::{audit, blobs, body, keys, text};

/// More faults than this are not listed.
const FAULTS_MAX: usize = 1000;

pub(crate) fn check(core: &Arc<Core>) -> Result<Vec<String>, Error> {
    // Before the view, as a reader does.
    let watch = core.superseded.watch();
    let view = Arc::new(core.kv.view()?);
    let mut check = Check {
        core,
        state: State::load(&view)?,
        view,
        _watch: watch,
        faults: Vec::new(),
        versions: HashMap::new(),
        purges: HashMap::new(),
    };
    check.purges()?;
    check.bodies()?;
    check.chain()?;
    check.newest()?;
    check.older()?;
    check.current()?;
    check.index()?;
    check.texts()?;
    check.past()?;
    check.audit()?;
    blobs::check(core, |fault| check.fault(fault))?;
    Ok(check.faults)
}

struct Check<'a> {
    core: &'a Core,
    view: Arc<View>,
    /// What the committer knew at the point of the view.
    state: State,
    _watch: Watch,
    faults: Vec<String>,
    versions: HashMap<u64, Version>,
    /// Of each record that was purged, without the space of its key, the first
    /// version that was not.
    purges: HashMap<Vec<u8>, u64>,
}

/// What is known of a version.
struct Version {
    digest: [u8; 32],
    of: (Scope, Kind),
    number: u64,
    deleted: bool,
    /// Only that it was there is left.
    purged: bool,
    /// The mark of what was purged of its record says so.
    marked: bool,
    newest: bool,
    older: bool,
    /// Keys that its rows should have in the index, and have not been met.
    index: usize,
    /// The sum of the digests of its postings that have not been met.
    texts: u64,
}

impl Check<'_> {
    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    fn scan(
        &mut self,
        space: u8,
        mut each: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let view = Arc::clone(&self.view);
        let mut cursor = view.forward(&[space], &[space + 1])?;
        while let Some((key, value)) = cursor.next()? {
            each(self, key, &value)?;
        }
        Ok(())
    }

    /// What was purged of which record.
    fn purges(&mut self) -> Result<(), Error> {
        self.scan(keys::PURGED, |check, key, below| {
            let of = key.get(1..).unwrap_or_default().to_vec();
            check.purges.insert(of, keys::last_number(below));
            Ok(())
        })
    }

    /// Every body opens, but for those that were purged.
    fn bodies(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
        self.scan(keys::BODY, |check, key, bytes| {
            let seq = keys::last_number(key);
            if seq > visible {
                return Ok(());
            }
            let stored = match body::Stored::read(bytes) {
                Ok(stored) => stored,
                Err(error) => {
                    check.fault(format!("version {seq}: {error}"));
                    return Ok(());
                }
            };
            let purged = stored.purged();
            let mark = keys::record(keys::PURGED, stored.scope, stored.kind, stored.id);
            let below = check.purges.get(&mark[1..]);
            let marked = below.is_some_and(|below| stored.version < *below);
            if purged.is_none() {
                match stored.open(seq, &check.core.codec, &check.core.keyring) {
                    // To be removed when a server opens the folder: its key is gone.
                    Ok(_) | Err(Error::KeyDestroyed) => {}
                    Err(error) => check.fault(format!("version {seq}: {error}")),
                }
            }
            let version = Version {
                digest: purged.unwrap_or_else(|| body::digest(bytes)),
                purged: purged.is_some(),
                marked,
                of: (stored.scope, stored.kind),
                number: stored.version,
                deleted: stored.is_deleted(),
                newest: false,
                older: false,
                index: 0,
                texts: 0,
            };
            check.versions.insert(seq, version);
            Ok(())
        })
    }

    /// The chain of changes holds every version, and ends where the state says.
    fn chain(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
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
        if self.state.chain != hash {
            self.fault("the chain of changes does not end where it should".into());
        }
        Ok(())
    }

    /// Every record's newest version is there.
    fn newest(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
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

    /// The list of current versions holds the newest ones, and those that wait for removal.
    fn current(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
        let mut counts: BTreeMap<(Scope, Kind), u64> = BTreeMap::new();
        self.scan(keys::CURRENT, |check, key, bytes| {
            let seq = keys::last_number(key);
            let (Some(of), true) = (kind_of_key(key), seq <= visible) else {
                return Ok(());
            };
            let entry = Entry::read(bytes)?;
            let mut index = Vec::new();
            let mut names = Vec::new();
            let rows = entry.all_rows()?;
            let texts = text::digests(of, seq, &rows);
            for row in rows {
                check
                    .core
                    .index
                    .put_keys(of, &row, entry.main_date_ms, &mut index);
                names.resize(index.len(), row.value.name());
            }
            let index: HashMap<_, _> = index.into_iter().zip(names).collect();
            for (key, name) in &index {
                let mut key = key.clone();
                keys::set_seq(&mut key, seq);
                if check.view.get(&key)?.is_none() {
                    check.fault(format!("version {seq}: a {name} is not in the index"));
                }
            }
            let shows = check.core.superseded.shows(seq, visible);
            let fits = check.versions.get_mut(&seq).is_some_and(|version| {
                version.index = index.len();
                version.texts = texts;
                version.of == of
                    && version.number == entry.version
                    && !version.deleted
                    && version.newest == shows
            });
            if !fits {
                check.fault(format!("current version {seq}: not its record"));
            }
            *counts.entry(of).or_default() += u64::from(shows);
            Ok(())
        })?;
        let missing = self
            .versions
            .iter()
            .filter(|(_, version)| version.newest && !version.deleted && version.index == 0);
        let missing: Vec<_> = missing.map(|(seq, version)| (*seq, version.of)).collect();
        for (seq, (scope, kind)) in missing {
            let key = keys::of_kind_at(keys::CURRENT, scope, kind, seq);
            if self.view.get(&key)?.is_none() {
                self.fault(format!("version {seq}: not in the list of its kind"));
            }
        }
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

    /// Every entry of the index has its row.
    fn index(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
        for space in [keys::INDEX, keys::LONG] {
            self.scan(space, |check, key, _| {
                let seq = keys::last_number(key);
                if seq > visible {
                    return Ok(());
                }
                match check.versions.get_mut(&seq) {
                    Some(version) if version.index > 0 && kind_of_key(key) == Some(version.of) => {
                        version.index -= 1;
                    }
                    _ => check.fault(format!("the index names version {seq} without a row")),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Every posting is of a word of its version, and no word lacks one.
    fn texts(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
        self.scan(keys::TEXT, |check, key, value| {
            let start = key.get(..key.len() - keys::SEQ_LEN).unwrap_or_default();
            for placed in text::Postings::read(keys::last_number(key), value)? {
                let placed = placed?;
                let version = check.versions.get_mut(&placed.seq);
                match version.filter(|version| kind_of_key(key) == Some(version.of)) {
                    Some(version) => {
                        let rest = version.texts.wrapping_sub(placed.digest(start));
                        version.texts = rest;
                    }
                    None if placed.seq > visible => {}
                    None => check.fault(format!("a posting names version {}", placed.seq)),
                }
            }
            Ok(())
        })?;
        let wrong = self.versions.iter();
        let wrong = wrong.filter(|(seq, version)| version.texts != 0 && **seq <= visible);
        let wrong: Vec<_> = wrong.map(|(seq, _)| *seq).collect();
        for seq in wrong {
            self.fault(format!(
                "version {seq}: its words are not those of its postings"
            ));
        }
        Ok(())
    }

    /// The list of past versions holds those that are not current.
    fn past(&mut self) -> Result<(), Error> {
        let visible = self.state.seq;
        let mut past = HashSet::new();
        self.scan(keys::PAST, |check, key, _| {
            let seq = keys::last_number(key);
            past.insert(seq);
            let version = check.versions.get(&seq);
            let fits = version.is_some_and(|version| {
                (version.older || version.deleted) && Some(version.of) == kind_of_key(key)
            });
            if !fits && seq <= visible {
                check.fault(format!("past version {seq}: not its record"));
            }
            Ok(())
        })?;
        let missing = self
            .versions
            .iter()
            .filter(|(seq, version)| (version.older || version.deleted) && !past.contains(*seq));
        let missing: Vec<_> = missing.map(|(seq, _)| *seq).collect();
        for seq in missing {
            self.fault(format!("version {seq}: not in the history of its kind"));
        }
        Ok(())
    }

    /// Every audit entry opens, its leaf is its own, and all leaves make the tree.
    fn audit(&mut self) -> Result<(), Error> {
        let mut leaves = self.entries(keys::AUDIT)?;
        let found: HashSet<u64> = leaves.keys().copied().collect();
        for (seq, leaf) in self.entries(keys::CLEARED)? {
            if leaves.insert(seq, leaf).is_some() {
                self.fault(format!("audit entry {seq}: cleared and still there"));
            }
        }
        self.tree(&leaves)?;
        self.scan(keys::ABOUT, |check, key, _| {
            let seq = keys::last_number(key);
            if !found.contains(&seq) {
                check.fault(format!(
                    "a record names audit entry {seq}, which is missing"
                ));
            }
            Ok(())
        })
    }

    /// The entries of a space: whole ones, or what is left of cleared ones.
    fn entries(&mut self, space: u8) -> Result<BTreeMap<u64, Hash>, Error> {
        let mut leaves = BTreeMap::new();
        self.scan(space, |check, key, bytes| {
            let seq = keys::last_number(key);
            let scope = key
                .get(1..)
                .and_then(|mut rest| keys::take_scope(&mut rest));
            let scope = scope.ok_or_else(|| Error::Damaged("an audit entry's key".into()))?;
            let stored = match audit::Stored::read(bytes) {
                Ok(stored) => stored,
                Err(error) => {
                    check.fault(format!("audit entry {seq}: {error}"));
                    return Ok(());
                }
            };
            match stored.verify(scope, seq, &check.core.keyring) {
                Ok(true) if audit::space(&stored) == space => {}
                Ok(_) => check.fault(format!("audit entry {seq}: not its leaf")),
                Err(error) => check.fault(format!("audit entry {seq}: {error}")),
            }
            leaves.insert(seq, stored.leaf);
            Ok(())
        })?;
        Ok(leaves)
    }

    /// The leaves make the tree, and what is kept of its subtrees.
    fn tree(&mut self, leaves: &BTreeMap<u64, Hash>) -> Result<(), Error> {
        let (mut tree, mut writes) = (Tree::default(), Vec::new());
        for (seq, leaf) in leaves {
            tree.append(*seq, *leaf, &mut writes);
        }
        let kept = self.view.get(&keys::meta(META_FRONTIER))?;
        let kept = kept.as_deref().and_then(Frontier::from_bytes);
        if kept.unwrap_or_default() != *tree.frontier() {
            self.fault("the audit log is not the one that was written".into());
        }
        // A later write to a key replaces an earlier one.
        let mut rebuilt: BTreeMap<_, _> = writes.into_iter().collect();
        self.scan(keys::SUBTREE, |check, key, value| {
            let expected = rebuilt.remove(key).flatten();
            if expected.as_deref() != Some(value) {
                check.fault("a subtree of the audit log is not that of its entries".into());
            }
            Ok(())
        })?;
        if !rebuilt.is_empty() {
            self.fault("subtrees of the audit log are missing".into());
        }
        Ok(())
    }
}
