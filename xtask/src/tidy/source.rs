//! What a Rust file is like by itself: see CONVENTIONS.md.

use super::Fault;
use super::rust::{Line, blanked, each_line};
use super::tree::Tree;

const LINES_MAX: usize = 800;

/// Flat tables, and why each is one.
const TABLES: &[(&str, &str)] = &[];

/// Words of unfinished work, in pieces lest this file hold them.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimpl", "emented!"),
    concat!("db", "g!"),
];
const MARKS: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("TO", "DO"),
];

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".rs") {
        faults.extend(opening(path, text));
        faults.extend(length(path, text));
        faults.extend(marks(path, text));
    }
    each_line(tree, |line| faults.extend(unfinished(line)));
    for (path, text) in tree.ending(".rs") {
        faults.extend(ignored(path, text));
    }
    faults
}

fn opening(path: &str, text: &str) -> Option<Fault> {
    let first = text.lines().next().unwrap_or_default();
    let reason = first.strip_prefix("//!").unwrap_or_default().trim();
    (reason.len() < 10).then(|| Fault::new(path, 1, "open the file with `//!` and its reason"))
}

fn length(path: &str, text: &str) -> Option<Fault> {
    let lines = text.lines().count();
    let table = TABLES.iter().any(|(table, _)| *table == path);
    (lines > LINES_MAX && !table).then(|| {
        let message = format!("{lines} lines, more than {LINES_MAX}: it is two files");
        Fault::new(path, lines, message)
    })
}

fn marks(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let comment = line
            .find("//")
            .and_then(|at| line.get(at..))
            .unwrap_or_default();
        for mark in MARKS {
            if words(comment).any(|word| word == *mark) {
                let message = format!("{mark} in a comment: do it, or file an issue");
                faults.push(Fault::new(path, index + 1, message));
            }
        }
    }
    faults
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
}

fn unfinished(line: &Line<'_>) -> Vec<Fault> {
    let found = UNFINISHED.iter().filter(|name| line.code.contains(**name));
    found
        .map(|name| Fault::new(line.path, line.number, format!("{name} is left over")))
        .collect()
}

/// Tests that are switched off say why: `#[ignore = "..."]`.
fn ignored(path: &str, text: &str) -> Vec<Fault> {
    let code = blanked(text);
    let bare = code.lines().enumerate().filter(|(_, line)| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        line.contains("#[ignore]")
    });
    bare.map(|(index, _)| {
        Fault::new(
            path,
            index + 1,
            "say why this test is ignored: #[ignore = \"...\"]",
        )
    })
    .collect()
}
