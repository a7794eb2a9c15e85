//! A standby beside a server that works: killed, restarted, promoted, and the old server fenced, with
//! an archive in a folder and in S3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included

mod s3;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::draw::Draw;
use support::http::{Answer, Client};
use support::s3::Bucket;
use support::server::{Server, check};
use tempfile::TempDir;

/// Nothing that is waited for takes this long.
const LONG: Duration = Duration::from_secs(60);
const WRITERS: usize = 3;
/// What S3 is asked with; its stand-in takes any.
const CREDENTIALS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "EXAMPLEKEY"),
    ("AWS_SECRET_ACCESS_KEY", "example/secret"),
];

/// A primary, its archive, and standbys.
struct Room {
    folder: TempDir,
    /// Where the archive is, if not in a folder.
    bucket: Option<Bucket>,
}

impl Room {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            bucket: None,
        }
    }

    /// One whose archive is in S3.
    fn with(bucket: &Bucket) -> Self {
        Self {
            bucket: Some(bucket.clone()),
            ..Self::new()
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn archive(&self) -> String {
        match &self.bucket {
            Some(bucket) => bucket.place(),
            None => self.path("archive").to_str().unwrap().to_owned(),
        }
    }

    fn try_serve(&self, name: &str, lease: Option<&str>) -> Result<Server, String> {
        let mut variables = vec![("SALUS_ARCHIVE", self.archive())];
        variables.extend(CREDENTIALS.map(|(name, value)| (name, value.to_owned())));
        variables.extend(lease.map(|lease| ("SALUS_ARCHIVE_LEASE", lease.to_owned())));
        Server::try_start_with(&self.path(name), &variables)
    }

    #[track_caller]
    fn serve(&self, name: &str, lease: Option<&str>) -> Server {
        let started = self.try_serve(name, lease);
        started.unwrap_or_else(|reason| panic!("the server did not start: {reason}"))
    }

    /// Starts a standby, whose keys are renewed from this folder.
    fn follow(&self, name: &str, keys: &Path, more: &[&str]) -> Follower {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("{name}.log")));
        let child = Command::new(env!("CARGO_BIN_EXE_salus"))
            .args(["follow", "--from", &self.archive(), "--keys"])
            .arg(keys)
            .arg("--data")
            .arg(self.path(name))
            .args(more)
            .envs(CREDENTIALS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn();
        Follower {
            child: child.unwrap(),
            data: self.path(name),
        }
    }

    fn salus(&self, arguments: &[&str], name: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_salus"));
        command.args(arguments).arg("--json").arg("--data");
        command.arg(self.path(name)).envs(CREDENTIALS);
        command.output().unwrap()
    }

    #[track_caller]
    fn asked(&self, arguments: &[&str], name: &str) -> Value {
        let output = self.salus(arguments, name);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until all that a server has is in the archive; the last seq.
    #[track_caller]
    fn shipped(&self, name: &str) -> u64 {
        let archive = self.archive();
        until("it is shipped", || {
            let output = self.salus(&["backup", "status", "--archive", &archive], name);
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let shown = &answer["archives"][0];
            let done = shown["behindSeqs"] == 0 && shown["state"] == "shipping";
            done.then(|| answer["seq"].as_u64().unwrap())
        })
    }

    /// The last seq of a server, whether its archive can be reached or not.
    #[track_caller]
    fn seq(&self, name: &str) -> u64 {
        let archive = self.archive();
        let output = self.salus(&["backup", "status", "--archive", &archive], name);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["seq"].as_u64().unwrap()
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
}

/// A process that follows. Dropping it kills it.
struct Follower {
    child: Child,
    data: PathBuf,
}

impl Follower {
    /// SIGKILL.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn status(&self) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_salus"));
        command.args(["follow", "status", "--json", "--data"]);
        let output = command.arg(&self.data).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until it has all up to a seq.
    #[track_caller]
    fn has(&self, seq: u64) {
        until("the standby follows", || {
            let status = self.status();
            let there = status["seq"].as_u64().is_some_and(|at| at >= seq);
            (there && status["state"] == "following").then_some(())
        });
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.kill();
    }
}

#[track_caller]
fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(begun.elapsed() < LONG, "{what}: it does not come to it");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn patient(id: &str, family: &str) -> String {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]}).to_string()
}

fn put(client: &mut Client, path: &str, body: &str) -> std::io::Result<Answer> {
    client.send("PUT", path, &[], body)
}

#[track_caller]
fn must_put(client: &mut Client, path: &str, body: &str) {
    let answer = put(client, path, body).unwrap();
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

/// Writes patients one behind the other until it is told to stop or nobody answers; those that
/// were acknowledged, in order.
fn write(mut client: Client, writer: usize, stop: &AtomicBool, acknowledged: &Mutex<Vec<String>>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("w{writer}-{number}");
        let body = patient(&id, &format!("Family{writer}x{number}"));
        match put(&mut client, &format!("Patient/{id}"), &body) {
            Ok(answer) if answer.status == 201 => acknowledged.lock().unwrap().push(id),
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => return,
        }
    }
}

/// How many patients a search finds, when its index is ready.
#[track_caller]
fn total(client: &mut Client, search: &str) -> u64 {
    until("the index is ready", || {
        let answer = client
            .get(&format!("Patient?{search}&_total=accurate"))
            .unwrap();
        (answer.status == 200).then(|| answer.json()["total"].as_u64().unwrap())
    })
}

#[test]
fn a_standby_that_is_killed_goes_on_and_is_promoted_when_the_primary_dies() {
    let room = Room::new();
    let mut draw = Draw::new(7);
    let mut primary = room.serve("primary", None);
    let mut client = primary.client();
    for n in 0..40 {
        let id = format!("early-{n}");
        must_put(
            &mut client,
            &format!("Patient/{id}"),
            &patient(&id, "Early"),
        );
    }
    let keys = room.path("primary/keys");
    let mut follower = room.follow("standby", &keys, &[]);
    let stop = AtomicBool::new(false);
    let acknowledged: Vec<Mutex<Vec<String>>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let settled: Vec<usize> = std::thread::scope(|scope| {
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let (client, stop) = (primary.client(), &stop);
            scope.spawn(move || write(client, writer, stop, acknowledged));
        }
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(300 + draw.below(900)));
            follower.kill();
            follower = room.follow("standby", &keys, &[]);
        }
        // A definition, versions, a deletion, and content that is a blob.
        let definition = json!({"resourceType": "SearchParameter", "id": "nick", "url": "urn:nick",
            "name": "nick", "status": "active", "description": "x", "code": "nick", "base": ["Patient"],
            "type": "string", "expression": "Patient.name.family"});
        must_put(&mut client, "SearchParameter/nick", &definition.to_string());
        for family in ["One", "Two", "Three"] {
            must_put(&mut client, "Patient/early-0", &patient("early-0", family));
        }
        assert_eq!(
            client
                .send("DELETE", "Patient/early-1", &[], "")
                .unwrap()
                .status,
            204
        );
        let data = "QUJD".repeat(200_000);
        let binary =
            json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": data});
        must_put(&mut client, "Binary/b", &binary.to_string());
        // All of this is shipped before the end.
        let settled = acknowledged
            .iter()
            .map(|of| of.lock().unwrap().len())
            .collect();
        follower.has(room.seq("primary"));
        std::thread::sleep(Duration::from_millis(draw.below(700)));
        primary.kill();
        settled
    });
    let promoted = room.asked(&["follow", "promote"], "standby");
    assert_eq!(promoted["promoted"], 1, "{promoted}");
    assert!(
        follower.child.wait().unwrap().success(),
        "{}",
        room.log("standby")
    );
    let checked = check(&room.path("standby"));
    assert!(checked.status.success(), "{checked:?}");

    let promoted = room.serve("standby", None);
    let mut client = promoted.client();
    let mut found = 0;
    for (of, settled) in acknowledged.iter().zip(settled) {
        let of = of.lock().unwrap();
        let there: Vec<bool> = of
            .iter()
            .map(|id| client.get(&format!("Patient/{id}")).unwrap().status == 200)
            .collect();
        let kept = there.iter().take_while(|there| **there).count();
        assert!(kept >= settled, "{kept} of {settled}, which were shipped");
        assert!(!there[kept..].contains(&true), "what is lost is the end");
        found += kept;
        for id in of[..kept].iter().step_by(17) {
            let family = format!("Family{}", id[1..].replace('-', "x"));
            for code in ["family:exact", "nick:exact"] {
                assert_eq!(total(&mut client, &format!("{code}={family}")), 1);
            }
        }
    }
    let all = total(&mut client, "_summary=count");
    // One may have been shipped whose answer nobody got.
    let sure = found as u64 + 39;
    assert!(
        (sure..=sure + WRITERS as u64).contains(&all),
        "{all} {sure}"
    );
    assert_eq!(total(&mut client, "nick:exact=Three"), 1);
    assert_eq!(total(&mut client, "nick:exact=Early"), 38);
    assert_eq!(client.get("Patient/early-1").unwrap().status, 410);
    let binary = client.get("Binary/b").unwrap();
    assert_eq!((binary.status, binary.body.len() >= 600_000), (200, true));

    // It goes on with the archive of the old one, which can be read from its beginning.
    must_put(&mut client, "Patient/after", &patient("after", "After"));
    room.shipped("standby");
    let archive = room.archive();
    let verified = room.asked(&["backup", "verify", "--archive", &archive], "standby");
    assert_eq!(verified["archives"][0]["faults"], json!([]), "{verified}");

    // The old one is not started again, and says what it has alone.
    let refused = room.try_serve("primary", None).err().expect("it is fenced");
    assert!(
        refused.contains("fenced") && refused.contains("promoted in its place"),
        "{refused}"
    );
    let again = room.try_serve("primary", None).err().expect("it stays so");
    assert!(again.contains("fenced"), "{again}");
    let difference = ["follow", "difference", "--archive", &archive];
    let difference = room.asked(&difference, "primary");
    let difference = &difference["archives"][0];
    assert_eq!(difference["fenced"], true, "{difference}");
    let lost: usize = acknowledged
        .iter()
        .map(|of| of.lock().unwrap().len())
        .sum::<usize>()
        - found;
    assert!(
        difference["versions"].as_u64().unwrap() >= lost as u64,
        "{difference} {lost}"
    );
    assert!(difference["commonSeq"].as_u64() <= difference["seq"].as_u64());
}

#[test]
fn a_primary_that_is_replaced_while_it_runs_acknowledges_nothing_more() {
    let room = Room::new();
    let primary = room.serve("primary", Some("4s"));
    let mut client = primary.client();
    until("it has its lease", || {
        let answer = put(&mut client, "Patient/a", &patient("a", "A")).unwrap();
        (answer.status < 300).then_some(())
    });
    let follower = room.follow(
        "standby",
        &room.path("primary/keys"),
        &["--listen", "127.0.0.1:0"],
    );
    follower.has(room.shipped("primary"));
    // An archive that is not there says nothing, and so does the server.
    std::fs::rename(room.path("archive"), room.path("aside")).unwrap();
    let refused = until("the lease ends", || {
        let answer = put(&mut client, "Patient/a", &patient("a", "B")).unwrap();
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.json()["resourceType"], "OperationOutcome");
    assert_eq!(
        client.get("/health/ready").unwrap().json()["status"],
        "no-lease"
    );
    assert!(
        !room.path("archive").exists(),
        "nothing is shipped elsewhere"
    );
    std::fs::rename(room.path("aside"), room.path("archive")).unwrap();
    until("the lease comes back", || {
        let answer = client.get("Patient/a").unwrap();
        (answer.status == 200).then_some(())
    });

    let promoted = room.asked(&["follow", "promote"], "standby");
    let fenced = Instant::now();
    let refused = until("it is fenced", || {
        let answer = put(&mut client, "Patient/late", &patient("late", "Late")).unwrap();
        (answer.status == 503).then_some(answer)
    });
    assert!(fenced.elapsed() < Duration::from_secs(8));
    until("it knows why", || {
        let answer = put(&mut client, "Patient/late", &patient("late", "Late")).unwrap();
        answer.body.contains("fence 1").then_some(())
    });
    assert_eq!(refused.json()["resourceType"], "OperationOutcome");
    assert_eq!(client.get("Patient/a").unwrap().status, 503);
    assert_eq!(client.get("/health/live").unwrap().status, 200);
    let ready = client.get("/health/ready").unwrap();
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &json!("fenced"))
    );
    assert!(
        primary.log().contains("THIS SERVER IS FENCED"),
        "{}",
        primary.log()
    );
    // Asked while it runs.
    let difference = room.asked(&["follow", "difference"], "primary");
    assert_eq!(difference["archives"][0]["fence"], promoted["promoted"]);
    assert!(primary.stop());
    assert!(room.try_serve("primary", None).is_err());
    let new = room.serve("standby", Some("4s"));
    let mut client = new.client();
    let answer = until("it has its lease", || {
        let answer = client.get("Patient/a").unwrap();
        (answer.status == 200).then_some(answer)
    });
    assert!(!answer.body.contains("Late"));
    assert!(new.stop());
    assert!(check(&room.path("standby")).status.success());
}

#[test]
fn of_two_promotions_one_wins_and_the_other_follows_it() {
    two_promotions(&Room::new(), || {});
}

/// Promotes two standbys at once, and then the other one.
#[track_caller]
fn two_promotions(room: &Room, before: impl FnOnce()) {
    let mut primary = room.serve("primary", None);
    must_put(&mut primary.client(), "Patient/a", &patient("a", "A"));
    let (own, keys) = (room.path("primary/keys"), room.path("copy"));
    room.shipped("primary");
    replicate(&own, &keys);
    let followers = ["one", "two"].map(|name| room.follow(name, &keys, &[]));
    let seq = room.shipped("primary");
    followers.iter().for_each(|follower| follower.has(seq));
    primary.kill();
    before();
    let outputs = std::thread::scope(|scope| {
        let asked = ["one", "two"]
            .map(|name| scope.spawn(move || room.salus(&["follow", "promote"], name)));
        asked.map(|asked| asked.join().unwrap())
    });
    let won: Vec<bool> = outputs
        .iter()
        .map(|output| output.status.success())
        .collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{outputs:?}");
    let (winner, other) = match won[0] {
        true => ("one", 1),
        false => ("two", 0),
    };
    let said = String::from_utf8_lossy(&outputs[other].stderr);
    assert!(said.contains("another standby"), "{said}");
    let new = room.serve(winner, None);
    must_put(
        &mut new.client(),
        "Patient/b",
        &patient("a", "B").replace("\"a\"", "\"b\""),
    );
    let seq = room.shipped(winner);
    // The keys that the new primary has made.
    replicate(&room.path(winner).join("keys"), &keys);
    followers[other].has(seq);
    assert!(new.stop());
    // And a second time.
    let name = ["one", "two"][other];
    let promoted = room.asked(&["follow", "promote"], name);
    assert_eq!(promoted["promoted"], 2);
    assert!(room.try_serve(winner, None).is_err());
    let new = room.serve(name, None);
    assert_eq!(new.client().get("Patient/b").unwrap().status, 200);
}

#[test]
fn keys_come_with_the_copy_and_what_is_shredded_is_shredded_there() {
    let room = Room::new();
    let primary = room.serve("primary", None);
    let mut client = primary.client();
    for id in ["gone", "kept"] {
        must_put(
            &mut client,
            &format!("Patient/{id}"),
            &patient(id, "Xylophonia"),
        );
        let observation = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"text": "rash"}, "subject": {"reference": format!("Patient/{id}")}});
        must_put(
            &mut client,
            &format!("Observation/{id}"),
            &observation.to_string(),
        );
    }
    room.shipped("primary");
    let (keys, copy) = (room.path("primary/keys"), room.path("copy"));
    replicate(&keys, &copy);
    let mut follower = room.follow("standby", &copy, &["--listen", "127.0.0.1:0"]);
    let health = health_of(&mut follower);
    follower.has(room.shipped("primary"));
    let ready = Client::new(health, "").get("/health/ready").unwrap();
    assert_eq!(ready.status, 200, "{ready:?}");
    // A patient whose key the copy does not have.
    must_put(&mut client, "Patient/new", &patient("new", "New"));
    let seq = room.shipped("primary");
    until("it waits for keys", || {
        (follower.status()["state"] == "waiting-for-keys").then_some(())
    });
    let ready = Client::new(health, "").get("/health/ready").unwrap();
    assert_eq!(ready.status, 503);
    let metrics = Client::new(health, "").get("/metrics").unwrap().body;
    assert!(metrics.contains("salus_follow_following 0"), "{metrics}");
    replicate(&keys, &copy);
    follower.has(seq);
    let shred =
        json!({"patient": "gone", "reason": "the patient asked for erasure", "dryRun": false});
    let shredded = client
        .send("POST", "/p/default/admin/shreds", &[], &shred.to_string())
        .unwrap();
    assert!(shredded.status < 300, "{shredded:?}");
    let seq = room.shipped("primary");
    replicate(&keys, &copy);
    follower.has(seq);
    assert!(primary.stop());
    let last = room.asked(&["follow", "promote"], "standby");
    assert!(last["seq"].as_u64().unwrap() >= seq, "{last}");
    let new = room.serve("standby", None);
    let mut client = new.client();
    assert_eq!(client.get("Patient/gone").unwrap().status, 410);
    assert_eq!(client.get("Observation/gone").unwrap().status, 410);
    assert_eq!(client.get("Patient/new").unwrap().status, 200);
    let found = client.get("Patient?family=Xylophonia").unwrap().json();
    assert_eq!(
        (&found["total"], &found["entry"][0]["resource"]["id"]),
        (&json!(1), &json!("kept"))
    );
    assert!(new.stop());
    assert!(check(&room.path("standby")).status.success());
}

#[test]
fn damage_is_named_and_another_history_ends_it() {
    let room = Room::new();
    let primary = room.serve("primary", None);
    let mut client = primary.client();
    must_put(&mut client, "Patient/a", &patient("a", "A"));
    let keys = room.path("primary/keys");
    let mut follower = room.follow("standby", &keys, &[]);
    follower.has(room.shipped("primary"));
    // Nobody serves it, and nobody makes another standby of it.
    let refused = room
        .try_serve("standby", None)
        .err()
        .expect("it is a standby");
    assert!(refused.contains("is a standby"), "{refused}");
    drop(follower);
    must_put(&mut client, "Patient/b", &patient("b", "B"));
    room.shipped("primary");
    let mut segments: Vec<PathBuf> = std::fs::read_dir(room.path("archive/segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let last = segments.last().unwrap();
    let whole = std::fs::read(last).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(last, &damaged).unwrap();
    follower = room.follow("standby", &keys, &[]);
    let name = last.file_name().unwrap().to_str().unwrap();
    until("it names the fault", || {
        let status = follower.status();
        let named = status["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains(name));
        named.then_some(())
    });
    let refused = room.salus(&["follow", "promote"], "standby");
    assert!(!refused.status.success());
    std::fs::write(last, &whole).unwrap();
    follower.has(room.shipped("primary"));
    assert!(primary.stop());
    drop(follower);
    // Without its end, the archive is another's, or has lost what was in it.
    for segment in std::fs::read_dir(room.path("archive/segments")).unwrap() {
        let segment = segment.unwrap().path();
        if segment != segments[0] {
            std::fs::remove_file(segment).unwrap();
        }
    }
    let mut follower = room.follow("standby", &keys, &[]);
    assert!(!follower.child.wait().unwrap().success());
    assert!(
        room.log("standby").contains("another history"),
        "{}",
        room.log("standby")
    );
}

/// As an operator's copy does it: files beside, then in their places.
fn replicate(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let aside = to.with_extension("part");
        std::fs::copy(entry.path(), &aside).unwrap();
        std::fs::rename(&aside, to.join(entry.file_name())).unwrap();
    }
}

/// Where a follower answers about its health, as it prints.
fn health_of(follower: &mut Follower) -> SocketAddr {
    let mut line = String::new();
    let stdout = follower.child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let health = line["health"].as_str().unwrap();
    let address = health.strip_prefix("http://").unwrap();
    address.split_once('/').unwrap().0.parse().unwrap()
}
