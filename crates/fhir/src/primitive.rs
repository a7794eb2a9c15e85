//! The values of FHIR's primitive types that need more than their text: dates, times and
//! decimals (<https://hl7.org/fhir/R4/datatypes.html#primitive>).
//!
//! All three know how precise they were written, because FHIR gives meaning to it: `2015-02`
//! is a month, and `1.50` says more than `1.5`.

mod calendar;
mod datetime;
pub mod decimal;
mod time;

#[cfg(test)]
mod tests;

pub use datetime::{DateTime, Offset};
pub use time::Time;

/// The smallest part that a date or time was written with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Precision {
    /// `2015`
    Year,
    /// `2015-02`
    Month,
    /// `2015-02-07`
    Day,
    /// Only in FHIRPath: a FHIR time of day always has seconds.
    Hour,
    /// Only in FHIRPath.
    Minute,
    /// `13:28:17`
    Second,
    /// `13:28:17.239`, whatever the number of digits.
    Fraction,
}
