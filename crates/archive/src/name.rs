//! Names of objects: a list of them tells what is there without opening any.
//!
//! | name | |
//! |---|---|
//! | `segments/NUMBER-SEQ` | a segment, by its number and its first seq |
//! | `segments/NUMBER-SEQ-to-NUMBER-SEQ` | several of them merged, from the first to the last |
//! | `bases/NUMBER-SEQ/NUMBER-SEQ` | a segment of a base up to the end of a segment, by that one's number and last seq |
//! | `bases/NUMBER-SEQ/whole` | the base is whole |
//! | `pruned/NUMBER-SEQ` | segments up to this one, and bases before it, were removed on purpose |
//! | `dictionaries/NUMBER` | what bodies are compressed with |
//! | `blobs/SCOPE/ID/PART` | a part of a blob |
//! | `gone/SCOPE/ID` | the blob was not in the store any more when this was written |
//! | `fence/NUMBER` | who may ship from here on |
//!
//! Numbers have 12 decimal digits, seqs 20, scopes 8 hexadecimal ones, parts 6 decimal. Number and
//! first seq follow from the segment before, so two that continue the same one have one name, and
//! the second to come is told.

use std::fmt;

use salus_store::{Blob, Scope, SealedBlob, Seq};

pub(crate) const SEGMENTS: &str = "segments/";
pub(crate) const BASES: &str = "bases/";
pub(crate) const PRUNED: &str = "pruned/";
pub(crate) const DICTIONARIES: &str = "dictionaries/";
pub(crate) const BLOBS: &str = "blobs/";
pub(crate) const GONE: &str = "gone/";
pub(crate) const FENCES: &str = "fence/";

/// Which segment an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName {
    /// The number of its first, and the first seq.
    pub first: (u64, Seq),
    /// Of several that were merged, the number of the last, and the last seq.
    pub last: Option<(u64, Seq)>,
}

impl SegmentName {
    /// The number of the last that is in it.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.last.map_or(self.first.0, |(number, _)| number)
    }

    /// Reads the name of an object.
    #[must_use]
    pub fn parse(object: &str) -> Option<Self> {
        let text = object.strip_prefix(SEGMENTS)?;
        let name = match text.split_once("-to-") {
            None => Self {
                first: pair(text)?,
                last: None,
            },
            Some((first, last)) => Self {
                first: pair(first)?,
                last: Some(pair(last)?),
            },
        };
        let in_order = name
            .last
            .is_none_or(|(number, seq)| number > name.first.0 && seq > name.first.1);
        (in_order && name.to_string() == object).then_some(name)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, Seq(seq)) = self.first;
        write!(f, "{SEGMENTS}{number:012}-{seq:020}")?;
        if let Some((number, Seq(seq))) = self.last {
            write!(f, "-to-{number:012}-{seq:020}")?;
        }
        Ok(())
    }
}

/// Which base an object is of: the one that ends where the segment of this number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseName {
    /// The number of the segment.
    pub number: u64,
    /// The last seq.
    pub seq: Seq,
}

/// An object of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BasePart {
    /// A segment, by its number in the base and its first seq.
    Segment(u64, Seq),
    /// What says that it is whole.
    Whole,
}

impl BaseName {
    /// Reads the name of an object.
    #[must_use]
    pub fn parse(object: &str) -> Option<(Self, BasePart)> {
        let (base, part) = object.strip_prefix(BASES)?.split_once('/')?;
        let (number, seq) = pair(base)?;
        let name = Self { number, seq };
        let part = match part {
            "whole" => BasePart::Whole,
            _ => pair(part).map(|(number, seq)| BasePart::Segment(number, seq))?,
        };
        (name.object(part) == object).then_some((name, part))
    }

    /// The name of an object of it.
    #[must_use]
    pub fn object(&self, part: BasePart) -> String {
        match part {
            BasePart::Segment(number, Seq(seq)) => format!("{self}/{number:012}-{seq:020}"),
            BasePart::Whole => format!("{self}/whole"),
        }
    }

    /// The name of the mark that all before it was pruned.
    pub(crate) fn mark(&self) -> String {
        format!("{PRUNED}{:012}-{:020}", self.number, self.seq.0)
    }

    /// The base of such a mark.
    pub(crate) fn parse_mark(object: &str) -> Option<Self> {
        let (number, seq) = pair(object.strip_prefix(PRUNED)?)?;
        let name = Self { number, seq };
        (name.mark() == object).then_some(name)
    }
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BASES}{:012}-{:020}", self.number, self.seq.0)
    }
}

fn pair(text: &str) -> Option<(u64, Seq)> {
    let (number, seq) = text.split_once('-')?;
    let number: u64 = number.parse().ok()?;
    let seq: u64 = seq.parse().ok()?;
    (number >= 1 && seq >= 1).then_some((number, Seq(seq)))
}

/// Which part of which blob an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobPart {
    /// The blob.
    pub blob: SealedBlob,
    /// Its parts count from zero.
    pub part: u32,
}

impl BlobPart {
    /// Reads the name of an object.
    #[must_use]
    pub fn parse(object: &str) -> Option<Self> {
        let (blob, part) = object.strip_prefix(BLOBS)?.rsplit_once('/')?;
        let name = Self {
            blob: parse_blob(blob)?,
            part: part.parse().ok()?,
        };
        (name.to_string() == object).then_some(name)
    }
}

impl fmt::Display for BlobPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:06}", of_blob(&self.blob), self.part)
    }
}

/// What the names of all parts of a blob begin with.
pub(crate) fn of_blob(blob: &SealedBlob) -> String {
    format!("{BLOBS}{:08x}/{}/", blob.scope.0, blob.id)
}

/// The name of the mark that a blob is gone from the store.
pub(crate) fn gone(blob: &SealedBlob) -> String {
    format!("{GONE}{:08x}/{}", blob.scope.0, blob.id)
}

/// The blob of such a mark.
pub(crate) fn parse_gone(object: &str) -> Option<SealedBlob> {
    let blob = parse_blob(object.strip_prefix(GONE)?)?;
    (gone(&blob) == object).then_some(blob)
}

fn parse_blob(text: &str) -> Option<SealedBlob> {
    let (scope, id) = text.split_once('/')?;
    let scope = Scope(u32::from_str_radix(scope, 16).ok()?);
    Blob::is_id(id).then(|| SealedBlob {
        scope,
        id: id.into(),
    })
}

/// The name of a dictionary.
pub(crate) fn dictionary(number: usize) -> String {
    format!("{DICTIONARIES}{number:012}")
}

/// The number of such a name.
pub(crate) fn parse_dictionary(object: &str) -> Option<usize> {
    let number = object.strip_prefix(DICTIONARIES)?.parse().ok()?;
    (dictionary(number) == object).then_some(number)
}

/// The name of a fence.
pub(crate) fn fence(number: u64) -> String {
    format!("{FENCES}{number:012}")
}

/// The number of such a name.
pub(crate) fn parse_fence(object: &str) -> Option<u64> {
    let number = object.strip_prefix(FENCES)?.parse().ok()?;
    (fence(number) == object).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let first = (7, Seq(120));
        for (last, text) in [
            (None, "segments/000000000007-00000000000000000120"),
            (
                Some((9, Seq(200))),
                "segments/000000000007-00000000000000000120-to-000000000009-00000000000000000200",
            ),
        ] {
            let name = SegmentName { first, last };
            assert_eq!(name.to_string(), text);
            assert_eq!(SegmentName::parse(text), Some(name));
        }
        let part = "blobs/00000007/a-b/000003";
        assert_eq!(BlobPart::parse(part).unwrap().to_string(), part);
        assert_eq!(parse_dictionary(&dictionary(3)), Some(3));
        let blob = BlobPart::parse(part).unwrap().blob;
        assert_eq!(parse_gone(&gone(&blob)), Some(blob));
    }

    #[test]
    fn names_of_bases_read_back() {
        let base = BaseName {
            number: 9,
            seq: Seq(200),
        };
        for (part, text) in [
            (BasePart::Whole, "whole"),
            (
                BasePart::Segment(2, Seq(7)),
                "000000000002-00000000000000000007",
            ),
        ] {
            let text = format!("bases/000000000009-00000000000000000200/{text}");
            assert_eq!(base.object(part), text);
            assert_eq!(BaseName::parse(&text), Some((base, part)));
            assert_eq!(BaseName::parse(&format!("{text}x")), None);
        }
        assert_eq!(BaseName::parse_mark(&base.mark()), Some(base));
        assert_eq!(BaseName::parse_mark("pruned/9-200"), None);
    }

    #[test]
    fn only_names_that_we_write_are_names() {
        for text in [
            "segments/",
            "segments/7-120",
            "segments/000000000000-00000000000000000120",
            "segments/000000000007-00000000000000000000",
            "segments/+00000000007-00000000000000000120",
            "segments/000000000007-00000000000000000120.new",
            "segments/000000000007-00000000000000000120-to-000000000007-00000000000000000200",
            "else/000000000007-00000000000000000120",
        ] {
            assert_eq!(SegmentName::parse(text), None, "{text}");
        }
        for text in [
            "blobs/7/a/000000",
            "blobs/00000007/../000000",
            "blobs/00000007/a/1",
        ] {
            assert_eq!(BlobPart::parse(text), None, "{text}");
        }
    }
}
