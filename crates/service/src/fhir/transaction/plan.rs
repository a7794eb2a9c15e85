//! What a transaction does for each entry, decided on one snapshot.

use std::collections::{HashMap, HashSet};

use salus_auth::Grant;
use salus_fhir::json::Node;
use salus_store::{Content, Precondition, Record, Snapshot};

use super::links::conditional_links;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::WriteCondition;
use crate::fhir::bundle::{Asks, Request};
use crate::fhir::reply::Status;
use crate::fhir::settle::only_match;
use crate::fhir::types::ResourceType;
use crate::fhir::update::{check_condition, next_version};

/// What a transaction does for one entry.
pub(super) enum Plan<'a> {
    /// Stores a version.
    Store(Planned<'a>),
    /// Deletes what is there.
    Delete { ty: ResourceType, current: Record },
    /// Deletes nothing, because nothing is there.
    NothingToDelete { ty: ResourceType, id: &'a str },
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
    pub(super) resource: Node<'a>,
}

/// A transaction's entries, decided on one snapshot.
pub(super) struct Decided<'a> {
    pub(super) plans: Vec<Plan<'a>>,
    pub(super) preconditions: Vec<Precondition>,
    /// What conditions found, and the answer or a stored link tells.
    pub(super) found: Vec<Record>,
    /// What each `fullUrl` and each conditional reference becomes.
    pub(super) links: HashMap<String, String>,
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
        let mut decided = Decided {
            plans: Vec::with_capacity(requests.len()),
            preconditions: Vec::new(),
            found: Vec::new(),
            links: HashMap::new(),
        };
        let mut touched = HashSet::new();
        for (request, grant) in requests.iter().zip(grants) {
            let plan = match grant {
                Some(grant) => {
                    self.plan(cx, snapshot, request, grant, &mut decided.preconditions)
                        .await?
                }
                None => Plan::Get,
            };
            if let Plan::Existing { record, .. } = &plan {
                decided.found.push(record.clone());
            }
            if let Some((ty, id)) = plan.target() {
                if plan.writes() && !touched.insert((ty.name, id.to_owned())) {
                    return Err(Error::invalid(format!(
                        "Bundle.entry[{}]: another entry writes the same resource",
                        request.index
                    )));
                }
                if let Some(full_url) = request.full_url {
                    decided
                        .links
                        .insert(full_url.to_owned(), format!("{}/{id}", ty.name));
                }
            }
            decided.plans.push(plan);
        }
        for index in 0..decided.plans.len() {
            if let Some(Plan::Store(Planned { resource, .. })) = decided.plans.get(index) {
                for link in conditional_links(*resource, &decided.links) {
                    self.resolve(cx, snapshot, link, index, &mut decided)
                        .await?;
                }
            }
        }
        Ok(decided)
    }

    async fn plan<'a>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        request: &Request<'a>,
        grant: &Grant,
        preconditions: &mut Vec<Precondition>,
    ) -> Result<Plan<'a>, Error> {
        match request.asks {
            Asks::Get => Ok(Plan::Get),
            Asks::Create {
                ty,
                resource,
                ref if_none_exist,
            } => {
                if let Some(condition) = if_none_exist {
                    let found = self
                        .existing_match(
                            cx,
                            snapshot,
                            (request, ty, condition),
                            grant,
                            preconditions,
                        )
                        .await?;
                    if let Some(record) = found {
                        return Ok(Plan::Existing { ty, record });
                    }
                }
                Ok(Plan::Store(Planned {
                    ty,
                    id: self.new_id(cx),
                    version: 1,
                    status: Status::Created,
                    resource,
                }))
            }
            Asks::Update {
                ty,
                id,
                resource,
                condition,
            } => {
                let current = snapshot.get(ty.kind, id).await?;
                check_condition(condition, current.as_ref())?;
                let (version, status) = next_version(current.as_ref());
                Ok(Plan::Store(Planned {
                    ty,
                    id: id.into(),
                    version,
                    status,
                    resource,
                }))
            }
            Asks::Delete { ty, id, condition } => {
                let current = snapshot.get(ty.kind, id).await?;
                plan_delete(ty, id, condition, current, preconditions)
            }
        }
    }

    /// What matches an entry's `ifNoneExist`; the commit is to see the same.
    async fn existing_match(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (request, ty, condition): (&Request<'_>, ResourceType, &str),
        grant: &Grant,
        preconditions: &mut Vec<Precondition>,
    ) -> Result<Option<Record>, Error> {
        let query = self.condition(cx, grant, ty, condition).await?;
        let mut hits = snapshot.find(&query).await?.hits;
        if hits.len() > 1 {
            return Err(Error::new(
                Kind::Precondition,
                format!(
                    "Bundle.entry[{}]: more than one resource matches its condition",
                    request.index
                ),
            ));
        }
        if let Some(hit) = hits.pop() {
            preconditions.extend(only_match(query, &hit.record));
            return Ok(Some(hit.record));
        }
        let none = Precondition::NoneMatch(query);
        if preconditions.contains(&none) {
            return Err(Error::invalid(format!(
                "Bundle.entry[{}]: another entry creates under the same condition",
                request.index
            )));
        }
        preconditions.push(none);
        Ok(None)
    }
}

fn plan_delete<'a>(
    ty: ResourceType,
    id: &'a str,
    condition: WriteCondition,
    current: Option<Record>,
    preconditions: &mut Vec<Precondition>,
) -> Result<Plan<'a>, Error> {
    check_condition(condition, current.as_ref())?;
    let version = current.as_ref().map(|record| record.version);
    if let Some(current) = current.filter(|record| record.content != Content::Deleted) {
        return Ok(Plan::Delete { ty, current });
    }
    preconditions.push(Precondition::VersionIs {
        kind: ty.kind,
        id: id.into(),
        version,
    });
    Ok(Plan::NothingToDelete { ty, id })
}

impl Plan<'_> {
    /// The resource that the entry's `fullUrl` stands for.
    fn target(&self) -> Option<(ResourceType, &str)> {
        match self {
            Self::Store(Planned { ty, id, .. }) => Some((*ty, id)),
            Self::Existing { ty, record } => Some((*ty, &record.id)),
            Self::Delete { ty, current } => Some((*ty, &current.id)),
            Self::NothingToDelete { ty, id } => Some((*ty, id)),
            Self::Get => None,
        }
    }

    fn writes(&self) -> bool {
        match self {
            Self::Store { .. } | Self::Delete { .. } | Self::NothingToDelete { .. } => true,
            Self::Existing { .. } | Self::Get => false,
        }
    }
}
