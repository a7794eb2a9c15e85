//! Small disks of their own for tests, where the kernel lets us: Linux, as root, with tmpfs or a loop device.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mounted file system. Dropping it unmounts it.
pub(crate) struct Mount {
    folder: tempfile::TempDir,
    kind: Kind,
}

enum Kind {
    Memory,
    Image(PathBuf),
}

impl Mount {
    /// A file system in memory of so many megabytes; nothing where that is not allowed.
    pub(crate) fn memory(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let size = format!("size={megabytes}m");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", text(folder.path())],
        )?;
        Some(Self {
            folder,
            kind: Kind::Memory,
        })
    }

    /// An ext4 file system in a file; nothing where that is not allowed.
    pub(crate) fn image(megabytes: u64, image: PathBuf) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        std::fs::File::create(&image)
            .ok()?
            .set_len(megabytes << 20)
            .ok()?;
        run("mkfs.ext4", &["-q", text(&image)])?;
        run("mount", &["-o", "loop", text(&image), text(folder.path())])?;
        Some(Self {
            folder,
            kind: Kind::Image(image),
        })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes mount options, e.g. `size=64m`, `ro`, or `abort` (what ext4 does when its disk fails).
    #[track_caller]
    pub(crate) fn remount(&self, options: &str) {
        let done = run(
            "mount",
            &["-o", &format!("remount,{options}"), text(self.path())],
        );
        assert!(done.is_some(), "remount,{options} failed");
    }

    /// Writes a file until there is no byte left.
    pub(crate) fn fill(&self) {
        let ballast = std::fs::File::create(self.path().join("ballast"));
        while ballast
            .as_ref()
            .is_ok_and(|mut file| file.write_all(&[7; 4_096]).is_ok())
        {}
    }

    /// Takes an image away and mounts it again, repaired as at a start of the machine.
    #[track_caller]
    pub(crate) fn replug(&self) {
        let Kind::Image(image) = &self.kind else {
            return;
        };
        assert!(
            run("umount", &[text(self.path())]).is_some(),
            "the server holds the disk"
        );
        // It reports repairs by its exit status; whether they sufficed shows when we mount.
        run("e2fsck", &["-fy", text(image)]);
        let done = run("mount", &["-o", "loop", text(image), text(self.path())]);
        assert!(done.is_some(), "the disk cannot be mounted again");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &["-l", text(self.path())]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Option<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().ok()?.success().then_some(())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
