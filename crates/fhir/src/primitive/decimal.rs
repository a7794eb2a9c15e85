//! Decimals from their text, exactly or not at all
//! (<https://hl7.org/fhir/R4/datatypes.html#decimal>).

use rust_decimal::Decimal;
use std::ops::Range;

/// The exact value of a FHIR `decimal`, with the digits behind the point that were written.
/// Nothing when the text is no decimal, or more digits than 96 bits hold.
#[must_use]
pub fn parse(text: &str) -> Option<Decimal> {
    let parts = Parts::of(text)?;
    let scale = parts.decimals.checked_sub(parts.exponent)?;
    let mut mantissa = parts.mantissa()?;
    if scale < 0 {
        mantissa = 10i128
            .checked_pow(u32::try_from(-scale).ok()?)
            .and_then(|factor| mantissa.checked_mul(factor))?;
    }
    Decimal::try_from_i128_with_scale(mantissa, scale.max(0) as u32).ok()
}

/// The numbers that round to this text, as FHIR search compares them
/// (<https://hl7.org/fhir/R4/search.html#number>): from half a unit of the last digit below to
/// half a unit above, without the upper end.
///
/// The standard's example makes `1e2` mean 95 to 105, so a whole number with a positive exponent
/// counts as written with one more digit.
#[must_use]
pub fn implicit_range(text: &str) -> Option<Range<Decimal>> {
    let parts = Parts::of(text)?;
    let value = parse(text)?;
    let mut unit = parts.exponent - parts.decimals;
    if parts.decimals == 0 && parts.exponent > 0 {
        unit -= 1;
    }
    // Half a unit is a 5 one digit further.
    let half = if unit > 0 {
        let unit = u32::try_from(unit - 1).ok()?;
        let half = 5i128.checked_mul(10i128.checked_pow(unit)?)?;
        Decimal::try_from_i128_with_scale(half, 0).ok()?
    } else {
        Decimal::try_from_i128_with_scale(5, u32::try_from(1 - unit).ok()?).ok()?
    };
    let range = value.checked_sub(half)?..value.checked_add(half)?;
    // Near the end of their digits, sums are rounded: then there is no exact answer.
    let exact = value.checked_sub(range.start)? == half && range.end.checked_sub(value)? == half;
    exact.then_some(range)
}

/// Is this text a FHIR `decimal`, representable here or not?
#[must_use]
pub fn is_valid(text: &str) -> bool {
    Parts::of(text).is_some()
}

/// A checked text, taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    decimals: i32,
    exponent: i32,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Parts<'a>> {
        let (digits, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let unsigned = digits.strip_prefix('-');
        let (whole, fraction) = match unsigned.unwrap_or(digits).split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (unsigned.unwrap_or(digits), ""),
        };
        let valid = is_digits(whole) && (whole == "0" || !whole.starts_with('0'));
        valid.then_some(Parts {
            negative: unsigned.is_some(),
            whole,
            fraction,
            decimals: i32::try_from(fraction.len()).ok()?,
            exponent,
        })
    }

    fn mantissa(&self) -> Option<i128> {
        let mut value = 0i128;
        for digit in self.whole.bytes().chain(self.fraction.bytes()) {
            value = value
                .checked_mul(10)?
                .checked_add(i128::from(digit - b'0'))?;
        }
        Some(if self.negative { -value } else { value })
    }
}

fn exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !is_digits(digits) {
        return None;
    }
    let value: i32 = digits.parse().ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
