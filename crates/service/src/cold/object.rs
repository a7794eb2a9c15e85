//! Objects of cold storage, a stored format.
//!
//! | bytes | |
//! |---|---|
//! | 10 | the word `salus cold` |
//! | 1 | format, 1 |
//! | 16 | the store that it is of |
//! | rest | header and frames, as those of a blob (`salus_crypto::frames`), with the object's id |
//!
//! In the frames lie entries: the length in 4 bytes, high byte first, and a text sealed with the
//! key of the record that it is of; authenticated with it are a word, the object's id and the number of the
//! entry. In that stand the length of its head in 4 bytes, the head in JSON, and content.

use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::frames::{FRAME_BYTES, Frames, HEADER_BYTES_MAX, Header};
use salus_crypto::{Keyring, SecretKey, sha256};
use salus_store::{Scope, SealKey};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

const WORD: &[u8; 10] = b"salus cold";
const ENTRY_WORD: &[u8] = b"salus cold entry";
const FORMAT: u8 = 1;
const FIXED: usize = 27;

/// What is the matter with an object, or with what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It is nothing of this store's.
    #[error("it is foreign: of another store, or no object of cold storage")]
    Foreign,
    /// Some of its bytes are not those that were written.
    #[error("it is damaged")]
    Damaged,
    /// What it holds is not what the record has to be.
    #[error("what is in it is not what was moved there")]
    Other,
}

/// What an entry is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Type and id of the record.
    #[serde(rename = "type")]
    pub(super) ty: String,
    pub(super) id: Box<str>,
    pub(super) version: u64,
    /// When the version was written.
    pub(super) time_ms: i64,
    /// Whether it is a deletion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
    /// It is a part of the content of a Binary, from this place on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blob_at: Option<u64>,
}
salus_phi::guard!(Head);

/// Seals and opens objects.
pub(super) struct Objects {
    keyring: Arc<Keyring>,
    store: [u8; 16],
}

impl Objects {
    pub(super) fn of(keyring: &Arc<Keyring>) -> Result<Self, Error> {
        let key = keyring.derive("salus cold 1").map_err(keys)?;
        let mut store = [0; 16];
        store.copy_from_slice(&key.mac(b"store")[..16]);
        Ok(Self {
            keyring: Arc::clone(keyring),
            store,
        })
    }

    /// What the names of all objects of a project begin with.
    pub(super) fn folder(&self, scope: Scope) -> String {
        let store = salus_crypto::hex(&self.store);
        format!("cold/{store}/{:08x}/", scope.0)
    }

    /// An object around entries. The key that it needs is durable when this is done.
    pub(super) fn seal(
        &self,
        (scope, seal): (Scope, &SealKey),
        (id, now_ms): (&str, i64),
        entries: &[u8],
    ) -> Result<Bytes, Error> {
        let label = match seal {
            SealKey::Patient(patient) => Some(&**patient),
            SealKey::Scope => None,
        };
        let slot = self.keyring.slot(scope.0, label, now_ms).map_err(keys)?;
        self.keyring.sync().map_err(keys)?;
        let header = Header::new(scope.0, slot, now_ms, id).map_err(keys)?;
        let mut out = Vec::with_capacity(entries.len() + entries.len() / 1024 + 1024);
        out.extend_from_slice(WORD);
        out.push(FORMAT);
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&header.to_bytes());
        let mut frames = Frames::new(&header);
        let pieces: Vec<&[u8]> = entries.chunks(FRAME_BYTES).collect();
        for (number, piece) in pieces.iter().enumerate() {
            let which = (number as u64, number + 1 == pieces.len());
            let sealed = frames.seal(&self.keyring, which, piece, &mut out);
            sealed.map_err(keys)?;
        }
        Ok(out.into())
    }

    /// The entries of an object, sealed as they are.
    pub(super) fn open(&self, scope: Scope, id: &str, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let rest = bytes.strip_prefix(WORD).ok_or(Fault::Foreign)?;
        let (&[FORMAT], rest) = rest.split_first_chunk().ok_or(Fault::Damaged)? else {
            return Err(Fault::Foreign);
        };
        let rest = rest.strip_prefix(&self.store).ok_or(Fault::Foreign)?;
        let start = &rest[..rest.len().min(HEADER_BYTES_MAX)];
        let header = Header::read(start).map_err(|_| Fault::Damaged)?;
        if header.scope != scope.0 || *header.id != *id {
            return Err(Fault::Foreign);
        }
        let layout = header.layout(rest.len() as u64).ok_or(Fault::Damaged)?;
        let mut frames = Frames::new(&header);
        let mut out = Vec::with_capacity(layout.bytes as usize);
        for number in 0..layout.frames {
            let from = layout.start(number) as usize;
            let sealed = rest.get(from..from + layout.sealed(number));
            let sealed = sealed.ok_or(Fault::Damaged)?;
            let which = (number, number == layout.last());
            frames
                .open(&self.keyring, which, sealed, &mut out)
                .map_err(|_| Fault::Damaged)?;
        }
        debug_assert!(bytes.len() >= FIXED);
        Ok(out)
    }
}

/// Appends an entry.
pub(super) fn put_entry(
    key: &SecretKey,
    (id, number): (&str, u32),
    (head, content): (&Head, &[u8]),
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let head = serde_json::to_vec(head).map_err(|error| {
        Error::new(Kind::Internal, "an entry cannot be written").caused_by(error)
    })?;
    let mut plain = Vec::with_capacity(4 + head.len() + content.len());
    plain.extend_from_slice(&(head.len() as u32).to_be_bytes());
    plain.extend_from_slice(&head);
    plain.extend_from_slice(content);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    key.seal(&about(id, number), &plain, out).map_err(keys)?;
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The sealed entries of an object, in order.
pub(super) fn entries(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (entry, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

/// Opens an entry.
pub(super) fn open_entry(
    key: &SecretKey,
    (id, number): (&str, u32),
    sealed: &[u8],
) -> Option<(Head, Bytes)> {
    let mut plain = Vec::with_capacity(sealed.len());
    key.open_onto(&about(id, number), sealed, &mut plain).ok()?;
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let head = serde_json::from_slice(rest.get(..length)?).ok()?;
    Some((head, Bytes::from(plain).slice(4 + length..)))
}

fn about(id: &str, number: u32) -> Vec<u8> {
    let mut about = ENTRY_WORD.to_vec();
    about.extend_from_slice(id.as_bytes());
    about.push(0);
    about.extend_from_slice(&number.to_be_bytes());
    about
}

/// A hash as it is kept.
pub(super) fn digest(bytes: &[u8]) -> String {
    salus_crypto::base64url(&sha256(bytes))
}

fn keys(error: salus_crypto::Error) -> Error {
    if let salus_crypto::Error::LabelDestroyed | salus_crypto::Error::Destroyed(_) = error {
        return salus_store::Error::KeyDestroyed.into();
    }
    Error::new(Kind::Unavailable, "the keys cannot be used just now").caused_by(error)
}

#[cfg(test)]
mod tests {
    use salus_crypto::Founding;

    use super::*;

    fn head() -> Head {
        Head {
            ty: "Observation".into(),
            id: "a".into(),
            version: 1,
            time_ms: 5,
            deleted: false,
            blob_at: None,
        }
    }

    #[test]
    fn what_is_sealed_opens_and_any_change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let ring = |name: &str| {
            let dir = folder.path().join(name);
            Objects::of(&Keyring::open(&dir, Founding::New, 0).unwrap()).unwrap()
        };
        let (objects, others) = (ring("own"), ring("other"));
        let key = SecretKey::from_bytes([3; 32]);
        let mut plain = Vec::new();
        put_entry(&key, ("o", 0), (&head(), b"one"), &mut plain).unwrap();
        put_entry(&key, ("o", 1), (&head(), &[7; 100_000]), &mut plain).unwrap();
        let scope = Scope(1);
        let seal = SealKey::Patient("p".into());
        let sealed = objects.seal((scope, &seal), ("o", 1), &plain).unwrap();
        let opened = objects.open(scope, "o", &sealed).unwrap();
        assert_eq!(opened, plain);
        let found = entries(&opened).unwrap();
        let (read, content) = open_entry(&key, ("o", 0), found[0]).unwrap();
        assert_eq!((read, &*content), (head(), &b"one"[..]));
        assert_eq!(
            open_entry(&key, ("o", 1), found[1]).unwrap().1.len(),
            100_000
        );
        // Neither in another place, nor with another key, nor in another object.
        assert!(open_entry(&key, ("o", 1), found[0]).is_none());
        assert!(open_entry(&key, ("p", 0), found[0]).is_none());
        let other = SecretKey::from_bytes([4; 32]);
        assert!(open_entry(&other, ("o", 0), found[0]).is_none());
        assert_eq!(objects.open(scope, "p", &sealed), Err(Fault::Foreign));
        assert_eq!(objects.open(Scope(2), "o", &sealed), Err(Fault::Foreign));
        assert_eq!(others.open(scope, "o", &sealed), Err(Fault::Foreign));
        assert_eq!(objects.open(scope, "o", b"else"), Err(Fault::Foreign));
        for at in [FIXED + 30, FIXED + 60, sealed.len() - 1] {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert!(objects.open(scope, "o", &changed).is_err(), "{at}");
        }
        for cut in [FIXED, FIXED + 45, sealed.len() - 1] {
            assert!(objects.open(scope, "o", &sealed[..cut]).is_err(), "{cut}");
        }
    }
}
