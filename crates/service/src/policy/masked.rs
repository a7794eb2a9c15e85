//! The store as somebody sees it from whom elements of records are hidden:
//! whatever a use case reads to show or to compute with, it reads without them.
//!
//! Finding, ordering and counting go by the index, which knows all; what tells
//! of hidden elements there is barred where searches are understood
//! ([`salus_fhir::mask::Hidden::check`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use salus_auth::Subject;
use salus_auth::policy::{Mask, Masks};
use salus_fhir::json::{Document, Limits};
use salus_fhir::mask::Paths;
use salus_store::{
    AuditQuery, AuditRecord, Content, Error, Filter, Found, History, Hit, Kind, Param, Plan, Query,
    Record, Reply, Seq, Snapshot, Superseded,
};

use crate::fhir::types::ResourceType;

/// Filters are asked about so many records at once.
const AT_ONCE: usize = 1000;

/// A snapshot as this one may see it.
pub(crate) fn for_subject(subject: &Subject, whole: Box<dyn Snapshot>) -> Box<dyn Snapshot> {
    match subject.masks() {
        Some(masks) => Box::new(Masked {
            whole,
            masks: Arc::clone(masks),
        }),
        None => whole,
    }
}

struct Masked {
    whole: Box<dyn Snapshot>,
    masks: Arc<Masks>,
}

/// What is hidden of each record of which not the same is hidden as of all of its kind.
type Each = HashMap<(Kind, Box<str>), Paths>;

impl Masked {
    async fn one(&self, record: Option<Record>) -> Result<Option<Record>, Error> {
        let Some(mut record) = record else {
            return Ok(None);
        };
        self.all([&mut record]).await?;
        Ok(Some(record))
    }

    async fn found(&self, mut found: Found) -> Result<Found, Error> {
        self.all(found.hits.iter_mut().map(|hit| &mut hit.record))
            .await?;
        Ok(found)
    }

    async fn all<'r>(
        &self,
        records: impl IntoIterator<Item = &'r mut Record>,
    ) -> Result<(), Error> {
        let mut records: Vec<&mut Record> = records.into_iter().collect();
        let mut by_kind: BTreeMap<Kind, HashSet<Box<str>>> = BTreeMap::new();
        for record in &records {
            let ids = by_kind.entry(record.kind).or_default();
            ids.insert(record.id.clone());
        }
        let mut each = Each::new();
        for (kind, ids) in by_kind {
            let Some(mask) = self.masks.on(kind) else {
                continue;
            };
            let filters = mask.filters();
            if !filters.is_empty() {
                let ids: Vec<Box<str>> = ids.into_iter().collect();
                self.ask(kind, &ids, (mask, &filters), &mut each).await?;
            }
        }
        for record in &mut records {
            self.hide(record, &each)?;
        }
        Ok(())
    }

    /// Asks which of some records of a kind are among those of each filter.
    async fn ask(
        &self,
        kind: Kind,
        ids: &[Box<str>],
        (mask, filters): (&Mask, &[&Filter]),
        each: &mut Each,
    ) -> Result<(), Error> {
        let mut holds: Vec<HashSet<Box<str>>> = vec![HashSet::new(); filters.len()];
        for (filter, among) in filters.iter().zip(&mut holds) {
            for ids in ids.chunks(AT_ONCE) {
                if **filter == Filter::Everything {
                    among.extend(ids.iter().cloned());
                    continue;
                }
                let query = Query {
                    kind,
                    limit: ids.len(),
                    filter: Filter::All(vec![Filter::Ids(ids.to_vec()), (*filter).clone()]),
                    sort: Vec::new(),
                    after: None,
                    rows: Vec::new(),
                };
                let hits = self.whole.find(&query).await?.hits.into_iter();
                among.extend(hits.map(|hit| hit.record.id));
            }
        }
        for id in ids {
            let holds: Vec<bool> = holds.iter().map(|among| among.contains(id)).collect();
            each.insert((kind, id.clone()), mask.of(&holds));
        }
        Ok(())
    }

    fn hide(&self, record: &mut Record, each: &Each) -> Result<(), Error> {
        let Content::Body(body) = &mut record.content else {
            return Ok(());
        };
        if ResourceType::of(record.kind).is_none() || body.is_empty() {
            return Ok(());
        }
        let of_kind = || self.masks.on(record.kind).map_or(Paths::NONE, Mask::most);
        let own = each.get(&(record.kind, record.id.clone()));
        let own = own.unwrap_or_else(of_kind);
        if own.is_empty() && !may_hold_others(record.kind, body) {
            return Ok(());
        }
        let document = Document::parse(body.to_vec(), &Limits::default());
        let document =
            document.map_err(|_| Error::Damaged("a resource that cannot be read".to_owned()))?;
        if let Some(text) = self.masks.hidden().hide(document.root(), own) {
            *body = Bytes::from(text);
        }
        Ok(())
    }
}

/// Whether a resource may have others within it.
fn may_hold_others(kind: Kind, body: &[u8]) -> bool {
    const WITH_OTHERS: [Kind; 2] = [Kind::named("Bundle"), Kind::named("Parameters")];
    WITH_OTHERS.contains(&kind) || memmem::find(body, br#""contained""#).is_some()
}

impl Snapshot for Masked {
    fn seq(&self) -> Seq {
        self.whole.seq()
    }

    fn get<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        Box::pin(async move { self.one(self.whole.get(kind, id).await?).await })
    }

    fn head<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        self.whole.head(kind, id)
    }

    fn version<'a>(&'a self, kind: Kind, id: &'a str, version: u64) -> Reply<'a, Option<Record>> {
        Box::pin(async move { self.one(self.whole.version(kind, id, version).await?).await })
    }

    fn superseded<'a>(
        &'a self,
        kind: Kind,
        id: Option<&'a str>,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, Superseded> {
        self.whole.superseded(kind, id, after, limit)
    }

    fn history<'a>(&'a self, query: &'a History) -> Reply<'a, Found> {
        Box::pin(async move { self.found(self.whole.history(query).await?).await })
    }

    fn find<'a>(&'a self, query: &'a Query) -> Reply<'a, Found> {
        Box::pin(async move { self.found(self.whole.find(query).await?).await })
    }

    fn holds<'a>(&'a self, kind: Kind, id: &'a str, filter: &'a Filter) -> Reply<'a, bool> {
        self.whole.holds(kind, id, filter)
    }

    fn explain<'a>(&'a self, query: &'a Query) -> Reply<'a, (Found, Plan)> {
        Box::pin(async move {
            let (found, plan) = self.whole.explain(query).await?;
            Ok((self.found(found).await?, plan))
        })
    }

    fn estimate<'a>(&'a self, query: &'a Query) -> Reply<'a, Option<u64>> {
        self.whole.estimate(query)
    }

    fn walk<'a>(
        &'a self,
        kind: Kind,
        before: Seq,
        limit: usize,
        rows: &'a [Param],
    ) -> Reply<'a, Vec<Hit>> {
        Box::pin(async move {
            let mut hits = self.whole.walk(kind, before, limit, rows).await?;
            self.all(hits.iter_mut().map(|hit| &mut hit.record)).await?;
            Ok(hits)
        })
    }

    fn count<'a>(&'a self, query: &'a Query) -> Reply<'a, u64> {
        self.whole.count(query)
    }

    fn changed<'a>(&'a self, kinds: &'a [Kind]) -> Reply<'a, Option<Seq>> {
        self.whole.changed(kinds)
    }

    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Reply<'a, Vec<AuditRecord>> {
        self.whole.audit(query)
    }
}
