//! Equality, equivalence and order: <http://hl7.org/fhirpath/N1/#equality>.

use super::evaluate::Run;
use super::item::{Item, Value};
use super::{Error, temporal, unit};
use crate::json::{Kind, Node};
use crate::primitive::{Precision, decimal};
use rust_decimal::{Decimal, RoundingStrategy};
use std::borrow::Cow;
use std::cmp::Ordering;

impl<'a> Run<'_, 'a> {
    /// `=` on collections; nothing when one is empty, or it cannot be said.
    pub(super) fn equal(
        &self,
        left: &[Item<'a>],
        right: &[Item<'a>],
    ) -> Result<Option<bool>, Error> {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        let mut result = Some(true);
        for (left, right) in left.iter().zip(right) {
            self.charge(1)?;
            match self.same(left, right)? {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => result = None,
            }
        }
        Ok(result)
    }

    /// `~` on collections: in any order, and two empty ones are alike.
    pub(super) fn equivalent(&self, left: &[Item<'a>], right: &[Item<'a>]) -> Result<bool, Error> {
        if left.len() != right.len() {
            return Ok(false);
        }
        let mut open: Vec<&Item<'a>> = right.iter().collect();
        for item in left {
            self.charge(1 + open.len())?;
            let mut found = None;
            for (at, other) in open.iter().enumerate() {
                if self.alike(item, other)? {
                    found = Some(at);
                    break;
                }
            }
            match found {
                Some(at) => open.swap_remove(at),
                None => return Ok(false),
            };
        }
        Ok(true)
    }

    /// Is an equal item in the collection?
    pub(super) fn contains(&self, items: &[Item<'a>], item: &Item<'a>) -> Result<bool, Error> {
        self.charge(1 + items.len())?;
        for known in items {
            if self.same(known, item)? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `=` on two items.
    pub(super) fn same(&self, left: &Item<'a>, right: &Item<'a>) -> Result<Option<bool>, Error> {
        if let (Item::Element(left), Item::Element(right)) = (left, right) {
            let place = left.value.or(left.extra);
            if place.is_some() && place == right.value.or(right.extra) {
                return Ok(Some(true));
            }
        }
        if let (Some(left), Some(right)) = (left.value(), right.value()) {
            return Ok(values_equal(&left, &right));
        }
        self.structures(left, right, false).map(Some)
    }

    /// `~` on two items.
    fn alike(&self, left: &Item<'a>, right: &Item<'a>) -> Result<bool, Error> {
        if let (Some(left), Some(right)) = (left.value(), right.value()) {
            return Ok(values_alike(&left, &right));
        }
        self.structures(left, right, true)
    }

    /// Compares what are not both values.
    fn structures(&self, left: &Item<'a>, right: &Item<'a>, alike: bool) -> Result<bool, Error> {
        match (left, right) {
            (Item::Type(left), Item::Type(right)) => Ok(left == right),
            (Item::Element(left), Item::Element(right)) => {
                match (left.value.or(left.extra), right.value.or(right.extra)) {
                    (Some(left), Some(right)) => self.nodes(left, right, alike),
                    (left, right) => Ok(left.is_none() && right.is_none()),
                }
            }
            _ => Ok(false),
        }
    }

    /// Compares JSON: members in any order, numbers by value. Recursive, to the depth that the
    /// document's limits allowed.
    fn nodes(&self, left: Node<'a>, right: Node<'a>, alike: bool) -> Result<bool, Error> {
        self.charge(1)?;
        if left.kind() != right.kind() {
            return Ok(false);
        }
        match left.kind() {
            Kind::Null => Ok(true),
            Kind::Bool => Ok(left.bool() == right.bool()),
            Kind::Number => Ok(numbers_equal(left, right)),
            Kind::String if alike => {
                Ok(folded(&left.str().unwrap_or_default())
                    == folded(&right.str().unwrap_or_default()))
            }
            Kind::String => Ok(left.str() == right.str()),
            Kind::Array | Kind::Object if left.len() != right.len() => Ok(false),
            Kind::Array => {
                for (left, right) in left.children().zip(right.children()) {
                    if !self.nodes(left, right, alike)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Kind::Object => {
                for member in left.children() {
                    let other = member.key().and_then(|key| right.get(key));
                    match other {
                        Some(other) if self.nodes(member, other, alike)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
        }
    }

    /// `<` and the others on two single items; nothing when it cannot be said.
    pub(super) fn order(
        &self,
        left: &Item<'a>,
        right: &Item<'a>,
    ) -> Result<Option<Ordering>, Error> {
        match (left.value(), right.value()) {
            (Some(left), Some(right)) => values_order(&left, &right),
            _ => Err(Error::evaluation("these cannot be ordered")),
        }
    }
}

fn numbers_equal(left: Node<'_>, right: Node<'_>) -> bool {
    let value = |node: Node<'_>| node.number().and_then(decimal::parse);
    match (value(left), value(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.raw() == right.raw(),
    }
}

/// An integer or decimal as a decimal.
pub(super) fn number(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(*value),
        Value::Boolean(_)
        | Value::String(_)
        | Value::Date(_)
        | Value::DateTime(_)
        | Value::Time(_)
        | Value::Quantity(_) => None,
    }
}

fn values_equal(left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    match (left, right) {
        (Value::Boolean(left), Value::Boolean(right)) => Some(left == right),
        (Value::String(left), Value::String(right)) => Some(left == right),
        (Value::Time(left), Value::Time(right)) => {
            temporal::order_times(left, right).map(Ordering::is_eq)
        }
        (
            Value::Date(left) | Value::DateTime(left),
            Value::Date(right) | Value::DateTime(right),
        ) => temporal::order(left, right).map(Ordering::is_eq),
        (Value::Quantity(left), Value::Quantity(right)) => unit::order(left, right, false)?
            .map(Ordering::is_eq)
            .or(Some(false)),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Some(left == right),
            _ => Some(false),
        },
    }
}

fn values_alike(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => folded(left) == folded(right),
        (Value::Time(left), Value::Time(right)) => {
            temporal::order_times(left, right) == Some(Ordering::Equal)
                && coarse(left.precision) == coarse(right.precision)
        }
        (
            Value::Date(left) | Value::DateTime(left),
            Value::Date(right) | Value::DateTime(right),
        ) => {
            temporal::order(left, right) == Some(Ordering::Equal)
                && coarse(left.precision) == coarse(right.precision)
        }
        (Value::Quantity(left), Value::Quantity(right)) => unit::alike(left, right),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => decimals_alike(left, right),
            _ => values_equal(left, right) == Some(true),
        },
    }
}

/// Seconds and their fractions are one precision.
fn coarse(precision: Precision) -> Precision {
    precision.min(Precision::Second)
}

/// Equal when rounded to the digits of the less precise, not counting zeros at the end.
pub(super) fn decimals_alike(left: Decimal, right: Decimal) -> bool {
    let digits = left.normalize().scale().min(right.normalize().scale());
    let round = |value: Decimal| {
        value.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
    };
    round(left) == round(right)
}

/// Text without case, and with one space for any white space.
fn folded(text: &str) -> Cow<'_, str> {
    let words = text.to_lowercase();
    let words: Vec<&str> = words.split_whitespace().collect();
    Cow::Owned(words.join(" "))
}

/// The order of two values of one type.
pub(super) fn values_order(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, Error> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) => temporal::order_times(left, right),
        (
            Value::Date(left) | Value::DateTime(left),
            Value::Date(right) | Value::DateTime(right),
        ) => temporal::order(left, right),
        (Value::Quantity(left), Value::Quantity(right)) => {
            unit::order(left, right, false).flatten()
        }
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => return Err(Error::evaluation("values of different types have no order")),
        },
    };
    Ok(order)
}
