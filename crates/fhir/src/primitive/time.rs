//! Times of day, of any precision.

use super::Precision;
use std::fmt;

/// A time of day: FHIR's `time` (always with seconds) and FHIRPath's `Time`.
#[derive(Clone, Copy, Eq, PartialEq, Hash)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60: FHIR allows the leap second.
    pub second: u8,
    /// Nanoseconds within the second; further digits are dropped.
    pub nanos: u32,
    /// How many digits of a fraction were written, up to 9.
    pub digits: u8,
    /// From `Hour` to `Fraction`.
    pub precision: Precision,
}
salus_phi::guard_debug!(Time);

impl Time {
    /// The start of the day.
    pub const MIDNIGHT: Time = Time {
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        digits: 0,
        precision: Precision::Hour,
    };

    /// A FHIR `time`: `13:28:17`, with or without a fraction.
    #[must_use]
    pub fn parse(text: &str) -> Option<Time> {
        Time::parse_partial(text).filter(|time| time.precision >= Precision::Second)
    }

    /// A FHIRPath time: also `13` and `13:28`.
    #[must_use]
    pub fn parse_partial(text: &str) -> Option<Time> {
        let (time, rest) = Time::prefix(text.as_bytes())?;
        rest.is_empty().then_some(time)
    }

    /// The time of day that `text` starts with, and what is behind it.
    pub(super) fn prefix(text: &[u8]) -> Option<(Time, &[u8])> {
        let mut time = Time::MIDNIGHT;
        let mut rest = text;
        time.hour = two_digits(&mut rest)?;
        if skip(&mut rest, b':') {
            time.minute = two_digits(&mut rest)?;
            time.precision = Precision::Minute;
            if skip(&mut rest, b':') {
                time.second = two_digits(&mut rest)?;
                time.precision = Precision::Second;
                if skip(&mut rest, b'.') {
                    time.fraction(&mut rest)?;
                }
            }
        }
        (time.hour < 24 && time.minute < 60 && time.second <= 60).then_some((time, rest))
    }

    fn fraction(&mut self, rest: &mut &[u8]) -> Option<()> {
        let mut read = 0;
        while let [digit @ b'0'..=b'9', more @ ..] = *rest {
            if self.digits < 9 {
                self.nanos = self.nanos * 10 + u32::from(digit - b'0');
                self.digits += 1;
            }
            read += 1;
            *rest = more;
        }
        self.nanos *= 10u32.pow(9 - u32::from(self.digits));
        self.precision = Precision::Fraction;
        (read > 0).then_some(())
    }

    /// Nanoseconds since midnight.
    #[must_use]
    pub fn nanos_of_day(&self) -> i64 {
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        seconds * 1_000_000_000 + i64::from(self.nanos)
    }

    /// Nanoseconds of one unit of its precision.
    #[must_use]
    pub fn unit_nanos(&self) -> i64 {
        match self.precision {
            Precision::Year | Precision::Month | Precision::Day => 86_400_000_000_000,
            Precision::Hour => 3_600_000_000_000,
            Precision::Minute => 60_000_000_000,
            Precision::Second => 1_000_000_000,
            Precision::Fraction => 10i64.pow(9 - u32::from(self.digits.min(9))),
        }
    }

    /// This long after midnight, with the precision of `like`.
    #[must_use]
    pub fn from_nanos_of_day(nanos: i64, like: &Time) -> Time {
        let nanos = nanos.rem_euclid(86_400_000_000_000);
        let seconds = nanos / 1_000_000_000;
        Time {
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            nanos: (nanos % 1_000_000_000) as u32,
            digits: like.digits,
            precision: like.precision,
        }
    }
}

/// As FHIR writes it, to its precision.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.hour)?;
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", self.minute)?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", self.second)?;
        }
        if self.precision == Precision::Fraction {
            let digits = usize::from(self.digits.clamp(1, 9));
            let value = self.nanos / 10u32.pow(9 - digits as u32);
            write!(f, ".{value:0digits$}")?;
        }
        Ok(())
    }
}

pub(super) fn two_digits(rest: &mut &[u8]) -> Option<u8> {
    match **rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', ref more @ ..] => {
            *rest = more;
            Some((a - b'0') * 10 + (b - b'0'))
        }
        _ => None,
    }
}

pub(super) fn skip(rest: &mut &[u8], byte: u8) -> bool {
    match **rest {
        [first, ref more @ ..] if first == byte => {
            *rest = more;
            true
        }
        _ => false,
    }
}
