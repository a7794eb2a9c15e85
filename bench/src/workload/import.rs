//! Whole transaction bundles from a folder, posted again and again with fresh identifiers.
//!
//! Every UUID that names an entry is replaced wherever it stands, so each copy
//! is a new set of linked resources, and a few of them are read back and
//! compared with what was sent, references resolved.

use crate::check::same;
use crate::client::{Ask, Session};
use crate::content;
use crate::error::Error;
use crate::phase::{Phase, Run, measure};
use crate::population::{Created, Stored, created};
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Bundles of a megabyte and more: a few at once keep the server busy.
const IMPORTERS: usize = 4;
/// Entries of each bundle that are read back.
const READ_BACK: usize = 4;
const UUID: usize = 36;

/// Imports the bundles of a folder in turn until the time or the count is used up.
pub(crate) async fn run(run: &Rc<Run>, folder: &Path) -> Result<(), Error> {
    let bundles: Rc<[Template]> = read_folder(folder)?.into();
    let next = Rc::new(Cell::new(0));
    let client = |phase, number| import(phase, number, Rc::clone(&bundles), Rc::clone(&next));
    measure(run, "import", run.limits, client).await;
    Ok(())
}

async fn import(phase: Rc<Phase>, number: usize, bundles: Rc<[Template]>, next: Rc<Cell<usize>>) {
    let mut session = phase.session();
    if number >= IMPORTERS {
        return;
    }
    loop {
        let copy = next.replace(next.get() + 1);
        let bundle = &bundles[copy % bundles.len()];
        if !phase.more(bundle.entries as u64) {
            return;
        }
        let text = bundle.copy(phase.run().serial, copy as u64);
        let ask = Ask {
            prefer: Some("return=minimal"),
            ..Ask::send(Method::POST, "", text.clone())
        };
        let started = Instant::now();
        let answer = session.ask(ask).await;
        let created = answer.and_then(|answer| {
            answer.expect(&[200])?;
            created(&answer.body, bundle.entries)
        });
        let outcome = created
            .as_ref()
            .map(|_| ())
            .map_err(|reason| format!("{}: {reason}", bundle.name));
        phase.record("bundle", bundle.entries as u64, started, outcome);
        if let Ok(created) = created {
            let outcome = read_back(&phase, &mut session, &text, &created, copy).await;
            phase.fault(
                "read back",
                outcome.map_err(|reason| format!("{}: {reason}", bundle.name)),
            );
        }
    }
}

async fn read_back(
    phase: &Phase,
    session: &mut Session,
    text: &str,
    created: &[Created],
    copy: usize,
) -> Result<(), String> {
    let bundle: Bundle = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let urls = bundle.entry.iter().map(|entry| entry.full_url.as_str());
    let references: HashMap<&str, String> = urls
        .zip(created)
        .map(|(url, entry)| (url, format!("{}/{}", entry.kind, entry.id)))
        .collect();
    for n in 0..READ_BACK {
        let at = (copy * 31 + n * created.len() / READ_BACK) % created.len();
        let resolved = resolve(bundle.entry[at].resource.get(), &references);
        let content = content::read(resolved.as_bytes(), &phase.run().ignore)
            .map_err(|error| error.to_string())?;
        let stored = Stored {
            id: created[at].id.as_str().into(),
            version: created[at].version.as_deref().map(Into::into),
            fingerprint: content.fingerprint,
        };
        let path = format!("{}/{}", created[at].kind, created[at].id);
        let answer = session.ask(Ask::new(Method::GET, path.as_str())).await?;
        same(phase, &answer, &stored).map_err(|reason| format!("GET {path}: {reason}"))?;
    }
    Ok(())
}

/// Replaces every `urn:uuid:` that the bundle defines by what was created for it.
fn resolve(text: &str, references: &HashMap<&str, String>) -> String {
    const URN: &str = "urn:uuid:";
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(URN) {
        let end = at + URN.len() + UUID;
        let reference = rest.get(at..end).and_then(|urn| references.get(urn));
        let (keep, skip) = match reference {
            Some(_) => (at, end),
            None => (at + URN.len(), at + URN.len()),
        };
        resolved.push_str(&rest[..keep]);
        resolved.push_str(reference.map_or("", String::as_str));
        rest = &rest[skip..];
    }
    resolved + rest
}

/// A bundle cut at its UUIDs.
struct Template {
    name: String,
    entries: usize,
    /// Text, and the number of the UUID that follows it.
    parts: Vec<(String, Option<u32>)>,
}

impl Template {
    fn new(name: String, text: &str) -> Result<Self, String> {
        let bundle: Bundle = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if bundle.kind != "transaction" || bundle.entry.is_empty() {
            return Err("not a transaction bundle with entries".to_owned());
        }
        let uuids: HashMap<&str, u32> = bundle
            .entry
            .iter()
            .zip(0..)
            .filter_map(|(entry, n)| Some((entry.full_url.strip_prefix("urn:uuid:")?, n)))
            .collect();
        Ok(Self {
            name,
            entries: bundle.entry.len(),
            parts: cut(text, &uuids),
        })
    }

    /// The bundle with UUIDs that no other copy has.
    fn copy(&self, run: u64, copy: u64) -> String {
        use std::fmt::Write;
        let size = self.parts.iter().map(|(text, _)| text.len() + UUID).sum();
        let mut text = String::with_capacity(size);
        for (part, uuid) in &self.parts {
            text.push_str(part);
            if let Some(uuid) = uuid {
                let high = run.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                // Writing to a String cannot fail.
                let _ = write!(
                    text,
                    "{high:08x}-{:04x}-4000-8000-{:06x}{uuid:06x}",
                    run & 0xffff,
                    copy & 0xff_ffff
                );
            }
        }
        text
    }
}

fn cut(text: &str, uuids: &HashMap<&str, u32>) -> Vec<(String, Option<u32>)> {
    let bytes = text.as_bytes();
    let (mut parts, mut from, mut at) = (Vec::new(), 0, 0);
    while at + UUID <= bytes.len() {
        let candidate = bytes[at + 8] == b'-' && bytes[at + 13] == b'-' && bytes[at + 18] == b'-';
        let uuid = text
            .get(at..at + UUID)
            .filter(|_| candidate)
            .and_then(|uuid| uuids.get(uuid));
        if let Some(uuid) = uuid {
            parts.push((text[from..at].to_owned(), Some(*uuid)));
            at += UUID;
            from = at;
        } else {
            at += 1;
        }
    }
    parts.push((text[from..].to_owned(), None));
    parts
}

fn read_folder(folder: &Path) -> Result<Vec<Template>, Error> {
    let bad = |path: &Path, reason: String| Error::Bundles {
        path: path.to_owned(),
        reason,
    };
    let entries = std::fs::read_dir(folder).map_err(|error| bad(folder, error.to_string()))?;
    let is_json = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_json)
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(bad(folder, "no .json files".to_owned()));
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|error| bad(&path, error.to_string()))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Template::new(name, &text).map_err(|reason| bad(&path, reason))
    };
    paths.into_iter().map(read).collect()
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl", default)]
    full_url: String,
    #[serde(borrow)]
    resource: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "85c63cf3-278e-454c-b5ba-df5889815eb7";
    const OTHER: &str = "95c63cf3-278e-454c-b5ba-df5889815eb7";

    fn bundle() -> String {
        format!(
            r#"{{"type":"transaction","entry":[
                {{"fullUrl":"urn:uuid:{ONE}","resource":{{"identifier":"{ONE}","other":"{OTHER}","é":"é"}}}}]}}"#
        )
    }

    #[test]
    fn copies_have_fresh_identifiers_and_else_the_same_text() {
        let template = Template::new("a".to_owned(), &bundle()).unwrap();
        let (first, second) = (template.copy(7, 1), template.copy(7, 2));
        assert_ne!(first, second);
        assert!(!first.contains(ONE) && first.contains(OTHER));
        let parsed: Bundle = serde_json::from_str(&first).unwrap();
        let uuid = parsed.entry[0].full_url.strip_prefix("urn:uuid:").unwrap();
        assert_eq!(uuid.len(), UUID);
        assert_eq!(first.replace(uuid, ONE), bundle());
    }

    #[test]
    fn references_of_the_bundle_are_resolved_and_others_stay() {
        let url = format!("urn:uuid:{ONE}");
        let references = HashMap::from([(url.as_str(), "Patient/7".to_owned())]);
        let text = format!("a urn:uuid:{ONE} b urn:uuid:{OTHER} c urn:uuid:");
        let expected = format!("a Patient/7 b urn:uuid:{OTHER} c urn:uuid:");
        assert_eq!(resolve(&text, &references), expected);
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        assert!(Template::new("a".to_owned(), r#"{"type":"searchset","entry":[]}"#).is_err());
        assert!(Template::new("a".to_owned(), r#"{"type":"transaction","entry":[]}"#).is_err());
        assert!(Template::new("a".to_owned(), "nonsense").is_err());
    }
}
