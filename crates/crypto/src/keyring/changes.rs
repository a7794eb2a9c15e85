//! What is overwritten in the keyring is written down beside it first, in `keyring.changes`.
//!
//! Wrapping a key anew and destroying it overwrite a record where it lies. A write that ends within
//! the record, whatever ends it, would leave neither the old form nor the new one, and what the key
//! sealed would be lost. So the new forms are durable here before the first of them is written in
//! its place, and whoever opens the keyring puts them there again. Version 1:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `salus-changing 1` |
//! | 4 | how many records follow, 1 to 256 |
//! | 128 each | records of the keyring as they are to be, in the order of slots |
//! | 32 | SHA-256 of all before |
//! | the rest of 32,820 | zeros |
//!
//! When the records are durable in their places, all of it is overwritten with zeros where it
//! lies. It is not removed: it held wrapped keys, and a patient whose keys are destroyed later must
//! not have one in a block that was given back to the file system. Where the hash is wrong, the
//! journal was being written or emptied, and no record is torn: it is ignored, and emptied.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Keyring;
use super::file::{parent, place, sync_folder};
use super::record::{LEN, Level, Record, Status};
use super::root::io;
use crate::{Error, sha256};

const NAME: &str = "keyring.changes";
const MAGIC: &[u8; 16] = b"salus-changing 1";
const HEAD: usize = MAGIC.len() + 4;
/// Records that change together; more do so in several turns.
pub(super) const RECORDS_MAX: usize = 256;
const LENGTH: usize = HEAD + RECORDS_MAX * LEN + 32;

/// Records by their slots.
pub(super) type BySlot = BTreeMap<u32, Record>;

/// The journal of a keyring that is open. Whoever holds it may overwrite records, nobody else.
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    /// Nothing but zeros is in it, durably.
    is_empty: bool,
}

impl Journal {
    /// The journal in a folder, and the changes in it that may not have been carried out.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<Record>), Error> {
        let path = dir.join(NAME);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Some(file),
            Err(source) if source.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(io("open", &path, source)),
        };
        let bytes = file.as_ref().map(read_all).transpose();
        let bytes = bytes.map_err(|source| io("read", &path, source))?;
        let bytes = bytes.unwrap_or_default();
        let Some(records) = decode(&bytes) else {
            return Err(Error::ChangesMalformed(path));
        };
        let journal = Self {
            path,
            file,
            is_empty: bytes.iter().all(|byte| *byte == 0),
        };
        Ok((journal, records))
    }

    /// Writes changes down, durably.
    pub(super) fn write(&mut self, records: &[Record]) -> Result<(), Error> {
        self.make()?;
        self.is_empty = false;
        self.overwrite(&encode(records))
    }

    /// Overwrites all that is in it with zeros, durably.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        if self.is_empty {
            return Ok(());
        }
        // No longer than it is: a full disk may have cut it short, and has no room still.
        let length = self.file.as_ref().map(File::metadata).transpose();
        let length = length.map_err(|source| io("examine", &self.path, source))?;
        let length = length.map_or(0, |about| about.len()).min(LENGTH as u64);
        self.overwrite(&vec![0; length as usize])?;
        self.is_empty = true;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn file(&mut self) -> Option<&mut File> {
        self.file.as_mut()
    }

    /// Makes the file where there is none. It is never removed.
    fn make(&mut self) -> Result<(), Error> {
        if self.file.is_some() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(&self.path);
        let file = file.and_then(|file| sync_folder(&parent(&self.path)).map(|()| file));
        self.file = Some(file.map_err(|source| io("make", &self.path, source))?);
        Ok(())
    }

    fn overwrite(&self, bytes: &[u8]) -> Result<(), Error> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        file.write_all_at(bytes, 0)
            .and_then(|()| file.sync_data())
            .map_err(|source| io("write", &self.path, source))
    }
}

impl Keyring {
    /// Lays new forms of records over those in the file: durable when it returns. After an error
    /// each record is as it was or as it is to be, to this process and to the next.
    pub(super) fn overwrite(&self, journal: &mut Journal, records: &[Record]) -> Result<(), Error> {
        self.settle(journal)?;
        for some in records.chunks(RECORDS_MAX) {
            journal.write(some)?;
            self.lay(some);
            self.settle(journal)?;
        }
        Ok(())
    }

    /// Shows everybody new forms of records, which are written down, before they are in place: from
    /// then on nobody reads what is written over.
    pub(super) fn lay(&self, records: &[Record]) {
        let _nobody_reads = self.overwriting.write();
        *self.pending.write() = records.iter().map(by_slot).collect();
        let destroyed = records.iter().filter(|one| one.status == Status::Destroyed);
        destroyed.for_each(|record| self.cache.remove(record.slot));
    }

    /// Carries out what is written down, if something is, and empties the journal; what it was.
    /// Nothing else may change before that: a change that is carried out later would undo it.
    pub(super) fn settle(&self, journal: &mut Journal) -> Result<Vec<Record>, Error> {
        let records: Vec<_> = self.pending.read().values().cloned().collect();
        put(&self.file, &records).map_err(|source| io("write", &self.path, source))?;
        journal.clear()?;
        self.pending.write().clear();
        Ok(records)
    }

    /// The record of a slot whose place in the file may be torn.
    pub(super) fn pending(&self, slot: u32) -> Option<Record> {
        self.pending.read().get(&slot).cloned()
    }
}

/// Writes records into their places, durably.
pub(super) fn put(file: &File, records: &[Record]) -> std::io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    records
        .iter()
        .try_for_each(|record| file.write_all_at(&record.encode(), place(record.slot)))
        .and_then(|()| file.sync_data())
}

/// What is laid over the records of a file while it is read.
#[derive(Default)]
pub(super) struct Overlay {
    changes: BySlot,
    decided: BySlot,
}

impl Overlay {
    /// Changes that are written down, and those of a decided rotation of the root key, over a file
    /// of this length.
    pub(super) fn new(changes: &[Record], decided: &[Record], length: u64) -> Self {
        let mut changes: BySlot = changes.iter().map(by_slot).collect();
        let mut count = length.div_ceil(LEN as u64).min(u64::from(super::SLOTS_MAX)) as u32;
        while changes.contains_key(&count) {
            count += 1;
        }
        // A copy of a folder may have an older keyring than journal: without the key that wraps
        // it, a new form is worth nothing.
        changes.retain(|slot, record| {
            let is_wrapped_here = record.level != Level::Patient || record.wrapped_by < count;
            *slot < count && (is_wrapped_here || record.status == Status::Destroyed)
        });
        let decided = decided.iter().map(by_slot).collect();
        Self { changes, decided }
    }

    /// What a copy of a folder has, as far as it can be read: the copy may be under way.
    pub(super) fn of_copy(dir: &Path, decided: &[Record], length: u64) -> Self {
        let bytes = File::open(dir.join(NAME)).and_then(|file| read_all(&file));
        let changes = bytes.ok().and_then(|bytes| decode(&bytes));
        Self::new(&changes.unwrap_or_default(), decided, length)
    }

    /// The record of a slot, given what the file has there. What is whole stays: it is the old form
    /// or the new one, and each opens. Only destroying goes on, and nothing is brought back.
    pub(super) fn at(
        &self,
        slot: u32,
        own: Result<Record, &'static str>,
    ) -> Result<Record, &'static str> {
        let change = self.changes.get(&slot);
        match own {
            Ok(own) => {
                let gone = change.filter(|new| new.status == Status::Destroyed && own.is_key(new));
                Ok(gone.cloned().unwrap_or(own))
            }
            Err(what) => {
                let form = self.decided.get(&slot).or(change);
                form.cloned().ok_or(what)
            }
        }
    }

    /// Whether the record of a slot was being changed.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.changes.contains_key(&slot)
    }
}

fn by_slot(record: &Record) -> (u32, Record) {
    (record.slot, record.clone())
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(records.len() as u32).to_be_bytes());
    for record in records {
        bytes.extend_from_slice(&record.encode());
    }
    let hash = sha256(&bytes);
    bytes.extend_from_slice(&hash);
    // All of the file each time: a longer journal that was there has to be gone.
    bytes.resize(LENGTH, 0);
    bytes
}

/// Reads such a file; none, if it was being written or emptied. `None` for what this version
/// never writes: then nobody knows whether records are torn.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Record>> {
    let nothing = Some(Vec::new());
    let Some((magic, rest)) = bytes.split_first_chunk::<16>() else {
        return nothing;
    };
    let is_later = magic[..15] == MAGIC[..15] && magic[15].is_ascii_digit();
    if bytes.len() > LENGTH || magic != MAGIC && is_later {
        return None;
    }
    let Some((count, _)) = rest.split_first_chunk::<4>() else {
        return nothing;
    };
    let count = u32::from_be_bytes(*count) as usize;
    if magic != MAGIC || !(1..=RECORDS_MAX).contains(&count) {
        return nothing;
    }
    let Some((checked, rest)) = bytes.split_at_checked(HEAD + count * LEN) else {
        return nothing;
    };
    if rest.first_chunk() != Some(&sha256(checked)) {
        return nothing;
    }
    let (records, _) = checked[HEAD..].as_chunks::<LEN>();
    let records = records.iter().map(Record::decode_any);
    let records: Vec<_> = records.collect::<Result<_, _>>().ok()?;
    records
        .is_sorted_by(|one, next| one.slot < next.slot)
        .then_some(records)
}

fn read_all(file: &File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
