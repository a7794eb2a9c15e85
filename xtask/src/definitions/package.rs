//! Reads a FHIR NPM package: a gzip'ed tar of JSON files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

/// The conformance resources of a package, by type and canonical URL.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: String,
    pub(super) sha256: String,
    resources: BTreeMap<(String, String), Value>,
}

const TYPES: &[&str] = &[
    "StructureDefinition",
    "SearchParameter",
    "CodeSystem",
    "ValueSet",
    "CompartmentDefinition",
];

impl Package {
    /// Reads a package from a `.tgz` file.
    pub(super) fn read(path: &Path) -> Result<Package, Box<dyn std::error::Error>> {
        let packed = std::fs::read(path)?;
        let mut package = Package {
            name: String::new(),
            version: String::new(),
            license: String::new(),
            sha256: hexadecimal(&packed),
            resources: BTreeMap::new(),
        };
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            if let Some(file) = name.strip_prefix("package/") {
                let mut text = String::new();
                if file == "package.json" || wanted(file) {
                    entry.read_to_string(&mut text)?;
                    package.add(file, &text)?;
                }
            }
        }
        Ok(package)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
        let resource: Value = serde_json::from_str(text)?;
        if file == "package.json" {
            self.name = text_of(&resource, "name").to_owned();
            self.version = text_of(&resource, "version").to_owned();
            self.license = text_of(&resource, "license").to_owned();
            return Ok(());
        }
        let key = (
            text_of(&resource, "resourceType").to_owned(),
            text_of(&resource, "url").to_owned(),
        );
        match self.resources.insert(key, resource) {
            None => Ok(()),
            Some(_) => Err(format!("{file} defines a canonical URL twice").into()),
        }
    }

    /// The resources of one type in the order of their canonical URLs.
    pub(super) fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.resources
            .iter()
            .filter(move |((t, _), _)| t == kind)
            .map(|(_, resource)| resource)
    }
}

fn wanted(file: &str) -> bool {
    file.split_once('-')
        .is_some_and(|(kind, _)| TYPES.contains(&kind))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A member that is text, or nothing.
pub(super) fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The items of a member that is an array, or none.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of a member that is an array of texts, joined by spaces.
pub(super) fn joined(value: &Value, key: &str) -> String {
    let texts: Vec<&str> = items(value, key).iter().filter_map(Value::as_str).collect();
    texts.join(" ")
}

/// Text on one line: each run of white space becomes one space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A canonical URL without its version.
pub(super) fn unversioned(canonical: &str) -> &str {
    canonical.split('|').next().unwrap_or(canonical)
}
