//! Which resource a write is about: the one with an id, or what a search finds
//! (<https://hl7.org/fhir/R4/http.html#cond-update>,
//! <https://hl7.org/fhir/R4/http.html#cdelete>).
//!
//! What the search finds is looked up on a snapshot and held against the state
//! inside the commit: of two clients with the same condition one is decided
//! anew, on what the other left. Who may not search a type may set no
//! condition on it, for the answer tells what is there.

use std::borrow::Cow;

use salus_fhir::json::Node;
use salus_fhir::reference::is_id;
use salus_store::{Content, Filter, Precondition, Query, Record, Snapshot};

use super::check_id;
use super::settle::only_matches;
use super::types::ResourceType;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};

/// How many resources a conditional delete may find.
pub const DELETED_MAX: usize = 1_000;

/// Which resource a write is about.
#[derive(Clone, Copy)]
pub enum Which<'a> {
    /// The one with this id.
    Id(&'a str),
    /// What this search finds.
    Matching(&'a str),
}
salus_phi::guard!(Which<'_>);

impl<'a> Which<'a> {
    /// The id, where there is one before anything was looked up.
    pub(super) fn id(self) -> &'a str {
        match self {
            Self::Id(id) => id,
            Self::Matching(_) => "",
        }
    }

    /// Tells one request from another.
    pub(super) fn mark(self) -> Cow<'a, [u8]> {
        match self {
            Self::Id(id) => id.as_bytes().into(),
            // No id begins so.
            Self::Matching(search) => format!("?{search}").into_bytes().into(),
        }
    }
}

/// The same, once the search is understood.
pub(super) enum Sought<'a> {
    Id(&'a str),
    Matching(Box<Query>),
}

/// The resource that a write is about.
pub(super) struct One {
    /// Its id; `None` where nothing was found and none was given.
    pub(super) id: Option<Box<str>>,
    /// Its newest version.
    pub(super) current: Option<Record>,
    /// What must still be so when it is written.
    pub(super) preconditions: Vec<Precondition>,
    /// Whether the body names it by its id, and the condition does not find it.
    missed: bool,
}

/// What there is under the id of a write, for its writer.
pub(super) struct Replaced<'o> {
    /// The newest version that the writer may know of.
    pub(super) current: Option<&'o Record>,
    /// Whether there is one that is hidden. The write is decided as if there
    /// were none, and not made: whoever could not have created the record is
    /// told the same as under a free id.
    pub(super) is_hidden: bool,
}

impl Service {
    /// What a write would replace.
    pub(super) async fn replaced<'o>(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
        one: &'o One,
    ) -> Result<Replaced<'o>, Error> {
        let current = one.current.as_ref();
        if let Some(current) = current.filter(|one| exists(one)) {
            if !self.is_seen(cx, snapshot, ty, &current.id).await? {
                return Ok(Replaced {
                    current: None,
                    is_hidden: true,
                });
            }
            if one.missed {
                return Err(Error::new(
                    Kind::Conflict,
                    "there is a resource with this id, and the condition does not find it",
                ));
            }
        }
        Ok(Replaced {
            current,
            is_hidden: false,
        })
    }

    /// Understands which resource is meant.
    pub(super) async fn seek<'a>(
        &self,
        cx: &Context,
        ty: ResourceType,
        which: Which<'a>,
    ) -> Result<Sought<'a>, Error> {
        match which {
            Which::Id(id) => {
                check_id(id)?;
                Ok(Sought::Id(id))
            }
            Which::Matching(text) => {
                let query = self.sought(cx, ty, text).await?;
                Ok(Sought::Matching(query.into()))
            }
        }
    }
}

impl Sought<'_> {
    /// The one resource to update, or to create: `own_id` is the one in the body.
    pub(super) async fn to_update(
        &self,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
        own_id: Option<&str>,
    ) -> Result<One, Error> {
        let mut one = self.one(snapshot, ty).await?;
        let (Self::Matching(_), Some(own_id)) = (self, own_id) else {
            return Ok(one);
        };
        match &one.id {
            Some(id) if **id == *own_id => {}
            Some(_) => {
                return Err(Error::invalid(
                    "the id of the resource is not the one of the resource that the condition finds",
                ));
            }
            None => {
                check_own_id(own_id)?;
                one.id = Some(own_id.into());
                one.current = snapshot.get(ty.kind, own_id).await?;
                one.missed = true;
            }
        }
        Ok(one)
    }

    /// The one resource that is meant, if it is there.
    pub(super) async fn one(
        &self,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
    ) -> Result<One, Error> {
        match self {
            Self::Id(id) => Ok(One {
                id: Some((*id).into()),
                current: snapshot.get(ty.kind, id).await?,
                preconditions: Vec::new(),
                missed: false,
            }),
            Self::Matching(query) => {
                let (mut found, preconditions) = matches(snapshot, query, 1).await?;
                let current = found.pop();
                Ok(One {
                    id: current.as_ref().map(|record| record.id.clone()),
                    current,
                    preconditions,
                    missed: false,
                })
            }
        }
    }

    /// All resources to delete.
    pub(super) async fn to_delete(
        &self,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
    ) -> Result<(Vec<Record>, Vec<Precondition>), Error> {
        match self {
            Self::Id(id) => {
                let current = snapshot.get(ty.kind, id).await?;
                let version = current.as_ref().map(|record| record.version);
                if let Some(current) = current.filter(exists) {
                    return Ok((vec![current], Vec::new()));
                }
                let still_none = Precondition::VersionIs {
                    kind: ty.kind,
                    id: (*id).into(),
                    version,
                };
                Ok((Vec::new(), vec![still_none]))
            }
            Self::Matching(query) => matches(snapshot, query, DELETED_MAX).await,
        }
    }
}

/// What matches a condition, and what must hold so that just this does.
pub(super) async fn matches(
    snapshot: &dyn Snapshot,
    query: &Query,
    matches_max: usize,
) -> Result<(Vec<Record>, Vec<Precondition>), Error> {
    let query = Query {
        limit: matches_max + 1,
        ..query.clone()
    };
    let hits = snapshot.find(&query).await?.hits;
    if hits.len() > matches_max {
        let details = match matches_max {
            1 => "more than one resource matches the condition".to_owned(),
            max => format!("more than {max} resources match the condition"),
        };
        return Err(Error::new(Kind::Precondition, details));
    }
    let found: Vec<Record> = hits.into_iter().map(|hit| hit.record).collect();
    let preconditions = only_matches(query, &found);
    Ok((found, preconditions))
}

/// A query without records that will be gone.
pub(super) fn without(query: Query, gone: &[Box<str>]) -> Query {
    if gone.is_empty() {
        return query;
    }
    let others = Filter::Not(Filter::Ids(gone.to_vec()).into());
    Query {
        filter: Filter::All(vec![query.filter, others]),
        ..query
    }
}

/// The id that a body has.
pub(super) fn own_id(resource: Node<'_>) -> Option<String> {
    let id = resource.get("id").and_then(Node::str)?;
    Some(id.into_owned())
}

fn check_own_id(id: &str) -> Result<(), Error> {
    match is_id(id) {
        true => Ok(()),
        false => Err(Error::invalid(
            "the id of the resource is not an id: 1 to 64 of A-Z, a-z, 0-9, - and .",
        )),
    }
}

fn exists(record: &Record) -> bool {
    record.content != Content::Deleted
}

#[cfg(test)]
mod tests;
