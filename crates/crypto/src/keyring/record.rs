//! The keyring file, versions 1 and 2: one record of 128 bytes per key, in the
//! order of slots, so that destroying a key or wrapping it anew is one overwrite,
//! which `changes.rs` makes whole.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version: 1, or 2 for a key that came after another |
//! | 1 | level: 0 purposes, 1 project, 2 patient, 255 never used |
//! | 2 | status: 1 live, 2 destroyed |
//! | 3 | zero |
//! | 4..8 | slot |
//! | 8..12 | scope |
//! | 12..28 | MAC of the label |
//! | 28..36 | when it was made, in milliseconds since 1970 UTC |
//! | 36..40 | what wraps it: id of the root key, or slot of the project's key |
//! | 40..44 | how many records were known durable when this one was made |
//! | 44..116 | the wrapped key: XAES-256-GCM nonce, ciphertext, tag |
//! | 116..120 | zero; in version 2 the slot of the key that this one came after |
//! | 120..128 | the first bytes of SHA-256 over all before |
//!
//! Numbers are big-endian. What wraps authenticates level, slot, scope, label
//! and time, and in version 2 which key it came after. Of the keys of one label
//! the last seals what is new; those before it open what they sealed. The
//! purpose key has no label: once its root key was changed, its record is of
//! version 2, and the first eight bytes of the label say when that was. The count of durable records tells a write that a crash cut
//! short, which is repaired, from damage, which is named.

/// Bytes of a record.
pub(super) const LEN: usize = 128;

/// Bytes of a wrapped key.
pub(super) const WRAPPED_LEN: usize = 32 + crate::sealing::RAW_OVERHEAD;

const FIRST: u8 = 1;
const LATER: u8 = 2;
const CHECKED: usize = 120;

/// The MAC of a label: who a key belongs to, without saying so.
pub(super) type LabelMac = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Purposes = 0,
    Project = 1,
    Patient = 2,
    /// A crash cut the record short; its number is not used again.
    Unused = 255,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Live = 1,
    Destroyed = 2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) level: Level,
    pub(super) status: Status,
    pub(super) slot: u32,
    pub(super) scope: u32,
    pub(super) label: LabelMac,
    pub(super) created_ms: i64,
    pub(super) wrapped_by: u32,
    pub(super) durable_before: u32,
    pub(super) wrapped: [u8; WRAPPED_LEN],
    /// The slot of the key of the same label that it came after.
    pub(super) replaces: Option<u32>,
}

impl Record {
    /// A record for a slot that a crash left without one.
    pub(super) fn unused(slot: u32) -> Self {
        Self {
            level: Level::Unused,
            status: Status::Destroyed,
            slot,
            scope: 0,
            label: [0; 16],
            created_ms: 0,
            wrapped_by: 0,
            durable_before: 0,
            wrapped: [0; WRAPPED_LEN],
            replaces: None,
        }
    }

    /// When the root key that wraps the purpose key came, if it was not the first.
    pub(super) fn root_since_ms(&self) -> i64 {
        match i64::from_be_bytes(part_of(&self.label)) {
            0 => self.created_ms,
            since_ms => since_ms,
        }
    }

    /// Notes that in the record of the purpose key.
    pub(super) fn set_root_since(&mut self, now_ms: i64) {
        self.label[..8].copy_from_slice(&now_ms.to_be_bytes());
    }

    fn version(&self) -> u8 {
        let rooted_anew = self.level == Level::Purposes && self.label != [0; 16];
        match self.replaces.is_some() || rooted_anew {
            true => LATER,
            false => FIRST,
        }
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..3].copy_from_slice(&[self.version(), self.level as u8, self.status as u8]);
        bytes[4..8].copy_from_slice(&self.slot.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.scope.to_be_bytes());
        bytes[12..28].copy_from_slice(&self.label);
        bytes[28..36].copy_from_slice(&self.created_ms.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.wrapped_by.to_be_bytes());
        bytes[40..44].copy_from_slice(&self.durable_before.to_be_bytes());
        bytes[44..116].copy_from_slice(&self.wrapped);
        bytes[116..CHECKED].copy_from_slice(&self.replaces.unwrap_or(0).to_be_bytes());
        let check = crate::sha256(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&check[..LEN - CHECKED]);
        bytes
    }

    /// Reads the record of whatever slot it names, or says what is wrong with it.
    pub(super) fn decode_any(bytes: &[u8; LEN]) -> Result<Self, &'static str> {
        Self::decode(bytes, u32::from_be_bytes(part(bytes, 4)))
    }

    /// Whether both are forms of one key.
    pub(super) fn is_key(&self, other: &Self) -> bool {
        let of = |one: &Self| (one.level, one.slot, one.scope, one.created_ms, one.replaces);
        of(self) == of(other) && self.label == other.label
    }

    /// Reads the record of a slot, or says what is wrong with it.
    pub(super) fn decode(bytes: &[u8; LEN], slot: u32) -> Result<Self, &'static str> {
        if crate::sha256(&bytes[..CHECKED])[..LEN - CHECKED] != bytes[CHECKED..] {
            return Err("its checksum is wrong");
        }
        let replaces = match (bytes[0], u32::from_be_bytes(part(bytes, 116))) {
            (FIRST, _) | (LATER, 0) => None,
            // Keys come in order, and the first slot has no label.
            (LATER, before) if before < slot => Some(before),
            (LATER, _) => return Err("it replaces a key that comes after it"),
            _ => return Err("it is of a later version"),
        };
        let record = Self {
            level: match bytes[1] {
                0 => Level::Purposes,
                1 => Level::Project,
                2 => Level::Patient,
                255 => Level::Unused,
                _ => return Err("its level is unknown"),
            },
            status: match bytes[2] {
                1 => Status::Live,
                2 => Status::Destroyed,
                _ => return Err("its status is unknown"),
            },
            slot: u32::from_be_bytes(part(bytes, 4)),
            scope: u32::from_be_bytes(part(bytes, 8)),
            label: part(bytes, 12),
            created_ms: i64::from_be_bytes(part(bytes, 28)),
            wrapped_by: u32::from_be_bytes(part(bytes, 36)),
            durable_before: u32::from_be_bytes(part(bytes, 40)),
            wrapped: part(bytes, 44),
            replaces,
        };
        if record.slot != slot {
            return Err("it belongs to another slot");
        }
        Ok(record)
    }

    /// What the wrapping of the key authenticates.
    pub(super) fn aad(&self) -> Vec<u8> {
        let mut aad = Vec::with_capacity(52);
        aad.extend_from_slice(match self.replaces {
            None => b"salus-keyring-1",
            Some(_) => b"salus-keyring-2",
        });
        aad.push(self.level as u8);
        aad.extend_from_slice(&self.slot.to_be_bytes());
        aad.extend_from_slice(&self.scope.to_be_bytes());
        aad.extend_from_slice(&self.label);
        aad.extend_from_slice(&self.created_ms.to_be_bytes());
        if let Some(before) = self.replaces {
            aad.extend_from_slice(&before.to_be_bytes());
        }
        aad
    }
}

fn part_of<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[..N]);
    part
}

fn part<const N: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_change_of_any_byte_is_noticed() {
        let record = Record {
            level: Level::Patient,
            status: Status::Live,
            slot: 7,
            scope: 3,
            label: [9; 16],
            created_ms: -1,
            wrapped_by: 2,
            durable_before: 5,
            wrapped: [4; WRAPPED_LEN],
            replaces: Some(6),
        };
        let first = Record {
            replaces: None,
            ..record.clone()
        };
        assert_eq!((first.encode()[0], record.encode()[0]), (1, 2));
        assert_eq!(Record::decode(&first.encode(), 7), Ok(first));
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes, 7), Ok(record));
        assert_eq!(Record::decode(&bytes, 8), Err("it belongs to another slot"));
        for i in 0..LEN {
            let mut changed = bytes;
            changed[i] ^= 1;
            assert!(Record::decode(&changed, 7).is_err(), "byte {i}");
        }
    }
}
