//! From an element to its children: <https://hl7.org/fhir/R4/fhirpath.html#polymorphism>.
//!
//! In JSON the value and the extensions of a primitive are two members (`birthDate` and
//! `_birthDate`), a choice is a member that names its type (`valueQuantity` is `value`), and
//! repetitions are arrays in which `null` keeps the two apart.

use super::Error;
use super::compile::keys_named;
use super::evaluate::{Items, Run};
use super::item::{Element, Item, Shape, TypeInfo, Value};
use super::op::{Field, Member};
use crate::definitions::{Key, Parent, Primitive, r4};
use crate::json::{Children, Node};
use std::borrow::Cow;

/// Takes each child in turn.
type Sink<'s, 'a> = &'s mut dyn FnMut(Item<'a>, &mut Items<'a>) -> Result<(), Error>;

impl<'a> Run<'_, 'a> {
    /// Gives the children of a name to `sink`.
    pub(super) fn member(
        &self,
        member: &'a Member,
        item: &Item<'a>,
        sink: Sink<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let element = match item {
            Item::Element(element) => element,
            Item::Type(info) => return type_member(info, &member.name, sink, out),
            Item::Value(_) => return Ok(()),
        };
        let Some(object) = element.object() else {
            return Ok(());
        };
        let Some(shape) = element.shape else {
            return unknown(object, &member.name, sink, out);
        };
        if let Some(known) = &member.known
            && known.parent == shape.parent
        {
            return match &known.field {
                Some(field) => one(object, field, sink, out),
                None => choice(object, shape.parent, &member.name, known.keys, sink, out),
            };
        }
        match keys_named(shape, &member.name) {
            [] => Ok(()),
            [key] => match Field::of(shape.parent, key) {
                Some(field) => one(object, &field, sink, out),
                None => Ok(()),
            },
            keys => choice(object, shape.parent, &member.name, keys, sink, out),
        }
    }

    /// Appends all children in the order of the document.
    pub(super) fn children(&self, item: &Item<'a>, out: &mut Items<'a>) -> Result<(), Error> {
        let Some(element) = item.element() else {
            return Ok(());
        };
        let Some(object) = element.object() else {
            return Ok(());
        };
        let before = out.len();
        let sink: Sink<'_, 'a> = &mut |child, out| {
            out.push(child);
            Ok(())
        };
        for node in object.children() {
            let key = node.key().unwrap_or_default();
            let name = key.strip_prefix('_').unwrap_or(key);
            let field = element.shape.and_then(|shape| field_of(shape.parent, name));
            let shape = match (&field, element.shape) {
                (Some(field), _) => Some(field.shape),
                (None, None) => None,
                // `resourceType`, or no element at all.
                (None, Some(_)) => continue,
            };
            let resource = field.is_some_and(|field| field.resource);
            if name.len() == key.len() {
                let (_, extra) = pair(object, key);
                emit(Some(node), extra, shape, resource, sink, out)?;
            } else if object.get(name).is_none() {
                emit(None, Some(node), shape, resource, sink, out)?;
            }
        }
        self.charge(out.len() - before)
    }
}

fn field_of(parent: Parent, json: &str) -> Option<Field> {
    let child = r4().child(parent, json)?;
    let keys = r4().named(parent, json);
    let key = keys.iter().find(|key| key.json == json).copied();
    let key = key.or_else(|| {
        let name = r4().element(child.element).name;
        let keys = r4().named(parent, name);
        keys.iter().find(|key| key.json == json).copied()
    })?;
    Field::of(parent, &key)
}

/// The members `name` and `_name`.
#[inline]
fn pair<'a>(object: Node<'a>, name: &str) -> (Option<Node<'a>>, Option<Node<'a>>) {
    let (mut value, mut extra) = (None, None);
    for member in object.children() {
        let key = member.key().unwrap_or_default();
        if key == name {
            value = Some(member);
        } else if key.len() == name.len() + 1 && key.strip_prefix('_') == Some(name) {
            extra = Some(member);
        }
    }
    (value, extra)
}

/// The children of a name that is one JSON member.
fn one<'a>(
    object: Node<'a>,
    field: &Field,
    sink: Sink<'_, 'a>,
    out: &mut Items<'a>,
) -> Result<(), Error> {
    let (value, extra) = if field.primitive {
        pair(object, field.json)
    } else {
        (object.get(field.json), None)
    };
    emit(value, extra, Some(field.shape), field.resource, sink, out)
}

/// The child of a choice: the member whose name is the choice's name and one of its types.
fn choice<'a>(
    object: Node<'a>,
    parent: Parent,
    name: &str,
    keys: &[Key],
    sink: Sink<'_, 'a>,
    out: &mut Items<'a>,
) -> Result<(), Error> {
    for member in object.children() {
        let key = member.key().unwrap_or_default();
        let plain = key.strip_prefix('_').unwrap_or(key);
        if !plain.starts_with(name) {
            continue;
        }
        let Some(found) = keys.iter().find(|known| known.json == plain) else {
            continue;
        };
        // A primitive's `_valueString` counts on its own only without its `valueString`.
        if key.len() != plain.len() && object.get(plain).is_some() {
            continue;
        }
        if let Some(field) = Field::of(parent, found) {
            one(object, &field, sink, out)?;
        }
    }
    Ok(())
}

/// The children of an object that the definitions do not know.
fn unknown<'a>(
    object: Node<'a>,
    name: &str,
    sink: Sink<'_, 'a>,
    out: &mut Items<'a>,
) -> Result<(), Error> {
    let (value, extra) = pair(object, name);
    emit(value, extra, None, false, sink, out)
}

/// One element for each repetition, from its value and its extensions.
fn emit<'a>(
    value: Option<Node<'a>>,
    extra: Option<Node<'a>>,
    shape: Option<Shape>,
    resource: bool,
    sink: Sink<'_, 'a>,
    out: &mut Items<'a>,
) -> Result<(), Error> {
    if value.is_none() && extra.is_none() {
        return Ok(());
    }
    let mut values = Repetitions::of(value);
    let mut extras = Repetitions::of(extra);
    loop {
        let (value, extra) = (values.next(), extras.next());
        if value.is_none() && extra.is_none() {
            return Ok(());
        }
        let value = value.filter(|node| !node.is_null());
        let extra = extra.filter(|node| !node.is_null());
        if value.is_none() && extra.is_none() {
            continue;
        }
        let shape = match value {
            Some(node) if resource => Shape::of_resource(node).or(shape),
            _ => shape,
        };
        let element = Element {
            value,
            extra,
            shape,
        };
        sink(Item::Element(element), out)?;
    }
}

/// The items of an array, or one value.
enum Repetitions<'a> {
    One(Option<Node<'a>>),
    Many(Children<'a>),
}

impl<'a> Repetitions<'a> {
    fn of(node: Option<Node<'a>>) -> Repetitions<'a> {
        match node {
            Some(node) if node.is_array() => Repetitions::Many(node.children()),
            node => Repetitions::One(node),
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Node<'a>> {
        match self {
            Repetitions::One(node) => node.take(),
            Repetitions::Many(nodes) => nodes.next(),
        }
    }
}

fn type_member<'a>(
    info: &TypeInfo,
    name: &str,
    sink: Sink<'_, 'a>,
    out: &mut Items<'a>,
) -> Result<(), Error> {
    let text = match name {
        "namespace" => info.namespace,
        "name" => info.name,
        _ => return Ok(()),
    };
    sink(Item::Value(Value::String(Cow::Borrowed(text))), out)
}

/// Is the type one of those whose JSON is a value, not an object?
pub(super) fn is_primitive(shape: Shape) -> bool {
    r4().ty(shape.ty)
        .primitive
        .is_some_and(|of| of != Primitive::Xhtml)
}
