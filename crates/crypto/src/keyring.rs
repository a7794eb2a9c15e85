//! The keyring: root key, project keys, patient keys, each wrapped by the one above.
//!
//! It lives in a folder of its own, apart from the data and its copies, so
//! that destroying a key here destroys what it sealed everywhere. Two files:
//! `root.key`, and `keyring` with one record per key (its form is described
//! in `keyring/record.rs`). Names of patients are not in it, only MACs of their ids.
//!
//! The first slot holds a key that is never used to seal records: keys for
//! single purposes are derived from it, not from the root key, so that a new
//! root key only has to wrap the keys below it anew.

mod cache;
mod destroy;
mod file;
mod key;
mod labels;
mod record;
mod root;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use self::cache::Cache;
use self::file::place;
use self::key::Key;
use self::labels::{Held, Labels};
use self::record::{LEN, LabelMac, Level, Record, Status};
use self::root::{Root, io};
use crate::{Error, SecretKey, random};

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
    path: PathBuf,
    file: File,
    root: Root,
    purposes: SecretKey,
    label_key: aws_lc_rs::hmac::Key,
    labels: RwLock<Labels>,
    /// Held while a key is made or destroyed, so that no label gets two.
    making: Mutex<()>,
    /// Held for writing while records in the file change: who reads one sees all of it, and no
    /// key that was destroyed meanwhile gets into the cache.
    overwriting: RwLock<()>,
    tail: Mutex<Tail>,
    syncing: Mutex<()>,
    made: AtomicU32,
    durable: AtomicU32,
    cache: Cache,
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
    /// Opens the keyring in a folder, or founds it where that is allowed.
    /// `now_ms` is the time, in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// A missing, readable-by-others or foreign root key, a missing or
    /// damaged keyring, each naming the file. Nothing is changed then.
    pub fn open(dir: &Path, founding: Founding, now_ms: i64) -> Result<Arc<Self>, Error> {
        let root_path = dir.join("root.key");
        let path = dir.join("keyring");
        let (has_root, has_ring) = (file::exists(&root_path)?, file::exists(&path)?);
        let root = match (has_root, has_ring, founding) {
            (true, true, _) => Root::read(&root_path)?,
            (false, true, _) => return Err(Error::RootMissing(root_path)),
            (_, false, Founding::Existing) => return Err(Error::KeyringMissing(path)),
            // The last founding ended between its two files.
            (true, false, Founding::New) => {
                let root = Root::read(&root_path)?;
                file::found(dir, &path, &root, now_ms)?;
                root
            }
            (false, false, Founding::New) => {
                file::make_folder(dir)?;
                let root = Root::create(&root_path)?;
                file::found(dir, &path, &root, now_ms)?;
                root
            }
        };
        Self::load(root_path, path, root).map(Arc::new)
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

    fn load(root_path: PathBuf, path: PathBuf, root: Root) -> Result<Self, Error> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::Locked(path)),
            Err(std::fs::TryLockError::Error(source)) => return Err(io("lock", &path, source)),
        }
        let read = file::read(&mut file, &path)?;
        let purposes = file::open_purposes(&root, &root_path, &path, read.first)?;
        let label_key = purposes.derive("keyring-labels")?;
        file::repair(&file, &path, &read.torn)?;
        Ok(Self {
            root,
            label_key: aws_lc_rs::hmac::Key::new(
                aws_lc_rs::hmac::HMAC_SHA256,
                label_key.as_bytes(),
            ),
            purposes,
            labels: RwLock::new(read.labels),
            making: Mutex::new(()),
            overwriting: RwLock::new(()),
            tail: Mutex::new(Tail {
                start: read.count,
                records: Vec::new(),
            }),
            syncing: Mutex::new(()),
            made: AtomicU32::new(read.count),
            durable: AtomicU32::new(read.count),
            cache: Cache::new(CACHED_KEYS_MAX),
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

    /// Makes a key: of a patient when there is a project's slot, else of a project.
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
            status: Status::Live,
            slot,
            scope,
            label,
            created_ms: now_ms,
            wrapped_by: project.unwrap_or(self.root.id),
            durable_before: self.durable.load(Ordering::Acquire),
            wrapped: [0; record::WRAPPED_LEN],
        };
        record.wrapped = match project {
            None => self.root.wrap(&record.aad(), &secret)?,
            Some(project) => {
                let parent = self.key(Slot(project))?;
                parent.wrap(&record.aad(), &secret)?
            }
        };
        let key = Arc::new(Key::new(&secret, record.level)?);
        self.cache.insert(slot, key);
        self.append(&record);
        Ok(slot)
    }

    fn next_slot(&self) -> Result<u32, Error> {
        let slot = self.made.load(Ordering::Acquire);
        (slot < SLOTS_MAX)
            .then_some(slot)
            .ok_or(Error::Library("the keyring is full"))
    }

    /// Adds a record for a label; whoever calls holds `making`.
    fn append(&self, record: &Record) {
        self.tail.lock().records.extend_from_slice(&record.encode());
        self.labels.write().add(record.label, record.slot);
        self.made.store(record.slot + 1, Ordering::Release);
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
        let record = self.record(slot)?;
        match (record.level, record.status) {
            (Level::Purposes | Level::Unused, _) => return Err(Error::SlotUnknown(Slot(slot))),
            (_, Status::Destroyed) => return Err(Error::Destroyed(Slot(slot))),
            (Level::Project | Level::Patient, Status::Live) => {}
        }
        let secret = match record.level {
            Level::Patient => {
                let parent = self.project_key(record.wrapped_by)?;
                parent.unwrap(&record.aad(), &record.wrapped)
            }
            Level::Project | Level::Purposes | Level::Unused => {
                self.root.unwrap(&record.aad(), &record.wrapped)
            }
        };
        let secret = secret.map_err(|_| self.damaged(slot, "its key does not unwrap"))?;
        let key = Arc::new(Key::new(&secret, record.level)?);
        self.cache.insert(slot, Arc::clone(&key));
        Ok(key)
    }

    /// As [`Self::key`], of a project only: ends the recursion.
    fn project_key(&self, slot: u32) -> Result<Arc<Key>, Error> {
        match self.record(slot)?.level {
            Level::Project => self.key(Slot(slot)),
            Level::Patient | Level::Purposes | Level::Unused => {
                Err(self.damaged(slot, "it is not a project's key"))
            }
        }
    }

    /// The record of a slot, from memory until it is durable, then from the file.
    fn record(&self, slot: u32) -> Result<Record, Error> {
        let bytes = match self.tail.lock().record(slot)? {
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
