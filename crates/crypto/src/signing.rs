//! Signatures that others check: ECDSA on P-256 and P-384, RSA with PKCS #1 v1.5.
//!
//! These are the algorithms that JSON Web Signatures name ES256, ES384, RS256
//! and RS384 (RFC 7518, 3.1). A private key leaves here as PKCS #8 only, for
//! a store that seals it.

use std::ops::RangeInclusive;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RsaEncoding, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use zeroize::Zeroizing;

use crate::{Error, random};

/// The first byte of a point that is not compressed (SEC 1, 2.3.3).
pub(crate) const UNCOMPRESSED: u8 = 4;
/// Of RSA moduli, in bytes: what the library checks signatures with.
const MODULUS_BYTES: RangeInclusive<usize> = 256..=1024;

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
}

/// An elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
}

impl Curve {
    /// Bytes of a coordinate.
    #[must_use]
    pub fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// What signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of a curve: both coordinates one after the other.
    Ec(Curve, Box<[u8]>),
    /// Modulus and exponent, big-endian without zeros in front.
    Rsa {
        /// The modulus.
        n: Box<[u8]>,
        /// The exponent.
        e: Box<[u8]>,
    },
}

impl PublicKey {
    /// Whether its parts have sizes that we check signatures with.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Ec(curve, point) => point.len() == 2 * curve.coordinate_bytes(),
            Self::Rsa { n, e } => is_rsa_key(n, e, &MODULUS_BYTES),
        }
    }

    /// Whether a signature of this algorithm could be checked with it.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm) {
            (Self::Ec(Curve::P256, _), Algorithm::Es256)
            | (Self::Ec(Curve::P384, _), Algorithm::Es384)
            | (Self::Rsa { .. }, Algorithm::Rs256 | Algorithm::Rs384) => true,
            (Self::Ec(..) | Self::Rsa { .. }, _) => false,
        }
    }

    /// Checks a signature; ECDSA's is both numbers one after the other.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] when it is not this key's signature of the message.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        if !self.fits(algorithm) || !self.is_usable() {
            return Err(Error::NotAuthentic);
        }
        let checked = match (self, algorithm) {
            (Self::Ec(curve, point), _) => {
                let whole = [&[UNCOMPRESSED][..], point].concat();
                let algorithm = match curve {
                    Curve::P256 => &ECDSA_P256_SHA256_FIXED,
                    Curve::P384 => &ECDSA_P384_SHA384_FIXED,
                };
                UnparsedPublicKey::new(algorithm, whole).verify(message, signature)
            }
            (Self::Rsa { n, e }, algorithm) => {
                let parameters = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 => {
                        &RSA_PKCS1_2048_8192_SHA256
                    }
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
        };
        checked.map_err(|_| Error::NotAuthentic)
    }
}

/// A key that signs.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Ec(Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({:?})", self.algorithm)
    }
}

impl SigningKey {
    /// A fresh key as PKCS #8. For RSA this takes a tenth of a second and more.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, Error> {
        const FAILED: Error = Error::Library("making a key");
        match ecdsa(algorithm) {
            Some((_, signing)) => EcdsaKeyPair::generate_pkcs8(signing, &random::source())
                .map(|document| Zeroizing::new(document.as_ref().to_vec()))
                .map_err(|_| FAILED),
            None => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| FAILED)?;
                let document = pair.as_der().map_err(|_| FAILED)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }

    /// Reads what [`Self::generate`] made.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, Error> {
        const FAILED: Error = Error::Library("reading a key");
        let pair = match ecdsa(algorithm) {
            Some((curve, signing)) => {
                let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8);
                Pair::Ec(curve, pair.map_err(|_| FAILED)?)
            }
            None => Pair::Rsa(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| FAILED)?),
        };
        Ok(Self { algorithm, pair })
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What others check its signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        match &self.pair {
            Pair::Ec(curve, pair) => {
                let point = pair.public_key().as_ref();
                PublicKey::Ec(*curve, point.get(1..).unwrap_or_default().into())
            }
            Pair::Rsa(pair) => {
                let (n, e) = numbers(pair.public_key().as_ref()).unwrap_or_default();
                PublicKey::Rsa {
                    n: n.into(),
                    e: e.into(),
                }
            }
        }
    }

    /// Signs a message.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        const FAILED: Error = Error::Library("signing");
        let random = random::source();
        match &self.pair {
            Pair::Ec(_, pair) => {
                let signature = pair.sign(&random, message).map_err(|_| FAILED)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .map_err(|_| FAILED)?;
                Ok(signature)
            }
        }
    }
}

fn ecdsa(algorithm: Algorithm) -> Option<(Curve, &'static EcdsaSigningAlgorithm)> {
    match algorithm {
        Algorithm::Es256 => Some((Curve::P256, &ECDSA_P256_SHA256_FIXED_SIGNING)),
        Algorithm::Es384 => Some((Curve::P384, &ECDSA_P384_SHA384_FIXED_SIGNING)),
        Algorithm::Rs256 | Algorithm::Rs384 => None,
    }
}

/// Whether these can be the numbers of an RSA key, big-endian without zeros in front,
/// with a modulus of so many bytes.
pub(crate) fn is_rsa_key(n: &[u8], e: &[u8], modulus_bytes: &RangeInclusive<usize>) -> bool {
    let trimmed = |part: &[u8]| part.first().is_some_and(|first| *first != 0);
    let odd = n.last().is_some_and(|last| last % 2 == 1);
    trimmed(n) && trimmed(e) && odd && modulus_bytes.contains(&n.len()) && e.len() <= 4
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017, A.1.1) of our own making.
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(0x30, der)?;
    let (n, rest) = element(0x02, sequence)?;
    let (e, _) = element(0x02, rest)?;
    let trimmed = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    Some((&n[trimmed(n)..], &e[trimmed(e)..]))
}

/// The content of a DER element with this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 4] = [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Rs256,
        Algorithm::Rs384,
    ];

    #[test]
    fn a_signature_holds_for_its_message_key_and_algorithm_only() {
        let keys = ALL.map(|algorithm| {
            let pkcs8 = SigningKey::generate(algorithm).unwrap();
            SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap()
        });
        for key in &keys {
            let signature = key.sign(b"message").unwrap();
            for other in &keys {
                for algorithm in ALL {
                    let checked = other.public().verify(algorithm, b"message", &signature);
                    let same = key.algorithm() == other.algorithm() && key.algorithm() == algorithm;
                    assert_eq!(checked.is_ok(), same, "{key:?} {other:?} {algorithm:?}");
                }
            }
            let public = key.public();
            assert!(public.is_usable());
            let refused = |message: &[u8], signature: &[u8]| {
                public.verify(key.algorithm(), message, signature).is_err()
            };
            assert!(refused(b"massage", &signature));
            assert!(refused(b"message", &signature[1..]));
            assert!(refused(b"message", &[]));
            assert!(refused(b"message", &vec![0; signature.len()]));
        }
    }

    #[test]
    fn small_and_odd_keys_are_not_used() {
        let rsa = |n: &[u8], e: &[u8]| PublicKey::Rsa {
            n: n.into(),
            e: e.into(),
        };
        assert!(rsa(&[0xff; 256], &[1, 0, 1]).is_usable());
        assert!(!rsa(&[0xff; 128], &[1, 0, 1]).is_usable());
        assert!(!rsa(&[0xfe; 256], &[1, 0, 1]).is_usable());
        assert!(!rsa(&[0xff; 256], &[]).is_usable());
        assert!(!rsa(&[0xff; 256], &[1; 5]).is_usable());
        assert!(!rsa(&[0xff; 2048], &[3]).is_usable());
        assert!(!PublicKey::Ec(Curve::P256, vec![1; 96].into()).is_usable());
    }
}
