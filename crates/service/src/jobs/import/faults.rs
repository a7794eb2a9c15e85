//! What an import could not load, and why: OperationOutcomes, which go into
//! files of the job as they become many, so that its record stays small.

use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::jobs::files::Lines;
use crate::jobs::record::Role;
use crate::jobs::run::Running;

/// Faults of one file, and of all together, that are told; more are only counted.
const OF_FILE_MAX: u64 = 1000;
const TOLD_MAX: u64 = 10_000;
/// Faults that are kept in the record, and their bytes, before they go into a file.
const HELD_MAX: usize = 256;
const HELD_BYTES_MAX: usize = 64 << 10;

/// What came of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Lines that were loaded.
    pub(super) loaded: u64,
    /// Lines that were refused; and one more if the file could not be read to its end.
    pub(super) failed: u64,
}

/// Faults that are in no file yet.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Faults {
    outcomes: Vec<String>,
    /// How many there were, those in files with them.
    told: u64,
}
salus_phi::guard!(Faults);

impl Faults {
    pub(super) fn are_many(&self) -> bool {
        let bytes: usize = self.outcomes.iter().map(String::len).sum();
        self.outcomes.len() >= HELD_MAX || bytes >= HELD_BYTES_MAX
    }

    fn push(&mut self, issues: &[Issue]) {
        self.told += 1;
        self.outcomes.push(operation_outcome(issues));
    }
}

impl Running<'_> {
    /// Notes why a line was not loaded, without what stands in it.
    pub(super) fn fault(&mut self, line: u64, error: &Error) -> Result<(), Error> {
        let import = self.imported_mut()?;
        import.counted().failed += 1;
        if import.counted().failed > OF_FILE_MAX || import.untold.told >= TOLD_MAX {
            return Ok(());
        }
        let place = match import.listed {
            None => format!("line {line}"),
            Some(_) => format!("file {}, line {line}", import.at.file + 1),
        };
        let issues = error.issues().iter().cloned().map(|issue| Issue {
            details: format!("{place}: {}", issue.details).into(),
            ..issue
        });
        import.untold.push(&issues.collect::<Vec<Issue>>());
        Ok(())
    }

    /// Notes why the file under way was not read to its end.
    pub(super) fn fault_of_file(&mut self, origin: &str, reason: &str) -> Result<(), Error> {
        let import = self.imported_mut()?;
        import.counted().failed += 1;
        let lines = import.at.lines;
        let read = match lines {
            0 => String::new(),
            lines => format!("; {lines} lines before that were read"),
        };
        let number = import.at.file + 1;
        let details = format!("file {number} ({origin}): {reason}{read}");
        let issue = Issue::error(IssueType::Incomplete, String::new(), details);
        import.untold.push(&[issue]);
        Ok(())
    }

    /// Writes the faults that are in no file yet into one.
    pub(super) async fn write_faults(&mut self) -> Result<(), Error> {
        let outcomes = std::mem::take(&mut self.imported_mut()?.untold.outcomes);
        if outcomes.is_empty() {
            return Ok(());
        }
        let file = (self.next_number(), "OperationOutcome", Role::Error);
        let mut lines = Lines::begin(self.service, self.scope, &self.job, file).await?;
        for outcome in &outcomes {
            lines.line(outcome.as_bytes()).await?;
        }
        let file = lines.finish().await?;
        self.job.value.files.push(file);
        Ok(())
    }
}
