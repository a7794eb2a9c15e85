//! SipHash-2-4 with a key of the store: <https://www.aumasson.jp/siphash/siphash.pdf>.
//!
//! Index keys hold hashes of long texts (systems of codes). Nobody who does
//! not know the store's key can make two texts meet in one hash, so an equal
//! hash is taken for an equal text. Part of the stored format.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A keyed hash of bytes.
#[derive(Clone, Copy)]
pub(crate) struct SipHash {
    key: [u64; 2],
}

impl SipHash {
    /// From sixteen secret bytes.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let (low, high) = key.split_at(8);
        Self {
            key: [word(low), word(high)],
        }
    }

    /// The hash of some bytes.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let [low, high] = self.key;
        let mut state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = bytes.as_chunks::<8>();
        for bytes in words {
            compress(&mut state, u64::from_le_bytes(*bytes));
        }
        let length = (bytes.len() as u64 & 0xFF) << 56;
        compress(&mut state, length | word(rest));
        state[2] ^= 0xFF;
        for _ in 0..4 {
            round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

/// A hash for sums that a check compares, in no stored format: not for what somebody could choose.
pub(crate) fn quick(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, bytes| {
        quick_with(hash, u64::from_le_bytes(*bytes))
    });
    quick_with(hash, word(rest))
}

/// The same of one number more: a product of twice the width, folded.
pub(crate) fn quick_with(hash: u64, word: u64) -> u64 {
    let mixed = hash.rotate_left(23) ^ word ^ 0xa076_1d64_78bd_642f;
    let product = u128::from(mixed) * 0xe703_7ed1_a0b4_28db;
    product as u64 ^ (product >> 64) as u64
}

/// What is known by seqs, which nobody chooses.
pub(crate) type BySeq<T> = HashMap<u64, T, BuildHasherDefault<OfSeq>>;

/// Spreads a seq over a table.
#[derive(Default)]
pub(crate) struct OfSeq(u64);

impl Hasher for OfSeq {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = quick(bytes);
    }

    fn write_u64(&mut self, seq: u64) {
        // Odd, so that seqs in a row lie in places of their own.
        self.0 = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

fn compress(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

fn round(state: &mut [u64; 4]) {
    let [a, b, c, d] = state;
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

/// Up to eight bytes as a number, the first the least.
fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_paper_come_out() {
        let key = std::array::from_fn(|i| i as u8);
        let sip = SipHash::new(&key);
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(sip.hash(&input), 0xa129_ca61_49be_45e5);
        assert_eq!(sip.hash(&[]), 0x726f_db47_dd0e_0e31);
    }

    #[test]
    fn a_byte_anywhere_changes_the_quick_hash() {
        for length in 1..40 {
            let bytes = vec![0; length];
            let mut all = vec![quick(&bytes), quick(&bytes[1..])];
            for at in 0..length {
                let mut other = bytes.clone();
                other[at] = 1;
                all.push(quick(&other));
            }
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{length} bytes");
        }
    }
}
