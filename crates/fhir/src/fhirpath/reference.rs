//! `resolve()`, and what a literal reference says of its target without reading it
//! (<https://hl7.org/fhir/R4/references.html#literal>).

use super::Error;
use super::evaluate::{Items, Run};
use super::item::{Element, Item, Shape, Value};
use super::op::{Call, TypeTest};
use crate::definitions::{TypeId, TypeKind, r4};
use crate::json::Node;
use std::borrow::Cow;

impl<'a> Run<'_, 'a> {
    /// Appends the resources that references lead to. What is not at hand is left out, unless
    /// only its type is wanted and the reference tells it.
    pub(super) fn resolve(
        &self,
        call: &Call,
        input: &[Item<'a>],
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        for item in input {
            self.charge(4)?;
            let Some(text) = target(item) else {
                continue;
            };
            if let Some(id) = text.strip_prefix('#') {
                out.extend(self.contained(id)?);
                continue;
            }
            let known = call.type_only.then(|| type_of(item, &text)).flatten();
            match known {
                Some(ty) => out.push(unread(ty)),
                None => {
                    let environment: &'a dyn super::Environment = self.context.environment;
                    out.extend(environment.resolve(&text)?);
                }
            }
        }
        Ok(())
    }

    /// Is the target of a reference of a type? Nothing when that cannot be told.
    pub(super) fn target_is(
        &self,
        item: &Item<'a>,
        test: &TypeTest,
    ) -> Result<Option<bool>, Error> {
        self.charge(4)?;
        let Some(text) = target(item) else {
            return Ok(None);
        };
        if let Some(id) = text.strip_prefix('#') {
            return Ok(self.contained(id)?.map(|item| test.is(&item)));
        }
        if let Some(ty) = type_of(item, &text) {
            return Ok(Some(test.is_type(ty)));
        }
        let found = self.context.environment.resolve(&text)?;
        Ok(found.map(|item| test.is(&item)))
    }

    /// `#id` is a contained resource of the outermost one, and `#` the outermost one itself.
    fn contained(&self, id: &str) -> Result<Option<Item<'a>>, Error> {
        let root = self.root_resource();
        if id.is_empty() {
            return Ok(Some(root));
        }
        let node = root.element().and_then(|element| element.value);
        let contained = node.and_then(|node| node.get("contained"));
        for resource in contained.into_iter().flat_map(Node::children) {
            self.charge(1)?;
            if resource.get("id").and_then(Node::plain_str) == Some(id) {
                return Ok(Some(Item::resource(resource)));
            }
        }
        Ok(None)
    }
}

/// The text of a Reference, a canonical or a uri.
fn target<'a>(item: &Item<'a>) -> Option<Cow<'a, str>> {
    match item {
        Item::Element(element) => match element.value {
            Some(node) if node.is_object() => node.get("reference")?.str(),
            Some(node) => node.str(),
            None => None,
        },
        Item::Value(Value::String(text)) => Some(text.clone()),
        Item::Value(_) | Item::Type(_) => None,
    }
}

/// The type of the target: from the path of its URL, or from the Reference's `type`.
fn type_of(item: &Item<'_>, text: &str) -> Option<TypeId> {
    let path = text.split(['?', '|', '#']).next().unwrap_or_default();
    let path = path.split("/_history/").next().unwrap_or_default();
    let mut segments = path.rsplit('/');
    let last = segments.next().unwrap_or_default();
    // A conditional reference has no id: `Patient?identifier=...`.
    let name = if text.contains('?') {
        last
    } else {
        segments.next().unwrap_or_default()
    };
    resource_type(name).or_else(|| {
        let node = item.element()?.value?;
        resource_type(node.get("type")?.plain_str()?)
    })
}

fn resource_type(name: &str) -> Option<TypeId> {
    r4().type_named(name)
        .filter(|ty| r4().ty(*ty).kind == TypeKind::Resource)
}

/// A resource of which only the type is known.
fn unread<'a>(ty: TypeId) -> Item<'a> {
    Item::Element(Element {
        value: None,
        extra: None,
        shape: Some(Shape::of_type(ty)),
    })
}
