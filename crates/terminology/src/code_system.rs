//! Code systems: concepts and their hierarchy
//! (<https://hl7.org/fhir/R4/codesystem.html>).

use std::collections::HashMap;

use salus_fhir::definitions;
use salus_fhir::json::Node;

use crate::Error;
use crate::library::defined_system;
use crate::read::{is_a, items, owned, some, text};

/// More concepts than these are not read.
pub const CONCEPTS_MAX: usize = 200_000;
/// More ways from concepts to others are not read.
const EDGES_MAX: usize = 4 * CONCEPTS_MAX;

/// A code system with the concepts that are known of it.
pub struct CodeSystem {
    url: Box<str>,
    version: Option<Box<str>>,
    content: Content,
    concepts: Vec<Concept>,
    /// Places of concepts in the order of their codes.
    by_code: Vec<u32>,
}
salus_phi::guard!(CodeSystem);

/// How many of a code system's concepts are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All.
    Complete,
    /// Some, or none.
    Partial,
}

/// A way through a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To what subsumes a concept.
    Above,
    /// To what it subsumes.
    Below,
}

/// A concept. The places of others are those in the list of all.
#[derive(Default)]
pub(crate) struct Concept {
    pub(crate) code: Box<str>,
    pub(crate) display: Box<str>,
    pub(crate) is_inactive: bool,
    parents: Vec<u32>,
    children: Vec<u32>,
    properties: Vec<(Box<str>, Box<str>)>,
}
salus_phi::guard!(Concept);

impl Concept {
    /// The values of a property, as text.
    pub(crate) fn values(&self, property: &str) -> impl Iterator<Item = &str> {
        let of = self
            .properties
            .iter()
            .filter(move |(p, _)| **p == *property);
        of.map(|(_, value)| &**value)
    }
}

impl CodeSystem {
    /// Reads a CodeSystem resource.
    ///
    /// # Errors
    /// When it is none, or has too many concepts.
    pub fn read(resource: Node<'_>) -> Result<Self, Error> {
        let Some(url) = owned(resource, "url").filter(|_| is_a(resource, "CodeSystem")) else {
            return Err(Error::NotA("CodeSystem with a url"));
        };
        let mut building = Building {
            roles: Roles::read(resource),
            // A part is no kind of the whole.
            nests: text(resource, "hierarchyMeaning").is_none_or(|it| it != "part-of"),
            ..Building::default()
        };
        building.add(resource, None)?;
        Ok(Self {
            url,
            version: owned(resource, "version"),
            content: match text(resource, "content").as_deref() {
                Some("complete") => Content::Complete,
                _ => Content::Partial,
            },
            ..building.build()
        })
    }

    /// The code system of the definitions under a canonical URL, if they have
    /// the version that it asks for.
    #[must_use]
    pub fn defined(canonical: &str) -> Option<Self> {
        defined_system(canonical).map(Self::of_definitions)
    }

    fn of_definitions(system: &definitions::CodeSystem) -> Self {
        let mut building = Building::default();
        let mut places = HashMap::new();
        for concept in system.concepts() {
            let place = building.concepts.len() as u32;
            let parent = system.parent(concept).and_then(|it| places.get(it.code));
            building.edges.extend(parent.map(|parent| (*parent, place)));
            places.entry(concept.code).or_insert(place);
            building.concepts.push(Concept {
                code: concept.code.into(),
                display: concept.display.into(),
                is_inactive: system.retired().contains(&concept.code),
                ..Concept::default()
            });
        }
        for (parent, child) in system.further() {
            building.named.push(((*parent).into(), (*child).into()));
        }
        Self {
            url: system.url.into(),
            version: some(system.version),
            content: match system.content {
                definitions::Content::Complete => Content::Complete,
                definitions::Content::Partial => Content::Partial,
            },
            ..building.build()
        }
    }

    /// Its canonical URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its business version.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How many of its concepts are here.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// How many concepts are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.concepts.len()
    }

    /// Is none here?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.concepts.is_empty()
    }

    /// Does one code subsume another: is it the same, or above it?
    ///
    /// # Errors
    /// [`Error::UnknownCode`] when one of them is not here.
    pub fn subsumes(&self, above: &str, below: &str) -> Result<bool, Error> {
        let place = self.place(above).ok_or(Error::UnknownCode)?;
        let start = self.place(below).ok_or(Error::UnknownCode)?;
        Ok(self.closure(start, Direction::Above).contains(&place))
    }

    /// A code and all above it, or all below it.
    ///
    /// # Errors
    /// [`Error::UnknownCode`] when it is not here.
    pub fn related(
        &self,
        code: &str,
        direction: Direction,
    ) -> Result<impl Iterator<Item = &str>, Error> {
        let start = self.place(code).ok_or(Error::UnknownCode)?;
        let places = self.closure(start, direction).into_iter();
        Ok(places.filter_map(|place| Some(&*self.at(place)?.code)))
    }

    pub(crate) fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    pub(crate) fn concept(&self, code: &str) -> Option<&Concept> {
        self.at(self.place(code)?)
    }

    pub(crate) fn place(&self, code: &str) -> Option<u32> {
        let code_at = |place: &u32| self.at(*place).map_or("", |concept| &concept.code);
        let found = self
            .by_code
            .binary_search_by(|place| code_at(place).cmp(code));
        self.by_code.get(found.ok()?).copied()
    }

    /// The concepts right below or right above another one.
    pub(crate) fn next(&self, place: u32, direction: Direction) -> &[u32] {
        self.at(place).map_or(&[], |concept| match direction {
            Direction::Above => &concept.parents,
            Direction::Below => &concept.children,
        })
    }

    /// A concept and all that can be reached from it, each once.
    pub(crate) fn closure(&self, start: u32, direction: Direction) -> Vec<u32> {
        let mut seen = vec![false; self.concepts.len()];
        let mut all = vec![start];
        let mut at = 0;
        while let Some(place) = all.get(at).copied() {
            at += 1;
            for next in self.next(place, direction) {
                if let Some(seen) = seen.get_mut(*next as usize)
                    && !std::mem::replace(seen, true)
                    && *next != start
                {
                    all.push(*next);
                }
            }
        }
        all
    }

    fn at(&self, place: u32) -> Option<&Concept> {
        self.concepts.get(place as usize)
    }
}

/// What the properties of a code system mean, by their codes
/// (<https://hl7.org/fhir/R4/codesystem-concept-properties.html>).
#[derive(Default)]
struct Roles(HashMap<Box<str>, Role>);

#[derive(Clone, Copy)]
enum Role {
    Parent,
    Child,
    Inactive,
    Status,
}

impl Roles {
    fn read(resource: Node<'_>) -> Self {
        let mut roles = HashMap::new();
        for name in ["parent", "subsumedBy", "child", "inactive", "status"] {
            roles.extend(role(name).map(|role| (name.into(), role)));
        }
        for property in items(resource, "property") {
            let uri = text(property, "uri").unwrap_or_default();
            let name = uri.strip_prefix("http://hl7.org/fhir/concept-properties#");
            if let (Some(code), Some(role)) = (owned(property, "code"), name.and_then(role)) {
                roles.insert(code, role);
            }
        }
        Self(roles)
    }
}

fn role(name: &str) -> Option<Role> {
    match name {
        "parent" | "subsumedBy" => Some(Role::Parent),
        "child" => Some(Role::Child),
        "inactive" => Some(Role::Inactive),
        "status" => Some(Role::Status),
        _ => None,
    }
}

/// A code system that is being read.
#[derive(Default)]
struct Building {
    roles: Roles,
    nests: bool,
    concepts: Vec<Concept>,
    /// Parent and child by place.
    edges: Vec<(u32, u32)>,
    /// Parent and child by code.
    named: Vec<(Box<str>, Box<str>)>,
}

impl Building {
    /// Adds the concepts inside another one, or inside all. How deep they nest
    /// is bounded where JSON is parsed.
    fn add(&mut self, within: Node<'_>, parent: Option<u32>) -> Result<(), Error> {
        for node in items(within, "concept") {
            if self.concepts.len() >= CONCEPTS_MAX {
                return Err(Error::TooManyConcepts(CONCEPTS_MAX));
            }
            let place = self.concepts.len() as u32;
            let mut concept = Concept {
                code: owned(node, "code").unwrap_or_default(),
                display: owned(node, "display").unwrap_or_default(),
                ..Concept::default()
            };
            self.properties(node, &mut concept);
            self.concepts.push(concept);
            if let (Some(parent), true) = (parent, self.nests) {
                self.edges.push((parent, place));
            }
            if self.edges.len() + self.named.len() > EDGES_MAX {
                return Err(Error::TooManyConcepts(CONCEPTS_MAX));
            }
            self.add(node, Some(place))?;
        }
        Ok(())
    }

    fn properties(&mut self, node: Node<'_>, concept: &mut Concept) {
        for property in items(node, "property") {
            let Some(code) = owned(property, "code") else {
                continue;
            };
            let Some(value) = value(property) else {
                continue;
            };
            match self.roles.0.get(&code) {
                Some(Role::Parent) => self.named.push((value.clone(), concept.code.clone())),
                Some(Role::Child) => self.named.push((concept.code.clone(), value.clone())),
                Some(Role::Inactive) => concept.is_inactive |= *value == *"true",
                Some(Role::Status) => {
                    concept.is_inactive |= matches!(&*value, "retired" | "inactive");
                }
                None => {}
            }
            concept.properties.push((code, value));
        }
    }

    fn build(mut self) -> CodeSystem {
        let mut by_code: Vec<u32> = (0..self.concepts.len() as u32).collect();
        let code = |place: &u32| self.concepts.get(*place as usize).map(|it| &*it.code);
        by_code.sort_by(|a, b| code(a).cmp(&code(b)));
        by_code.dedup_by(|later, first| code(later) == code(first));
        let place = |name: &str| {
            let found = by_code.binary_search_by(|place| code(place).cmp(&Some(name)));
            by_code.get(found.ok()?).copied()
        };
        let named = self.named.iter();
        let named = named.filter_map(|(parent, child)| Some((place(parent)?, place(child)?)));
        let mut edges: Vec<(u32, u32)> = named.chain(self.edges.iter().copied()).collect();
        edges.sort_unstable();
        edges.dedup();
        for (parent, child) in edges {
            if let Some(concept) = self.concepts.get_mut(parent as usize) {
                concept.children.push(child);
            }
            if let Some(concept) = self.concepts.get_mut(child as usize) {
                concept.parents.push(parent);
            }
        }
        CodeSystem {
            url: "".into(),
            version: None,
            content: Content::Partial,
            concepts: self.concepts,
            by_code,
        }
    }
}

/// The value of a property, whatever its type, as text: a Coding as its code.
fn value(property: Node<'_>) -> Option<Box<str>> {
    for member in property.children() {
        match member.key()? {
            "valueCode" | "valueString" | "valueDateTime" => {
                return member.str().map(|text| text.into());
            }
            "valueInteger" | "valueDecimal" | "valueBoolean" => return Some(member.raw().into()),
            "valueCoding" => return owned(member, "code"),
            _ => {}
        }
    }
    None
}
