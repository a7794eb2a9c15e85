//! Postings: which versions have a word, for full text search.
//!
//! A batch lays one block for each term and parameter of a kind, so that the
//! many records of a transaction share keys. Part of the stored format
//! (version 1): the key is `t` scope kind parameter term seq, where the seq is
//! that of the first posting when the block was laid. The value is a byte of
//! format, 1, and the postings in the order of their seqs. Each is, in LEB128,
//! sixteen times the distance of its seq from the one before (the first from
//! the key's) and its flags; then a byte of relevance for each of the two
//! flags of stems that is set.
//!
//! The blocks of a term do not overlap, so a version's posting is in the last
//! block that begins at or before it.

mod edit;
mod find;
mod lay;

pub(crate) use edit::Edits;
pub(crate) use find::{List, Lister};
pub(crate) use lay::{Block, digests, lay};

use salus_store::{Error, Kind, Param, Posting, Scope, ordered};

use crate::{hash, keys};

const FORMAT: u8 = 1;

const WORD: u8 = 1;
const WORD_IN_LEAD: u8 = 2;
const STEM: u8 = 4;
const STEM_IN_LEAD: u8 = 8;

/// What the keys of a term's blocks begin with.
pub(crate) fn of_term(of: (Scope, Kind, Param), term: &str) -> Vec<u8> {
    let mut key = keys::of_param(keys::TEXT, of.0, of.1, of.2);
    ordered::put_text(&mut key, term);
    key
}

/// What the keys of all terms begin with that begin so.
fn of_terms(of: (Scope, Kind, Param), start: &str) -> Vec<u8> {
    let mut key = keys::of_param(keys::TEXT, of.0, of.1, of.2);
    ordered::put_text_start(&mut key, start);
    key
}

/// A version in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) seq: u64,
    flags: u8,
    stem: u8,
    stem_in_lead: u8,
}

impl Placed {
    pub(crate) fn of(seq: u64, posting: &Posting) -> Self {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        Self {
            seq,
            flags: flag(posting.word, WORD)
                | flag(posting.word_in_lead, WORD_IN_LEAD)
                | flag(posting.stem.is_some(), STEM)
                | flag(posting.stem_in_lead.is_some(), STEM_IN_LEAD),
            stem: posting.stem.unwrap_or(0),
            stem_in_lead: posting.stem_in_lead.unwrap_or(0),
        }
    }

    /// Whether the term is a word that stands there.
    pub(crate) fn is_word(self, in_lead: bool) -> bool {
        self.flags & if in_lead { WORD_IN_LEAD } else { WORD } != 0
    }

    /// What the term adds to relevance, if it is the stem of a word there.
    pub(crate) fn stem(self, in_lead: bool) -> Option<u8> {
        match in_lead {
            true => (self.flags & STEM_IN_LEAD != 0).then_some(self.stem_in_lead),
            false => (self.flags & STEM != 0).then_some(self.stem),
        }
    }

    /// A number that tells it from others, for checks. `term` is the [`hash::quick`] of what
    /// the keys of its term's blocks begin with.
    pub(crate) fn digest(self, term: u64) -> u64 {
        let own = [self.flags, self.stem, self.stem_in_lead, 0];
        hash::quick_with(term, u64::from(u32::from_le_bytes(own)))
    }

    fn put(self, before: u64, bytes: &mut Vec<u8>) {
        let mut number = (self.seq.wrapping_sub(before) << 4) | u64::from(self.flags);
        while number >= 0x80 {
            bytes.push((number & 0x7F) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        if self.flags & STEM != 0 {
            bytes.push(self.stem);
        }
        if self.flags & STEM_IN_LEAD != 0 {
            bytes.push(self.stem_in_lead);
        }
    }
}

/// The postings of a block, as they are read.
pub(crate) struct Postings<'a> {
    rest: &'a [u8],
    before: u64,
}

impl<'a> Postings<'a> {
    /// Those of a block's value, whose key has this seq.
    pub(crate) fn read(base: u64, value: &'a [u8]) -> Result<Self, Error> {
        match value.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { rest, before: base }),
            _ => Err(damaged()),
        }
    }

    fn take(&mut self) -> Option<Placed> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let flags = (number & 0xF) as u8;
        let mut impact = |flag: u8| match flags & flag {
            0 => Some(0),
            _ => self.byte(),
        };
        let (stem, stem_in_lead) = (impact(STEM)?, impact(STEM_IN_LEAD)?);
        self.before = self.before.checked_add(number >> 4)?;
        Some(Placed {
            seq: self.before,
            flags,
            stem,
            stem_in_lead,
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

impl Iterator for Postings<'_> {
    type Item = Result<Placed, Error>;

    fn next(&mut self) -> Option<Result<Placed, Error>> {
        (!self.rest.is_empty()).then(|| self.take().ok_or_else(damaged))
    }
}

/// A block of these postings, whose key has the seq `base`.
fn block<'a>(base: u64, postings: impl IntoIterator<Item = &'a Placed>) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    let mut before = base;
    for placed in postings {
        placed.put(before, &mut bytes);
        before = placed.seq;
    }
    bytes
}

fn damaged() -> Error {
    Error::Damaged("a block of postings".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(seq: u64, flags: u8) -> Placed {
        let of = |flag: u8, impact: u8| if flags & flag == 0 { 0 } else { impact };
        Placed {
            seq,
            flags,
            stem: of(STEM, 200),
            stem_in_lead: of(STEM_IN_LEAD, 7),
        }
    }

    #[test]
    fn blocks_are_read_as_they_were_written() {
        let all: Vec<_> = (0..16).map(|n| placed(10 + u64::from(n) * 99, n)).collect();
        let bytes = block(10, &all);
        let read: Vec<_> = Postings::read(10, &bytes)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, all);
    }

    #[test]
    fn what_is_cut_is_damaged() {
        let bytes = block(1, &[placed(1, STEM), placed(1 << 40, STEM)]);
        for end in 0..bytes.len() {
            let read = Postings::read(1, &bytes[..end]);
            let whole = read.map(|read| read.filter(Result::is_ok).count());
            assert!(whole.map_or(true, |count| count < 2));
        }
        assert!(Postings::read(1, &[9]).is_err());
    }
}
