//! Tests of numbers and quantities on ranges, after
//! <https://hl7.org/fhir/R4/search.html#prefix>: how a range in a resource lies
//! to what is asked for. A range includes its ends.
//!
//! Where the values lie is said at [`crate::fhir::rows::range_param`].

use salus_store::{Comparison, Filter, Param, Test};

/// A filter for values that pass, in `param`, and ranges that do, in `ranges`.
/// Tests of other values have no ranges.
pub(super) fn with_ranges(param: Param, ranges: Param, test: Test) -> Filter {
    let Some(tests) = of_both_ends(&test) else {
        return Filter::Value(param, test);
    };
    let passes = tests.into_iter().map(|test| Filter::Value(ranges, test));
    let no_range = Filter::Not(Filter::Value(ranges, Test::Present).into());
    let number = Filter::Value(param, test.clone());
    if comparison(&test) == Some(Comparison::Overlaps) {
        // A range may be about a number without an end that is.
        let number = Filter::All(vec![number, no_range]);
        return Filter::Any([number].into_iter().chain(passes).collect());
    }
    // No range passes without an end that does: the search begins at numbers.
    let range = Filter::Any([no_range].into_iter().chain(passes).collect());
    Filter::All(vec![number, range])
}

/// The tests of the lower and the upper end, of which a range passes one.
fn of_both_ends(test: &Test) -> Option<Vec<Test>> {
    use Comparison as C;
    if let Test::Other(test) = test {
        let tests = of_both_ends(test)?.into_iter();
        return Some(tests.map(|test| Test::Other(test.into())).collect());
    }
    let with = |comparison| with(test, comparison);
    let both = |low, high| Test::Composite(vec![low, high]);
    let low = |comparison| Some(both(with(comparison)?, Test::Present));
    let high = |comparison| Some(both(Test::Present, with(comparison)?));
    Some(match comparison(test)? {
        C::Equal => vec![both(with(C::Equal)?, with(C::Equal)?)],
        C::NotEqual => vec![low(C::NotEqual)?, high(C::NotEqual)?],
        reach @ (C::Greater | C::GreaterOrEqual | C::Before) => vec![high(reach)?],
        reach @ (C::Less | C::LessOrEqual | C::After) => vec![low(reach)?],
        C::Overlaps => vec![both(with(C::LessOrEqual)?, with(C::GreaterOrEqual)?)],
    })
}

fn comparison(test: &Test) -> Option<Comparison> {
    if let Test::Number(comparison, ..) | Test::Quantity { comparison, .. } = test {
        return Some(*comparison);
    }
    None
}

/// The same test with another comparison.
fn with(test: &Test, other: Comparison) -> Option<Test> {
    let mut test = test.clone();
    if let Test::Number(comparison, ..) | Test::Quantity { comparison, .. } = &mut test {
        *comparison = other;
        return Some(test);
    }
    None
}
