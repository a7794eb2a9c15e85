//! The folder of a drill: its own, empty before, with room on its disk, and gone afterwards.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::restore;

/// What has to be free beside what is restored: the store refuses to write with less.
const FREE_BYTES: u64 = 256 << 20;
/// How much more than an archive, whose bodies it has as they are, a store with its index takes.
const TIMES: u64 = 3;

/// A folder that is removed when it is dropped, unless somebody wants to keep it.
pub(super) struct Room {
    path: PathBuf,
    keep: bool,
}

impl Room {
    /// Makes it, for nobody else to read.
    pub(super) fn make(path: &Path, keep: bool) -> Result<Self, Failure> {
        restore::is_empty_but_for_keys(path)?;
        if path.join("keys").exists() {
            return Err(format!("{} is not empty", path.display()).into());
        }
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            keep,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = clear(&self.path)
        {
            // All in it is sealed, and the root key is not there.
            tracing::warn!(%error, "the folder of a drill cannot be removed");
        }
    }
}

/// Removes a folder that a drill has left.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Refuses a disk that has too little room for what is to be restored.
pub(super) fn must_fit(path: &Path, archive_bytes: u64, store_bytes: u64) -> Result<(), Failure> {
    let about = rustix::fs::statvfs(path)?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let needed = needed(archive_bytes, store_bytes);
    match free < needed {
        true => Err(format!(
            "{} has {} MiB free, and the drill needs about {} MiB: give another folder by --to",
            path.display(),
            free >> 20,
            needed >> 20
        )
        .into()),
        false => Ok(()),
    }
}

fn needed(archive_bytes: u64, store_bytes: u64) -> u64 {
    let store = match store_bytes {
        0 => archive_bytes.saturating_mul(TIMES),
        // It is laid out anew, so it takes no more than what runs; a merge needs some room.
        bytes => bytes.saturating_add(bytes / 4),
    };
    store.saturating_add(FREE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_own_and_goes_with_the_drill() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("work");
        let room = Room::make(&path, false).unwrap();
        fs::write(room.path().join("file"), "x").unwrap();
        assert!(Room::make(&path, false).is_err());
        drop(room);
        assert!(!path.exists());
        drop(Room::make(&path, true).unwrap());
        assert!(path.exists());
        fs::create_dir(path.join("keys")).unwrap();
        assert!(Room::make(&path, false).is_err());
    }

    #[test]
    fn there_has_to_be_room_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let told = must_fit(dir.path(), u64::MAX, 0).unwrap_err().to_string();
        assert!(told.contains("--to"), "{told}");
        assert_eq!(needed(100 << 20, 0), 556 << 20);
        assert_eq!(needed(100 << 20, 400 << 20), 756 << 20);
    }
}
