//! Signatures by Ed25519 (RFC 8032), for statements that others check years later.
//!
//! The key is derived, so nothing of it is kept: who holds the keyring can sign again, and the
//! public key stays the same for as long as the keyring's purpose key does.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::{Error, SecretKey};

/// Bytes of a public key.
pub const PUBLIC_BYTES: usize = 32;

/// A key that signs.
pub struct Ed25519Key(Ed25519KeyPair);

impl std::fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ed25519Key")
    }
}

impl Ed25519Key {
    /// The key whose seed is a secret that is used for nothing else.
    ///
    /// # Errors
    /// When the library fails, which it has no reason to.
    pub fn from_secret(secret: &SecretKey) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(secret.as_bytes());
        pair.map(Self).map_err(|_| Error::Library("Ed25519"))
    }

    /// What others check its signatures with.
    #[must_use]
    pub fn public(&self) -> [u8; PUBLIC_BYTES] {
        let mut public = [0; PUBLIC_BYTES];
        let bytes = self.0.public_key().as_ref();
        for (to, from) in public.iter_mut().zip(bytes) {
            *to = *from;
        }
        public
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// Checks a signature of a message.
///
/// # Errors
/// [`Error::NotAuthentic`] when it is not this key's signature of the message.
pub fn verify(public: &[u8; PUBLIC_BYTES], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .map_err(|_| Error::NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let key = |byte| Ed25519Key::from_secret(&SecretKey::from_bytes([byte; 32])).unwrap();
        let (one, other) = (key(1), key(2));
        let signature = one.sign(b"message");
        assert_eq!(signature, one.sign(b"message"));
        verify(&one.public(), b"message", &signature).unwrap();
        verify(&one.public(), b"massage", &signature).unwrap_err();
        verify(&other.public(), b"message", &signature).unwrap_err();
        verify(&one.public(), b"message", &signature[1..]).unwrap_err();
    }

    #[test]
    fn it_is_the_one_of_rfc_8032() {
        // Section 7.1, test 1: an empty message.
        let hex = |text: &str| -> Vec<u8> {
            let pairs = text.as_bytes().chunks(2);
            let pairs = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
            pairs
                .map(|pair| u8::from_str_radix(pair, 16).unwrap())
                .collect()
        };
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let secret = SecretKey::from_bytes(seed.try_into().unwrap());
        let key = Ed25519Key::from_secret(&secret).unwrap();
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(key.public().to_vec(), public);
        let signature = hex(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        assert_eq!(key.sign(b""), signature);
    }
}
