//! Composite parameters: values of one element that belong together
//! (<https://hl7.org/fhir/R4/search.html#composite>).
//!
//! `component-code-value-quantity` finds a blood pressure by the code and the
//! value of the same component. So the values are kept together, one tuple for
//! each combination that an element has.

use super::convert::{Reader, convert, items};
use super::lay::{Head, branches};
use super::path::paths;
use super::value::{VALUES_MAX, Value};
use crate::definitions::{Component, Definitions, SearchKind, SearchParameter, TypeId};
use crate::json::Node;

/// A composite whose elements are at some place of the tree of members.
#[derive(Debug)]
pub(super) struct Compound {
    pub(super) parameter: u16,
    /// For each component: where its values are.
    components: Vec<Vec<Source>>,
}

/// A way to values, all of one type.
#[derive(Debug)]
struct Source {
    from_root: bool,
    keys: Vec<&'static str>,
    reader: Reader,
}

/// The parameter that says how a component is compared.
pub(super) fn part(
    mut parameters: impl Iterator<Item = &'static SearchParameter>,
    component: &Component,
) -> Option<&'static SearchParameter> {
    let own = component.parameter;
    own.or_else(|| parameters.find(|p| p.url == component.definition))
}

/// The expression of a component. R4 has the two of `relationship` the wrong
/// way round: <https://hl7.org/fhir/R4/documentreference.html#search>.
fn expression(component: &Component) -> &'static str {
    match component.definition.rsplit('/').next() {
        Some("DocumentReference-relatesto") => "target",
        Some("DocumentReference-relation") => "code",
        _ => component.expression,
    }
}

/// Are the components of two composites read and compared in the same way?
pub(super) fn alike(
    parameters: &'static [SearchParameter],
    a: &SearchParameter,
    b: &SearchParameter,
) -> bool {
    let kind = |component: &Component| part(parameters.iter(), component).map(|p| p.kind);
    let same =
        |(a, b): (&Component, &Component)| expression(a) == expression(b) && kind(a) == kind(b);
    a.components.len() == b.components.len() && a.components.iter().zip(b.components).all(same)
}

impl Compound {
    /// `None` when a component can have no value there.
    pub(super) fn of(
        definitions: &'static Definitions,
        (own, parameters): (TypeId, &[&'static SearchParameter]),
        parameter: &SearchParameter,
        number: u16,
        base: &Head,
    ) -> Option<Self> {
        let of = |component: &Component| {
            let kind = part(parameters.iter().copied(), component)?.kind;
            let sources = sources(definitions, own, base, expression(component), kind)?;
            (!sources.is_empty()).then_some(sources)
        };
        let components: Option<Vec<_>> = parameter.components.iter().map(of).collect();
        Some(Self {
            parameter: number,
            components: components.filter(|components| !components.is_empty())?,
        })
    }

    /// Gives the tuples of an element; false if there are too many of them.
    pub(super) fn values<'a, S: AsRef<str>>(
        &self,
        root: Node<'a>,
        node: Node<'a>,
        own_bases: &[S],
        emit: &mut impl FnMut(Value<'a>),
    ) -> bool {
        let mut tuples: Vec<Vec<Value<'a>>> = vec![Vec::new()];
        for sources in &self.components {
            let mut values = Vec::new();
            for source in sources {
                let from = if source.from_root { root } else { node };
                source.values(&source.keys, from, own_bases, &mut values);
            }
            if tuples.len().saturating_mul(values.len()) > VALUES_MAX {
                return false;
            }
            let with = |tuple: &Vec<Value<'a>>, value: &Value<'a>| {
                let mut longer = tuple.clone();
                longer.push(value.clone());
                longer
            };
            tuples = tuples
                .iter()
                .flat_map(|tuple| values.iter().map(move |value| with(tuple, value)))
                .collect();
        }
        for tuple in tuples {
            emit(Value::Composite(tuple.into()));
        }
        true
    }
}

impl Source {
    fn values<'a, S: AsRef<str>>(
        &self,
        keys: &[&'static str],
        node: Node<'a>,
        own_bases: &[S],
        found: &mut Vec<Value<'a>>,
    ) {
        let Some((key, rest)) = keys.split_first() else {
            return convert(self.reader, node, own_bases, &mut |value| {
                // A tuple has one value at each place: either end of a range.
                if let Value::Range { low, high } = value {
                    found.extend([low, high].into_iter().flatten().map(|end| *end));
                } else if value.is_plain() {
                    found.push(value);
                }
            });
        };
        for item in items(node.get(key)) {
            self.values(rest, item, own_bases, found);
        }
    }
}

fn sources(
    definitions: &'static Definitions,
    own: TypeId,
    base: &Head,
    expression: &'static str,
    kind: SearchKind,
) -> Option<Vec<Source>> {
    let (from_root, expression) = match expression.strip_prefix("%resource.") {
        Some(rest) => (true, rest),
        None => (false, expression),
    };
    let start = if from_root {
        Head::root(definitions, own)
    } else {
        base.clone()
    };
    let mut sources = Vec::new();
    for path in paths(expression)? {
        let mut heads = vec![(start.clone(), Vec::new())];
        for mut step in path.steps {
            // R4 writes the type of `code-value-date` so.
            if step.ty == Some("DateTime") {
                step.ty = Some("dateTime");
            }
            let mut next = Vec::new();
            for (head, keys) in &heads {
                for (key, head) in branches(definitions, head, &step) {
                    let mut keys: Vec<&'static str> = keys.clone();
                    keys.push(key);
                    next.push((head, keys));
                }
            }
            heads = next;
        }
        let source = |(head, keys): (Head, Vec<&'static str>)| {
            let reader = Reader::of(kind, head.ty, head.system)?;
            Some(Source {
                from_root,
                keys,
                reader,
            })
        };
        sources.extend(heads.into_iter().filter_map(source));
    }
    Some(sources)
}
