//! Outside crates: licences we may ship, none that is unwanted, no second
//! version of a heavy one, and a reason for each that we name ourselves.
//!
//! The rules are those of `deny.toml`. `cargo deny` itself would have
//! to be built first, so CI does without; where outside crates come from is
//! seen in `words`.

use std::collections::BTreeSet;

use toml::Table;

use super::Fault;
use super::tree::{Crate, Tree};

const RULES: &str = "deny.toml";
const LOCK: &str = "Cargo.lock";
const MANIFEST: &str = "Cargo.toml";
const REASONS: &str = "docs/adr/0002-dependencies.md";

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let rules = tree.text(RULES).unwrap_or_default();
    let mut faults = match rules.parse::<Table>() {
        Ok(rules) => against(&rules, &tree.crates),
        Err(error) => vec![Fault::new(RULES, 0, error.message())],
    };
    faults.extend(
        named(tree)
            .into_iter()
            .flat_map(|name| without_reason_or_use(tree, &name)),
    );
    faults
}

fn against(rules: &Table, crates: &[Crate]) -> Vec<Fault> {
    let allowed = list(rules, "licenses", "allow");
    let allowed: BTreeSet<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let mut faults: Vec<Fault> = crates
        .iter()
        .filter(|found| !permitted(&found.license, &allowed))
        .map(|found| {
            let Crate {
                name,
                version,
                license,
            } = found;
            let license = if license.is_empty() {
                "no licence"
            } else {
                license
            };
            Fault::new(
                LOCK,
                0,
                format!("{name} {version} is under {license}: see {RULES}"),
            )
        })
        .collect();
    for row in list(rules, "bans", "deny")
        .iter()
        .filter_map(toml::Value::as_table)
    {
        faults.extend(banned(row, crates));
    }
    faults
}

fn list<'a>(rules: &'a Table, part: &str, name: &str) -> &'a [toml::Value] {
    let found = rules.get(part).and_then(|part| part.get(name));
    found
        .and_then(toml::Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// What a row of `bans.deny` says against the crates.
fn banned(row: &Table, crates: &[Crate]) -> Option<Fault> {
    let text = |name: &str| {
        row.get(name)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    };
    let name = text("crate");
    let versions: Vec<&str> = crates
        .iter()
        .filter(|found| found.name == name)
        .map(|found| found.version.as_str())
        .collect();
    let once = row
        .get("deny-multiple-versions")
        .and_then(toml::Value::as_bool);
    let message = match (once, versions.as_slice()) {
        (Some(true), [_, _, ..]) => {
            format!(
                "{name} comes in as {}: one is enough",
                versions.join(" and ")
            )
        }
        (None | Some(false), [version, ..]) => {
            format!("{name} {version} came in: {}", text("reason"))
        }
        _ => return None,
    };
    Some(Fault::new(LOCK, 0, message))
}

/// The outside crates that the root manifest names.
fn named(tree: &Tree) -> Vec<String> {
    let manifest = tree
        .text(MANIFEST)
        .and_then(|text| text.parse::<Table>().ok());
    let named = manifest.as_ref().and_then(|manifest| {
        let workspace = manifest.get("workspace")?;
        workspace.get("dependencies")?.as_table()
    });
    let outside = named
        .into_iter()
        .flatten()
        .filter(|(_, how)| how.get("path").is_none());
    outside.map(|(name, _)| name.clone()).collect()
}

fn without_reason_or_use(tree: &Tree, name: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let reasons = tree.text(REASONS).unwrap_or_default();
    if !reasons.contains(&format!("| `{name}` |")) {
        faults.push(Fault::new(REASONS, 0, format!("say what `{name}` is for")));
    }
    let mut manifests = tree
        .files()
        .filter(|(path, _)| path.ends_with("/Cargo.toml"));
    if !manifests.any(|(_, text)| uses(text, name)) {
        faults.push(Fault::new(MANIFEST, 0, format!("no crate uses `{name}`")));
    }
    faults
}

/// Whether a manifest takes a crate from the workspace.
fn uses(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    })
}

/// Whether an SPDX expression can be met with these licences. `/` is an old
/// way to write `OR`; `WITH` adds a permission, so what stands before it decides.
pub(super) fn permitted(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words: Words<'_> = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut answer = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        answer |= all_of(words, allowed);
    }
    answer
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut answer = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        answer &= one(words, allowed);
    }
    answer
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let answer = match words.next() {
        Some("(") => {
            let inner = any_of(words, allowed);
            words.next_if_eq(&")").is_some() && inner
        }
        Some(name) => allowed.contains(name),
        None => false,
    };
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    answer
}
