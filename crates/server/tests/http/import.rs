//! `salus import`, `salus generate` and `salus check`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::host::{Server, salus};

#[track_caller]
pub(crate) fn import(data: &Path, source: &Path, arguments: &[&str]) -> Output {
    let mut command = salus(&["import"]);
    command.arg(source).arg("--data").arg(data).args(arguments);
    command.output().unwrap()
}

/// Imports with `--json`: the summary and the exit status.
#[track_caller]
fn summary(data: &Path, source: &Path) -> (Value, Option<i32>) {
    let output = import(data, source, &["--json"]);
    let line = String::from_utf8(output.stdout).unwrap();
    let summary = serde_json::from_str(&line);
    (
        summary
            .unwrap_or_else(|_| panic!("{line:?} {:?}", String::from_utf8_lossy(&output.stderr))),
        output.status.code(),
    )
}

#[track_caller]
pub(crate) fn generate(patients: usize, out: &Path, arguments: &[&str]) {
    let patients = patients.to_string();
    let output = salus(&["generate", "--patients", &patients, "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[track_caller]
pub(crate) fn total(server: &Server, search: &str) -> u64 {
    let separator = if search.contains('?') { '&' } else { '?' };
    let path = format!("/fhir/{search}{separator}_summary=count");
    server.admin("GET", &path, &Value::Null).expect(200).json()["total"]
        .as_u64()
        .unwrap()
}

fn patient(id: &str) -> String {
    json!({"resourceType": "Patient", "id": id}).to_string()
}

/// The Synthea bundles, where they lie beside the work tree.
fn synthea() -> Option<PathBuf> {
    let shared = match std::env::var_os("SALUS_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let folder = shared.join("data/synthea");
    folder.is_dir().then_some(folder)
}

#[test]
fn every_synthea_bundle_loads_and_every_reference_resolves() {
    let Some(source) = synthea() else {
        eprintln!("skipped: the shared folder is not here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (loaded, status) = summary(&data, &source);
    assert_eq!(
        (status, &loaded["faults"]),
        (Some(0), &json!([])),
        "{loaded}"
    );
    let mut expect = 0;
    for file in std::fs::read_dir(&source).unwrap() {
        let bundle: Value =
            serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        expect += bundle["entry"].as_array().unwrap().len();
    }
    assert_eq!(loaded["entries"], expect);
    check_references(&Server::start_on(&data, &["--demo=0"]));
}

#[test]
fn a_bad_line_is_named_and_the_rest_loads() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (
        folder.path().join("data"),
        folder.path().join("patients.ndjson"),
    );
    let lines = [
        &patient("a"),
        r#"{"resourceType":"Patient","id":"b","gender":"no such"}"#,
        "",
        &patient("c"),
        "{ this is no JSON",
        &patient("d"),
        r#"{"id":"e"}"#,
        &patient("f"),
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (loaded, status) = summary(&data, &file);
    assert_eq!(
        (status, &loaded["entries"]),
        (Some(1), &json!(4)),
        "{loaded}"
    );
    let mut lines: Vec<u64> = loaded["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["line"].as_u64().unwrap())
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 5, 7], "{loaded}");
    // For people: file, line and reason.
    let output = import(&data, &file, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("patients.ndjson:2: "), "{text}");
    assert!(text.contains("administrative-gender"), "{text}");
    let place = "patients.ndjson:5: not JSON at line 5, column 3: expected ";
    assert!(text.contains(place), "{text}");
    assert_eq!(output.status.code(), Some(1));
    let server = Server::start_on(&data, &["--demo=0"]);
    assert_eq!(total(&server, "Patient"), 4);
}

#[test]
fn files_of_every_form_load_into_a_running_server_and_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir_all(source.join("deeper")).unwrap();
    std::fs::write(source.join("one.json"), patient("one")).unwrap();
    std::fs::write(
        source.join("deeper/lines.ndjson"),
        format!("{}\n{}\n", patient("two"), patient("three")),
    )
    .unwrap();
    let collection = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient", "id": "four"}}]});
    std::fs::write(source.join("collection.json"), collection.to_string()).unwrap();
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": {"resourceType": "Patient", "id": "five"}, "request": {"method": "PUT", "url": "Patient/five"}}]});
    std::fs::write(source.join("batch.json"), batch.to_string()).unwrap();
    std::fs::write(source.join("notes.txt"), "not read").unwrap();
    let data = folder.path().join("data");
    let (loaded, status) = summary(&data, &source);
    assert_eq!(
        (status, &loaded["entries"], &loaded["files"]),
        (Some(0), &json!(5), &json!(4)),
        "{loaded}"
    );
    let server = Server::start_on(&data, &["--demo=0"]);
    assert_eq!(total(&server, "Patient"), 5);
    // Again, through the server that runs now: ids that are there are updated.
    let (loaded, status) = summary(&data, &source);
    assert_eq!(
        (status, &loaded["entries"]),
        (Some(0), &json!(5)),
        "{loaded}"
    );
    assert_eq!(total(&server, "Patient"), 5);
    let one = server
        .admin("GET", "/fhir/Patient/one", &Value::Null)
        .expect(200);
    assert_eq!(one.header("etag"), Some("W/\"2\""));
    let new = json!({"slug": "trial", "name": "Trial"});
    server.admin("POST", "/admin/projects", &new).expect(201);
    assert!(
        import(&data, &source, &["--project", "trial"])
            .status
            .success()
    );
    let trial = server
        .admin("GET", "/p/trial/fhir/Patient?_summary=count", &Value::Null)
        .expect(200);
    assert_eq!(
        (trial.json()["total"].as_u64(), total(&server, "Patient")),
        (Some(5), 5)
    );
    let output = import(&data, &source, &["--project", "none"]);
    assert_eq!(output.status.code(), Some(1));
    let output = import(&data, &folder.path().join("nowhere"), &[]);
    let reason = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && reason.contains("nowhere"),
        "{reason}"
    );
    for (name, text, line) in [
        ("broken.json", "{\n\"a\": oops\n}", 2),
        ("other.json", "[]", 1),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let (loaded, status) = summary(&data, &file);
        assert_eq!(
            (status, &loaded["faults"][0]["line"]),
            (Some(1), &json!(line)),
            "{loaded}"
        );
    }
}

#[test]
fn a_generated_population_loads_whole_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, data) = (
        folder.path().join("1"),
        folder.path().join("2"),
        folder.path().join("data"),
    );
    generate(3, &first, &["--seed", "5"]);
    generate(3, &second, &["--seed", "5"]);
    let names = |folder: &Path| -> BTreeSet<_> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect()
    };
    assert_eq!(names(&first), names(&second));
    assert_eq!(names(&first).len(), 4);
    for name in names(&first) {
        assert!(
            std::fs::read(first.join(&name)).unwrap() == std::fs::read(second.join(&name)).unwrap()
        );
    }
    let (loaded, status) = summary(&data, &first);
    assert_eq!(
        (status, &loaded["faults"]),
        (Some(0), &json!([])),
        "{loaded}"
    );
    let server = Server::start_on(&data, &["--demo=0"]);
    assert_eq!(total(&server, "Patient"), 3);
    check_references(&server);
    // `salus generate | salus import` by way of a file.
    let output = salus(&["generate", "--patients", "2", "--seed", "9"])
        .output()
        .unwrap();
    let lines = folder.path().join("lines.ndjson");
    std::fs::write(&lines, output.stdout).unwrap();
    let (loaded, status) = summary(&data, &lines);
    assert_eq!(
        (status, &loaded["faults"]),
        (Some(0), &json!([])),
        "{loaded}"
    );
    assert_eq!(total(&server, "Patient"), 5);
}

/// Every literal reference leads to a resource that is there.
#[track_caller]
fn check_references(server: &Server) {
    let (mut there, mut meant) = (BTreeSet::new(), BTreeSet::new());
    let mut next = Some("/fhir/_history?_count=1000".to_owned());
    while let Some(path) = next {
        let page = server.admin("GET", &path, &Value::Null).expect(200);
        for entry in page.json()["entry"].as_array().into_iter().flatten() {
            let resource = &entry["resource"];
            there.insert(format!(
                "{}/{}",
                resource["resourceType"].as_str().unwrap(),
                resource["id"].as_str().unwrap()
            ));
            references(resource, &mut meant);
        }
        next = page.link("next");
    }
    let missing: Vec<_> = meant.difference(&there).collect();
    assert!(
        missing.is_empty(),
        "{} of {} references: {:?}",
        missing.len(),
        meant.len(),
        &missing[..missing.len().min(5)]
    );
    assert!(meant.len() > 10);
}

fn references(value: &Value, meant: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        // References within the resource are not ours to resolve.
        let literal = value.as_str().filter(|text| !text.starts_with('#'));
        if let ("reference", Some(text)) = (name.as_str(), literal) {
            meant.insert(text.to_owned());
        }
        references(value, meant);
    }
    for item in value.as_array().into_iter().flatten() {
        references(item, meant);
    }
}

#[test]
fn check_tells_whether_a_folder_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let check = || {
        let output = salus(&["check", "--json", "--data"])
            .arg(&data)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(check().0, Some(1));
    assert!(!data.exists());
    let server = Server::start_on(&data, &["--demo=1"]);
    assert_eq!(check().0, Some(1), "a folder in use cannot be checked");
    assert!(server.stop().success());
    let sound = "{\"findings\":[],\"unreadableCheckpoints\":0}\n";
    assert_eq!(check(), (Some(0), sound.to_owned()));
}
