//! The work of a shipper: wait, read, seal, put, again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use salus_store::LogBatch;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::blobs;
use super::end::End;
use super::{Phase, Settings, Source, Status};
use crate::{Archive, Error, Fault, Fence, Form, Put, Segment, Start, What, name};

/// Complaints about being late are so far apart.
const COMPLAIN_MS: i64 = 5 * 60 * 1000;

/// Why it ends.
enum Ended {
    /// It was told to.
    Told,
    /// It must not go on.
    Stopped(String),
}

pub(super) struct Run {
    source: Source,
    archive: Archive,
    settings: Settings,
    status: Arc<Mutex<Status>>,
    stopped: watch::Receiver<bool>,
    /// Blobs up to this count are there; `None` before it is known.
    blobs: Option<u64>,
    complained_ms: Option<i64>,
}

impl Run {
    pub(super) fn new(
        source: Source,
        archive: Archive,
        settings: Settings,
        status: Arc<Mutex<Status>>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            source,
            archive,
            settings,
            status,
            stopped,
            blobs: None,
            complained_ms: None,
        }
    }

    pub(super) async fn run(mut self) {
        let Err(ended) = self.work().await;
        if let Ended::Stopped(reason) = ended {
            tracing::error!(
                archive = self.archive.label(),
                %reason,
                "NOTHING IS SHIPPED TO THE ARCHIVE ANY MORE"
            );
            let mut status = self.status.lock();
            status.errors += 1;
            status.late = true;
            status.phase = Phase::Stopped(reason);
        }
    }

    async fn work(&mut self) -> Result<std::convert::Infallible, Ended> {
        self.not_replaced(false).await?;
        let mut end = self.find_end().await?;
        loop {
            let Some(batches) = self.next(&end).await? else {
                return Err(Ended::Told);
            };
            end = self.ship(end, batches).await?;
        }
    }

    /// Where the archive ends, if this store goes on there.
    async fn find_end(&mut self) -> Result<End, Ended> {
        let mut wait = self.settings.retry_min;
        loop {
            let found = async {
                let end = End::of(&self.archive).await?;
                let foreign = end.foreign(&*self.source.log).await?;
                if foreign.is_none() {
                    self.put_dictionaries().await?;
                    self.archive.found((self.settings.now_ms)()).await?;
                }
                Ok::<_, Error>((end, foreign))
            };
            match found.await {
                Ok((end, None)) => {
                    self.found(&end);
                    return Ok(end);
                }
                Ok((_, Some(reason))) => return Err(Ended::Stopped(reason.to_owned())),
                // A fault at the end: whatever came behind it would be lost.
                Err(Error::Fault(fault)) => return Err(Ended::Stopped(fault.to_string())),
                Err(error) => self.failed(&error, &mut wait).await?,
            }
        }
    }

    fn found(&self, end: &End) {
        tracing::info!(archive = self.archive.label(), seq = end.seq.0, "shipping");
        let mut status = self.status.lock();
        status.shipped = end.seq;
        status.phase = Phase::Shipping;
    }

    async fn put_dictionaries(&self) -> Result<(), Error> {
        let there = self.archive.destination.list(name::DICTIONARIES).await?;
        let dictionaries = self.source.log.dictionaries().await?;
        for (number, dictionary) in dictionaries.iter().enumerate().skip(there.len()) {
            let name = name::dictionary(number);
            let mut sealed = Vec::new();
            self.archive
                .keys
                .seal(name.as_bytes(), dictionary, &mut sealed)?;
            self.archive.destination.put(&name, sealed.into()).await?;
        }
        Ok(())
    }

    /// The next batches, as soon as there are some; `None` when it was told to stop and nothing
    /// is left.
    async fn next(&mut self, end: &End) -> Result<Option<Vec<LogBatch>>, Ended> {
        let mut wait = self.settings.retry_min;
        loop {
            let stopping = *self.stopped.borrow();
            let batches = match stopping {
                true => self.source.log.batches(end.seq, self.settings.bytes).await,
                false => self.gather(end).await,
            };
            match batches {
                Ok(batches) if batches.is_empty() && stopping => return Ok(None),
                // It was told to stop while it waited.
                Ok(batches) if batches.is_empty() => {}
                Ok(batches) => return self.in_order(end, batches).map(Some),
                Err(error) => self.failed(&error.into(), &mut wait).await?,
            }
        }
    }

    /// Waits for a commit, and a little for its company.
    async fn gather(&mut self, end: &End) -> Result<Vec<LogBatch>, salus_store::Error> {
        let log = Arc::clone(&self.source.log);
        tokio::select! {
            grown = log.grown(end.seq) => grown?,
            _ = self.stopped.changed() => return Ok(Vec::new()),
        }
        let since = (self.settings.now_ms)();
        self.status.lock().behind_since_ms.get_or_insert(since);
        // A full segment waits for nobody.
        let more = log.head().await?.seq.0 - end.seq.0;
        if more < 10_000 {
            let _ = timeout(self.settings.linger, self.stopped.changed()).await;
        }
        log.batches(end.seq, self.settings.bytes).await
    }

    fn in_order(&self, end: &End, batches: Vec<LogBatch>) -> Result<Vec<LogBatch>, Ended> {
        let mut next = end.seq.0 + 1;
        for batch in &batches {
            if batch.first.0 != next || batch.last < batch.first {
                return Err(Ended::Stopped(format!("the store's log has no seq {next}")));
            }
            next = batch.last.0 + 1;
        }
        Ok(batches)
    }

    /// Puts what the batches need, and then them.
    async fn ship(&mut self, end: End, batches: Vec<LogBatch>) -> Result<End, Ended> {
        let oldest_ms = batches.first().map(|batch| batch.time_ms);
        let mut wait = self.settings.retry_min;
        while let Err(error) = self.ship_blobs().await {
            self.failed(&error, &mut wait).await?;
        }
        let segment = loop {
            match self.seal(&end, &batches).await {
                Ok(segment) => break segment,
                Err(Error::TooLong(seq)) => {
                    return Err(Ended::Stopped(Error::TooLong(seq).to_string()));
                }
                Err(error) => self.failed(&error, &mut wait).await?,
            }
        };
        drop(batches);
        self.not_replaced(true).await?;
        loop {
            match self.put(&segment).await {
                Ok(true) => break,
                Ok(false) => return Err(Ended::Stopped(taken(&segment))),
                Err(error) => self.failed(&error, &mut wait).await?,
            }
        }
        self.shipped(&segment, oldest_ms).await;
        Ok(End::behind(&segment))
    }

    /// Ends when another store was promoted in the place of this one. Behind the beginning, the
    /// archive has to be there for that to be known: nothing is shipped to a disk that is not mounted.
    async fn not_replaced(&mut self, begun: bool) -> Result<(), Ended> {
        let mut wait = self.settings.retry_min;
        loop {
            let found = match begun {
                true => self.archive.replaced().await,
                false => self.archive.next_fence().await,
            };
            match found {
                Ok(None) => return Ok(()),
                Ok(Some(fence)) => return Err(Ended::Stopped(replaced(&fence))),
                Err(Error::Fault(fault)) => return Err(Ended::Stopped(fault.to_string())),
                Err(error) => self.failed(&error, &mut wait).await?,
            }
        }
    }

    async fn ship_blobs(&mut self) -> Result<(), Error> {
        // Counted before: a commit that was read names none that comes later.
        let count = self.source.blobs.finished();
        if self.blobs == Some(count) {
            return Ok(());
        }
        let shipped = blobs::ship(&*self.source.blobs, &self.archive, self.blobs).await?;
        self.blobs = Some(count);
        let mut status = self.status.lock();
        status.blobs += shipped.blobs;
        status.bytes += shipped.bytes;
        Ok(())
    }

    /// On a thread that may take its time.
    async fn seal(&self, end: &End, batches: &[LogBatch]) -> Result<Segment, Error> {
        let start = Start {
            form: Form::Shipped,
            numbers: (end.number + 1, end.number + 1),
            before: end.hash,
            frontier: end.frontier.clone(),
            key_slots: self.source.log.head().await?.key_slots,
            made_ms: (self.settings.now_ms)(),
        };
        let (keys, batches) = (self.archive.keys.clone(), batches.to_vec());
        let sealed = tokio::task::spawn_blocking(move || Segment::seal(&keys, start, &batches));
        let ended = || salus_store::Error::Unavailable("its work was ended".into());
        let sealed = sealed.await.map_err(|_| Error::Store(ended()))??;
        sealed.ok_or_else(|| Error::Store(ended()))
    }

    /// Makes the object; whether it is there now, and ours.
    async fn put(&self, segment: &Segment) -> Result<bool, Error> {
        let name = segment.name.to_string();
        let destination = &self.archive.destination;
        match destination.put(&name, segment.bytes.clone()).await? {
            Put::Made => Ok(true),
            // An earlier try may have been ours, and its answer lost.
            Put::Taken => match destination.get(&name).await? {
                Some(there) => Ok(there == segment.bytes),
                // Somebody is making it just now.
                None => Err(Error::Fault(Fault::new(
                    name,
                    What::Missing { until: None },
                ))),
            },
        }
    }

    async fn shipped(&mut self, segment: &Segment, oldest_ms: Option<i64>) {
        let head = self.source.log.head().await;
        let caught_up = head.is_ok_and(|head| head.seq <= segment.header.seqs.1);
        let mut status = self.status.lock();
        status.shipped = segment.header.seqs.1;
        status.segments += 1;
        status.bytes += segment.bytes.len() as u64;
        status.phase = Phase::Shipping;
        // What waits now came behind what was shipped.
        let behind = segment.header.times_ms.1.max(oldest_ms.unwrap_or(0));
        status.behind_since_ms = (!caught_up).then_some(behind);
        if status.late && caught_up {
            tracing::info!(archive = status.label, "the archive is up to date again");
            status.late = false;
            self.complained_ms = None;
        }
    }

    /// Notes a failure and waits before the next try. Told to stop, it tries on at once: who told
    /// it says how long it may.
    async fn failed(&mut self, error: &Error, wait: &mut Duration) -> Result<(), Ended> {
        let now_ms = (self.settings.now_ms)();
        let reason = error.to_string();
        tracing::debug!(archive = self.archive.label(), %reason, "could not ship");
        {
            let mut status = self.status.lock();
            status.errors += 1;
            status.phase = Phase::Failing(reason.clone());
            let since = *status.behind_since_ms.get_or_insert(now_ms);
            let late = now_ms.saturating_sub(since) > self.settings.lag_ms_max;
            status.late |= late;
            let complained = self.complained_ms;
            let again = complained.is_none_or(|at| now_ms.saturating_sub(at) > COMPLAIN_MS);
            if late && again {
                let seconds = now_ms.saturating_sub(since) / 1000;
                tracing::warn!(archive = status.label, seconds, %reason, "the archive is behind");
                self.complained_ms = Some(now_ms);
            }
        }
        sleep(*wait).await;
        *wait = wait.saturating_mul(2).min(self.settings.retry_max);
        Ok(())
    }
}

fn replaced(fence: &Fence) -> String {
    format!(
        "fence {} says that another store was promoted in the place of this one, from seq {} on",
        fence.number, fence.seq.0
    )
}

fn taken(segment: &Segment) -> String {
    format!(
        "{} was made by another: two servers ship into this archive, of which one is a copy of \
         the other or was restored from it; stop the one that should not be, and give it an \
         archive of its own",
        segment.name
    )
}
