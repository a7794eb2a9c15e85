//! Audit entries of years ago: archived, removed from the store, and proved and found all the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use salus_api::Peer;
use salus_crypto::{Founding, Keyring};
use salus_service::audit::log::KEY_PURPOSE;
use salus_service::{Service, keyring};
use salus_store::Store;
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::archive_s3::{self as s3, KEY, SECRET, Shared};
use crate::host::{Server, copy, salus};
use crate::killed::{self, Killing};
use crate::staged::{Staged, router_settings};

/// 2018-01-10.
const START_MS: i64 = 1_515_542_400_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A folder of a server that ran eight years ago, and a place for its audit archive.
struct Past {
    folder: TempDir,
}

impl Past {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(live(&folder.path().join("data")));
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn start(&self) -> Server {
        let place = self.path("archive");
        let data = self.folder.path().join("data");
        Server::start_on(&data, &["--demo=0", "--audit-archive", &place])
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let data = self.path("data");
        let mut command = salus(&["audit"]);
        command.args(arguments).args(["--data", &data]);
        command.output().unwrap()
    }

    #[track_caller]
    fn archive(&self, arguments: &[&str]) -> Value {
        let (output, answer) = self.try_archive(arguments);
        assert!(output.status.success(), "{output:?}");
        answer
    }

    fn try_archive(&self, arguments: &[&str]) -> (Output, Value) {
        let place = self.path("archive");
        let given = ["archive", "--json", "--audit-archive", &place];
        let output = self.run(&[&given, arguments].concat());
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output, answer)
    }

    /// Who saw a chart: the ids of events, and what was warned of.
    #[track_caller]
    fn chart(&self, more: &[&str]) -> (BTreeSet<u64>, String) {
        let output = self.run(&[&["patient", "p1", "--json"], more].concat());
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let id = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["id"].as_str().unwrap().parse::<u64>().unwrap()
        };
        let ids: Vec<u64> = lines.lines().map(id).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        let warned = String::from_utf8(output.stderr).unwrap();
        (ids.into_iter().collect(), warned)
    }

    /// What verify says of an export of the archive.
    fn verify(&self, file: &str, more: &[&str]) -> (Option<i32>, Value) {
        let key = self.run(&["key"]);
        let key = String::from_utf8(key.stdout).unwrap();
        let mut command = salus(&["audit", "verify", "--json", "--key", key.trim(), file]);
        let output = command.args(more).output().unwrap();
        let result = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), result)
    }
}

/// Two months in which somebody reads a chart.
async fn live(data: &Path) {
    let keys = data.join("keys");
    std::fs::create_dir_all(data).unwrap();
    let keyring = Keyring::open(&keys, Founding::New, START_MS).unwrap();
    let options = Options::new(data.join("store"), Arc::clone(&keyring));
    let engine = Embedded::open(options).unwrap();
    let world = Arc::new(Staged::at(START_MS));
    let settings = salus_service::Settings {
        checkpoint_key: Some(keyring.derive(KEY_PURPOSE).unwrap()),
        keys: keyring::Settings {
            keyring: Some(Arc::clone(&keyring)),
            ..keyring::Settings::default()
        },
        ..salus_service::Settings::default()
    };
    let cursor_key = keyring.derive("salus paging cursor 1").unwrap();
    let (store, blobs) = (Arc::clone(&engine), Arc::clone(&engine));
    let service = Service::open(store, blobs, Arc::clone(&world) as _, settings, cursor_key);
    let service = Arc::new(service.await.unwrap());
    let router = salus_api::router(Arc::clone(&service), router_settings());
    let ask = async |method: &str, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("host", "past")
            .header("content-type", "application/fhir+json");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(Peer::Operator);
        router.clone().oneshot(request).await.unwrap().status()
    };
    let patient = json!({"resourceType": "Patient", "id": "p1"});
    let made = ask("PUT", "/fhir/Patient/p1", patient).await;
    assert_eq!(made, StatusCode::CREATED);
    for days in [1, 20, 20, 1] {
        world.advance_ms(days * DAY_MS);
        let read = ask("GET", "/fhir/Patient/p1", Value::Null).await;
        assert_eq!(read, StatusCode::OK);
    }
    // What comes behind a month says that it is over.
    world.advance_ms(40 * DAY_MS);
    let read = ask("GET", "/fhir/Patient/p1", Value::Null).await;
    assert_eq!(read, StatusCode::OK);
    drop((router, service));
    engine.close().await.unwrap();
}

#[test]
fn what_is_archived_is_removed_found_and_proved() {
    let past = Past::new();
    let server = past.start();
    let (before, warned) = past.chart(&[]);
    assert!(
        before.len() >= 6 && warned.is_empty(),
        "{before:?} {warned}"
    );
    let dry = past.archive(&["run", "--dry-run"]);
    assert_eq!(dry["segments"].as_array().unwrap().len(), 3, "{dry}");
    assert!(!Path::new(&past.path("archive")).exists());
    let run = past.archive(&["run"]);
    assert_eq!(run["segments"].as_array().unwrap().len(), 3, "{run}");
    assert!(run["removed"].as_u64() > Some(6), "{run}");
    // The chart, without the archive and with it.
    let (left, warned) = past.chart(&[]);
    assert!(
        left.is_empty() && warned.contains("--archive"),
        "{left:?} {warned}"
    );
    assert_eq!(past.chart(&["--archive"]), (before.clone(), String::new()));
    // Read and search.
    let first = before.first().unwrap();
    let gone = server.admin("GET", &format!("/fhir/AuditEvent/{first}"), &Value::Null);
    let text = gone.expect(410).body;
    assert!(
        text.contains("salus audit archive export --from 0"),
        "{text}"
    );
    let search = |query: &str| {
        let path = format!("/fhir/AuditEvent?{query}");
        server.admin("GET", &path, &Value::Null).expect(200).body
    };
    let warning = "older entries are in the audit archive";
    assert!(search("patient=p1").contains(warning));
    assert!(search("date=ge2018-02-01").contains(warning));
    assert!(!search("date=ge2025-01-01").contains(warning));
    // Proofs: of what is archived, and of all the log.
    let verified = past.archive(&["verify"]);
    assert_eq!(
        (&verified["segments"], &verified["faults"]),
        (&json!(3), &json!([]))
    );
    let file = past.path("old.ndjson");
    past.archive(&["export", "--out", &file]);
    let kept = past.path("data/checkpoints");
    let (code, result) = past.verify(&file, &["--part", "--checkpoint", &kept]);
    assert_eq!((code, &result["hidden"]), (Some(0), &json!(0)), "{result}");
    let whole = past.path("whole.ndjson");
    assert!(past.run(&["export", "--out", &whole]).status.success());
    let (code, result) = past.verify(&whole, &["--checkpoint", &kept]);
    assert_eq!(
        (code, &result["hidden"]),
        (Some(0), &run["removed"]),
        "{result}"
    );
    // A segment alone, as somebody has a copy of it.
    let name = run["segments"][0]["name"].as_str().unwrap();
    let copy = past.path(&format!("archive/{name}"));
    let alone = past.archive(&["verify", "--segment", &copy]);
    assert_eq!(
        (&alone["segments"], &alone["faults"]),
        (&json!(1), &json!([]))
    );
    // An edited export is named.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"time\":1515", "\"time\":1516", 1)).unwrap();
    let (code, result) = past.verify(&file, &["--part"]);
    assert_eq!(
        (code, &result["findings"][0]["kind"]),
        (Some(1), &json!("edited"))
    );
    // All of it holds after a restart.
    assert!(server.stop().success());
    let checked = salus(&["check", "--data", &past.path("data")])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(past.archive(&["verify"])["faults"], json!([]));
    let place = past.path("archive");
    let chart = past.chart(&["--archive", "--audit-archive", &place]);
    assert_eq!(chart.0, before);
}

#[test]
fn a_run_that_is_killed_anywhere_is_taken_up() {
    let Some(shim) = killed::shim() else { return };
    for in_store in [false, true] {
        let past = Past::new();
        let (before, _) = past.chart(&[]);
        let (place, data) = (past.path("archive"), past.path("data"));
        let killing = match in_store {
            false => Killing::each(Path::new(&place)),
            true => Killing::commits(&Path::new(&data).join("store")),
        };
        let command = || {
            let mut command = salus(&["audit", "archive", "run", "--audit-archive", &place]);
            command.args(["--data", &data]);
            command
        };
        let archived = ["--archive", "--audit-archive", &place];
        let nothing_is_lost = || assert_eq!(past.chart(&archived), (before.clone(), String::new()));
        let kills = killing.rounds(&shim, command, nothing_is_lost);
        assert!(kills > 3, "{kills}");
        nothing_is_lost();
        // A command on a folder without a server would sign a checkpoint behind the export.
        let server = past.start();
        let again = past.archive(&["run"]);
        assert_eq!(
            (&again["segments"], &again["removed"], &again["faults"]),
            (&json!([]), &json!(0), &json!([])),
        );
        let listed = past.archive(&["list"]);
        let listed = listed["segments"].as_array().unwrap();
        assert!(listed.iter().all(|one| one["inStore"] == 0), "{listed:?}");
        let objects = std::fs::read_dir(Path::new(&place).join("audit")).unwrap();
        assert_eq!((listed.len(), objects.count()), (3, 3));
        assert_eq!(past.archive(&["verify"])["faults"], json!([]));
        let (old, whole) = (past.path("old.ndjson"), past.path("whole.ndjson"));
        past.archive(&["export", "--out", &old]);
        assert!(past.run(&["export", "--out", &whole]).status.success());
        let kept = past.path("data/checkpoints");
        for (file, more) in [(&old, &["--part"][..]), (&whole, &[])] {
            let given = [&["--checkpoint", &kept], more].concat();
            let (code, result) = past.verify(file, &given);
            assert_eq!(code, Some(0), "{result}");
        }
        assert!(server.stop().success());
        let checked = salus(&["check", "--data", &data]).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[test]
fn a_segment_that_was_changed_is_named() {
    let past = Past::new();
    let run = past.archive(&["run"]);
    let name = run["segments"][1]["name"].as_str().unwrap().to_owned();
    let path = past.path(&format!("archive/{name}"));
    let bytes = std::fs::read(&path).unwrap();
    let mut edited = bytes.clone();
    let middle = edited.len() / 2;
    edited[middle] ^= 1;
    let other = run["segments"][0]["name"].as_str().unwrap();
    let other = std::fs::read(past.path(&format!("archive/{other}"))).unwrap();
    let cases = [
        (Some(edited), "changed"),
        (Some(bytes[..bytes.len() - 25].to_vec()), "cut off"),
        (Some(other), "is another segment"),
        (None, "is missing"),
    ];
    for (content, expected) in cases {
        std::fs::remove_file(&path).unwrap();
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let (output, answer) = past.try_archive(&["verify"]);
        assert_eq!(output.status.code(), Some(1));
        let faults = answer["faults"].to_string();
        assert!(
            faults.contains(&name) && faults.contains(expected),
            "{faults}"
        );
        std::fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(past.archive(&["verify"])["faults"], json!([]));
}

#[test]
fn a_hold_keeps_what_names_a_patient() {
    let past = Past::new();
    let server = past.start();
    let (before, _) = past.chart(&[]);
    let hold = json!({"name": "Case", "reason": "who saw the chart is in dispute",
        "patients": ["p1"], "audit": {}});
    let hold = server.admin("POST", "/admin/holds", &hold).expect(201);
    assert_eq!(hold.json()["audit"], json!({}));
    let run = past.archive(&["run"]);
    assert_eq!(run["held"].as_u64(), Some(before.len() as u64), "{run}");
    // The hold itself names the patient, too.
    assert!(past.chart(&[]).0.is_superset(&before));
    let short = json!({"classes": [{"name": "audit", "types": ["AuditEvent"], "years": 5}]});
    let _ = server.admin("PUT", "/admin/retention", &short).expect(400);
    assert!(server.stop().success());
}

#[test]
fn checkpoints_go_to_s3_and_tell_of_a_rollback() {
    let bucket = Shared::default();
    let address = s3::start(Arc::clone(&bucket));
    let folder = tempfile::tempdir().unwrap();
    let (data, earlier) = (folder.path().join("data"), folder.path().join("earlier"));
    let place = format!(
        "s3://bucket/log?region=eu-central-1&endpoint=http://{address}\
         &lock=compliance&lock-days=2200"
    );
    let variables = [
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    let start = || Server::start_with(&data, &["--demo=0", "--checkpoints", &place], &variables);
    assert!(start().stop().success());
    copy(&data, &earlier);
    let server = start();
    for _ in 0..5 {
        server.admin("GET", "/admin/users", &Value::Null);
    }
    assert!(server.stop().success());
    let names: Vec<String> = {
        let bucket = bucket.lock().unwrap();
        assert_eq!(bucket.wrong, Vec::<String>::new());
        assert!(
            bucket
                .locks
                .iter()
                .all(|lock| lock.starts_with("COMPLIANCE 20"))
        );
        bucket.objects.keys().cloned().collect()
    };
    assert!(names.len() >= 2, "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("log/checkpoints/20"))
    );
    // An auditor reads them from there.
    let run = |arguments: &[&str]| {
        let mut command = salus(arguments);
        command.envs(variables).output().unwrap()
    };
    let (data_text, file) = (data.display().to_string(), folder.path().join("log.ndjson"));
    let file = file.display().to_string();
    let exported = run(&["audit", "export", "--data", &data_text, "--out", &file]);
    assert!(exported.status.success(), "{exported:?}");
    let key = run(&["audit", "key", "--data", &data_text]).stdout;
    let key = String::from_utf8(key).unwrap();
    let key = key.trim();
    let verify = [
        "audit",
        "verify",
        "--json",
        "--key",
        key,
        "--checkpoint",
        &place,
        &file,
    ];
    let verified = run(&verify);
    assert!(verified.status.success(), "{verified:?}");
    let result: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(result["elsewhere"].as_u64() >= Some(2), "{result}");
    // A store from before is told at its start.
    std::fs::remove_dir_all(&data).unwrap();
    copy(&earlier, &data);
    let server = start();
    let told = || server.log().contains("the store was rolled back");
    let begun = std::time::Instant::now();
    while !told() && begun.elapsed().as_secs() < 10 {
        std::thread::yield_now();
    }
    assert!(told(), "{}", server.log());
}
