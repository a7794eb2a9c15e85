//! `_contained`: searches among contained resources
//! (<https://hl7.org/fhir/R4/search.html#contained>).
//!
//! Contained resources are found by the records that
//! [`contained`](crate::fhir::contained) keeps of them. Where the containers
//! are wanted, the search is one over the types of containers, each within
//! the grant for it; where the contained ones are, their containers must be
//! visible.
//!
//! Whoever may search a type finds what is contained of it by its container:
//! it has no existence of its own, so what the grant for its type lets see of
//! resources that stand alone says nothing of it.

use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Contained, ContainedType};
use salus_store::{Content, Filter, Hit, Query, Record, Snapshot, Test};

use super::Asked;
use super::criteria::any;
use super::streams::Stream;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::contained::{self, kept_as};
use crate::fhir::reply::Reply;
use crate::fhir::types::ResourceType;

/// Whether a search looks into other resources.
pub(super) fn is_wanted(asked: &Asked) -> bool {
    matches!(
        asked.control.contained,
        Some(Contained::True | Contained::Both)
    )
}

/// The same of parameters that are not read yet.
pub(super) fn is_asked(parameters: &[(String, String)]) -> bool {
    let contained = |(name, value): &(String, String)| name == "_contained" && value != "false";
    parameters.iter().any(contained)
}

/// Whether what is given is of any type.
pub(super) fn gives_containers(parameters: &[(String, String)]) -> bool {
    let alone = |(name, value): &(String, String)| name == "_containedType" && value == "contained";
    is_asked(parameters) && !parameters.iter().any(alone)
}

impl Service {
    /// Answers a search of some types among contained resources. `ty` is the
    /// one type, if it is not several.
    pub(super) async fn search_contained(
        &self,
        cx: &Context,
        ty: &str,
        all: &[(Asked, Grant)],
        snapshot: &dyn Snapshot,
        position: &[u8],
    ) -> Result<Reply, Error> {
        let Some((first, grant)) = all.first() else {
            return Err(Error::invalid("there is no type to search"));
        };
        all.iter().try_for_each(|(asked, _)| check(asked))?;
        let details = "a search among contained resources is not explained";
        super::explain::refuse_with(first, details)?;
        let streams = match first.control.contained_type {
            Some(ContainedType::Contained) => contained_alone(cx, all, snapshot).await?,
            Some(ContainedType::Container) | None => containers(cx, all, snapshot).await?,
        };
        self.page_of_several(cx, (ty, grant.rule(), first), &streams, snapshot, position)
            .await
    }
}

/// A match as it is answered.
pub(super) struct Shown<'h> {
    pub(super) hit: &'h Hit,
    /// Of what is contained, the resource and its container.
    inside: Option<(Record, Record)>,
}

impl<'h> Shown<'h> {
    /// A contained resource is shown in the place of the record that is kept of
    /// it: its text, with an id that leads to it.
    pub(super) async fn of(snapshot: &dyn Snapshot, hit: &'h Hit) -> Result<Option<Self>, Error> {
        if ResourceType::of(hit.record.kind).is_some() {
            let inside = None;
            return Ok(Some(Self { hit, inside }));
        }
        let Some(place) = contained::Place::read(&hit.record.content) else {
            return Ok(None);
        };
        let Some(container) = snapshot.get(place.container.kind, &place.id).await? else {
            return Ok(None);
        };
        let Content::Body(body) = &container.content else {
            return Ok(None);
        };
        let Some((id, text)) = place.resource(body) else {
            return Ok(None);
        };
        let record = Record {
            id: format!("{}#{id}", container.id).into(),
            content: Content::Body(text),
            ..container.clone()
        };
        let inside = Some((record, container));
        Ok(Some(Self { hit, inside }))
    }

    /// What the client gets.
    pub(super) fn record(&self) -> &Record {
        self.inside
            .as_ref()
            .map_or(&self.hit.record, |(record, _)| record)
    }

    /// What it gets by it of what can be read.
    pub(super) fn stored(&self) -> &Record {
        self.inside
            .as_ref()
            .map_or(&self.hit.record, |(_, container)| container)
    }
}

/// What has no answer.
fn check(asked: &Asked) -> Result<(), Error> {
    let control = &asked.control;
    let around = control.contained_type != Some(ContainedType::Contained);
    let scored = control
        .sort
        .iter()
        .any(|key| key.parameter.code == "_score");
    let (parameter, details) = if asked.ty.name == ResourceType::AUDIT_EVENT {
        (
            "http._contained",
            "audit events contain nothing; allowed: false",
        )
    } else if around && scored {
        (
            "http._sort",
            "containers have no score; _containedType=contained gives what has",
        )
    } else {
        return Ok(());
    };
    let issue = Issue::error(IssueType::Value, parameter, details);
    Err(Error::with_issues(Kind::Invalid, vec![issue]))
}

/// The searches that find contained resources alone, and others with them.
async fn contained_alone(
    cx: &Context,
    all: &[(Asked, Grant)],
    snapshot: &dyn Snapshot,
) -> Result<Vec<Stream>, Error> {
    let mut streams = Vec::new();
    for (asked, grant) in all {
        if asked.control.contained == Some(Contained::Both) {
            let own = part(asked, asked.ty, asked.filters.clone());
            streams.push(Stream::new(cx, own, grant));
        }
        let around = visible(cx, asked.ty, snapshot).await?;
        if around.is_empty() {
            continue;
        }
        let around = Filter::Any(around.into_iter().map(|it| it.filter).collect());
        let inner = part(asked, kept_as(asked.ty), within(asked));
        streams.push(Stream::within(cx, inner, grant, around));
    }
    Ok(streams)
}

/// The searches that find the resources around those that match, each type
/// once, and what matches itself with them.
async fn containers(
    cx: &Context,
    all: &[(Asked, Grant)],
    snapshot: &dyn Snapshot,
) -> Result<Vec<Stream>, Error> {
    let mut found: Vec<(ResourceType, Grant, Vec<Filter>)> = Vec::new();
    for (asked, grant) in all {
        if asked.control.contained == Some(Contained::Both) {
            let themselves = Filter::All(asked.filters.clone());
            found.push((asked.ty, grant.clone(), vec![themselves]));
        }
    }
    for (asked, _) in all {
        let of_contained = Filter::Referred {
            kind: kept_as(asked.ty).kind,
            param: contained::container_param(asked.ty),
            filter: Filter::All(within(asked)).into(),
        };
        for container in visible(cx, asked.ty, snapshot).await? {
            match found.iter_mut().find(|(ty, ..)| *ty == container.ty) {
                Some((.., filters)) => filters.push(of_contained.clone()),
                None => found.push((container.ty, container.grant, vec![of_contained.clone()])),
            }
        }
    }
    let stream = |(ty, grant, filters): (ResourceType, Grant, Vec<Filter>)| {
        let asked = all.iter().find(|(asked, _)| asked.ty == ty);
        let (asked, is_asked) = (asked.or(all.first())?, asked.is_some());
        let mut around = part(&asked.0, ty, vec![any(filters)]);
        if !is_asked {
            // Elements are those of the types searched.
            around.control.elements.clear();
        }
        Some(Stream::new(cx, around, &grant))
    };
    Ok(found.into_iter().filter_map(stream).collect())
}

/// What is asked, of what is kept of contained resources.
fn within(asked: &Asked) -> Vec<Filter> {
    let all = asked.filters.iter();
    all.map(|filter| inside(asked.ty, filter)).collect()
}

fn part(asked: &Asked, ty: ResourceType, filters: Vec<Filter>) -> Asked {
    Asked {
        path: asked.path.clone(),
        ty,
        filters,
        control: asked.control.clone(),
        notices: Vec::new(),
        pairs: asked.pairs.clone(),
    }
}

/// A type of resources that contain some of the type searched, and may be searched.
struct ContainerType {
    ty: ResourceType,
    grant: Grant,
    /// What is kept of contained resources, of which the container is visible.
    filter: Filter,
}

async fn visible(
    cx: &Context,
    ty: ResourceType,
    snapshot: &dyn Snapshot,
) -> Result<Vec<ContainerType>, Error> {
    let query = |filter| Query {
        kind: kept_as(ty).kind,
        filter,
        sort: Vec::new(),
        limit: 1,
        after: None,
        rows: Vec::new(),
    };
    if snapshot.count(&query(Filter::Everything)).await? == 0 {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for container in ResourceType::all() {
        let target = Target::Type(container.name);
        let Ok(grant) = salus_auth::authorize(&cx.subject, cx.scope, Action::Search, target) else {
            continue;
        };
        let of_type = Test::Token {
            system: None,
            code: Some(container.name.into()),
        };
        let of_type = Filter::Value(contained::container_type_param(ty), of_type);
        if snapshot
            .find(&query(of_type.clone()))
            .await?
            .hits
            .is_empty()
        {
            continue;
        }
        let filter = if *grant.filter() == Filter::Everything {
            of_type
        } else {
            Filter::Refers {
                param: contained::container_param(ty),
                kind: container.kind,
                filter: grant.filter().clone().into(),
            }
        };
        all.push(ContainerType {
            ty: container,
            grant,
            filter,
        });
    }
    Ok(all)
}

/// A condition on a resource as one on what is kept of a contained one, whose
/// id is that within its container.
fn inside(ty: ResourceType, filter: &Filter) -> Filter {
    let each = |all: &[Filter]| all.iter().map(|one| inside(ty, one)).collect();
    match filter {
        Filter::Ids(ids) => {
            let is = |code| {
                let code = Some(code);
                let test = Test::Token { system: None, code };
                Filter::Value(contained::id_param(ty), test)
            };
            Filter::Any(ids.iter().cloned().map(is).collect())
        }
        Filter::All(all) => Filter::All(each(all)),
        Filter::Any(any) => Filter::Any(each(any)),
        Filter::Not(inner) => Filter::Not(inside(ty, inner).into()),
        Filter::Everything
        | Filter::Nothing
        | Filter::Value(..)
        | Filter::Updated(..)
        | Filter::Refers { .. }
        | Filter::Referred { .. } => filter.clone(),
    }
}
