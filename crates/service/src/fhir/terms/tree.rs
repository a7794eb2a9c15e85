//! Hierarchies of records: `Location.partOf`, `Organization.partOf`, and others.
//! `subject:below=Location/1` is a reference to that location or to one that is,
//! through others, a part of it.
//!
//! The walk goes from level to level and sees only what the caller may find:
//! below or above a hidden record there is nothing.

use std::collections::HashSet;
use std::sync::Arc;

use salus_auth::{Action, Target};
use salus_fhir::definitions::{self, SearchKind, SearchParameter};
use salus_store::{Filter, Kind, Param, Query, Snapshot, Test, ValueRef};
use salus_terminology::{Direction, Error as Unknown};

use super::Known;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

/// More levels than these are not walked.
const LEVELS_MAX: usize = 64;
/// More records than these are not walked to.
const RECORDS_MAX: usize = 10_000;
/// So many are asked for at once.
const AT_ONCE: usize = 500;

/// The reference of a type to what it is a part of, if it has one.
pub(super) fn parent(ty: &str) -> Option<&'static SearchParameter> {
    let mut parameters = definitions::r4().search_parameters(ty).iter();
    parameters.find(|parameter| {
        let names = parameter.targets.iter();
        let mut names = names.map(|target| definitions::r4().ty(*target).name);
        parameter.kind == SearchKind::Reference
            && matches!(parameter.code, "partof" | "part-of" | "parent")
            && names.any(|name| name == ty || name == "Resource")
    })
}

/// The records above or below one.
pub(super) async fn records(
    cx: &Context,
    snapshot: &dyn Snapshot,
    direction: Direction,
    ty: &'static str,
    id: &str,
) -> Result<Known, Error> {
    let target = Target::Type(ty);
    let grant = salus_auth::authorize(&cx.subject, cx.scope, Action::Search, target);
    let (Ok(grant), Some(parent), Some(of)) = (grant, parent(ty), ResourceType::named(ty)) else {
        return Ok(Known::Denied);
    };
    if cx.subject.hidden().is_read_by(ty, parent) {
        return Ok(Known::Denied);
    }
    let walk = Walk {
        snapshot,
        kind: of.kind,
        param: rows::param(ty, parent),
        visible: grant.filter(),
    };
    let mut seen: HashSet<Box<str>> = HashSet::from([id.into()]);
    let mut found: Vec<Box<str>> = Vec::new();
    let mut level: Vec<Box<str>> = vec![id.into()];
    for _ in 0..LEVELS_MAX {
        let mut next = match direction {
            Direction::Below => walk.children(&level).await?,
            Direction::Above => {
                let parents = walk.parents(&level).await?;
                walk.that_are_there(parents).await?
            }
        };
        next.retain(|id| seen.insert(id.clone()));
        if next.is_empty() {
            return Ok(Known::Records(Arc::from(found)));
        }
        found.extend(next.iter().cloned());
        if found.len() > RECORDS_MAX {
            break;
        }
        level = next;
    }
    Ok(Known::Unknown(Unknown::TooManyCodes(RECORDS_MAX)))
}

struct Walk<'w> {
    snapshot: &'w dyn Snapshot,
    kind: Kind,
    /// The reference to what a record is a part of.
    param: Param,
    visible: &'w Filter,
}

impl Walk<'_> {
    /// The records that are parts of these.
    async fn children(&self, ids: &[Box<str>]) -> Result<Vec<Box<str>>, Error> {
        let mut children = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let is_part = |id: &str| {
                let (kind, id) = (Some(self.kind), id.into());
                Filter::Value(self.param, Test::Reference { kind, id })
            };
            let parts = some.iter().map(|id| is_part(id));
            let filter = Filter::Any(parts.collect());
            let found = self.find(filter, |id, _| children.push(id.into()));
            found.await?;
        }
        Ok(children)
    }

    /// What these records are parts of.
    async fn parents(&self, ids: &[Box<str>]) -> Result<Vec<Box<str>>, Error> {
        let mut parents: Vec<Box<str>> = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let found = self.find(Filter::Ids(some.to_vec()), |_, parent| {
                parents.extend(parent.map(Into::into));
            });
            found.await?;
        }
        parents.sort_unstable();
        parents.dedup();
        Ok(parents)
    }

    async fn that_are_there(&self, ids: Vec<Box<str>>) -> Result<Vec<Box<str>>, Error> {
        let mut there = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let filter = Filter::Ids(some.to_vec());
            let mut last = None;
            let found = self.find(filter, |id, _| {
                // It comes once for each of its parents.
                if last.as_deref() != Some(id) {
                    last = Some(Box::<str>::from(id));
                    there.push(id.into());
                }
            });
            found.await?;
        }
        Ok(there)
    }

    /// Gives each record that a filter describes, and is visible, to `each`:
    /// its id with each of its parents, or with none.
    async fn find(
        &self,
        filter: Filter,
        mut each: impl FnMut(&str, Option<&str>) + Send,
    ) -> Result<(), Error> {
        let mut query = Query {
            kind: self.kind,
            filter: Filter::All(vec![filter, self.visible.clone()]),
            sort: Vec::new(),
            limit: AT_ONCE,
            after: None,
            rows: vec![self.param],
        };
        let mut left = RECORDS_MAX;
        loop {
            let found = self.snapshot.find(&query).await?;
            for hit in &found.hits {
                let parents = hit.rows.iter().filter_map(|row| {
                    if let ValueRef::Reference { kind, id } = row.value.borrow()
                        && kind == self.kind
                    {
                        return Some(id);
                    }
                    None
                });
                let mut parents = parents.peekable();
                if parents.peek().is_none() {
                    each(&hit.record.id, None);
                }
                for parent in parents {
                    each(&hit.record.id, Some(parent));
                }
            }
            left = left.saturating_sub(found.hits.len());
            match found.next {
                Some(next) if left > 0 => query.after = Some(next),
                _ => return Ok(()),
            }
        }
    }
}
