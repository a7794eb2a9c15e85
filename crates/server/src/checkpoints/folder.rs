//! Checkpoints in a folder: a file for each day, to which they are added, and `latest`.
//!
//! Both are notes of C2SP, one behind the other with an empty line between. Each is on the disk
//! before the next is signed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use salus_crypto::checkpoint::Note;
use salus_service::Service;
use salus_service::audit::log::Signed;

use super::{Publish, day, hold_against};

const ENDING: &str = "checkpoints";
const LATEST: &str = "latest";
/// More than a day has of checkpoints and their cosignatures.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A folder of checkpoints.
pub(crate) struct Folder {
    dir: PathBuf,
    /// Days of which all are kept; all of them, if there is no number.
    days: Option<usize>,
    last: Option<String>,
}

impl Folder {
    /// To which checkpoints are added, and from which nothing is taken.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            days: None,
            last: None,
        }
    }

    /// That keeps the largest checkpoint only of what is more than so many days of them ago.
    pub(crate) fn keeping(dir: PathBuf, days: usize) -> Self {
        Self {
            days: Some(days),
            ..Self::new(dir)
        }
    }

    /// Says so if the log was longer already when the last checkpoint was kept.
    fn look_back(&self, size: u64) {
        let latest = std::fs::read_to_string(self.dir.join(LATEST)).ok();
        let latest = latest.and_then(|text| Note::parse(&text).ok()?.checkpoint().ok());
        hold_against(&self.name(), latest.map(|latest| latest.size), size);
    }

    async fn add(&mut self, signed: &Signed) -> Result<(), String> {
        let text = signed.note.to_string();
        if self.last.as_ref() == Some(&text) {
            return Ok(());
        }
        if self.last.is_none() {
            self.look_back(signed.checkpoint.size);
        }
        let day = day(signed.checkpoint.time_s().unwrap_or(0)).to_string();
        let (dir, days, note) = (self.dir.clone(), self.days, text.clone());
        let added = tokio::task::spawn_blocking(move || add(&dir, &day, days, &note)).await;
        let added = added.unwrap_or_else(|_| Err(io::Error::other("it was cut off")));
        added.map_err(|error| error.to_string())?;
        self.last = Some(text);
        Ok(())
    }
}

impl Publish for Folder {
    fn name(&self) -> String {
        self.dir.display().to_string()
    }

    fn publish<'a>(
        &'a mut self,
        _service: &'a Service,
        signed: &'a Signed,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.add(signed))
    }
}

fn add(dir: &Path, day: &str, days: Option<usize>, note: &str) -> io::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(dir)?;
    let path = dir.join(format!("{day}.{ENDING}"));
    let is_new = !path.exists();
    append(&path, note)?;
    replace(dir, &dir.join(LATEST), note)?;
    match days {
        Some(days) if is_new => thin(dir, days),
        Some(_) | None => Ok(()),
    }
}

fn append(path: &Path, note: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let mut text = String::new();
    if !ends_well(&mut file)? {
        // The last one was cut short: what follows must not be taken for a part of it.
        text.push_str("\n\n");
    }
    text.push_str(note);
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn ends_well(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() < 2 {
        return Ok(file.metadata()?.len() == 0);
    }
    let mut end = [0; 2];
    file.seek(SeekFrom::End(-2))?;
    file.read_exact(&mut end)?;
    Ok(end == *b"\n\n")
}

/// Puts a file in the place of another, whole or not at all.
fn replace(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let next = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(&next, path)?;
    File::open(dir)?.sync_all()
}

/// Leaves the largest checkpoint only of each day but the last so many.
fn thin(dir: &Path, days: usize) -> io::Result<()> {
    let mut files = day_files(dir)?;
    files.truncate(files.len().saturating_sub(days));
    for path in files {
        let (notes, unreadable) = read_file(&path)?;
        let size = |note: &Note| note.checkpoint().map_or(0, |checkpoint| checkpoint.size);
        if let Some(largest) = notes.iter().max_by_key(|note| size(note))
            && notes.len() > 1
            && unreadable == 0
        {
            replace(dir, &path, &format!("{largest}\n"))?;
        }
    }
    Ok(())
}

/// The files of days, the earliest first.
fn day_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Every checkpoint of a file, or of the files of a folder, with where it was, and how many could
/// not be read. A folder that is not there has none.
pub(crate) fn read_all(path: &Path) -> io::Result<(Vec<(String, Note)>, u64)> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = day_files(path)?;
        let latest = path.join(LATEST);
        files.extend(latest.exists().then_some(latest));
    }
    let (mut all, mut unreadable) = (Vec::new(), 0);
    for file in files {
        let (notes, bad) = read_file(&file)?;
        let place = file.display().to_string();
        all.extend(notes.into_iter().map(|note| (place.clone(), note)));
        unreadable += bad;
    }
    Ok((all, unreadable))
}

fn read_file(path: &Path) -> io::Result<(Vec<Note>, u64)> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    // One that was cut short may end within a character.
    let text = String::from_utf8_lossy(&bytes);
    let (mut rest, mut notes, mut unreadable) = (&*text, Vec::new(), 0);
    loop {
        match Note::take(&mut rest) {
            Ok(Some(note)) => notes.push(note),
            Ok(None) => return Ok((notes, unreadable)),
            Err(_) => unreadable += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use salus_crypto::SecretKey;
    use salus_crypto::checkpoint::{Checkpoint, Signer};

    use super::*;

    fn note(size: u64) -> String {
        let signer = Signer::new("log", &SecretKey::from_bytes([1; 32])).unwrap();
        let text = Checkpoint::new("log", size, [1; 32], 0).text();
        Note::new(text.clone(), signer.sign(&text, 0)).to_string()
    }

    fn sizes(path: &Path) -> (Vec<u64>, u64) {
        let (all, unreadable) = read_all(path).unwrap();
        let size = |(_, note): &(String, Note)| note.checkpoint().unwrap().size;
        (all.iter().map(size).collect(), unreadable)
    }

    #[test]
    fn checkpoints_are_added_to_the_file_of_their_day() {
        let dir = tempfile::tempdir().unwrap();
        for size in 1..=3 {
            add(dir.path(), "2026-01-02", None, &note(size)).unwrap();
        }
        add(dir.path(), "2026-01-03", None, &note(4)).unwrap();
        assert_eq!(
            sizes(&dir.path().join("2026-01-02.checkpoints")),
            (vec![1, 2, 3], 0)
        );
        assert_eq!(sizes(dir.path()), (vec![1, 2, 3, 4, 4], 0));
        assert_eq!(day(86_400).to_string(), "1970-01-02");
    }

    #[test]
    fn one_that_was_cut_short_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("2026-01-02.checkpoints");
        for cut in [1, 20, 60, 100] {
            std::fs::write(&path, &note(7).as_bytes()[..cut]).unwrap();
            append(&path, &note(8)).unwrap();
            let (sizes, unreadable) = sizes(&path);
            assert!(sizes == [8] && unreadable > 0, "{cut}");
        }
    }

    #[test]
    fn of_days_long_ago_the_largest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        for day in 1..=5 {
            for size in [1, 3, 2] {
                let name = format!("2026-01-0{day}");
                add(dir.path(), &name, Some(2), &note(10 * day + size)).unwrap();
            }
        }
        let (mut sizes, unreadable) = sizes(dir.path());
        sizes.pop();
        assert_eq!(
            (sizes, unreadable),
            (vec![13, 23, 33, 41, 43, 42, 51, 53, 52], 0)
        );
    }
}
