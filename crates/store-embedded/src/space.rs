//! Room on the disk, looked at before each group is written.
//!
//! A disk that is full in the middle of a write leaves it unknown what was
//! written, and the store has to be opened again. So that this does not happen
//! in the ordinary way, commits are refused while there is still room for what
//! the engine does in the background, and go on when there is more.

use std::path::{Path, PathBuf};

use salus_store::Error;

/// The disk that a folder is on.
pub(crate) struct Space {
    dir: PathBuf,
    bytes_min: u64,
}

impl Space {
    pub(crate) fn new(dir: PathBuf, bytes_min: u64) -> Self {
        Self { dir, bytes_min }
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Refuses when there is too little room left, or the disk is read-only.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let about = rustix::fs::statvfs(&self.dir)
            .map_err(|e| Error::Unavailable(format!("the disk: {e}")))?;
        if about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return Err(Error::Unavailable("the disk is read-only".into()));
        }
        if about.f_bavail.saturating_mul(about.f_frsize) < self.bytes_min {
            return Err(Error::Unavailable("the disk is full".into()));
        }
        Ok(())
    }
}
