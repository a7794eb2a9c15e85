//! A page of `$everything`: where it begins, and its Bundle.

use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use salus_store::{Content, Record, Seq};

use super::walk::Start;

use crate::context::Context;
use crate::cursor;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::fhir::writer::BundleWriter;

/// Where a page lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins here. Where the compartment ends on it, what is referred to
    /// outside follows: the first part of that there, others on pages behind.
    From(Start, u32),
    /// It ends here, before what is referred to.
    UpTo(Start),
}

/// What a page shows.
#[derive(Default)]
pub(super) struct Page {
    pub(super) members: Vec<Record>,
    pub(super) referred: Vec<Record>,
    /// There was more to refer to than is shown.
    pub(super) cut: bool,
    pub(super) previous: Option<Place>,
    pub(super) next: Option<Place>,
}

impl Place {
    /// As a cursor holds it: 0 or 1 for which of the two, the range in two
    /// bytes, the part in four, and of what the place is behind, if of
    /// anything, the number in eight.
    pub(super) fn write(self) -> Vec<u8> {
        let (tag, start, part) = match self {
            Self::From(start, part) => (0, start, part),
            Self::UpTo(start) => (1, start, 0),
        };
        let mut bytes = vec![tag];
        bytes.extend((start.range as u16).to_be_bytes());
        bytes.extend(part.to_be_bytes());
        if let Some(seq) = start.after {
            bytes.extend(seq.0.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Self::write`] wrote; nothing is the first page.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self::From(Start::FIRST, 0));
        }
        Self::taken(bytes).ok_or_else(cursor::unfit)
    }

    fn taken(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (range, rest) = rest.split_first_chunk()?;
        let (part, rest) = rest.split_first_chunk()?;
        let after = match rest {
            [] => None,
            rest => Some(Seq(u64::from_be_bytes(rest.try_into().ok()?))),
        };
        let range = usize::from(u16::from_be_bytes(*range));
        let start = Start { range, after };
        match (tag, u32::from_be_bytes(*part)) {
            (0, part) => Some(Self::From(start, part)),
            (1, 0) => Some(Self::UpTo(start)),
            _ => None,
        }
    }
}

impl Page {
    /// The page as a Bundle; `whole` if there is no other.
    pub(super) fn bundle(
        &self,
        cx: &Context,
        whole: bool,
        links: &[(&str, String)],
    ) -> bytes::Bytes {
        let records = || {
            let members = self.members.iter().map(|record| (record, "match"));
            members.chain(self.referred.iter().map(|record| (record, "include")))
        };
        let bytes = records().map(|(record, _)| match &record.content {
            Content::Body(body) => body.len() + 160,
            Content::Deleted => 0,
        });
        let mut bundle = BundleWriter::new("searchset", bytes.sum());
        if whole {
            bundle.total(self.members.len() as u64);
        }
        bundle.links(links);
        for (record, mode) in records() {
            let (Some(ty), Content::Body(body)) = (ResourceType::of(record.kind), &record.content)
            else {
                continue;
            };
            let mut entry = bundle.begin_entry();
            entry.text("fullUrl", &format!("{}/{}/{}", cx.base, ty.name, record.id));
            entry.json("resource", body);
            entry.object("search", &[("mode", mode)]);
            entry.end();
        }
        if self.cut {
            let details =
                "there is more that these resources refer to; ask for less, or use $export";
            let issue = Issue::warning(IssueType::Incomplete, "", details);
            let mut entry = bundle.begin_entry();
            entry.json("resource", operation_outcome(&[issue]).as_bytes());
            entry.object("search", &[("mode", "outcome")]);
            entry.end();
        }
        bundle.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let starts = [
            Start::FIRST,
            Start {
                range: 66,
                after: Some(Seq(1 << 40)),
            },
        ];
        for start in starts {
            for place in [
                Place::From(start, 0),
                Place::From(start, 7),
                Place::UpTo(start),
            ] {
                assert_eq!(Place::read(&place.write()).unwrap(), place);
            }
        }
        assert_eq!(Place::read(&[]).unwrap(), Place::From(Start::FIRST, 0));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for bytes in [
            &[0][..],
            &[0; 6],
            &[2, 0, 0, 0, 0, 0, 0],
            &[0; 14],
            &[0; 16],
        ] {
            assert!(Place::read(bytes).is_err(), "{bytes:?}");
        }
        assert!(Place::read(&[1, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
