//! The collector: removes the index rows and postings of superseded versions when no
//! snapshot that could ask for them is kept any more.
//!
//! Points are kept for a time, unless too many versions are superseded
//! meanwhile. First the oldest kept point is moved, then rows go, in bounded
//! batches; nothing here needs a durable write of its own, since a batch that
//! a crash loses is done again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use salus_store::{Error, ordered};

use crate::core::{Core, META_FLOOR, kind_of_key, set};
use crate::keys;
use crate::kv::{When, Write, wait_for};
use crate::row::Entry;
use crate::sample;
use crate::text::Edits;

/// Versions whose rows go in one batch.
const BATCH: usize = 256;
/// How often the collector looks, as a part of the time that points are kept.
const LOOKS: u32 = 60;

/// How long points are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Points are kept for so long at least,
    pub time: Duration,
    /// unless more versions than this wait to be removed.
    pub versions_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            versions_max: 200_000,
        }
    }
}

/// Tells the collector's thread to end.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Whether to end.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.lock()
    }

    /// Waits a while; says whether to end.
    fn wait(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, time);
        }
        *stopped
    }
}

/// Works until it is told to stop.
pub(crate) fn run(core: &Arc<Core>, retention: Retention, stop: &Stop) {
    let pause = (retention.time / LOOKS).clamp(Duration::from_millis(10), Duration::from_secs(5));
    let mut seen: VecDeque<(Instant, u64)> = VecDeque::new();
    while !stop.wait(pause) {
        let now = Instant::now();
        seen.push_back((now, core.visible()));
        let mut floor = None;
        while let Some((since, seq)) = seen.front()
            && now.duration_since(*since) >= retention.time
        {
            floor = Some(*seq);
            seen.pop_front();
        }
        // As below: a later look tries again.
        drop(sample::draw(core, || *stop.stopped.lock()));
        let too_many = core.superseded.len() > retention.versions_max;
        if too_many {
            floor = Some(core.visible());
        }
        if let Some(floor) = floor
            && collect(core, floor, stop).is_err()
        {
            // The disk is full or worse. Commits will say so; this can wait.
            continue;
        }
    }
}

/// Removes the rows of all versions that were superseded at or before a point.
pub(crate) fn collect(core: &Core, floor: u64, stop: &Stop) -> Result<(), Error> {
    core.superseded.raise_floor(floor);
    while !*stop.stopped.lock() {
        core.ready()?;
        let _texts = wait_for(core.texts.lock());
        let (mut writes, seqs) = batch(core, floor)?;
        if seqs.is_empty() {
            return Ok(());
        }
        let floor = core.superseded.floor().to_be_bytes();
        writes.push(set(keys::meta(META_FLOOR), floor.into()));
        core.kv.write_here(writes, When::Later)?;
        core.superseded.removed(seqs);
    }
    Ok(())
}

/// The writes, and the versions whose rows go.
fn batch(core: &Core, floor: u64) -> Result<(Vec<Write>, Vec<u64>), Error> {
    let view = core.kv.view()?;
    let end = keys::at(keys::GARBAGE, floor.saturating_add(1));
    let mut cursor = view.forward(&[keys::GARBAGE], &end)?;
    let (mut writes, mut seqs) = (Vec::new(), Vec::new());
    let mut texts = Edits::default();
    while seqs.len() < BATCH
        && let Some((key, current)) = cursor.next()?
    {
        let mut current = current.into_owned();
        let seq = keys::last_number(key);
        writes.push((key.to_vec(), None));
        let damaged = || Error::Damaged("a superseded version's kind".into());
        let of = kind_of_key(&current).ok_or_else(damaged)?;
        ordered::put_u64(&mut current, seq);
        if let Some(bytes) = view.get(&current)? {
            let entry = Entry::read(&bytes)?;
            let mut index = Vec::new();
            let rows = entry.all_rows()?;
            texts.take_out(of, seq, &rows);
            for row in rows {
                core.index
                    .put_keys(of, &row, entry.main_date_ms, &mut index);
            }
            for mut key in index {
                keys::set_seq(&mut key, seq);
                writes.push((key, None));
            }
        }
        writes.push((current, None));
        seqs.push(seq);
    }
    writes.extend(texts.into_writes(&view)?);
    Ok((writes, seqs))
}
