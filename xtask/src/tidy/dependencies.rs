//! Outside crates: licences we may ship, one source, no second version of a
//! heavy one.
//!
//! The same rules stand in `deny.toml` for those who have `cargo deny`; it
//! takes longer to build than this whole workspace, so CI does without.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fault;
use super::tree::Tree;

/// Licences that ask for no more than that their text is kept.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that take long to build or hold state of the process.
const ONCE: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "axum",
    "clap",
    "hyper",
    "jiff",
    "proptest",
    "regex",
    "regex-automata",
    "rustls",
    "serde",
    "serde_json",
    "surrealkv",
    "syn",
    "tokio",
    "tracing-subscriber",
    "zstd-sys",
];

/// Crates that must not come in, and why.
const NEVER: &[(&str, &str)] = &[
    (
        "openssl-sys",
        "needs headers that a fresh machine does not have",
    ),
    (
        "bindgen",
        "needs clang, which a fresh machine does not have",
    ),
    ("ring", "a second cryptographic library beside aws-lc-rs"),
    ("native-tls", "a second TLS library beside rustls"),
    ("chrono", "a second calendar beside jiff"),
];

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let packages = tree.metadata["packages"].as_array();
    let packages: Vec<&Value> = packages.into_iter().flatten().collect();
    let mut faults: Vec<Fault> = packages.iter().filter_map(|p| licence(p)).collect();
    faults.extend(packages.iter().filter_map(|p| unwanted(p)));
    faults.extend(doubles(&packages));
    faults
}

fn licence(package: &Value) -> Option<Fault> {
    let text = package["license"].as_str().unwrap_or("no licence");
    let message = format!("{} is under {text}: see deny.toml", named(package));
    (!permitted(text)).then(|| Fault::new("Cargo.lock", 0, message))
}

/// Whether an SPDX expression can be met with our licences. `/` is an old way
/// to write `OR`; `WITH` adds a permission, so what stands before it decides.
pub(super) fn permitted(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let answer = any_of(&mut words);
    answer && words.next().is_none()
}

type Words<'a, 'w> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any_of(words: Words<'_, '_>) -> bool {
    let mut answer = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        answer |= all_of(words);
    }
    answer
}

fn all_of(words: Words<'_, '_>) -> bool {
    let mut answer = one(words);
    while words.next_if_eq(&"AND").is_some() {
        answer &= one(words);
    }
    answer
}

fn one(words: Words<'_, '_>) -> bool {
    let answer = match words.next() {
        Some("(") => {
            let inner = any_of(words);
            words.next_if_eq(&")").is_some() && inner
        }
        Some(name) => LICENCES.contains(&name),
        None => false,
    };
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    answer
}

fn unwanted(package: &Value) -> Option<Fault> {
    let name = package["name"].as_str()?;
    let (_, why) = NEVER.iter().find(|(never, _)| *never == name)?;
    let message = format!("{} came in: {why}", named(package));
    Some(Fault::new("Cargo.lock", 0, message))
}

fn doubles(packages: &[&Value]) -> Vec<Fault> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let (name, version) = (package["name"].as_str(), package["version"].as_str());
        versions
            .entry(name.unwrap_or_default())
            .or_default()
            .extend(version);
    }
    let twice = versions
        .iter()
        .filter(|(name, all)| ONCE.contains(name) && all.len() > 1);
    twice
        .map(|(name, all)| {
            let message = format!("{name} comes in as {}: one is enough", all.join(" and "));
            Fault::new("Cargo.lock", 0, message)
        })
        .collect()
}

fn named(package: &Value) -> String {
    let part = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", part("name"), part("version"))
}
