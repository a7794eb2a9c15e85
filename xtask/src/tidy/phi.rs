//! Protected health information stays out of what code prints: types that may hold some tell only
//! their names, and a line of log has fields that are known to hold none. docs/adr/0055 says why
//! it is done so.

use super::Fault;
use super::rust::{blanked, is_test_path};
use super::tree::Tree;

/// The rooms that resources, requests and accounts pass in the clear.
const ROOMS: &[&str] = &[
    "api",
    "auth",
    "fhir",
    "service",
    "store",
    "store-embedded",
    "terminology",
];

/// What holds whatever somebody sent.
const TEXTS: &[&str] = &[
    "String",
    "str",
    "Bytes",
    "RawValue",
    "Uri",
    "HeaderMap",
    "HeaderValue",
];

/// The line before a type that holds texts of another kind.
const MARK: &str = "// No PHI: ";

/// The fields that a line of log may have, and what each says.
const FIELDS: &[(&str, &str)] = &[
    ("address", "where the server listens"),
    ("alert", "the id of one"),
    ("archive", "an archive as its operator named it"),
    ("cause", "what `service::Error::cause` lets out"),
    ("error", "an error of ours, which quotes nothing"),
    ("fault", "what is wrong with an object of an archive"),
    (
        "id",
        "of an alert, a job, a search parameter: none of a patient or person",
    ),
    ("kind", "one of the kinds of errors"),
    ("micros", "a time"),
    ("name", "of a route"),
    ("object", "the name of a segment"),
    (
        "origin",
        "scheme, host and port that the operator lists for imports",
    ),
    ("place", "of the code, of the operator's disk"),
    (
        "reason",
        "written in the code, or what the system says of a file or an address",
    ),
    (
        "request_id",
        "by which an operator finds a request in the audit",
    ),
    ("rule", "written in the code"),
    ("status", "of an answer"),
    ("ty", "a type of resources"),
];

/// Numbers: how many, when, how long.
const NUMBERS: &[&str] = &[
    "bytes",
    "failed",
    "file",
    "kept",
    "made",
    "number",
    "purged",
    "records",
    "removed",
    "rewrapped",
    "rotated",
    "seconds",
    "seq",
    "size",
    "unreadable",
];

const MACROS: &[&str] = &["error", "warn", "info", "debug", "trace", "event"];
const SPANS: &[&str] = &[
    "span",
    "error_span",
    "warn_span",
    "info_span",
    "debug_span",
    "trace_span",
    "instrument",
];

pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".rs") {
        if !path.starts_with("crates/") || !path.contains("/src/") || is_test_path(path) {
            continue;
        }
        let code = blanked(text);
        let end = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
        let code = code.get(..end).unwrap_or(&code);
        if ROOMS
            .iter()
            .any(|room| path.starts_with(&format!("crates/{room}/")))
        {
            faults.extend(printing_types(path, text, code));
        }
        faults.extend(logging(path, text, code));
    }
    faults
}

/// Types that derive `Debug` over a text.
fn printing_types(path: &str, text: &str, code: &str) -> Vec<Fault> {
    let derives = code.match_indices("#[derive(").filter(|(at, _)| {
        let derived = code[*at..].split(")]").next().unwrap_or_default();
        words(derived).any(|word| word == "Debug")
    });
    let mut faults = Vec::new();
    for (at, _) in derives {
        let Some((name, held)) = held(&code[at..]) else {
            continue;
        };
        let json = code.contains("serde_json::") && has_word(&held, "Value");
        let bytes = held.contains("[u8]") || held.contains("Vec<u8>");
        let holds_text = TEXTS.iter().any(|word| has_word(&held, word));
        let line = line_of(code, at);
        let before = line.checked_sub(2).and_then(|n| text.lines().nth(n));
        let marked = before.is_some_and(|line| line.trim_start().starts_with(MARK));
        // A `Value` of ours in a file that has none of serde_json is guarded where it is made.
        if (json && imports_value(code) || bytes || holds_text) && !marked {
            let message = format!(
                "{name} holds texts and derives Debug: guard it with `salus_phi::guard!({name})`, \
                 or say above it `{MARK}` and what it holds"
            );
            faults.push(Fault::new(path, line, message));
        }
    }
    faults
}

fn imports_value(code: &str) -> bool {
    code.contains("serde_json::Value")
        || code
            .split("serde_json::{")
            .skip(1)
            .any(|rest| has_word(rest.split('}').next().unwrap_or_default(), "Value"))
}

/// The name of the type that follows an attribute, and its fields without texts of the code.
fn held(code: &str) -> Option<(&str, String)> {
    let rest = past_attributes(code)?;
    let rest = match rest.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest.trim_start(),
        None => rest,
    };
    let (is_enum, rest) = match rest.strip_prefix("enum ") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("struct ")?),
    };
    let name_end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let open = rest.find(['{', '(', ';'])?;
    let body = balanced(&rest[open..]);
    let held = match is_enum {
        true => within(body),
        false => body.to_owned(),
    };
    let held = held
        .replace("&'static str", "")
        .replace("&'static [u8]", "");
    Some((&rest[..name_end], held))
}

fn past_attributes(code: &str) -> Option<&str> {
    let mut rest = code.trim_start();
    while rest.starts_with("#[") {
        rest = rest.get(1 + balanced(&rest[1..]).len()..)?.trim_start();
    }
    Some(rest)
}

/// The text from an opening bracket to the one that closes it.
fn balanced(code: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return &code[..at + c.len_utf8()];
        }
    }
    code
}

/// What stands in brackets within brackets: what the variants hold, without their names.
fn within(body: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::new();
    for c in body.chars() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth >= 2 {
            out.push(c);
        }
    }
    out
}

/// Lines of log with a field that is not listed, or with values in their message.
fn logging(path: &str, text: &str, code: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, _) in code.match_indices("tracing::") {
        let rest = &code[at + "tracing::".len()..];
        let word = words(rest).next().filter(|word| rest.starts_with(word));
        let mut fault = |message: String| {
            faults.push(Fault::new(path, line_of(code, at), message));
        };
        if code[..at].ends_with("use ") {
            let named = rest.split(';').next().unwrap_or_default();
            if words(named).any(|word| MACROS.contains(&word) || SPANS.contains(&word)) {
                fault(
                    "write tracing's macros with their path, so that this check finds them".into(),
                );
            }
        } else if word.is_some_and(|word| SPANS.contains(&word)) {
            fault("spans carry values to every line of log within them: log fields".into());
        } else if let Some(word) = word.filter(|word| MACROS.contains(word))
            && rest[word.len()..].starts_with('!')
        {
            let from = at + "tracing::".len() + word.len() + 1;
            let arguments = balanced(&code[from..]);
            let written = text.get(from..from + arguments.len()).unwrap_or_default();
            for argument in split(arguments, written) {
                check(argument, &mut fault);
            }
        }
    }
    faults
}

/// An argument of a macro: without what literals say, and as it is written.
fn check((code, written): (&str, &str), fault: &mut impl FnMut(String)) {
    let (code, written) = (code.trim(), written.trim());
    if code.is_empty() {
        if written.contains('{') {
            fault("a message of log has no values: give them as fields".into());
        }
        return;
    }
    let name = code.split('=').next().unwrap_or_default();
    let name = name.trim().trim_start_matches(['%', '?']);
    let name = name.rsplit('.').next().unwrap_or(name);
    let known = FIELDS.iter().any(|(field, _)| *field == name) || NUMBERS.contains(&name);
    if !known {
        fault(format!(
            "{name} is no field that logs may have: xtask/src/tidy/phi.rs lists them with what \
             each says"
        ));
    }
}

/// The arguments between brackets, at commas that stand in no brackets.
fn split<'a>(code: &'a str, written: &'a str) -> Vec<(&'a str, &'a str)> {
    let (mut depth, mut from) = (0_usize, 1);
    let mut parts = Vec::new();
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            parts.extend(code.get(from..at).zip(written.get(from..at)));
            from = at + 1;
        }
    }
    parts
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

fn has_word(code: &str, word: &str) -> bool {
    words(code).any(|each| each == word)
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}
