//! Random operations, answered by the engine as by the memory twin.
//!
//! Few ids, kinds, values and times, so that all of them meet often. The same
//! seed makes the same operations on every engine.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use super::choice::{Choice, PARAMS};
use super::data::*;
use super::{Engine, Subject, View};
use crate::memory::Memory;
use crate::{
    AuditQuery, Batch, Committed, Content, Error, Found, History, HistoryOf, Hit, Kind, Param,
    Precondition, Purge, Put, Query, Reindexed, Scope, SealKey, Seq, Store,
};

const SCOPES: [Scope; 3] = [ONE, TWO, Scope(0x0100)];
const KINDS: [Kind; 3] = [PATIENT, OBSERVATION, Kind(PATIENT.0 + 1)];
pub(crate) const IDS: [&str; 10] = ["a", "b", "c", "d", "aa", "a\u{1}", "é", "e", "f", "g"];
/// Only points so recent are asked for again.
const POINTS_MAX: usize = 30;
pub(super) const SEED: u64 = 0x005A_1054;
const STEPS: u64 = 5_000;

pub(super) fn random_operations_are_answered_as_in_memory(subject: &Subject<'_>) {
    let seed = number_from("SALUS_STORE_SEED").unwrap_or(SEED);
    let steps = number_from("SALUS_STORE_STEPS").unwrap_or(STEPS);
    let twin = Subject {
        engine: &Twin,
        store: Mutex::new(Some(Twin.create())),
    };
    // Asked while both are empty, when a new store is as good as the old one.
    let keeps = subject.reopen();
    let mut pair = Pair {
        ours: subject,
        twin: &twin,
        choice: Choice::new(seed),
        purges: Choice::new(seed),
        points: vec![Seq(0)],
    };
    let mut place = Place { seed, step: 0 };
    while place.step < steps {
        pair.step();
        if keeps && pair.choice.one_in(500) {
            assert!(subject.reopen(), "it could be reopened before");
        }
        place.step += 1;
    }
}

/// Random batches of which none is refused when they come one after the other.
pub(crate) fn committed_batches(seed: u64, count: usize) -> Vec<Batch> {
    let twin = Subject {
        engine: &Twin,
        store: Mutex::new(Some(Twin.create())),
    };
    let mut pair = Pair {
        ours: &twin,
        twin: &twin,
        choice: Choice::new(seed),
        purges: Choice::new(seed),
        points: vec![Seq(0)],
    };
    let mut batches = Vec::new();
    while batches.len() < count {
        let batch = pair.batch();
        if twin.commit(batch.clone()).is_ok() {
            batches.push(batch);
        }
    }
    batches
}

/// Where their records are.
pub(crate) fn places() -> impl Iterator<Item = (Scope, Kind)> {
    let kinds = |scope| KINDS.into_iter().map(move |kind| (scope, kind));
    SCOPES.into_iter().flat_map(kinds)
}

/// What their rows are of.
pub(crate) fn params() -> Vec<Param> {
    PARAMS.iter().map(|(param, _)| *param).collect()
}

/// Where we are, told when a step panics.
pub(crate) struct Place {
    pub(crate) seed: u64,
    pub(crate) step: u64,
}

#[expect(clippy::print_stderr, reason = "how to repeat a failure belongs to it")]
impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SALUS_STORE_SEED={} fails at step {}", self.seed, self.step);
        }
    }
}

pub(crate) fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

pub(super) struct Twin;

impl Engine for Twin {
    fn create(&self) -> Arc<dyn Store> {
        Arc::new(Memory::new())
    }
}

/// The engine and the twin, which have seen the same operations.
struct Pair<'a> {
    ours: &'a Subject<'a>,
    twin: &'a Subject<'a>,
    choice: Choice,
    /// What is purged, and looked at for that.
    purges: Choice,
    points: Vec<Seq>,
}

impl Pair<'_> {
    fn step(&mut self) {
        match self.choice.below(100) {
            0..40 => self.commit(),
            40..65 => self.find(),
            65..75 => self.history(),
            75..83 => self.audit(),
            83..90 => self.changes(),
            _ => self.read(),
        }
    }

    fn commit(&mut self) {
        let batch = self.batch();
        let ours = outcome(self.ours.commit(batch.clone()));
        let twins = outcome(self.twin.commit(batch.clone()));
        assert_same(&batch, &ours, &twins);
        if let Ok(committed) = ours {
            if !batch.purged.is_empty() {
                // What older points show may be gone.
                self.points.clear();
            }
            self.points.push(committed.seq);
            if self.points.len() > POINTS_MAX {
                self.points.remove(0);
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let scope = *self.choice.of(&SCOPES);
        let mut puts: Vec<Put> = Vec::new();
        for _ in 0..self.choice.below(5) {
            let put = self.put(scope);
            let same = |other: &Put| (other.kind, &other.id) == (put.kind, &put.id);
            if !puts.iter().any(same) || self.choice.one_in(20) {
                puts.push(put);
            }
        }
        let conditional = self.choice.one_in(4);
        let count = if conditional { self.choice.below(3) } else { 0 };
        let preconditions = (0..count).map(|_| self.precondition(scope)).collect();
        let audit = self.choice.some(2, |choice| {
            let about = choice.some(2, record);
            entry(&format!("entry {}", choice.below(1_000)), &about)
        });
        let reindexed = match self.choice.one_in(4) {
            true => vec![self.reindexed(scope)],
            false => Vec::new(),
        };
        let purged = match self.purges.one_in(10) {
            true => vec![self.purge()],
            false => Vec::new(),
        };
        let time_ms = self.choice.time();
        Batch {
            scope,
            time_ms,
            preconditions,
            puts,
            reindexed,
            purged,
            shredded: Vec::new(),
            audit,
            held: None,
        }
    }

    /// Mostly with the version that is next.
    fn put(&mut self, scope: Scope) -> Put {
        let (kind, id) = record(&mut self.choice);
        let newest = self.newest_version(scope, kind, id).unwrap_or(0);
        let version = match self.choice.below(30) {
            0 => newest,
            1 => newest + 2,
            _ => newest + 1,
        };
        let put = of_kind(kind, patient(id, version));
        if self.choice.one_in(if newest > 0 { 5 } else { 50 }) {
            let content = Content::Deleted;
            return Put { content, ..put };
        }
        let rows = self.choice.rows(6);
        let seal = match self.choice.below(3) {
            0 => SealKey::Patient((*self.choice.of(&IDS)).into()),
            _ => SealKey::Scope,
        };
        let main_date_ms = self.choice.one_in(2).then(|| self.choice.time());
        Put {
            rows,
            seal,
            main_date_ms,
            ..put
        }
    }

    /// Mostly of the version that is the current one.
    fn reindexed(&mut self, scope: Scope) -> Reindexed {
        let (kind, id) = record(&mut self.choice);
        let newest = self.newest_version(scope, kind, id).unwrap_or(0);
        Reindexed {
            kind,
            id: id.into(),
            version: newest.saturating_sub(self.choice.below(10) / 9),
            rows: self.choice.rows(6),
            main_date_ms: self.choice.one_in(2).then(|| self.choice.time()),
        }
    }

    fn purge(&mut self) -> Purge {
        let (kind, id) = record(&mut self.purges);
        Purge {
            kind,
            id: id.into(),
            below: self.purges.below(30),
        }
    }

    fn newest_version(&self, scope: Scope, kind: Kind, id: &str) -> Option<u64> {
        let newest = self.twin.now(scope).get(kind, id);
        newest.map(|record| record.version)
    }

    /// Mostly one that holds.
    fn precondition(&mut self, scope: Scope) -> Precondition {
        let (kind, id) = record(&mut self.choice);
        if self.choice.one_in(2) {
            let filter = self.choice.filter(&IDS, 2);
            let limit = self.choice.below(2) as usize;
            let query = Query {
                limit,
                ..query(kind, filter)
            };
            return Precondition::NoneMatch(query);
        }
        let version = match self.choice.below(5) {
            0 => Some(self.choice.below(4)),
            _ => self.newest_version(scope, kind, id),
        };
        let id = id.into();
        Precondition::VersionIs { kind, id, version }
    }

    fn find(&mut self) {
        let kind = *self.choice.of(&KINDS);
        let query = Query {
            sort: self.choice.sort(),
            rows: self.choice.some(3, Choice::param),
            ..query(kind, self.choice.filter(&IDS, 3))
        };
        let limits = self.limits();
        self.ask(&query, |view| {
            let page = |limit, after| {
                view.find(&Query {
                    limit,
                    after,
                    ..query.clone()
                })
            };
            let count = view.count(&query);
            // Few are counted, if they are counted at all.
            let estimate = view.estimate(&query);
            assert!(estimate.is_none_or(|about| about == count), "{query:?}");
            assert_eq!(view.explain(&query), view.find(&query), "{query:?}");
            let held = IDS.map(|id| view.holds(kind, id, &query.filter));
            (pages(&limits, page), count, held)
        });
    }

    fn history(&mut self) {
        let of = match self.choice.below(2) {
            0 => {
                let (kind, id) = record(&mut self.choice);
                HistoryOf::Record(kind, id.into())
            }
            _ => HistoryOf::Kinds(self.choice.some(3, |choice| *choice.of(&KINDS))),
        };
        let query = History {
            since_ms: self.choice.one_in(2).then(|| self.choice.time()),
            current_ms: self.choice.one_in(2).then(|| {
                let from_ms = self.choice.time();
                (
                    from_ms,
                    from_ms.saturating_add(self.choice.below(20) as i64),
                )
            }),
            ..history(of)
        };
        let limits = self.limits();
        self.ask(&query, |view| {
            let page = |limit, after| {
                view.history(&History {
                    limit,
                    after,
                    ..query.clone()
                })
            };
            pages(&limits, page)
        });
    }

    fn audit(&mut self) {
        let choice = &mut self.choice;
        let about = choice.one_in(2).then(|| record(choice));
        let newest = self.points.last().map_or(0, |seq| seq.0);
        let query = AuditQuery {
            about: about.map(|(kind, id)| (kind, id.into())),
            from_ms: choice.one_in(3).then(|| choice.time()),
            to_ms: choice.one_in(3).then(|| choice.time()),
            ascending: choice.one_in(2),
            after: choice.one_in(2).then(|| Seq(choice.below(newest + 2))),
            limit: choice.below(20) as usize,
        };
        self.ask(&query, |view| view.audit(&query));
    }

    fn changes(&mut self) {
        let newest = self.points.last().map_or(0, |seq| seq.0);
        let after = Seq(self.choice.below(newest + 2));
        let limit = self.choice.below(20) as usize;
        let (ours, twins) = (
            self.ours.changes(after, limit),
            self.twin.changes(after, limit),
        );
        assert_same(&(after, limit), &ours, &twins);
    }

    fn read(&mut self) {
        let (kind, id) = record(&mut self.choice);
        let version = self.choice.below(6);
        let asked = (kind, id, version);
        self.ask(&asked, |view| {
            let walked = view.walk(kind, Seq(version * 20), 5, &[CODE, DATE]);
            let one = view.try_version(kind, id, version);
            let one = one.map_err(|error| format!("{error:?}"));
            (view.get(kind, id), one, walked)
        });
        let scope = *self.purges.of(&SCOPES);
        let [ours, twins] = [self.ours, self.twin].map(|subject| {
            let of = |id| {
                subject
                    .now(scope)
                    .superseded(kind, id, Seq(version * 20), 1_000)
            };
            (of(Some(id)).versions, of(None).versions)
        });
        assert_same(&asked, &ours, &twins);
    }

    /// Asks both the same, in the same scope at the same point.
    fn ask<T: PartialEq + Debug>(&mut self, asked: &dyn Debug, ask: impl Fn(&View<'_>) -> T) {
        let scope = *self.choice.of(&SCOPES);
        let past = self.choice.one_in(3);
        let point = past.then(|| *self.choice.of(&self.points));
        let [ours, twins] = [self.ours, self.twin].map(|subject| {
            let view = match point {
                Some(seq) => subject.at(scope, seq),
                None => subject.now(scope),
            };
            (view.seq(), ask(&view))
        });
        assert_same(&(scope, point, asked), &ours, &twins);
    }

    fn limits(&mut self) -> Vec<usize> {
        let limits = (0..30).map(|_| self.choice.below(6) as usize + 1);
        limits.collect()
    }
}

fn record(choice: &mut Choice) -> (Kind, &'static str) {
    (*choice.of(&KINDS), *choice.of(&IDS))
}

/// Pages with these limits, until there is none, then back from there, and at
/// last one that ends with the last hit: their hits, and whether others lie
/// on the two sides.
pub(super) fn pages(
    limits: &[usize],
    page: impl Fn(usize, Option<crate::Position>) -> Found,
) -> Vec<(Vec<Hit>, bool, bool)> {
    let mut pages = Vec::new();
    let show = |found: &Found| {
        let beside = (found.previous.is_some(), found.next.is_some());
        (found.hits.clone(), beside.0, beside.1)
    };
    let mut at = None;
    for limit in limits {
        let found = page(*limit, at);
        pages.push(show(&found));
        if found.next.is_none() {
            break;
        }
        at = found.next;
    }
    at = at.and_then(crate::Position::seq).map(crate::Position::UpTo);
    for limit in limits.iter().rev() {
        let Some(position) = at else { break };
        let found = page(*limit, Some(position));
        pages.push(show(&found));
        at = found.previous;
    }
    let limit = limits.first().copied().unwrap_or(1);
    pages.push(show(&page(limit, Some(crate::Position::End))));
    pages
}

/// What two engines must agree on; the words of an error are their own.
fn outcome(result: Result<Committed, Error>) -> Result<Committed, String> {
    result.map_err(|error| match error {
        Error::Misuse(_) => "misuse".to_owned(),
        Error::Conflict { .. }
        | Error::SnapshotGone(_)
        | Error::Purged
        | Error::KeyDestroyed
        | Error::TooCostly { .. }
        | Error::TookTooLong { .. }
        | Error::Unavailable(_)
        | Error::Damaged(_) => format!("{error:?}"),
    })
}

#[track_caller]
pub(super) fn assert_same<T: PartialEq + Debug>(asked: &dyn Debug, ours: &T, twins: &T) {
    assert!(
        ours == twins,
        "asked: {asked:#?}\nthe engine says: {ours:#?}\nthe twin says: {twins:#?}"
    );
}
