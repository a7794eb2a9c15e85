//! Blobs that no version of a Binary names any more, or never did: what a
//! crash, a failed commit or a purge leaves.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use salus_auth::policy::BINARY;
use salus_store::{At, Content, Filter, Query, Scope, Snapshot, Test};
use tokio::sync::Notify;

use super::{BLOB_PREFIX, LINK, LINK_BLOB, Link, missing};
use crate::Service;
use crate::error::Error;

/// How often it is looked for them.
const EVERY: Duration = Duration::from_secs(3600);

/// Younger ones may be about to be committed by another process.
const AGE_MS: i64 = 3_600_000;

const BLOBS_AT_ONCE: usize = 256;

/// So many of the versions that share a blob are looked at, the newest first.
/// If there are more, it stays.
const LINKS_MAX: usize = 1000;

/// The blobs that are written or committed just now: however long that takes,
/// they are not removed.
#[derive(Clone, Default)]
pub(crate) struct FreshBlobs {
    ids: Arc<Mutex<HashSet<Box<str>>>>,
    purged: Arc<Notify>,
}

/// Keeps a blob from being removed.
pub(crate) struct Fresh {
    id: Box<str>,
    among: FreshBlobs,
}

impl FreshBlobs {
    pub(super) fn add(&self, id: Box<str>) -> Arc<Fresh> {
        self.ids.lock().insert(id.clone());
        let among = self.clone();
        Arc::new(Fresh { id, among })
    }

    /// Tells that versions were purged, whose content goes now.
    pub(crate) fn sweep_soon(&self) {
        self.purged.notify_one();
    }

    fn has(&self, id: &str) -> bool {
        self.ids.lock().contains(id)
    }
}

impl Fresh {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.among.ids.lock().remove(&self.id);
    }
}

impl Service {
    /// Removes them, every hour and when versions were purged. Never ends.
    pub async fn keep_blobs(&self) {
        loop {
            // Either will do.
            let _ = tokio::time::timeout(EVERY, self.fresh_blobs.purged.notified()).await;
            match self.sweep_blobs().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "blobs that nothing names were removed"),
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(cause, "blobs cannot be looked after just now");
                }
            }
        }
    }

    /// Removes the blobs of Binaries that no version names, in all projects,
    /// and tells how many. Those of the last hour stay.
    pub async fn sweep_blobs(&self) -> Result<usize, Error> {
        let mut removed = 0;
        for scope in self.projects.scopes() {
            removed += self.sweep_scope(scope).await?;
        }
        Ok(removed)
    }

    async fn sweep_scope(&self, scope: Scope) -> Result<usize, Error> {
        let until_ms = self.now_ms().saturating_sub(AGE_MS);
        let (mut after, mut removed) = (Box::<str>::from(""), 0);
        loop {
            let page = self.blobs.list(scope, &after, BLOBS_AT_ONCE).await?;
            let Some(last) = page.last() else {
                return Ok(removed);
            };
            after = last.id.clone();
            let ours = page.iter().filter(|blob| {
                blob.id.starts_with(BLOB_PREFIX)
                    && blob.time_ms <= until_ms
                    && !self.fresh_blobs.has(&blob.id)
            });
            // Behind the look at what is fresh: what was committed since is seen.
            let ours: Vec<_> = ours.collect();
            let snapshot = self.store.snapshot(scope, At::Now).await?;
            for blob in ours {
                if !is_named(&*snapshot, &blob.id).await? {
                    self.blobs.remove(scope, &blob.id).await?;
                    removed += 1;
                }
            }
        }
    }
}

/// Whether some version has this blob for its content.
async fn is_named(snapshot: &dyn Snapshot, blob: &str) -> Result<bool, Error> {
    let test = Test::Token {
        system: None,
        code: Some(blob.into()),
    };
    let query = Query {
        kind: LINK,
        filter: Filter::Value(LINK_BLOB, test),
        sort: Vec::new(),
        limit: LINKS_MAX,
        after: None,
        rows: Vec::new(),
    };
    let found = snapshot.find(&query).await?;
    for hit in found.hits {
        let Content::Body(body) = &hit.record.content else {
            continue;
        };
        let link = Link::read(body).ok_or_else(missing)?;
        // Versions can be purged; the links to them stay.
        match snapshot.version(BINARY, &link.binary, link.version).await {
            Ok(Some(record)) if record.content != Content::Deleted => return Ok(true),
            Ok(_) | Err(salus_store::Error::Purged) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found.next.is_some())
}
