//! Writing a blob: pieces are gathered here, sealed and written on a thread
//! while the next one gathers.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::frames::{FRAME_BYTES, Frames, Header};
use salus_store::{BlobWriter, Error, NewBlob, Reply, Scope, SealKey};
use tokio::task::JoinHandle;

use super::{PIECE_BYTES, shard, sync_folder, trouble};
use crate::body::sealing;
use crate::closed;
use crate::core::Core;

/// A blob that is not finished.
pub(super) struct Writer {
    gathered: Vec<u8>,
    length: u64,
    state: State,
}

enum State {
    Idle(Box<Unfinished>),
    Writing(JoinHandle<Result<Box<Unfinished>, Error>>),
    Failed,
}

/// Its file. Dropped, it is removed.
struct Unfinished {
    core: Arc<Core>,
    scope: Scope,
    id: Box<str>,
    temporary: Temporary,
    file: File,
    frames: Frames,
    written: u64,
    sealed: Vec<u8>,
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone when it was finished; else emptying the folder takes care of it.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Writer {
    /// Waits for the disk.
    pub(super) fn create(core: Arc<Core>, new: &NewBlob) -> Result<Self, Error> {
        Ok(Self {
            gathered: Vec::new(),
            length: 0,
            state: State::Idle(Box::new(Unfinished::create(core, new)?)),
        })
    }

    async fn gather(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            // Only when something follows: the last frame is told apart.
            if self.gathered.len() == PIECE_BYTES {
                self.hand_over().await?;
            }
            let room = PIECE_BYTES - self.gathered.len();
            self.gathered
                .extend_from_slice(&bytes.split_to(room.min(bytes.len())));
        }
        Ok(())
    }

    /// Has what was gathered written, when what was before it is.
    async fn hand_over(&mut self) -> Result<(), Error> {
        let mut unfinished = self.settled().await?;
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE_BYTES));
        let writing = tokio::task::spawn_blocking(move || {
            unfinished.append(&piece, false)?;
            Ok(unfinished)
        });
        self.state = State::Writing(writing);
        Ok(())
    }

    /// The file, when nothing is under way any more.
    async fn settled(&mut self) -> Result<Box<Unfinished>, Error> {
        // Whoever stops waiting here has given the blob up.
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(unfinished) => Ok(unfinished),
            State::Writing(writing) => writing.await.map_err(|_| closed())?,
            State::Failed => Err(Error::Unavailable("a blob failed before".into())),
        }
    }
}

impl BlobWriter for Writer {
    fn write(&mut self, bytes: Bytes) -> Reply<'_, ()> {
        Box::pin(self.gather(bytes))
    }

    fn finish(mut self: Box<Self>) -> Reply<'static, u64> {
        Box::pin(async move {
            let mut unfinished = self.settled().await?;
            let piece = std::mem::take(&mut self.gathered);
            super::aside(move || {
                unfinished.append(&piece, true)?;
                unfinished.finish()
            })
            .await?;
            Ok(self.length)
        })
    }
}

impl Unfinished {
    fn create(core: Arc<Core>, new: &NewBlob) -> Result<Self, Error> {
        new.validate()?;
        core.ready()?;
        core.space.check()?;
        let NewBlob { scope, id, .. } = new;
        let there = core.blobs.finished(*scope, id).try_exists();
        if there.map_err(trouble)? {
            return Err(THERE);
        }
        let path = core.blobs.unfinished(*scope, id);
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let taken = |error: &std::io::Error| error.kind() == ErrorKind::AlreadyExists;
        let mut file = file.map_err(|error| match taken(&error) {
            true => THERE,
            false => trouble(error),
        })?;
        let temporary = Temporary(path);
        let label = match &new.seal {
            SealKey::Scope => None,
            SealKey::Patient(id) => Some(&**id),
        };
        let slot = core.keyring.slot(scope.0, label, new.time_ms);
        let header = Header::new(scope.0, slot.map_err(sealing)?, new.time_ms, id);
        let header = header.map_err(sealing)?;
        file.write_all(&header.to_bytes()).map_err(trouble)?;
        Ok(Self {
            core,
            scope: *scope,
            id: id.clone(),
            temporary,
            file,
            frames: Frames::new(&header),
            written: 0,
            sealed: Vec::new(),
        })
    }

    /// Seals and writes a piece: whole frames, unless it is the last.
    fn append(&mut self, piece: &[u8], last: bool) -> Result<(), Error> {
        self.core.space.check()?;
        self.sealed.clear();
        let count = piece.len().div_ceil(FRAME_BYTES).max(1);
        for index in 0..count {
            let start = index * FRAME_BYTES;
            let frame = &piece[start..piece.len().min(start + FRAME_BYTES)];
            let which = (self.written, last && index + 1 == count);
            let (keyring, out) = (&self.core.keyring, &mut self.sealed);
            self.frames
                .seal(keyring, which, frame, out)
                .map_err(sealing)?;
            self.written += 1;
        }
        self.file.write_all(&self.sealed).map_err(trouble)
    }

    /// Makes it durable, and then visible.
    fn finish(self) -> Result<(), Error> {
        let (core, id) = (&self.core, &*self.id);
        self.file.sync_all().map_err(trouble)?;
        // No blob without its key.
        core.keyring.sync().map_err(sealing)?;
        core.blobs.make_for(self.scope, id)?;
        let place = core.blobs.finished(self.scope, id);
        let bytes = self.file.metadata().map_err(trouble)?.len();
        std::fs::rename(&self.temporary.0, place).map_err(trouble)?;
        core.blobs.added(bytes);
        sync_folder(&core.blobs.shard(self.scope, shard(id)))?;
        core.blobs.tell(self.scope, id);
        Ok(())
    }
}

const THERE: Error = Error::Misuse("a blob of this id is there");
