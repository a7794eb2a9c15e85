//! The audit archive: what of the log is kept elsewhere when the years of its retention are over.
//!
//! The HIPAA rules want six years (45 CFR 164.316(b)(2)(i); an accounting of disclosures looks back
//! as long, 164.528(a)). Then, and only if the operator gave a place, whole spans of the log are
//! sealed into segments (`segment.rs`), put there and read back (`make.rs`). Entries of segments
//! whose project's years are over and that no legal hold is on are removed from the store, and
//! their leaves stay (`remove.rs`). docs/adr/0053-retention-of-the-audit.md says why it is so.

mod due;
mod held;
mod make;
mod read;
mod remove;
mod segment;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::Action;
use salus_auth::record::Saved;
pub use salus_auth::record::{AuditArchive, AuditSegment};
use salus_crypto::checkpoint::Note;
use salus_crypto::{Keyring, hex, sha256};
use salus_store::Scope;

use self::segment::{Fault, Keys, Segment};
use super::entry::What;
use crate::Service;
use crate::error::{Error, Kind};
use crate::records::{all, one};

pub use read::{ArchivedExport, Verified};
pub(crate) use remove::Known;

/// The years that the rules ask for.
pub const YEARS_MIN: u32 = 6;
/// Entries of a segment, at most: some ten MiB.
const ENTRIES_MAX: u64 = 100_000;
/// What names of segments begin with.
const NAMES: &str = "audit/";
/// After the start, when it does not matter to the minute.
const FIRST: Duration = Duration::from_secs(15 * 60);
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where segments are: objects that are made once and never changed. Errors are for the operator.
pub trait Shelf: Send + Sync {
    /// What to call it; no credentials are in it.
    fn label(&self) -> &str;

    /// Makes an object, durable when the answer comes; false if there is one of this name.
    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<bool, String>>;

    /// An object, if there is one.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, String>>;

    /// The names that begin so, in order.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>>;
}

/// Says which checkpoints were kept of the log, each with where.
pub type Kept = dyn Fn() -> Result<Vec<(String, Note)>, String> + Send + Sync;

/// How long entries are kept, and where they go then.
#[derive(Clone)]
pub struct Settings {
    /// For how many years at least; projects may say more.
    pub years: u32,
    /// Without it, nothing is ever removed.
    pub shelf: Option<Arc<dyn Shelf>>,
    /// Checkpoints that the log is held against before anything is archived.
    pub kept: Option<Arc<Kept>>,
    /// Entries of a segment, at most.
    pub entries_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            years: YEARS_MIN,
            shelf: None,
            kept: None,
            entries_max: ENTRIES_MAX,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("years", &self.years)
            .finish_non_exhaustive()
    }
}

/// What a run did, or would do.
#[derive(Clone, Default)]
pub struct Run {
    /// Segments that were made.
    pub made: Vec<AuditSegment>,
    /// Entries that were removed from the store.
    pub removed: u64,
    /// Entries of segments that a legal hold keeps there.
    pub held: u64,
    /// Entries of segments that are kept there since their project says more years, or since
    /// what they say still holds.
    pub kept: u64,
    /// What was in the way, by segment.
    pub faults: Vec<String>,
    /// There is more to do.
    pub more: bool,
}
salus_phi::guard!(Run);

impl Service {
    /// Archives what is old enough and removes what may go, each day. Never ends, unless there
    /// is no place for it.
    pub async fn keep_audit(&self) {
        if self.settings.audit.shelf.is_none() {
            return;
        }
        tokio::time::sleep(FIRST).await;
        loop {
            match self.run_audit_archive(false).await {
                Ok(run) => {
                    let (made, removed) = (run.made.len(), run.removed);
                    tracing::info!(made, removed, "the audit archive was brought up to date");
                    for fault in run.faults {
                        tracing::error!(fault, "a segment of the audit archive cannot be used");
                    }
                    if run.more {
                        continue;
                    }
                }
                Err(error) => {
                    let (reason, cause) = (told(&error), error.cause());
                    tracing::error!(reason, cause, "the audit cannot be archived just now");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Archives what is old enough, and removes from the store what may go.
    pub async fn run_audit_archive(&self, dry_run: bool) -> Result<Run, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let grant = self
            .allow(&cx, What::Disposal, Action::WriteSettings)
            .await?;
        let mut known = self.archiving.lock().await;
        self.shelf()?;
        let mut run = Run::default();
        self.make_segments(&grant, dry_run, &mut run).await?;
        self.remove_archived(&grant, dry_run, (&mut run, &mut known))
            .await?;
        Ok(run)
    }

    /// The segments there are, the oldest first.
    pub async fn list_audit_segments(&self) -> Result<Vec<AuditSegment>, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let action = Action::ReadSettings;
        let grant = self.allow(&cx, What::AdminRead, action).await?;
        self.noted(&cx, &grant, What::AdminRead).await?;
        let segments = self.segments().await?;
        Ok(segments.into_iter().map(|saved| saved.value).collect())
    }

    /// Where segments go.
    pub fn audit_shelf(&self) -> Option<&dyn Shelf> {
        self.settings.audit.shelf.as_deref()
    }

    fn shelf(&self) -> Result<&dyn Shelf, Error> {
        let none = || {
            let details = "there is no place for the audit archive: start with --audit-archive";
            Error::new(Kind::Unprocessable, details)
        };
        self.audit_shelf().ok_or_else(none)
    }

    fn archive_keyring(&self) -> Result<&Keyring, Error> {
        let none = || Error::new(Kind::Internal, "the audit archive needs the keys");
        self.settings.keys.keyring.as_deref().ok_or_else(none)
    }

    async fn segments(&self) -> Result<Vec<Saved<AuditSegment>>, Error> {
        let mut all = all::<AuditSegment>(&*self.store, Scope::SYSTEM, usize::MAX).await?;
        all.sort_by_key(|saved| saved.value.number);
        Ok(all)
    }

    async fn saved_audit_archive(&self) -> Result<Saved<AuditArchive>, Error> {
        let saved = one::<AuditArchive>(&*self.store, Scope::SYSTEM, AuditArchive::ID).await?;
        Ok(saved.unwrap_or_else(|| Saved::new(AuditArchive::ID, AuditArchive::default())))
    }

    /// Until when entries of a scope were removed from the store, if some were.
    pub(super) async fn removed_until(&self, scope: Scope) -> Result<Option<i64>, Error> {
        let saved = self.saved_audit_archive().await?;
        Ok(saved.value.removed.get(&scope.0).copied())
    }

    /// The segment that has an entry.
    pub(super) async fn segment_with(&self, seq: u64) -> Result<Option<AuditSegment>, Error> {
        let segments = self.segments().await?.into_iter().map(|saved| saved.value);
        let mut with = segments.filter(|one| (one.seqs.0..=one.seqs.1).contains(&seq));
        Ok(with.next())
    }

    /// A segment read back: it is the object that was written, and opens.
    async fn read_segment(&self, segment: &AuditSegment) -> Result<Segment, String> {
        let shelf = self.shelf().map_err(|error| told(&error))?;
        let name = segment.name();
        let found = shelf.get(&name).await?;
        let bytes = found.ok_or_else(|| format!("{name} is missing"))?;
        let keyring = self.archive_keyring();
        let keyring = keyring.map_err(|error| told(&error))?;
        let opened = open(keyring, &bytes).map_err(|fault| format!("{name}: {fault}"))?;
        if opened.head.places != segment.places {
            let (first, end) = opened.head.places;
            return Err(format!(
                "{name} is another segment: entries {first} to {end}"
            ));
        }
        match hex(&sha256(&bytes)) == *segment.sha256 {
            true => Ok(opened),
            false => Err(format!("{name} is not the object that was written")),
        }
    }
}

fn open(keyring: &Keyring, bytes: &[u8]) -> Result<Segment, Fault> {
    Segment::open(&Keys::of(keyring)?, bytes)
}

/// What an error says.
fn told(error: &Error) -> String {
    let details = error
        .issues()
        .first()
        .map(|issue| issue.details.to_string());
    details.unwrap_or_else(|| error.to_string())
}

/// What went wrong at the place of the archive.
fn failed(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let details = "the audit archive does not do as asked";
    Error::new(Kind::Unavailable, details).caused_by(Failed(reason.into()))
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;
