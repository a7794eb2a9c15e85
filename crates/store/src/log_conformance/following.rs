//! The cases of a store that follows another's log.

use super::*;
use crate::Bare;

/// A batch with the rows that the twin gives its versions: those of the newest ones.
fn followed(
    subject: &Subject<'_>,
    store: &dyn Logged,
    batch: &LogBatch,
    twin: &Memory,
) -> Followed {
    let opened = subject.must(store.open_batch(batch));
    let records = opened.records.into_iter().zip(opened.latest_ms);
    let rows = records.map(|(record, latest_ms)| {
        let own = twin.current_rows(batch.scope, record.kind, &record.id);
        let bare = Bare {
            scope: batch.scope,
            record,
            latest_ms,
        };
        NewRows::of(bare, own, None)
    });
    Followed {
        rows: rows.collect(),
        batch: batch.clone(),
    }
}

/// Without rows.
fn bare(batch: &LogBatch) -> Followed {
    Followed {
        batch: batch.clone(),
        rows: Vec::new(),
    }
}

pub(super) fn a_store_follows_another_commit_by_commit(subject: &Subject<'_>) {
    let seed = number_from("SALUS_STORE_SEED").unwrap_or(SEED);
    let batches = committed_batches(seed, 60);
    let mut place = Place { seed, step: 0 };
    let (store, twin) = (subject.engine.create(), Memory::new());
    let follower = subject.engine.create();
    let (mut after, mut reindexed) = (Seq(0), Vec::new());
    for (n, batch) in batches.iter().enumerate() {
        place.step = n as u64;
        subject.must(store.commit(batch.clone()));
        subject.must(twin.commit(batch.clone()));
        // New rows of versions that stay are no part of the log: each makes its own.
        if !batch.reindexed.is_empty() {
            reindexed.push(Batch {
                reindexed: batch.reindexed.clone(),
                ..Batch::of(batch.scope, batch.time_ms, Vec::new())
            });
        }
        // Now and then several at once.
        if n % 3 == 1 {
            continue;
        }
        let log = subject.must(store.batches(after, ALL));
        let some = log
            .iter()
            .map(|batch| followed(subject, &*follower, batch, &twin));
        subject.must(follower.follow(some.collect()));
        for rows in reindexed.drain(..) {
            subject.must(follower.commit(rows));
        }
        after = subject.must(store.head()).seq;
        assert_eq!(
            head(subject, &*follower),
            head(subject, &*store),
            "seed {}, step {}",
            place.seed,
            place.step
        );
        if n % 7 == 0 || n + 1 == batches.len() {
            same(subject, &*follower, &twin);
        }
    }
    assert_eq!(subject.log(&*follower), subject.log(&*store));
    subject.is_whole(&*follower);
    // It was never anything but a store: it goes on by itself.
    let next = batch(90_000, vec![put("own", 1)], 1);
    let seqs = [&store, &follower].map(|store| subject.must(store.commit(next.clone())).seq);
    assert_eq!(seqs[0], seqs[1]);
    subject.is_whole(&*follower);
}

/// All of it but the slots of keys, of which a store may know more than it needs.
fn head(subject: &Subject<'_>, store: &dyn Log) -> LogHead {
    LogHead {
        key_slots: 0,
        ..subject.must(store.head())
    }
}

pub(super) fn a_restored_store_follows_on(subject: &Subject<'_>) {
    let forms = all_forms();
    let (first, second) = forms.split_at(forms.len() / 2);
    let store = subject.store(first.to_vec());
    let early = subject.log(&*store);
    let (restored, head_then) = subject.restored(&*store, &early);
    give_rows(subject, &*restored, &twin(subject, first));
    for batch in second {
        subject.must(store.commit(batch.clone()));
    }
    let twin = twin(subject, &forms);
    for batch in subject.must(store.batches(head_then.seq, ALL)) {
        let one = followed(subject, &*restored, &batch, &twin);
        subject.must(restored.follow(vec![one]));
    }
    let log = subject.log(&*store);
    assert_eq!(subject.log(&*restored), log);
    assert_eq!(head(subject, &*restored), head(subject, &*store));
    same(subject, &*restored, &twin);
    subject.is_whole(&*restored);
}

pub(super) fn what_was_purged_before_it_was_followed_stays_purged(subject: &Subject<'_>) {
    let versions = (1..=3).map(|version| batch(10, vec![put("a", version)], 0));
    let store = subject.store(versions.chain([purge(20, "a", 3, 1)]).collect());
    let log = subject.log(&*store);
    let follower = subject.engine.create();
    for batch in &log {
        subject.must(follower.follow(vec![bare(batch)]));
    }
    assert_eq!(subject.log(&*follower), log);
    let snapshot = subject.must(follower.snapshot(ONE, At::Now));
    let read = |version| subject.wait(snapshot.version(KIND, "a", version));
    assert!(matches!(read(1), Err(Error::Purged)), "{:?}", read(1));
    assert!(matches!(read(2), Err(Error::Purged)), "{:?}", read(2));
    assert!(matches!(read(3), Ok(Some(_))), "{:?}", read(3));
    drop(snapshot);
    subject.is_whole(&*follower);
}

pub(super) fn what_does_not_follow_is_refused(subject: &Subject<'_>) {
    let store = subject.store(all_forms());
    let log = subject.log(&*store);
    let follower = subject.engine.create();
    let refused = |batches: &[&LogBatch]| {
        let batches = batches.iter().map(|batch| bare(batch)).collect();
        let error = subject.wait(follower.follow(batches)).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "{error:?}");
    };
    refused(&[&log[1]]);
    let mut changed = log[0].clone();
    changed.chain[0] ^= 1;
    refused(&[&changed]);
    let mut empty = log[0].clone();
    empty.parts.clear();
    refused(&[&empty]);
    assert_eq!(head(subject, &*follower).seq, Seq(0));
    // What came before stays.
    refused(&[&log[0], &changed]);
    assert_eq!(head(subject, &*follower).seq, log[0].last);
    refused(&[&log[0]]);
    subject.must(follower.follow(log[1..].iter().map(bare).collect()));
    assert_eq!(head(subject, &*follower), head(subject, &*store));
    subject.is_whole(&*follower);
}

pub(super) fn a_draft_is_followed_as_it_was_made(subject: &Subject<'_>) {
    let store = subject.store(all_forms());
    let log = subject.log(&*store);
    let follower = subject.engine.create();
    subject.must(follower.follow(log.iter().map(bare).collect()));
    let note = batch(40, Vec::new(), 2);
    let before = subject.must(follower.head());
    let draft = subject.must(follower.draft(note.clone()));
    assert_eq!(subject.must(follower.head()), before);
    for store in [&follower, &store] {
        subject.must(store.follow(vec![bare(&draft)]));
        assert_eq!(subject.log(&**store).last(), Some(&draft));
        subject.is_whole(&**store);
    }
    let refused = subject.wait(follower.draft(batch(50, vec![put("n", 1)], 1)));
    assert!(matches!(refused, Err(Error::Misuse(_))), "{refused:?}");
}
