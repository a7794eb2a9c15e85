//! Which records of a type an export gives out, and in which form.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use salus_auth::{Action, Grant, Target};
use salus_fhir::compartment;
use salus_fhir::json::{Document, Limits};
use salus_fhir::search::{Parameters, Subset};
use salus_store::{Content, Filter, Query, Record, SealKey, Seq, Snapshot};

use super::Export;
use super::associated::{About, PROVENANCE};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::search;
use crate::fhir::types::ResourceType;

/// Whose records are wanted.
pub(super) enum Members {
    /// Of any patient.
    Any,
    These(HashSet<Box<str>>),
}
salus_phi::guard!(Members);

/// What is wanted of a type.
pub(super) struct Choice {
    pub(super) ty: ResourceType,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
    /// What the store must say; `None` is nothing.
    filter: Option<Filter>,
    members: Option<Arc<Members>>,
    subset: Option<Subset>,
    /// What Provenance must be about, if it is exported for that only.
    about: Option<Box<About>>,
    base: Arc<str>,
}

/// So many patients are few.
const FEW_MAX: usize = 1000;
/// Times are nearly in the order of commits: this far at most they are not.
const ORDER_MS: i64 = 24 * 60 * 60 * 1000;

impl Choice {
    pub(super) async fn of(
        service: &Service,
        cx: &Context,
        asked: &Export,
        (ty, members): (ResourceType, Option<Arc<Members>>),
    ) -> Result<Self, Error> {
        let about = match ty.name {
            PROVENANCE => About::of(service, cx, asked, members.as_ref()).await?,
            _ => None,
        };
        let mut choice = Self::alone(service, cx, asked, (ty, members)).await?;
        if about.is_some() {
            // Old ones may be about what is new.
            (choice.since_ms, choice.until_ms) = (None, None);
            // What it is about is of a member.
            choice.members = None;
        }
        choice.about = about.map(Box::new);
        Ok(choice)
    }

    /// The same for a type by itself.
    pub(super) async fn alone(
        service: &Service,
        cx: &Context,
        asked: &Export,
        (ty, members): (ResourceType, Option<Arc<Members>>),
    ) -> Result<Self, Error> {
        let target = Target::Type(ty.name);
        let grant = service
            .authorize(cx, What::Operation, Action::Search, target)
            .await?;
        Ok(Self {
            ty,
            since_ms: asked.since_ms,
            until_ms: asked.until_ms,
            filter: service.export_filter(cx, asked, ty, &grant).await?,
            members,
            subset: subset(asked, ty)?,
            about: None,
            base: Arc::clone(&cx.base),
        })
    }

    /// Whether deletions may be told: what the filter would say of a record
    /// that is gone, nobody knows.
    pub(super) fn tells_deleted(&self) -> Option<i64> {
        self.since_ms.filter(|_| self.filter.is_none())
    }

    /// Whether there is nothing more to find behind this version.
    pub(super) fn is_behind(&self, record: &Record) -> bool {
        let since_ms = self.since_ms.unwrap_or(i64::MIN);
        record.time_ms < since_ms.saturating_sub(ORDER_MS)
    }

    /// Which of these records, at the places of those, the store's answer aside.
    pub(super) fn admits(&self, record: &Record) -> bool {
        self.since_ms
            .is_none_or(|since_ms| record.time_ms >= since_ms)
            && self
                .until_ms
                .is_none_or(|until_ms| record.time_ms < until_ms)
            && self.is_of_member(record)
    }

    /// Whether it is in the compartment of a patient that is wanted.
    pub(super) fn is_of_member(&self, record: &Record) -> bool {
        let Some(members) = &self.members else {
            return true;
        };
        match (&record.seal, &record.content) {
            (SealKey::Patient(patient), _) => members.has(patient),
            (SealKey::Scope, Content::Body(body)) => {
                self.patients(&record.id, body).is_some_and(|patients| {
                    let mut patients = patients.iter();
                    patients.any(|patient| members.has(patient))
                })
            }
            (SealKey::Scope, Content::Deleted) => false,
        }
    }

    /// The patients that are wanted, if they are few.
    pub(super) fn few(&self) -> Vec<Box<str>> {
        match self.members.as_deref() {
            Some(Members::These(ids)) if ids.len() <= FEW_MAX => {
                let mut ids: Vec<Box<str>> = ids.iter().cloned().collect();
                ids.sort_unstable();
                ids
            }
            Some(Members::These(_) | Members::Any) | None => Vec::new(),
        }
    }

    /// Whether this patient comes before all others that are wanted and have the record, too.
    pub(super) fn is_first(&self, record: &Record, patient: &str) -> bool {
        match (&record.seal, &record.content) {
            (SealKey::Patient(own), _) => **own == *patient,
            (SealKey::Scope, Content::Body(body)) => {
                let patients = self.patients(&record.id, body).unwrap_or_default();
                let wanted = |id: &&String| self.members.as_ref().is_some_and(|all| all.has(id));
                let first = patients.iter().filter(wanted).min();
                first.is_some_and(|first| first == patient)
            }
            (SealKey::Scope, Content::Deleted) => false,
        }
    }

    /// Of a record of several patients or none: which.
    fn patients(&self, id: &str, body: &[u8]) -> Option<Vec<String>> {
        let document = Document::parse(body.to_vec(), &Limits::default()).ok()?;
        let extractor = Parameters::r4().extractor(self.ty.name)?;
        let entries = extractor.extract(document.root(), &[&*self.base]).ok()?;
        let patients = compartment::patients(self.ty.name, id, &entries);
        Some(patients.into_iter().map(str::to_owned).collect())
    }

    /// Those of these records that the filter finds, all current in the snapshot.
    pub(super) async fn found<'r>(
        &self,
        snapshot: &dyn Snapshot,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Option<HashSet<Seq>>, Error> {
        let Some(filter) = &self.filter else {
            return Ok(None);
        };
        let ids: Vec<Box<str>> = records.map(|record| record.id.clone()).collect();
        if ids.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        let query = Query {
            kind: self.ty.kind,
            limit: ids.len(),
            filter: Filter::All(vec![Filter::Ids(ids), filter.clone()]),
            sort: Vec::new(),
            after: None,
            rows: Vec::new(),
        };
        let hits = snapshot.find(&query).await?.hits.into_iter();
        Ok(Some(hits.map(|hit| hit.record.seq).collect()))
    }

    /// Whether it is about something that is exported, where that counts.
    pub(super) async fn is_wanted(
        &self,
        snapshot: &dyn Snapshot,
        record: &Record,
    ) -> Result<bool, Error> {
        match &self.about {
            None => Ok(true),
            Some(about) => about.admits(snapshot, record, &self.base).await,
        }
    }

    /// The text that is given of a record.
    pub(super) fn shown<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        search::shown(body, self.subset.as_ref())
    }

    /// Whether the answer depends on the store.
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }
}

impl Members {
    fn has(&self, patient: &str) -> bool {
        match self {
            Self::Any => !patient.is_empty(),
            Self::These(ids) => ids.contains(patient),
        }
    }
}

impl Service {
    /// What the grant lets see, and any of the searches for the type.
    async fn export_filter(
        &self,
        cx: &Context,
        asked: &Export,
        ty: ResourceType,
        grant: &Grant,
    ) -> Result<Option<Filter>, Error> {
        let mut any = Vec::new();
        let cx = Context {
            parameters: self.parameters(cx.scope),
            ..cx.clone()
        };
        for (_, text) in asked.filters.iter().filter(|(of, _)| *of == ty.name) {
            any.push(self.type_filter(&cx, ty, text).await?);
        }
        let mut all = vec![grant.filter().clone()];
        if !any.is_empty() {
            all.push(Filter::Any(any));
        }
        all.retain(|filter| *filter != Filter::Everything);
        Ok((!all.is_empty()).then_some(Filter::All(all)))
    }

    /// A search of `_typeFilter`, as the store knows it.
    pub(super) async fn type_filter(
        &self,
        cx: &Context,
        ty: ResourceType,
        text: &str,
    ) -> Result<Filter, Error> {
        let asked = self.understand_condition(cx, ty, text).await?;
        let control = &asked.control;
        let plain = control.sort.is_empty()
            && control.includes.is_empty()
            && control.reverse_includes.is_empty()
            && control.count.is_none()
            && control.summary.is_none()
            && control.elements.is_empty();
        if !plain {
            return Err(Error::invalid(
                "_typeFilter takes conditions only, nothing about the form of the result",
            ));
        }
        Ok(Filter::All(asked.filters))
    }
}

/// The part of a type's resources that is asked for. An element without a type
/// is one of those types that have it.
pub(super) fn subset(asked: &Export, ty: ResourceType) -> Result<Option<Subset>, Error> {
    let mut wanted = Vec::new();
    for element in &asked.elements {
        match element.split_once('.') {
            Some((of, name)) if of == ty.name => wanted.push(name),
            Some(_) => {}
            None if part(ty, element).is_ok() => wanted.push(element),
            None => {}
        }
    }
    match wanted.is_empty() {
        true => Ok(None),
        false => part(ty, &wanted.join(",")),
    }
}

/// The part with these elements; an error names those that there are not.
pub(super) fn part(ty: ResourceType, elements: &str) -> Result<Option<Subset>, Error> {
    search::part(ty, &[("_elements".to_owned(), elements.to_owned())])
}
