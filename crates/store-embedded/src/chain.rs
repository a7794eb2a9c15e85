//! The chain of changes: for each batch with versions, a hash over the hash of
//! the batch before it and the sealed versions of this one. Whoever keeps the
//! last hash can tell whether a copy of the log, in a backup or an archive, is
//! the log that was written: nothing changed, left out or put in.
//!
//! The link is kept under the seq of the batch's first version. Format 1: 1
//! byte format, 4 bytes number of versions, 32 bytes hash. The hash is the
//! SHA-256 of the word `batch`, the hash before it (32 zero bytes at the
//! beginning), the first seq in 8 bytes, and for each version the SHA-256 of
//! its bytes as they lie in the log, with zeros for the latest time.

use salus_crypto::sha256;
use salus_store::{LogBatch, LogPart};

use crate::{audit, body};

const FORMAT: u8 = 1;

/// One batch in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) versions: u32,
    pub(crate) hash: [u8; 32],
}

impl Link {
    pub(crate) fn new(
        before: [u8; 32],
        first_seq: u64,
        digests: impl ExactSizeIterator<Item = [u8; 32]>,
    ) -> Self {
        let versions = digests.len() as u32;
        let mut bytes = Vec::with_capacity(48 + digests.len() * 32);
        bytes.extend_from_slice(b"batch");
        bytes.extend_from_slice(&before);
        bytes.extend_from_slice(&first_seq.to_be_bytes());
        digests.for_each(|digest| bytes.extend_from_slice(&digest));
        Self {
            versions,
            hash: sha256(&bytes),
        }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(37);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.versions.to_be_bytes());
        bytes.extend_from_slice(&self.hash);
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let ([FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (versions, rest) = rest.split_first_chunk()?;
        Some(Self {
            versions: u32::from_be_bytes(*versions),
            hash: rest.try_into().ok()?,
        })
    }
}

/// Whether a batch of a log follows the chain of changes before it, and has the leaves of its
/// entries: what an archive is checked by. Nothing is opened.
#[must_use]
pub fn follows(before: [u8; 32], batch: &LogBatch) -> bool {
    let mut digests = Vec::new();
    for part in &batch.parts {
        match part {
            LogPart::Version(bytes) => match body::Stored::read(bytes) {
                Ok(stored) => {
                    digests.push(stored.purged().unwrap_or_else(|| body::digest(bytes)));
                }
                Err(_) => return false,
            },
            LogPart::Audit { leaf, entry, .. } => {
                let own = audit::Stored::read(entry);
                if !own.is_ok_and(|own| own.leaf == *leaf) {
                    return false;
                }
            }
            LogPart::Purged(_) => {}
        }
    }
    match digests.is_empty() {
        true => batch.chain == before,
        false => Link::new(before, batch.first.0, digests.into_iter()).hash == batch.chain,
    }
}
