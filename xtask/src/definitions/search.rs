//! The search parameters of R4.
//!
//! The registry <https://hl7.org/fhir/R4/searchparameter-registry.html> lists
//! those of the core; the package also holds examples, and parameters on
//! extensions and genetics profiles, which are left out.

use std::fmt::Write as _;

use serde_json::Value;

use super::package::{Package, items, joined, one_line, text_of};

pub(super) const SHAPE: &[&str] = &[
    "S code type bases targets flags url [expression]",
    "  targets: * when all types of resource are listed, - none",
    "  flags: O comma OR is refused, A repeating is refused, - neither",
    "C url-of-parameter expression: a component of the composite above",
];

pub(super) fn derive(package: &Package) -> Result<String, String> {
    let mut out = String::new();
    let resources = resources(package);
    for parameter in package.of_type("SearchParameter").filter(|p| core(p)) {
        if !items(parameter, "modifier").is_empty() {
            return Err("a parameter lists its modifiers: give it a column".into());
        }
        let _ = write!(
            out,
            "S\t{}\t{}\t{}\t{}\t{}\t{}",
            text_of(parameter, "code"),
            text_of(parameter, "type"),
            joined(parameter, "base"),
            targets(parameter, &resources),
            flags(parameter),
            text_of(parameter, "url"),
        );
        let expression = one_line(text_of(parameter, "expression"));
        if !expression.is_empty() {
            let _ = write!(out, "\t{expression}");
        }
        out.push('\n');
        for component in items(parameter, "component") {
            let _ = writeln!(
                out,
                "C\t{}\t{}",
                text_of(component, "definition"),
                one_line(text_of(component, "expression"))
            );
        }
    }
    Ok(out)
}

fn core(parameter: &Value) -> bool {
    let id = text_of(parameter, "id");
    text_of(parameter, "version") == "4.0.1"
        && !id.contains("-extensions-")
        && !id.contains("-genetic-")
}

/// The names of all types of resource, sorted.
fn resources(package: &Package) -> Vec<&str> {
    let mut names: Vec<&str> = package
        .of_type("StructureDefinition")
        .filter(|d| text_of(d, "kind") == "resource" && text_of(d, "derivation") != "constraint")
        .filter(|d| d.get("abstract").and_then(Value::as_bool) == Some(false))
        .map(|d| text_of(d, "type"))
        .collect();
    names.sort_unstable();
    names
}

/// The types that a reference may lead to. The publisher's way to say "any"
/// is to list every type, which here becomes `*`; its list leaves out
/// Parameters, which is never stored by itself.
fn targets(parameter: &Value, resources: &[&str]) -> String {
    let mut listed: Vec<&str> = items(parameter, "target")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    listed.sort_unstable();
    let all = resources
        .iter()
        .filter(|name| **name != "Parameters")
        .all(|name| listed.binary_search(name).is_ok());
    if all {
        return "*".into();
    }
    dash(listed.join(" "))
}

fn flags(parameter: &Value) -> String {
    let refused = |key| parameter.get(key).and_then(Value::as_bool) == Some(false);
    let mut flags = String::new();
    if refused("multipleOr") {
        flags.push('O');
    }
    if refused("multipleAnd") {
        flags.push('A');
    }
    dash(flags)
}

fn dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}
