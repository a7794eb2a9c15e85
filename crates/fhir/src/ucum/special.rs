//! Units that are a function of others:
//! <https://ucum.org/ucum#section-Special-Units-on-non-ratio-Scales>.

use super::ratio::{Amount, Ratio};
use super::{Scale, Unit};

/// Digits of a result that went through a function of floating point.
const DIGITS: usize = 12;

/// From the numbers of a unit to multiples of what it is defined by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Celsius,
    Fahrenheit,
    Reaumur,
    /// A power of this whole number; the other way a logarithm.
    Power(u32),
    /// A power of e.
    Natural,
    /// A power of ten of half the number, for amplitudes.
    HalfPower,
    /// A falling power of this whole number: pH and homeopathic potencies.
    Falling(u32),
    /// The arc whose tangent is a hundredth of the number.
    Arc,
    Square,
}

impl Function {
    /// By the name that UCUM's table has for the function, or its inverse.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Cel" => Self::Celsius,
            "degF" => Self::Fahrenheit,
            "degRe" => Self::Reaumur,
            "lg" => Self::Power(10),
            "ld" => Self::Power(2),
            "ln" => Self::Natural,
            "lgTimes2" => Self::HalfPower,
            "pH" | "hpX" => Self::Falling(10),
            "hpC" => Self::Falling(100),
            "hpM" => Self::Falling(1_000),
            "hpQ" => Self::Falling(50_000),
            "tanTimes100" | "100tan" => Self::Arc,
            "sqrt" => Self::Square,
            _ => return None,
        })
    }

    /// Where the zero of a temperature is, in its own degrees above absolute
    /// zero.
    fn zero(self) -> Option<Amount> {
        let hundredths = match self {
            Self::Celsius => 27_315,
            Self::Fahrenheit => 45_967,
            // 273.15 K in degrees of 5/4 K.
            Self::Reaumur => 21_852,
            Self::Power(_)
            | Self::Natural
            | Self::HalfPower
            | Self::Falling(_)
            | Self::Arc
            | Self::Square => return None,
        };
        Some(Amount {
            digits: hundredths,
            exponent: -2,
        })
    }

    fn apply(self, number: f64) -> f64 {
        match self {
            Self::Celsius | Self::Fahrenheit | Self::Reaumur => number,
            Self::Power(base) => f64::from(base).powf(number),
            Self::Natural => number.exp(),
            Self::HalfPower => 10_f64.powf(number / 2.0),
            Self::Falling(base) => f64::from(base).powf(-number),
            Self::Arc => (number / 100.0).atan(),
            Self::Square => number * number,
        }
    }

    fn invert(self, number: f64) -> f64 {
        match self {
            Self::Celsius | Self::Fahrenheit | Self::Reaumur => number,
            Self::Power(base) => number.ln() / f64::from(base).ln(),
            Self::Natural => number.ln(),
            Self::HalfPower => number.log10() * 2.0,
            Self::Falling(base) => -number.ln() / f64::from(base).ln(),
            Self::Arc => number.tan() * 100.0,
            Self::Square => number.sqrt(),
        }
    }
}

/// A unit of the table that is a function of `of`.
pub(super) fn unit(function: Function, of: Unit, number: u16) -> Unit {
    let prefix = Ratio::ONE;
    match function.zero() {
        Some(zero) => Unit {
            scale: Scale::Shifted { prefix, zero },
            ..of
        },
        None => Unit {
            scale: Scale::Function {
                prefix,
                function,
                number,
            },
            ..of
        },
    }
}

/// Between units that measure the same, one of them by a function.
pub(super) fn convert(amount: Amount, from: &Unit, to: &Unit) -> Option<String> {
    let base = match from.scale {
        Scale::Function {
            prefix, function, ..
        } => function.apply(prefix.of(amount)?.to_f64()) * from.ratio.to_f64(),
        Scale::Plain | Scale::Shifted { .. } => from.amount(amount)?.to_f64(),
    };
    let number = match to.scale {
        Scale::Function {
            prefix, function, ..
        } => function.invert(base / to.ratio.to_f64()) / prefix.to_f64(),
        Scale::Plain | Scale::Shifted { .. } => to.number(rounded(base)?)?.to_f64(),
    };
    Some(rounded(number)?.to_string())
}

/// As many digits as are right on every machine; `None` if it is no number.
fn rounded(number: f64) -> Option<Amount> {
    let text = format!("{number:.*e}", DIGITS - 1);
    Amount::parse(&text).filter(|_| number.is_finite())
}
