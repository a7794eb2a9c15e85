//! Blobs as files beside the engine, sealed in frames as `salus_crypto::frames`
//! describes.
//!
//! A blob is `blobs/SCOPE/SHARD/ID`: the scope in eight hexadecimal digits, the
//! low byte of the id's hash in two. Until it is finished it lies in
//! `blobs/new/`, which is emptied when the store is opened. All that touches
//! the disk or seals runs on threads for it, in pieces of some frames, so that
//! an upload that takes an hour holds no thread.
//! Why files: `docs/adr/0025-blobs-as-files.md`.

mod check;
mod leave;
mod read;
mod refill;
mod write;

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use salus_crypto::frames::{FRAME_BYTES, HEADER_BYTES_MAX, Header};
use salus_store::{
    Blob, BlobReader, BlobWriter, Blobs, Error, Kind, NewBlob, Reply, Scope, SealedBlob,
};
use tokio::task;

pub(crate) use self::check::check;
use self::leave::Finished;
use self::read::Reader;
pub use self::refill::Refill;
use self::write::Writer;
use crate::kv::folder_bytes;
use crate::{Embedded, closed};

/// So much is sealed or opened at once.
const PIECE_BYTES: usize = 4 * FRAME_BYTES;

const NEW: &str = "new";

/// Where the files are, and how long those of finished blobs are together.
pub(crate) struct Folder {
    path: PathBuf,
    bytes: AtomicU64,
    told: Mutex<Finished>,
}

impl Folder {
    /// Opens the folder of blobs of a store, or makes it, and removes what was
    /// never finished. Only who holds the store's lock may.
    pub(crate) fn open(store: &Path) -> Result<Self, Error> {
        let folder = Self {
            path: store.join("blobs"),
            bytes: AtomicU64::new(0),
            told: Mutex::default(),
        };
        let new = folder.path.join(NEW);
        match std::fs::remove_dir_all(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(trouble(error)),
            Ok(()) | Err(_) => {}
        }
        make_durable(store, &folder.path)?;
        make_durable(&folder.path, &new)?;
        // Scope, shard, file.
        let bytes = folder_bytes(&folder.path, 2);
        folder.bytes.store(bytes, Ordering::Relaxed);
        Ok(folder)
    }

    /// Bytes of the files of all finished blobs.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn added(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Tells who ships blobs that there is one more.
    fn tell(&self, scope: Scope, id: &str) {
        let id = id.into();
        self.told.lock().add(SealedBlob { scope, id });
    }

    /// Where a blob is written.
    fn unfinished(&self, scope: Scope, id: &str) -> PathBuf {
        self.path.join(NEW).join(format!("{:08x}-{id}", scope.0))
    }

    fn of_scope(&self, scope: Scope) -> PathBuf {
        self.path.join(format!("{:08x}", scope.0))
    }

    fn shard(&self, scope: Scope, shard: u8) -> PathBuf {
        self.of_scope(scope).join(format!("{shard:02x}"))
    }

    /// Where a finished blob lies.
    fn finished(&self, scope: Scope, id: &str) -> PathBuf {
        self.shard(scope, shard(id)).join(id)
    }

    /// Makes the folders that a blob will lie in.
    fn make_for(&self, scope: Scope, id: &str) -> Result<(), Error> {
        let (of_scope, shard) = (self.of_scope(scope), self.shard(scope, shard(id)));
        make_durable(&self.path, &of_scope)?;
        make_durable(&of_scope, &shard)
    }

    /// The ids in a shard, in order.
    fn ids(&self, scope: Scope, shard: u8) -> Result<Vec<String>, Error> {
        let entries = match std::fs::read_dir(self.shard(scope, shard)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(trouble(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            // What has no such name is nothing of ours.
            if let Ok(id) = entry.map_err(trouble)?.file_name().into_string()
                && Blob::is_id(&id)
            {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// What the file of a blob says of it; `None` if it is gone, or says
    /// nothing that can be true. Checking names those.
    fn about(&self, scope: Scope, id: &str) -> Result<Option<Blob>, Error> {
        let file = match File::open(self.finished(scope, id)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(trouble(error)),
        };
        let length = file.metadata().map_err(trouble)?.len();
        let Ok(header) = header(&file) else {
            return Ok(None);
        };
        Ok(header.layout(length).map(|layout| Blob {
            id: id.into(),
            bytes: layout.bytes,
            time_ms: header.time_ms,
        }))
    }

    fn list(&self, scope: Scope, after: &str, limit: usize) -> Result<Vec<Blob>, Error> {
        let first = match after {
            "" => 0,
            after => shard(after),
        };
        let mut blobs = Vec::new();
        for shard in first..=u8::MAX {
            for id in self.ids(scope, shard)? {
                if blobs.len() >= limit {
                    return Ok(blobs);
                }
                if shard > first || *id > *after {
                    blobs.extend(self.about(scope, &id)?);
                }
            }
        }
        Ok(blobs)
    }

    fn remove(&self, scope: Scope, id: &str) -> Result<(), Error> {
        let path = self.finished(scope, id);
        let bytes = path.metadata().map_or(0, |about| about.len());
        match std::fs::remove_file(path) {
            Ok(()) => {
                let less = |all: u64| Some(all.saturating_sub(bytes));
                let _ = self
                    .bytes
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
                sync_folder(&self.shard(scope, shard(id)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(trouble(error)),
        }
    }
}

impl Blobs for Embedded {
    fn create(&self, new: NewBlob) -> Reply<'_, Box<dyn BlobWriter>> {
        let core = Arc::clone(&self.core);
        let closed = self.is_closed();
        Box::pin(async move {
            if closed {
                return Err(crate::closed());
            }
            let writer = aside(move || Writer::create(core, &new)).await?;
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        })
    }

    fn open<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, Option<Box<dyn BlobReader>>> {
        let core = Arc::clone(&self.core);
        Box::pin(async move {
            if !Blob::is_id(id) {
                return Ok(None);
            }
            let id = id.to_owned();
            let reader = aside(move || Reader::open(core, scope, &id)).await?;
            Ok(reader.map(|reader| Box::new(reader) as Box<dyn BlobReader>))
        })
    }

    fn remove<'a>(&'a self, scope: Scope, id: &'a str) -> Reply<'a, ()> {
        let core = Arc::clone(&self.core);
        Box::pin(async move {
            if !Blob::is_id(id) {
                return Ok(());
            }
            let id = id.to_owned();
            aside(move || core.blobs.remove(scope, &id)).await
        })
    }

    fn list<'a>(&'a self, scope: Scope, after: &'a str, limit: usize) -> Reply<'a, Vec<Blob>> {
        let (core, after) = (Arc::clone(&self.core), after.to_owned());
        Box::pin(aside(move || core.blobs.list(scope, &after, limit)))
    }
}

/// Does something on a thread that may wait for the disk.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    task::spawn_blocking(work).await.map_err(|_| closed())?
}

/// The header at the start of a file.
fn header(file: &File) -> Result<Header, Error> {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; HEADER_BYTES_MAX];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(some) => filled += some,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(trouble(error)),
        }
    }
    Header::read(&bytes[..filled]).map_err(damaged)
}

fn shard(id: &str) -> u8 {
    // The hash is part of the stored format, so this is.
    Kind::named(id).0 as u8
}

/// Makes a folder, if it is not there, and its entry in the one above durable.
fn make_durable(above: &Path, dir: &Path) -> Result<(), Error> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(trouble(error)),
    }
}

fn sync_folder(dir: &Path) -> Result<(), Error> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(trouble)
}

fn trouble(error: std::io::Error) -> Error {
    Error::Unavailable(format!("a blob: {error}"))
}

fn damaged(error: salus_crypto::Error) -> Error {
    if let salus_crypto::Error::Destroyed(_) = error {
        return Error::KeyDestroyed;
    }
    Error::Damaged(format!("a blob: {error}"))
}

#[cfg(test)]
mod tests;
