//! What the key of a reference or a date tells about the record that has it.

use salus_store::{Filter, Param, Row, Test, Value};

use super::SPANS_MAX;

/// What the value of such a key tells about the record's codes: format 1 in
/// the first byte, then a byte of the hash of each parameter and code. A
/// patient's records with a certain code, or the latest ones with it, are found
/// without reading the rows of all the others.
pub(crate) struct Hints;

impl Hints {
    const FORMAT: u8 = 1;

    /// More codes than these are not told of.
    const CODES_MAX: usize = 40;

    pub(crate) fn of_rows(rows: &[Row]) -> Vec<u8> {
        let codes = rows.iter().filter_map(|row| match &row.value {
            Value::Token { code, .. } => Some(Self::hash(row.param, code)),
            Value::String { .. }
            | Value::Date { .. }
            | Value::Number(_)
            | Value::Quantity { .. }
            | Value::Reference { .. }
            | Value::Uri(_)
            | Value::Composite(_)
            | Value::Words(_)
            | Value::Passage(_)
            | Value::Place(_) => None,
        });
        let mut hints: Vec<u8> = codes.collect();
        hints.sort_unstable();
        hints.dedup();
        if hints.len() > Self::CODES_MAX {
            return Vec::new();
        }
        hints.insert(0, Self::FORMAT);
        hints
    }

    /// What a condition wants to see: one of these in each list, if it is about codes.
    pub(crate) fn wanted(filter: &Filter) -> Option<Vec<u8>> {
        match filter {
            Filter::Value(
                param,
                Test::Token {
                    code: Some(code), ..
                },
            ) => Some(vec![Self::hash(*param, code)]),
            // With many more, one of them is in any list.
            Filter::Value(param, Test::Tokens(tokens)) if tokens.len() <= SPANS_MAX => {
                let codes = tokens.iter();
                Some(codes.map(|(code, _)| Self::hash(*param, code)).collect())
            }
            Filter::Any(filters) => {
                let wanted = filters.iter().map(Self::wanted);
                let wanted: Vec<_> = wanted.collect::<Option<_>>()?;
                Some(wanted.concat())
            }
            Filter::Everything
            | Filter::Nothing
            | Filter::All(_)
            | Filter::Not(_)
            | Filter::Value(..)
            | Filter::Ids(_)
            | Filter::Updated(..)
            | Filter::Refers { .. }
            | Filter::Referred { .. } => None,
        }
    }

    /// Whether a record with these hints may satisfy all conditions.
    pub(crate) fn may_match(hints: &[u8], wanted: &[Vec<u8>]) -> bool {
        match hints.split_first() {
            Some((&Self::FORMAT, hints)) => wanted
                .iter()
                .all(|any| any.iter().any(|one| hints.contains(one))),
            _ => true,
        }
    }

    /// One byte of FNV-1a, folded: a wrong guess costs a row that is read in vain.
    fn hash(param: Param, code: &str) -> u8 {
        let bytes = param.0.to_be_bytes();
        let bytes = bytes.iter().chain(code.as_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash ^ (hash >> 32) ^ (hash >> 16)) as u8
    }
}
