//! Fencing: a server that was replaced by a promoted standby acknowledges nothing any more.
//!
//! | file in the data folder | |
//! |---|---|
//! | `generation` | JSON, version 1: the fence by which this store was promoted, as `number` and `id` |
//! | `fenced` | JSON, version 1: the fence by which another replaced this store; it is not served again |

mod guard;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use salus_archive::{Archive, Fence};
use salus_crypto::hex;
use serde::{Deserialize, Serialize};

pub(crate) use guard::Guard;

const GENERATION: &str = "generation";
const FENCED: &str = "fenced";
const VERSION: u8 = 1;

/// What keeps a folder from being served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0} is not what salus writes")]
    Damaged(PathBuf),
    #[error("this store is fenced: {0}")]
    Fenced(String),
    #[error(
        "this folder is a standby: `salus follow promote --data {0}` makes a store of it that is served"
    )]
    Standby(PathBuf),
}

/// By which fence a store was promoted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    version: u8,
    pub(crate) number: u64,
    pub(crate) id: String,
}

impl Generation {
    pub(crate) fn of(fence: &Fence) -> Self {
        Self {
            version: VERSION,
            number: fence.number,
            id: hex(&fence.id),
        }
    }

    /// That of the store in a folder; 0 if it was never promoted.
    pub(crate) fn read(data: &Path) -> Result<Self, Error> {
        let path = data.join(GENERATION);
        let read: Self = read(&path)?.unwrap_or_default();
        match read.version > VERSION {
            true => Err(Error::Damaged(path)),
            false => Ok(read),
        }
    }

    pub(crate) fn write(&self, data: &Path) -> Result<(), Error> {
        write(&data.join(GENERATION), self)
    }
}

/// By what a store was replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    version: u8,
    pub(crate) archive: String,
    pub(crate) number: u64,
    pub(crate) seq: u64,
    #[serde(rename = "timeMs")]
    pub(crate) time_ms: i64,
    pub(crate) who: String,
}

impl Mark {
    fn of(archive: &str, fence: &Fence) -> Self {
        Self {
            version: VERSION,
            archive: archive.to_owned(),
            number: fence.number,
            seq: fence.seq.0,
            time_ms: fence.time_ms,
            who: fence.who.clone(),
        }
    }

    /// In words.
    fn reason(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.time_ms);
        let at = at.map_or_else(|_| self.time_ms.to_string(), |at| at.to_string());
        format!(
            "a standby ({}) was promoted in its place at {at}, from seq {} on (fence {} in the archive); \
             `salus follow difference` lists what this store has that the new one does not; make a \
             standby of this machine in a new folder",
            self.who, self.seq, self.number,
        )
    }
}

/// Refuses a folder that a standby is in, or whose store was replaced.
pub(crate) fn must_be_served(data: &Path) -> Result<(), Error> {
    must_be_no_standby(data)?;
    match read::<Mark>(&data.join(FENCED))? {
        Some(mark) => Err(Error::Fenced(mark.reason())),
        None => Ok(()),
    }
}

/// Refuses a folder that a standby is in: its log is another store's.
pub(crate) fn must_be_no_standby(data: &Path) -> Result<(), Error> {
    match data.join(crate::follow::STANDBY).try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Standby(data.to_owned())),
        Err(error) => Err(Error::File(data.to_owned(), error)),
    }
}

/// The fence by which the store of a generation was replaced, by all fences of an archive.
pub(crate) async fn replaced(
    archive: &Archive,
    own: &Generation,
) -> Result<Option<Fence>, salus_archive::Error> {
    let fences = archive.fences().await?;
    let newer = |fence: &Fence| {
        fence.number > own.number || (fence.number == own.number && hex(&fence.id) != own.id)
    };
    Ok(fences.into_iter().find(newer))
}

/// A file of JSON; `None` if there is none.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::File(path.to_owned(), error)),
    };
    let read = serde_json::from_slice(&text);
    read.map(Some).map_err(|_| Error::Damaged(path.to_owned()))
}

/// Puts a file of JSON into place, whole and durable.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let done = || {
        let aside = path.with_extension("new");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&aside)?;
        serde_json::to_writer(&mut file, value)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    done().map_err(|error: io::Error| Error::File(path.to_owned(), error))
}
