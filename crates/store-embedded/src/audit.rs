//! Audit entries as they are kept. Format 2, a stored format: 1 byte format,
//! the latest time of any entry of the scope up to this one in 8 bytes (filled
//! in by the commit), time in 8, slot of the key in 4, the entry's leaf in the
//! hash tree in 32, and the sealed text: a salt of 32 bytes, and the entry. The
//! AAD is the scope, the time and the word `audit`.
//!
//! The leaf commits to the scope, the time and the entry; in format 1 to the entry alone.
//! It stands beside the sealed text so that the log can be proved when the key is gone. It says nothing about the entry without the salt.

use bytes::Bytes;
use salus_crypto::{Keyring, Slot, merkle, random};
use salus_store::{AuditRecord, Error, LeafForm, OpenedLeaf, Scope, Seq};

use crate::body::{opening, sealing};

const LATEST_AT: usize = 1;
const SALT_LEN: usize = 32;

/// An entry to be written.
pub(crate) struct NewEntry {
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaf: merkle::Hash,
}

impl NewEntry {
    pub(crate) fn seal(
        scope: Scope,
        time_ms: i64,
        slot: Slot,
        body: &[u8],
        keyring: &Keyring,
    ) -> Result<Self, Error> {
        let salt = random::bytes::<SALT_LEN>().map_err(sealing)?;
        let form = LeafForm::Placed;
        let leaf = form.leaf(&salt, scope, time_ms, body);
        let mut plain = Vec::with_capacity(SALT_LEN + body.len());
        plain.extend_from_slice(&salt);
        plain.extend_from_slice(body);
        let room = 56 + plain.len() + salus_crypto::OVERHEAD;
        let mut bytes = Vec::with_capacity(room);
        bytes.push(form as u8);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&time_ms.to_be_bytes());
        bytes.extend_from_slice(&slot.number().to_be_bytes());
        bytes.extend_from_slice(&leaf);
        keyring
            .seal(slot, &aad(scope, time_ms), &plain, &mut bytes)
            .map_err(sealing)?;
        Ok(Self { bytes, leaf })
    }

    /// Fills in the latest time of any entry so far.
    pub(crate) fn set_latest(&mut self, latest_ms: i64) {
        if let Some(place) = self.bytes.get_mut(LATEST_AT..LATEST_AT + 8) {
            place.copy_from_slice(&latest_ms.to_be_bytes());
        }
    }
}

/// An entry as it was read, still sealed.
pub(crate) struct Stored<'a> {
    pub(crate) latest_ms: i64,
    pub(crate) time_ms: i64,
    pub(crate) leaf: merkle::Hash,
    form: LeafForm,
    slot: Slot,
    sealed: &'a [u8],
}

impl<'a> Stored<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::take(bytes).ok_or_else(|| Error::Damaged("an audit entry".into()))
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (latest, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (leaf, sealed) = rest.split_first_chunk()?;
        Some(Self {
            latest_ms: i64::from_be_bytes(*latest),
            time_ms: i64::from_be_bytes(*time),
            leaf: *leaf,
            form: LeafForm::of_number(*form)?,
            slot: Slot::from_number(u32::from_be_bytes(*slot)),
            sealed,
        })
    }

    pub(crate) fn open(
        &self,
        scope: Scope,
        seq: u64,
        keyring: &Keyring,
    ) -> Result<AuditRecord, Error> {
        let plain = keyring
            .open_sealed(self.slot, &aad(scope, self.time_ms), self.sealed)
            .map_err(|e| opening(&e, seq))?;
        let body = Bytes::from(plain);
        if body.len() < SALT_LEN {
            return Err(Error::Damaged(format!("the audit entry {seq}")));
        }
        Ok(AuditRecord {
            seq: Seq(seq),
            time_ms: self.time_ms,
            body: body.slice(SALT_LEN..),
        })
    }

    /// What opens its leaf; `None` if its key was destroyed.
    pub(crate) fn open_leaf(
        &self,
        scope: Scope,
        seq: u64,
        keyring: &Keyring,
    ) -> Result<Option<OpenedLeaf>, Error> {
        let aad = aad(scope, self.time_ms);
        let plain = match keyring.open_sealed(self.slot, &aad, self.sealed) {
            Ok(plain) => Bytes::from(plain),
            Err(salus_crypto::Error::Destroyed(_)) => return Ok(None),
            Err(error) => return Err(opening(&error, seq)),
        };
        let salt = plain.first_chunk();
        let salt = *salt.ok_or_else(|| Error::Damaged(format!("the audit entry {seq}")))?;
        Ok(Some(OpenedLeaf {
            form: self.form,
            salt,
            body: plain.slice(SALT_LEN..),
        }))
    }

    /// Opens it, unless its key was destroyed, and says whether its leaf is its own.
    pub(crate) fn verify(&self, scope: Scope, seq: u64, keyring: &Keyring) -> Result<bool, Error> {
        let opened = self.open_leaf(scope, seq, keyring)?;
        let leaf = |opened: OpenedLeaf| {
            let OpenedLeaf { form, salt, body } = opened;
            form.leaf(&salt, scope, self.time_ms, &body)
        };
        Ok(opened.is_none_or(|opened| leaf(opened) == self.leaf))
    }
}

fn aad(scope: Scope, time_ms: i64) -> [u8; 17] {
    let mut aad = *b"............audit";
    aad[..4].copy_from_slice(&scope.0.to_be_bytes());
    aad[4..12].copy_from_slice(&time_ms.to_be_bytes());
    aad
}
