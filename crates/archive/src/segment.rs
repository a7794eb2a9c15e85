//! A segment: whole batches of a store's log, one after the other, sealed. Format 1, a stored
//! format:
//!
//! | bytes | |
//! |---|---|
//! | 176 | head, see `header.rs` |
//! | frames | each its length in 4 bytes, and so many bytes of sealed text |
//! | 32 | SHA-256 of all before: the hash of the segment |
//!
//! The batches (`batch.rs`), one behind the other, are cut into pieces of 1 MiB, the last one the
//! rest. A frame holds a piece: 1 byte for its form, 0 as it is, 1 compressed with zstd; and the
//! piece. The last frame holds the footer as it is: format in 1 byte (1); how many batches,
//! versions, audit entries and purges in 8 each; the chain of changes in 32; slots of the
//! keyring in 4; the frontier of the hash tree over all audit entries up to here.
//!
//! Authenticated with each frame are a word, the whole head, the frame's number (4), and whether
//! it is the last (1).

mod open;
mod seal;

use salus_crypto::merkle::Frontier;

pub(crate) use self::open::Opening;
pub use self::open::read_whole;
pub(crate) use self::seal::room;
pub use self::seal::{Segment, Start};
use crate::Header;

/// Bytes in a piece.
pub(crate) const PIECE_BYTES: usize = 1 << 20;
const HASH_LEN: usize = 32;
const LENGTH_LEN: usize = 4;
const FORMAT: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const WORD: &[u8] = b"salus segment";

/// What a segment says of itself at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// Batches in it.
    pub batches: u64,
    /// Versions in it.
    pub versions: u64,
    /// Audit entries in it.
    pub audit: u64,
    /// Purges in it.
    pub purges: u64,
    /// The chain of changes up to its end.
    pub chain: [u8; 32],
    /// How many slots of the keyring may be named up to its end.
    pub key_slots: u32,
    /// The hash tree over all audit entries up to its end.
    pub frontier: Frontier,
}

impl Footer {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for count in [self.batches, self.versions, self.audit, self.purges] {
            bytes.extend_from_slice(&count.to_be_bytes());
        }
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.key_slots.to_be_bytes());
        bytes.extend_from_slice(&self.frontier.to_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let ([FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (batches, rest) = rest.split_first_chunk()?;
        let (versions, rest) = rest.split_first_chunk()?;
        let (audit, rest) = rest.split_first_chunk()?;
        let (purges, rest) = rest.split_first_chunk()?;
        let (chain, rest) = rest.split_first_chunk()?;
        let (key_slots, rest) = rest.split_first_chunk()?;
        Some(Self {
            batches: u64::from_be_bytes(*batches),
            versions: u64::from_be_bytes(*versions),
            audit: u64::from_be_bytes(*audit),
            purges: u64::from_be_bytes(*purges),
            chain: *chain,
            key_slots: u32::from_be_bytes(*key_slots),
            frontier: Frontier::from_bytes(rest)?,
        })
    }
}

/// What is authenticated with a frame.
fn about(header: &Header, number: u32, last: bool) -> Vec<u8> {
    let mut about = WORD.to_vec();
    about.extend_from_slice(&header.to_bytes());
    about.extend_from_slice(&number.to_be_bytes());
    about.push(u8::from(last));
    about
}

#[cfg(test)]
mod tests;
