//! Dates and date-times, of any precision, with or without a time zone.

use super::calendar::{DAY_MS, date, days, days_in_month};
use super::time::{skip, two_digits};
use super::{Precision, Time};
use std::fmt;
use std::ops::Range;

/// A point in time as precisely as it was written: FHIR's `date`, `dateTime` and `instant`.
#[derive(Clone, Copy, Eq, PartialEq, Hash)]
pub struct DateTime {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Midnight when the precision is `Day` or coarser.
    pub time: Time,
    /// What of this was written.
    pub precision: Precision,
    /// The time zone; a date has none.
    pub offset: Option<Offset>,
}
salus_phi::guard_debug!(DateTime);

/// A time zone as an offset from UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Offset {
    /// `Z`
    Utc,
    /// `+01:00`, in minutes, from -14 to 14 hours.
    Minutes(i16),
}

impl Offset {
    /// Minutes to add to UTC.
    #[must_use]
    pub fn minutes(self) -> i16 {
        match self {
            Offset::Utc => 0,
            Offset::Minutes(minutes) => minutes,
        }
    }
}

impl DateTime {
    /// A FHIR `date`: `2015`, `2015-02` or `2015-02-07`.
    #[must_use]
    pub fn parse_date(text: &str) -> Option<DateTime> {
        let (date, rest) = date_prefix(text.as_bytes())?;
        rest.is_empty().then_some(date)
    }

    /// A FHIR `dateTime`: a `date`, or a day with a time of day with seconds and a time zone.
    #[must_use]
    pub fn parse(text: &str) -> Option<DateTime> {
        let value = DateTime::parse_partial(text)?;
        let whole = value.precision >= Precision::Second && value.offset.is_some();
        let date = value.precision <= Precision::Day && !text.ends_with('T');
        (whole || date).then_some(value)
    }

    /// A FHIR `instant`: to the second at least, with a time zone.
    #[must_use]
    pub fn parse_instant(text: &str) -> Option<DateTime> {
        DateTime::parse(text).filter(|value| value.precision >= Precision::Second)
    }

    /// A FHIRPath date-time: also `2015T`, `2015-02-07T13`, `2015-02-07T13:28`, and without a
    /// time zone.
    #[must_use]
    pub fn parse_partial(text: &str) -> Option<DateTime> {
        let (mut value, mut rest) = date_prefix(text.as_bytes())?;
        if rest.is_empty() || rest == b"T" {
            return Some(value);
        }
        if value.precision != Precision::Day || !skip(&mut rest, b'T') {
            return None;
        }
        (value.time, rest) = Time::prefix(rest)?;
        value.precision = value.time.precision;
        value.offset = offset(rest)?;
        Some(value)
    }

    /// The instant with this many milliseconds since 1970-01-01T00:00:00Z, to milliseconds, in
    /// UTC. Nothing outside of the years 1 to 9999.
    #[must_use]
    pub fn from_epoch_ms(ms: i64) -> Option<DateTime> {
        let like = Time {
            digits: 3,
            precision: Precision::Fraction,
            ..Time::MIDNIGHT
        };
        let value = DateTime {
            time: like,
            offset: Some(Offset::Utc),
            precision: Precision::Fraction,
            ..DateTime::day(1970, 1, 1)
        };
        value.with_local_nanos(i128::from(ms) * 1_000_000)
    }

    fn day(year: u16, month: u8, day: u8) -> DateTime {
        DateTime {
            year,
            month,
            day,
            time: Time::MIDNIGHT,
            precision: Precision::Day,
            offset: None,
        }
    }

    /// Only the date.
    #[must_use]
    pub fn date(&self) -> DateTime {
        DateTime {
            precision: self.precision.min(Precision::Day),
            ..DateTime::day(self.year, self.month, self.day)
        }
    }

    /// All instants it can mean: milliseconds since 1970-01-01T00:00:00Z, from the first to the
    /// one behind the last. Where it has no time zone, `default_offset_minutes` is taken.
    #[must_use]
    pub fn bounds(&self, default_offset_minutes: i16) -> Range<i64> {
        let offset = self.offset.map_or(default_offset_minutes, Offset::minutes);
        let shift = i64::from(offset) * 60_000;
        let year = i32::from(self.year);
        let (start, end) = match self.precision {
            Precision::Year => (days(year, 1, 1), days(year + 1, 1, 1)),
            Precision::Month if self.month == 12 => (days(year, 12, 1), days(year + 1, 1, 1)),
            Precision::Month => (days(year, self.month, 1), days(year, self.month + 1, 1)),
            Precision::Day
            | Precision::Hour
            | Precision::Minute
            | Precision::Second
            | Precision::Fraction => {
                let start = days(year, self.month, self.day);
                (start, start + 1)
            }
        };
        if self.precision <= Precision::Day {
            return start * DAY_MS - shift..end * DAY_MS - shift;
        }
        let first = start * DAY_MS + self.time.nanos_of_day() / 1_000_000 - shift;
        first..first + (self.time.unit_nanos() / 1_000_000).max(1)
    }

    /// Nanoseconds since 1970-01-01T00:00:00 on its own clock, whatever the time zone; the parts
    /// that were not written count as the first possible.
    #[must_use]
    pub fn local_nanos(&self) -> i128 {
        let days = days(i32::from(self.year), self.month, self.day);
        i128::from(days) * i128::from(DAY_MS) * 1_000_000 + i128::from(self.time.nanos_of_day())
    }

    /// The same precision and time zone with another time on its clock; see
    /// [`DateTime::local_nanos`].
    #[must_use]
    pub fn with_local_nanos(&self, nanos: i128) -> Option<DateTime> {
        let day_nanos = i128::from(DAY_MS) * 1_000_000;
        let days = i64::try_from(nanos.div_euclid(day_nanos)).ok()?;
        if !(-800_000..3_000_000).contains(&days) {
            return None;
        }
        let (year, month, day) = date(days);
        if !(1..=9999).contains(&year) {
            return None;
        }
        Some(DateTime {
            year: year as u16,
            month,
            day,
            time: Time::from_nanos_of_day(nanos.rem_euclid(day_nanos) as i64, &self.time),
            ..*self
        })
    }

    /// So many months later or earlier; a day that the month does not have becomes its last.
    #[must_use]
    pub fn add_months(&self, months: i64) -> Option<DateTime> {
        let total = i64::from(self.year) * 12 + i64::from(self.month) - 1;
        let total = total.checked_add(months)?;
        let year = u16::try_from(total.div_euclid(12)).ok()?;
        let month = total.rem_euclid(12) as u8 + 1;
        (1..=9999).contains(&year).then(|| DateTime {
            year,
            month,
            day: self.day.min(days_in_month(i32::from(year), month)),
            ..*self
        })
    }

    /// The last day of its month.
    #[must_use]
    pub fn last_day_of_month(&self) -> u8 {
        days_in_month(i32::from(self.year), self.month)
    }
}

/// As FHIR writes it, to its precision.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.precision >= Precision::Month {
            write!(f, "-{:02}", self.month)?;
        }
        if self.precision >= Precision::Day {
            write!(f, "-{:02}", self.day)?;
        }
        if self.precision > Precision::Day {
            write!(f, "T{}", self.time)?;
        }
        match self.offset {
            None => Ok(()),
            Some(Offset::Utc) => write!(f, "Z"),
            Some(Offset::Minutes(minutes)) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

/// The date that `text` starts with, and what is behind it.
fn date_prefix(text: &[u8]) -> Option<(DateTime, &[u8])> {
    let mut rest = text;
    let century = u16::from(two_digits(&mut rest)?);
    let year = century * 100 + u16::from(two_digits(&mut rest)?);
    let mut value = DateTime::day(year, 1, 1);
    value.precision = Precision::Year;
    if skip(&mut rest, b'-') {
        value.month = two_digits(&mut rest)?;
        value.precision = Precision::Month;
        if skip(&mut rest, b'-') {
            value.day = two_digits(&mut rest)?;
            value.precision = Precision::Day;
        }
    }
    let valid = year > 0
        && (1..=12).contains(&value.month)
        && (1..=value.last_day_of_month()).contains(&value.day);
    valid.then_some((value, rest))
}

/// A whole time zone, or nothing of it.
fn offset(text: &[u8]) -> Option<Option<Offset>> {
    let mut rest = match text {
        b"" => return Some(None),
        b"Z" => return Some(Some(Offset::Utc)),
        [b'+' | b'-', rest @ ..] => rest,
        _ => return None,
    };
    let hours = i16::from(two_digits(&mut rest)?);
    if !skip(&mut rest, b':') {
        return None;
    }
    let minutes = i16::from(two_digits(&mut rest)?);
    let total = hours * 60 + minutes;
    if !rest.is_empty() || minutes > 59 || total > 14 * 60 {
        return None;
    }
    let sign = if text.first() == Some(&b'-') { -1 } else { 1 };
    Some(Some(Offset::Minutes(sign * total)))
}
