//! The values of all search parameters of a resource, found in one walk.
//!
//! For each type the paths of all parameters are laid into one tree of member
//! names, made once. A resource is walked along it, so that `Observation.code`
//! is visited once for the five parameters that use it. The few expressions
//! that are no paths are evaluated as FHIRPath.
//!
//! `_id` and `_lastUpdated` give no values, since the store itself knows the
//! id and time of a record, and both are assigned behind this. Composite and
//! special parameters give none either: a composite is decided on the parts,
//! within one element.

use std::sync::OnceLock;

use super::convert::{Reader, convert, items};
use super::main_date;
use super::path::{Path, Step, paths};
use super::span::Span;
use super::value::{VALUES_MAX, Value};
use crate::definitions::{self, Definitions, Parent, SearchKind, SearchParameter, Strength};
use crate::issue::{Issue, IssueType};
use crate::json::{Kind, Node};

/// Finds the search values of resources of one type.
#[derive(Debug)]
pub struct Extractor {
    ty: &'static str,
    parameters: &'static [SearchParameter],
    /// The root is the first.
    places: Vec<Place>,
    main_dates: Vec<u16>,
    patients: Vec<u16>,
}

/// One value of one parameter of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'a> {
    /// The number of the parameter among those of the type, as
    /// [`Definitions::search_parameters`] lists them.
    pub parameter: u16,
    /// The value.
    pub value: Value<'a>,
}

/// A place in the tree of members.
#[derive(Debug, Default)]
struct Place {
    edges: Vec<Edge>,
    captures: Vec<Capture>,
}

/// A member to go on with.
#[derive(Debug, PartialEq)]
struct Edge {
    key: &'static str,
    guard: Option<(&'static str, &'static str)>,
    index: Option<usize>,
    to: usize,
}

/// A parameter whose value is here.
#[derive(Debug)]
struct Capture {
    parameter: u16,
    reader: Reader,
    target: Option<&'static str>,
}

impl Extractor {
    /// The extractor of a type, made on first use; `None` if it is no type of
    /// resource.
    #[must_use]
    pub fn for_type(ty: &str) -> Option<&'static Self> {
        static ALL: OnceLock<Vec<OnceLock<Extractor>>> = OnceLock::new();
        let definitions = definitions::r4();
        let id = definitions.resource_named(ty)?;
        let all = ALL.get_or_init(|| definitions.types().map(|_| OnceLock::new()).collect());
        let slot = all.get(id.index())?;
        Some(slot.get_or_init(|| Self::build(definitions, definitions.ty(id).name)))
    }

    /// The type.
    #[must_use]
    pub fn ty(&self) -> &'static str {
        self.ty
    }

    /// Its parameters; [`Entry::parameter`] counts in them.
    #[must_use]
    pub fn parameters(&self) -> &'static [SearchParameter] {
        self.parameters
    }

    /// The parameters of which no resource can have values: with the plain
    /// types, a sign that an expression was not understood.
    #[cfg(test)]
    pub(super) fn without_values(&self) -> impl Iterator<Item = &'static SearchParameter> {
        let captures = || self.places.iter().flat_map(|place| &place.captures);
        self.parameters
            .iter()
            .zip(0_u16..)
            .filter_map(move |(parameter, number)| {
                let silent = is_indexed(parameter) && !captures().any(|c| c.parameter == number);
                silent.then_some(parameter)
            })
    }

    /// The values in a resource of this type, each once. `own_bases` are the
    /// URLs under which this server answers.
    ///
    /// # Errors
    /// When it has more than [`VALUES_MAX`]: a part of them would make
    /// searches miss it.
    pub fn extract<'a, S: AsRef<str>>(
        &'static self,
        node: Node<'a>,
        own_bases: &[S],
    ) -> Result<Vec<Entry<'a>>, Issue> {
        let mut entries = Vec::with_capacity(48);
        let mut walk = Walk {
            extractor: self,
            own_bases,
            entries: &mut entries,
        };
        walk.members(0, node);
        if entries.len() > VALUES_MAX {
            let limit = format!("more than {VALUES_MAX} values to index; split the resource");
            return Err(Issue::error(IssueType::TooCostly, self.ty, limit));
        }
        dedupe(&mut entries);
        Ok(entries)
    }

    /// The clinical date among extracted values: see [`main_date`].
    #[must_use]
    pub fn main_date(&self, entries: &[Entry<'_>]) -> Option<Span> {
        self.main_dates.iter().find_map(|parameter| {
            let dates = entries.iter().filter(|entry| entry.parameter == *parameter);
            let spans = dates.filter_map(|entry| entry.value.as_date());
            spans.min_by_key(|span| span.from_ms)
        })
    }

    /// Do values of this parameter put the resource in a patient's compartment?
    pub(crate) fn is_of_patient(&self, parameter: u16) -> bool {
        self.patients.contains(&parameter)
    }

    fn build(definitions: &'static Definitions, ty: &'static str) -> Self {
        let parameters = definitions.search_parameters(ty);
        let numbers = |codes: &[&str]| {
            let all = || parameters.iter().zip(0_u16..);
            let number = |code: &&str| all().find(|(p, _)| p.code == *code);
            codes
                .iter()
                .filter_map(number)
                .map(|(_, number)| number)
                .collect()
        };
        let mut extractor = Self {
            ty,
            parameters,
            places: vec![Place::default()],
            main_dates: numbers(main_date::parameters(ty)),
            patients: numbers(definitions.compartment("Patient", ty)),
        };
        for (parameter, number) in parameters.iter().zip(0_u16..) {
            extractor.add(definitions, parameter, number);
        }
        extractor
    }

    fn add(&mut self, definitions: &'static Definitions, parameter: &SearchParameter, number: u16) {
        if !is_indexed(parameter) {
            return;
        }
        for path in paths(parameter.expression).unwrap_or_default() {
            self.lay(definitions, &path, parameter.kind, number);
        }
    }

    /// Lays a path into the tree: one branch for each JSON name that an
    /// element of several types may have.
    fn lay(
        &mut self,
        definitions: &'static Definitions,
        path: &Path<'static>,
        kind: SearchKind,
        parameter: u16,
    ) {
        let Some(own) = definitions.type_named(self.ty) else {
            return;
        };
        let root = definitions.type_named(path.root);
        if !root.is_some_and(|root| definitions.is_subtype(own, root)) {
            return;
        }
        let mut heads = vec![Head {
            place: 0,
            parent: Parent::Type(own),
            ty: self.ty,
            system: "",
        }];
        for step in &path.steps {
            heads = heads
                .iter()
                .flat_map(|head| self.branch(definitions, head, step))
                .collect();
        }
        for head in heads {
            if let Some(reader) = Reader::of(kind, head.ty, head.system) {
                self.places[head.place].captures.push(Capture {
                    parameter,
                    reader,
                    target: path.target,
                });
            }
        }
    }

    fn branch(
        &mut self,
        definitions: &'static Definitions,
        from: &Head,
        step: &Step<'static>,
    ) -> Vec<Head> {
        let mut heads = Vec::new();
        for key in definitions.named(from.parent, step.name) {
            let ty = definitions.ty(key.ty).name;
            let Some(child) = definitions.child(from.parent, key.json) else {
                continue;
            };
            if step.ty.is_some_and(|wanted| wanted != ty) {
                continue;
            }
            heads.push(Head {
                place: self.edge(from.place, key.json, step),
                parent: child.parent,
                ty,
                system: implied_system(definitions, key.element),
            });
        }
        heads
    }

    fn edge(&mut self, from: usize, key: &'static str, step: &Step<'static>) -> usize {
        let next = self.places.len();
        let edges = &mut self.places[from].edges;
        let same = |e: &&Edge| e.key == key && e.guard == step.guard && e.index == step.index;
        if let Some(edge) = edges.iter().find(same) {
            return edge.to;
        }
        edges.push(Edge {
            key,
            guard: step.guard,
            index: step.index,
            to: next,
        });
        self.places.push(Place::default());
        next
    }
}

/// Where a path has got to while it is laid.
struct Head {
    place: usize,
    parent: Parent,
    ty: &'static str,
    system: &'static str,
}

fn is_indexed(parameter: &SearchParameter) -> bool {
    let kept_by_store = matches!(parameter.code, "_id" | "_lastUpdated");
    let unindexed = matches!(parameter.kind, SearchKind::Composite | SearchKind::Special);
    !kept_by_store && !unindexed && !parameter.expression.is_empty()
}

/// The system of a code element: the one of its required value set, if that
/// has just one.
fn implied_system(
    definitions: &'static Definitions,
    element: definitions::ElementId,
) -> &'static str {
    let binding = definitions.element(element).binding.as_ref();
    let set = binding
        .filter(|binding| binding.strength == Strength::Required)
        .and_then(|binding| binding.set)
        .map(|set| definitions.value_set_of(set));
    match set.and_then(|set| set.codes()) {
        Some([(first, _), rest @ ..]) if rest.iter().all(|(system, _)| system == first) => first,
        _ => "",
    }
}

struct Walk<'w, 'a, S> {
    extractor: &'static Extractor,
    own_bases: &'w [S],
    entries: &'w mut Vec<Entry<'a>>,
}

impl<'a, S: AsRef<str>> Walk<'_, 'a, S> {
    fn members(&mut self, place: usize, node: Node<'a>) {
        let edges = &self.extractor.places[place].edges;
        for member in node.children() {
            let Some(key) = member.key() else { continue };
            for edge in edges.iter().filter(|edge| edge.key == key) {
                for (n, item) in items(Some(member)).enumerate() {
                    if edge.index.is_none_or(|index| index == n) && edge.lets_in(item) {
                        self.enter(edge.to, item);
                    }
                }
            }
        }
    }

    fn enter(&mut self, place: usize, node: Node<'a>) {
        let here = &self.extractor.places[place];
        if self.entries.len() > VALUES_MAX {
            return;
        }
        for capture in &here.captures {
            let entries = &mut *self.entries;
            convert(capture.reader, node, self.own_bases, &mut |value| {
                if capture.wants(node, &value) {
                    entries.push(Entry {
                        parameter: capture.parameter,
                        value,
                    });
                }
            });
        }
        if !here.edges.is_empty() && node.kind() == Kind::Object {
            self.members(place, node);
        }
    }
}

impl Edge {
    fn lets_in(&self, node: Node<'_>) -> bool {
        self.guard.is_none_or(|(name, wanted)| {
            let value = node.get(name).and_then(Node::str);
            value.is_some_and(|value| value == wanted)
        })
    }
}

impl Capture {
    /// Is it a reference to the type that the expression asks for? What a URN
    /// or a foreign URL leads to, only `Reference.type` can tell.
    fn wants(&self, node: Node<'_>, value: &Value<'_>) -> bool {
        let Some(target) = self.target else {
            return true;
        };
        let told = || {
            let ty = node.get("type").and_then(Node::str);
            ty.is_some_and(|ty| ty == target)
        };
        match value {
            Value::Reference { ty, .. } => ty == target,
            Value::ReferenceUri(url) => {
                let none: &[&str] = &[];
                let named = crate::reference::Reference::parse(url, none);
                named
                    .and_then(|r| r.target_type())
                    .map_or_else(told, |ty| ty == target)
            }
            Value::ReferenceIdentifier { .. } => told(),
            Value::Token { .. }
            | Value::String { .. }
            | Value::Date(_)
            | Value::Number(_)
            | Value::Quantity { .. }
            | Value::Uri(_) => true,
        }
    }
}

/// Keeps the first of equal entries. Few entries are compared with each other,
/// which is quicker than hashing them; many are hashed.
fn dedupe(entries: &mut Vec<Entry<'_>>) {
    if entries.len() > 64 {
        let mut seen = std::collections::HashSet::with_capacity(entries.len());
        let first: Vec<bool> = entries.iter().map(|entry| seen.insert(entry)).collect();
        drop(seen);
        let mut first = first.into_iter();
        entries.retain(|_| first.next().unwrap_or(true));
        return;
    }
    let mut kept = 0;
    for at in 0..entries.len() {
        if !entries[..kept].contains(&entries[at]) {
            entries.swap(kept, at);
            kept += 1;
        }
    }
    entries.truncate(kept);
}
