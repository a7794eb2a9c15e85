//! Ranks in keys: which keys of the index hold values that sort alike.
//!
//! Entries of one rank lie side by side, whatever else of their values and
//! records the keys hold behind it. [`Lie`] says in what order.

use salus_store::{ValueRef, ordered};

use super::values::{put_number, put_reference_id, put_text};
use super::{DATE, Index, NUMBER, QUANTITY, REFERENCE, STRING, TOKEN, URI};
use crate::keys;

/// An id in the key of a reference may be cut if it is so long.
const ID_MIN: usize = 64;

/// Where in a key the rank of its value ends.
pub(crate) struct Rank {
    pub(crate) end: usize,
    pub(crate) lie: Lie,
}

/// How entries of one rank lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// In the order of their seqs.
    BySeq,
    /// So for each system of the code.
    BySystem,
    /// By the main dates of records.
    ByDate,
    /// The key has only the beginning of the value: the rows decide.
    Cut,
}

impl Index {
    /// The rank of a key of which the parameter takes so many bytes; `None`
    /// if such values are not sorted along the index.
    pub(crate) fn rank(&self, key: &[u8], start: usize) -> Option<Rank> {
        let value = key.get(start..key.len().checked_sub(keys::SEQ_LEN)?)?;
        let (tag, rest) = value.split_first()?;
        let all = value.len();
        let (end, lie) = match *tag {
            TOKEN => match text_end(rest) {
                Some(end) => (1 + end, Lie::BySystem),
                None => (cut_end(rest)? + 1, Lie::Cut),
            },
            STRING | URI => match text_end(rest) {
                Some(_) => (all, Lie::BySeq),
                None => (all, Lie::Cut),
            },
            DATE => (all, Lie::BySeq),
            NUMBER | QUANTITY => match ordered::Decimal::length(rest) == Some(rest.len()) {
                true => (all, Lie::BySeq),
                false => (all, Lie::Cut),
            },
            REFERENCE => {
                let mut behind = rest;
                let id = ordered::take_id(&mut behind)?;
                let end = all.checked_sub(behind.len())?;
                match id.len() < ID_MIN {
                    true => (end + 4, Lie::ByDate),
                    false => (end, Lie::Cut),
                }
            }
            _ => return None,
        };
        let end = start + end;
        (end + keys::SEQ_LEN <= key.len()).then_some(Rank { end, lie })
    }

    /// Adds what the keys of all values begin with that have the rank of this one.
    pub(crate) fn put_rank(&self, key: &mut Vec<u8>, value: ValueRef<'_>) {
        match value {
            ValueRef::Token { code, .. } => {
                key.push(TOKEN);
                put_text(key, code);
            }
            ValueRef::Quantity { value, .. } => {
                key.push(QUANTITY);
                put_number(key, value);
            }
            ValueRef::Reference { kind, id } => {
                key.push(REFERENCE);
                put_reference_id(key, id);
                if id.len() < ID_MIN {
                    ordered::put_u32(key, kind.0);
                }
            }
            ValueRef::String { .. }
            | ValueRef::Date { .. }
            | ValueRef::Number(_)
            | ValueRef::Uri(_)
            | ValueRef::Composite(_)
            | ValueRef::Words(_)
            | ValueRef::Passage(_)
            | ValueRef::Place(_) => self.put_value(key, value, None),
        }
    }
}

/// Where a text ends that is whole.
fn text_end(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    ordered::take_text(&mut rest)?;
    Some(bytes.len() - rest.len())
}

/// Where a text ends that was cut.
fn cut_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == 0).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use salus_store::Kind;

    use super::*;
    use crate::hash::SipHash;

    #[track_caller]
    fn check(value: ValueRef<'_>, lie: Lie) {
        let index = Index::new(SipHash::new(&[7; 16]));
        let start = b"before".to_vec();
        let mut key = start.clone();
        index.put_value(&mut key, value, Some(5));
        ordered::put_u64(&mut key, 9);
        let rank = index.rank(&key, start.len()).unwrap();
        let mut expected = start.clone();
        index.put_rank(&mut expected, value);
        assert_eq!(rank.lie, lie);
        assert_eq!(key[..rank.end], expected);
    }

    #[test]
    fn the_rank_of_a_key_is_that_of_its_value() {
        let long = "x".repeat(100);
        let system = "s";
        for code in ["", "a", "a\0", "a\u{1}"] {
            check(ValueRef::Token { code, system }, Lie::BySystem);
        }
        check(
            ValueRef::Token {
                code: &long,
                system,
            },
            Lie::Cut,
        );
        let string = |folded| ValueRef::String { folded, exact: "" };
        check(string("smith"), Lie::BySeq);
        check(string(&long), Lie::Cut);
        check(ValueRef::Uri("urn:x"), Lie::BySeq);
        let (from_ms, to_ms) = (1, 2);
        check(ValueRef::Date { from_ms, to_ms }, Lie::BySeq);
        for (text, lie) in [("-1.5", Lie::BySeq), (&"7".repeat(99), Lie::Cut)] {
            let number = ordered::Decimal::parse(text).unwrap();
            check(ValueRef::Number(number.as_bytes()), lie);
            let (value, code) = (number.as_bytes(), "kg");
            check(
                ValueRef::Quantity {
                    value,
                    code,
                    system,
                },
                lie,
            );
        }
        let uuid = "7d444840-9dc0-11d1-b245-5ffdce74fad2";
        for id in ["1", uuid, ""] {
            check(ValueRef::Reference { kind: Kind(7), id }, Lie::ByDate);
        }
        let (kind, id) = (Kind(7), &*long);
        check(ValueRef::Reference { kind, id }, Lie::Cut);
    }
}
