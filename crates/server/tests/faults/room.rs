//! The folders of a round, the archive that its server ships to, and the commands of `salus` about them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::writers::{self, Written, create, patient, track};
use crate::support::draw::Draw;
use crate::support::ledger::{Ledger, Track};
use crate::support::s3::Bucket;
use crate::support::server::{Server, program};

/// Nothing takes so long that ends well.
const PATIENCE: Duration = Duration::from_secs(60);
const VICTIMS: u64 = 6;

/// Where a server ships to.
#[derive(Clone)]
pub(crate) enum To {
    Folder(PathBuf),
    S3(Bucket),
}

/// A data folder and its archive.
pub(crate) struct Room {
    pub(crate) path: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) to: To,
}

/// What rounds begin with: a store that was written to, restarted, killed and whose keys were rotated.
pub(crate) struct Template {
    room: tempfile::TempDir,
    pub(crate) written: Written,
    /// Patients that may be shredded.
    pub(crate) victims: Vec<Track>,
}

impl To {
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::S3(bucket) => bucket.place(),
        }
    }
}

impl Template {
    pub(crate) fn make(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::at(folder.path(), To::Folder(folder.path().join("archive")));
        let mut draw = Draw::new(seed);
        let (told, _told) = channel();
        let server = room.start(&[]).unwrap();
        let mut written = writers::write(&server, 4, &mut draw, &told, || {});
        let mut victims = Ledger::default();
        for number in 0..VICTIMS {
            let text = patient(&format!("victim-{number}"), 1);
            let answer = create(&mut server.client(), &text).unwrap();
            victims.tracks.push(track(&answer, text));
        }
        room.salus(&["keys", "rotate", "all", "--wait", "--json"], true);
        assert!(server.stop());
        let mut server = room.start(&[]).unwrap();
        written.absorb(writers::write(&server, 2, &mut draw, &told, || {}));
        room.shipped(PATIENCE).unwrap();
        server.kill();
        Self {
            room: folder,
            written,
            victims: victims.tracks,
        }
    }

    /// A copy of it. S3 begins empty: all of it is shipped in the round.
    pub(crate) fn copy(&self, path: &Path, to: Option<Bucket>) -> Room {
        copy(&self.room.path().join("data"), &path.join("data"));
        let to = to.map_or_else(
            || {
                let archive = path.join("archive");
                copy(&self.room.path().join("archive"), &archive);
                To::Folder(archive)
            },
            To::S3,
        );
        Room::at(path, to)
    }
}

impl Room {
    fn at(path: &Path, to: To) -> Self {
        Self {
            path: path.to_owned(),
            data: path.join("data"),
            to,
        }
    }

    /// Starts a server that ships to the archive.
    pub(crate) fn start(&self, variables: &[(&'static str, String)]) -> Result<Server, String> {
        let mut all = variables.to_vec();
        all.push(("SALUS_ARCHIVE", self.to.place()));
        all.extend(credentials());
        Server::try_start_with(&self.data, &all)
    }

    /// A command about the folder and its archive; it has to end well, if that is said.
    #[track_caller]
    pub(crate) fn salus(&self, arguments: &[&str], well: bool) -> (Value, Output) {
        let mut command = Command::new(program());
        command.args(arguments).arg("--data").arg(&self.data);
        if arguments[0] == "backup" {
            command.args(["--archive", &self.to.place()]);
        }
        let output = command.envs(credentials()).output().unwrap();
        assert!(
            !well || output.status.success(),
            "{arguments:?}: {output:?}"
        );
        (
            serde_json::from_slice(&output.stdout).unwrap_or_default(),
            output,
        )
    }

    /// Waits until the archive has all that the store has now; `None` if it has not in time.
    pub(crate) fn shipped(&self, within: Duration) -> Option<u64> {
        let begun = Instant::now();
        let mut wanted = None;
        loop {
            let (answer, _) = self.salus(&["backup", "status", "--json"], false);
            let shown = &answer["archives"][0];
            if let (Some(head), Some(last)) = (answer["seq"].as_u64(), shown["lastSeq"].as_u64()) {
                let wanted = *wanted.get_or_insert(head);
                if last >= wanted {
                    return Some(last);
                }
            }
            if begun.elapsed() > within {
                return None;
            }
        }
    }

    /// Restores the archive with the present keys into a new folder: the report, the exit status,
    /// and a server on it, if one starts.
    pub(crate) fn restore(&self, name: &str) -> Restored {
        let to = self.path.join(name);
        let output = Command::new(program())
            .args(["restore", "--json", "--from", &self.to.place(), "--keys"])
            .arg(self.data.join("keys"))
            .arg("--to")
            .arg(&to)
            .envs(credentials())
            .output()
            .unwrap();
        Restored {
            told: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            status: output.status.code(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
            data: to,
        }
    }
}

/// What a restore has left.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) told: Value,
    pub(crate) status: Option<i32>,
    pub(crate) error: String,
    pub(crate) data: PathBuf,
}

fn credentials() -> [(&'static str, String); 2] {
    [
        ("AWS_ACCESS_KEY_ID", "EXAMPLEKEY".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "example/secret".to_owned()),
    ]
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}
