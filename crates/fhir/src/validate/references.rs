//! References (<https://hl7.org/fhir/R4/references.html>): a literal one whose
//! text names a type must name one that the element allows, and one to a
//! contained resource must find it.

use crate::definitions::{Child, Element, TypeId};
use crate::issue::IssueType;
use crate::json::Node;
use crate::reference::Reference;

use super::Check;
use super::place::Place;

impl<'a> Check<'a, '_> {
    /// An object that may be a Reference.
    pub(super) fn referring(
        &mut self,
        node: Node<'a>,
        child: &Child,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        let here = element.types.iter().find(|of| of.ty == child.ty);
        let Some(here) = here else {
            return;
        };
        if here.profile == Some("SimpleQuantity") && node.get("comparator").is_some() {
            let details = "is not allowed here: the element is a SimpleQuantity";
            return self.fault(IssueType::Structure, &place.child("comparator"), details);
        }
        if !self.type_is(child.ty, "Reference") {
            return;
        }
        if let Some(reference) = node.get("reference")
            && let Some(text) = reference.str()
        {
            self.container.note(self.current, reference);
            let place = place.child("reference");
            match Reference::parse::<&str>(&text, &[]) {
                Some(Reference::Contained(id)) => self.contained(id, here.targets, &place),
                Some(found) => self.target(found.target_type(), here.targets, &place),
                // Of no known form: then it says no type either.
                None => {}
            }
        }
        if let Some(ty) = node.get("type").and_then(Node::plain_str) {
            self.target(Some(ty), here.targets, &place.child("type"));
        }
    }

    fn target(&mut self, name: Option<&str>, targets: &'static [TypeId], place: &Place<'_>) {
        if !self.limits.reference_targets {
            return;
        }
        let Some(ty) = name.and_then(|name| self.definitions.resource_named(name)) else {
            return;
        };
        let is_allowed = targets.is_empty()
            || targets
                .iter()
                .any(|target| self.definitions.is_subtype(ty, *target));
        if !is_allowed {
            let names: Vec<&str> = targets
                .iter()
                .map(|target| self.definitions.ty(*target).name)
                .collect();
            let details = format!("must refer to {}", names.join(" or "));
            self.fault(IssueType::Value, place, details);
        }
    }

    fn contained(&mut self, id: &str, targets: &'static [TypeId], place: &Place<'_>) {
        if id.is_empty() {
            // The container itself.
            return;
        }
        match self.container.find(id) {
            Some(found) => {
                let name = found.get("resourceType").and_then(Node::plain_str);
                self.target(name, targets, place);
            }
            None => {
                let details = "must lead to a contained resource (ref-1)";
                self.fault(IssueType::Invariant, place, details);
            }
        }
    }
}
