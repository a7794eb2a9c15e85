//! Numbers with units: <http://hl7.org/fhirpath/N1/#quantity>.

use rust_decimal::Decimal;
use std::fmt;

/// A number with a unit.
#[derive(Clone)]
pub struct Quantity {
    /// How much.
    pub value: Decimal,
    /// Of what.
    pub unit: Unit,
}
salus_phi::guard!(Quantity);

/// What a quantity counts.
#[derive(Clone, Eq, PartialEq)]
pub enum Unit {
    /// By the calendar: `4 days`.
    Calendar(Calendar),
    /// A UCUM code: `10 'mg'`.
    Code(String),
}
salus_phi::guard_debug!(Unit);

/// <http://hl7.org/fhirpath/N1/#time-valued-quantities>
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
#[allow(missing_docs)]
pub enum Calendar {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    /// A unit in quotes. `'month'` is no UCUM code and means the calendar's.
    #[must_use]
    pub fn from_code(code: String) -> Unit {
        Unit::from_word(&code).unwrap_or(Unit::Code(code))
    }

    /// A unit as a keyword: `day`, `days`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Unit> {
        Calendar::ALL
            .into_iter()
            .find(|unit| word.strip_suffix('s').unwrap_or(word) == unit.name())
            .map(Unit::Calendar)
    }
}

impl Calendar {
    const ALL: [Calendar; 8] = [
        Calendar::Year,
        Calendar::Month,
        Calendar::Week,
        Calendar::Day,
        Calendar::Hour,
        Calendar::Minute,
        Calendar::Second,
        Calendar::Millisecond,
    ];

    /// The keyword, in the singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Calendar::Year => "year",
            Calendar::Month => "month",
            Calendar::Week => "week",
            Calendar::Day => "day",
            Calendar::Hour => "hour",
            Calendar::Minute => "minute",
            Calendar::Second => "second",
            Calendar::Millisecond => "millisecond",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Calendar(unit) => write!(f, "{}", unit.name()),
            Unit::Code(code) => write!(f, "'{code}'"),
        }
    }
}
