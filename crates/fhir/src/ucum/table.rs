//! The units of UCUM, from the table that `cargo xtask ucum` derives.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::dimension::Dimension;
use super::parse;
use super::ratio::{Amount, Ratio};
use super::special::{self, Function};
use super::{Error, Scale, Unit};

const TEXT: &str = include_str!("../../definitions/ucum/units.tsv");

/// A unit by its name.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub(super) unit: Unit,
    takes_prefixes: bool,
}

/// All units, ready to be multiplied.
#[derive(Debug, Default)]
pub(super) struct Table {
    prefixes: Vec<(&'static str, Ratio)>,
    bases: Vec<&'static str>,
    /// By the numbers that dimensions know them by.
    codes: Vec<&'static str>,
    atoms: HashMap<&'static str, Atom>,
}

/// A line of the table that defines a unit.
#[derive(Clone, Copy)]
struct Line {
    number: u16,
    code: &'static str,
    is_metric: bool,
    is_arbitrary: bool,
    value: &'static str,
    of: &'static str,
    function: &'static str,
}

/// The table, read once.
pub(super) fn get() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::read(TEXT).0)
}

impl Table {
    /// The unit of a name, with or without a prefix.
    pub(super) fn atom(&self, name: &str) -> Option<Atom> {
        if let Some(atom) = self.atoms.get(name) {
            return Some(atom.clone());
        }
        for (prefix, ratio) in &self.prefixes {
            let atom = name.strip_prefix(prefix).and_then(|it| self.atoms.get(it));
            if let Some(atom) = atom.filter(|atom| atom.takes_prefixes) {
                return atom.prefixed(*ratio);
            }
        }
        None
    }

    pub(super) fn base_codes(&self) -> impl Iterator<Item = &'static str> {
        self.bases.iter().copied()
    }

    pub(super) fn code(&self, number: u16) -> &'static str {
        self.codes.get(usize::from(number)).copied().unwrap_or("")
    }

    /// Also gives the codes that could not be understood: none, as a test
    /// makes sure of.
    pub(super) fn read(text: &'static str) -> (Self, Vec<&'static str>) {
        let mut table = Self::default();
        let mut waiting: Vec<Line> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&'static str> = line.split('\t').collect();
            match fields[..] {
                ["prefix", code, value] => table.prefixes.extend(ratio(value).map(|it| (code, it))),
                ["base", code, _] => table.add_base(code),
                ["unit", code, flags, value, of, function] => {
                    waiting.push(Line {
                        number: u16::try_from(table.codes.len()).unwrap_or(u16::MAX),
                        code,
                        is_metric: flags.contains('m'),
                        is_arbitrary: flags.contains('a'),
                        value,
                        of,
                        function,
                    });
                    table.codes.push(code);
                }
                _ => {}
            }
        }
        // Units are defined by others, which may stand further down.
        loop {
            let before = waiting.len();
            waiting.retain(|line| table.define(line).is_err());
            if waiting.is_empty() || waiting.len() == before {
                let left = waiting.iter().map(|line| line.code).collect();
                return (table, left);
            }
        }
    }

    fn add_base(&mut self, code: &'static str) {
        let unit = Unit {
            dimension: Dimension::base(self.bases.len()),
            ..Unit::one()
        };
        let atom = Atom {
            unit,
            takes_prefixes: true,
        };
        self.bases.push(code);
        self.atoms.insert(code, atom);
    }

    fn define(&mut self, line: &Line) -> Result<(), Error> {
        let unit = match (line.is_arbitrary, line.function) {
            // `[IU]` is defined by `[iU]`, the others by nothing.
            (true, _) if line.of == "1" => Unit {
                dimension: Dimension::own(line.number),
                ..Unit::one()
            },
            (_, "") => self.scaled(line)?,
            (_, name) => special::unit(
                Function::named(name).ok_or(Error::Unknown)?,
                self.scaled(line)?,
                line.number,
            ),
        };
        let atom = Atom {
            unit,
            takes_prefixes: line.is_metric,
        };
        self.atoms.insert(line.code, atom);
        Ok(())
    }

    /// The value times the unit by which a unit is defined.
    fn scaled(&self, line: &Line) -> Result<Unit, Error> {
        let of = parse::unit(line.of, &|name| self.atom(name))?;
        let value = ratio(line.value).ok_or(Error::Grammar)?;
        Ok(Unit {
            ratio: of.ratio.times(value).ok_or(Error::TooLarge)?,
            ..of
        })
    }
}

impl Atom {
    fn prefixed(&self, by: Ratio) -> Option<Self> {
        let mut unit = self.unit.clone();
        match &mut unit.scale {
            Scale::Plain => unit.ratio = unit.ratio.times(by)?,
            Scale::Shifted { prefix, .. } | Scale::Function { prefix, .. } => {
                *prefix = prefix.times(by)?;
            }
        }
        Some(Self {
            unit,
            takes_prefixes: false,
        })
    }
}

fn ratio(value: &str) -> Option<Ratio> {
    Ratio::from_amount(Amount::parse(value)?)
}
