//! The records of a few patients in a project of many: found along the
//! references of each compartment, not by a walk over all records of the type.
//!
//! All of a type is found in one view, and written again as a whole after a stop.

use salus_store::{Filter, Hit, Query, Snapshot};

use super::TOP;
use super::choice::Choice;
use super::walk::Output;
use crate::fhir::search::compartment;
use crate::jobs::Halt;
use crate::jobs::run::Running;

/// One query for a patient costs about as much as a walk over so many records.
const WORTH: u64 = 20;

impl Running<'_> {
    /// Writes the records of a type of these patients, if that is the shorter
    /// way; says whether it was done.
    pub(super) async fn few(&mut self, output: &mut Output<'_>) -> Result<bool, Halt> {
        let patients = output.choice.few();
        if patients.is_empty() || self.point()?.before != TOP || self.walks() {
            return Ok(false);
        }
        let snapshot = self.view(TOP).await?;
        let all = query(&output.choice, Filter::Everything);
        let count = snapshot.estimate(&all).await?;
        if count.is_some_and(|count| count < WORTH * patients.len() as u64) {
            self.point_mut()?.views.clear();
            return Ok(false);
        }
        #[cfg(test)]
        self.service
            .jobs
            .few
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for patient in &patients {
            self.of_patient(output, &*snapshot, patient).await?;
        }
        Ok(true)
    }

    /// Whether a test wants to see the other way.
    fn walks(&self) -> bool {
        #[cfg(test)]
        return self
            .service
            .jobs
            .walks
            .load(std::sync::atomic::Ordering::Relaxed);
        #[cfg(not(test))]
        false
    }

    async fn of_patient(
        &mut self,
        output: &mut Output<'_>,
        snapshot: &dyn Snapshot,
        patient: &str,
    ) -> Result<(), Halt> {
        let ranges = compartment("Patient", patient)?.into_iter();
        let mut within = ranges.filter(|(ty, _)| *ty == output.choice.ty);
        let Some((_, within)) = within.next() else {
            return Ok(());
        };
        let records_max = self.service.settings.jobs.file_records_max;
        let mut asked = query(&output.choice, within);
        loop {
            self.active.check()?;
            asked.limit = output.page(records_max);
            let found = snapshot.find(&asked).await?;
            let own = found.hits.into_iter();
            // One of several patients is written with the first of them.
            let own = own.filter(|hit| output.choice.is_first(&hit.record, patient));
            let hits: Vec<Hit> = own.collect();
            self.add_page(output, snapshot, &hits).await?;
            let mut lines = output.lines.iter();
            if lines.any(|lines| lines.is_full(records_max)) {
                self.finish_file(output).await?;
            }
            self.tell(output)?;
            asked.after = found.next;
            if asked.after.is_none() {
                return Ok(());
            }
        }
    }
}

fn query(choice: &Choice, filter: Filter) -> Query {
    Query {
        kind: choice.ty.kind,
        filter,
        sort: Vec::new(),
        limit: 0,
        after: None,
        rows: Vec::new(),
    }
}
