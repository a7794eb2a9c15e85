//! The shim (`shim.c`), and what a process is told to suffer.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::draw::Draw;

/// The shim, as a library to be loaded before others.
pub(crate) struct Shim {
    _folder: tempfile::TempDir,
    library: PathBuf,
}

/// A fault below a folder.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) folder: PathBuf,
    pub(crate) kind: &'static str,
    pub(crate) after: u64,
    pub(crate) times: u64,
}

impl Shim {
    /// `None` without a C compiler, and elsewhere than on Linux.
    pub(crate) fn built() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status();
        let built = cfg!(target_os = "linux") && built.is_ok_and(|status| status.success());
        built.then_some(Self {
            _folder: folder,
            library,
        })
    }

    /// What a process is started with; the file `hit` in the room is there when something went wrong.
    pub(crate) fn variables(
        &self,
        room: &Path,
        faults: &[Fault],
        seed: u64,
    ) -> Vec<(&'static str, String)> {
        let aside = room.join("aside");
        let _ = std::fs::remove_dir_all(&aside);
        std::fs::create_dir_all(&aside).unwrap();
        let told: Vec<String> = faults.iter().map(Fault::told).collect();
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAULTS", told.join(";")),
            ("FAULTS_SEED", seed.to_string()),
            ("FAULTS_HIT", hit(room).display().to_string()),
            ("FAULTS_ASIDE", aside.display().to_string()),
        ]
    }
}

impl Fault {
    /// One of a kind, after so many calls at most.
    pub(crate) fn drawn(folder: &Path, kind: &'static str, calls: u64, draw: &mut Draw) -> Self {
        Self {
            folder: folder.to_owned(),
            kind,
            after: draw.below(calls),
            times: [0, 1, 3][draw.below(3) as usize],
        }
    }

    fn told(&self) -> String {
        let folder = self.folder.display();
        format!("{folder}|{}|{}|{}", self.kind, self.after, self.times)
    }
}

/// The file that is there when something went wrong.
pub(crate) fn hit(room: &Path) -> PathBuf {
    room.join("hit")
}
