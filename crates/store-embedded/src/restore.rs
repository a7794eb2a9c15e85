//! A store made of a log: the bytes of versions and audit entries are what they
//! were, so are their seqs, and the keys beside them are made anew.
//!
//! What a later batch supersedes is looked up only for versions that are not a
//! record's first. All is written in large pieces, and none of it is
//! read before the end: until then, and until the records have their rows
//! ([`Embedded::restored`]), a file `restoring` in the folder says that the
//! store is not whole, and it is not opened.

mod pieces;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::Keyring;
use salus_store::{
    Error, Finished, Kind, LogBatch, LogHead, LogPart, Lost, NewRows, Purge, Reply, Restoring,
    Scope, Seq,
};

use crate::chain::Link;
use crate::core::{self, META_FLOOR, META_FRONTIER, META_STATE, State};
use crate::kv::{Kv, When};
use crate::newest::Newest;
use crate::purge::{self, Logged, PreparedPurge};
use crate::reader::ready;
use crate::space::Space;
use crate::tree::Tree;
use crate::{Embedded, Options, audit, body, format, keys, row};
use pieces::Pieces;

/// The file that says that a store is not whole.
const MARKER: &str = "restoring";
const MARKER_TEXT: &[u8] = b"This store is being restored, or its restore was cut off. \
It is not whole: remove this folder and restore again.\n";

impl Embedded {
    /// Begins to make a store in an empty folder of a log, whose bodies were
    /// compressed with these dictionaries. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if something is in the folder already, or the disk
    /// does not do as asked.
    pub fn restore(options: Options, dictionaries: &[Bytes]) -> Result<Box<dyn Restoring>, Error> {
        Restore::begin(options, dictionaries).map(|restore| Box::new(restore) as Box<dyn Restoring>)
    }

    /// The rows of every current record, to compare a restored store with another. As much
    /// memory as they need.
    ///
    /// # Errors
    /// [`Error::Damaged`] when they are not what was written.
    pub fn all_rows(&self) -> Result<Vec<NewRows>, Error> {
        crate::bare::all(&self.core)
    }

    /// The records of a restored store have their rows again: from now on it
    /// opens like any other. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk does not do as asked.
    pub fn restored(&self) -> Result<(), Error> {
        crate::bare::finish(&self.core)?;
        let dir = self.core.space.dir();
        fs::remove_file(dir.join(MARKER))
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(|e| trouble(dir, &e))?;
        // Beside the check that comes next.
        self.core.kv.begin_flush();
        Ok(())
    }
}

/// Refuses a store that a restore has left behind.
pub(crate) fn refuse_torn(dir: &Path) -> Result<(), Error> {
    match fs::exists(dir.join(MARKER)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Unavailable(format!(
            "{}: a restore into it was cut off; remove the folder and restore again",
            dir.display()
        ))),
        Err(e) => Err(trouble(dir, &e)),
    }
}

fn trouble(dir: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable(format!("{}: {error}", dir.display()))
}

struct Restore {
    keyring: Arc<Keyring>,
    state: State,
    tree: Tree,
    counts: HashMap<(Scope, Kind), u64>,
    /// Newest versions whose content was purged before the log was read.
    purged: HashSet<u64>,
    pieces: Pieces,
    space: Space,
    _lock: File,
}

impl Restore {
    fn begin(options: Options, dictionaries: &[Bytes]) -> Result<Self, Error> {
        let Options {
            dir,
            keyring,
            memory,
            disk_bytes_min,
            ..
        } = options;
        core::make_folder(&dir).map_err(|e| trouble(&dir, &e))?;
        let mut inside = fs::read_dir(&dir).map_err(|e| trouble(&dir, &e))?;
        if inside.next().is_some() {
            return Err(Error::Unavailable(format!(
                "{}: there is something in the folder already; restore into an empty one",
                dir.display()
            )));
        }
        let lock = core::lock(&dir)?;
        write_marker(&dir).map_err(|e| trouble(&dir, &e))?;
        let key = keyring.derive("storage-engine").map_err(body::sealing)?;
        let kv = Kv::open_to_fill(&dir.join("engine"), &key, memory)?;
        format::bring_up_to_date(&kv, &dir)?;
        kv.write_here(core::dictionary_writes(dictionaries)?, When::Now)?;
        let state = State::load(&kv.view()?)?;
        Ok(Self {
            pieces: Pieces::new(Arc::new(kv)),
            keyring,
            state,
            tree: Tree::default(),
            counts: HashMap::new(),
            purged: HashSet::new(),
            space: Space::new(dir, disk_bytes_min),
            _lock: lock,
        })
    }

    fn add_all(&mut self, batches: Vec<LogBatch>) -> Result<(), Error> {
        for batch in batches {
            let checked = self.check(&batch)?;
            self.apply(batch, checked)?;
            if self.pieces.is_large() {
                self.space.check()?;
                self.pieces.send()?;
            }
        }
        Ok(())
    }

    /// Whether the batch is the next one: its seqs, its place in the chain of
    /// changes, and its keys. Nothing is changed.
    fn check(&self, batch: &LogBatch) -> Result<Option<Link>, Error> {
        let first = self.state.seq + 1;
        let mut digests = Vec::new();
        let mut seqs = 0;
        for part in &batch.parts {
            match part {
                LogPart::Version(bytes) => {
                    let stored = body::Stored::read(bytes)?;
                    self.has_key(stored.slot().map(|slot| slot.number()))?;
                    digests.push(stored.purged().unwrap_or_else(|| body::digest(bytes)));
                    seqs += 1;
                }
                LogPart::Audit { leaf, entry, .. } => {
                    let stored = audit::Stored::read(entry)?;
                    if stored.leaf != *leaf {
                        let what = format!("an audit entry of the batch at {first}");
                        return Err(Error::Damaged(what));
                    }
                    self.has_key(Some(stored.slot().number()))?;
                    seqs += 1;
                }
                LogPart::Purged(_) => {}
            }
        }
        let last = first + u64::max(seqs, 1) - 1;
        if batch.parts.is_empty() || (batch.first.0, batch.last.0) != (first, last) {
            return Err(Error::Damaged(format!("the log has no batch at {first}")));
        }
        let link = match digests.is_empty() {
            true => None,
            false => Some(Link::new(self.state.chain, first, digests.into_iter())),
        };
        if link.map_or(self.state.chain, |link| link.hash) != batch.chain {
            return Err(Error::Damaged(format!(
                "the batch at {first} is not the one that was written"
            )));
        }
        Ok(link)
    }

    fn has_key(&self, slot: Option<u32>) -> Result<(), Error> {
        match slot {
            Some(slot) if slot >= self.keyring.slots() => Err(Error::Unavailable(
                "the keyring is older than the log: it lacks keys; restore with the newest copy of the keys"
                    .into(),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn apply(&mut self, batch: LogBatch, link: Option<Link>) -> Result<(), Error> {
        let LogBatch {
            scope,
            time_ms,
            parts,
            last,
            ..
        } = batch;
        if let Some(link) = link {
            self.state.chain = link.hash;
            let key = keys::at(keys::CHAIN, self.state.seq + 1);
            self.pieces.set(key, link.to_bytes());
        }
        let purges = parts.iter().filter_map(|part| match part {
            LogPart::Purged(purge) => Some(purge.clone()),
            LogPart::Version(_) | LogPart::Audit { .. } => None,
        });
        let purges: Vec<Purge> = purges.collect();
        let logged = Logged {
            alone: purges.len() == parts.len(),
            time_ms,
            scope,
            purges,
        };
        // First: the versions that were the newest before the batch stay.
        self.purge(logged, last)?;
        for part in parts {
            match part {
                LogPart::Version(bytes) => self.version(&bytes)?,
                LogPart::Audit { entry, about, .. } => self.entry(scope, &entry, &about)?,
                LogPart::Purged(_) => {}
            }
        }
        self.state.seq = last.0;
        Ok(())
    }

    /// Notes how late a time is at this point.
    fn observe(&mut self, latest_ms: i64, time_ms: i64) {
        self.state.latest_ms = self.state.latest_ms.max(latest_ms);
        let lag_ms = self.state.latest_ms.saturating_sub(time_ms);
        self.state.lag_ms = self.state.lag_ms.max(lag_ms);
    }

    fn version(&mut self, bytes: &Bytes) -> Result<(), Error> {
        let stored = body::Stored::read(bytes)?;
        self.state.seq += 1;
        let (seq, of) = (self.state.seq, (stored.scope, stored.kind));
        self.observe(stored.latest_ms, stored.time_ms);
        if let Some(slot) = stored.slot() {
            self.state.slots = self.state.slots.max(slot.number() + 1);
        }
        self.pieces.set(keys::at(keys::BODY, seq), bytes.to_vec());
        let before = self.newest(of, stored.id, stored.version)?;
        if before.map_or(0, |before| before.version) + 1 != stored.version {
            return Err(Error::Damaged(format!(
                "version {seq} is not the next of its record"
            )));
        }
        if let Some(before) = before {
            self.supersede(of, stored.id, before)?;
        }
        if stored.purged().is_some() {
            self.purged.insert(seq);
        }
        let deleted = stored.is_deleted();
        let newest = Newest {
            seq,
            version: stored.version,
            deleted,
        };
        let key = keys::record(keys::NEWEST, of.0, of.1, stored.id);
        self.pieces.set(key, newest.to_bytes());
        self.pieces
            .set_newest((of.0, of.1, stored.id.into()), newest);
        self.place(&stored, seq);
        let was = before.is_some_and(|before| !before.deleted);
        let count = self.counts.entry(of).or_default();
        match (was, deleted) {
            (false, false) => *count += 1,
            (true, true) => *count -= 1,
            (true, false) | (false, true) => {}
        }
        Ok(())
    }

    /// Among the current versions of its kind, yet without rows, or the past ones.
    fn place(&mut self, stored: &body::Stored<'_>, seq: u64) {
        if stored.is_deleted() {
            let key = keys::of_kind_at(keys::PAST, stored.scope, stored.kind, seq);
            self.pieces.set(key, Vec::new());
            return;
        }
        let entry = row::NewEntry {
            id: stored.id,
            version: stored.version,
            time_ms: stored.time_ms,
            main_date_ms: None,
            rows: &[],
        };
        let mut entry = entry.to_bytes();
        row::set_latest(&mut entry, stored.latest_ms);
        let key = keys::of_kind_at(keys::CURRENT, stored.scope, stored.kind, seq);
        self.pieces.set(key, entry);
    }

    /// The version before this one.
    fn newest(
        &self,
        (scope, kind): (Scope, Kind),
        id: &str,
        version: u64,
    ) -> Result<Option<Newest>, Error> {
        if version == 1 {
            return Ok(None);
        }
        if let Some(newest) = self.pieces.newest(&(scope, kind, id.into())) {
            return Ok(Some(newest));
        }
        let value = self
            .pieces
            .view()?
            .get(&keys::record(keys::NEWEST, scope, kind, id))?;
        value.map(|bytes| Newest::read(&bytes)).transpose()
    }

    /// A version came behind another.
    fn supersede(&mut self, of: (Scope, Kind), id: &str, old: Newest) -> Result<(), Error> {
        let (scope, kind) = of;
        if !old.deleted {
            self.pieces
                .remove(keys::of_kind_at(keys::CURRENT, scope, kind, old.seq));
        }
        let has_content = !self.purged.remove(&old.seq);
        // The mark says that all below was purged. Of what was read before it was, or of what was
        // shredded, a key stays, as in the store that the log is of, until its own purge comes.
        if !has_content && self.mark((scope, kind, id))?.max(1) == old.version {
            let key = keys::record(keys::PURGED, scope, kind, id);
            self.pieces.set_mark(key, old.version + 1);
            return Ok(());
        }
        let key = keys::record_at(keys::VERSION, scope, kind, id, old.version);
        self.pieces.set(key, old.seq.to_be_bytes().into());
        if !old.deleted {
            let key = keys::of_kind_at(keys::PAST, scope, kind, old.seq);
            self.pieces.set(key, Vec::new());
        }
        Ok(())
    }

    /// The first version of a record that was not purged.
    fn mark(&self, (scope, kind, id): (Scope, Kind, &str)) -> Result<u64, Error> {
        let key = keys::record(keys::PURGED, scope, kind, id);
        match self.pieces.mark(&key) {
            Some(below) => Ok(below),
            None => purge::mark(&self.pieces.view()?, (scope, kind, id)),
        }
    }

    /// What a batch purged of what came before it.
    fn purge(&mut self, logged: Logged, last: Seq) -> Result<(), Error> {
        if logged.purges.is_empty() {
            return Ok(());
        }
        // The versions are looked for among what is written.
        self.pieces.flush()?;
        let view = self.pieces.view()?;
        let scope = logged.scope;
        let prepared = logged.purges.iter().map(|purge| {
            PreparedPurge::of(&view, scope, purge.clone(), usize::MAX)
                .map(|prepared| (scope, prepared))
        });
        let prepared: Vec<_> = prepared.collect::<Result<_, _>>()?;
        for (key, value) in purge::writes(&view, &prepared)? {
            match value {
                Some(mark) if key.first() == Some(&keys::PURGED) => {
                    self.pieces.set_mark(key, keys::last_number(&mark));
                }
                Some(value) => self.pieces.set(key, value),
                None => self.pieces.remove(key),
            }
        }
        let key = keys::at(keys::PURGES, last.0);
        self.pieces.set(key, logged.to_bytes());
        Ok(())
    }

    fn entry(
        &mut self,
        scope: Scope,
        entry: &Bytes,
        about: &[(Kind, Box<str>)],
    ) -> Result<(), Error> {
        let stored = audit::Stored::read(entry)?;
        self.state.seq += 1;
        let seq = self.state.seq;
        self.observe(stored.latest_ms, stored.time_ms);
        self.state.slots = self.state.slots.max(stored.slot().number() + 1);
        self.tree.append(seq, stored.leaf, self.pieces.writes());
        for (kind, id) in about {
            let key = keys::record_at(keys::ABOUT, scope, *kind, id, seq);
            self.pieces.set(key, Vec::new());
        }
        let mut bytes = entry.to_vec();
        audit::put_about(&mut bytes, about);
        let key = keys::entry(audit::space(&stored), scope, seq);
        self.pieces.set(key, bytes);
        Ok(())
    }

    /// The records whose newest version came without its content.
    fn lost(&self) -> Result<Vec<Lost>, Error> {
        let view = self.pieces.view()?;
        let mut seqs: Vec<u64> = self.purged.iter().copied().collect();
        seqs.sort_unstable();
        let lost = seqs.into_iter().map(|seq| {
            let missing = || Error::Damaged(format!("version {seq} is missing"));
            let bytes = view.get(&keys::at(keys::BODY, seq))?.ok_or_else(missing)?;
            let stored = body::Stored::read(&bytes)?;
            Ok(Lost {
                scope: stored.scope,
                kind: stored.kind,
                id: stored.id.into(),
                version: stored.version,
                seal: stored.seal(),
            })
        });
        lost.collect()
    }

    fn end(mut self) -> Result<Finished, Error> {
        self.space.check()?;
        self.pieces.flush()?;
        let lost = self.lost()?;
        for ((scope, kind), count) in std::mem::take(&mut self.counts) {
            let key = keys::of_kind(keys::COUNT, scope, kind);
            self.pieces.set(key, count.to_be_bytes().into());
        }
        let (seq, frontier) = (self.state.seq, self.tree.frontier().to_bytes());
        // What older points showed has no rows.
        let floor = seq.to_be_bytes().into();
        self.pieces.set(keys::meta(META_FLOOR), floor);
        self.pieces.set(keys::meta(META_FRONTIER), frontier);
        let state = self.state.to_bytes();
        self.pieces.set(keys::meta(META_STATE), state);
        self.pieces.close()?;
        let head = LogHead {
            seq: Seq(seq),
            chain: self.state.chain,
            audit_size: self.tree.frontier().size(),
            audit_root: self.tree.frontier().root(),
            key_slots: self.state.slots,
        };
        Ok(Finished { head, lost })
    }
}

impl Restoring for Restore {
    fn add(&mut self, batches: Vec<LogBatch>) -> Reply<'_, ()> {
        // Waits for the disk: whoever restores answers nobody.
        ready(self.add_all(batches))
    }

    fn finish(self: Box<Self>) -> Reply<'static, Finished> {
        ready(self.end())
    }
}

fn write_marker(dir: &Path) -> std::io::Result<()> {
    let mut marker = File::create_new(dir.join(MARKER))?;
    marker.write_all(MARKER_TEXT)?;
    marker.sync_all()?;
    File::open(dir)?.sync_all()
}
