//! The value sets that R4 publishes: what each is composed of.

use std::fmt::Write as _;

use serde_json::Value;

use super::package::{Package, items, one_line, text_of, unversioned};

pub(super) const SHAPE: &[&str] = &[
    "url version",
    "  TAB + [system]: what follows is included; - is excluded",
    "  TAB TAB = codes: only these; a whole line is one list",
    "  TAB TAB ? property operator value: only those that pass the filter",
    "  TAB TAB @ value set: only those that are in it",
];

pub(super) fn derive(package: &Package) -> Result<String, String> {
    let mut out = String::new();
    for set in package.of_type("ValueSet") {
        let version = one_line(text_of(set, "version"));
        let _ = writeln!(out, "{}\t{version}", text_of(set, "url"));
        if let Some(compose) = set.get("compose") {
            for part in items(compose, "include") {
                component(&mut out, '+', part)?;
            }
            for part in items(compose, "exclude") {
                component(&mut out, '-', part)?;
            }
        }
    }
    Ok(out)
}

fn component(out: &mut String, sign: char, part: &Value) -> Result<(), String> {
    let _ = write!(out, "\t{sign}");
    let system = text_of(part, "system");
    if !system.is_empty() {
        let _ = write!(out, "\t{system}");
    }
    out.push('\n');
    let codes: Vec<&str> = items(part, "concept")
        .iter()
        .map(|c| text_of(c, "code"))
        .collect();
    if codes
        .iter()
        .any(|c| c.is_empty() || c.contains(['\t', '\n']))
    {
        return Err("a listed code cannot be written on a line".into());
    }
    if !codes.is_empty() {
        let _ = writeln!(out, "\t\t=\t{}", codes.join("\t"));
    }
    filters(out, part);
    Ok(())
}

fn filters(out: &mut String, part: &Value) {
    for filter in items(part, "filter") {
        let _ = writeln!(
            out,
            "\t\t?\t{}\t{}\t{}",
            text_of(filter, "property"),
            text_of(filter, "op"),
            one_line(text_of(filter, "value"))
        );
    }
    for set in items(part, "valueSet").iter().filter_map(Value::as_str) {
        let _ = writeln!(out, "\t\t@\t{}", unversioned(set));
    }
}
