//! Many at once: readers, writers and followers of the feed do not confuse each other.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Subject;
use super::data::*;
use crate::{Batch, Error, Filter, HistoryOf, Precondition, Seq, Value};

const THREADS: usize = 8;
const ROUNDS: usize = 25;

pub(super) fn of_many_conditional_creates_one_wins(subject: &Subject<'_>) {
    let wins = race(subject, |thread, round| {
        let code = format!("round-{round}");
        let rows = vec![row(CODE, token("", &code))];
        let put = patient_with(&format!("{round}-{thread}"), 1, rows);
        let preconditions = vec![Precondition::NoneMatch(patients(has_code(&code)))];
        Batch {
            preconditions,
            ..batch(10, vec![put])
        }
    });
    assert_eq!(wins, [1; ROUNDS]);
    let view = subject.now(ONE);
    for round in 0..ROUNDS {
        let code = has_code(&format!("round-{round}"));
        assert_eq!(view.count(&patients(code)), 1);
    }
    assert_eq!(view.seq(), Seq(ROUNDS as u64));
}

/// The condition of each looks at what all others commit together with theirs.
pub(super) fn of_many_linked_conditional_creates_one_wins(subject: &Subject<'_>) {
    let wins = race(subject, |thread, round| {
        let code = format!("round-{round}");
        let id = format!("{round}-{thread}");
        let rows = vec![row(CODE, token("", &code))];
        let to = Value::Reference {
            kind: PATIENT,
            id: (&*id).into(),
        };
        let observation = patient_with(&id, 1, vec![row(NAME, to)]);
        let filter = Filter::Refers {
            param: NAME,
            kind: PATIENT,
            filter: Box::new(has_code(&code)),
        };
        // Every other one is without condition, and in the way.
        let condition = Precondition::NoneMatch(query(OBSERVATION, filter));
        let other = patient(&format!("other-{id}"), 1);
        match thread % 2 {
            0 => Batch {
                preconditions: vec![condition],
                ..batch(
                    10,
                    vec![
                        patient_with(&id, 1, rows),
                        of_kind(OBSERVATION, observation),
                    ],
                )
            },
            _ => batch(10, vec![other]),
        }
    });
    assert_eq!(wins, [1 + THREADS / 2; ROUNDS]);
    let view = subject.now(ONE);
    let created = view.count(&query(OBSERVATION, Filter::Everything));
    assert_eq!(created, ROUNDS as u64);
}

pub(super) fn of_many_updates_of_one_version_one_wins(subject: &Subject<'_>) {
    let wins = race(subject, |_, round| {
        batch(10, vec![patient("a", round as u64 + 1)])
    });
    assert_eq!(wins, [1; ROUNDS]);
    let view = subject.now(ONE);
    assert_eq!(view.get(PATIENT, "a").unwrap().version, ROUNDS as u64);
    assert_eq!(view.seq(), Seq(ROUNDS as u64));
}

pub(super) fn independent_commits_all_succeed(subject: &Subject<'_>) {
    let wins = race(subject, |thread, round| {
        batch(10, vec![patient(&format!("{round}-{thread}"), 1)])
    });
    assert_eq!(wins, [THREADS; ROUNDS]);
    let total = THREADS * ROUNDS;
    let view = subject.now(ONE);
    assert_eq!(view.count(&patients(Filter::Everything)), total as u64);
    let changes = subject.changes(Seq(0), total + 1);
    let points: Vec<_> = changes.iter().map(|change| change.record.seq.0).collect();
    assert_eq!(points, (1..=total as u64).collect::<Vec<_>>());
}

/// In each round every thread commits its batch at once; says how many succeeded in each.
///
/// A winner sees its own commit in the next snapshot.
fn race(subject: &Subject<'_>, batch: impl Fn(usize, usize) -> Batch + Sync) -> [usize; ROUNDS] {
    let wins = |batch| match subject.commit(batch) {
        Ok(committed) => {
            assert!(subject.now(ONE).seq() >= committed.seq);
            true
        }
        Err(Error::Conflict { .. }) => false,
        Err(error) => panic!("{error:?}"),
    };
    std::array::from_fn(|round| {
        let start = Barrier::new(THREADS);
        let run = |thread| {
            start.wait();
            wins(batch(thread, round))
        };
        std::thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || run(thread)))
                .collect();
            let results = threads.into_iter().map(|thread| thread.join());
            let won = results.filter(|won| *won.as_ref().expect("no thread panics"));
            won.count()
        })
    })
}

pub(super) fn no_reader_sees_half_a_batch(subject: &Subject<'_>) {
    let pair = |version: u64| {
        let rows = || vec![row(CODE, token("", &version.to_string()))];
        vec![
            patient_with("a", version, rows()),
            patient_with("b", version, rows()),
        ]
    };
    subject.must(batch(1, pair(1)));
    let mut version = 1;
    while_writing(
        || {
            version += 1;
            subject.must(batch(1, pair(version)));
        },
        || {
            let view = subject.now(ONE);
            let version = view.get(PATIENT, "a").unwrap().version;
            assert_eq!(view.get(PATIENT, "b").unwrap().version, version);
            assert_eq!(view.version(PATIENT, "a", version + 1), None);
            assert_eq!(view.seq(), Seq(2 * version));
            let current = has_code(&version.to_string());
            let found = view.find(&patients(current.clone()));
            assert_eq!(ids(&found), ["b", "a"]);
            assert_eq!(view.count(&patients(Filter::Not(Box::new(current)))), 0);
            assert_eq!(view.count(&patients(Filter::Everything)), 2);
            let all = view.history(&history(HistoryOf::Kinds(vec![PATIENT])));
            assert_eq!(all.hits.len() as u64, 2 * version);
        },
    );
}

pub(super) fn a_follower_of_changes_misses_nothing(subject: &Subject<'_>) {
    const WRITERS: usize = 4;
    let mut round = 0;
    let write = || {
        let write = |writer: usize| {
            let puts = (0..3).map(|part| patient(&format!("{writer}-{round}-{part}"), 1));
            subject.must(batch(1, puts.collect()));
        };
        std::thread::scope(|scope| {
            let write = &write;
            (0..WRITERS).for_each(|writer| drop(scope.spawn(move || write(writer))));
        });
        round += 1;
    };
    let seen = std::sync::Mutex::new(Vec::new());
    let follow = || {
        let mut seen = seen.lock().unwrap();
        let after = seen.last().copied().unwrap_or_default();
        for change in subject.changes(after, 7) {
            seen.push(change.record.seq);
            // Three puts a batch, and nothing between them.
            assert_eq!(change.ends_batch, change.record.seq.0 % 3 == 0);
        }
    };
    while_writing(write, follow);
    let total = (WRITERS * round * 3) as u64;
    (0..total).for_each(|_| follow());
    let expected: Vec<_> = (1..=total).map(Seq).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// Writes here and reads on another thread, until both have happened often.
fn while_writing(mut write: impl FnMut(), read: impl Fn() + Sync) {
    const TIMES: usize = 60;
    const AHEAD: usize = 10;
    let reads = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                read();
                reads.fetch_add(1, Ordering::Release);
            }
        });
        let _done = Done(&done);
        let mut writes = 0;
        loop {
            let reads = reads.load(Ordering::Acquire);
            // A reader that has panicked is finished.
            if reader.is_finished() || (writes >= TIMES && reads >= TIMES) {
                break;
            }
            // However fast the writer, the reader has its turn.
            if writes > AHEAD * (reads + 1) {
                std::thread::yield_now();
                continue;
            }
            write();
            writes += 1;
        }
    });
}

/// Set when this goes out of scope, in a panic too.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
