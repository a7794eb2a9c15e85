//! Jobs: work that outlives the request that asks for it
//! (<https://hl7.org/fhir/R4/async.html>).
//!
//! A job is a record of its project (`record.rs`). Two are under way at a time,
//! on threads of their own, so that requests need not wait for them; others
//! wait their turn. What a job reads and writes is decided for its owner as
//! they are when it goes on. It keeps the place that it has come to, so that a
//! server that was stopped or killed goes on from there at its next start.

mod export;
mod files;
mod follow;
mod import;
mod record;
mod request;
mod run;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

pub use follow::{Contents, Followed};
pub use import::{Fetch, Fetched, Fetching, Location, Origin, Unfetched, Upload};
pub use request::{Answered, Packed, Perform};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use salus_auth::Grant;
use salus_auth::record::{RowsOf, Saved};
use salus_store::Scope;
use tokio::sync::{Notify, watch};

use crate::Service;
use crate::audit::entry::Entry;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::one;
use record::{Job, Owner, State, Work};

/// How the rows of jobs are made.
pub(crate) const ROWS: RowsOf = RowsOf::kind::<record::Job>();

/// Jobs under way at once.
const RUNNING_MAX: usize = 2;
/// Jobs that may wait, of all projects.
const WAITING_MAX: usize = 64;
/// Jobs of one owner that may wait or be under way.
const OPEN_MAX: usize = 4;
/// Jobs of one owner that are kept.
const KEPT_MAX: u64 = 200;
/// Questions about one job in [`POLLS_MS`].
const POLLS_MAX: u32 = 30;
const POLLS_MS: i64 = 10_000;

/// What this deployment says about jobs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a job and its files are kept when it is over, in milliseconds.
    pub kept_ms: i64,
    /// Records in one file of an export at most.
    pub file_records_max: u64,
    /// From where imports may fetch files.
    pub import_origins: Vec<Origin>,
    /// How long one file of an import may be, in bytes, uploaded or fetched.
    pub import_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kept_ms: 24 * 60 * 60 * 1000,
            file_records_max: 100_000,
            import_origins: Vec::new(),
            import_bytes_max: 64 << 30,
        }
    }
}

/// What jobs need that is not in this room.
pub struct Outside {
    /// Carries out deferred requests.
    pub perform: Arc<dyn Perform>,
    /// Fetches files of other servers.
    pub fetch: Arc<dyn Fetch>,
}

type Key = (Scope, Box<str>);

/// The jobs that are not over.
pub(crate) struct Jobs {
    open: Mutex<Open>,
    /// Says that there is one more to do, or room for one.
    work: Notify,
    /// Whether exports of few patients walk over all records, too.
    #[cfg(test)]
    walks: std::sync::atomic::AtomicBool,
    /// How often they did not.
    #[cfg(test)]
    few: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct Open {
    active: BTreeMap<Key, Arc<Active>>,
    waiting: VecDeque<Key>,
    stopping: bool,
}

/// A job that waits or is under way.
struct Active {
    owner: String,
    stop: watch::Sender<Stop>,
    /// True when nobody works at it any more.
    ended: watch::Sender<bool>,
    progress: Mutex<String>,
    polls: Mutex<(i64, u32)>,
}

/// Why a job should not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// The server ends; it goes on later.
    Pause,
    /// Nobody wants it any more.
    Cancel,
}

/// Why work on a job ended before its end.
enum Halt {
    Stopped,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Active {
    fn new(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            stop: watch::Sender::new(Stop::No),
            ended: watch::Sender::new(false),
            progress: Mutex::new("waiting for its turn".to_owned()),
            polls: Mutex::new((0, 0)),
        }
    }

    /// Asked between steps, none of which takes long.
    fn check(&self) -> Result<(), Halt> {
        match *self.stop.borrow() {
            Stop::No => Ok(()),
            Stop::Pause | Stop::Cancel => Err(Halt::Stopped),
        }
    }

    fn tell(&self, progress: String) {
        *self.progress.lock() = progress;
    }

    /// Whether one more question may be answered.
    fn polled(&self, now_ms: i64) -> bool {
        let mut polls = self.polls.lock();
        if now_ms - polls.0 >= POLLS_MS {
            *polls = (now_ms, 0);
        }
        polls.1 += 1;
        polls.1 <= POLLS_MAX
    }

    /// Waits until nobody works at it.
    async fn ended(&self) {
        // It is gone only when it has ended.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

impl Jobs {
    pub(crate) fn new() -> Self {
        Self {
            open: Mutex::default(),
            work: Notify::new(),
            #[cfg(test)]
            walks: Default::default(),
            #[cfg(test)]
            few: Default::default(),
        }
    }

    fn active(&self, key: &Key) -> Option<Arc<Active>> {
        self.open.lock().active.get(key).cloned()
    }

    /// Lets a job wait for its turn, once: one that begins while those of an
    /// earlier run are read is found among them.
    fn push(&self, key: Key, owner: &str) {
        let mut open = self.open.lock();
        if open.active.contains_key(&key) {
            return;
        }
        open.active
            .insert(key.clone(), Arc::new(Active::new(owner)));
        open.waiting.push_back(key);
        drop(open);
        self.work.notify_one();
    }

    /// The next one to do.
    fn pop(&self) -> Option<(Key, Arc<Active>)> {
        let mut open = self.open.lock();
        if open.stopping {
            return None;
        }
        let key = open.waiting.pop_front()?;
        let active = open.active.get(&key).cloned()?;
        Some((key, active))
    }

    /// Nobody works at it any more.
    fn end(&self, key: &Key) {
        if let Some(active) = self.open.lock().active.remove(key) {
            active.ended.send_replace(true);
        }
        self.work.notify_one();
    }

    /// Takes back one that waits, or tells the one who works at it to stop.
    fn cancel(&self, key: &Key) -> Option<Arc<Active>> {
        let mut open = self.open.lock();
        let active = open.active.get(key).cloned()?;
        active.stop.send_replace(Stop::Cancel);
        let waiting = open.waiting.len();
        open.waiting.retain(|other| other != key);
        if open.waiting.len() < waiting {
            open.active.remove(key);
            active.ended.send_replace(true);
        }
        Some(active)
    }

    /// Refuses one more where there are too many.
    fn check_room(&self, owner: &Owner) -> Result<(), Error> {
        let open = self.open.lock();
        let own = open.active.values();
        if own.filter(|active| active.owner == owner.label).count() >= OPEN_MAX {
            return Err(Error::new(
                Kind::Throttled,
                format!("you have {OPEN_MAX} jobs that are not done; wait for one or cancel it"),
            ));
        }
        if open.waiting.len() >= WAITING_MAX {
            return Err(Error::new(
                Kind::Unavailable,
                "too many jobs wait for their turn; try again later",
            ));
        }
        Ok(())
    }
}

impl Service {
    /// Begins a job; its id. The audit has it with the record.
    pub(crate) async fn begin_job(
        &self,
        cx: &Context,
        grant: &Grant,
        entry: Entry,
        (id, request): (Box<str>, String),
        work: Work,
    ) -> Result<Box<str>, Error> {
        let owner = self.job_owner(cx)?;
        self.jobs.check_room(&owner)?;
        let snapshot = self.snapshot(cx).await?;
        if snapshot.count(&Job::of(&owner.label)).await? >= KEPT_MAX {
            return Err(Error::new(
                Kind::Throttled,
                format!("you have {KEPT_MAX} jobs; delete some of them"),
            ));
        }
        let label = owner.label.clone();
        let job = Job {
            owner,
            base: cx.base.to_string(),
            request,
            created_ms: cx.now_ms,
            ended_ms: None,
            state: State::Accepted,
            attempts: 0,
            work,
            files: Vec::new(),
        };
        let saved = Saved::new(id, job);
        let write = Write::system(grant, JOB, saved.put()?);
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        self.jobs.push((cx.scope, saved.id.clone()), &label);
        Ok(saved.id)
    }

    fn job_owner(&self, cx: &Context) -> Result<Owner, Error> {
        Owner::of(&cx.subject, cx.now_ms)
            .ok_or_else(|| Error::new(Kind::Forbidden, crate::pipeline::FORBIDDEN))
    }

    /// A job of a scope, if there is one.
    async fn job(&self, scope: Scope, id: &str) -> Result<Option<Saved<Job>>, Error> {
        one::<Job>(&*self.store, scope, id).await
    }
}

/// What the audit calls a job.
const JOB: &str = "Job";
