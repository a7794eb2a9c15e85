//! Which versions a newer one has replaced, while their index rows are still there.
//!
//! An index entry belongs to one version. When a version is superseded, its
//! entries stay until no snapshot that could ask for it is kept; meanwhile a
//! scan at point `S` skips a version if one at or before `S` superseded it.
//!
//! Removal takes care of views opened before it, which still see the entries:
//! what was removed is forgotten only when the last such view is gone.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

/// Superseded versions and open views.
#[derive(Default)]
pub(crate) struct Superseded {
    by: RwLock<HashMap<u64, u64, RandomState>>,
    size: AtomicUsize,
    views: Mutex<Views>,
    /// Points before this one are no longer kept.
    floor: AtomicU64,
}

#[derive(Default)]
struct Views {
    /// Removals so far.
    era: u64,
    /// How many open views began in which era.
    open: BTreeMap<u64, usize>,
    /// Versions whose entries were removed, with the era that began after.
    removed: VecDeque<(u64, Vec<u64>)>,
}

/// Held by an open view; dropping it lets removals be forgotten.
pub(crate) struct Watch {
    superseded: Arc<Superseded>,
    era: u64,
}

impl Superseded {
    /// A version was superseded. Must be told before the point of the newer one is shown to anyone.
    pub(crate) fn add(&self, pairs: impl Iterator<Item = (u64, u64)>) {
        let mut by = self.by.write();
        by.extend(pairs);
        self.size.store(by.len(), Ordering::Release);
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.size.load(Ordering::Acquire)
    }

    /// Whether the entries of version `seq` count at point `at`.
    pub(crate) fn shows(&self, seq: u64, at: u64) -> bool {
        if seq > at {
            return false;
        }
        if self.size.load(Ordering::Acquire) == 0 {
            return true;
        }
        self.by.read().get(&seq).is_none_or(|&newer| newer > at)
    }

    /// Begins to watch. To be called before the view is opened.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        let mut views = self.views.lock();
        let era = views.era;
        *views.open.entry(era).or_default() += 1;
        Watch {
            superseded: Arc::clone(self),
            era,
        }
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    /// Stops keeping points before this one. To be called before entries are removed.
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.floor.fetch_max(floor, Ordering::AcqRel);
    }

    /// The entries of these versions were removed.
    pub(crate) fn removed(&self, seqs: Vec<u64>) {
        let mut views = self.views.lock();
        views.era += 1;
        let era = views.era;
        views.removed.push_back((era, seqs));
        self.forget(&mut views);
    }

    fn forget(&self, views: &mut Views) {
        let oldest = views.open.keys().next().copied().unwrap_or(u64::MAX);
        while views.removed.front().is_some_and(|(era, _)| *era <= oldest) {
            let Some((_, seqs)) = views.removed.pop_front() else {
                return;
            };
            let mut by = self.by.write();
            for seq in seqs {
                by.remove(&seq);
            }
            self.size.store(by.len(), Ordering::Release);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut views = self.superseded.views.lock();
        if let Some(count) = views.open.get_mut(&self.era) {
            *count -= 1;
            if *count == 0 {
                views.open.remove(&self.era);
                self.superseded.forget(&mut views);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_shows_until_its_successor() {
        let superseded = Arc::new(Superseded::default());
        superseded.add([(3, 7)].into_iter());
        assert!(!superseded.shows(3, 2));
        assert!(superseded.shows(3, 6));
        assert!(!superseded.shows(3, 7));
        assert!(superseded.shows(7, 7));
    }

    #[test]
    fn what_was_removed_is_remembered_while_an_older_view_is_open() {
        let superseded = Arc::new(Superseded::default());
        superseded.add([(3, 7)].into_iter());
        let old = superseded.watch();
        superseded.removed(vec![3]);
        let new = superseded.watch();
        assert!(!superseded.shows(3, 8));
        drop(old);
        assert_eq!(superseded.len(), 0);
        drop(new);
    }
}
