//! An archive in a folder: each object is a file. A file is written under another name in `new/`,
//! made durable, and then linked to its own, which fails if that is taken.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use salus_crypto::random;
use tokio::task;

use crate::destination::OBJECT_BYTES_MAX;
use crate::{Answer, Destination, Object, Put, Trouble};

const NEW: &str = "new";

/// A folder that holds an archive.
pub struct Folder {
    path: PathBuf,
    label: String,
}

impl Folder {
    /// The folder at a path; it is made when something is put into it.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            label: path.display().to_string(),
        }
    }

    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let path = self.path.clone();
        let done = task::spawn_blocking(move || work(&path)).await;
        let done = done.unwrap_or_else(|_| Err(std::io::Error::other("its work was ended")));
        done.map_err(|error| self.trouble(&error))
    }

    fn trouble(&self, error: &std::io::Error) -> Trouble {
        Trouble {
            label: self.label.clone(),
            reason: error.to_string(),
            lasting: matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::NotADirectory
            ),
        }
    }
}

impl Destination for Folder {
    fn label(&self) -> &str {
        &self.label
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, Put> {
        let name = name.to_owned();
        Box::pin(self.aside(move |path| put(path, &name, &bytes)))
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>> {
        let name = name.to_owned();
        Box::pin(self.aside(move |path| read(&path.join(name), OBJECT_BYTES_MAX)))
    }

    fn head<'a>(&'a self, name: &'a str, bytes: u64) -> Answer<'a, Option<Bytes>> {
        let name = name.to_owned();
        Box::pin(self.aside(move |path| read(&path.join(name), bytes)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        let prefix = prefix.to_owned();
        Box::pin(self.aside(move |path| {
            let mut objects = Vec::new();
            let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
            list(&path.join(folder), folder, &mut objects)?;
            objects.retain(|object| object.name.starts_with(&prefix));
            objects.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(objects)
        }))
    }

    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        let name = name.to_owned();
        Box::pin(self.aside(move |path| {
            let file = path.join(name);
            match fs::remove_file(&file) {
                Ok(()) => sync_folder(above(&file)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        }))
    }
}

fn put(path: &Path, name: &str, bytes: &[u8]) -> std::io::Result<Put> {
    let file = path.join(name);
    if file.try_exists()? {
        // Its name may be from a try of ours that failed behind the link.
        sync_folder(above(&file))?;
        return Ok(Put::Taken);
    }
    make_folders(above(&file))?;
    make_folders(&path.join(NEW))?;
    let salt: [u8; 8] = random::bytes().map_err(std::io::Error::other)?;
    let aside = path
        .join(NEW)
        .join(format!("{:016x}", u64::from_be_bytes(salt)));
    let made = write(&aside, bytes).and_then(|()| match fs::hard_link(&aside, &file) {
        Ok(()) => Ok(Put::Made),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Taken),
        Err(error) => Err(error),
    });
    // What stays is in nobody's way.
    let _ = fs::remove_file(&aside);
    let made = made?;
    sync_folder(above(&file))?;
    Ok(made)
}

fn write(aside: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(aside)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// At most so many bytes of a file.
fn read(file: &Path, bytes_max: u64) -> std::io::Result<Option<Bytes>> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len().min(bytes_max);
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Some(bytes.into()))
}

fn list(folder: &Path, name: &str, objects: &mut Vec<Object>) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let own = entry.file_name();
        let name = match name {
            "" => own.to_string_lossy().into_owned(),
            above => format!("{above}/{}", own.to_string_lossy()),
        };
        let about = match entry.metadata() {
            Ok(about) => about,
            // Removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if about.is_dir() {
            list(&entry.path(), &name, objects)?;
            continue;
        }
        let made = about.modified()?.duration_since(UNIX_EPOCH);
        objects.push(Object {
            name,
            bytes: about.len(),
            made_ms: made.map_or(0, |made| made.as_millis() as i64),
        });
    }
    Ok(())
}

/// Makes a folder and those above it, and their names durable.
fn make_folders(folder: &Path) -> std::io::Result<()> {
    if folder.try_exists()? {
        return Ok(());
    }
    let above = above(folder);
    make_folders(above)?;
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) | None => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
