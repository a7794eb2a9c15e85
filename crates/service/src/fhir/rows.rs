//! Search values of a resource as index rows of the store.

use std::collections::HashSet;

use salus_fhir::definitions::SearchParameter;
use salus_fhir::json::Node;
use salus_fhir::search::{Entry, Extractor, Value as Found};
use salus_fhir::text::{self, Text};
use salus_store::ordered::Decimal;
use salus_store::{Kind, Param, Place, Row, Value, Word, Words};

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

/// The store's parameter for the passages of tokens and references, their
/// texts and displays, by which `:text` searches. Their words are among those
/// of [`words_param`], where such a search begins.
#[must_use]
pub fn text_param(ty: &str, parameter: &SearchParameter) -> Param {
    Param::named(ty, &format!("{}:text", parameter.code))
}

/// The store's parameter for identifiers with their types, by which
/// `:of-type` searches.
#[must_use]
pub fn of_type_param(ty: &str, parameter: &SearchParameter) -> Param {
    Param::named(ty, &format!("{}:of-type", parameter.code))
}

/// The store's parameter for quantities in base units, by which those with a
/// unit of UCUM are found. They are apart from [`param`], where a number
/// without a unit would find them.
///
/// Each has the unit's code as written in the place of its system. So
/// `value|system|code` asks here for any unit of the dimension, `value||code`
/// for that unit, and the rows of [`param`] need only hold the number as
/// written and the unit in words, for `value||words` and `value`.
#[must_use]
pub fn amount_param(ty: &str, parameter: &SearchParameter) -> Param {
    Param::named(ty, &format!("{}:amount", parameter.code))
}

/// The store's parameter for ranges: behind [`param`], or behind
/// [`amount_param`] for those of amounts.
///
/// A range is a composite of its two ends, so that one test can ask about both.
/// A record that has a range has all its numbers of the parameter here, each as
/// a range of one. The ends stand as numbers in the other parameter too, where
/// they sort, and where a search begins.
#[must_use]
pub fn range_param(ty: &str, parameter: &SearchParameter, is_amount: bool) -> Param {
    let form = if is_amount { ":amount" } else { "" };
    Param::named(ty, &format!("{}{form}:range", parameter.code))
}

/// The store's parameter for the words of a resource, by which `_text` and
/// `_content` search.
#[must_use]
pub fn words_param(ty: &str) -> Param {
    Param::named(ty, "_content")
}

/// The code of an identifier with a type, in [`of_type_param`]. What stands
/// between the two cannot stand in either.
#[must_use]
pub fn of_type_code(code: &str, value: &str) -> String {
    format!("{code}\u{1f}{value}")
}

/// How a reference that names a version is kept, beside the one without.
#[must_use]
pub fn versioned(ty: &str, id: &str, version: &str) -> String {
    format!("{ty}/{id}/_history/{version}")
}

/// The rows of a resource, its words among them.
pub(crate) fn rows(extractor: &Extractor, entries: &[Entry<'_>], resource: Node<'_>) -> Vec<Row> {
    let (parameters, ty) = (extractor.parameters(), extractor.ty());
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(parameter) = parameters.get(usize::from(entry.parameter)) else {
            continue;
        };
        let param = match &entry.value {
            Found::Words(_) => text_param(ty, parameter),
            Found::OfType { .. } => of_type_param(ty, parameter),
            Found::ReferenceIdentifier { .. } => identifier_param(ty, parameter),
            found if is_amount(found) => amount_param(ty, parameter),
            Found::Token { .. }
            | Found::String { .. }
            | Found::Date(_)
            | Found::Number(_)
            | Found::Quantity { .. }
            | Found::Amount { .. }
            | Found::Range { .. }
            | Found::Reference { .. }
            | Found::ReferenceUri(_)
            | Found::Uri(_)
            | Found::Place { .. }
            | Found::Composite(_)
            | Found::Present => param(ty, parameter),
        };
        if let Found::Reference {
            ty,
            id,
            version: Some(version),
        } = &entry.value
        {
            let value = Value::Uri(versioned(ty, id, version).into());
            rows.push(Row { param, value });
        }
        match (&entry.value, value(&entry.value)) {
            (Found::Range { .. }, Some(Value::Composite(ends))) => {
                rows.extend(ends.into_iter().map(|value| Row { param, value }));
            }
            (_, value) => rows.extend(value.map(|value| Row { param, value })),
        }
    }
    put_ranges(extractor, entries, &mut rows);
    rows.extend(words(ty, resource));
    Row::sort(&mut rows);
    rows
}

/// The row of the words of a resource; none if it has no text.
pub(crate) fn words(ty: &str, resource: Node<'_>) -> Option<Row> {
    let text = Text::of(resource);
    let found = text.words();
    if found.words.is_empty() {
        return None;
    }
    let value = Value::Words(Words::of(stored(found.words), found.narrative_end));
    let param = words_param(ty);
    Some(Row { param, value })
}

fn stored(words: Vec<text::Word<'_>>) -> Vec<Word<'_>> {
    let words = words.into_iter().map(|word| Word {
        word: word.word.into(),
        stem: word.stem,
        at: word.at,
    });
    words.collect()
}

/// Adds the values of all parameters that have a range: see [`range_param`].
fn put_ranges(extractor: &Extractor, entries: &[Entry<'_>], rows: &mut Vec<Row>) {
    let with_range = entries
        .iter()
        .filter(|entry| matches!(entry.value, Found::Range { .. }));
    let numbers: HashSet<u16> = with_range.map(|entry| entry.parameter).collect();
    if numbers.is_empty() {
        return;
    }
    let of_them = |entry: &&Entry<'_>| numbers.contains(&entry.parameter);
    for entry in entries.iter().filter(of_them) {
        let parameter = extractor.parameters().get(usize::from(entry.parameter));
        let Some((parameter, value)) = parameter.zip(value(&entry.value)) else {
            continue;
        };
        let ends = match matches!(value, Value::Composite(_)) {
            true => value,
            false => Value::Composite([value.clone(), value].into()),
        };
        let param = range_param(extractor.ty(), parameter, is_amount(&entry.value));
        rows.push(Row { param, value: ends });
    }
}

/// An end of a range; a missing one lies beyond all numbers that are written.
fn end(own: Option<&Found<'_>>, other: Option<&Found<'_>>, limit: &str) -> Option<Value> {
    let mut end = value(own.or(other)?)?;
    if own.is_none()
        && let Value::Number(number) | Value::Quantity { value: number, .. } = &mut end
    {
        *number = Decimal::parse(limit)?;
    }
    Some(end)
}

/// Is it in base units, or a tuple or a range with something that is?
fn is_amount(found: &Found<'_>) -> bool {
    match found {
        Found::Amount { .. } => true,
        Found::Composite(parts) => parts.iter().any(is_amount),
        Found::Range { low, high } => low.as_deref().or(high.as_deref()).is_some_and(is_amount),
        Found::Words(_)
        | Found::OfType { .. }
        | Found::ReferenceIdentifier { .. }
        | Found::Token { .. }
        | Found::String { .. }
        | Found::Date(_)
        | Found::Number(_)
        | Found::Quantity { .. }
        | Found::Reference { .. }
        | Found::ReferenceUri(_)
        | Found::Uri(_)
        | Found::Place { .. }
        | Found::Present => false,
    }
}

/// The value as the store keeps it; `None` for a number that is none, and for
/// what is no place on the Earth.
fn value(found: &Found<'_>) -> Option<Value> {
    Some(match found {
        Found::Token { system, code } => token(system, code),
        Found::String { folded, exact } => Value::String {
            folded: folded.as_ref().into(),
            exact: exact.as_ref().into(),
        },
        Found::Date(span) => Value::Date {
            from_ms: span.from_ms,
            to_ms: span.to_ms,
        },
        Found::Number(text) => Value::Number(Decimal::parse(text)?),
        Found::Quantity {
            value,
            system,
            code,
        } => Value::Quantity {
            value: Decimal::parse(value)?,
            system: system.as_ref().into(),
            code: code.as_ref().into(),
        },
        Found::Amount { value, unit, code } => Value::Quantity {
            value: Decimal::parse(value)?,
            system: code.as_ref().into(),
            code: unit.clone(),
        },
        Found::Range { low, high } => {
            let (low, high) = (low.as_deref(), high.as_deref());
            let low_end = end(low, high, "-9e30000")?;
            Value::Composite([low_end, end(high, low, "9e30000")?].into())
        }
        Found::Reference { ty, id, .. } => Value::Reference {
            kind: Kind::named(ty),
            id: id.as_ref().into(),
        },
        Found::ReferenceUri(uri) | Found::Uri(uri) => Value::Uri(uri.as_ref().into()),
        Found::Place {
            latitude,
            longitude,
        } => Value::Place(Place::of_degrees(
            latitude.parse().ok()?,
            longitude.parse().ok()?,
        )?),
        Found::ReferenceIdentifier { system, value } => token(system, value),
        Found::Words(folded) => Value::Passage(Words::of(stored(text::passage(folded)), 0)),
        Found::OfType {
            system,
            code,
            value,
        } => token(system, &of_type_code(code, value)),
        // Nothing asks for an empty code in an empty system, but `:missing` finds it.
        Found::Present => token("", ""),
        Found::Composite(parts) => {
            Value::Composite(parts.iter().map(value).collect::<Option<_>>()?)
        }
    })
}

fn token(system: &str, code: &str) -> Value {
    Value::Token {
        system: system.into(),
        code: code.into(),
    }
}
