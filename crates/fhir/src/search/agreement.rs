//! The walk along paths and the FHIRPath engine agree on every parameter of
//! every published example.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;

use rust_decimal::Decimal;

use super::convert::{Reader, convert};
use super::extract::{Entry, Extractor};
use super::lay::is_indexed;
use super::value::Value;
use crate::definitions;
use crate::fhirpath::{Context, Expression, Item};
use crate::json::{Document, Limits, Node};

const OWN: &[&str] = &["http://localhost/fhir"];

/// The examples as documents; none, with a message, when they are not at hand.
fn each_example(mut hand_over: impl FnMut(&str, &Document)) -> usize {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = std::env::var_os("SALUS_SHARED").map_or(root, PathBuf::from);
    let path = shared.join("data/fhir-packages/hl7.fhir.r4.examples-4.0.1.tgz");
    let Ok(packed) = std::fs::File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return 0;
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut count = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        if let Ok(document) = Document::parse(text, &Limits::default()) {
            hand_over(&name, &document);
            count += 1;
        }
    }
    count
}

/// A value as text. The system of a token is left out, since FHIRPath does not
/// know the binding that implies one, and so are the zeros at the end of a
/// number, since its unions keep one of equal numbers.
fn show(code: &str, value: &Value<'_>) -> String {
    let same = |number: &str| match Decimal::from_scientific(number).or(number.parse()) {
        Ok(decimal) => decimal.normalize().to_string(),
        Err(_) => number.to_owned(),
    };
    match value {
        Value::Token {
            code: token, text, ..
        } => format!("{code} {token} {text:?}"),
        Value::Number(number) => format!("{code} {}", same(number)),
        Value::Quantity {
            value,
            system,
            code: unit,
            ..
        } => {
            format!("{code} {} {system}|{unit}", same(value))
        }
        Value::String { .. }
        | Value::Date(_)
        | Value::Reference { .. }
        | Value::ReferenceUri(_)
        | Value::ReferenceIdentifier { .. }
        | Value::Uri(_) => format!("{code} {value:?}"),
    }
}

fn by_walk(extractor: &'static Extractor, node: Node<'_>) -> BTreeSet<String> {
    let entries = extractor.extract(node, OWN).unwrap();
    let code = |entry: &Entry<'_>| extractor.parameters()[usize::from(entry.parameter)].code;
    entries
        .iter()
        .map(|entry| show(code(entry), &entry.value))
        .collect()
}

fn by_fhirpath(extractor: &'static Extractor, node: Node<'_>) -> BTreeSet<String> {
    let definitions = definitions::r4();
    let ty = definitions.resource_named(extractor.ty()).unwrap();
    let focus = Item::resource(node);
    let context = Context {
        steps_max: u64::MAX,
        ..Context::default()
    };
    let mut found = BTreeSet::new();
    for parameter in extractor.parameters().iter().filter(|p| is_indexed(p)) {
        let expression = Expression::compile_search(parameter.expression, ty).unwrap();
        let mut items = Vec::new();
        expression.evaluate(&context, &focus, &mut items).unwrap();
        for item in &items {
            if let Some(truth) = item.element().is_none().then(|| item.value()).flatten() {
                let code = parameter.code;
                let crate::fhirpath::Value::Boolean(truth) = truth else {
                    panic!("{code} gives a value that is no truth")
                };
                found.insert(format!("{code} {truth} None"));
                continue;
            }
            let element = item.element().unwrap();
            let (Some(value), Some(shape)) = (element.value, element.shape) else {
                continue;
            };
            let ty = definitions.ty(shape.ty);
            let is_resource = ty.kind == definitions::TypeKind::Resource;
            let name = if is_resource { "Resource" } else { ty.name };
            if let Some(reader) = Reader::of(parameter.kind, name, "") {
                convert(reader, value, OWN, &mut |value| {
                    found.insert(show(parameter.code, &value));
                });
            }
        }
    }
    found
}

#[test]
fn the_walk_finds_what_fhirpath_finds() {
    let mut different = Vec::new();
    let count = each_example(|name, document| {
        let node = document.root();
        let ty = node.get("resourceType").and_then(Node::plain_str);
        let Some(extractor) = ty.and_then(Extractor::for_type) else {
            return;
        };
        let (walk, fhirpath) = (by_walk(extractor, node), by_fhirpath(extractor, node));
        for value in walk.symmetric_difference(&fhirpath).take(3) {
            let side = if walk.contains(value) {
                "walk"
            } else {
                "fhirpath"
            };
            different.push(format!("{name}: only by {side}: {value}"));
        }
    });
    assert!(
        different.is_empty(),
        "{} {:#?}",
        different.len(),
        different.iter().take(40).collect::<Vec<_>>()
    );
    assert!(count == 0 || count > 4000, "{count}");
}
