//! The committer: one task through which all batches go.
//!
//! It drains the queue into a group, decides the preconditions of each batch
//! against the store and the batches before it in the group, gives out seqs,
//! writes the whole group durably at once and answers all. While it waits for
//! the disk, the next group gathers.
//!
//! A batch that fails its preconditions leaves no trace. When the write itself
//! fails it is unknown what the disk holds, and seqs could be given out twice:
//! nothing is committed any more until the store is opened again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_store::{Committed, Error, Held, Kind, Precondition, Query, Scope, Seq};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::body::{self, sealing};
use crate::core::{Core, META_FRONTIER, META_STATE, State, read_count, set};
use crate::kv::{View, When, Write};
use crate::newest::Newest;
use crate::prepare::{Dates, Prepared, PreparedPut};
use crate::purge::{self, PreparedPurge};
use crate::queue::Queue;
use crate::reader::Reader;
use crate::reindex::PreparedRows;
use crate::text::Edits;
use crate::tree::Tree;
use crate::{ahead, chain, index, keys, row};

/// A group is written when it has this many keys, even if more batches wait.
const GROUP_KEYS_MAX: usize = 50_000;
/// Batches that wait for their turn; more wait outside.
pub(crate) const QUEUE_MAX: usize = 1024;

/// The longest that a group waits for company.
const LINGER_MAX: Duration = Duration::from_millis(1);

/// Where the answer to a batch goes.
type Answer = oneshot::Sender<Result<Committed, Error>>;

/// A batch, where the answer goes, and the runtime of whoever waits for it.
pub(crate) struct Job {
    batch: Prepared,
    answer: Answer,
    caller: Option<Handle>,
}

impl Job {
    /// Of the caller on whose runtime this is called.
    pub(crate) fn new(batch: Prepared) -> (Self, oneshot::Receiver<Result<Committed, Error>>) {
        let (answer, answered) = oneshot::channel();
        let caller = Handle::try_current().ok();
        let job = Self {
            batch,
            answer,
            caller,
        };
        (job, answered)
    }
}

pub(crate) struct Committer {
    core: Arc<Core>,
    state: State,
    tree: Tree,
    counts: HashMap<(Scope, Kind), u64>,
}

/// What a group will write, and what it makes true.
#[derive(Default)]
struct Group {
    writes: Vec<Write>,
    /// What nobody sees before the group is shown.
    ahead: Vec<Write>,
    newest: HashMap<(Scope, Kind, Box<str>), Overlaid>,
    /// Old and new seq.
    superseded: Vec<(u64, u64)>,
    /// Versions that get new rows.
    reindexed: Vec<u64>,
    /// Of what the texts of those were, and are now.
    texts: Option<Edits>,
    purged: Vec<(Scope, PreparedPurge)>,
    /// Let go when the group is shown.
    held: Vec<Held>,
    counted: Vec<(Scope, Kind)>,
    dated: Vec<(Scope, Kind)>,
    sampled: HashMap<(Scope, Kind), Vec<u8>>,
    answers: Vec<(Answer, Seq)>,
}

/// A record as a batch before in the group has left it.
struct Overlaid {
    newest: Newest,
    entry: Vec<u8>,
}

impl Committer {
    pub(crate) fn new(core: Arc<Core>, state: State, tree: Tree) -> Self {
        Self {
            core,
            state,
            tree,
            counts: HashMap::new(),
        }
    }

    /// Works until the queue is closed and empty.
    ///
    /// It holds its thread while it lingers and while it decides, so it runs
    /// where the engine writes: from one to the other no thread is woken.
    pub(crate) async fn run(mut self, queue: Arc<Queue<Job>>) {
        let queue = Taker(queue);
        let (mut expected, mut linger) = (1, Duration::ZERO);
        while queue.0.wait().await {
            let mut size = 0;
            let jobs = queue.0.take(expected, linger, |job| {
                size += job.batch.size();
                size < GROUP_KEYS_MAX
            });
            let taken = jobs.len();
            let begun = Instant::now();
            self.commit(jobs).await;
            linger = begun.elapsed().min(LINGER_MAX);
            // Those just answered, and those who wait already.
            expected = taken + queue.0.len();
        }
    }

    async fn commit(&mut self, jobs: Vec<Job>) {
        let caller = jobs.last().and_then(|job| job.caller.clone());
        let mut refused = Vec::new();
        let mut group = self.group(jobs, &mut refused);
        let answers = std::mem::take(&mut group.answers);
        let held = std::mem::take(&mut group.held);
        let written = self.write(group).await;
        drop(held);
        let answers = answers.into_iter().map(|(answer, seq)| match &written {
            Ok(()) => (answer, Ok(Committed { seq })),
            Err(error) => (answer, Err(again(error))),
        });
        refused.extend(answers);
        give(refused, caller);
    }

    /// Decides each batch in turn; those that may not happen are `refused`.
    fn group(&mut self, jobs: Vec<Job>, refused: &mut Vec<Answered>) -> Group {
        let begun = self.begin();
        let mut group = Group::default();
        for Job {
            mut batch, answer, ..
        } in jobs
        {
            let decided = match &begun {
                Ok(view) => self.decide(view, &group, &mut batch),
                Err(error) => Err(again(error)),
            };
            match decided {
                Ok(before) => {
                    let seq = self.apply(&mut group, batch, before);
                    group.answers.push((answer, Seq(seq)));
                }
                Err(error) => refused.push((answer, Err(error))),
            }
        }
        group
    }

    /// Makes sure that a group can be written, as far as can be known before.
    fn begin(&mut self) -> Result<View, Error> {
        self.core.ready()?;
        self.core.space.check()?;
        // Keys must be durable before what they seal. Counted before: those
        // that others make from now on need not be.
        let slots = self.core.keyring.slots();
        self.core.keyring.sync().map_err(sealing)?;
        self.state.slots = slots;
        self.core.kv.view()
    }

    /// What each put of the batch replaces, if the batch may happen. New rows
    /// of versions that are no longer current are dropped.
    fn decide(
        &mut self,
        view: &View,
        group: &Group,
        batch: &mut Prepared,
    ) -> Result<Vec<Option<Newest>>, Error> {
        self.is_next(batch)?;
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            let holds = match precondition {
                Precondition::VersionIs { kind, id, version } => {
                    let newest = newest(view, group, (batch.scope, *kind, id))?;
                    newest.map(|newest| newest.version) == *version
                }
                Precondition::NoneMatch(query) => self.none_matches(group, batch.scope, query)?,
            };
            if !holds {
                let precondition = Some(index);
                return Err(Error::Conflict { precondition });
            }
        }
        let mut before = Vec::with_capacity(batch.puts.len());
        for put in &batch.puts {
            let newest = newest(view, group, (batch.scope, put.kind, &put.id))?;
            let version = newest.map_or(0, |newest| newest.version);
            if version.checked_add(1) != Some(put.version) {
                return Err(Error::Conflict { precondition: None });
            }
            self.load_count(view, batch.scope, put.kind)?;
            self.core.samples.load(view, (batch.scope, put.kind))?;
            before.push(newest);
        }
        for new in std::mem::take(&mut batch.reindexed) {
            self.core.samples.load(view, (batch.scope, new.kind))?;
            if !is_current(view, group, (batch.scope, &new))? {
                continue;
            }
            if !as_before(view, group, (batch.scope, &new))? {
                return Err(Error::Conflict { precondition: None });
            }
            batch.reindexed.push(new);
        }
        Ok(before)
    }

    /// Refuses a batch of another's log that does not belong here.
    fn is_next(&self, batch: &Prepared) -> Result<(), Error> {
        let Some(expected) = batch.expected else {
            return Ok(());
        };
        let first = self.state.seq + 1;
        let seqs = (batch.puts.len() + batch.audit.len()).max(1) as u64;
        if (expected.first, expected.last) != (first, self.state.seq + seqs) {
            return Err(Error::Damaged(format!("the log has no batch at {first}")));
        }
        let digests = batch.puts.iter().map(|put| put.digest);
        let chain = match batch.puts.is_empty() {
            true => self.state.chain,
            false => chain::Link::new(self.state.chain, first, digests).hash,
        };
        match chain == expected.chain {
            true => Ok(()),
            false => Err(Error::Damaged(format!(
                "the batch at {first} is not the one that was written"
            ))),
        }
    }

    fn load_count(&mut self, view: &View, scope: Scope, kind: Kind) -> Result<(), Error> {
        if let Entry::Vacant(missing) = self.counts.entry((scope, kind)) {
            missing.insert(read_count(view, scope, kind)?);
        }
        Ok(())
    }

    /// Whether no current record matches, the group's own puts included.
    fn none_matches(&self, group: &Group, scope: Scope, query: &Query) -> Result<bool, Error> {
        let ours = |id: &str| {
            let found = group.newest.get(&(scope, query.kind, id.into()));
            found.map(|overlaid| overlaid.newest.seq)
        };
        for ((s, kind, _), overlaid) in &group.newest {
            if (*s, *kind) != (scope, query.kind) || overlaid.newest.deleted {
                continue;
            }
            let candidate = row::Entry::read(&overlaid.entry)?.candidate(overlaid.newest.seq)?;
            if query.filter.matches(&candidate) {
                return Ok(false);
            }
        }
        let reader = Reader::now(&self.core, scope)?;
        let replaced = group.newest.keys();
        let replaced = replaced.filter(|(s, kind, _)| (*s, *kind) == (scope, query.kind));
        let wanted = replaced.count() + 1;
        let found = reader.ids(query, wanted)?;
        Ok(found.iter().all(|id| ours(id).is_some()))
    }

    /// Adds a batch to the group and gives its last seq.
    fn apply(&mut self, group: &mut Group, batch: Prepared, before: Vec<Option<Newest>>) -> u64 {
        let scope = batch.scope;
        self.state.latest_ms = self.state.latest_ms.max(batch.time_ms);
        let lag_ms = self.state.latest_ms.saturating_sub(batch.time_ms);
        self.state.lag_ms = self.state.lag_ms.max(lag_ms);
        self.chain(group, &batch);
        let first = self.state.seq + 1;
        for mut block in batch.texts {
            keys::set_seq(&mut block.key, first + block.first);
            group.ahead.push(set(block.key, block.value));
        }
        group.held.extend(batch.held);
        let alone = batch.puts.is_empty() && batch.audit.is_empty();
        let purges = batch.purged.iter().filter_map(PreparedPurge::logged);
        let purges: Vec<_> = purges.collect();
        let purged = batch.purged.into_iter().map(|purge| (scope, purge));
        group.purged.extend(purged);
        for new in batch.reindexed {
            self.apply_rows(group, scope, new);
        }
        let without_versions = batch.puts.is_empty();
        for (put, before) in batch.puts.into_iter().zip(before) {
            self.apply_put(group, scope, put, before);
        }
        let (entries, is_own) = (batch.audit.len(), batch.expected.is_none());
        for (place, mut entry) in batch.audit.into_iter().enumerate() {
            let seq = self.next_seq();
            if is_own {
                let first = without_versions && place == 0;
                entry.entry.set_place(first, place + 1 == entries);
            }
            entry.entry.set_latest(self.state.latest_ms);
            self.tree.append(seq, entry.entry.leaf, &mut group.writes);
            for (kind, id) in &entry.about {
                let key = keys::record_at(keys::ABOUT, scope, *kind, id, seq);
                group.writes.push(set(key, Vec::new()));
            }
            let key = keys::audit(scope, seq);
            group.writes.push(set(key, entry.entry.bytes));
        }
        if !purges.is_empty() {
            let logged = purge::Logged {
                alone,
                time_ms: batch.time_ms,
                scope,
                purges,
            };
            let seq = if alone {
                self.next_seq()
            } else {
                self.state.seq
            };
            let key = keys::at(keys::PURGES, seq);
            group.writes.push(set(key, logged.to_bytes()));
        }
        self.state.seq
    }

    /// Adds a batch to the chain of changes.
    fn chain(&mut self, group: &mut Group, batch: &Prepared) {
        if batch.puts.is_empty() {
            return;
        }
        let first = self.state.seq + 1;
        let digests = batch.puts.iter().map(|put| put.digest);
        let link = chain::Link::new(self.state.chain, first, digests);
        self.state.chain = link.hash;
        group
            .writes
            .push(set(keys::at(keys::CHAIN, first), link.to_bytes()));
    }

    fn apply_put(
        &mut self,
        group: &mut Group,
        scope: Scope,
        mut put: PreparedPut,
        before: Option<Newest>,
    ) {
        let seq = self.next_seq();
        let kind = put.kind;
        body::set_latest(&mut put.body, self.state.latest_ms);
        group.ahead.push(set(keys::at(keys::BODY, seq), put.body));
        let newest = Newest {
            seq,
            version: put.version,
            deleted: put.deleted,
        };
        let key = keys::record(keys::NEWEST, scope, kind, &put.id);
        group.writes.push(set(key, newest.to_bytes()));
        if let Some(old) = before {
            let key = keys::record_at(keys::VERSION, scope, kind, &put.id, old.version);
            group.writes.push(set(key, old.seq.to_be_bytes().into()));
            if !old.deleted {
                let key = keys::of_kind_at(keys::PAST, scope, kind, old.seq);
                group.writes.push(set(key, Vec::new()));
                let kind = keys::of_kind(keys::CURRENT, scope, kind);
                group.writes.push(set(keys::garbage(seq, old.seq), kind));
                group.superseded.push((old.seq, seq));
            }
        }
        if put.deleted {
            let key = keys::of_kind_at(keys::PAST, scope, kind, seq);
            group.writes.push(set(key, Vec::new()));
        } else {
            row::set_latest(&mut put.entry, self.state.latest_ms);
            let key = keys::of_kind_at(keys::CURRENT, scope, kind, seq);
            group.ahead.push(set(key, put.entry.clone()));
            for mut key in put.index {
                keys::set_seq(&mut key, seq);
                let value = match index::has_hints(&key) {
                    true => put.hints.clone(),
                    false => Vec::new(),
                };
                group.ahead.push(set(key, value));
            }
            self.observe(group, (scope, kind), &put.dates);
        }
        if !put.deleted
            && let Some(sample) = self.core.samples.add((scope, kind), seq, &put.seen)
        {
            group.sampled.insert((scope, kind), sample);
        }
        let was = before.is_some_and(|old| !old.deleted);
        if was == put.deleted {
            group.counted.push((scope, kind));
            let count = self.counts.entry((scope, kind)).or_default();
            *count = if put.deleted {
                count.saturating_sub(1)
            } else {
                count.saturating_add(1)
            };
        }
        let overlaid = Overlaid {
            newest,
            entry: put.entry,
        };
        group.newest.insert((scope, kind, put.id), overlaid);
    }

    /// New rows for a version that stays.
    fn apply_rows(&mut self, group: &mut Group, scope: Scope, new: PreparedRows) {
        let kind = new.kind;
        let key = keys::of_kind_at(keys::CURRENT, scope, kind, new.seq);
        group.writes.push(set(key, new.entry.clone()));
        let set_keys = new.set.into_iter().map(|(key, value)| set(key, value));
        group.writes.extend(set_keys);
        let removed = new.removed.into_iter().map(|key| (key, None));
        group.writes.extend(removed);
        group.reindexed.push(new.seq);
        let (gone, added) = new.texts;
        if !(gone.is_empty() && added.is_empty()) {
            let texts = group.texts.get_or_insert_default();
            texts.take_out((scope, kind), new.seq, &gone);
            texts.lay((scope, kind), new.seq, &added);
        }
        self.observe(group, (scope, kind), &new.dates);
        let sample = self.core.samples.observe((scope, kind), &new.seen);
        group
            .sampled
            .extend(sample.map(|sample| ((scope, kind), sample)));
        let newest = Newest {
            seq: new.seq,
            version: new.version,
            deleted: false,
        };
        let overlaid = Overlaid {
            newest,
            entry: new.entry,
        };
        group.newest.insert((scope, kind, new.id), overlaid);
    }

    fn observe(&self, group: &mut Group, of: (Scope, Kind), dates: &Dates) {
        let mut main_dates = self.core.main_dates.write();
        if main_dates.entry(of).or_default().observe(dates) {
            group.dated.push(of);
        }
    }

    fn next_seq(&mut self) -> u64 {
        self.state.seq += 1;
        self.state.seq
    }

    /// Writes the group and shows it.
    async fn write(&mut self, mut group: Group) -> Result<(), Error> {
        let nothing = group.writes.is_empty() && group.ahead.is_empty();
        if nothing && group.purged.is_empty() {
            return Ok(());
        }
        group.counted.sort_unstable();
        group.counted.dedup();
        for (scope, kind) in group.counted {
            let count = self.counts.get(&(scope, kind)).copied().unwrap_or(0);
            let key = keys::of_kind(keys::COUNT, scope, kind);
            group.writes.push(set(key, count.to_be_bytes().into()));
        }
        for (scope, kind) in group.dated {
            let main_dates = self.core.main_dates.read();
            if let Some(main_date) = main_dates.get(&(scope, kind)) {
                let key = keys::of_kind(keys::DATES, scope, kind);
                group.writes.push(set(key, main_date.to_bytes()));
            }
        }
        for ((scope, kind), sample) in group.sampled {
            let key = keys::of_kind(keys::SAMPLE, scope, kind);
            group.writes.push(set(key, sample));
        }
        let frontier = self.tree.frontier().to_bytes();
        group.writes.push(set(keys::meta(META_FRONTIER), frontier));
        group
            .writes
            .push(set(keys::meta(META_STATE), self.state.to_bytes()));
        drop(group.newest);
        let changed = (group.texts, &*group.purged);
        let written = self.put((group.writes, group.ahead), changed).await;
        if let Err(error) = &written {
            self.core.fail(error);
            return written;
        }
        if !group.reindexed.is_empty() {
            self.core.cache.replace(&group.reindexed);
        }
        if !group.purged.is_empty() {
            let purged = group.purged.iter().flat_map(|(_, purge)| purge.seqs());
            self.core.cache.purge(purged);
        }
        if !group.superseded.is_empty() {
            self.core.superseded.add(group.superseded.into_iter());
        }
        let (seq, lag_ms) = (self.state.seq, self.state.lag_ms);
        self.core.show(seq, lag_ms, self.tree.frontier());
        Ok(())
    }

    /// Writes what a group writes, changes of postings, and purges. While those
    /// are changed, or new ones may yet be taken back, nobody else changes any.
    async fn put(
        &self,
        (mut writes, mut ahead): (Vec<Write>, Vec<Write>),
        (texts, purged): (Option<Edits>, &[(Scope, PreparedPurge)]),
    ) -> Result<(), Error> {
        let kv = &self.core.kv;
        let large = ahead::is_large(&ahead);
        let _texts = match large || texts.is_some() || !purged.is_empty() {
            true => Some(self.core.texts.lock().await),
            false => None,
        };
        if let Some(texts) = texts {
            writes.extend(texts.into_writes(&kv.view()?)?);
        }
        if !purged.is_empty() {
            writes.extend(purge::writes(&kv.view()?, purged)?);
        }
        if large {
            return ahead::write(kv, ahead, writes).await;
        }
        // In this order: rows made anew may replace some of the same group.
        ahead.extend(writes);
        kv.write(ahead, When::Now).await
    }
}

fn newest(
    view: &View,
    group: &Group,
    (scope, kind, id): (Scope, Kind, &str),
) -> Result<Option<Newest>, Error> {
    if !group.newest.is_empty()
        && let Some(overlaid) = group.newest.get(&(scope, kind, id.into()))
    {
        return Ok(Some(overlaid.newest));
    }
    let key = keys::record(keys::NEWEST, scope, kind, id);
    let value = view.get(&key)?;
    value.map(|bytes| Newest::read(&bytes)).transpose()
}

/// Whether the version that gets new rows is still the current one.
fn is_current(
    view: &View,
    group: &Group,
    (scope, new): (Scope, &PreparedRows),
) -> Result<bool, Error> {
    let newest = newest(view, group, (scope, new.kind, &new.id))?;
    Ok(newest.is_some_and(|newest| newest.seq == new.seq))
}

/// Whether it has the rows that it had when the new ones were prepared.
fn as_before(
    view: &View,
    group: &Group,
    (scope, new): (Scope, &PreparedRows),
) -> Result<bool, Error> {
    if let Some(overlaid) = group.newest.get(&(scope, new.kind, new.id.clone())) {
        return Ok(overlaid.entry == new.before);
    }
    let key = keys::of_kind_at(keys::CURRENT, scope, new.kind, new.seq);
    Ok(view.get(&key)?.as_deref() == Some(&*new.before))
}

/// The queue's only taker. Should it panic, nobody waits for it in vain.
struct Taker(Arc<Queue<Job>>);

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

type Answered = (Answer, Result<Committed, Error>);

/// Answers all. The callers' runtime is woken once for many of them, and spreads them itself.
fn give(answers: Vec<Answered>, caller: Option<Handle>) {
    let many = answers.len() > 2;
    let send = move || {
        for (answer, result) in answers {
            // A caller that no longer waits needs no answer.
            drop(answer.send(result));
        }
    };
    match caller {
        Some(caller) if many => drop(caller.spawn(async move { send() })),
        Some(_) | None => send(),
    }
}

/// The same error for each batch of a group.
fn again(error: &Error) -> Error {
    match error {
        Error::Damaged(what) => Error::Damaged(what.clone()),
        Error::Unavailable(what) => Error::Unavailable(what.clone()),
        other @ (Error::Conflict { .. }
        | Error::SnapshotGone(_)
        | Error::Purged
        | Error::KeyDestroyed
        | Error::TooCostly { .. }
        | Error::TookTooLong { .. }
        | Error::Misuse(_)) => Error::Unavailable(other.to_string()),
    }
}
