//! Whether everything written keeps the invariants of R4, by our own FHIRPath.

use std::collections::{BTreeMap, BTreeSet};

use salus_fhir::definitions::{Invariant, Parent, TypeId, r4};
use salus_fhir::fhirpath::{Context, Element, Expression, Item, Options, Shape};
use salus_fhir::json::{Document, Limits, Node};

use super::population;
use crate::markers;

/// Evaluates invariants, each compiled once for each shape of its focus.
#[derive(Default)]
struct Check {
    compiled: BTreeMap<(&'static str, usize), Expression>,
    broken: BTreeSet<String>,
    kept: usize,
}

impl Check {
    fn resource(&mut self, node: Node<'_>) {
        let shape = Shape::of_resource(node).unwrap();
        self.object(node, shape, node);
    }

    fn object(&mut self, node: Node<'_>, shape: Shape, resource: Node<'_>) {
        let mut ty = Some(shape.ty);
        while let Some(id) = ty {
            let definition = r4().ty(id);
            self.rules(definition.invariants, node, shape, resource);
            ty = definition.base;
        }
        for member in node.children() {
            let Some(child) = member.key().and_then(|key| r4().child(shape.parent, key)) else {
                continue;
            };
            let own = Shape {
                ty: child.ty,
                parent: child.parent,
            };
            for value in items(member) {
                let own = if value.get("resourceType").is_some() {
                    Shape::of_resource(value).unwrap()
                } else {
                    own
                };
                self.rules(r4().element(child.element).invariants, value, own, resource);
                if value.is_object() {
                    let inner = value.get("resourceType").map_or(resource, |_| value);
                    self.object(value, own, inner);
                }
            }
        }
    }

    fn rules(
        &mut self,
        rules: &'static [Invariant],
        at: Node<'_>,
        shape: Shape,
        resource: Node<'_>,
    ) {
        for rule in rules.iter().filter(|rule| rule.is_error) {
            let key = (rule.expression, place(shape));
            let expression = self.compiled.entry(key).or_insert_with(|| {
                let options = Options::default();
                Expression::compile_with(rule.expression, Some(shape), options).unwrap()
            });
            let focus = Item::Element(Element {
                value: Some(at),
                extra: None,
                shape: Some(shape),
            });
            let context = Context {
                resource: Some(resource),
                ..Context::default()
            };
            match expression.truth(&context, &focus).unwrap() {
                Some(false) => drop(self.broken.insert(format!("{} {}", rule.key, at.raw()))),
                Some(true) | None => self.kept += 1,
            }
        }
    }
}

fn items(member: Node<'_>) -> Vec<Node<'_>> {
    if member.kind() == salus_fhir::json::Kind::Array {
        member.children().collect()
    } else {
        vec![member]
    }
}

/// A number for where a shape's members are listed.
fn place(shape: Shape) -> usize {
    let of_type = |ty: TypeId| ty.index() << 1;
    match shape.parent {
        Parent::Type(ty) => of_type(ty),
        Parent::Element(element) => element.index() << 1 | 1,
    }
}

fn walk(text: &str) -> Check {
    let mut check = Check::default();
    for line in text.lines() {
        let document = Document::parse(line.into(), &Limits::default()).unwrap();
        check.resource(document.root());
    }
    check
}

#[track_caller]
fn check(text: &str) {
    let check = walk(text);
    assert!(check.broken.is_empty(), "{:#?}", check.broken);
    assert!(check.kept > 100, "{}", check.kept);
}

#[test]
fn lives_and_the_directory_keep_every_invariant() {
    let population = population(12);
    check(&population.directory().0);
    population.lives().for_each(|life| check(&life.text));
}

#[test]
fn marked_resources_keep_every_invariant() {
    check(&markers(1).bundle);
}

#[test]
fn this_test_sees_a_period_that_ends_before_it_starts() {
    let text = markers(1)
        .bundle
        .replace(r#""start":"18"#, r#""start":"20"#);
    assert!(
        walk(&text)
            .broken
            .iter()
            .any(|broken| broken.starts_with("per-1 "))
    );
}
