//! Numbers as asked for: `100` means 99.5 up to 100.5
//! (<https://hl7.org/fhir/R4/search.html#number>).
//!
//! The arithmetic is on decimal digits, never through binary floating point,
//! so that `5.40` and `5.4` stay the different questions that they are.

use crate::primitive::decimal;

/// The numbers that a number of a query means, from one (inclusive) to another
/// (exclusive), as texts that are JSON numbers. Equal ends mean that number alone.
#[derive(Clone, PartialEq, Eq)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub struct Number {
    /// First number of the span.
    pub from: Box<str>,
    /// First number after it, or the same number.
    pub to: Box<str>,
}
#[cfg(not(test))]
salus_phi::guard!(Number);

impl Number {
    /// Half a unit of the last digit to both sides, as `eq` and `ne` mean it.
    #[must_use]
    pub fn implied(text: &str) -> Option<Self> {
        let (mut digits, mut exponent) = scaled(text)?;
        if exponent > 0 && digits.abs() < 10 {
            // The specification's own example: 1e2 asks for 95 up to 105.
            digits *= 10;
            exponent -= 1;
        }
        Some(Self {
            from: print(digits * 10 - 5, exponent - 1),
            to: print(digits * 10 + 5, exponent - 1),
        })
    }

    /// The number alone, as `gt`, `lt`, `ge`, `le`, `sa` and `eb` mean it.
    #[must_use]
    pub fn exactly(text: &str) -> Option<Self> {
        let (digits, exponent) = scaled(text)?;
        let exact = print(digits, exponent);
        Some(Self {
            from: exact.clone(),
            to: exact,
        })
    }

    /// A tenth of it to both sides, the specification's suggestion for `ap`.
    #[must_use]
    pub fn about(text: &str) -> Option<Self> {
        let (digits, exponent) = scaled(text)?;
        let tenth = digits.abs();
        if tenth == 0 {
            return Self::implied(text);
        }
        Some(Self {
            from: print(digits * 10 - tenth, exponent - 1),
            // The bound itself is meant to be within; a thousandth of a
            // tenth's unit more makes the half-open span hold it.
            to: print((digits * 10 + tenth) * 1000 + 1, exponent - 4),
        })
    }
}

/// Most digits of a number in a query, without the zeros before them.
const DIGITS_MAX: u32 = 30;
const EXPONENT_MAX: i32 = 1000;

/// The digits and the exponent of a number with as much room as the sums here need.
fn scaled(text: &str) -> Option<(i128, i32)> {
    let (digits, exponent) = decimal::scaled(text)?;
    let has_room = digits.abs() < 10_i128.pow(DIGITS_MAX) && exponent.abs() <= EXPONENT_MAX;
    has_room.then_some((digits, exponent))
}

fn print(digits: i128, exponent: i32) -> Box<str> {
    match exponent {
        0 => digits.to_string(),
        _ => format!("{digits}e{exponent}"),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, from: &str, to: &str) {
        let number = Number::implied(text).unwrap();
        assert_eq!((&*number.from, &*number.to), (from, to), "{text}");
    }

    #[test]
    fn the_last_digit_gives_the_precision() {
        check("100", "995e-1", "1005e-1");
        check("100.00", "99995e-3", "100005e-3");
        check("1e2", "95", "105");
        check("1.5e4", "145e2", "155e2");
        check("5.4", "535e-2", "545e-2");
        check("5.40e-3", "5395e-6", "5405e-6");
        check("-7", "-75e-1", "-65e-1");
        check("0", "-5e-1", "5e-1");
        check("0.0", "-5e-2", "5e-2");
    }

    #[test]
    fn about_is_a_tenth_on_both_sides() {
        let about = Number::about("100").unwrap();
        assert_eq!((&*about.from, &*about.to), ("900e-1", "1100001e-4"));
        let about = Number::about("-100").unwrap();
        assert_eq!((&*about.from, &*about.to), ("-1100e-1", "-899999e-4"));
        assert_eq!(Number::about("0"), Number::implied("0"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1e", "1e+", "1e-", "1 ", "1,0", "0x1", "1e99999",
            "NaN", "inf", "1e1.0", "--1", "１", "1e2000", "1e-2000", "007",
        ] {
            assert_eq!(Number::implied(text), None, "{text}");
        }
        let nines = "9".repeat(DIGITS_MAX as usize);
        assert!(Number::about(&nines).is_some());
        assert_eq!(Number::implied(&format!("{nines}9")), None);
        assert!(Number::implied(&format!("0.{}1", "0".repeat(100))).is_some());
    }

    #[test]
    fn a_number_compared_exactly_has_no_width() {
        let exact = Number::exactly("-5.40").unwrap();
        assert_eq!((&*exact.from, &*exact.to), ("-540e-2", "-540e-2"));
        assert_eq!(&*Number::exactly("1e2").unwrap().from, "1e2");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_never_panics(text in "[0-9eE.+-]{0,60}") {
            let _ = Number::about(&text);
        }

        #[test]
        fn a_number_lies_within_its_span(digits in -1_000_000_i64..1_000_000, places in 0_u32..5) {
            let text = rust_decimal::Decimal::new(digits, places).to_string();
            let read = |t: &str| t.parse::<f64>().unwrap();
            let number = Number::implied(&text).unwrap();
            prop_assert!(read(&number.from) < read(&text) && read(&text) < read(&number.to));
        }
    }
}
