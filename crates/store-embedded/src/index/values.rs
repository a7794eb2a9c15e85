//! The keys of values.

use salus_store::{Kind, Param, Row, Scope, Value, ValueRef, ordered};

use super::{
    COMPOSITE, DATE, Index, NUMBER, PLACE, QUANTITY, REFERENCE, STRING, TOKEN, URI, places,
};
use crate::keys;

/// Text behind these bytes is not in the index.
const TEXT_MAX: usize = 72;
/// Bytes of a number behind these are not in the index.
const NUMBER_MAX: usize = 24;
/// Dates that last longer (32 days) have a second key, by their end.
pub(super) const LONG_MS: i64 = 32 * 86_400_000;

impl Index {
    /// Adds the keys of a row, eight bytes left free at the end of each for the seq.
    pub(crate) fn put_keys(
        &self,
        (scope, kind): (Scope, Kind),
        row: &Row,
        main_date_ms: Option<i64>,
        out: &mut Vec<Vec<u8>>,
    ) {
        if matches!(row.value, Value::Words(_) | Value::Passage(_)) {
            // The postings of texts are in blocks of their own.
            return;
        }
        if let Value::Date { from_ms, to_ms } = row.value
            && is_long(from_ms, to_ms)
        {
            out.push(long_key((scope, kind, row.param), from_ms, to_ms));
        }
        let mut key = keys::of_param(keys::INDEX, scope, kind, row.param);
        self.put_value(&mut key, row.value.borrow(), main_date_ms);
        ordered::put_u64(&mut key, 0);
        out.push(key);
    }

    /// Adds what stands for a value in its key. But for composites, references,
    /// places and the systems of tokens, its order is the order of values, as far as
    /// it goes.
    pub(crate) fn put_value(
        &self,
        key: &mut Vec<u8>,
        value: ValueRef<'_>,
        main_date_ms: Option<i64>,
    ) {
        match value {
            ValueRef::Token { system, code } => {
                key.push(TOKEN);
                self.put_code(key, code);
                ordered::put_u64(key, self.sip.hash(system.as_bytes()));
            }
            ValueRef::String { folded, .. } => {
                key.push(STRING);
                put_text(key, folded);
            }
            ValueRef::Date { from_ms, to_ms } => {
                key.push(DATE);
                ordered::put_i64(key, from_ms);
                ordered::put_i64(key, to_ms);
            }
            ValueRef::Number(value) => {
                key.push(NUMBER);
                put_number(key, value);
            }
            ValueRef::Quantity { value, .. } => {
                key.push(QUANTITY);
                put_number(key, value);
            }
            ValueRef::Reference { kind, id } => {
                key.push(REFERENCE);
                put_reference_id(key, id);
                ordered::put_u32(key, kind.0);
                ordered::put_i64(key, main_date_key(main_date_ms));
            }
            ValueRef::Uri(uri) => {
                key.push(URI);
                put_text(key, uri);
            }
            ValueRef::Composite(components) => {
                key.push(COMPOSITE);
                // Tests of two components do not meet keys of three.
                key.push(components.iter().count() as u8);
                for value in components.iter() {
                    self.put_value(key, value, None);
                }
            }
            ValueRef::Words(_) | ValueRef::Passage(_) => {}
            ValueRef::Place(place) => {
                key.push(PLACE);
                ordered::put_u64(key, places::on_curve(place));
            }
        }
    }

    /// A code, and a hash of it if it was cut.
    pub(super) fn put_code(&self, key: &mut Vec<u8>, code: &str) {
        if !put_text(key, code) {
            ordered::put_u64(key, self.sip.hash(code.as_bytes()));
        }
    }
}

pub(super) fn is_long(from_ms: i64, to_ms: i64) -> bool {
    to_ms.saturating_sub(from_ms) > LONG_MS
}

/// The least number is for those without a date.
fn main_date_key(main_date_ms: Option<i64>) -> i64 {
    main_date_ms.map_or(i64::MIN, |date| date.max(i64::MIN + 1))
}

/// Whether the value of a key of the index is [`super::Hints`].
pub(crate) fn has_hints(key: &[u8]) -> bool {
    let mut rest = key;
    key.first() == Some(&keys::INDEX)
        && keys::skip_param(&mut rest).is_some()
        && matches!(rest.first(), Some(&(REFERENCE | DATE)))
}

/// The main date as it stands in the keys of references.
pub(crate) fn main_date_bytes(main_date_ms: Option<i64>) -> [u8; 8] {
    (main_date_key(main_date_ms).cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn long_key(of: (Scope, Kind, Param), from_ms: i64, to_ms: i64) -> Vec<u8> {
    let mut key = keys::of_param(keys::LONG, of.0, of.1, of.2);
    ordered::put_i64(&mut key, to_ms);
    ordered::put_i64(&mut key, from_ms);
    ordered::put_u64(&mut key, 0);
    key
}

/// The part of a text that is in keys, and whether that is all of it.
pub(super) fn cut(text: &str) -> (&str, bool) {
    let end = text.floor_char_boundary(TEXT_MAX);
    (&text[..end], end == text.len())
}

/// What a text that was cut ends with: no text that was not has this in its key.
const CUT: [u8; 2] = [1, 0];

/// A text that ends itself; says whether it is whole.
pub(super) fn put_text(key: &mut Vec<u8>, text: &str) -> bool {
    let (start, whole) = cut(text);
    ordered::put_text_start(key, start);
    key.extend_from_slice(if whole { &[0] } else { &CUT });
    whole
}

pub(super) fn put_number(key: &mut Vec<u8>, number: &[u8]) {
    key.extend_from_slice(&number[..number.len().min(NUMBER_MAX)]);
}

pub(super) fn put_reference_id(key: &mut Vec<u8>, id: &str) {
    ordered::put_id(key, cut(id).0);
}
