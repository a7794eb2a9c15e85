//! The patients to whom a user stands in a relationship just now.
//!
//! A rule may be about the patients of one's care teams, encounters or panel,
//! or those that one acts for. Their ids are read from the records once, when
//! a session is compiled, and each type's filter shares the set
//! ([0031](../../../../../docs/adr/0031-relationships-as-sets.md)). The set holds until one
//! of those records changes, or one comes that names the user, or until the
//! next time that one of them begins or ends.

mod read;
#[cfg(test)]
mod tests;
mod time;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salus_auth::policy::{Fresh, Label, Statement, compartment};
use salus_auth::record::{BreakGlass, Care, Consenting, Relationship, Saved, SystemRecord, User};
use salus_auth::{PurposeOfUse, Subject, Who};
use salus_fhir::json::{Document, Limits, Node};
use salus_store::{
    At, Comparison, Content, Filter, Kind, Param, Query, Record, References, Snapshot, Sort, Test,
    Tokens,
};

use super::consent::{self, ALL, About, CONSENT, Consented};
use crate::Service;
use crate::error::{Error, Kind as Failure};
use read::{Actors, Related};
pub(crate) use time::Time;
pub(crate) use watch::Watch;
pub(crate) use watch::{Relations, touch};

/// Patients of one relationship at most; who has more is refused.
const PATIENTS_MAX: usize = 10_000;
/// Records read to find them at most.
const RECORDS_MAX: usize = 50_000;
/// Active consents of a project at most, where they count.
const CONSENTS_MAX: usize = 200_000;
/// The role of users who act for payers.
const PAYER: &str = "payer";
/// Records read at once.
const PAGE: usize = 500;

pub(crate) const PATIENT: Kind = Kind::named("Patient");
const PRACTITIONER: Kind = Kind::named("Practitioner");
const ROLE: Kind = Kind::named("PractitionerRole");
const ORGANIZATION: Kind = Kind::named("Organization");
const CARE_TEAM: Kind = Kind::named("CareTeam");
const ENCOUNTER: Kind = Kind::named("Encounter");
const RELATED_PERSON: Kind = Kind::named("RelatedPerson");

/// The patients of each relationship that was asked for.
#[derive(Clone, Default)]
pub(crate) struct Patients {
    by: BTreeMap<Relationship, References>,
    /// Those whose records under 42 CFR Part 2 are open, too, with the broken glass.
    part_2: Vec<Box<str>>,
    /// Until when the glass is broken, if it is.
    emergency_until_ms: Option<i64>,
    /// What consents leave, if they count.
    consented: Option<Consented>,
    /// Whether the subject acts for a payer.
    is_payer: bool,
}
salus_phi::guard!(Patients);

impl Patients {
    /// Those of one; nobody, if it was not asked for.
    pub(super) fn of(&self, relationship: Relationship) -> References {
        let known = self.by.get(&relationship).cloned();
        known.unwrap_or_else(|| References::of(PATIENT, Vec::new()))
    }

    /// Until when the glass is broken for one of them, if it is.
    pub(super) fn emergency_until_ms(&self) -> Option<i64> {
        self.emergency_until_ms
    }

    /// What a subject acts for; nothing is that nobody knows. Who has broken the glass acts in
    /// an emergency, too, but for a payer.
    pub(super) fn purposes(&self, subject: &Subject) -> Vec<PurposeOfUse> {
        let mut purposes: Vec<PurposeOfUse> = subject.purpose().into_iter().collect();
        if self.emergency_until_ms.is_some() && !self.is_payer && !purposes.is_empty() {
            purposes.extend([PurposeOfUse::ETREAT, PurposeOfUse::BTG]);
        }
        purposes
    }

    /// Whether the subject acts for a payer.
    pub(super) fn is_payer(&self) -> bool {
        self.is_payer
    }

    /// What consents deny somebody with these records of their own.
    pub(super) fn denials(&self, own: &[Box<str>]) -> Vec<Statement> {
        let Some(consented) = &self.consented else {
            return Vec::new();
        };
        consented.statements(|ty| {
            let mut except = Vec::new();
            except.extend(compartment::of_patients(ty, own));
            except.extend(self.records(Relationship::Proxy, ty));
            except.extend(self.records(Relationship::BreakGlass, ty));
            except.retain(|one| *one != Filter::Nothing);
            except
        })
    }

    /// The records of a type that are of those patients; `None` if those of
    /// the type are of nobody.
    pub(super) fn records(&self, relationship: Relationship, ty: &str) -> Option<Filter> {
        let records = compartment::of_set("Patient", ty, &self.of(relationship))?;
        if relationship != Relationship::BreakGlass || records == Filter::Nothing {
            return Some(records);
        }
        // 42 CFR 2.51: what a program wrote is opened by an attestation of its own.
        let marked = Label::any_of(ty, &[Label::part_2()]);
        let unmarked = Filter::Not(marked.into());
        let attested = compartment::of_patients(ty, &self.part_2).unwrap_or(Filter::Nothing);
        Some(Filter::All(vec![
            records,
            Filter::Any(vec![unmarked, attested]),
        ]))
    }
}

/// Patients, and how long they are those if nobody changes it.
type Found = (Patients, Option<Arc<Fresh>>);

impl Service {
    /// The patients to whom somebody stands so at a time, and how long that holds.
    pub(super) fn patients<'a>(
        &'a self,
        subject: &'a Subject,
        wanted: &'a [Relationship],
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Found, Error>> {
        Box::pin(async move {
            let scope = subject.home();
            let care = self.care(scope);
            let mut patients = Patients {
                is_payer: is_payer(subject, &care),
                ..Patients::default()
            };
            let is_ruled = matches!(subject.who(), Who::User | Who::Client);
            let consent = care.consent;
            if !is_ruled || wanted.is_empty() && consent == Consenting::None {
                return Ok((patients, None));
            }
            // Of its own, since what it is about is kept for others.
            let consents = self.relations.watch(scope);
            let watch = self.relations.watch(scope);
            let snapshot = self.store.snapshot(scope, At::Now).await?;
            let mut finding = Finding {
                snapshot: &*snapshot,
                watch: &watch,
                care: &care,
                now_ms,
                found: Vec::new(),
            };
            let of_practitioner = consent != Consenting::None;
            let actors = match of_practitioner || wanted.iter().any(|one| is_of_practitioners(*one))
            {
                true => finding.actors(subject).await?,
                false => Actors::default(),
            };
            for relationship in wanted {
                finding.found.clear();
                match relationship {
                    Relationship::CareTeam => finding.care_teams(&actors).await?,
                    Relationship::Encounter => finding.encounters(&actors).await?,
                    Relationship::GeneralPractitioner => finding.panel(&actors).await?,
                    Relationship::Proxy => finding.proxies(subject).await?,
                    Relationship::BreakGlass => {
                        finding.broken_glass(subject, &mut patients).await?;
                    }
                }
                let ids = std::mem::take(&mut finding.found);
                patients
                    .by
                    .insert(*relationship, References::of(PATIENT, ids));
            }
            if consent != Consenting::None {
                watch.on(CONSENT, ALL);
                let all = match self.consents.known(scope, now_ms) {
                    Some(all) => all,
                    None => {
                        let all = finding.consents().await?;
                        consents.on(CONSENT, ALL);
                        self.consents.keep(scope, consents.end(), &all);
                        all
                    }
                };
                let about = about(subject, &actors, &patients, now_ms);
                patients.consented = Some(Consented::of(consent, &all, &about, &watch));
            }
            Ok((patients, Some(watch.end())))
        })
    }
}

/// 45 CFR 164.522(a)(1)(vi): of what patients paid themselves no payer learns.
pub(super) fn is_payer(subject: &Subject, care: &Care) -> bool {
    let mut clients = care.payer_clients.iter();
    subject
        .client_id()
        .is_some_and(|id| clients.any(|own| own == id))
        || subject.role_names().iter().any(|role| role == PAYER)
}

/// Who a subject is to consents, and what for. Who clients are nobody knows.
fn about(subject: &Subject, actors: &Actors, patients: &Patients, now_ms: i64) -> About {
    let is_user = subject.who() == Who::User;
    let mut all = actors.all();
    let own = subject.bindings().profiles.into_iter();
    all.extend(own.map(|(ty, id)| (Kind::named(ty), id)));
    About {
        actors: is_user.then_some(all),
        purposes: patients.purposes(subject),
        now_ms,
    }
}

fn is_of_practitioners(relationship: Relationship) -> bool {
    match relationship {
        Relationship::CareTeam | Relationship::Encounter | Relationship::GeneralPractitioner => {
            true
        }
        Relationship::Proxy | Relationship::BreakGlass => false,
    }
}

/// Looking for patients, in one snapshot.
struct Finding<'f> {
    snapshot: &'f dyn Snapshot,
    watch: &'f Watch,
    care: &'f Care,
    now_ms: i64,
    found: Vec<Box<str>>,
}

impl Finding<'_> {
    /// What records may call a user who is a practitioner: that, the roles
    /// that they hold now, and the organizations that they hold them in.
    async fn actors(&self, subject: &Subject) -> Result<Actors, Error> {
        let bindings = subject.bindings();
        let own = bindings.profiles.into_iter();
        let own = own.filter(|(ty, _)| *ty == "Practitioner");
        let own: Vec<Box<str>> = own.map(|(_, id)| id).collect();
        let mut actors = Actors::default();
        if own.is_empty() {
            return Ok(actors);
        }
        for id in own {
            self.watch.on(PRACTITIONER, &id);
            actors.add(PRACTITIONER, id);
        }
        let param = Param::named("PractitionerRole", "practitioner");
        let mut roles = Vec::new();
        let filter = actors.named_by(param, &[PRACTITIONER]);
        self.each(ROLE, filter, |id, node| {
            roles.extend(read::role(node).map(|role| (Box::from(id), role)));
        })
        .await?;
        for (id, (organization, time)) in roles {
            if !self.holds(time) {
                continue;
            }
            self.watch.on(ROLE, &id);
            actors.add(ROLE, id);
            if let Some(organization) = organization {
                self.watch.on(ORGANIZATION, &organization);
                actors.add(ORGANIZATION, organization);
            }
        }
        Ok(actors)
    }

    async fn care_teams(&mut self, actors: &Actors) -> Result<(), Error> {
        let param = Param::named("CareTeam", "participant");
        let filter = actors.named_by(param, &[PRACTITIONER, ROLE, ORGANIZATION]);
        self.related(CARE_TEAM, filter, |node| read::care_team(node, actors))
            .await
    }

    /// Of encounters, those that are under way, or have not ended for longer
    /// than the project says.
    async fn encounters(&mut self, actors: &Actors) -> Result<(), Error> {
        let grace_ms = self.care.grace_ms();
        let since_ms = self.now_ms.saturating_sub(grace_ms);
        let named = actors.named_by(
            Param::named("Encounter", "participant"),
            &[PRACTITIONER, ROLE],
        );
        let under_way = Tokens::of(read::UNDER_WAY.map(|code| (read::ENCOUNTER_STATUS, code)));
        let recent = Filter::Any(vec![
            Filter::Value(
                Param::named("Encounter", "date"),
                Test::Date(Comparison::Overlaps, since_ms, i64::MAX),
            ),
            Filter::Value(Param::named("Encounter", "status"), Test::Tokens(under_way)),
        ]);
        let filter = Filter::All(vec![named, recent]);
        self.related(ENCOUNTER, filter, |node| {
            read::encounter(node, actors, grace_ms)
        })
        .await
    }

    async fn panel(&mut self, actors: &Actors) -> Result<(), Error> {
        let param = Param::named("Patient", "general-practitioner");
        let filter = actors.named_by(param, &[PRACTITIONER, ROLE, ORGANIZATION]);
        let mut found: Vec<Box<str>> = Vec::new();
        self.each(PATIENT, filter, |id, _| found.push(id.into()))
            .await?;
        for id in found {
            self.watch.on(PATIENT, &id);
            self.add(id)?;
        }
        Ok(())
    }

    /// The patients for whom the user acts as a related person.
    async fn proxies(&mut self, subject: &Subject) -> Result<(), Error> {
        let bindings = subject.bindings();
        let own = bindings.profiles.into_iter();
        for (_, id) in own.filter(|(ty, _)| *ty == "RelatedPerson") {
            self.watch.on(RELATED_PERSON, &id);
            let record = self.snapshot.get(RELATED_PERSON, &id).await?;
            let Some(proxy) = parsed(record.as_ref(), read::proxy).flatten() else {
                continue;
            };
            if !self.holds(proxy.time) {
                continue;
            }
            self.watch.on(PATIENT, &proxy.patient);
            let record = self.snapshot.get(PATIENT, &proxy.patient).await?;
            let of_age = |node: Node<'_>| read::of_age_ms(node, self.care.proxy_until_age);
            let of_age_ms = match proxy.is_of_minor {
                false => Some(i64::MAX),
                true => parsed(record.as_ref(), of_age).flatten(),
            };
            // Nobody acts for who may be of age.
            if self.holds(Time::until(of_age_ms.unwrap_or(i64::MIN))) && record.is_some() {
                self.found.push(proxy.patient);
            }
        }
        Ok(())
    }

    /// The patients for whom the user has broken the glass.
    async fn broken_glass(
        &mut self,
        subject: &Subject,
        patients: &mut Patients,
    ) -> Result<(), Error> {
        let Some(user) = subject.user_id() else {
            return Ok(());
        };
        self.watch.on(User::KIND, user);
        let query = BreakGlass::of_user(user, self.now_ms);
        for hit in self.snapshot.find(&query).await?.hits {
            let Some(Saved { value: glass, .. }) = Saved::<BreakGlass>::read(&hit.record)? else {
                continue;
            };
            self.watch.until(glass.ends_ms());
            if glass.is_open(self.now_ms) {
                let ends_ms = Some(glass.ends_ms());
                patients.emergency_until_ms = patients.emergency_until_ms.max(ends_ms);
                let attested = glass.part_2.is_some();
                patients
                    .part_2
                    .extend(attested.then(|| glass.patient.clone()));
                self.found.push(glass.patient);
            }
        }
        Ok(())
    }

    /// The active consents of all patients.
    async fn consents(&self) -> Result<consent::All, Error> {
        let test = Test::Token {
            system: None,
            code: Some("active".into()),
        };
        let active = Filter::Value(Param::named("Consent", "status"), test);
        let mut all = Vec::new();
        self.each_up_to(CONSENTS_MAX, (CONSENT, active), |_, node| {
            all.extend(consent::parse(node));
        })
        .await?;
        Ok(all.into())
    }

    /// Adds the patients of records that relate the user to one now.
    async fn related(
        &mut self,
        kind: Kind,
        filter: Filter,
        read: impl Fn(Node<'_>) -> Option<Related>,
    ) -> Result<(), Error> {
        let mut all: Vec<(Box<str>, Option<Related>)> = Vec::new();
        self.each(kind, filter, |id, node| all.push((id.into(), read(node))))
            .await?;
        for (id, related) in all {
            self.watch.on(kind, &id);
            let Some(Related { patient, times }) = related else {
                continue;
            };
            // Each is looked at, since each may be the next to begin or end.
            let holds = times.into_iter().filter(|time| self.holds(*time)).count();
            if holds > 0 {
                self.add(patient)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, patient: Box<str>) -> Result<(), Error> {
        self.found.push(patient);
        if self.found.len() > PATIENTS_MAX {
            self.found.sort_unstable();
            self.found.dedup();
        }
        match self.found.len() > PATIENTS_MAX {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    /// Whether it is such a time now; it is looked at again when that changes.
    fn holds(&self, time: Time) -> bool {
        self.watch.until(time.changes_after(self.now_ms));
        time.has(self.now_ms)
    }

    /// Reads the records that match.
    async fn each(
        &self,
        kind: Kind,
        filter: Filter,
        see: impl FnMut(&str, Node<'_>),
    ) -> Result<(), Error> {
        self.each_up_to(RECORDS_MAX, (kind, filter), see).await
    }

    async fn each_up_to(
        &self,
        most: usize,
        (kind, filter): (Kind, Filter),
        mut see: impl FnMut(&str, Node<'_>),
    ) -> Result<(), Error> {
        let (mut after, mut seen) = (None, 0);
        loop {
            let query = Query {
                kind,
                filter: filter.clone(),
                sort: vec![Sort::Id { descending: false }],
                limit: PAGE,
                after,
                rows: Vec::new(),
            };
            let page = self.snapshot.find(&query).await?;
            for hit in &page.hits {
                parsed(Some(&hit.record), |node| see(&hit.record.id, node));
            }
            seen += page.hits.len();
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
            if seen >= most {
                return Err(too_many());
            }
        }
    }
}

/// Something of a record's resource, if it is not deleted and can be read.
fn parsed<T>(record: Option<&Record>, read: impl FnOnce(Node<'_>) -> T) -> Option<T> {
    let Content::Body(body) = &record?.content else {
        return None;
    };
    let document = Document::parse(body.to_vec(), &Limits::default()).ok()?;
    Some(read(document.root()))
}

fn too_many() -> Error {
    Error::new(
        Failure::Forbidden,
        "rules about relationships are for up to 10000 patients of one user, \
         found in up to 50000 records; this user has more",
    )
}
