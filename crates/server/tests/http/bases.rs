//! Bases of an archive: taken by a running server, restored from, and what goes by them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use salus_archive::{Archive, Folder, Keys, Window};
use salus_crypto::{Founding, Keyring};
use serde_json::{Value, json};

use crate::archive::{backup, put, wait_shipped};
use crate::host::{Server, salus};
use crate::restore::{NoBlobs, files, report};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn restore(archive: &str, data: &Path, to: &Path) -> (Value, Output) {
    let mut command = salus(&["restore", "--json", "--from", archive]);
    command
        .arg("--to")
        .arg(to)
        .arg("--keys")
        .arg(data.join("keys"));
    let output = command.output().unwrap();
    (report(&output), output)
}

/// Removes what an hour of window needs no more, three hours from now.
fn prune_later(archive: &Path, data: &Path) -> usize {
    let keyring = Keyring::open(&data.join("keys"), Founding::Existing, 0).unwrap();
    let folder = Arc::new(Folder::open(archive));
    let archive = Archive::open(folder, Keys::of(&keyring).unwrap());
    let window = Window {
        ms: i64::MAX,
        log_ms: Some(HOUR_MS),
        taking: false,
        now_ms: jiff::Timestamp::now().as_millisecond() + 3 * HOUR_MS,
        dry_run: false,
    };
    let follows = salus_store_embedded::follows;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pruned = runtime
        .block_on(archive.prune(&NoBlobs, window, &follows))
        .unwrap();
    assert_eq!(pruned.faults, Vec::<String>::new());
    pruned.log.len()
}

#[test]
fn stores_are_restored_from_bases_before_and_after_pruning() {
    let room = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { room.path().join(name) };
    let (data, folder) = (path("data"), path("archive"));
    let archive = folder.to_str().unwrap();
    let arguments = ["--demo=0", "--archive", archive, "--archive-window", "1h"];
    let server = Server::start_on(&data, &arguments);
    for _ in 0..3 {
        put(&server, "one");
        wait_shipped(&data, archive);
    }
    let purged = server.admin("POST", "/fhir/Patient/one/$purge-history", &Value::Null);
    assert_eq!(purged.status, 200, "{}", purged.body);
    let (taken, output) = backup(&data, archive, &["base"]);
    assert!(output.status.success(), "{output:?}");
    let base = taken["archives"][0]["base"]["seq"].as_u64().unwrap();
    assert!(base > 0, "{taken}");
    put(&server, "two");
    let status = wait_shipped(&data, archive);
    assert_eq!(status["archives"][0]["bases"][0]["seq"], base, "{status}");
    assert!(
        status["archives"][0]["restorableFrom"].is_string(),
        "{status}"
    );
    let (verified, output) = backup(&data, archive, &["verify"]);
    assert!(output.status.success(), "{verified}");
    assert_eq!(verified["archives"][0]["bases"], 1);
    let (pruned, output) = backup(&data, archive, &["prune", "--dry-run"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        pruned["archives"][0]["log"], 0,
        "the window is not over: {pruned}"
    );
    // What was done is in the log of the system.
    for (subtype, count) in [("archive", 2), ("verify", 1)] {
        let path = format!("/p/system/fhir/AuditEvent?subtype={subtype}");
        let found = server.admin("GET", &path, &Value::Null);
        assert_eq!(found.expect(200).found().len(), count, "{subtype}");
    }
    assert!(server.stop().success());
    let (whole, output) = restore(archive, &data, &path("whole"));
    assert!(output.status.success(), "{whole} {output:?}");
    assert_eq!(
        (&whole["findings"], &whole["damaged"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(whole["base"]["seq"], base);
    // A damaged base is named; the log stands in for it.
    let mut parts = files(&folder.join("bases"));
    parts.sort();
    let sealed = std::fs::read(&parts[0]).unwrap();
    let mut changed = sealed.clone();
    changed[sealed.len() / 2] ^= 1;
    std::fs::write(&parts[0], changed).unwrap();
    let (stood_in, output) = restore(archive, &data, &path("stood-in"));
    assert_eq!(output.status.code(), Some(3), "{stood_in}");
    assert_eq!(
        stood_in["damaged"].as_array().map(Vec::len),
        Some(1),
        "{stood_in}"
    );
    for name in ["seq", "auditRoot", "records"] {
        assert_eq!(stood_in[name], whole[name], "{name}");
    }
    let (_, output) = backup(&data, archive, &["verify"]);
    assert_eq!(output.status.code(), Some(1), "a damaged base is a fault");
    std::fs::write(&parts[0], sealed).unwrap();
    assert!(prune_later(&folder, &data) > 2);
    let (after, output) = restore(archive, &data, &path("after"));
    assert!(output.status.success(), "{after} {output:?}");
    for name in ["seq", "auditRoot", "records", "base"] {
        assert_eq!(after[name], whole[name], "{name}");
    }
    // Who ships goes on.
    let server = Server::start_on(&data, &["--demo=0", "--archive", archive]);
    put(&server, "three");
    wait_shipped(&data, archive);
    assert!(server.stop().success());
    let (again, output) = backup(&data, archive, &["verify"]);
    assert!(output.status.success(), "{again}");
    // Without a server one is taken, too.
    let (taken, output) = backup(&data, archive, &["base"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        taken["archives"][0]["base"]["seq"].as_u64() > Some(base),
        "{taken}"
    );
}

#[test]
fn times_that_are_none_are_refused() {
    let room = tempfile::tempdir().unwrap();
    for option in ["--archive-window=week", "--archive-base-every=0d"] {
        let mut command = salus(&["serve", "--dev", option, "--data"]);
        let output = command.arg(room.path()).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("give a time as 35d"), "{said}");
    }
}
