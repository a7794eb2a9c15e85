//! Taking over what the keyring of a primary has got since: its copy is in a folder that an
//! operator renews, and who follows the primary's log takes new keys and destroyed ones from there.
//!
//! Records of the copy are put in place through the journal, those that are torn and all behind
//! them not: the copy may be under way. A torn one that the copy's own journal has is whole. A key
//! that is destroyed here stays so, however old the copy is, and a copy that is shorter takes
//! nothing away.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::atomic::Ordering;

use super::changes::{Journal, Overlay};
use super::file;
use super::record::{LEN, Level, Record, Status};
use super::root::io;
use super::{Keyring, Tail, reroot};
use crate::Error;

/// What came of looking at a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Keys that are new.
    pub new: u32,
    /// Keys that were destroyed.
    pub destroyed: u32,
    /// Keys that are wrapped anew.
    pub wrapped: u32,
    /// The root key is another: the keyring has to be opened anew, from a copy of the whole folder.
    pub another_root: bool,
}

impl Keyring {
    /// Takes from a copy of this keyring, in another folder, what came to it since. Nobody may
    /// make keys here meanwhile: a follower does not.
    ///
    /// # Errors
    /// When the copy cannot be read, is of another keyring, or the disk fails.
    pub fn adopt(&self, from: &Path) -> Result<Adopted, Error> {
        let _nobody_makes = self.making.lock();
        self.sync()?;
        let mut journal = self.changes.lock();
        self.settle(&mut journal)?;
        let path = from.join("keyring");
        let copy = File::open(&path).map_err(|source| io("open", &path, source))?;
        let length = copy
            .metadata()
            .map_err(|source| io("read", &path, source))?;
        // A primary that is gone may have left them torn.
        let decided = reroot::read(from).ok().flatten();
        let decided = decided.as_ref().map_or(&[][..], reroot::Decided::records);
        let over = Overlay::of_copy(from, decided, length.len());
        let mut copy = BufReader::with_capacity(1 << 16, copy);
        let mut adopted = Adopted::default();
        let made = self.made.load(Ordering::Acquire);
        let mut bytes = [0; LEN];
        let mut changed = Vec::new();
        let mut slot = 0;
        while slot < super::SLOTS_MAX && whole(&mut copy, &path, &mut bytes)? {
            let Ok(record) = over.at(slot, Record::decode(&bytes, slot)) else {
                break;
            };
            let own = match slot < made {
                true => Some(self.record(slot)?),
                false => None,
            };
            match self.takes(&record, own.as_ref(), &mut adopted)? {
                Take::It => changed.push(record),
                Take::Nothing => {}
                Take::End => return Ok(adopted),
            }
            slot += 1;
        }
        if !changed.is_empty() {
            self.put_all(&mut journal, &changed, made.max(slot))?;
        }
        Ok(adopted)
    }

    /// Whether a record of the copy is to be put into its place.
    fn takes(
        &self,
        record: &Record,
        own: Option<&Record>,
        adopted: &mut Adopted,
    ) -> Result<Take, Error> {
        let Some(own) = own else {
            adopted.new += 1;
            return Ok(Take::It);
        };
        if own == record {
            return Ok(Take::Nothing);
        }
        if record.level == Level::Purposes {
            adopted.another_root = true;
            return Ok(Take::End);
        }
        // A slot that a crash left without a key here has none there either, or another's.
        if !own.is_key(record) && own.level != Level::Unused && record.level != Level::Unused {
            return Err(self.damaged(own.slot, "the copy of the keyring has another key there"));
        }
        if own.status == Status::Destroyed || record.level == Level::Unused {
            return Ok(Take::Nothing);
        }
        match record.status {
            Status::Destroyed => adopted.destroyed += 1,
            Status::Live => adopted.wrapped += 1,
        }
        Ok(Take::It)
    }

    /// Writes records durably, and reads all labels again. There are so many slots then.
    fn put_all(&self, journal: &mut Journal, changed: &[Record], count: u32) -> Result<(), Error> {
        let made = self.made.load(Ordering::Acquire);
        let (known, new) = changed.split_at(changed.partition_point(|one| one.slot < made));
        // The new ones first: those that wrap the others anew are among them.
        self.overwrite(journal, new)?;
        self.overwrite(journal, known)?;
        let mut own = File::open(&self.path).map_err(|source| io("open", &self.path, source))?;
        let read = file::read(&mut own, &self.path, &Overlay::default())?;
        *self.labels.write() = read.labels;
        *self.tail.lock() = Tail {
            start: count,
            records: Vec::new(),
        };
        self.durable.store(count, Ordering::Release);
        self.made.store(count, Ordering::Release);
        Ok(())
    }
}

enum Take {
    It,
    Nothing,
    End,
}

/// The next record of a copy, if all of it is there.
fn whole(copy: &mut impl Read, path: &Path, bytes: &mut [u8; LEN]) -> Result<bool, Error> {
    match copy.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(io("read", path, source)),
    }
}
