//! The log of the memory twin, and a twin made of one. Its parts are in a form
//! of its own, plain, and its chain of changes is of a hash that tells
//! different logs apart and withstands nobody.

use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::{AuditLine, Cleared, LogEntry, Memory, State, Version, reply};
use crate::{
    AuditEntry, Bare, BareRecords, Content, Error, Finished, Kind, Log, LogBatch, LogHead, LogPart,
    Lost, NewRows, Purge, Record, Reindexed, Reply, Restored, Restoring, Scope, SealKey, Seq,
};

mod following;

/// What is kept of a batch beside its parts.
pub(super) struct Logged {
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) time_ms: i64,
    pub(super) scope: Scope,
    pub(super) chain: u64,
    pub(super) purges: Vec<Purge>,
}

/// The chain of changes behind a batch of versions with these digests.
pub(super) fn link(before: u64, first: Seq, digests: &[u64]) -> u64 {
    match digests {
        [] => before,
        digests => hash(&(before, first, digests)),
    }
}

/// Of a version, for the chain of changes.
pub(super) fn digest(scope: Scope, record: &Record) -> u64 {
    hash(&encode(scope, record, None))
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn wide(hash: u64) -> [u8; 32] {
    let mut wide = [0; 32];
    wide[..8].copy_from_slice(&hash.to_be_bytes());
    wide
}

impl Log for Memory {
    fn head(&self) -> Reply<'_, LogHead> {
        reply(Ok(self.read(State::log_head)))
    }

    fn batches(&self, after: Seq, bytes: usize) -> Reply<'_, Vec<LogBatch>> {
        reply(Ok(self.read(|state| {
            let begin = state.batches.partition_point(|batch| batch.last <= after);
            let mut size = 0;
            let batches = state.batches[begin..].iter().take_while(|batch| {
                let fits = size == 0 || size < bytes;
                size += 64 * (batch.last.0 - batch.first.0 + 1) as usize;
                fits
            });
            batches.map(|batch| state.log_batch(batch)).collect()
        })))
    }

    fn grown(&self, after: Seq) -> Reply<'_, ()> {
        let store = self.clone();
        Box::pin(poll_fn(move |context| {
            store.write(|state| match state.newest > after {
                true => Poll::Ready(Ok(())),
                false => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            })
        }))
    }

    fn dictionaries(&self) -> Reply<'_, Vec<Bytes>> {
        reply(Ok(Vec::new()))
    }
}

impl State {
    fn log_head(&self) -> LogHead {
        let lines = self.audit.values();
        LogHead {
            seq: self.newest,
            chain: wide(self.chain),
            audit_size: self.audit.len() as u64,
            audit_root: wide(lines.fold(0, |before, line| hash(&(before, line.digest())))),
            key_slots: 0,
        }
    }

    fn log_batch(&self, batch: &Logged) -> LogBatch {
        let span = batch.first..=batch.last;
        let versions = self.log.range(span.clone()).map(|(_, entry)| {
            let purged = entry.purged.then_some(entry.digest);
            LogPart::Version(encode(entry.scope, &entry.record, purged).into())
        });
        let entries = self.audit.range(span).map(|(_, line)| LogPart::Audit {
            leaf: wide(line.digest()),
            entry: line.encode().into(),
            about: line.entry.about.clone(),
        });
        let purged = batch.purges.iter().cloned().map(LogPart::Purged);
        LogBatch {
            first: batch.first,
            last: batch.last,
            time_ms: batch.time_ms,
            scope: batch.scope,
            chain: wide(batch.chain),
            parts: versions.chain(entries).chain(purged).collect(),
        }
    }
}

impl Memory {
    /// A store to be made of a log; the handle shows it when it is finished.
    #[must_use]
    pub fn restore() -> (Self, Box<dyn Restoring>) {
        let store = Self::new();
        let restoring = Refill {
            store: store.clone(),
            state: State::default(),
        };
        (store, Box::new(restoring))
    }
}

impl Restored for Memory {
    fn records(&self, (after, upto): (Seq, Seq), _: usize) -> Reply<'_, BareRecords> {
        reply(Ok(self.read(|state| {
            let newest = state.records.iter().filter_map(|((scope, ..), versions)| {
                let Version { record, .. } = versions.last().filter(|newest| !newest.purged)?;
                let within = record.seq > after && record.seq <= upto;
                (within && record.content != Content::Deleted).then(|| Bare {
                    scope: *scope,
                    record: record.clone(),
                    latest_ms: record.time_ms,
                })
            });
            let mut records: Vec<Bare> = newest.collect();
            records.sort_by_key(|bare| bare.record.seq);
            BareRecords {
                records,
                ..BareRecords::default()
            }
        })))
    }

    fn give_rows(&self, rows: Vec<NewRows>) -> Reply<'_, ()> {
        self.write(|state| {
            for new in rows {
                let reindexed = Reindexed {
                    kind: new.kind,
                    id: new.id,
                    version: new.version,
                    rows: new.rows,
                    main_date_ms: new.main_date_ms,
                };
                state.reindex(new.scope, reindexed);
            }
        });
        reply(Ok(()))
    }
}

struct Refill {
    store: Memory,
    state: State,
}

impl Restoring for Refill {
    fn add(&mut self, batches: Vec<LogBatch>) -> Reply<'_, ()> {
        let mut batches = batches.into_iter();
        reply(batches.try_for_each(|batch| self.state.refill(batch)))
    }

    fn finish(self: Box<Self>) -> Reply<'static, Finished> {
        let head = self.state.log_head();
        let lost = self.state.lost();
        let state = self.state;
        self.store.write(|now| *now = state);
        reply(Ok(Finished { head, lost }))
    }
}

impl State {
    fn lost(&self) -> Vec<Lost> {
        let newest = self.records.iter();
        let newest = newest.filter_map(|((scope, ..), versions)| Some((scope, versions.last()?)));
        let mut purged: Vec<_> = newest.filter(|(_, version)| version.purged).collect();
        purged.sort_by_key(|(_, version)| version.record.seq);
        let lost = purged
            .into_iter()
            .map(|(scope, Version { record, .. })| Lost {
                scope: *scope,
                kind: record.kind,
                id: record.id.clone(),
                version: record.version,
                seal: record.seal.clone(),
            });
        lost.collect()
    }

    fn refill(&mut self, batch: LogBatch) -> Result<(), Error> {
        let damaged = || Error::Damaged(format!("the batch at {}", batch.first.0));
        let (mut versions, mut digests, mut entries, mut purges) = (vec![], vec![], vec![], vec![]);
        for part in &batch.parts {
            match part {
                LogPart::Version(bytes) => {
                    let (record, purged) =
                        decode(&mut &bytes[..], batch.time_ms).ok_or_else(damaged)?;
                    digests.push(purged.unwrap_or_else(|| digest(batch.scope, &record)));
                    versions.push((record, purged.is_some()));
                }
                LogPart::Audit { leaf, entry, about } => {
                    let line = AuditLine::decode((batch.scope, batch.time_ms), entry, about);
                    let line = line.ok_or_else(damaged)?;
                    if *leaf != wide(line.digest()) {
                        return Err(damaged());
                    }
                    entries.push(line);
                }
                LogPart::Purged(purge) => purges.push(purge.clone()),
            }
        }
        let first = Seq(self.newest.0 + 1);
        let parts = (versions.len() + entries.len()).max(1) as u64;
        let chain = link(self.chain, first, &digests);
        let nothing = batch.parts.is_empty();
        if nothing
            || (batch.first, batch.last, batch.chain)
                != (first, Seq(self.newest.0 + parts), wide(chain))
        {
            return Err(damaged());
        }
        for purge in &purges {
            let Purge { kind, id, below } = purge;
            let below = *below;
            self.purge((batch.scope, *kind, id.clone()), |version| version < below);
        }
        let last = versions.len().saturating_sub(1);
        for (index, ((record, purged), digest)) in versions.into_iter().zip(digests).enumerate() {
            self.refill_version(batch.scope, (record, purged, digest), index == last);
        }
        for line in entries {
            let seq = self.next_seq();
            self.audit.insert(seq, line);
        }
        self.newest = batch.last;
        self.log_it((batch.scope, batch.time_ms), first, chain, purges);
        Ok(())
    }

    fn refill_version(
        &mut self,
        scope: Scope,
        (mut record, purged, digest): (Record, bool, u64),
        ends_batch: bool,
    ) {
        record.seq = self.next_seq();
        let entry = LogEntry {
            scope,
            record: record.clone(),
            ends_batch,
            purged,
            digest,
        };
        self.log.insert(record.seq, entry);
        let name = (scope, record.kind, record.id.clone());
        self.records.entry(name).or_default().push(Version {
            record,
            purged,
            rows: Vec::new(),
        });
    }

    /// Keeps of a batch, which was just put, what its parts do not say.
    pub(super) fn log_it(
        &mut self,
        (scope, time_ms): (Scope, i64),
        first: Seq,
        chain: u64,
        purges: Vec<Purge>,
    ) {
        self.chain = chain;
        self.batches.push(Logged {
            first,
            last: self.newest,
            time_ms,
            scope,
            chain,
            purges,
        });
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl AuditLine {
    /// Of what it says, for the log.
    pub(super) fn digest(&self) -> u64 {
        match self.cleared {
            Some(cleared) => cleared.digest,
            None => hash(&(self.time_ms, &*self.entry.body)),
        }
    }

    /// 0 and what it says, or 1 and what is left of it.
    fn encode(&self) -> Vec<u8> {
        match self.cleared {
            None => [&[0], &self.entry.body[..]].concat(),
            Some(Cleared { leaf, digest }) => [&[1], &leaf[..], &digest.to_be_bytes()].concat(),
        }
    }

    /// What [`Self::encode`] wrote.
    fn decode(
        (scope, time_ms): (Scope, i64),
        mut rest: &[u8],
        about: &[(Kind, Box<str>)],
    ) -> Option<Self> {
        let [form] = take(&mut rest)?;
        let cleared = match form {
            0 => None,
            _ => Some(Cleared {
                leaf: take(&mut rest)?,
                digest: u64::from_be_bytes(take(&mut rest)?),
            }),
        };
        let entry = AuditEntry {
            body: Bytes::copy_from_slice(rest),
            about: about.to_vec(),
        };
        Some(Self {
            scope,
            time_ms,
            entry,
            cleared,
        })
    }
}

/// Kind, version, id, patient, whether it was purged, and content.
fn encode(scope: Scope, record: &Record, purged: Option<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&scope.0.to_be_bytes());
    bytes.extend_from_slice(&record.kind.0.to_be_bytes());
    bytes.extend_from_slice(&record.version.to_be_bytes());
    put_text(&mut bytes, &record.id);
    match &record.seal {
        SealKey::Scope => bytes.push(0),
        SealKey::Patient(id) => {
            bytes.push(1);
            put_text(&mut bytes, id);
        }
    }
    match (&record.content, purged) {
        (Content::Deleted, _) => bytes.push(0),
        (Content::Body(body), None) => {
            bytes.push(1);
            bytes.extend_from_slice(body);
        }
        (Content::Body(_), Some(digest)) => {
            bytes.push(2);
            bytes.extend_from_slice(&digest.to_be_bytes());
        }
    }
    bytes
}

/// What [`encode`] wrote, and the digest of what was purged.
fn decode(rest: &mut &[u8], time_ms: i64) -> Option<(Record, Option<u64>)> {
    let _scope: [u8; 4] = take(rest)?;
    let kind = Kind(u32::from_be_bytes(take(rest)?));
    let version = u64::from_be_bytes(take(rest)?);
    let id = take_text(rest)?;
    let seal = match take(rest)? {
        [0] => SealKey::Scope,
        _ => SealKey::Patient(take_text(rest)?),
    };
    let [form] = take(rest)?;
    let (content, purged) = match form {
        0 => (Content::Deleted, None),
        1 => (Content::Body(Bytes::copy_from_slice(rest)), None),
        _ => {
            let digest = u64::from_be_bytes(take(rest)?);
            (Content::Body(Bytes::new()), Some(digest))
        }
    };
    let record = Record {
        kind,
        id,
        version,
        time_ms,
        seq: Seq(0),
        seal,
        content,
    };
    Some((record, purged))
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*bytes)
}

fn take_text(rest: &mut &[u8]) -> Option<Box<str>> {
    let length = u32::from_be_bytes(take(rest)?) as usize;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(str::from_utf8(text).ok()?.into())
}
