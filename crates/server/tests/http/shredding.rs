//! Shredding a patient: what goes, what stays, what stands against it, and the certificate.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::host::{ALL, Project, Server, copy, salus};
use crate::wire::Answer;

const MARKER: &str = "Xylophonia";
const REASON: &str = "the patient asked for erasure";

/// Two patients with records of many kinds, and some that both are in.
pub(crate) fn lived(project: &Project) {
    for (id, family) in [("gone", MARKER), ("kept", "Ordinary")] {
        let patient = json!({"resourceType": "Patient", "id": id, "birthDate": "1931-07-23",
            "identifier": [{"system": "urn:mrn", "value": format!("mrn-{family}")}],
            "name": [{"family": family}], "contained": [{"resourceType": "Organization",
                "id": "o", "name": format!("{family} and sons")}],
            "managingOrganization": {"reference": "#o"}});
        project.put(&patient).expect(201);
        project.put(&patient).expect(200);
        for number in 0..3 {
            let observation = json!({"resourceType": "Observation", "id": format!("{id}-{number}"),
                "status": "final", "code": {"text": format!("{family} rash {number}")},
                "effectiveDateTime": format!("202{number}-01-01"),
                "subject": {"reference": format!("Patient/{id}")}});
            project.put(&observation).expect(201);
        }
        project.delete(&format!("Observation/{id}-2")).expect(204);
        let binary = project
            .request("PUT", &format!("Binary/{id}"))
            .header("X-Security-Context", format!("Patient/{id}"))
            .header("Content-Type", "text/plain")
            .body(format!("{family} ").repeat(60_000));
        project.send(binary).expect(201);
    }
    let group = json!({"resourceType": "Group", "id": "both", "type": "person", "actual": true,
        "member": [{"entity": {"reference": "Patient/gone"}}, {"entity": {"reference": "Patient/kept"}}]});
    project.put(&group).expect(201);
    // One that was the patient's for a while.
    let observation = |of: &str| {
        json!({"resourceType": "Observation", "id": "moved", "status": "final",
            "code": {"text": of}, "subject": {"reference": format!("Patient/{of}")}})
    };
    for of in ["kept", "gone", "kept"] {
        project.put(&observation(of));
    }
}

pub(crate) fn ask(project: &Project, patient: &str, dry_run: bool) -> Answer {
    let body = json!({"patient": patient, "reason": REASON, "dryRun": dry_run});
    project.admin("POST", "/admin/shreds", &body)
}

fn own(slug: &str) -> Project {
    let project = Project::create(&Arc::new(Server::start()), slug);
    lived(&project);
    project
}

/// Nothing of the patient is shown, and everything of the other.
#[track_caller]
fn check_gone(project: &Project) {
    let gone = project.get("Patient/gone").expect(410);
    assert!(gone.body.contains("OperationOutcome"), "{}", gone.body);
    for path in ["Observation/gone-0", "Observation/gone-2", "Binary/gone"] {
        project.get(path).expect(410);
    }
    for path in [
        "Patient/gone/_history/1",
        "Patient/gone/_history/2",
        "Observation/gone-0/_history/1",
        "Observation/gone-2/_history/1",
        "Observation/moved/_history/2",
    ] {
        let status = project.get(path).status;
        assert!(matches!(status, 404 | 410), "{path}: {status}");
    }
    for path in [
        format!("Patient?name={MARKER}"),
        format!("Patient?identifier=urn:mrn|mrn-{MARKER}"),
        format!("Patient?_content={MARKER}"),
        format!("Observation?_content={MARKER}"),
        format!("Observation?code:text={MARKER}"),
        "Observation?patient=gone".to_owned(),
        "Patient?_id=gone".to_owned(),
        format!("Organization?name={MARKER}&_contained=true"),
    ] {
        let found = project.get(&path).expect(200).json();
        assert!(found["entry"].is_null(), "{path}: {found}");
    }
    for path in [
        "_history?_count=500",
        "Patient?_count=500",
        "Observation?_count=500",
    ] {
        let all = project.get(path).expect(200);
        assert!(!all.body.contains(MARKER), "{path}");
    }
    assert_eq!(
        (project.count("Patient"), project.count("Observation")),
        (1, 3)
    );
    for path in [
        "Patient/kept/_history/1",
        "Observation/kept-2/_history/1",
        "Observation/moved/_history/1",
        "Observation/moved",
        "Group/both",
        "Binary/kept",
    ] {
        project.get(path).expect(200);
    }
    for resource in [
        json!({"resourceType": "Patient", "id": "gone"}),
        json!({"resourceType": "Observation", "id": "again", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "Patient/gone"}}),
    ] {
        let refused = project.put(&resource).expect(410);
        assert!(refused.body.contains("shredded"), "{}", refused.body);
    }
}

fn verify(folder: &Path, certificate: &Value, key: &Value) -> Output {
    let (file, public) = (folder.join("certificate.json"), folder.join("key.json"));
    std::fs::write(&file, certificate.to_string()).unwrap();
    std::fs::write(&public, key.to_string()).unwrap();
    let file = file.to_str().unwrap();
    salus(&["shred", "verify", file, "--key", public.to_str().unwrap()])
        .output()
        .unwrap()
}

#[test]
fn nothing_of_a_shredded_patient_is_left() {
    let project = own("shred-all");
    let before = project.get("Patient?_count=1").expect(200).json();
    let next = before["link"].as_array().unwrap().iter();
    let mut next = next.filter(|link| link["relation"] == "next");
    let next = next.next().unwrap()["url"].as_str().unwrap().to_owned();
    let next = &next[next.find("/p/").unwrap()..];
    project.get(next).expect(200);
    let planned = ask(&project, "gone", true).expect(200).json();
    let erased = &planned["plan"]["erased"];
    assert_eq!(
        erased["Patient"],
        json!({"records": 1, "versions": 2}),
        "{planned}"
    );
    assert_eq!(erased["Observation"], json!({"records": 4, "versions": 4}));
    assert_eq!(
        planned["plan"]["stays"]["sharedRecords"],
        json!(["Group/both"])
    );
    project.get("Patient/gone").expect(200);
    let signed = ask(&project, "gone", false).expect(200).json();
    check_gone(&project);
    // What showed an older state shows it no more.
    project.get(next).expect(410);
    let certificate = &signed["certificate"];
    assert_eq!(certificate["erased"]["records"], *erased);
    assert_eq!(certificate["erased"]["files"], 1);
    assert_eq!(certificate["method"]["keysDestroyed"], 1);
    assert!(!signed.to_string().contains(MARKER));
    assert_eq!(ask(&project, "gone", false).expect(200).json(), signed);
    ask(&project, "gone", true).expect(410);
    ask(&project, "nobody", false).expect(404);
    let listed = project
        .admin("GET", "/admin/shreds", &Value::Null)
        .expect(200)
        .json();
    assert_eq!(listed["shreds"][0]["patient"], "gone");
    assert_eq!(listed["shreds"][0]["reason"], REASON);
    let read = project
        .admin("GET", "/admin/shreds/gone", &Value::Null)
        .expect(200);
    assert_eq!(read.json()["certificate"], signed);
    let found = project
        .get("AuditEvent?subtype=shred&_count=50")
        .expect(200);
    assert!(found.body.contains(REASON), "{}", found.body);
    // It is checked offline.
    let key = project
        .admin("GET", "/admin/shred-key", &Value::Null)
        .expect(200)
        .json();
    let folder = tempfile::tempdir().unwrap();
    let checked = verify(folder.path(), &signed, &key);
    assert!(checked.status.success(), "{checked:?}");
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(
        text.contains("Patient/gone of project shred-all was shredded"),
        "{text}"
    );
    let mut forged = signed.clone();
    forged["certificate"]["patient"] = "kept".into();
    assert!(!verify(folder.path(), &forged, &key).status.success());
}

#[test]
fn jobs_lose_their_files() {
    let project = own("shred-jobs");
    let export = project
        .request("GET", "$export")
        .header("Prefer", "respond-async");
    let job = project.send(export).expect(202);
    let job = job.header("content-location").unwrap().to_owned();
    let job = job[job.find("/p/").unwrap()..].to_owned();
    let file = loop {
        let answer = project.get(&job);
        match answer.status {
            200 => {
                let url = answer.json()["output"][0]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                break url[url.find("/p/").unwrap()..].to_owned();
            }
            202 | 429 => std::thread::yield_now(),
            status => panic!("{status}: {}", answer.body),
        }
    };
    project.get(&file).expect(200);
    let planned = ask(&project, "gone", true).expect(200).json();
    assert_eq!(planned["plan"]["jobs"], 1);
    ask(&project, "gone", false).expect(200);
    project.get(&file).expect(404);
    project.get(&job).expect(404);
    check_gone(&project);
}

#[test]
fn what_is_held_or_has_to_be_kept_is_not_shredded() {
    let project = own("shred-refused");
    let class = json!({"classes": [
        {"name": "findings", "types": ["Observation"], "years": 100},
        {"name": "people", "types": ["Patient"], "years": 10, "from": "death"}]});
    project.admin("PUT", "/admin/retention", &class).expect(200);
    let refused = ask(&project, "gone", false).expect(409);
    assert!(refused.body.contains("have to be kept"), "{}", refused.body);
    let planned = ask(&project, "gone", true).expect(200).json();
    let kept = &planned["plan"]["refused"]["kept"];
    assert_eq!(
        (&kept["Observation"]["records"], &kept["Patient"]["until"]),
        (&json!(2), &Value::Null)
    );
    let none = json!({"classes": []});
    project.admin("PUT", "/admin/retention", &none).expect(200);
    for (patients, searches) in [
        (json!(["gone"]), json!([])),
        (json!([]), json!(["Observation?date=2020-01-01"])),
    ] {
        let hold = json!({"name": "Case", "reason": "a claim was filed",
            "patients": patients, "searches": searches});
        let hold = project
            .admin("POST", "/admin/holds", &hold)
            .expect(201)
            .json();
        let refused = ask(&project, "gone", false).expect(409);
        assert!(refused.body.contains("legal hold"), "{}", refused.body);
        let lift = format!("/admin/holds/{}/lift", hold["id"].as_str().unwrap());
        let reason = json!({"reason": "the claim was settled"});
        project.admin("POST", &lift, &reason).expect(200);
    }
    project.get("Patient/gone").expect(200);
    for body in [
        json!({"patient": "gone"}),
        json!({"patient": "gone", "reason": "short"}),
        json!({"patient": "not an id", "reason": REASON}),
    ] {
        project.admin("POST", "/admin/shreds", &body).expect(400);
    }
    ask(&project, "gone", false).expect(200);
    check_gone(&project);
}

/// A folder with the two patients in the default project, which the administrator of a demo has
/// at every start, and what a client of it needs.
fn folder_of(data: &Path) -> Project {
    let mut project = Project {
        server: Arc::new(Server::start_on(data, &["--demo=0"])),
        slug: "default".to_owned(),
        token: String::new(),
    };
    project.token = project.client("all", ALL);
    lived(&project);
    project
}

fn again(data: &Path, project: &Project) -> Project {
    Project {
        server: Arc::new(Server::start_on(data, &["--demo=0"])),
        ..project.clone()
    }
}

fn check_folder(data: &Path) {
    let check = salus(&["check", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}

/// A project whose server ended.
fn ended(project: Project) -> Project {
    let Project {
        server,
        slug,
        token,
    } = project;
    let server = Arc::try_unwrap(server).ok().unwrap();
    assert!(server.stop().success());
    // Nobody is asked before another takes its place.
    let server = crate::host::shared();
    Project {
        server,
        slug,
        token,
    }
}

#[test]
fn copies_from_before_lose_the_patient_when_they_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (data, before) = (folder.path().join("data"), folder.path().join("before"));
    let project = ended(folder_of(&data));
    copy(&data, &before);
    let project = again(&data, &project);
    ask(&project, "gone", false).expect(200);
    let project = ended(project);
    check_folder(&data);
    let put_back = |parts: &[&str]| {
        for part in parts {
            let (from, to) = (before.join(part), data.join(part));
            match from.is_dir() {
                true => {
                    std::fs::remove_dir_all(&to).unwrap();
                    copy(&from, &to);
                }
                false => drop(std::fs::copy(&from, &to).unwrap()),
            }
        }
    };
    let mut project = project;
    for parts in [
        &["keys/keyring"][..],
        // Without the checkpoints that were kept since, which tell of an older store.
        &["store", "checkpoints"],
        &["store", "checkpoints", "keys/keyring"],
    ] {
        put_back(parts);
        project = again(&data, &project);
        check_gone(&project);
        let listed = project
            .admin("GET", "/admin/shreds/gone", &Value::Null)
            .expect(200);
        assert!(listed.json()["certificate"].is_object(), "{parts:?}");
        project = ended(project);
        check_folder(&data);
    }
    // A ledger from before, too, learns of it from the store.
    std::fs::remove_file(data.join("keys/shreds")).unwrap();
    put_back(&["keys/keyring"]);
    project = again(&data, &project);
    check_gone(&project);
    ended(project);
    assert!(std::fs::metadata(data.join("keys/shreds")).unwrap().len() > 0);
}

#[test]
fn a_shredding_that_is_killed_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, before) = (folder.path().join("data"), folder.path().join("before"));
    let project = ended(folder_of(&data));
    copy(&data, &before);
    let (mut finished, mut never) = (0, 0);
    let mut project = project;
    for round in 0..12 {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&before, &data);
        project = again(&data, &project);
        let pid = project.server.pid().to_string();
        let killing = std::thread::spawn(move || {
            // The moment is the point of the test; whatever it interrupts must be harmless.
            std::thread::sleep(std::time::Duration::from_millis(round * 4));
            let kill = std::process::Command::new("kill")
                .args(["-KILL", &pid])
                .status();
            assert!(kill.unwrap().success());
        });
        let asked = {
            let project = project.clone();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                ask(&project, "gone", false)
            }))
        };
        killing.join().unwrap();
        let begun = std::fs::metadata(data.join("keys/shreds")).map_or(0, |file| file.len()) >= 128;
        assert!(
            begun || asked.is_err(),
            "it was answered before it was begun"
        );
        project = again(&data, &project);
        if begun {
            check_gone(&project);
            let read = project
                .admin("GET", "/admin/shreds/gone", &Value::Null)
                .expect(200);
            assert!(read.json()["certificate"].is_object());
            finished += 1;
        } else {
            project.get("Patient/gone").expect(200);
            assert_eq!(project.count("Observation"), 5);
            never += 1;
        }
        project = ended(project);
        check_folder(&data);
    }
    println!("{finished} were begun, {never} were not");
    assert!(finished > 0);
}

#[test]
fn the_command_line_shreds_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let project = folder_of(&data);
    let data = data.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let more = ["--project", "default", "--data", data];
        let output = salus(&[arguments, &more[..]].concat()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (
            output.status.success(),
            text,
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (done, text, _) = run(&["shred", "patient", "gone", "--reason", REASON, "--dry-run"]);
    assert!(done && text.contains("Patient      1        2"), "{text}");
    assert!(
        text.contains("stays, since others are in it: 1 Group"),
        "{text}"
    );
    let (done, _, error) = run(&["shred", "patient", "gone", "--reason", REASON]);
    assert!(!done && error.contains("--yes"), "{error}");
    let place = [
        "hold",
        "place",
        "Case",
        "--patient",
        "gone",
        "--reason",
        "a claim was filed",
    ];
    assert!(run(&place).0);
    let (done, text, _) = run(&["hold", "list", "--json"]);
    let id = serde_json::from_str::<Value>(&text).unwrap()["holds"][0]["id"].clone();
    assert!(done);
    let (done, _, error) = run(&["shred", "patient", "gone", "--reason", REASON, "--yes"]);
    assert!(!done && error.contains("legal hold"), "{error}");
    let id = id.as_str().unwrap();
    assert!(run(&["hold", "lift", id, "--reason", "the claim was settled"]).0);
    let project = ended(project);
    let out = folder.path().join("gone.json");
    let out = out.to_str().unwrap();
    let (done, text, error) = run(&[
        "shred", "patient", "gone", "--reason", REASON, "--yes", "--out", out,
    ]);
    assert!(done && text.contains("was shredded on"), "{text}{error}");
    let (_, key, _) = run(&["shred", "key"]);
    let key: Value = serde_json::from_str(&key).unwrap();
    let key = key["x"].as_str().unwrap().to_owned();
    assert!(run(&["shred", "verify", out, "--key", &key]).0);
    let (_, text, _) = run(&["shred", "list"]);
    assert!(text.contains("gone") && text.contains(REASON), "{text}");
    assert!(run(&["retention", "report"]).0);
    assert!(
        run(&[
            "retention",
            "dispose",
            "--reason",
            "yearly disposal",
            "--dry-run"
        ])
        .0
    );
    let project = again(Path::new(data), &project);
    check_gone(&project);
}
