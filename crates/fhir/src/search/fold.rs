//! Folding of text for matching: case, accents and spacing do not count
//! (<https://hl7.org/fhir/R4/search.html#string>).
//!
//! Values are folded when they are indexed and again when they are asked for,
//! so the fold is part of the stored format: changing it needs a reindex.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text in Unicode NFKD without combining marks, in lower case, without
/// spaces around it and with single spaces within.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if is_folded_ascii(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    if text.is_ascii() {
        collapse(&mut out, text.chars().map(|c| c.to_ascii_lowercase()));
    } else {
        let bare = text.nfkd().filter(|c| !is_combining_mark(*c));
        // Lower-casing may itself give marks, and some capitals exist only
        // composed: hence the second pass over what is already bare.
        let lower: String = bare.flat_map(char::to_lowercase).collect();
        collapse(&mut out, lower.nfkd().filter(|c| !is_combining_mark(*c)));
    }
    Cow::Owned(out)
}

fn is_folded_ascii(text: &str) -> bool {
    let mut before = b' ';
    for b in text.bytes() {
        let spacing = b.is_ascii_whitespace() || b == 0x0b;
        let double = spacing && (before == b' ' || b != b' ');
        if !b.is_ascii() || b.is_ascii_uppercase() || double {
            return false;
        }
        before = b;
    }
    before != b' ' || text.is_empty()
}

fn collapse(out: &mut String, chars: impl Iterator<Item = char>) {
    let mut gap = false;
    for c in chars {
        if c.is_whitespace() {
            gap = !out.is_empty();
        } else {
            if gap {
                out.push(' ');
                gap = false;
            }
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(fold(text), expected);
    }

    #[test]
    fn case_and_accents_do_not_count() {
        check("Müller", "muller");
        check("MULLER", "muller");
        check("Ângström", "angstrom");
        check("José", "jose");
        check("Jose\u{301}", "jose");
        check("İstanbul", "istanbul");
    }

    #[test]
    fn compatible_forms_are_one() {
        check("ﬁne", "fine");
        check("Ｔｏｋｙｏ", "tokyo");
        check("H₂O", "h2o");
    }

    #[test]
    fn spacing_is_single() {
        check("  a \t b\n", "a b");
        check("a\u{a0}\u{a0}b", "a b");
        check(" ", "");
        check("", "");
    }

    #[test]
    fn what_is_folded_already_is_borrowed() {
        assert!(matches!(fold("smith and co"), Cow::Borrowed(_)));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once.clone());
        }

        #[test]
        fn the_short_way_agrees_with_the_long(text in "[ -~\t\n]{0,20}") {
            let mut long = String::new();
            let lower = text.nfkd().flat_map(char::to_lowercase);
            collapse(&mut long, lower);
            prop_assert_eq!(fold(&text).into_owned(), long);
        }
    }
}
