//! The queue in front of the committer.
//!
//! Each write to the disk costs about the same, however much it holds, so a
//! group should hold all that are about to come. Callers that have just been
//! answered come again soon: the committer lingers until as many are there as
//! there were last time, no longer than the disk took for them. With one
//! caller there is no lingering.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salus_store::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Jobs that wait for one task.
pub(crate) struct Queue<T> {
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting<T>>,
    /// Something is there, after nothing was.
    first: Notify,
    /// As many are there as the taker lingers for.
    enough: Condvar,
}

struct Waiting<T> {
    jobs: VecDeque<(T, OwnedSemaphorePermit)>,
    closed: bool,
    /// How many the taker lingers for, while it does.
    expected: Option<usize>,
}

impl<T> Queue<T> {
    /// With room for so many jobs.
    pub(crate) fn new(jobs_max: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(jobs_max)),
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                closed: false,
                expected: None,
            }),
            first: Notify::new(),
            enough: Condvar::new(),
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
        // The taker is woken once, not by each of those that it waits for.
        let count = waiting.jobs.len();
        match waiting.expected {
            Some(expected) if count >= expected => drop(self.enough.notify_one()),
            None if count == 1 => self.first.notify_one(),
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Takes no more jobs; those that wait are still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.room.close();
        self.first.notify_one();
        self.enough.notify_one();
    }

    /// Closes it and drops what waits: nobody will take it.
    pub(crate) fn abandon(&self) {
        self.close();
        self.waiting.lock().jobs.clear();
    }

    /// Waits for a job. False when it is closed and none are left.
    pub(crate) async fn wait(&self) -> bool {
        loop {
            {
                let waiting = self.waiting.lock();
                if !waiting.jobs.is_empty() {
                    return true;
                }
                if waiting.closed {
                    return false;
                }
            }
            self.first.notified().await;
        }
    }

    /// Waits, holding the thread, until `expected` jobs are there or the time
    /// is over, and takes those that are there while `more` says so.
    pub(crate) fn take(
        &self,
        expected: usize,
        linger: Duration,
        mut more: impl FnMut(&T) -> bool,
    ) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        if waiting.jobs.len() < expected {
            waiting.expected = Some(expected);
            let until = Instant::now() + linger;
            while waiting.jobs.len() < expected && !waiting.closed {
                if self.enough.wait_until(&mut waiting, until).timed_out() {
                    break;
                }
            }
            waiting.expected = None;
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

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().jobs.len()
    }
}
