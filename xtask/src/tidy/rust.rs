//! Rust sources with all that is not code blanked out, and tests told apart.
//!
//! This is no parser: it knows comments, literals and the words before a test
//! module. Lines keep their numbers.

use std::collections::BTreeSet;

use super::tree::Tree;

/// A line of a Rust file.
pub(super) struct Line<'a> {
    pub(super) path: &'a str,
    /// Counted from 1.
    pub(super) number: usize,
    /// As it is written.
    pub(super) text: &'a str,
    /// Without comments and without what is inside literals.
    pub(super) code: &'a str,
    /// Whether it only runs in tests.
    pub(super) test: bool,
}

/// Calls a function for every line of every Rust file.
pub(super) fn each_line(tree: &Tree, mut see: impl FnMut(&Line<'_>)) {
    let tests = test_files(tree);
    for (path, text) in tree.ending(".rs") {
        let code = blanked(text);
        let whole = is_test_path(path) || is_below(&tests, path);
        let from = test_module(&code);
        for (index, (text, code)) in text.lines().zip(code.lines()).enumerate() {
            let number = index + 1;
            // Tests come last in a file: a module of tests reaches to its end.
            let test = whole || from.is_some_and(|from| number >= from);
            see(&Line {
                path,
                number,
                text,
                code,
                test,
            });
        }
    }
}

/// Files by their names: integration tests, examples, benches, `tests.rs`, and the suite
/// that engines call from their tests.
pub(super) fn is_test_path(path: &str) -> bool {
    [
        "/tests/",
        "/tests.rs",
        "/examples/",
        "/benches/",
        "/conformance/",
    ]
    .iter()
    .any(|part| path.contains(part))
}

/// Modules declared under `#[cfg(test)]`, as paths without `.rs`.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in tree.ending(".rs") {
        for name in test_declarations(&blanked(text)) {
            found.insert(format!("{}{name}", folder_of_modules(path)));
        }
    }
    found
}

/// Where the modules of a file lie: beside `lib.rs`, below `search.rs`.
fn folder_of_modules(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file.trim_end_matches(".rs") {
        "lib" | "main" | "mod" => format!("{folder}/"),
        stem => format!("{folder}/{stem}/"),
    }
}

fn test_declarations(code: &str) -> Vec<&str> {
    let after_mark = code.split("#[cfg(test)]").skip(1);
    after_mark
        .filter_map(|rest| declared(rest)?.split_once([';', '{']))
        .map(|(name, _)| name.trim())
        .collect()
}

/// What follows `mod` where a module is declared next.
fn declared(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let code = code.strip_prefix("pub(crate)").unwrap_or(code);
    code.trim_start().strip_prefix("mod ")
}

fn is_below(modules: &BTreeSet<String>, path: &str) -> bool {
    let stem = path.trim_end_matches(".rs");
    modules.iter().any(|module| {
        stem.strip_prefix(module.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The line at which a module of tests opens within a file.
fn test_module(code: &str) -> Option<usize> {
    let mut line = 1;
    for part in code.split_inclusive("#[cfg(test)]") {
        let rest = &code[offset(code, part) + part.len()..];
        line += part.matches('\n').count();
        let module = declared(rest);
        let opens = module.and_then(|module| module.find([';', '{']).map(|at| &module[at..]));
        if opens.is_some_and(|opens| opens.starts_with('{')) {
            return Some(line);
        }
    }
    None
}

fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The text with comments and the insides of literals made into spaces.
pub(super) fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match skipped(rest, out.chars().next_back()) {
            0 => {
                out.push(first);
                first.len_utf8()
            }
            length => {
                let gone = rest.get(..length).unwrap_or(rest);
                // As many bytes, so that what is found here is found there.
                out.extend(gone.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
                gone.len()
            }
        };
        rest = rest.get(length..).unwrap_or("");
    }
    out
}

/// How many bytes from here are a comment or a literal.
fn skipped(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    let name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !name && (rest.starts_with('r') || rest.starts_with("br")) {
        return raw(rest);
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        let step = if here.starts_with("/*") {
            depth += 1;
            2
        } else if here.starts_with("*/") {
            depth -= 1;
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal; a lifetime is not one.
fn character(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
        _ => 0,
    }
}

/// A raw string: `r"..."`, `r#"..."#`, `br"..."`.
fn raw(rest: &str) -> usize {
    let after = rest.trim_start_matches('b').trim_start_matches('r');
    let hashes = after.len() - after.trim_start_matches('#').len();
    let Some(inside) = after.get(hashes..).and_then(|text| text.strip_prefix('"')) else {
        return 0;
    };
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside
        .find(&close)
        .map_or(inside.len(), |at| at + close.len());
    rest.len() - inside.len() + end
}
