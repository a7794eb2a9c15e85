//! `salus restore`: from an archive to a data folder that a server runs on.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use salus_archive::{Archive, Folder, Keys, Settings, Shipping, Source};
use salus_crypto::{Founding, Keyring};
use salus_store::{Reply, SealedBlob, SealedBlobs, Seq, Store};
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::{Project, Server, salus};

/// A store without blobs.
pub(crate) struct NoBlobs;

impl SealedBlobs for NoBlobs {
    fn all(&self) -> Reply<'_, Vec<SealedBlob>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn sealed<'a>(&'a self, _: &'a SealedBlob, _: u64, _: usize) -> Reply<'a, Option<Bytes>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn finished(&self) -> u64 {
        0
    }

    fn finished_since(&self, _: u64) -> Option<Vec<SealedBlob>> {
        Some(Vec::new())
    }
}

/// A store whose patient was called by several names, one after the other, in an archive.
pub(crate) struct Archived {
    folder: TempDir,
    slug: String,
    token: String,
    /// The first seq of each name.
    seqs: Vec<u64>,
}

const NAMES: [&str; 4] = ["Zwingli", "Calvin", "Erasmus", "Luther"];

impl Archived {
    pub(crate) fn new(slug: &str) -> Self {
        Self::with(slug, |_| (), |_| ())
    }

    /// The same with what is done behind each name, and at the end.
    fn with(slug: &str, more: fn(&Project), ended: fn(&Project)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = Arc::new(Server::start_on(&data, &["--demo=0"]));
        let project = Project::create(&server, slug);
        for name in NAMES {
            let patient = json!({"resourceType": "Patient", "id": "a", "name": [{"family": name}]});
            project.put(&patient);
            more(&project);
        }
        ended(&project);
        let (slug, token) = (project.slug.clone(), project.token.clone());
        drop(project);
        assert!(Arc::into_inner(server).unwrap().stop().success());
        let mut archived = Self {
            folder,
            slug,
            token,
            seqs: Vec::new(),
        };
        archived.ship();
        archived
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ships what there is, in small segments.
    fn ship(&mut self) {
        let data = self.path("data");
        let keyring = Keyring::open(&data.join("keys"), Founding::Existing, 0).unwrap();
        let archive = Folder::open(&self.path("archive"));
        let archive = Archive::open(Arc::new(archive), Keys::of(&keyring).unwrap());
        let engine = Embedded::open(Options::new(data.join("store"), keyring)).unwrap();
        let settings = Settings {
            bytes: 2_000,
            ..Settings::usual(|| 0)
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        self.seqs = runtime.block_on(async {
            let source = Source {
                log: engine.clone(),
                blobs: Arc::new(NoBlobs),
            };
            let shipping = Shipping::start(source, archive, settings);
            shipping.stop(Duration::from_secs(60)).await;
            let changes = engine.changes(Seq(0), usize::MAX).await.unwrap();
            engine.close().await.unwrap();
            let versions = changes.iter().filter(|change| &*change.record.id == "a");
            versions.map(|change| change.record.seq.0).collect()
        });
        assert_eq!(self.seqs.len(), NAMES.len());
    }

    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut segments = files(&self.path("archive").join("segments"));
        segments.sort();
        assert!(segments.len() > 2, "{segments:?}");
        segments
    }

    fn restore(&self, to: &str, more: &[&str]) -> Output {
        let mut command = salus(&["restore", "--json", "--from"]);
        command
            .arg(self.path("archive"))
            .arg("--to")
            .arg(self.path(to));
        let output = command.arg("--keys").arg(self.path("data/keys")).args(more);
        output.output().unwrap()
    }

    /// The project on a server that runs on a restored folder.
    fn serve(&self, of: &str) -> Project {
        Project {
            server: Arc::new(Server::start_on(&self.path(of), &["--demo=0"])),
            slug: self.slug.clone(),
            token: self.token.clone(),
        }
    }

    /// What the patient is called on a restored folder, by a search.
    fn name(&self, of: &str) -> Option<String> {
        let project = self.serve(of);
        let found = project.get("Patient?_id=a").expect(200).json();
        let name = &found["entry"][0]["resource"]["name"][0]["family"];
        let name = name.as_str()?;
        let by_name = project.get(&format!("Patient?family={name}"));
        assert_eq!(by_name.expect(200).json()["total"], 1);
        Some(name.to_owned())
    }
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let (dirs, mut all): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    all.extend(dirs.iter().flat_map(|dir| files(dir)));
    all
}

pub(crate) fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_store_is_restored_to_any_commit() {
    let archived = Archived::new("restore-any");
    let whole = archived.restore("whole", &[]);
    assert!(whole.status.success(), "{whole:?}");
    let whole = report(&whole);
    assert_eq!(
        (&whole["findings"], &whole["unreadable"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(archived.name("whole").as_deref(), Some("Luther"));
    for (place, seq) in archived.seqs.clone().into_iter().enumerate() {
        // With its audit entry; without it there is the state before.
        for (upto, name) in [
            (seq + 1, Some(NAMES[place])),
            (seq, place.checked_sub(1).map(|at| NAMES[at])),
        ] {
            let to = format!("upto-{upto}");
            let restored = archived.restore(&to, &["--at-seq", &upto.to_string()]);
            assert!(restored.status.success(), "{restored:?}");
            if place == 1 {
                assert_eq!(archived.name(&to).as_deref(), name);
            }
        }
    }
    let none = archived.restore("none", &["--at", "1990-01-01T00:00:00Z"]);
    assert!(none.status.success(), "{none:?}");
    assert_eq!(report(&none)["seq"], 0);
    let again = archived.restore("whole", &[]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("not empty"), "{said}");
}

#[test]
fn what_is_damaged_is_named_and_all_before_is_restored() {
    let archived = Archived::new("restore-damaged");
    let segments = archived.segments();
    let damaged = &segments[segments.len() - 2];
    let whole = std::fs::read(damaged).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for (to, bytes) in [("damaged", Some(changed)), ("missing", None)] {
        std::fs::remove_file(damaged).unwrap();
        if let Some(bytes) = bytes {
            std::fs::write(damaged, bytes).unwrap();
        }
        let restored = archived.restore(to, &[]);
        assert_eq!(restored.status.code(), Some(3), "{restored:?}");
        let report = report(&restored);
        assert_eq!(report["findings"], json!([]));
        assert_eq!(
            report["damaged"].as_array().map(Vec::len),
            Some(1),
            "{report}"
        );
        assert!(report["seq"].as_u64() > Some(0), "{report}");
        let check = salus(&["check", "--data"]).arg(archived.path(to)).output();
        assert!(check.unwrap().status.success());
        std::fs::write(damaged, &whole).unwrap();
    }
}

/// One more version of resources of several forms, and a patient who has one version only.
fn add_more(project: &Project) {
    let contained = json!({"resourceType": "Medication", "id": "m1",
        "code": {"coding": [{"system": "urn:drugs", "code": "aspirin"}]}});
    for resource in [
        json!({"resourceType": "MedicationRequest", "id": "contains", "status": "active",
            "intent": "order", "contained": [contained], "subject": {"reference": "Patient/a"},
            "medicationReference": {"reference": "#m1"}}),
        json!({"resourceType": "Binary", "id": "scan", "contentType": "image/png",
            "data": "BwcH".repeat(100 << 10), "securityContext": {"reference": "Patient/a"}}),
        json!({"resourceType": "SearchParameter", "id": "eye", "status": "active", "name": "eye",
            "url": "http://example.org/eye", "description": "eye", "code": "eye",
            "base": ["Patient"], "type": "token",
            "expression": "Patient.extension.where(url='http://example.org/eye').value"}),
    ] {
        let answer = project.put(&resource);
        assert!(matches!(answer.status, 200 | 201), "{}", answer.json());
    }
    let alone = json!({"resourceType": "Patient", "id": "b", "name": [{"family": "Knox"}]});
    if project.get("Patient/b").status == 404 {
        project.put(&alone).expect(201);
    }
}

fn purge_all(project: &Project) {
    for record in [
        "Patient/a",
        "MedicationRequest/contains",
        "Binary/scan",
        "SearchParameter/eye",
    ] {
        let path = format!("/p/{}/fhir/{record}/$purge-history", project.slug);
        let keep = json!({"resourceType": "Parameters",
            "parameter": [{"name": "keep", "valuePositiveInt": 1}]});
        project.server.admin("POST", &path, &keep).expect(200);
    }
}

/// An archive that began when the history was purged already: at an earlier point the newest
/// versions are of those that went.
#[test]
fn what_was_purged_before_it_was_archived_is_named_and_the_rest_is_restored() {
    let archived = Archived::with("restore-purged", add_more, purge_all);
    let whole = report(&archived.restore("whole", &[]));
    assert_eq!(whole["lost"], json!([]));
    // That of the Binary's last version: nothing ships blobs here.
    assert_eq!(whole["damaged"].as_array().map(Vec::len), Some(1));
    // Before the patient's third version.
    let upto = (archived.seqs[2] - 1).to_string();
    let restored = archived.restore("then", &["--at-seq", &upto]);
    assert_eq!(restored.status.code(), Some(3), "{restored:?}");
    let report = report(&restored);
    let (findings, damaged) = (&report["findings"], &report["damaged"]);
    assert_eq!(
        (findings, damaged, &report["failed"], &report["unreadable"]),
        (&json!([]), &json!([]), &json!(0), &json!(0))
    );
    let lost = report["lost"].as_array().unwrap().iter();
    let mut lost: Vec<_> = lost
        .map(|one| (one["type"].as_str(), one["version"].as_u64()))
        .collect();
    lost.sort_unstable();
    let expected = ["Binary", "MedicationRequest", "Patient", "SearchParameter"];
    assert_eq!(lost, expected.map(|ty| (Some(ty), Some(2))));

    let project = archived.serve("then");
    for record in ["Patient/a", "MedicationRequest/contains", "Binary/scan"] {
        project.get(record).expect(410);
        let history = project.get(&format!("{record}/_history")).expect(200);
        let entries = history.json()["entry"].as_array().map(Vec::len);
        assert_eq!(entries, Some(1), "{}", history.json());
        project.get(&format!("{record}/_history/2")).expect(404);
    }
    let total = |search: &str| project.get(search).expect(200).json()["total"].clone();
    assert_eq!(total("Patient?_total=accurate"), 1);
    assert_eq!(total("Patient?family=knox"), 1);
    assert_eq!(total("Medication?code=aspirin&_contained=true"), 0);
    let again = json!({"resourceType": "Patient", "id": "a", "name": [{"family": "Calvin"}]});
    project.put(&again).expect(201);
    let read = project.get("Patient/a").expect(200).json();
    assert_eq!(read["meta"]["versionId"], "4");
    assert_eq!(total("Patient?family=calvin"), 1);
    drop(project);
    let check = salus(&["check", "--data"])
        .arg(archived.path("then"))
        .output();
    assert!(check.unwrap().status.success());
}

#[test]
fn foreign_keys_and_killed_restores_leave_no_store_that_opens() {
    let archived = Archived::new("restore-foreign");
    let other = archived.path("other");
    drop(Keyring::open(&other, Founding::New, 0).unwrap());
    let mut foreign = salus(&["restore", "--from"]);
    foreign
        .arg(archived.path("archive"))
        .arg("--to")
        .arg(archived.path("foreign"));
    let foreign = foreign.arg("--keys").arg(&other).output().unwrap();
    assert!(!foreign.status.success(), "{foreign:?}");
    for micros in [2_000, 20_000, 60_000, 150_000] {
        let to = archived.path(&format!("killed-{micros}"));
        let mut command = salus(&["restore", "--json", "--from"]);
        command.arg(archived.path("archive")).arg("--to").arg(&to);
        let mut child = command
            .arg("--keys")
            .arg(archived.path("data/keys"))
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        child.kill().unwrap();
        child.wait().unwrap();
        let torn = to.join("store/restoring").exists();
        let check = salus(&["check", "--data"]).arg(&to).output().unwrap();
        assert!(!torn || !check.status.success(), "{check:?}");
        if torn {
            let said = String::from_utf8(check.stderr).unwrap();
            assert!(said.contains("restore again"), "{said}");
        }
    }
}

#[test]
fn a_root_key_that_a_passphrase_wraps_opens_the_copy() {
    use std::os::unix::fs::OpenOptionsExt;
    let archived = Archived::new("restore-root");
    let secret = archived.path("secret");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    std::io::Write::write_all(&mut file.open(&secret).unwrap(), b"a quiet green bicycle\n")
        .unwrap();
    let source = format!("passphrase:file:{}", secret.display());
    let mut rotate = salus(&["keys", "rotate", "root", "--to", &source, "--data"]);
    let rotated = rotate.arg(archived.path("data")).output().unwrap();
    assert!(rotated.status.success(), "{rotated:?}");
    let without = archived.restore("without", &[]);
    assert_eq!(without.status.code(), Some(1), "{without:?}");
    let with = archived.restore("with", &["--root-key", &source]);
    assert!(with.status.success(), "{with:?}");
    assert_eq!(report(&with)["findings"], json!([]));
}
