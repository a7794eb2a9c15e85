//! Types, elements and invariants
//! (<https://hl7.org/fhir/R4/elementdefinition.html>).

use super::index::Index;
use super::values::{ValueSetId, ValueSets};

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
    /// Reads `types.tsv`. The table is ours and tested: what it does not
    /// understand is left out.
    pub(super) fn read(table: &'static str, values: &ValueSets) -> Types {
        let mut reader = Reader::named(table);
        let mut current = None;
        for line in table.lines() {
            let mut columns = line.split('\t');
            match columns.next() {
                Some("T") => current = columns.next().and_then(|name| reader.find(name)),
                Some("E") => reader.element(current, columns, values),
                Some("I") => reader.invariant(current, columns),
                _ => {}
            }
        }
        reader.finish()
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

    /// The parts of the name in the order of position; choice elements have
    /// many keys.
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

/// Types and elements while lists still grow.
struct Reader {
    types: Vec<Type>,
    names: Index,
    elements: Vec<Element>,
    of_type: Vec<Vec<ElementId>>,
    rules_of_type: Vec<Vec<Invariant>>,
    rules_of_element: Vec<(ElementId, Invariant)>,
    contents: Vec<(ElementId, &'static str)>,
}

impl Reader {
    /// A first pass over the names, which elements refer to.
    fn named(table: &'static str) -> Reader {
        let mut types = Vec::with_capacity(256);
        for line in table.lines() {
            if let Some(columns) = line.strip_prefix("T\t")
                && let Ok(id) = u16::try_from(types.len())
            {
                types.push(one(TypeId(id), columns));
            }
        }
        let names = Index::new(types.iter().map(|ty| ty.name));
        for (at, line) in table.lines().filter(|l| l.starts_with("T\t")).enumerate() {
            let base = line.split('\t').nth(3).unwrap_or_default();
            let base = find(&types, &names, base);
            if let Some(ty) = types.get_mut(at) {
                ty.base = base;
            }
        }
        Reader {
            of_type: vec![Vec::new(); types.len()],
            rules_of_type: vec![Vec::new(); types.len()],
            types,
            names,
            elements: Vec::with_capacity(6000),
            rules_of_element: Vec::new(),
            contents: Vec::new(),
        }
    }

    fn find(&self, name: &str) -> Option<TypeId> {
        find(&self.types, &self.names, name)
    }

    fn element(
        &mut self,
        owner: Option<TypeId>,
        mut columns: std::str::Split<'static, char>,
        values: &ValueSets,
    ) {
        let mut next = || columns.next().unwrap_or_default();
        let (path, range, flags, types, binding) = (next(), next(), next(), next(), next());
        let id = ElementId(u32::try_from(self.elements.len()).unwrap_or(u32::MAX));
        if let Some(content) = types.strip_prefix('@') {
            self.contents.push((id, content));
        }
        let (min, max) = range.split_once("..").unwrap_or_default();
        let last = path.rsplit('.').next().unwrap_or(path);
        let element = Element {
            path,
            name: last.strip_suffix("[x]").unwrap_or(last),
            min: min.parse().unwrap_or(0),
            max: max.parse().ok(),
            choice: last.ends_with("[x]"),
            types: self.types_of(types),
            content: None,
            binding: bound(binding, values),
            invariants: &[],
            is_modifier: flags.contains('M'),
            is_summary: flags.contains('S'),
            is_attribute: flags.contains('A'),
            is_backbone: false,
        };
        self.elements.push(element);
        if let Some(all) = owner.and_then(|owner| self.of_type.get_mut(owner.index())) {
            all.push(id);
        }
    }

    fn types_of(&self, column: &'static str) -> &'static [ElementType] {
        let types: Vec<ElementType> = column
            .split(' ')
            .filter_map(|text| self.type_of(text))
            .collect();
        Vec::leak(types)
    }

    fn type_of(&self, text: &'static str) -> Option<ElementType> {
        let (text, profile) = match text.split_once(':') {
            Some((text, profile)) => (text, Some(profile)),
            None => (text, None),
        };
        let (name, targets) = match text.split_once('(') {
            Some((name, targets)) => (name, targets.strip_suffix(')')?),
            None => (text, ""),
        };
        let targets: Vec<TypeId> = targets.split('|').filter_map(|t| self.find(t)).collect();
        Some(ElementType {
            ty: self.find(name)?,
            targets: Vec::leak(targets),
            profile,
        })
    }

    fn invariant(&mut self, owner: Option<TypeId>, mut columns: std::str::Split<'static, char>) {
        let mut next = || columns.next().unwrap_or_default();
        let rule = Invariant {
            key: next(),
            is_error: next() == "error",
            expression: next(),
        };
        let Some(owner) = owner.map(TypeId::index) else {
            return;
        };
        match self.of_type.get(owner).and_then(|all| all.last()) {
            Some(element) => self.rules_of_element.push((*element, rule)),
            None => {
                if let Some(rules) = self.rules_of_type.get_mut(owner) {
                    rules.push(rule);
                }
            }
        }
    }

    fn finish(mut self) -> Types {
        for (ty, elements) in self.types.iter_mut().zip(self.of_type) {
            ty.elements = Vec::leak(elements);
        }
        for (ty, rules) in self.types.iter_mut().zip(self.rules_of_type) {
            ty.invariants = Vec::leak(rules);
        }
        for rules in self.rules_of_element.chunk_by(|a, b| a.0 == b.0) {
            let id = rules.first().map_or(usize::MAX, |(id, _)| id.index());
            if let Some(element) = self.elements.get_mut(id) {
                element.invariants = Vec::leak(rules.iter().map(|(_, rule)| *rule).collect());
            }
        }
        link(&mut self.elements, &self.contents);
        Types {
            types: self.types,
            elements: self.elements,
            names: self.names,
        }
    }
}

fn one(id: TypeId, columns: &'static str) -> Type {
    let mut columns = columns.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let (name, kind, _base, pattern) = (next(), next(), next(), next());
    Type {
        id,
        name,
        kind: match kind {
            "primitive" => TypeKind::Primitive,
            "resource" => TypeKind::Resource,
            "abstract" => TypeKind::Abstract,
            _ => TypeKind::Complex,
        },
        base: None,
        primitive: Primitive::named(name),
        pattern: (!pattern.is_empty()).then_some(pattern),
        invariants: &[],
        elements: &[],
    }
}

fn bound(column: &'static str, values: &ValueSets) -> Option<Binding> {
    let (strength, value_set) = column.split_once(' ')?;
    Some(Binding {
        strength: match strength {
            "required" => Strength::Required,
            "extensible" => Strength::Extensible,
            "preferred" => Strength::Preferred,
            _ => Strength::Example,
        },
        value_set,
        set: values.named(value_set),
    })
}

/// Marks backbones, and leads content references to them. A backbone comes
/// directly before its first element.
fn link(elements: &mut [Element], contents: &[(ElementId, &'static str)]) {
    for at in 1..elements.len() {
        let path = elements[at].path;
        let parent = path.rsplit_once('.').map(|(parent, _)| parent);
        let before = &mut elements[at - 1];
        if parent == Some(before.path) {
            before.is_backbone = true;
        }
    }
    for (id, path) in contents {
        let target = elements.iter().position(|element| element.path == *path);
        if let Some(element) = elements.get_mut(id.index()) {
            element.content = target.and_then(|at| u32::try_from(at).ok()).map(ElementId);
        }
    }
}
