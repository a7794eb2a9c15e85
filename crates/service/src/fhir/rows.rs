//! Search values of a resource as index rows of the store.

use salus_fhir::definitions::SearchParameter;
use salus_fhir::search::{Entry, Extractor, Value as Found};
use salus_store::ordered::Decimal;
use salus_store::{Kind, Param, Row, Value};

/// The store's parameter for a search parameter of a type.
#[must_use]
pub fn param(ty: &str, parameter: &SearchParameter) -> Param {
    Param::named(ty, parameter.code)
}

/// The store's parameter for the identifiers of a logical reference, by which
/// `:identifier` searches.
#[must_use]
pub fn identifier_param(ty: &str, parameter: &SearchParameter) -> Param {
    Param::named(ty, &format!("{}:identifier", parameter.code))
}

/// The rows of a resource.
pub(crate) fn rows(extractor: &Extractor, entries: &[Entry<'_>]) -> Vec<Row> {
    let parameters = extractor.parameters();
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(parameter) = parameters.get(usize::from(entry.parameter)) else {
            continue;
        };
        let of = || param(extractor.ty(), parameter);
        let (param, value) = match &entry.value {
            Found::Token { system, code, .. } => (of(), token(system, code)),
            Found::String { folded, exact } => {
                let (folded, exact) = (folded.as_ref().into(), exact.as_ref().into());
                (of(), Value::String { folded, exact })
            }
            Found::Date(span) => {
                let (from_ms, to_ms) = (span.from_ms, span.to_ms);
                (of(), Value::Date { from_ms, to_ms })
            }
            Found::Number(text) => match Decimal::parse(text) {
                Some(number) => (of(), Value::Number(number)),
                None => continue,
            },
            Found::Quantity {
                value,
                system,
                code,
                ..
            } => match Decimal::parse(value) {
                Some(value) => {
                    let (system, code) = (system.as_ref().into(), code.as_ref().into());
                    (
                        of(),
                        Value::Quantity {
                            value,
                            system,
                            code,
                        },
                    )
                }
                None => continue,
            },
            Found::Reference { ty, id, .. } => {
                let (kind, id) = (Kind::named(ty), id.as_ref().into());
                (of(), Value::Reference { kind, id })
            }
            Found::ReferenceUri(uri) | Found::Uri(uri) => (of(), Value::Uri(uri.as_ref().into())),
            // Nothing asks for an empty code in an empty system, but `:missing` finds it.
            Found::Present => (of(), token("", "")),
            Found::ReferenceIdentifier { system, value } => (
                identifier_param(extractor.ty(), parameter),
                token(system, value),
            ),
        };
        rows.push(Row { param, value });
    }
    Row::sort(&mut rows);
    rows
}

fn token(system: &str, code: &str) -> Value {
    Value::Token {
        system: system.into(),
        code: code.into(),
    }
}
