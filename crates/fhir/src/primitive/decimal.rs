//! Decimals from their text, exactly or not at all
//! (<https://hl7.org/fhir/R4/datatypes.html#decimal>).

use rust_decimal::Decimal;

/// The exact value of a FHIR `decimal`, with the digits behind the point that were written.
/// Nothing when the text is no decimal, or more digits than 96 bits hold.
#[must_use]
pub fn parse(text: &str) -> Option<Decimal> {
    let (mut digits, exponent) = scaled(text)?;
    if exponent > 0 {
        digits = 10i128
            .checked_pow(u32::try_from(exponent).ok()?)
            .and_then(|factor| digits.checked_mul(factor))?;
    }
    let scale = u32::try_from(exponent.min(0).checked_neg()?).ok()?;
    Decimal::try_from_i128_with_scale(digits, scale).ok()
}

/// Is this text a FHIR `decimal`, representable here or not?
#[must_use]
pub fn is_valid(text: &str) -> bool {
    Parts::of(text).is_some()
}

/// The digits of a FHIR `decimal` as a whole number, and the power of ten to multiply it by.
/// Nothing when the text is no decimal, or has more digits than 127 bits hold.
pub(crate) fn scaled(text: &str) -> Option<(i128, i32)> {
    let parts = Parts::of(text)?;
    let exponent = parts.exponent.checked_sub(parts.decimals)?;
    Some((parts.digits()?, exponent))
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

    fn digits(&self) -> Option<i128> {
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
