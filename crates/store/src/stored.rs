//! Rows as bytes, as engines keep them beside a record.
//!
//! Format 1. A row is a byte `10 + tag`, whose high half is the number of this
//! format; the parameter in 4 bytes, high byte first; the length of what
//! follows, in LEB128; and the fields of the value. Text that is the last
//! field runs to the end, other text has its length in front. Rows of a record
//! lie one behind the other in the order of parameters. A composite has for
//! each component its tag, the length of what follows, and its fields. Words
//! have the format that `words.rs` describes.

use std::cmp::Ordering;

use crate::ordered::{self, Decimal};
use crate::row::COMPONENTS;
use crate::{Error, Kind, Param, Place, Row, Value, ValueRef};

const FORMAT: u8 = 0x10;
const COMPOSITE: u8 = 8;
const WORDS: u8 = 9;
const PASSAGE: u8 = 11;

impl Row {
    /// Appends the row in its stored format.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let value = self.value.borrow();
        bytes.push(FORMAT | value.tag());
        ordered::put_u32(bytes, self.param.0);
        put_length(bytes, body_length(&value));
        put_body(bytes, &value);
    }

    /// Takes a row in its stored format from the front.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is none.
    pub fn read(bytes: &mut &[u8]) -> Result<Self, Error> {
        let (param, value) = take_row(bytes).ok_or_else(damaged)?;
        let value = value.to_value().ok_or_else(damaged)?;
        Ok(Self { param, value })
    }

    /// Puts rows in the order that [`crate::Rows`] needs: that of parameters,
    /// and within one as they were.
    pub fn sort(rows: &mut [Self]) {
        rows.sort_by_key(|row| row.param);
    }
}

/// The rows of one record, in the order of parameters: as values, or as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Values(&'a [Row]),
    Stored(&'a [u8]),
}
salus_phi::guard!(Form<'_>);

impl<'a> Rows<'a> {
    /// These rows, which [`Row::sort`] has put in order.
    #[must_use]
    pub fn of(rows: &'a [Row]) -> Self {
        debug_assert!(rows.is_sorted_by_key(|row| row.param));
        Self(Form::Values(rows))
    }

    /// The rows that [`Row::write`] wrote one behind the other in the order of
    /// parameters. Walks over all of them once and copies nothing.
    ///
    /// Values are read only when they are asked for. One that cannot be read
    /// is as if it were not there; [`Row::read`] is what tells.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the bytes are not such rows.
    pub fn stored(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        let mut newest = Param(0);
        while !rest.is_empty() {
            let frame = take_frame(&mut rest).ok_or_else(damaged)?;
            if frame.param < newest {
                return Err(damaged());
            }
            newest = frame.param;
        }
        Ok(Self(Form::Stored(bytes)))
    }

    /// All values of a parameter, in the order in which they were put. Texts
    /// and passages are no values: nothing but [`crate::Test::Words`] and
    /// [`crate::Test::Passage`] sees them.
    pub fn values(self, param: Param) -> impl Iterator<Item = ValueRef<'a>> {
        let all = self.all(param);
        all.filter(|value| !matches!(value, ValueRef::Words(_) | ValueRef::Passage(_)))
    }

    /// The passages of a parameter, as the bytes of [`crate::Words`].
    pub fn passages(self, param: Param) -> impl Iterator<Item = &'a [u8]> {
        self.all(param).filter_map(|value| {
            if let ValueRef::Passage(words) = value {
                Some(words)
            } else {
                None
            }
        })
    }

    /// The texts of a parameter, as the bytes of [`crate::Words`].
    pub fn texts(self, param: Param) -> impl Iterator<Item = &'a [u8]> {
        self.all(param).filter_map(|value| {
            if let ValueRef::Words(words) = value {
                Some(words)
            } else {
                None
            }
        })
    }

    fn all(self, param: Param) -> impl Iterator<Item = ValueRef<'a>> {
        let (values, stored) = match self.0 {
            Form::Values(rows) => (run(rows, param), &[][..]),
            Form::Stored(bytes) => (&[][..], skip_to(bytes, param)),
        };
        let values = values.iter().map(|row| row.value.borrow());
        values.chain(Run {
            bytes: stored,
            param,
        })
    }

    /// The parameter of each row, in order.
    pub fn params(self) -> impl Iterator<Item = Param> {
        let (values, mut stored) = match self.0 {
            Form::Values(rows) => (rows, &[][..]),
            Form::Stored(bytes) => (&[][..], bytes),
        };
        let values = values.iter().map(|row| row.param);
        values.chain(std::iter::from_fn(move || {
            take_frame(&mut stored).map(|frame| frame.param)
        }))
    }

    /// The rows of these parameters, in the order of parameters.
    #[must_use]
    pub fn pick(self, params: &[Param]) -> Vec<Row> {
        let mut params = params.to_vec();
        params.sort_unstable();
        params.dedup();
        let rows = params.into_iter().flat_map(|param| {
            let values = self.all(param).filter_map(ValueRef::to_value);
            values.map(move |value| Row { param, value })
        });
        rows.collect()
    }
}

fn run(rows: &[Row], param: Param) -> &[Row] {
    let start = rows.partition_point(|row| row.param < param);
    let length = rows[start..].partition_point(|row| row.param == param);
    &rows[start..start + length]
}

/// The bytes from the first row of this parameter or a later one.
fn skip_to(mut bytes: &[u8], param: Param) -> &[u8] {
    let mut rest = bytes;
    while let Some(frame) = take_frame(&mut rest) {
        if frame.param >= param {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Values of one parameter at the front of stored rows.
struct Run<'a> {
    bytes: &'a [u8],
    param: Param,
}

impl<'a> Iterator for Run<'a> {
    type Item = ValueRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<ValueRef<'a>> {
        loop {
            let frame = take_frame(&mut self.bytes).filter(|frame| frame.param == self.param)?;
            let value = take_body(frame.tag, frame.body);
            if value.is_some() {
                return value;
            }
        }
    }
}

/// The values of a composite: as values, or as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Components<'a>(Parts<'a>);

#[derive(Clone, Copy)]
enum Parts<'a> {
    Values(&'a [Value]),
    Stored(&'a [u8]),
}
salus_phi::guard!(Parts<'_>);

impl<'a> Components<'a> {
    pub(crate) fn of(values: &'a [Value]) -> Self {
        Self(Parts::Values(values))
    }

    /// Those that lie here one behind the other; `None` if they cannot be read.
    fn stored(bytes: &'a [u8]) -> Option<Self> {
        let (mut rest, mut count) = (bytes, 0);
        while !rest.is_empty() {
            take_component(&mut rest)?;
            count += 1;
        }
        COMPONENTS
            .contains(&count)
            .then_some(Self(Parts::Stored(bytes)))
    }

    /// The components in their order.
    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        let (values, mut stored) = match self.0 {
            Parts::Values(values) => (values, &[][..]),
            Parts::Stored(bytes) => (&[][..], bytes),
        };
        let values = values.iter().map(Value::borrow);
        values.chain(std::iter::from_fn(move || take_component(&mut stored)))
    }
}

impl Ord for Components<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Components<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Components<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Components<'_> {}

fn take_component<'a>(bytes: &mut &'a [u8]) -> Option<ValueRef<'a>> {
    let (tag, rest) = bytes.split_first()?;
    *bytes = rest;
    let length = take_length(bytes)?;
    let (body, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    // A composite has no composites or words inside.
    take_body(*tag, body).filter(|_| !matches!(*tag, COMPOSITE | WORDS | PASSAGE))
}

/// A row whose value is not yet read.
struct Frame<'a> {
    tag: u8,
    param: Param,
    body: &'a [u8],
}

fn damaged() -> Error {
    Error::Damaged("an index row cannot be read".into())
}

fn take_row<'a>(bytes: &mut &'a [u8]) -> Option<(Param, ValueRef<'a>)> {
    let frame = take_frame(bytes)?;
    Some((frame.param, take_body(frame.tag, frame.body)?))
}

#[inline]
fn take_frame<'a>(bytes: &mut &'a [u8]) -> Option<Frame<'a>> {
    let (&[stamp, a, b, c, d, length], rest) = bytes.split_first_chunk()?;
    let mut length = usize::from(length);
    *bytes = rest;
    if length >= 0x80 {
        length = take_long_length(length & 0x7F, bytes)?;
    }
    let (body, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Frame {
        tag: stamp.checked_sub(FORMAT).filter(|&tag| tag < 0x10)?,
        param: Param(u32::from_be_bytes([a, b, c, d])),
        body,
    })
}

fn take_body(tag: u8, mut body: &[u8]) -> Option<ValueRef<'_>> {
    let body = &mut body;
    let value = match tag {
        1 => ValueRef::Token {
            code: take_text(body)?,
            system: take_last_text(body)?,
        },
        2 => ValueRef::String {
            folded: take_text(body)?,
            exact: take_last_text(body)?,
        },
        3 => ValueRef::Date {
            from_ms: ordered::take_i64(body)?,
            to_ms: ordered::take_i64(body)?,
        },
        4 => ValueRef::Number(take_decimal(body)?),
        5 => ValueRef::Quantity {
            value: take_decimal(body)?,
            code: take_text(body)?,
            system: take_last_text(body)?,
        },
        6 => ValueRef::Reference {
            kind: Kind(ordered::take_u32(body)?),
            id: take_last_text(body)?,
        },
        7 => ValueRef::Uri(take_last_text(body)?),
        COMPOSITE => ValueRef::Composite(Components::stored(std::mem::take(body))?),
        WORDS => ValueRef::Words(std::mem::take(body)),
        10 => {
            let mut degrees = || ordered::take_u32(body).map(u32::cast_signed);
            let (latitude, longitude) = (degrees()?, degrees()?);
            ValueRef::Place(Place::of_parts(latitude, longitude)?)
        }
        PASSAGE => ValueRef::Passage(std::mem::take(body)),
        _ => return None,
    };
    body.is_empty().then_some(value)
}

fn body_length(value: &ValueRef<'_>) -> usize {
    let text = |text: &str| length_of_length(text.len()) + text.len();
    match *value {
        ValueRef::Token { code, system } => text(code) + system.len(),
        ValueRef::String { folded, exact } => text(folded) + exact.len(),
        ValueRef::Date { .. } => 16,
        ValueRef::Number(value) => value.len(),
        ValueRef::Quantity {
            value,
            code,
            system,
        } => value.len() + text(code) + system.len(),
        ValueRef::Reference { id, .. } => 4 + id.len(),
        ValueRef::Uri(uri) => uri.len(),
        ValueRef::Composite(components) => components
            .iter()
            .map(|value| body_length(&value))
            .map(|length| 1 + length_of_length(length) + length)
            .sum(),
        ValueRef::Words(words) | ValueRef::Passage(words) => words.len(),
        ValueRef::Place(_) => 8,
    }
}

fn put_body(bytes: &mut Vec<u8>, value: &ValueRef<'_>) {
    match *value {
        ValueRef::Token { code, system } => put_texts(bytes, code, system),
        ValueRef::String { folded, exact } => put_texts(bytes, folded, exact),
        ValueRef::Date { from_ms, to_ms } => {
            ordered::put_i64(bytes, from_ms);
            ordered::put_i64(bytes, to_ms);
        }
        ValueRef::Number(value) => bytes.extend_from_slice(value),
        ValueRef::Quantity {
            value,
            code,
            system,
        } => {
            bytes.extend_from_slice(value);
            put_texts(bytes, code, system);
        }
        ValueRef::Reference { kind, id } => {
            ordered::put_u32(bytes, kind.0);
            bytes.extend_from_slice(id.as_bytes());
        }
        ValueRef::Uri(uri) => bytes.extend_from_slice(uri.as_bytes()),
        ValueRef::Composite(components) => {
            for value in components.iter() {
                bytes.push(value.tag());
                put_length(bytes, body_length(&value));
                put_body(bytes, &value);
            }
        }
        ValueRef::Words(words) | ValueRef::Passage(words) => bytes.extend_from_slice(words),
        ValueRef::Place(place) => {
            ordered::put_u32(bytes, place.latitude().cast_unsigned());
            ordered::put_u32(bytes, place.longitude().cast_unsigned());
        }
    }
}

fn put_texts(bytes: &mut Vec<u8>, first: &str, last: &str) {
    put_length(bytes, first.len());
    bytes.extend_from_slice(first.as_bytes());
    bytes.extend_from_slice(last.as_bytes());
}

fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

fn length_of_length(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

#[inline]
fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    match usize::from(*first) {
        short @ 0..0x80 => Some(short),
        long => take_long_length(long & 0x7F, bytes),
    }
}

/// The rest of a length whose first seven bits are these.
fn take_long_length(mut length: usize, bytes: &mut &[u8]) -> Option<usize> {
    // Five bytes say up to 2^35, more than any row.
    for shift in (7..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

fn take_text<'a>(body: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_length(body)?;
    let (text, rest) = body.split_at_checked(length)?;
    *body = rest;
    str::from_utf8(text).ok()
}

fn take_last_text<'a>(body: &mut &'a [u8]) -> Option<&'a str> {
    str::from_utf8(std::mem::take(body)).ok()
}

fn take_decimal<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (value, rest) = body.split_at(Decimal::length(body)?);
    *body = rest;
    Some(value)
}

#[cfg(test)]
mod tests;
