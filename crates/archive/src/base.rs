//! Bases: the log read anew from its beginning, without what was purged since it was shipped.
//!
//! A base ends where a segment of the line does, and has the same chain of changes and the same
//! leaves of audit entries up to there: whoever has it needs nothing of the line before. Its
//! segments are numbered from 1, in a line of their own, and each names the hash of the segment
//! at whose end the base ends. It counts when `whole` stands beside them, which is written when
//! all was read back; a base without it was cut off and is never read.
//!
//! A base is of use for instants at or after its [`Whole::valid`]: what was purged while it was
//! read may be missing from it, and only behind that point the line says that it was purged.
//!
//! `whole` is a sealed text, authenticated with its own name. Format 1, a stored format:
//!
//! | bytes | |
//! |---|---|
//! | 1 | format, 1 |
//! | 8 | how many segments |
//! | 32 | hash of the last of them |
//! | 32 | hash of the segment at whose end it ends, as the next one names it |
//! | 32 | chain of changes at its end |
//! | 8 | the seq from which on it is of use |
//! | 8 | no commit up to that seq is later, in milliseconds since 1970 UTC |
//! | 8, 8 | when it was begun and finished |
//! | 8 | bytes of its segments |
//! | rest | the frontier of the hash tree over all audit entries up to its end |

mod check;
mod take;

use salus_crypto::merkle::Frontier;
use salus_store::Seq;

pub use self::take::{Pace, Taken};
use crate::{Archive, BaseName, BasePart, Contents, Error, Fault, Follows, What};

const FORMAT: u8 = 1;

/// What a base says of itself when it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its segments.
    pub segments: u64,
    /// The hash of the last of them.
    pub hash: [u8; 32],
    /// The hash of the segment at whose end it ends.
    pub ends: [u8; 32],
    /// The chain of changes at its end.
    pub chain: [u8; 32],
    /// From where on it is of use: the seq, and a time before which no commit up to that seq is
    /// later, in milliseconds since 1970 UTC.
    pub valid: (Seq, i64),
    /// When it was begun and finished, in the same unit.
    pub made_ms: (i64, i64),
    /// Bytes of its segments.
    pub bytes: u64,
    /// The hash tree over all audit entries up to its end.
    pub frontier: Frontier,
}

impl Whole {
    /// Its stored form, before it is sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.segments.to_be_bytes());
        for hash in [self.hash, self.ends, self.chain] {
            bytes.extend_from_slice(&hash);
        }
        bytes.extend_from_slice(&self.valid.0.0.to_be_bytes());
        for time in [self.valid.1, self.made_ms.0, self.made_ms.1] {
            bytes.extend_from_slice(&time.to_be_bytes());
        }
        bytes.extend_from_slice(&self.bytes.to_be_bytes());
        bytes.extend_from_slice(&self.frontier.to_bytes());
        bytes
    }

    /// Reads it; `None` if it is none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let ([FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (segments, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let (ends, rest) = rest.split_first_chunk()?;
        let (chain, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (made, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Self {
            segments: u64::from_be_bytes(*segments),
            hash: *hash,
            ends: *ends,
            chain: *chain,
            valid: (Seq(u64::from_be_bytes(*seq)), i64::from_be_bytes(*time)),
            made_ms: (i64::from_be_bytes(*begun), i64::from_be_bytes(*made)),
            bytes: u64::from_be_bytes(*length),
            frontier: Frontier::from_bytes(rest)?,
        })
    }
}

/// A base of an archive, as a list tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where it ends.
    pub name: BaseName,
    /// Its segments, by number and first seq, in order.
    pub segments: Vec<(u64, Seq)>,
    /// Whether something says that it is whole.
    pub whole: bool,
}

impl Base {
    /// The names of its objects; what says that it is whole is the first.
    pub(crate) fn objects(&self) -> Vec<String> {
        let whole = self.whole.then_some(BasePart::Whole);
        let segments = self.segments.iter();
        let segments = segments.map(|(number, seq)| BasePart::Segment(*number, *seq));
        let parts = whole.into_iter().chain(segments);
        parts.map(|part| self.name.object(part)).collect()
    }
}

impl Archive {
    /// What a base says of itself.
    ///
    /// # Errors
    /// A [`Fault`] if it is missing or damaged; others when the destination cannot be reached.
    pub async fn whole(&self, base: &Base) -> Result<Whole, Error> {
        let object = base.name.object(BasePart::Whole);
        let sealed = self.get(&object).await?;
        let opened = self.keys.open(object.as_bytes(), &sealed);
        let damaged = || Fault::damaged(&object, "it is not what was sealed");
        let whole = opened.ok().and_then(|bytes| Whole::read(&bytes));
        let whole = whole.ok_or_else(damaged)?;
        let there = base.segments.len() as u64;
        match whole.segments == there && whole.valid.0 >= base.name.seq {
            true => Ok(whole),
            false => Err(Fault::new(base.name, What::Missing { until: None }).into()),
        }
    }

    /// Bases that say that they are whole and that the line goes on behind, the newest first,
    /// with what they say of themselves; and what is wrong with others.
    pub(crate) async fn wholes(
        &self,
        contents: &Contents,
    ) -> Result<(Vec<(Base, Whole)>, Vec<Fault>), Error> {
        let (mut wholes, mut faults) = (Vec::new(), Vec::new());
        for base in contents.bases.iter().rev().filter(|base| base.whole) {
            match self.whole(base).await {
                Ok(whole) => wholes.push((base.clone(), whole)),
                Err(Error::Fault(fault)) => faults.push(fault),
                Err(error) => return Err(error),
            }
        }
        Ok((wholes, faults))
    }

    /// Reads a base back, and the line behind it up to where it is of use.
    ///
    /// # Errors
    /// A [`Fault`] if something is not what was written; others when the destination cannot be
    /// reached.
    pub async fn check_base(
        &self,
        contents: &Contents,
        base: &Base,
        follows: &Follows<'_>,
    ) -> Result<Whole, Error> {
        let whole = self.whole(base).await?;
        self.check_line(base, &whole, follows, &|_, _| {}).await?;
        self.check_behind(contents, base.name, &whole, follows)
            .await?;
        Ok(whole)
    }
}

#[cfg(test)]
mod tests;
