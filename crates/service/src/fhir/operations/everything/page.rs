//! A page of `$everything`: where it begins, and its Bundle.

use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use salus_store::{Content, Position, Record};

use crate::context::Context;
use crate::cursor;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::fhir::writer::BundleWriter;

/// Where a page begins: in which type, and where there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) range: usize,
    pub(super) after: Option<Position>,
}

/// What a page shows.
pub(super) struct Page {
    pub(super) members: Vec<Record>,
    pub(super) referred: Vec<Record>,
    /// There was more to refer to than a page may have.
    pub(super) cut: bool,
    pub(super) next: Option<Place>,
}

impl Place {
    pub(super) fn first() -> Self {
        Self {
            range: 0,
            after: None,
        }
    }

    pub(super) fn is_first(self) -> bool {
        self.range == 0 && self.after.is_none()
    }

    /// As a cursor holds it: the range in two bytes, the position behind it.
    pub(super) fn write(self) -> Vec<u8> {
        let mut bytes = (self.range as u16).to_be_bytes().to_vec();
        bytes.extend(self.after.map(cursor::put).unwrap_or_default());
        bytes
    }

    /// Reads what [`Self::write`] wrote; nothing is the first page.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self::first());
        }
        let (range, rest) = bytes.split_first_chunk().ok_or_else(cursor::unfit)?;
        Ok(Self {
            range: usize::from(u16::from_be_bytes(*range)),
            after: cursor::take(rest)?,
        })
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
                "there is more to refer to than one page may have; ask for less with _count";
            let issue = Issue::warning(IssueType::Incomplete, "", details);
            let mut entry = bundle.begin_entry();
            entry.json("resource", operation_outcome(&[issue]).as_bytes());
            entry.object("search", &[("mode", "outcome")]);
            entry.end();
        }
        bundle.finish()
    }
}
