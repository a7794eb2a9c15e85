//! Signatures of passkeys: ES256, EdDSA and RS256 of COSE (RFC 9053, RFC 8812),
//! in the forms that WebAuthn sends them (<https://www.w3.org/TR/webauthn-2/#sctn-signature-attestation-types>).

use std::ops::RangeInclusive;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use crate::Error;
use crate::signing::{UNCOMPRESSED, is_rsa_key};

/// Bytes of a modulus that signatures are checked with.
const MODULUS_BYTES: RangeInclusive<usize> = 256..=512;

/// What a passkey's signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasskeyKey {
    /// A point of P-256: both coordinates one after the other.
    Es256([u8; 64]),
    /// A point of Ed25519.
    EdDsa([u8; 32]),
    /// Modulus and exponent, big-endian without zeros in front.
    Rs256 {
        /// The modulus.
        n: Box<[u8]>,
        /// The exponent.
        e: Box<[u8]>,
    },
}

impl PasskeyKey {
    /// Whether signatures can be checked with it at all.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Es256(_) | Self::EdDsa(_) => true,
            Self::Rs256 { n, e } => is_rsa_key(n, e, &MODULUS_BYTES),
        }
    }

    /// Checks a signature of a message.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when it is not this key's.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        if !self.is_usable() {
            return Err(Error::NotAuthentic);
        }
        let checked = match self {
            Self::Es256(point) => {
                let whole = [&[UNCOMPRESSED][..], point].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, whole).verify(message, signature)
            }
            Self::EdDsa(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            Self::Rs256 { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        checked.map_err(|_| Error::NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };

    use super::*;

    #[track_caller]
    fn check(key: &PasskeyKey, signature: &[u8]) {
        assert!(key.verify(b"message", signature).is_ok(), "{key:?}");
        assert!(key.verify(b"massage", signature).is_err());
        assert!(key.verify(b"message", &signature[1..]).is_err());
        assert!(key.verify(b"message", &[]).is_err());
    }

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let random = SystemRandom::new();
        let signing = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point: [u8; 64] = pair.public_key().as_ref()[1..].try_into().unwrap();
        let es256 = PasskeyKey::Es256(point);
        let signed = pair.sign(&random, b"message").unwrap();
        check(&es256, signed.as_ref());
        let pair = Ed25519KeyPair::generate().unwrap();
        let ed = PasskeyKey::EdDsa(pair.public_key().as_ref().try_into().unwrap());
        check(&ed, pair.sign(b"message").as_ref());
        assert!(ed.verify(b"message", signed.as_ref()).is_err());
        assert!(
            es256
                .verify(b"message", pair.sign(b"message").as_ref())
                .is_err()
        );
    }

    #[test]
    fn weak_keys_are_not_used() {
        let rsa = |n: &[u8], e: &[u8]| PasskeyKey::Rs256 {
            n: n.into(),
            e: e.into(),
        };
        assert!(rsa(&[0xff; 256], &[1, 0, 1]).is_usable());
        assert!(!rsa(&[0xff; 128], &[1, 0, 1]).is_usable());
        assert!(!rsa(&[0xfe; 256], &[1, 0, 1]).is_usable());
        assert!(!rsa(&[0xff; 256], &[]).is_usable());
        assert!(!rsa(&[0; 256], &[3]).is_usable());
    }
}
