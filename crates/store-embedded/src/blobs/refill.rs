//! Putting a blob back from its sealed bytes, as an archive has them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use salus_store::{Blob, Error, Scope, SealedBlob};

use super::read::Opened;
use super::{shard, sync_folder, trouble};
use crate::Embedded;
use crate::core::Core;

/// A blob that is being put back. Dropped before it is finished, it was never there.
pub struct Refill {
    core: Arc<Core>,
    scope: Scope,
    id: Box<str>,
    file: File,
}

impl Embedded {
    /// Begins to put a blob back. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Misuse`] if its id is none; [`Error::Unavailable`] when the disk does not do as asked.
    pub fn refill(&self, blob: &SealedBlob) -> Result<Refill, Error> {
        let SealedBlob { scope, id } = blob.clone();
        if !Blob::is_id(&id) {
            return Err(Error::Misuse("not an id of a blob"));
        }
        self.core.space.check()?;
        let path = self.core.blobs.unfinished(scope, &id);
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        Ok(Refill {
            file: options.open(path).map_err(trouble)?,
            core: Arc::clone(&self.core),
            scope,
            id,
        })
    }
}

impl Refill {
    /// Appends sealed bytes. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk does not do as asked.
    pub fn append(&mut self, sealed: &[u8]) -> Result<(), Error> {
        self.file.write_all(sealed).map_err(trouble)
    }

    /// Makes it durable and visible, if it is what was sealed as this blob.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its head is not that of this blob.
    pub fn finish(self) -> Result<(), Error> {
        let (blobs, scope, id) = (&self.core.blobs, self.scope, &*self.id);
        let begun = blobs.unfinished(scope, id);
        self.file.sync_all().map_err(trouble)?;
        blobs.make_for(scope, id)?;
        let place = blobs.finished(scope, id);
        let bytes = self.file.metadata().map_err(trouble)?.len();
        std::fs::rename(&begun, &place).map_err(trouble)?;
        sync_folder(&blobs.shard(scope, shard(id)))?;
        if let Err(error) = Opened::open(Arc::clone(&self.core), scope, id) {
            std::fs::remove_file(&place).map_err(trouble)?;
            return Err(error);
        }
        blobs.added(bytes);
        Ok(())
    }
}
