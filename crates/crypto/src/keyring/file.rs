//! The keyring's files: founding, reading, and what a crash may have left.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::changes::Overlay;
use super::labels::Labels;
use super::record::{self, LEN, Level, Record, Status};
use super::root::{self, Root, io};
use crate::{Error, SecretKey, random};

/// What reading the whole file gave.
pub(super) struct Loaded {
    pub(super) first: Record,
    pub(super) labels: Labels,
    pub(super) count: u32,
    /// Slots whose records a crash cut short.
    pub(super) torn: Vec<u32>,
    /// Records that were being changed, as they are to be in the file.
    pub(super) changed: Vec<Record>,
}

/// Reads all of the file, with what was to be written over it.
pub(super) fn read(file: &mut File, path: &Path, over: &Overlay) -> Result<Loaded, Error> {
    let mut reader = std::io::BufReader::with_capacity(1 << 16, file);
    let mut first = None;
    let mut labels = Labels::default();
    let mut bad = Vec::new();
    let mut changed = Vec::new();
    let mut durable = 1;
    let mut count = 0;
    let mut bytes = [0; LEN];
    loop {
        let got = read_up_to(&mut reader, &mut bytes).map_err(|e| io("read", path, e))?;
        if got == 0 && !over.has(count) {
            break;
        }
        // A record that ends early is one with a wrong checksum.
        bytes[got..].fill(0);
        match over.at(count, Record::decode(&bytes, count)) {
            Ok(record) => {
                if over.has(count) {
                    changed.push(record.clone());
                }
                durable = durable.max(record.durable_before);
                match record.level {
                    Level::Project | Level::Patient => {
                        let added = labels.add(&record);
                        added.map_err(|what| damaged(path, count, what))?;
                    }
                    Level::Purposes => {
                        first.get_or_insert(record);
                    }
                    Level::Unused => {}
                }
            }
            Err(what) => bad.push((count, what)),
        }
        count += 1;
        if count > super::SLOTS_MAX {
            return Err(damaged(path, count, "the file is too long"));
        }
    }
    if let Some((slot, what)) = bad.iter().find(|(slot, _)| *slot < durable) {
        return Err(damaged(path, *slot, what));
    }
    Ok(Loaded {
        first: first.ok_or_else(|| damaged(path, 0, "it is missing"))?,
        labels,
        count,
        torn: bad.into_iter().map(|(slot, _)| slot).collect(),
        changed,
    })
}

fn read_up_to(reader: &mut impl Read, bytes: &mut [u8; LEN]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < LEN {
        match reader.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

/// Marks slots that a crash left without a record. They are not used again:
/// should the disk have lost more than a crash can, nothing opens with a wrong key.
pub(super) fn repair(file: &File, path: &Path, torn: &[u32]) -> Result<(), Error> {
    if torn.is_empty() {
        return Ok(());
    }
    torn.iter()
        .try_for_each(|slot| file.write_all_at(&Record::unused(*slot).encode(), place(*slot)))
        .and_then(|()| file.sync_data())
        .map_err(|source| io("repair", path, source))
}

pub(super) fn open_purposes(root: &Root, path: &Path, first: &Record) -> Result<SecretKey, Error> {
    let secret = root
        .unwrap(&first.aad(), &first.wrapped)
        .map_err(|_| damaged(path, 0, "its key does not unwrap"))?;
    Ok(SecretKey::from_bytes(*secret))
}

/// Writes the keyring's first record.
pub(super) fn found(dir: &Path, path: &Path, root: &Root, now_ms: i64) -> Result<(), Error> {
    let secret = Zeroizing::new(random::bytes::<32>()?);
    let mut first = Record {
        level: Level::Purposes,
        status: Status::Live,
        slot: 0,
        scope: 0,
        label: [0; 16],
        created_ms: now_ms,
        wrapped_by: root.id,
        durable_before: 0,
        wrapped: [0; record::WRAPPED_LEN],
        replaces: None,
    };
    first.wrapped = root.wrap(&first.aad(), &secret)?;
    let aside = path.with_extension("new");
    root::write_private(&aside, &first.encode())?;
    std::fs::rename(&aside, path).map_err(|source| io("name", path, source))?;
    sync_folder(dir).map_err(|source| io("write", dir, source))
}

/// What a founding that did not end may leave behind.
const OURS: [&[u8]; 5] = [
    b"root.new",
    b"root.key",
    b"root.key.new",
    b"root.wrapped",
    b"keyring.new",
];

pub(super) fn make_folder(dir: &Path) -> Result<(), Error> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => {
            let foreign = entries.any(|entry| {
                entry.is_ok_and(|entry| !OURS.contains(&entry.file_name().as_bytes()))
            });
            if foreign {
                return Err(Error::FolderInUse(dir.into()));
            }
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .and_then(|()| sync_folder(&dir.join("..")))
            .map_err(|source| io("make", dir, source)),
        Err(source) => Err(io("read", dir, source)),
    }
}

pub(super) fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The folder that a file is in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, Error> {
    path.try_exists()
        .map_err(|source| io("examine", path, source))
}

pub(super) fn place(slot: u32) -> u64 {
    u64::from(slot) * LEN as u64
}

pub(super) fn damaged(path: &Path, slot: u32, what: &'static str) -> Error {
    Error::Damaged {
        path: path.into(),
        slot,
        what,
    }
}
