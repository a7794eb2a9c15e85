//! What of the audit is under legal hold: entries that name a patient, or all from a time on.

use salus_auth::record::{Hold, Saved};
use salus_store::Scope;

use super::super::entry::{Entry, What};
use crate::Service;
use crate::error::Error;
use crate::records::all;

/// Holds of a project that are looked at.
const HOLDS_MAX: usize = 20_000;

/// The holds of a scope that are on its audit.
pub(super) struct Held(Vec<Saved<Hold>>);

impl Service {
    /// What a scope holds of its audit. Who asks keeps others from placing a hold meanwhile.
    pub(super) async fn held_audit(&self, scope: Scope) -> Result<Held, Error> {
        let mut holds = all::<Hold>(&*self.store, scope, HOLDS_MAX).await?;
        holds.retain(|hold| hold.value.lifted.is_none() && hold.value.audit.is_some());
        Ok(Held(holds))
    }
}

impl Held {
    /// Which they are: the same again say the same of every entry.
    pub(super) fn versions(&self) -> Vec<(Box<str>, u64)> {
        let all = self.0.iter();
        all.map(|hold| (hold.id.clone(), hold.version)).collect()
    }

    /// Whether an entry is held.
    pub(super) fn has(&self, time_ms: i64, entry: &Entry) -> bool {
        self.0.iter().any(|hold| {
            let Some(audit) = hold.value.audit else {
                return false;
            };
            let in_time = audit.since_ms.is_none_or(|since| time_ms >= since);
            let of_all = hold.value.patients.is_empty();
            in_time && (of_all || hold.value.patients.iter().any(|id| names(entry, id)))
        })
    }
}

/// Whether an entry is about a patient or names it, in the words of a search, too: rather one
/// too many is held.
fn names(entry: &Entry, patient: &str) -> bool {
    let mut entities = entry.entities.iter();
    entities.any(|entity| entity.ty == "Patient" && *entity.id == *patient)
        || entry.query.contains(patient)
}

/// Whether what an entry says still holds: who asked to be left out of accountings is
/// found by it, however long ago that was.
pub(super) fn in_force(entry: &Entry) -> bool {
    entry.what == What::DisclosuresSuspended
}
