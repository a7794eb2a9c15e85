//! Destroying a patient's keys: cryptographic erase (NIST SP 800-88r2, 3.1.3).
//!
//! The wrapped key in each slot of the label is overwritten where it lies, once
//! it is written down that it will be (`changes.rs`): each is destroyed or not,
//! never half. What remains is the label with a mark that it gets no other key.

use std::sync::atomic::Ordering;

use super::labels::Held;
use super::record::{LabelMac, Level, Record, Status, WRAPPED_LEN};
use super::{Keyring, Slot};
use crate::Error;

impl Keyring {
    /// Destroys every key of a patient, durably, and says how many keys that
    /// were. From then on what they sealed cannot be opened, and
    /// [`Self::slot`] refuses the label with [`Error::LabelDestroyed`], even
    /// one that had no key. Calling it again is harmless: it goes on where a
    /// crash ended it.
    ///
    /// # Errors
    /// When the disk fails; keys are then refused to this process, but may be
    /// on the disk still: call it again.
    pub fn destroy(&self, scope: u32, label: &str) -> Result<u32, Error> {
        let mac = self.label_mac(scope, Some(label));
        let _one_at_a_time = self.making.lock();
        if self.labels.read().get(&mac) == Held::Nothing {
            self.mark(scope, mac)?;
        }
        // What is not in the file yet cannot be overwritten there.
        self.sync()?;
        let slots = {
            let mut labels = self.labels.write();
            labels.destroy(mac);
            labels.slots(&mac)
        };
        self.destroy_in(&slots)
    }

    /// Whether the keys of a patient were destroyed.
    #[must_use]
    pub fn is_destroyed(&self, scope: u32, label: &str) -> bool {
        let mac = self.label_mac(scope, Some(label));
        self.labels.read().get(&mac) == Held::Destroyed
    }

    /// Gives a patient whose keys were destroyed a key for what comes from now
    /// on. What the old ones sealed stays closed. Durable when it returns.
    ///
    /// # Errors
    /// When the disk fails, or there is no randomness.
    pub fn renew(&self, scope: u32, label: &str, now_ms: i64) -> Result<Slot, Error> {
        let mac = self.label_mac(scope, Some(label));
        let slot = {
            let _one_at_a_time = self.making.lock();
            match self.held(&mac) {
                Err(Error::LabelDestroyed) => {}
                Ok(Some(slot)) => return Ok(Slot(slot)),
                Ok(None) | Err(_) => return Err(Error::LabelUnknown),
            }
            let project = self.project_slot(scope, now_ms)?;
            // The key before has to be in the file before the one that names it.
            self.sync()?;
            self.make(scope, mac, Some(project), now_ms)?
        };
        self.sync()?;
        Ok(Slot(slot))
    }

    /// Overwrites the keys in some slots.
    fn destroy_in(&self, slots: &[u32]) -> Result<u32, Error> {
        let mut journal = self.changes.lock();
        // Also when there is nothing to do: the last call may have failed here, and the journal
        // must have none of these keys.
        let settled = self.settle(&mut journal)?;
        let here = |one: &&Record| one.status == Status::Destroyed && slots.contains(&one.slot);
        let settled = settled.iter().filter(here).count();
        let mut destroyed = Vec::new();
        for slot in slots {
            let record = self.record(*slot)?;
            if record.status == Status::Live {
                destroyed.push(Record {
                    status: Status::Destroyed,
                    wrapped: [0; WRAPPED_LEN],
                    ..record
                });
            }
        }
        self.overwrite(&mut journal, &destroyed)?;
        Ok((settled + destroyed.len()) as u32)
    }

    /// Takes a slot for a label without a key, so that it never gets one.
    fn mark(&self, scope: u32, label: LabelMac) -> Result<(), Error> {
        let slot = self.next_slot()?;
        let record = Record {
            level: Level::Patient,
            status: Status::Destroyed,
            slot,
            scope,
            label,
            created_ms: 0,
            wrapped_by: 0,
            durable_before: self.durable.load(Ordering::Acquire),
            wrapped: [0; WRAPPED_LEN],
            replaces: None,
        };
        self.append(&record)
    }
}
