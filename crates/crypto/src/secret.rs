//! Keys for single purposes, all derived with HKDF-SHA256 (RFC 5869).

use aws_lc_rs::{hkdf, hmac};
use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::Error;
use crate::sealing::SealingKey;

/// Thirty-two secret bytes, cleared when dropped.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

impl SecretKey {
    /// A key from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh random key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn random() -> Result<Self, Error> {
        crate::random::bytes().map(Self::from_bytes)
    }

    /// The bytes, for a library that wants them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key for one purpose; another purpose gives an independent key.
    /// Purposes are part of stored formats: a name, once used, keeps its meaning.
    ///
    /// # Errors
    /// When the library fails, which it has no reason to.
    pub fn derive(&self, purpose: &str) -> Result<Self, Error> {
        let mut derived = Self(Zeroizing::new([0; 32]));
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"salus-1")
            .extract(&*self.0)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *derived.0))
            .map_err(|_| Error::Library("HKDF"))?;
        Ok(derived)
    }

    /// HMAC-SHA256 of some bytes.
    #[must_use]
    pub fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        let mut mac = [0; 32];
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        mac.copy_from_slice(hmac::sign(&key, bytes).as_ref());
        mac
    }

    /// Appends the sealed form of `plain` to `out`, [`crate::OVERHEAD`] bytes longer. `aad` says
    /// what it is; opening needs the same.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        SealingKey::new(&self.0)?.seal(aad, plain, out)
    }

    /// Appends what [`Self::seal`] sealed to `out`.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when text, key or `aad` is another; `out` is as it was then.
    pub fn open_onto(&self, aad: &[u8], sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        SealingKey::new(&self.0)?.open_onto(aad, sealed, out)
    }

    /// Seals bytes into an opaque text that fits in a URL: a paging cursor, a
    /// link. `aad` is what it is good for; opening needs the same.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal_text(&self, aad: &[u8], plain: &[u8]) -> Result<String, Error> {
        let mut sealed = Vec::new();
        SealingKey::new(&self.0)?.seal(aad, plain, &mut sealed)?;
        Ok(Base64UrlUnpadded::encode_string(&sealed))
    }

    /// Opens a text of [`Self::seal_text`].
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when it is anything else.
    pub fn open_text(&self, aad: &[u8], text: &str) -> Result<Vec<u8>, Error> {
        let sealed = Base64UrlUnpadded::decode_vec(text).map_err(|_| Error::NotAuthentic)?;
        SealingKey::new(&self.0)?.open(aad, &sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_give_independent_keys_that_never_change() {
        let root = SecretKey::from_bytes([1; 32]);
        let a = root.derive("a").unwrap();
        assert_eq!(a.as_bytes(), root.derive("a").unwrap().as_bytes());
        assert_ne!(a.as_bytes(), root.derive("b").unwrap().as_bytes());
        // HKDF by hand: extract is HMAC(salt, key), expand HMAC(prk, info | 1).
        let prk = SecretKey::from_bytes({
            let salt = hmac::Key::new(hmac::HMAC_SHA256, b"salus-1");
            let mut prk = [0; 32];
            prk.copy_from_slice(hmac::sign(&salt, &[1; 32]).as_ref());
            prk
        });
        assert_eq!(a.as_bytes(), &prk.mac(b"a\x01"));
    }

    #[test]
    fn a_sealed_text_opens_for_its_purpose_only() {
        let key = SecretKey::random().unwrap();
        let text = key.seal_text(b"page", b"position").unwrap();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
        assert_eq!(key.open_text(b"page", &text).unwrap(), b"position");
        for (aad, text) in [
            ("other", text.as_str()),
            ("page", ""),
            ("page", "AQ"),
            ("page", "not base64!"),
            ("page", &text[1..]),
            ("page", &text[..text.len() - 1]),
        ] {
            assert!(key.open_text(aad.as_bytes(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", SecretKey::from_bytes([1; 32])), "SecretKey");
    }
}
