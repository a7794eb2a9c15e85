//! Types, elements and invariants
//! (<https://hl7.org/fhir/R4/elementdefinition.html>).

mod read;

use super::index::Index;
use super::values::{ValueSetId, ValueSets};
use crate::json::Kind;

/// A type, by its place in the order of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(super) u16);

/// An element of a type, by its place in the order of definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementId(pub(super) u32);

impl TypeId {
    /// Its number, from 0 without gaps: for tables beside the definitions.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl ElementId {
    /// Its number, from 0 without gaps: for tables beside the definitions.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A primitive, complex or resource type.
#[derive(Debug)]
pub struct Type {
    /// Its place.
    pub id: TypeId,
    /// Such as `HumanName`.
    pub name: &'static str,
    /// Which sort of type it is.
    pub kind: TypeKind,
    /// The type that it is derived from.
    pub base: Option<TypeId>,
    /// Which primitive it is, when it is one.
    pub primitive: Option<Primitive>,
    /// The regular expression that R4 gives for a primitive's text.
    pub pattern: Option<&'static str>,
    /// The rules for it as a whole, without those of its base.
    pub invariants: &'static [Invariant],
    /// Its elements in the order of definition, those of backbones included
    /// and inherited ones not.
    pub elements: &'static [ElementId],
}

/// Sorts of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// One value, such as `string`.
    Primitive,
    /// A structure, such as `HumanName`.
    Complex,
    /// A resource that can be stored.
    Resource,
    /// Only there to derive from: Element, BackboneElement, Resource, DomainResource.
    Abstract,
}

/// The primitive types: <https://hl7.org/fhir/R4/datatypes.html#primitive>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    /// The kind of JSON value in which it is written
    /// (<https://hl7.org/fhir/R4/json.html#primitive>).
    #[must_use]
    pub(crate) fn json_kind(self) -> Kind {
        match self {
            Self::Boolean => Kind::Bool,
            Self::Decimal | Self::Integer | Self::PositiveInt | Self::UnsignedInt => Kind::Number,
            Self::Base64Binary
            | Self::Canonical
            | Self::Code
            | Self::Date
            | Self::DateTime
            | Self::Id
            | Self::Instant
            | Self::Markdown
            | Self::Oid
            | Self::String
            | Self::Time
            | Self::Uri
            | Self::Url
            | Self::Uuid
            | Self::Xhtml => Kind::String,
        }
    }

    fn named(name: &str) -> Option<Primitive> {
        Some(match name {
            "base64Binary" => Primitive::Base64Binary,
            "boolean" => Primitive::Boolean,
            "canonical" => Primitive::Canonical,
            "code" => Primitive::Code,
            "date" => Primitive::Date,
            "dateTime" => Primitive::DateTime,
            "decimal" => Primitive::Decimal,
            "id" => Primitive::Id,
            "instant" => Primitive::Instant,
            "integer" => Primitive::Integer,
            "markdown" => Primitive::Markdown,
            "oid" => Primitive::Oid,
            "positiveInt" => Primitive::PositiveInt,
            "string" => Primitive::String,
            "time" => Primitive::Time,
            "unsignedInt" => Primitive::UnsignedInt,
            "uri" => Primitive::Uri,
            "url" => Primitive::Url,
            "uuid" => Primitive::Uuid,
            "xhtml" => Primitive::Xhtml,
            _ => return None,
        })
    }
}

/// An element of a type, of a backbone inside a type, or of a choice.
#[derive(Debug)]
pub struct Element {
    /// Where it is defined: `Observation.component.value[x]`.
    pub path: &'static str,
    /// Its name in FHIRPath: `value` for a choice too.
    pub name: &'static str,
    /// How many must be there.
    pub min: u32,
    /// How many may be there; `None` is any number.
    pub max: Option<u32>,
    /// Has it several types, so that its JSON key ends with the type?
    pub choice: bool,
    /// The types that it may have; none when it has `content`.
    pub types: &'static [ElementType],
    /// The element whose content it shares, as `Questionnaire.item.item` does.
    pub content: Option<ElementId>,
    /// The codes it may have.
    pub binding: Option<Binding>,
    /// The rules for it, without those of its type.
    pub invariants: &'static [Invariant],
    /// Does it change what the others mean?
    pub is_modifier: bool,
    /// Is it in the summary?
    pub is_summary: bool,
    /// Is it an attribute in XML?
    pub is_attribute: bool,
    /// Has it elements of its own, defined below its path?
    pub is_backbone: bool,
}

impl Element {
    /// May it be there more than once, so that JSON has an array?
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.max != Some(1) && self.max != Some(0)
    }
}

/// A type that an element may have.
#[derive(Debug)]
pub struct ElementType {
    /// The type.
    pub ty: TypeId,
    /// For Reference and canonical: the types of resource that it may lead
    /// to; with `Resource` any.
    pub targets: &'static [TypeId],
    /// A profile on the type: `SimpleQuantity`.
    pub profile: Option<&'static str>,
}

/// Which codes an element may have.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// How binding it is.
    pub strength: Strength,
    /// The canonical URL of the value set, without version.
    pub value_set: &'static str,
    /// The value set, when it is among the definitions.
    pub set: Option<ValueSetId>,
}

/// <https://hl7.org/fhir/R4/terminologies.html#strength>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Strength {
    Required,
    Extensible,
    Preferred,
    Example,
}

/// A rule in FHIRPath.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Such as `obs-6`.
    pub key: &'static str,
    /// Does breaking it make an error, not just a warning?
    pub is_error: bool,
    /// True when the rule is kept.
    pub expression: &'static str,
}

/// All types and elements of a release.
pub(super) struct Types {
    types: Vec<Type>,
    elements: Vec<Element>,
    names: Index,
}

impl Types {
    /// Reads `types.tsv`.
    pub(super) fn read(table: &'static str, values: &ValueSets) -> Types {
        read::types(table, values)
    }

    pub(super) fn named(&self, name: &str) -> Option<TypeId> {
        find(&self.types, &self.names, name)
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        &self.types[id.index()]
    }

    pub(super) fn element(&self, id: ElementId) -> &Element {
        &self.elements[id.index()]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Type> {
        self.types.iter()
    }

    /// All elements in the order of their numbers.
    pub(super) fn elements(&self) -> &[Element] {
        &self.elements
    }
}

fn find(types: &[Type], names: &Index, name: &str) -> Option<TypeId> {
    names
        .find(name, |at| types.get(at).is_some_and(|ty| ty.name == name))
        .and_then(|at| u16::try_from(at).ok())
        .map(TypeId)
}
