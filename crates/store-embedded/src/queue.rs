//! The queue in front of the committer.
//!
//! Callers that have just been answered are about to come again. If the
//! committer took the first of them at once, the others would wait for a whole
//! write to the disk, so it lingers a moment until as many are there as last
//! time. With one caller there is no lingering.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salus_store::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest that a batch waits for company.
const LINGER: Duration = Duration::from_micros(250);

/// Jobs that wait for one thread.
pub(crate) struct Queue<T> {
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting<T>>,
    came: Condvar,
}

struct Waiting<T> {
    jobs: VecDeque<(T, OwnedSemaphorePermit)>,
    closed: bool,
}

impl<T> Queue<T> {
    /// With room for so many jobs.
    pub(crate) fn new(jobs_max: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(jobs_max)),
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                closed: false,
            }),
            came: Condvar::new(),
        }
    }

    /// Adds a job when there is room.
    pub(crate) async fn push(&self, job: T) -> Result<(), Error> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let mut waiting = self.waiting.lock();
        match (room, waiting.closed) {
            (Ok(room), false) => waiting.jobs.push_back((job, room)),
            _ => return Err(Error::Unavailable("it is closed".into())),
        }
        self.came.notify_one();
        Ok(())
    }

    /// Takes no more jobs; those that wait are still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.room.close();
        self.came.notify_one();
    }

    /// Waits for jobs, for a moment until there are `expected`, and takes those
    /// that are there while `more` says so. None are left when it is closed.
    pub(crate) fn take(&self, expected: usize, mut more: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() && !waiting.closed {
            self.came.wait(&mut waiting);
        }
        let until = Instant::now() + LINGER;
        while waiting.jobs.len() < expected && !waiting.closed {
            if self.came.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        let mut taken = Vec::with_capacity(waiting.jobs.len());
        while let Some((job, _room)) = waiting.jobs.pop_front() {
            let go_on = more(&job);
            taken.push(job);
            if !go_on {
                break;
            }
        }
        taken
    }
}
