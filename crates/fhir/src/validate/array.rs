//! Repeating elements, and the `_` siblings in which primitives carry ids and
//! extensions (<https://hl7.org/fhir/R4/json.html#primitive>).

use crate::definitions::{Child, Element, Parent, Primitive};
use crate::issue::IssueType;
use crate::json::{Children, Node};

use super::place::Place;
use super::{Check, Role, Seen};

impl<'a> Check<'a, '_> {
    /// The array of a repeating element.
    pub(super) fn array(
        &mut self,
        object: Node<'a>,
        array: Node<'a>,
        key: &str,
        child: &Child,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        if !self.is_filled_array(array, place) {
            return;
        }
        let mut gaps = Gaps {
            siblings: None,
            next: 0,
        };
        for (index, item) in array.children().enumerate() {
            if self.is_full() {
                return;
            }
            let place = place.item(index);
            if item.is_null() {
                let sibling = gaps.sibling(object, key, index);
                self.gap(sibling, child, &place);
            } else {
                self.value(item, child, element, &place);
            }
        }
        self.at_most(array, element, place);
    }

    fn is_filled_array(&mut self, array: Node<'a>, place: &Place<'_>) -> bool {
        if !array.is_array() {
            let details = "must be an array: the element repeats";
            self.fault(IssueType::Structure, place, details);
            return false;
        }
        if array.is_empty() {
            let details = "an array must not be empty: leave it out instead";
            self.fault(IssueType::Structure, place, details);
            return false;
        }
        true
    }

    fn at_most(&mut self, array: Node<'a>, element: &'static Element, place: &Place<'_>) {
        if let Some(max) = element.max
            && array.len() > max as usize
        {
            let details = format!("must not be there more than {max} times");
            self.fault(IssueType::Structure, place, details);
        }
    }

    /// A null in an array stands for a primitive without a value, whose
    /// sibling has an extension.
    fn gap(&mut self, sibling: Option<Node<'a>>, child: &Child, place: &Place<'_>) {
        let is_primitive = self.definitions.ty(child.ty).primitive.is_some();
        if sibling.is_none_or(Node::is_null) || !is_primitive {
            let details = "must not be null";
            self.fault(IssueType::Structure, place, details);
        }
    }

    /// A member by a key with `_` before it.
    pub(super) fn sibling(
        &mut self,
        object: Node<'a>,
        member: Node<'a>,
        key: &str,
        parent: Parent,
        place: &Place<'_>,
        seen: &mut Seen,
    ) {
        let child = self
            .definitions
            .child(parent, key)
            .filter(|child| self.may_have_sibling(child));
        let Some(child) = child else {
            let named = member.key().unwrap_or_default();
            return self.unknown(named, parent, place);
        };
        let element = self.definitions.element(child.element);
        let bit = 1_u128 << child.ordinal;
        let place = place.child(element.name);
        if element.choice && (seen.values | seen.siblings) & bit != 0 {
            self.one_type_only(object, key, parent, &place);
        }
        seen.siblings |= bit;
        if element.repeats() {
            self.sibling_array(object.get(key), member, &child, element, &place);
        } else {
            let role = match object.get(key) {
                Some(_) => Role::BesideValue,
                None => Role::Element,
            };
            self.object(member, Parent::Type(child.ty), &place, role);
        }
    }

    /// Values that are attributes in XML have nothing beside them, nor has the
    /// XHTML of narratives.
    fn may_have_sibling(&self, child: &Child) -> bool {
        let primitive = self.definitions.ty(child.ty).primitive;
        primitive.is_some_and(|primitive| primitive != Primitive::Xhtml)
            && !self.definitions.element(child.element).is_attribute
    }

    fn sibling_array(
        &mut self,
        values: Option<Node<'a>>,
        array: Node<'a>,
        child: &Child,
        element: &'static Element,
        place: &Place<'_>,
    ) {
        if !self.is_filled_array(array, place) {
            return;
        }
        let mut beside = values.into_iter().flat_map(Node::children);
        for (index, item) in array.children().enumerate() {
            let place = place.item(index);
            let role = match beside.next() {
                Some(value) if !value.is_null() => Role::BesideValue,
                _ => Role::Element,
            };
            if !item.is_null() {
                self.object(item, Parent::Type(child.ty), &place, role);
            } else if values.is_none() {
                let details = "must not be null: there is no value beside it";
                self.fault(IssueType::Structure, &place, details);
            }
        }
        match values {
            Some(values) if values.is_array() && values.len() != array.len() => {
                let details = "the values and their extensions must be arrays of the same length";
                self.fault(IssueType::Structure, place, details);
            }
            Some(_) => {}
            None => self.at_most(array, element, place),
        }
    }
}

/// The siblings of the nulls in an array, which come in order: an array may
/// have very many.
struct Gaps<'a> {
    /// What is left of them, once somebody asks.
    siblings: Option<Option<Children<'a>>>,
    next: usize,
}

impl<'a> Gaps<'a> {
    fn sibling(&mut self, object: Node<'a>, key: &str, index: usize) -> Option<Node<'a>> {
        let find = || sibling_of(object, key).map(Node::children);
        let siblings = self.siblings.get_or_insert_with(find).as_mut()?;
        let found = siblings.nth(index - self.next);
        self.next = index + 1;
        found
    }
}

/// The member `_key` of an object.
fn sibling_of<'a>(object: Node<'a>, key: &str) -> Option<Node<'a>> {
    object
        .children()
        .find(|member| member.key().and_then(|k| k.strip_prefix('_')) == Some(key))
        .filter(|member| member.is_array())
}
