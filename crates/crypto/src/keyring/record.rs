//! The keyring file, version 1: one record of 128 bytes per key, in the order
//! of slots, so that destroying a key is one overwrite within one sector.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, 1 |
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
//! | 116..120 | zero |
//! | 120..128 | the first bytes of SHA-256 over all before |
//!
//! Numbers are big-endian. What wraps authenticates level, slot, scope, label
//! and time. The count of durable records tells a write that a crash cut
//! short, which is repaired, from damage, which is named.

/// Bytes of a record.
pub(super) const LEN: usize = 128;

/// Bytes of a wrapped key.
pub(super) const WRAPPED_LEN: usize = 32 + crate::sealing::RAW_OVERHEAD;

const VERSION: u8 = 1;
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
        }
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..3].copy_from_slice(&[VERSION, self.level as u8, self.status as u8]);
        bytes[4..8].copy_from_slice(&self.slot.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.scope.to_be_bytes());
        bytes[12..28].copy_from_slice(&self.label);
        bytes[28..36].copy_from_slice(&self.created_ms.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.wrapped_by.to_be_bytes());
        bytes[40..44].copy_from_slice(&self.durable_before.to_be_bytes());
        bytes[44..116].copy_from_slice(&self.wrapped);
        let check = crate::sha256(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&check[..LEN - CHECKED]);
        bytes
    }

    /// Reads the record of a slot, or says what is wrong with it.
    pub(super) fn decode(bytes: &[u8; LEN], slot: u32) -> Result<Self, &'static str> {
        if crate::sha256(&bytes[..CHECKED])[..LEN - CHECKED] != bytes[CHECKED..] {
            return Err("its checksum is wrong");
        }
        if bytes[0] != VERSION {
            return Err("it is of a later version");
        }
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
        };
        if record.slot != slot {
            return Err("it belongs to another slot");
        }
        Ok(record)
    }

    /// What the wrapping of the key authenticates.
    pub(super) fn aad(&self) -> [u8; 48] {
        let mut aad = [0; 48];
        aad[..15].copy_from_slice(b"salus-keyring-1");
        aad[15] = self.level as u8;
        aad[16..20].copy_from_slice(&self.slot.to_be_bytes());
        aad[20..24].copy_from_slice(&self.scope.to_be_bytes());
        aad[24..40].copy_from_slice(&self.label);
        aad[40..].copy_from_slice(&self.created_ms.to_be_bytes());
        aad
    }
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
        };
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
