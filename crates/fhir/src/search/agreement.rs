//! The walk along paths and the FHIRPath engine agree on every parameter of
//! every published example.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::convert::{Reader, convert};
use super::extract::{Entry, Extractor};
use super::lay::is_indexed;
use super::value::Value;
use crate::definitions;
use crate::fhirpath::{Context, Expression, Item};
use crate::json::{Document, Limits, Node};
use crate::validate::corpus::each_example;

const OWN: &[&str] = &["http://localhost/fhir"];

/// A value as text. The system of a token is left out, since FHIRPath does not
/// know the binding that implies one, and so are the zeros at the end of a
/// number, since its unions keep one of equal numbers.
fn show(code: &str, value: &Value<'_>) -> String {
    let same = |number: &str| match Decimal::from_scientific(number).or(number.parse()) {
        Ok(decimal) => decimal.normalize().to_string(),
        Err(_) => number.to_owned(),
    };
    match value {
        Value::Token { code: token, .. } => format!("{code} {token}"),
        Value::Number(number) => format!("{code} {}", same(number)),
        Value::Quantity {
            value,
            system,
            code: unit,
        } => {
            format!("{code} {} {system}|{unit}", same(value))
        }
        Value::Amount { .. }
        | Value::Range { .. }
        | Value::String { .. }
        | Value::Date(_)
        | Value::Reference { .. }
        | Value::ReferenceUri(_)
        | Value::ReferenceIdentifier { .. }
        | Value::Uri(_)
        | Value::Place { .. }
        | Value::Words(_)
        | Value::OfType { .. }
        | Value::Composite(_)
        | Value::Present => format!("{code} {value:?}"),
    }
}

fn by_walk(extractor: &'static Extractor, node: Node<'_>) -> BTreeSet<String> {
    let entries = extractor.extract(node, OWN).unwrap();
    let code = |entry: &Entry<'_>| extractor.parameters()[usize::from(entry.parameter)].code;
    entries
        .iter()
        .filter(|entry| !matches!(entry.value, Value::Present | Value::Composite(_)))
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
    let all = extractor.parameters().iter().zip(0_u16..);
    for (parameter, number) in all.filter(|(p, _)| is_indexed(p)) {
        let expression = Expression::compile_search(parameter.expression, ty).unwrap();
        let mut items = Vec::new();
        expression.evaluate(&context, &focus, &mut items).unwrap();
        for item in &items {
            if let Some(truth) = item.element().is_none().then(|| item.value()).flatten() {
                let code = parameter.code;
                let crate::fhirpath::Value::Boolean(truth) = truth else {
                    panic!("{code} gives a value that is no truth")
                };
                found.insert(format!("{code} {truth}"));
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
                    let kept_elsewhere = extractor.is_union(number);
                    if !(kept_elsewhere && matches!(value, Value::Words(_))) {
                        found.insert(show(parameter.code, &value));
                    }
                });
            }
        }
    }
    found
}

#[test]
fn the_walk_finds_what_fhirpath_finds() {
    let (mut count, mut different) = (0, Vec::new());
    let found = each_example(|name, text| {
        let Ok(document) = Document::parse(text, &Limits::default()) else {
            return;
        };
        let node = document.root();
        let ty = node.get("resourceType").and_then(Node::plain_str);
        let Some(extractor) = ty.and_then(Extractor::for_type) else {
            return;
        };
        count += 1;
        let (walk, fhirpath) = (by_walk(extractor, node), by_fhirpath(extractor, node));
        for value in walk.symmetric_difference(&fhirpath) {
            let only = if walk.contains(value) {
                "the walk"
            } else {
                "FHIRPath"
            };
            different.push(format!("{name}: only {only} finds {value}"));
        }
    });
    assert!(different.is_empty(), "{different:#?}");
    assert!(count > 5000 || !found, "{count}");
}
