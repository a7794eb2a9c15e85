//! What a unit measures: powers of base units.

use std::fmt;

use super::table;

/// How many base units UCUM has.
pub(super) const BASES: usize = 7;

/// Powers of the base units of UCUM, and of units that are bases by
/// themselves. Printed, it is a code: `m-3.g`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dimension {
    bases: [i8; BASES],
    /// By the number of the unit in the table; no power is zero.
    own: Vec<(u16, i8)>,
}

impl Dimension {
    pub(super) fn base(base: usize) -> Self {
        let mut dimension = Self::default();
        if let Some(power) = dimension.bases.get_mut(base) {
            *power = 1;
        }
        dimension
    }

    pub(super) fn own(unit: u16) -> Self {
        Self {
            bases: [0; BASES],
            own: vec![(unit, 1)],
        }
    }

    pub(super) fn times(&self, other: &Self, divide: bool) -> Option<Self> {
        let sign = if divide { -1 } else { 1 };
        let mut result = self.clone();
        for (power, other) in result.bases.iter_mut().zip(other.bases) {
            *power = power.checked_add(other.checked_mul(sign)?)?;
        }
        for (unit, power) in &other.own {
            let power = power.checked_mul(sign)?;
            match result.own.binary_search_by_key(unit, |(unit, _)| *unit) {
                Err(at) => result.own.insert(at, (*unit, power)),
                Ok(at) => {
                    if let Some((_, own)) = result.own.get_mut(at) {
                        *own = own.checked_add(power)?;
                    }
                }
            }
        }
        result.own.retain(|(_, power)| *power != 0);
        Some(result)
    }

    pub(super) fn power(&self, power: i32) -> Option<Self> {
        let of = |own: i8| i8::try_from(i32::from(own).checked_mul(power)?).ok();
        let mut result = self.clone();
        for own in &mut result.bases {
            *own = of(*own)?;
        }
        for (_, own) in &mut result.own {
            *own = of(*own)?;
        }
        result.own.retain(|(_, power)| *power != 0);
        Some(result)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = table::get();
        let bases = table.base_codes().zip(self.bases);
        let own = self
            .own
            .iter()
            .map(|(unit, power)| (table.code(*unit), *power));
        let mut first = true;
        for (code, power) in bases.chain(own).filter(|(_, power)| *power != 0) {
            if !first {
                f.write_str(".")?;
            }
            first = false;
            f.write_str(code)?;
            if power != 1 {
                write!(f, "{power}")?;
            }
        }
        if first { f.write_str("1") } else { Ok(()) }
    }
}
