//! The invariants of the definitions
//! (<https://hl7.org/fhir/R4/conformance-rules.html#constraints>): those whose
//! breach is an error, on every element that they are for.
//!
//! Each is compiled when an element first needs it, and kept. Most of them
//! relate members of one object to each other; when the members that are there
//! decide one already, it is not evaluated. Rules that hold for so many
//! elements that evaluating them would cost too much are checked by hand:
//! ele-1, ext-1 and dom-2 in `validate.rs`, dom-3 in `contained.rs`, ref-1 in
//! `references.rs`, txt-1 and txt-2 in `xhtml.rs`, those of a Bundle's entries
//! in `bundle.rs`.
//!
//! A rule that fails to evaluate, for example because it compares things that
//! cannot be compared, is not broken.

use std::sync::{LazyLock, OnceLock};

use super::Check;
use super::place::Place;
use crate::definitions::{self, Child, Element, Invariant, TypeId};
use crate::fhirpath::{self, Context, ErrorKind, Expression, Item, Options, Presence, Shape};
use crate::issue::IssueType;
use crate::json::Node;

/// Checked by hand.
const BY_HAND: [&str; 12] = [
    "bdl-2", "bdl-3", "bdl-4", "bdl-7", "bdl-8", "dom-2", "dom-3", "ele-1", "ext-1", "ref-1",
    "txt-1", "txt-2",
];

/// Where the release has a slip, mended in later ones: `answer is Boolean`
/// asks for FHIRPath's own type, which no element has.
const MENDED: [(&str, &str); 1] = [("que-7", "operator = 'exists' implies (answer is boolean)")];

/// An invariant, ready to be checked.
struct Rule {
    key: &'static str,
    text: &'static str,
    expression: Expression,
    kept_when: Box<[Presence]>,
}

type Rules = Box<[Rule]>;

/// The rules by the number of the type or element that they are for.
struct Table {
    of_type: Box<[OnceLock<Rules>]>,
    of_element: Box<[OnceLock<Rules>]>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let definitions = definitions::r4();
    let slots = |count| (0..count).map(|_| OnceLock::new()).collect();
    Table {
        of_type: slots(definitions.types().count()),
        of_element: slots(definitions.elements_len()),
    }
});

impl<'a> Check<'a, '_> {
    /// The rules of an object's type.
    pub(super) fn rules_of_type(
        &mut self,
        node: Node<'a>,
        ty: TypeId,
        has: u128,
        place: &Place<'_>,
    ) {
        let table: &'static Table = &TABLE;
        let Some(slot) = table.of_type.get(ty.index()) else {
            return;
        };
        let shape = Shape::of_type(ty);
        let rules = slot.get_or_init(|| compile(&inherited(ty), Some(shape)));
        self.rules(rules, node, shape, has, place);
    }

    /// The rules of an element beside those of its type.
    pub(super) fn rules_of_element(
        &mut self,
        node: Node<'a>,
        child: &Child,
        element: &'static Element,
        has: u128,
        place: &Place<'_>,
    ) {
        if element.invariants.is_empty() && element.content.is_none() {
            return;
        }
        let id = element.content.unwrap_or(child.element);
        let invariants = self.definitions.element(id).invariants;
        if invariants.is_empty() {
            return;
        }
        let table: &'static Table = &TABLE;
        let Some(slot) = table.of_element.get(id.index()) else {
            return;
        };
        let shape = Shape {
            ty: child.ty,
            parent: child.parent,
        };
        // Choices have objects of several shapes, which are found out anew.
        let known = (!element.choice).then_some(shape);
        let rules = slot.get_or_init(|| compile(invariants, known));
        self.rules(rules, node, shape, has, place);
    }

    fn rules(
        &mut self,
        rules: &'static [Rule],
        node: Node<'a>,
        shape: Shape,
        has: u128,
        place: &Place<'_>,
    ) {
        for rule in rules {
            let is_kept = rule.kept_when.iter().any(|case| case.holds(has))
                || rule.key == "per-1" && is_plainly_in_order(node);
            if !is_kept {
                self.rule(rule, node, shape, place);
            } else if cfg!(test) {
                // What decides without evaluation must never be wrong.
                let before = self.issues.len();
                self.rule(rule, node, shape, place);
                assert_eq!(self.issues.len(), before, "{}", rule.key);
            }
        }
    }

    fn rule(&mut self, rule: &'static Rule, node: Node<'a>, shape: Shape, place: &Place<'_>) {
        if self.steps_left == 0 {
            // That was said already.
            return;
        }
        let context = Context {
            resource: Some(self.current),
            root_resource: Some(self.container.node),
            steps_max: self.steps_left,
            ..Context::default()
        };
        let focus = Item::Element(fhirpath::Element {
            value: Some(node),
            extra: None,
            shape: Some(shape),
        });
        match rule
            .expression
            .truth_paid(&context, &focus, &mut self.steps_left)
        {
            Ok(Some(false)) => {
                let details = format!("must keep the invariant {}: {}", rule.key, rule.text);
                self.fault(IssueType::Invariant, place, details);
            }
            Err(error) if error.kind == ErrorKind::TooCostly => {
                self.steps_left = 0;
                let details = format!("is too large for the invariant {} to be checked", rule.key);
                self.fault(IssueType::TooCostly, place, details);
            }
            Ok(Some(true) | None) | Err(_) => {}
        }
    }
}

/// per-1, the one rule that most resources have evaluated: the start of a Period
/// is not after its end. Times of one form in one zone are in the order of their
/// letters; what else there is, and what is out of order, is evaluated.
fn is_plainly_in_order(period: Node<'_>) -> bool {
    const SECONDS: usize = "2026-01-01T00:00:00".len();
    let time = |key| period.get(key).and_then(Node::plain_str);
    let (Some(start), Some(end)) = (time("start"), time("end")) else {
        return false;
    };
    start.len() == end.len() && start.get(SECONDS..) == end.get(SECONDS..) && start <= end
}

/// The invariants of a type and of those that it is derived from.
fn inherited(ty: TypeId) -> Vec<Invariant> {
    let definitions = definitions::r4();
    let mut all = Vec::new();
    let mut current = Some(ty);
    while let Some(id) = current {
        let ty = definitions.ty(id);
        all.extend_from_slice(ty.invariants);
        current = ty.base;
    }
    all
}

fn compile(invariants: &[Invariant], shape: Option<Shape>) -> Rules {
    let errors = invariants.iter().filter(|rule| rule.is_error);
    let evaluated = errors.filter(|rule| !BY_HAND.contains(&rule.key));
    let rules = evaluated.filter_map(|rule| {
        let mended = MENDED.iter().find(|(key, _)| *key == rule.key);
        let text = mended.map_or(rule.expression, |(_, text)| text);
        let expression = Expression::compile_with(text, shape, Options::default()).ok()?;
        let kept_when = shape.map_or_else(Vec::new, |shape| expression.kept_when(shape.parent));
        Some(Rule {
            key: rule.key,
            text,
            kept_when: kept_when.into(),
            expression,
        })
    });
    rules.collect()
}

#[cfg(test)]
mod tests;
