//! Texts of dates, times and decimals, and what they mean.

use super::{DateTime, Precision, Time, decimal};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[track_caller]
fn bounds(text: &str, first: &str, behind: &str) {
    let ms = |text: &str| {
        let at: jiff::Timestamp = text.parse().expect("timestamp");
        at.as_millisecond()
    };
    let value = DateTime::parse_partial(text).expect(text);
    assert_eq!(value.bounds(0), ms(first)..ms(behind), "{text}");
    assert_eq!(value.to_string(), text);
}

#[test]
fn bounds_follow_precision_and_zone() {
    bounds("2015", "2015-01-01T00:00:00Z", "2016-01-01T00:00:00Z");
    bounds("2015-12", "2015-12-01T00:00:00Z", "2016-01-01T00:00:00Z");
    bounds("2016-02", "2016-02-01T00:00:00Z", "2016-03-01T00:00:00Z");
    bounds("1969-12-31", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z");
    bounds(
        "2015-02-07T13",
        "2015-02-07T13:00:00Z",
        "2015-02-07T14:00:00Z",
    );
    bounds(
        "2015-02-07T13:28-05:00",
        "2015-02-07T18:28:00Z",
        "2015-02-07T18:29:00Z",
    );
    bounds(
        "2015-02-07T13:28:17Z",
        "2015-02-07T13:28:17Z",
        "2015-02-07T13:28:18Z",
    );
    bounds(
        "2015-02-07T00:00:17.2+02:00",
        "2015-02-06T22:00:17.2Z",
        "2015-02-06T22:00:17.3Z",
    );
    bounds(
        "2015-02-07T13:28:17.239Z",
        "2015-02-07T13:28:17.239Z",
        "2015-02-07T13:28:17.240Z",
    );
    bounds(
        "2015-02-07T13:28:17.239123Z",
        "2015-02-07T13:28:17.239Z",
        "2015-02-07T13:28:17.240Z",
    );
}

#[test]
fn the_last_day_has_an_end() {
    let end = DateTime::parse("9999-12-31").expect("date").bounds(0).end;
    assert_eq!(end, 253_402_300_800_000);
}

#[track_caller]
fn forms(text: &str, date: bool, date_time: bool, instant: bool, partial: bool) {
    let is = [
        DateTime::parse_date(text).is_some(),
        DateTime::parse(text).is_some(),
        DateTime::parse_instant(text).is_some(),
        DateTime::parse_partial(text).is_some(),
    ];
    assert_eq!(is, [date, date_time, instant, partial], "{text}");
}

#[test]
fn each_type_has_its_forms() {
    forms("2015", true, true, false, true);
    forms("2015-02-29", false, false, false, false);
    forms("2016-02-29", true, true, false, true);
    forms("2015-13", false, false, false, false);
    forms("0000", false, false, false, false);
    forms("2015-2-1", false, false, false, false);
    forms("2015T", false, false, false, true);
    forms("2015-02T10", false, false, false, false);
    forms("2015-02-07T13:28", false, false, false, true);
    forms("2015-02-07T13:28Z", false, false, false, true);
    forms("2015-02-07T13:28:17", false, false, false, true);
    forms("2015-02-07T13:28:60Z", false, true, true, true);
    forms("2015-02-07T24:00:00Z", false, false, false, false);
    forms("2015-02-07T13:28:17.Z", false, false, false, false);
    forms("2015-02-07T13:28:17+14:00", false, true, true, true);
    forms("2015-02-07T13:28:17+14:01", false, false, false, false);
    forms("2015-02-07T13:28:17+1:00", false, false, false, false);
    forms("2015-02-07 13:28:17Z", false, false, false, false);
    forms("", false, false, false, false);
    forms("2015-02-0\u{e9}", false, false, false, false);
}

#[test]
fn times() {
    assert_eq!(Time::parse("13:28"), None);
    let time = Time::parse("13:28:17.20").expect("time");
    assert_eq!((time.precision, time.digits), (Precision::Fraction, 2));
    assert_eq!(time.to_string(), "13:28:17.20");
    assert_eq!(Time::parse("13:28:17Z"), None);
    assert_eq!(
        Time::parse_partial("13").map(|time| time.precision),
        Some(Precision::Hour)
    );
}

#[test]
fn months_are_added_by_the_calendar() {
    let add = |text: &str, months| {
        let date = DateTime::parse(text).expect(text).add_months(months);
        date.map(|date| date.to_string())
    };
    assert_eq!(add("2015-01-31", 1).as_deref(), Some("2015-02-28"));
    assert_eq!(add("2016-02-29", -12).as_deref(), Some("2015-02-28"));
    assert_eq!(add("2015-12-05", 1).as_deref(), Some("2016-01-05"));
    assert_eq!(add("9999-12-05", 1), None);
    assert_eq!(add("2015", i64::MAX), None);
}

#[track_caller]
fn exact(text: &str, value: Option<&str>) {
    assert_eq!(
        decimal::parse(text).map(|d| d.to_string()).as_deref(),
        value,
        "{text}"
    );
}

#[test]
fn decimals_keep_their_digits() {
    exact("1.50", Some("1.50"));
    exact("-0.00", Some("0.00"));
    exact("1.5e3", Some("1500"));
    exact("15e-3", Some("0.015"));
    exact("1E+2", Some("100"));
    exact(
        "79228162514264337593543950335",
        Some("79228162514264337593543950335"),
    );
    exact("79228162514264337593543950336", None);
    exact("1e-29", None);
    exact("1e99999999999", None);
    exact("01", None);
    exact("1.", None);
    exact(".5", None);
    exact("+1", None);
    exact("", None);
    exact("-", None);
    exact("1e", None);
}

fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9TZ:.+-]{0,24}|\\PC{0,12}") {
        let _ = DateTime::parse_partial(&text).map(|value| (value.bounds(0), value.to_string()));
        let _ = Time::parse_partial(&text).map(|value| value.to_string());
        let _ = decimal::parse(&text);
    }

    #[test]
    fn clocks_turn_back(ms in -62_135_596_800_000i64..253_402_300_800_000) {
        let value = DateTime::from_epoch_ms(ms).expect("in range");
        prop_assert_eq!(value.bounds(0), ms..ms + 1);
        prop_assert_eq!(DateTime::parse(&value.to_string()), Some(value));
        let jiff = jiff::Timestamp::from_millisecond(ms).map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
        if let Ok(jiff) = jiff {
            prop_assert_eq!(value.to_string(), jiff);
        }
    }

    #[test]
    fn decimals_agree_with_rust_decimal(text in "-?(0|[1-9][0-9]{0,12})(\\.[0-9]{1,12})?") {
        prop_assert_eq!(decimal::parse(&text), text.parse().ok());
    }
}
