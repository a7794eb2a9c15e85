//! The head of a segment: which part of whose log it is. Readable without a key, and
//! authenticated with each frame behind it. Format 1, a stored format, 176 bytes:
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | `salusarc` |
//! | 8 | format, 1 |
//! | 9 | form: 1 as it was shipped, 2 merged from several, 3 of a base |
//! | 10..16 | zero |
//! | 16..32 | id of the store |
//! | 32..40 | number, from 1, in its base if it is of one; of a merged one, that of the first that is in it |
//! | 40..48 | number of the last that is in it |
//! | 48..56 | first seq |
//! | 56..64 | last seq |
//! | 64..72 | earliest time of a batch, in milliseconds since 1970 UTC |
//! | 72..80 | latest time of a batch |
//! | 80..88 | when it was made |
//! | 88..120 | hash of the segment before: zero for number 1 |
//! | 120..152 | of a merged one, hash of the last that is in it; of one of a base, that of the segment at whose end the base ends; else zero |
//! | 152..156 | frames behind the head |
//! | 156..160 | zero |
//! | 160..176 | salt, new for each |

use salus_store::Seq;

/// Bytes of a head.
pub(crate) const LEN: usize = 176;

const MAGIC: &[u8; 8] = b"salusarc";
const FORMAT: u8 = 1;

/// How a segment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it was shipped.
    Shipped,
    /// Merged from several; the hash of the last of them, which the next segment names.
    Merged([u8; 32]),
    /// Read anew from the store, for a base; the hash of the segment at whose end that ends.
    Base([u8; 32]),
}

/// The head of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it came to be.
    pub form: Form,
    /// The store whose log it is.
    pub store: [u8; 16],
    /// Its number, or those of the first and the last that were merged.
    pub numbers: (u64, u64),
    /// The first and the last seq in it.
    pub seqs: (Seq, Seq),
    /// The earliest and the latest time of a batch, in milliseconds since 1970 UTC.
    pub times_ms: (i64, i64),
    /// When it was made, in the same unit.
    pub made_ms: i64,
    /// The hash of the segment before it.
    pub before: [u8; 32],
    /// Frames behind it, the footer's included.
    pub frames: u32,
    /// New for each segment.
    pub salt: [u8; 16],
}

impl Header {
    /// Its stored form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let (form, closes) = match self.form {
            Form::Shipped => (1, [0; 32]),
            Form::Merged(closes) => (2, closes),
            Form::Base(ends) => (3, ends),
        };
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = FORMAT;
        bytes[9] = form;
        bytes[16..32].copy_from_slice(&self.store);
        bytes[32..40].copy_from_slice(&self.numbers.0.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.numbers.1.to_be_bytes());
        bytes[48..56].copy_from_slice(&self.seqs.0.0.to_be_bytes());
        bytes[56..64].copy_from_slice(&self.seqs.1.0.to_be_bytes());
        bytes[64..72].copy_from_slice(&self.times_ms.0.to_be_bytes());
        bytes[72..80].copy_from_slice(&self.times_ms.1.to_be_bytes());
        bytes[80..88].copy_from_slice(&self.made_ms.to_be_bytes());
        bytes[88..120].copy_from_slice(&self.before);
        bytes[120..152].copy_from_slice(&closes);
        bytes[152..156].copy_from_slice(&self.frames.to_be_bytes());
        bytes[160..].copy_from_slice(&self.salt);
        bytes
    }

    /// Reads the head at the start of some bytes, or says what is wrong with it.
    ///
    /// # Errors
    /// A few words about it.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; LEN] = bytes.first_chunk().ok_or("it ends within its head")?;
        if &bytes[..8] != MAGIC {
            return Err("it is no segment");
        }
        if bytes[8] != FORMAT {
            return Err("it has a format that this version does not know");
        }
        let closes = part(bytes, 120);
        let header = Self {
            form: match (bytes[9], closes == [0; 32]) {
                (1, true) => Form::Shipped,
                (2, _) => Form::Merged(closes),
                (3, _) => Form::Base(closes),
                _ => return Err("its head says what cannot be"),
            },
            store: part(bytes, 16),
            numbers: (number(bytes, 32), number(bytes, 40)),
            seqs: (Seq(number(bytes, 48)), Seq(number(bytes, 56))),
            times_ms: (number(bytes, 64) as i64, number(bytes, 72) as i64),
            made_ms: number(bytes, 80) as i64,
            before: part(bytes, 88),
            frames: u32::from_be_bytes(part(bytes, 152)),
            salt: part(bytes, 160),
        };
        let possible = header.is_possible() && header.to_bytes() == *bytes;
        possible
            .then_some(header)
            .ok_or("its head says what cannot be")
    }

    fn is_possible(&self) -> bool {
        let (first, last) = self.numbers;
        let alone = !matches!(self.form, Form::Merged(_));
        first >= 1
            && (if alone { first == last } else { first < last })
            && self.seqs.0.0 >= 1
            && self.seqs.0 <= self.seqs.1
            && self.times_ms.0 <= self.times_ms.1
            // Something, and the footer.
            && self.frames >= 2
    }
}

fn number(bytes: &[u8; LEN], at: usize) -> u64 {
    u64::from_be_bytes(part(bytes, at))
}

fn part<const N: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            form: Form::Shipped,
            store: [1; 16],
            numbers: (3, 3),
            seqs: (Seq(10), Seq(12)),
            times_ms: (-5, 7),
            made_ms: 8,
            before: [2; 32],
            frames: 2,
            salt: [3; 16],
        }
    }

    #[test]
    fn heads_read_back() {
        let merged = Header {
            form: Form::Merged([9; 32]),
            numbers: (3, 5),
            ..header()
        };
        let of_base = Header {
            form: Form::Base([9; 32]),
            ..header()
        };
        for header in [header(), merged, of_base] {
            let mut bytes = header.to_bytes().to_vec();
            bytes.extend_from_slice(b"frames");
            assert_eq!(Header::read(&bytes), Ok(header));
            assert!(Header::read(&bytes[..LEN - 1]).is_err());
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |change: fn(&mut Header)| {
            let mut header = header();
            change(&mut header);
            assert!(Header::read(&header.to_bytes()).is_err());
        };
        refused(|header| header.numbers = (0, 0));
        refused(|header| header.numbers = (3, 4));
        refused(|header| header.seqs = (Seq(2), Seq(1)));
        refused(|header| header.times_ms = (2, 1));
        refused(|header| header.frames = 1);
        refused(|header| header.form = Form::Merged([1; 32]));
        for at in [0, 8, 9, 10, 156] {
            let mut bytes = header().to_bytes();
            bytes[at] ^= 1;
            assert!(Header::read(&bytes).is_err(), "byte {at}");
        }
    }
}
