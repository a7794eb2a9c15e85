//! Decimals of the store: order of bytes is order of numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::primitive::decimal;
use salus_store::ordered::Decimal;

fuzz_target!(|input: &[u8]| {
    if let Some(length) = Decimal::length(input) {
        let first = Decimal::from_bytes(&input[..length]).expect("it has a length");
        assert_eq!(first.as_bytes(), &input[..length]);
        // No other bytes stand for the same number.
        let shown = Decimal::parse(&first.to_string()).expect("what we print can be read");
        assert_eq!(shown, first);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (a, b) = text.split_once(' ').unwrap_or((text, "0"));
    let (Some(stored_a), Some(stored_b)) = (Decimal::parse(a), Decimal::parse(b)) else {
        return;
    };
    assert_eq!(
        Decimal::from_bytes(stored_a.as_bytes()),
        Some(stored_a.clone())
    );
    // Against arithmetic that is not ours, where that has room for both.
    if let (Some(a), Some(b)) = (decimal::parse(a), decimal::parse(b)) {
        assert_eq!(stored_a.cmp(&stored_b), a.cmp(&b));
    }
});
