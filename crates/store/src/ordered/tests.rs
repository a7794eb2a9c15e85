//! The orders hold, the encodings read back, and the published bytes stay.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
}

#[track_caller]
fn check_bytes(text: &str, bytes: &[u8]) {
    assert_eq!(decimal(text).as_bytes(), bytes, "{text}");
}

#[test]
fn bytes_never_change() {
    check_bytes("0", &[0x80]);
    check_bytes("7", &[0xC1, 140]);
    check_bytes("-7", &[!0xC1, !140]);
    check_bytes("12.5", &[0xC2, 25, 100]);
    check_bytes("0.001", &[0xC0 - 2, 20]);
    check_bytes("1e100", &[0xFE, 0x80, 101, 20]);
    check_bytes("1e-100", &[0x82, 0x7F, 0x9D, 20]);
}

#[test]
fn equal_numbers_have_equal_bytes() {
    for equal in [
        &["0", "-0", "0.0", "0e5", "-0.00e-99999999999999999999"][..],
        &[
            "1", "1.0", "1.000", "1e0", "10e-1", "0.1e1", "1E+0", "0.01e2",
        ],
        &["-120", "-1.2e2", "-120.0", "-12e1"],
        &["0.5", "5e-1", "0.50", "50E-2"],
    ] {
        for text in equal {
            assert_eq!(decimal(text), decimal(equal[0]), "{text}");
        }
    }
}

#[test]
fn order_is_numeric() {
    let ascending = [
        "-1e30000",
        "-1e29999",
        "-1e61",
        "-1e60",
        "-100.5",
        "-100.49",
        "-100",
        "-99.999",
        "-12",
        "-1.2",
        "-1.19",
        "-1",
        "-0.5",
        "-1e-60",
        "-1e-61",
        "-1e-30000",
        "0",
        "1e-30000",
        "1e-62",
        "1e-61",
        "1e-60",
        "0.001",
        "0.0011",
        "0.5",
        "0.99",
        "1",
        "1.0000000000000000000000000001",
        "1.1",
        "1.19",
        "1.2",
        "1.21",
        "9",
        "10",
        "10.1",
        "11",
        "99.999",
        "100",
        "1e59",
        "1e60",
        "1e61",
        "1e29999",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(decimal(a).cmp(&decimal(b)), i.cmp(&j), "{a} and {b}");
        }
    }
}

#[test]
fn what_is_not_a_number_is_refused() {
    for text in [
        "",
        "-",
        "+1",
        "01",
        "-01",
        ".5",
        "5.",
        "1.e1",
        "1e",
        "1e+",
        "1e1.5",
        "0x1",
        "1 ",
        " 1",
        "NaN",
        "--1",
        "1_0",
        "1e30001",
        "1e-30001",
        "-1e99999999999999999999999",
        "0.001e-99999999999999999999999",
    ] {
        assert_eq!(Decimal::parse(text), None, "{text}");
    }
    assert!(Decimal::parse(&"1".repeat(2_000)).is_some());
    assert!(Decimal::parse(&"1".repeat(2_001)).is_none());
}

#[test]
fn bytes_of_too_many_digits_are_no_number() {
    let longest = decimal(&format!("0.{}", "1".repeat(2_000)));
    let longest = longest.as_bytes().to_vec();
    assert_eq!(Decimal::length(&longest), Some(longest.len()));
    // One more pair of digits before the last.
    let mut longer = longest.clone();
    longer.insert(1, longest[1]);
    assert_eq!(Decimal::length(&longer), None);
    assert_eq!(Decimal::from_bytes(&longer), None);
}

#[test]
fn prints_as_a_number() {
    for (text, printed) in [
        ("0.0", "0"),
        ("-1.50", "-1.5"),
        ("150", "1.5e2"),
        ("0.05", "5e-2"),
        ("-1e-100", "-1e-100"),
    ] {
        assert_eq!(decimal(text).to_string(), printed);
    }
}

/// Compares two numbers of up to 30 digits a side by aligning them as integers.
fn compare_plainly(a: (i64, u8), b: (i64, u8)) -> Ordering {
    let align =
        |(digits, places): (i64, u8)| i128::from(digits) * 10_i128.pow(18 - u32::from(places));
    align(a).cmp(&align(b))
}

fn plain(digits: i64, places: u8) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let text = format!(
        "{:0>width$}",
        digits.unsigned_abs(),
        width = usize::from(places) + 1
    );
    let (whole, fraction) = text.split_at(text.len() - usize::from(places));
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

fn digits() -> impl Strategy<Value = (i64, u8)> {
    (prop_oneof![-200_i64..200, any::<i64>()], 0_u8..18)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn any_two_numbers_compare_as_their_bytes(a in digits(), b in digits(), tail in any::<[u8; 2]>()) {
        let (left, right) = (decimal(&plain(a.0, a.1)), decimal(&plain(b.0, b.1)));
        let order = compare_plainly(a, b);
        prop_assert_eq!(left.cmp(&right), order);
        // With anything behind them they still compare so.
        let key = |number: &Decimal, byte| [number.as_bytes(), &[byte]].concat();
        let followed = key(&left, tail[0]).cmp(&key(&right, tail[1]));
        prop_assert_eq!(followed, order.then(tail[0].cmp(&tail[1])));
    }

    #[test]
    fn numbers_read_back(number in digits(), tail in any::<Vec<u8>>()) {
        let written = decimal(&plain(number.0, number.1));
        prop_assert_eq!(&decimal(&written.to_string()), &written);
        prop_assert_eq!(Decimal::from_bytes(written.as_bytes()), Some(written.clone()));
        let bytes = [written.as_bytes(), &tail].concat();
        let mut rest = &bytes[..];
        prop_assert_eq!(take_decimal(&mut rest), Some(written));
        prop_assert_eq!(rest, &tail[..]);
    }

    #[test]
    fn any_bytes_are_one_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        if let Some(number) = Decimal::from_bytes(&bytes) {
            prop_assert_eq!(decimal(&number.to_string()), number);
        }
    }

    #[test]
    fn any_text_is_a_number_or_not(text in "[-+0-9.eE]{0,12}") {
        let json = serde_like(&text);
        if Decimal::parse(&text).is_some() {
            prop_assert!(json);
        }
    }

    #[test]
    fn integers_keep_their_order(a in any::<i64>(), b in any::<i64>()) {
        let key = |value| { let mut key = Vec::new(); put_i64(&mut key, value); key };
        prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        prop_assert_eq!(take_i64(&mut &key(a)[..]), Some(a));
        let key = |value| { let mut key = Vec::new(); put_u64(&mut key, value); key };
        let (a, b) = (a.cast_unsigned(), b.cast_unsigned());
        prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        prop_assert_eq!(take_u64(&mut &key(a)[..]), Some(a));
    }

    #[test]
    fn texts_keep_their_order(a in "[\\x00-\\x03a\\PC]{0,6}", b in "[\\x00-\\x03a\\PC]{0,6}", tail in any::<[u8; 2]>()) {
        let key = |text: &str, byte| { let mut key = Vec::new(); put_text(&mut key, text); key.push(byte); key };
        let order = a.cmp(&b).then(tail[0].cmp(&tail[1]));
        prop_assert_eq!(key(&a, tail[0]).cmp(&key(&b, tail[1])), order);
        let bytes = key(&a, tail[0]);
        let mut rest = &bytes[..];
        prop_assert_eq!(take_text(&mut rest), Some(a.clone().into_boxed_str()));
        prop_assert_eq!(rest, &tail[..1]);
        let mut start = Vec::new();
        put_text_start(&mut start, &b);
        prop_assert_eq!(bytes.starts_with(&start), a.starts_with(&b));
    }

    #[test]
    fn any_bytes_are_a_text_or_not(bytes in proptest::collection::vec(0_u8..5, 0..8)) {
        let mut rest = &bytes[..];
        if let Some(text) = take_text(&mut rest) {
            let mut key = Vec::new();
            put_text(&mut key, &text);
            prop_assert_eq!(&bytes[..bytes.len() - rest.len()], &key[..]);
        }
    }
}

/// The grammar of <https://www.rfc-editor.org/rfc/rfc8259#section-6>, said another way.
fn serde_like(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && digits(exponent)
        && (whole == "0" || !whole.starts_with('0'))
}
