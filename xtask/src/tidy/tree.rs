//! The files that belong to the repository, as the checks see them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Every text file by its path from the root, with `/` between folders.
pub(super) struct Tree {
    files: BTreeMap<String, String>,
    /// What `cargo metadata` says of our own packages.
    pub(super) packages: Value,
    /// Every crate that any of them builds with, on any platform.
    pub(super) crates: Vec<Crate>,
}

/// A crate as `cargo tree` prints it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: String,
}

impl Tree {
    /// Reads the files that git tracks or would track: what is ignored is
    /// nobody's to tidy.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let listed = output(
            root,
            "git",
            &[
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        )?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // A file may be deleted and still listed, or hold no text.
            if let Ok(text) = std::fs::read_to_string(root.join(path)) {
                files.insert(path.to_owned(), text);
            }
        }
        let metadata = ["metadata", "--no-deps", "--format-version", "1"];
        let metadata = output(root, env!("CARGO"), &metadata)?;
        let metadata: Value = serde_json::from_str(&metadata).map_err(|e| e.to_string())?;
        // `cargo metadata` would list crates that only a weak feature names.
        let crates = ["tree", "--workspace", "--target", "all", "--prefix", "none"];
        let crates = [&crates[..], &["--no-dedupe", "--format", "{p}|{l}"]].concat();
        let mut crates: Vec<Crate> = output(root, env!("CARGO"), &crates)?
            .lines()
            .filter_map(Crate::printed)
            .collect();
        crates.sort();
        crates.dedup();
        Ok(Self {
            files,
            packages: metadata["packages"].clone(),
            crates,
        })
    }

    /// A tree made by hand.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Self {
            files,
            packages: Value::Null,
            crates: Vec::new(),
        }
    }

    /// Every file, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files whose names end so.
    pub(super) fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(path, _)| path.ends_with(end))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a folder with files.
    pub(super) fn holds(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }
}

impl Crate {
    /// From `name v1.2.3 (where)|licence`.
    pub(super) fn printed(line: &str) -> Option<Self> {
        let (package, license) = line.split_once('|')?;
        let mut words = package.split(' ');
        Some(Self {
            name: words.next()?.to_owned(),
            version: words.next()?.strip_prefix('v')?.to_owned(),
            license: license.to_owned(),
        })
    }
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let name = format!("{program} {}", arguments.first().unwrap_or(&""));
    let done = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{name} failed: {}", why.trim()));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("{name} printed no text: {error}"))
}
