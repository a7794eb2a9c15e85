//! SipHash-2-4 with a key of the store: <https://www.aumasson.jp/siphash/siphash.pdf>.
//!
//! Index keys hold hashes of long texts (systems of codes). Nobody who does
//! not know the store's key can make two texts meet in one hash, so an equal
//! hash is taken for an equal text. Part of the stored format.

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

/// FNV-1a (64 bits), for sums that a check compares: not for what somebody could choose.
pub(crate) fn quick<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    bytes.into_iter().fold(start, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
}
