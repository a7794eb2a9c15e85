//! What a transaction does for each entry, decided on one snapshot.
//!
//! Deletions are decided first: what they take away is no match for a conditional
//! create or reference. A conditional update that finds it refuses the
//! transaction, since two entries write one resource.

use std::collections::{HashMap, HashSet};

use salus_auth::Grant;
use salus_fhir::json::{Document, Node};
use salus_store::{Filter, Kind as RecordKind, Precondition, Record, Snapshot};

use super::links::conditional_links;
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::bundle::{Asks, Request};
use crate::fhir::delete::check_all;
use crate::fhir::patch::Patching;
use crate::fhir::reply::Status;
use crate::fhir::types::ResourceType;
use crate::fhir::update::{check_condition, next_version};
use crate::fhir::which::{Which, matches, own_id, without};

/// What a transaction does for one entry.
pub(super) enum Plan<'a> {
    /// Stores a version.
    Store(Planned<'a>),
    /// Deletes what is there, if anything.
    Delete {
        ty: ResourceType,
        found: Vec<Record>,
    },
    /// Leaves alone what a condition found.
    Existing { ty: ResourceType, record: Record },
    /// Answers a `GET`, after the commit.
    Get,
}

/// A version to store.
pub(super) struct Planned<'a> {
    pub(super) ty: ResourceType,
    pub(super) id: Box<str>,
    pub(super) version: u64,
    pub(super) status: Status,
    pub(super) resource: Source<'a>,
    /// Whether its id is taken by what is hidden from who writes.
    pub(super) is_hidden: bool,
}

/// Where the text of a version comes from.
pub(super) enum Source<'a> {
    /// From the entry.
    Sent(Node<'a>),
    /// From what was there, and a patch.
    Patched(Box<Document>),
}

impl Source<'_> {
    pub(super) fn node(&self) -> Node<'_> {
        match self {
            Self::Sent(node) => *node,
            Self::Patched(document) => document.root(),
        }
    }
}

/// A transaction's entries, decided on one snapshot.
#[derive(Default)]
pub(super) struct Decided<'a> {
    pub(super) plans: Vec<Plan<'a>>,
    pub(super) preconditions: Vec<Precondition>,
    /// What conditions found, and the answer or a stored link tells.
    pub(super) found: Vec<Record>,
    /// What each `fullUrl` and each conditional reference becomes.
    pub(super) links: HashMap<String, String>,
    /// What entries write.
    touched: HashSet<(RecordKind, Box<str>)>,
    /// What entries delete.
    gone: HashMap<RecordKind, Vec<Box<str>>>,
    /// The conditions under which entries create.
    creating: HashSet<(RecordKind, Filter)>,
}

impl Service {
    /// Decides what each entry does.
    pub(super) async fn decide<'a>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        requests: &[Request<'a>],
        grants: &[Option<Grant>],
    ) -> Result<Decided<'a>, Error> {
        let mut decided = Decided::default();
        let mut deletions = HashMap::new();
        for request in requests {
            let plan = self.plan_delete(cx, snapshot, request, &mut decided).await;
            if let Some(plan) = plan.map_err(|error| of_entry(request.index, error))? {
                deletions.insert(request.index, plan);
            }
        }
        for (request, grant) in requests.iter().zip(grants) {
            let plan = match (grant, deletions.remove(&request.index)) {
                (_, Some(deletion)) => deletion,
                (Some(grant), None) => {
                    let plan = self.plan(cx, snapshot, request, grant, &mut decided).await;
                    plan.map_err(|error| of_entry(request.index, error))?
                }
                (None, None) => Plan::Get,
            };
            decided.plans.push(plan);
        }
        for index in 0..decided.plans.len() {
            if let Some(Plan::Store(Planned { resource, .. })) = decided.plans.get(index) {
                for link in conditional_links(resource.node(), &decided.links) {
                    self.resolve(cx, snapshot, link, index, &mut decided)
                        .await?;
                }
            }
        }
        Ok(decided)
    }

    /// What an entry deletes.
    async fn plan_delete<'a>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        request: &Request<'a>,
        decided: &mut Decided<'_>,
    ) -> Result<Option<Plan<'a>>, Error> {
        let Asks::Delete {
            ty,
            which,
            condition,
        } = request.asks
        else {
            return Ok(None);
        };
        let sought = self.seek(cx, ty, which).await?;
        let (mut found, preconditions) = sought.to_delete(snapshot, ty).await?;
        if let (Which::Id(id), false) = (which, found.is_empty())
            && !self.is_seen(cx, snapshot, ty, id).await?
        {
            found.clear();
        }
        check_all(condition, &found)?;
        decided.preconditions.extend(preconditions);
        let mut ids: Vec<_> = found.iter().map(|record| record.id.clone()).collect();
        if let (Which::Id(id), []) = (which, &*ids) {
            ids.push(id.into());
        }
        for id in ids {
            decided.touch(ty, &id)?;
            decided.gone.entry(ty.kind).or_default().push(id);
        }
        Ok(Some(Plan::Delete { ty, found }))
    }

    /// What an entry does that deletes nothing.
    async fn plan<'a>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        request: &Request<'a>,
        grant: &Grant,
        decided: &mut Decided<'_>,
    ) -> Result<Plan<'a>, Error> {
        let planned = match request.asks {
            Asks::Get { .. } | Asks::Operate { .. } | Asks::Delete { .. } => return Ok(Plan::Get),
            Asks::Create {
                ty,
                resource,
                ref if_none_exist,
            } => {
                if let Some(condition) = if_none_exist {
                    let existing = self.existing_match(cx, snapshot, (ty, condition), decided);
                    if let Some(record) = existing.await? {
                        decided.keep(request, ty, &record);
                        return Ok(Plan::Existing { ty, record });
                    }
                }
                Planned {
                    ty,
                    id: self.new_id(cx),
                    version: 1,
                    status: Status::Created,
                    resource: Source::Sent(resource),
                    is_hidden: false,
                }
            }
            Asks::Update {
                ty,
                which,
                resource,
                condition,
            } => {
                let sought = self.seek(cx, ty, which).await?;
                let own_id = own_id(resource);
                let one = sought.to_update(snapshot, ty, own_id.as_deref()).await?;
                let replaced = self.replaced(cx, snapshot, ty, &one).await?;
                check_condition(condition, replaced.current)?;
                if replaced.current.is_none() {
                    decided.create_under(&one.preconditions)?;
                }
                let (version, status) = next_version(replaced.current);
                let is_hidden = replaced.is_hidden;
                decided.preconditions.extend(one.preconditions);
                Planned {
                    ty,
                    id: one.id.unwrap_or_else(|| self.new_id(cx)),
                    version,
                    status,
                    resource: Source::Sent(resource),
                    is_hidden,
                }
            }
            Asks::Patch {
                ty,
                which,
                ref patch,
                condition,
            } => {
                let (format, body) = patch.clone();
                let patching = Patching {
                    ty,
                    sought: &self.seek(cx, ty, which).await?,
                    patch: &self.understand_patch(format, body)?,
                    condition,
                };
                let patched = self.patched(snapshot, grant, &patching).await?;
                decided.preconditions.extend(patched.preconditions);
                let record = patched.current;
                let Some(document) = patched.document else {
                    decided.touch(ty, &record.id)?;
                    decided.preconditions.push(Precondition::VersionIs {
                        kind: ty.kind,
                        id: record.id.clone(),
                        version: Some(record.version),
                    });
                    decided.keep(request, ty, &record);
                    return Ok(Plan::Existing { ty, record });
                };
                Planned {
                    ty,
                    version: record.version + 1,
                    id: record.id,
                    status: Status::Ok,
                    resource: Source::Patched(document.into()),
                    is_hidden: false,
                }
            }
        };
        decided.touch(planned.ty, &planned.id)?;
        decided.link(request, planned.ty, &planned.id);
        Ok(Plan::Store(planned))
    }

    /// What matches an entry's `ifNoneExist`; the commit is to see the same.
    async fn existing_match(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (ty, condition): (ResourceType, &str),
        decided: &mut Decided<'_>,
    ) -> Result<Option<Record>, Error> {
        let query = self.sought(cx, ty, condition).await?;
        let query = without(query, decided.gone(ty));
        let (mut found, preconditions) = matches(snapshot, &query, 1).await?;
        if found.is_empty() {
            decided.create_under(&preconditions)?;
        }
        decided.preconditions.extend(preconditions);
        Ok(found.pop())
    }
}

impl Decided<'_> {
    /// What entries delete of a type.
    pub(super) fn gone(&self, ty: ResourceType) -> &[Box<str>] {
        self.gone.get(&ty.kind).map_or(&[], Vec::as_slice)
    }

    /// No two entries write one resource, whatever led to it.
    fn touch(&mut self, ty: ResourceType, id: &str) -> Result<(), Error> {
        match self.touched.insert((ty.kind, id.into())) {
            true => Ok(()),
            false => Err(Error::invalid("another entry writes the same resource")),
        }
    }

    /// No two entries create under one condition.
    fn create_under(&mut self, preconditions: &[Precondition]) -> Result<(), Error> {
        for precondition in preconditions {
            let Precondition::NoneMatch(query) = precondition else {
                continue;
            };
            if !self.creating.insert((query.kind, query.filter.clone())) {
                return Err(Error::invalid(
                    "another entry creates under the same condition",
                ));
            }
        }
        Ok(())
    }

    /// Remembers what an entry leaves as it is.
    fn keep(&mut self, request: &Request<'_>, ty: ResourceType, record: &Record) {
        self.found.push(record.clone());
        self.link(request, ty, &record.id);
    }

    /// Remembers the resource that an entry's `fullUrl` stands for.
    fn link(&mut self, request: &Request<'_>, ty: ResourceType, id: &str) {
        if let Some(full_url) = request.full_url {
            let target = format!("{}/{id}", ty.name);
            self.links.insert(full_url.to_owned(), target);
        }
    }
}

/// The same error, which says what entry it is about.
fn of_entry(index: usize, error: Error) -> Error {
    error.told(|issue| issue.details = format!("Bundle.entry[{index}]: {}", issue.details).into())
}
