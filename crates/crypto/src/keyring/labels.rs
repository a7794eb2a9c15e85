//! Which slots a label has: the key in use, those before it, and whether they were destroyed.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::record::LabelMac;

type Macs = BuildHasherDefault<MacHasher>;

/// The labels of a keyring, about 30 bytes each.
#[derive(Default)]
pub(super) struct Labels {
    current: HashMap<LabelMac, u32, Macs>,
    destroyed: HashSet<LabelMac, Macs>,
}

/// What a label has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// No key yet.
    Nothing,
    /// The slot of the key that seals what is new.
    Slot(u32),
    /// Its keys were destroyed: it gets no other.
    Destroyed,
}

impl Labels {
    /// What a label has.
    pub(super) fn get(&self, label: &LabelMac) -> Held {
        match self.current.get(label) {
            Some(_) if self.destroyed.contains(label) => Held::Destroyed,
            Some(slot) => Held::Slot(*slot),
            None => Held::Nothing,
        }
    }

    /// Notes a label's first key; `false` when it has one.
    pub(super) fn add(&mut self, label: LabelMac, slot: u32) -> bool {
        self.current.insert(label, slot).is_none()
    }

    /// Every slot of a label.
    pub(super) fn slots(&self, label: &LabelMac) -> Vec<u32> {
        self.current.get(label).copied().into_iter().collect()
    }

    /// Notes that a label's keys are destroyed.
    pub(super) fn destroy(&mut self, label: LabelMac) {
        self.destroyed.insert(label);
    }
}

/// A MAC is as good as random: its first bytes are its hash.
#[derive(Default)]
struct MacHasher(u64);

impl std::hash::Hasher for MacHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }
}
