//! Keys and proofs: what keeps data secret, and what proves that it was not changed.
//!
//! A [`Keyring`] holds the keys of projects and patients, wrapped under a root
//! key, in a folder apart from the data; [`SecretKey`]s for single purposes
//! are derived from it. [`frames`] seals long content, [`merkle`] is the hash
//! tree of the audit log and [`checkpoint`] what is signed of it, and [`random`] the only source of randomness. All
//! primitives come from AWS-LC. This crate knows no FHIR, no store and no HTTP.

pub mod checkpoint;
pub mod ed25519;
mod error;
pub mod frames;
mod keyring;
pub mod merkle;
mod passkey;
pub mod random;
mod sealing;
mod secret;
pub mod signing;

pub use ed25519::Ed25519Key;
pub use error::Error;
pub use keyring::{
    Adopted, CheckedKeys, Due, Founding, Keyring, Ledger, Passphrase, PatientKeys, Progress,
    ProjectKeys, RootFault, RootSource, RootStatus, Shredding, Shreds, Slot, Status, WrapsRoot,
};
pub use passkey::PasskeyKey;
pub use sealing::OVERHEAD;
pub use secret::SecretKey;

/// SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

/// SHA-256 of bytes that come in pieces.
pub struct Sha256(aws_lc_rs::digest::Context);

impl Sha256 {
    /// Of nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is begun, not a value")]
    pub fn new() -> Self {
        Self(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256))
    }

    /// Adds a piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

/// Bytes as lower-case hexadecimal digits (RFC 4648, section 8). Not for keys: it leaves copies.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|at| char::from(DIGITS[usize::from(at)]));
    bytes.iter().flat_map(digits).collect()
}

/// Bytes as URL-safe Base64 without padding (RFC 4648, section 5).
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::encode_string(bytes)
}

/// The bytes of such a text; `None` if it is not one.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// HMAC-SHA-1 (RFC 2104), for one-time passwords only: authenticator apps know no other
/// (RFC 6238, 1.2). What breaks SHA-1 as a hash does not break this.
#[must_use]
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    use aws_lc_rs::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, message);
    let mut mac = [0; 20];
    for (to, from) in mac.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    mac
}

/// HMAC-SHA256 (RFC 2104) with a key of any length.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    use aws_lc_rs::hmac;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut mac = [0; 32];
    mac.copy_from_slice(tag.as_ref());
    mac
}

/// Standard Base64 with padding (RFC 4648, section 4), as other services have it in JSON.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}

/// The bytes of such a text; `None` if it is not one.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64ct::{Base64, Encoding};
    Base64::decode_vec(text).ok()
}

/// Whether two texts are the same, in a time that depends on their lengths only.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hex(&[]), "");
        assert_eq!(hex(&[0x00, 0x0a, 0xa0, 0xff]), "000aa0ff");
    }

    #[test]
    fn sameness_looks_at_every_byte() {
        assert!(same(b"", b""));
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"ab"));
    }
}
