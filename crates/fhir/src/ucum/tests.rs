//! Units by a table of cases, and by the functional tests that the makers of
//! UCUM's first implementations agreed on, where they are at hand.

use std::path::Path;

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(code: &str, number: &str, expected: Option<(&str, &str)>) {
    let found = Unit::parse(code).ok().and_then(|unit| {
        let dimension = unit.dimension().to_string();
        Some((unit.canonical(number)?, dimension))
    });
    let found = found.as_ref().map(|(a, b)| (a.as_str(), b.as_str()));
    assert_eq!(found, expected, "{number} {code}");
}

#[track_caller]
fn converts(number: &str, from: &str, to: &str, expected: Option<&str>) {
    let of = |code| Unit::parse(code).unwrap();
    let found = convert(number, &of(from), &of(to));
    assert_eq!(found.as_deref(), expected, "{number} {from} in {to}");
}

#[track_caller]
fn refused(code: &str, error: Error) {
    assert_eq!(Unit::parse(code), Err(error), "{code}");
}

#[test]
fn every_line_of_the_table_is_understood() {
    let text = include_str!("../../definitions/ucum/units.tsv");
    let (_, left) = table::Table::read(text);
    assert_eq!(left, Vec::<&str>::new());
    let units = text.lines().filter(|line| line.starts_with("unit\t"));
    assert!(units.count() > 300);
}

#[test]
fn amounts_in_base_units() {
    check("kg", "1", Some(("1e3", "g")));
    check("g", "1000", Some(("1e3", "g")));
    check("mg", "5.40", Some(("54e-4", "g")));
    check("mg/dL", "95", Some(("95e1", "m-3.g")));
    check("g/L", "0.95", Some(("95e1", "m-3.g")));
    check("mmol/L", "4", Some(("2408856304e15", "m-3")));
    check("/min", "72", Some(("12e-1", "s-1")));
    check("1/min", "72", Some(("12e-1", "s-1")));
    check("{beats}/min", "72", Some(("12e-1", "s-1")));
    check("mm[Hg]", "120", Some(("1599864e1", "m-1.s-2.g")));
    check("%", "45.5", Some(("455e-3", "1")));
    check("10*9/L", "4.5", Some(("45e11", "m-3")));
    check("10^9/L", "4.5", Some(("45e11", "m-3")));
    check("[IU]/L", "7", Some(("7e3", "m-3.[iU]")));
    check("m[iU]/mL", "7", Some(("7e3", "m-3.[iU]")));
    check("[arb'U]", "7", Some(("7", "[arb'U]")));
    check("Cel", "36.6", Some(("30975e-2", "K")));
    check("[degF]", "98.6", Some(("31015e-2", "K")));
    check("mCel", "1000", Some(("27415e-2", "K")));
    check("[degRe]", "80", Some(("37315e-2", "K")));
    check("dB", "30", Some(("3", "B")));
    check("[pH]", "7.4", Some(("74e-1", "[pH]")));
    check("{score}", "3", Some(("3", "1")));
    check("[lb_av]", "1", Some(("45359237e-5", "g")));
    check("[in_i]2", "1", Some(("64516e-8", "m2")));
    check("Kibit", "1", Some(("1024", "1")));
    check("kg", "1e6000", None);
}

#[test]
fn the_grammar() {
    check("/m.s", "1", Some(("1", "m-1.s")));
    check("m/s/g", "1", Some(("1", "m.s-1.g-1")));
    check("m/(s.g)", "1", Some(("1", "m.s-1.g-1")));
    check("(m)", "1", Some(("1", "m")));
    check("/{LPF}", "1", Some(("1", "1")));
    check("4.m{wet}", "1", Some(("4", "m")));
    check("m+2", "1", Some(("1", "m2")));
    check("m/m", "1", Some(("1", "1")));
    for code in [
        "",
        "/",
        "m/",
        "m//s",
        "m.",
        ".m",
        "(m",
        "m)",
        "{a}m",
        "m{a}s",
        "m{a",
        "m{\u{e9}}",
        "m{{}}",
        "()",
        "0",
        "0.m",
        "10*+",
        "m s",
        " m",
    ] {
        let error = Unit::parse(code).unwrap_err();
        assert!(
            matches!(error, Error::Grammar | Error::Unknown),
            "{code}: {error:?}"
        );
    }
    refused("12h", Error::Unknown);
    refused("KG", Error::Unknown);
    refused("kmin", Error::Unknown);
    refused("Cel/s", Error::Special);
    refused("2.[pH]", Error::Special);
    refused("dB2", Error::Special);
    refused("1/Cel", Error::Special);
    refused(&"m.".repeat(200), Error::TooLarge);
    refused(
        &format!("{}m{}", "(".repeat(17), ")".repeat(17)),
        Error::TooLarge,
    );
    refused("m1000", Error::TooLarge);
    refused("m200", Error::TooLarge);
    refused("10*999.10*999.10*999.10*999.10*999.10*999", Error::TooLarge);
    refused("m99999999999", Error::TooLarge);
}

#[test]
fn conversions() {
    converts("1", "kg", "g", Some("1e3"));
    converts(
        "180",
        "deg",
        "rad",
        Some("3141592653589793238462643383e-27"),
    );
    converts("98.6", "[degF]", "Cel", Some("37"));
    converts("-40", "Cel", "[degF]", Some("-4e1"));
    converts("37", "Cel", "K", Some("31015e-2"));
    converts("7", "[pH]", "mol/L", Some("1e-7"));
    converts("0.0001", "mol/L", "[pH]", Some("4"));
    converts("20", "dB", "1", Some("1e2"));
    converts("1000", "1", "B", Some("3"));
    converts("10", "dB", "B", Some("1"));
    converts("6", "B[V]", "V", Some("1e3"));
    converts("100", "[p'diop]", "deg", Some("45"));
    converts("2", "Np", "1", Some("738905609893e-11"));
    converts("3", "bit_s", "1", Some("8"));
    converts("2", "[m/s2/Hz^(1/2)]", "m2/s3", Some("4"));
    converts("2", "[hp'_C]", "1", Some("1e-4"));
    converts("-5", "mol/L", "[pH]", None);
    converts("1", "kg", "m", None);
    converts("1", "[iU]", "[arb'U]", None);
    converts("x", "kg", "g", None);
}

#[test]
fn units_are_multiplied_and_divided() {
    let of = |code| Unit::parse(code).unwrap();
    let speed = of("km").times(&of("h"), true).unwrap();
    assert_eq!(speed.dimension().to_string(), "m.s-1");
    assert_eq!(speed.canonical("36").as_deref(), Some("1e1"));
    assert_eq!(of("Cel").times(&of("s"), true), None);
}

/// The functional tests, if they are at hand.
fn functional() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("SALUS_SHARED").map_or(root, Into::into);
    let found = std::fs::read_to_string(shared.join("data/tests/UcumFunctionalTests.xml"));
    if found.is_err() {
        eprintln!("skipped: no UcumFunctionalTests.xml (SALUS_SHARED names the folder)");
    }
    found.ok()
}

#[test]
fn the_functional_tests_agree() {
    let Some(text) = functional() else { return };
    let document = roxmltree::Document::parse(&text).unwrap();
    let cases = document
        .descendants()
        .filter(|node| node.has_tag_name("case"));
    let (mut passed, mut failed) = (0, Vec::new());
    for case in cases {
        let get = |name| case.attribute(name).unwrap_or_default();
        let unit = |name| match get(name) {
            "" => Unit::parse("1"),
            code => Unit::parse(code),
        };
        let right = match case.parent_element().map(|it| it.tag_name().name()) {
            Some("validation") => unit("unit").is_ok() == (get("valid") == "true"),
            Some("conversion") => {
                let (from, to) = (unit("srcUnit").unwrap(), unit("dstUnit").unwrap());
                is_about(convert(get("value"), &from, &to), get("outcome"))
            }
            Some(kind @ ("multiplication" | "division")) => {
                let divide = kind == "division";
                let found = unit("u1").unwrap().times(&unit("u2").unwrap(), divide);
                let value = |name| get(name).parse::<f64>().unwrap();
                let number = match divide {
                    true => value("v1") / value("v2"),
                    false => value("v1") * value("v2"),
                };
                let result = unit("uRes").unwrap();
                is_about(
                    convert(&number.to_string(), &found.unwrap(), &result),
                    get("vRes"),
                )
            }
            _ => continue,
        };
        match right {
            true => passed += 1,
            false => failed.push(get("id").to_owned()),
        }
    }
    assert_eq!((passed > 500, failed), (true, Vec::new()), "{passed}");
}

/// Equal in the digits that are expected: `16.0` is what 16.002 is about.
fn is_about(found: Option<String>, expected: &str) -> bool {
    let digits = expected.split('e').next().unwrap_or_default();
    let digits = digits.trim_start_matches(['0', '.']).replace('.', "").len();
    let (Some(found), Some(expected)) = (found, Amount::parse(expected)) else {
        return false;
    };
    // Whole digits only, so that no rounding of the test's own comes in.
    let found = Amount::parse(&found).unwrap();
    let places = found.digits.to_string().len().saturating_sub(digits);
    let cut = 10_i128.pow(u32::try_from(places).unwrap());
    let rounded = (found.digits + cut / 2) / cut;
    let exponent = found.exponent + i32::try_from(places).unwrap();
    Amount::parse(&format!("{rounded}e{exponent}")) == Some(expected)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_code_panics(code in "[a-zA-Z0-9*^.()/{}\\[\\]%'+-]{0,40}", number in "-?[0-9]{1,50}(\\.[0-9]{1,9})?(e-?[0-9]{1,4})?") {
        if let Ok(unit) = Unit::parse(&code) {
            let _ = unit.canonical(&number);
            let printed = unit.dimension().to_string();
            prop_assert!(Unit::parse(&printed).is_ok(), "{code} {printed}");
        }
    }

    #[test]
    fn an_order_of_numbers_is_kept(a in -100_000_i64..100_000, b in -100_000_i64..100_000, code in proptest::sample::select(vec!["mg/dL", "/min", "mmol/L", "[degF]", "deg", "[lb_av]/[in_i]2", "[pH]"])) {
        let unit = Unit::parse(code).unwrap();
        let of = |number: i64| unit.amount(Amount::parse(&format!("{number}e-2")).unwrap()).unwrap();
        let (left, right) = (of(a), of(b));
        let sign = right.plus(left.negative()).unwrap().digits.signum();
        prop_assert_eq!(sign, i128::from((b - a).signum()));
    }

    #[test]
    fn a_number_comes_back(number in -100_000_i64..100_000, code in proptest::sample::select(vec!["mg", "mm[Hg]", "Cel", "[degF]", "dB", "10*3/uL"])) {
        let unit = Unit::parse(code).unwrap();
        let there = Amount::parse(&format!("{number}e-3")).unwrap();
        let back = unit.number(unit.amount(there).unwrap()).unwrap();
        prop_assert_eq!(back.shorter().unwrap(), there);
    }
}
