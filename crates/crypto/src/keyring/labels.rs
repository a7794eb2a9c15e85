//! Which slots a label has: the key in use, those before it, and whether they were destroyed.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::record::{LabelMac, Record, Status};

type Macs = BuildHasherDefault<MacHasher>;

/// The labels of a keyring, about 30 bytes each.
#[derive(Default)]
pub(super) struct Labels {
    current: HashMap<LabelMac, u32, Macs>,
    /// Slots of keys that others came after, oldest first.
    older: HashMap<LabelMac, Vec<u32>, Macs>,
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

    /// The slot of a label's newest key, destroyed or not.
    pub(super) fn newest(&self, label: &LabelMac) -> Option<u32> {
        self.current.get(label).copied()
    }

    /// Notes the record of a key, or says why it cannot be the next of its label.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), &'static str> {
        let before = self.current.get(&record.label).copied();
        if before != record.replaces {
            return Err(match record.replaces {
                None => "another slot has the same label",
                Some(_) => "it replaces another key than its label has",
            });
        }
        self.current.insert(record.label, record.slot);
        if let Some(before) = before {
            self.older.entry(record.label).or_default().push(before);
        }
        match record.status {
            Status::Live => self.destroyed.remove(&record.label),
            Status::Destroyed => self.destroyed.insert(record.label),
        };
        Ok(())
    }

    /// Every slot of a label, the newest last.
    pub(super) fn slots(&self, label: &LabelMac) -> Vec<u32> {
        let older = self.older.get(label).into_iter().flatten();
        older.chain(self.current.get(label)).copied().collect()
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
