//! A server that ships to an archive in a folder, and `salus backup` about it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::{Server, salus};

/// `salus backup` on a folder; its answer, and how it ended.
#[track_caller]
pub(crate) fn backup(data: &Path, archive: &str, arguments: &[&str]) -> (Value, Output) {
    let mut command = salus(&["backup"]);
    command
        .args(arguments)
        .arg("--json")
        .arg("--data")
        .arg(data);
    let output = command.args(["--archive", archive]).output().unwrap();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    (serde_json::from_str(&line).unwrap_or_default(), output)
}

/// Puts a patient with an admin's token.
#[track_caller]
pub(crate) fn put(server: &Server, id: &str) {
    let patient = json!({"resourceType": "Patient", "id": id});
    let path = format!("/fhir/Patient/{id}");
    let answer = server.admin("PUT", &path, &patient);
    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
}

/// Waits until a running server has shipped all that it has.
#[track_caller]
pub(crate) fn wait_shipped(data: &Path, archive: &str) -> Value {
    let begun = Instant::now();
    loop {
        let (answer, output) = backup(data, archive, &["status"]);
        let shown = &answer["archives"][0];
        if shown["behindSeqs"] == 0 && shown["state"] == "shipping" {
            return answer;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{answer} {output:?}"
        );
        std::thread::yield_now();
    }
}

fn segments(archive: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(archive.join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_commit_is_in_the_archive_and_can_be_read_back() {
    let room = tempfile::tempdir().unwrap();
    let (data, folder) = (room.path().join("data"), room.path().join("archive"));
    let archive = folder.to_str().unwrap();
    let server = Server::start_on(&data, &["--demo=1", "--archive", archive]);
    put(&server, "one");
    let status = wait_shipped(&data, archive);
    assert_eq!(status["archives"][0]["faults"], json!([]));
    // The one that runs is asked: it has the keys.
    let (verified, output) = backup(&data, archive, &["verify"]);
    assert!(output.status.success(), "{output:?}");
    let verified = &verified["archives"][0];
    assert!(verified["versions"].as_u64().unwrap() > 20, "{verified}");
    assert!(verified["auditEntries"].as_u64().unwrap() > 0);
    let metrics = server.admin("GET", "/metrics", &Value::Null).body;
    assert!(
        metrics.contains("salus_archive_lag_seconds{archive=\"1\"}"),
        "{metrics}"
    );
    // What is left is shipped before it ends.
    put(&server, "two");
    assert!(server.stop().success());
    let (answer, _) = backup(&data, archive, &["status"]);
    assert_eq!(answer["archives"][0]["behindSeqs"], 0, "{answer}");
    // Nothing of what anybody sent is in the clear.
    for file in segments(&folder) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"Patient"));
    }
    // Merged, it says the same.
    let (merged, output) = backup(&data, archive, &["merge"]);
    assert!(output.status.success(), "{output:?}");
    assert!(merged["archives"][0]["into"].as_u64().is_some());
    let (again, output) = backup(&data, archive, &["verify"]);
    assert!(output.status.success(), "{again} {output:?}");
    assert!(again["archives"][0]["versions"].as_u64() > verified["versions"].as_u64());
}

#[test]
fn damage_in_the_archive_is_named() {
    let room = tempfile::tempdir().unwrap();
    let (data, folder) = (room.path().join("data"), room.path().join("archive"));
    let archive = folder.to_str().unwrap();
    let server = Server::start_on(&data, &["--demo=0", "--archive", archive]);
    for id in ["one", "two", "three"] {
        put(&server, id);
        wait_shipped(&data, archive);
    }
    assert!(server.stop().success());
    let files = segments(&folder);
    let middle = &files[files.len() / 2];
    let mut bytes = std::fs::read(middle).unwrap();
    bytes[190] ^= 1;
    std::fs::write(middle, bytes).unwrap();
    let (answer, output) = backup(&data, archive, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let faults = answer["archives"][0]["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{answer}");
    let name = middle.file_name().unwrap().to_str().unwrap();
    assert!(faults[0].as_str().unwrap().contains(name), "{answer}");
}

#[test]
fn a_copy_of_a_store_does_not_ship_to_its_archive() {
    let room = tempfile::tempdir().unwrap();
    let (data, copy) = (room.path().join("data"), room.path().join("copy"));
    let folder = room.path().join("archive");
    let archive = folder.to_str().unwrap();
    let server = Server::start_on(&data, &["--demo=0", "--archive", archive]);
    put(&server, "one");
    assert!(server.stop().success());
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&data, &copy])
        .status();
    assert!(copied.unwrap().success());
    let server = Server::start_on(&data, &["--dev", "--archive", archive]);
    assert!(server.stop().success());
    let other = Server::start_on(&copy, &["--dev", "--archive", archive]);
    let begun = Instant::now();
    let health = loop {
        let answer = other.send(crate::wire::Request::new("GET", "/health/ready"));
        if answer.body.contains("archive") || begun.elapsed() > Duration::from_secs(30) {
            break answer;
        }
        std::thread::yield_now();
    };
    let (answer, _) = backup(&copy, archive, &["status"]);
    // Both have the same history, unless the second start of the first has written something.
    if answer["archives"][0]["state"] == "stopped" {
        assert_eq!(health.status, 200);
        assert!(
            health.body.contains("\"warnings\":[\"archive\"]"),
            "{}",
            health.body
        );
        let reason = answer["archives"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("archive of its own"), "{reason}");
    }
}
