//! Keys of notes: the one that signs, and what others check with.

use std::fmt;

use base64ct::{Base64, Encoding};

use super::note::{Malformed, Signature};
use crate::ed25519::{self, Ed25519Key, PUBLIC_BYTES};
use crate::{Error, SecretKey, sha256};

/// The longest name of a key.
pub(super) const NAME_MAX: usize = 256;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Notes as they are: the key of a log.
    Log,
    /// That a log was seen at a time: the key of a witness.
    Witness,
}

impl KeyKind {
    /// The type of its signatures (signed-note, tlog-cosignature).
    fn number(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Witness => 4,
        }
    }
}

/// What signatures of one key are checked with. As text, `name+hash+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    hash: [u8; 4],
    key: [u8; PUBLIC_BYTES],
}

impl VerifierKey {
    /// Of a name and a public key.
    fn new(name: &str, kind: KeyKind, key: [u8; PUBLIC_BYTES]) -> Self {
        let named = [name.as_bytes(), &[b'\n', kind.number()], &key].concat();
        let [a, b, c, d, ..] = sha256(&named);
        Self {
            name: name.to_owned(),
            kind,
            hash: [a, b, c, d],
            key,
        }
    }

    /// Reads the text of a key.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let parts = text.split_once('+');
        let parts = parts.and_then(|(name, rest)| Some((name, rest.split_once('+')?)));
        let (name, (hash, key)) = parts.ok_or(Malformed("a key is NAME+HASH+KEY"))?;
        if !is_name(name) {
            return Err(Malformed("the name of a key cannot be this"));
        }
        let mut bytes = [0; 1 + PUBLIC_BYTES];
        let decoded = Base64::decode(key, &mut bytes);
        if !decoded.is_ok_and(|decoded| decoded.len() == 1 + PUBLIC_BYTES) {
            return Err(Malformed("the key is not Ed25519 in base64"));
        }
        let (kind, key) = match bytes {
            [1, key @ ..] => (KeyKind::Log, key),
            [4, key @ ..] => (KeyKind::Witness, key),
            _ => return Err(Malformed("the key is of a type that is not known here")),
        };
        let parsed = Self::new(name, kind, key);
        match parsed.hash_text() == hash {
            true => Ok(parsed),
            false => Err(Malformed("the hash in the key is not that of name and key")),
        }
    }

    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether a signature says that it is of this key.
    #[must_use]
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        signature.name == self.name && signature.key_hash == self.hash
    }

    pub(super) fn checks(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519::verify(&self.key, message, signature).is_ok()
    }

    fn hash_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.hash))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[self.kind.number()][..], &self.key].concat();
        let key = Base64::encode_string(&typed);
        write!(f, "{}+{}+{key}", self.name, self.hash_text())
    }
}

/// What notes are signed with.
pub struct Signer {
    key: Ed25519Key,
    public: VerifierKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public.name).finish()
    }
}

impl Signer {
    /// For a log of this name; the secret is the seed of RFC 8032.
    ///
    /// # Errors
    /// When the name cannot be one, or the library fails.
    pub fn new(name: &str, secret: &SecretKey) -> Result<Self, Error> {
        Self::of_kind(name, secret, KeyKind::Log)
    }

    /// For a witness of this name.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn witness(name: &str, secret: &SecretKey) -> Result<Self, Error> {
        Self::of_kind(name, secret, KeyKind::Witness)
    }

    fn of_kind(name: &str, secret: &SecretKey, kind: KeyKind) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Library("Ed25519: the name of the key"));
        }
        let key = Ed25519Key::from_secret(secret)?;
        let public = VerifierKey::new(name, kind, key.public());
        Ok(Self { key, public })
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs the text of a note; a witness says the time, in seconds since 1970 UTC.
    #[must_use]
    pub fn sign(&self, text: &str, time_s: u64) -> Signature {
        let bytes = match self.public.kind {
            KeyKind::Log => self.key.sign(text.as_bytes()),
            KeyKind::Witness => {
                let signature = self.key.sign(cosigned(text, time_s).as_bytes());
                [&time_s.to_be_bytes()[..], &signature].concat()
            }
        };
        Signature {
            name: self.public.name.clone(),
            key_hash: self.public.hash,
            bytes,
        }
    }
}

/// What a witness signs (tlog-cosignature).
pub(super) fn cosigned(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// Whether a key may be called so (signed-note).
pub(super) fn is_name(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    (1..=NAME_MAX).contains(&name.len()) && !name.contains(bad)
}
