//! Who does the jobs: two at a time, the oldest first.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use salus_auth::record::{self, Saved, SystemRecord};
use salus_auth::{Action, Grant, Operation, Scopes, Subject, Target};
use salus_fhir::issue::operation_outcome;
use salus_store::{At, Batch, Position, Scope};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::follow;
use super::record::{Job, State, Work};
use super::{Active, Halt, JOB, Key, Outside, RUNNING_MAX, Stop, files};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// How often jobs whose time is over are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// How often a job is taken up again when the store cannot take it just now, and after which pause.
const ATTEMPTS_MAX: u32 = 8;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// A job under way: its record, who it is for, and whether to go on.
pub(super) struct Running<'a> {
    pub(super) service: &'a Service,
    pub(super) scope: Scope,
    pub(super) job: Saved<Job>,
    pub(super) grant: Grant,
    pub(super) active: &'a Active,
    pub(super) outside: &'a Outside,
}

impl Service {
    /// Does the jobs, for ever. Those that an earlier run has left come first.
    pub fn run_jobs(self: Arc<Self>, outside: Outside) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Err(error) = self.resume_jobs().await {
                let cause = error.cause();
                tracing::error!(cause, "jobs of an earlier run cannot be read");
            }
            let (outside, turns) = (Arc::new(outside), Arc::new(Semaphore::new(RUNNING_MAX)));
            let mut sweep = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    () = self.jobs.work.notified() => {}
                    _ = sweep.tick() => self.sweep_jobs().await,
                }
                while let Ok(turn) = Arc::clone(&turns).try_acquire_owned() {
                    let Some((key, active)) = self.jobs.pop() else {
                        break;
                    };
                    let (service, outside) = (Arc::clone(&self), Arc::clone(&outside));
                    tokio::spawn(async move {
                        service.run_aside(&key, active, outside).await;
                        drop(turn);
                        service.jobs.end(&key);
                    });
                }
            }
        })
    }

    /// Stops what is under way; it goes on at the next start.
    pub async fn pause_jobs(&self) {
        let active: Vec<Arc<Active>> = {
            let mut open = self.jobs.open.lock();
            open.stopping = true;
            let waiting = std::mem::take(&mut open.waiting);
            for key in waiting {
                open.active.remove(&key);
            }
            open.active.values().cloned().collect()
        };
        for active in active {
            active.stop.send_if_modified(|stop| {
                let goes_on = *stop == Stop::No;
                if goes_on {
                    *stop = Stop::Pause;
                }
                goes_on
            });
            active.ended().await;
        }
    }

    async fn resume_jobs(&self) -> Result<(), Error> {
        for scope in self.projects.scopes() {
            let jobs = self.jobs_of(scope).await?;
            files::remove_orphans(self, scope, &jobs).await?;
            for job in jobs {
                if job.value.state == State::Accepted {
                    self.jobs.push((scope, job.id), &job.value.owner.label);
                }
            }
        }
        Ok(())
    }

    /// Removes what was kept long enough, and of all jobs the records of where they were before.
    pub(crate) async fn sweep_jobs(&self) {
        let now_ms = self.now_ms();
        for scope in self.projects.scopes() {
            let jobs = self.jobs_of(scope).await.unwrap_or_default();
            let over = |job: &Saved<Job>| {
                let ended_ms = job.value.ended_ms;
                ended_ms.is_some_and(|ms| ms.saturating_add(self.settings.jobs.kept_ms) <= now_ms)
            };
            for job in jobs.iter().filter(|job| over(job)) {
                if let Err(error) = self.remove_job(scope, job).await {
                    let cause = error.cause();
                    tracing::warn!(cause, "a job whose time is over cannot be removed just now");
                }
            }
            // Nobody can ask for them.
            if let Err(error) = self.purge_former(scope, Job::KIND).await {
                let cause = error.cause();
                tracing::warn!(cause, "old versions of jobs cannot be purged just now");
            }
        }
    }

    /// How many jobs a project has.
    pub(crate) async fn count_jobs(&self, scope: Scope) -> Result<usize, Error> {
        Ok(self.jobs_of(scope).await?.len())
    }

    /// Ends all jobs of a project and removes them with their files: nobody can tell whose
    /// records are in these. Says how many.
    pub(crate) async fn remove_all_jobs(&self, scope: Scope) -> Result<usize, Error> {
        let jobs = self.jobs_of(scope).await?;
        for job in &jobs {
            if let Some(active) = self.jobs.cancel(&(scope, job.id.clone())) {
                active.ended().await;
            }
            // As it is when nobody works at it any more.
            if let Some(job) = self.job(scope, &job.id).await? {
                self.remove_job(scope, &job).await?;
            }
        }
        self.purge_former(scope, Job::KIND).await?;
        Ok(jobs.len())
    }

    async fn jobs_of(&self, scope: Scope) -> Result<Vec<Saved<Job>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let (mut jobs, mut after): (Vec<Saved<Job>>, Option<Position>) = (Vec::new(), None);
        loop {
            let page = snapshot.find(&record::all::<Job>(500, after)).await?;
            for hit in &page.hits {
                jobs.extend(Saved::read(&hit.record)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(jobs);
            }
        }
    }

    /// Removes files and record: nobody asked for it, its time is over.
    async fn remove_job(&self, scope: Scope, job: &Saved<Job>) -> Result<(), Error> {
        files::remove(self, scope, job).await?;
        let batch = Batch::of(scope, self.now_ms(), vec![job.delete()]);
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Runs a job on a thread that answers no requests.
    async fn run_aside(self: &Arc<Self>, key: &Key, active: Arc<Active>, outside: Arc<Outside>) {
        let (service, at, runtime) = (Arc::clone(self), key.clone(), Handle::current());
        let work = move || runtime.block_on(service.run_job(&at, &active, &outside));
        if tokio::task::spawn_blocking(work).await.is_err() {
            tracing::error!("a job ended by a fault of ours");
            let failed = Error::new(Kind::Internal, "the server failed on this job");
            self.fail_job(key, &failed).await;
        }
    }

    async fn run_job(&self, key: &Key, active: &Active, outside: &Outside) {
        let mut attempt = 0;
        loop {
            let last = attempt + 1 == ATTEMPTS_MAX;
            match self.carry_on(key, active, outside).await {
                Ok(()) | Err(Halt::Stopped) => return,
                Err(Halt::Failed(error)) if error.kind() == Kind::Unavailable && !last => {
                    let mut stop = active.stop.subscribe();
                    let stopped = stop.wait_for(|stop| *stop != Stop::No);
                    if tokio::time::timeout(ATTEMPT_PAUSE * 2_u32.pow(attempt), stopped)
                        .await
                        .is_ok()
                    {
                        return;
                    }
                    // A store that takes nothing at all could not keep that a job failed either.
                    attempt += u32::from(self.ready().await.is_ok());
                }
                Err(Halt::Failed(error)) => return self.fail_job(key, &error).await,
            }
        }
    }

    /// From where it is to its end.
    fn carry_on<'a>(
        &'a self,
        (scope, id): &'a Key,
        active: &'a Active,
        outside: &'a Outside,
    ) -> LocalBoxFuture<'a, Result<(), Halt>> {
        Box::pin(async move {
            let Some(job) = self.job(*scope, id).await? else {
                return Ok(());
            };
            let grant = self.job_grant(*scope, &job.value).await?;
            let mut running = Running {
                service: self,
                scope: *scope,
                grant,
                job,
                active,
                outside,
            };
            active.tell("started".to_owned());
            running.job.value.attempts += 1;
            running.keep().await?;
            files::remove_unfinished(self, *scope, &running.job).await?;
            let done = match running.job.value.work.clone() {
                Work::Export(_) => running.export().await?,
                Work::Import(_) => running.import().await?,
                Work::Request(request) => running.request(request).await?,
            };
            running
                .complete(State::Done, Outcome::Success, &done)
                .await?;
            // Not before: whoever goes on after a stop needs it.
            if !running.job.value.work.shows_what_was_sent() {
                let sent = files::id(&running.job.id, 0, 0);
                self.blobs.remove(*scope, &sent).await?;
            }
            Ok(())
        })
    }

    /// Nothing of the context stays: no job holds an [`crate::eras::Era`] for long.
    async fn job_grant(&self, scope: Scope, job: &Job) -> Result<Grant, Error> {
        let cx = self.job_context(scope, job).await?;
        let (operation, target) = match &job.work {
            Work::Export(export) => (Operation::EXPORT, export.level.target()),
            Work::Import(_) => (Operation::IMPORT, Target::System),
            Work::Request(_) => {
                let (what, target) = (What::Operation, Target::System);
                return self.authorize(&cx, what, Action::Job, target).await;
            }
        };
        self.authorize_operation(&cx, (operation, Action::Job), target, "")
            .await
    }

    /// The circumstances of a job, as if its owner asked just now.
    pub(super) async fn job_context(&self, scope: Scope, job: &Job) -> Result<Context, Error> {
        let subject = self.job_subject(job).await?;
        let (now_ms, era) = self.enter();
        Ok(Context {
            subject,
            scope,
            base: job.base.as_str().into(),
            request_id: self.new_request_id(),
            now_ms,
            era,
            // A job must not hold up a change of the parameters.
            parameters: self.parameters_of_r4(),
            format: None,
            remote: None,
        })
    }

    /// The owner as they are now, unless they are gone or suspended.
    async fn job_subject(&self, job: &Job) -> Result<Arc<Subject>, Error> {
        let Some(session) = job.owner.session() else {
            return Ok(Arc::new(Subject::operator()));
        };
        let home = job.owner.home();
        let snapshot = self.store.snapshot(home, At::Now).await?;
        let now_ms = self.now_ms();
        match self.resumed(&*snapshot, home, session, now_ms).await? {
            Some(subject) if !subject.scopes().is_some_and(Scopes::is_empty) => Ok(subject),
            Some(_) | None => Err(Error::new(
                Kind::Forbidden,
                "whoever asked for this may no longer do it",
            )),
        }
    }

    /// Keeps why a job failed, and removes its files.
    async fn fail_job(&self, key: &Key, error: &Error) {
        let cause = error.cause();
        tracing::warn!(cause, kind = ?error.kind(), "a job failed");
        if let Err(error) = self.keep_failure(key, error).await {
            let cause = error.cause();
            tracing::error!(cause, "that a job failed cannot be kept; it is tried again");
        }
    }

    async fn keep_failure(&self, (scope, id): &Key, error: &Error) -> Result<(), Error> {
        let Some(mut job) = self.job(*scope, id).await? else {
            return Ok(());
        };
        files::remove(self, *scope, &job).await?;
        let status = error.kind().status().0;
        job.value.files.clear();
        job.value.state = State::Failed(status, operation_outcome(error.issues()));
        job.value.ended_ms = Some(self.now_ms());
        let cx = Context {
            base: job.value.base.as_str().into(),
            ..self.operator_context(*scope)
        };
        let mut entry = Entry::new(&cx, What::Operation, Outcome::Failed, "the job failed");
        entry.agent = job.value.owner.label.as_str().into();
        let grant = self.authorize(&cx, What::Operation, Action::Job, Target::System);
        let write = Write::system(&grant.await?, JOB, job.put()?);
        self.commit(&cx, entry, Vec::new(), vec![write]).await?;
        Ok(())
    }
}

impl Running<'_> {
    /// The circumstances as they are now.
    pub(super) async fn context(&self) -> Result<Context, Error> {
        let service = self.service;
        service.job_context(self.scope, &self.job.value).await
    }

    /// Keeps how far it is. This is no use case: nobody asked, and nothing is shown.
    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        let put = self.job.put()?;
        let version = put.version;
        let now_ms = self.service.now_ms();
        let batch = Batch::of(self.scope, now_ms, vec![put]);
        self.service.store.commit(batch).await?;
        self.job.version = version;
        Ok(())
    }

    /// Makes an audit entry of what the job has read, for its owner.
    pub(super) async fn note(
        &self,
        cx: &Context,
        what: What,
        query: &str,
        about: Vec<(Entity, salus_store::SealKey)>,
    ) -> Result<(), Error> {
        let mut entry = self.entry(cx, Outcome::Success, query);
        entry.what = what;
        // Whoever takes the file away is told apart by the job.
        follow::concern_job(&mut entry, &self.job);
        for (entity, seal) in about {
            let kind = salus_store::Kind::named(&entity.ty);
            entry.concerns(entity, kind, &seal);
        }
        self.service.record(cx, entry).await
    }

    fn entry(&self, cx: &Context, outcome: Outcome, query: &str) -> Entry {
        let mut entry = Entry::new(cx, What::Operation, outcome, self.grant.rule());
        entry.query = query.into();
        entry
    }

    /// The job is over: record and audit entry in one.
    async fn complete(&mut self, state: State, outcome: Outcome, told: &str) -> Result<(), Error> {
        let cx = self.context().await?;
        self.job.value.state = state;
        self.job.value.ended_ms = Some(cx.now_ms);
        let write = Write::system(&self.grant, JOB, self.job.put()?);
        let entry = self.entry(&cx, outcome, told);
        let done = self.service.commit(&cx, entry, Vec::new(), vec![write]);
        Ok(done.await?)
    }
}
