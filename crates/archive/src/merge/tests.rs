//! Merged archives say what they said before, and what goes is what nobody needs.

use std::sync::Arc;

use salus_store::Seq;

use super::Sizes;
use crate::shipper::tests::{Objects, Written, archive, read, ship_all};
use crate::{Archive, Destination, Phase, Until, Window};

const SMALL: Sizes = Sizes {
    bytes: 4 << 10,
    count: 2,
};
const HOUR_MS: i64 = 60 * 60 * 1000;

/// An archive of so many segments of a commit each.
async fn shipped(segments: usize) -> (Arc<Objects>, Archive, Arc<Written>) {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let written = Written::new();
    for n in 0..segments {
        written.commit(&format!("text {n}"));
        assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    }
    (objects, archive, written)
}

async fn names(objects: &Objects) -> usize {
    objects.list("segments/").await.unwrap().len()
}

fn window(now_ms: i64, dry_run: bool) -> Window {
    Window {
        ms: HOUR_MS,
        log_ms: None,
        taking: false,
        now_ms,
        dry_run,
    }
}

#[tokio::test]
async fn merged_segments_say_the_same_and_shipping_goes_on() {
    let (objects, archive, written) = shipped(30).await;
    let (from, to) = archive.merge(SMALL, 10).await.unwrap();
    assert_eq!(from, 29, "the last one is where a shipper goes on");
    assert!((1..29).contains(&to), "{to}");
    for until in [Until::End, Until::Seq(Seq(17)), Until::TimeMs(9_000)] {
        let (batches, end) = read(&archive, until).await;
        assert!(end.is_none(), "{end:?}");
        assert_eq!(batches, written.batches()[..batches.len()]);
        assert!(until != Until::End || batches.len() == 30);
    }
    // Without what was merged it says the same.
    let pruned = archive
        .prune(&*written, window(10 + HOUR_MS, false), &|_, _| true)
        .await
        .unwrap();
    assert_eq!(
        pruned.segments,
        Vec::<String>::new(),
        "somebody may be reading"
    );
    let late = window(11 + HOUR_MS, true);
    let pruned = archive.prune(&*written, late, &|_, _| true).await.unwrap();
    assert_eq!(pruned.segments.len(), 29);
    assert_eq!(names(&objects).await, 30 + to as usize);
    let late = window(11 + HOUR_MS, false);
    archive.prune(&*written, late, &|_, _| true).await.unwrap();
    assert_eq!(names(&objects).await, 1 + to as usize);
    for n in 0..5 {
        written.commit(&format!("more {n}"));
        assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    }
    let (batches, end) = read(&archive, Until::End).await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(batches, written.batches());
    let verified = archive.verify_log(&|_, _| true, &|_, _| {}).await.unwrap();
    assert_eq!(verified.faults, Vec::<String>::new());
    assert_eq!((verified.batches, verified.seq), (35, Seq(70)));
}

#[tokio::test]
async fn merged_segments_are_merged_again() {
    let (_, archive, written) = shipped(20).await;
    let tiny = Sizes {
        bytes: 2 << 10,
        count: 100,
    };
    let (_, some) = archive.merge(tiny, 1).await.unwrap();
    assert!(some >= 2, "{some}");
    let (from, to) = archive
        .merge(
            Sizes {
                bytes: 64 << 10,
                count: 2,
            },
            2,
        )
        .await
        .unwrap();
    assert_eq!(to, 1);
    assert!(from >= some);
    assert_eq!(read(&archive, Until::End).await.0, written.batches());
}

#[tokio::test]
async fn what_is_damaged_is_not_merged() {
    let (objects, archive, written) = shipped(12).await;
    let list = objects.list("segments/").await.unwrap();
    let bytes = objects.get(&list[4].name).await.unwrap().unwrap();
    let mut changed = bytes.to_vec();
    changed[200] ^= 1;
    objects.remove(&list[4].name).await.unwrap();
    objects.put(&list[4].name, changed.into()).await.unwrap();
    let failed = archive.merge(SMALL, 1).await.unwrap_err().to_string();
    assert!(failed.starts_with(&list[4].name), "{failed}");
    assert_eq!(read(&archive, Until::End).await.0, written.batches()[..4]);
    let verified = archive.verify_log(&|_, _| true, &|_, _| {}).await.unwrap();
    assert_eq!(verified.faults.len(), 1, "{:?}", verified.faults);
    assert_eq!((verified.segments, verified.seq), (11, Seq(8)));
}

#[tokio::test]
async fn blobs_go_when_the_window_has_passed_them() {
    let (_, archive, written) = shipped(1).await;
    let blob = written.blob("one", 10);
    written.commit("its record");
    ship_all(&written, &archive).await;
    let blobs = async || archive.blobs().await.unwrap().len();
    let prune = async |now_ms| {
        archive
            .prune(&*written, window(now_ms, false), &|_, _| true)
            .await
            .unwrap()
    };
    assert_eq!(prune(0).await.waiting, 0);
    written.forget(&blob);
    assert_eq!(prune(0).await.waiting, 1);
    assert_eq!(prune(HOUR_MS).await.waiting, 1);
    assert_eq!(blobs().await, 1);
    assert_eq!(prune(HOUR_MS + 1).await.blobs, [blob]);
    assert_eq!(blobs().await, 0);
    assert_eq!(prune(HOUR_MS + 2).await.waiting, 0);
}

#[tokio::test]
async fn a_chain_that_the_engine_refuses_is_a_fault() {
    let (_, archive, _) = shipped(3).await;
    let follows = |_, batch: &salus_store::LogBatch| batch.first != Seq(3);
    let verified = archive.verify_log(&follows, &|_, _| {}).await.unwrap();
    assert_eq!(verified.faults.len(), 1);
    assert!(
        verified.faults[0].contains("chain of changes"),
        "{:?}",
        verified.faults
    );
}
