//! The disk and the clock fail under the server while clients write: writes that fail or come short, syncs that
//! fail, a full disk, a power cut that takes what was not synced, clocks that jump, blocks that rot. Whatever happens,
//! everything acknowledged is there afterwards, and what cannot be read is said to be damaged, never shown as something else.
//!
//! Seven rounds by default; `SALUS_FAULT_ROUNDS=5000` and `SALUS_FAULT_SEED=7` make it longer or different.
//! Needs a C compiler for `faults/shim.c`, which is laid over the C library of the server; Linux only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included
#![allow(clippy::print_stderr)] // says why it skips

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::draw::Draw;
use support::http::{Answer, Client};
use support::ledger::{Ledger, SYSTEM, Track};
use support::server::{Server, check};

const WRITERS: u64 = 4;
/// What each of them tries in a round.
const WRITES: u64 = 40;
/// Rounds on one folder, so that what a round leaves is there for the next.
const ROUNDS_OF_A_FOLDER: u64 = 7;
/// Copies of a folder in which something rots.
const ROTTEN: u64 = 3;

/// What goes wrong, and after how many calls at most that could.
const KINDS: [(&str, u64); 6] = [
    ("write-error", 120),
    ("short-write", 120),
    ("sync-error", 60),
    ("full-disk", 120),
    ("power-cut", 180),
    ("clock-jump", 2_000),
];

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_silently_wrong() {
    let Some(shim) = Shim::built() else {
        return eprintln!("skipped: there is no C compiler for Linux here");
    };
    let rounds = setting("SALUS_FAULT_ROUNDS", 7);
    let seed = setting("SALUS_FAULT_SEED", 1);
    let mut draw = Draw::new(seed);
    let (mut round, mut hits) = (0, 0);
    while round < rounds {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut ledger = Ledger::default();
        for _ in 0..ROUNDS_OF_A_FOLDER.min(rounds - round) {
            let (kind, calls) = KINDS[(round % KINDS.len() as u64) as usize];
            let told = Told {
                kind,
                after: draw.below(calls),
                times: [0, 1, 3][draw.below(3) as usize],
                seed: draw.bits(),
            };
            eprintln!("round {round} of {rounds}, seed {seed}: {told:?}");
            ledger.absorb(write_under(&shim, &data, &told, &mut draw));
            let hit = shim.hit().exists();
            eprintln!(
                "  {}",
                if hit {
                    "it went wrong"
                } else {
                    "it ended before"
                }
            );
            hits += u64::from(hit);
            after_it(&data, &mut ledger, &mut draw);
            round += 1;
        }
        rot(&data, &mut ledger, &mut draw);
        let server = Server::start(&data);
        ledger.verify(&mut server.client());
        ledger.verify_audit(&mut server.client());
        assert!(server.stop(), "SIGTERM did not end the server well");
    }
    assert!(hits * 2 > rounds, "only {hits} of {rounds} went wrong");
}

/// The fault of a round, as the shim is told.
#[derive(Debug)]
struct Told {
    kind: &'static str,
    after: u64,
    times: u64,
    seed: u64,
}

/// The shim, as a library to be loaded before others.
struct Shim {
    folder: tempfile::TempDir,
    library: PathBuf,
}

impl Shim {
    fn built() -> Option<Self> {
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
        built.then_some(Self { folder, library })
    }

    /// The file that is there when something went wrong.
    fn hit(&self) -> PathBuf {
        self.folder.path().join("hit")
    }

    /// What a server is started with.
    fn variables(&self, data: &Path, told: &Told) -> Vec<(&'static str, String)> {
        let _ = std::fs::remove_file(self.hit());
        vec![
            ("FAULTS_HIT", self.hit().display().to_string()),
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAULTS_FOLDER", data.display().to_string()),
            ("FAULTS_KIND", told.kind.to_owned()),
            ("FAULTS_AFTER", told.after.to_string()),
            ("FAULTS_TIMES", told.times.to_string()),
            ("FAULTS_SEED", told.seed.to_string()),
        ]
    }
}

/// Writes until all is tried or the server is gone: what was acknowledged, and what is open.
fn write_under(shim: &Shim, data: &Path, told: &Told, draw: &mut Draw) -> Ledger {
    let mut ledger = Ledger::default();
    let variables = shim.variables(data, told);
    // A fault may come before it is ready. It says so then, and the next one starts.
    let Ok(mut server) = Server::try_start_with(data, &variables) else {
        return ledger;
    };
    let seed = draw.bits();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let writer = Writer {
                    name: format!("{seed:016x}-{number}"),
                    client: server.client(),
                    draw: Draw::new(seed ^ number),
                    ledger: Ledger::default(),
                };
                scope.spawn(move || writer.write())
            })
            .collect();
        for writer in writers {
            ledger.absorb(writer.join().unwrap());
        }
    });
    if draw.below(2) == 0 {
        server.kill();
    } else {
        // It may be unable to end well.
        server.stop();
    }
    ledger
}

/// On a sound disk everything is there, and more can be written.
#[track_caller]
fn after_it(data: &Path, ledger: &mut Ledger, draw: &mut Draw) {
    let server = Server::start(data);
    let mut client = server.client();
    ledger.settle(&mut client);
    ledger.verify(&mut client);
    let text = patient(&format!("after-{:016x}", draw.bits()), 1);
    let answer = create(&mut client, &text).unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    ledger.tracks.push(track(&answer, text));
    assert!(server.stop(), "SIGTERM did not end the server well");
    let output = check(data);
    assert!(output.status.success(), "salus check: {output:?}");
}

/// In copies of a folder that a server was killed on, bytes of some file are not what they were:
/// what is read then is as it was, or said to be damaged.
///
/// The last write before the kill is another matter: the head of its record in the log of the engine may
/// rot into that of a write that was cut short, and nobody can tell them apart.
#[track_caller]
fn rot(data: &Path, ledger: &mut Ledger, draw: &mut Draw) {
    for _ in 0..ROTTEN {
        let mut server = Server::start(data);
        let mut client = server.client();
        for _ in 0..=draw.below(20) {
            let text = patient(&format!("before-{:016x}", draw.bits()), 1);
            let answer = create(&mut client, &text).unwrap();
            ledger.tracks.push(track(&answer, text));
        }
        server.kill();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("data");
        copy_folder(data, &copy);
        let what = spoil(&copy, draw);
        eprintln!("rotten: {what}");
        let checked = check(&copy);
        let Ok(server) = Server::try_start(&copy) else {
            assert!(
                !checked.status.success(),
                "{what}: it does not start, and the check is content"
            );
            continue;
        };
        let mut client = server.client();
        let mut unread = 0;
        for (at, track) in ledger.tracks.iter().enumerate() {
            let answer = client.get(&track.path).unwrap();
            let right = match track.versions.last() {
                Some(Some(text)) => answer.status == 200 && answer.body.contains(text.as_str()),
                _ => answer.status == 410,
            };
            let was_last = at + 1 == ledger.tracks.len() && what.contains("/wal/");
            assert!(
                right || answer.status >= 500 || was_last && answer.status == 404,
                "{what}: {} is {answer:?} instead of {:?}",
                track.path,
                track.versions.last()
            );
            unread += usize::from(answer.status >= 500);
        }
        assert!(
            unread == 0 || !checked.status.success(),
            "{what}: {unread} records cannot be read, and the check is content"
        );
    }
}

/// Spoils a file of the store or the keyring: a byte, or a block of 512; what was spoilt.
fn spoil(data: &Path, draw: &mut Draw) -> String {
    let mut files = Vec::new();
    list(&data.join("store"), &mut files);
    list(&data.join("keys"), &mut files);
    files.retain(|file| std::fs::metadata(file).unwrap().len() > 0);
    files.sort();
    let file = &files[draw.below(files.len() as u64) as usize];
    let mut bytes = std::fs::read(file).unwrap();
    let at = draw.below(bytes.len() as u64) as usize;
    let end = match draw.below(2) {
        0 => at + 1,
        _ => (at + 512).min(bytes.len()),
    };
    for byte in &mut bytes[at..end] {
        *byte ^= 0x5a;
    }
    std::fs::write(file, &bytes).unwrap();
    let name = file.strip_prefix(data).unwrap().display();
    format!("{name}, bytes {at} to {end} of {}", bytes.len())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push(path),
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

struct Writer {
    name: String,
    client: Client,
    draw: Draw,
    ledger: Ledger,
}

impl Writer {
    fn write(mut self) -> Ledger {
        for serial in 0..WRITES {
            let done = match self.draw.below(3) {
                0 => self.update(serial),
                _ => self.create(serial),
            };
            if done.is_err() {
                break;
            }
        }
        self.ledger
    }

    fn create(&mut self, serial: u64) -> std::io::Result<()> {
        let identifier = format!("{}-{serial}", self.name);
        let text = patient(&identifier, 1);
        let open = vec![("Patient".to_owned(), identifier, text.clone())];
        let answer = create(&mut self.client, &text);
        match answer {
            Ok(answer) if answer.status == 201 => self.ledger.tracks.push(track(&answer, text)),
            // It says that it cannot confirm it: it may have happened.
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                self.ledger.open.push(open);
            }
            Err(error) => {
                self.ledger.open.push(open);
                return Err(error);
            }
        }
        Ok(())
    }

    fn update(&mut self, serial: u64) -> std::io::Result<()> {
        let settled = |track: &&mut Track| track.open.is_none();
        let Some(track) = self.ledger.tracks.iter_mut().rev().find(settled) else {
            return self.create(serial);
        };
        let text = patient(&format!("{}-{serial}", self.name), track.versions.len() + 1);
        let (_, id) = track.path.split_once('/').unwrap();
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}",{text}"#);
        track.open = Some(Some(text.clone()));
        let answer = self.client.send("PUT", &track.path, &[], &body)?;
        if answer.status == 200 {
            track.open = None;
            track.versions.push(Some(text));
        } else {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        Ok(())
    }
}

fn create(client: &mut Client, text: &str) -> std::io::Result<Answer> {
    let body = format!(r#"{{"resourceType":"Patient",{text}"#);
    client.send("POST", "Patient", &[], &body)
}

fn track(answer: &Answer, text: String) -> Track {
    Track::new(format!("Patient/{}", answer.id().unwrap()), text)
}

fn patient(identifier: &str, revision: usize) -> String {
    format!(
        r#""identifier":[{{"system":"{SYSTEM}","value":"{identifier}"}}],"name":[{{"given":["Revision {revision}"]}}]}}"#
    )
}

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}
