//! Units of measure: <https://ucum.org/ucum>.
//!
//! A code such as `mg/dL` becomes what it measures (a [`Dimension`]) and how
//! much of it (a ratio to the base units), so that amounts in different units
//! of one dimension can be compared: 1 kg is 1000 g. Arithmetic is on whole
//! numbers and their ratios; results are rounded to 32 significant digits,
//! always in the same way, so equal amounts have equal results.
//!
//! Three kinds of units are not ratios:
//! - temperatures (`Cel`, `[degF]`) also have another zero, and are exact too;
//! - logarithms and the like (`[pH]`, `dB`) are related to their base by a
//!   function. [`convert`] applies it, to 12 digits; [`Unit::canonical`] does
//!   not and keeps each as a dimension of its own, in which `dB` and `B` are
//!   comparable: some of these functions fall, which would turn `gt` round;
//! - arbitrary units (`[iU]`) are dimensions of their own, as UCUM says.

mod dimension;
mod parse;
mod ratio;
mod special;
mod table;
mod wide;

pub use dimension::Dimension;

use ratio::{Amount, Ratio};
use special::Function;

/// The URI of UCUM in FHIR.
pub const SYSTEM: &str = "http://unitsofmeasure.org";

/// Longest code that is read, in bytes.
pub const CODE_BYTES_MAX: usize = 256;

/// A unit, as a code says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// To base units, of what the scale makes of a number.
    ratio: Ratio,
    /// Behind a function, if there is one.
    dimension: Dimension,
    scale: Scale,
}

/// How the numbers of a unit relate to multiples of its ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// They are.
    Plain,
    /// They are after the prefix is multiplied and the amount added.
    Shifted { prefix: Ratio, zero: Amount },
    /// They are after the prefix is multiplied and the function applied.
    Function {
        prefix: Ratio,
        function: Function,
        /// Of the unit, in the table.
        number: u16,
    },
}

/// Why a code is not a unit that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code does not follow the grammar.
    #[error("the unit does not follow the grammar of UCUM")]
    Grammar,
    /// A part of the code is no unit of UCUM.
    #[error("a part of the unit is not known to UCUM")]
    Unknown,
    /// A temperature or a logarithm was multiplied.
    #[error("a unit with a scale of its own stands alone")]
    Special,
    /// The code is longer, deeper or has larger numbers than any real unit.
    #[error("the unit is too large")]
    TooLarge,
}

impl Unit {
    /// Reads a case-sensitive code.
    ///
    /// # Errors
    /// [`Error`], if it is none, or larger than any in use.
    pub fn parse(code: &str) -> Result<Self, Error> {
        parse::unit(code, &|atom| table::get().atom(atom))
    }

    /// What is measured. For logarithms and the like it is their own scale.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        match self.scale {
            Scale::Plain | Scale::Shifted { .. } => self.dimension.clone(),
            Scale::Function { number, .. } => Dimension::own(number),
        }
    }

    /// So much of this unit in units of its dimension, as a JSON number with
    /// at most 32 digits; `None` if the text is no number, or out of reason.
    #[must_use]
    pub fn canonical(&self, number: &str) -> Option<String> {
        Some(self.amount(Amount::parse(number)?)?.to_string())
    }

    fn amount(&self, amount: Amount) -> Option<Amount> {
        match self.scale {
            Scale::Plain => self.ratio.of(amount),
            Scale::Shifted { prefix, zero } => self.ratio.of(prefix.of(amount)?.plus(zero)?),
            Scale::Function { prefix, .. } => prefix.of(amount),
        }
    }

    /// The other way: from units of the dimension.
    fn number(&self, amount: Amount) -> Option<Amount> {
        match self.scale {
            Scale::Plain => self.ratio.inverse().of(amount),
            Scale::Shifted { prefix, zero } => {
                let shifted = self.ratio.inverse().of(amount)?.plus(zero.negative())?;
                prefix.inverse().of(shifted)
            }
            Scale::Function { prefix, .. } => prefix.inverse().of(amount),
        }
    }

    /// Units multiplied with each other, or divided; `None` for those with a
    /// scale of their own, and for what is out of reason.
    #[must_use]
    pub fn times(&self, other: &Self, divide: bool) -> Option<Self> {
        parse::combine(self, other, divide).ok()
    }
}

/// So much of one unit in another, as a JSON number of at most 28 digits;
/// `None` if they measure different things.
#[must_use]
pub fn convert(number: &str, from: &Unit, to: &Unit) -> Option<String> {
    let amount = Amount::parse(number)?;
    if from.dimension() == to.dimension() {
        let number = to.number(from.amount(amount)?)?;
        return Some(number.shorter()?.to_string());
    }
    if from.dimension != to.dimension {
        return None;
    }
    special::convert(amount, from, to)
}

#[cfg(test)]
mod tests;
