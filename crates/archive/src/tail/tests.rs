//! What a tail gives, and what it says when the archive is not what it was: a store ships, another
//! follows by the archive alone.

use std::sync::Arc;

use salus_crypto::SecretKey;
use salus_store::{Log, LogBatch, Seq};

use super::LIST_EVERY;
use crate::shipper::tests::{Objects, Written, archive, ship_all};
use crate::{Archive, Destination, Error, Keys, Phase, Sizes, Tail, Window};

/// Who looks at the list asks for segments, bases and marks of what was pruned.
const LISTS: u64 = 3;

/// A store with its archive, and one that follows it.
struct Pair {
    objects: Arc<Objects>,
    archive: Archive,
    written: Arc<Written>,
    follower: Arc<Written>,
    tail: Tail,
}

impl Pair {
    fn new() -> Self {
        let objects = Arc::new(Objects::default());
        let archive = archive(objects.clone());
        Self {
            tail: archive.tail(Seq(0)),
            objects,
            archive,
            written: Written::new(),
            follower: Written::new(),
        }
    }

    /// Of so many segments of a commit each, of two seqs each.
    async fn shipped(segments: usize) -> Self {
        let pair = Self::new();
        pair.ship(segments).await;
        pair
    }

    async fn ship(&self, segments: usize) {
        for _ in 0..segments {
            let n = self.written.batches().len();
            self.written.commit(&format!("text {n}"));
            assert_eq!(
                ship_all(&self.written, &self.archive).await,
                Phase::Shipping
            );
        }
    }

    /// Takes what comes until there is nothing just now.
    async fn follow(&mut self) -> Result<(), Error> {
        loop {
            match self.tail.next(&*self.follower).await? {
                batches if batches.is_empty() => return Ok(()),
                batches => self.follower.take(batches),
            }
        }
    }

    /// What it says instead of going on; it has so many commits then.
    async fn fails(&mut self, commits: usize) -> String {
        let failed = self.follow().await.unwrap_err().to_string();
        self.has(commits);
        failed
    }

    /// That the follower has the first so many commits of the store.
    #[track_caller]
    fn has(&self, commits: usize) {
        assert_eq!(self.follower.batches(), self.written.batches()[..commits]);
    }

    /// That it has all, and is what the archive says of itself.
    async fn has_all(&self) {
        let head = self.follower.head().await.unwrap();
        assert_eq!(head, self.written.head().await.unwrap());
        self.has(self.written.batches().len());
        assert!(self.tail.end().unwrap().is(&head));
        assert_eq!(self.tail.known(), head.seq);
        let last = self.written.batches().last().map(|batch| batch.time_ms);
        assert_eq!(self.tail.time_ms(), last);
    }

    /// The name of a segment, by its place in the list.
    fn segment(&self, place: usize) -> String {
        self.objects.names("segments/")[place].clone()
    }

    fn lose(&self, place: usize) {
        self.objects.change(&self.segment(place), |_| false);
    }
}

/// What it says to who has a log up to its end.
async fn refused(archive: &Archive, log: &Written) -> String {
    let seq = log.head().await.unwrap().seq;
    let next = archive.tail(seq).next(log).await;
    next.unwrap_err().to_string()
}

/// A log that has the first so many commits.
fn up_to(pair: &Pair, commits: usize) -> Arc<Written> {
    let log = Written::new();
    log.take(pair.written.batches()[..commits].to_vec());
    log
}

/// A log of such commits.
fn log(texts: &[&str]) -> Arc<Written> {
    let log = Written::new();
    texts.iter().for_each(|text| log.commit(text));
    log
}

#[tokio::test]
async fn what_is_shipped_is_given_once_and_in_order() {
    let mut pair = Pair::new();
    pair.follow().await.unwrap();
    assert_eq!(pair.tail.known(), Seq(0), "nothing is there yet");
    for segments in [3, 1, 5] {
        pair.ship(segments).await;
        pair.follow().await.unwrap();
        pair.has_all().await;
    }
    // Several commits in a segment, of which somebody has some already.
    (0..6).for_each(|n| pair.written.commit(&format!("more {n}")));
    assert_eq!(
        ship_all(&pair.written, &pair.archive).await,
        Phase::Shipping
    );
    let all = pair.written.batches();
    for have in 0..=all.len() {
        pair.follower = Written::new();
        pair.follower.take(all[..have].to_vec());
        let head = pair.follower.head().await.unwrap();
        pair.tail = pair.archive.tail(head.seq);
        pair.follow().await.unwrap();
        pair.has_all().await;
    }
}

#[tokio::test]
async fn a_list_is_asked_for_now_and_then() {
    let mut pair = Pair::shipped(3).await;
    pair.follow().await.unwrap();
    let begun = pair.objects.lists();
    let looks = LIST_EVERY + 1;
    for _ in 0..5 * looks {
        pair.follow().await.unwrap();
    }
    assert_eq!(pair.objects.lists() - begun, 5 * LISTS);
    // What comes next is found by its name, and the list when it is wanted.
    let begun = pair.objects.lists();
    pair.ship(1).await;
    let by_shipper = pair.objects.lists() - begun;
    pair.follow().await.unwrap();
    pair.has_all().await;
    assert_eq!(pair.objects.lists() - begun, by_shipper);
    pair.tail.look_again();
    pair.follow().await.unwrap();
    assert_eq!(pair.objects.lists() - begun, by_shipper + LISTS);
}

#[tokio::test]
async fn a_gap_is_named_and_what_is_behind_it_comes_when_it_is_closed() {
    for (lost, named) in [
        (vec![2], "segment 3: it is missing"),
        (
            vec![2, 3],
            "segment 3: it is missing, and so are all up to number 4",
        ),
    ] {
        let mut pair = Pair::shipped(6).await;
        let whole = pair.objects.copy();
        lost.iter().rev().for_each(|place| pair.lose(*place));
        assert_eq!(pair.fails(2).await, named);
        assert_eq!(pair.fails(2).await, named, "asked again");
        // The same to who begins there.
        pair.tail = pair.archive.tail(Seq(4));
        assert_eq!(pair.fails(2).await, named);
        assert_eq!(refused(&pair.archive, &up_to(&pair, 3)).await, named);
        for place in lost {
            let name = &whole.names("segments/")[place];
            let bytes = whole.get(name).await.unwrap().unwrap();
            pair.objects.put(name, bytes).await.unwrap();
        }
        pair.follow().await.unwrap();
        pair.has_all().await;
    }
    let pair = Pair::shipped(3).await;
    pair.lose(0);
    let log = up_to(&pair, 1);
    assert_eq!(
        refused(&pair.archive, &log).await,
        "segment 1: it is missing"
    );
}

#[tokio::test]
async fn an_archive_that_lost_its_end_is_told_from_one_that_has_nothing_new() {
    let mut pair = Pair::shipped(4).await;
    pair.follow().await.unwrap();
    pair.lose(3);
    pair.lose(2);
    pair.tail.look_again();
    let shorter = pair.fails(4).await;
    assert!(shorter.contains("lost its end"), "{shorter}");
    let begun = refused(&pair.archive, &pair.follower).await;
    assert_eq!(begun, shorter);
    pair.lose(1);
    pair.lose(0);
    let empty = pair.fails(4).await;
    assert!(empty.contains("it is empty, or not what it was"), "{empty}");
    let begun = refused(&pair.archive, &pair.follower).await;
    assert_eq!(begun, empty);
}

#[tokio::test]
async fn damage_is_named_and_all_before_it_is_given() {
    let mut pair = Pair::shipped(4).await;
    let name = pair.segment(2);
    let bytes = pair.objects.get(&name).await.unwrap().unwrap();
    for (at, given, what) in [
        (200, 2, "a frame is not the one that was sealed"),
        (bytes.len() - 1, 3, "its hash is another"),
    ] {
        pair.follower = Written::new();
        pair.tail = pair.archive.tail(Seq(0));
        pair.objects.change(&name, |bytes| {
            bytes[at] ^= 1;
            true
        });
        let named = format!("{name}: it is damaged: {what}");
        assert_eq!(pair.fails(given).await, named);
        assert_eq!(pair.fails(given).await, named, "asked again");
        pair.objects.change(&name, |there| {
            *there = bytes.to_vec();
            true
        });
        pair.follow().await.unwrap();
        pair.has_all().await;
    }
    // Another segment than its name says.
    let other = pair.segment(1);
    pair.objects.change(&other, |there| {
        *there = bytes.to_vec();
        true
    });
    pair.follower = Written::new();
    pair.tail = pair.archive.tail(Seq(0));
    assert_eq!(
        pair.fails(1).await,
        format!("{other}: its name is not its own: in it is {name}")
    );
}

#[tokio::test]
async fn another_history_is_refused() {
    let pair = Pair::shipped(3).await;
    for texts in [
        &["other"][..],
        &["text 0", "other"],
        &["text 0", "text 1", "other"],
    ] {
        let failed = refused(&pair.archive, &log(texts)).await;
        assert!(failed.contains("has another commit"), "{texts:?}: {failed}");
    }
    // A point that lies within a commit of the archive.
    let mut tail = pair.archive.tail(Seq(3));
    let failed = tail.next(&*log(&["text 0", "other"])).await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("has another commit"), "{failed}");
    // More than the archive has.
    let longer = up_to(&pair, 3);
    longer.commit("more");
    let failed = refused(&pair.archive, &longer).await;
    assert!(failed.contains("does not have"), "{failed}");
    // With the keys of another store.
    let keys = Keys::from_secret(SecretKey::from_bytes([4; 32]));
    let foreign = Archive::open(pair.objects.clone(), keys);
    let failed = foreign.tail(Seq(0)).next(&*Written::new()).await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("it is of another store"), "{failed}");
}

#[tokio::test]
async fn a_segment_of_another_history_is_not_followed() {
    let mut pair = Pair::shipped(2).await;
    pair.follow().await.unwrap();
    let other = Pair::new();
    for text in ["another 0", "another 1", "another 2"] {
        other.written.commit(text);
        ship_all(&other.written, &other.archive).await;
    }
    let name = other.segment(2);
    let bytes = other.objects.get(&name).await.unwrap().unwrap();
    pair.objects.put(&name, bytes).await.unwrap();
    let failed = pair.follow().await.unwrap_err().to_string();
    assert_eq!(
        failed,
        format!(
            "{name}: it does not follow the segment before it: its predecessor had another hash"
        )
    );
    assert_eq!(pair.follower.batches(), pair.written.batches());
}

/// Merges what there is, and removes what was merged.
async fn merge(pair: &Pair) {
    let sizes = Sizes {
        bytes: 4 << 10,
        count: 2,
    };
    let (from, to) = pair.archive.merge(sizes, 1).await.unwrap();
    assert!(to > 2, "{from} became {to}");
    let window = Window {
        ms: 0,
        log_ms: None,
        taking: false,
        now_ms: 2 + 60 * 60 * 1000,
        dry_run: false,
    };
    let pruned = pair.archive.prune(&*pair.written, window, &|_, _| true);
    assert_eq!(pruned.await.unwrap().segments.len() as u64, from);
}

#[tokio::test]
async fn who_follows_goes_on_across_what_was_merged() {
    for have in [0, 1, 10, 28, 29, 30] {
        let mut pair = Pair::shipped(30).await;
        while pair.follower.batches().len() < have {
            let batches = pair.tail.next(&*pair.follower).await.unwrap();
            pair.follower.take(batches);
        }
        pair.has(have);
        merge(&pair).await;
        pair.follow().await.unwrap();
        pair.has_all().await;
        pair.ship(2).await;
        pair.follow().await.unwrap();
        pair.has_all().await;
        // Who begins within a merged one, and who has it otherwise.
        pair.follower = up_to(&pair, have);
        pair.tail = pair.archive.tail(Seq(2 * have as u64));
        pair.follow().await.unwrap();
        pair.has_all().await;
        let Some(before) = have.checked_sub(1) else {
            continue;
        };
        let other = up_to(&pair, before);
        other.commit("other");
        let failed = refused(&pair.archive, &other).await;
        assert!(failed.contains("has another commit"), "{failed}");
    }
}

/// As a standby that was stopped for days and is promoted: the place behind what it has is free,
/// since what was there is merged.
#[tokio::test]
async fn nothing_new_is_said_behind_the_last_merged_segment_only() {
    let mut pair = Pair::shipped(1).await;
    pair.follow().await.unwrap();
    pair.ship(29).await;
    merge(&pair).await;
    pair.tail.look_again();
    pair.follow().await.unwrap();
    pair.has_all().await;
    // Who was quiet for a while and then reads much by name.
    let mut pair = Pair::shipped(1).await;
    pair.follow().await.unwrap();
    pair.ship(29).await;
    for _ in 0..LIST_EVERY {
        let batches = pair.tail.next(&*pair.follower).await.unwrap();
        pair.follower.take(batches);
    }
    merge(&pair).await;
    pair.follow().await.unwrap();
    pair.has_all().await;
}

#[tokio::test]
async fn the_common_part_of_two_histories_ends_before_the_first_other_commit() {
    let pair = Pair::shipped(5).await;
    for (same, others) in [(0, 2), (3, 0), (3, 1), (3, 5), (5, 0)] {
        let log = up_to(&pair, same);
        (0..others).for_each(|n| log.commit(&format!("other {n}")));
        let common = pair.archive.common(&*log, Seq(0)).await.unwrap();
        assert_eq!(common, Seq(2 * same as u64), "{same} and {others}");
    }
}

#[tokio::test]
async fn of_two_claims_to_the_next_segment_one_is_granted() {
    let mut pair = Pair::shipped(2).await;
    pair.follow().await.unwrap();
    let end = pair.tail.end().unwrap().clone();
    let next = |text: &str| -> Vec<LogBatch> {
        let log = up_to(&pair, 2);
        log.commit(text);
        log.batches()[2..].to_vec()
    };
    let (one, two) = (next("one"), next("two"));
    let claim = async |batches: &[LogBatch]| {
        let claimed = pair.archive.claim(&end, batches, (4, 7)).await;
        claimed.unwrap()
    };
    assert!(claim(&one).await);
    assert!(!claim(&two).await);
    assert!(!claim(&[]).await, "nothing is no segment");
    assert_eq!(pair.archive.reach().await.unwrap(), (Seq(6), 4));
    pair.tail.look_again();
    assert_eq!(pair.tail.next(&*pair.follower).await.unwrap(), one);
}
