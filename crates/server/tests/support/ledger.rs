//! What the server acknowledged, and the comparison with what it has.
//!
//! A write whose answer never came is *open*: it may have happened, whole, or
//! not. Everything else must be there exactly as acknowledged.

use super::http::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet};

/// System of the identifier that every resource of these tests has.
pub(crate) const SYSTEM: &str = "urn:oid:2.999.8";

/// A resource and its acknowledged versions.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    /// `Type/id`.
    pub(crate) path: String,
    /// The text sent after `resourceType` and `id`, for each version from 1; nothing for a delete.
    pub(crate) versions: Vec<Option<String>>,
    /// A last write without an answer.
    pub(crate) open: Option<Option<String>>,
}

/// Entries of one request without an answer: type, identifier and text each. All exist or none.
pub(crate) type Open = Vec<(String, String, String)>;

/// All that one client, or all of them, know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Resources with at least one acknowledged version.
    pub(crate) tracks: Vec<Track>,
    /// Creates and transactions without an answer.
    pub(crate) open: Vec<Open>,
}

impl Track {
    /// A resource that was just created.
    pub(crate) fn new(path: String, text: String) -> Self {
        Self {
            path,
            versions: vec![Some(text)],
            open: None,
        }
    }

    /// Whether its last version is no delete.
    pub(crate) fn is_alive(&self) -> bool {
        self.versions.last().is_some_and(Option::is_some)
    }
}

impl Ledger {
    /// Takes over what another knows.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.tracks.extend(other.tracks);
        self.open.extend(other.open);
    }

    /// Finds out which open writes happened, and takes them as acknowledged from now on.
    #[track_caller]
    pub(crate) fn settle(&mut self, client: &mut Client) {
        for open in std::mem::take(&mut self.open) {
            let found: Vec<_> = open
                .iter()
                .map(|(kind, identifier, _)| find(client, kind, identifier))
                .collect();
            let there = found.iter().flatten().count();
            assert!(
                there == 0 || there == open.len(),
                "half a transaction: {there} of {} entries",
                open.len()
            );
            let ids: Vec<String> = found.into_iter().flatten().collect();
            for ((kind, _, text), id) in open.iter().zip(&ids) {
                // An open transaction's texts refer to its patient, the first entry.
                let text = text
                    .replace("urn:uuid:", "Patient/")
                    .replace(PATIENT_UUID, &ids[0]);
                self.tracks.push(Track::new(format!("{kind}/{id}"), text));
            }
        }
        for track in &mut self.tracks {
            if let Some(open) = track.open.take()
                && history(client, &track.path).len() > track.versions.len()
            {
                track.versions.push(open);
            }
        }
    }

    /// Compares every resource with its history and its present state; all writes must be settled.
    #[track_caller]
    pub(crate) fn verify(&self, client: &mut Client) {
        self.verify_tracks(client);
        for kind in ["Patient", "Observation"] {
            let of_kind = |track: &&Track| track.path.starts_with(kind) && track.is_alive();
            let alive = self.tracks.iter().filter(of_kind).count();
            assert_eq!(
                total(client, kind),
                alive as u64,
                "{kind}: more or fewer than were written"
            );
        }
    }

    /// The same without asking how many there are.
    #[track_caller]
    pub(crate) fn verify_tracks(&self, client: &mut Client) {
        for track in &self.tracks {
            verify(client, track);
        }
    }

    /// How many versions were acknowledged.
    pub(crate) fn versions(&self) -> u64 {
        self.tracks
            .iter()
            .map(|track| track.versions.len() as u64)
            .sum()
    }

    /// Every acknowledged version must have an entry in the audit that says it succeeded.
    #[track_caller]
    pub(crate) fn verify_audit(&self, client: &mut Client) {
        let written = audited_writes(client);
        for track in &self.tracks {
            for version in 1..=track.versions.len() {
                let reference = format!("{}/_history/{version}", track.path);
                assert!(
                    written.contains(&reference),
                    "{reference} is not in the audit"
                );
            }
        }
    }
}

/// Stands in texts of open transactions for the id of their patient.
pub(crate) const PATIENT_UUID: &str = "5a105be2-0000-4000-8000-000000000001";

#[track_caller]
fn verify(client: &mut Client, track: &Track) {
    let path = &track.path;
    let history = history(client, path);
    let versions: Vec<u64> = history.keys().copied().collect();
    let expected: Vec<u64> = (1..=track.versions.len() as u64).collect();
    assert_eq!(versions, expected, "{path}: versions");
    for (version, text) in history.values().zip(&track.versions) {
        match text {
            Some(text) => assert!(
                version.contains(text.as_str()),
                "{path}: {version} has not {text}"
            ),
            None => assert!(version.is_empty(), "{path}: {version} instead of a delete"),
        }
    }
    let answer = client.get(path).unwrap();
    let Some(Some(text)) = track.versions.last() else {
        return assert_eq!(answer.status, 410, "{path}: {answer:?}");
    };
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_eq!(
        answer.version(),
        Some(track.versions.len() as u64),
        "{path}"
    );
    assert!(
        answer.body.contains(text.as_str()),
        "{path}: {} has not {text}",
        answer.body
    );
}

/// The text of each version of a resource, empty for a delete.
#[track_caller]
pub(crate) fn history(client: &mut Client, path: &str) -> BTreeMap<u64, String> {
    let mut versions = BTreeMap::new();
    for entry in pages(client, format!("{path}/_history?_count=100")) {
        let etag = entry
            .response
            .and_then(|response| response.etag)
            .unwrap_or_default();
        let version = etag.trim_start_matches("W/").trim_matches('"').parse();
        let version: u64 =
            version.unwrap_or_else(|_| panic!("{path}: history without version: {etag}"));
        let text = entry
            .resource
            .map(|resource| resource.get().to_owned())
            .unwrap_or_default();
        assert!(
            versions.insert(version, text).is_none(),
            "{path}: version {version} twice"
        );
    }
    versions
}

/// The id of the one resource with this identifier.
#[track_caller]
fn find(client: &mut Client, kind: &str, identifier: &str) -> Option<String> {
    let found = pages(client, format!("{kind}?identifier={SYSTEM}%7C{identifier}"));
    assert!(found.len() < 2, "{kind} {identifier} was created twice");
    let head: Head = serde_json::from_str(found.first()?.resource.as_ref()?.get()).unwrap();
    Some(head.id)
}

#[track_caller]
fn total(client: &mut Client, kind: &str) -> u64 {
    let answer = client
        .get(&format!("{kind}?_total=accurate&_count=1"))
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["total"].as_u64().unwrap()
}

/// References of all records that audited, successful writes were about.
#[track_caller]
fn audited_writes(client: &mut Client) -> HashSet<String> {
    let mut written = HashSet::new();
    for entry in pages(client, "AuditEvent?_count=500".to_owned()) {
        let event: serde_json::Value =
            serde_json::from_str(entry.resource.as_ref().unwrap().get()).unwrap();
        let interaction = event["subtype"][0]["code"].as_str().unwrap_or_default();
        let is_write = ["create", "update", "delete", "transaction"].contains(&interaction);
        if is_write && event["outcome"] == "0" {
            let references = event["entity"].as_array().into_iter().flatten();
            written.extend(
                references
                    .filter_map(|entity| Some(entity["what"]["reference"].as_str()?.to_owned())),
            );
        }
    }
    written
}

/// All entries of a bundle and those that its `next` links lead to.
#[track_caller]
fn pages(client: &mut Client, first: String) -> Vec<Entry> {
    let (mut entries, mut next) = (Vec::new(), Some(first));
    while let Some(path) = next {
        let answer = client.get(&path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let bundle: Bundle = serde_json::from_str(&answer.body).unwrap();
        let links: HashMap<String, String> = bundle
            .link
            .into_iter()
            .map(|link| (link.relation, link.url))
            .collect();
        next = links
            .get("next")
            .and_then(|url| Some(url.split_once("/fhir/")?.1.to_owned()));
        entries.extend(bundle.entry);
    }
    entries
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

#[derive(Deserialize)]
struct Entry {
    resource: Option<Box<RawValue>>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    etag: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    id: String,
}
