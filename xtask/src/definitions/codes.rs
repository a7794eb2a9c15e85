//! The code systems that R4 publishes: codes, displays and hierarchy.

use std::fmt::Write as _;

use serde_json::Value;

use super::package::{Package, items, one_line, text_of};

pub(super) const SHAPE: &[&str] = &[
    "url content case version: case is = when letter case matters, ~ when not, ? when not said",
    "  TAB code [display]: a concept; one more TAB for each level below another",
    "  ^ parent children: further children of a concept",
    "  ! codes: those that are retired",
];

pub(super) fn derive(package: &Package) -> Result<String, String> {
    let mut out = String::new();
    for system in package.of_type("CodeSystem") {
        let case = match system.get("caseSensitive").and_then(Value::as_bool) {
            Some(true) => '=',
            Some(false) => '~',
            None => '?',
        };
        let (url, content) = (text_of(system, "url"), text_of(system, "content"));
        let version = one_line(text_of(system, "version"));
        let _ = writeln!(out, "{url}\t{content}\t{case}\t{version}");
        concepts(&mut out, system, 1)?;
        further(&mut out, system);
        let mut retired = Vec::new();
        put_retired(&mut retired, system);
        if !retired.is_empty() {
            let _ = writeln!(out, "!\t{}", retired.join("\t"));
        }
    }
    Ok(out)
}

fn concepts(out: &mut String, within: &Value, depth: usize) -> Result<(), String> {
    for concept in items(within, "concept") {
        let code = text_of(concept, "code");
        if code.contains(['\t', '\n']) {
            return Err(format!("code {code:?} cannot be written on a line"));
        }
        let _ = write!(out, "{}{code}", "\t".repeat(depth));
        let display = one_line(text_of(concept, "display"));
        if !display.is_empty() {
            let _ = write!(out, "\t{display}");
        }
        out.push('\n');
        concepts(out, concept, depth + 1)?;
    }
    Ok(())
}

fn put_retired<'v>(codes: &mut Vec<&'v str>, within: &'v Value) {
    for concept in items(within, "concept") {
        let mut properties = items(concept, "property").iter();
        if properties
            .any(|p| text_of(p, "code") == "status" && text_of(p, "valueCode") == "retired")
        {
            codes.push(text_of(concept, "code"));
        }
        put_retired(codes, concept);
    }
}

/// A concept with several parents is nested below one of them; the others
/// name it in a property.
fn further(out: &mut String, within: &Value) {
    for concept in items(within, "concept") {
        let children: Vec<&str> = items(concept, "property")
            .iter()
            .filter(|p| text_of(p, "code") == "child")
            .map(|p| text_of(p, "valueCode"))
            .filter(|code| !code.is_empty())
            .collect();
        if !children.is_empty() {
            let _ = writeln!(
                out,
                "^\t{}\t{}",
                text_of(concept, "code"),
                children.join("\t")
            );
        }
        further(out, concept);
    }
}
