//! Imports that are killed go on where they stopped, and do nothing twice.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::host::{Server, salus};
use crate::import::{generate, import, total};

#[test]
fn an_import_that_was_killed_goes_on_without_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, source) = (folder.path().join("whole"), folder.path().join("source"));
    generate(20, &source, &["--ndjson"]);
    assert!(import(&whole, &source, &[]).status.success());
    let data = folder.path().join("data");
    killed_again_and_again(&data, &source);
    let expect = Server::start_on(&whole, &["--demo=0"]);
    let found = Server::start_on(&data, &["--demo=0"]);
    for ty in [
        "Patient",
        "Observation",
        "Encounter",
        "Condition",
        "Claim",
        "Organization",
        "Practitioner",
    ] {
        assert_eq!(total(&found, ty), total(&expect, ty), "{ty}");
    }
    assert_eq!(total(&found, "Patient"), 20);
    assert!(
        std::fs::read_dir(data.join("import"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn batches_are_not_carried_out_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (data, source) = (
        folder.path().join("data"),
        folder.path().join("batches.ndjson"),
    );
    let post = json!({"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": vec![post; 20]});
    std::fs::write(&source, format!("{batch}\n").repeat(200)).unwrap();
    killed_again_and_again(&data, &source);
    let server = Server::start_on(&data, &["--demo=0"]);
    assert_eq!(total(&server, "Patient"), 20 * 200);
}

/// An import killed at several moments, with its own server and with a server
/// beside it, that then goes on to its end.
#[track_caller]
fn killed_again_and_again(data: &Path, source: &Path) {
    let mut done = false;
    for with_server in [false, true, false] {
        let server = with_server.then(|| Server::start_on(data, &["--demo=0"]));
        done = done || killed_midway(data, source);
        // Dropping the server is SIGKILL too.
        drop(server);
    }
    if !done {
        let output = import(data, source, &[]);
        assert!(output.status.success(), "{output:?}");
    }
}

/// Imports, and kills that as soon as it has come further; true if it was done before.
fn killed_midway(data: &Path, source: &Path) -> bool {
    let before = progress(data);
    let mut command = salus(&["import"]);
    command.arg(source).arg("--data").arg(data);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return true;
        }
        if progress(data) > before {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::yield_now();
    }
}

/// How far into its file the import says it is.
fn progress(data: &Path) -> u64 {
    let states = std::fs::read_dir(data.join("import")).into_iter().flatten();
    let offsets = states.map_while(Result::ok).filter_map(|state| {
        let text = std::fs::read(state.path()).ok()?;
        let state: Value = serde_json::from_slice(&text).ok()?;
        state["next"]["offset"].as_u64()
    });
    offsets.max().unwrap_or(0)
}
