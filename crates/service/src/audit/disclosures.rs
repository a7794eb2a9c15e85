//! Recording disclosures, and the accounting of them, for who does that in a project:
//! administrators, and users whom a rule allows `$disclosures`.

use salus_auth::{Action, Grant, Operation, Target};
use salus_store::{Kind as RecordKind, SealKey};
use serde::Serialize;

use super::accounting::{Accounting, Making, YEARS};
use super::day::Day;
use super::disclosure::{self, Disclosure, Protocol, Suspension};
use super::entry::{Entity, Entry, Outcome, What};
use super::way::Way;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;

const PATIENT: &str = "Patient";
const CALLED: &str = "$disclosures";
/// Entries that one accounting looks at.
const LOOKED_AT_MAX: usize = 1_000_000;

impl Service {
    /// Keeps a disclosure that was made elsewhere.
    pub async fn record_disclosure(
        &self,
        cx: &Context,
        patient: &str,
        made: Disclosure,
    ) -> Result<(), Error> {
        let grant = self.allow_disclosures(cx, Action::WriteSettings, patient);
        let grant = grant.await?;
        let work = async {
            made.check(Day::of(cx.now_ms)).map_err(Error::invalid)?;
            self.check_known_patient(cx, patient).await?;
            let entry = form_entry((cx, &grant), What::Disclosure, Some(patient), &made)?;
            self.record(cx, entry).await
        };
        let about = (PATIENT, patient, CALLED);
        self.attempt_asking(cx, &grant, What::Disclosure, about, work)
            .await
    }

    /// Keeps a protocol of research, which stands in every accounting of its time.
    pub async fn record_protocol(&self, cx: &Context, protocol: Protocol) -> Result<(), Error> {
        let grant = self
            .allow_disclosures(cx, Action::WriteSettings, "")
            .await?;
        let work = async {
            protocol.check().map_err(Error::invalid)?;
            let mut entry = form_entry((cx, &grant), What::Disclosure, None, &protocol)?;
            entry.about.push(disclosure::protocols());
            self.record(cx, entry).await
        };
        let about = (PATIENT, "", CALLED);
        self.attempt_asking(cx, &grant, What::Disclosure, about, work)
            .await
    }

    /// Leaves an agency out of the accountings of a patient for a time. The next
    /// statement for the same agency takes the place of this one.
    pub async fn suspend_disclosures(
        &self,
        cx: &Context,
        patient: &str,
        suspension: Suspension,
    ) -> Result<(), Error> {
        let what = What::DisclosuresSuspended;
        let grant = self.allow_disclosures(cx, Action::WriteSettings, patient);
        let grant = grant.await?;
        let work = async {
            suspension
                .check(Day::of(cx.now_ms))
                .map_err(Error::invalid)?;
            self.check_known_patient(cx, patient).await?;
            let mut entry = form_entry((cx, &grant), what, Some(patient), &suspension)?;
            entry.about.push(disclosure::suspensions());
            self.record(cx, entry).await
        };
        let about = (PATIENT, patient, CALLED);
        self.attempt_asking(cx, &grant, what, about, work).await
    }

    /// The accounting of a patient, from one day to another; without them of six years.
    pub async fn account_for_disclosures(
        &self,
        cx: &Context,
        patient: &str,
        (from, to): (Option<Day>, Option<Day>),
    ) -> Result<Accounting, Error> {
        let what = What::AdminRead;
        let grant = self.allow_disclosures(cx, Action::ReadSettings, patient);
        let grant = grant.await?;
        let work = async {
            self.check_known_patient(cx, patient).await?;
            let today = Day::of(cx.now_ms);
            let first = today.years_ago(YEARS);
            let days = (
                from.unwrap_or(first).max(first),
                to.unwrap_or(today).min(today),
            );
            let accounting = self.accounting(cx, patient, days, today).await?;
            let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            entry.query = "accounting of disclosures".into();
            concern_patient(&mut entry, patient);
            self.record(cx, entry).await?;
            Ok(accounting)
        };
        let about = (PATIENT, patient, CALLED);
        self.attempt_asking(cx, &grant, what, about, work).await
    }

    /// Reads what the log has of a patient. Disclosures are recorded after they were made,
    /// and suspensions before they hold, so that all of six years is read for any days.
    async fn accounting(
        &self,
        cx: &Context,
        patient: &str,
        days: (Day, Day),
        today: Day,
    ) -> Result<Accounting, Error> {
        let snapshot = self.store.snapshot(cx.scope, salus_store::At::Now).await?;
        let about = vec![
            (RecordKind::named(PATIENT), Box::from(patient)),
            disclosure::protocols(),
        ];
        let from_ms = today.years_ago(YEARS).begins_ms();
        let mut log = Way::along(about, (Some(from_ms), None));
        let mut making = Making::new(patient, days, today);
        let mut looked_at = 0;
        loop {
            let (records, more) = log.next(&*snapshot).await?;
            looked_at += records.len();
            for record in &records {
                let entry = Entry::decode(&record.body)
                    .ok_or_else(|| Error::new(Kind::Internal, "an audit entry cannot be read"))?;
                making.add(record.time_ms, &entry);
            }
            if !more {
                return Ok(making.end());
            }
            if looked_at > LOOKED_AT_MAX {
                return Err(Error::new(
                    Kind::Unprocessable,
                    "the audit has more than 1,000,000 entries about this patient",
                ));
            }
        }
    }

    async fn allow_disclosures(
        &self,
        cx: &Context,
        action: Action,
        patient: &str,
    ) -> Result<Grant, Error> {
        let called = (Operation::DISCLOSURES, action);
        self.authorize_operation(cx, called, Target::Type(PATIENT), patient)
            .await
    }

    /// That there is, or was, a patient of this id, whom the one asking may read.
    async fn check_known_patient(&self, cx: &Context, patient: &str) -> Result<(), Error> {
        let absent = || Error::not_found("there is no such patient");
        let ty = ResourceType::named(PATIENT).ok_or_else(absent)?;
        if !salus_fhir::reference::is_id(patient) {
            return Err(absent());
        }
        let target = Target::Type(PATIENT);
        let grant = salus_auth::authorize(&cx.subject, cx.scope, Action::Read, target);
        let grant = grant.map_err(|_| absent())?;
        let snapshot = self.snapshot(cx).await?;
        let known = match *grant.filter() == salus_store::Filter::Everything {
            true => snapshot.head(ty.kind, patient).await?.is_some(),
            false => snapshot.holds(ty.kind, patient, grant.filter()).await?,
        };
        known.then_some(()).ok_or_else(absent)
    }
}

/// An entry that holds a form.
fn form_entry(
    (cx, grant): (&Context, &Grant),
    what: What,
    patient: Option<&str>,
    form: &impl Serialize,
) -> Result<Entry, Error> {
    let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
    let text = serde_json::to_string(form)
        .map_err(|_| Error::new(Kind::Internal, "a form cannot be written"))?;
    entry.query = text.into();
    if let Some(patient) = patient {
        concern_patient(&mut entry, patient);
    }
    Ok(entry)
}

fn concern_patient(entry: &mut Entry, patient: &str) {
    let entity = Entity {
        ty: PATIENT.into(),
        id: patient.into(),
        version: 0,
    };
    entry.concerns(entity, RecordKind::named(PATIENT), &SealKey::Scope);
}
