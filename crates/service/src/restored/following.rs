//! The rows of what a store follows of another's log: of each version, when it comes, what its
//! writer made of it.
//!
//! They depend on the search parameters of its project. When definitions come by, the rows of
//! what is there already are made again ([`Rows::lay_again`]): on the store that is followed a
//! walk does that, of which its log says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salus_auth::record::{Index, Project, SystemRecord as _};
use salus_fhir::search::REVISION;
use salus_store::{Bare, Batch, Followed, Kind, LogBatch, Opened, Reindexed, Scope, Seq};

use super::{BYTES_AT_ONCE, Bared, Given, Progress, Work, projects};
use crate::audit::entry::{Entry, What};
use crate::error::Error;
use crate::parameters::DEFINITIONS;

/// Records whose rows are laid again in one commit.
const AGAIN: usize = 256;

/// By what the rows are made: a store whose rows were made by another has to have them again.
#[must_use]
pub fn revision() -> u32 {
    REVISION
}

/// What a batch changes of how rows are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Nothing.
    Nothing,
    /// How those behind it are made.
    Later,
    /// Those of records that are there, too.
    All,
}

impl Changes {
    /// Of a batch with versions of these kinds.
    #[must_use]
    pub fn of(kinds: &[Kind]) -> Self {
        if kinds.contains(&DEFINITIONS) {
            return Self::All;
        }
        match kinds.contains(&Project::KIND) || kinds.contains(&Index::KIND) {
            true => Self::Later,
            false => Self::Nothing,
        }
    }
}

/// Makes rows of what comes.
pub struct Rows {
    work: Work,
    base_url: Option<String>,
}

impl Rows {
    /// Of a store that has its rows, as [`super::give_rows`] gives them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Bared, base_url: Option<String>) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            Ok(Self {
                work: work(store, base_url.as_deref()).await?,
                base_url,
            })
        })
    }

    /// Reads again what rows are made by.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reload(&mut self) -> Result<(), Error> {
        self.work = work(self.work.store.clone(), self.base_url.as_deref()).await?;
        Ok(())
    }

    /// A batch with the rows of its versions, and what else came of it: blobs that it names, and
    /// records whose rows could not be made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of<'a>(
        &'a self,
        batch: LogBatch,
        opened: Opened,
    ) -> BoxFuture<'a, Result<(Followed, Given), Error>> {
        Box::pin(async move {
            let mut given = Given {
                unreadable: opened.unreadable,
                ..Given::default()
            };
            let scope = batch.scope;
            let bare = opened.records.into_iter().zip(opened.latest_ms);
            let bare = bare.map(|(record, latest_ms)| Bare {
                scope,
                record,
                latest_ms,
            });
            let rows = self.work.rows(bare.collect(), &mut given).await?;
            given.records = rows.len() as u64;
            Ok((Followed { batch, rows }, given))
        })
    }

    /// Makes the rows of all current records of some scopes again.
    ///
    /// # Errors
    /// When the store cannot be read or written; it may be done again.
    pub fn lay_again<'a>(
        &'a self,
        scopes: &'a BTreeSet<Scope>,
        upto: Seq,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let (mut after, mut done) = (Seq(0), 0);
            loop {
                let store = &self.work.store.restored;
                let some = store.records((after, upto), BYTES_AT_ONCE).await?;
                let wanted = some.records.into_iter();
                let wanted = wanted.filter(|bare| scopes.contains(&bare.scope));
                let mut given = Given::default();
                let rows = self.work.rows(wanted.collect(), &mut given).await?;
                done += rows.len() as u64;
                let mut rows = rows.into_iter().peekable();
                while let Some(scope) = rows.peek().map(|new| new.scope) {
                    // Versions that were replaced lately are among them: the last one counts.
                    let mut reindexed = BTreeMap::new();
                    while reindexed.len() < AGAIN
                        && let Some(new) = rows.next_if(|new| new.scope == scope)
                    {
                        let of = (new.kind, new.id.clone());
                        let again = Reindexed {
                            kind: new.kind,
                            id: new.id,
                            version: new.version,
                            rows: new.rows,
                            main_date_ms: new.main_date_ms,
                        };
                        reindexed.insert(of, again);
                    }
                    // It takes no seq: the log stays that of the other.
                    let batch = Batch {
                        reindexed: reindexed.into_values().collect(),
                        ..Batch::of(scope, 0, Vec::new())
                    };
                    self.work.store.store.commit(batch).await?;
                }
                match some.next {
                    Some(next) => after = next,
                    None => return Ok(done),
                }
            }
        })
    }

    /// The scopes that there are.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.work.projects.keys().copied()
    }

    /// Whether a blob is the content of a Binary, which comes with the version that names it.
    #[must_use]
    pub fn is_named(id: &str) -> bool {
        id.starts_with("binary-")
    }
}

async fn work(store: Bared, base_url: Option<&str>) -> Result<Work, Error> {
    let projects = projects(&store, base_url).await?;
    Ok(Work {
        store,
        projects,
        upto: Seq(0),
        next: std::sync::atomic::AtomicU64::new(0),
        progress: Arc::new(Progress::default()),
        given: parking_lot::Mutex::default(),
    })
}

/// What a promotion puts into the audit: from where on the log is that of the promoted store.
#[must_use]
pub fn promotion(now_ms: i64, generation: u64, upto: Seq) -> Batch {
    let mut entry = Entry::by_operator(What::SystemRestore);
    entry.query = format!("promotion={generation}&seq={}", upto.0).into();
    Batch {
        audit: vec![entry.seal()],
        ..Batch::of(Scope::SYSTEM, now_ms, Vec::new())
    }
}
