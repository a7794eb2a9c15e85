//! The shape of JSON objects: which members each type and each backbone may
//! have, inherited ones included, found by key
//! (<https://hl7.org/fhir/R4/json.html>).

use std::collections::HashMap;

use super::index::Index;
use super::types::{ElementId, Type, TypeId, Types};

/// What a JSON object is: a type, or a backbone with elements of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// An object of a type. For a resource this is its own type, which only
    /// its `resourceType` tells.
    Type(TypeId),
    /// An object of an element that defines its content in place.
    Element(ElementId),
}

/// A member that an object may have.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in JSON: `valueQuantity` for a choice.
    pub json: &'static str,
    /// The element.
    pub element: ElementId,
    /// The type that the key says it has.
    pub ty: TypeId,
    /// The place of the element among those of the object; the keys of one
    /// choice share it.
    pub ordinal: u8,
}

/// What a member of a JSON object is.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// The element.
    pub element: ElementId,
    /// Its type here; `Resource` when the value says its own type.
    pub ty: TypeId,
    /// Where to look for its own members.
    pub parent: Parent,
    /// See [`Key::ordinal`].
    pub ordinal: u8,
}

pub(super) struct Shapes {
    /// Those of the types, by their numbers, then those of the backbones.
    shapes: Vec<Shape>,
    /// For each element: the shape of its content when it is a backbone.
    of_element: Vec<Option<u16>>,
}

struct Shape {
    keys: Vec<Key>,
    index: Index,
    /// For each choice: its FHIRPath name and its keys.
    choices: Vec<(&'static str, std::ops::Range<usize>)>,
    /// A bit for each ordinal whose element must be there.
    required: u128,
}

impl Shapes {
    pub(super) fn build(types: &Types) -> Shapes {
        let mut builder = Builder {
            types,
            names: HashMap::new(),
            members: types.iter().map(|_| None).collect(),
            of_element: vec![None; types.elements().len()],
        };
        for ty in types.iter() {
            builder.of_type(ty);
        }
        builder.finish()
    }

    fn get(&self, parent: Parent) -> Option<&Shape> {
        let at = match parent {
            Parent::Type(ty) => ty.index(),
            Parent::Element(element) => {
                usize::from(self.of_element.get(element.index()).copied().flatten()?)
            }
        };
        self.shapes.get(at)
    }

    pub(super) fn child(&self, parent: Parent, key: &str) -> Option<Child> {
        let shape = self.get(parent)?;
        let found = shape
            .index
            .find(key, |at| shape.keys.get(at).is_some_and(|k| k.json == key))?;
        let key = shape.keys.get(found)?;
        let own = self.of_element.get(key.element.index()).copied().flatten();
        Some(Child {
            element: key.element,
            ty: key.ty,
            parent: match own {
                Some(_) => Parent::Element(key.element),
                None => Parent::Type(key.ty),
            },
            ordinal: key.ordinal,
        })
    }

    pub(super) fn keys(&self, parent: Parent) -> &[Key] {
        self.get(parent).map_or(&[], |shape| &shape.keys)
    }

    pub(super) fn named(&self, parent: Parent, name: &str) -> &[Key] {
        let Some(shape) = self.get(parent) else {
            return &[];
        };
        let choice = shape.choices.iter().find(|(choice, _)| *choice == name);
        if let Some((_, range)) = choice {
            return shape.keys.get(range.clone()).unwrap_or_default();
        }
        let is = |key: &Key| key.json == name;
        match shape
            .index
            .find(name, |at| shape.keys.get(at).is_some_and(is))
        {
            Some(at) => shape.keys.get(at..=at).unwrap_or_default(),
            None => &[],
        }
    }

    pub(super) fn required(&self, parent: Parent) -> u128 {
        self.get(parent).map_or(0, |shape| shape.required)
    }
}

struct Builder<'t> {
    types: &'t Types,
    /// The keys of choices, shared between shapes.
    names: HashMap<(&'static str, TypeId), &'static str>,
    /// The elements of each shape, in order.
    members: Vec<Option<Vec<ElementId>>>,
    of_element: Vec<Option<u16>>,
}

impl Builder<'_> {
    /// The elements of a type: those of its base, then its own. An own one
    /// of the same name takes the place of an inherited one.
    fn of_type(&mut self, ty: &Type) -> Vec<ElementId> {
        if let Some(Some(members)) = self.members.get(ty.id.index()) {
            return members.clone();
        }
        let mut members = match ty.base {
            Some(base) => self.of_type(self.types.get(base)),
            None => Vec::new(),
        };
        let depth = |id: ElementId| self.types.element(id).path.matches('.').count();
        for id in ty.elements.iter().copied().filter(|id| depth(*id) == 1) {
            let name = self.types.element(id).name;
            let inherited = members
                .iter_mut()
                .find(|member| self.types.element(**member).name == name);
            match inherited {
                Some(member) => *member = id,
                None => members.push(id),
            }
        }
        if let Some(slot) = self.members.get_mut(ty.id.index()) {
            *slot = Some(members.clone());
        }
        self.backbones(ty);
        members
    }

    fn backbones(&mut self, ty: &Type) {
        for id in ty.elements {
            let element = self.types.element(*id);
            if !element.is_backbone {
                continue;
            }
            let mut members = match element.types.first() {
                Some(of) => self.of_type(self.types.get(of.ty)),
                None => Vec::new(),
            };
            members.extend(ty.elements.iter().copied().filter(|child| {
                let path = self.types.element(*child).path;
                path.rsplit_once('.').map(|(parent, _)| parent) == Some(element.path)
            }));
            self.of_element[id.index()] = u16::try_from(self.members.len()).ok();
            self.members.push(Some(members));
        }
    }

    fn finish(mut self) -> Shapes {
        for (at, element) in self.types.elements().iter().enumerate() {
            if let Some(content) = element.content {
                self.of_element[at] = self.of_element[content.index()];
            }
        }
        let members = std::mem::take(&mut self.members);
        Shapes {
            shapes: members
                .into_iter()
                .map(|members| self.shape(&members.unwrap_or_default()))
                .collect(),
            of_element: self.of_element,
        }
    }

    fn shape(&mut self, members: &[ElementId]) -> Shape {
        let mut keys = Vec::with_capacity(members.len());
        let mut choices = Vec::new();
        let mut required = 0;
        for (ordinal, id) in (0_u8..128).zip(members.iter().copied()) {
            let element = self.types.element(id);
            let first = keys.len();
            for ty in self.types_of(id) {
                let json = match element.choice {
                    true => self.key(element.name, ty),
                    false => element.name,
                };
                keys.push(Key {
                    json,
                    element: id,
                    ty,
                    ordinal,
                });
            }
            if element.choice {
                choices.push((element.name, first..keys.len()));
            }
            if element.min > 0 {
                required |= 1 << ordinal;
            }
        }
        Shape {
            index: Index::new(keys.iter().map(|key| key.json)),
            keys,
            choices,
            required,
        }
    }

    fn types_of(&self, id: ElementId) -> Vec<TypeId> {
        let element = self.types.element(id);
        let types = match element.content {
            Some(content) => self.types.element(content).types,
            None => element.types,
        };
        types.iter().map(|of| of.ty).collect()
    }

    /// `value` and Quantity make `valueQuantity`.
    fn key(&mut self, name: &'static str, ty: TypeId) -> &'static str {
        let type_name = self.types.get(ty).name;
        self.names.entry((name, ty)).or_insert_with(|| {
            let mut key = String::with_capacity(name.len() + type_name.len());
            key.push_str(name);
            let mut letters = type_name.chars();
            key.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            key.push_str(letters.as_str());
            key.leak()
        })
    }
}
