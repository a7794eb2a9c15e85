//! Finds names in lists: open addressing over 16-bit positions.
//!
//! The lists never change and are many and small, so one slice of slots each
//! takes a fraction of what a `HashMap` would.

/// Slots that hold positions in a list of at most [`ENTRIES_MAX`] names.
pub(super) struct Index {
    slots: Box<[u16]>,
}

/// More entries than this are not indexed.
pub(super) const ENTRIES_MAX: usize = EMPTY as usize;

const EMPTY: u16 = u16::MAX;

impl Index {
    /// Indexes names by their positions; equal names keep the order in which
    /// they come.
    pub(super) fn new<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Index {
        let capacity = (names.len() * 2).next_power_of_two().max(2);
        let mut slots = vec![EMPTY; capacity].into_boxed_slice();
        let mask = capacity - 1;
        for (position, name) in names.enumerate().take(ENTRIES_MAX) {
            let mut at = hash(name) as usize & mask;
            while slots.get(at).is_some_and(|slot| *slot != EMPTY) {
                at = (at + 1) & mask;
            }
            if let (Some(slot), Ok(position)) = (slots.get_mut(at), u16::try_from(position)) {
                *slot = position;
            }
        }
        Index { slots }
    }

    /// The first position whose entry `is` the one of that name.
    pub(super) fn find(&self, name: &str, mut is: impl FnMut(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash(name) as usize & mask;
        loop {
            let position = *self.slots.get(at)?;
            if position == EMPTY {
                return None;
            }
            if is(usize::from(position)) {
                return Some(usize::from(position));
            }
            at = (at + 1) & mask;
        }
    }
}

/// Mixes the first and the last eight bytes and the length: names in FHIR
/// differ there, and slots are compared with the whole name anyway.
fn hash(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        (_, _) => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u64::from(u32::from_le_bytes(*first)),
                u64::from(u32::from_le_bytes(*last)),
            ),
            (_, _) => (bytes.iter().fold(0, |all, b| all << 8 | u64::from(*b)), 0),
        },
    };
    let mixed = (first ^ (bytes.len() as u64))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(29)
        .wrapping_add(last)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[track_caller]
    fn check(names: &[&str], name: &str, expect: Option<usize>) {
        let index = Index::new(names.iter().copied());
        assert_eq!(index.find(name, |at| names[at] == name), expect);
    }

    #[test]
    fn finds_each_name_and_no_other() {
        let names = ["", "a", "ab", "abc", "abcd", "abcdefgh", "valueQuantity"];
        for (at, name) in names.iter().enumerate() {
            check(&names, name, Some(at));
        }
        check(&names, "valueQuantitx", None);
        check(&[], "a", None);
    }

    #[test]
    fn the_first_of_equal_names_is_found_first() {
        check(&["b", "a", "a"], "a", Some(1));
    }
}
