//! Moving records to cold storage, in bounded steps that can be taken up again.
//!
//! A step says which bundle it writes (first commit); writes it, reads it back and compares; deletes the
//! records here and leaves what says where they are (second commit); and takes out what their
//! versions hold (third). What a crash leaves after the first is objects that no record lies
//! in, which are removed; after the second, versions that are purged at the next start.

use std::collections::BTreeMap;

use salus_auth::record::{Cold, ColdMove, RetentionClass, Saved, deletion};
use salus_auth::{Action, Grant};
use salus_store::{At, Error as StoreError, Put, Record, SealKey, Seq};

use super::Storage;
use super::bundle::{Bundle, between};
use super::gather::{Because, Gathered};
use super::read::{Reader, Unread};
use crate::Service;
use crate::audit::entry::{Entity, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::pipeline::Ended;
use crate::records::one;
use crate::retention::{Counted, Patients, entry, purges, said};

/// Records read at a time.
const STEP: usize = 200;
/// After this many a call ends,
const MOVED_MAX: u64 = 5_000;
/// or after this time.
const TIME_MAX_MS: i64 = 20_000;

/// Moving, as somebody asks for it.
#[derive(Clone)]
pub struct NewMove {
    /// Why.
    pub reason: String,
    /// Only count.
    pub dry_run: bool,
}
salus_phi::guard!(NewMove);

/// What was moved, or would be.
#[derive(Clone, Debug)]
pub struct Moved {
    /// What it is kept as.
    pub moved: Saved<ColdMove>,
    /// Whether nothing more is due; if not, the next call goes on.
    pub complete: bool,
}

struct Progress {
    moved: Moved,
    count: u64,
    end_ms: i64,
}

impl Service {
    /// Moves what is due for cold storage in the classes that say so.
    pub async fn move_cold(&self, cx: &Context, new: NewMove) -> Result<Moved, Error> {
        let what = What::ColdMoved;
        let grant = self.allow(cx, what, Action::WriteRetention).await?;
        let work = async {
            let reason = said(&new.reason, "reason")?;
            if !new.dry_run {
                self.needs_step_up(cx)?;
            }
            let _one = self.cold_moves.lock().await;
            // Counting needs no place.
            let storage = match new.dry_run {
                true => None,
                false => Some(self.cold_storage()?),
            };
            if let Some(storage) = &storage {
                self.finish_cold_moves(cx, &grant, storage).await?;
            }
            let moved = ColdMove {
                at_ms: cx.now_ms,
                by: cx.subject.label().into(),
                reason,
                counts: BTreeMap::new(),
                held: 0,
                left: 0,
                bundle: None,
                pending: Vec::new(),
            };
            let mut progress = Progress {
                moved: Moved {
                    moved: Saved::new(self.new_id(cx), moved),
                    complete: true,
                },
                count: 0,
                end_ms: self.now_ms().saturating_add(TIME_MAX_MS),
            };
            let storage = storage.as_ref();
            self.move_all(cx, &grant, storage, &mut progress).await?;
            Ok(progress)
        };
        let progress = self.attempt(cx, &grant, what, "ColdMove", work).await?;
        if progress.count > 0 && !new.dry_run {
            self.store.forget().await?;
            self.fresh_blobs.sweep_soon();
        } else {
            self.noted(cx, &grant, what).await?;
        }
        Ok(progress.moved)
    }

    async fn move_all(
        &self,
        cx: &Context,
        grant: &Grant,
        storage: Option<&Storage>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let setting = self.saved_retention(cx).await?.value;
        let classes = setting.classes.iter();
        for class in classes.filter(|class| class.cold_after_years.is_some()) {
            for ty in class.types.iter().filter_map(|ty| ResourceType::named(ty)) {
                self.move_type(cx, grant, (storage, class, ty), progress)
                    .await?;
            }
        }
        Ok(())
    }

    async fn move_type(
        &self,
        cx: &Context,
        grant: &Grant,
        (storage, class, ty): (Option<&Storage>, &RetentionClass, ResourceType),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let (mut before, mut patients) = (Seq(u64::MAX), Patients::default());
        loop {
            if progress.count >= MOVED_MAX || self.now_ms() >= progress.end_ms {
                progress.moved.complete = false;
                return Ok(());
            }
            let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
            let hits = snapshot.walk(ty.kind, before, STEP, &[]).await?;
            let Some(last) = hits.last() else {
                return Ok(());
            };
            before = last.record.seq;
            let mut due = Vec::new();
            for hit in hits {
                let Some(counted) = Counted::of(cx, ty, &hit.record) else {
                    continue;
                };
                let from = counted.cold_from(&*snapshot, class, &mut patients).await?;
                if from.is_over(cx.now_ms) {
                    due.push(hit.record);
                }
            }
            let held = self.held_among(cx, &*snapshot, ty, &due).await?;
            progress.moved.moved.value.held += held.len() as u64;
            due.retain(|record| !held.contains(&record.id));
            let Some(storage) = storage else {
                progress.add(ty, due.len() as u64);
                continue;
            };
            for (seal, records) in by_key(due) {
                let moving = Moving {
                    storage,
                    class,
                    ty,
                    seal,
                };
                self.move_some(cx, grant, (moving, records), progress)
                    .await?;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Moves records of one key.
    async fn move_some(
        &self,
        cx: &Context,
        grant: &Grant,
        (moving, records): (Moving<'_>, Vec<Record>),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let count = records.len() as u64;
        let saved = &mut progress.moved.moved;
        let bundle = self.new_id(cx);
        saved.value.bundle = Some(bundle.clone());
        self.end_step(cx, grant, saved, Vec::new()).await?;
        let gathered = self
            .gather_all(cx, (&moving, records), (&bundle, saved))
            .await?;
        saved.value.left += count - gathered.len() as u64;
        let moved = gathered.len() as u64;
        let done = match gathered.is_empty() {
            true => false,
            false => {
                self.leave_cold(cx, grant, (&moving, gathered), saved)
                    .await?
            }
        };
        if done {
            self.purge_moved(cx, grant, saved).await?;
            progress.add(moving.ty, moved);
        } else {
            // Others came first: what was written is of no use.
            self.drop_bundle(cx, moving.storage, &bundle).await?;
            saved.value.bundle = None;
            self.end_step(cx, grant, saved, Vec::new()).await?;
            progress.moved.complete &= moved == 0;
        }
        Ok(())
    }

    /// Writes records into a bundle, reads it back and compares.
    async fn gather_all(
        &self,
        cx: &Context,
        (moving, records): (&Moving<'_>, Vec<Record>),
        (name, saved): (&str, &Saved<ColdMove>),
    ) -> Result<Vec<Gathered>, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let key = (cx.scope, &moving.seal);
        let mut bundle = Bundle::new(moving.storage, key, (name, cx.now_ms));
        let mut gathered = Vec::with_capacity(records.len());
        for record in records {
            let id = Cold::id_of(moving.ty.name, &record.id);
            let before = one::<Cold>(&*self.store, cx.scope, &id).await?;
            let because = Because {
                class: moving.class,
                by: &saved.value.by,
                reason: &saved.value.reason,
                before: before.map(|before| before.value),
            };
            let one = (moving.ty, record);
            let one = self.gather(cx, &*snapshot, one, because, &mut bundle);
            gathered.extend(one.await?);
        }
        let objects = bundle.finish().await?;
        let mut reader = Reader::new(moving.storage, cx.scope);
        for one in &mut gathered {
            let own = between(&objects, one.from, one.to);
            one.cold.objects.extend(own);
            let read = reader.check(&one.cold).await;
            read.map_err(|unread| match unread {
                Unread::Error(error) => error,
                Unread::Fault(object, fault) => Error::new(
                    Kind::Unavailable,
                    format!("{object} was written, and {fault}: nothing was taken out here"),
                ),
            })?;
        }
        Ok(gathered)
    }

    /// Deletes the records here, and leaves what says where they are; not if one of them was
    /// changed, held or shredded meanwhile.
    async fn leave_cold(
        &self,
        cx: &Context,
        grant: &Grant,
        (moving, gathered): (&Moving<'_>, Vec<Gathered>),
        saved: &mut Saved<ColdMove>,
    ) -> Result<bool, Error> {
        // No hold comes between the look at them and the commit.
        let _turn = self.ending.read().await;
        let records: Vec<Record> = gathered.iter().map(|one| one.record.clone()).collect();
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let held = self.held_among(cx, &*snapshot, moving.ty, &records).await?;
        if !held.is_empty() {
            return Ok(false);
        }
        let mut entry = entry(cx, grant, saved);
        let (mut deleted, mut beside) = (Vec::new(), Vec::new());
        for Gathered { record, cold, .. } in gathered {
            let entity = Entity {
                ty: moving.ty.name.into(),
                id: record.id.clone(),
                version: record.version + 1,
            };
            entry.concerns(entity, record.kind, &record.seal);
            beside.push(self.left_of(cx, cold).await?);
            deleted.push(deletion(&record));
            deleted.extend(self.contained_deletions(cx, &record).await?);
        }
        let ids = records.into_iter();
        let ids = ids.map(|record| (moving.ty.name.to_owned(), record.id));
        saved.value.pending = ids.collect();
        beside.push(saved.put()?);
        // Held until it is decided: who shuts a patient waits for those who write.
        let _under_way = self.shut.enter();
        if self.shut.holds(cx.scope, &beside) {
            saved.value.pending.clear();
            return Ok(false);
        }
        let ended = Ended {
            deleted,
            beside,
            ..Ended::default()
        };
        match self.end_records(cx, grant, entry, ended).await {
            Ok(()) => {
                saved.version += 1;
                Ok(true)
            }
            Err(StoreError::Conflict { .. } | StoreError::KeyDestroyed) => {
                saved.value.pending.clear();
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next version of what is left of a record.
    async fn left_of(&self, cx: &Context, cold: Cold) -> Result<Put, Error> {
        let id = Cold::id_of(&cold.ty, &cold.id);
        let (_, version) = crate::records::ever::<Cold>(&*self.store, cx.scope, &id).await?;
        let left = Saved {
            version,
            ..Saved::new(id, cold)
        };
        Ok(left.put_sealed()?)
    }

    /// Takes out what the versions hold of records that are in cold storage.
    async fn purge_moved(
        &self,
        cx: &Context,
        grant: &Grant,
        saved: &mut Saved<ColdMove>,
    ) -> Result<(), Error> {
        let pending = std::mem::take(&mut saved.value.pending);
        saved.value.bundle = None;
        self.end_step(cx, grant, saved, purges(pending)).await
    }

    /// Removes the objects of a bundle that no record lies in.
    async fn drop_bundle(
        &self,
        cx: &Context,
        storage: &Storage,
        bundle: &str,
    ) -> Result<(), Error> {
        let prefix = format!("{}{bundle}-", storage.objects.folder(cx.scope));
        for name in storage.place.list(&prefix).await? {
            self.remove_unnamed(cx, storage, &name).await?;
        }
        Ok(())
    }

    /// Removes an object, if no record lies in it; whether it is gone.
    pub(super) async fn remove_unnamed(
        &self,
        cx: &Context,
        storage: &Storage,
        name: &str,
    ) -> Result<bool, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        if snapshot.count(&Cold::of_object(name)).await? > 0 {
            return Ok(false);
        }
        storage.place.remove(name).await?;
        Ok(true)
    }

    /// Finishes what earlier moves have begun: bundles that were not finished are removed.
    async fn finish_cold_moves(
        &self,
        cx: &Context,
        grant: &Grant,
        storage: &Storage,
    ) -> Result<(), Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let found = snapshot.find(&ColdMove::unfinished()).await?;
        for hit in &found.hits {
            let Some(mut saved) = crate::records::read::<ColdMove>(Some(&hit.record))? else {
                continue;
            };
            if !saved.value.pending.is_empty() {
                self.purge_moved(cx, grant, &mut saved).await?;
                continue;
            }
            if let Some(bundle) = saved.value.bundle.take() {
                self.drop_bundle(cx, storage, &bundle).await?;
                self.end_step(cx, grant, &mut saved, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Purges here, before anybody is answered, what a crash left of moves that were decided.
    pub(crate) async fn purge_cold_moves(&self) -> Result<(), Error> {
        for scope in self.projects.scopes() {
            let snapshot = self.store.snapshot(scope, At::Now).await?;
            let found = snapshot.find(&ColdMove::unfinished()).await?;
            for hit in &found.hits {
                let saved = crate::records::read::<ColdMove>(Some(&hit.record))?;
                let Some(mut saved) = saved.filter(|saved| !saved.value.pending.is_empty()) else {
                    continue;
                };
                let cx = self.operator_context(scope);
                let action = Action::WriteRetention;
                let grant = self.allow(&cx, What::ColdMoved, action).await?;
                self.purge_moved(&cx, &grant, &mut saved).await?;
            }
        }
        Ok(())
    }
}

/// What is moved by one key.
struct Moving<'a> {
    storage: &'a Storage,
    class: &'a RetentionClass,
    ty: ResourceType,
    seal: SealKey,
}

impl Progress {
    fn add(&mut self, ty: ResourceType, count: u64) {
        self.count += count;
        let counts = &mut self.moved.moved.value.counts;
        *counts.entry(ty.name.to_owned()).or_default() += count;
    }
}

/// Records by the key that seals them.
fn by_key(records: Vec<Record>) -> Vec<(SealKey, Vec<Record>)> {
    let mut groups: Vec<(SealKey, Vec<Record>)> = Vec::new();
    for record in records {
        let group = groups.iter_mut().find(|(seal, _)| *seal == record.seal);
        match group {
            Some((_, group)) => group.push(record),
            None => groups.push((record.seal.clone(), vec![record])),
        }
    }
    groups
}
