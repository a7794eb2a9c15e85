//! The types of R4, their elements and their invariants, from the snapshots
//! of the StructureDefinitions that are not profiles.

use std::fmt::Write as _;

use serde_json::Value;

use super::package::{Package, items, one_line, text_of, unversioned};

pub(super) const SHAPE: &[&str] = &[
    "T type kind base [pattern]: kind is primitive, complex, resource or abstract",
    "E path min..max flags types [binding] of the type above; without inherited elements",
    "  flags: M modifier, S summary, A attribute in XML, - none",
    "  types: NAME, NAME(targets) for references, NAME:PROFILE, @PATH content reference",
    "I key severity expression of the element or type above",
];

const STRUCTURE: &str = "http://hl7.org/fhir/StructureDefinition/";
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";

pub(super) fn derive(package: &Package) -> Result<String, String> {
    let mut out = String::new();
    for definition in package.of_type("StructureDefinition") {
        let logical = text_of(definition, "kind") == "logical";
        if text_of(definition, "derivation") != "constraint" && !logical {
            one(&mut out, definition)?;
        }
    }
    Ok(out)
}

fn one(out: &mut String, definition: &Value) -> Result<(), String> {
    let name = text_of(definition, "type");
    let elements = definition
        .get("snapshot")
        .map(|snapshot| items(snapshot, "element"))
        .ok_or_else(|| format!("{name} has no snapshot"))?;
    let base = short(text_of(definition, "baseDefinition"));
    let pattern = pattern(elements, name);
    let _ = writeln!(out, "T\t{name}\t{}\t{base}{pattern}", kind(definition)?);
    for element in elements {
        let path = text_of(element, "path");
        let within = path.strip_prefix(name).unwrap_or(path);
        match within.strip_prefix('.') {
            None => invariants(out, element),
            Some("value") if text_of(definition, "kind") == "primitive-type" => {}
            Some(within) if own(element) => {
                line(out, name, within, element)?;
                invariants(out, element);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn kind(definition: &Value) -> Result<&'static str, String> {
    let is_abstract = definition.get("abstract").and_then(Value::as_bool);
    match (text_of(definition, "kind"), is_abstract) {
        (_, Some(true)) => Ok("abstract"),
        ("primitive-type", _) => Ok("primitive"),
        ("complex-type", _) => Ok("complex"),
        ("resource", _) => Ok("resource"),
        (other, _) => Err(format!("unknown kind {other}")),
    }
}

/// The regular expression of a primitive type's value, with a tab before it.
fn pattern(elements: &[Value], name: &str) -> String {
    elements
        .iter()
        .filter(|e| text_of(e, "path").strip_prefix(name) == Some(".value"))
        .flat_map(|e| items(e, "type"))
        .filter_map(|t| extension(t, REGEX, "valueString"))
        .map(|regex| format!("\t{regex}"))
        .collect()
}

fn extension<'a>(value: &'a Value, url: &str, key: &str) -> Option<&'a str> {
    items(value, "extension")
        .iter()
        .find(|e| text_of(e, "url") == url)
        .and_then(|e| e.get(key))
        .and_then(Value::as_str)
}

/// Whether the type itself introduces the element. `xhtml.extension` is the
/// one inherited element that is narrowed: an xhtml has no extensions.
fn own(element: &Value) -> bool {
    let path = text_of(element, "path");
    let base = element.get("base").map_or("", |base| text_of(base, "path"));
    path == base || path == "xhtml.extension"
}

fn line(out: &mut String, name: &str, within: &str, element: &Value) -> Result<(), String> {
    let min = element.get("min").and_then(Value::as_u64).unwrap_or(0);
    let max = text_of(element, "max");
    let _ = write!(
        out,
        "E\t{name}.{within}\t{min}..{max}\t{}\t{}",
        flags(element),
        types(name, within, element)?
    );
    if let Some(binding) = element.get("binding") {
        let set = unversioned(text_of(binding, "valueSet"));
        if !set.is_empty() {
            let _ = write!(out, "\t{} {set}", text_of(binding, "strength"));
        }
    }
    out.push('\n');
    Ok(())
}

fn flags(element: &Value) -> String {
    let is = |key| element.get(key).and_then(Value::as_bool) == Some(true);
    let attribute = items(element, "representation")
        .iter()
        .any(|r| r.as_str() == Some("xmlAttr"));
    let flags: String = [
        (is("isModifier"), 'M'),
        (is("isSummary"), 'S'),
        (attribute, 'A'),
    ]
    .iter()
    .filter_map(|(set, flag)| set.then_some(*flag))
    .collect();
    if flags.is_empty() { "-".into() } else { flags }
}

fn types(name: &str, within: &str, element: &Value) -> Result<String, String> {
    let content = text_of(element, "contentReference");
    if !content.is_empty() {
        return content
            .strip_prefix('#')
            .and_then(|c| c.strip_prefix(name))
            .and_then(|c| c.strip_prefix('.'))
            .map(|path| format!("@{name}.{path}"))
            .ok_or_else(|| format!("{name}.{within} refers outside its type"));
    }
    // The snapshot gives the ids of resources the type string; the clause is
    // <https://hl7.org/fhir/R4/resource.html#id>, the type id.
    if (name, within) == ("Resource", "id") {
        return Ok("id".into());
    }
    let types: Vec<String> = items(element, "type").iter().map(one_type).collect();
    Ok(types.join(" "))
}

fn one_type(value: &Value) -> String {
    let mut text = extension(value, FHIR_TYPE, "valueUrl")
        .unwrap_or_else(|| text_of(value, "code"))
        .to_owned();
    let targets: Vec<&str> = items(value, "targetProfile")
        .iter()
        .filter_map(Value::as_str)
        .map(short)
        .collect();
    if !targets.is_empty() {
        let _ = write!(text, "({})", targets.join("|"));
    }
    for profile in items(value, "profile").iter().filter_map(Value::as_str) {
        let _ = write!(text, ":{}", short(profile));
    }
    text
}

/// The invariants that the type itself introduces: inherited ones name the
/// type that they come from.
fn invariants(out: &mut String, element: &Value) {
    for constraint in items(element, "constraint") {
        if text_of(constraint, "source").is_empty() {
            let _ = writeln!(
                out,
                "I\t{}\t{}\t{}",
                text_of(constraint, "key"),
                text_of(constraint, "severity"),
                one_line(text_of(constraint, "expression"))
            );
        }
    }
}

fn short(canonical: &str) -> &str {
    canonical.strip_prefix(STRUCTURE).unwrap_or(canonical)
}
