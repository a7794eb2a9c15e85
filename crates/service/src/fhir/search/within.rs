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
use salus_fhir::search::{Contained, ContainedType, Subset};
use salus_store::{Content, Filter, Query, Record, Snapshot, Test};

use super::include::Included;
use super::page::Match;
use super::streams::{self, Stream};
use super::{Asked, Place, page};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::contained::{self, kept_as};
use crate::fhir::reply::{Reply, Status};
use crate::fhir::types::ResourceType;

/// Whether a search looks into other resources.
pub(super) fn is_wanted(asked: &Asked) -> bool {
    matches!(
        asked.control.contained,
        Some(Contained::True | Contained::Both)
    )
}

impl Service {
    pub(super) async fn search_contained(
        &self,
        cx: &Context,
        grant: &Grant,
        asked: Asked,
        place: Place,
    ) -> Result<Reply, Error> {
        check(&asked)?;
        super::explain::refuse_with(
            &asked,
            "a search among contained resources is not explained",
        )?;
        let snapshot = self.store.snapshot(cx.scope, place.at).await?;
        let streams = streams_of(cx, grant, &asked, &*snapshot).await?;
        let found = streams::page_at(&streams, &*snapshot, &asked, &place.position).await?;
        let mut shown = Vec::with_capacity(found.hits.len());
        for (_, hit) in &found.hits {
            shown.extend(unfold(&*snapshot, hit.record.clone()).await?);
        }
        let mut entry = Entry::new(cx, What::Search, Outcome::Success, grant.rule());
        entry.ty = asked.ty.name.into();
        entry.query = asked.text().into();
        entry.shows(
            shown
                .iter()
                .map(|shown| shown.inside.as_ref().unwrap_or(&shown.record)),
        );
        self.record(cx, entry).await?;
        let beside = asked.with_last(found.beside());
        let links = self.links(cx, &asked, snapshot.seq(), &beside)?;
        let subset = asked.subset();
        let shown = shown.iter().map(|shown| Match {
            record: &shown.record,
            subset: of(subset.as_ref(), shown, &asked),
            score: None,
        });
        let none = Included::default();
        Ok(Reply {
            body: Some(page::searchset(
                cx,
                &asked,
                found.total,
                &links,
                shown,
                &none,
            )),
            ..Reply::with(Status::Ok)
        })
    }
}

/// Elements are those of the type searched.
fn of<'s>(subset: Option<&'s Subset>, shown: &Shown, asked: &Asked) -> Option<&'s Subset> {
    let is_asked = shown.inside.is_some() || shown.record.kind == asked.ty.kind;
    subset.filter(|subset| is_asked || !matches!(subset, Subset::Elements(_)))
}

/// A record as it is answered.
struct Shown {
    record: Record,
    /// The container, if the record is a part of it.
    inside: Option<Record>,
}

/// A contained resource in the place of the record that is kept of it: its
/// text, with an id that leads to it.
async fn unfold(snapshot: &dyn Snapshot, record: Record) -> Result<Option<Shown>, Error> {
    if ResourceType::of(record.kind).is_some() {
        let inside = None;
        return Ok(Some(Shown { record, inside }));
    }
    let Some(place) = contained::Place::read(&record.content) else {
        return Ok(None);
    };
    let Some(container) = snapshot.get(place.container.kind, &place.id).await? else {
        return Ok(None);
    };
    let Content::Body(body) = &container.content else {
        return Ok(None);
    };
    Ok(place.resource(body).map(|(id, text)| Shown {
        record: Record {
            id: format!("{}#{id}", container.id).into(),
            content: Content::Body(text),
            ..container.clone()
        },
        inside: Some(container),
    }))
}

/// What cannot be told of resources of several types.
fn check(asked: &Asked) -> Result<(), Error> {
    let control = &asked.control;
    let sorts = |code: &str| matches!(code, "_id" | "_lastUpdated");
    let details = if asked.ty.name == ResourceType::AUDIT_EVENT {
        "audit events contain nothing; allowed: false"
    } else if !control.includes.is_empty() || !control.reverse_includes.is_empty() {
        "true and both cannot be combined with _include or _revinclude"
    } else if !control.sort.iter().all(|key| sorts(key.parameter.code)) {
        "true and both give no order but by _id and _lastUpdated"
    } else {
        return Ok(());
    };
    let issue = Issue::error(IssueType::Value, "http._contained", details);
    Err(Error::with_issues(Kind::Invalid, vec![issue]))
}

/// The searches whose results together are what is asked for.
async fn streams_of(
    cx: &Context,
    grant: &Grant,
    asked: &Asked,
    snapshot: &dyn Snapshot,
) -> Result<Vec<Stream>, Error> {
    let both = asked.control.contained == Some(Contained::Both);
    let own = both.then(|| {
        let own = part(asked, asked.ty, asked.filters.clone());
        Stream::new(cx, own, grant)
    });
    let filters: Vec<Filter> = asked
        .filters
        .iter()
        .map(|it| inside(asked.ty, it))
        .collect();
    if asked.control.contained_type == Some(ContainedType::Contained) {
        let kept = kept_as(asked.ty);
        let around = visible(cx, asked.ty, snapshot).await?;
        let around = Filter::Any(around.into_iter().map(|it| it.filter).collect());
        let inner = Stream::within(cx, part(asked, kept, filters), grant, around);
        return Ok(own.into_iter().chain([inner]).collect());
    }
    let of_contained = Filter::Referred {
        kind: kept_as(asked.ty).kind,
        param: contained::container_param(asked.ty),
        filter: Filter::All(filters).into(),
    };
    let mut streams: Vec<Stream> = own.into_iter().collect();
    for container in visible(cx, asked.ty, snapshot).await? {
        match streams.first_mut() {
            // Those that match themselves, and those that contain what does.
            Some(own) if own.asked.ty == container.ty => {
                let themselves = Filter::All(std::mem::take(&mut own.asked.filters));
                own.asked.filters = vec![Filter::Any(vec![themselves, of_contained.clone()])];
            }
            _ => {
                let around = part(asked, container.ty, vec![of_contained.clone()]);
                streams.push(Stream::new(cx, around, &container.grant));
            }
        }
    }
    Ok(streams)
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
