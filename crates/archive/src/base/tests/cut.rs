//! Bases and pruning that are cut off at every step, and objects that are locked.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{HOUR_MS, IDS, Room, prune, take, with_base};
use crate::base::Taken;
use crate::shipper::tests::{Objects, archive, broken};
use crate::{Answer, Archive, Destination, Object, Put, Sizes, Until};

/// A place whose process dies after so many changes, or that does not remove what is locked.
struct Dying {
    inner: Arc<Objects>,
    left: AtomicU64,
    locked: HashSet<String>,
}

impl Dying {
    fn spend(&self) -> Result<(), crate::Trouble> {
        let less = |count: u64| count.checked_sub(1);
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        left.map(|_| ()).map_err(|_| broken())
    }
}

impl Destination for Dying {
    fn label(&self) -> &str {
        "dying"
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, Put> {
        Box::pin(async move {
            self.spend()?;
            self.inner.put(name, bytes).await
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>> {
        self.inner.get(name)
    }

    fn head<'a>(&'a self, name: &'a str, bytes: u64) -> Answer<'a, Option<Bytes>> {
        self.inner.head(name, bytes)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        self.inner.list(prefix)
    }

    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.spend()?;
            match self.locked.contains(name) {
                true => Err(broken()),
                false => self.inner.remove(name).await,
            }
        })
    }
}

fn dying(inner: &Arc<Objects>, left: u64, locked: HashSet<String>) -> Archive {
    archive(Arc::new(Dying {
        inner: Arc::clone(inner),
        left: AtomicU64::new(left),
        locked,
    }))
}

#[tokio::test]
async fn a_base_that_was_cut_off_is_not_used_and_is_gone_on_with() {
    let room = Room::new(5);
    for n in 0..30 {
        room.put(n % IDS).await;
    }
    room.ship().await;
    let mut died = 0;
    loop {
        let objects = room.objects.copy();
        let cut = take(&dying(&objects, died, HashSet::new()), &room.store).await;
        let archive = archive(objects.clone());
        if let Ok(taken) = cut {
            assert!(matches!(taken, Taken::Made(..)));
            break;
        }
        room.is_whole(&archive).await;
        let reading = archive.read(Until::End).await.unwrap();
        assert!(reading.base().is_none(), "it counts when it is whole");
        let there = objects.names("bases/");
        assert_eq!(there.len() as u64, died);
        // It goes on behind what is there.
        let rest = dying(&objects, u64::MAX, HashSet::new());
        assert!(matches!(
            take(&rest, &room.store).await,
            Ok(Taken::Made(..))
        ));
        assert!(objects.names("bases/").starts_with(&there[..]) || died == 0);
        room.restores(&archive, 30).await;
        assert!(archive.read(Until::End).await.unwrap().base().is_some());
        room.is_whole(&archive).await;
        died += 1;
    }
    assert!(died > 4, "{died}");
}

#[tokio::test]
async fn parts_that_were_put_and_are_said_to_be_there_are_its_own() {
    let room = Room::new(6);
    for n in 0..30 {
        room.put(n % IDS).await;
    }
    room.ship().await;
    room.objects.repeat(3);
    let taken = take(&room.archive, &room.store).await;
    assert!(matches!(taken, Ok(Taken::Made(..))), "{taken:?}");
    room.restores(&room.archive, 30).await;
    room.is_whole(&room.archive).await;
}

#[tokio::test]
async fn one_that_cannot_be_gone_on_with_goes() {
    let room = Room::new(5);
    for n in 0..30 {
        room.put(n % IDS).await;
    }
    room.ship().await;
    let cut = take(&dying(&room.objects, 3, HashSet::new()), &room.store).await;
    cut.unwrap_err();
    let there = room.objects.names("bases/");
    room.objects.change(&there[2], |bytes| {
        bytes[200] ^= 1;
        true
    });
    room.put(1).await;
    room.ship().await;
    assert!(matches!(
        take(&room.archive, &room.store).await,
        Ok(Taken::Made(..))
    ));
    assert!(
        room.objects
            .names("bases/")
            .iter()
            .all(|name| !there.contains(name))
    );
    // One that nobody takes goes after a day, when nobody takes any.
    room.put(1).await;
    room.ship().await;
    let cut = take(&dying(&room.objects, 2, HashSet::new()), &room.store).await;
    cut.unwrap_err();
    assert_eq!(room.archive.summary().await.unwrap().cut_off, 1);
    let now_ms = 25 * HOUR_MS;
    let kept = prune(&room.archive, now_ms - 2 * HOUR_MS, i64::MAX)
        .await
        .unwrap();
    assert_eq!(kept.log, Vec::<String>::new());
    let went = prune(&room.archive, now_ms, i64::MAX).await.unwrap();
    assert_eq!(went.log.len(), 2);
    room.is_whole(&room.archive).await;
}

#[tokio::test]
async fn pruning_that_is_cut_off_breaks_nothing_and_is_gone_on_with() {
    let room = with_base().await;
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    let commits = room.given.lock().len();
    let segments = room.objects.names("segments/").len();
    let whole = room.objects.copy();
    prune(&archive(whole.clone()), room.now_ms(), HOUR_MS)
        .await
        .unwrap();
    let after = whole.names("");
    assert!(whole.names("segments/").len() + 5 < segments);
    let mut died = 0;
    loop {
        let objects = room.objects.copy();
        let cut = prune(
            &dying(&objects, died, HashSet::new()),
            room.now_ms(),
            HOUR_MS,
        )
        .await;
        let done = cut.is_ok_and(|pruned| pruned.kept == 0);
        let archive = archive(objects.clone());
        room.is_whole(&archive).await;
        room.restores(&archive, commits).await;
        prune(&archive, room.now_ms(), HOUR_MS).await.unwrap();
        assert_eq!(objects.names(""), after, "died after {died}");
        room.restores(&archive, commits).await;
        if done {
            break;
        }
        died += 1;
    }
    assert!(died > 5, "{died}");
    // Who ships goes on behind it.
    let room = with_base().await;
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    room.prune(HOUR_MS).await;
    room.commit().await;
    room.ship().await;
    let sizes = Sizes {
        bytes: 64 << 10,
        count: 2,
    };
    room.archive.merge(sizes, 1).await.unwrap();
    let commits = room.given.lock().len();
    room.restores(&room.archive, commits).await;
    room.is_whole(&room.archive).await;
}

#[tokio::test]
async fn what_is_locked_is_told_and_goes_later() {
    let room = with_base().await;
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    let segments = room.objects.names("segments/");
    let locked: HashSet<_> = [segments[1].clone(), segments[4].clone()].into();
    let archive = dying(&room.objects, u64::MAX, locked.clone());
    for _ in 0..2 {
        let pruned = prune(&archive, room.now_ms(), HOUR_MS).await.unwrap();
        assert_eq!(pruned.kept, 2);
        let there: HashSet<_> = room.objects.names("segments/").into_iter().collect();
        assert!(there.is_superset(&locked) && !there.contains(&segments[0]));
        room.is_whole(&archive).await;
        let commits = room.given.lock().len();
        room.restores(&archive, commits).await;
    }
    assert_eq!(room.prune(HOUR_MS).await.log.len(), 2);
    assert!(
        room.objects
            .names("segments/")
            .iter()
            .all(|name| !locked.contains(name))
    );
}
