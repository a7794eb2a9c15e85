//! Whether two JSON values are equal: RFC 6902, 4.6.

use crate::json::{Kind, Node};
use std::collections::HashMap;

/// Members in any order, numbers by their value, strings by their characters.
pub(crate) fn equal(one: Node<'_>, other: Node<'_>) -> bool {
    if one.kind() != other.kind() {
        return false;
    }
    match one.kind() {
        Kind::Null => true,
        Kind::Bool => one.raw() == other.raw(),
        Kind::String => one.str() == other.str(),
        Kind::Number => same_number(one.raw(), other.raw()),
        Kind::Array => {
            let (mut ones, mut others) = (one.children(), other.children());
            loop {
                match (ones.next(), others.next()) {
                    (Some(one), Some(other)) if equal(one, other) => {}
                    (None, None) => return true,
                    _ => return false,
                }
            }
        }
        Kind::Object => {
            let others: HashMap<_, _> = other.children().map(|node| (node.key(), node)).collect();
            let mut members = 0;
            one.children().all(|node| {
                members += 1;
                others
                    .get(&node.key())
                    .is_some_and(|other| equal(node, *other))
            }) && members == others.len()
        }
    }
}

/// Compares what was written, since no type of number holds all of them.
fn same_number(one: &str, other: &str) -> bool {
    one == other || matches!((parts(one), parts(other)), (Some(one), Some(other)) if one == other)
}

/// Sign, digits without zeros at their ends, and the power of ten of the last.
fn parts(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix('-');
    let (whole, fraction) = {
        let digits = unsigned.unwrap_or(mantissa);
        digits.split_once('.').unwrap_or((digits, ""))
    };
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let behind_point = i64::try_from(fraction.len()).ok()?;
    let significant = kept.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent.checked_sub(behind_point)?.checked_add(dropped)?;
    Some((unsigned.is_some(), significant.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Limits};

    #[track_caller]
    fn check(one: &str, other: &str, expect: bool) {
        let parse = |text: &str| Document::parse(text.into(), &Limits::default()).unwrap();
        let (one, other) = (parse(one), parse(other));
        assert_eq!(equal(one.root(), other.root()), expect);
        assert_eq!(equal(other.root(), one.root()), expect);
    }

    #[test]
    fn numbers_are_equal_by_value() {
        check("1", "1.0", true);
        check("-0", "0e5", true);
        check("1.50", "15e-1", true);
        check("100", "1e2", true);
        check("0.001", "1E-3", true);
        check("1", "-1", false);
        check("1.5", "1.50001", false);
        check("1e99999999999999999999", "1e99999999999999999998", false);
        check("10", "\"10\"", false);
    }

    #[test]
    fn members_have_no_order_and_items_have() {
        check(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,2],"a":1.0}"#, true);
        check(r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false);
        check("[1,2]", "[2,1]", false);
        check("[1]", "[1,2]", false);
        check(r#""\u0061""#, r#""a""#, true);
        check("{}", "[]", false);
        check("null", "false", false);
    }
}
