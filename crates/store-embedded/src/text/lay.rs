//! Laying the postings of a new batch.

use std::collections::HashMap;

use salus_store::{Kind, Param, Row, Scope, Value, Words, ordered};

use super::{FORMAT, Placed, of_term};
use crate::{hash, keys};

/// A block to be written, but for its place: the seqs of a batch follow each
/// other, and the first is not known yet.
pub(crate) struct Block {
    /// Eight bytes at its end are free for the seq.
    pub(crate) key: Vec<u8>,
    /// The place of the version that it begins with.
    pub(crate) first: u64,
    pub(crate) value: Vec<u8>,
}

/// The blocks of some versions: the place of each, in a batch or as a seq, and
/// its rows, in the order of places.
pub(crate) fn lay<'r>(
    scope: Scope,
    versions: impl Iterator<Item = (u64, Kind, &'r [Row])>,
) -> Vec<Block> {
    let mut blocks: HashMap<(Kind, Param, Box<str>), (Block, u64)> = HashMap::new();
    for (place, kind, rows) in versions {
        for (param, words) in texts(rows) {
            for posting in Words::postings(words.as_bytes()) {
                let placed = Placed::of(place, &posting);
                let of = (kind, param, posting.term);
                if let Some((block, last)) = blocks.get_mut(&of) {
                    placed.put(*last, &mut block.value);
                    *last = place;
                    continue;
                }
                let mut key = of_term((scope, kind, param), &of.2);
                ordered::put_u64(&mut key, 0);
                let mut block = Block {
                    key,
                    first: place,
                    value: vec![FORMAT],
                };
                placed.put(place, &mut block.value);
                blocks.insert(of, (block, place));
            }
        }
    }
    blocks.into_values().map(|(block, _)| block).collect()
}

/// The texts among rows.
pub(super) fn texts(rows: &[Row]) -> impl Iterator<Item = (Param, &Words)> {
    rows.iter().filter_map(|row| {
        if let Value::Words(words) = &row.value {
            Some((row.param, words))
        } else {
            None
        }
    })
}

/// The sum of the digests of all postings of a version.
pub(crate) fn digests(of: (Scope, Kind), seq: u64, rows: &[Row]) -> u64 {
    let digests = texts(rows).flat_map(|(param, words)| {
        let postings = Words::postings(words.as_bytes());
        let mut start = keys::of_param(keys::TEXT, of.0, of.1, param);
        let length = start.len();
        postings.into_iter().map(move |posting| {
            start.truncate(length);
            ordered::put_text(&mut start, &posting.term);
            Placed::of(seq, &posting).digest(hash::quick(&start))
        })
    });
    digests.fold(0, u64::wrapping_add)
}
