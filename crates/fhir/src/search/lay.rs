//! Making an extractor: the paths of all parameters of a type laid into one
//! tree of member names.

use super::composite::{self, Compound};
use super::convert::Reader;
use super::extract::{Capture, Computed, Edge, Extractor, Place};
use super::main_date;
use super::near;
use super::path::{Path, Step, paths};
use crate::definitions::{
    Definitions, ElementId, Parent, SearchKind, SearchParameter, Strength, TypeId,
};
use crate::fhirpath::Expression;

impl Extractor {
    /// Parameters of a project stand behind R4's, whose numbers stay as they are.
    pub(super) fn build(
        definitions: &'static Definitions,
        ty: &'static str,
        own: &[&'static SearchParameter],
    ) -> Self {
        let known = definitions.search_parameters(ty);
        let parameters: Vec<_> = known.iter().chain(own.iter().copied()).collect();
        let numbers = |codes: &[&str]| {
            let all = || known.iter().zip(0_u16..);
            let number = |code: &&str| all().find(|(p, _)| p.code == *code);
            codes
                .iter()
                .filter_map(number)
                .map(|(_, number)| number)
                .collect()
        };
        let mut extractor = Self {
            ty,
            places: vec![Place::default()],
            computed: Vec::new(),
            main_dates: numbers(main_date::parameters(ty)),
            patients: numbers(definitions.compartment("Patient", ty)),
            // What of R4 is a union must not depend on who else is there.
            unions: unions(known),
            parameters,
        };
        for number in 0..extractor.parameters.len() {
            if let Ok(place) = u16::try_from(number) {
                extractor.add(definitions, extractor.parameters[number], place);
            }
        }
        extractor
    }

    /// Whether resources of a type can have values for a parameter.
    ///
    /// # Errors
    /// Why not, if the expression is at fault.
    pub(super) fn can_read(
        definitions: &'static Definitions,
        ty: &'static str,
        parameter: &'static SearchParameter,
    ) -> Result<(), Option<String>> {
        let mut extractor = Self {
            ty,
            parameters: vec![parameter],
            places: vec![Place::default()],
            computed: Vec::new(),
            main_dates: Vec::new(),
            patients: Vec::new(),
            unions: Vec::new(),
        };
        extractor.add(definitions, parameter, 0);
        let places = &extractor.places;
        let is_laid = |place: &Place| !place.captures.is_empty() || !place.compounds.is_empty();
        if places.iter().any(is_laid) || !extractor.computed.is_empty() {
            return Ok(());
        }
        let root = definitions.resource_named(ty);
        let compiled = root.map(|root| Expression::compile_search(parameter.expression, root));
        match compiled {
            Some(Err(error)) => Err(Some(format!("cannot be evaluated: {}", error.message))),
            Some(Ok(_)) | None => Err(None),
        }
    }

    fn add(&mut self, definitions: &'static Definitions, parameter: &SearchParameter, number: u16) {
        if parameter.kind == SearchKind::Composite && !self.is_union(number) {
            return self.add_composite(definitions, parameter, number);
        }
        if !is_indexed(parameter) {
            return;
        }
        let Some(paths) = paths(parameter.expression) else {
            return self
                .computed
                .extend(Computed::of(definitions, self.ty, parameter, number));
        };
        for path in paths {
            self.lay(definitions, &path, parameter.kind, number);
        }
    }

    fn add_composite(
        &mut self,
        definitions: &'static Definitions,
        parameter: &SearchParameter,
        number: u16,
    ) {
        let Some(own) = definitions.type_named(self.ty) else {
            return;
        };
        for path in paths(parameter.expression).unwrap_or_default() {
            for head in self.heads(definitions, &path) {
                let compound = Compound::of(
                    definitions,
                    (own, &self.parameters),
                    parameter,
                    number,
                    &head,
                );
                self.places[head.place].compounds.extend(compound);
            }
        }
    }

    /// Lays the path of a parameter.
    fn lay(
        &mut self,
        definitions: &'static Definitions,
        path: &Path<'static>,
        kind: SearchKind,
        parameter: u16,
    ) {
        let keeps_words = !self.is_union(parameter);
        for head in self.heads(definitions, path) {
            if let Some(reader) = Reader::of(kind, head.ty, head.system) {
                self.places[head.place].captures.push(Capture {
                    parameter,
                    reader,
                    target: path.target,
                    keeps_words,
                });
            }
        }
    }

    /// Lays a path into the tree, one branch for each JSON name that an
    /// element of several types may have: where it ends.
    fn heads(&mut self, definitions: &'static Definitions, path: &Path<'static>) -> Vec<Head> {
        let Some(own) = definitions.type_named(self.ty) else {
            return Vec::new();
        };
        let root = definitions.type_named(path.root);
        if !root.is_some_and(|root| definitions.is_subtype(own, root)) {
            return Vec::new();
        }
        let mut heads = vec![Head::root(definitions, own)];
        for step in &path.steps {
            let mut next = Vec::new();
            for head in &heads {
                for (key, mut to) in branches(definitions, head, step) {
                    to.place = self.edge(head.place, key, step);
                    next.push(to);
                }
            }
            heads = next;
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
#[derive(Clone)]
pub(super) struct Head {
    place: usize,
    parent: Parent,
    pub(super) ty: &'static str,
    pub(super) system: &'static str,
}

impl Head {
    /// The resource itself.
    pub(super) fn root(definitions: &'static Definitions, own: TypeId) -> Self {
        Self {
            place: 0,
            parent: Parent::Type(own),
            ty: definitions.ty(own).name,
            system: "",
        }
    }
}

/// The members to which a step leads, with their names in JSON. The place is
/// that of the step's beginning.
pub(super) fn branches(
    definitions: &'static Definitions,
    from: &Head,
    step: &Step<'static>,
) -> Vec<(&'static str, Head)> {
    let mut heads = Vec::new();
    for key in definitions.named(from.parent, step.name) {
        let ty = definitions.ty(key.ty).name;
        let Some(child) = definitions.child(from.parent, key.json) else {
            continue;
        };
        if step.ty.is_some_and(|wanted| wanted != ty) {
            continue;
        }
        let head = Head {
            place: from.place,
            parent: child.parent,
            ty,
            system: implied_system(definitions, key.element),
        };
        heads.push((key.json, head));
    }
    heads
}

/// The parameters whose every path is the whole expression of another one of
/// the same kind, with those others: `combo-code` is `code` and
/// `component-code`. What is kept for those need not be kept again.
fn unions(parameters: &'static [SearchParameter]) -> Vec<(u16, Vec<u16>)> {
    let union = |(parameter, number): (&'static SearchParameter, u16)| {
        let paths = paths(parameter.expression)?;
        if paths.len() < 2 {
            return None;
        }
        let member = |path: &Path<'_>| {
            let mut all = parameters.iter().zip(0_u16..);
            let is_it = |other: &SearchParameter| {
                other.kind == parameter.kind
                    && self::paths(other.expression).is_some_and(|own| own == [path.clone()])
                    && composite::alike(parameters, parameter, other)
            };
            all.find(|(other, _)| is_it(other))
                .map(|(_, number)| number)
        };
        let members: Option<Vec<u16>> = paths.iter().map(member).collect();
        Some((number, members?))
    };
    parameters.iter().zip(0_u16..).filter_map(union).collect()
}

pub(super) fn is_indexed(parameter: &SearchParameter) -> bool {
    let kept_by_store = matches!(parameter.code, "_id" | "_lastUpdated");
    let unindexed = match parameter.kind {
        SearchKind::Composite => true,
        SearchKind::Special => !near::is_near(parameter),
        SearchKind::Number
        | SearchKind::Date
        | SearchKind::String
        | SearchKind::Token
        | SearchKind::Reference
        | SearchKind::Quantity
        | SearchKind::Uri => false,
    };
    !kept_by_store && !unindexed && !parameter.expression.is_empty()
}

/// The system of a code element: the one of its required value set, if that
/// has just one.
fn implied_system(definitions: &'static Definitions, element: ElementId) -> &'static str {
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

impl Computed {
    fn of(
        definitions: &Definitions,
        ty: &str,
        parameter: &SearchParameter,
        number: u16,
    ) -> Option<Self> {
        let root = definitions.resource_named(ty)?;
        let expression = Expression::compile_search(parameter.expression, root).ok()?;
        Some(Self {
            parameter: number,
            kind: parameter.kind,
            expression,
        })
    }
}
