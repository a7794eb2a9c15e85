//! What an entry of the audit shows to whom: [`salus_auth::Grant::audits`] sees it whole.
//! Others see when, who (as people know them), what, what for and how it went, and of
//! the records concerned those that they may read themselves.
//!
//! What is masked is masked before a search looks at it, so that no parameter tells of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salus_auth::{Action, Agent, Grant, Target};
use salus_store::{AuditRecord, Filter, Query, Snapshot};
use tokio::sync::OnceCell;

use super::day::Day;
use super::disclosure::{self, Form, Suspension};
use super::entry::{EMERGENCY, Entity, Entry, What};
use super::event;
use super::search::matches;
use super::way::Way;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;

/// The log as somebody sees it.
pub(super) struct View<'a> {
    cx: &'a Context,
    grant: &'a Grant,
    now: Box<dyn Snapshot>,
    suspensions: OnceCell<Suspensions>,
}

/// The last suspension for each patient and agency.
type Suspensions = BTreeMap<(Box<str>, String), Suspension>;

/// Records that the one asking may read, by type and id.
type Visible = HashSet<(Box<str>, Box<str>)>;

impl<'a> View<'a> {
    pub(super) fn of(cx: &'a Context, grant: &'a Grant, now: Box<dyn Snapshot>) -> Self {
        Self {
            cx,
            grant,
            now,
            suspensions: OnceCell::new(),
        }
    }

    /// The text of each entry; `None` for one that is not there for the one asking.
    pub(super) fn shown<'b>(
        &'b self,
        records: &'b [AuditRecord],
    ) -> BoxFuture<'b, Result<Vec<Option<String>>, Error>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(records.len());
            for record in records {
                let entry = Entry::decode(&record.body)
                    .ok_or_else(|| Error::new(Kind::Internal, "an audit entry cannot be read"))?;
                found.push(self.there(record, entry).await?);
            }
            if self.grant.audits() {
                let texts = found.into_iter().map(|one| one.map(|(_, text)| text));
                return Ok(texts.collect());
            }
            let concerned = found.iter().flatten();
            let concerned = concerned.flat_map(|(entry, _)| &entry.entities);
            let visible = self.visible(concerned).await?;
            let pairs = records.iter().zip(found);
            Ok(pairs
                .map(|(record, one)| {
                    let (entry, _) = one?;
                    let masked = self.masked(entry, &visible);
                    Some(event::text(record, &masked, &self.cx.base))
                })
                .collect())
        })
    }

    /// An entry and its whole text, if it is among those that the grant is for.
    async fn there(
        &self,
        record: &AuditRecord,
        entry: Entry,
    ) -> Result<Option<(Entry, String)>, Error> {
        let text = event::text(record, &entry, &self.cx.base);
        let filter = self.grant.filter();
        if *filter != Filter::Everything && !matches(filter, record, &text)? {
            return Ok(None);
        }
        if !self.grant.audits() && self.is_suspended(&entry).await? {
            return Ok(None);
        }
        Ok(Some((entry, text)))
    }

    /// Whether it tells of a disclosure that an agency has asked to keep from the patient.
    async fn is_suspended(&self, entry: &Entry) -> Result<bool, Error> {
        if entry.what == What::DisclosuresSuspended {
            return Ok(true);
        }
        let Some(recipient) = disclosure::recipient(entry) else {
            return Ok(false);
        };
        let all = self.suspensions.get_or_try_init(|| self.read_suspensions());
        let today = Day::of(self.cx.now_ms);
        let all = all.await?;
        let mut patients = entry
            .entities
            .iter()
            .filter(|entity| entity.ty == "Patient");
        let of = |patient: &Entity| {
            let mut of = all.iter().filter(|((id, _), _)| *id == patient.id);
            of.any(|(_, one)| one.holds(&recipient, today))
        };
        Ok(patients.any(of))
    }

    /// Those of all patients: who asks is not told of whom they are.
    async fn read_suspensions(&self) -> Result<Suspensions, Error> {
        let mut log = Way::along(vec![disclosure::suspensions()], (None, None));
        let mut all = Suspensions::new();
        loop {
            let (records, more) = log.next(&*self.now).await?;
            let entries = records.iter();
            for entry in entries.filter_map(|record| Entry::decode(&record.body)) {
                let Some(Form::Suspension(one)) = disclosure::form(&entry) else {
                    continue;
                };
                for patient in entry.entities.iter().filter(|of| of.ty == "Patient") {
                    let agency = one.agency.trim().to_ascii_lowercase();
                    all.insert((patient.id.clone(), agency), one.clone());
                }
            }
            if !more {
                return Ok(all);
            }
        }
    }

    /// Which of the records concerned the one asking may read.
    async fn visible(&self, all: impl Iterator<Item = &Entity>) -> Result<Visible, Error> {
        let mut by_type: BTreeMap<&'static str, (ResourceType, HashSet<Box<str>>)> =
            BTreeMap::new();
        for entity in all {
            if let Some(ty) = ResourceType::named(&entity.ty) {
                let (_, ids) = by_type.entry(ty.name).or_insert((ty, HashSet::new()));
                ids.insert(entity.id.clone());
            }
        }
        let mut visible = Visible::new();
        for (ty, ids) in by_type.into_values() {
            let ids = self.visible_of(ty, ids.into_iter().collect()).await?;
            visible.extend(ids.into_iter().map(|id| (Box::from(ty.name), id)));
        }
        Ok(visible)
    }

    async fn visible_of(
        &self,
        ty: ResourceType,
        ids: Vec<Box<str>>,
    ) -> Result<Vec<Box<str>>, Error> {
        let (subject, scope) = (&self.cx.subject, self.cx.scope);
        let target = Target::Type(ty.name);
        let Ok(grant) = salus_auth::authorize(subject, scope, Action::Read, target) else {
            return Ok(Vec::new());
        };
        let query = Query {
            kind: ty.kind,
            limit: ids.len(),
            filter: Filter::All(vec![Filter::Ids(ids), grant.filter().clone()]),
            sort: Vec::new(),
            after: None,
            rows: Vec::new(),
        };
        let hits = self.now.find(&query).await?.hits.into_iter();
        Ok(hits.map(|hit| hit.record.id).collect())
    }

    /// The entry without what is not for the one asking.
    fn masked(&self, mut entry: Entry, visible: &Visible) -> Entry {
        if *entry.agent == *self.cx.subject.label() {
            // What they did themselves they know.
            return entry;
        }
        entry.entities.retain(|entity| {
            let key = (Box::from(&*entity.ty), entity.id.clone());
            visible.contains(&key)
        });
        // A disclosure of a patient's records is told whom the patient's record is shown.
        let mut patients = entry.entities.iter();
        let disclosed = entry.what == What::Disclosure && patients.any(|one| one.ty == "Patient");
        if !disclosed {
            entry.query = "".into();
        }
        entry.remote = None;
        let broken = entry.rule.starts_with(EMERGENCY);
        entry.rule = if broken { EMERGENCY } else { "" }.into();
        let agent = entry.by().cloned();
        let agent = agent.unwrap_or_else(|| Agent::named(&entry.agent));
        let (kind, _) = agent.kind_and_id();
        // Programs are no persons: their ids may be shown.
        let label = match kind {
            "User" | "Administrator" => Box::from(kind),
            _ => agent.label.clone(),
        };
        entry.agent.clone_from(&label);
        entry.by = Arc::new(Agent {
            label,
            profile: "".into(),
            session: "".into(),
            ..agent
        });
        entry
    }
}
