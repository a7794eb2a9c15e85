//! What is left of every request that there is: the log, the metrics, files on the disk when the
//! process is killed, and what the commands that read the folder and its archive afterwards say.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;

use super::everywhere;
use super::marks::Marks;
use crate::archive::wait_shipped;
use crate::host::{Project, Server, salus};
use crate::postbox::Postbox;

/// A folder with the places that a server writes to.
pub(super) struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A server that says all that it can.
    pub(super) fn server(&self, more: &[&str]) -> Server {
        let (archive, checkpoints) = (self.text("archive"), self.text("checkpoints"));
        let checkpoints = format!("folder:{checkpoints}");
        let usual = [
            "--log",
            "debug",
            "--archive",
            &archive,
            "--checkpoints",
            &checkpoints,
        ];
        let temporary = self.text("tmp");
        let variables = [("TMPDIR", &*temporary), ("RUST_BACKTRACE", "full")];
        Server::start_with(&self.path("data"), &[&usual[..], more].concat(), &variables)
    }

    /// Looks at the files of all of these places, and their logs.
    pub(super) fn look(&self, marks: &Marks) {
        let files = marks.look_at_files("file", self.folder.path());
        assert!(files > 5, "{files} files");
    }
}

/// What a command printed.
#[track_caller]
pub(super) fn printed(marks: &Marks, command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let name = format!("command {:?}", command.get_args().next().unwrap());
    marks.look(&name, &[&output.stdout[..], &output.stderr].concat());
    output
}

#[track_caller]
fn succeeds(marks: &Marks, command: &mut Command) {
    let output = printed(marks, command);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_any_route_is_sent_is_nowhere_afterwards() {
    let room = Room::new();
    let marks = Marks::default();
    // A demo without one prints its mail to the terminal, for want of a place to send it to.
    let postbox = Postbox::new();
    let place = postbox.place();
    let mail = ["--mail", &place, "--mail-from", "salus@example.org"];
    let demo = [&["--demo=0", "--log-format", "json"][..], &mail].concat();
    let server = Arc::new(room.server(&demo));
    let project = crate::routes::furnish(Project::create(&server, "marked"));
    everywhere::send(&project, &marks);
    assert!(marks.count() > 10_000, "{} marks", marks.count());
    let metrics = server.admin("GET", "/metrics", &Value::Null).expect(200);
    marks.look("metrics", metrics.body.as_bytes());
    let logged = server.log().lines().count();
    assert!(logged > 1_000, "the log has {logged} lines");
    wait_shipped(&room.path("data"), &room.text("archive"));
    // Killed while somebody writes: it gets no chance to put anything in order.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| write_until_killed(&server, &project, &marks));
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        kill(&server, "-KILL");
    });
    drop(project);
    drop(server);
    room.look(&marks);

    let again = [&["--dev", "--log-format", "text"][..], &mail].concat();
    let server = room.server(&again);
    assert!(server.stop().success());
    let (data, archive) = (room.path("data"), room.text("archive"));
    succeeds(&marks, salus(&["check", "--data"]).arg(&data));
    succeeds(&marks, salus(&["check", "--json", "--data"]).arg(&data));
    succeeds(&marks, salus(&["keys", "status", "--data"]).arg(&data));
    let verify = ["backup", "verify", "--archive", &archive, "--data"];
    succeeds(&marks, salus(&verify).arg(&data));
    let restore = ["restore", "--from", &archive, "--to"];
    let mut restore = salus(&restore);
    restore.arg(room.path("restored"));
    succeeds(&marks, restore.arg("--keys").arg(data.join("keys")));
    room.look(&marks);
    marks.check();
}

/// Sends resources with marks until nobody answers.
fn write_until_killed(server: &Server, project: &Project, marks: &Marks) {
    use std::io::{Read, Write};
    for n in 0.. {
        let mark = marks.of("member family, at the kill");
        let body = serde_json::json!({"resourceType": "Patient", "name": [{"family": mark}]});
        let request = project.request("POST", "Patient").body(body.to_string());
        let Ok(mut stream) = std::net::TcpStream::connect(server.address()) else {
            assert!(n > 0, "it never answered");
            return;
        };
        let mut answer = Vec::new();
        let bytes = request.header("Host", "localhost").bytes();
        let sent = stream.write_all(&bytes);
        if sent.and_then(|()| stream.read_to_end(&mut answer)).is_err() {
            return;
        }
    }
}

fn kill(server: &Server, signal: &str) {
    let pid = server.pid().to_string();
    let killed = Command::new("kill").args([signal, &pid]).status();
    assert!(killed.unwrap().success());
}

/// A fault of a library in C, or somebody with `kill -ABRT`: no core of a process that holds keys.
#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_image_of_the_memory() {
    let room = Room::new();
    let server = room.server(&["--demo=0"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{words:?}");
    kill(&server, "-ABRT");
    let ended = server.stop_after_signal();
    let ended = std::os::unix::process::ExitStatusExt::core_dumped(&ended);
    assert!(!ended, "it left a core");
    assert!(!Path::new(env!("CARGO_TARGET_TMPDIR")).join("core").exists());
}
