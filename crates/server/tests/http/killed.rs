//! Commands that a real SIGKILL ends at a call to the disk, by the shim of `faults/`: what they
//! leave is looked at, and the next one takes it up.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients::skipped;
use crate::shim::{Fault, Shim};

/// Rounds after which a command that is taken up again and again has to be through.
const ROUNDS_MAX: u64 = 60;

/// What kills: the first time behind so many calls below a folder, then each time some later.
pub(crate) struct Killing {
    pub(crate) folder: PathBuf,
    pub(crate) first: u64,
    pub(crate) step: u64,
}

impl Killing {
    /// At each call below a folder that is written to seldom.
    pub(crate) fn each(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            first: 0,
            step: 1,
        }
    }

    /// On the way through the commits of a store: opening one takes some tens of calls.
    pub(crate) fn commits(store: &Path) -> Self {
        Self {
            folder: store.to_owned(),
            first: 20,
            step: 3,
        }
    }

    /// Runs a command again and again until it is through; how often it was killed.
    #[track_caller]
    pub(crate) fn rounds(
        &self,
        shim: &Shim,
        command: impl Fn() -> Command,
        mut left: impl FnMut(),
    ) -> u64 {
        let room = tempfile::tempdir().unwrap();
        for round in 0..ROUNDS_MAX {
            let fault = Fault {
                folder: self.folder.clone(),
                kind: "kill",
                after: self.first + round * self.step,
                times: 0,
            };
            let mut command = command();
            command.envs(shim.variables(room.path(), &[fault], 1));
            let output = command.output().unwrap();
            if output.status.signal() != Some(9) {
                assert!(output.status.success(), "{output:?}");
                return round;
            }
            left();
        }
        panic!("it was killed {ROUNDS_MAX} times and is not through");
    }
}

/// What makes them suffer; `None` where there is no C compiler, and elsewhere than on Linux.
pub(crate) fn shim() -> Option<Shim> {
    let shim = Shim::built();
    if shim.is_none() {
        skipped("there is no C compiler for Linux here");
    }
    shim
}
