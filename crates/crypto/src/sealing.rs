//! Sealing with XAES-256-GCM: <https://c2sp.org/XAES-256-GCM>.
//!
//! Plain AES-GCM is safe for about 2^32 random nonces per key, and two clones
//! of a restored machine that count nonces would repeat them. XAES-256-GCM
//! takes 24 random bytes, derives a key of its own for each message from the
//! first half (SP 800-108 with AES-CMAC) and uses the rest as the nonce of
//! AES-256-GCM: safe for 2^80 messages, without any state to lose.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, random};

/// Bytes that sealing adds: version, nonce and tag.
pub const OVERHEAD: usize = 1 + RAW_OVERHEAD;

/// As [`OVERHEAD`], without the version.
pub(crate) const RAW_OVERHEAD: usize = NONCE_LEN + TAG_LEN;

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// Version 1 of the sealed form: this byte, nonce, ciphertext, tag.
const VERSION: u8 = 1;

/// A key, expanded for sealing and opening.
pub(crate) struct SealingKey {
    block: EncryptingKey,
    /// K1 of AES-CMAC: what the last block is combined with.
    mask: [u8; 16],
}

impl Drop for SealingKey {
    fn drop(&mut self) {
        // The block cipher's key clears itself.
        self.mask.zeroize();
    }
}

impl SealingKey {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        let unbound = UnboundCipherKey::new(&AES_256, key).map_err(|_| LIBRARY)?;
        let block = EncryptingKey::ecb(unbound).map_err(|_| LIBRARY)?;
        let mut l = Zeroizing::new([0; 16]);
        encrypt_blocks(&block, &mut *l)?;
        let doubled = u128::from_be_bytes(*l) << 1;
        // The constant is the reduction polynomial of the field, 0x87; chosen
        // by arithmetic so that the key's top bit decides no branch.
        let reduced = doubled ^ (u128::from(l[0] >> 7) * 0x87);
        let mask = reduced.to_be_bytes();
        Ok(Self { block, mask })
    }

    /// Appends the sealed form of `plain` to `out`.
    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.reserve(plain.len() + OVERHEAD);
        out.push(VERSION);
        self.seal_raw(&random::bytes()?, aad, plain, out)
    }

    /// Opens what [`Self::seal`] appended.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        self.open_onto(aad, sealed, &mut plain)?;
        Ok(plain)
    }

    /// As [`Self::open`], appended to `out`.
    pub(crate) fn open_onto(
        &self,
        aad: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match sealed.split_first() {
            Some((&VERSION, raw)) => self.open_raw_onto(aad, raw, out),
            Some(_) => Err(Error::Unsupported {
                what: "sealed text",
            }),
            None => Err(Error::NotAuthentic),
        }
    }

    /// Appends nonce, ciphertext and tag.
    pub(crate) fn seal_raw(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (key, short) = self.message_key(nonce)?;
        out.extend_from_slice(nonce);
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = key
            .seal_in_place_separate_tag(short, Aad::from(aad), &mut out[start..])
            .map_err(|_| LIBRARY)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens nonce, ciphertext and tag.
    pub(crate) fn open_raw(&self, aad: &[u8], raw: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        self.open_raw_onto(aad, raw, &mut plain)?;
        Ok(plain)
    }

    fn open_raw_onto(&self, aad: &[u8], raw: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let (nonce, rest) = raw.split_first_chunk().ok_or(Error::NotAuthentic)?;
        let (text, tag) = rest
            .split_last_chunk::<TAG_LEN>()
            .ok_or(Error::NotAuthentic)?;
        let (key, short) = self.message_key(nonce)?;
        let start = out.len();
        out.resize(start + text.len(), 0);
        key.open_separate_gather(short, Aad::from(aad), text, tag, &mut out[start..])
            .map_err(|_| {
                out.truncate(start);
                Error::NotAuthentic
            })
    }

    fn message_key(&self, nonce: &[u8; NONCE_LEN]) -> Result<(LessSafeKey, Nonce), Error> {
        let mut blocks = Zeroizing::new([0; 32]);
        for (i, block) in blocks.chunks_exact_mut(16).enumerate() {
            block[..4].copy_from_slice(&[0, i as u8 + 1, b'X', 0]);
            block[4..].copy_from_slice(&nonce[..12]);
            for (byte, mask) in block.iter_mut().zip(self.mask) {
                *byte ^= mask;
            }
        }
        encrypt_blocks(&self.block, &mut *blocks)?;
        let key = UnboundKey::new(&AES_256_GCM, &*blocks).map_err(|_| LIBRARY)?;
        let short = Nonce::try_assume_unique_for_key(&nonce[12..]).map_err(|_| LIBRARY)?;
        Ok((LessSafeKey::new(key), short))
    }
}

const LIBRARY: Error = Error::Library("AES");

fn encrypt_blocks(key: &EncryptingKey, blocks: &mut [u8]) -> Result<(), Error> {
    key.less_safe_encrypt(blocks, EncryptionContext::None)
        .map(|_| ())
        .map_err(|_| LIBRARY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: u8, aad: &str, expect: &str) {
        let key = SealingKey::new(&[key; 32]).unwrap();
        let mut sealed = Vec::new();
        key.seal_raw(
            b"ABCDEFGHIJKLMNOPQRSTUVWX",
            aad.as_bytes(),
            b"XAES-256-GCM",
            &mut sealed,
        )
        .unwrap();
        let hex: String = sealed[24..].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expect);
        assert_eq!(
            key.open_raw(aad.as_bytes(), &sealed).unwrap(),
            b"XAES-256-GCM"
        );
    }

    /// The examples of the specification: one key whose CMAC subkey needs the
    /// reduction, and one whose does not.
    #[test]
    fn seals_as_the_specification_does() {
        check(
            0x01,
            "",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        );
        check(
            0x03,
            "c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        );
    }

    #[test]
    fn a_change_anywhere_is_noticed() {
        let key = SealingKey::new(&[7; 32]).unwrap();
        let mut sealed = Vec::new();
        key.seal(b"place", b"text", &mut sealed).unwrap();
        assert_eq!(sealed.len(), 4 + OVERHEAD);
        assert_eq!(key.open(b"place", &sealed).unwrap(), b"text");
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 0x40;
            assert!(key.open(b"place", &changed).is_err(), "byte {i}");
            assert!(key.open(b"place", &sealed[..i]).is_err(), "cut at {i}");
        }
        assert!(key.open(b"elsewhere", &sealed).is_err());
        assert!(
            SealingKey::new(&[8; 32])
                .unwrap()
                .open(b"place", &sealed)
                .is_err()
        );
    }

    #[test]
    fn no_two_sealings_are_alike() {
        let key = SealingKey::new(&[7; 32]).unwrap();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        key.seal(b"", b"", &mut one).unwrap();
        key.seal(b"", b"", &mut two).unwrap();
        assert_ne!(one, two);
    }
}
