//! The schedule of archives at work in a server, by a clock that a test puts forward: bases are taken when
//! they are due, what they stand for goes from the archive, and all that is left restores.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use clap::Parser;
use salus_archive::Until;
use salus_crypto::{Founding, Keyring};
use salus_service::context::World;
use salus_store::Seq;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::demo;
use crate::open::{Machine, Server};
use crate::restore;
use crate::support::http::Client as Http;
use crate::support::s3::{Bucket, Mishap};

const HOUR_MS: i64 = 60 * 60 * 1000;
/// Nothing that is waited for takes this long.
const LONG: Duration = Duration::from_secs(60);

/// How far the clock of each test is ahead of the machine's.
static AHEAD_MS: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];

fn now_ms<const CLOCK: usize>() -> i64 {
    Machine.now_ms() + AHEAD_MS[CLOCK].load(Ordering::SeqCst)
}

/// All is looked at all the time, by a clock of the test's own.
fn schedule<const CLOCK: usize>() -> Schedule {
    let soon = Duration::from_millis(20);
    Schedule {
        keep: soon,
        look: soon,
        first_look: soon,
        now_ms: now_ms::<CLOCK>,
    }
}

/// Where an archive is.
enum To {
    Folder,
    S3(Bucket),
}

/// A server with an archive, and what a client needs.
struct Room<const CLOCK: usize> {
    folder: TempDir,
    to: To,
    runtime: open::Runtime,
}

impl<const CLOCK: usize> Room<CLOCK> {
    fn new(to: To) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            to,
            runtime: open::runtime().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn archive(&self) -> String {
        match &self.to {
            To::Folder => self.path("archive").display().to_string(),
            To::S3(bucket) => bucket.place(),
        }
    }

    /// How a server on a folder is set up, with more arguments.
    fn config(&self, data: &Path, more: &[&str]) -> Config {
        let data = data.to_str().unwrap();
        let usual = ["salus", "serve", "--demo=0", "--listen", "127.0.0.1:0"];
        let arguments = [&usual[..], &["--data", data], more].concat();
        let Command::Serve(arguments) = Cli::parse_from(arguments).command else {
            panic!("not serve")
        };
        let mut config = Config::of(&arguments).unwrap();
        config.archive.schedule = schedule::<CLOCK>();
        config.archive.credentials = Some(Credentials {
            key_id: "EXAMPLEKEY".to_owned(),
            secret: "example/secret".to_owned(),
            token: None,
        });
        config
    }

    /// Starts a server, and a client that may do everything.
    fn serve(&self, config: &Config) -> (Server, Http) {
        self.runtime.block_on(async {
            let listen = Some(config.listen);
            let server = Server::start(config, listen).await.unwrap();
            let demo = demo::prepare(&server.service, 0, true).await.unwrap();
            let client = Http::new(server.address.unwrap(), demo.admin_token.expose());
            (server, client)
        })
    }

    /// What a server says of its archive.
    fn told(&self, command: &BackupCommand) -> Value {
        let data = self.path("data");
        let answer = self.runtime.block_on(async {
            let client = Client::connect(&data).await.unwrap();
            ask(client, &data, command).await.unwrap()
        });
        answer["archives"][0].clone()
    }

    #[track_caller]
    fn until(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let told = self.told(&BackupCommand::Status);
            if done(&told) {
                return told;
            }
            assert!(begun.elapsed() < LONG, "{what}: {told}");
            std::thread::yield_now();
        }
    }

    /// Stores a patient, and waits until the archive has it.
    #[track_caller]
    fn put(&self, client: &mut Http, id: &str) {
        let patient = json!({"resourceType": "Patient", "id": id}).to_string();
        let answer = client.send("PUT", &format!("Patient/{id}"), &[], &patient);
        let status = answer.unwrap().status;
        assert!(matches!(status, 200 | 201), "{status}");
        self.until("it is shipped", |told| told["behindSeqs"] == 0);
    }

    /// The names of all objects.
    fn objects(&self) -> BTreeSet<String> {
        match &self.to {
            To::S3(bucket) => bucket.names().into_iter().collect(),
            To::Folder => ["segments", "bases"]
                .iter()
                .flat_map(|part| files(&self.path("archive").join(part)))
                .collect(),
        }
    }

    /// Lets hours go by, and waits until a base behind a seq is the only one that is left, and
    /// nothing of all that was there before.
    #[track_caller]
    fn hours_go_by(&self, after: u64) -> u64 {
        let before = self.objects();
        let last = before.iter().filter(|name| name.contains("segments/"));
        let last = last.max().cloned();
        AHEAD_MS[CLOCK].fetch_add(3 * HOUR_MS, Ordering::SeqCst);
        let told = self.until("a base is taken and the log goes", |told| {
            let bases = told["bases"].as_array().map_or(&[][..], Vec::as_slice);
            let there = self.objects();
            let left = before.intersection(&there).filter(|name| is_log(name));
            let left: Vec<_> = left.collect();
            let newer = bases.iter().all(|base| base["seq"].as_u64() > Some(after));
            // A shipper goes on at the last segment.
            let gone = left.iter().all(|name| Some(*name) == last.as_ref());
            // While something goes, what was listed may be missing when it is read.
            bases.len() == 1 && newer && gone && told["faults"] == json!([])
        });
        told["bases"][0]["seq"].as_u64().unwrap()
    }

    /// Restores what is left into a folder: the report.
    fn restore(&self, name: &str, until: Until) -> Result<Value, String> {
        let (to, config) = (self.path(name), self.config(&self.path("data"), &[]));
        restore::copy_keys(&self.path("data/keys"), &to.join("keys")).unwrap();
        let keys = to.join("keys");
        let keyring = Keyring::open(&keys, Founding::Existing, Machine.now_ms()).unwrap();
        let archive = open_one(&self.archive(), &config.archive, &keyring).unwrap();
        let restored = restore::restore((&archive, until), (&to, &keyring), None);
        let report = self.runtime.block_on(restored);
        report
            .map(|report| serde_json::from_str(&report.json()).unwrap())
            .map_err(|error| error.to_string())
    }
}

fn is_log(name: &str) -> bool {
    name.contains("segments/") || name.contains("bases/")
}

/// Every file below a folder, by its whole name.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        // It may go just now.
        let Ok(path) = entry.map(|entry| entry.path()) else {
            continue;
        };
        match path.is_dir() {
            true => names.extend(files(&path)),
            false => names.push(path.display().to_string()),
        }
    }
    names
}

/// A server goes on for hours; what is left restores.
#[track_caller]
fn hours<const CLOCK: usize>(to: To, before: impl FnOnce(&Room<CLOCK>)) {
    let room = Room::<CLOCK>::new(to);
    let archive = room.archive();
    let windows = [
        "--archive-window",
        "1h",
        "--archive-base-every",
        "1h",
        "--archive",
        &archive,
    ];
    let (server, mut client) = room.serve(&room.config(&room.path("data"), &windows));
    for _ in 0..3 {
        room.put(&mut client, "one");
    }
    let purged = client.send("POST", "Patient/one/$purge-history", &[], "");
    assert_eq!(purged.unwrap().status, 200);
    room.put(&mut client, "two");
    assert_eq!(room.told(&BackupCommand::Status)["bases"], json!([]));
    before(&room);
    let first = room.hours_go_by(0);
    room.put(&mut client, "three");
    let second = room.hours_go_by(first);
    assert!(second > first);
    room.put(&mut client, "four");
    let verified = room.told(&BackupCommand::Verify);
    assert_eq!(
        (&verified["faults"], &verified["bases"]),
        (&json!([]), &json!(1)),
        "{verified}"
    );
    room.runtime.block_on(server.stop()).unwrap();

    let refused = room.restore("early", Until::Seq(Seq(first - 1)));
    let refused = refused.expect_err("the log before the base is gone");
    assert!(refused.contains("does not go back so far"), "{refused}");
    let report = room.restore("whole", Until::End).unwrap();
    assert_eq!(
        (&report["findings"], &report["damaged"]),
        (&json!([]), &json!([])),
        "{report}"
    );
    assert_eq!(report["base"]["seq"], second, "{report}");
    let (server, mut client) = room.serve(&room.config(&room.path("whole"), &[]));
    for id in ["one", "two", "three", "four"] {
        let found = client.get(&format!("Patient/{id}")).unwrap();
        assert_eq!(found.status, 200, "{id}");
    }
    let history = client.get("Patient/one/_history").unwrap().json();
    assert_eq!(history["entry"].as_array().map(Vec::len), Some(1));
    room.runtime.block_on(server.stop()).unwrap();
}

#[test]
fn the_schedule_takes_bases_of_a_folder_and_prunes_by_them() {
    hours::<0>(To::Folder, |_| {});
}

#[test]
fn the_schedule_takes_bases_of_s3_and_prunes_by_them() {
    let bucket = Bucket::start();
    hours::<1>(To::S3(bucket.clone()), |_| {
        // The first part of the first base is there, and nobody hears of it.
        bucket.mishap("/bases/", Mishap::Lost);
    });
    assert!(bucket.is_done());
    assert_eq!(bucket.unconditional(), [""; 0]);
}
