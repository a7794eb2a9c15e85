//! How cold records end: disposed of when their time is over, and shredded with their patient.
//!
//! What is left of a record here holds the key that its content is sealed with there; without it
//! nobody reads that content, also where an object holds other records yet, or cannot be
//! removed. An object goes when the last of its records does.

use std::collections::BTreeMap;

use salus_auth::record::{Cold, ColdState, RetentionClass, Saved, SystemRecord};
use salus_store::{At, Query, Seq, Snapshot};

use super::known::{counted, left};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::records::read;
use crate::retention::{Patients, Until};

/// Cold records looked at at a time.
const STEP: usize = 200;
/// Cold records of a patient that are listed or counted.
const PATIENT_MAX: usize = 100_000;

/// A step of looking for cold records whose time is over.
pub(crate) struct Over {
    /// Those that go.
    pub(crate) due: Vec<Saved<Cold>>,
    /// How many are under hold.
    pub(crate) held: u64,
    /// Where it goes on; `None` at the end.
    pub(crate) next: Option<Seq>,
}

/// What a shredding has to know of cold storage.
#[derive(Clone, Default)]
pub(crate) struct ColdOfPatient {
    /// Records whose current version is there, sealed with the patient's key.
    pub(crate) records: u64,
    /// In which objects they lie.
    pub(crate) objects: Vec<String>,
    /// How many are under hold.
    pub(crate) held: u64,
    /// How many of each type have to be kept, and until when; without a time if nobody knows.
    pub(crate) kept: BTreeMap<String, (u64, Option<i64>)>,
    /// Those that are others', too, by type and id.
    pub(crate) shared: Vec<(String, Box<str>)>,
}
salus_phi::guard!(ColdOfPatient);

impl Service {
    /// Cold records of a class whose time is over, behind a place.
    pub(crate) async fn cold_over(
        &self,
        cx: &Context,
        (class, ty): (&RetentionClass, ResourceType),
        before: Seq,
        patients: &mut Patients,
    ) -> Result<Over, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let hits = snapshot.walk(Cold::KIND, before, STEP, &[]).await?;
        let held = self.held(cx).await?;
        let mut over = Over {
            due: Vec::new(),
            held: 0,
            next: hits.last().map(|hit| hit.record.seq),
        };
        for hit in &hits {
            let Some(saved) = read::<Cold>(Some(&hit.record))? else {
                continue;
            };
            let cold = &saved.value;
            if cold.state != ColdState::Cold || cold.ty != ty.name {
                continue;
            }
            let until = counted(cold)
                .kept_until(&*snapshot, class, patients)
                .await?;
            if !until.is_over(cx.now_ms) {
                continue;
            }
            match held.has_cold(cx, cold)? {
                true => over.held += 1,
                false => over.due.push(saved),
            }
        }
        Ok(over)
    }

    /// What is left of a record that was brought back: it goes with it.
    pub(crate) async fn cold_beside(
        &self,
        cx: &Context,
        ty: ResourceType,
        id: &str,
    ) -> Result<Option<Saved<Cold>>, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        left(&*snapshot, ty, id).await
    }

    /// Removes objects that no record lies in any more. Gives those that are there yet: others
    /// lie in them, they are locked, or the place cannot be asked.
    pub(crate) async fn remove_cold_objects(
        &self,
        cx: &Context,
        names: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        if names.is_empty() {
            return Ok(names);
        }
        let Ok(storage) = self.cold_storage() else {
            return Ok(names);
        };
        let mut left = Vec::new();
        for name in names {
            let gone = match self.remove_unnamed(cx, &storage, &name).await {
                // A store that keeps versions only hides what is locked.
                Ok(gone) => gone && !storage.place.is_locked(),
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(
                        cause,
                        "an object of cold storage cannot be removed just now"
                    );
                    false
                }
            };
            if !gone {
                left.push(name);
            }
        }
        Ok(left)
    }

    /// What cold storage has of a patient.
    pub(crate) async fn cold_of_patient(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        patient: &str,
    ) -> Result<ColdOfPatient, Error> {
        let (held, setting) = (self.held(cx).await?, self.saved_retention(cx).await?.value);
        let query = Query {
            limit: PATIENT_MAX,
            ..Cold::of_patient(patient)
        };
        let (mut of, mut known) = (ColdOfPatient::default(), Patients::default());
        for hit in snapshot.find(&query).await?.hits {
            let Some(saved) = read::<Cold>(Some(&hit.record))? else {
                continue;
            };
            let cold = saved.value;
            if cold.patient.as_deref() != Some(patient) {
                if cold.state == ColdState::Cold {
                    of.shared.push((cold.ty, cold.id));
                }
                continue;
            }
            of.objects
                .extend(cold.objects.iter().map(|object| object.name.clone()));
            if cold.state != ColdState::Cold {
                continue;
            }
            of.records += 1;
            of.held += u64::from(held.has_cold(cx, &cold)?);
            let Some(class) = setting.of(&cold.ty) else {
                continue;
            };
            let until = counted(&cold)
                .kept_until(snapshot, class, &mut known)
                .await?;
            if until.is_over(cx.now_ms) {
                continue;
            }
            let kept = of.kept.entry(cold.ty).or_insert((0, Some(i64::MIN)));
            kept.0 += 1;
            kept.1 = match until {
                Until::Ms(ms) => kept.1.map(|known| known.max(ms)),
                Until::Unknown => None,
            };
        }
        of.objects.sort_unstable();
        of.objects.dedup();
        Ok(of)
    }
}
