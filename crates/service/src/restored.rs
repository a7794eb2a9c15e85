//! The rows of a store that was made of a log: of every current record what its
//! writer made of it, from what is stored and on all cores.
//!
//! First the projects and what defines their search parameters, which the rows
//! of the others depend on; then all records in the order of the log, a span of it
//! on each core. What cannot be opened stays without rows, and nothing finds it.

pub mod following;
mod lost;
mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use salus_auth::record::Project;
use salus_fhir::search::Parameters;
use salus_store::{Bare, Batch, Lost, NewRows, Restored, Scope, SealedBlob, Seq, Store};

use crate::audit::entry::{Entry, What};
use crate::error::Error;
use crate::parameters;
use crate::records;
use rows::{Inside, Maker};

pub use lost::leave_out;

/// Seqs of a span.
const SPAN: u64 = 1024;
/// Bytes of records held at once on each core.
const BYTES_AT_ONCE: usize = 8 << 20;

/// How far it is, for those who watch.
#[derive(Debug, Default)]
pub struct Progress {
    /// Up to which seq, about.
    pub seq: AtomicU64,
    /// Records that have their rows.
    pub records: AtomicU64,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Records that have their rows.
    pub records: u64,
    /// Records that cannot be opened, as when the key of their patient was destroyed.
    pub unreadable: u64,
    /// Records whose rows cannot be made: they are found by nothing but their id.
    pub failed: u64,
    /// The blobs that versions of Binaries have for their content.
    pub blobs: Vec<SealedBlob>,
    /// What records contained that were [left out](leave_out), to be left out as well.
    pub contained: Vec<Lost>,
}

/// A store that was made of a log, by both its contracts.
#[derive(Clone)]
pub struct Bared {
    /// As what it is read.
    pub store: Arc<dyn Store>,
    /// As what it gets its rows.
    pub restored: Arc<dyn Restored>,
}

/// Gives every current record its rows, up to the last seq. `base_url` is the address
/// under which clients knew the server: references below it are to its own records.
///
/// # Errors
/// When the store cannot be read or written.
pub fn give_rows<'a>(
    store: &'a Bared,
    upto: Seq,
    base_url: Option<&'a str>,
    progress: &'a Arc<Progress>,
) -> BoxFuture<'a, Result<Given, Error>> {
    Box::pin(async move {
        let projects = projects(store, base_url).await?;
        let work = Arc::new(Work {
            store: store.clone(),
            projects,
            upto,
            next: AtomicU64::new(0),
            progress: Arc::clone(progress),
            given: Mutex::default(),
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores)
            .map(|_| tokio::spawn(Arc::clone(&work).run()))
            .collect();
        for worker in workers {
            let done = worker.await;
            done.map_err(|error| salus_store::Error::Unavailable(error.to_string()))??;
        }
        let mut given = std::mem::take(&mut *work.given.lock());
        given.blobs.sort();
        given.blobs.dedup();
        Ok(given)
    })
}

/// Puts into the audit of the restored store that it was restored, and up to where: what
/// comes behind this point is of another history than what the original wrote there.
///
/// # Errors
/// When the store cannot be written.
pub async fn note(store: &dyn Store, now_ms: i64, upto: Seq) -> Result<(), Error> {
    let mut entry = Entry::by_operator(What::SystemRestore);
    entry.query = format!("seq={}", upto.0).into();
    let batch = Batch {
        audit: vec![entry.seal()],
        ..Batch::of(Scope::SYSTEM, now_ms, Vec::new())
    };
    store.commit(batch).await?;
    Ok(())
}

/// What makes the rows of a project.
struct OfProject {
    parameters: Arc<Parameters>,
    bases: Vec<String>,
}

/// Of every project what its rows are made by.
async fn projects(
    store: &Bared,
    base_url: Option<&str>,
) -> Result<HashMap<Scope, OfProject>, Error> {
    let mut projects = HashMap::new();
    for project in records::all::<Project>(&*store.store, Scope::SYSTEM, usize::MAX).await? {
        let (slug, scope) = (&project.id, project.value.scope());
        let mut bases = bases(base_url, slug);
        bases.extend(parameters::bases(&*store.store, scope).await?);
        let definitions = parameters::without_rows(&*store.store, scope).await?;
        let parameters = Arc::new(definitions);
        projects.insert(scope, OfProject { parameters, bases });
    }
    Ok(projects)
}

/// The URLs of a project's FHIR endpoint.
fn bases(base_url: Option<&str>, slug: &str) -> Vec<String> {
    let Some(root) = base_url.map(|url| url.trim_end_matches('/')) else {
        return Vec::new();
    };
    vec![format!("{root}/p/{slug}/fhir"), format!("{root}/fhir")]
}

/// The work of all cores.
struct Work {
    store: Bared,
    projects: HashMap<Scope, OfProject>,
    upto: Seq,
    /// Where the next span begins.
    next: AtomicU64,
    progress: Arc<Progress>,
    given: Mutex<Given>,
}

impl Work {
    /// Takes span after span until there is none.
    async fn run(self: Arc<Self>) -> Result<(), Error> {
        loop {
            let from = self.next.fetch_add(SPAN, Ordering::Relaxed);
            if from >= self.upto.0 {
                return Ok(());
            }
            let upto = Seq(self.upto.0.min(from + SPAN));
            self.span(Seq(from), upto).await?;
            self.progress.seq.fetch_max(upto.0, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    }

    async fn span(&self, from: Seq, upto: Seq) -> Result<(), Error> {
        let mut after = from;
        loop {
            let some = self.store.restored.records((after, upto), BYTES_AT_ONCE);
            let some = some.await?;
            let mut given = Given {
                unreadable: some.unreadable,
                ..Given::default()
            };
            let rows = self.rows(some.records, &mut given).await?;
            given.records = rows.len() as u64;
            self.store.restored.give_rows(rows).await?;
            self.add(given);
            match some.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    fn add(&self, given: Given) {
        let done = &self.progress.records;
        done.fetch_add(given.records, Ordering::Relaxed);
        let mut all = self.given.lock();
        all.records += given.records;
        all.unreadable += given.unreadable;
        all.failed += given.failed;
        all.blobs.extend(given.blobs);
        all.contained.extend(given.contained);
    }

    /// The rows of some records. Those of contained resources come from their containers,
    /// which mostly are among them.
    async fn rows(&self, some: Vec<Bare>, given: &mut Given) -> Result<Vec<NewRows>, Error> {
        let mut rows = Vec::with_capacity(some.len());
        let (mut contained, mut makers) = (Vec::new(), HashMap::new());
        for bare in some {
            let maker = makers
                .entry(bare.scope)
                .or_insert_with(|| self.maker(bare.scope));
            if rows::is_contained(bare.record.kind) {
                contained.push(bare);
                continue;
            }
            let store = &*self.store.store;
            given.blobs.extend(rows::blob_of(store, &bare).await?);
            match maker.of(&bare.record) {
                Some(made) => rows.push(NewRows::of(bare, made.rows, made.main_date_ms)),
                None => given.failed += 1,
            }
        }
        for bare in contained {
            let maker = makers
                .entry(bare.scope)
                .or_insert_with(|| self.maker(bare.scope));
            match maker.of_contained(&*self.store.store, &bare).await? {
                Inside::Made(made) => rows.push(NewRows::of(bare, made.rows, made.main_date_ms)),
                Inside::Failed => given.failed += 1,
                Inside::Gone => given.contained.push(Lost {
                    scope: bare.scope,
                    kind: bare.record.kind,
                    id: bare.record.id,
                    version: bare.record.version,
                    seal: bare.record.seal,
                }),
            }
        }
        Ok(rows)
    }

    fn maker(&self, scope: Scope) -> Maker<'_> {
        let project = self.projects.get(&scope);
        Maker::new(
            project.map_or(Parameters::r4(), |project| &project.parameters),
            project.map_or(&[], |project| &project.bases),
        )
    }
}
