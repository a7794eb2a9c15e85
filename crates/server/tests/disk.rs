//! A disk that is full, fails, or is mounted read-only: 503 with an OperationOutcome, and nothing acknowledged is lost.
//!
//! Needs small disks of its own, so it runs as root on Linux and skips elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included
#![allow(clippy::print_stderr)] // says why it skips

mod support;

use support::draw::Draw;
use support::http::{Answer, Client};
use support::ledger::{Ledger, SYSTEM, Track};
use support::mount::Mount;
use support::server::{Server, check};

/// The engine keeps 128 MB free for its work in the background; this leaves 48 above that.
const MEMORY_MB: u32 = 176;

#[test]
fn a_full_disk_refuses_writes_and_loses_none() {
    let Some(disk) = Mount::memory(MEMORY_MB) else {
        return eprintln!("skipped: this user cannot mount a file system in memory");
    };
    let data = disk.path().join("data");
    let (mut ledger, mut draw) = (Ledger::default(), Draw::new(3));
    let mut server = Server::start(&data);
    let mut client = server.client();
    let refused = fill(&mut client, &mut ledger, &mut draw);
    is_unavailable(&refused, &server);
    // Others fill the disk to its last byte. Whatever is acknowledged now must stay too.
    disk.fill();
    for n in 0..20 {
        let answer = create(
            &mut client,
            &mut ledger,
            &format!("late-{n}"),
            &mut draw,
            100,
        );
        assert!([201, 503].contains(&answer.status), "{answer:?}");
    }
    disk.remount("size=512m");
    // There is room again. If the engine's work in the background met the full disk, it does
    // not know what is written, and refuses until it is opened again: then it says so as well
    // to whoever watches it.
    let answer = create(&mut client, &mut ledger, "room", &mut draw, 100);
    let ready = client.get("/health/ready").unwrap().status;
    assert!(
        [(201, 200), (503, 503)].contains(&(answer.status, ready)),
        "{ready}, {answer:?}"
    );
    server.kill();
    works_again(&data, &mut ledger, &mut draw);
}

#[test]
fn a_failing_disk_refuses_writes_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::image(256, folder.path().join("disk")) else {
        return eprintln!("skipped: this user cannot mount an ext4 image");
    };
    let data = disk.path().join("data");
    let (mut ledger, mut draw) = (Ledger::default(), Draw::new(4));
    let mut server = Server::start(&data);
    let mut client = server.client();
    for n in 0..50 {
        let answer = create(
            &mut client,
            &mut ledger,
            &format!("good-{n}"),
            &mut draw,
            500,
        );
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    disk.remount("abort");
    for n in 0..10 {
        let answer = create(
            &mut client,
            &mut ledger,
            &format!("bad-{n}"),
            &mut draw,
            500,
        );
        is_unavailable(&answer, &server);
    }
    server.kill();

    disk.replug();
    works_again(&data, &mut ledger, &mut draw);
}

#[test]
fn a_read_only_disk_is_a_clear_reason_not_to_start() {
    let Some(disk) = Mount::memory(MEMORY_MB) else {
        return eprintln!("skipped: this user cannot mount a file system in memory");
    };
    let data = disk.path().join("data");
    let (mut ledger, mut draw) = (Ledger::default(), Draw::new(5));
    let server = Server::start(&data);
    let answer = create(&mut server.client(), &mut ledger, "only", &mut draw, 500);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(server.stop());

    disk.remount("ro");
    let reason = Server::try_start(&data)
        .err()
        .expect("it started on a disk that it cannot write");
    assert!(reason.contains("salus: cannot open"), "{reason}");
    disk.remount("rw");
    works_again(&data, &mut ledger, &mut draw);
}

/// Writes until something else than 201 comes.
fn fill(client: &mut Client, ledger: &mut Ledger, draw: &mut Draw) -> Answer {
    let writes = (0..20_000).map(|n| create(client, ledger, &format!("fill-{n}"), draw, 20_000));
    writes
        .into_iter()
        .find(|answer| answer.status != 201)
        .expect("the disk took more than it holds")
}

#[track_caller]
fn is_unavailable(answer: &Answer, server: &Server) {
    assert_eq!(
        answer.status,
        503,
        "{answer:?}; the log ends: {}",
        server.log()
    );
    assert_eq!(
        answer.json()["resourceType"],
        "OperationOutcome",
        "{answer:?}"
    );
}

#[track_caller]
fn works_again(data: &std::path::Path, ledger: &mut Ledger, draw: &mut Draw) {
    let server = Server::start(data);
    let mut client = server.client();
    ledger.verify(&mut client);
    let answer = create(&mut client, ledger, "again", draw, 500);
    assert_eq!(answer.status, 201, "{answer:?}");
    ledger.verify(&mut client);
    ledger.verify_audit(&mut client);
    assert!(server.stop());
    let output = check(data);
    assert!(output.status.success(), "salus check: {output:?}");
}

/// Creates a patient with so many characters that do not compress well.
fn create(
    client: &mut Client,
    ledger: &mut Ledger,
    identifier: &str,
    draw: &mut Draw,
    length: usize,
) -> Answer {
    let noise: String = (0..length / 16)
        .map(|_| format!("{:016x}", draw.bits()))
        .collect();
    let text = format!(
        concat!(
            r#""identifier":[{{"system":"{}","value":"{}"}}],"#,
            r#""extension":[{{"url":"urn:oid:2.999.9","valueString":"x{}"}}]}}"#,
        ),
        SYSTEM, identifier, noise
    );
    let answer = client
        .send(
            "POST",
            "Patient",
            &[],
            &format!(r#"{{"resourceType":"Patient",{text}"#),
        )
        .unwrap();
    if answer.status == 201 {
        let path = format!("Patient/{}", answer.id().unwrap());
        ledger.tracks.push(Track::new(path, text));
    }
    answer
}
