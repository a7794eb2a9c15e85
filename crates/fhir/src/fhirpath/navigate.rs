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
use crate::definitions::{Primitive, r4};
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
            return match known.fields.as_slice() {
                [field] => one(object, field, sink, out),
                fields => choice(object, &member.name, fields, sink, out),
            };
        }
        let fields = keys_named(shape, &member.name)
            .iter()
            .filter_map(|key| Field::of(shape.parent, key));
        let fields: Vec<Field> = fields.collect();
        match fields.as_slice() {
            [] => Ok(()),
            [field] => one(object, field, sink, out),
            fields => choice(object, &member.name, fields, sink, out),
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
        let is_extra = |node: Node<'a>| node.key().is_some_and(|key| key.starts_with('_'));
        let extras = object.children().any(is_extra);
        for node in object.children() {
            let key = node.key().unwrap_or_default();
            let name = key.strip_prefix('_').unwrap_or(key);
            let child = element
                .shape
                .and_then(|shape| r4().child(shape.parent, name));
            // `resourceType`, or no element at all.
            if child.is_none() && element.shape.is_some() {
                continue;
            }
            let field = child.map(|child| Field::of_child("", child));
            let shape = field.map(|field| field.shape);
            let resource = field.is_some_and(|field| field.resource);
            if name.len() == key.len() {
                let extra = if extras { pair(object, key).1 } else { None };
                emit(Some(node), extra, shape, resource, sink, out)?;
            } else if object.get(name).is_none() {
                emit(None, Some(node), shape, resource, sink, out)?;
            }
        }
        self.charge(out.len() - before)
    }
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
    name: &str,
    fields: &[Field],
    sink: Sink<'_, 'a>,
    out: &mut Items<'a>,
) -> Result<(), Error> {
    for member in object.children() {
        let key = member.key().unwrap_or_default();
        let plain = key.strip_prefix('_').unwrap_or(key);
        if !plain.starts_with(name) {
            continue;
        }
        let Some(field) = fields.iter().find(|field| field.json == plain) else {
            continue;
        };
        if !field.primitive {
            emit(
                Some(member),
                None,
                Some(field.shape),
                field.resource,
                sink,
                out,
            )?;
        } else if key.len() == plain.len() || object.get(plain).is_none() {
            // `_valueString` counts on its own only without its `valueString`.
            one(object, field, sink, out)?;
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
