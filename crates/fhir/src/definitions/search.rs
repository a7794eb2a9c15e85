//! Search parameters (<https://hl7.org/fhir/R4/searchparameter-registry.html>).

use std::borrow::Cow;
use std::collections::HashMap;

use super::types::{TypeId, TypeKind, Types};

/// A search parameter as it applies to one type of resource.
#[derive(Clone, Debug)]
pub struct SearchParameter {
    /// The name in a query: `birthdate`.
    pub code: &'static str,
    /// What it compares.
    pub kind: SearchKind,
    /// The FHIRPath that gives the values. Of a union over several types of
    /// resource it is the part for this type. Empty for parameters that are
    /// no paths: `_text`, `_content`, `_query`.
    pub expression: &'static str,
    /// For references: the types they may lead to; `Resource` alone for any.
    pub targets: &'static [TypeId],
    /// The parts of a composite.
    pub components: &'static [Component],
    /// May one query value be a comma-separated list?
    pub multiple_or: bool,
    /// May the parameter be repeated in a query?
    pub multiple_and: bool,
    /// Its canonical URL.
    pub url: &'static str,
    /// What a project's own definition of it allows; `None` for those of R4.
    pub limits: Option<Limits>,
}

/// How a parameter may be used. An empty list allows all that there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// `SearchParameter.modifier`.
    pub modifiers: &'static [&'static str],
    /// `SearchParameter.comparator`.
    pub comparators: &'static [&'static str],
    /// `SearchParameter.chain`: the codes that may follow in a chain.
    pub chains: &'static [&'static str],
}

/// What a search parameter compares: <https://hl7.org/fhir/R4/search.html#ptypes>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SearchKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl SearchKind {
    const ALL: [Self; 9] = [
        Self::Number,
        Self::Date,
        Self::String,
        Self::Token,
        Self::Reference,
        Self::Composite,
        Self::Quantity,
        Self::Uri,
        Self::Special,
    ];

    /// Its code in <https://hl7.org/fhir/R4/valueset-search-param-type.html>.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }

    /// The kind that has this code.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A part of a composite parameter.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// The canonical URL of the parameter that says how it is compared.
    pub definition: &'static str,
    /// Where its value is, from each result of the composite's expression.
    pub expression: &'static str,
    /// The parameter itself, when the composite is a project's own.
    pub parameter: Option<&'static SearchParameter>,
}

pub(super) struct SearchParameters {
    of: HashMap<&'static str, Box<[SearchParameter]>>,
}

impl SearchParameters {
    /// Reads `search.tsv`.
    pub(super) fn read(table: &'static str, types: &Types) -> SearchParameters {
        let parameters = parse(table, types);
        let mut on: HashMap<&str, Vec<&SearchParameter>> = HashMap::new();
        for (bases, parameter) in &parameters {
            for base in bases.split(' ') {
                on.entry(base).or_default().push(parameter);
            }
        }
        let resources = types.iter().filter(|ty| ty.kind == TypeKind::Resource);
        let of = resources.map(|ty| {
            let bases = std::iter::successors(Some(ty), |ty| ty.base.map(|id| types.get(id)));
            let mut own: Vec<SearchParameter> = bases
                .filter_map(|base| on.get(base.name))
                .flatten()
                .map(|parameter| SearchParameter {
                    expression: match part_for(parameter.expression, ty.name) {
                        Cow::Borrowed(part) => part,
                        Cow::Owned(parts) => String::leak(parts),
                    },
                    ..(*parameter).clone()
                })
                .collect();
            own.sort_by_key(|parameter| parameter.code);
            (ty.name, own.into_boxed_slice())
        });
        SearchParameters { of: of.collect() }
    }

    pub(super) fn of(&self, resource: &str) -> &[SearchParameter] {
        self.of.get(resource).map_or(&[], |parameters| parameters)
    }
}

/// A parameter with the names of its bases.
type Based = (&'static str, SearchParameter);

fn parse(table: &'static str, types: &Types) -> Vec<Based> {
    let mut parameters: Vec<Based> = Vec::with_capacity(1400);
    let mut components = Vec::new();
    for line in table.lines() {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        match next() {
            "S" => {
                close(&mut parameters, &mut components);
                parameters.push(one(next, types));
            }
            "C" => components.push(Component {
                definition: next(),
                expression: next(),
                parameter: None,
            }),
            _ => {}
        }
    }
    close(&mut parameters, &mut components);
    parameters
}

/// Gives the components read so far to the parameter before them.
fn close(parameters: &mut [Based], components: &mut Vec<Component>) {
    if let (Some((_, last)), false) = (parameters.last_mut(), components.is_empty()) {
        last.components = Vec::leak(std::mem::take(components));
    }
}

fn one(mut next: impl FnMut() -> &'static str, types: &Types) -> Based {
    let (code, kind, bases, targets, flags) = (next(), next(), next(), next(), next());
    let parameter = SearchParameter {
        code,
        kind: SearchKind::named(kind).unwrap_or(SearchKind::Special),
        targets: match targets {
            "*" => Vec::leak(types.named("Resource").into_iter().collect()),
            listed => Vec::leak(listed.split(' ').filter_map(|t| types.named(t)).collect()),
        },
        components: &[],
        multiple_or: !flags.contains('O'),
        multiple_and: !flags.contains('A'),
        url: next(),
        expression: next(),
        limits: None,
    };
    (bases, parameter)
}

/// The parts of a union that begin with the type's name: R4 writes one
/// expression for all types that share a parameter. When none does, the
/// expression needs no name and is for all.
pub(crate) fn part_for<'e>(expression: &'e str, resource: &str) -> Cow<'e, str> {
    let is_for = |part: &&str| {
        part.trim_start_matches('(')
            .strip_prefix(resource)
            .is_some_and(|rest| rest.starts_with('.') || rest.is_empty())
    };
    let all = union_parts(expression);
    let own: Vec<&'e str> = all.iter().copied().filter(is_for).collect();
    match own.as_slice() {
        [] => Cow::Borrowed(expression),
        [one] => Cow::Borrowed(one),
        own if own.len() == all.len() => Cow::Borrowed(expression),
        own => Cow::Owned(own.join(" | ")),
    }
}

/// Splits at the `|` outside parentheses and quotes.
fn union_parts(expression: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, letter) in expression.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            '|' if !quoted && depth == 0 => {
                parts.push(expression[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(expression[start..].trim());
    parts
}
