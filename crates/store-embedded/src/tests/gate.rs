//! A store that is told when it may commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use salus_store::{At, Error, Store};

use super::room::{KIND, Room, batch, observation};

#[test]
fn what_may_not_be_committed_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::new(folder.path());
    let store = room.open();
    let may = Arc::new(AtomicBool::new(true));
    store.commit_while({
        let may = Arc::clone(&may);
        move || match may.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err("who is asked does not answer".to_owned()),
        }
    });
    let put = |id: &str| room.commit(&store, batch(vec![observation(id, 1, "1")]));
    let first = put("a").unwrap();
    may.store(false, Ordering::SeqCst);
    let refused = put("b");
    assert!(
        matches!(&refused, Err(Error::Unavailable(why)) if why.contains("does not answer")),
        "{refused:?}"
    );
    assert!(room.runtime.block_on(store.ready()).is_err());
    let snapshot = room.snapshot(&store, At::Now).unwrap();
    let there = ["a", "b"].map(|id| {
        let record = room.runtime.block_on(snapshot.get(KIND, id));
        record.unwrap().is_some()
    });
    assert_eq!(there, [true, false]);
    may.store(true, Ordering::SeqCst);
    room.runtime.block_on(store.ready()).unwrap();
    assert_eq!(put("b").unwrap().0, first.0 + 2);
}
