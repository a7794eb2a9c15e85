//! The embedded engine: the storage contract over an ordered key-value store.
//!
//! [`Embedded`] keeps a store in a folder. Bodies are compressed and sealed
//! with the keys of a [`Keyring`] kept elsewhere; everything on disk is sealed
//! once more by the key-value store. `keys.rs` says what is kept where.
//!
//! Commits go through one task, which writes whatever has gathered durably
//! at once. Reads answer on the caller's thread from a snapshot. Every format
//! on disk is stamped with a version, and a newer one is refused.

mod ahead;
mod aside;
mod audit;
mod audit_log;
mod audit_tree;
mod bare;
mod blobs;
mod body;
mod cache;
mod chain;
mod check;
mod choice;
mod collect;
mod commit;
mod core;
mod count;
mod counted;
mod estimate;
mod following;
mod format;
mod gather;
mod hash;
mod index;
mod keys;
mod kv;
mod links;
mod log;
mod main_date;
mod narrow;
mod newest;
mod orders;
mod page;
mod plan;
mod prepare;
mod purge;
mod queue;
mod ranks;
mod reader;
mod reindex;
mod relevance;
mod resolve;
mod restore;
mod row;
mod sample;
mod search;
mod shred;
mod space;
mod superseded;
mod tally;
mod text;
mod trace;
mod tree;
mod turns;
mod walk;
mod walks;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use salus_crypto::Keyring;
use salus_store::{
    At, AuditTree, BareRecords, Batch, Change, Committed, Error, Log, LogBatch, LogHead, NewRows,
    Reply, Restored, Scope, SealedVersions, Seq, Snapshot, Store,
};
use tokio::sync::oneshot;
use tokio::task;

pub use crate::blobs::Refill;
pub use crate::chain::follows;
pub use crate::collect::Retention;
pub use crate::kv::Memory;
pub use crate::tally::{Counts, Tally};

use crate::collect::Stop;
use crate::commit::{Committer, Job, QUEUE_MAX};
use crate::core::Core;
use crate::kv::wait_for;
use crate::prepare::Prepared;
use crate::queue::Queue;
use crate::reader::{Reader, ready};
use crate::turns::Turns;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The folder; made when it does not exist.
    pub dir: PathBuf,
    /// The keys. Must not lie in the folder.
    pub keyring: Arc<Keyring>,
    /// A zstd dictionary for new bodies, or nothing. Each one that was ever
    /// used is kept in the store.
    pub dictionary: &'static [u8],
    /// How long points are kept.
    pub retention: Retention,
    /// How much memory may be used.
    pub memory: Memory,
    /// Rows that one query may touch.
    pub rows_max: u64,
    /// How long one query may take.
    pub time_max: Duration,
    /// Commits are refused when the disk has less room than this, in bytes.
    pub disk_bytes_min: u64,
    /// Open a store whose restore is not over, to give its records their rows.
    pub restoring: bool,
}

impl Options {
    /// The usual ones.
    #[must_use]
    pub fn new(dir: PathBuf, keyring: Arc<Keyring>) -> Self {
        Self {
            dir,
            keyring,
            dictionary: &[],
            retention: Retention::default(),
            memory: Memory::default(),
            rows_max: 1_000_000,
            time_max: Duration::from_secs(10),
            disk_bytes_min: 128 << 20,
            restoring: false,
        }
    }
}

/// An open store.
pub struct Embedded {
    core: Arc<Core>,
    queue: Arc<Queue<Job>>,
    turns: Turns,
    closed: Mutex<bool>,
    stop: Arc<Stop>,
    working: Mutex<Option<(task::JoinHandle<()>, thread::JoinHandle<()>)>>,
}

impl Embedded {
    /// Opens the store in a folder, or makes it there. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another process has it open, a later
    /// version wrote it, or the disk does not do as asked; [`Error::Damaged`]
    /// when what is there is not what was written, or the keys are not its
    /// keys. The message names the folder or file.
    pub fn open(options: Options) -> Result<Arc<Self>, Error> {
        let retention = options.retention;
        let (core, state, tree) = Core::open(options)?;
        let queue = Arc::new(Queue::new(QUEUE_MAX));
        let committer = Committer::new(Arc::clone(&core), state, tree);
        let stop = Arc::new(Stop::default());
        let commits = core.kv.spawn(committer.run(Arc::clone(&queue)));
        let collects = {
            let (core, stop) = (Arc::clone(&core), Arc::clone(&stop));
            spawn("salus-collect", move || {
                collect::run(&core, retention, &stop)
            })?
        };
        Ok(Arc::new(Self {
            core,
            queue,
            turns: Turns::default(),
            closed: Mutex::new(false),
            stop,
            working: Mutex::new(Some((commits, collects))),
        }))
    }

    /// Removes what no snapshot at or after a point needs, now instead of in
    /// its time: points before it are gone. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk does not do as asked.
    pub fn forget_before(&self, seq: Seq) -> Result<(), Error> {
        let floor = seq.0.min(self.core.visible());
        collect::collect(&self.core, floor, &self.stop)
    }

    /// Commits nothing any more until it is opened again, and says why: another store was
    /// promoted in its place.
    pub fn end_commits(&self, why: &str) {
        self.core.fail(&Error::Unavailable(why.to_owned()));
    }

    /// Asks this before anything is committed, from now on; what it says why not is refused, and
    /// nothing is lost by it. It can be told once, and is asked often: it must not wait.
    pub fn commit_while(&self, may: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        // Who is told twice keeps to the first.
        let _ = self.core.gate.set(Box::new(may));
    }

    async fn commit_prepared(&self, batch: Batch) -> Result<Committed, Error> {
        self.core.ready()?;
        let mut prepared = Prepared::new(&self.core, batch)?;
        prepared.turn = Some(self.turns.take(&prepared).await);
        let (job, answered) = Job::new(prepared);
        self.queue.push(job).await?;
        answered.await.map_err(|_| closed())?
    }

    /// On a thread of its own, too.
    async fn forget_aside(&self) -> Result<(), Error> {
        let (core, stop) = (Arc::clone(&self.core), Arc::clone(&self.stop));
        let (answer, answered) = oneshot::channel();
        spawn("salus-forget", move || {
            let forgotten = shred::forget(&core, &stop);
            drop(core);
            drop(answer.send(forgotten));
        })?;
        answered.await.map_err(|_| closed())?
    }

    /// Checks on a thread of its own: it takes long.
    async fn check_aside(&self) -> Result<Vec<String>, Error> {
        let core = Arc::clone(&self.core);
        let (answer, answered) = oneshot::channel();
        spawn("salus-check", move || {
            let checked = check::check(&core);
            // Before the answer: it may be closed and opened again at once.
            drop(core);
            // Whoever asked may have gone meanwhile.
            drop(answer.send(checked));
        })?;
        answered.await.map_err(|_| closed())?
    }

    /// Ends the background work, when it has done what waits.
    fn end(&self) {
        self.stop.stop();
        self.queue.close();
        if let Some((commits, collects)) = self.working.lock().take() {
            // What panicked has nothing more to do either.
            drop(wait_for(commits));
            drop(collects.join());
        }
    }

    fn is_closed(&self) -> bool {
        *self.closed.lock()
    }

    fn close_now(&self) -> Result<(), Error> {
        let mut closed = self.closed.lock();
        if *closed {
            return Ok(());
        }
        *closed = true;
        self.end();
        self.core.kv.close()
    }
}

impl Store for Embedded {
    fn snapshot(&self, scope: Scope, at: At) -> Reply<'_, Box<dyn Snapshot>> {
        let reader = match at {
            At::Now => Reader::now(&self.core, scope),
            At::Seq(seq) => Reader::at(&self.core, scope, seq),
        };
        ready(reader.map(|reader| Box::new(reader) as Box<dyn Snapshot>))
    }

    fn commit(&self, batch: Batch) -> Reply<'_, Committed> {
        Box::pin(self.commit_prepared(batch))
    }

    fn changes(&self, after: Seq, limit: usize) -> Reply<'_, Vec<Change>> {
        ready(changes(&self.core, after, limit))
    }

    fn sealed<'a>(
        &'a self,
        scope: Scope,
        patient: &'a str,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, SealedVersions> {
        ready(shred::sealed(&self.core, (scope, patient), after, limit))
    }

    fn forget(&self) -> Reply<'_, ()> {
        Box::pin(self.forget_aside())
    }

    fn audit_tree(&self) -> &dyn AuditTree {
        self
    }

    fn ready(&self) -> Reply<'_, ()> {
        let result = match *self.closed.lock() {
            true => Err(closed()),
            false => self.core.ready().and_then(|()| self.core.space.check()),
        };
        ready(result)
    }

    fn check(&self) -> Reply<'_, Vec<String>> {
        Box::pin(self.check_aside())
    }

    fn disk_bytes(&self) -> u64 {
        self.core.kv.disk_bytes() + self.core.blobs.disk_bytes()
    }

    fn close(&self) -> Reply<'_, ()> {
        // Waits for the disk, as the last thing that is done with it.
        ready(self.close_now())
    }
}

impl Log for Embedded {
    fn head(&self) -> Reply<'_, LogHead> {
        ready(log::head(&self.core))
    }

    fn batches(&self, after: Seq, bytes: usize) -> Reply<'_, Vec<LogBatch>> {
        ready(log::batches(&self.core, after, bytes))
    }

    fn grown(&self, after: Seq) -> Reply<'_, ()> {
        Box::pin(async move {
            self.core.grown(after.0).await;
            Ok(())
        })
    }

    fn dictionaries(&self) -> Reply<'_, Vec<Bytes>> {
        let dictionaries = self.core.codec.dictionaries();
        ready(Ok(dictionaries.map(Bytes::copy_from_slice).collect()))
    }
}

impl Restored for Embedded {
    fn records(&self, span: (Seq, Seq), bytes: usize) -> Reply<'_, BareRecords> {
        ready(bare::records(&self.core, span, bytes))
    }

    fn give_rows(&self, rows: Vec<NewRows>) -> Reply<'_, ()> {
        ready(bare::give_rows(&self.core, rows))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // What was queued is finished, so that the folder is free afterwards.
        self.end();
    }
}

fn changes(core: &Core, after: Seq, limit: usize) -> Result<Vec<Change>, Error> {
    let start = keys::at(keys::BODY, after.0.saturating_add(1));
    let end = keys::at(keys::BODY, core.visible().saturating_add(1));
    let view = core.kv.view()?;
    let mut cursor = view.forward(&start, &end)?;
    let mut changes = Vec::new();
    while changes.len() < limit
        && let Some((key, bytes)) = cursor.next()?
    {
        let stored = body::Stored::read(&bytes)?;
        let seq = keys::last_number(key);
        let opened = match stored.purged() {
            Some(_) => Err(Error::Purged),
            None => stored.open(seq, &core.codec, &core.keyring),
        };
        let (record, purged) = match opened {
            Ok(record) => (record, false),
            Err(Error::Purged | Error::KeyDestroyed) => (stored.without_body(seq), true),
            Err(error) => return Err(error),
        };
        changes.push(Change {
            scope: stored.scope,
            record,
            purged,
            ends_batch: stored.ends_batch(),
        });
    }
    Ok(changes)
}

fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|e| Error::Unavailable(format!("no thread: {e}")))
}

fn closed() -> Error {
    Error::Unavailable("it is closed".into())
}
