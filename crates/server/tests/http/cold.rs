//! Cold storage: what is moved, who is told, what comes back, over HTTP and by commands.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::archive_s3;
use crate::host::{Project, Server, salus};
use crate::killed::{self, Killing};

const REASON: &str = "yearly move";

fn observation(id: &str, patient: &str, text: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": text},
        "subject": {"reference": format!("Patient/{patient}")}, "effectiveDateTime": "2001-05-05"})
}

/// A server with cold storage, and records of two patients.
fn lived(folder: &Path) -> Project {
    let cold = folder.join("cold");
    lived_with(folder, cold.to_str().unwrap(), &[])
}

fn lived_with(folder: &Path, cold: &str, variables: &[(&str, &str)]) -> Project {
    let arguments = ["--demo=0", "--cold", cold];
    let data = folder.join("data");
    let server = Arc::new(Server::start_with(&data, &arguments, variables));
    let project = Project::create(&server, "cold");
    for id in ["own", "other"] {
        let patient = json!({"resourceType": "Patient", "id": id, "birthDate": "1950-01-01"});
        project.put(&patient).expect(201);
        project.put(&observation(id, id, "Xylophonia")).expect(201);
        project.put(&observation(id, id, "better")).expect(200);
    }
    let classes = json!({"classes": [{"name": "findings", "types": ["Observation"], "years": 5,
        "cold_after_years": 2, "then": "dispose"}]});
    project
        .admin("PUT", "/admin/retention", &classes)
        .expect(200);
    project
}

#[track_caller]
fn move_due(project: &Project, dry_run: bool) -> Value {
    let body = json!({"reason": REASON, "dryRun": dry_run});
    let moved = project.admin("POST", "/admin/cold/move", &body);
    let moved = moved.expect(200).json();
    assert_eq!(moved["complete"], true, "{moved}");
    moved
}

#[track_caller]
fn told(project: &Project, path: &str, status: u16) -> String {
    let outcome = project.get(path).expect(status).json();
    let details = outcome["issue"][0]["details"]["text"].as_str();
    details.unwrap_or_default().to_owned()
}

#[test]
fn what_is_seldom_needed_is_moved_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let project = lived(folder.path());
    let hold = json!({"name": "Case", "reason": "a claim was filed", "patients": ["other"]});
    let hold = project
        .admin("POST", "/admin/holds", &hold)
        .expect(201)
        .json();
    let would = move_due(&project, true);
    assert_eq!(would["moved"], json!({"Observation": 1}));
    assert_eq!(would["held"], 1);
    assert_eq!(project.count("Observation"), 2);
    let path = format!("/admin/holds/{}/lift", hold["id"].as_str().unwrap());
    let lift = json!({"reason": "the claim was settled"});
    project.admin("POST", &path, &lift).expect(200);
    assert_eq!(
        move_due(&project, false)["moved"],
        json!({"Observation": 2})
    );
    assert_eq!(project.count("Observation"), 0);
    for path in ["Observation/own", "Observation/own/_history/1"] {
        assert!(told(&project, path, 410).contains("cold storage"), "{path}");
    }
    project.get("Observation/none").expect(404);
    let over = project.put(&observation("own", "own", "other")).expect(409);
    assert!(over.body.contains("cold storage"), "{}", over.body);
    let report = project.admin("GET", "/admin/retention/report", &Value::Null);
    let report = report.expect(200).json();
    assert_eq!(report["classes"][0]["types"][0]["cold"], 2, "{report}");
    let listed = project.admin("GET", "/admin/cold/records", &Value::Null);
    let listed = listed.expect(200).body;
    assert!(listed.contains("Observation") && !listed.contains("Xylophonia"));
    let back = json!({"type": "Observation", "id": "own", "reason": "asked for by the ward"});
    let retrieve = || project.admin("POST", "/admin/cold/retrieve", &back);
    retrieve().expect(200);
    retrieve().expect(409);
    let own = project.get("Observation/own").expect(200).json();
    assert_eq!(own["code"]["text"], "better");
    assert_eq!(
        project
            .get("Observation?subject=Patient/own")
            .expect(200)
            .json()["total"],
        1
    );
    let path = "/admin/cold/records/Observation/own/history";
    let history = project.admin("GET", path, &Value::Null).expect(200).json();
    assert_eq!(
        history["entry"][1]["resource"]["code"]["text"],
        "Xylophonia"
    );
    for (subtype, count) in [("archive", 3), ("reactivate", 1)] {
        let path = format!("AuditEvent?subtype={subtype}&_count=200&outcome=0");
        let found = project.get(&path).expect(200).json();
        let entries = found["entry"].as_array().map_or(0, Vec::len);
        assert!(entries >= count, "{subtype}: {entries}");
    }
}

#[test]
fn who_may_not_read_a_cold_record_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let project = lived(folder.path());
    project
        .admin("PUT", "/admin/policies/patient-app", &patient_app(&project))
        .expect(201);
    let password = json!({"roles": ["patient"], "profiles": ["Patient/own"],
        "password": crate::host::PASSWORD});
    project.user("pat", &password);
    let own = project.with(&project.sign_in_user("pat"));
    own.get("Observation/own").expect(200);
    own.get("Observation/other").expect(404);
    move_due(&project, false);
    assert!(told(&own, "Observation/own", 410).contains("cold storage"));
    assert!(!told(&own, "Observation/other", 404).contains("cold"));
    for path in ["/admin/cold", "/admin/cold/records"] {
        own.ask(&own.token, "GET", path, &Value::Null).expect(403);
    }
}

fn patient_app(project: &Project) -> Value {
    let sets = project.admin("GET", "/admin/policy-sets", &Value::Null);
    let sets = sets.expect(200).json();
    let mut all = sets["policySets"].as_array().unwrap().iter();
    let set = all.find(|set| set["name"] == "patient-app").unwrap();
    json!({"description": set["description"], "rules": set["rules"]})
}

#[test]
fn commands_move_verify_bring_back_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let project = lived(folder.path());
    let run = |arguments: &[&str]| {
        let mut command = salus(arguments);
        command.args(["--project", "cold", "--data"]);
        let output = command.arg(folder.path().join("data")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), format!("{text}{error}"))
    };
    let (done, text) = run(&["cold", "move", "--reason", REASON]);
    assert!(done && text.contains("moved: 2 Observation"), "{text}");
    let (done, text) = run(&["cold", "verify"]);
    assert!(done && text.contains("2 records"), "{text}");
    let (_, text) = run(&["cold", "list"]);
    assert!(text.contains("Observation/own"), "{text}");
    let (done, text) = run(&[
        "cold",
        "retrieve",
        "Observation/own",
        "--reason",
        "asked for by a ward",
    ]);
    assert!(done, "{text}");
    project.get("Observation/own").expect(200);
    let (done, text) = run(&["cold", "history", "Observation/own"]);
    assert!(done && text.contains("Xylophonia"), "{text}");
    let (done, text) = run(&["retention", "dispose", "--reason", "yearly disposal"]);
    assert!(done && text.contains("2 Observation"), "{text}");
    let objects = crate::keys::everything(&folder.path().join("cold"));
    assert_eq!(objects.len(), 0, "what is disposed of is in no object");
    let report = folder.path().join("report.json");
    let report = report.to_str().unwrap();
    let (done, text) = run(&["retention", "report", "--signed", "--out", report]);
    assert!(done, "{text}");
    let (_, key) = run(&["shred", "key"]);
    let verify = |file: &str| {
        let output = salus(&["shred", "verify", file, "--key", key.trim()]).output();
        let output = output.unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (proved, text) = verify(report);
    assert!(proved && text.contains("2 Observation"), "{text}");
    let changed = std::fs::read_to_string(report)
        .unwrap()
        .replace("yearly", "nearly");
    std::fs::write(report, changed).unwrap();
    assert!(!verify(report).0);
}

/// Where a folder's records are, as the commands find them: what is in cold storage, and that all of
/// that is what it was.
struct Kept {
    folder: tempfile::TempDir,
    slug: String,
    token: String,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = lived(folder.path());
        let (slug, token) = (project.slug.clone(), project.token.clone());
        drop(project);
        Self {
            folder,
            slug,
            token,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = salus(arguments);
        command.args(["--project", &self.slug, "--data"]);
        command.arg(self.path("data"));
        command.env("SALUS_COLD", self.path("cold"));
        command
    }

    #[track_caller]
    fn is_clean(&self) {
        let output = self.command(&["cold", "verify"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn cold(&self) -> Vec<String> {
        let output = self.command(&["cold", "list"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let all = ["Observation/own", "Observation/other"];
        let cold = all.iter().filter(|record| text.contains(**record));
        cold.map(|record| (*record).to_owned()).collect()
    }

    /// Each record is here with its versions, or there and nowhere else.
    #[track_caller]
    fn each_is_in_one_place(&self) {
        self.is_clean();
        let there = self.cold();
        let cold = self.path("cold");
        let project = Project {
            server: Arc::new(Server::start_on(
                &self.path("data"),
                &["--demo=0", "--cold", cold.to_str().unwrap()],
            )),
            slug: self.slug.clone(),
            token: self.token.clone(),
        };
        for record in ["Observation/own", "Observation/other"] {
            let versions = [record.to_owned(), format!("{record}/_history/1")];
            for version in versions {
                match there.iter().any(|one| one == record) {
                    true => assert!(told(&project, &version, 410).contains("cold storage")),
                    false => drop(project.get(&version).expect(200)),
                }
            }
        }
    }
}

#[test]
fn a_move_that_is_killed_anywhere_leaves_each_record_in_one_place() {
    let Some(shim) = killed::shim() else { return };
    for in_store in [false, true] {
        let kept = Kept::new();
        let killing = match in_store {
            false => Killing::each(&kept.path("cold")),
            true => Killing::commits(&kept.path("data/store")),
        };
        let command = || kept.command(&["cold", "move", "--reason", REASON]);
        let kills = killing.rounds(&shim, command, || kept.each_is_in_one_place());
        assert!(kills > 3, "{kills}");
        kept.each_is_in_one_place();
        assert_eq!(kept.cold().len(), 2);
        // One for each patient: what was broken off was removed.
        assert_eq!(objects(&kept.path("cold")), 2);
    }
}

#[test]
fn a_disposal_that_is_killed_anywhere_leaves_nothing_of_a_record_or_all_of_it() {
    let Some(shim) = killed::shim() else { return };
    for in_store in [false, true] {
        let kept = Kept::new();
        let moved = kept.command(&["cold", "move", "--reason", REASON]).output();
        assert!(moved.unwrap().status.success());
        let killing = match in_store {
            false => Killing::each(&kept.path("cold")),
            true => Killing::commits(&kept.path("data/store")),
        };
        let command = || kept.command(&["retention", "dispose", "--reason", "yearly disposal"]);
        let kills = killing.rounds(&shim, command, || kept.is_clean());
        assert!(kills > 1, "{kills}");
        kept.is_clean();
        assert_eq!(kept.cold(), [""; 0]);
        assert_eq!(objects(&kept.path("cold")), 0);
    }
}

#[test]
fn a_server_without_cold_storage_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start_on(&folder.path().join("data"), &["--demo=0"]));
    let project = Project::create(&server, "warm");
    let body = json!({"reason": REASON});
    let asked = project.admin("POST", "/admin/cold/move", &body);
    assert!(asked.expect(422).body.contains("--cold"));
}

/// Objects that are there; of what was broken off while it was written nobody knows.
fn objects(cold: &Path) -> usize {
    let all = crate::keys::everything(cold);
    let unfinished = cold.join("new");
    all.iter()
        .filter(|(path, _)| !path.starts_with(&unfinished))
        .count()
}

#[test]
fn a_bucket_with_locks_holds_cold_records_and_says_what_it_keeps() {
    let bucket = archive_s3::Shared::default();
    let address = archive_s3::start(Arc::clone(&bucket));
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    let (key, secret) = (archive_s3::KEY, archive_s3::SECRET);
    let text = format!("[cold]\naws_access_key_id={key}\naws_secret_access_key={secret}\n");
    std::fs::write(&credentials, text).unwrap();
    let cold = format!(
        "s3://bucket/cold?region=eu-central-1&endpoint=http://{address}&lock=governance&lock-days=2"
    );
    let variables = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("AWS_PROFILE", "cold"),
    ];
    let project = lived_with(folder.path(), &cold, &variables);
    assert_eq!(
        move_due(&project, false)["moved"],
        json!({"Observation": 2})
    );
    {
        let bucket = bucket.lock().unwrap();
        assert_eq!((bucket.objects.len(), bucket.locks.len()), (2, 2));
        assert_eq!(bucket.wrong, Vec::<String>::new());
        let text = b"Xylophonia";
        let has = |object: &[u8]| object.windows(text.len()).any(|part| part == text);
        assert!(!bucket.objects.values().any(|object| has(object)));
    }
    let verify = || {
        let verified = project.admin("POST", "/admin/cold/verify", &json!({}));
        verified.expect(200).json()
    };
    assert_eq!(
        (&verify()["records"], &verify()["faults"]),
        (&json!(2), &json!([]))
    );
    // Another's in the place of one is told, and nothing comes back.
    let own = project.admin("GET", "/admin/cold/records/Observation/own", &Value::Null);
    let own = own.expect(200).json();
    let name = format!("cold/{}", own["objects"][0]["name"].as_str().unwrap());
    let whole = {
        let mut bucket = bucket.lock().unwrap();
        let other = bucket.objects.iter().find(|(other, _)| **other != name);
        let other = other.unwrap().1.clone();
        bucket.objects.insert(name.clone(), other).unwrap()
    };
    let back = json!({"type": "Observation", "id": "own", "reason": "asked for by the ward"});
    let refused = project
        .admin("POST", "/admin/cold/retrieve", &back)
        .expect(422);
    assert!(refused.body.contains("foreign"), "{}", refused.body);
    assert_eq!(verify()["faults"][0]["record"], "Observation/own");
    bucket.lock().unwrap().objects.insert(name, whole);
    let body = json!({"reason": "yearly disposal"});
    let disposed = project.admin("POST", "/admin/retention/dispose", &body);
    let disposed = disposed.expect(200).json();
    assert_eq!(disposed["cold"], 2, "{disposed}");
    assert_eq!(
        disposed["objectsLeft"].as_array().unwrap().len(),
        2,
        "{disposed}"
    );
}
