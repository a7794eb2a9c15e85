//! Following the log of another store: its batches go through the committer like the store's
//! own, with the bytes that they came with, so a version, its rows and the place in the log are
//! one durable write.

use bytes::Bytes;
use salus_store::{
    Batch, Error, Followed, Following, Kind, LogBatch, LogPart, NewRows, Opened, Reply, Row, Scope,
    Seq,
};

use crate::commit::Job;
use crate::core::{Core, State};
use crate::index::Hints;
use crate::prepare::{Expected, Prepared, PreparedAudit, PreparedPut, dates};
use crate::purge::PreparedPurge;
use crate::reader::ready;
use crate::sample::Seen;
use crate::{Embedded, audit, body, closed, row, text};

impl Following for Embedded {
    fn slots_of(&self, batch: &LogBatch) -> Result<u32, Error> {
        let mut slots = 0;
        for part in &batch.parts {
            let slot = match part {
                LogPart::Version(bytes) => body::Stored::read(bytes)?.slot(),
                LogPart::Audit { entry, .. } => Some(audit::Stored::read(entry)?.slot()),
                LogPart::Purged(_) => None,
            };
            slots = slots.max(slot.map_or(0, |slot| slot.number() + 1));
        }
        Ok(slots)
    }

    fn open_batch<'a>(&'a self, batch: &'a LogBatch) -> Reply<'a, Opened> {
        ready(open_batch(&self.core, batch))
    }

    fn follow(&self, batches: Vec<Followed>) -> Reply<'_, ()> {
        Box::pin(self.follow_all(batches))
    }

    fn draft(&self, batch: Batch) -> Reply<'_, LogBatch> {
        ready(draft(&self.core, batch))
    }
}

impl Embedded {
    async fn follow_all(&self, batches: Vec<Followed>) -> Result<(), Error> {
        let mut waiting = Vec::new();
        for followed in batches {
            let purges = |part: &LogPart| matches!(part, LogPart::Purged(_));
            // What is purged is looked for among what is written.
            if followed.batch.parts.iter().any(purges) {
                settle(&mut waiting).await?;
            }
            self.core.ready()?;
            let (job, answered) = Job::new(prepared(&self.core, followed)?);
            self.queue.push(job).await?;
            waiting.push(answered);
        }
        settle(&mut waiting).await
    }
}

type Answered = tokio::sync::oneshot::Receiver<Result<salus_store::Committed, Error>>;

/// Waits for all that were given to the committer; the first that was refused is told.
async fn settle(waiting: &mut Vec<Answered>) -> Result<(), Error> {
    for answered in waiting.drain(..) {
        answered.await.map_err(|_| closed())??;
    }
    Ok(())
}

fn open_batch(core: &Core, batch: &LogBatch) -> Result<Opened, Error> {
    let mut opened = Opened::default();
    let versions = batch.parts.iter().filter_map(version);
    for (seq, bytes) in (batch.first.0..).zip(versions) {
        let stored = body::Stored::read(bytes)?;
        opened.kinds.push(stored.kind);
        if stored.is_deleted() {
            continue;
        }
        if stored.purged().is_some() {
            opened.unreadable += 1;
            continue;
        }
        match stored.open(seq, &core.codec, &core.keyring) {
            Ok(record) => opened.push(record, stored.latest_ms),
            Err(Error::KeyDestroyed) => opened.unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(opened)
}

fn version(part: &LogPart) -> Option<&Bytes> {
    match part {
        LogPart::Version(bytes) => Some(bytes),
        LogPart::Audit { .. } | LogPart::Purged(_) => None,
    }
}

/// A batch as the committer takes it.
fn prepared(core: &Core, mut followed: Followed) -> Result<Prepared, Error> {
    let first = followed.batch.first.0;
    let parts = std::mem::take(&mut followed.batch.parts);
    let scope = followed.batch.scope;
    let (mut puts, mut audit, mut purged) = (Vec::new(), Vec::new(), Vec::new());
    let mut words: Vec<(u64, Kind, Vec<Row>)> = Vec::new();
    for part in parts {
        match part {
            LogPart::Version(bytes) => {
                let place = puts.len() as u64;
                let rows = followed.take_rows(Seq(first + place));
                let (put, rows) = put(core, bytes, rows)?;
                words.push((place, put.kind, rows));
                puts.push(put);
            }
            LogPart::Audit { leaf, entry, about } => audit.push(entry_of(leaf, &entry, about)?),
            LogPart::Purged(purge) => {
                let view = core.kv.view()?;
                purged.push(PreparedPurge::followed(&view, scope, purge)?);
            }
        }
    }
    if puts.is_empty() && audit.is_empty() && purged.is_empty() {
        return Err(Error::Damaged(format!("the log has no batch at {first}")));
    }
    let rows = words
        .iter()
        .map(|(place, kind, rows)| (*place, *kind, rows.as_slice()));
    Ok(Prepared {
        scope,
        time_ms: followed.batch.time_ms,
        preconditions: Vec::new(),
        texts: text::lay(scope, rows),
        puts,
        reindexed: Vec::new(),
        purged,
        audit,
        expected: Some(Expected {
            first,
            last: followed.batch.last.0,
            chain: followed.batch.chain,
        }),
        turn: None,
        held: None,
    })
}

/// A version with its rows, if it has any, and those.
fn put(core: &Core, bytes: Bytes, new: Option<NewRows>) -> Result<(PreparedPut, Vec<Row>), Error> {
    let stored = body::Stored::read(&bytes)?;
    let of: (Scope, Kind) = (stored.scope, stored.kind);
    let deleted = stored.is_deleted();
    let (mut rows, main_date_ms) = match new.filter(|_| !deleted) {
        Some(new) => (new.rows, new.main_date_ms),
        None => (Vec::new(), None),
    };
    Row::sort(&mut rows);
    let mut index = Vec::with_capacity(rows.len());
    for row in &rows {
        core.index.put_keys(of, row, main_date_ms, &mut index);
    }
    let entry = row::NewEntry {
        id: stored.id,
        version: stored.version,
        time_ms: stored.time_ms,
        main_date_ms,
        rows: &rows,
    };
    let put = PreparedPut {
        kind: stored.kind,
        id: stored.id.into(),
        version: stored.version,
        deleted,
        digest: stored.purged().unwrap_or_else(|| body::digest(&bytes)),
        entry: match deleted {
            true => Vec::new(),
            false => entry.to_bytes(),
        },
        index,
        hints: Hints::of_rows(&rows),
        dates: dates(&rows, main_date_ms),
        seen: Seen::of(&rows),
        body: bytes.to_vec(),
    };
    Ok((put, rows))
}

fn entry_of(
    leaf: [u8; 32],
    entry: &Bytes,
    about: Vec<(Kind, Box<str>)>,
) -> Result<PreparedAudit, Error> {
    if audit::Stored::read(entry)?.leaf != leaf {
        return Err(Error::Damaged("the leaf of an audit entry".into()));
    }
    let mut bytes = entry.to_vec();
    audit::put_about(&mut bytes, &about);
    Ok(PreparedAudit {
        entry: audit::NewEntry { bytes, leaf },
        about,
    })
}

/// The next batch of the log, if it were committed.
fn draft(core: &Core, batch: Batch) -> Result<LogBatch, Error> {
    if batch.audit.is_empty() || !batch.puts.is_empty() || !batch.purged.is_empty() {
        return Err(Error::Misuse("a draft is of audit entries"));
    }
    let prepared = Prepared::new(core, batch)?;
    // The keys that it names are durable before anybody else has it.
    core.keyring.sync().map_err(body::sealing)?;
    let state = State::load(&core.kv.view()?)?;
    let entries = prepared.audit.len();
    let latest_ms = state.latest_ms.max(prepared.time_ms);
    let entry = |(place, mut new): (usize, PreparedAudit)| {
        new.entry.set_place(place == 0, place + 1 == entries);
        new.entry.set_latest(latest_ms);
        let stored = audit::Stored::read(&new.entry.bytes)?;
        let (own, about) = stored.parts(&new.entry.bytes)?;
        Ok(LogPart::Audit {
            leaf: new.entry.leaf,
            entry: Bytes::copy_from_slice(own),
            about,
        })
    };
    let parts = prepared.audit.into_iter().enumerate().map(entry);
    Ok(LogBatch {
        first: Seq(state.seq + 1),
        last: Seq(state.seq + entries as u64),
        time_ms: prepared.time_ms,
        scope: prepared.scope,
        chain: state.chain,
        parts: parts.collect::<Result<_, Error>>()?,
    })
}
