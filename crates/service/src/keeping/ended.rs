//! Removes records whose time is over: sign-ins in steps, used challenges and assertions,
//! codes, requests sent ahead, devices, launches, links, sessions, authorizations.
//!
//! Nobody decides anything by them any more, and nobody asks for what they were before, so
//! no version of them is kept. What they did is in the audit. This is no decision and leaves
//! no entry there.

use std::collections::BTreeMap;
use std::time::Duration;

use salus_auth::record::{PASSING, Passing, deletion};
use salus_store::{At, Batch, Kind, Purge, Scope, Seq};

use crate::Service;
use crate::error::Error;

/// How often they are looked for.
const EVERY: Duration = Duration::from_secs(600);
/// How long they stay behind their end. It is as long as a token is good: those that an
/// authorization gave just before its end are held by its record. And a code that comes
/// once more is known as one that was used.
const KEPT_MS: i64 = 60 * 60 * 1000;
/// Records removed in a commit.
const STEP: usize = 500;
/// Commits of each sort for a kind in a project before others have their turn.
const STEPS_MAX: usize = 40;

impl Service {
    /// Removes them, every ten minutes. Never ends.
    pub async fn keep_nothing_ended(&self) {
        let mut round = tokio::time::interval(EVERY);
        loop {
            round.tick().await;
            match self.sweep_ended().await {
                0 => {}
                removed => tracing::debug!(removed, "records whose time is over were removed"),
            }
        }
    }

    /// Removes what there is of them, of each kind and project so many at most: how many.
    pub async fn sweep_ended(&self) -> usize {
        let mut removed = 0;
        for scope in self.scopes() {
            for kind in PASSING {
                match self.sweep_kind(scope, kind).await {
                    Ok(count) => removed += count,
                    Err(error) => {
                        let (name, cause) = (kind.name, error.cause());
                        tracing::warn!(
                            name,
                            cause,
                            "what is over of a kind cannot be removed just now"
                        );
                    }
                }
            }
        }
        removed
    }

    async fn sweep_kind(&self, scope: Scope, kind: &Passing) -> Result<usize, Error> {
        let mut removed = 0;
        for _ in 0..STEPS_MAX {
            let now_ms = self.now_ms();
            let query = kind.ended(now_ms.saturating_sub(KEPT_MS), STEP);
            let snapshot = self.store.snapshot(scope, At::Now).await?;
            let found = snapshot.find(&query).await?;
            drop(snapshot);
            let over = found.hits.iter().map(|hit| deletion(&hit.record));
            let batch = Batch::of(scope, now_ms, over.collect());
            let count = batch.puts.len();
            if count > 0 {
                self.store.commit(batch).await?;
            }
            removed += count;
            if count < STEP {
                break;
            }
        }
        self.purge_former(scope, kind.kind).await?;
        Ok(removed)
    }

    /// Purges every version of a kind but the newest of each record, so many at most.
    pub(crate) async fn purge_former(&self, scope: Scope, kind: Kind) -> Result<(), Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let mut after = Seq(0);
        for _ in 0..STEPS_MAX {
            let old = snapshot.superseded(kind, None, after, STEP).await?;
            let newest: BTreeMap<Box<str>, u64> = old
                .versions
                .into_iter()
                .map(|version| (version.id, version.newest))
                .collect();
            let purge = |(id, below)| Purge { kind, id, below };
            let batch = Batch {
                purged: newest.into_iter().map(purge).collect(),
                ..Batch::of(scope, self.now_ms(), Vec::new())
            };
            if !batch.purged.is_empty() {
                self.store.commit(batch).await?;
            }
            match old.next {
                Some(next) => after = next,
                None => break,
            }
        }
        Ok(())
    }

    /// All projects, and that of the server.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = vec![Scope::SYSTEM];
        scopes.extend(self.projects.scopes());
        scopes
    }
}

#[cfg(test)]
mod tests;
