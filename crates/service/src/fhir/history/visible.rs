//! Histories of many records for one who may not see all of them.
//!
//! The store gives versions of all; of these the ones are kept whose record is
//! there now for the one asking, as for reads of one record. Pages are filled
//! up, and their ends named by what is kept: nothing tells of the rest.

use std::collections::{BTreeMap, HashSet};

use salus_auth::{Action, Target};
use salus_store::{Filter, Found, History, HistoryOf, Hit, Kind, Position, Query, Snapshot};

use crate::context::Context;
use crate::error::{Error, Kind as Failure};
use crate::fhir::types::ResourceType;

/// Versions read at once at least.
const READ_AT_ONCE: usize = 200;
/// Versions looked at for one page.
const LOOKED_AT_MAX: usize = 200_000;

/// Of which kinds the records are looked at, and which of them are there; a
/// kind without a filter is there as a whole.
pub(super) struct Visible(BTreeMap<Kind, Filter>);

impl Visible {
    /// Everything.
    pub(super) fn all() -> Self {
        Self(BTreeMap::new())
    }

    /// Of one type, what a grant for it lets see.
    pub(super) fn of(kind: Kind, filter: &Filter) -> Self {
        let narrowed = (*filter != Filter::Everything).then(|| (kind, filter.clone()));
        Self(narrowed.into_iter().collect())
    }

    /// The kinds of which the one asking may read histories, and what of each.
    pub(super) fn each(cx: &Context, kinds: Vec<Kind>) -> (Vec<Kind>, Self) {
        let mut narrowed = BTreeMap::new();
        let mut allowed = kinds;
        allowed.retain(|kind| {
            let Some(ty) = ResourceType::of(*kind) else {
                return false;
            };
            let (action, target) = (Action::HistoryType, Target::Type(ty.name));
            let grant = salus_auth::authorize(&cx.subject, cx.scope, action, target);
            if let Ok(grant) = &grant
                && *grant.filter() != Filter::Everything
            {
                narrowed.insert(*kind, grant.filter().clone());
            }
            // The log of a project has no audit events.
            grant.is_ok()
        });
        (allowed, Self(narrowed))
    }

    /// A page of versions.
    pub(super) async fn page(
        &self,
        snapshot: &dyn Snapshot,
        query: &History,
    ) -> Result<Found, Error> {
        let is_one = matches!(query.of, HistoryOf::Record(..));
        if self.0.is_empty() || is_one {
            return Ok(snapshot.history(query).await?);
        }
        match query.after {
            Some(Position::UpTo(_) | Position::End) => self.backward(snapshot, query).await,
            Some(Position::After(_)) | None => self.forward(snapshot, query).await,
        }
    }

    async fn forward(&self, snapshot: &dyn Snapshot, query: &History) -> Result<Found, Error> {
        let mut reading = Reading::of(query);
        let mut hits = Vec::new();
        loop {
            let page = reading.next(snapshot).await?;
            hits.extend(self.kept(snapshot, page.hits).await?);
            reading.query.after = page.next;
            if hits.len() > query.limit || page.next.is_none() {
                break;
            }
        }
        let more = hits.len() > query.limit;
        hits.truncate(query.limit);
        let last = hits.last().map(|hit| hit.record.seq);
        Ok(Found {
            next: last.filter(|_| more).map(Position::After),
            previous: query.after.and_then(Position::seq).map(Position::UpTo),
            hits,
        })
    }

    async fn backward(&self, snapshot: &dyn Snapshot, query: &History) -> Result<Found, Error> {
        let mut reading = Reading::of(query);
        let mut hits: Vec<Hit> = Vec::new();
        loop {
            let page = reading.next(snapshot).await?;
            let mut before = self.kept(snapshot, page.hits).await?;
            before.append(&mut hits);
            hits = before;
            reading.query.after = page.previous;
            if hits.len() > query.limit || page.previous.is_none() {
                break;
            }
        }
        let others = hits.len().saturating_sub(query.limit);
        let before = others.checked_sub(1).and_then(|at| hits.get(at));
        let previous = before.map(|hit| Position::UpTo(hit.record.seq));
        hits.drain(..others);
        let last = hits.last().map(|hit| hit.record.seq);
        let is_end = query.after == Some(Position::End);
        Ok(Found {
            next: last.filter(|_| !is_end).map(Position::After),
            previous,
            hits,
        })
    }

    /// Those of the versions whose record is there.
    async fn kept(&self, snapshot: &dyn Snapshot, hits: Vec<Hit>) -> Result<Vec<Hit>, Error> {
        let mut asked: BTreeMap<Kind, HashSet<Box<str>>> = BTreeMap::new();
        for hit in &hits {
            if self.0.contains_key(&hit.record.kind) {
                let ids = asked.entry(hit.record.kind).or_default();
                ids.insert(hit.record.id.clone());
            }
        }
        let mut there: HashSet<(Kind, Box<str>)> = HashSet::new();
        for (kind, ids) in asked {
            let filter = self.0.get(&kind).cloned().unwrap_or(Filter::Nothing);
            let found = visible_of(snapshot, kind, ids.into_iter().collect(), filter).await?;
            there.extend(found.into_iter().map(|id| (kind, id)));
        }
        let mut hits = hits;
        hits.retain(|hit| {
            let (kind, id) = (hit.record.kind, &hit.record.id);
            !self.0.contains_key(&kind) || there.contains(&(kind, id.clone()))
        });
        Ok(hits)
    }
}

/// Which of some records of a kind satisfy a filter.
pub(crate) async fn visible_of(
    snapshot: &dyn Snapshot,
    kind: Kind,
    ids: Vec<Box<str>>,
    filter: Filter,
) -> Result<Vec<Box<str>>, Error> {
    let query = Query {
        kind,
        limit: ids.len(),
        filter: Filter::All(vec![Filter::Ids(ids), filter]),
        sort: Vec::new(),
        after: None,
        rows: Vec::new(),
    };
    let hits = snapshot.find(&query).await?.hits;
    Ok(hits.into_iter().map(|hit| hit.record.id).collect())
}

/// How far the store's pages were read.
struct Reading {
    query: History,
    looked_at: usize,
}

impl Reading {
    fn of(query: &History) -> Self {
        Self {
            query: History {
                limit: query.limit.saturating_add(1).max(READ_AT_ONCE),
                ..query.clone()
            },
            looked_at: 0,
        }
    }

    async fn next(&mut self, snapshot: &dyn Snapshot) -> Result<Found, Error> {
        let page = snapshot.history(&self.query).await?;
        self.looked_at += page.hits.len();
        if self.looked_at > LOOKED_AT_MAX {
            let details = "this history would look at too many versions; ask for one of a type \
                           or of a resource, or with _since";
            return Err(Error::new(Failure::Unprocessable, details));
        }
        Ok(page)
    }
}
