//! A root key wrapped by a passphrase: Argon2id (RFC 9106) makes the wrapping key.
//!
//! What the wrapping gives, version 1, a stored format:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 | memory, in KiB |
//! | 4 | passes |
//! | 4 | lanes |
//! | 16 | salt, new each time |
//! | 72 | the root key: XAES-256-GCM nonce, ciphertext, tag |
//!
//! Numbers are big-endian. The id of the root key and all before the salt's end are authenticated.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::key;
use super::record::WRAPPED_LEN;
use super::source::{RootFault, WrapsRoot};
use crate::random;
use crate::sealing::SealingKey;

const VERSION: u8 = 1;
const HEAD: usize = 29;

/// The second recommendation of RFC 9106, section 4: 64 MiB, three passes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// What a file may ask of this machine: a forged one must not exhaust it.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;

/// The shortest passphrase that is taken for a new root key, in bytes.
const PASSPHRASE_MIN: usize = 12;

/// A passphrase that wraps the root key.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Of what somebody typed or wrote into a file; one line break at its end is none of it.
    #[must_use]
    pub fn new(mut text: Zeroizing<Vec<u8>>) -> Self {
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        Self(text)
    }

    fn key(&self, head: &[u8]) -> Option<SealingKey> {
        let number = |at: usize| {
            let bytes = head.get(at..at + 4)?.first_chunk()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let (memory, passes, lanes) = (number(1)?, number(5)?, number(9)?);
        if memory > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > 64 {
            return None;
        }
        let params = Params::new(memory, passes, lanes, Some(32)).ok()?;
        let mut derived = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&self.0, head.get(13..HEAD)?, &mut *derived)
            .ok()?;
        SealingKey::new(&derived).ok()
    }
}

impl WrapsRoot for Passphrase {
    fn name(&self) -> &str {
        "passphrase"
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        if self.0.len() < PASSPHRASE_MIN {
            return Err(RootFault::NotReady(format!(
                "a passphrase has {PASSPHRASE_MIN} characters at least"
            )));
        }
        let library = |_| RootFault::NotReady("the cryptographic library failed".to_owned());
        let mut wrapped = vec![VERSION];
        for number in [MEMORY_KIB, PASSES, LANES] {
            wrapped.extend_from_slice(&number.to_be_bytes());
        }
        wrapped.extend_from_slice(&random::bytes::<16>().map_err(library)?);
        let by = self.key(&wrapped).ok_or(WRONG)?;
        let sealed = key::wrap(&by, &aad(id, &wrapped), key).map_err(library)?;
        wrapped.extend_from_slice(&sealed);
        Ok(wrapped)
    }

    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault> {
        let (head, sealed) = wrapped.split_at_checked(HEAD).ok_or(SHORT)?;
        let sealed: &[u8; WRAPPED_LEN] = sealed.try_into().map_err(|_| SHORT)?;
        if head.first() != Some(&VERSION) {
            return Err(RootFault::Garbled("it is of a later version"));
        }
        let by = self.key(head).ok_or(RootFault::Garbled(
            "it asks for more memory or passes than a passphrase may",
        ))?;
        key::unwrap(&by, &aad(id, head), sealed).map_err(|_| WRONG)
    }
}

const WRONG: RootFault = RootFault::WrongKey("the passphrase is another one");
const SHORT: RootFault = RootFault::Garbled("what is wrapped has another length");

fn aad(id: &str, head: &[u8]) -> Vec<u8> {
    [b"salus-root-passphrase-1", id.as_bytes(), head].concat()
}
