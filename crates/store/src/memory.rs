//! The memory twin: the contract at its plainest, for tests and as an oracle.
//!
//! Every version stays, every point can be seen again, every query looks at
//! every record. It keeps nothing on disk.

mod audit_tree;
mod blobs;
mod log;
mod past;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    At, AuditEntry, AuditQuery, AuditRecord, AuditTree, Batch, Candidate, Change, Committed,
    Content, Error, Filter, Found, History, HistoryOf, Hit, Kind, Param, Plan, PlanStep, Position,
    Precondition, Purge, Put, Query, Record, Reindexed, Reply, Row, Rows, Scope, SealKey,
    SealedVersion, SealedVersions, Seq, Shred, Snapshot, Sort, Store, Superseded,
    SupersededVersion,
};

use blobs::Kept;
use log::Logged;
use past::Past;

/// A store in memory. A clone is another handle of the same store.
#[derive(Clone, Default)]
pub struct Memory(Arc<RwLock<State>>);

#[derive(Default)]
struct State {
    closed: bool,
    newest: Seq,
    /// All versions of each record, oldest first.
    records: BTreeMap<(Scope, Kind, Box<str>), Vec<Version>>,
    /// Where each version lies, in commit order.
    log: BTreeMap<Seq, LogEntry>,
    audit: BTreeMap<Seq, AuditLine>,
    /// The batches that took seqs, in their order.
    batches: Vec<Logged>,
    chain: u64,
    /// Those who wait for another.
    waiting: Vec<Waker>,
    blobs: BTreeMap<(Scope, Box<str>), Kept>,
}

struct Version {
    record: Record,
    purged: bool,
    rows: Vec<Row>,
}

struct LogEntry {
    scope: Scope,
    record: Record,
    ends_batch: bool,
    purged: bool,
    /// Of what was put.
    digest: u64,
}

struct AuditLine {
    scope: Scope,
    time_ms: i64,
    /// Empty if it was cleared.
    entry: AuditEntry,
    cleared: Option<Cleared>,
}

/// What is left of an entry.
#[derive(Clone, Copy)]
struct Cleared {
    leaf: [u8; 32],
    /// As the log has it.
    digest: u64,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows of a record's newest version, for the suites.
    pub(crate) fn current_rows(&self, scope: Scope, kind: Kind, id: &str) -> Vec<Row> {
        self.read(|state| {
            let newest = state.versions((scope, kind, id)).last();
            newest.map_or_else(Vec::new, |version| version.rows.clone())
        })
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        // A panic of another thread leaves no half batch behind: nothing in a commit panics.
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reply<'a, T: Send + 'a>(result: Result<T, Error>) -> Reply<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Store for Memory {
    fn snapshot(&self, scope: Scope, at: At) -> Reply<'_, Box<dyn Snapshot>> {
        let newest = self.read(|state| state.newest);
        let seq = match at {
            At::Now => newest,
            At::Seq(seq) if seq > newest => return reply(Err(Error::SnapshotGone(seq))),
            At::Seq(seq) => seq,
        };
        let store = self.clone();
        reply(Ok(Box::new(View { store, scope, seq })))
    }

    fn commit(&self, batch: Batch) -> Reply<'_, Committed> {
        reply(self.write(|state| state.commit(batch)))
    }

    fn changes(&self, after: Seq, limit: usize) -> Reply<'_, Vec<Change>> {
        let change = |entry: &LogEntry| Change {
            scope: entry.scope,
            record: entry.record.clone(),
            purged: entry.purged,
            ends_batch: entry.ends_batch,
        };
        reply(Ok(self.read(|state| {
            let entries = state.log.range(Seq(after.0.saturating_add(1))..);
            entries
                .map(|(_, entry)| change(entry))
                .take(limit)
                .collect()
        })))
    }

    fn sealed<'a>(
        &'a self,
        scope: Scope,
        patient: &'a str,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, SealedVersions> {
        reply(Ok(
            self.read(|state| state.sealed((scope, patient), after, limit))
        ))
    }

    fn forget(&self) -> Reply<'_, ()> {
        reply(self.read(State::open))
    }

    fn audit_tree(&self) -> &dyn AuditTree {
        self
    }

    fn ready(&self) -> Reply<'_, ()> {
        reply(self.read(State::open))
    }

    fn check(&self) -> Reply<'_, Vec<String>> {
        reply(Ok(Vec::new()))
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn close(&self) -> Reply<'_, ()> {
        self.write(|state| state.closed = true);
        reply(Ok(()))
    }
}

impl State {
    fn open(&self) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Unavailable("the store is closed".into()));
        }
        Ok(())
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, Error> {
        self.open()?;
        batch.validate()?;
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            if !self.holds(batch.scope, precondition) {
                let precondition = Some(index);
                return Err(Error::Conflict { precondition });
            }
        }
        for put in &batch.puts {
            let newest = self.newest_version(batch.scope, put.kind, &put.id);
            if newest.unwrap_or(0).checked_add(1) != Some(put.version) {
                return Err(Error::Conflict { precondition: None });
            }
        }
        // Nothing can fail from here.
        for reindexed in batch.reindexed {
            self.reindex(batch.scope, reindexed);
        }
        for Purge { kind, id, below } in &batch.purged {
            let below = *below;
            self.purge((batch.scope, *kind, id.clone()), |version| version < below);
        }
        for Shred { kind, id, versions } in batch.shredded {
            let is = |version: u64| versions.contains(&version);
            self.purge((batch.scope, kind, id), is);
        }
        let first = Seq(self.newest.0 + 1);
        let last = batch.puts.len().saturating_sub(1);
        for (index, put) in batch.puts.into_iter().enumerate() {
            self.put(batch.scope, batch.time_ms, put, index == last);
        }
        for entry in batch.audit {
            let line = AuditLine {
                scope: batch.scope,
                time_ms: batch.time_ms,
                entry,
                cleared: None,
            };
            let seq = self.next_seq();
            self.audit.insert(seq, line);
        }
        if self.newest < first && !batch.purged.is_empty() {
            self.next_seq();
        }
        if self.newest >= first {
            let digests: Vec<u64> = self
                .log
                .range(first..)
                .map(|(_, entry)| entry.digest)
                .collect();
            let chain = log::link(self.chain, first, &digests);
            self.log_it((batch.scope, batch.time_ms), first, chain, batch.purged);
        }
        Ok(Committed { seq: self.newest })
    }

    fn holds(&self, scope: Scope, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::VersionIs { kind, id, version } => {
                self.newest_version(scope, *kind, id) == *version
            }
            Precondition::NoneMatch(query) => self
                .at(scope, self.newest)
                .matching(query.kind, &query.filter)
                .is_empty(),
        }
    }

    fn versions(&self, (scope, kind, id): (Scope, Kind, &str)) -> &[Version] {
        let versions = self.records.get(&(scope, kind, id.into()));
        versions.map_or(&[], Vec::as_slice)
    }

    fn newest_version(&self, scope: Scope, kind: Kind, id: &str) -> Option<u64> {
        let versions = self.records.get(&(scope, kind, id.into()))?;
        versions.last().map(|version| version.record.version)
    }

    /// What came after a point and was superseded until another, oldest first.
    fn superseded(
        &self,
        (scope, kind, id): (Scope, Kind, Option<&str>),
        after: Seq,
        until: Seq,
    ) -> Vec<(&Version, i64)> {
        let records = self.records.range((scope, kind, "".into())..);
        let records = records.take_while(|((s, k, _), _)| (*s, *k) == (scope, kind));
        let records = records.filter(|((.., of), _)| id.is_none_or(|id| **of == *id));
        let pairs = records.flat_map(|(_, versions)| versions.windows(2));
        let mut all: Vec<_> = pairs
            .filter_map(|pair| match pair {
                [old, newer] if newer.record.seq <= until => Some((old, newer.record.time_ms)),
                _ => None,
            })
            .filter(|(version, _)| version.record.seq > after)
            .collect();
        all.sort_by_key(|(version, _)| version.record.seq);
        all
    }

    /// What a patient's key sealed, of the versions behind a point.
    fn sealed(&self, (scope, patient): (Scope, &str), after: Seq, limit: usize) -> SealedVersions {
        let mut behind = self.log.range(Seq(after.0.saturating_add(1))..);
        let looked: Vec<_> = behind.by_ref().take(limit).collect();
        let last = looked.last().map(|(seq, _)| **seq);
        let is = |entry: &&LogEntry| {
            let by = matches!(&entry.record.seal, SealKey::Patient(id) if **id == *patient);
            entry.scope == scope && by && !entry.purged
        };
        let versions = looked.into_iter().map(|(_, entry)| entry).filter(is);
        SealedVersions {
            versions: versions
                .map(|LogEntry { record, .. }| SealedVersion {
                    kind: record.kind,
                    id: record.id.clone(),
                    version: record.version,
                    newest: self
                        .newest_version(scope, record.kind, &record.id)
                        .unwrap_or(record.version),
                    deleted: record.content == Content::Deleted,
                })
                .collect(),
            next: last.filter(|_| behind.next().is_some()),
        }
    }

    fn put(&mut self, scope: Scope, time_ms: i64, put: Put, ends_batch: bool) {
        let seq = self.next_seq();
        let record = Record {
            kind: put.kind,
            id: put.id.clone(),
            version: put.version,
            time_ms,
            seq,
            content: put.content,
            seal: put.seal,
        };
        let entry = LogEntry {
            scope,
            digest: log::digest(scope, &record),
            record: record.clone(),
            ends_batch,
            purged: false,
        };
        self.log.insert(seq, entry);
        let mut rows = put.rows;
        Row::sort(&mut rows);
        let versions = self.records.entry((scope, put.kind, put.id)).or_default();
        versions.push(Version {
            record,
            purged: false,
            rows,
        });
    }

    fn purge(&mut self, name: (Scope, Kind, Box<str>), is: impl Fn(u64) -> bool) {
        let versions = self.records.get_mut(&name);
        let Some((_, older)) = versions.and_then(|versions| versions.split_last_mut()) else {
            return;
        };
        for version in older.iter_mut() {
            let entry = self.log.get_mut(&version.record.seq);
            if let (Content::Body(body), Some(entry)) = (&mut version.record.content, entry)
                && is(version.record.version)
            {
                *body = Bytes::new();
                version.purged = true;
                entry.record = version.record.clone();
                entry.purged = true;
            }
        }
    }

    fn reindex(&mut self, scope: Scope, new: Reindexed) {
        let versions = self.records.get_mut(&(scope, new.kind, new.id.clone()));
        let Some(version) = versions.and_then(|versions| versions.last_mut()) else {
            return;
        };
        let record = &version.record;
        if record.version == new.version && record.content != Content::Deleted {
            version.rows = new.rows;
            Row::sort(&mut version.rows);
        }
    }

    fn next_seq(&mut self) -> Seq {
        self.newest = Seq(self.newest.0 + 1);
        self.newest
    }

    fn at(&self, scope: Scope, at: Seq) -> Past<'_> {
        Past {
            state: self,
            scope,
            at,
        }
    }
}

impl Version {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            id: &self.record.id,
            time_ms: self.record.time_ms,
            seq: self.record.seq,
            rows: Rows::of(&self.rows),
        }
    }
}

/// A scope at a point.
struct View {
    store: Memory,
    scope: Scope,
    seq: Seq,
}

impl Snapshot for View {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn get<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        reply(self.newest(kind, id))
    }

    fn version<'a>(&'a self, kind: Kind, id: &'a str, version: u64) -> Reply<'a, Option<Record>> {
        reply(self.store.read(|state| {
            let versions = state.versions((self.scope, kind, id)).iter();
            let mut found = versions.filter(|one| one.record.version == version);
            match found.next() {
                Some(one) if one.purged => Err(Error::Purged),
                found => Ok(found
                    .filter(|one| one.record.seq <= self.seq)
                    .map(|one| one.record.clone())),
            }
        }))
    }

    fn superseded<'a>(
        &'a self,
        kind: Kind,
        id: Option<&'a str>,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, Superseded> {
        let found = self.store.read(|state| {
            let mut all = state.superseded((self.scope, kind, id), after, self.seq);
            let more = all.len() > limit;
            all.truncate(limit);
            let next = all.last().map(|(version, _)| version.record.seq);
            let newest = |id: &str| state.newest_version(self.scope, kind, id).unwrap_or(0);
            let kept = all.into_iter().filter(|(version, _)| {
                !version.purged && version.record.content != Content::Deleted
            });
            let versions = kept.map(
                |(Version { record, .. }, superseded_ms)| SupersededVersion {
                    id: record.id.clone(),
                    version: record.version,
                    newest: newest(&record.id),
                    time_ms: record.time_ms,
                    superseded_ms,
                    seal: record.seal.clone(),
                },
            );
            Superseded {
                versions: versions.collect(),
                next: next.filter(|_| more),
            }
        });
        reply(Ok(found))
    }

    fn history<'a>(&'a self, query: &'a History) -> Reply<'a, Found> {
        let wanted = |record: &Record| match &query.of {
            HistoryOf::Record(kind, id) => record.kind == *kind && record.id == *id,
            HistoryOf::Kinds(kinds) => kinds.contains(&record.kind),
        };
        let hits = self.store.read(|state| {
            let entries = state.log.range(..=self.seq).rev().map(|(_, entry)| entry);
            let entries = entries.filter(|entry| entry.scope == self.scope && !entry.purged);
            let records = entries.map(|entry| &entry.record);
            let records = records.filter(|record| wanted(record));
            let records =
                records.filter(|record| query.since_ms.is_none_or(|since| record.time_ms >= since));
            let records = records.filter(|record| {
                let next = || next_ms(self, state, record);
                query
                    .current_ms
                    .is_none_or(|span| record.is_current_in(span, next))
            });
            records
                .cloned()
                .map(|record| Hit {
                    record,
                    rows: Vec::new(),
                })
                .collect()
        });
        reply(page(hits, query.limit, query.after))
    }

    fn find<'a>(&'a self, query: &'a Query) -> Reply<'a, Found> {
        if let Err(error) = query.validate() {
            return reply(Err(error));
        }
        let (hits, purged) = self.store.read(|state| {
            let mut found = state
                .at(self.scope, self.seq)
                .matching(query.kind, &query.filter);
            found.sort_by(|a, b| Sort::compare(&query.sort, &a.candidate(), &b.candidate()));
            let purged: BTreeSet<Seq> = found
                .iter()
                .filter(|version| version.purged)
                .map(|version| version.record.seq)
                .collect();
            let hits = found.into_iter().map(|version| Hit {
                record: version.record.clone(),
                rows: Rows::of(&version.rows).pick(&query.rows),
            });
            (hits.collect(), purged)
        });
        let found = page(hits, query.limit, query.after);
        reply(match found {
            Ok(found)
                if found
                    .hits
                    .iter()
                    .any(|hit| purged.contains(&hit.record.seq)) =>
            {
                Err(Error::SnapshotGone(self.seq))
            }
            found => found,
        })
    }

    fn explain<'a>(&'a self, query: &'a Query) -> Reply<'a, (Found, Plan)> {
        let rows = self.store.read(|state| {
            let past = state.at(self.scope, self.seq);
            past.matching(query.kind, &Filter::Everything).len() as u64
        });
        Box::pin(async move {
            let found = self.find(query).await?;
            let step = PlanStep {
                what: "look at every record",
                conditions: Vec::new(),
                rows_expected: Some(rows),
                rows,
                time: Duration::ZERO,
            };
            let plan = Plan {
                records: Some(rows),
                conditions: Vec::new(),
                steps: vec![step],
                rows,
            };
            Ok((found, plan))
        })
    }

    fn estimate<'a>(&'a self, query: &'a Query) -> Reply<'a, Option<u64>> {
        Box::pin(async move { self.count(query).await.map(Some) })
    }

    fn walk<'a>(
        &'a self,
        kind: Kind,
        before: Seq,
        limit: usize,
        rows: &'a [Param],
    ) -> Reply<'a, Vec<Hit>> {
        let hits = self.store.read(|state| {
            let mut all = state
                .at(self.scope, self.seq)
                .matching(kind, &Filter::Everything);
            all.retain(|version| version.record.seq < before);
            all.sort_by_key(|version| std::cmp::Reverse(version.record.seq));
            let all = all.into_iter().take(limit);
            let hit = |version: &Version| match version.purged {
                true => Err(Error::SnapshotGone(self.seq)),
                false => Ok(Hit {
                    record: version.record.clone(),
                    rows: Rows::of(&version.rows).pick(rows),
                }),
            };
            all.map(hit).collect()
        });
        reply(hits)
    }

    fn count<'a>(&'a self, query: &'a Query) -> Reply<'a, u64> {
        if let Err(error) = query.validate() {
            return reply(Err(error));
        }
        let count = self.store.read(|state| {
            let past = state.at(self.scope, self.seq);
            past.matching(query.kind, &query.filter).len()
        });
        reply(Ok(count as u64))
    }

    fn changed<'a>(&'a self, kinds: &'a [Kind]) -> Reply<'a, Option<Seq>> {
        let is = |entry: &LogEntry| entry.scope == self.scope && kinds.contains(&entry.record.kind);
        reply(Ok(self.store.read(|state| {
            let mut newest_first = state.log.range(..=self.seq).rev();
            let found = newest_first.find(|(_, entry)| is(entry));
            found.map(|(seq, _)| *seq)
        })))
    }

    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Reply<'a, Vec<AuditRecord>> {
        let wanted = |line: &AuditLine| {
            line.scope == self.scope
                && line.cleared.is_none()
                && query
                    .about
                    .as_ref()
                    .is_none_or(|about| line.entry.about.contains(about))
                && query.from_ms.is_none_or(|from| line.time_ms >= from)
                && query.to_ms.is_none_or(|to| line.time_ms < to)
        };
        let record = |(seq, line): (&Seq, &AuditLine)| AuditRecord {
            seq: *seq,
            time_ms: line.time_ms,
            body: line.entry.body.clone(),
        };
        let mut records: Vec<_> = self.store.read(|state| {
            let lines = state.audit.range(..=self.seq);
            lines.filter(|(_, line)| wanted(line)).map(record).collect()
        });
        if !query.ascending {
            records.reverse();
        }
        if let Some(after) = query.after {
            records.retain(|record| (record.seq > after) == query.ascending && record.seq != after);
        }
        records.truncate(query.limit);
        reply(Ok(records))
    }
}

impl View {
    /// The newest version of a record at this point.
    fn newest(&self, kind: Kind, id: &str) -> Result<Option<Record>, Error> {
        self.store.read(|state| {
            let newest_first = state.versions((self.scope, kind, id)).iter().rev();
            // Whether what was purged came before or after this point is forgotten.
            let mut seen = newest_first.skip_while(|one| one.record.seq > self.seq && !one.purged);
            match seen.next() {
                Some(one) if one.purged => Err(Error::SnapshotGone(self.seq)),
                found => Ok(found.map(|one| one.record.clone())),
            }
        })
    }
}

/// When the version behind one came, as far as this view shows.
fn next_ms(view: &View, state: &State, record: &Record) -> Option<i64> {
    let name = (view.scope, record.kind, record.id.clone());
    let versions = state.records.get(&name)?.iter();
    let mut records = versions.map(|version| &version.record);
    let next = records.find(|next| next.version == record.version + 1)?;
    (next.seq <= view.seq).then_some(next.time_ms)
}

/// Cuts a page out of all hits.
fn page(mut hits: Vec<Hit>, limit: usize, at: Option<Position>) -> Result<Found, Error> {
    let named = at.and_then(Position::seq);
    let place = named.map(|seq| hits.iter().position(|hit| hit.record.seq == seq));
    let begin = match place {
        Some(None) => return Err(Error::Misuse("not a position of this query")),
        Some(Some(place)) => place + 1,
        None if at == Some(Position::End) => hits.len(),
        None => 0,
    };
    if limit == 0 {
        return Ok(Found::default());
    }
    let (begin, end) = match at.is_some_and(Position::is_backward) {
        true => (begin.saturating_sub(limit), begin),
        false => (begin, begin.saturating_add(limit).min(hits.len())),
    };
    let seq = |at: usize| hits.get(at).map(|hit| hit.record.seq);
    let before = |at: usize| at.checked_sub(1).and_then(seq);
    let more = end < hits.len() || matches!(at, Some(Position::UpTo(_)));
    let previous = before(begin).map(Position::UpTo);
    let next = before(end).filter(|_| more).map(Position::After);
    hits.truncate(end);
    hits.drain(..begin);
    Ok(Found {
        hits,
        next,
        previous,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Engine;

    struct InMemory;

    impl Engine for InMemory {
        fn create(&self) -> Arc<dyn Store> {
            Arc::new(Memory::new())
        }
    }

    conformance!(InMemory);

    #[derive(Default)]
    struct Logs(std::sync::Mutex<Option<Memory>>);

    impl crate::log_conformance::Engine for Logs {
        fn create(&self) -> Arc<dyn crate::log_conformance::Logged> {
            Arc::new(Memory::new())
        }

        fn restore(&self, _: &[Bytes]) -> Box<dyn crate::Restoring> {
            let (store, restoring) = Memory::restore();
            *self.0.lock().unwrap() = Some(store);
            restoring
        }

        fn restored(&self) -> Arc<dyn crate::log_conformance::Logged> {
            Arc::new(self.0.lock().unwrap().clone().unwrap())
        }
    }

    mod logs {
        use super::Logs;

        log_conformance!(Logs::default());
    }
}
