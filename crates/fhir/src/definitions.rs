//! The facts of FHIR R4 (4.0.1) as data: types, elements, search parameters,
//! compartments, code systems and value sets
//! (<https://hl7.org/fhir/R4/definitions.html>).
//!
//! `cargo xtask definitions` derives them from the published package into
//! text tables under `definitions/r4`, which are embedded in the binary. They
//! are read once; every name stays a slice of the embedded text.

mod codes;
mod compartments;
mod index;
mod search;
mod shape;
mod types;
mod values;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use codes::{CodeSystem, Concept, Content};
pub(crate) use search::part_for;
pub use search::{Component, Limits, SearchKind, SearchParameter};
pub use shape::{Child, Key, Parent};
pub use types::{
    Binding, Element, ElementId, ElementType, Invariant, Primitive, Strength, Type, TypeId,
    TypeKind,
};
pub use values::{Filter, Part, ValueSet, ValueSetId};

use codes::CodeSystems;
use compartments::Compartments;
use search::SearchParameters;
use shape::Shapes;
use types::Types;
use values::ValueSets;

/// The definitions of R4 (4.0.1), read on first use.
#[must_use]
pub fn r4() -> &'static Definitions {
    static R4: LazyLock<Definitions> = LazyLock::new(|| {
        Definitions::read(&Tables {
            types: include_str!("../definitions/r4/types.tsv"),
            search: include_str!("../definitions/r4/search.tsv"),
            compartments: include_str!("../definitions/r4/compartments.tsv"),
            codes: include_str!("../definitions/r4/codes.tsv"),
            values: include_str!("../definitions/r4/values.tsv"),
        })
    });
    &R4
}

/// The derived text of one release.
struct Tables {
    types: &'static str,
    search: &'static str,
    compartments: &'static str,
    codes: &'static str,
    values: &'static str,
}

/// The definitions of one release of FHIR.
pub struct Definitions {
    types: Types,
    shapes: Shapes,
    search: SearchParameters,
    compartments: Compartments,
    codes: CodeSystems,
    values: ValueSets,
}

impl Definitions {
    fn read(tables: &Tables) -> Definitions {
        let codes = CodeSystems::read(tables.codes);
        let values = ValueSets::read(tables.values);
        let types = Types::read(tables.types, &values);
        let shapes = Shapes::build(&types);
        let search = SearchParameters::read(tables.search, &types);
        Definitions {
            compartments: Compartments::read(tables.compartments),
            types,
            shapes,
            search,
            codes,
            values,
        }
    }

    /// The type of a name, such as `Patient`, `HumanName` or `string`.
    #[must_use]
    pub fn type_named(&self, name: &str) -> Option<TypeId> {
        self.types.named(name)
    }

    /// The facts of a type.
    #[must_use]
    pub fn ty(&self, id: TypeId) -> &Type {
        self.types.get(id)
    }

    /// The facts of an element.
    #[must_use]
    pub fn element(&self, id: ElementId) -> &Element {
        self.types.element(id)
    }

    /// How many elements there are, for tables beside the definitions.
    #[must_use]
    pub fn elements_len(&self) -> usize {
        self.types.elements().len()
    }

    /// All types in the order of their names.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.iter()
    }

    /// The types of resource that can be stored, in the order of their names.
    pub fn resource_types(&self) -> impl Iterator<Item = &Type> {
        self.types().filter(|ty| ty.kind == TypeKind::Resource)
    }

    /// The type of resource of a name: `None` for abstract types, and for
    /// types that are not resources.
    #[must_use]
    pub fn resource_named(&self, name: &str) -> Option<TypeId> {
        let id = self.type_named(name)?;
        (self.ty(id).kind == TypeKind::Resource).then_some(id)
    }

    /// Is the type `of`, or derived from it?
    #[must_use]
    pub fn is_subtype(&self, ty: TypeId, of: TypeId) -> bool {
        let mut current = Some(ty);
        while let Some(id) = current {
            if id == of {
                return true;
            }
            current = self.ty(id).base;
        }
        false
    }

    /// What a member of a JSON object is: `valueQuantity` of an Observation
    /// is its element `value[x]` with type Quantity.
    #[must_use]
    pub fn child(&self, parent: Parent, key: &str) -> Option<Child> {
        self.shapes.child(parent, key)
    }

    /// All members that a JSON object may have, without the `_` siblings of
    /// primitives, inherited ones first. A choice gives one key for each of
    /// its types.
    #[must_use]
    pub fn keys(&self, parent: Parent) -> &[Key] {
        self.shapes.keys(parent)
    }

    /// The members in which an element of a FHIRPath name may be found:
    /// `value` of an Observation gives `valueQuantity`, `valueString`, ...;
    /// a name that is no choice gives one key. None when there is none.
    #[must_use]
    pub fn named(&self, parent: Parent, name: &str) -> &[Key] {
        self.shapes.named(parent, name)
    }

    /// The elements that must be present: a bit for each [`Child::ordinal`].
    #[must_use]
    pub fn required(&self, parent: Parent) -> u128 {
        self.shapes.required(parent)
    }

    /// The key of the element at a place of [`Child::ordinal`]; for a choice
    /// the first of its keys.
    #[must_use]
    pub fn key_at(&self, parent: Parent, ordinal: u8) -> Option<&Key> {
        self.keys(parent).iter().find(|key| key.ordinal == ordinal)
    }

    /// The search parameters of a type of resource, with those of Resource
    /// and DomainResource, in the order of their codes. Empty for an unknown
    /// type.
    #[must_use]
    pub fn search_parameters(&self, resource: &str) -> &[SearchParameter] {
        self.search.of(resource)
    }

    /// One search parameter of a type of resource.
    #[must_use]
    pub fn search_parameter(&self, resource: &str, code: &str) -> Option<&SearchParameter> {
        let all = self.search_parameters(resource);
        let found = all.binary_search_by(|p| p.code.cmp(code)).ok()?;
        all.get(found)
    }

    /// The parameters by which a type of resource is in a compartment; empty
    /// when it is never in it. `{def}` means the resource itself.
    #[must_use]
    pub fn compartment(&self, name: &str, resource: &str) -> &[&'static str] {
        self.compartments.parameters(name, resource)
    }

    /// The names of the compartments: Patient, Encounter, ...
    #[must_use]
    pub fn compartments(&self) -> &[&'static str] {
        self.compartments.names()
    }

    /// A code system by its canonical URL.
    #[must_use]
    pub fn code_system(&self, url: &str) -> Option<&CodeSystem> {
        self.codes.get(url)
    }

    /// Those code systems of which all concepts are known, by their URLs.
    pub fn code_systems(&self) -> impl Iterator<Item = &CodeSystem> {
        let all = self.codes.all();
        all.filter(|system| system.content == Content::Complete)
    }

    /// A value set by its canonical URL; a version after `|` is not looked at.
    #[must_use]
    pub fn value_set(&self, canonical: &str) -> Option<ValueSet<'_>> {
        let id = self.values.named(canonical)?;
        Some(self.value_set_of(id))
    }

    /// The value set of a [`Binding::set`].
    #[must_use]
    pub fn value_set_of(&self, id: ValueSetId) -> ValueSet<'_> {
        ValueSet::new(&self.values, &self.codes, id)
    }
}
