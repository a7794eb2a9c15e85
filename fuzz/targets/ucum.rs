//! UCUM: the first line is a number, the second a unit, the third another.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::ucum::{Unit, convert};

fuzz_target!(|input: &str| {
    let mut lines = input.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (number, from, to) = (next(), next(), next());
    let Ok(from) = Unit::parse(from) else { return };
    // What is measured is itself a unit of it, whose ratio is one.
    let base = Unit::parse(&from.dimension().to_string()).expect("a printed dimension is a code");
    assert_eq!(base.dimension(), from.dimension());
    if let Some(amount) = from.canonical(number) {
        let again = base.canonical(&amount).expect("an amount is a number");
        assert_eq!(again, amount, "an amount in base units stays");
    }
    let Ok(to) = Unit::parse(to) else { return };
    let there = convert(number, &from, &to);
    if let Some(there) = &there {
        assert!(salus_fhir::primitive::decimal::is_valid(there));
    }
    // Only units that can stand beside others can be multiplied.
    for divide in [false, true] {
        if let Some(both) = from.times(&to, divide) {
            let _ = both.canonical(number);
        }
    }
});
