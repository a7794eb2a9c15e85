//! Merging young tables while few writes come.
//!
//! Under load the engine lets many tables gather before it merges them, since
//! a merge of few costs almost as much as one of many. Searches, though, look
//! into every table. So when writes pause, what has gathered is merged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use surrealkv::{CompactRangeOptions, Tree};

use super::Write;

/// How often the rate of writing is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Fewer bytes than this between two looks are a pause.
const PAUSE: u64 = 1 << 20;

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

/// Merges level 0 in each pause before which at least `enough` bytes came,
/// until the store is closed.
pub(super) async fn merge_in_pauses(
    tree: Weak<RwLock<Option<Tree>>>,
    written: Arc<Written>,
    enough: u64,
) {
    let (mut last, mut merged) = (0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(tree) = tree.upgrade() else { return };
        let now = written.0.load(Ordering::Relaxed);
        if now - last < PAUSE && now - merged >= enough {
            merged = now;
            let _ = tokio::task::spawn_blocking(move || merge(&tree)).await;
        }
        last = now;
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
