//! `salus drill`: what is restored is held against the running server, its report proves what it
//! says, and whatever is wrong with an archive fails by its name.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_crypto::{Founding, Keyring};
use salus_service::drill::{Asked, Sample, compare, sample};
use salus_service::restored::{Bared, Progress, give_rows};
use salus_store::{
    At, BareRecords, Kind, Log, NewRows, Param, Reply, Restored, Seq, Store, Value as Indexed,
};
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};

use crate::archive::wait_shipped;
use crate::host::{Project, Server, salus};
use crate::restore::Archived;
use crate::shredding;

/// Nothing that is waited for takes this long.
const WAIT: Duration = Duration::from_secs(60);

/// `salus drill` on a folder.
#[track_caller]
fn drill(data: &Path, arguments: &[&str]) -> Output {
    let mut command = salus(&["drill", "--json", "--data"]);
    command.arg(data).args(arguments).output().unwrap()
}

/// What the report of a drill says.
#[track_caller]
fn said(output: &Output) -> Value {
    let signed: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    signed["report"].clone()
}

/// How each check ended.
fn outcome<'a>(said: &'a Value, name: &str) -> &'a str {
    let checks = said["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.map_or("absent", |check| check["outcome"].as_str().unwrap())
}

/// Which checks failed.
fn failed(said: &Value) -> Vec<&str> {
    let checks = said["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["outcome"] == "failed");
    failed
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_drill_beside_a_running_server_passes_and_its_report_proves_it() {
    let room = tempfile::tempdir().unwrap();
    let (data, folder) = (room.path().join("data"), room.path().join("archive"));
    let archive = folder.to_str().unwrap();
    let server = Server::start_on(&data, &["--demo=2", "--archive", archive]);
    let project = Project::create(&Arc::new(server), "drilled");
    shredding::lived(&project);
    // The archive has what is shredded then.
    wait_shipped(&data, archive);
    shredding::ask(&project, "gone", false).expect(200);
    wait_shipped(&data, archive);
    let base = project.server.ready["base"].as_str().unwrap();
    let out = room.path().join("report.json");
    let file = out.to_str().unwrap();
    let arguments = ["--from", archive, "--base-url", base, "--out", file];
    let output = drill(&data, &arguments);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(failed(&said), [""; 0]);
    assert_eq!(said["comparedWith"], "the running store");
    for name in [
        "archive",
        "store",
        "chain",
        "audit",
        "counts",
        "records",
        "searches",
        "checkpoints",
        "blobs",
        "shredded",
        "rto",
        "rpo",
    ] {
        assert_eq!(outcome(&said, name), "passed", "{name}: {said}");
    }
    assert!(said["samples"]["records"].as_u64() > Some(20), "{said}");
    assert!(said["counts"]["Observation"]["versions"].as_u64() > Some(8));
    assert!(said["rto"]["steps"]["records"].as_f64() > Some(0.0));
    // Nothing is left of it, and nothing of a record is in what it says.
    assert!(!data.join("drills/work").exists());
    for word in ["kept-", "gone", "mrn", "Ordinary", "Xylophonia", "Patient/"] {
        assert!(!said.to_string().contains(word), "{word}: {said}");
    }
    proves(&data, &out);
    // The server keeps it, and notes it.
    let status = drill(&data, &["status"]);
    assert!(status.status.success(), "{status:?}");
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["drills"], json!([said]));
    let metrics = project.server.admin("GET", "/metrics", &Value::Null).body;
    assert!(metrics.contains("salus_drill_last_ok 1\n"), "{metrics}");
    let path = "/p/system/fhir/AuditEvent?subtype=drill";
    let noted = project
        .server
        .admin("GET", path, &Value::Null)
        .expect(200)
        .json();
    assert_eq!(noted["total"], 1, "{noted}");
    assert_eq!(noted["entry"][0]["resource"]["outcome"], "0");
    // An earlier point: the running store is asked for that one.
    let seq = said["restored"]["seq"].as_u64().unwrap().to_string();
    project.put(&json!({"resourceType": "Patient", "id": "later"}));
    wait_shipped(&data, archive);
    let earlier = drill(
        &data,
        &["--from", archive, "--base-url", base, "--at-seq", &seq],
    );
    let earlier = self::said(&earlier);
    assert_eq!(failed(&earlier), [""; 0], "{earlier}");
    assert_eq!(earlier["restored"]["chain"], said["restored"]["chain"]);
    assert_eq!(earlier["counts"], said["counts"]);
}

/// The report is proved by the key of the store alone.
#[track_caller]
fn proves(data: &Path, report: &Path) {
    let key = drill(data, &["key"]);
    let key = String::from_utf8(key.stdout).unwrap();
    let verify = |file: &Path| {
        let mut command = salus(&["drill", "verify", "--key", key.trim()]);
        command.arg(file).output().unwrap()
    };
    let proved = verify(report);
    assert!(proved.status.success(), "{proved:?}");
    assert!(String::from_utf8(proved.stdout).unwrap().contains("passed"));
    let text = std::fs::read_to_string(report).unwrap();
    let changed = report.with_extension("changed");
    std::fs::write(&changed, text.replace("\"passed\"", "\"Passed\"")).unwrap();
    assert_eq!(verify(&changed).status.code(), Some(1));
}

/// Removes a segment, or changes a byte of it, while something is done.
fn without<T>(segment: &PathBuf, changed: bool, act: impl FnOnce() -> T) -> T {
    let whole = std::fs::read(segment).unwrap();
    std::fs::remove_file(segment).unwrap();
    if changed {
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(segment, bytes).unwrap();
    }
    let done = act();
    std::fs::write(segment, whole).unwrap();
    done
}

#[test]
fn what_is_wrong_with_an_archive_fails_by_its_name() {
    let archived = Archived::new("drill-wrong");
    let (data, archive) = (archived.path("data"), archived.path("archive"));
    let archive = archive.to_str().unwrap();
    let run = |more: &[&str]| {
        let output = drill(&data, &[&["--from", archive], more].concat());
        let said = said(&output);
        let code = if said["outcome"] == "passed" { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        said
    };
    let first = run(&[]);
    assert_eq!(failed(&first), [""; 0], "{first}");
    assert_eq!(first["comparedWith"], "the archive and earlier drills");
    assert_eq!(outcome(&first, "history"), "not checked");
    let again = run(&[]);
    assert_eq!(outcome(&again, "history"), "passed", "{again}");
    assert_eq!(failed(&run(&["--target-rto", "1ms"])), ["rto"]);

    let segments = archived.segments();
    let middle = &segments[segments.len() - 2];
    let damaged = without(middle, true, || run(&[]));
    assert!(failed(&damaged).contains(&"archive"), "{damaged}");
    assert!(failed(&damaged).contains(&"checkpoints"), "{damaged}");
    let missing = without(middle, false, || run(&[]));
    let named = missing["checks"][0]["said"][0].as_str().unwrap();
    assert!(named.starts_with("segment "), "{missing}");

    // A good one again, so that the archive falls behind what was restored before.
    assert_eq!(failed(&run(&[])), [""; 0]);
    let back = without(&segments[segments.len() - 1], false, || {
        run(&["--target-rpo", "1ms"])
    });
    assert_eq!(outcome(&back, "archive"), "passed", "{back}");
    for name in ["checkpoints", "history", "rpo"] {
        assert_eq!(outcome(&back, name), "failed", "{name}: {back}");
    }
    overdue(&data);
}

/// The last drill failed, then passed, then was long ago.
#[track_caller]
fn overdue(data: &Path) {
    let status = || drill(data, &["status", "--every", "30d"]);
    assert_eq!(status().status.code(), Some(1));
    let newest = |data: &Path| {
        let reports = std::fs::read_dir(data.join("drills")).unwrap();
        let reports = reports.map(|file| file.unwrap().path());
        let reports = reports.filter(|path| path.extension().is_some_and(|end| end == "json"));
        reports.max().unwrap()
    };
    std::fs::remove_file(newest(data)).unwrap();
    assert_eq!(status().status.code(), Some(0));
    let path = newest(data);
    let mut report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    report["report"]["ended"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&path, report.to_string()).unwrap();
    let late = status();
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    let late = String::from_utf8(late.stderr).unwrap();
    assert!(late.contains("overdue"), "{late}");
}

#[test]
fn a_drill_that_cannot_be_carried_out_leaves_nothing() {
    let archived = Archived::new("drill-not");
    let (data, archive) = (archived.path("data"), archived.path("archive"));
    let work = archived.path("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("mine"), "x").unwrap();
    let (archive, work) = (archive.to_str().unwrap(), work.to_str().unwrap());
    for arguments in [
        &["--from", archive, "--to", work][..],
        &["--from", archive, "--keys", work],
        &[],
    ] {
        let output = drill(&data, arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    assert!(Path::new(work).join("mine").exists());
    assert!(!data.join("drills/work").exists());
    // Kept, it lies there without the root key.
    let kept = archived.path("kept");
    let to = kept.to_str().unwrap();
    let output = drill(&data, &["--from", archive, "--to", to, "--keep"]);
    assert!(output.status.success(), "{output:?}");
    assert!(kept.join("store").exists() && !kept.join("keys/root.key").exists());
}

#[test]
fn a_server_runs_drills_by_itself_and_complains() {
    let room = tempfile::tempdir().unwrap();
    let (data, folder) = (room.path().join("data"), room.path().join("archive"));
    let archives = format!(
        "{},{}",
        folder.display(),
        room.path().join("second").display()
    );
    let arguments = ["--demo=0", "--archive", &archives, "--drill-every", "1s"];
    let server = Server::start_on(&data, &arguments);
    let status = || {
        let output = drill(&data, &["status"]);
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    let newest = wait(|| Some(status()["drills"][0].clone()).filter(|one| !one.is_null()));
    assert_eq!(
        (&newest["outcome"], &newest["by"]["how"]),
        (&json!("passed"), &json!("schedule"))
    );
    // Each archive has its turn.
    wait(|| {
        let status = status();
        let drills = status["drills"].as_array()?;
        let of = |archive: &str| drills.iter().any(|said| said["archive"] == *archive);
        archives.split(',').all(of).then_some(())
    });
    let ready = |server: &Server| server.admin("GET", "/health/ready", &Value::Null).json();
    // Nothing can be restored any more.
    std::fs::rename(&folder, room.path().join("away")).unwrap();
    std::fs::write(&folder, "").unwrap();
    wait(|| {
        let warnings = ready(&server)["warnings"].take();
        let warns = warnings.as_array()?.iter().any(|one| one == "drill");
        warns.then_some(())
    });
    let rules = ["drill-failed", "drill-overdue"];
    wait(|| {
        let alerts = server.admin("GET", "/p/system/admin/alerts", &Value::Null);
        let alerts = alerts.expect(200).json();
        let alerts = alerts["alerts"].as_array()?.clone();
        let there = |rule: &&str| alerts.iter().any(|alert| alert["rule"] == **rule);
        rules.iter().all(there).then_some(())
    });
    let log = server.log();
    assert!(log.contains("could not be carried out") && log.contains("a drill is overdue"));
    assert!(server.stop().success());
    assert!(!data.join("drills/work").exists());
}

/// What gives a restored store its rows, one of them wrong.
struct Tampers(Arc<Embedded>);

impl Restored for Tampers {
    fn records(&self, span: (Seq, Seq), bytes: usize) -> Reply<'_, BareRecords> {
        self.0.records(span, bytes)
    }

    fn give_rows(&self, mut rows: Vec<NewRows>) -> Reply<'_, ()> {
        let all = rows.iter_mut().flat_map(|of| &mut of.rows);
        for row in all.filter(|row| row.param == Param::named("Patient", "family")) {
            if let Indexed::String { folded, .. } = &mut row.value {
                *folded = "somebody".into();
            }
        }
        self.0.give_rows(rows)
    }
}

#[test]
fn a_row_that_is_not_what_it_should_be_is_found_though_everything_fits_together() {
    let archived = Archived::new("drill-row");
    let keys = archived.path("data/keys");
    let keyring = Keyring::open(&keys, Founding::Existing, 0).unwrap();
    let options = |name: &str, restoring| Options {
        restoring,
        ..Options::new(archived.path(name), Arc::clone(&keyring))
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let original = Embedded::open(options("data/store", false)).unwrap();
        let dictionaries = original.dictionaries().await.unwrap();
        let mut restoring = Embedded::restore(options("row", false), &dictionaries).unwrap();
        let batches = original.batches(Seq(0), usize::MAX).await.unwrap();
        restoring.add(batches).await.unwrap();
        let upto = restoring.finish().await.unwrap().head.seq;
        let restored = Embedded::open(options("row", true)).unwrap();
        let store = Bared {
            store: restored.clone(),
            restored: Arc::new(Tampers(restored.clone())),
        };
        let progress = Arc::new(Progress::default());
        give_rows(&store, upto, None, &progress).await.unwrap();
        restored.restored().unwrap();
        assert_eq!(restored.check().await.unwrap(), [""; 0]);
        assert_eq!(original.tally(upto).unwrap(), restored.tally(upto).unwrap());
        let (was, is) = (
            samples(&original, upto).await,
            samples(&restored, upto).await,
        );
        assert_eq!(compare(&was, &was), compare(&is, &is));
        let difference = compare(&was, &is);
        assert!(difference.records.is_empty());
        let family = (Kind::named("Patient"), "family".to_owned());
        assert!(!difference.searches.is_empty());
        assert!(difference.searches.iter().all(|one| *one == family));
        original.close().await.unwrap();
        restored.close().await.unwrap();
    });
}

async fn samples(store: &Embedded, upto: Seq) -> Vec<Sample> {
    let mut samples = Vec::new();
    let scopes = store.tally(upto).unwrap().kinds;
    for (scope, kind) in scopes.into_keys() {
        let snapshot = store.snapshot(scope, At::Now).await.unwrap();
        let asked = Asked {
            seed: 1,
            upto,
            each: 2,
            kinds: &[kind],
        };
        samples.extend(sample(&*snapshot, scope, &asked).await.unwrap());
    }
    samples
}

#[track_caller]
fn wait<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < WAIT);
        std::thread::yield_now();
    }
}
