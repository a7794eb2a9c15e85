//! A store with everything in it, made again of its log: every row is what it was, and
//! searches answer the same.

use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use salus_crypto::{Founding, Keyring};
use salus_service::restored::{Bared, Given, Progress, give_rows};
use salus_store::{Log, NewRows, Scope, SealedBlob, Seq, Store};
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};

use crate::bulk::{place, signed, wait};
use crate::host::{Project, Server};

/// Searches of all sorts, whose answers are compared.
const SEARCHES: &[&str] = &[
    "Patient?_sort=family",
    "Patient?eye=blue",
    "Patient?_content=Erasmus",
    "Patient?_has:Observation:patient:code=8867-4",
    "Observation?subject=Patient/ada&_sort=-date",
    "Observation?patient.family=Erasmus",
    "Observation?value-quantity=gt50||bpm",
    "Medication?code=aspirin&_contained=true",
    "MedicationRequest?medication.code=aspirin",
    "List?item=Patient/ada",
    "Patient?_list=mine",
    "Binary",
    "Patient/ada/_history",
    "_history",
];

fn patient(family: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": "ada", "name": [{"family": family}], "birthDate": "1815-12-10",
        "extension": [{"url": "http://example.org/eye", "valueCode": "blue"}],
        "text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada has a fever</div>"},
    })
}

fn observation(id: &str, subject: &str, value: u32) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": subject}, "effectiveDateTime": format!("2026-01-{value}"),
        "valueQuantity": {"value": value * 3, "unit": "bpm",
            "system": "http://unitsofmeasure.org", "code": "/min"},
    })
}

/// Resources of all forms, and people.
fn fill(project: &Project) {
    let base = format!("http://{}{}", project.server.address(), project.base());
    let definition = json!({
        "resourceType": "SearchParameter", "id": "eye", "status": "active", "name": "eye",
        "url": "http://example.org/eye", "description": "eye", "code": "eye", "base": ["Patient"],
        "type": "token",
        "expression": "Patient.extension.where(url='http://example.org/eye').value",
    });
    let contained = json!({"resourceType": "Medication", "id": "m1",
        "code": {"coding": [{"system": "urn:drugs", "code": "aspirin"}]}});
    let content = Base64::encode_string(&vec![7; 300 << 10]);
    for resource in [
        definition,
        patient("Zwingli"),
        patient("Calvin"),
        patient("Erasmus"),
        observation("local", "Patient/ada", 20),
        observation("absolute", &format!("{base}/Patient/ada"), 21),
        observation("elsewhere", "http://example.org/fhir/Patient/ada", 22),
        json!({"resourceType": "MedicationRequest", "id": "contains", "status": "active",
            "intent": "order", "contained": [contained], "subject": {"reference": "Patient/ada"},
            "medicationReference": {"reference": "#m1"}}),
        json!({"resourceType": "List", "id": "mine", "status": "current", "mode": "working",
            "entry": [{"item": {"reference": "Patient/ada"}}]}),
        json!({"resourceType": "Binary", "id": "scan", "contentType": "image/png", "data": content,
            "securityContext": {"reference": "Patient/ada"}}),
        json!({"resourceType": "Patient", "id": "gone"}),
    ] {
        let answer = project.put(&resource);
        assert!(matches!(answer.status, 200 | 201), "{}", answer.json());
    }
    project.delete("Patient/gone").expect(204);
    let purge = format!("/p/{}/fhir/Patient/ada/$purge-history", project.slug);
    let keep = json!({"resourceType": "Parameters",
        "parameter": [{"name": "keep", "valuePositiveInt": 1}]});
    project.server.admin("POST", &purge, &keep).expect(200);
    project.user("grace", &json!({}));
    project.sign_in_user("grace");
    let later = project
        .request("GET", "Patient")
        .header("Prefer", "respond-async");
    wait(project, &place(&signed(project, later).expect(202)));
}

fn options(store: &Path, keyring: &Arc<Keyring>, restoring: bool) -> Options {
    Options {
        restoring,
        ..Options::new(store.into(), Arc::clone(keyring))
    }
}

/// Makes a store of the log of another, by the contract alone; what was given, and the rows of both.
async fn restore(
    from: &Path,
    to: &Path,
    keyring: &Arc<Keyring>,
    base: &str,
) -> (Given, Vec<NewRows>, Vec<NewRows>) {
    let original = Embedded::open(options(from, keyring, false)).unwrap();
    let dictionaries = original.dictionaries().await.unwrap();
    let mut restoring = Embedded::restore(options(to, keyring, false), &dictionaries).unwrap();
    let mut after = Seq(0);
    loop {
        let batches = original.batches(after, 1 << 20).await.unwrap();
        let Some(last) = batches.last() else { break };
        after = last.last;
        restoring.add(batches).await.unwrap();
    }
    let head = restoring.finish().await.unwrap().head;
    assert_eq!(head, original.head().await.unwrap());
    let restored = Embedded::open(options(to, keyring, true)).unwrap();
    let store = Bared {
        store: restored.clone(),
        restored: restored.clone(),
    };
    let progress = Arc::new(Progress::default());
    let given = give_rows(&store, head.seq, Some(base), &progress)
        .await
        .unwrap();
    drop(store);
    for blob in &given.blobs {
        bring(from, &restored, blob);
    }
    restored.restored().unwrap();
    assert_eq!(restored.check().await.unwrap(), Vec::<String>::new());
    let rows = (original.all_rows().unwrap(), restored.all_rows().unwrap());
    original.close().await.unwrap();
    restored.close().await.unwrap();
    (given, rows.0, rows.1)
}

/// Copies a blob as it lies.
fn bring(from: &Path, to: &Embedded, blob: &SealedBlob) {
    let SealedBlob {
        scope: Scope(scope),
        id,
    } = blob;
    let of_scope = from.join(format!("blobs/{scope:08x}"));
    let shards = std::fs::read_dir(of_scope).unwrap();
    let mut files = shards.map(|shard| shard.unwrap().path().join(&**id));
    let file = files.find(|file| file.exists()).unwrap();
    let mut refill = to.refill(blob).unwrap();
    for part in std::fs::read(file).unwrap().chunks(100_000) {
        refill.append(part).unwrap();
    }
    refill.finish().unwrap();
}

/// What the searches answer, without what is new at each: links and ids of bundles.
fn answers(project: &Project) -> Vec<Value> {
    let searches = SEARCHES.iter().map(|search| {
        let found = project.get(search).expect(200).json();
        let entries = found["entry"].as_array().cloned().unwrap_or_default();
        let resources = entries
            .into_iter()
            .map(|mut entry| entry["resource"].take());
        json!([search, found["total"], resources.collect::<Vec<_>>()])
    });
    searches.collect()
}

#[test]
fn everything_is_found_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let (data, again) = (folder.path().join("data"), folder.path().join("again"));
    let server = Arc::new(Server::start_on(&data, &["--demo=2"]));
    let project = Project::create(&server, "restored");
    fill(&project);
    let before = answers(&project);
    let base = server.ready["base"].as_str().unwrap().to_owned();
    let (slug, token) = (project.slug.clone(), project.token.clone());
    drop(project);
    assert!(Arc::into_inner(server).unwrap().stop().success());

    let keyring = Keyring::open(&data.join("keys"), Founding::Existing, 0).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    std::fs::create_dir(&again).unwrap();
    let (from, to) = (data.join("store"), again.join("store"));
    let (given, was, is) = runtime.block_on(restore(&from, &to, &keyring, &base));
    assert_eq!((given.failed, given.unreadable), (0, 0));
    assert_eq!((given.records as usize, given.blobs.len()), (was.len(), 1));
    assert_eq!(was.len(), is.len());
    for (was, is) in was.iter().zip(&is) {
        assert_eq!(was, is);
    }
    drop((runtime, keyring));

    std::fs::create_dir(again.join("keys")).unwrap();
    for file in std::fs::read_dir(data.join("keys")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), again.join("keys").join(file.file_name())).unwrap();
    }
    let server = Arc::new(Server::start_on(&again, &["--demo=0"]));
    let project = Project {
        server,
        slug,
        token,
    };
    for (before, after) in before.into_iter().zip(answers(&project)) {
        assert_eq!(before, after);
    }
    let content = project.get("Binary/scan").expect(200);
    assert_eq!(content.body.len(), 300 << 10);
}
