//! Dates, times and decimals as FHIR writes them.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::primitive::{DateTime, Time, decimal};
use salus_fhir::search::{Number, Span};
use salus_store::ordered::Decimal;

fuzz_target!(|text: &str| {
    for offset in [0, -840, 840] {
        let read = [
            DateTime::parse_date(text),
            DateTime::parse(text),
            DateTime::parse_instant(text),
            DateTime::parse_partial(text),
        ];
        for date in read.into_iter().flatten() {
            let bounds = date.bounds(offset);
            assert!(bounds.start < bounds.end, "a time that does not last");
            let shown = date.to_string();
            let again = DateTime::parse_partial(&shown).expect("what we print can be read");
            assert_eq!(again.bounds(offset), bounds);
            for months in [-1, 1, 11, 12_000, i64::MAX, i64::MIN] {
                let _ = date.add_months(months);
            }
            let _ = date.with_local_nanos(date.local_nanos());
        }
    }
    if let Some(span) = Span::parse(text) {
        assert!(span.from_ms <= span.to_ms);
    }
    if let Some(time) = Time::parse(text).or_else(|| Time::parse_partial(text)) {
        // The leap second behind the last one belongs to no day that can be counted in.
        let nanos = time.nanos_of_day();
        if !time.to_string().contains(":60") {
            let same = Time::from_nanos_of_day(nanos, &time);
            assert_eq!(same.to_string(), time.to_string());
        }
    }
    if decimal::parse(text).is_some() {
        assert!(decimal::is_valid(text), "computed with and not a decimal");
    }
    if let Some(asked) = Number::implied(text) {
        let end = |end: &str| Decimal::parse(end).expect("a number of the store");
        assert!(end(&asked.from) < end(&asked.to));
    }
});
