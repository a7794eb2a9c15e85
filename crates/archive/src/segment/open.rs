//! Reading a segment back, piece by piece: what stands before a fault is given all the same.

use bytes::{Bytes, BytesMut};
use salus_crypto::merkle::Frontier;
use salus_crypto::{OVERHEAD, sha256};
use salus_store::{LogBatch, Seq};

use super::{Footer, HASH_LEN, LENGTH_LEN, PIECE_BYTES, PLAIN, ZSTD, about};
use crate::header::LEN;
use crate::{Form, Header, Keys, What, batch};

/// The longest sealed text of a frame, but for the last. Zstd is not used where it makes longer.
const SEALED_MAX: usize = 1 + PIECE_BYTES + OVERHEAD;

/// A segment that is being read.
pub(crate) struct Opening {
    header: Header,
    /// What was not read yet, the hash behind it included.
    rest: Bytes,
    hash: [u8; 32],
    bytes: u64,
    whole: bool,
    /// The frame to be read next.
    number: u32,
    /// The beginning of a batch that ends in a later frame.
    begun: BytesMut,
    /// What was read so far; its frontier counts if the one before is known.
    read: Footer,
    frontier_known: bool,
    last: Seq,
    times_ms: Option<(i64, i64)>,
}

impl Opening {
    /// Reads the head of a segment. The hash tree before it is compared if it is known.
    pub(crate) fn new(keys: &Keys, bytes: &Bytes, before: Option<Frontier>) -> Result<Self, What> {
        let header = Header::read(bytes).map_err(What::Damaged)?;
        if header.store != keys.store() {
            return Err(What::Foreign);
        }
        let Some(end) = bytes.len().checked_sub(HASH_LEN).filter(|end| *end >= LEN) else {
            return Err(What::Damaged("it ends too early"));
        };
        let hash = sha256(&bytes[..end]);
        Ok(Self {
            last: Seq(header.seqs.0.0.saturating_sub(1)),
            whole: bytes[end..] == hash,
            rest: bytes.slice(LEN..end),
            hash,
            bytes: bytes.len() as u64,
            number: 0,
            begun: BytesMut::new(),
            frontier_known: before.is_some(),
            read: Footer {
                frontier: before.unwrap_or_default(),
                ..Footer::default()
            },
            times_ms: None,
            header,
        })
    }

    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// What the next segment says of the one before it.
    pub(crate) fn closes(&self) -> [u8; 32] {
        match self.header.form {
            Form::Shipped | Form::Base(_) => self.hash,
            Form::Merged(closes) => closes,
        }
    }

    /// The batches that end in the next frame; `None` when all are read and the footer says so.
    pub(crate) fn next(&mut self, keys: &Keys) -> Result<Option<Vec<LogBatch>>, What> {
        self.step(keys).map_err(What::Damaged)
    }

    /// What it says at its end, when all was read.
    pub(crate) fn footer(&self) -> &Footer {
        &self.read
    }

    fn step(&mut self, keys: &Keys) -> Result<Option<Vec<LogBatch>>, &'static str> {
        let last = self.number + 1 >= self.header.frames;
        let frame = self.frame(keys, last)?;
        self.number += 1;
        if last {
            return self.end(&frame).map(|()| None);
        }
        let piece = unpacked(frame)?;
        self.begun.extend_from_slice(&piece);
        let mut batches = Vec::new();
        while let Some(batch) = self.take_batch()? {
            self.follow(&batch)?;
            batches.push(batch);
        }
        Ok(Some(batches))
    }

    fn frame(&mut self, keys: &Keys, last: bool) -> Result<Vec<u8>, &'static str> {
        const CUT: &str = "it ends within a frame";
        let (length, _) = self.rest.split_first_chunk::<LENGTH_LEN>().ok_or(CUT)?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > SEALED_MAX {
            return Err("a frame is too long");
        }
        if self.rest.len() < LENGTH_LEN + length {
            return Err(CUT);
        }
        let frame = self.rest.split_to(LENGTH_LEN + length);
        keys.open(
            &about(&self.header, self.number, last),
            &frame[LENGTH_LEN..],
        )
        .map_err(|_| "a frame is not the one that was sealed")
    }

    fn take_batch(&mut self) -> Result<Option<LogBatch>, &'static str> {
        let Some(length) = batch::length(&self.begun) else {
            return Ok(None);
        };
        let end = usize::try_from(length).ok();
        let end = end.and_then(|length| length.checked_add(batch::LENGTH_LEN));
        match end {
            Some(end) if end <= self.begun.len() => {
                let bytes = self.begun.split_to(end).freeze();
                let batch = batch::take(bytes.slice(batch::LENGTH_LEN..));
                batch.map(Some).ok_or("a batch is none")
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Counts a batch, which has to follow the one before.
    fn follow(&mut self, batch: &LogBatch) -> Result<(), &'static str> {
        if batch.first.0 != self.last.0.saturating_add(1) || batch.last > self.header.seqs.1 {
            return Err("its batches do not follow each other");
        }
        self.last = batch.last;
        let time = batch.time_ms;
        let (earliest, latest) = self.times_ms.unwrap_or((time, time));
        self.times_ms = Some((earliest.min(time), latest.max(time)));
        self.read.count(batch);
        Ok(())
    }

    /// Compares what was read with the footer.
    fn end(&mut self, frame: &[u8]) -> Result<(), &'static str> {
        let footer = Footer::read(frame).ok_or("its footer is none")?;
        self.read.key_slots = footer.key_slots;
        if !self.frontier_known {
            self.read.frontier = footer.frontier.clone();
        }
        let same = self.begun.is_empty()
            && self.last == self.header.seqs.1
            && self.times_ms == Some(self.header.times_ms);
        if !same {
            return Err("its batches are not those that its head names");
        }
        if footer != self.read {
            return Err("its batches are not those that its footer counts");
        }
        if !self.rest.is_empty() {
            return Err("something stands behind its footer");
        }
        match self.whole {
            true => Ok(()),
            false => Err("its hash is another"),
        }
    }
}

/// All that can be read of a segment, and its footer if that is all of it.
#[must_use]
pub fn read_whole(keys: &Keys, bytes: &Bytes) -> (Vec<LogBatch>, Option<Footer>) {
    let mut batches = Vec::new();
    let Ok(mut opening) = Opening::new(keys, bytes, Some(Frontier::default())) else {
        return (batches, None);
    };
    loop {
        match opening.next(keys) {
            Ok(Some(more)) => batches.extend(more),
            Ok(None) => return (batches, Some(opening.footer().clone())),
            Err(_) => return (batches, None),
        }
    }
}

fn unpacked(frame: Vec<u8>) -> Result<Bytes, &'static str> {
    let frame = Bytes::from(frame);
    match frame.first() {
        Some(&PLAIN) => Ok(frame.slice(1..)),
        Some(&ZSTD) => zstd::bulk::decompress(&frame[1..], PIECE_BYTES)
            .map(Bytes::from)
            .map_err(|_| "a frame does not decompress"),
        Some(_) | None => Err("a frame has a form that this version does not know"),
    }
}
