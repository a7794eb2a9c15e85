//! Index keys: a value as bytes in the order of values, and a test as the
//! spans of keys that hold what passes it.
//!
//! Long values are cut, codes are followed by a hash of themselves and their
//! system, a reference by the main date of the record, a composite is its
//! components one behind the other, a place its number on a curve. [`Access::exact`] says whether a span
//! holds nothing that the test refuses; where it does not, the row of each
//! record decides.

mod codes;
mod hints;
mod places;
mod ranks;
mod spans;
mod values;

pub(crate) use hints::Hints;
pub(crate) use ranks::Lie;
pub(crate) use spans::{Access, KeyTest, SPANS_MAX, Span};
pub(crate) use values::{has_hints, main_date_bytes};

use crate::hash::SipHash;

/// The numbers of `Value`'s variants, as `ValueRef::put_key` uses them.
pub(crate) const TOKEN: u8 = 1;
const STRING: u8 = 2;
pub(crate) const DATE: u8 = 3;
const NUMBER: u8 = 4;
const QUANTITY: u8 = 5;
pub(crate) const REFERENCE: u8 = 6;
const URI: u8 = 7;
pub(crate) const COMPOSITE: u8 = 8;
pub(crate) const PLACE: u8 = 10;

/// Makes the index keys of a store.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    sip: SipHash,
}

impl Index {
    pub(crate) fn new(sip: SipHash) -> Self {
        Self { sip }
    }
}
