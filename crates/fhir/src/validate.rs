//! Structural validation of resources against the definitions
//! (<https://hl7.org/fhir/R4/validation.html>: structure, cardinality, value
//! domains, required bindings), on the JSON form
//! (<https://hl7.org/fhir/R4/json.html>).
//!
//! Every fault is reported, with its place as FHIRPath: element names with an
//! index where an element repeats, such as `Patient.name[0].given[1]`; a
//! choice has its FHIRPath name, `Observation.value`. No text repeats a value
//! of the resource. Profiles are not looked at here.
//!
//! The walk itself allocates nothing as long as it finds no fault; the few
//! invariants that have to be evaluated do.

mod array;
mod bindings;
mod bundle;
mod contained;
mod format;
mod place;
mod references;
mod rules;

#[cfg(test)]
pub(crate) mod corpus;
#[cfg(test)]
mod tests;

use crate::definitions::{self, Child, Definitions, Element, Parent, Primitive, TypeId};
use crate::issue::{Issue, IssueType};
use crate::json::Node;
use crate::resource::Resource;
use contained::Container;
use place::Place;
pub(crate) use place::plain;

/// What a validation looks at, and may cost at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Check that references lead to types that the definitions name. Not on a
    /// write: real systems name a patient as the insurer of the uninsured, and
    /// a server that takes a bundle must take its resources back.
    pub reference_targets: bool,
    /// Look into the resources in a Bundle's entries. Not for a batch, whose
    /// entries stand or fall each by itself.
    pub entry_resources: bool,
    /// Check the invariants. Not those of a batch, for the same reason.
    pub invariants: bool,
    /// Faults reported; the walk ends with the last of them.
    pub issues_max: usize,
    /// Elements inside each other.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            reference_targets: false,
            entry_resources: true,
            invariants: true,
            issues_max: 100,
            depth_max: 64,
        }
    }
}

/// A resource that follows the definitions: only [`resource`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Valid<'a>(Resource<'a>);

impl<'a> Valid<'a> {
    /// The resource.
    #[must_use]
    pub fn resource(self) -> Resource<'a> {
        self.0
    }

    /// Where it is.
    #[must_use]
    pub fn node(self) -> Node<'a> {
        self.0.node()
    }
}

/// Validates a resource with the usual limits.
///
/// # Errors
/// The faults, in the order of the text but for elements that are missing,
/// which come after their parent's others. At least one.
pub fn resource(node: Node<'_>) -> Result<Valid<'_>, Vec<Issue>> {
    resource_within(node, &Limits::default())
}

/// Validates a resource; see [`resource`].
///
/// # Errors
/// The faults. At least one.
pub fn resource_within<'a>(node: Node<'a>, limits: &Limits) -> Result<Valid<'a>, Vec<Issue>> {
    let mut check = Check {
        definitions: definitions::r4(),
        limits,
        issues: Vec::new(),
        structure_faults: 0,
        container: Container::new(node),
        current: node,
        steps_left: STEPS_MAX + STEPS_PER_NODE * node.document().nodes_len() as u64,
    };
    check.resource(node, &Place::root(""), Within::Nothing);
    match Resource::of(node) {
        Some(resource) if check.issues.is_empty() => Ok(Valid(resource)),
        // A resource without a known type always has an issue.
        _ => Err(check.issues),
    }
}

/// Steps of FHIRPath that the invariants of a small resource may take together:
/// a profile with a long snapshot needs most of them.
const STEPS_MAX: u64 = 2_000_000;
/// What each value of the document adds.
const STEPS_PER_NODE: u64 = 20;

/// Where a resource is found.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// By itself, or in an entry of a Bundle or a parameter.
    Nothing,
    /// Among the `contained` of another.
    Contained,
}

/// What an object is.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Resource,
    /// An element, or the extensions of a primitive without a value.
    Element,
    /// The id and extensions of a primitive that has a value.
    BesideValue,
}

struct Check<'a, 'l> {
    definitions: &'static Definitions,
    limits: &'l Limits,
    issues: Vec<Issue>,
    /// Faults that leave nothing to evaluate invariants on.
    structure_faults: usize,
    /// Where a reference `#id` leads: `%rootResource`.
    container: Container<'a>,
    /// The resource that is walked, contained or not: `%resource`.
    current: Node<'a>,
    /// What evaluating invariants may still cost.
    steps_left: u64,
}

/// The ordinal of `id`, the first of all elements.
const ID: u128 = 1;

/// Which elements of an object were met: a bit for each ordinal.
#[derive(Default)]
struct Seen {
    values: u128,
    siblings: u128,
}

impl<'a> Check<'a, '_> {
    fn fault(
        &mut self,
        code: IssueType,
        place: &Place<'_>,
        details: impl Into<std::borrow::Cow<'static, str>>,
    ) {
        if code != IssueType::Invariant {
            self.structure_faults += 1;
        }
        if self.issues.len() < self.limits.issues_max.max(1) {
            self.issues
                .push(Issue::error(code, place.to_string(), details));
        }
    }

    fn is_full(&self) -> bool {
        self.issues.len() >= self.limits.issues_max.max(1)
    }

    /// A resource: its type is known, then it is an object of that type.
    fn resource(&mut self, node: Node<'a>, place: &Place<'_>, within: Within) {
        let place = |name| match place.is_root() {
            true => Place::root(name),
            false => *place,
        };
        if !node.is_object() {
            let details = "a resource must be a JSON object";
            return self.fault(IssueType::Structure, &place(""), details);
        }
        let Some(named) = node.get("resourceType") else {
            let details = "a resource must say its type in resourceType";
            return self.fault(IssueType::Required, &place(""), details);
        };
        let Some(ty) = named
            .plain_str()
            .and_then(|name| self.definitions.resource_named(name))
        else {
            let details = "resourceType must name a type of resource of FHIR R4";
            return self.fault(IssueType::Value, &place(""), details);
        };
        let place = place(self.definitions.ty(ty).name);
        if within == Within::Contained {
            if node.get("contained").is_some() {
                let details = "a contained resource must not contain others (dom-2)";
                self.fault(IssueType::Invariant, &place.child("contained"), details);
            }
            self.in_place_of_current(node, ty, &place);
            return;
        }
        let outer = std::mem::replace(&mut self.container, Container::new(node));
        let has = self.in_place_of_current(node, ty, &place);
        if has.is_some() && self.limits.invariants {
            self.contained_are_linked(&place);
        }
        self.container = outer;
    }

    fn in_place_of_current(
        &mut self,
        node: Node<'a>,
        ty: TypeId,
        place: &Place<'_>,
    ) -> Option<u128> {
        let outer = std::mem::replace(&mut self.current, node);
        let has = self.object(node, Parent::Type(ty), place, Role::Resource);
        self.current = outer;
        has
    }

    /// An object: each member is known and right, none is missing, and the
    /// rules of its type are kept. Gives the ordinals of its members if its
    /// structure is right.
    fn object(
        &mut self,
        node: Node<'a>,
        parent: Parent,
        place: &Place<'_>,
        role: Role,
    ) -> Option<u128> {
        if self.is_full() || !self.is_filled_object(node, place) {
            return None;
        }
        let faults = self.structure_faults;
        let mut seen = Seen::default();
        for member in node.children() {
            let key = member.key().unwrap_or_default();
            if role == Role::Resource && key == "resourceType" {
                continue;
            }
            match key.strip_prefix('_') {
                None => self.member(node, member, key, parent, place, &mut seen),
                Some(key) => self.sibling(node, member, key, parent, place, &mut seen),
            }
        }
        self.missing(parent, place, &seen);
        self.extension(node, parent, place);
        let has = seen.values | seen.siblings;
        let is_right = self.structure_faults == faults && !self.is_full();
        if is_right && self.limits.invariants {
            self.invariants(node, parent, has, place, role);
        }
        is_right.then_some(has)
    }

    fn invariants(
        &mut self,
        node: Node<'a>,
        parent: Parent,
        has: u128,
        place: &Place<'_>,
        role: Role,
    ) {
        if role == Role::Element && has == ID {
            let details = "must have more than an id (ele-1)";
            return self.fault(IssueType::Invariant, place, details);
        }
        if let Parent::Type(ty) = parent {
            if role == Role::Resource && self.type_is(ty, "Bundle") {
                self.bundle(node, place);
            }
            self.rules_of_type(node, ty, has, place);
        }
    }

    fn is_filled_object(&mut self, node: Node<'a>, place: &Place<'_>) -> bool {
        let details = if node.is_null() {
            "must not be null: leave it out instead"
        } else if !node.is_object() {
            "must be a JSON object"
        } else if node.is_empty() {
            "an object must not be empty: leave it out instead"
        } else if place.depth() > self.limits.depth_max {
            self.fault(IssueType::TooLong, place, "is nested too deeply");
            return false;
        } else {
            return true;
        };
        self.fault(IssueType::Structure, place, details);
        false
    }

    /// A member by its plain key.
    fn member(
        &mut self,
        object: Node<'a>,
        member: Node<'a>,
        key: &str,
        parent: Parent,
        place: &Place<'_>,
        seen: &mut Seen,
    ) {
        let Some(child) = self.definitions.child(parent, key) else {
            return self.unknown(key, parent, place);
        };
        let element = self.definitions.element(child.element);
        let bit = 1_u128 << child.ordinal;
        let place = place.child(element.name);
        if element.choice && (seen.values | seen.siblings) & bit != 0 {
            self.one_type_only(object, key, parent, &place);
        }
        seen.values |= bit;
        if element.repeats() {
            self.array(object, member, key, &child, element, &place);
        } else if element.max == Some(0) {
            self.fault(IssueType::Structure, &place, "is not allowed here");
        } else if member.is_array() {
            let details = "must not be an array: the element does not repeat";
            self.fault(IssueType::Structure, &place, details);
        } else {
            self.value(member, &child, element, &place);
        }
    }

    /// One value of an element.
    fn value(
        &mut self,
        node: Node<'a>,
        child: &Child,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        let ty = self.definitions.ty(child.ty);
        if let Some(primitive) = ty.primitive {
            return self.primitive(node, primitive, child, element, place);
        }
        if ty.name == "Resource" {
            return match element.name {
                "contained" => self.resource(node, place, Within::Contained),
                _ if self.limits.entry_resources => self.resource(node, place, Within::Nothing),
                _ => (),
            };
        }
        let has = self.object(node, child.parent, place, Role::Element);
        if node.is_object() {
            self.bound(node, child, element, place);
            self.referring(node, child, element, place);
        }
        if let Some(has) = has.filter(|_| self.limits.invariants) {
            self.rules_of_element(node, child, element, has, place);
        }
    }

    fn primitive(
        &mut self,
        node: Node<'a>,
        primitive: Primitive,
        child: &Child,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        if let Err(fault) = format::check(node, primitive) {
            return self.fault(fault.code(), place, fault.details(primitive));
        }
        self.bound_code(node, element, place);
        if matches!(
            primitive,
            Primitive::Uri | Primitive::Url | Primitive::Canonical
        ) {
            self.container.note(self.current, node);
        }
        if self.limits.invariants {
            self.rules_of_element(node, child, element, 0, place);
        }
    }

    fn unknown(&mut self, key: &str, parent: Parent, place: &Place<'_>) {
        let of = match parent {
            Parent::Type(ty) => self.definitions.ty(ty).name,
            Parent::Element(element) => self.definitions.element(element).path,
        };
        match plain(key) {
            Some(key) => {
                let details = format!("unknown property {key}: {of} has no such element");
                self.fault(IssueType::Structure, &place.child(key), details);
            }
            None => {
                let details = format!("a property has a name that is no element of {of}");
                self.fault(IssueType::Structure, place, details);
            }
        }
    }

    /// A choice was met before: with another type that is a fault.
    fn one_type_only(&mut self, object: Node<'a>, key: &str, parent: Parent, place: &Place<'_>) {
        let ordinal = |key| self.definitions.child(parent, key).map(|c| c.ordinal);
        let this = ordinal(key);
        let other = object
            .children()
            .filter_map(Node::key)
            .map(|other| other.strip_prefix('_').unwrap_or(other))
            .find(|other| *other != key && ordinal(other) == this);
        if let Some(other) = other {
            let details = format!("must have one type only: has {other} and {key}");
            self.fault(IssueType::Structure, place, details);
        }
    }

    fn missing(&mut self, parent: Parent, place: &Place<'_>, seen: &Seen) {
        let mut missing = self.definitions.required(parent) & !(seen.values | seen.siblings);
        while missing != 0 {
            let ordinal = missing.trailing_zeros();
            missing &= missing - 1;
            let key = u8::try_from(ordinal)
                .ok()
                .and_then(|ordinal| self.definitions.key_at(parent, ordinal));
            if let Some(key) = key {
                let name = self.definitions.element(key.element).name;
                let details = format!("{name} is required");
                self.fault(IssueType::Required, &place.child(name), details);
            }
        }
    }

    /// <https://hl7.org/fhir/R4/extensibility.html#Extension>: a value or
    /// further extensions, not both.
    fn extension(&mut self, node: Node<'a>, parent: Parent, place: &Place<'_>) {
        let Parent::Type(ty) = parent else {
            return;
        };
        if !self.type_is(ty, "Extension") {
            return;
        }
        let extensions = node.get("extension").is_some();
        let value = node
            .children()
            .filter_map(Node::key)
            .any(|key| key.trim_start_matches('_').starts_with("value"));
        if extensions == value {
            let details = "an extension must have either a value or extensions (ext-1)";
            self.fault(IssueType::Invariant, place, details);
        }
    }

    fn type_is(&self, ty: TypeId, name: &str) -> bool {
        self.definitions.ty(ty).name == name
    }
}
