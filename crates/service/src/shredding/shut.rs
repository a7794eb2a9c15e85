//! Patients of whom nothing more is written.
//!
//! Who shuts a patient waits for the writes under way, and nobody who writes waits for that:
//! writes of before and after are told apart by what they hold.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use salus_store::{Put, Scope, SealKey};

/// How often it is looked whether the writes of before have ended.
const LOOK: Duration = Duration::from_millis(2);

/// Patients of whom nothing more is written.
#[derive(Default)]
pub(crate) struct Shut {
    patients: RwLock<HashSet<(Scope, Box<str>)>>,
    /// Held by the writes that began since somebody was shut.
    since: RwLock<Arc<()>>,
}

impl Shut {
    /// To be held while something is written, and taken before [`Self::holds`] is asked.
    pub(crate) fn enter(&self) -> Arc<()> {
        Arc::clone(&self.since.read())
    }

    /// Whether one of these is of a patient who is shut.
    pub(crate) fn holds(&self, scope: Scope, puts: &[Put]) -> bool {
        let patients = self.patients.read();
        !patients.is_empty()
            && puts.iter().any(|put| match &put.seal {
                SealKey::Patient(patient) => patients.contains(&(scope, patient.clone())),
                SealKey::Scope => false,
            })
    }

    /// Shuts a patient, and waits for the writes that began before.
    pub(crate) async fn shut(&self, scope: Scope, patient: &str) {
        // First, so that who enters from now on sees it.
        self.patients.write().insert((scope, patient.into()));
        let before = std::mem::take(&mut *self.since.write());
        while Arc::strong_count(&before) > 1 {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use salus_store::{Content, Kind};

    use super::*;

    const SCOPE: Scope = Scope(1);

    fn put(patient: &str) -> Put {
        Put {
            kind: Kind::named("Patient"),
            id: patient.into(),
            version: 1,
            content: Content::Deleted,
            rows: Vec::new(),
            main_date_ms: None,
            seal: SealKey::Patient(patient.into()),
        }
    }

    #[tokio::test]
    async fn who_shuts_waits_for_those_before_and_for_nobody_after() {
        let shut = Arc::new(Shut::default());
        let before = shut.enter();
        assert!(!shut.holds(SCOPE, &[put("a")]));
        let shutting = tokio::spawn({
            let shut = Arc::clone(&shut);
            async move { shut.shut(SCOPE, "a").await }
        });
        while !shut.holds(SCOPE, &[put("b"), put("a")]) {
            tokio::task::yield_now().await;
        }
        assert!(!shut.holds(SCOPE, &[put("b")]) && !shut.holds(Scope(2), &[put("a")]));
        assert!(!shutting.is_finished());
        while Arc::ptr_eq(&before, &shut.enter()) {
            tokio::task::yield_now().await;
        }
        let _after = shut.enter();
        drop(before);
        shutting.await.unwrap();
    }
}
