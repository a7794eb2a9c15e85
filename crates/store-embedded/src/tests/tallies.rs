//! What a store held at each point of its log, also where that was purged since.

use salus_store::{Batch, Content, Log, Purge, Put, Seq};
use tempfile::TempDir;

use super::room::{KIND, Room, SCOPE, batch, observation, put};
use crate::{Counts, Tally};

#[test]
fn every_point_is_counted_as_it_was_then() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let of = |tally: &Tally| tally.kinds.get(&(SCOPE, KIND)).copied().unwrap_or_default();
    let mut then: Vec<(Seq, Tally)> = Vec::new();
    let counts = |records, versions| Counts { records, versions };
    let deletion = Put {
        content: Content::Deleted,
        rows: Vec::new(),
        ..observation("b", 2, "1")
    };
    let purge = Purge {
        kind: KIND,
        id: "a".into(),
        below: 3,
    };
    let purge = Batch {
        purged: vec![purge],
        ..batch(Vec::new())
    };
    for (step, expect) in [
        (put("a", 1, "1"), counts(1, 1)),
        (put("b", 1, "1"), counts(2, 2)),
        (put("a", 2, "2"), counts(2, 3)),
        (batch(vec![deletion]), counts(1, 4)),
        (put("a", 3, "3"), counts(1, 5)),
        (purge, counts(1, 5)),
    ] {
        room.commit(&store, step).unwrap();
        let head = room.runtime.block_on(store.head()).unwrap();
        let now = store.tally(head.seq).unwrap();
        assert_eq!((of(&now), now.chain), (expect, head.chain));
        then.push((head.seq, now));
        for (seq, before) in &then {
            assert_eq!(store.tally(*seq).unwrap(), *before, "{seq:?}");
        }
    }
    assert_eq!(store.tally(Seq(0)).unwrap(), Tally::default());
    let end = then.last().unwrap().0;
    store.tally(Seq(end.0 + 1)).unwrap_err();
    room.check(&store);
}
