//! Values as bytes whose order is the order of the values.
//!
//! Every encoding here is self-delimiting and no encoding is a prefix of
//! another of its kind, so that they can be put behind each other in a key and
//! the key still sorts field by field. All of them are part of the stored
//! format: never change one, add another.

use std::fmt;

mod id;

pub(crate) use id::uuid_bytes;
pub use id::{put_id, take_id};

/// The first digit stands within this power of ten, in both directions.
const EXPONENT_MAX: i64 = 30_000;
/// More digits than this are no measurement; they would make keys too long for engines.
const DIGITS_MAX: usize = 2_000;

const ZERO: u8 = 0x80;
/// The lead byte of `0.d * 10^0`; its neighbours stand for the exponents near zero.
const LEAD_MIDDLE: i64 = 0xC0;
const LEAD_NEAR: i64 = 60;
const LEAD_SMALL: u8 = 0x82;
const LEAD_LARGE: u8 = 0xFE;

/// A decimal of any size and precision. Equal numbers are equal whatever their trailing zeros.
///
/// The bytes: zero is `80`. A positive number is a lead byte, perhaps two
/// bytes of exponent, and its significant digits. With the number written as
/// `0.d1d2… * 10^e`, where `d1` is not zero, the lead byte is `C0 + e` for `e`
/// from -60 to 60; smaller and larger ones have the lead byte `82` or `FE`,
/// and `e + 8000` follows, high byte first. The digits follow in pairs, a
/// pair `p` from 0 to 99 as `2p + 1`, the last one as `2p`, with no pair of
/// zeros at the end. A negative number is the complement of all bytes of its
/// opposite.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(Box<[u8]>);

impl Decimal {
    /// Reads a JSON number, as `-1.50`, `7` or `2e-3`; `None` if it is not
    /// one, if it has more than 2,000 significant digits, or if its first
    /// one lies beyond 10^±30,000.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = Number::parse(text.as_bytes())?;
        let mut bytes = Vec::with_capacity(4 + number.digit_count / 2);
        number.write(&mut bytes)?;
        Some(Self(bytes.into_boxed_slice()))
    }

    /// The bytes, whose order is the order of the numbers.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From bytes that [`Self::as_bytes`] gave; `None` if it did not.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (Self::length(bytes)? == bytes.len()).then(|| Self(bytes.into()))
    }

    /// Length of the decimal that these bytes begin with; `None` if none does.
    #[must_use]
    pub fn length(bytes: &[u8]) -> Option<usize> {
        let lead = *bytes.first()?;
        if lead == ZERO {
            return Some(1);
        }
        let flip = if lead < ZERO { 0xFF } else { 0 };
        let mut at = digits_start(lead ^ flip)?;
        if at == 3 && !far_exponent_is_canonical(bytes, flip) {
            return None;
        }
        let first = at;
        loop {
            let byte = *bytes.get(at)? ^ flip;
            // The first digit is not zero, and neither is the last pair.
            if byte > 199 || (at == first && byte < 20) || byte == 0 {
                return None;
            }
            at += 1;
            if at - first > DIGITS_MAX / 2 {
                return None;
            }
            if byte & 1 == 0 {
                return Some(at);
            }
        }
    }
}

/// Where the digits begin behind a positive number's lead byte.
fn digits_start(lead: u8) -> Option<usize> {
    let near = i64::from(lead) - LEAD_MIDDLE;
    match lead {
        LEAD_SMALL | LEAD_LARGE => Some(3),
        _ if near.abs() <= LEAD_NEAR => Some(1),
        _ => None,
    }
}

/// One number has one encoding: the long form is only for what the short one cannot say.
fn far_exponent_is_canonical(bytes: &[u8], flip: u8) -> bool {
    let Some(&[lead, high, low]) = bytes.get(..3) else {
        return false;
    };
    let exponent = i64::from(u16::from_be_bytes([high ^ flip, low ^ flip])) - 0x8000;
    let far = match lead ^ flip {
        LEAD_LARGE => exponent > LEAD_NEAR,
        _ => exponent < -LEAD_NEAR,
    };
    far && (exponent - 1).abs() <= EXPONENT_MAX
}

/// The parts of a JSON number, its digits still as they stand in the text.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Of the digits from the first to the last that is not zero.
    digit_count: usize,
    /// Zeros before the first digit that is not zero.
    skip: usize,
    /// Of `0.d1d2…`.
    exponent: i64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (whole, text) = split_digits(text);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, text) = match text {
            [b'.', digit, ..] if digit.is_ascii_digit() => split_digits(&text[1..]),
            [b'.', ..] => return None,
            _ => (&[][..], text),
        };
        let exponent = parse_exponent(text)?;
        Some(Self::place(negative, whole, fraction, exponent))
    }

    fn place(negative: bool, whole: &'a [u8], fraction: &'a [u8], exponent: i64) -> Self {
        let digits = || whole.iter().chain(fraction);
        let skip = digits().take_while(|&&digit| digit == b'0').count();
        let trailing = digits().rev().take_while(|&&digit| digit == b'0').count();
        let length = whole.len() + fraction.len();
        let point = i64::try_from(whole.len()).unwrap_or(i64::MAX);
        let skipped = i64::try_from(skip).unwrap_or(i64::MAX);
        Self {
            negative,
            whole,
            fraction,
            digit_count: length.saturating_sub(skip + trailing),
            skip,
            exponent: exponent.saturating_add(point).saturating_sub(skipped),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) -> Option<()> {
        if self.digit_count == 0 {
            bytes.push(ZERO);
            return Some(());
        }
        let exponents = 1 - EXPONENT_MAX..=1 + EXPONENT_MAX;
        if self.digit_count > DIGITS_MAX || !exponents.contains(&self.exponent) {
            return None;
        }
        write_exponent(self.exponent, bytes)?;
        let mut digits = self.whole.iter().chain(self.fraction).skip(self.skip);
        for _ in 0..self.digit_count.div_ceil(2) {
            let mut next = || digits.next().map_or(0, |digit| digit - b'0');
            bytes.push((next() * 10 + next()) * 2 + 1);
        }
        if let Some(last) = bytes.last_mut() {
            *last -= 1;
        }
        if self.negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Some(())
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// The exponent behind the digits; one too large for its type becomes the largest.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let text = match text {
        [] => return Some(0),
        [b'e' | b'E', rest @ ..] => rest,
        _ => return None,
    };
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (digits, rest) = split_digits(text);
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let size = digits.iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(if negative { -size } else { size })
}

fn write_exponent(exponent: i64, bytes: &mut Vec<u8>) -> Option<()> {
    if exponent.abs() <= LEAD_NEAR {
        bytes.push(u8::try_from(LEAD_MIDDLE + exponent).ok()?);
        return Some(());
    }
    bytes.push(if exponent < 0 { LEAD_SMALL } else { LEAD_LARGE });
    let biased = u16::try_from(exponent + 0x8000).ok()?;
    bytes.extend_from_slice(&biased.to_be_bytes());
    Some(())
}

impl fmt::Display for Decimal {
    /// The number as a JSON number in scientific form, as `-1.5e2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lead = self.0.first().copied().unwrap_or(ZERO);
        if lead == ZERO {
            return f.write_str("0");
        }
        let flip = if lead < ZERO { 0xFF } else { 0 };
        let bytes: Vec<u8> = self.0.iter().map(|byte| byte ^ flip).collect();
        let (exponent, pairs) = match bytes.as_slice() {
            [LEAD_SMALL | LEAD_LARGE, high, low, pairs @ ..] => {
                (i64::from(u16::from_be_bytes([*high, *low])) - 0x8000, pairs)
            }
            [near, pairs @ ..] => (i64::from(*near) - LEAD_MIDDLE, pairs),
            [] => (0, &[][..]),
        };
        let digits: String = pairs
            .iter()
            .map(|byte| format!("{:02}", byte / 2))
            .collect();
        let (first, rest) = digits.split_at(1.min(digits.len()));
        let rest = rest.trim_end_matches('0');
        let sign = if flip == 0 { "" } else { "-" };
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{sign}{first}{point}{rest}")?;
        if exponent == 1 {
            return Ok(());
        }
        write!(f, "e{}", exponent - 1)
    }
}

salus_phi::guard_debug!(Decimal);

/// Appends an unsigned number in 4 bytes.
pub fn put_u32(key: &mut Vec<u8>, value: u32) {
    key.extend_from_slice(&value.to_be_bytes());
}

/// Appends an unsigned number in 8 bytes.
pub fn put_u64(key: &mut Vec<u8>, value: u64) {
    key.extend_from_slice(&value.to_be_bytes());
}

/// Appends a signed number in 8 bytes.
pub fn put_i64(key: &mut Vec<u8>, value: i64) {
    put_u64(key, value.cast_unsigned() ^ (1 << 63));
}

/// Appends a text and its end, a zero byte. Inside, bytes 0 and 1 become `01 01` and `01 02`.
pub fn put_text(key: &mut Vec<u8>, text: &str) {
    put_text_start(key, text);
    key.push(0);
}

/// Appends bytes and their end, as [`put_text`] does.
pub fn put_bytes(key: &mut Vec<u8>, bytes: &[u8]) {
    put_bytes_start(key, bytes);
    key.push(0);
}

/// Appends a text without its end: what the keys of all texts that begin so begin with.
pub fn put_text_start(key: &mut Vec<u8>, text: &str) {
    put_bytes_start(key, text.as_bytes());
}

fn put_bytes_start(key: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(at) = rest.iter().position(|&byte| byte <= 1) {
        key.extend_from_slice(&rest[..at]);
        key.extend_from_slice(&[1, rest[at] + 1]);
        rest = &rest[at + 1..];
    }
    key.extend_from_slice(rest);
}

/// Takes what [`put_u32`] wrote from the front; `None` if there is too little.
pub fn take_u32(key: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = key.split_first_chunk()?;
    *key = rest;
    Some(u32::from_be_bytes(*bytes))
}

/// Takes what [`put_u64`] wrote from the front; `None` if there is too little.
pub fn take_u64(key: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = key.split_first_chunk()?;
    *key = rest;
    Some(u64::from_be_bytes(*bytes))
}

/// Takes what [`put_i64`] wrote from the front; `None` if there is too little.
pub fn take_i64(key: &mut &[u8]) -> Option<i64> {
    take_u64(key).map(|value| (value ^ (1 << 63)).cast_signed())
}

/// Takes what [`put_text`] wrote from the front; `None` if it did not.
pub fn take_text(key: &mut &[u8]) -> Option<Box<str>> {
    let end = key.iter().position(|&byte| byte == 0)?;
    let (text, rest) = key.split_at(end);
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            1 => bytes.next().filter(|&&low| low <= 2)? - 1,
            _ => byte,
        });
    }
    *key = rest.get(1..)?;
    String::from_utf8(plain).ok().map(String::into_boxed_str)
}

/// Takes the decimal that the bytes begin with; `None` if none does.
pub fn take_decimal(key: &mut &[u8]) -> Option<Decimal> {
    let (bytes, rest) = key.split_at(Decimal::length(key)?);
    *key = rest;
    Some(Decimal(bytes.into()))
}

#[cfg(test)]
mod tests;
