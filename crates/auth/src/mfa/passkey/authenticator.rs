//! What an authenticator writes: <https://www.w3.org/TR/webauthn-2/#sctn-authenticator-data>.
//!
//! ```text
//! 32 bytes  SHA-256 of the id of the relying party
//!  1 byte   flags: 1 user present, 4 user verified, 64 credential follows, 128 extensions follow
//!  4 bytes  counter
//! 16 bytes  kind of authenticator      } if a credential follows
//!  2 bytes  length of the next         }
//!           id of the credential       }
//!           its key, COSE (RFC 9052)   }
//!           extensions, CBOR, if they follow
//! ```

use salus_crypto::{PasskeyKey, same, sha256};

use super::cbor::{Item, Reader};

const PRESENT: u8 = 1;
const VERIFIED: u8 = 4;
const CREDENTIAL: u8 = 64;
const EXTENSIONS: u8 = 128;

/// The part that is always there.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    party: [u8; 32],
    present: bool,
    /// Whether the authenticator has made sure that it is its owner.
    pub(super) verified: bool,
    pub(super) extended: bool,
    credential: bool,
    pub(super) count: u32,
}

impl Data {
    /// Whether it is for this relying party, and somebody was there.
    pub(super) fn fits(&self, party: &str) -> bool {
        same(&self.party, &sha256(party.as_bytes())) && self.present
    }
}

/// The part that is always there, and what follows it.
pub(super) fn data(bytes: &[u8]) -> Option<(Data, &[u8])> {
    let (party, rest) = bytes.split_first_chunk::<32>()?;
    let (flags, rest) = rest.split_first()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let data = Data {
        party: *party,
        present: flags & PRESENT != 0,
        verified: flags & VERIFIED != 0,
        extended: flags & EXTENSIONS != 0,
        credential: flags & CREDENTIAL != 0,
        count: u32::from_be_bytes(*count),
    };
    Some((data, rest))
}

/// What a new credential comes with (6.5.4): what the authenticator says, the
/// id of the credential, its key.
#[must_use]
pub fn read_attestation(object: &[u8]) -> Option<(Data, Vec<u8>, PasskeyKey)> {
    let mut reader = Reader::new(object);
    let Item::Map(count) = reader.item()? else {
        return None;
    };
    let mut said = None;
    for _ in 0..count {
        let Item::Text(name) = reader.item()? else {
            return None;
        };
        if name != "authData" {
            reader.skip()?;
            continue;
        }
        let (Item::Bytes(bytes), None) = (reader.item()?, said) else {
            return None;
        };
        said = Some(bytes);
    }
    if !reader.rest().is_empty() {
        return None;
    }
    let (data, rest) = data(said?)?;
    let (_, rest) = rest.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (credential, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let mut reader = Reader::new(rest);
    let key = key(&mut reader)?;
    if data.extended {
        reader.skip()?;
    }
    let whole = reader.rest().is_empty() && data.credential && !credential.is_empty();
    whole.then(|| (data, credential.to_vec(), key))
}

/// A key (RFC 9052, 7; RFC 9053, 7; RFC 8230, 4).
fn key(reader: &mut Reader<'_>) -> Option<PasskeyKey> {
    let Item::Map(count) = reader.item()? else {
        return None;
    };
    let (mut ty, mut algorithm, mut curve) = (None, None, None);
    let (mut first, mut second) = (None, None);
    for _ in 0..count {
        let Item::Int(label) = reader.item()? else {
            return None;
        };
        match (label, reader.item()?) {
            (1, Item::Int(value)) => ty = Some(value),
            (3, Item::Int(value)) => algorithm = Some(value),
            (-1, Item::Int(value)) => curve = Some(value),
            (-1, Item::Bytes(bytes)) => first = Some(bytes),
            (-2, Item::Bytes(bytes)) if ty == Some(3) => second = Some(bytes),
            (-2, Item::Bytes(bytes)) => first = Some(bytes),
            (-3, Item::Bytes(bytes)) => second = Some(bytes),
            _ => return None,
        }
    }
    match (ty?, algorithm?, curve) {
        // ES256 on P-256.
        (2, -7, Some(1)) => {
            let point = [first?, second?].concat();
            let even = first?.len() == 32;
            let point = point.try_into().ok().filter(|_| even)?;
            Some(PasskeyKey::Es256(point))
        }
        // EdDSA on Ed25519.
        (1, -8, Some(6)) if second.is_none() => Some(PasskeyKey::EdDsa(first?.try_into().ok()?)),
        // RS256.
        (3, -257, None) => Some(PasskeyKey::Rs256 {
            n: first?.into(),
            e: second?.into(),
        }),
        _ => None,
    }
}
