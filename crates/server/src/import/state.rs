//! How far an import has come, so that a stopped one goes on where it stopped.
//!
//! One small file for each source, in the data folder. It names the run, and
//! the run names each request, so that a request which was carried out just
//! before a stop is not carried out again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::piece::Source;
use super::{Error, Place};

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    run: String,
    next: Place,
}

/// The state of one import.
pub(super) struct State {
    path: PathBuf,
    saved: Saved,
}

impl State {
    /// The state an unfinished import of the same files left, or a new one.
    pub(super) fn load(data: &Path, project: &str, source: &Source) -> Result<Self, Error> {
        let dir = data.join("import");
        let unwritable = |error| Error::Unreadable(dir.clone(), error);
        fs::create_dir_all(&dir).map_err(unwritable)?;
        let path = dir.join(format!("{}.json", name(project, source)));
        let saved = fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str::<Saved>(&text).ok())
            .filter(|saved| saved.version == 1);
        let saved = match saved {
            Some(saved) => saved,
            None => Saved {
                version: 1,
                run: salus_crypto::random::uuid()
                    .map_err(|error| unwritable(std::io::Error::other(error)))?,
                next: Place::default(),
            },
        };
        let state = Self { path, saved };
        state.save()?;
        Ok(state)
    }

    /// Where to go on.
    pub(super) fn next(&self) -> Place {
        self.saved.next
    }

    /// The name of this run.
    pub(super) fn run(&self) -> &str {
        &self.saved.run
    }

    /// Everything before this place is done.
    pub(super) fn advance(&mut self, next: Place) -> Result<(), Error> {
        self.saved.next = next;
        self.save()
    }

    /// The import is done; importing the same files again is a new run.
    pub(super) fn finish(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(|error| Error::Unreadable(self.path.clone(), error))
    }

    fn save(&self) -> Result<(), Error> {
        let unwritable = |error| Error::Unreadable(self.path.clone(), error);
        let text = serde_json::to_string(&self.saved)
            .map_err(|error| unwritable(std::io::Error::other(error)))?;
        let next = self.path.with_extension("next");
        let mut file = fs::File::create(&next).map_err(unwritable)?;
        file.write_all(text.as_bytes()).map_err(unwritable)?;
        fs::rename(&next, &self.path).map_err(unwritable)
    }
}

/// A name that stands for these files on their way into this project.
fn name(project: &str, source: &Source) -> String {
    let mut text = project.to_owned();
    for path in source.paths() {
        text.push('\n');
        text.push_str(&path.display().to_string());
    }
    let hash = salus_crypto::sha256(text.as_bytes());
    salus_crypto::hex(&hash[..8])
}
