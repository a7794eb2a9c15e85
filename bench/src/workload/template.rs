//! Transaction bundles of a folder, cut so that copies get identifiers of their own.
//!
//! Every UUID that names an entry is replaced wherever it stands, so each copy
//! is a new set of linked resources.

use crate::error::Error;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The length of a UUID as text.
pub(crate) const UUID: usize = 36;

/// A bundle cut at its UUIDs.
pub(crate) struct Template {
    /// Its file.
    pub(crate) name: String,
    /// How many.
    pub(crate) entries: usize,
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
    pub(crate) fn copy(&self, run: u64, copy: u64) -> String {
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

/// The bundles of a folder, in the order of their names.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Template>, Error> {
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

/// A bundle, as far as we look into it.
#[derive(Deserialize)]
pub(crate) struct Bundle<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    pub(crate) entry: Vec<Entry<'a>>,
}

/// One entry of it.
#[derive(Deserialize)]
pub(crate) struct Entry<'a> {
    #[serde(rename = "fullUrl", default)]
    pub(crate) full_url: String,
    #[serde(borrow)]
    pub(crate) resource: &'a RawValue,
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
    fn what_is_no_transaction_is_refused() {
        assert!(Template::new("a".to_owned(), r#"{"type":"searchset","entry":[]}"#).is_err());
        assert!(Template::new("a".to_owned(), r#"{"type":"transaction","entry":[]}"#).is_err());
        assert!(Template::new("a".to_owned(), "nonsense").is_err());
    }
}
