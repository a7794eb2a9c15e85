//! Writes by somebody who may not see or not change all of a record: what is
//! not theirs stays as it was, and a try to set it is refused by its path.
//!
//! All writes pass here, whatever use case made them, with the text as their
//! sender would have it ([`salus_fhir::mask::keep`]).

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::policy::{Deed, Mask};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{Document, Node};
use salus_fhir::mask::{Fault, Hidden, Paths, keep};
use salus_store::{Content, Filter, Kind, Row, Snapshot};

use super::writes::{Among, is_there};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind as Failure};
use crate::fhir::incoming;
use crate::fhir::stored::Stored;
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;

/// What writers are shown of what they wrote, by kind and id.
pub(crate) type Shown = HashMap<(Kind, Box<str>), Bytes>;

/// A write with what stays as it was.
pub(super) struct Kept {
    stored: Stored,
    shown: Option<String>,
}

/// A record before and after a write.
pub(super) struct Change<'c> {
    pub(super) ty: ResourceType,
    pub(super) deed: Deed,
    pub(super) id: &'c str,
    pub(super) version: u64,
    pub(super) rows: &'c [Row],
    pub(super) before: Option<Document>,
    pub(super) sent: Document,
}

impl Service {
    /// Has writes leave what their writer may not see or not change.
    pub(crate) fn keep_hidden<'a>(
        &'a self,
        cx: &'a Context,
        writes: &'a mut [Write],
    ) -> BoxFuture<'a, Result<Shown, Error>> {
        Box::pin(async move {
            let mut shown = Shown::new();
            if cx.subject.masks().is_none() {
                return Ok(shown);
            }
            let mut kept = Vec::new();
            {
                let snapshot = self.whole_snapshot(cx).await?;
                let among = Among::of(&*snapshot, cx.now_ms, writes);
                for write in &*writes {
                    kept.push(self.write_kept(cx, &*snapshot, &among, write).await?);
                }
            }
            for (write, kept) in writes.iter_mut().zip(kept) {
                let Some(Kept {
                    stored,
                    shown: text,
                }) = kept
                else {
                    continue;
                };
                let name = (stored.ty.kind, stored.id.clone());
                write.become_stored(stored);
                if let Some(text) = text {
                    shown.insert(name, text.into());
                }
            }
            Ok(shown)
        })
    }

    async fn write_kept(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        among: &Among<'_>,
        write: &Write,
    ) -> Result<Option<Kept>, Error> {
        let put = write.put();
        let (Some(ty), Content::Body(text)) = (ResourceType::of(put.kind), &put.content) else {
            return Ok(None);
        };
        let record = match put.version {
            1 => None,
            _ => snapshot.get(put.kind, &put.id).await?,
        };
        let limits = &self.settings.json;
        let before = match record
            .filter(|record| is_there(Some(record)))
            .map(|it| it.content)
        {
            Some(Content::Body(body)) => Some(incoming::parse(body, limits)?),
            Some(Content::Deleted) | None => None,
        };
        let change = Change {
            ty,
            deed: write.deed(),
            id: &put.id,
            version: put.version,
            rows: &put.rows,
            before,
            sent: incoming::parse(text.clone(), limits)?,
        };
        self.change_kept(cx, snapshot, among, &change).await
    }

    /// What a change becomes; `None` if nothing of it is kept from who makes it.
    pub(super) async fn change_kept(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        among: &Among<'_>,
        change: &Change<'_>,
    ) -> Result<Option<Kept>, Error> {
        let Some(masks) = cx.subject.masks() else {
            return Ok(None);
        };
        let (kind, hidden) = (change.ty.kind, masks.hidden());
        let asking = (snapshot, among, change);
        let own = self.paths_of(asking, masks.on(kind)).await?;
        let fixed = self
            .paths_of(asking, masks.fixed(kind, change.deed))
            .await?;
        let before = change.before.as_ref().map(Document::root);
        let sent = change.sent.root();
        let concerns = |node: Node<'_>| hidden.concerns(node, &own);
        if fixed.is_empty() && !concerns(sent) && !before.is_some_and(concerns) {
            return Ok(None);
        }
        let text = keep(before, sent, (hidden, &own, &fixed)).map_err(refusal)?;
        let document = incoming::parse(text.into(), &self.settings.json)?;
        let valid = incoming::check(document.root(), change.ty)?;
        Ok(Some(Kept {
            stored: Stored::of(cx, change.ty, change.id, change.version, &valid)?,
            shown: shown(hidden, sent, &own),
        }))
    }

    /// What a mask leaves out of a record, as it was or, if it is new, as it comes.
    async fn paths_of(
        &self,
        (snapshot, among, change): (&dyn Snapshot, &Among<'_>, &Change<'_>),
        mask: Option<&Mask>,
    ) -> Result<Paths, Error> {
        let Some(mask) = mask else {
            return Ok(Paths::default());
        };
        let mut holds = Vec::new();
        for filter in mask.filters() {
            let kind = change.ty.kind;
            holds.push(if *filter == Filter::Everything {
                true
            } else if change.before.is_some() {
                let (ty, id) = (change.ty, change.id);
                self.is_visible(snapshot, filter, ty, id).await?
            } else {
                among.holds(kind, (change.id, change.rows), filter).await?
            });
        }
        Ok(mask.of(&holds))
    }
}

/// What its writer is shown: what was sent, as a part.
fn shown(hidden: &Hidden, sent: Node<'_>, own: &Paths) -> Option<String> {
    hidden.hide(sent, own)
}

fn refusal(faults: Vec<Fault>) -> Error {
    let issue = |fault: Fault| {
        let details = match fault.is_hidden {
            true => "you may not see all of this element, and so not write it",
            false => "you may not change this element",
        };
        Issue::error(IssueType::Forbidden, fault.path, details)
    };
    let issues = faults.into_iter().map(issue).collect();
    Error::with_issues(Failure::Forbidden, issues)
}
