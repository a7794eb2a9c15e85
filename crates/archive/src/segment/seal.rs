//! Making a segment of batches.

use bytes::Bytes;
use salus_crypto::merkle::Frontier;
use salus_crypto::{random, sha256};
use salus_store::{LogBatch, LogPart};

use super::{Footer, HASH_LEN, LENGTH_LEN, PIECE_BYTES, PLAIN, ZSTD, about};
use crate::header::LEN;
use crate::{Error, Form, Header, Keys, SegmentName, batch};

/// Fast, and good enough for what is not sealed already.
const LEVEL: i32 = 1;

/// Where a segment stands, before it is known what is in it.
#[derive(Clone, Debug)]
pub struct Start {
    /// How it comes to be.
    pub form: Form,
    /// Its number, or those of the first and the last that are merged.
    pub numbers: (u64, u64),
    /// The hash of the segment before it.
    pub before: [u8; 32],
    /// The hash tree over all audit entries before it.
    pub frontier: Frontier,
    /// How many slots of the keyring may be named in it and before.
    pub key_slots: u32,
    /// Now, in milliseconds since 1970 UTC.
    pub made_ms: i64,
}

/// A segment, sealed.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The name of its object.
    pub name: SegmentName,
    /// Its head.
    pub header: Header,
    /// What it says at its end.
    pub footer: Footer,
    /// All of it.
    pub bytes: Bytes,
    /// Its hash, which the next one names.
    pub hash: [u8; 32],
}

impl Segment {
    /// Seals batches, at least one, that follow each other; nothing is there if there are none.
    ///
    /// # Errors
    /// [`Error::TooLong`], or when there is no randomness.
    pub fn seal(keys: &Keys, start: Start, batches: &[LogBatch]) -> Result<Option<Self>, Error> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Ok(None);
        };
        let mut plain = Vec::with_capacity(batches.iter().map(room).sum());
        for one in batches {
            batch::put(one, &mut plain).ok_or(Error::TooLong(one.first))?;
        }
        let times = batches.iter().map(|batch| batch.time_ms);
        let header = Header {
            form: start.form,
            store: keys.store(),
            numbers: start.numbers,
            seqs: (first.first, last.last),
            times_ms: (times.clone().min().unwrap_or(0), times.max().unwrap_or(0)),
            made_ms: start.made_ms,
            before: start.before,
            frames: 0,
            salt: random::bytes()?,
        };
        let footer = footer(start.frontier, start.key_slots, batches);
        Self::seal_plain(keys, header, &plain, footer).map(Some)
    }

    /// Seals batches as they stand in a segment. How many frames they take is filled in.
    pub(crate) fn seal_plain(
        keys: &Keys,
        mut header: Header,
        plain: &[u8],
        footer: Footer,
    ) -> Result<Self, Error> {
        let pieces = plain.len().div_ceil(PIECE_BYTES);
        let too_long = |_| Error::TooLong(header.seqs.0);
        header.frames = u32::try_from(pieces + 1).map_err(too_long)?;
        let mut bytes = sealed(keys, &header, plain, &footer)?;
        let hash = sha256(&bytes);
        bytes.extend_from_slice(&hash);
        Ok(Self {
            name: header.name(),
            header,
            footer,
            bytes: bytes.into(),
            hash,
        })
    }
}

impl Header {
    /// The name of its object.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        SegmentName {
            first: (self.numbers.0, self.seqs.0),
            last: match self.form {
                Form::Shipped | Form::Base(_) => None,
                Form::Merged(_) => Some((self.numbers.1, self.seqs.1)),
            },
        }
    }
}

/// About how long a batch is.
pub(crate) fn room(batch: &LogBatch) -> usize {
    let part = |part: &LogPart| match part {
        LogPart::Version(bytes) => 5 + bytes.len(),
        LogPart::Audit { entry, about, .. } => 41 + entry.len() + 41 * about.len(),
        LogPart::Purged(_) => 50,
    };
    72 + batch.parts.iter().map(part).sum::<usize>()
}

fn footer(frontier: Frontier, key_slots: u32, batches: &[LogBatch]) -> Footer {
    let mut footer = Footer {
        key_slots,
        frontier,
        ..Footer::default()
    };
    batches.iter().for_each(|batch| footer.count(batch));
    footer
}

impl Footer {
    /// Adds a batch.
    pub(crate) fn count(&mut self, batch: &LogBatch) {
        self.batches += 1;
        self.chain = batch.chain;
        for part in &batch.parts {
            match part {
                LogPart::Version(_) => self.versions += 1,
                LogPart::Audit { leaf, .. } => {
                    self.audit += 1;
                    self.frontier.append(*leaf);
                }
                LogPart::Purged(_) => self.purges += 1,
            }
        }
    }
}

fn sealed(keys: &Keys, header: &Header, plain: &[u8], footer: &Footer) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(LEN + plain.len() + plain.len() / 1024 + HASH_LEN + 4096);
    out.extend_from_slice(&header.to_bytes());
    let mut frame = |number: u32, last: bool, piece: &[u8]| {
        let at = out.len();
        out.extend_from_slice(&[0; LENGTH_LEN]);
        keys.seal(&about(header, number, last), piece, &mut out)?;
        // A frame is little more than 1 MiB.
        let length = (out.len() - at - LENGTH_LEN) as u32;
        out[at..at + LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
        Ok::<(), Error>(())
    };
    let mut number = 0;
    for piece in plain.chunks(PIECE_BYTES) {
        frame(number, false, &packed(piece))?;
        number += 1;
    }
    frame(number, true, &footer.to_bytes())?;
    Ok(out)
}

/// A piece with its form before it: compressed if that makes it shorter by a sixteenth.
fn packed(piece: &[u8]) -> Vec<u8> {
    if let Ok(compressed) = zstd::bulk::compress(piece, LEVEL)
        && compressed.len() < piece.len() - piece.len() / 16
    {
        return [&[ZSTD], &compressed[..]].concat();
    }
    [&[PLAIN], piece].concat()
}
