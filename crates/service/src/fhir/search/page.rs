//! A page of a search as a Bundle: <https://hl7.org/fhir/R4/bundle.html#searchset>.

use std::borrow::Cow;

use bytes::Bytes;
use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use salus_fhir::json::{Document, Limits};
use salus_fhir::search::Subset;
use salus_store::{Content, Record};

use super::Asked;
use super::include::Included;
use crate::context::Context;
use crate::fhir::types::ResourceType;
use crate::fhir::writer::BundleWriter;

/// A match on a page.
pub(super) struct Match<'r> {
    pub(super) record: &'r Record,
    /// The part that is given; `None` is all.
    pub(super) subset: Option<&'r Subset>,
    /// How well it fits, as a decimal, if a text was asked for.
    pub(super) score: Option<String>,
}

/// Writes the bundle of a page: the matches, each with the part of it that is
/// given, and what is included.
pub(super) fn searchset<'r>(
    cx: &Context,
    asked: &Asked,
    total: Option<u64>,
    links: &[(&'static str, String)],
    matches: impl Iterator<Item = Match<'r>> + Clone,
    included: &Included,
) -> Bytes {
    let records = matches.clone().map(|one| one.record);
    let bytes = records.chain(&included.records).map(|record| {
        let body = match &record.content {
            Content::Body(body) => body.len(),
            Content::Deleted => 0,
        };
        body + 160
    });
    let mut bundle = BundleWriter::new("searchset", bytes.sum());
    if let Some(total) = total {
        bundle.total(total);
    }
    bundle.links(links);
    for one in matches {
        let score = one.score.as_deref();
        write(&mut bundle, cx, one.record, ("match", score), one.subset);
    }
    // `_elements` are elements of the type searched.
    let subset = asked.subset();
    let subset = subset.filter(|subset| !matches!(subset, Subset::Elements(_)));
    for record in &included.records {
        write(&mut bundle, cx, record, ("include", None), subset.as_ref());
    }
    outcome(&mut bundle, asked, included.cut);
    bundle.finish()
}

/// What the client should know of its own search.
pub(crate) fn outcome(bundle: &mut BundleWriter, asked: &Asked, cut: bool) {
    let mut issues = asked.notices.clone();
    if cut {
        issues.push(Issue::warning(
            IssueType::Incomplete,
            String::new(),
            "there is more to include than one page may have".to_owned(),
        ));
    }
    if !issues.is_empty() {
        let mut entry = bundle.begin_entry();
        entry.json("resource", operation_outcome(&issues).as_bytes());
        entry.object("search", &[("mode", "outcome")]);
        entry.end();
    }
}

/// A resource as the client wants it: the part asked for, or all of it.
pub(crate) fn shown<'b>(body: &'b [u8], subset: Option<&Subset>) -> Cow<'b, [u8]> {
    let part = subset.and_then(|subset| {
        let document = Document::parse(body.to_vec(), &Limits::default()).ok()?;
        Some(subset.of(document.root()))
    });
    part.map_or(Cow::Borrowed(body), |part| Cow::Owned(part.into_bytes()))
}

fn write(
    bundle: &mut BundleWriter,
    cx: &Context,
    record: &Record,
    (mode, score): (&str, Option<&str>),
    subset: Option<&Subset>,
) {
    let (Some(ty), Content::Body(body)) = (ResourceType::of(record.kind), &record.content) else {
        return;
    };
    let mut entry = bundle.begin_entry();
    entry.text("fullUrl", &format!("{}/{}/{}", cx.base, ty.name, record.id));
    entry.json("resource", &shown(body, subset));
    match score {
        Some(score) => {
            let search = format!(r#"{{"mode":"{mode}","score":{score}}}"#);
            entry.json("search", search.as_bytes());
        }
        None => {
            entry.object("search", &[("mode", mode)]);
        }
    }
    entry.end();
}
