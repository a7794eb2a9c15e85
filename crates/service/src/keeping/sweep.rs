//! Purges the versions that the settings of projects no longer keep.
//!
//! It goes over the superseded versions of a type in the order in which they
//! were written, so it ends at the first that is too young. What a page of an
//! older state may show stays until such pages are no longer kept. Each step
//! is one commit with the audit entry that names its versions.

use std::time::Duration;

use salus_auth::record::Purged;
use salus_auth::{Action, Grant, Target};
use salus_store::{Seq, Superseded, SupersededVersion};

use super::purgeable;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;

/// How often it is looked for them, and how long pages of an older state are kept.
const EVERY: Duration = Duration::from_secs(600);

/// As long, in milliseconds.
const PAGES_MS: i64 = 600_000;

const DAY_MS: i64 = 86_400_000;

/// Versions looked at in a step.
const STEP: usize = 500;

impl Service {
    /// Purges them, every ten minutes and when a setting changes. Never ends.
    pub async fn keep_histories(&self) {
        loop {
            match self.sweep_histories().await {
                Ok(0) => {}
                Ok(purged) => tracing::info!(purged, "versions that are not kept were purged"),
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(cause, "old versions cannot be purged just now");
                }
            }
            // Either will do.
            let _ = tokio::time::timeout(EVERY, self.kept_otherwise.notified()).await;
        }
    }

    /// Purges what no setting of a project keeps, and tells how many versions.
    pub async fn sweep_histories(&self) -> Result<usize, Error> {
        let mut purged = 0;
        for scope in self.projects.scopes() {
            let cx = self.operator_context(scope);
            for rule in self.saved_history(&cx).await?.value.purged {
                if let Some(ty) = purgeable(&rule) {
                    purged += self.sweep_type(&cx, ty, &rule).await?;
                }
            }
        }
        if purged > 0 {
            self.fresh_blobs.sweep_soon();
        }
        Ok(purged)
    }

    async fn sweep_type(
        &self,
        cx: &Context,
        ty: ResourceType,
        rule: &Purged,
    ) -> Result<usize, Error> {
        let (what, action) = (What::Operation, Action::PurgeHistory);
        let grant = self
            .authorize(cx, what, action, Target::Type(ty.name))
            .await?;
        let days_ms = i64::from(rule.days).saturating_mul(DAY_MS);
        let until_ms = cx.now_ms.saturating_sub(days_ms.max(PAGES_MS));
        let (mut after, mut purged) = (Seq(0), 0);
        loop {
            let snapshot = self.store.snapshot(cx.scope, salus_store::At::Now).await?;
            let found = snapshot.superseded(ty.kind, None, after, STEP).await?;
            drop(snapshot);
            let Superseded { versions, next } = found;
            let young = versions.last().is_some_and(|one| one.time_ms > until_ms);
            let mut old = versions;
            old.retain(|one| one.superseded_ms <= until_ms && is_over(one, rule));
            if !old.is_empty() {
                purged += self
                    .purge(cx, &grant, entry(cx, &grant, ty, rule), ty, old)
                    .await?;
            }
            match next {
                Some(next) if !young => after = next,
                Some(_) | None => return Ok(purged),
            }
        }
    }
}

/// Whether more of the newest versions than are kept came after it.
fn is_over(one: &SupersededVersion, rule: &Purged) -> bool {
    one.version.saturating_add(u64::from(rule.keep)) <= one.newest
}

fn entry(cx: &Context, grant: &Grant, ty: ResourceType, rule: &Purged) -> Entry {
    let mut entry = Entry::new(cx, What::Operation, Outcome::Success, grant.rule());
    entry.ty = ty.name.into();
    entry.query = format!(
        "$purge-history?keep={}&days={} (setting)",
        rule.keep, rule.days
    )
    .into();
    entry
}
