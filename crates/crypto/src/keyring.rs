//! The keyring: root key, project keys, patient keys, each wrapped by the one above.
//!
//! It lives in a folder of its own, apart from the data and its copies, so
//! that destroying a key here destroys what it sealed everywhere. Two files:
//! `root.key`, and `keyring` with one record per key (its form is described
//! in `keyring/record.rs`); beside them lies what is under way. Names of
//! patients are not in it, only MACs of their ids.
//!
//! The first slot holds a key that is never used to seal records: keys for
//! single purposes are derived from it, not from the root key, so that a new
//! root key only has to wrap the keys below it anew.

mod adopt;
mod cache;
mod changes;
mod destroy;
mod file;
mod key;
mod labels;
mod passphrase;
mod record;
mod reroot;
mod root;
mod rotate;
mod shreds;
mod source;
mod status;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use self::cache::Cache;
use self::file::place;
use self::key::Key;
use self::labels::{Held, Labels};
use self::record::{LEN, LabelMac, Level, Record};
use self::root::{Root, io};
pub use self::shreds::{Ledger, Shredding, Shreds};
use crate::{Error, SecretKey, random};

pub use self::adopt::Adopted;
pub use self::passphrase::Passphrase;
pub use self::rotate::{Due, Progress};
pub use self::source::{RootFault, RootSource, WrapsRoot};
pub use self::status::{CheckedKeys, PatientKeys, ProjectKeys, RootStatus, Status};

/// The place of a key in the keyring; stored beside what the key sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// The slot of this number, as [`Self::number`] gave it.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number, to be stored.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Whether a keyring may be founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Founding {
    /// The store is new: an empty or absent folder gets a keyring.
    New,
    /// The store exists: its keyring must too.
    Existing,
}

/// Unwrapped keys held in memory, about 1 KB each.
const CACHED_KEYS_MAX: usize = 16_384;

/// Keys of one keyring, each 128 bytes on disk and about 30 in memory.
const SLOTS_MAX: u32 = 1 << 28;

/// Every key of a store.
pub struct Keyring {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    roots: RwLock<Roots>,
    purposes: SecretKey,
    label_key: aws_lc_rs::hmac::Key,
    labels: RwLock<Labels>,
    /// Held while a key is made or destroyed, so that no label gets two.
    making: Mutex<()>,
    /// Held while records in the file change, by one at a time, until that is durable.
    changes: Mutex<changes::Journal>,
    /// The records that change now, as they are to be. Those in the file may be torn.
    pending: RwLock<changes::BySlot>,
    /// Held for writing while `pending` gets records: who reads one before sees all of it in the
    /// file, and no key that was destroyed meanwhile gets into the cache.
    overwriting: RwLock<()>,
    tail: Mutex<Tail>,
    syncing: Mutex<()>,
    made: AtomicU32,
    durable: AtomicU32,
    cache: Cache,
    /// No keys are made any more: nobody knows which root key holds at the next opening.
    stopped: AtomicBool,
    /// Held while keys are rotated, by one at a time.
    work: Mutex<rotate::Work>,
}

/// The root key and who keeps it.
struct Roots {
    source: RootSource,
    current: Root,
    /// The one before, while records change from it.
    former: Option<Root>,
}

/// Records that are not durable yet.
struct Tail {
    start: u32,
    records: Vec<u8>,
}

impl Tail {
    /// The record of a slot; `None` when it is in the file.
    fn record(&self, slot: u32) -> Result<Option<[u8; LEN]>, Error> {
        let Some(behind) = slot.checked_sub(self.start) else {
            return Ok(None);
        };
        self.records
            .get(behind as usize * LEN..)
            .and_then(|rest| rest.first_chunk())
            .map(|bytes| Some(*bytes))
            .ok_or(Error::SlotUnknown(Slot(slot)))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("path", &self.path).finish()
    }
}

impl Keyring {
    /// Opens the keyring in a folder, or founds it where that is allowed; its
    /// root key is in the file `root.key` beside it.
    ///
    /// # Errors
    /// As [`Self::open_from`].
    pub fn open(dir: &Path, founding: Founding, now_ms: i64) -> Result<Arc<Self>, Error> {
        let source = RootSource::File(dir.join("root.key"));
        Self::open_from(dir, &source, founding, now_ms)
    }

    /// Opens the keyring in a folder with a root key from this source, or
    /// founds it where that is allowed. `now_ms` is the time, in milliseconds
    /// since 1970 UTC.
    ///
    /// # Errors
    /// A missing, readable-by-others or foreign root key, a source that does
    /// not give it, a missing or damaged keyring, each naming what it is.
    /// Nothing is changed then.
    pub fn open_from(
        dir: &Path,
        source: &RootSource,
        founding: Founding,
        now_ms: i64,
    ) -> Result<Arc<Self>, Error> {
        let path = dir.join("keyring");
        if !file::exists(&path)? {
            if founding == Founding::Existing {
                return Err(Error::KeyringMissing(path));
            }
            let root = match source.is_there(dir)? {
                // The last founding ended between its two files.
                true => {
                    file::make_folder(dir)?;
                    source.read(dir, None, None)?.root
                }
                false => {
                    file::make_folder(dir)?;
                    source.create(dir)?
                }
            };
            file::found(dir, &path, &root, now_ms)?;
        }
        Self::load(dir, path, source).map(Arc::new)
    }

    /// The slot of a key: of a patient (`label`, the id) in a scope, or of the
    /// scope itself. Makes the key when there is none; it is not durable
    /// before [`Self::sync`], which must come before anything that it sealed
    /// is made durable.
    ///
    /// # Errors
    /// [`Error::LabelDestroyed`] when its keys were destroyed; when there is no
    /// randomness, or the project's key cannot be read.
    pub fn slot(&self, scope: u32, label: Option<&str>, now_ms: i64) -> Result<Slot, Error> {
        let mac = self.label_mac(scope, label);
        if let Some(slot) = self.held(&mac)? {
            return Ok(Slot(slot));
        }
        let _one_at_a_time = self.making.lock();
        // Another thread may have made it meanwhile.
        if let Some(slot) = self.held(&mac)? {
            return Ok(Slot(slot));
        }
        let project = match label {
            None => None,
            Some(_) => Some(self.project_slot(scope, now_ms)?),
        };
        self.make(scope, mac, project, now_ms).map(Slot)
    }

    /// The slot of a key, if there is one.
    #[must_use]
    pub fn find(&self, scope: u32, label: Option<&str>) -> Option<Slot> {
        let mac = self.label_mac(scope, label);
        self.held(&mac).ok().flatten().map(Slot)
    }

    /// How many slots there are. A store that remembers it can tell a keyring
    /// that is older than its data.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.made.load(Ordering::Acquire)
    }

    /// Appends the sealed form of `plain` to `out`, [`crate::OVERHEAD`] bytes
    /// longer. `aad` says what it is; opening needs the same.
    ///
    /// # Errors
    /// When the key is unknown or was destroyed.
    pub fn seal(
        &self,
        slot: Slot,
        aad: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.key(slot)?.sealing.seal(aad, plain, out)
    }

    /// Opens what [`Self::seal`] appended.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when text, key or `aad` is another; when the
    /// key is unknown or was destroyed.
    pub fn open_sealed(&self, slot: Slot, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.key(slot)?.sealing.open(aad, sealed)
    }

    /// As [`Self::open_sealed`], appended to `out`.
    ///
    /// # Errors
    /// As there; `out` is as it was then.
    pub fn open_onto(
        &self,
        slot: Slot,
        aad: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.key(slot)?.sealing.open_onto(aad, sealed, out)
    }

    /// Makes every key durable that [`Self::slot`] has given out before this
    /// call. Costs nothing when they are; calls that come together share one write.
    ///
    /// # Errors
    /// When the disk fails; the next call tries again.
    pub fn sync(&self) -> Result<(), Error> {
        let wanted = self.made.load(Ordering::Acquire);
        if self.durable.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let _one_at_a_time = self.syncing.lock();
        if self.durable.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let (start, records) = {
            let tail = self.tail.lock();
            (tail.start, tail.records.clone())
        };
        // After a failed sync the system may forget what it could not write:
        // records stay in the tail and are written again.
        self.file
            .write_all_at(&records, place(start))
            .and_then(|()| self.file.sync_data())
            .map_err(|source| io("write", &self.path, source))?;
        let mut tail = self.tail.lock();
        tail.records.drain(..records.len());
        tail.start += (records.len() / LEN) as u32;
        self.durable.store(tail.start, Ordering::Release);
        Ok(())
    }

    /// The key for one purpose of the whole store, as `storage-engine` or `cursor`.
    ///
    /// # Errors
    /// When the library fails, which it has no reason to.
    pub fn derive(&self, purpose: &str) -> Result<SecretKey, Error> {
        self.purposes.derive(purpose)
    }

    fn load(dir: &Path, path: PathBuf, source: &RootSource) -> Result<Self, Error> {
        let mut file = lock(&path)?;
        let decided = reroot::read(dir)?;
        let (mut journal, changes) = changes::Journal::open(dir)?;
        let records = decided.as_ref().map_or(&[][..], reroot::Decided::records);
        let length = file
            .metadata()
            .map_err(|source| io("read", &path, source))?;
        let over = changes::Overlay::new(&changes, records, length.len());
        let read = file::read(&mut file, &path, &over)?;
        // What a rotation has decided holds, whether it was carried out or not.
        let first = decided.as_ref().and_then(reroot::Decided::first);
        let first = first.unwrap_or(&read.first);
        let text = decided.as_ref().and_then(reroot::Decided::wrapped);
        let opened = source.read(dir, Some(first.wrapped_by), text)?;
        let purposes = file::open_purposes(&opened.root, &path, first)?;
        let label_key = purposes.derive("keyring-labels")?;
        file::repair(&file, &path, &read.torn)?;
        // Those that are whole, too: a sync that failed may have left them in memory only.
        changes::put(&file, &read.changed).map_err(|source| io("write", &path, source))?;
        journal.clear()?;
        if let Some(decided) = &decided {
            reroot::finish(dir, &path, &file, decided)?;
        }
        if let (true, RootSource::File(path)) = (opened.from_next, source) {
            let former = Root::read(path).ok().map(|root| root.id);
            reroot::promote(path, former)?;
        }
        Ok(Self {
            roots: RwLock::new(Roots {
                source: source.clone(),
                current: opened.root,
                former: None,
            }),
            label_key: aws_lc_rs::hmac::Key::new(
                aws_lc_rs::hmac::HMAC_SHA256,
                label_key.as_bytes(),
            ),
            purposes,
            labels: RwLock::new(read.labels),
            making: Mutex::new(()),
            changes: Mutex::new(journal),
            pending: RwLock::default(),
            overwriting: RwLock::new(()),
            tail: Mutex::new(Tail {
                start: read.count,
                records: Vec::new(),
            }),
            syncing: Mutex::new(()),
            made: AtomicU32::new(read.count),
            durable: AtomicU32::new(read.count),
            cache: Cache::new(CACHED_KEYS_MAX),
            stopped: AtomicBool::new(false),
            work: Mutex::default(),
            dir: dir.to_owned(),
            path,
            file,
        })
    }

    fn label_mac(&self, scope: u32, label: Option<&str>) -> LabelMac {
        let mut context = aws_lc_rs::hmac::Context::with_key(&self.label_key);
        context.update(&scope.to_be_bytes());
        context.update(&[u8::from(label.is_some())]);
        context.update(label.unwrap_or_default().as_bytes());
        let mut mac = [0; 16];
        mac.copy_from_slice(&context.sign().as_ref()[..16]);
        mac
    }

    fn project_slot(&self, scope: u32, now_ms: i64) -> Result<u32, Error> {
        let mac = self.label_mac(scope, None);
        match self.held(&mac)? {
            Some(slot) => Ok(slot),
            None => self.make(scope, mac, None, now_ms),
        }
    }

    /// Makes a key, the next one of its label: of a patient when there is a
    /// project's slot, else of a project. Whoever calls holds `making`, and has
    /// made the key before it durable.
    fn make(
        &self,
        scope: u32,
        label: LabelMac,
        project: Option<u32>,
        now_ms: i64,
    ) -> Result<u32, Error> {
        let slot = self.next_slot()?;
        let secret = Zeroizing::new(random::bytes::<32>()?);
        let mut record = Record {
            level: project.map_or(Level::Project, |_| Level::Patient),
            status: record::Status::Live,
            slot,
            scope,
            label,
            created_ms: now_ms,
            wrapped_by: 0,
            durable_before: self.durable.load(Ordering::Acquire),
            wrapped: [0; record::WRAPPED_LEN],
            replaces: self.labels.read().newest(&label),
        };
        match project {
            None => {
                let roots = self.roots.read();
                record.wrapped_by = roots.current.id;
                record.wrapped = roots.current.wrap(&record.aad(), &secret)?;
            }
            Some(project) => {
                record.wrapped_by = project;
                let parent = self.key(Slot(project))?;
                record.wrapped = parent.wrap(&record.aad(), &secret)?;
            }
        }
        let key = Arc::new(Key::new(&secret, record.level)?);
        self.cache.insert(slot, key);
        self.append(&record)?;
        Ok(slot)
    }

    fn next_slot(&self) -> Result<u32, Error> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::Stopped);
        }
        let slot = self.made.load(Ordering::Acquire);
        (slot < SLOTS_MAX)
            .then_some(slot)
            .ok_or(Error::Library("the keyring is full"))
    }

    /// Adds a record for a label; whoever calls holds `making`.
    fn append(&self, record: &Record) -> Result<(), Error> {
        let mut labels = self.labels.write();
        let added = labels.add(record);
        added.map_err(|what| self.damaged(record.slot, what))?;
        self.tail.lock().records.extend_from_slice(&record.encode());
        self.made.store(record.slot + 1, Ordering::Release);
        Ok(())
    }

    /// The slot of a label's key, if it has one.
    fn held(&self, label: &LabelMac) -> Result<Option<u32>, Error> {
        match self.labels.read().get(label) {
            Held::Nothing => Ok(None),
            Held::Slot(slot) => Ok(Some(slot)),
            Held::Destroyed => Err(Error::LabelDestroyed),
        }
    }

    fn key(&self, Slot(slot): Slot) -> Result<Arc<Key>, Error> {
        if let Some(key) = self.cache.get(slot) {
            return Ok(key);
        }
        // Recursive: a patient's key asks for its project's.
        let _nobody_overwrites = self.overwriting.read_recursive();
        self.key_held(slot)
    }

    /// As [`Self::key`], for who holds `overwriting`.
    fn key_held(&self, slot: u32) -> Result<Arc<Key>, Error> {
        if let Some(key) = self.cache.get(slot) {
            return Ok(key);
        }
        let record = self.record(slot)?;
        match (record.level, record.status) {
            (Level::Purposes | Level::Unused, _) => return Err(Error::SlotUnknown(Slot(slot))),
            (_, record::Status::Destroyed) => return Err(Error::Destroyed(Slot(slot))),
            (Level::Project | Level::Patient, record::Status::Live) => {}
        }
        let key = Arc::new(Key::new(&*self.secret(&record)?, record.level)?);
        self.cache.insert(slot, Arc::clone(&key));
        Ok(key)
    }

    /// Unwraps the key in a record.
    fn secret(&self, record: &Record) -> Result<Zeroizing<[u8; 32]>, Error> {
        let secret = match record.level {
            Level::Patient => {
                let parent = self.project_key_held(record.wrapped_by)?;
                parent.unwrap(&record.aad(), &record.wrapped)
            }
            Level::Project | Level::Purposes | Level::Unused => self.roots.read().unwrap(record),
        };
        secret.map_err(|_| self.damaged(record.slot, "its key does not unwrap"))
    }

    /// As [`Self::key_held`], of a project only: ends the recursion.
    fn project_key_held(&self, slot: u32) -> Result<Arc<Key>, Error> {
        match self.record(slot)?.level {
            Level::Project => self.key_held(slot),
            Level::Patient | Level::Purposes | Level::Unused => {
                Err(self.damaged(slot, "it is not a project's key"))
            }
        }
    }

    /// The record of a slot, from memory until it is durable and while it changes, then from the
    /// file.
    fn record(&self, slot: u32) -> Result<Record, Error> {
        let in_tail = self.tail.lock().record(slot)?;
        // Recursive: who unwraps a key holds it.
        let _nobody_overwrites = self.overwriting.read_recursive();
        if let Some(record) = self.pending(slot) {
            return Ok(record);
        }
        let bytes = match in_tail {
            Some(bytes) => bytes,
            None => {
                let mut bytes = [0; LEN];
                self.file
                    .read_exact_at(&mut bytes, place(slot))
                    .map_err(|source| io("read", &self.path, source))?;
                bytes
            }
        };
        Record::decode(&bytes, slot).map_err(|what| self.damaged(slot, what))
    }

    fn damaged(&self, slot: u32, what: &'static str) -> Error {
        file::damaged(&self.path, slot, what)
    }
}

/// Opens a keyring for this process alone.
fn lock(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| io("open", path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked(path.into())),
        Err(std::fs::TryLockError::Error(source)) => Err(io("lock", path, source)),
    }
}
