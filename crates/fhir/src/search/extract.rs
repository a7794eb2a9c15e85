//! The values of all search parameters of a resource, found in one walk.
//!
//! For each type the paths of all parameters are laid into one tree of member
//! names, made once. A resource is walked along it, so that `Observation.code`
//! is visited once for the five parameters that use it. The few expressions
//! that are no paths are evaluated as FHIRPath.
//!
//! `_id` and `_lastUpdated` give no values, since the store itself knows the
//! id and time of a record, and both are assigned behind this. Special
//! parameters give none either, but for `near`.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::composite::Compound;
use super::convert::{Reader, convert_or_present, items};
use super::fold::fold;
#[cfg(test)]
use super::lay::is_indexed;
use super::name::Modifier;
use super::span::Span;
use super::value::{CODE_BYTES_MAX, STRING_BYTES_MAX, VALUES_MAX, Value, clip};
use crate::definitions::{self, SearchKind, SearchParameter};
use crate::fhirpath::{self, Context, ErrorKind, Expression, Item};
use crate::issue::{Issue, IssueType};
use crate::json::{Kind, Node};
use crate::reference::Reference;

/// Most steps of one FHIRPath evaluation.
const STEPS_MAX: u64 = 100_000;

/// Finds the search values of resources of one type.
#[derive(Debug)]
pub struct Extractor {
    pub(super) ty: &'static str,
    pub(super) parameters: Vec<&'static SearchParameter>,
    /// The root is the first.
    pub(super) places: Vec<Place>,
    pub(super) computed: Vec<Computed>,
    pub(super) main_dates: Vec<u16>,
    pub(super) patients: Vec<u16>,
    /// Parameters that are the union of others.
    pub(super) unions: Vec<(u16, Vec<u16>)>,
}

/// One value of one parameter of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'a> {
    /// The number of the parameter among those of the type, as
    /// [`Extractor::parameters`] lists them.
    pub parameter: u16,
    /// The value.
    pub value: Value<'a>,
}

/// A place in the tree of members.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) edges: Vec<Edge>,
    pub(super) captures: Vec<Capture>,
    pub(super) compounds: Vec<Compound>,
}

/// A member to go on with.
#[derive(Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) key: &'static str,
    pub(super) guard: Option<(&'static str, &'static str)>,
    pub(super) index: Option<usize>,
    pub(super) to: usize,
}

/// A parameter whose value is here.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) parameter: u16,
    pub(super) reader: Reader,
    pub(super) target: Option<&'static str>,
    pub(super) keeps_words: bool,
}

/// A parameter whose expression is no path.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) parameter: u16,
    pub(super) kind: SearchKind,
    pub(super) expression: Expression,
}

impl Extractor {
    /// The extractor of R4's parameters of a type, made on first use; `None` if
    /// it is no type of resource. [`super::Parameters::extractor`] knows those
    /// of a project too.
    #[must_use]
    pub fn for_type(ty: &str) -> Option<&'static Self> {
        static ALL: OnceLock<Vec<OnceLock<Extractor>>> = OnceLock::new();
        let definitions = definitions::r4();
        let id = definitions.resource_named(ty)?;
        let all = ALL.get_or_init(|| definitions.types().map(|_| OnceLock::new()).collect());
        let slot = all.get(id.index())?;
        Some(slot.get_or_init(|| Self::build(definitions, definitions.ty(id).name, &[])))
    }

    /// The type.
    #[must_use]
    pub fn ty(&self) -> &'static str {
        self.ty
    }

    /// Its parameters; [`Entry::parameter`] counts in them.
    #[must_use]
    pub fn parameters(&self) -> &[&'static SearchParameter] {
        &self.parameters
    }

    /// The parameters of which no resource can have values: with the plain
    /// types, a sign that an expression was not understood.
    #[cfg(test)]
    pub(super) fn without_values(
        &self,
    ) -> impl Iterator<Item = &'static SearchParameter> + use<'_> {
        let captured = self.places.iter().flat_map(|place| &place.captures);
        let mut found: Vec<u16> = captured.map(|capture| capture.parameter).collect();
        found.extend(self.computed.iter().map(|computed| computed.parameter));
        let all = self.parameters.iter().zip(0_u16..);
        let silent = all.filter(move |(p, number)| is_indexed(p) && !found.contains(number));
        silent.map(|(parameter, _)| *parameter)
    }

    /// The values in a resource of this type, each once. `own_bases` are the
    /// URLs under which this server answers.
    ///
    /// # Errors
    /// When it has more than [`VALUES_MAX`], or more than an expression may
    /// look at: a part of them would make searches miss it.
    pub fn extract<'a, S: AsRef<str>>(
        &'a self,
        node: Node<'a>,
        own_bases: &[S],
    ) -> Result<Vec<Entry<'a>>, Issue> {
        let mut entries = Vec::with_capacity(48);
        let mut walk = Walk {
            extractor: self,
            root: node,
            own_bases,
            entries: &mut entries,
            too_many: false,
        };
        walk.compounds(0, node);
        walk.members(0, node);
        for computed in &self.computed {
            walk.compute(computed, node);
        }
        if walk.too_many || entries.len() > VALUES_MAX {
            let limit = format!(
                "more than {VALUES_MAX} values to index, or too many for an expression; split the resource"
            );
            return Err(Issue::error(IssueType::TooCostly, self.ty, limit));
        }
        dedupe(&mut entries);
        drop_needless(&mut entries);
        Ok(entries)
    }

    /// The clinical date among extracted values: when it happened, as
    /// far as a parameter of the type tells.
    #[must_use]
    pub fn main_date(&self, entries: &[Entry<'_>]) -> Option<Span> {
        self.main_dates.iter().find_map(|parameter| {
            let dates = entries.iter().filter(|entry| entry.parameter == *parameter);
            let spans = dates.filter_map(|entry| entry.value.as_date());
            spans.min_by_key(|span| span.from_ms)
        })
    }

    /// The parameters under which the composite values of a parameter, and the
    /// words for its `:text`, are given: itself, or those of which it is the
    /// union.
    pub fn kept_under(
        &self,
        parameter: &'static SearchParameter,
    ) -> impl Iterator<Item = &'static SearchParameter> {
        let is_it = |number: u16| {
            let found = self.parameters.get(usize::from(number));
            found.is_some_and(|found| found.code == parameter.code)
        };
        let union = self.unions.iter().find(|(number, _)| is_it(*number));
        let members = union.map_or(&[][..], |(_, members)| members);
        let own = members.is_empty().then_some(parameter);
        let members = members.iter();
        members
            .filter_map(|number| self.parameters.get(usize::from(*number)).copied())
            .chain(own)
    }

    /// Can a modifier that looks at values of its own find any for a parameter?
    /// A code has no words, and a coding no type of an identifier.
    pub(super) fn has_values_for(&self, parameter: &SearchParameter, modifier: Modifier) -> bool {
        let wanted: &[Reader] = match modifier {
            Modifier::OfType => &[Reader::Identifier],
            Modifier::Text => &[
                Reader::Coding,
                Reader::CodeableConcept,
                Reader::Identifier,
                Reader::Reference,
            ],
            Modifier::Missing
            | Modifier::Exact
            | Modifier::Contains
            | Modifier::Not
            | Modifier::Above
            | Modifier::Below
            | Modifier::In
            | Modifier::NotIn
            | Modifier::Identifier
            | Modifier::Type(_)
            | Modifier::Ends
            | Modifier::Ordered(_)
            | Modifier::Other => return true,
        };
        let number = self
            .parameters
            .iter()
            .position(|p| p.code == parameter.code);
        let is_it = |other: u16| Some(usize::from(other)) == number;
        let mut captures = self.places.iter().flat_map(|place| &place.captures);
        captures.any(|it| is_it(it.parameter) && wanted.contains(&it.reader))
            || self.computed.iter().any(|it| is_it(it.parameter))
    }

    /// Can a parameter hold canonical URLs? What an expression that is no path
    /// gives may be anything.
    #[must_use]
    pub fn is_canonical(&self, code: &str) -> bool {
        let is_it = |number: u16| {
            let found = self.parameters.get(usize::from(number));
            found.is_some_and(|found| found.kind == SearchKind::Reference && found.code == code)
        };
        let holds = |reader| matches!(reader, Reader::Canonical | Reader::ReferenceUri);
        let mut captures = self.places.iter().flat_map(|place| &place.captures);
        captures.any(|it| is_it(it.parameter) && holds(it.reader))
            || self.computed.iter().any(|it| is_it(it.parameter))
    }

    pub(super) fn is_union(&self, parameter: u16) -> bool {
        self.unions.iter().any(|(number, _)| *number == parameter)
    }

    /// Do values of this parameter put the resource in a patient's compartment?
    pub(crate) fn is_of_patient(&self, parameter: u16) -> bool {
        self.patients.contains(&parameter)
    }
}

struct Walk<'w, 'a, S> {
    extractor: &'a Extractor,
    root: Node<'a>,
    own_bases: &'w [S],
    entries: &'w mut Vec<Entry<'a>>,
    too_many: bool,
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
            if !capture.wants(node, self.own_bases) {
                continue;
            }
            let entries = &mut *self.entries;
            convert_or_present(capture.reader, node, self.own_bases, &mut |value| {
                if capture.keeps_words || !matches!(value, Value::Words(_)) {
                    entries.push(Entry {
                        parameter: capture.parameter,
                        value,
                    });
                }
            });
        }
        self.compounds(place, node);
        if !here.edges.is_empty() && node.kind() == Kind::Object {
            self.members(place, node);
        }
    }
}

impl<'a, S: AsRef<str>> Walk<'_, 'a, S> {
    fn compounds(&mut self, place: usize, node: Node<'a>) {
        for compound in &self.extractor.places[place].compounds {
            let entries = &mut *self.entries;
            let fits = compound.values(self.root, node, self.own_bases, &mut |value| {
                entries.push(Entry {
                    parameter: compound.parameter,
                    value,
                });
            });
            self.too_many |= !fits;
        }
    }

    /// Evaluates an expression. One that fails gives nothing, unless it fails
    /// only since there is so much.
    fn compute(&mut self, computed: &'a Computed, node: Node<'a>) {
        let context = Context {
            steps_max: STEPS_MAX,
            ..Context::default()
        };
        let mut items = Vec::new();
        let evaluated = computed
            .expression
            .evaluate(&context, &Item::resource(node), &mut items);
        if let Err(error) = evaluated {
            self.too_many |= error.kind == ErrorKind::TooCostly;
            return;
        }
        for item in &items {
            computed.values(item, self.own_bases, &mut |value| {
                self.entries.push(Entry {
                    parameter: computed.parameter,
                    value,
                });
            });
        }
    }
}

impl Computed {
    fn values<'a, S: AsRef<str>>(
        &self,
        item: &Item<'a>,
        own_bases: &[S],
        emit: &mut impl FnMut(Value<'a>),
    ) {
        if let Some(element) = item.element() {
            let ty = element
                .shape
                .map(|shape| definitions::r4().ty(shape.ty).name);
            let reader = ty.and_then(|ty| Reader::of(self.kind, ty, ""));
            if let (Some(node), Some(reader)) = (element.value, reader) {
                convert_or_present(reader, node, own_bases, emit);
            }
        } else if let Some(value) = item.value().and_then(|value| computed(self.kind, value)) {
            emit(value);
        }
    }
}

/// A value that is no element, but the result of a function or an operator.
fn computed<'a>(kind: SearchKind, value: fhirpath::Value<'a>) -> Option<Value<'a>> {
    use fhirpath::Value as Result;
    let code = |code: Cow<'a, str>| Value::Token {
        system: "".into(),
        code: clip(code, CODE_BYTES_MAX),
    };
    Some(match (kind, value) {
        (SearchKind::Token, Result::String(text)) => code(text),
        (SearchKind::Token, value @ (Result::Boolean(_) | Result::Integer(_))) => {
            code(value.to_string().into())
        }
        (SearchKind::String, Result::String(text)) => {
            let exact = clip(text, STRING_BYTES_MAX);
            Value::String {
                folded: clip(fold(&exact).into_owned().into(), STRING_BYTES_MAX),
                exact,
            }
        }
        (SearchKind::Number, value @ (Result::Integer(_) | Result::Decimal(_))) => {
            Value::Number(value.to_string().into())
        }
        (SearchKind::Date, value @ (Result::Date(_) | Result::DateTime(_))) => {
            Value::Date(Span::parse(&value.to_string())?)
        }
        (SearchKind::Uri, Result::String(text)) => Value::Uri(clip(text, CODE_BYTES_MAX)),
        _ => return None,
    })
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
    /// Does it refer to the type that the expression asks for? The literal
    /// tells, and for a URN or a mere identifier `Reference.type`.
    fn wants<S: AsRef<str>>(&self, node: Node<'_>, own_bases: &[S]) -> bool {
        let Some(target) = self.target else {
            return true;
        };
        let literal = node.get("reference").unwrap_or(node).str();
        let reference = literal.as_deref();
        let reference = reference.and_then(|literal| Reference::parse(literal, own_bases));
        match reference.and_then(Reference::target_type) {
            Some(ty) => ty == target,
            None => node
                .get("type")
                .and_then(Node::str)
                .is_some_and(|ty| ty == target),
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

/// A parameter that has values is not missing without saying so.
fn drop_needless(entries: &mut Vec<Entry<'_>>) {
    let is_present = |entry: &Entry<'_>| entry.value == Value::Present;
    if !entries.iter().any(is_present) {
        return;
    }
    let valued: std::collections::HashSet<u16> = entries
        .iter()
        .filter(|entry| entry.value.is_plain())
        .map(|entry| entry.parameter)
        .collect();
    entries.retain(|entry| !is_present(entry) || !valued.contains(&entry.parameter));
}
