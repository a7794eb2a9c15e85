//! Exact ratios, and decimal amounts multiplied by them.

use std::fmt;

use super::wide::Wide;

/// Numerators and denominators stay below: what is larger is rounded.
const WHOLE_MAX: u128 = 10_u128.pow(36);
/// Amounts stay below, so that they have 32 digits.
const DIGITS_MAX: u128 = 10_u128.pow(32);
/// The largest power of ten of a ratio or an amount, and the smallest.
const EXPONENT_MAX: i32 = 5_000;

/// `numerator / denominator * 10^exponent`, in lowest terms; neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ratio {
    numerator: u128,
    denominator: u128,
    exponent: i32,
}

/// A decimal number: `digits * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) digits: i128,
    pub(super) exponent: i32,
}

impl Ratio {
    pub(super) const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
        exponent: 0,
    };

    /// From a positive amount.
    pub(super) fn from_amount(amount: Amount) -> Option<Self> {
        let numerator = u128::try_from(amount.digits).ok().filter(|n| *n > 0)?;
        Self::new(Wide::product(numerator, 1), 1, amount.exponent)
    }

    fn new(numerator: Wide, denominator: u128, exponent: i32) -> Option<Self> {
        let (numerator, places) = rounded(numerator)?;
        Self {
            numerator,
            denominator,
            exponent: exponent.checked_add(places)?,
        }
        .simplified()
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        // Across, so that what cancels is never multiplied.
        let left = greatest_divisor(self.numerator, other.denominator);
        let right = greatest_divisor(other.numerator, self.denominator);
        let numerator = Wide::product(self.numerator / left, other.numerator / right);
        let denominator = Wide::product(self.denominator / right, other.denominator / left);
        let (denominator, places) = rounded(denominator)?;
        let exponent = self.exponent + other.exponent - places;
        Self::new(numerator, denominator, exponent)
    }

    pub(super) fn inverse(self) -> Self {
        Self {
            numerator: self.denominator,
            denominator: self.numerator,
            exponent: -self.exponent,
        }
    }

    pub(super) fn power(self, power: i32) -> Option<Self> {
        let mut base = if power < 0 { self.inverse() } else { self };
        let mut left = power.unsigned_abs();
        let mut result = Self::ONE;
        while left > 0 {
            if left & 1 == 1 {
                result = result.times(base)?;
            }
            left >>= 1;
            if left > 0 {
                base = base.times(base)?;
            }
        }
        Some(result)
    }

    /// An amount multiplied by this, rounded to 32 digits, half away from zero.
    pub(super) fn of(self, amount: Amount) -> Option<Amount> {
        let exponent = amount.exponent.checked_add(self.exponent)?;
        let size = amount.digits.unsigned_abs();
        let simple = size.checked_mul(self.numerator);
        if let (Some(digits), 1) = (simple.filter(|d| *d < DIGITS_MAX), self.denominator) {
            return Amount::new(amount.digits < 0, digits, exponent);
        }
        let (quotient, rest) = Wide::product(size, self.numerator).divided(self.denominator);
        let (digits, places) = match quotient.small().filter(|q| *q < DIGITS_MAX) {
            Some(whole) => self.extended(whole, rest),
            None => shortened(quotient)?,
        };
        Amount::new(amount.digits < 0, digits, exponent.checked_add(places)?)
    }

    /// A quotient with the digits behind its point that there is room for.
    fn extended(self, mut digits: u128, mut rest: u128) -> (u128, i32) {
        let mut places = 0;
        // A quotient of nothing but zeros ends too: each round has a digit
        // more, and the first one comes after as many as the divisor has.
        while rest > 0 && digits < DIGITS_MAX / 10 {
            rest *= 10;
            digits = digits * 10 + rest / self.denominator;
            rest %= self.denominator;
            places -= 1;
        }
        let up = rest > 0 && rest * 2 >= self.denominator;
        (digits + u128::from(up), places)
    }

    /// The same without needless zeros and divisors: `1/4` is `25e-2`.
    fn simplified(mut self) -> Option<Self> {
        if self.denominator > 1 {
            let common = greatest_divisor(self.numerator, self.denominator);
            self.numerator /= common;
            self.denominator /= common;
        }
        for (divisor, other) in [(10, 1), (2, 5), (5, 2)] {
            while self.denominator.is_multiple_of(divisor) && self.numerator < WHOLE_MAX / other {
                self.denominator /= divisor;
                self.numerator *= other;
                self.exponent -= 1;
            }
        }
        while self.numerator.is_multiple_of(10) {
            self.numerator /= 10;
            self.exponent += 1;
        }
        (self.exponent.abs() <= EXPONENT_MAX).then_some(self)
    }

    pub(super) fn to_f64(self) -> f64 {
        let exponent = f64::from(self.exponent);
        approximate(self.numerator) / approximate(self.denominator) * 10_f64.powf(exponent)
    }
}

impl Amount {
    fn new(negative: bool, digits: u128, exponent: i32) -> Option<Self> {
        let mut digits = i128::try_from(digits).ok()?;
        let mut exponent = exponent;
        while digits != 0 && digits % 10 == 0 {
            digits /= 10;
            exponent += 1;
        }
        (exponent.abs() <= EXPONENT_MAX || digits == 0).then_some(Self {
            digits: if negative { -digits } else { digits },
            exponent: if digits == 0 { 0 } else { exponent },
        })
    }

    /// Reads a JSON number. Digits behind the 36th do not count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, exponent) = match rest.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse().ok()?),
            None => (rest, 0_i32),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut digits = 0_u128;
        let mut places = 0_i32;
        for (byte, is_whole) in whole
            .bytes()
            .map(|byte| (byte, true))
            .chain(fraction.bytes().map(|byte| (byte, false)))
        {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            let has_room = digits < WHOLE_MAX / 10;
            if has_room {
                digits = digits * 10 + u128::from(digit);
            }
            places += i32::from(is_whole && !has_room) - i32::from(!is_whole && has_room);
        }
        if whole.is_empty() {
            return None;
        }
        Self::new(negative, digits, exponent.checked_add(places)?)
    }

    /// The sum, if it has few enough digits to be exact.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let (high, low) = match self.exponent >= other.exponent {
            true => (self, other),
            false => (other, self),
        };
        if high.digits == 0 || low.digits == 0 {
            return Some(if high.digits == 0 { low } else { high });
        }
        let places = high.exponent.abs_diff(low.exponent);
        let Some(scaled) = 10_i128
            .checked_pow(places)
            .and_then(|by| high.digits.checked_mul(by))
        else {
            // So much smaller that it is lost in rounding.
            return Some(high);
        };
        let sum = scaled.checked_add(low.digits)?;
        Self::new(sum < 0, sum.unsigned_abs(), low.exponent)
    }

    /// With 28 digits: without what rounding on the way left in the others.
    pub(super) fn shorter(self) -> Option<Self> {
        let size = self.digits.unsigned_abs();
        let mut cut = 1;
        let mut exponent = self.exponent;
        while size / cut >= DIGITS_MAX / 10_000 {
            cut *= 10;
            exponent += 1;
        }
        Self::new(self.digits < 0, (size + cut / 2) / cut, exponent)
    }

    pub(super) fn negative(self) -> Self {
        Self {
            digits: -self.digits,
            ..self
        }
    }

    pub(super) fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Amount {
    /// A JSON number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exponent {
            0 => write!(f, "{}", self.digits),
            exponent => write!(f, "{}e{exponent}", self.digits),
        }
    }
}

/// A whole number below [`WHOLE_MAX`] and the places that were cut off.
fn rounded(mut wide: Wide) -> Option<(u128, i32)> {
    let (mut places, mut digit) = (0, 0);
    loop {
        if let Some(small) = wide.small().filter(|small| *small < WHOLE_MAX) {
            return Some((small + u128::from(digit >= 5), places));
        }
        (wide, digit) = wide.tenth();
        places += 1;
    }
}

/// A quotient of too many digits, with as many as there is room for. Of what
/// is cut off only the first digit decides, and a remainder cannot change it.
fn shortened(mut wide: Wide) -> Option<(u128, i32)> {
    let (mut places, mut digit) = (0, 0);
    loop {
        if let Some(small) = wide.small().filter(|small| *small < DIGITS_MAX) {
            return Some((small + u128::from(digit >= 5), places));
        }
        (wide, digit) = wide.tenth();
        places += 1;
    }
}

fn greatest_divisor(mut a: u128, mut b: u128) -> u128 {
    while b > 1 {
        (a, b) = (b, a % b);
    }
    if b == 1 { 1 } else { a }
}

#[allow(clippy::cast_precision_loss, reason = "only for functions")]
fn approximate(number: u128) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(numerator: &str, denominator: &str) -> Ratio {
        let of = |text| Ratio::from_amount(Amount::parse(text).unwrap()).unwrap();
        of(numerator).times(of(denominator).inverse()).unwrap()
    }

    #[track_caller]
    fn check(amount: &str, numerator: &str, denominator: &str, expected: &str) {
        let amount = Amount::parse(amount).unwrap();
        let result = ratio(numerator, denominator).of(amount).unwrap();
        assert_eq!(result.to_string(), expected);
    }

    #[test]
    fn amounts_are_multiplied_exactly_or_rounded_once() {
        check("5.4", "1", "1000", "54e-4");
        check("-5.40", "1", "4", "-135e-2");
        check("0", "7", "3", "0");
        check("1", "1", "3", "33333333333333333333333333333333e-32");
        check("2", "1", "3", "66666666666666666666666666666667e-32");
        check("1", "2", "7", "28571428571428571428571428571429e-32");
        check("3", "1e40", "9", "33333333333333333333333333333333e8");
        let long = "123456789012345678901234567890123456";
        check(long, "1", "1", "12345678901234567890123456789012e4");
        check(long, "1000001", "1", "12345691246913469124691346912469e10");
        check("1", "1", long, "81000000729000006633900060368491e-67");
    }

    #[test]
    fn the_same_amount_by_another_way_is_equal() {
        let (hour, minute) = (ratio("1", "3600"), ratio("1", "60"));
        let of = |ratio: Ratio, text| ratio.of(Amount::parse(text).unwrap());
        assert_eq!(of(hour, "300"), of(minute, "5"));
        assert_eq!(of(hour, "70"), of(minute.times(minute).unwrap(), "70"));
        assert_eq!(ratio("1", "4"), ratio("25", "100"));
        assert_eq!(ratio("10", "3").power(-2), Some(ratio("9", "100")));
    }

    #[test]
    fn sums_are_exact_where_they_fit() {
        let of = |text| Amount::parse(text).unwrap();
        let sum = |a, b| of(a).plus(of(b)).map(|sum| sum.to_string());
        assert_eq!(sum("36.6", "273.15").as_deref(), Some("30975e-2"));
        assert_eq!(sum("-273.15", "273.15").as_deref(), Some("0"));
        assert_eq!(sum("1e100", "1").as_deref(), Some("1e100"));
        assert_eq!(sum("0", "1e-300").as_deref(), Some("1e-300"));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "",
            "-",
            "x",
            "1e",
            "1ee1",
            "1.x",
            ".5",
            "1e99999999999",
            "1e6000",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
        assert_eq!(Amount::parse("0e6000").map(|a| a.digits), Some(0));
        assert_eq!(ratio("1e4000", "1").times(ratio("1e4000", "1")), None);
    }
}
