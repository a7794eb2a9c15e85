//! The grammar of codes: <https://ucum.org/ucum#section-Grammar-of-Units-and-Unit-Terms>.

use super::dimension::Dimension;
use super::ratio::{Amount, Ratio};
use super::table::Atom;
use super::{CODE_BYTES_MAX, Error, Scale, Unit};

/// How deep parentheses may be.
const DEPTH_MAX: usize = 16;
/// Largest exponent, and most digits of a factor.
const POWER_MAX: i32 = 999;
const FACTOR_DIGITS_MAX: usize = 30;

/// The meaning of an atom, with or without a prefix.
pub(super) type Atoms<'t> = dyn Fn(&str) -> Option<Atom> + 't;

/// Reads a whole code.
pub(super) fn unit(code: &str, atoms: &Atoms<'_>) -> Result<Unit, Error> {
    if code.len() > CODE_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let mut parser = Parser {
        rest: code,
        depth: 0,
        atoms,
    };
    let first = match parser.take("/") {
        true => combine(&Unit::one(), &parser.component()?, true)?,
        false => parser.component()?,
    };
    let unit = parser.term(first)?;
    match parser.rest {
        "" => Ok(unit),
        _ => Err(Error::Grammar),
    }
}

/// The product or quotient of two units, neither of which has another scale.
pub(super) fn combine(left: &Unit, right: &Unit, divide: bool) -> Result<Unit, Error> {
    if left.scale != Scale::Plain || right.scale != Scale::Plain {
        return Err(Error::Special);
    }
    let other = match divide {
        true => right.ratio.inverse(),
        false => right.ratio,
    };
    let dimension = left.dimension.times(&right.dimension, divide);
    Ok(Unit {
        ratio: left.ratio.times(other).ok_or(Error::TooLarge)?,
        dimension: dimension.ok_or(Error::TooLarge)?,
        scale: Scale::Plain,
    })
}

struct Parser<'c, 't> {
    rest: &'c str,
    depth: usize,
    atoms: &'t Atoms<'t>,
}

impl<'c> Parser<'c, '_> {
    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The rest of a term: components, multiplied and divided from left to
    /// right, also behind a slash in front of all: `/m.s` is `m-1.s`.
    fn term(&mut self, first: Unit) -> Result<Unit, Error> {
        let mut unit = first;
        loop {
            let divide = match self.rest.as_bytes().first() {
                Some(b'.') => false,
                Some(b'/') => true,
                _ => return Ok(unit),
            };
            self.rest = self.rest.get(1..).unwrap_or_default();
            unit = combine(&unit, &self.component()?, divide)?;
        }
    }

    fn component(&mut self) -> Result<Unit, Error> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(Error::TooLarge);
            }
            let first = self.component()?;
            let unit = self.term(first)?;
            self.depth -= 1;
            return match self.take(")") {
                true => Ok(unit),
                false => Err(Error::Grammar),
            };
        }
        if self.annotation()? {
            return Ok(Unit::one());
        }
        let unit = self.simple()?;
        self.annotation()?;
        Ok(unit)
    }

    /// `{note}`: has no meaning, but must be well-formed.
    fn annotation(&mut self) -> Result<bool, Error> {
        if !self.take("{") {
            return Ok(false);
        }
        let (note, rest) = self.rest.split_once('}').ok_or(Error::Grammar)?;
        if !note.bytes().all(|b| b.is_ascii_graphic() && b != b'{') {
            return Err(Error::Grammar);
        }
        self.rest = rest;
        Ok(true)
    }

    /// A factor, or an atom with perhaps a prefix and an exponent.
    fn simple(&mut self) -> Result<Unit, Error> {
        let text = self.word();
        if text.is_empty() {
            return Err(Error::Grammar);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return factor(text);
        }
        let (name, power) = exponent(text)?;
        let atom = (self.atoms)(name).ok_or(Error::Unknown)?;
        match power {
            None => Ok(atom.unit),
            Some(_) if atom.unit.scale != Scale::Plain => Err(Error::Special),
            Some(power) => Ok(Unit {
                ratio: atom.unit.ratio.power(power).ok_or(Error::TooLarge)?,
                dimension: atom.unit.dimension.power(power).ok_or(Error::TooLarge)?,
                scale: Scale::Plain,
            }),
        }
    }

    /// Up to the next sign of the grammar; brackets are part of a name with
    /// all that is in them: `B[10.nV]`.
    fn word(&mut self) -> &'c str {
        let mut inside = false;
        let end = self.rest.bytes().position(|byte| {
            match byte {
                b'[' => inside = true,
                b']' => inside = false,
                _ => {}
            }
            !inside && matches!(byte, b'.' | b'/' | b'(' | b')' | b'{' | b'}')
        });
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }
}

fn factor(text: &str) -> Result<Unit, Error> {
    if text.len() > FACTOR_DIGITS_MAX {
        return Err(Error::TooLarge);
    }
    let ratio = Amount::parse(text).and_then(Ratio::from_amount);
    Ok(Unit {
        ratio: ratio.ok_or(Error::Grammar)?,
        ..Unit::one()
    })
}

/// A name without its exponent: `cm-2`, `10*+3`.
fn exponent(text: &str) -> Result<(&str, Option<i32>), Error> {
    let ten = text.starts_with("10*") || text.starts_with("10^");
    let name = match ten {
        true => text.get(..3).unwrap_or(text),
        false => {
            let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
            match name.len() < text.len() {
                true => name.strip_suffix(['+', '-']).unwrap_or(name),
                false => text,
            }
        }
    };
    let power = text.get(name.len()..).unwrap_or_default();
    if power.is_empty() {
        return Ok((name, None));
    }
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Grammar);
    }
    let power: i32 = power.parse().map_err(|_| Error::TooLarge)?;
    match power.abs() <= POWER_MAX {
        true => Ok((name, Some(power))),
        false => Err(Error::TooLarge),
    }
}

impl Unit {
    pub(super) fn one() -> Self {
        Self {
            ratio: Ratio::ONE,
            dimension: Dimension::default(),
            scale: Scale::Plain,
        }
    }
}
