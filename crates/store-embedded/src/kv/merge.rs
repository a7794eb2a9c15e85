//! Merging young tables when few writes come.
//!
//! The engine lets very many young tables gather before it merges them, since
//! a merge of few costs almost as much as one of many, and a load that goes on
//! for long would write all that is stored again and again. Searches, though,
//! look into every one of them. So when writes slow down, what has gathered is
//! merged sooner, and when they pause soonest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use surrealkv::inspect::dump_manifest_with_options;
use surrealkv::{CompactRangeOptions, Options, Tree};

use super::Write;

/// How often the rate of writing is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Fewer bytes than this between two looks are a pause.
const PAUSE: u64 = 1 << 20;
/// Fewer than this are not a load.
const EASY: u64 = 6 << 20;

/// Bytes written since the store was opened.
#[derive(Default)]
pub(super) struct Written(AtomicU64);

impl Written {
    pub(super) fn add(&self, writes: &[Write]) {
        let len = |(key, value): &Write| key.len() + value.as_ref().map_or(0, Vec::len);
        let bytes: usize = writes.iter().map(len).sum();
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What is merged at a rate of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enough {
    /// A few young tables.
    Few,
    /// Many, and not little beside what they are merged into.
    Many,
    /// As many as the engine lets gather.
    All,
}

/// The tables of the two youngest levels.
#[derive(Clone, Copy, Debug, Default)]
struct Tables {
    young: usize,
    young_bytes: u64,
    /// Of the tables that the young ones are merged into.
    next_bytes: u64,
}

/// Merges young tables as the rate of writing lets it, until the store is
/// closed. `options` are those it was opened with.
pub(super) async fn merge_in_pauses(
    tree: Weak<RwLock<Option<Tree>>>,
    written: Arc<Written>,
    options: Options,
) {
    let options = Arc::new(options);
    let (mut last, mut looked) = (0, (0, Enough::All));
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(tree) = tree.upgrade() else { return };
        let now = written.0.load(Ordering::Relaxed);
        let enough = Enough::at(now - last);
        last = now;
        // A table comes with about as much as is held in memory before.
        let is_another = now - looked.0 >= options.max_memtable_size as u64;
        if enough == looked.1 && !is_another {
            continue;
        }
        looked = (now, enough);
        if enough != Enough::All {
            let options = Arc::clone(&options);
            let merging = move || {
                if enough.is_met_by(tables(&options)) {
                    merge(&tree);
                }
            };
            let _ = tokio::task::spawn_blocking(merging).await;
        }
    }
}

impl Enough {
    fn at(bytes: u64) -> Self {
        match bytes {
            bytes if bytes < PAUSE => Self::Few,
            bytes if bytes < EASY => Self::Many,
            _ => Self::All,
        }
    }

    fn is_met_by(self, tables: Tables) -> bool {
        match self {
            Self::Few => tables.young >= 4,
            Self::Many => tables.young >= 24 && tables.young_bytes >= tables.next_bytes / 8,
            Self::All => false,
        }
    }
}

/// As the list on the disk says. One that changes meanwhile may not be read;
/// the next look will see.
fn tables(options: &Options) -> Tables {
    let Ok(list) = dump_manifest_with_options(&options.path, options) else {
        return Tables::default();
    };
    let level = |n: usize| list.levels.get(n).map_or(&[][..], |level| &level.tables);
    let bytes = |n: usize| level(n).iter().map(|table| table.file_size).sum();
    Tables {
        young: level(0).len(),
        young_bytes: bytes(0),
        next_bytes: bytes(1),
    }
}

fn merge(tree: &RwLock<Option<Tree>>) {
    let options = CompactRangeOptions {
        flush_memtable: false,
        target_level: Some(1),
        rewrite_bottommost: false,
    };
    if let Some(tree) = tree.read().as_ref() {
        // A failure changes nothing; the next pause tries again.
        let _ = tree.compact_range(None, None, &options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewer_writes_the_sooner() {
        let tables = |young, young_bytes, next_bytes| Tables {
            young,
            young_bytes,
            next_bytes,
        };
        let (few, many, all) = (Enough::at(0), Enough::at(PAUSE), Enough::at(EASY));
        assert!(!few.is_met_by(tables(3, 3, 0)));
        assert!(few.is_met_by(tables(4, 4, 1_000)));
        assert!(!many.is_met_by(tables(23, 23, 0)));
        assert!(!many.is_met_by(tables(24, 24, 200)));
        assert!(many.is_met_by(tables(24, 24, 192)));
        assert!(!all.is_met_by(tables(1_000, 1_000, 0)));
    }
}
