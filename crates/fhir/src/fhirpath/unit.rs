//! Units of quantities: the durations of FHIRPath, and enough of UCUM (<https://ucum.org/ucum>)
//! to compare and multiply metric units exactly.
//!
//! This is the place where a whole UCUM library would be called: [`Scaled::of`] is all that the
//! rest knows of codes. A code that is not understood equals only itself.

use super::compare::decimals_alike;
use super::quantity::{Calendar, Quantity, Unit};
use rust_decimal::Decimal;
use std::cmp::Ordering;

/// The base units: metre, gram, second, and what is counted without dimension.
const BASES: usize = 6;

/// A unit as a factor times powers of base units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Scaled {
    factor: Decimal,
    powers: [i8; BASES],
}

/// How two quantities follow each other. The outer nothing: it cannot be said. The inner: the
/// units have no common measure.
pub(super) fn order(left: &Quantity, right: &Quantity, loosely: bool) -> Option<Option<Ordering>> {
    if left.unit == right.unit {
        return Some(Some(left.value.cmp(&right.value)));
    }
    let (from, to) = (
        Scaled::of(&left.unit, loosely),
        Scaled::of(&right.unit, loosely),
    );
    let (Some(from), Some(to)) = (from, to) else {
        // A calendar month against a month of 30.4 days: neither equal nor different.
        return match mixed_calendar(&left.unit, &right.unit) {
            true => None,
            false => Some(None),
        };
    };
    if from.powers != to.powers {
        return Some(None);
    }
    let left = left.value.checked_mul(from.factor)?;
    let right = right.value.checked_mul(to.factor)?;
    Some(Some(left.cmp(&right)))
}

/// `~`: equal to the digits of the less precise; calendar and UCUM durations are alike.
pub(super) fn alike(left: &Quantity, right: &Quantity) -> bool {
    if left.unit == right.unit {
        return decimals_alike(left.value, right.value);
    }
    let (from, to) = (Scaled::of(&left.unit, true), Scaled::of(&right.unit, true));
    let (Some(from), Some(to)) = (from, to) else {
        return false;
    };
    if from.powers != to.powers {
        return false;
    }
    // In the larger unit, so that the digits of the less precise one count.
    let unit = from.factor.max(to.factor);
    let scale = |value: Decimal, of: Scaled| value.checked_mul(of.factor)?.checked_div(unit);
    match (scale(left.value, from), scale(right.value, to)) {
        (Some(left), Some(right)) => decimals_alike(left, right),
        _ => false,
    }
}

/// Can the quantities be compared?
pub(super) fn comparable(left: &Unit, right: &Unit) -> bool {
    let powers = |unit| Scaled::of(unit, false).map(|scaled| scaled.powers);
    left == right || powers(left).is_some_and(|left| Some(left) == powers(right))
}

/// The product or quotient, in base units when the units differ.
pub(super) fn combined(left: &Quantity, right: &Quantity, divide: bool) -> Option<Quantity> {
    let combine = |left: Decimal, right: Decimal| match divide {
        true => left.checked_div(right),
        false => left.checked_mul(right),
    };
    let one = Unit::Code("1".to_owned());
    if right.unit == one || (left.unit == one && !divide) {
        let unit = if right.unit == one {
            &left.unit
        } else {
            &right.unit
        };
        return Some(Quantity {
            value: combine(left.value, right.value)?,
            unit: unit.clone(),
        });
    }
    let (from, to) = (
        Scaled::of(&left.unit, false)?,
        Scaled::of(&right.unit, false)?,
    );
    let mut powers = [0i8; BASES];
    for ((power, from), to) in powers.iter_mut().zip(from.powers).zip(to.powers) {
        *power = match divide {
            true => from.checked_sub(to)?,
            false => from.checked_add(to)?,
        };
    }
    let value = combine(left.value, right.value)?;
    Some(Quantity {
        value: value
            .checked_mul(combine(from.factor, to.factor)?)?
            .normalize(),
        unit: Unit::Code(code_of(powers)),
    })
}

/// The unit's code and the value in base units; as they are where the unit is not understood.
pub(super) fn canonical(quantity: &Quantity) -> (String, Decimal) {
    let scaled = Scaled::of(&quantity.unit, false);
    let value = scaled.and_then(|scaled| quantity.value.checked_mul(scaled.factor));
    match (scaled, value) {
        (Some(scaled), Some(value)) => (code_of(scaled.powers), value),
        _ => (quantity.unit.to_string(), quantity.value),
    }
}

/// The value in another unit.
pub(super) fn converted(quantity: &Quantity, to: &Unit) -> Option<Decimal> {
    if quantity.unit == *to {
        return Some(quantity.value);
    }
    let (from, to) = (Scaled::of(&quantity.unit, false)?, Scaled::of(to, false)?);
    if from.powers != to.powers {
        return None;
    }
    let value = quantity.value.checked_mul(from.factor)?;
    value.checked_div(to.factor)
}

fn mixed_calendar(left: &Unit, right: &Unit) -> bool {
    let long = |unit: &Unit| match unit {
        Unit::Calendar(unit) => matches!(unit, Calendar::Year | Calendar::Month),
        Unit::Code(code) => matches!(code.as_str(), "a" | "mo"),
    };
    long(left) && long(right)
}

const BASE_CODES: [&str; BASES] = ["m", "g", "s", "mol", "K", "month"];

fn code_of(powers: [i8; BASES]) -> String {
    let part = |(code, power): (&&str, i8)| match power {
        0 => None,
        1 => Some((*code).to_owned()),
        power => Some(format!("{code}{power}")),
    };
    let parts: Vec<String> = BASE_CODES.iter().zip(powers).filter_map(part).collect();
    if parts.is_empty() {
        return "1".to_owned();
    }
    parts.join(".")
}

impl Scaled {
    /// What a unit is in base units, when it is known here. `loosely` takes calendar and UCUM
    /// months and years for the same.
    fn of(unit: &Unit, loosely: bool) -> Option<Scaled> {
        match unit {
            Unit::Calendar(unit) => Some(Scaled::calendar(*unit)),
            Unit::Code(code) => match code.as_str() {
                "a" if loosely => Some(Scaled::calendar(Calendar::Year)),
                "mo" if loosely => Some(Scaled::calendar(Calendar::Month)),
                code => Scaled::product(code),
            },
        }
    }

    /// Weeks and shorter have a fixed length; months and years only count each other.
    fn calendar(unit: Calendar) -> Scaled {
        let (mantissa, scale, base) = match unit {
            Calendar::Year => (12, 0, 5),
            Calendar::Month => (1, 0, 5),
            Calendar::Week => (604_800, 0, 2),
            Calendar::Day => (86_400, 0, 2),
            Calendar::Hour => (3600, 0, 2),
            Calendar::Minute => (60, 0, 2),
            Calendar::Second => (1, 0, 2),
            Calendar::Millisecond => (1, 3, 2),
        };
        Scaled::base(Decimal::new(mantissa, scale), base, 1)
    }

    fn base(factor: Decimal, base: usize, power: i8) -> Scaled {
        let mut powers = [0; BASES];
        if let Some(slot) = powers.get_mut(base) {
            *slot = power;
        }
        Scaled { factor, powers }
    }

    /// `g/m`, `kg.m/s2`
    fn product(code: &str) -> Option<Scaled> {
        let mut product = Scaled::base(Decimal::ONE, 0, 0);
        let mut divide = false;
        for part in code.split_inclusive(['.', '/']) {
            let text = part.trim_end_matches(['.', '/']);
            if !(text.is_empty() && part == "/") {
                let factor = Scaled::power(text)?;
                product = product.times(factor, divide)?;
            }
            divide = part.ends_with('/');
        }
        Some(product)
    }

    fn times(self, other: Scaled, divide: bool) -> Option<Scaled> {
        let mut powers = self.powers;
        for (power, other) in powers.iter_mut().zip(other.powers) {
            *power = power.checked_add(if divide { -other } else { other })?;
        }
        let factor = match divide {
            true => self.factor.checked_div(other.factor)?,
            false => self.factor.checked_mul(other.factor)?,
        };
        Some(Scaled { factor, powers })
    }

    /// `m2`, `s-1`
    fn power(text: &str) -> Option<Scaled> {
        let end = text
            .trim_end_matches(|last: char| last.is_ascii_digit())
            .len();
        let unit = text.get(..end)?.trim_end_matches(['-', '+']);
        if unit.is_empty() {
            let factor = text
                .parse()
                .ok()
                .filter(|_| !text.starts_with(['-', '+']))?;
            return Some(Scaled::base(factor, 0, 0));
        }
        let power: i8 = match text.get(unit.len()..)? {
            "" => 1,
            power => power
                .parse()
                .ok()
                .filter(|power| (-9..=9).contains(power))?,
        };
        let atom = Scaled::atom(unit)?;
        let mut result = Scaled::base(Decimal::ONE, 0, 0);
        for _ in 0..power.unsigned_abs() {
            result = result.times(atom, power < 0)?;
        }
        Some(result)
    }

    fn atom(code: &str) -> Option<Scaled> {
        if let Some((_, mantissa, scale, base, power)) =
            ATOMS.iter().find(|(atom, ..)| *atom == code)
        {
            return Some(Scaled::base(Decimal::new(*mantissa, *scale), *base, *power));
        }
        let (prefix, exponent) = PREFIXES.iter().find(|(prefix, _)| {
            let atom = code.strip_prefix(prefix);
            atom.is_some_and(|atom| METRIC.contains(&atom))
        })?;
        let atom = Scaled::atom(code.strip_prefix(prefix)?)?;
        let factor = match exponent {
            0.. => Decimal::from(10i64.checked_pow(exponent.unsigned_abs())?),
            _ => Decimal::new(1, exponent.unsigned_abs()),
        };
        Some(Scaled {
            factor: atom.factor.checked_mul(factor)?,
            ..atom
        })
    }
}

/// Code, mantissa and scale of its factor, base unit, power.
const ATOMS: [(&str, i64, u32, usize, i8); 22] = [
    ("m", 1, 0, 0, 1),
    ("g", 1, 0, 1, 1),
    ("s", 1, 0, 2, 1),
    ("mol", 1, 0, 3, 1),
    ("K", 1, 0, 4, 1),
    ("%", 1, 2, 0, 0),
    ("min", 60, 0, 2, 1),
    ("h", 3600, 0, 2, 1),
    ("d", 86_400, 0, 2, 1),
    ("wk", 604_800, 0, 2, 1),
    ("L", 1, 3, 0, 3),
    ("l", 1, 3, 0, 3),
    ("t", 1_000_000, 0, 1, 1),
    ("[in_i]", 254, 4, 0, 1),
    ("[ft_i]", 3048, 4, 0, 1),
    ("[yd_i]", 9144, 4, 0, 1),
    ("[mi_i]", 1_609_344, 3, 0, 1),
    ("[lb_av]", 45_359_237, 5, 1, 1),
    ("[oz_av]", 28_349_523_125, 9, 1, 1),
    ("[gr]", 6_479_891, 8, 1, 1),
    ("[pptl]", 1, 12, 0, 0),
    ("[ppm]", 1, 6, 0, 0),
];

/// The atoms that take prefixes.
const METRIC: [&str; 7] = ["m", "g", "s", "mol", "K", "L", "l"];

const PREFIXES: [(&str, i32); 13] = [
    ("da", 1),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
];
