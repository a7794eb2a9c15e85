//! Order of dates and times, and arithmetic with durations
//! (<http://hl7.org/fhirpath/N1/#datetime-arithmetic>).

use super::Error;
use super::item::Value;
use super::quantity::{Calendar, Quantity, Unit};
use crate::primitive::{DateTime, Precision, Time};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::cmp::Ordering;

/// How two points in time follow each other; nothing when they are not precise enough to say.
pub(super) fn order(left: &DateTime, right: &DateTime) -> Option<Ordering> {
    match (left.offset, right.offset) {
        (Some(from), Some(to)) => {
            let shift = |value: &DateTime, minutes: i16| {
                value.with_local_nanos(value.local_nanos() - i128::from(minutes) * 60_000_000_000)
            };
            let left = shift(left, from.minutes())?;
            let right = shift(right, to.minutes())?;
            order_parts(&left, &right)
        }
        (None, None) => order_parts(left, right),
        _ => order_ranges(left, right),
    }
}

/// Part by part: the first difference decides, and a missing part leaves it open.
fn order_parts(left: &DateTime, right: &DateTime) -> Option<Ordering> {
    let parts = |value: &DateTime| {
        [
            i64::from(value.year),
            i64::from(value.month),
            i64::from(value.day),
            i64::from(value.time.hour),
            i64::from(value.time.minute),
            value.time.nanos_of_day(),
        ]
    };
    order_to_precision(parts(left), left.precision, parts(right), right.precision)
}

/// The order of two times of day.
pub(super) fn order_times(left: &Time, right: &Time) -> Option<Ordering> {
    let parts = |value: &Time| {
        let (hour, minute) = (i64::from(value.hour), i64::from(value.minute));
        [0, 0, 0, hour, minute, value.nanos_of_day()]
    };
    order_to_precision(parts(left), left.precision, parts(right), right.precision)
}

fn order_to_precision(
    left: [i64; 6],
    left_precision: Precision,
    right: [i64; 6],
    right_precision: Precision,
) -> Option<Ordering> {
    let common = known_parts(left_precision).min(known_parts(right_precision));
    let pairs = left.iter().zip(&right).take(common);
    let found = pairs
        .map(|(left, right)| left.cmp(right))
        .find(|o| o.is_ne());
    let exact = known_parts(left_precision) == known_parts(right_precision);
    found.or(exact.then_some(Ordering::Equal))
}

/// Seconds and their fraction are one part.
fn known_parts(precision: Precision) -> usize {
    match precision {
        Precision::Year => 1,
        Precision::Month => 2,
        Precision::Day => 3,
        Precision::Hour => 4,
        Precision::Minute => 5,
        Precision::Second | Precision::Fraction => 6,
    }
}

/// One has a time zone and the other may be in any: only ranges that do not meet can be ordered.
fn order_ranges(left: &DateTime, right: &DateTime) -> Option<Ordering> {
    let range = |value: &DateTime| match value.offset {
        Some(_) => value.bounds(0),
        None => value.bounds(14 * 60).start..value.bounds(-12 * 60).end,
    };
    let (left, right) = (range(left), range(right));
    if left.end <= right.start {
        Some(Ordering::Less)
    } else if right.end <= left.start {
        Some(Ordering::Greater)
    } else {
        None
    }
}

/// A date or time that is a duration later; nothing outside of the calendar.
pub(super) fn add<'a>(
    value: &Value<'a>,
    duration: &Quantity,
    sign: i64,
) -> Result<Option<Value<'a>>, Error> {
    let unit = calendar_unit(&duration.unit)?;
    Ok(match value {
        Value::Date(date) => add_to_date_time(date, duration.value, unit, sign).map(Value::Date),
        Value::DateTime(at) => {
            add_to_date_time(at, duration.value, unit, sign).map(Value::DateTime)
        }
        Value::Time(time) => add_to_time(time, duration.value, unit, sign)?.map(Value::Time),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Decimal(_)
        | Value::String(_)
        | Value::Quantity(_) => None,
    })
}

/// UCUM's months and years have another length than the calendar's, and are refused.
fn calendar_unit(unit: &Unit) -> Result<Calendar, Error> {
    let code = match unit {
        Unit::Calendar(unit) => return Ok(*unit),
        Unit::Code(code) => code.as_str(),
    };
    Ok(match code {
        "wk" => Calendar::Week,
        "d" => Calendar::Day,
        "h" => Calendar::Hour,
        "min" => Calendar::Minute,
        "s" => Calendar::Second,
        "ms" => Calendar::Millisecond,
        _ => return Err(Error::evaluation("not a duration of the calendar")),
    })
}

fn add_to_date_time(
    value: &DateTime,
    amount: Decimal,
    unit: Calendar,
    sign: i64,
) -> Option<DateTime> {
    if let Calendar::Year | Calendar::Month = unit {
        let months = if unit == Calendar::Year { 12 } else { 1 };
        let months = amount.trunc().to_i64()?.checked_mul(months * sign)?;
        // A year has no months to count, so only whole years pass.
        let whole = if value.precision == Precision::Year {
            months / 12 * 12
        } else {
            months
        };
        return value.add_months(whole);
    }
    let nanos = nanos(amount, unit)?.checked_mul(i128::from(sign))?;
    let day = 86_400_000_000_000;
    match value.precision {
        Precision::Year => {
            value.add_months(i64::try_from(nanos / day / 365).ok()?.checked_mul(12)?)
        }
        Precision::Month => value.add_months(i64::try_from(nanos / day / 30).ok()?),
        Precision::Day => value.with_local_nanos(value.local_nanos() + nanos / day * day),
        Precision::Hour | Precision::Minute | Precision::Second | Precision::Fraction => {
            let unit = i128::from(value.time.unit_nanos());
            value.with_local_nanos(value.local_nanos() + nanos / unit * unit)
        }
    }
}

/// Times go round the clock.
fn add_to_time(
    time: &Time,
    amount: Decimal,
    unit: Calendar,
    sign: i64,
) -> Result<Option<Time>, Error> {
    if unit < Calendar::Hour {
        return Err(Error::evaluation("a time of day has no days to add"));
    }
    let Some(nanos) = nanos(amount, unit) else {
        return Ok(None);
    };
    let step = i128::from(time.unit_nanos());
    let nanos = i128::from(time.nanos_of_day()) + nanos * i128::from(sign) / step * step;
    let of_day = nanos.rem_euclid(86_400_000_000_000) as i64;
    Ok(Some(Time::from_nanos_of_day(of_day, time)))
}

/// The length of a duration from weeks downwards. Above seconds fractions do not count.
fn nanos(amount: Decimal, unit: Calendar) -> Option<i128> {
    let (factor, whole) = match unit {
        Calendar::Year | Calendar::Month => return None,
        Calendar::Week => (604_800_000_000_000i64, true),
        Calendar::Day => (86_400_000_000_000, true),
        Calendar::Hour => (3_600_000_000_000, true),
        Calendar::Minute => (60_000_000_000, true),
        Calendar::Second => (1_000_000_000, false),
        Calendar::Millisecond => (1_000_000, false),
    };
    let amount = if whole { amount.trunc() } else { amount };
    amount.checked_mul(Decimal::from(factor))?.trunc().to_i128()
}
