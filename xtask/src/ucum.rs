//! `cargo xtask ucum`: derives the facts of UCUM that Salus embeds from the
//! table that its publisher calls the essence.
//!
//! Codes, values and the units by which units are defined stand here as they
//! stand there, in the same order. Names, symbols, properties and notes are
//! left out, and so are the codes without case: FHIR uses the others.

use std::path::Path;

use aws_lc_rs::digest;
use roxmltree::{Document, Node};

use crate::Outcome;

const SOURCE: &str = "data/terminology/ucum/ucum-essence.xml";
const FILE: &str = "crates/fhir/definitions/ucum/units.tsv";

/// What stands at the head of the table, behind where it comes from.
const NOTICE: &[&str] = &[
    "Copyright 1999-2024 Regenstrief Institute, Inc. All rights reserved.",
    "Licensed under the UCUM License, Version 1.1: https://unitsofmeasure.org/license",
    "Without warranties or conditions of any kind; see the license.",
    "prefix code value",
    "base code dimension",
    "unit code flags value unit function",
    "flags: m takes prefixes, a arbitrary, s special, - none",
];

/// Runs the command: writes the table, or with `--check` says whether it is
/// what the source says.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (from, check) = crate::options(arguments, SOURCE, "a file")?;
    if !from.is_file() {
        return absent(check, &from);
    }
    let text = derive(&std::fs::read_to_string(&from)?)?;
    let file = crate::root().join(FILE);
    if check {
        if std::fs::read_to_string(file).ok().as_ref() != Some(&text) {
            return Err(format!("{FILE} is not current: run `cargo xtask ucum`").into());
        }
        println!("the units are current");
        return Ok(());
    }
    std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
    std::fs::write(file, &text)?;
    println!("{FILE}: {} bytes", text.len());
    Ok(())
}

fn absent(check: bool, path: &Path) -> Outcome {
    if check {
        println!("skipped: {} is not here to compare with", path.display());
        return Ok(());
    }
    Err(format!("{} is not there; name it with --from", path.display()).into())
}

fn derive(xml: &str) -> Result<String, Box<dyn std::error::Error>> {
    let document = Document::parse(xml)?;
    let root = document.root_element();
    let sum: String = digest::digest(&digest::SHA256, xml.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut text = format!(
        "# Derived by `cargo xtask ucum`; do not edit.\n# source ucum-essence.xml {} ({})\n# sha256 {sum}\n",
        attribute(root, "version")?,
        attribute(root, "revision-date")?,
    );
    for line in NOTICE {
        text.push_str("# ");
        text.push_str(line);
        text.push('\n');
    }
    for node in root.children().filter(Node::is_element) {
        text.push_str(&line(node)?.join("\t"));
        text.push('\n');
    }
    Ok(text)
}

fn line<'d>(node: Node<'d, 'd>) -> Result<Vec<&'d str>, String> {
    let code = attribute(node, "Code")?;
    let name = node.tag_name().name();
    match name {
        "prefix" => Ok(vec![
            "prefix",
            code,
            attribute(child(node, "value")?, "value")?,
        ]),
        "base-unit" => Ok(vec!["base", code, attribute(node, "dim")?]),
        "unit" => unit(node, code),
        _ => Err(format!("a {name} is not known here")),
    }
}

fn unit<'d>(node: Node<'d, 'd>, code: &'d str) -> Result<Vec<&'d str>, String> {
    let is = |name| node.attribute(name) == Some("yes");
    let flags = match (is("isMetric"), is("isArbitrary"), is("isSpecial")) {
        (false, false, false) => "-",
        (true, false, false) => "m",
        (false, true, false) => "a",
        (true, true, false) => "ma",
        (false, false, true) => "s",
        (true, false, true) => "ms",
        (_, true, true) => return Err(format!("{code} is both arbitrary and special")),
    };
    let definition = child(node, "value")?;
    let of = attribute(definition, "Unit")?;
    let (value, of, function) = match is("isSpecial") {
        false => (attribute(definition, "value")?, of, ""),
        true => {
            // `degf(5 K/9)`. The same stands in the attributes of the
            // function, but for one unit, where it is not what is meant.
            let inner = of.split_once('(').and_then(|(_, it)| it.strip_suffix(')'));
            let (value, of) = inner
                .and_then(|inner| inner.split_once(' '))
                .ok_or_else(|| format!("{code} has no function of a unit"))?;
            (
                value,
                of,
                attribute(child(definition, "function")?, "name")?,
            )
        }
    };
    Ok(vec!["unit", code, flags, value, of, function])
}

fn child<'d>(node: Node<'d, 'd>, name: &str) -> Result<Node<'d, 'd>, String> {
    node.children()
        .find(|child| child.tag_name().name() == name)
        .ok_or_else(|| format!("a {} has no {name}", node.tag_name().name()))
}

fn attribute<'d>(node: Node<'d, 'd>, name: &str) -> Result<&'d str, String> {
    node.attribute(name)
        .ok_or_else(|| format!("a {} has no {name}", node.tag_name().name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(element: &str, expected: &[&str]) {
        let document = Document::parse(element).unwrap();
        // The text is borrowed from the document, which lives as long as this.
        let found = line(document.root_element()).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_element_is_a_line() {
        check(
            r#"<prefix Code="k"><name>kilo</name><value value="1e3"/></prefix>"#,
            &["prefix", "k", "1e3"],
        );
        check(r#"<base-unit Code="m" dim="L"/>"#, &["base", "m", "L"]);
        check(
            r#"<unit Code="ar" isMetric="yes"><value Unit="m2" value="100"/></unit>"#,
            &["unit", "ar", "m", "100", "m2", ""],
        );
        check(
            r#"<unit Code="F" isSpecial="yes"><value Unit="f(5 K/9)"><function name="degF" value="1" Unit="x"/></value></unit>"#,
            &["unit", "F", "s", "5", "K/9", "degF"],
        );
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for element in [
            "<unit/>",
            r#"<other Code="x"/>"#,
            r#"<unit Code="x"><value Unit="1"/></unit>"#,
        ] {
            let document = Document::parse(element).unwrap();
            assert!(line(document.root_element()).is_err(), "{element}");
        }
    }
}
