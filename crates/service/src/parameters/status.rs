//! How far the search indexes of a project are, for its administrators.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use salus_auth::record::{Goal, Index, Step};
use salus_auth::{Action, Grant};
use salus_fhir::search::{Own, REVISION};
use salus_store::Kind;

use super::load::kind_of;
use super::{Project, add_goal, walk};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;

/// The search indexes of a project.
#[derive(Clone, Debug)]
pub struct IndexView {
    /// Whether everything is indexed.
    pub complete: bool,
    /// Whether anything is left to be indexed that can be.
    pub building: bool,
    /// Whether the building is held up.
    pub paused: bool,
    /// Which revision of extraction has made all rows.
    pub revision: u32,
    /// The newest there is.
    pub newest_revision: u32,
    /// Records that are to be looked at still, about.
    pub pending: u64,
    /// Records of which the rows could not be made anew since the start.
    pub failed: u64,
    /// The project's own parameters, and what is being indexed besides.
    pub parameters: Vec<ParameterView>,
}

/// A parameter on a type.
#[derive(Clone)]
pub struct ParameterView {
    /// The id of its `SearchParameter`; empty for all parameters of R4.
    pub source: String,
    /// The type of resource.
    pub ty: String,
    /// The code; empty if it is no parameter any more, and for those of R4.
    pub code: String,
    /// Whether it may be used.
    pub ready: bool,
    /// Records that were looked at.
    pub done: u64,
    /// Records that there were when it began, about.
    pub total: u64,
    /// Records that could not be indexed. It is not ready while there are any.
    pub failed: u64,
}
salus_phi::guard!(ParameterView);

impl Service {
    /// How far the search indexes of the project are.
    pub async fn read_index(&self, cx: &Context) -> Result<IndexView, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadIndex).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(self.project(cx)?.view().await)
    }

    /// Holds up the building of indexes, or lets it go on; what ended with
    /// records that could not be indexed is begun again.
    pub async fn pause_index(&self, cx: &Context, paused: bool) -> Result<IndexView, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteIndex).await?;
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        let change = |index: &mut Index| {
            index.paused = paused;
            if !paused {
                begin_again(index);
            }
        };
        let project = self.change_index(cx, &grant, entry, change).await?;
        Ok(project.view().await)
    }

    /// Has the rows of all records of some types made anew; about how many
    /// records are to be looked at.
    pub(crate) async fn index_anew(
        &self,
        cx: &Context,
        grant: &Grant,
        types: &[&str],
        entry: Entry,
    ) -> Result<u64, Error> {
        let snapshot = self.snapshot(cx).await?;
        let mut pending = 0;
        let mut kept = Vec::new();
        for ty in types {
            let kind = kind_of(ty).unwrap_or(Kind(0));
            let count = snapshot.count(&walk::all(kind)).await?;
            if count > 0 {
                kept.push(*ty);
            }
            pending += count;
        }
        let change = |index: &mut Index| kept.iter().for_each(|ty| add_goal(index, "", ty));
        self.change_index(cx, grant, entry, change).await?;
        Ok(pending)
    }

    /// Changes what is to be done, and goes on with it.
    async fn change_index(
        &self,
        cx: &Context,
        grant: &Grant,
        entry: Entry,
        change: impl FnOnce(&mut Index) + Send,
    ) -> Result<Arc<Project>, Error> {
        let project = self.project(cx)?;
        let mut state = project.state.lock().await;
        let mut index = state.index.clone();
        change(&mut index.value);
        let write = crate::pipeline::Write::system(grant, "Index", index.put()?);
        index.version += 1;
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        state.index = index;
        state.tell();
        drop(state);
        self.parameters.work.notify_one();
        Ok(project)
    }

    /// Records that wait to be indexed, and those indexed since the start.
    pub(crate) async fn index_counts(&self) -> (u64, u64) {
        let mut pending = 0;
        for project in self.parameters.all() {
            let state = project.state.lock().await;
            pending += pending_of(&state.index.value);
        }
        (pending, self.parameters.indexed.load(Ordering::Relaxed))
    }

    fn project(&self, cx: &Context) -> Result<Arc<Project>, Error> {
        let project = self.parameters.project(cx.scope);
        project.ok_or_else(|| Error::not_found("the server itself has no search indexes"))
    }
}

fn begin_again(index: &mut Index) {
    let ended = |goal: &&Goal| goal.step == Step::Ended;
    let ended: Vec<Goal> = index.goals.iter().filter(ended).cloned().collect();
    for goal in ended {
        add_goal(index, &goal.id, &goal.ty);
    }
}

/// Each type is walked once for all that waits on it.
fn pending_of(index: &Index) -> u64 {
    let mut types: Vec<(&str, u64)> = Vec::new();
    for goal in index.goals.iter().filter(|goal| goal.step != Step::Ended) {
        let left = goal.total.saturating_sub(goal.done);
        match types.iter_mut().find(|(ty, _)| *ty == goal.ty) {
            Some((_, most)) => *most = left.max(*most),
            None => types.push((&goal.ty, left)),
        }
    }
    types.iter().map(|(_, left)| left).sum()
}

impl Project {
    async fn view(&self) -> IndexView {
        let state = self.state.lock().await;
        let index = &state.index.value;
        let goal = |id: &str, ty: &str| index.goals.iter().find(|g| g.id == id && g.ty == ty);
        let own = state.defined.iter();
        let own = own.flat_map(|(id, own)| own.iter().map(move |own| (&**id, own)));
        let mut parameters: Vec<_> = own
            .map(|(id, own)| defined(id, own, goal(id, own.ty)))
            .collect();
        let is_listed = |goal: &&Goal| {
            let listed = |p: &ParameterView| p.source == goal.id && p.ty == goal.ty;
            !parameters.iter().any(listed)
        };
        let others: Vec<_> = index.goals.iter().filter(is_listed).map(other).collect();
        parameters.extend(others);
        IndexView {
            complete: index.goals.is_empty(),
            building: index.goals.iter().any(|goal| goal.step != Step::Ended),
            paused: index.paused,
            revision: index.revision,
            newest_revision: REVISION,
            pending: pending_of(index),
            failed: state.failed,
            parameters,
        }
    }
}

fn defined(id: &str, own: &Own, goal: Option<&Goal>) -> ParameterView {
    ParameterView {
        source: id.to_owned(),
        ty: own.ty.to_owned(),
        code: own.parameter.code.to_owned(),
        ready: goal.is_none(),
        done: goal.map_or(0, |goal| goal.done),
        total: goal.map_or(0, |goal| goal.total),
        failed: goal.map_or(0, |goal| goal.failed),
    }
}

fn other(goal: &Goal) -> ParameterView {
    ParameterView {
        source: goal.id.clone(),
        ty: goal.ty.clone(),
        code: String::new(),
        ready: false,
        done: goal.done,
        total: goal.total,
        failed: goal.failed,
    }
}
