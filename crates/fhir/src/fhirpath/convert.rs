//! Conversions: <http://hl7.org/fhirpath/N1/#conversion>.

use super::Error;
use super::evaluate::{Frame, Run};
use super::function::Conversion;
use super::item::{Item, Value};
use super::op::Call;
use super::quantity::{Quantity, Unit};
use super::singleton::single;
use super::unit;
use crate::primitive::{DateTime, Precision, Time, decimal};
use rust_decimal::Decimal;
use std::borrow::Cow;

impl<'a> Run<'_, 'a> {
    /// The value of the only item in another type. The outer nothing: there is no item. The
    /// inner: it cannot be converted.
    pub(super) fn converted(
        &self,
        to: Conversion,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Option<Value<'a>>>, Error> {
        let Some(item) = single(input)? else {
            return Ok(None);
        };
        let unit = self.string_argument(call, 0, frame)?;
        let value = item.value().and_then(|value| converted(value, to));
        Ok(Some(match (value, unit) {
            (Some(Value::Quantity(quantity)), Some(unit)) => in_unit(&quantity, &unit),
            (value, _) => value,
        }))
    }
}

fn converted(value: Value<'_>, to: Conversion) -> Option<Value<'_>> {
    Some(match to {
        Conversion::Boolean => Value::Boolean(to_boolean(&value)?),
        Conversion::Integer => Value::Integer(to_integer(&value)?),
        Conversion::Decimal => Value::Decimal(to_decimal(&value)?),
        Conversion::String if matches!(value, Value::String(_)) => value,
        Conversion::String => Value::String(Cow::Owned(value.to_string())),
        Conversion::Date => Value::Date(to_date(&value)?),
        Conversion::DateTime => Value::DateTime(to_date_time(&value)?),
        Conversion::Time => Value::Time(to_time(&value)?),
        Conversion::Quantity => Value::Quantity(Box::new(to_quantity(&value)?)),
    })
}

fn to_boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::Integer(1) => Some(true),
        Value::Integer(0) => Some(false),
        Value::Decimal(value) if *value == Decimal::ONE => Some(true),
        Value::Decimal(value) if value.is_zero() => Some(false),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        Value::Integer(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::DateTime(_)
        | Value::Time(_)
        | Value::Quantity(_) => None,
    }
}

fn to_integer(value: &Value<'_>) -> Option<i32> {
    match value {
        Value::Integer(value) => Some(*value),
        Value::Boolean(value) => Some(i32::from(*value)),
        Value::String(text) => text.parse().ok(),
        Value::Decimal(_)
        | Value::Date(_)
        | Value::DateTime(_)
        | Value::Time(_)
        | Value::Quantity(_) => None,
    }
}

fn to_decimal(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Decimal(value) => Some(*value),
        Value::Integer(value) => Some(Decimal::from(*value)),
        Value::Boolean(true) => Some(Decimal::new(10, 1)),
        Value::Boolean(false) => Some(Decimal::new(0, 1)),
        Value::String(text) => decimal::parse(text.strip_prefix('+').unwrap_or(text)),
        Value::Date(_) | Value::DateTime(_) | Value::Time(_) | Value::Quantity(_) => None,
    }
}

fn to_date(value: &Value<'_>) -> Option<DateTime> {
    match value {
        Value::Date(value) => Some(*value),
        Value::DateTime(value) => Some(value.date()),
        Value::String(text) => DateTime::parse_date(text)
            .or_else(|| DateTime::parse_partial(text).map(|value| value.date())),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Decimal(_)
        | Value::Time(_)
        | Value::Quantity(_) => None,
    }
}

fn to_date_time(value: &Value<'_>) -> Option<DateTime> {
    match value {
        Value::Date(value) | Value::DateTime(value) => Some(*value),
        Value::String(text) => DateTime::parse_partial(text),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Decimal(_)
        | Value::Time(_)
        | Value::Quantity(_) => None,
    }
}

fn to_time(value: &Value<'_>) -> Option<Time> {
    match value {
        Value::Time(value) => Some(*value),
        Value::DateTime(value) if value.precision > Precision::Day => Some(value.time),
        Value::String(text) => Time::parse_partial(text.strip_prefix('T').unwrap_or(text)),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::DateTime(_)
        | Value::Quantity(_) => None,
    }
}

fn to_quantity(value: &Value<'_>) -> Option<Quantity> {
    let one = || Unit::Code("1".to_owned());
    match value {
        Value::Quantity(quantity) => Some((**quantity).clone()),
        Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) => Some(Quantity {
            value: to_decimal(value)?,
            unit: one(),
        }),
        Value::String(text) => {
            let (number, rest) = match text.split_once(char::is_whitespace) {
                Some((number, rest)) => (number, rest.trim()),
                None => (text.as_ref(), ""),
            };
            let quoted = rest
                .strip_prefix('\'')
                .and_then(|rest| rest.strip_suffix('\''));
            let unit = match quoted {
                Some(code) if !code.is_empty() => Unit::Code(code.to_owned()),
                Some(_) => return None,
                None if rest.is_empty() => one(),
                None => Unit::from_word(rest)?,
            };
            Some(Quantity {
                value: decimal::parse(number.strip_prefix('+').unwrap_or(number))?,
                unit,
            })
        }
        Value::Date(_) | Value::DateTime(_) | Value::Time(_) => None,
    }
}

fn in_unit<'a>(quantity: &Quantity, code: &str) -> Option<Value<'a>> {
    let unit = Unit::from_code(code.to_owned());
    let value = unit::converted(quantity, &unit)?;
    Some(Value::Quantity(Box::new(Quantity { value, unit })))
}
