//! Damaged bases, and what somebody put there that is not ours.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use salus_store::Seq;

use super::{HOUR_MS, prune, with_base};
use crate::base::Taken;
use crate::shipper::tests::{archive, read};
use crate::{Destination, Until};

#[tokio::test]
async fn a_damaged_base_is_named_and_the_log_stands_in() {
    let room = with_base().await;
    let names = room.objects.names("bases/");
    assert!(names.len() > 4, "{names:?}");
    let commits = room.given.lock().len();
    for name in &names {
        for lost in [false, true] {
            let objects = room.objects.copy();
            objects.change(name, |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                !lost
            });
            let archive = archive(objects.clone());
            room.restores(&archive, commits).await;
            let mut reading = archive.read(Until::End).await.unwrap();
            while reading.next().await.unwrap().is_some() {}
            let verified = archive.verify_log(&|_, _| true, &|_, _| {}).await.unwrap();
            // Without what says that it is whole, it is one that was cut off.
            if lost && name.ends_with("/whole") {
                assert_eq!(reading.damaged(), []);
                continue;
            }
            assert_eq!(reading.damaged().len(), 1, "{name}");
            assert_eq!(verified.faults.len(), 1, "{:?}", verified.faults);
            assert_eq!(verified.seq, reading.reached().seq, "nothing is lost");
            assert!(
                verified.faults[0].contains("bases/"),
                "{:?}",
                verified.faults
            );
            // Nothing goes by it.
            let went = prune(&archive, room.now_ms() + 9 * HOUR_MS, HOUR_MS)
                .await
                .unwrap();
            assert_eq!(went.log, Vec::<String>::new());
            assert_eq!(went.faults.len(), 1, "{:?}", went.faults);
        }
    }
}

#[tokio::test]
async fn the_older_base_stands_in_when_the_log_is_pruned() {
    let room = with_base().await;
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    assert!(room.prune(HOUR_MS).await.base.is_some());
    for _ in 0..8 {
        room.commit().await;
    }
    assert!(matches!(room.base(2).await, Taken::Made(..)));
    let names = room.objects.names("bases/");
    let newest = names.last().unwrap().rsplit_once('/').unwrap().0.to_owned();
    let parts: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with(&newest))
        .collect();
    let oldest = names[0].clone();
    room.objects.change(parts[1], |_| false);
    let commits = room.given.lock().len();
    room.restores(&room.archive, commits).await;
    // And without any, what is missing is named.
    room.objects.change(&oldest, |bytes| {
        bytes[200] ^= 1;
        true
    });
    let (batches, end) = read(&room.archive, Until::End).await;
    let end = end.unwrap().to_string();
    assert!(end.contains("bases/"), "{end}");
    assert!(batches.is_empty());
    let verified = room
        .archive
        .verify_log(&|_, _| true, &|_, _| {})
        .await
        .unwrap();
    assert!(verified.faults.len() >= 2, "{:?}", verified.faults);
    assert_eq!(verified.seq, Seq(0), "nothing can be restored");
}

#[tokio::test]
async fn nothing_goes_by_a_mark_that_is_not_ours() {
    let room = with_base().await;
    let name = room.archive.contents().await.unwrap().bases[0].name;
    let mark = name.mark();
    room.objects
        .put(&mark, Bytes::from_static(b"5"))
        .await
        .unwrap();
    let pruned = room.prune(i64::MAX).await;
    assert_eq!(pruned.log, Vec::<String>::new());
    let verified = room
        .archive
        .verify_log(&|_, _| true, &|_, _| {})
        .await
        .unwrap();
    assert_eq!(verified.faults.len(), 1, "{:?}", verified.faults);
    assert!(verified.faults[0].contains(&mark));
}

#[tokio::test]
async fn a_segment_of_a_base_is_none_of_the_line() {
    let room = with_base().await;
    let base = room.objects.names("bases/");
    let (of_base, of_line) = (base[0].clone(), room.objects.names("segments/")[0].clone());
    let bytes = room.objects.get(&of_base).await.unwrap().unwrap();
    room.objects.change(&of_line, |there| {
        *there = bytes.to_vec();
        true
    });
    for name in base.iter().filter(|name| name.ends_with("/whole")) {
        room.objects.change(name, |_| false);
    }
    let (batches, end) = read(&room.archive, Until::End).await;
    assert!(batches.is_empty());
    assert!(end.unwrap().to_string().contains("its name is not its own"));
}
