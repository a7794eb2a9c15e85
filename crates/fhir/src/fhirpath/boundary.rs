//! `lowBoundary`, `highBoundary` and `precision`: the ends of what a value can mean
//! (<https://build.fhir.org/ig/HL7/FHIRPath/#boundary-functions>).

use super::Error;
use super::call::value_of;
use super::evaluate::{Frame, Items, Run};
use super::function::Boundary;
use super::item::{Item, Value};
use super::op::Call;
use super::quantity::Quantity;
use super::singleton::integer;
use crate::primitive::{DateTime, Offset, Precision, Time};
use rust_decimal::{Decimal, RoundingStrategy};

/// Digits of a decimal when none are asked for.
const DECIMAL_DIGITS: u32 = 8;
/// Digits that a decimal can have.
const DECIMAL_DIGITS_MAX: i32 = 28;

/// Precisions and the digits of a date-time written to them.
const DATE_DIGITS: [(Precision, i32); 7] = [
    (Precision::Year, 4),
    (Precision::Month, 6),
    (Precision::Day, 8),
    (Precision::Hour, 10),
    (Precision::Minute, 12),
    (Precision::Second, 14),
    (Precision::Fraction, 17),
];
/// A time of day has no date before it.
const TIME_DIGITS: i32 = 8;

impl<'a> Run<'_, 'a> {
    pub(super) fn boundary(
        &self,
        function: Boundary,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let Some(value) = value_of(input)? else {
            return Ok(());
        };
        let high = match function {
            Boundary::Precision => {
                out.extend(digits_of(&value).map(integer));
                return Ok(());
            }
            Boundary::High => true,
            Boundary::Low => false,
        };
        let digits = self.integer_argument(call, 0, frame)?;
        out.extend(end_of(&value, digits, high).map(Item::Value));
        Ok(())
    }
}

fn digits_of(value: &Value<'_>) -> Option<usize> {
    let digits = |precision: Precision| {
        let row = DATE_DIGITS.iter().find(|(known, _)| *known == precision);
        row.map_or(0, |(_, digits)| *digits)
    };
    let digits = match value {
        Value::Decimal(value) => return Some(value.scale() as usize),
        Value::Quantity(quantity) => return Some(quantity.value.scale() as usize),
        Value::Integer(_) => 0,
        Value::Date(value) | Value::DateTime(value) => digits(value.precision),
        Value::Time(value) => digits(value.precision) - TIME_DIGITS,
        Value::Boolean(_) | Value::String(_) => return None,
    };
    usize::try_from(digits).ok()
}

fn end_of<'a>(value: &Value<'a>, digits: Option<i32>, high: bool) -> Option<Value<'a>> {
    match value {
        Value::Integer(value) => {
            end_of_decimal(Decimal::from(*value), digits, high).map(Value::Decimal)
        }
        Value::Decimal(value) => end_of_decimal(*value, digits, high).map(Value::Decimal),
        Value::Quantity(quantity) => {
            let value = end_of_decimal(quantity.value, digits, high)?;
            let unit = quantity.unit.clone();
            Some(Value::Quantity(Box::new(Quantity { value, unit })))
        }
        Value::Date(value) => end_of_date_time(value, digits.unwrap_or(8), high).map(Value::Date),
        Value::DateTime(value) => {
            end_of_date_time(value, digits.unwrap_or(17), high).map(Value::DateTime)
        }
        Value::Time(value) => end_of_time(value, digits.unwrap_or(9), high).map(Value::Time),
        Value::Boolean(_) | Value::String(_) => None,
    }
}

/// Half a unit of the last digit away, rounded outwards.
fn end_of_decimal(value: Decimal, digits: Option<i32>, high: bool) -> Option<Decimal> {
    let digits = match digits {
        None => DECIMAL_DIGITS,
        Some(digits @ 0..=DECIMAL_DIGITS_MAX) => digits.unsigned_abs(),
        Some(_) => return None,
    };
    let half = Decimal::try_from_i128_with_scale(5, value.scale() + 1).ok()?;
    let (end, outwards) = match high {
        true => (
            value.checked_add(half)?,
            RoundingStrategy::ToPositiveInfinity,
        ),
        false => (
            value.checked_sub(half)?,
            RoundingStrategy::ToNegativeInfinity,
        ),
    };
    let mut end = end.round_dp_with_strategy(digits, outwards);
    end.rescale(digits);
    Some(end)
}

fn precision_of(digits: i32) -> Option<Precision> {
    let row = DATE_DIGITS.iter().find(|(_, known)| *known == digits);
    row.map(|(precision, _)| *precision)
}

fn end_of_date_time(value: &DateTime, digits: i32, high: bool) -> Option<DateTime> {
    let precision = precision_of(digits)?;
    let mut end = *value;
    if high && value.precision < Precision::Month {
        end.month = 12;
    }
    if high && value.precision < Precision::Day {
        end.day = end.last_day_of_month();
    }
    end.time = to_precision(&value.time, value.precision, precision, high);
    end.precision = precision;
    end.offset = match value.offset {
        _ if precision <= Precision::Day => None,
        Some(offset) => Some(offset),
        // The first place on Earth where it was this time, or the last.
        None if high => Some(Offset::Minutes(-12 * 60)),
        None => Some(Offset::Minutes(14 * 60)),
    };
    Some(end)
}

fn end_of_time(value: &Time, digits: i32, high: bool) -> Option<Time> {
    let precision = precision_of(digits.checked_add(TIME_DIGITS)?)?;
    if precision <= Precision::Day {
        return None;
    }
    Some(to_precision(value, value.precision, precision, high))
}

/// A time known to one precision, filled up or cut to another.
fn to_precision(time: &Time, known: Precision, precision: Precision, high: bool) -> Time {
    let fill = |part: u8, of: Precision, last: u8| match known >= of {
        true => part,
        false if high => last,
        false => 0,
    };
    Time {
        hour: fill(time.hour, Precision::Hour, 23),
        minute: fill(time.minute, Precision::Minute, 59),
        second: fill(time.second, Precision::Second, 59),
        nanos: if known < Precision::Fraction {
            if high { 999_000_000 } else { 0 }
        } else if high {
            (time.nanos + time.unit_nanos() as u32 - 1).min(999_999_999)
        } else {
            time.nanos
        },
        digits: 3,
        precision,
    }
}
