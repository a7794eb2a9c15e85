//! The walk over the records that are there already, in the background.
//!
//! For each type it goes from the newest version to the oldest, a few records
//! at a time, and makes all rows of each record anew by the set that counts.
//! What is written meanwhile has them from its writer. A definition that comes
//! while a walk is under way is taken along from there on; at the oldest
//! version the walk begins again at the newest and goes on until it is back
//! where the definition came. So each definition costs one round at most, and
//! none waits for another.
//!
//! The place is kept with the project's [`Index`], now and then: what was done
//! since is done again after a crash, which changes nothing.

mod anew;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use salus_auth::record::{Index, Step};
use salus_fhir::search::REVISION;
use salus_store::{At, Batch, Filter, Kind, Put, Query, Reindexed, Scope, Seq, Snapshot};

use super::load::kind_of;
use super::{Project, State, tell};
use crate::Service;
use crate::error::Error;
use crate::fhir::contained;
use anew::Anew;

/// Records of one step.
const RECORDS: usize = 64;
/// Steps after which the place is kept.
pub(super) const STEPS_KEPT: u64 = 64;
/// The pause after each step while requests are under way.
const PAUSE: Duration = Duration::from_millis(25);
/// The pause while somebody still has an older set.
const WAIT: Duration = Duration::from_millis(10);
/// The pause after a failure of the store.
const RETRY: Duration = Duration::from_secs(1);
/// Most URLs under which a server may have answered.
pub(super) const BASES_MAX: usize = 16;
/// Where a walk begins.
const TOP: u64 = u64::MAX;

/// What came of a step.
pub(super) enum Stepped {
    /// There is nothing to do.
    Idle,
    /// Somebody may still write as before.
    Early,
    /// Something was done.
    Done,
}

impl Service {
    /// Indexes what has to be indexed, for ever. Nothing is lost when it is
    /// dropped.
    pub async fn keep_indexes(&self) {
        loop {
            let work = self.parameters.work.notified();
            let mut busy = false;
            for project in self.parameters.all() {
                let pause = match self.step(&project).await {
                    Ok(Stepped::Idle) => continue,
                    Ok(Stepped::Early) => WAIT,
                    Ok(Stepped::Done) if self.is_loaded() => PAUSE,
                    Ok(Stepped::Done) => Duration::ZERO,
                    Err(error) => {
                        let cause = error.cause();
                        tracing::warn!(cause, "search indexes cannot be built just now");
                        RETRY
                    }
                };
                busy = true;
                match pause.is_zero() {
                    true => tokio::task::yield_now().await,
                    false => tokio::time::sleep(pause).await,
                }
            }
            if !busy {
                work.await;
            }
        }
    }

    /// Whether any request is under way: each has the set of its project.
    fn is_loaded(&self) -> bool {
        let projects = self.parameters.projects.read();
        projects
            .values()
            .any(|project| Arc::strong_count(&project.now.read()) > 1)
    }

    /// Some records of one type of a project.
    pub(super) async fn step(&self, project: &Project) -> Result<Stepped, Error> {
        let mut state = project.state.lock().await;
        let Some(ty) = next_type(&state.index.value) else {
            return Ok(Stepped::Idle);
        };
        if !state.is_settled() {
            return Ok(Stepped::Early);
        }
        let parameters = self.parameters(project.scope);
        let snapshot = self.store.snapshot(project.scope, At::Now).await?;
        let kind = kind_of(&ty).unwrap_or(Kind(0));
        state.steps += 1;
        let mut news = state.steps.is_multiple_of(STEPS_KEPT);
        if state.begin(&ty) {
            let total = snapshot.count(&all(kind)).await?;
            state.expect(&ty, total);
            news |= total > 0;
        }
        let place = place(&state.index.value, &ty);
        let references = anew::references(&ty);
        let walk = snapshot.walk(kind, Seq(place), RECORDS, &references);
        let hits = walk.await?;
        let mut bases = state.index.value.bases.clone();
        let mut new = anew::of(&ty, &parameters, &hits, &mut bases);
        drop(parameters);
        if !self
            .lay_contained(project.scope, &*snapshot, &mut new)
            .await?
        {
            return Ok(Stepped::Early);
        }
        drop(snapshot);
        let (done, failed) = (hits.len() as u64, new.failed);
        let next = hits.last().map_or(0, |last| last.record.seq.0);
        let mut index = state.index.clone();
        index.value.bases = bases;
        let complete = advance(&mut index.value, &ty, next, (done, failed));
        // That a type has no records need not be told while there is more to do.
        news |= complete && (place < TOP || index.value.goals.is_empty());
        let put = match news {
            true => Some(index.put()?),
            false => None,
        };
        index.version = put.as_ref().map_or(index.version, |put| put.version);
        if !self.lay(project.scope, new.rows, put).await? {
            return Ok(Stepped::Early);
        }
        self.parameters.indexed.fetch_add(done, Ordering::Relaxed);
        state.index = index;
        state.failed += failed;
        state.tell();
        if complete {
            project.publish(&mut state);
        }
        Ok(Stepped::Done)
    }

    /// Commits new rows. This is no use case: nobody asked, nothing is shown
    /// and no resource changes. Says whether it was done: not if another
    /// change came first.
    async fn lay(
        &self,
        scope: Scope,
        reindexed: Vec<Reindexed>,
        put: Option<Put>,
    ) -> Result<bool, Error> {
        let batch = Batch {
            reindexed,
            ..Batch::of(scope, self.now_ms(), put.into_iter().collect())
        };
        self.lay_batch(batch).await
    }

    /// Commits the records of contained resources that there are none of, and
    /// adds new rows of the others to those that are to be laid. Each has the
    /// time of its container, as it would have had from the writer.
    async fn lay_contained(
        &self,
        scope: Scope,
        snapshot: &dyn Snapshot,
        new: &mut Anew,
    ) -> Result<bool, Error> {
        let mut batches: BTreeMap<i64, Batch> = BTreeMap::new();
        for inside in std::mem::take(&mut new.contained) {
            let (missing, known) = contained::missing(snapshot, inside.puts).await?;
            new.rows.extend(known);
            if !missing.is_empty() {
                let time_ms = inside.time_ms;
                let batch = || Batch::of(scope, time_ms, Vec::new());
                let batch = batches.entry(time_ms).or_insert_with(batch);
                batch.preconditions.push(inside.current);
                batch.puts.extend(missing);
            }
        }
        for batch in batches.into_values() {
            if !self.lay_batch(batch).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn lay_batch(&self, batch: Batch) -> Result<bool, Error> {
        if batch.reindexed.is_empty() && batch.puts.is_empty() {
            return Ok(true);
        }
        match self.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(salus_store::Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The type to walk over; `None` if there is nothing to do just now.
fn next_type(index: &Index) -> Option<String> {
    let mut goals = index.goals.iter().filter(|goal| goal.step != Step::Ended);
    goals
        .next()
        .filter(|_| !index.paused)
        .map(|goal| goal.ty.clone())
}

impl State {
    /// Takes along what waits on a type; says whether there was any.
    fn begin(&mut self, ty: &str) -> bool {
        let index = &mut self.index.value;
        let place = place(index, ty);
        let mut begun = false;
        for goal in index.goals.iter_mut().filter(|goal| goal.ty == ty) {
            if goal.step == Step::Waiting {
                goal.step = Step::Since(place);
                begun = true;
            }
        }
        begun
    }

    fn expect(&mut self, ty: &str, total: u64) {
        let goals = self.index.value.goals.iter_mut();
        for goal in goals.filter(|goal| goal.ty == ty && goal.total == 0) {
            goal.total = total;
        }
    }

    /// Shows how far it is to those who ask.
    pub(super) fn tell(&self) {
        for goal in &self.index.value.goals {
            let key = (goal.id.clone(), goal.ty.clone());
            if let Some(building) = self.building.get(&key) {
                tell(building, goal);
            }
        }
    }
}

fn place(index: &Index, ty: &str) -> u64 {
    let place = index.places.iter().find(|(of, _)| of == ty);
    place.map_or(TOP, |(_, place)| *place)
}

pub(super) fn all(kind: Kind) -> Query {
    Query {
        kind,
        filter: Filter::Everything,
        sort: Vec::new(),
        limit: 0,
        after: None,
        rows: Vec::new(),
    }
}

/// The walk of a type has come to a place; 0 is behind the oldest version.
/// Says whether it is over for any goal.
fn advance(index: &mut Index, ty: &str, to: u64, (done, failed): (u64, u64)) -> bool {
    let mut over = false;
    index.goals.retain_mut(|goal| {
        if goal.ty != ty || goal.step == Step::Ended {
            return true;
        }
        goal.done += done;
        goal.failed += failed;
        let goes_on = match goal.step {
            Step::Until(end) => to > end,
            Step::Since(TOP) => to > 0,
            Step::Since(start) if to == 0 => {
                goal.step = Step::Until(start);
                true
            }
            Step::Since(_) | Step::Waiting | Step::Ended => true,
        };
        over |= !goes_on;
        if !goes_on && goal.failed > 0 {
            goal.step = Step::Ended;
        }
        goes_on || goal.step == Step::Ended
    });
    index.places.retain(|(of, _)| of != ty);
    let mut goals = index.goals.iter();
    let goes_on = goals.any(|goal| goal.ty == ty && goal.step != Step::Ended);
    if goes_on && to > 0 {
        index.places.push((ty.to_owned(), to));
    }
    if !index.goals.iter().any(|goal| goal.id.is_empty()) {
        index.revision = index.revision.max(REVISION);
    }
    over
}

#[cfg(test)]
mod tests;
