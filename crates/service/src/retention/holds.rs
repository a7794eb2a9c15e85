//! Legal holds: placed and lifted with reasons, and asked before anything goes for good.

use std::collections::HashSet;

use salus_auth::Action;
use salus_auth::policy::compartment;
use salus_auth::record::{AuditHold, Hold, Lifted, Saved, SystemRecord};
use salus_fhir::reference::is_id;
use salus_store::{Filter, Kind as RecordKind, Query, Record, SealKey, Snapshot};

use super::said;
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::resource_type;
use crate::fhir::search::{pairs, rule};
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;
use crate::policy::relations::PATIENT;
use crate::records::{all, one};

/// Holds of a project that are not lifted, at most.
const HOLDS_MAX: usize = 200;
/// Holds of a project that are kept.
const KEPT_MAX: usize = 20_000;
/// Patients, and searches, of one hold.
const PARTS_MAX: usize = 1000;
const SEARCHES_MAX: usize = 50;

/// A hold as somebody places it.
#[derive(Clone)]
pub struct NewHold {
    /// What people call it.
    pub name: String,
    /// Why.
    pub reason: String,
    /// The ids of patients.
    pub patients: Vec<String>,
    /// Searches, as `Observation?code=4548-4`.
    pub searches: Vec<String>,
    /// Which of the audit it is on, too: entries that name its patients, or all.
    pub audit: Option<AuditHold>,
}
salus_phi::guard!(NewHold);

/// What is under legal hold in a project just now.
pub(crate) struct Held(Vec<Saved<Hold>>);

impl Service {
    /// Puts records under legal hold: nothing of them goes for good until it is lifted.
    pub async fn place_hold(&self, cx: &Context, new: NewHold) -> Result<Saved<Hold>, Error> {
        let what = What::HoldPlaced;
        let grant = self.allow(cx, what, Action::Hold).await?;
        let work = async {
            let hold = self.check_hold(cx, new)?;
            if self.held(cx).await?.0.len() >= HOLDS_MAX {
                let details = "200 holds are in force, which is all there may be; lift one";
                return Err(Error::new(Kind::Conflict, details));
            }
            let mut saved = Saved::new(self.new_id(cx), hold);
            let entry = entry(cx, (what, grant.rule()), &saved);
            let write = Write::system(&grant, "Hold", saved.put()?);
            // What is being ended just now comes first.
            let _turn = self.ending.write().await;
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            saved.version = 1;
            Ok(saved)
        };
        self.attempt(cx, &grant, what, "Hold", work).await
    }

    /// Ends a hold.
    pub async fn lift_hold(
        &self,
        cx: &Context,
        id: &str,
        reason: &str,
    ) -> Result<Saved<Hold>, Error> {
        let what = What::HoldLifted;
        let grant = self.allow(cx, what, Action::Hold).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let mut saved = self.saved_hold(cx, id).await?;
            if saved.value.lifted.is_some() {
                return Err(Error::new(Kind::Conflict, "this hold was lifted already"));
            }
            saved.value.lifted = Some(Lifted {
                by: cx.subject.label().into(),
                at_ms: cx.now_ms,
                reason: said(reason, "reason")?,
            });
            let entry = entry(cx, (what, grant.rule()), &saved);
            let write = Write::system(&grant, "Hold", saved.put()?);
            let unchanged = vec![saved.unchanged()];
            self.commit(cx, entry, unchanged, vec![write]).await?;
            saved.version += 1;
            Ok(saved)
        };
        self.attempt_on(cx, &grant, what, ("Hold", id), work).await
    }

    /// The holds of a project: those in force, or all.
    pub async fn list_holds(&self, cx: &Context, lifted: bool) -> Result<Vec<Saved<Hold>>, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let mut holds = all::<Hold>(&*self.store, cx.scope, KEPT_MAX).await?;
        holds.retain(|hold| lifted || hold.value.lifted.is_none());
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(holds)
    }

    /// One of them.
    pub async fn read_hold(&self, cx: &Context, id: &str) -> Result<Saved<Hold>, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let work = self.saved_hold(cx, id);
        let hold = self
            .attempt_on(cx, &grant, What::AdminRead, ("Hold", id), work)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(hold)
    }

    /// What is under legal hold.
    pub(crate) async fn held(&self, cx: &Context) -> Result<Held, Error> {
        let mut holds = all::<Hold>(&*self.store, cx.scope, KEPT_MAX).await?;
        holds.retain(|hold| hold.value.lifted.is_none());
        Ok(Held(holds))
    }

    /// Those of some records of a type that are held.
    pub(crate) async fn held_among(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
        records: &[Record],
    ) -> Result<HashSet<Box<str>>, Error> {
        let named: Vec<_> = records.iter().map(|one| (&*one.id, &one.seal)).collect();
        let held = self.held(cx).await?;
        held.among(cx, snapshot, ty.kind, &named).await
    }

    async fn saved_hold(&self, cx: &Context, id: &str) -> Result<Saved<Hold>, Error> {
        let absent = || Error::not_found("there is no such hold");
        if !is_id(id) {
            return Err(absent());
        }
        one::<Hold>(&*self.store, cx.scope, id)
            .await?
            .ok_or_else(absent)
    }

    fn check_hold(&self, cx: &Context, new: NewHold) -> Result<Hold, Error> {
        if !(1..=200).contains(&new.name.trim().chars().count()) {
            return Err(Error::invalid("name must have 1 to 200 characters"));
        }
        let too_many = new.patients.len() > PARTS_MAX || new.searches.len() > SEARCHES_MAX;
        let nothing = new.patients.is_empty() && new.searches.is_empty() && new.audit.is_none();
        if too_many || nothing {
            let details = "a hold names up to 1000 patients or 50 searches, and one at least, or \
                           is on the audit";
            return Err(Error::invalid(details));
        }
        if !new.patients.iter().all(|id| is_id(id)) {
            return Err(Error::invalid("patients must be ids of patients"));
        }
        for search in &new.searches {
            understood(cx, search)?;
        }
        Ok(Hold {
            name: new.name.trim().to_owned(),
            reason: said(&new.reason, "reason")?,
            patients: new.patients.into_iter().map(Into::into).collect(),
            searches: new.searches,
            audit: new.audit,
            by: cx.subject.label().into(),
            from_ms: cx.now_ms,
            lifted: None,
        })
    }
}

impl Held {
    /// Each of them.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Hold> {
        self.0.iter().map(|saved| &saved.value)
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of these records of a kind that are held: `seal` is that of their content.
    pub(crate) async fn among(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        kind: RecordKind,
        records: &[(&str, &SealKey)],
    ) -> Result<HashSet<Box<str>>, Error> {
        let mut held: HashSet<Box<str>> = HashSet::new();
        for hold in &self.0 {
            let own = records.iter().filter(|(id, seal)| {
                hold.value.patients.iter().any(|patient| {
                    let sealed = matches!(seal, SealKey::Patient(by) if by == patient);
                    sealed || kind == PATIENT && **patient == **id
                })
            });
            held.extend(own.map(|(id, _)| Box::<str>::from(*id)));
            if let Some(ty) = ResourceType::of(kind) {
                found(cx, snapshot, (ty, hold), records, &mut held).await?;
            }
        }
        Ok(held)
    }
}

/// Adds those that a hold finds by references to its patients, and by its searches.
async fn found(
    cx: &Context,
    snapshot: &dyn Snapshot,
    (ty, hold): (ResourceType, &Saved<Hold>),
    records: &[(&str, &SealKey)],
    held: &mut HashSet<Box<str>>,
) -> Result<(), Error> {
    let mut any = Vec::new();
    if !hold.value.patients.is_empty() {
        any.extend(compartment::of_patients(ty.name, &hold.value.patients));
    }
    for search in &hold.value.searches {
        let (of, filter) = understood(cx, search)?;
        if of.kind == ty.kind {
            any.push(filter);
        }
    }
    if any.is_empty() || records.is_empty() {
        return Ok(());
    }
    let ids = records.iter().map(|(id, _)| (*id).into()).collect();
    let query = Query {
        kind: ty.kind,
        filter: Filter::All(vec![Filter::Ids(ids), Filter::Any(any)]),
        sort: Vec::new(),
        limit: records.len(),
        after: None,
        rows: Vec::new(),
    };
    let hits = snapshot.find(&query).await?.hits;
    held.extend(hits.into_iter().map(|hit| hit.record.id));
    Ok(())
}

/// A search as a filter: criteria only.
pub(crate) fn understood(cx: &Context, search: &str) -> Result<(ResourceType, Filter), Error> {
    let (name, query) = search.split_once('?').unwrap_or((search, ""));
    let ty = resource_type(name)
        .map_err(|_| Error::invalid("searches must be as `Observation?code=4548-4`"))?;
    let filter = rule::filter(cx, ty, &pairs(query));
    let filter = filter.map_err(|issue| Error::with_issues(Kind::Invalid, vec![issue]))?;
    Ok((ty, filter))
}

/// The entry about a hold; it is found by its patients.
fn entry(cx: &Context, (what, rule): (What, &str), hold: &Saved<Hold>) -> Entry {
    let mut entry = Entry::new(cx, what, Outcome::Success, rule);
    let reason = match &hold.value.lifted {
        Some(lifted) => &lifted.reason,
        None => &hold.value.reason,
    };
    entry.query = reason.as_str().into();
    for patient in &hold.value.patients {
        let entity = Entity {
            ty: "Patient".into(),
            id: patient.clone(),
            version: 0,
        };
        entry.concerns(entity, PATIENT, &SealKey::Scope);
    }
    let entity = Entity {
        ty: "Hold".into(),
        id: hold.id.clone(),
        version: hold.version + 1,
    };
    entry.concerns(entity, Hold::KIND, &SealKey::Scope);
    entry
}
