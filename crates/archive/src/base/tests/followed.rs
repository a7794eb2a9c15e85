//! Who follows an archive that has a base, beside the line and in place of what was pruned.

use std::sync::atomic::Ordering;

use salus_store::memory::Memory;
use salus_store::{Log, LogBatch, Seq};

use super::{HOUR_MS, Room, head, restore, with_base};
use crate::shipper::tests::read;
use crate::{Error, Tail, Until};

/// All that comes until there is nothing just now.
async fn rest(tail: &mut Tail, log: &dyn Log) -> Result<Vec<LogBatch>, Error> {
    let mut rest = Vec::new();
    loop {
        match tail.next(log).await? {
            batches if batches.is_empty() => return Ok(rest),
            batches => rest.extend(batches),
        }
    }
}

fn lasts(batches: &[LogBatch]) -> Vec<Seq> {
    batches.iter().map(|batch| batch.last).collect()
}

#[tokio::test]
async fn who_follows_goes_on_behind_what_was_read() {
    let room = with_base().await;
    let all = room.store.batches(Seq(0), usize::MAX).await.unwrap();
    let (told, _) = read(&room.archive, Until::Seq(Seq(9))).await;
    let seq = told.last().unwrap().last;
    assert_eq!(told.len(), 4);
    let mut tail = room.archive.tail(seq);
    let behind = rest(&mut tail, &room.store).await.unwrap();
    assert_eq!(lasts(&behind), lasts(&all[told.len()..]));
    let end = tail.end().unwrap().clone();
    assert_eq!(end.chain, head(&room.store).await.chain);
    // And when more comes.
    assert_eq!(rest(&mut tail, &room.store).await.unwrap(), []);
    assert_eq!(tail.end().unwrap().chain, end.chain);
    room.put(1).await;
    room.ship().await;
    let more = rest(&mut tail, &room.store).await.unwrap();
    assert_eq!(lasts(&more), [head(&room.store).await.seq]);
    // A store of another history has another commit there.
    let other = Room::new(78);
    for n in 0..20 {
        other.put((n + 1) % 5).await;
    }
    let failed = rest(&mut room.archive.tail(seq), &other.store).await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("another history"), "{failed}");
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    assert!(room.prune(HOUR_MS).await.base.is_some());
    let failed = rest(&mut room.archive.tail(seq), &room.store).await;
    assert!(matches!(failed, Err(Error::Pruned(_))), "{failed:?}");
}

#[tokio::test]
async fn what_was_restored_from_a_base_is_followed_behind_it() {
    let room = with_base().await;
    let base = room.archive.contents().await.unwrap().bases[0].clone();
    let valid = room.archive.whole(&base).await.unwrap().valid.0;
    let base = base.name;
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    assert_eq!(room.prune(HOUR_MS).await.base, Some(base));
    let restored = restore(&room.archive, Until::End).await;
    let seq = head(&restored).await.seq;
    assert!(seq > valid && valid > base.seq);
    for _ in 0..6 {
        room.put(2).await;
    }
    room.ship().await;
    for after in [valid, seq] {
        // As a store that was restored to there.
        let log: Memory = restore(&room.archive, Until::Seq(after)).await;
        let mut tail = room.archive.tail(after);
        let behind = rest(&mut tail, &log).await.unwrap();
        let own = room.store.batches(after, usize::MAX).await.unwrap();
        assert_eq!(lasts(&behind), lasts(&own), "behind {after:?}");
        let head = head(&room.store).await;
        let end = tail.end().unwrap();
        assert_eq!((end.seq, end.chain), (head.seq, head.chain));
    }
    // What goes on from its beginning finds that it has to begin with the base.
    let empty = rest(&mut room.archive.tail(Seq(0)), &Memory::new()).await;
    assert!(
        matches!(empty, Err(Error::Pruned(seq)) if seq == base.seq),
        "{empty:?}"
    );
}
