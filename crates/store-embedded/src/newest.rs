//! The newest version of a record, as its key holds it. Format 1, a stored
//! format: 1 byte format, 1 byte flags (1: deleted), seq in 8 bytes, version in 8.

use salus_store::Error;

const FORMAT: u8 = 1;
const DELETED: u8 = 1;

/// The newest version of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) seq: u64,
    pub(crate) version: u64,
    pub(crate) deleted: bool,
}

impl Newest {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(18);
        bytes.extend_from_slice(&[FORMAT, if self.deleted { DELETED } else { 0 }]);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let read = || {
            let ([FORMAT, flags], rest) = bytes.split_first_chunk()? else {
                return None;
            };
            let (seq, rest) = rest.split_first_chunk()?;
            let version: &[u8; 8] = rest.try_into().ok()?;
            Some(Self {
                seq: u64::from_be_bytes(*seq),
                version: u64::from_be_bytes(*version),
                deleted: flags & DELETED != 0,
            })
        };
        read().ok_or_else(|| Error::Damaged("the newest version of a record".into()))
    }
}
