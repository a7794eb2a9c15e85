//! Required bindings (<https://hl7.org/fhir/R4/terminologies.html#required>).
//!
//! Where the definitions alone cannot decide (MIME types, currencies, UCUM),
//! nothing is refused here.

use crate::definitions::{Binding, Child, Element, Strength, ValueSet};
use crate::issue::IssueType;
use crate::json::Node;

use super::Check;
use super::place::Place;

impl<'a> Check<'a, '_> {
    /// A primitive: its value is a code.
    pub(super) fn bound_code(
        &mut self,
        node: Node<'a>,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        let Some(set) = self.required(element) else {
            return;
        };
        let known = match node.plain_str() {
            Some(code) => set.contains(None, code),
            None => node.str().and_then(|code| set.contains(None, &code)),
        };
        if known == Some(false) {
            self.not_in(set, place);
        }
    }

    /// A Coding or CodeableConcept: one of its codings is in the set.
    pub(super) fn bound(
        &mut self,
        node: Node<'a>,
        child: &Child,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        let Some(set) = self.required(element) else {
            return;
        };
        let is_in = if self.type_is(child.ty, "CodeableConcept") {
            let codings = node.get("coding").map(Node::children);
            any_in(set, codings.into_iter().flatten())
        } else if self.type_is(child.ty, "Coding") || self.type_is(child.ty, "Quantity") {
            any_in(set, std::iter::once(node))
        } else {
            return;
        };
        if is_in == Some(false) {
            self.not_in(set, place);
        }
    }

    fn required(&self, element: &'static Element) -> Option<ValueSet<'static>> {
        match element.binding {
            Some(Binding {
                strength: Strength::Required,
                set: Some(set),
                ..
            }) => Some(self.definitions.value_set_of(set)),
            _ => None,
        }
    }

    fn not_in(&mut self, set: ValueSet<'_>, place: &Place<'_>) {
        let details = format!("must be a code of the value set {}", set.url());
        self.fault(IssueType::CodeInvalid, place, details);
    }
}

/// Is any of the codings in the set? `None` when that cannot be decided.
fn any_in<'a>(set: ValueSet<'_>, codings: impl Iterator<Item = Node<'a>>) -> Option<bool> {
    let mut answer = Some(false);
    let mut codings = codings.peekable();
    if codings.peek().is_none() && set.codes().is_none() {
        return None;
    }
    for coding in codings {
        let text = |key| coding.get(key).and_then(Node::str);
        let Some(code) = text("code") else {
            continue;
        };
        match set.contains(text("system").as_deref(), &code) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => answer = None,
        }
    }
    answer
}
