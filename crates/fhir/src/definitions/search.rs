//! Search parameters (<https://hl7.org/fhir/R4/searchparameter-registry.html>).

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

/// A part of a composite parameter.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// The canonical URL of the parameter that says how it is compared.
    pub definition: &'static str,
    /// Where its value is, from each result of the composite's expression.
    pub expression: &'static str,
}

pub(super) struct SearchParameters {
    of: HashMap<&'static str, Box<[SearchParameter]>>,
}

impl SearchParameters {
    /// Reads `search.tsv`.
    pub(super) fn read(table: &'static str, types: &Types) -> SearchParameters {
        let parameters = parse(table, types);
        let resources = types.iter().filter(|ty| ty.kind == TypeKind::Resource);
        let of = resources.map(|ty| {
            let mut bases = vec![ty.name];
            let mut base = ty.base;
            while let Some(id) = base {
                bases.push(types.get(id).name);
                base = types.get(id).base;
            }
            let mut own: Vec<SearchParameter> = parameters
                .iter()
                .filter(|(on, _)| on.iter().any(|name| bases.contains(name)))
                .map(|(_, parameter)| SearchParameter {
                    expression: part_for(parameter.expression, ty.name),
                    ..parameter.clone()
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

type Based = (Vec<&'static str>, SearchParameter);

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
        kind: match kind {
            "number" => SearchKind::Number,
            "date" => SearchKind::Date,
            "string" => SearchKind::String,
            "token" => SearchKind::Token,
            "reference" => SearchKind::Reference,
            "composite" => SearchKind::Composite,
            "quantity" => SearchKind::Quantity,
            "uri" => SearchKind::Uri,
            _ => SearchKind::Special,
        },
        targets: match targets {
            "*" => Vec::leak(types.named("Resource").into_iter().collect()),
            listed => Vec::leak(listed.split(' ').filter_map(|t| types.named(t)).collect()),
        },
        components: &[],
        multiple_or: !flags.contains('O'),
        multiple_and: !flags.contains('A'),
        url: next(),
        expression: next(),
    };
    (bases.split(' ').collect(), parameter)
}

/// The part of a union that begins with the type's name: R4 writes one
/// expression for all types that share a parameter. When no single part does,
/// the whole is kept, whose other parts find nothing.
fn part_for(expression: &'static str, resource: &str) -> &'static str {
    let is_for = |part: &&str| {
        part.trim_start_matches('(')
            .strip_prefix(resource)
            .is_some_and(|rest| rest.starts_with('.') || rest.is_empty())
    };
    let mut parts = union_parts(expression).into_iter().filter(is_for);
    match (parts.next(), parts.next()) {
        (Some(part), None) => part,
        _ => expression,
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
