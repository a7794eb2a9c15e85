//! The search parameters of each project: R4's, and those that its
//! `SearchParameter` resources define.
//!
//! A definition counts from the moment in which its commit is acknowledged.
//! [`Service::commit`](crate::Service) brings each batch with such resources
//! here: the batch is committed together with the project's [`Index`], which
//! then tells what has to be indexed, and requests that come later get the new
//! set. Who began before keeps the set that was. The walk that indexes the
//! records there are (`walk`) waits until nobody does any more, so nothing
//! that was prepared for the old set is written behind it.

mod changed;
mod load;
mod status;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use salus_auth::record::{Goal, Index, Saved, Step};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::Node;
use salus_fhir::search::{self, Behind, Building, Own, Parameters, REVISION};
use salus_store::{Batch, Kind, Scope, Store};
use tokio::sync::Notify;

use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind as Failure};

pub use status::{IndexView, ParameterView};

/// The kind of the resources that define parameters.
pub(crate) const DEFINITIONS: Kind = Kind::named("SearchParameter");
/// The id of a project's index.
const INDEX: &str = "index";
/// Most parameters of a project on one type.
const OF_TYPE_MAX: usize = 1000;

/// The sets of all projects.
#[derive(Default)]
pub(crate) struct Sets {
    r4: Arc<Parameters>,
    projects: RwLock<HashMap<Scope, Arc<Project>>>,
    /// There is something to index.
    work: Notify,
    /// Records indexed anew since the start.
    indexed: std::sync::atomic::AtomicU64,
}

/// The parameters of one project.
pub(crate) struct Project {
    scope: Scope,
    now: RwLock<Arc<Parameters>>,
    /// Changes are made one after the other, and so are the walk's steps.
    state: Arc<tokio::sync::Mutex<State>>,
}

/// What defines the set, and how far its index is.
pub(crate) struct State {
    defined: Defined,
    index: Saved<Index>,
    building: BTreeMap<(String, String), Arc<Building>>,
    /// Sets that were replaced, as long as somebody may have them.
    older: Vec<Weak<Parameters>>,
    /// Records of which the rows could not be made anew.
    failed: u64,
    /// Steps of the walk since the start.
    steps: u64,
}

/// What the active definitions add, by the id of the resource.
pub(crate) type Defined = BTreeMap<Box<str>, Vec<Own>>;

impl Sets {
    pub(crate) fn insert(&self, project: Project) {
        let mut projects = self.projects.write();
        projects.insert(project.scope, Arc::new(project));
    }

    pub(crate) fn project(&self, scope: Scope) -> Option<Arc<Project>> {
        self.projects.read().get(&scope).cloned()
    }

    fn all(&self) -> Vec<Arc<Project>> {
        self.projects.read().values().cloned().collect()
    }
}

impl Service {
    /// The search parameters of a project, as they are now. A request keeps
    /// the ones that it began with.
    #[must_use]
    pub fn parameters(&self, scope: Scope) -> Arc<Parameters> {
        let projects = self.parameters.projects.read();
        match projects.get(&scope) {
            Some(project) => Arc::clone(&project.now.read()),
            None => self.parameters_of_r4(),
        }
    }

    /// Commits a batch that may change definitions, on a task of its own: once
    /// it is committed the set must change, whether or not the caller waits.
    pub(crate) async fn define(
        &self,
        cx: &Context,
        project: Arc<Project>,
        batch: Batch,
    ) -> Result<(), salus_store::Error> {
        let base = cx.base.to_string();
        let done = changed::commit(&self.store, project, batch, base).await;
        self.parameters.work.notify_one();
        done.map(|_| ())
    }

    /// Those of R4 alone: for who waits, and must not hold up a project.
    #[must_use]
    pub fn parameters_of_r4(&self) -> Arc<Parameters> {
        Arc::clone(&self.parameters.r4)
    }
}

impl Project {
    /// Shows what there is now, and what is ready of it. Who has the set that
    /// was is waited for.
    fn publish(&self, state: &mut State) {
        let new = Arc::new(state.parameters());
        let old = std::mem::replace(&mut *self.now.write(), new);
        state.older.retain(|set| set.strong_count() > 0);
        state.older.push(Arc::downgrade(&old));
    }
}

impl State {
    pub(crate) fn new(defined: Defined, index: Saved<Index>) -> Self {
        Self {
            defined,
            index,
            building: BTreeMap::new(),
            older: Vec::new(),
            failed: 0,
            steps: 0,
        }
    }

    fn parameters(&mut self) -> Parameters {
        let mut building = BTreeMap::new();
        for goal in &self.index.value.goals {
            let key = (goal.id.clone(), goal.ty.clone());
            let known = self.building.get(&key).cloned().unwrap_or_default();
            tell(&known, goal);
            building.insert(key, known);
        }
        self.building = building;
        let one = |id: &str, own: &Own| {
            let key = (id.to_owned(), own.ty.to_owned());
            (*own, Arc::from(id), self.building.get(&key).cloned())
        };
        let all = self.defined.iter();
        let all = all.flat_map(|(id, own)| own.iter().map(move |own| (id, own)));
        let revision = self.index.value.revision;
        let of_r4 = self.building.iter().filter(|((id, _), _)| id.is_empty());
        let behind = (revision < REVISION).then(|| Behind {
            revision,
            types: of_r4
                .map(|((_, ty), building)| (ty.as_str().into(), Arc::clone(building)))
                .collect(),
        });
        Parameters::with(all.map(|(id, own)| one(id, own)), behind)
    }

    /// Whether everybody has the newest set.
    fn is_settled(&mut self) -> bool {
        self.older.retain(|set| set.strong_count() > 0);
        self.older.is_empty()
    }
}

/// Refuses a definition that cannot be served, before it is stored.
pub(crate) fn check(cx: &Context, id: &str, node: Node<'_>) -> Result<(), Error> {
    let refused = |issue| Error::with_issues(Failure::Unprocessable, vec![issue]);
    let own = search::define(node, &cx.parameters).map_err(refused)?;
    match conflict(&cx.parameters, id, &own) {
        Some(issue) => Err(refused(issue)),
        None => Ok(()),
    }
}

/// Why these cannot be beside the parameters that there are.
fn conflict(known: &Parameters, id: &str, own: &[Own]) -> Option<Issue> {
    let issue = |code, place: &str, details: String| Some(Issue::error(code, place, details));
    for one in own {
        let code = one.parameter.code;
        if let Some(other) = known.source(one.ty, code).filter(|other| *other != id) {
            let details = format!(
                "SearchParameter/{other} defines {code} of {} already",
                one.ty
            );
            return issue(IssueType::Duplicate, "SearchParameter.code", details);
        }
        if known.own_of(one.ty).count() >= OF_TYPE_MAX {
            let details = format!(
                "{} has {OF_TYPE_MAX} parameters of this project already",
                one.ty
            );
            return issue(IssueType::TooCostly, "SearchParameter.base", details);
        }
    }
    None
}

/// Has all of a project's records indexed for a definition, or without it.
fn add_goal(index: &mut Index, id: &str, ty: &str) {
    index
        .goals
        .retain(|goal| (&*goal.id, &*goal.ty) != (id, ty));
    index.goals.push(Goal {
        id: id.to_owned(),
        ty: ty.to_owned(),
        step: Step::Waiting,
        done: 0,
        total: 0,
        failed: 0,
    });
}

/// Shows how far a goal is to those who ask.
fn tell(building: &Building, goal: &Goal) {
    building.done.store(goal.done, Ordering::Relaxed);
    building.total.store(goal.total, Ordering::Relaxed);
    building.failed.store(goal.failed, Ordering::Relaxed);
    let ended = goal.step == Step::Ended;
    building.ended.store(ended, Ordering::Relaxed);
}

/// What a project's index was when the project is opened or made.
pub(crate) async fn open(store: &dyn Store, scope: Scope, revision: u32) -> Result<Project, Error> {
    load::open(store, scope, revision).await
}

/// The set of a project in a store whose records have no rows yet.
pub(crate) async fn without_rows(store: &dyn Store, scope: Scope) -> Result<Parameters, Error> {
    load::without_rows(store, scope).await
}

/// URLs under which the server answered, as far as a project knows them.
pub(crate) async fn bases(store: &dyn Store, scope: Scope) -> Result<Vec<String>, Error> {
    load::bases(store, scope).await
}

#[cfg(test)]
mod tests;
