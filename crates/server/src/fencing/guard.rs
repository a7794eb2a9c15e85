//! What looks whether the server was replaced, and refuses requests from then on.
//!
//! Each archive is looked at every second. With a lease, requests are answered only while every
//! archive was looked at within its time, by the clock of the machine and by the one that never
//! jumps: so a server that is cut off stops by itself. What is under way when the lease ends is
//! not acknowledged either: the answer is held against it, too. Nothing is committed then either,
//! so that what runs beside requests writes nothing, sends nothing and moves nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use parking_lot::Mutex;
use salus_archive::{Archive, Fence};
use salus_service::context::World;
use salus_store_embedded::Embedded;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Error, FENCED, Generation, Mark, replaced, write};
use crate::open::Machine;

/// How often an archive is looked at, or more often if the lease is short.
const LOOK: Duration = Duration::from_secs(1);
/// How long a start waits for an archive that does not answer.
const FIRST: Duration = Duration::from_secs(3);
/// How long one look may take, or half of the lease: one that hangs must not end it.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// So long a server that starts may commit without a lease, as its first looks take their time.
const FIRST_LEASE: Duration = Duration::from_secs(30);
/// What is said when the lease is over.
const NO_LEASE: &str = "This server cannot see its archive and does not know whether it was replaced: \
                        it answers nothing until it does (--archive-lease)";

/// Whether requests may be answered.
pub(crate) struct Guard {
    data: PathBuf,
    engine: Arc<Embedded>,
    generation: Generation,
    lease: Option<Duration>,
    archives: Vec<Watched>,
    fenced: Mutex<Option<String>>,
    looking: Mutex<JoinSet<()>>,
    begun: Instant,
}

struct Watched {
    archive: Archive,
    /// When the last look began that found no fence.
    looked: Mutex<Option<(Instant, i64)>>,
}

/// Why a request is not answered.
enum Refusal {
    Fenced(String),
    NoLease,
}

impl Guard {
    /// Looks at the archives once: an error if the store was replaced. One that does not answer is
    /// looked at later.
    pub(crate) async fn open(
        data: PathBuf,
        engine: &Arc<Embedded>,
        archives: Vec<Archive>,
        lease: Option<Duration>,
    ) -> Result<Arc<Self>, Error> {
        let generation = Generation::read(&data)?;
        let archives = archives.into_iter().map(|archive| Watched {
            archive,
            looked: Mutex::new(None),
        });
        let guard = Self {
            data,
            engine: Arc::clone(engine),
            generation,
            lease,
            archives: archives.collect(),
            fenced: Mutex::new(None),
            looking: Mutex::new(JoinSet::new()),
            begun: Instant::now(),
        };
        for watched in &guard.archives {
            let first = tokio::time::timeout(FIRST, guard.look(watched, true)).await;
            if first.is_err() {
                tracing::warn!(
                    archive = watched.archive.label(),
                    "the archive does not answer: whether this server was replaced is not known yet"
                );
            }
        }
        let fenced = guard.fenced.lock().clone();
        match fenced {
            Some(reason) => Err(Error::Fenced(reason)),
            None => Ok(Arc::new(guard)),
        }
    }

    /// Goes on looking, until it is dropped, and lets nothing be committed without the lease.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.lease.is_some() {
            let weak = Arc::downgrade(self);
            self.engine.commit_while(move || {
                let guard = weak.upgrade();
                guard.map_or(Ok(()), |guard| guard.may_commit())
            });
        }
        let every = self.lease.map_or(LOOK, |lease| LOOK.min(lease / 4));
        let patience = self.lease.map_or(LOOK_MAX, |lease| LOOK_MAX.min(lease / 2));
        for at in 0..self.archives.len() {
            let weak = Arc::downgrade(self);
            self.looking.lock().spawn(async move {
                loop {
                    let Some(guard) = weak.upgrade() else { return };
                    let Some(watched) = guard.archives.get(at) else {
                        return;
                    };
                    if guard.fenced.lock().is_some() {
                        return;
                    }
                    // One that hangs is given up, and begun again.
                    let _ = tokio::time::timeout(patience, guard.look(watched, false)).await;
                    drop(guard);
                    tokio::time::sleep(every).await;
                }
            });
        }
    }

    async fn look(&self, watched: &Watched, all: bool) {
        let begun = (Instant::now(), Machine.now_ms());
        let archive = &watched.archive;
        let found = match all {
            true => replaced(archive, &self.generation).await,
            false => archive.replaced().await,
        };
        match found {
            // The first look takes what it gets: only the others are sure of what is not there.
            Ok(None) if all => {}
            Ok(None) => *watched.looked.lock() = Some(begun),
            Ok(Some(fence)) => self.fence(archive.label(), &fence),
            Err(error) => {
                tracing::debug!(archive = archive.label(), %error, "no look at its fences");
            }
        }
    }

    /// This server was replaced: for ever.
    fn fence(&self, archive: &str, fence: &Fence) {
        let mark = Mark::of(archive, fence);
        let reason = mark.reason();
        let first = self.fenced.lock().replace(reason.clone()).is_none();
        if !first {
            return;
        }
        self.engine
            .end_commits(&format!("the store is fenced: {reason}"));
        tracing::error!(%reason, "THIS SERVER IS FENCED AND ANSWERS NOTHING ANY MORE");
        if let Err(error) = write(&self.data.join(FENCED), &mark) {
            tracing::error!(%error, "that it is fenced could not be written down");
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        if let Some(reason) = self.fenced.lock().clone() {
            return Some(Refusal::Fenced(reason));
        }
        (!self.holds_lease()).then_some(Refusal::NoLease)
    }

    /// Whether every archive was looked at within the lease, if there is one.
    fn holds_lease(&self) -> bool {
        let Some(lease) = self.lease else {
            return true;
        };
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let now_ms = Machine.now_ms();
        self.archives.iter().all(|watched| {
            let looked = *watched.looked.lock();
            looked.is_some_and(|(instant, ms)| {
                instant.elapsed() < lease && (0..lease_ms).contains(&now_ms.saturating_sub(ms))
            })
        })
    }

    /// Refuses commits while the lease is over: what would be written then is lost if another was
    /// promoted, and what goes by it, mail and objects elsewhere, is the other's to do.
    fn may_commit(&self) -> Result<(), String> {
        let starts = self.begun.elapsed() < FIRST_LEASE
            && self.archives.iter().any(|one| one.looked.lock().is_none());
        match starts || self.holds_lease() {
            true => Ok(()),
            false => Err(NO_LEASE.to_owned()),
        }
    }

    /// The same routes, answered while they may be.
    pub(crate) fn over(self: &Arc<Self>, router: Router) -> Router {
        let guard = Arc::clone(self);
        router.layer(from_fn(move |request: Request, next: Next| {
            let guard = Arc::clone(&guard);
            async move {
                let path = request.uri().path();
                let is_ready = path == "/health/ready";
                // The operator asks why.
                if path == "/health/live" || path.starts_with("/operator/") {
                    return next.run(request).await;
                }
                if let Some(refusal) = guard.refusal() {
                    return refusal.answer(is_ready);
                }
                let answer = next.run(request).await;
                // It may have ended meanwhile: then nothing is acknowledged.
                match guard.refusal() {
                    Some(refusal) => refusal.answer(is_ready),
                    None => answer,
                }
            }
        }))
    }
}

impl Refusal {
    fn answer(self, is_ready: bool) -> Response {
        let (word, text) = match self {
            Self::Fenced(reason) => ("fenced", format!("This server is fenced: {reason}")),
            Self::NoLease => ("no-lease", NO_LEASE.to_owned()),
        };
        let (kind, body) = match is_ready {
            true => ("application/json", json!({"status": word, "reason": text})),
            false => (
                "application/fhir+json",
                json!({"resourceType": "OperationOutcome", "issue": [{
                    "severity": "error", "code": "no-store", "details": {"text": text},
                }]}),
            ),
        };
        let headers = [(header::CONTENT_TYPE, kind), (header::RETRY_AFTER, "5")];
        (StatusCode::SERVICE_UNAVAILABLE, headers, body.to_string()).into_response()
    }
}
