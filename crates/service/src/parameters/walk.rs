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

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use salus_auth::record::{Index, Step};
use salus_fhir::definitions::SearchKind;
use salus_fhir::json::{Document, Limits};
use salus_fhir::reference::Reference;
use salus_fhir::search::{Entry, Extractor, Parameters, REVISION, Value as Found};
use salus_store::{
    At, Batch, Content, Filter, Hit, Kind, Param, Put, Query, Reindexed, Row, Scope, Seq, Value,
};

use super::load::kind_of;
use super::{Project, State};
use crate::Service;
use crate::error::Error;
use crate::fhir::list;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

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
const NO_BASES: &[&str] = &[];
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
        if state.index.value.paused || state.index.value.goals.is_empty() {
            return Ok(Stepped::Idle);
        }
        if !state.is_settled() {
            return Ok(Stepped::Early);
        }
        let Some(ty) = state.index.value.goals.first().map(|goal| goal.ty.clone()) else {
            return Ok(Stepped::Idle);
        };
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
        let references = references(&ty);
        let walk = snapshot.walk(kind, Seq(place), RECORDS, &references);
        let hits = walk.await?;
        drop(snapshot);
        let mut bases = state.index.value.bases.clone();
        let (reindexed, failed) = anew(&ty, &parameters, &hits, &mut bases);
        drop(parameters);
        let done = hits.len() as u64;
        let next = hits.last().map_or(0, |last| last.record.seq.0);
        let mut index = state.index.clone();
        index.value.bases = bases;
        let complete = advance(&mut index.value, &ty, next, done);
        // That a type has no records need not be told while there is more to do.
        news |= complete && (place < TOP || index.value.goals.is_empty());
        let put = match news {
            true => Some(index.put()?),
            false => None,
        };
        index.version = put.as_ref().map_or(index.version, |put| put.version);
        self.lay(project.scope, reindexed, put).await?;
        self.parameters.indexed.fetch_add(done, Ordering::Relaxed);
        state.index = index;
        state.failed += failed;
        state.tell(&ty);
        if complete {
            project.publish(&mut state);
        }
        Ok(Stepped::Done)
    }

    /// Commits new rows. This is no use case: nobody asked, nothing is shown
    /// and no resource changes.
    async fn lay(
        &self,
        scope: Scope,
        reindexed: Vec<Reindexed>,
        put: Option<Put>,
    ) -> Result<(), Error> {
        if reindexed.is_empty() && put.is_none() {
            return Ok(());
        }
        let batch = Batch {
            scope,
            time_ms: self.now_ms(),
            preconditions: Vec::new(),
            puts: put.into_iter().collect(),
            reindexed,
            audit: Vec::new(),
            held: None,
        };
        self.store.commit(batch).await?;
        Ok(())
    }
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
    fn tell(&self, ty: &str) {
        for goal in self.index.value.goals.iter().filter(|goal| goal.ty == ty) {
            let key = (goal.id.clone(), goal.ty.clone());
            if let Some(building) = self.building.get(&key) {
                building.done.store(goal.done, Ordering::Relaxed);
                building.total.store(goal.total, Ordering::Relaxed);
            }
        }
    }
}

fn place(index: &Index, ty: &str) -> u64 {
    let place = index.places.iter().find(|(of, _)| of == ty);
    place.map_or(TOP, |(_, place)| *place)
}

fn all(kind: Kind) -> Query {
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
/// Says whether any goal is reached.
fn advance(index: &mut Index, ty: &str, to: u64, done: u64) -> bool {
    let before = index.goals.len();
    index.goals.retain_mut(|goal| {
        if goal.ty != ty {
            return true;
        }
        goal.done += done;
        match goal.step {
            Step::Until(end) => to > end,
            Step::Since(TOP) => to > 0,
            Step::Since(start) if to == 0 => {
                goal.step = Step::Until(start);
                true
            }
            Step::Since(_) | Step::Waiting => true,
        }
    });
    index.places.retain(|(of, _)| of != ty);
    let goes_on = index.goals.iter().any(|goal| goal.ty == ty);
    if goes_on && to > 0 {
        index.places.push((ty.to_owned(), to));
    }
    if !index.goals.iter().any(|goal| goal.id.is_empty()) {
        index.revision = index.revision.max(REVISION);
    }
    index.goals.len() < before
}

/// New rows for records, and of how many they could not be made: those stay
/// as they are.
fn anew(
    ty: &str,
    parameters: &Parameters,
    hits: &[Hit],
    bases: &mut Vec<String>,
) -> (Vec<Reindexed>, u64) {
    let Some(extractor) = parameters.extractor(ty) else {
        return (Vec::new(), hits.len() as u64);
    };
    let made = hits.iter().filter_map(|hit| rows_of(extractor, hit, bases));
    let made: Vec<Reindexed> = made.collect();
    let failed = (hits.len() - made.len()) as u64;
    if failed > 0 {
        tracing::warn!(ty, failed, "records keep their old index rows");
    }
    (made, failed)
}

fn rows_of(extractor: &Extractor, hit: &Hit, bases: &mut Vec<String>) -> Option<Reindexed> {
    let record = &hit.record;
    let Content::Body(body) = &record.content else {
        return None;
    };
    let limits = Limits {
        bytes_max: usize::MAX,
        ..Limits::default()
    };
    let document = Document::parse(body.to_vec(), &limits).ok()?;
    let mut entries = extractor.extract(document.root(), bases).ok()?;
    let known = bases.len();
    learn(extractor, &entries, &hit.rows, bases);
    if bases.len() > known {
        entries = extractor.extract(document.root(), bases).ok()?;
    }
    let ty = ResourceType::of(record.kind)?;
    let mut rows = rows::rows(extractor, &entries, document.root());
    list::add_members(ty, document.root(), bases, &mut rows);
    Some(Reindexed {
        kind: record.kind,
        id: record.id.clone(),
        version: record.version,
        rows,
        main_date_ms: extractor.main_date(&entries).map(|span| span.from_ms),
    })
}

/// A URL that the writer took for a record of this server begins with a base
/// of it. Nobody else knows the bases of requests that are long past.
fn learn(extractor: &Extractor, entries: &[Entry<'_>], rows: &[Row], bases: &mut Vec<String>) {
    for entry in entries {
        let Found::ReferenceUri(url) = &entry.value else {
            continue;
        };
        let Some(Reference::Absolute {
            target: Some(local),
            ..
        }) = Reference::parse(url, NO_BASES)
        else {
            continue;
        };
        let Some(parameter) = extractor.parameters().get(usize::from(entry.parameter)) else {
            continue;
        };
        let param = rows::param(extractor.ty(), parameter);
        let was_own = rows.iter().any(|row| {
            let to = Value::Reference {
                kind: Kind::named(local.ty),
                id: local.id.into(),
            };
            row.param == param && row.value == to
        });
        let tail = format!("/{}/{}", local.ty, local.id);
        if was_own
            && bases.len() < BASES_MAX
            && let Some((base, _)) = url.rsplit_once(&tail)
        {
            bases.push(base.to_owned());
        }
    }
}

/// The parameters of R4 that are references of a type.
fn references(ty: &str) -> Vec<Param> {
    let all = Parameters::r4().of(ty);
    all.filter(|parameter| parameter.kind == SearchKind::Reference)
        .map(|parameter| rows::param(ty, parameter))
        .collect()
}

#[cfg(test)]
mod tests;
