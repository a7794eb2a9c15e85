//! What happens to the server itself, in the log of the system.

use salus_store::Scope;

use super::entry::{Entry, Outcome, What};
use crate::Service;
use crate::error::Error;

/// What the operator has done with the archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveWork {
    /// They were read back.
    Verify,
    /// What no instant of the window needs was removed, or named only.
    Prune {
        /// Named only.
        dry_run: bool,
    },
    /// Small segments were made large.
    Merge,
    /// A base was taken.
    Base,
}

impl ArchiveWork {
    fn what(self) -> What {
        match self {
            Self::Verify => What::SystemCheck,
            Self::Prune { .. } | Self::Merge | Self::Base => What::ArchiveKept,
        }
    }

    fn query(self) -> &'static str {
        match self {
            Self::Verify => "backup verify",
            Self::Prune { dry_run: false } => "backup prune",
            Self::Prune { dry_run: true } => "backup prune --dry-run",
            Self::Merge => "backup merge",
            Self::Base => "backup base",
        }
    }
}

impl Service {
    /// Keeps what the operator had done with the archives, and whether all was well.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub async fn note_archive(&self, work: ArchiveWork, well: bool) -> Result<(), Error> {
        let outcome = match well {
            true => Outcome::Success,
            false => Outcome::Failed,
        };
        let cx = self.operator_context(Scope::SYSTEM);
        let mut entry = Entry::new(&cx, work.what(), outcome, "operator");
        entry.query = work.query().into();
        self.record(&cx, entry).await
    }

    /// Keeps that the server begins to serve.
    pub async fn note_start(&self) -> Result<(), Error> {
        self.note_system(What::SystemStart).await
    }

    /// Keeps that it stops in order.
    pub async fn note_stop(&self) -> Result<(), Error> {
        self.note_system(What::SystemStop).await
    }

    async fn note_system(&self, what: What) -> Result<(), Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let mut entry = Entry::new(&cx, what, Outcome::Success, "operator");
        entry.query = concat!("version ", env!("CARGO_PKG_VERSION")).into();
        self.record(&cx, entry).await
    }
}
