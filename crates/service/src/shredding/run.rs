//! The steps of a shredding. Each can be done again: what is done already is found done.

use futures_util::future::BoxFuture;
use salus_auth::Grant;
use salus_auth::record::{Saved, Shred as ShredRecord};
use salus_store::{Content, Error as StoreError, Put, Scope, SealKey, Shred};
use tokio::sync::RwLockReadGuard;

use super::certificate::{FORM, Facts};
use super::plan::{Targets, counted};
use super::{about, entry};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::{Ended, Write};
use crate::statement;

/// Records of one commit.
const STEP: usize = 200;
/// Blobs looked at at a time.
const BLOBS_AT_ONCE: usize = 256;
/// How often it is looked for what is left; others may move records meanwhile.
const ROUNDS_MAX: usize = 20;

impl Service {
    /// Shreds a patient. Whoever calls has decided that it may be; no hold is placed in the turn
    /// that they give.
    pub(super) fn shred_now<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
        mut saved: Saved<ShredRecord>,
        turn: Option<RwLockReadGuard<'a, ()>>,
    ) -> BoxFuture<'a, Result<Saved<ShredRecord>, Error>> {
        Box::pin(async move {
            let patient = saved.id.clone();
            self.shut.shut(cx.scope, &patient).await;
            let shreds = self.keys_to_destroy()?;
            let (scope, begun_ms) = (cx.scope.0, saved.value.begun_ms);
            aside(|| shreds.begin(scope, &patient, begun_ms))?;
            let erased = counted(&self.sealed_for(cx.scope, &patient).await?);
            if saved.version == 0 {
                let write = Write::system(grant, "Shred", saved.put()?);
                let entry = about(cx, grant, &patient, &saved.value.reason);
                self.commit(cx, entry, Vec::new(), vec![write]).await?;
                saved.version = 1;
            }
            self.delete_sealed(cx, grant, &patient).await?;
            let keys = aside(|| shreds.destroy(scope, &patient))?;
            // Nothing brings it back now. What follows may wait for others who want a turn.
            drop(turn);
            self.shred_sealed(cx, grant, &patient).await?;
            let blobs = self.remove_closed_blobs(cx.scope).await?;
            let jobs = self.remove_all_jobs(cx.scope).await?;
            let cold = std::mem::take(&mut saved.value.cold);
            let (cold_objects, cold) = (cold.len(), self.remove_cold_objects(cx, cold).await?);
            // Those that are there yet are closed for good; who looks after the place finds them here.
            saved.value.cold = cold;
            self.store.forget().await?;
            let left = self.sealed_for(cx.scope, &patient).await?;
            if !left.is_empty() || !shreds.is_destroyed(scope, &patient) {
                let details =
                    "something of the patient is left: it is tried again at the next start";
                return Err(Error::new(Kind::Internal, details));
            }
            let done_ms = self.now_ms();
            let project = self.project_slug(cx.scope).unwrap_or_default();
            let facts = Facts {
                project: &project,
                patient: &patient,
                shred: &saved.value,
                erased: &erased,
                keys,
                blobs,
                jobs,
                cold: (cold_objects, saved.value.cold.len()),
                done_ms,
            };
            let signed = statement::sign(shreds.signer(), FORM, &facts.view());
            saved.value.done_ms.get_or_insert(done_ms);
            // What was certified first stays what people have.
            saved.value.certificate.get_or_insert(signed);
            let write = Write::system(grant, "Shred", saved.put()?);
            let entry = entry(cx, (What::KeyDestroyed, grant), &patient, "patient");
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            saved.version += 1;
            aside(|| shreds.finish(scope, &patient, done_ms))?;
            Ok(saved)
        })
    }

    /// Deletes the records that the patient's key sealed: searches find them no more.
    async fn delete_sealed(&self, cx: &Context, grant: &Grant, patient: &str) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let targets = self.sealed_for(cx.scope, patient).await?;
            let puts: Vec<Put> = deletions(&targets).collect();
            if puts.is_empty() {
                return Ok(());
            }
            for some in puts.chunks(STEP) {
                let ended = Ended {
                    deleted: some.to_vec(),
                    ..Ended::default()
                };
                let entry = about(cx, grant, patient, "records deleted");
                match self.end_records(cx, grant, entry, ended).await {
                    // One became another patient's just before.
                    Ok(()) | Err(StoreError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(Error::new(
            Kind::Conflict,
            "other changes came first again and again",
        ))
    }

    /// Takes out the content of every version that the key sealed.
    async fn shred_sealed(&self, cx: &Context, grant: &Grant, patient: &str) -> Result<(), Error> {
        let targets = self.sealed_for(cx.scope, patient).await?;
        let shredded = targets.into_iter().map(|((kind, id), target)| Shred {
            kind,
            id,
            versions: target.versions,
        });
        let shredded: Vec<Shred> = shredded.collect();
        for some in shredded.chunks(STEP) {
            let ended = Ended {
                shredded: some.to_vec(),
                ..Ended::default()
            };
            let entry = about(cx, grant, patient, "versions erased");
            self.end_records(cx, grant, entry, ended).await?;
        }
        Ok(())
    }

    /// Removes the blobs whose keys are destroyed; how many there were.
    async fn remove_closed_blobs(&self, scope: Scope) -> Result<usize, Error> {
        let (mut after, mut removed) = (Box::<str>::from(""), 0);
        loop {
            let page = self.blobs.list(scope, &after, BLOBS_AT_ONCE).await?;
            let Some(last) = page.last() else {
                return Ok(removed);
            };
            after = last.id.clone();
            for blob in &page {
                if let Err(StoreError::KeyDestroyed) = self.blobs.open(scope, &blob.id).await {
                    self.blobs.remove(scope, &blob.id).await?;
                    removed += 1;
                }
            }
        }
    }
}

fn deletions(targets: &Targets) -> impl Iterator<Item = Put> {
    let current = targets.iter().filter(|(_, target)| target.is_current());
    current.map(|((kind, id), target)| Put {
        kind: *kind,
        id: id.clone(),
        version: target.newest + 1,
        content: Content::Deleted,
        rows: Vec::new(),
        main_date_ms: None,
        // The patient's key is about to go.
        seal: SealKey::Scope,
    })
}

/// Waits for the disk of the keyring: a few sectors.
fn aside<T>(work: impl FnOnce() -> Result<T, salus_crypto::Error>) -> Result<T, Error> {
    work().map_err(|error| {
        let details = "the keyring cannot do this just now; it is tried again at the next start";
        Error::new(Kind::Unavailable, details).caused_by(error)
    })
}
