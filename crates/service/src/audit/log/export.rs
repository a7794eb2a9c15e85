//! The log as it leaves the server, piece by piece: what `salus audit verify` reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use salus_auth::{Action, Target};
use salus_store::{Filter, Scope};

use super::lines::{self, Head};
use super::{Signed, proof};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;

/// Leaves of a piece: some hundred KiB, and a few milliseconds of opening.
const LEAVES: usize = 2048;

/// An export under way.
pub struct Export {
    service: Arc<Service>,
    head: Option<Bytes>,
    opened: BTreeSet<Scope>,
    next: u64,
    size: u64,
}

impl Service {
    /// The whole log as it stands now, behind its first `after` leaves, with a fresh checkpoint
    /// over it. Entries are shown of those of `projects` (all, if none is named) whose whole
    /// audit the one asking may search; of others, the leaf alone.
    pub async fn export_log(
        self: &Arc<Self>,
        cx: &Context,
        projects: &[String],
        after: u64,
    ) -> Result<Export, Error> {
        let target = Target::Type(ResourceType::AUDIT_EVENT);
        let grant = self
            .authorize(cx, What::Search, Action::Search, target)
            .await?;
        let wanted = self.exported_scopes(projects)?;
        let mut opened = BTreeSet::new();
        for scope in wanted {
            let decided = salus_auth::authorize(&cx.subject, scope, Action::Search, target);
            let Ok(whole) = decided.map(|grant| *grant.filter() == Filter::Everything) else {
                continue;
            };
            if whole {
                self.note_export(cx, scope, grant.rule()).await?;
                opened.insert(scope);
            }
        }
        let signed = self.sign_checkpoint().await?;
        if after > signed.checkpoint.size {
            return Err(Error::invalid("after: the log is not so long"));
        }
        let head = self.export_head(&signed, &opened, after).await?;
        Ok(Export {
            service: Arc::clone(self),
            head: Some(head),
            opened,
            next: after,
            size: signed.checkpoint.size,
        })
    }

    pub(in crate::audit) fn exported_scopes(
        &self,
        projects: &[String],
    ) -> Result<Vec<Scope>, Error> {
        if projects.is_empty() {
            return Ok(self.scopes());
        }
        let none = || Error::not_found("there is no such project");
        let scope = |slug: &String| self.project_scope(slug).ok_or_else(none);
        projects.iter().map(scope).collect()
    }

    /// Each project's own audit says that it was exported.
    pub(in crate::audit) async fn note_export(
        &self,
        cx: &Context,
        scope: Scope,
        rule: &str,
    ) -> Result<(), Error> {
        let mut entry = Entry::new(cx, What::Export, Outcome::Success, rule);
        entry.ty = ResourceType::AUDIT_EVENT.into();
        let cx = Context {
            scope,
            ..cx.clone()
        };
        self.record(&cx, entry).await
    }

    async fn export_head(
        &self,
        signed: &Signed,
        opened: &BTreeSet<Scope>,
        after: u64,
    ) -> Result<Bytes, Error> {
        let before = proof::part(self.tree(), 0..after).await?;
        let slug = |scope: &Scope| Some((scope.0, self.project_slug(*scope)?.into()));
        let projects: BTreeMap<u32, String> = opened.iter().filter_map(slug).collect();
        let head = Head {
            salus: lines::WHAT.to_owned(),
            version: lines::VERSION,
            origin: signed.checkpoint.origin.clone(),
            size: signed.checkpoint.size,
            after,
            frontier: before
                .roots()
                .iter()
                .map(|root| Base64::encode_string(root))
                .collect(),
            projects,
        };
        let failed = |error| Error::invalid("the export cannot be written").caused_by(error);
        let mut text = serde_json::to_string(&head).map_err(failed)?;
        text.push('\n');
        text.push_str(&lines::checkpoint_line(&signed.note));
        Ok(text.into())
    }
}

impl Export {
    /// The next piece, of whole lines; the first is the head and the checkpoint. `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        let left = usize::try_from(self.size - self.next).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let open = |scope| self.opened.contains(&scope);
        let tree = self.service.tree();
        let leaves = tree.tree_leaves(self.next, left.min(LEAVES), &open).await?;
        if leaves.is_empty() {
            return Err(salus_store::Error::Damaged("the audit log".into()).into());
        }
        let mut text = String::with_capacity(leaves.len() * 512);
        for leaf in &leaves {
            lines::put_leaf(&mut text, self.next, leaf);
            self.next += 1;
        }
        Ok(Some(text.into()))
    }
}
