//! Shredding a patient: destroying the keys of all that is held of them alone, and taking out
//! every value by which it could be found (NIST SP 800-88r2: cryptographic erase).
//!
//! The order is what makes it whole: first nothing more can be written of the patient, then the
//! ledger beside the keyring says that it is begun, durably; then the records are deleted, the
//! keys destroyed, the content of every version taken out, and what older points need forgotten.
//! A crash anywhere between is finished at the next start (`replay`), and so is a shredding that
//! a store put back from before knows nothing of. Why: `docs/adr/0046-shredding-a-patient.md`.

pub mod certificate;
mod plan;
mod replay;
mod run;
mod shut;

use salus_auth::record::{Saved, Shred};
use salus_auth::{Action, Grant};
use salus_fhir::reference::is_id;

use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::keyring::no_keyring;
use crate::policy::relations::PATIENT;
use crate::records::{all, one};
use crate::retention::said;
use crate::statement;

pub use plan::Plan;
pub(crate) use shut::Shut;

/// Shreddings that are listed.
const LISTED_MAX: usize = 10_000;

/// A shredding, as somebody asks for it.
#[derive(Clone)]
pub struct NewShred {
    /// The id of the patient.
    pub patient: String,
    /// Why.
    pub reason: String,
    /// Only say what would go.
    pub dry_run: bool,
}
salus_phi::guard!(NewShred);

/// What came of it.
#[derive(Clone)]
pub enum Shredding {
    /// What would go, and what stands against it.
    Planned(Box<Plan>),
    /// It is done: the certificate.
    Done(serde_json::Value),
}
salus_phi::guard!(Shredding);

impl Service {
    /// Shreds a patient, or says what would go.
    pub async fn shred(&self, cx: &Context, new: NewShred) -> Result<Shredding, Error> {
        let what = What::Shred;
        let grant = self.allow(cx, what, Action::Shred).await?;
        let patient = new.patient.clone();
        let work = self.shred_granted(cx, &grant, new);
        self.attempt_on(cx, &grant, what, ("Patient", &patient), work)
            .await
    }

    async fn shred_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        new: NewShred,
    ) -> Result<Shredding, Error> {
        if !is_id(&new.patient) {
            return Err(Error::invalid("patient must be the id of a patient"));
        }
        let reason = said(&new.reason, "reason")?;
        if !new.dry_run {
            self.needs_step_up(cx)?;
        }
        self.keys_to_destroy()?;
        if let Some(saved) = one::<Shred>(&*self.store, cx.scope, &new.patient).await? {
            return match saved.value.certificate {
                Some(certificate) if !new.dry_run => Ok(Shredding::Done(certificate)),
                Some(_) | None => Err(Error::new(Kind::Gone, "this patient was shredded already")),
            };
        }
        // One at a time; no hold comes between the look at them and the end.
        let _one = self.shredding.lock().await;
        let turn = self.ending.read().await;
        let targets = self.sealed_for(cx.scope, &new.patient).await?;
        if targets.is_empty() {
            return Err(Error::not_found("nothing is held of a patient of this id"));
        }
        let plan = self.plan_shred(cx, &new.patient, &targets).await?;
        if new.dry_run {
            let entry = about(cx, grant, &new.patient, "dry run");
            self.record(cx, entry).await?;
            return Ok(Shredding::Planned(plan.into()));
        }
        plan.check()?;
        let shred = Shred {
            by: cx.subject.label().into(),
            reason,
            begun_ms: cx.now_ms,
            done_ms: None,
            plan: plan.view(),
            cold: plan.cold.objects.clone(),
            certificate: None,
        };
        let saved = Saved::new(new.patient, shred);
        let done = self.shred_now(cx, grant, saved, Some(turn)).await?;
        let certificate = done.value.certificate;
        certificate.map(Shredding::Done).ok_or_else(|| {
            Error::new(
                Kind::Internal,
                "the shredding is done and has no certificate",
            )
        })
    }

    /// The shreddings of a project.
    pub async fn list_shreds(&self, cx: &Context) -> Result<Vec<Saved<Shred>>, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let found = all::<Shred>(&*self.store, cx.scope, LISTED_MAX).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(found)
    }

    /// The shredding of a patient, with its certificate.
    pub async fn read_shred(&self, cx: &Context, patient: &str) -> Result<Saved<Shred>, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let found = match is_id(patient) {
            true => one::<Shred>(&*self.store, cx.scope, patient).await?,
            false => None,
        };
        self.noted(cx, &grant, What::AdminRead).await?;
        found.ok_or_else(|| Error::not_found("no patient of this id was shredded"))
    }

    /// The public key by which certificates are checked.
    pub async fn read_shred_key(&self, cx: &Context) -> Result<serde_json::Value, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let key = statement::jwk(&self.keys_to_destroy()?.signer().public());
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(key)
    }

    pub(crate) fn keys_to_destroy(&self) -> Result<&salus_crypto::Shreds, Error> {
        let shreds = self.settings.shreds.as_deref();
        shreds.ok_or_else(no_keyring)
    }
}

/// An entry about the shredding of a patient.
fn about(cx: &Context, grant: &Grant, patient: &str, query: &str) -> Entry {
    entry(cx, (What::Shred, grant), patient, query)
}

fn entry(cx: &Context, (what, grant): (What, &Grant), patient: &str, query: &str) -> Entry {
    let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
    entry.query = query.into();
    let entity = Entity {
        ty: "Patient".into(),
        id: patient.into(),
        version: 0,
    };
    entry.concerns(entity, PATIENT, &salus_store::SealKey::Scope);
    entry
}
