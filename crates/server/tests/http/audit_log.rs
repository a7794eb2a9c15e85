//! The audit log as evidence: exports of a running server, and what happens to them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, OnceLock};

use base64ct::{Base64, Encoding};
use salus_crypto::SecretKey;
use salus_crypto::checkpoint::{Note, Signer};
use salus_crypto::merkle::{self, Hash};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::{Server, copy, salus};
use crate::wire::Request;

/// An export, and what an auditor has beside it.
struct Evidence {
    folder: TempDir,
    export: String,
    key: String,
    /// The size of the log at the end of the first run of the server.
    first_run: u64,
}

/// A log of two runs of a server, with two projects, and an export of the second.
fn evidence() -> &'static Evidence {
    static EVIDENCE: OnceLock<Evidence> = OnceLock::new();
    EVIDENCE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
        let server = run(&data, &elsewhere);
        let new = json!({"slug": "trial", "name": "Trial"});
        server.admin("POST", "/admin/projects", &new).expect(201);
        grow(&server, 150);
        assert!(server.stop().success());
        let first_run = largest(&elsewhere);
        copy(&data, &folder.path().join("first"));
        let server = run(&data, &elsewhere);
        grow(&server, 150);
        let export = export(&data, folder.path().join("export.ndjson"), &[]);
        let key = said(&["audit", "key", "--data", data.to_str().unwrap()]);
        let key = key.trim().to_owned();
        assert!(server.stop().success());
        Evidence {
            folder,
            export,
            key,
            first_run,
        }
    })
}

fn run(data: &Path, elsewhere: &Path) -> Server {
    let place = format!("folder:{}", elsewhere.display());
    Server::start_on(data, &["--demo=0", "--checkpoints", &place])
}

/// So many entries more, of two projects in turns.
fn grow(server: &Server, entries: usize) {
    for number in 0..entries {
        let path = match number % 2 {
            0 => "/admin/users",
            _ => "/p/trial/admin/users",
        };
        // The administrator of a second run is another, whom the project refuses: an entry, too.
        server.admin("GET", path, &Value::Null);
    }
}

/// The export of a folder, with a server on it or without.
#[track_caller]
fn export(data: &Path, out: PathBuf, more: &[&str]) -> String {
    let mut command = salus(&["audit", "export", "--out"]);
    let done = command.arg(&out).arg("--data").arg(data).args(more);
    let output = done.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read_to_string(&out).unwrap()
}

#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = salus(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The size of the newest checkpoint in a folder.
fn largest(folder: &Path) -> u64 {
    let latest = std::fs::read_to_string(folder.join("latest")).unwrap();
    let checkpoint = Note::parse(&latest).unwrap().checkpoint().unwrap();
    checkpoint.size
}

/// What verify says of an export: its exit status, and its result as JSON.
fn verify(export: &str, key: &str, more: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.ndjson");
    std::fs::write(&file, export).unwrap();
    let mut command = salus(&["audit", "verify", "--json", "--key", key]);
    let Output { status, stdout, .. } = command.arg(&file).args(more).output().unwrap();
    let result = serde_json::from_slice(&stdout).unwrap_or(Value::Null);
    (status.code(), result)
}

/// The export holds.
#[track_caller]
fn holds(export: &str, more: &[&str]) -> Value {
    let (status, result) = verify(export, &evidence().key, more);
    assert_eq!(
        (status, &result["good"]),
        (Some(0), &json!(true)),
        "{result}"
    );
    result
}

/// The export does not hold, and this is the first thing that is said of it.
#[track_caller]
fn fails(export: &str, more: &[&str], expect: Value) {
    let (status, result) = verify(export, &evidence().key, more);
    assert_eq!(
        (status, &result["good"]),
        (Some(1), &json!(false)),
        "{result}"
    );
    let first = &result["findings"][0];
    for (name, value) in expect.as_object().unwrap() {
        assert_eq!(&first[name], value, "{name}: {result}");
    }
    assert!(first["text"].as_str().unwrap().len() > 10, "{result}");
}

/// The lines of leaves, and what stands before them.
fn taken_apart(export: &str) -> (Vec<String>, Vec<String>) {
    let lines = export.lines().map(str::to_owned);
    lines.partition(|line| !line.starts_with("{\"n\":"))
}

fn put_together(before: &[String], leaves: &[String]) -> String {
    let mut text = before.join("\n");
    for leaf in leaves {
        text.push('\n');
        text.push_str(leaf);
    }
    text.push('\n');
    text
}

/// The export with its leaves made otherwise.
fn with_leaves(change: impl FnOnce(&mut Vec<String>)) -> String {
    let (before, mut leaves) = taken_apart(&evidence().export);
    change(&mut leaves);
    put_together(&before, &leaves)
}

/// Numbers the leaves anew.
fn renumber(leaves: &mut [String]) {
    for (number, leaf) in leaves.iter_mut().enumerate() {
        let (_, rest) = leaf.split_once(',').unwrap();
        *leaf = format!("{{\"n\":{number},{rest}");
    }
}

/// The place of a leaf of which the entry is shown, from one on.
fn shown(leaves: &[String], from: usize) -> usize {
    let shown = |at: &usize| leaves[*at].contains("\"salt\"");
    (from..leaves.len()).find(shown).unwrap()
}

fn elsewhere() -> String {
    let path = evidence().folder.path().join("elsewhere");
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_export_of_a_running_server_holds() {
    let evidence = evidence();
    let result = holds(&evidence.export, &[]);
    let (_, leaves) = taken_apart(&evidence.export);
    assert!(leaves.len() > 300, "{result}");
    assert_eq!(result["size"], leaves.len() as u64);
    assert_eq!(result["shown"], leaves.len() as u64);
    assert_eq!(
        (&result["hidden"], &result["undated"]),
        (&json!(0), &json!(0))
    );
    assert!(result["checkpoints"].as_u64() >= Some(3), "{result}");
    assert_eq!(result["newest"]["size"], leaves.len() as u64);
    // What was kept elsewhere by the end of the first run is of the same log.
    let day = std::fs::read_dir(elsewhere()).unwrap();
    let day = day.map(|entry| entry.unwrap().path());
    let mut day = day.filter(|path| path.extension().is_some());
    let file = std::fs::read_to_string(day.next().unwrap()).unwrap();
    let (mut rest, mut early) = (&*file, String::new());
    while let Ok(Some(note)) = Note::take(&mut rest) {
        if note.checkpoint().unwrap().size <= evidence.first_run {
            early.push_str(&format!("{note}\n"));
        }
    }
    let kept = evidence.folder.path().join("early");
    std::fs::write(&kept, early).unwrap();
    let result = holds(&evidence.export, &["--checkpoint", kept.to_str().unwrap()]);
    assert!(result["elsewhere"].as_u64() >= Some(1), "{result}");
}

#[test]
fn verify_speaks_to_people_too() {
    let evidence = evidence();
    let file = evidence.folder.path().join("export.ndjson");
    let key = evidence.folder.path().join("key.txt");
    std::fs::write(&key, format!("{}\n", evidence.key)).unwrap();
    let arguments = ["audit", "verify", file.to_str().unwrap(), "--key-file"];
    let text = said(&[&arguments[..], &[key.to_str().unwrap()]].concat());
    let last = text.lines().last();
    assert_eq!(last, Some("result        the log holds"), "{text}");
    let refused = |arguments: &[&str]| {
        let output = salus(arguments).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let file = file.to_str().unwrap();
    let reason = refused(&["audit", "verify", file, "--key", "nonsense"]);
    assert!(reason.contains("NAME+HASH+KEY"), "{reason}");
    let key = key.to_str().unwrap();
    let reason = refused(&["audit", "verify", key, "--key-file", key]);
    assert!(reason.contains("no export"), "{reason}");
    let reason = refused(&[
        "audit",
        "verify",
        file,
        "--key-file",
        key,
        "--checkpoint",
        key,
    ]);
    assert!(reason.contains("no checkpoint"), "{reason}");
}

#[test]
fn an_edited_entry_is_named() {
    let mut place = 0;
    let export = with_leaves(|leaves| {
        place = shown(leaves, 200);
        let mut leaf: Value = serde_json::from_str(&leaves[place]).unwrap();
        let entry = leaf["entry"].as_str().unwrap();
        let mut body = Base64::decode_vec(entry).unwrap();
        *body.last_mut().unwrap() ^= 1;
        let edited = Base64::encode_string(&body);
        leaves[place] = leaves[place].replace(entry, &edited);
        leaf["entry"] = edited.into();
    });
    fails(&export, &[], json!({"kind": "edited", "index": place}));
}

#[test]
fn an_edited_time_is_named() {
    let mut place = 0;
    let export = with_leaves(|leaves| {
        place = shown(leaves, 100);
        leaves[place] = leaves[place].replace("\"time\":1", "\"time\":2");
    });
    fails(&export, &[], json!({"kind": "edited", "index": place}));
}

#[test]
fn an_entry_that_was_edited_with_its_leaf_is_narrowed_down() {
    let evidence = evidence();
    let place = evidence.first_run as usize + 20;
    let export = with_leaves(|leaves| {
        let mut leaf: Value = serde_json::from_str(&leaves[place]).unwrap();
        let old = leaf["leaf"].take();
        let other = Base64::encode_string(&[7; 32]);
        let (hidden, _) = leaves[place].split_once(",\"seq\"").unwrap();
        leaves[place] = format!("{}}}", hidden.replace(old.as_str().unwrap(), &other));
    });
    let (status, result) = verify(&export, &evidence.key, &[]);
    assert_eq!(status, Some(1));
    let first = &result["findings"][0];
    assert_eq!(first["kind"], "changed", "{result}");
    let (from, to) = (first["from"].as_u64(), first["to"].as_u64());
    let within = from >= Some(evidence.first_run) && from <= Some(place as u64);
    assert!(within && to > Some(place as u64), "{result}");
}

#[test]
fn deleted_entries_are_named() {
    let one = with_leaves(|leaves| drop(leaves.remove(70)));
    fails(&one, &[], json!({"kind": "deleted", "from": 70, "to": 71}));
    let many = with_leaves(|leaves| drop(leaves.drain(70..90)));
    fails(&many, &[], json!({"kind": "deleted", "from": 70, "to": 90}));
    let numbered_anew = with_leaves(|leaves| {
        leaves.remove(5);
        renumber(leaves);
    });
    fails(&numbered_anew, &[], json!({"kind": "changed"}));
}

#[test]
fn inserted_entries_are_named() {
    let twice = with_leaves(|leaves| leaves.insert(71, leaves[70].clone()));
    fails(&twice, &[], json!({"kind": "inserted", "index": 70}));
    let numbered_anew = with_leaves(|leaves| {
        leaves.insert(70, leaves[2].clone());
        renumber(leaves);
    });
    // Its entry came before the one in front of it.
    fails(
        &numbered_anew,
        &[],
        json!({"kind": "reordered", "index": 70}),
    );
    let size = taken_apart(&evidence().export).1.len();
    let at_the_end = with_leaves(|leaves| {
        leaves.push(leaves[2].clone());
        renumber(leaves);
    });
    fails(&at_the_end, &[], json!({"kind": "inserted", "index": size}));
}

#[test]
fn reordered_entries_are_named() {
    let swapped = with_leaves(|leaves| leaves.swap(70, 71));
    fails(&swapped, &[], json!({"kind": "reordered", "index": 70}));
    let numbered_anew = with_leaves(|leaves| {
        leaves.swap(70, 71);
        renumber(leaves);
    });
    fails(
        &numbered_anew,
        &[],
        json!({"kind": "reordered", "index": 71}),
    );
}

#[test]
fn a_truncated_log_is_found() {
    let size = taken_apart(&evidence().export).1.len();
    let cut = with_leaves(|leaves| leaves.truncate(size - 3));
    fails(
        &cut,
        &[],
        json!({"kind": "truncated", "there": size - 3, "size": size}),
    );
    // The head says the same, but a checkpoint of the export covers more.
    let head = format!("\"size\":{size}");
    let hidden = cut.replacen(&head, &format!("\"size\":{}", size - 3), 1);
    fails(
        &hidden,
        &[],
        json!({"kind": "truncated", "there": size - 3, "size": size}),
    );
    let no_end = evidence().export.trim_end_matches('\n');
    fails(
        &no_end[..no_end.len() - 2],
        &[],
        json!({"kind": "unreadable", "after": size - 1}),
    );
}

/// The export as it would have been at the end of the first run.
fn rolled_back() -> String {
    let evidence = evidence();
    let (before, mut leaves) = taken_apart(&evidence.export);
    let size = leaves.len();
    leaves.truncate(evidence.first_run as usize);
    let covered = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        let note = line["checkpoint"]
            .as_str()
            .map(|text| Note::parse(text).unwrap());
        note.is_none_or(|note| note.checkpoint().unwrap().size <= evidence.first_run)
    };
    let before: Vec<_> = before.into_iter().filter(covered).collect();
    let text = put_together(&before, &leaves);
    text.replacen(
        &format!("\"size\":{size}"),
        &format!("\"size\":{}", leaves.len()),
        1,
    )
}

#[test]
fn a_log_that_was_rolled_back_is_found_by_checkpoints_kept_elsewhere() {
    let export = rolled_back();
    // By itself it is a log that once was.
    holds(&export, &[]);
    let there = evidence().first_run;
    let expect = json!({"kind": "rolled-back", "there": there});
    fails(&export, &["--checkpoint", &elsewhere()], expect);
}

#[test]
fn a_log_that_was_forked_is_found_by_checkpoints_kept_elsewhere() {
    let evidence = evidence();
    let data = evidence.folder.path().join("forked");
    copy(&evidence.folder.path().join("first"), &data);
    let server = Server::start_on(&data, &["--demo=0"]);
    grow(&server, 300);
    let forked = export(&data, evidence.folder.path().join("forked.ndjson"), &[]);
    assert!(server.stop().success());
    holds(&forked, &[]);
    let (status, result) = verify(&forked, &evidence.key, &["--checkpoint", &elsewhere()]);
    let first = &result["findings"][0];
    assert_eq!(
        (status, &first["kind"]),
        (Some(1), &json!("forked")),
        "{result}"
    );
    assert_eq!(first["from"], evidence.first_run, "{result}");
}

#[test]
fn a_log_of_another_key_is_found() {
    let evidence = evidence();
    let (origin, _) = evidence.key.split_once('+').unwrap();
    let other = Signer::new(origin, &SecretKey::from_bytes([1; 32])).unwrap();
    let (status, result) = verify(&evidence.export, &other.public().to_string(), &[]);
    let first = &result["findings"][0];
    assert_eq!(
        (status, &first["kind"]),
        (Some(1), &json!("another-key")),
        "{result}"
    );
    // Checkpoints that somebody signed in its stead.
    let signed_anew = evidence.export.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let Some(note) = value["checkpoint"].as_str() else {
            return format!("{line}\n");
        };
        let text = Note::parse(note).unwrap().text().to_owned();
        let note = Note::new(text.clone(), other.sign(&text, 0));
        format!("{}\n", json!({"checkpoint": note.to_string()}))
    });
    let signed_anew: String = signed_anew.collect();
    fails(&signed_anew, &[], json!({"kind": "another-key"}));
    let changed = evidence.export.replacen("\\ntime 1", "\\ntime 2", 1);
    fails(&changed, &[], json!({"kind": "forged"}));
}

#[test]
fn an_export_shows_the_projects_asked_for_and_goes_on_from_another() {
    let evidence = evidence();
    let folder = evidence.folder.path();
    // Without a server; the others may have the first copy.
    let data = folder.join("shown");
    copy(&folder.join("first"), &data);
    let of_one = export(&data, folder.join("trial.ndjson"), &["--project", "trial"]);
    let result = holds(&of_one, &[]);
    let (shown, hidden) = (result["shown"].as_u64(), result["hidden"].as_u64());
    assert!(shown >= Some(75) && hidden >= Some(75), "{result}");
    let scopes = |export: &str| {
        let lines = export.lines().skip(1);
        let values = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut count = BTreeMap::new();
        values.for_each(|line| *count.entry(line["scope"].to_string()).or_insert(0_u64) += 1);
        count
    };
    let counted = scopes(&of_one);
    assert_eq!(
        counted.len(),
        2,
        "one scope, and lines without: {counted:?}"
    );
    let after = evidence.first_run.to_string();
    let more = export(&data, folder.join("more.ndjson"), &["--after", &after]);
    let result = holds(&more, &[]);
    assert_eq!(result["after"], evidence.first_run);
    let leaves = taken_apart(&more).1;
    assert!(!leaves.is_empty() && leaves.len() < 20, "{}", leaves.len());
    let head = more.lines().next().unwrap();
    let mut changed: Value = serde_json::from_str(head).unwrap();
    changed["frontier"][0] = Base64::encode_string(&[0; 32]).into();
    let frontier = serde_json::from_str::<Value>(head).unwrap()["frontier"][0].take();
    let other = changed["frontier"][0].as_str().unwrap();
    let changed = more.replacen(frontier.as_str().unwrap(), other, 1);
    fails(&changed, &[], json!({"kind": "changed"}));
    let none = salus(&[
        "audit",
        "export",
        "--project",
        "none",
        "--out",
        "none",
        "--data",
    ])
    .arg(&data)
    .output()
    .unwrap();
    assert!(!none.status.success(), "{none:?}");
}

#[test]
fn check_finds_a_store_that_was_rolled_back() {
    let evidence = evidence();
    let data = evidence.folder.path().join("back");
    copy(&evidence.folder.path().join("data"), &data);
    let check = || {
        let output = salus(&["check", "--data"]).arg(&data).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(check(), (Some(0), "everything fits together\n".to_owned()));
    std::fs::remove_dir_all(data.join("store")).unwrap();
    copy(
        &evidence.folder.path().join("first/store"),
        &data.join("store"),
    );
    let (status, text) = check();
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("rolled back"), "{text}");
}

#[test]
fn anyone_may_have_the_key_and_the_newest_checkpoint_and_few_the_export() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0"]);
    let new = json!({"slug": "trial", "name": "Trial"});
    server.admin("POST", "/admin/projects", &new).expect(201);
    grow(&server, 4);
    assert!(server.stop().success());
    let server = Server::start_on(&data, &["--demo=0"]);
    let anonymous = |path: &str| server.send(Request::new("GET", path));
    let key = anonymous("/audit/key").expect(200).body;
    let note = anonymous("/audit/checkpoint").expect(200).body;
    let note = Note::parse(&note).unwrap();
    assert_eq!(
        note.signers().collect::<Vec<_>>(),
        [key.split_once('+').unwrap().0]
    );
    anonymous("/audit/export").expect(401);
    // The administrator of the server and of its default project has no rights in the other one.
    let path = "/audit/export";
    let answer = server.admin("GET", path, &Value::Null).expect(200);
    let head: Value = serde_json::from_str(answer.body.lines().next().unwrap()).unwrap();
    assert_eq!(head["projects"], json!({"0": "system", "1": "default"}));
    let of_trial = |line: &str| line.contains("\"scope\":2");
    assert!(!answer.body.lines().any(of_trial));
    assert_eq!(verify(&answer.body, key.trim(), &[]).0, Some(0));
    server
        .admin("GET", "/audit/export?after=x", &Value::Null)
        .expect(400);
    server
        .admin("GET", "/audit/export?after=99999", &Value::Null)
        .expect(400);
    server
        .admin("GET", "/audit/export?project=none", &Value::Null)
        .expect(404);
    let metrics = server
        .admin("GET", "/metrics", &Value::Null)
        .expect(200)
        .body;
    assert!(
        metrics.contains("salus_audit_checkpoints_total "),
        "{metrics}"
    );
    assert!(
        metrics.contains("salus_audit_checkpoints_unpublished_total 0"),
        "{metrics}"
    );
}

/// A witness as C2SP describes it.
struct Witnessing {
    signer: Signer,
    seen: Mutex<(u64, Hash)>,
    answers: Mutex<Vec<u16>>,
}

impl Witnessing {
    fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/w", listener.local_addr().unwrap());
        let secret = SecretKey::from_bytes([5; 32]);
        let witness = Arc::new(Self {
            signer: Signer::witness("witness.example/w", &secret).unwrap(),
            seen: Mutex::new((0, merkle::root(&[]))),
            answers: Mutex::default(),
        });
        let at_work = Arc::clone(&witness);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (path, body) = received(&stream);
                assert_eq!(path, "/w/add-checkpoint");
                let (status, answer) = at_work.answer(&body);
                at_work.answers.lock().unwrap().push(status);
                let length = answer.len();
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
                let _ = stream.write_all(format!("{head}{answer}").as_bytes());
            }
        });
        (witness, url)
    }

    fn answer(&self, body: &str) -> (u16, String) {
        let (head, note) = body.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let old: u64 = lines
            .next()
            .unwrap()
            .strip_prefix("old ")
            .unwrap()
            .parse()
            .unwrap();
        let hash = |line: &str| Base64::decode_vec(line).unwrap().try_into().unwrap();
        let proof: Vec<Hash> = lines.map(hash).collect();
        let note = Note::parse(note).unwrap();
        let next = note.checkpoint().unwrap();
        let mut seen = self.seen.lock().unwrap();
        if old != seen.0 {
            return (409, format!("{}\n", seen.0));
        }
        if !merkle::verify_consistency(seen.0, &seen.1, next.size, &next.root, &proof) {
            return (422, String::new());
        }
        *seen = (next.size, next.root);
        (
            200,
            format!("{}\n", self.signer.sign(note.text(), 1_700_000_000)),
        )
    }
}

fn received(stream: &std::net::TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    (path, String::from_utf8(body).unwrap())
}

#[test]
fn a_witness_cosigns_what_only_grew() {
    let (witness, url) = Witnessing::start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for run in 1..=2 {
        let server = Server::start_on(&data, &["--demo=0", "--checkpoints", &url]);
        let new = json!({"slug": "trial", "name": "Trial"});
        let made = server.admin("POST", "/admin/projects", &new);
        assert_eq!(made.status == 201, run == 1, "{}", made.body);
        grow(&server, 150);
        assert!(server.stop().success());
    }
    // The second run has to ask how far the witness has come.
    let answers = witness.answers.lock().unwrap().clone();
    assert!(
        answers.contains(&409) && answers.ends_with(&[200]),
        "{answers:?}"
    );
    let size = witness.seen.lock().unwrap().0;
    assert!(size > 300, "{size}");
    let file = export(&data, folder.path().join("export.ndjson"), &[]);
    let key = said(&["audit", "key", "--data", data.to_str().unwrap()]);
    let public = witness.signer.public().to_string();
    let (status, result) = verify(&file, key.trim(), &["--witness", &public]);
    assert_eq!(status, Some(0), "{result}");
    assert_eq!(result["witnesses"]["witness.example/w"], size, "{result}");
    let other = Signer::witness("witness.example/w", &SecretKey::from_bytes([6; 32])).unwrap();
    let other = other.public().to_string();
    let (status, result) = verify(&file, key.trim(), &["--witness", &other]);
    assert_eq!(
        (status, &result["good"]),
        (Some(1), &json!(false)),
        "{result}"
    );
}

#[test]
fn a_witness_that_is_not_there_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let place = format!("http://{nobody}/");
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0", "--checkpoints", &place]);
    let counted = loop {
        let metrics = server
            .admin("GET", "/metrics", &Value::Null)
            .expect(200)
            .body;
        let (_, rest) = metrics
            .split_once("audit_checkpoints_unpublished_total ")
            .unwrap();
        match rest.lines().next().unwrap() {
            "0" => std::thread::yield_now(),
            count => break count.to_owned(),
        }
    };
    assert!(counted.parse::<u64>().unwrap() >= 1);
    assert!(server.log().contains("a checkpoint cannot be published"));
    assert!(server.stop().success());
    assert!(largest(&data.join("checkpoints")) > 0);
}
