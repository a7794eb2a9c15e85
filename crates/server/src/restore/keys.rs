//! The keys of a restored store: a copy of those that it had. What was destroyed in
//! them stays so, whatever the archive holds.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The only thing that may be in the folder before.
const KEYS: &str = "keys";
/// The root key, if a file beside the keyring keeps it.
const ROOT: &str = "root.key";

/// Refuses a folder that has anything but keys in it.
pub(crate) fn is_empty_but_for_keys(to: &Path) -> Result<(), String> {
    let told = |error: io::Error| format!("{}: {error}", to.display());
    let inside = match fs::read_dir(to) {
        Ok(inside) => inside,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(told(error)),
    };
    for entry in inside {
        if entry.map_err(told)?.file_name() != KEYS {
            return Err(format!(
                "{} is not empty; restore into a new folder, or remove what an earlier restore left there",
                to.display()
            ));
        }
    }
    Ok(())
}

/// Copies the keys into place, unless they are there and none are given.
pub(super) fn bring(from: Option<&Path>, place: &Path) -> Result<(), String> {
    let Some(from) = from else {
        return match place.exists() {
            true => Ok(()),
            false => Err(format!(
                "{} does not exist; give the keys of the store by --keys",
                place.display()
            )),
        };
    };
    if place.exists() {
        return Err(format!(
            "{} is there already; leave out --keys",
            place.display()
        ));
    }
    copy(from, place, |_| true).map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

/// Copies a keyring to where it is opened with the root key of the original.
pub(crate) fn copy_without_root(from: &Path, place: &Path) -> Result<(), String> {
    let copied = copy(from, place, |name| name != ROOT);
    copied.map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

/// Copies a keyring into a new folder.
pub(crate) fn copy_all(from: &Path, place: &Path) -> io::Result<()> {
    copy(from, place, |_| true)
}

fn copy(from: &Path, place: &Path, takes: impl Fn(&OsStr) -> bool) -> io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
    files.retain(|file| takes(&file.file_name()));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place)?;
    for file in files.iter().filter(|file| file.path().is_file()) {
        let mut source = File::open(file.path())?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut copy = options.open(place.join(file.file_name()))?;
        io::copy(&mut source, &mut copy)?;
        copy.sync_all()?;
    }
    File::open(place)?.sync_all()
}

/// Writes a file that only its owner may read, whole and durable.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
