//! One item where one is expected, and values made into items
//! (<http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections>).

use super::Error;
use super::item::{Item, Value};
use std::borrow::Cow;

/// A literal of the expression without a copy of its text.
pub(super) fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    if let Value::String(text) = value {
        return Value::String(Cow::Borrowed(text));
    }
    value.clone()
}

pub(super) fn boolean<'a>(value: bool) -> Item<'a> {
    Item::Value(Value::Boolean(value))
}

/// A count or position; they never come near the limit, which would win.
pub(super) fn integer<'a>(value: usize) -> Item<'a> {
    Item::Value(Value::Integer(i32::try_from(value).unwrap_or(i32::MAX)))
}

pub(super) fn string<'a>(value: impl Into<Cow<'a, str>>) -> Item<'a> {
    Item::Value(Value::String(value.into()))
}

/// The only item, or nothing; more are an error
/// (<http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections>).
pub(super) fn single<'i, 'a>(items: &'i [Item<'a>]) -> Result<Option<&'i Item<'a>>, Error> {
    match items {
        [] => Ok(None),
        [item] => Ok(Some(item)),
        _ => Err(Error::evaluation("expected one item, found several")),
    }
}

/// A collection where a truth value is expected: one item that is no boolean counts as true.
pub(super) fn as_truth(items: &[Item<'_>]) -> Result<Option<bool>, Error> {
    let Some(item) = single(items)? else {
        return Ok(None);
    };
    Ok(match item.value() {
        Some(Value::Boolean(value)) => Some(value),
        _ => Some(true),
    })
}

/// A collection where an integer is expected.
pub(super) fn as_integer(items: &[Item<'_>]) -> Result<Option<i32>, Error> {
    match single(items)?.map(Item::value) {
        None => Ok(None),
        Some(Some(Value::Integer(value))) => Ok(Some(value)),
        Some(_) => Err(Error::evaluation("expected an integer")),
    }
}

/// A collection where text is expected.
pub(super) fn as_string<'a>(items: &[Item<'a>]) -> Result<Option<Cow<'a, str>>, Error> {
    match single(items)?.map(Item::value) {
        None => Ok(None),
        Some(Some(Value::String(value))) => Ok(Some(value)),
        Some(_) => Err(Error::evaluation("expected a string")),
    }
}
