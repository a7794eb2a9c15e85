//! Audit entries as they are kept. Format 2, a stored format:
//!
//! | bytes | |
//! |---|---|
//! | 1 | format |
//! | 1 | flags: 1 the first part of its batch, 2 the last, 4 kept in format 1 before, 8 cleared: its sealed text is empty, and it is about nothing |
//! | 8 | the latest time of any batch up to this one, filled in by the commit |
//! | 8 | time |
//! | 4 | slot of the key |
//! | 32 | the entry's leaf in the hash tree |
//! | 4 + n | the sealed text: a salt of 32 bytes, and the entry; its AAD is the scope, the time and the word `audit` |
//! | rest | the records that it is about: kind in 4 bytes, 1 byte length of the id, the id |
//!
//! Format 1 had no flags, and neither the length of the sealed text nor what
//! stands behind it; `format.rs` changes it.
//!
//! The leaf commits to the scope, the time and the entry; in format 1 to the entry alone.
//! It stands beside the sealed text so that the log can be proved when the key is gone. It says nothing about the entry without the salt.

use bytes::Bytes;
use salus_crypto::{Keyring, Slot, merkle, random};
use salus_store::{AuditEntry, AuditRecord, Error, Kind, LeafForm, OpenedLeaf, Scope, Seq};

use crate::body::{opening, sealing};
use crate::core::set;
use crate::keys;
use crate::kv::{View, Write};

const FORMAT: u8 = 2;
const FORMAT_1: u8 = 1;
const FIRST: u8 = 1;
const LAST: u8 = 2;
const OLD: u8 = 4;
const CLEARED: u8 = 8;
const LENGTH_LEN: usize = 4;
const FLAGS_AT: usize = 1;
const LATEST_AT: usize = 2;
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
        entry: &AuditEntry,
        keyring: &Keyring,
    ) -> Result<Self, Error> {
        let body = &entry.body;
        let salt = random::bytes::<SALT_LEN>().map_err(sealing)?;
        let form = LeafForm::Placed;
        let leaf = form.leaf(&salt, scope, time_ms, body);
        let mut plain = Vec::with_capacity(SALT_LEN + body.len());
        plain.extend_from_slice(&salt);
        plain.extend_from_slice(body);
        let about: usize = entry.about.iter().map(|(_, id)| 5 + id.len()).sum();
        let room = 58 + plain.len() + salus_crypto::OVERHEAD + about;
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(&[FORMAT, 0]);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&time_ms.to_be_bytes());
        bytes.extend_from_slice(&slot.number().to_be_bytes());
        bytes.extend_from_slice(&leaf);
        let length = (plain.len() + salus_crypto::OVERHEAD) as u32;
        bytes.extend_from_slice(&length.to_be_bytes());
        keyring
            .seal(slot, &aad(scope, time_ms), &plain, &mut bytes)
            .map_err(sealing)?;
        put_about(&mut bytes, &entry.about);
        Ok(Self { bytes, leaf })
    }

    /// Says where in its batch it stands.
    pub(crate) fn set_place(&mut self, first: bool, last: bool) {
        if let Some(flags) = self.bytes.get_mut(FLAGS_AT) {
            *flags = (u8::from(first) * FIRST) | (u8::from(last) * LAST);
        }
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
    flags: u8,
    form: LeafForm,
    slot: Slot,
    sealed: &'a [u8],
    about: &'a [u8],
}

impl<'a> Stored<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::take(bytes).ok_or_else(|| Error::Damaged("an audit entry".into()))
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let ([FORMAT, flags], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (latest, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (leaf, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (sealed, about) = rest.split_at_checked(length)?;
        Some(Self {
            latest_ms: i64::from_be_bytes(*latest),
            time_ms: i64::from_be_bytes(*time),
            leaf: *leaf,
            flags: *flags,
            form: match flags & OLD {
                0 => LeafForm::Placed,
                _ => LeafForm::Entry,
            },
            slot: Slot::from_number(u32::from_be_bytes(*slot)),
            sealed,
            about,
        })
    }

    /// Whether it is the first part of its batch; `None` if that was not kept.
    pub(crate) fn is_first(&self) -> Option<bool> {
        (self.flags & OLD == 0).then_some(self.flags & FIRST != 0)
    }

    /// Whether its leaf is all that is left of it.
    pub(crate) fn is_cleared(&self) -> bool {
        self.flags & CLEARED != 0
    }

    /// What is left of it when it is cleared, of the bytes it was read from: all that stands
    /// before its text, so that the log and the tree have it where it was.
    pub(crate) fn cleared(&self, bytes: &[u8]) -> Vec<u8> {
        let text = LENGTH_LEN + self.sealed.len() + self.about.len();
        let mut left = bytes.get(..bytes.len() - text).unwrap_or_default().to_vec();
        if let Some(flags) = left.get_mut(FLAGS_AT) {
            *flags |= CLEARED;
        }
        left.extend_from_slice(&[0; LENGTH_LEN]);
        left
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// The bytes it was read from, without the records that it is about, and those.
    pub(crate) fn parts(&self, bytes: &'a [u8]) -> Result<(&'a [u8], About), Error> {
        let own = bytes.len() - self.about.len();
        let about = take_about(self.about);
        let about = about.ok_or_else(|| Error::Damaged("the records of an audit entry".into()))?;
        Ok((bytes.get(..own).unwrap_or_default(), about))
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

    /// What opens its leaf; `None` if its key was destroyed, or it was cleared.
    pub(crate) fn open_leaf(
        &self,
        scope: Scope,
        seq: u64,
        keyring: &Keyring,
    ) -> Result<Option<OpenedLeaf>, Error> {
        if self.is_cleared() {
            return Ok(None);
        }
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

/// The space of keys under which an entry of these bytes lies.
pub(crate) fn space(stored: &Stored<'_>) -> u8 {
    match stored.is_cleared() {
        true => keys::CLEARED,
        false => keys::AUDIT,
    }
}

/// What clears entries of a scope, and how many of them there are.
pub(crate) fn clearing(
    view: &View,
    scope: Scope,
    seqs: &[Seq],
) -> Result<(Vec<Write>, u64), Error> {
    let (mut writes, mut count) = (Vec::new(), 0);
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    seqs.dedup();
    for Seq(seq) in seqs {
        let key = keys::audit(scope, seq);
        let Some(bytes) = view.get(&key)? else {
            continue;
        };
        let stored = Stored::read(&bytes)?;
        let (_, about) = stored.parts(&bytes)?;
        let left = stored.cleared(&bytes);
        writes.push(set(keys::entry(keys::CLEARED, scope, seq), left));
        writes.push((key, None));
        for (kind, id) in about {
            let key = keys::record_at(keys::ABOUT, scope, kind, &id, seq);
            writes.push((key, None));
        }
        count += 1;
    }
    Ok((writes, count))
}

/// What an entry is about.
pub(crate) type About = Vec<(Kind, Box<str>)>;

/// Appends the records that an entry is about.
pub(crate) fn put_about(bytes: &mut Vec<u8>, about: &[(Kind, Box<str>)]) {
    for (kind, id) in about {
        bytes.extend_from_slice(&kind.0.to_be_bytes());
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id.as_bytes());
    }
}

fn take_about(mut rest: &[u8]) -> Option<About> {
    let mut about = Vec::new();
    while !rest.is_empty() {
        let (kind, behind) = rest.split_first_chunk()?;
        let (length, behind) = behind.split_first()?;
        let (id, behind) = behind.split_at_checked(usize::from(*length))?;
        about.push((
            Kind(u32::from_be_bytes(*kind)),
            str::from_utf8(id).ok()?.into(),
        ));
        rest = behind;
    }
    Some(about)
}

/// An entry of format 1 in the form of today; `None` if it is one already.
pub(crate) fn from_format_1(
    bytes: &[u8],
    about: &[(Kind, Box<str>)],
) -> Result<Option<Vec<u8>>, Error> {
    let (head, sealed) = match bytes.split_first() {
        Some((&FORMAT, _)) => return Ok(None),
        Some((&FORMAT_1, rest)) => rest.split_at_checked(52),
        Some(_) | None => None,
    }
    .ok_or_else(|| Error::Damaged("an audit entry".into()))?;
    let mut new = vec![FORMAT, OLD];
    new.extend_from_slice(head);
    new.extend_from_slice(&(sealed.len() as u32).to_be_bytes());
    new.extend_from_slice(sealed);
    put_about(&mut new, about);
    Ok(Some(new))
}

/// An entry as format 1 had it, with the leaf that it had there.
#[cfg(test)]
pub(crate) fn to_format_1(bytes: &[u8], leaf: merkle::Hash) -> Vec<u8> {
    let stored = Stored::read(bytes).unwrap();
    let mut old = vec![FORMAT_1];
    old.extend_from_slice(&bytes[2..22]);
    old.extend_from_slice(&leaf);
    old.extend_from_slice(stored.sealed);
    old
}

fn aad(scope: Scope, time_ms: i64) -> [u8; 17] {
    let mut aad = *b"............audit";
    aad[..4].copy_from_slice(&scope.0.to_be_bytes());
    aad[4..12].copy_from_slice(&time_ms.to_be_bytes());
    aad
}
