//! The official examples of R4 over HTTP: each one that is valid can be
//! stored, and is read back as it was, as JSON and as XML; `$validate` says of
//! each what storing it says.
//!
//! `examples.txt` lists those that are refused, and why. They come from
//! the shared folder, and where that is not at hand the tests say so.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use salus_fhir::json::{Document, Kind, Limits, Node};
use salus_fhir::xml;
use serde_json::Value;

use crate::host::{Project, project};

/// What is refused: name, status, place, words of the reason, and why that is right.
const REFUSED: &str = include_str!("examples.txt");

/// How much a batch holds. Most examples are a few KiB, some many MiB.
const BATCH_BYTES: usize = 1 << 20;

/// What an example is called, and its text.
struct Example {
    name: String,
    place: String,
    document: Document,
}

/// What is said of those that are refused, by their names.
type Refusals = BTreeMap<String, String>;

#[test]
fn every_valid_example_is_stored_and_read_back_as_it_was() {
    let Some(batches) = batches() else {
        return;
    };
    let (project, found) = (project("examples"), Mutex::new(Refusals::new()));
    let count: usize = batches.iter().map(Vec::len).sum();
    assert!(count > 5000, "{count}");
    side_by_side(batches, |batch| {
        let refused = store(&project, &batch);
        let kept: Vec<&Example> = batch
            .iter()
            .filter(|example| !refused.contains_key(&example.name))
            .collect();
        check_read(&project, &kept, "json");
        check_read(&project, &kept, "xml");
        found.lock().unwrap().extend(refused);
    });
    check_refusals(&found.into_inner().unwrap(), |_| true);
}

#[test]
fn validate_says_of_every_example_what_storing_it_says() {
    let Some(batches) = batches() else {
        return;
    };
    let (project, found) = (project("examples-validate"), Mutex::new(Refusals::new()));
    side_by_side(batches, |batch| {
        for example in batch {
            let path = format!("{}/$validate", example.ty());
            let request = project.request("POST", &path).body(example.document.text());
            let answer = project.send(request).expect(200).json();
            let first = &answer["issue"][0];
            if matches!(first["severity"].as_str(), Some("error" | "fatal")) {
                let said = told("422", first);
                found.lock().unwrap().insert(example.name, said);
            }
        }
    });
    // Who may write what is no matter of validation.
    check_refusals(&found.into_inner().unwrap(), |status| status != "403");
}

impl Example {
    fn ty(&self) -> &str {
        self.place.split_once('/').unwrap().0
    }

    fn id(&self) -> &str {
        self.place.split_once('/').unwrap().1
    }
}

/// The examples, so many together that they are worth a request; nothing if they are not here.
fn batches() -> Option<Vec<Vec<Example>>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    // `ig-r4` is `ImplementationGuide-fhir` under another name.
    for (name, text) in published(|name| name != "ig-r4")? {
        bytes += text.len();
        batch.push(example(&name, text));
        if bytes > BATCH_BYTES {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    batches.push(batch);
    Some(batches)
}

/// Published examples by their names, with their texts; nothing if they are not here.
#[allow(clippy::print_stderr)] // says why it skips
pub(crate) fn published(is_wanted: impl Fn(&str) -> bool) -> Option<Vec<(String, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("SALUS_SHARED").map_or(folder, PathBuf::from);
    let path = folder.join("data/fhir-packages/hl7.fhir.r4.examples-4.0.1.tgz");
    let Ok(packed) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let name = path.strip_prefix("package/").unwrap_or(&path);
        let name = name
            .strip_suffix(".json")
            .filter(|name| *name != "package" && !name.starts_with('.') && is_wanted(name));
        if let Some(name) = name {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            found.push((name.to_owned(), text));
        }
    }
    Some(found)
}

fn example(name: &str, text: Vec<u8>) -> Example {
    let document = Document::parse(text, &Limits::default()).unwrap();
    let member = |name| document.root().get(name).and_then(Node::plain_str).unwrap();
    Example {
        name: name.to_owned(),
        place: format!("{}/{}", member("resourceType"), member("id")),
        document,
    }
}

/// Each batch once, several at a time.
fn side_by_side(batches: Vec<Vec<Example>>, work: impl Fn(Vec<Example>) + Sync) {
    let batches = Mutex::new(batches);
    let next = || batches.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(batch) = next() {
                    work(batch);
                }
            });
        }
    });
}

/// Stores them by one batch, and tells which are refused.
fn store(project: &Project, batch: &[Example]) -> Refusals {
    let entries = batch.iter().map(|example| {
        let (place, text) = (&example.place, example.document.text());
        // No URL has an id that is too long to be one.
        let (method, url) = match example.id().len() {
            ..=64 => ("PUT", place.as_str()),
            _ => ("POST", example.ty()),
        };
        format!("{{\"resource\":{text},\"request\":{{\"method\":\"{method}\",\"url\":\"{url}\"}}}}")
    });
    let answer = send(project, &entries.collect::<Vec<_>>(), "json");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let mut refused = Refusals::new();
    for (at, example) in batch.iter().enumerate() {
        let response = &answer["entry"][at]["response"];
        let status = response["status"].as_str().unwrap();
        if status != "201 Created" {
            let said = told(status, &response["outcome"]["issue"][0]);
            refused.insert(example.name.clone(), said);
        }
    }
    refused
}

/// Reads them by one batch; they are as they were sent.
fn check_read(project: &Project, kept: &[&Example], format: &str) {
    let entry = |example: &&Example| {
        let place = &example.place;
        format!("{{\"request\":{{\"method\":\"GET\",\"url\":\"{place}\"}}}}")
    };
    let answer = send(project, &kept.iter().map(entry).collect::<Vec<_>>(), format);
    let limits = Limits::default();
    let answer = match format {
        "xml" => xml::read(answer.as_bytes(), &limits).unwrap(),
        _ => answer,
    };
    let answer = Document::parse(answer.into(), &limits).unwrap();
    let entries = answer.root().get("entry").map(Node::children);
    let mut read = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.get("resource").unwrap());
    for example in kept {
        let root = example.document.root();
        let same = same(root, read.next().unwrap(), format == "json", Place::Root);
        assert_eq!(same, Ok(()), "{} as {format}", example.name);
    }
}

fn send(project: &Project, entries: &[String], format: &str) -> String {
    let entries = match entries {
        [] => String::new(),
        entries => format!(",\"entry\":[{}]", entries.join(",")),
    };
    let bundle = format!("{{\"resourceType\":\"Bundle\",\"type\":\"batch\"{entries}}}");
    let request = project.request("POST", &format!("?_format={format}"));
    project.send(request.body(bundle)).expect(200).body
}

/// Where a comparison is: `meta` at the root has members that the server sets.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Meta,
    Below,
}

/// The same members, the same text of numbers, the same strings, or where
/// not; `in_order` if the members have the same order too.
fn same(before: Node<'_>, after: Node<'_>, in_order: bool, place: Place) -> Result<(), String> {
    let is_same = match before.kind() {
        kind if kind != after.kind() => false,
        Kind::Number | Kind::Bool | Kind::Null => before.raw() == after.raw(),
        Kind::String => before.str() == after.str(),
        Kind::Object | Kind::Array => true,
    };
    let of_client = |node: &Node<'_>| match place {
        Place::Root => node.key() != Some("meta"),
        Place::Meta => !matches!(node.key(), Some("versionId" | "lastUpdated")),
        Place::Below => true,
    };
    let (befores, afters): (Vec<_>, Vec<_>) = (
        before.children().filter(of_client).collect(),
        after.children().filter(of_client).collect(),
    );
    if !is_same || befores.len() != afters.len() {
        return Err("is different".to_owned());
    }
    for (at, (before, next)) in befores.iter().zip(afters).enumerate() {
        let name = before.key().map_or_else(|| at.to_string(), str::to_owned);
        let found = match before.key() {
            Some(key) if !in_order => after.get(key),
            key if key != next.key() => return Err(format!("{name} is at another place")),
            _ => Some(next),
        };
        let found = found.ok_or_else(|| format!("{name} is not there"))?;
        same(*before, found, in_order, Place::Below).map_err(|why| format!("{name}.{why}"))?;
    }
    match (place, before.get("meta"), after.get("meta")) {
        (Place::Root, Some(before), Some(after)) => same(before, after, in_order, Place::Meta),
        (Place::Root, Some(_), None) => Err("meta is not there".to_owned()),
        _ => Ok(()),
    }
}

/// Status, place and reason, as a line of the table has them.
fn told(status: &str, issue: &Value) -> String {
    let status = status.split(' ').next().unwrap();
    let place = issue["expression"][0].as_str().unwrap_or("-");
    let text = issue["details"]["text"].as_str().unwrap_or("-");
    format!("{status} | {place} | {text}")
}

/// Those that are refused are those of the table with these statuses, for its reasons.
fn check_refusals(found: &Refusals, counts: impl Fn(&str) -> bool) {
    let mut wrong = Vec::new();
    let mut found = found.clone();
    for line in REFUSED.lines().filter(|line| !line.starts_with('#')) {
        let [name, status, place, words, why] = line
            .split(" | ")
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("not five columns: {line}"));
        assert!(!why.is_empty(), "{line}");
        if !counts(status) {
            continue;
        }
        match found.remove(name) {
            None => wrong.push(format!("{name} is accepted now")),
            Some(said) => {
                let start = format!("{status} | {place} | ");
                if !said.starts_with(&start) || !said.contains(words) {
                    wrong.push(format!("{name} is refused otherwise: {said}"));
                }
            }
        }
    }
    wrong.extend(found.iter().map(|(name, said)| format!("{name} | {said}")));
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
