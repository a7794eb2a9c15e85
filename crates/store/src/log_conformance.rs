//! The suite that every engine passes whose log can be read ([`Log`]) and that
//! can be made of one ([`Restoring`]), as [`mod@crate::conformance`]
//! is for what a store answers: `salus_store::log_conformance!(engine);` makes
//! a test of each case.
//!
//! `SALUS_STORE_SEED` steers the random case; a failure prints the seed it had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the suite is test code that other crates run"
)]

mod following;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use following::{
    a_draft_is_followed_as_it_was_made, a_restored_store_follows_on,
    a_store_follows_another_commit_by_commit, what_does_not_follow_is_refused,
    what_was_purged_before_it_was_followed_stays_purged,
};

use crate::conformance::{self, Place, committed_batches, number_from};
use crate::memory::Memory;
use crate::{
    At, AuditEntry, AuditQuery, AuditRecord, Batch, Content, Error, Filter, Finished, Followed,
    Following, History, HistoryOf, Hit, Kind, Log, LogBatch, LogHead, LogPart, Lost, NewRows,
    Purge, Put, Query, Record, Reply, Restored, Restoring, Scope, SealKey, Seq, Snapshot, Store,
    SupersededVersion,
};

/// A store whose log can be read, and that can follow another's.
pub trait Logged: Store + Log + Restored + Following {}

impl<T: Store + Log + Restored + Following> Logged for T {}

/// How the suite gets stores of the engine under test. Those of one engine have the same keys.
pub trait Engine: Send + Sync {
    /// A new, empty store.
    fn create(&self) -> Arc<dyn Logged>;

    /// Begins to make another of a log.
    fn restore(&self, dictionaries: &[Bytes]) -> Box<dyn Restoring>;

    /// The store that was finished last.
    fn restored(&self) -> Arc<dyn Logged>;

    /// Waits for a future on this thread.
    fn wait(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        conformance::block_on(future);
    }
}

/// Runs the case of this name; panics if the engine fails it.
pub fn run(name: &str, engine: &dyn Engine) {
    let case = CASES.iter().find(|(case, _)| *case == name);
    let (_, case) = case.unwrap_or_else(|| panic!("there is no case {name}"));
    case(&Subject { engine });
}

macro_rules! log_cases {
    ($dollar:tt $($name:ident)*) => {
        /// All cases.
        const CASES: &[(&str, fn(&Subject<'_>))] = &[$((stringify!($name), $name)),*];

        /// One test per case of [`log_conformance`](mod@crate::log_conformance), each
        /// on its own evaluation of an expression that is an
        /// [`Engine`](crate::log_conformance::Engine).
        #[macro_export]
        macro_rules! log_conformance {
            ($dollar engine:expr) => {
                $(
                    #[test]
                    fn $name() {
                        $crate::log_conformance::run(stringify!($name), &$dollar engine);
                    }
                )*
            };
        }
    };
}

log_cases! { $
    an_empty_log_makes_an_empty_store
    the_log_has_every_batch_whole
    parts_of_a_log_are_the_log
    who_waits_is_told_that_it_grew
    a_store_is_restored_at_every_commit
    a_restored_store_goes_on_with_the_same_log
    what_was_purged_before_it_was_read_stays_purged
    what_is_without_content_at_the_end_is_named_and_the_rest_is_there
    what_was_read_before_it_was_purged_is_purged_again
    what_is_missing_or_changed_is_told
    what_was_cleared_is_a_leaf_in_the_log_and_in_what_is_made_of_it
    a_store_follows_another_commit_by_commit
    a_restored_store_follows_on
    what_was_purged_before_it_was_followed_stays_purged
    what_does_not_follow_is_refused
    a_draft_is_followed_as_it_was_made
}

const ONE: Scope = Scope(1);
const KIND: Kind = Kind::named("Patient");
const SEED: u64 = 0x00C0_FFEE;
const ALL: usize = usize::MAX;

struct Subject<'a> {
    engine: &'a dyn Engine,
}

impl Subject<'_> {
    fn wait<T: Send>(&self, reply: Reply<'_, T>) -> Result<T, Error> {
        let mut result = None;
        let future = async { result = Some(reply.await) };
        self.engine.wait(Box::pin(future));
        result.expect("the engine waits until the reply is there")
    }

    #[track_caller]
    fn must<T: Send>(&self, reply: Reply<'_, T>) -> T {
        self.wait(reply).unwrap()
    }

    /// A new store with these batches in it.
    fn store(&self, batches: Vec<Batch>) -> Arc<dyn Logged> {
        let store = self.engine.create();
        for batch in batches {
            self.must(store.commit(batch));
        }
        store
    }

    #[track_caller]
    fn log(&self, store: &dyn Log) -> Vec<LogBatch> {
        self.must(store.batches(Seq(0), ALL))
    }

    /// A store of these batches of another's log.
    fn restored(&self, of: &dyn Log, log: &[LogBatch]) -> (Arc<dyn Logged>, LogHead) {
        let (store, lost) = self.restored_without(of, log);
        assert!(lost.is_empty());
        let head = self.must(store.head());
        (store, head)
    }

    /// The same where records are without content.
    fn restored_without(&self, of: &dyn Log, log: &[LogBatch]) -> (Arc<dyn Logged>, Vec<Lost>) {
        let mut restoring = self.engine.restore(&self.must(of.dictionaries()));
        for some in log.chunks(3) {
            self.must(restoring.add(some.to_vec()));
        }
        let Finished { head, lost } = self.must(restoring.finish());
        let store = self.engine.restored();
        assert_eq!(self.must(store.head()), head);
        (store, lost)
    }

    #[track_caller]
    fn is_whole(&self, store: &dyn Logged) {
        assert_eq!(self.must(store.check()), Vec::<String>::new());
    }

    fn close(&self, store: Arc<dyn Logged>) {
        self.must(store.close());
    }
}

fn put(id: &str, version: u64) -> Put {
    Put {
        kind: KIND,
        id: id.into(),
        version,
        content: Content::Body(format!("{id} {version}").into()),
        rows: Vec::new(),
        main_date_ms: None,
        seal: SealKey::Patient(id.into()),
    }
}

fn batch(time_ms: i64, puts: Vec<Put>, entries: usize) -> Batch {
    let entry = |n| AuditEntry {
        body: format!("entry {n}").into(),
        about: vec![(KIND, "a".into()), (KIND, format!("b{n}").into())],
    };
    Batch {
        audit: (0..entries).map(entry).collect(),
        ..Batch::of(ONE, time_ms, puts)
    }
}

fn purge(time_ms: i64, id: &str, below: u64, entries: usize) -> Batch {
    let purge = Purge {
        kind: KIND,
        id: id.into(),
        below,
    };
    Batch {
        purged: vec![purge],
        ..batch(time_ms, Vec::new(), entries)
    }
}

/// Batches of all forms, beside each other at one time.
fn all_forms() -> Vec<Batch> {
    let elsewhere = Batch {
        scope: Scope(0x1_0000),
        ..batch(10, vec![put("a", 1)], 1)
    };
    vec![
        batch(10, vec![put("a", 1), put("b", 1)], 2),
        batch(10, Vec::new(), 1),
        batch(10, Vec::new(), 2),
        batch(10, vec![put("a", 2)], 0),
        batch(10, Vec::new(), 1),
        elsewhere,
        purge(10, "a", 2, 0),
        batch(5, vec![put("a", 3)], 1),
        purge(20, "a", 3, 1),
        batch(20, vec![put("c", 1)], 0),
        purge(20, "c", 9, 0),
    ]
}

/// First and last seq, versions, entries and purges of each batch.
fn shapes(log: &[LogBatch]) -> Vec<(u64, u64, usize, usize, usize)> {
    let shape = |batch: &LogBatch| {
        let count = |is: fn(&LogPart) -> bool| batch.parts.iter().filter(|part| is(part)).count();
        (
            batch.first.0,
            batch.last.0,
            count(|part| matches!(part, LogPart::Version(_))),
            count(|part| matches!(part, LogPart::Audit { .. })),
            count(|part| matches!(part, LogPart::Purged(_))),
        )
    };
    log.iter().map(shape).collect()
}

fn an_empty_log_makes_an_empty_store(subject: &Subject<'_>) {
    let store = subject.store(Vec::new());
    assert_eq!(subject.log(&*store), []);
    let head = subject.must(store.head());
    assert_eq!((head.seq, head.audit_size), (Seq(0), 0));
    let (restored, again) = subject.restored(&*store, &[]);
    assert_eq!((again.seq, again.audit_root), (head.seq, head.audit_root));
    subject.must(restored.commit(batch(10, vec![put("a", 1)], 1)));
    subject.is_whole(&*restored);
}

fn the_log_has_every_batch_whole(subject: &Subject<'_>) {
    let store = subject.store(all_forms());
    let log = subject.log(&*store);
    let expected = [
        (1, 4, 2, 2, 0),
        (5, 5, 0, 1, 0),
        (6, 7, 0, 2, 0),
        (8, 8, 1, 0, 0),
        (9, 9, 0, 1, 0),
        (10, 11, 1, 1, 0),
        (12, 12, 0, 0, 1),
        (13, 14, 1, 1, 0),
        (15, 15, 0, 1, 1),
        (16, 16, 1, 0, 0),
        (17, 17, 0, 0, 1),
    ];
    assert_eq!(shapes(&log), expected);
    let facts: Vec<_> = log
        .iter()
        .map(|batch| (batch.scope, batch.time_ms))
        .collect();
    let given = all_forms();
    let given: Vec<_> = given
        .iter()
        .map(|batch| (batch.scope, batch.time_ms))
        .collect();
    assert_eq!(facts, given);
    let head = subject.must(store.head());
    let last = log.last().map(|batch| (batch.last, batch.chain));
    assert_eq!(last, Some((head.seq, head.chain)));
    assert_eq!(head.audit_size, 9);
    let LogPart::Audit { about, .. } = &log[0].parts[3] else {
        panic!("an entry is the last part");
    };
    let named: [(Kind, Box<str>); 2] = [(KIND, "a".into()), (KIND, "b1".into())];
    assert_eq!(**about, named);
}

fn parts_of_a_log_are_the_log(subject: &Subject<'_>) {
    let store = subject.store(all_forms());
    let log = subject.log(&*store);
    for bytes in [0, 1, 300, 1_000] {
        let (mut together, mut after) = (Vec::new(), Seq(0));
        loop {
            let some = subject.must(store.batches(after, bytes));
            let Some(last) = some.last() else { break };
            assert!(bytes > 1 || some.len() == 1, "one batch is enough");
            after = last.last;
            together.extend(some);
        }
        assert_eq!(together, log);
    }
}

fn who_waits_is_told_that_it_grew(subject: &Subject<'_>) {
    let store = subject.store(vec![batch(10, Vec::new(), 1)]);
    subject.must(store.grown(Seq(0)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            subject.must(store.grown(Seq(1)));
            subject.must(store.batches(Seq(1), ALL)).len()
        });
        subject.must(store.commit(batch(20, vec![put("a", 1)], 0)));
        assert_eq!(waiting.join().unwrap(), 1);
    });
}

/// As they were given to the memory twin, and the twin.
fn twin(subject: &Subject<'_>, batches: &[Batch]) -> Memory {
    let twin = Memory::new();
    for batch in batches {
        subject.must(twin.commit(batch.clone()));
    }
    twin
}

fn a_store_is_restored_at_every_commit(subject: &Subject<'_>) {
    let seed = number_from("SALUS_STORE_SEED").unwrap_or(SEED);
    let batches = committed_batches(seed, 60);
    let mut place = Place { seed, step: 0 };
    let store = subject.store(batches.clone());
    let log = subject.log(&*store);
    // Some took no seq, and some were purged of later.
    let purged: Vec<bool> = batches
        .iter()
        .map(|batch| !batch.purged.is_empty())
        .collect();
    let mut taken = 0;
    for (n, batch) in batches.iter().enumerate() {
        place.step = n as u64;
        let nothing = batch.puts.is_empty() && batch.audit.is_empty() && batch.purged.is_empty();
        taken += usize::from(!nothing);
        let later = purged[n + 1..].iter().any(|purged| *purged);
        if nothing || (n % 7 != 0 && n + 1 < batches.len()) {
            continue;
        }
        // What was read before later purges has all.
        let twin = twin(subject, &batches[..=n]);
        let own = subject.store(batches[..=n].to_vec());
        let read = if later {
            subject.log(&*own)
        } else {
            log[..taken].to_vec()
        };
        subject.close(own);
        let (restored, _) = subject.restored(&*store, &read);
        give_rows(subject, &*restored, &twin);
        same(subject, &*restored, &twin);
        subject.is_whole(&*restored);
        subject.close(restored);
    }
}

/// The rows that the twin has, by spans of the log.
fn give_rows(subject: &Subject<'_>, store: &dyn Logged, twin: &Memory) {
    let upto = subject.must(store.head()).seq;
    for from in (0..upto.0).step_by(7) {
        let span = (Seq(from), upto.min(Seq(from + 7)));
        let (mut after, mut rows) = (span.0, Vec::new());
        loop {
            let some = subject.must(store.records((after, span.1), 100));
            rows.extend(some.records.into_iter().map(|bare| {
                let record = &bare.record;
                let own = twin.current_rows(bare.scope, record.kind, &record.id);
                NewRows::of(bare, own, None)
            }));
            let Some(next) = some.next else { break };
            assert!(next > after, "it goes on");
            after = next;
        }
        subject.must(store.give_rows(rows));
    }
}

fn everything(kind: Kind) -> Query {
    Query {
        kind,
        filter: Filter::Everything,
        sort: Vec::new(),
        limit: 1_000,
        after: None,
        rows: conformance::params(),
    }
}

/// Both answer the same to everything.
#[track_caller]
fn same(subject: &Subject<'_>, store: &dyn Logged, twin: &Memory) {
    for (scope, kind) in conformance::places() {
        let ours = subject.must(store.snapshot(scope, At::Now));
        let twins = subject.must(twin.snapshot(scope, At::Now));
        same_of_kind(subject, (&*ours, &*twins), kind);
    }
    let changes = |store: &dyn Logged| subject.must(store.changes(Seq(0), ALL));
    equal(changes(store), changes(twin), "changes");
}

/// Types of records print nothing of what they hold: a debugger tells where two differ.
#[track_caller]
fn equal<T: PartialEq>(ours: T, twins: T, what: &str) {
    assert!(ours == twins, "{what} of the two stores differ");
}

#[track_caller]
fn same_of_kind(subject: &Subject<'_>, (ours, twins): (&dyn Snapshot, &dyn Snapshot), kind: Kind) {
    let both = |ask: &dyn Fn(&dyn Snapshot) -> Answered, what: &str| {
        equal(ask(ours), ask(twins), what);
    };
    for id in conformance::IDS {
        let record = |of: &dyn Snapshot| Answered::Record(Ok(subject.must(of.get(kind, id))));
        both(&record, id);
        for version in 1..20 {
            let version = |of: &dyn Snapshot| {
                let version = subject.wait(of.version(kind, id, version));
                Answered::Record(version.map_err(|error| error.to_string()))
            };
            both(&version, id);
        }
        let query = AuditQuery {
            about: Some((kind, id.into())),
            limit: 1_000,
            ..AuditQuery::default()
        };
        let audit = |of: &dyn Snapshot| Answered::Audit(subject.must(of.audit(&query)));
        both(&audit, "the audit");
    }
    let history = History {
        of: HistoryOf::Kinds(vec![kind]),
        since_ms: None,
        current_ms: None,
        limit: 1_000,
        after: None,
    };
    let query = everything(kind);
    let history = |of: &dyn Snapshot| Answered::Found(subject.must(of.history(&history)).hits);
    both(&history, "the history");
    let found = |of: &dyn Snapshot| Answered::Found(subject.must(of.find(&query)).hits);
    both(&found, "what is found");
    let count = |of: &dyn Snapshot| Answered::Count(subject.must(of.count(&query)));
    both(&count, "counts");
    let superseded = |of: &dyn Snapshot| {
        let superseded = of.superseded(kind, None, Seq(0), 1_000);
        Answered::Superseded(subject.must(superseded).versions)
    };
    both(&superseded, "what was superseded");
}

/// What a snapshot says.
#[derive(PartialEq)]
enum Answered {
    Record(Result<Option<Record>, String>),
    Audit(Vec<AuditRecord>),
    Found(Vec<Hit>),
    Count(u64),
    Superseded(Vec<SupersededVersion>),
}

fn a_restored_store_goes_on_with_the_same_log(subject: &Subject<'_>) {
    let store = subject.store(all_forms());
    let log = subject.log(&*store);
    let before = subject.must(store.head());
    let (restored, head) = subject.restored(&*store, &log);
    assert_eq!(head, before);
    assert_eq!(subject.log(&*restored), log);
    let next = batch(30, vec![put("a", 4), put("d", 1)], 1);
    let seqs = [&store, &restored].map(|store| subject.must(store.commit(next.clone())).seq);
    assert_eq!(seqs[0], seqs[1]);
    subject.is_whole(&*restored);
    let longer = subject.log(&*restored);
    assert_eq!(
        (longer.len(), &longer[..log.len()]),
        (log.len() + 1, &log[..])
    );
    let head = subject.must(restored.head());
    subject.close(restored.clone());
    drop(restored);
    // And of that log another.
    let (again, third) = subject.restored(&*store, &longer);
    assert_eq!(third, head);
    assert_eq!(subject.log(&*again), longer);
    subject.is_whole(&*again);
}

fn what_was_purged_before_it_was_read_stays_purged(subject: &Subject<'_>) {
    let versions = (1..=3).map(|version| batch(10, vec![put("a", version)], 0));
    let store = subject.store(versions.chain([purge(20, "a", 3, 1)]).collect());
    let log = subject.log(&*store);
    // Its own purge is left out: that they were purged is seen all the same.
    let (restored, _) = subject.restored(&*store, &log[..3]);
    let snapshot = subject.must(restored.snapshot(ONE, At::Now));
    let read = |version| subject.wait(snapshot.version(KIND, "a", version));
    assert!(matches!(read(1), Err(Error::Purged)), "{:?}", read(1));
    assert!(matches!(read(2), Err(Error::Purged)), "{:?}", read(2));
    assert!(matches!(read(3), Ok(Some(_))), "{:?}", read(3));
    drop(snapshot);
    subject.is_whole(&*restored);
    subject.close(restored);
}

/// A log that ends where the newest version of a record was purged before it was read.
fn what_is_without_content_at_the_end_is_named_and_the_rest_is_there(subject: &Subject<'_>) {
    let first = batch(10, vec![put("a", 1), put("b", 1)], 1);
    let later = (2..=3).map(|version| batch(10, vec![put("a", version)], 0));
    let batches = [first].into_iter().chain(later);
    let store = subject.store(batches.chain([purge(20, "a", 3, 1)]).collect());
    let log = subject.log(&*store);
    let (restored, lost) = subject.restored_without(&*store, &log[..2]);
    let [lost] = &lost[..] else {
        panic!("{} records are lost", lost.len())
    };
    assert_eq!((lost.scope, lost.kind, &*lost.id), (ONE, KIND, "a"));
    assert_eq!((lost.version, &lost.seal), (2, &put("a", 2).seal));
    let bare = subject.must(restored.records((Seq(0), Seq(u64::MAX)), ALL));
    let ids: Vec<&str> = bare.records.iter().map(|bare| &*bare.record.id).collect();
    assert_eq!((ids, bare.unreadable), (vec!["b"], 0));
    // Whoever has it says that it is gone; then all of it fits together.
    let gone = Put {
        content: Content::Deleted,
        rows: Vec::new(),
        ..put("a", 3)
    };
    subject.must(restored.commit(batch(30, vec![gone], 1)));
    subject.is_whole(&*restored);
    let snapshot = subject.must(restored.snapshot(ONE, At::Now));
    let read = |version| subject.wait(snapshot.version(KIND, "a", version));
    assert!(matches!(read(1), Err(Error::Purged)), "{:?}", read(1));
    assert!(matches!(read(2), Err(Error::Purged)), "{:?}", read(2));
    let newest = subject.must(snapshot.get(KIND, "a"));
    assert!(newest.is_some_and(|newest| newest.content == Content::Deleted));
    assert!(subject.must(snapshot.get(KIND, "b")).is_some());
    drop(snapshot);
    subject.must(restored.commit(batch(40, vec![put("a", 4)], 1)));
    subject.is_whole(&*restored);
    subject.close(restored);
}

/// Who reads a log as it grows has some versions whole of which others were purged before they were read.
fn what_was_read_before_it_was_purged_is_purged_again(subject: &Subject<'_>) {
    let first = batch(10, vec![put("a", 1)], 0);
    let later = (2..=4).map(|version| batch(10, vec![put("a", version)], 0));
    let batches: Vec<Batch> = [first]
        .into_iter()
        .chain(later)
        .chain([purge(20, "a", 4, 1)])
        .collect();
    let store = subject.store(batches[..1].to_vec());
    let mut log = subject.log(&*store);
    for batch in &batches[1..] {
        subject.must(store.commit(batch.clone()));
    }
    log.extend(subject.must(store.batches(Seq(1), ALL)));
    // At each point that has no record without content, those before are as they were read.
    for end in [1, 4, 5] {
        let (restored, _) = subject.restored(&*store, &log[..end]);
        subject.is_whole(&*restored);
        let snapshot = subject.must(restored.snapshot(ONE, At::Now));
        let read = |version| subject.wait(snapshot.version(KIND, "a", version));
        let is_purged = |version| matches!(read(version), Err(Error::Purged));
        assert_eq!(is_purged(1), end == 5, "{:?}", read(1));
        assert_eq!((is_purged(2), is_purged(3)), (end > 1, end > 1));
        drop(snapshot);
        subject.close(restored);
    }
}

fn what_is_missing_or_changed_is_told(subject: &Subject<'_>) {
    let mut forms = all_forms();
    forms.retain(|batch| batch.purged.is_empty());
    let store = subject.store(forms);
    let log = subject.log(&*store);
    let dictionaries = subject.must(store.dictionaries());
    let change = |at: usize, change: fn(&mut LogBatch)| {
        let mut log = log.clone();
        change(&mut log[at]);
        log
    };
    let mut without = log.clone();
    without.remove(1);
    let cases = [
        without,
        change(1, |batch| batch.parts.clear()),
        change(0, |batch| drop(batch.parts.remove(0))),
        change(0, |batch| batch.parts.swap(0, 1)),
        change(3, |batch| batch.chain[0] ^= 1),
        change(5, |batch| {
            if let LogPart::Version(bytes) = &mut batch.parts[0] {
                let mut changed = bytes.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                *bytes = changed.into();
            }
        }),
    ];
    for case in cases {
        let mut restoring = subject.engine.restore(&dictionaries);
        let mut good = 0;
        for batch in &case {
            match subject.wait(restoring.add(vec![batch.clone()])) {
                Ok(()) => good += 1,
                Err(error) => {
                    assert!(matches!(error, Error::Damaged(_)), "{error:?}");
                    break;
                }
            }
        }
        assert!(good < case.len(), "nobody noticed");
        let head = subject.must(restoring.finish()).head;
        assert_eq!(
            head.seq,
            log[..good].last().map_or(Seq(0), |batch| batch.last)
        );
        let restored = subject.engine.restored();
        assert_eq!(shapes(&subject.log(&*restored)), shapes(&log[..good]));
        subject.is_whole(&*restored);
        subject.close(restored);
    }
}

fn what_was_cleared_is_a_leaf_in_the_log_and_in_what_is_made_of_it(subject: &Subject<'_>) {
    let batches = vec![
        batch(10, vec![put("a", 1)], 2),
        batch(20, Vec::new(), 3),
        batch(30, vec![put("a", 2)], 1),
    ];
    let store = subject.store(batches);
    let (before, head) = (subject.log(&*store), subject.must(store.head()));
    // The last of the first batch, and all of the second.
    let seqs = [3, 4, 5, 6].map(Seq);
    assert_eq!(subject.must(store.audit_tree().clear(ONE, &seqs)), 4);
    let log = subject.log(&*store);
    assert_eq!(subject.must(store.head()), head);
    for (was, is) in before.iter().zip(&log) {
        let ends = |batch: &LogBatch| (batch.first, batch.last, batch.chain, batch.parts.len());
        assert_eq!(ends(was), ends(is));
    }
    let about = |part: &LogPart| match part {
        LogPart::Audit { about, .. } => Some(about.len()),
        LogPart::Version(_) | LogPart::Purged(_) => None,
    };
    let abouts: Vec<usize> = log
        .iter()
        .flat_map(|batch| &batch.parts)
        .filter_map(about)
        .collect();
    assert_eq!(abouts, [2, 0, 0, 0, 0, 2]);
    let leaves = |store: &dyn Logged| {
        let all = subject.must(store.audit_tree().tree_leaves(0, 99, &|_| false));
        let of = |leaf: &crate::TreeLeaf| (leaf.seq, leaf.leaf, leaf.cleared);
        all.iter().map(of).collect::<Vec<_>>()
    };
    let (restored, made) = subject.restored(&*store, &log);
    assert_eq!(made, head);
    assert_eq!(leaves(&*restored), leaves(&*store));
    assert_eq!(subject.log(&*restored), log);
    subject.is_whole(&*restored);
    subject.close(store);
    subject.close(restored);
}
