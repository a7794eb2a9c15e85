//! Writes under rules: a record may be written by who may write what it was
//! and what it becomes.
//!
//! What it was is asked of the store, and once more inside the commit. What it
//! becomes is matched in memory, by the definition that the indexes follow
//! ([`salus_store::Filter::matches`]); a link leads to what the same commit
//! writes, or else to what there is. Of a record behind a link that is not
//! written itself, its own links count as they were before.

use std::collections::HashMap;
use std::pin::Pin;

use salus_auth::policy::{Deed, visible};
use salus_store::{
    Candidate, Content, Filter, Kind, Param, Precondition, Query, Record, Row, Rows, Seq, Snapshot,
    Test, Value,
};

use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind as Failure};
use crate::fhir::read::absent;
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;

impl Service {
    /// Refuses writes that rules do not allow the one asking. What was held
    /// against what there is has to be so when they are committed.
    pub(crate) async fn check_writes(
        &self,
        cx: &Context,
        writes: &[Write],
        preconditions: &mut Vec<Precondition>,
    ) -> Result<(), Error> {
        if !cx.subject.is_bound() {
            return Ok(());
        }
        let snapshot = self.whole_snapshot(cx).await?;
        let among = Among::of(&*snapshot, cx.now_ms, writes);
        for write in writes {
            let put = write.put();
            let Some(ty) = ResourceType::of(put.kind) else {
                continue;
            };
            let Some(filter) = visible(&cx.subject, write.deed(), put.kind) else {
                continue;
            };
            if put.version > 1 && is_there(snapshot.head(put.kind, &put.id).await?.as_ref()) {
                if !self.is_visible(&*snapshot, &filter, ty, &put.id).await? {
                    return Err(match self.is_seen(cx, &*snapshot, ty, &put.id).await? {
                        true => Error::new(Failure::Forbidden, "you may not change this resource"),
                        false => absent(),
                    });
                }
                preconditions.push(still(put.kind, &put.id, &filter));
            }
            let is_kept = put.content != Content::Deleted;
            if is_kept && !among.holds(put.kind, (&put.id, &put.rows), &filter).await? {
                let message = "you may not write a resource that says this";
                return Err(Error::new(Failure::Forbidden, message));
            }
        }
        Ok(())
    }

    /// Whether a record is there for the one asking.
    pub(crate) async fn is_seen(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
        id: &str,
    ) -> Result<bool, Error> {
        match visible(&cx.subject, Deed::Read, ty.kind) {
            None => Ok(true),
            Some(filter) => self.is_visible(snapshot, &filter, ty, id).await,
        }
    }
}

/// Whether a record is current.
pub(crate) fn is_there(record: Option<&Record>) -> bool {
    record.is_some_and(|record| record.content != Content::Deleted)
}

/// No other commit has taken the record from those that may be written.
fn still(kind: Kind, id: &str, filter: &Filter) -> Precondition {
    let this = Filter::Ids(vec![id.into()]);
    let other = Filter::Not(filter.clone().into());
    Precondition::NoneMatch(one_of(kind, Filter::All(vec![this, other])))
}

fn one_of(kind: Kind, filter: Filter) -> Query {
    Query {
        kind,
        filter,
        sort: Vec::new(),
        limit: 1,
        after: None,
        rows: Vec::new(),
    }
}

/// What some writes leave, among what there is.
pub(crate) struct Among<'w> {
    snapshot: &'w dyn Snapshot,
    now_ms: i64,
    /// Their rows; `None` of what they delete.
    written: HashMap<(Kind, &'w str), Option<&'w [Row]>>,
}

/// An answer that may take looking something up.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send + 'a>>;

impl<'w> Among<'w> {
    pub(super) fn of(snapshot: &'w dyn Snapshot, now_ms: i64, writes: &'w [Write]) -> Self {
        let written = writes.iter().map(|write| {
            let put = write.put();
            let is_kept = put.content != Content::Deleted;
            ((put.kind, &*put.id), is_kept.then_some(&*put.rows))
        });
        Self::over(snapshot, now_ms, written.collect())
    }

    pub(crate) fn over(
        snapshot: &'w dyn Snapshot,
        now_ms: i64,
        written: HashMap<(Kind, &'w str), Option<&'w [Row]>>,
    ) -> Self {
        Self {
            snapshot,
            now_ms,
            written,
        }
    }

    /// Whether a record with these rows satisfies a filter.
    pub(crate) fn holds<'a>(
        &'a self,
        kind: Kind,
        (id, rows): (&'a str, &'a [Row]),
        filter: &'a Filter,
    ) -> Answer<'a> {
        Box::pin(async move {
            if !filter.is_linked() {
                return Ok(filter.matches(&Candidate {
                    id,
                    time_ms: self.now_ms,
                    seq: Seq(u64::MAX),
                    rows: Rows::of(rows),
                }));
            }
            match filter {
                Filter::All(filters) => {
                    for filter in filters {
                        if !self.holds(kind, (id, rows), filter).await? {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                }
                Filter::Any(filters) => {
                    for filter in filters {
                        if self.holds(kind, (id, rows), filter).await? {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                }
                Filter::Not(filter) => Ok(!self.holds(kind, (id, rows), filter).await?),
                Filter::Refers {
                    param,
                    kind: of,
                    filter,
                } => self.refers(rows, (*param, *of), filter).await,
                Filter::Referred {
                    kind: by,
                    param,
                    filter,
                } => self.referred((kind, id), (*by, *param), filter).await,
                // None of these looks at other records.
                Filter::Everything
                | Filter::Nothing
                | Filter::Value(..)
                | Filter::Ids(_)
                | Filter::Updated(..) => Ok(false),
            }
        })
    }

    async fn refers(
        &self,
        rows: &[Row],
        (param, of): (Param, Kind),
        filter: &Filter,
    ) -> Result<bool, Error> {
        for row in rows.iter().filter(|row| row.param == param) {
            let Value::Reference { kind, id } = &row.value else {
                continue;
            };
            if *kind != of {
                continue;
            }
            let holds = match self.written.get(&(*kind, &**id)) {
                Some(Some(rows)) => self.holds(of, (id, rows), filter).await?,
                Some(None) => false,
                None => {
                    let this = Filter::Ids(vec![id.clone()]);
                    self.finds(of, vec![this, filter.clone()]).await?
                }
            };
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn referred(
        &self,
        (kind, id): (Kind, &str),
        (by, param): (Kind, Param),
        filter: &Filter,
    ) -> Result<bool, Error> {
        let to = Value::Reference {
            kind,
            id: id.into(),
        };
        let mut replaced: Vec<Box<str>> = Vec::new();
        for ((own, other), rows) in &self.written {
            if *own != by {
                continue;
            }
            replaced.push((*other).into());
            let refers = |row: &Row| row.param == param && row.value == to;
            if let Some(rows) = rows
                && rows.iter().any(refers)
                && self.holds(by, (other, rows), filter).await?
            {
                return Ok(true);
            }
        }
        let test = Test::Reference {
            kind: Some(kind),
            id: id.into(),
        };
        let mut all = vec![Filter::Value(param, test), filter.clone()];
        if !replaced.is_empty() {
            all.push(Filter::Not(Filter::Ids(replaced).into()));
        }
        self.finds(by, all).await
    }

    async fn finds(&self, kind: Kind, all: Vec<Filter>) -> Result<bool, Error> {
        let query = one_of(kind, Filter::All(all));
        Ok(!self.snapshot.find(&query).await?.hits.is_empty())
    }
}
