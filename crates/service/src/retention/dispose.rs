//! Disposing of records whose time is over: deleted, and the content of every version gone.
//!
//! A step deletes some records and writes down which, in one commit; the next takes out what
//! their versions hold. What a crash leaves between the two is finished at the next start.

use salus_auth::record::{Cold, Disposal, RetentionClass, Saved, SystemRecord, Then};
use salus_auth::{Action, Grant};
use salus_store::{At, Record, Seq};

use super::due::{Patients, kept_until};
use super::said;
use super::step::{entry, purges};
use crate::Service;
use crate::audit::entry::{Entity, What};
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::pipeline::Ended;
use crate::records::all;

/// Records read at a time.
const STEP: usize = 200;
/// After this many a call ends,
const DISPOSED_MAX: u64 = 20_000;
/// or after this time.
const TIME_MAX_MS: i64 = 20_000;
/// Disposals that are looked through at the start.
const KEPT_MAX: usize = 1_000_000;

/// Disposing, as somebody asks for it.
#[derive(Clone)]
pub struct NewDisposal {
    /// Why.
    pub reason: String,
    /// Only count.
    pub dry_run: bool,
}
salus_phi::guard!(NewDisposal);

/// What was disposed of, or would be.
#[derive(Clone, Debug)]
pub struct Disposed {
    /// What it is kept as; no id if nothing was.
    pub disposal: Saved<Disposal>,
    /// Whether nothing more is due; if not, the next call goes on.
    pub complete: bool,
}

struct Progress {
    disposed: Disposed,
    dry_run: bool,
    count: u64,
    end_ms: i64,
}

impl Service {
    /// Disposes of what is due in the classes that say so.
    pub async fn dispose(&self, cx: &Context, new: NewDisposal) -> Result<Disposed, Error> {
        let what = What::Disposal;
        let grant = self.allow(cx, what, Action::WriteRetention).await?;
        let work = async {
            if !new.dry_run {
                self.needs_step_up(cx)?;
            }
            let disposal = Disposal {
                at_ms: cx.now_ms,
                by: cx.subject.label().into(),
                reason: said(&new.reason, "reason")?,
                counts: Default::default(),
                classes: Default::default(),
                cold: 0,
                objects: Vec::new(),
                held: 0,
                pending: Vec::new(),
            };
            let mut progress = Progress {
                disposed: Disposed {
                    disposal: Saved::new(self.new_id(cx), disposal),
                    complete: true,
                },
                dry_run: new.dry_run,
                count: 0,
                end_ms: self.now_ms().saturating_add(TIME_MAX_MS),
            };
            if !new.dry_run {
                self.remove_disposed_objects(cx, &grant).await?;
            }
            self.dispose_all(cx, &grant, &mut progress).await?;
            Ok(progress)
        };
        let mut progress = self.attempt(cx, &grant, what, "Disposal", work).await?;
        if progress.count > 0 && !progress.dry_run {
            self.store.forget().await?;
            self.fresh_blobs.sweep_soon();
            let saved = &mut progress.disposed.disposal;
            self.remove_objects_of(cx, &grant, saved).await?;
        } else {
            self.noted(cx, &grant, what).await?;
        }
        Ok(progress.disposed)
    }

    async fn dispose_all(
        &self,
        cx: &Context,
        grant: &Grant,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let setting = self.saved_retention(cx).await?.value;
        let classes = setting.classes.iter();
        for class in classes.filter(|class| class.then == Then::Dispose) {
            for ty in class.types.iter().filter_map(|ty| ResourceType::named(ty)) {
                self.dispose_type(cx, grant, (class, ty), progress).await?;
                self.dispose_cold(cx, grant, (class, ty), progress).await?;
            }
        }
        Ok(())
    }

    /// Disposes of what is due in cold storage.
    async fn dispose_cold(
        &self,
        cx: &Context,
        grant: &Grant,
        (class, ty): (&RetentionClass, ResourceType),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let (mut before, mut patients) = (Seq(u64::MAX), Patients::default());
        loop {
            if progress.is_over(self.now_ms()) {
                return Ok(());
            }
            let _turn = self.ending.read().await;
            let over = self.cold_over(cx, (class, ty), before, &mut patients);
            let over = over.await?;
            progress.disposed.disposal.value.held += over.held;
            if !over.due.is_empty() {
                let due = Due {
                    cold: over.due,
                    ..Due::default()
                };
                self.dispose_of(cx, grant, (class, ty, due), progress)
                    .await?;
            }
            match over.next {
                Some(next) => before = next,
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn dispose_type(
        &self,
        cx: &Context,
        grant: &Grant,
        (class, ty): (&RetentionClass, ResourceType),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let (mut before, mut patients) = (Seq(u64::MAX), Patients::default());
        loop {
            if progress.is_over(self.now_ms()) {
                return Ok(());
            }
            // No hold comes between the look at them and the commit.
            let _turn = self.ending.read().await;
            let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
            let hits = snapshot.walk(ty.kind, before, STEP, &[]).await?;
            let Some(last) = hits.last() else {
                return Ok(());
            };
            before = last.record.seq;
            let mut due = Vec::new();
            for hit in hits {
                let until = kept_until(cx, &*snapshot, (class, ty), &hit.record, &mut patients);
                if until.await?.is_over(cx.now_ms) {
                    due.push(hit.record);
                }
            }
            let held = self.held_among(cx, &*snapshot, ty, &due).await?;
            progress.disposed.disposal.value.held += held.len() as u64;
            due.retain(|record| !held.contains(&record.id));
            if !due.is_empty() {
                let due = Due {
                    live: due,
                    ..Due::default()
                };
                self.dispose_of(cx, grant, (class, ty, due), progress)
                    .await?;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Deletes some records, then takes out what their versions hold.
    async fn dispose_of(
        &self,
        cx: &Context,
        grant: &Grant,
        (class, ty, mut due): (&RetentionClass, ResourceType, Due),
        progress: &mut Progress,
    ) -> Result<(), Error> {
        progress.add(class, ty, &due);
        if progress.dry_run {
            return Ok(());
        }
        let saved = &mut progress.disposed.disposal;
        let mut entry = entry(cx, grant, saved);
        let mut deleted = Vec::new();
        for record in &due.live {
            let version = record.version + 1;
            entry.concerns(entity(ty, &record.id, version), ty.kind, &record.seal);
            deleted.push(salus_auth::record::deletion(record));
            deleted.extend(self.contained_deletions(cx, record).await?);
            // Earlier versions may be in cold storage.
            due.beside
                .extend(self.cold_beside(cx, ty, &record.id).await?);
        }
        for cold in &due.cold {
            let about = entity(ty, &cold.value.id, 0);
            entry.concerns(about, ty.kind, &cold.value.seal());
        }
        for left in due.cold.iter().chain(&due.beside) {
            deleted.push(left.delete());
            let objects = left.value.objects.iter();
            saved
                .value
                .objects
                .extend(objects.map(|object| object.name.clone()));
        }
        saved.value.objects.sort_unstable();
        saved.value.objects.dedup();
        saved.value.pending = due.pending(ty);
        let ended = Ended {
            deleted,
            beside: vec![saved.put()?],
            ..Ended::default()
        };
        self.end_records(cx, grant, entry, ended).await?;
        saved.version += 1;
        self.purge_pending(cx, grant, saved).await
    }

    /// Takes out the content of the records that a disposal has deleted.
    async fn purge_pending(
        &self,
        cx: &Context,
        grant: &Grant,
        saved: &mut Saved<Disposal>,
    ) -> Result<(), Error> {
        let pending = std::mem::take(&mut saved.value.pending);
        self.end_step(cx, grant, saved, purges(pending)).await
    }

    /// Removes the objects of cold storage that nothing lies in any more, of earlier disposals.
    async fn remove_disposed_objects(&self, cx: &Context, grant: &Grant) -> Result<(), Error> {
        for mut saved in all::<Disposal>(&*self.store, cx.scope, KEPT_MAX).await? {
            self.remove_objects_of(cx, grant, &mut saved).await?;
        }
        Ok(())
    }

    /// The same of one.
    async fn remove_objects_of(
        &self,
        cx: &Context,
        grant: &Grant,
        saved: &mut Saved<Disposal>,
    ) -> Result<(), Error> {
        let before = saved.value.objects.len();
        let objects = std::mem::take(&mut saved.value.objects);
        saved.value.objects = self.remove_cold_objects(cx, objects).await?;
        if saved.value.objects.len() == before {
            return Ok(());
        }
        self.end_step(cx, grant, saved, Vec::new()).await
    }

    /// Finishes what an earlier run of this server has begun.
    pub(crate) async fn finish_disposals(&self) -> Result<(), Error> {
        for scope in self.projects.scopes() {
            let disposals = all::<Disposal>(&*self.store, scope, KEPT_MAX).await?;
            for mut saved in disposals {
                if saved.value.pending.is_empty() {
                    continue;
                }
                let cx = self.operator_context(scope);
                let action = Action::WriteRetention;
                let grant = self.allow(&cx, What::Disposal, action).await?;
                self.purge_pending(&cx, &grant, &mut saved).await?;
            }
        }
        Ok(())
    }
}

/// What is due in a step.
#[derive(Default)]
struct Due {
    live: Vec<Record>,
    /// What is left here of records that are in cold storage.
    cold: Vec<Saved<Cold>>,
    /// What is left here of earlier versions of live ones.
    beside: Vec<Saved<Cold>>,
}

impl Due {
    /// What is to be purged when all of it is deleted.
    fn pending(&self, ty: ResourceType) -> Vec<(String, Box<str>)> {
        let live = self.live.iter();
        let live = live.map(|record| (ty.name.to_owned(), record.id.clone()));
        let left = self.cold.iter().chain(&self.beside);
        let left = left.map(|left| (Cold::NAME.to_owned(), left.id.clone()));
        live.chain(left).collect()
    }
}

impl Progress {
    /// Whether a call has done enough.
    fn is_over(&mut self, now_ms: i64) -> bool {
        let over = self.count >= DISPOSED_MAX || now_ms >= self.end_ms;
        self.disposed.complete &= !over;
        over
    }

    fn add(&mut self, class: &RetentionClass, ty: ResourceType, due: &Due) {
        let count = (due.live.len() + due.cold.len()) as u64;
        self.count += count;
        let disposal = &mut self.disposed.disposal.value;
        disposal.cold += due.cold.len() as u64;
        let by_class = disposal.classes.entry(class.name.clone()).or_default();
        for counts in [&mut disposal.counts, by_class] {
            *counts.entry(ty.name.to_owned()).or_default() += count;
        }
    }
}

fn entity(ty: ResourceType, id: &str, version: u64) -> Entity {
    Entity {
        ty: ty.name.into(),
        id: id.into(),
        version,
    }
}
