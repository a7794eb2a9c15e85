//! A new root key: it wraps the purpose key and the keys of projects anew.
//!
//! What has to change is written into one file, `rotation`, before anything
//! changes: once that file has its name, the new root key holds, and whoever
//! opens the keyring carries the rest out. So a crash leaves a keyring that the
//! old root key opens, or one that the new one opens, and never one that wants
//! both. The file, version 1:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `salus-rotation 1` |
//! | 4 | bytes of the text |
//! | n | the new text of `root.wrapped`; none if the new root key is in a file |
//! | 128 each | records of the keyring, wrapped anew |
//! | 32 | SHA-256 of all before |

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::Ordering;

use zeroize::Zeroizing;

use super::changes;
use super::file::sync_folder;
use super::record::{LEN, Level, Record, Status};
use super::root::{self, Root, io};
use super::source::{self, RootSource};
use super::{Keyring, Roots};
use crate::{Error, random, sha256};

const NAME: &str = "rotation";
const MAGIC: &[u8; 16] = b"salus-rotation 1";
const BYTES_MAX: u64 = 1 << 30;

/// A change of the root key that is decided.
pub(super) struct Decided {
    /// The text of `root.wrapped`, empty if the root key is in a file.
    text: String,
    records: Vec<Record>,
}

impl Keyring {
    /// Makes a new root key, from the same source or another, and wraps the
    /// purpose key and every key of a project with it. Sealed content stays as
    /// it is. It is durable when this returns.
    ///
    /// # Errors
    /// When the source does not wrap the key, or the disk fails. Before the
    /// change is decided nothing of the keyring has changed; after that, it is
    /// carried out when the keyring is opened the next time.
    pub fn rotate_root(&self, to: &RootSource, now_ms: i64) -> Result<(), Error> {
        let _one_at_a_time = self.making.lock();
        self.sync()?;
        self.settle(&mut self.changes.lock())?;
        if let Some(decided) = read(&self.dir)? {
            // An earlier one that the disk did not let end.
            self.carry_out(&decided)?;
        }
        let key = Zeroizing::new(random::bytes::<32>()?);
        let from = self.roots.read().source.clone();
        let (root, text) = match to {
            RootSource::File(path) => (write_file(path, &from, &key)?, String::new()),
            RootSource::Wrapped(by) => source::wrap(&**by, &key)?,
        };
        let decided = Decided {
            records: self.wrapped_anew(&root, now_ms)?,
            text,
        };
        self.decide(&decided)?;
        let id = root.id;
        {
            let mut roots = self.roots.write();
            let former = std::mem::replace(&mut roots.current, root);
            roots.former = Some(former);
            roots.source = to.clone();
        }
        self.carry_out(&decided)?;
        let former = self.roots.write().former.take();
        settle_files(
            to,
            &from,
            former.map(|root| root.id).filter(|old| *old != id),
        )
    }

    /// Makes a change hold. If the disk fails, it must not hold later either: keys made meanwhile
    /// would be lost.
    fn decide(&self, decided: &Decided) -> Result<(), Error> {
        write(&self.dir, decided).inspect_err(|_| {
            let path = self.dir.join(NAME);
            let gone = match std::fs::remove_file(&path) {
                Err(source) if source.kind() != ErrorKind::NotFound => false,
                _ => sync_folder(&self.dir).is_ok(),
            };
            if !gone {
                self.stopped.store(true, Ordering::Release);
            }
        })
    }

    /// The records that a root key wraps, wrapped by another.
    pub(super) fn wrapped_anew(&self, root: &Root, now_ms: i64) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        self.each_record(0, u32::MAX, |record| {
            if !matches!(record.level, Level::Purposes | Level::Project)
                || record.status == Status::Destroyed
            {
                return Ok(());
            }
            let secret = self.roots.read().unwrap(&record)?;
            let mut record = record;
            if record.level == Level::Purposes {
                record.set_root_since(now_ms);
            }
            record.wrapped_by = root.id;
            record.wrapped = root.wrap(&record.aad(), &secret)?;
            records.push(record);
            Ok(())
        })?;
        Ok(records)
    }

    fn carry_out(&self, decided: &Decided) -> Result<(), Error> {
        let mut journal = self.changes.lock();
        // What is written down there would take the place of what is decided.
        self.settle(&mut journal)?;
        self.lay(&decided.records);
        finish(&self.dir, &self.path, &self.file, decided)?;
        self.pending.write().clear();
        Ok(())
    }
}

impl Roots {
    /// The key in a record that a root key wraps.
    pub(super) fn unwrap(&self, record: &Record) -> Result<Zeroizing<[u8; 32]>, Error> {
        let former = self.former.as_ref();
        let by = former.filter(|root| root.id == record.wrapped_by);
        let by = by.unwrap_or(&self.current);
        by.unwrap(&record.aad(), &record.wrapped)
    }
}

impl Decided {
    /// The text of `root.wrapped` that holds from now on, if there is to be one.
    pub(super) fn wrapped(&self) -> Option<&str> {
        (!self.text.is_empty()).then_some(&self.text)
    }

    /// The record of the purpose key as it is from now on.
    pub(super) fn first(&self) -> Option<&Record> {
        self.records
            .iter()
            .find(|record| record.level == Level::Purposes)
    }

    #[cfg(test)]
    pub(super) fn of(text: String, records: Vec<Record>) -> Self {
        Self { text, records }
    }

    /// The records of the keyring as they are from now on.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(self.text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(self.text.as_bytes());
        for record in &self.records {
            bytes.extend_from_slice(&record.encode());
        }
        let hash = sha256(&bytes);
        bytes.extend_from_slice(&hash);
        bytes
    }

    /// Reads such a file; `None` if it is not one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, hash) = bytes.split_last_chunk::<32>()?;
        if sha256(bytes) != *hash {
            return None;
        }
        let (magic, rest) = bytes.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if magic != MAGIC || !rest.len().is_multiple_of(LEN) {
            return None;
        }
        let (records, _) = rest.as_chunks::<LEN>();
        let records = records.iter().map(Record::decode_any);
        Some(Self {
            text: String::from_utf8(text.to_vec()).ok()?,
            records: records.collect::<Result<_, _>>().ok()?,
        })
    }
}

/// A change that was decided and may not have been carried out.
pub(super) fn read(dir: &Path) -> Result<Option<Decided>, Error> {
    let path = dir.join(NAME);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io("open", &path, source)),
    };
    let mut bytes = Vec::new();
    let read = file.take(BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|source| io("read", &path, source))?;
    let decided = Decided::decode(&bytes);
    decided.map(Some).ok_or(Error::RotationMalformed(path))
}

pub(super) fn write(dir: &Path, decided: &Decided) -> Result<(), Error> {
    let path = dir.join(NAME);
    let aside = path.with_extension("new");
    root::write_private(&aside, &decided.encode())?;
    std::fs::rename(&aside, &path)
        .and_then(|()| sync_folder(dir))
        .map_err(|source| io("name", &path, source))
}

/// Carries a change out; doing it again does no harm.
pub(super) fn finish(
    dir: &Path,
    path: &Path,
    file: &std::fs::File,
    decided: &Decided,
) -> Result<(), Error> {
    match decided.wrapped() {
        Some(text) => source::place(dir, text)?,
        None => source::remove(dir)?,
    }
    changes::put(file, &decided.records).map_err(|source| io("write", path, source))?;
    let done = dir.join(NAME);
    std::fs::remove_file(&done)
        .and_then(|()| sync_folder(dir))
        .map_err(|source| io("remove", &done, source))
}

/// Writes a new key file: aside, where it is to take the place of the one in use.
fn write_file(path: &Path, from: &RootSource, key: &[u8; 32]) -> Result<Root, Error> {
    let in_use = matches!(from, RootSource::File(now) if now == path);
    if in_use {
        return Root::write(&source::next(path), key);
    }
    if super::file::exists(path)? {
        return Err(Error::RootThere(path.into()));
    }
    Root::write(path, key)
}

/// Gives the files of root keys their places: the old one is kept under its id, since it opens
/// copies of the keyring that were made before.
fn settle_files(to: &RootSource, from: &RootSource, former: Option<u32>) -> Result<(), Error> {
    match (to, from) {
        (RootSource::File(to), RootSource::File(from)) if to == from => promote(to, former),
        (_, RootSource::File(from)) => {
            // It may lie where we must not write. The new key holds all the same.
            let _ = former.map(|id| set_aside(from, id));
            Ok(())
        }
        (_, RootSource::Wrapped(_)) => Ok(()),
    }
}

/// Puts the next root key in the place of the one before.
pub(super) fn promote(path: &Path, former: Option<u32>) -> Result<(), Error> {
    if let Some(id) = former {
        set_aside(path, id)?;
    }
    std::fs::rename(source::next(path), path)
        .and_then(|()| sync_folder(&super::file::parent(path)))
        .map_err(|source| io("name", path, source))
}

fn set_aside(path: &Path, id: u32) -> Result<(), Error> {
    let aside = source::beside(path, &source::hex(id));
    match std::fs::rename(path, &aside) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(io("name", &aside, source)),
        _ => sync_folder(&super::file::parent(path)).map_err(|source| io("name", &aside, source)),
    }
}
