//! Ships a store's log into an archive, within a second of each commit.
//!
//! It begins behind the last seq that the archive holds, which listing tells: there is no state
//! elsewhere that could be wrong. The store never waits for it. What cannot be shipped now is
//! tried again, later and later, and [`Status`] says since when.
//!
//! Two that ship into one archive would make two histories. The next segment has one name for
//! both, and only one of them can make it: the other ends, and says so.

mod blobs;
mod end;
mod run;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use salus_store::{Log, SealedBlobs, Seq};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use self::end::{End, alike};
use self::run::Run;
use crate::Archive;

/// What is shipped.
#[derive(Clone)]
pub struct Source {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The blobs that its records name.
    pub blobs: Arc<dyn SealedBlobs>,
}

/// How it is shipped.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a commit waits for company.
    pub linger: Duration,
    /// About how many bytes of the log are in a segment.
    pub bytes: usize,
    /// The first wait after a failure; each is twice the one before.
    pub retry_min: Duration,
    /// The longest.
    pub retry_max: Duration,
    /// After so long behind the store, it complains.
    pub lag_ms_max: i64,
    /// The time, in milliseconds since 1970 UTC.
    pub now_ms: fn() -> i64,
}

impl Settings {
    /// The usual ones, with a clock.
    #[must_use]
    pub fn usual(now_ms: fn() -> i64) -> Self {
        Self {
            linger: Duration::from_millis(300),
            bytes: 8 << 20,
            retry_min: Duration::from_millis(200),
            retry_max: Duration::from_secs(30),
            lag_ms_max: 30_000,
            now_ms,
        }
    }
}

/// What it is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It looks where the archive ends.
    #[default]
    Starting,
    /// All is well.
    Shipping,
    /// It did not succeed, and tries again.
    Failing(String),
    /// It does not try again: the archive and the store do not belong together (any more).
    Stopped(String),
}

/// How far an archive is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What the archive is called.
    pub label: String,
    /// What its shipper is doing.
    pub phase: Phase,
    /// The last seq that it holds, as far as is known.
    pub shipped: Seq,
    /// When something was waiting first that it does not hold, in milliseconds since 1970 UTC.
    pub behind_since_ms: Option<i64>,
    /// Segments shipped since the start.
    pub segments: u64,
    /// Blobs shipped since the start.
    pub blobs: u64,
    /// Bytes shipped since the start.
    pub bytes: u64,
    /// Failures since the start.
    pub errors: u64,
    /// Whether it has been behind for too long, or has stopped.
    pub late: bool,
}

/// A shipper at work.
pub struct Shipping {
    status: Arc<Mutex<Status>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Shipping {
    /// Starts shipping; has to be called where tasks can be spawned.
    #[must_use]
    pub fn start(source: Source, archive: Archive, settings: Settings) -> Self {
        let status = Arc::new(Mutex::new(Status {
            label: archive.label().to_owned(),
            behind_since_ms: Some((settings.now_ms)()),
            ..Status::default()
        }));
        let (stop, stopped) = watch::channel(false);
        let run = Run::new(source, archive, settings, Arc::clone(&status), stopped);
        Self {
            status,
            stop,
            task: tokio::spawn(run.run()),
        }
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// A handle that says how far it is, for who does not own it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.status))
    }

    /// Ships what is left and ends, or ends without it when that takes longer. The store takes no
    /// commits meanwhile, or they may be left out.
    pub async fn stop(mut self, within: Duration) -> Status {
        self.stop.send_replace(true);
        if tokio::time::timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.status.lock().clone()
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says how far a shipper is.
#[derive(Clone)]
pub struct Watch(Arc<Mutex<Status>>);

impl Watch {
    /// How far it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.lock().clone()
    }
}

#[cfg(test)]
pub(crate) mod tests;
