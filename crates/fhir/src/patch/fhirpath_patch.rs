//! FHIRPath Patch: <https://hl7.org/fhir/R4/fhirpatch.html>.

use super::Error;
use super::draft::{Draft, Edit};
use super::list::{List, Repetition, Spot, object_with};
use super::operations;
use super::value;
use crate::definitions::r4;
use crate::fhirpath::{Context, Element, Expression, Item, Options, Shape};
use crate::json::{Document, Node};
use crate::resource::Resource;
use std::borrow::Cow;

/// The steps that the path of one operation may take.
const STEPS_MAX: u64 = 50_000;

/// A FHIRPath Patch whose operations are complete.
#[derive(Debug)]
pub(super) struct FhirPathPatch {
    document: Document,
    operations: Vec<Operation>,
}

struct Operation {
    path: String,
    does: Does,
}
salus_phi::guard!(Operation);

/// Values by the place of their part in the patch's document.
enum Does {
    Add { name: String, value: usize },
    Insert { index: usize, value: usize },
    Delete,
    Replace { value: usize },
    Move { source: usize, destination: usize },
}
salus_phi::guard!(Does);

impl FhirPathPatch {
    pub(super) fn read(document: Document) -> Result<FhirPathPatch, Error> {
        let root = document.root();
        if Resource::of(root).map(Resource::type_name) != Some("Parameters") {
            return Err(Error::malformed(
                "a FHIRPath Patch is a Parameters resource",
            ));
        }
        let parameters = root.get("parameter").map(Node::children);
        Ok(FhirPathPatch {
            operations: operations::read_all(parameters.into_iter().flatten(), read)?,
            document,
        })
    }

    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        operations::carry_out_all(&self.operations, |one| self.carry_out(one, draft))
    }

    fn carry_out(&self, operation: &Operation, draft: &mut Draft<'_>) -> Result<(), Error> {
        let root = draft.root();
        let path = &operation.path;
        let edit = match &operation.does {
            Does::Add { name, value } => add(root, &single(root, path)?, name, self.part(*value)?)?,
            Does::Insert { index, value } => insert(root, path, *index, self.part(*value)?)?,
            Does::Replace { value } => replace(root, &single(root, path)?, self.part(*value)?)?,
            Does::Move {
                source,
                destination,
            } => relocate(root, path, *source, *destination)?,
            Does::Delete => {
                let Some(edit) = delete(root, path)? else {
                    return Ok(());
                };
                draft.make(edit)?;
                return draft.prune();
            }
        };
        draft.make(edit)
    }

    fn part(&self, index: usize) -> Result<Node<'_>, Error> {
        let node = self.document.node(index);
        node.ok_or_else(|| Error::malformed("the operation has no value"))
    }
}

fn read(parameter: Node<'_>) -> Result<Operation, Error> {
    if name(parameter) != "operation" {
        return Err(Error::malformed("each parameter is named `operation`"));
    }
    let parts = parameter.get("part");
    let part = |wanted: &str| {
        let found = parts.and_then(|parts| parts.children().find(|part| name(*part) == wanted));
        found.ok_or_else(|| Error::malformed(format!("needs a part `{wanted}`")))
    };
    let text = |wanted: &str| {
        let value = value::simple(part(wanted)?).and_then(|(_, value)| value.str());
        value.ok_or_else(|| Error::malformed(format!("the part `{wanted}` needs a text")))
    };
    let number = |wanted: &str| {
        let value = value::simple(part(wanted)?).and_then(|(_, value)| value.number());
        let number = value.and_then(|text| text.parse::<usize>().ok());
        let needed =
            || Error::malformed(format!("the part `{wanted}` needs a whole number from 0"));
        number.ok_or_else(needed)
    };
    let value = || part("value").map(Node::index);
    let does = match &*text("type")? {
        "add" => Does::Add {
            name: text("name")?.into_owned(),
            value: value()?,
        },
        "insert" => Does::Insert {
            index: number("index")?,
            value: value()?,
        },
        "delete" => Does::Delete,
        "replace" => Does::Replace { value: value()? },
        "move" => Does::Move {
            source: number("source")?,
            destination: number("destination")?,
        },
        _ => {
            return Err(Error::malformed(
                "its `type` is not known; allowed: add, insert, delete, replace, move",
            ));
        }
    };
    Ok(Operation {
        path: text("path")?.into_owned(),
        does,
    })
}

fn name(node: Node<'_>) -> Cow<'_, str> {
    node.get("name").and_then(Node::str).unwrap_or_default()
}

/// What a path leads to: elements of the resource, and nothing else.
fn elements<'a>(root: Node<'a>, path: &str) -> Result<Vec<Element<'a>>, Error> {
    let shape = Shape::of_resource(root)
        .ok_or_else(|| Error::mismatch("the resource is of no known type"))?;
    let options = Options {
        strict: true,
        as_filters: false,
    };
    let refused = |error| Error::malformed(format!("its path cannot be followed: {error}"));
    let expression = Expression::compile_with(path, Some(shape), options).map_err(refused)?;
    let context = Context {
        resource: Some(root),
        steps_max: STEPS_MAX,
        ..Context::default()
    };
    // What it gives may be borrowed from the expression; elements are of the document.
    let mut found = Vec::new();
    expression
        .evaluate(&context, &Item::resource(root), &mut found)
        .map_err(refused)?;
    let places: Option<Vec<_>> = found.iter().map(|item| place(root, item)).collect();
    drop(found);
    places.ok_or_else(|| Error::malformed("its path must lead to elements of the resource"))
}

/// The element again, as a part of this document.
fn place<'a>(root: Node<'a>, item: &Item<'_>) -> Option<Element<'a>> {
    let element = item.element()?;
    let here = |node: Option<Node<'_>>| match node {
        Some(node) if std::ptr::eq(node.document(), root.document()) => {
            root.document().node(node.index()).map(Some)
        }
        Some(_) => None,
        None => Some(None),
    };
    Some(Element {
        value: here(element.value)?,
        extra: here(element.extra)?,
        shape: element.shape,
    })
}

fn single<'a>(root: Node<'a>, path: &str) -> Result<Element<'a>, Error> {
    let mut found = elements(root, path)?;
    match (found.pop(), found.is_empty()) {
        (Some(element), true) => Ok(element),
        (None, _) => Err(Error::mismatch("there is nothing at its path")),
        (Some(_), false) => Err(several()),
    }
}

fn several() -> Error {
    Error::mismatch("its path leads to several elements, and must lead to one")
}

fn spot<'a>(root: Node<'a>, element: &Element<'a>) -> Result<Spot<'a>, Error> {
    Spot::of(root, element)
        .ok_or_else(|| Error::malformed("its path leads to the resource, and not into it"))
}

fn add(root: Node<'_>, to: &Element<'_>, name: &str, part: Node<'_>) -> Result<Edit, Error> {
    let shape = to
        .shape
        .ok_or_else(|| Error::mismatch("its path leads to an element of no known type"))?;
    let key = value::key(shape.parent, name, part)?;
    let new = value::repetition(part, value::below(shape.parent, key))?;
    let repeats = r4().element(key.element).repeats();
    let object = match (to.value, to.extra) {
        (Some(value), _) if value.is_object() => Some(value),
        (_, extra) => extra.filter(|extra| extra.is_object()),
    };
    let Some(object) = object else {
        return extend(root, to, (key.json, repeats), new);
    };
    let others = r4().keys(shape.parent).iter();
    let other = |json: &str| object.get(json).is_some() && json != key.json;
    if others
        .filter(|other| other.ordinal == key.ordinal)
        .any(|choice| other(choice.json))
    {
        return Err(Error::mismatch(
            "the element is there already, with another type",
        ));
    }
    let mut list = List::of(object, key.json, repeats);
    list.items.push(new);
    list.check_single()?;
    Ok(list.edit())
}

/// The first extension, or the id, of a primitive.
fn extend(
    root: Node<'_>,
    primitive: &Element<'_>,
    (key, repeats): (&str, bool),
    new: Repetition<'_>,
) -> Result<Edit, Error> {
    let spot = spot(root, primitive)?;
    let mut list = List::of(spot.owner, spot.key, false);
    let text = new.value.unwrap_or_default();
    let text = match repeats {
        true => format!("{{\"{key}\":[{text}]}}"),
        false => format!("{{\"{key}\":{text}}}"),
    };
    if let Some(item) = list.items.get_mut(spot.index) {
        item.extra = Some(text.into());
    }
    Ok(list.edit())
}

fn insert(root: Node<'_>, path: &str, index: usize, part: Node<'_>) -> Result<Edit, Error> {
    let found = elements(root, path)?;
    if found.is_empty()
        && index == 0
        && let Some((before, name)) = path.rsplit_once('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        // The first of a list that is not there yet.
        return add(root, &single(root, before)?, name, part);
    }
    let (mut list, places) = listed(root, &found)?;
    let place = match places.get(index) {
        Some(place) => *place,
        None if index == places.len() => places.last().map_or(0, |last| last + 1),
        None => return Err(Error::mismatch("its index is behind the end of the list")),
    };
    let parent = found.first().and_then(|element| element.shape);
    let parent = parent.map(|shape| shape.parent);
    let parent = parent.ok_or_else(|| Error::mismatch("the list is of no known type"))?;
    list.items.insert(place, value::repetition(part, parent)?);
    list.check_single()?;
    Ok(list.edit())
}

fn delete(root: Node<'_>, path: &str) -> Result<Option<Edit>, Error> {
    let found = elements(root, path)?;
    let [element] = found.as_slice() else {
        return match found.is_empty() {
            true => Ok(None),
            false => Err(several()),
        };
    };
    let spot = spot(root, element)?;
    let mut list = List::of(spot.owner, spot.key, false);
    if spot.index < list.items.len() {
        list.items.remove(spot.index);
    }
    Ok(Some(list.edit()))
}

fn replace(root: Node<'_>, element: &Element<'_>, part: Node<'_>) -> Result<Edit, Error> {
    let spot = spot(root, element)?;
    let parent = element.shape.map(|shape| shape.parent);
    let parent = parent.ok_or_else(|| Error::mismatch("the element is of no known type"))?;
    let new = value::repetition(part, parent)?;
    if let Some(renamed) = other_type(spot, part) {
        // Another type of a choice is another member.
        let members = [
            (spot.key.to_owned(), None),
            (format!("_{}", spot.key), None),
            (renamed.to_owned(), new.value.map(Into::into)),
            (format!("_{renamed}"), new.extra.map(Into::into)),
        ];
        return Ok(Edit::replace(spot.owner, object_with(spot.owner, &members)));
    }
    let mut list = List::of(spot.owner, spot.key, false);
    if let Some(item) = list.items.get_mut(spot.index) {
        *item = new;
    }
    Ok(list.edit())
}

/// The member for another type of the choice that a member is of.
fn other_type(spot: Spot<'_>, part: Node<'_>) -> Option<&'static str> {
    let (ty, _) = value::simple(part)?;
    let root = spot.owner.document().root();
    let shape = shape_of(root, spot.owner)?;
    let own = r4().child(shape.parent, spot.key)?;
    let element = r4().element(own.element);
    let choices = r4().keys(shape.parent).iter();
    let mut choices = choices.filter(|key| element.choice && key.ordinal == own.ordinal);
    let key = choices.find(|key| key.json.strip_prefix(element.name) == Some(ty))?;
    (key.json != spot.key).then_some(key.json)
}

/// What the definitions say that an object in a document is.
fn shape_of(root: Node<'_>, object: Node<'_>) -> Option<Shape> {
    let (mut shape, mut at) = (Shape::of_resource(root), root);
    while at != object {
        let mut inside = at.children();
        at = inside.find(|child| child.end_index() > object.index())?;
        if let (Some(key), Some(parent)) = (at.key(), shape) {
            let plain = key.strip_prefix('_').unwrap_or(key);
            let child = r4().child(parent.parent, plain)?;
            shape = Some(Shape {
                ty: child.ty,
                parent: child.parent,
            });
        }
        shape = Shape::of_resource(at).or(shape);
    }
    shape
}

fn relocate(root: Node<'_>, path: &str, source: usize, destination: usize) -> Result<Edit, Error> {
    let found = elements(root, path)?;
    let (mut list, places) = listed(root, &found)?;
    let (Some(from), Some(to)) = (places.get(source), places.get(destination)) else {
        return Err(Error::mismatch(
            "its source or destination is behind the end of the list",
        ));
    };
    let moved = list.items.remove(*from);
    list.items.insert(*to, moved);
    Ok(list.edit())
}

/// The list that elements are items of, and their places in it.
fn listed<'a>(root: Node<'a>, found: &[Element<'a>]) -> Result<(List<'a>, Vec<usize>), Error> {
    let spots = found.iter().map(|element| spot(root, element));
    let spots = spots.collect::<Result<Vec<_>, _>>()?;
    let Some(first) = spots.first() else {
        return Err(Error::mismatch("there is nothing at its path"));
    };
    if !spots
        .iter()
        .all(|spot| spot.owner == first.owner && spot.key == first.key)
    {
        return Err(Error::mismatch(
            "its path leads to several lists, and must lead to one",
        ));
    }
    let mut places: Vec<_> = spots.iter().map(|spot| spot.index).collect();
    places.sort_unstable();
    places.dedup();
    Ok((List::of(first.owner, first.key, false), places))
}
