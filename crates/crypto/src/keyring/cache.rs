//! Unwrapped keys, a bounded number of them; the least recently used leave first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::key::Key;

/// Keys are spread over shards by slot, so that threads seldom meet.
const SHARDS: usize = 16;

pub(super) struct Cache {
    shards: Vec<RwLock<HashMap<u32, Entry>>>,
    shard_keys_max: usize,
    clock: AtomicU64,
}

struct Entry {
    key: Arc<Key>,
    used: AtomicU64,
}

impl Cache {
    pub(super) fn new(keys_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_keys_max: keys_max.div_ceil(SHARDS),
            clock: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, slot: u32) -> Option<Arc<Key>> {
        let shard = self.shard(slot).read();
        let entry = shard.get(&slot)?;
        // Time moves on insertions only: reading a hot key writes nothing shared.
        let now = self.clock.load(Ordering::Relaxed);
        if entry.used.load(Ordering::Relaxed) != now {
            entry.used.store(now, Ordering::Relaxed);
        }
        Some(Arc::clone(&entry.key))
    }

    pub(super) fn insert(&self, slot: u32, key: Arc<Key>) {
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed) + 1);
        let mut shard = self.shard(slot).write();
        if shard.len() >= self.shard_keys_max && !shard.contains_key(&slot) {
            let oldest = shard
                .iter()
                .min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed))
                .map(|(slot, _)| *slot);
            if let Some(oldest) = oldest {
                shard.remove(&oldest);
            }
        }
        shard.insert(slot, Entry { key, used });
    }

    pub(super) fn remove(&self, slot: u32) {
        self.shard(slot).write().remove(&slot);
    }

    fn shard(&self, slot: u32) -> &RwLock<HashMap<u32, Entry>> {
        &self.shards[slot as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::record::Level;

    fn key() -> Arc<Key> {
        Arc::new(Key::new(&[1; 32], Level::Patient).unwrap())
    }

    #[test]
    fn what_was_used_last_stays() {
        let cache = Cache::new(SHARDS * 2);
        // Three slots of one shard, which has room for two.
        let [a, b, c] = [0, 16, 32];
        cache.insert(a, key());
        cache.insert(b, key());
        assert!(cache.get(a).is_some());
        cache.insert(1, key());
        assert!(cache.get(a).is_some());
        cache.insert(c, key());
        assert!(cache.get(a).is_some());
        assert!(cache.get(b).is_none());
        assert!(cache.get(c).is_some());
    }
}
