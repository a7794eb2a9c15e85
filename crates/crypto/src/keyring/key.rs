//! An unwrapped key, ready for use, and the wrapping of one key by another.

use zeroize::Zeroizing;

use super::record::{Level, WRAPPED_LEN};
use crate::sealing::SealingKey;
use crate::{Error, SecretKey, random};

/// An unwrapped key.
pub(super) struct Key {
    /// For content.
    pub(super) sealing: SealingKey,
    /// For the keys below it; a patient's key has none below.
    wrapping: Option<SealingKey>,
}

impl Key {
    pub(super) fn new(secret: &[u8; 32], level: Level) -> Result<Self, Error> {
        let wrapping = match level {
            Level::Project => {
                let key = SecretKey::from_bytes(*secret).derive("wrap")?;
                Some(SealingKey::new(key.as_bytes())?)
            }
            Level::Patient | Level::Purposes | Level::Unused => None,
        };
        Ok(Self {
            sealing: SealingKey::new(secret)?,
            wrapping,
        })
    }

    /// Wraps a key below this one.
    pub(super) fn wrap(&self, aad: &[u8], key: &[u8; 32]) -> Result<[u8; WRAPPED_LEN], Error> {
        wrap(self.wrapping()?, aad, key)
    }

    /// Unwraps what [`Self::wrap`] wrapped.
    pub(super) fn unwrap(
        &self,
        aad: &[u8],
        wrapped: &[u8; WRAPPED_LEN],
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        unwrap(self.wrapping()?, aad, wrapped)
    }

    fn wrapping(&self) -> Result<&SealingKey, Error> {
        self.wrapping
            .as_ref()
            .ok_or(Error::Library("a patient's key wraps no other"))
    }
}

/// Wraps a key with another.
pub(super) fn wrap(
    by: &SealingKey,
    aad: &[u8],
    key: &[u8; 32],
) -> Result<[u8; WRAPPED_LEN], Error> {
    let mut sealed = Vec::with_capacity(WRAPPED_LEN);
    by.seal_raw(&random::bytes()?, aad, key, &mut sealed)?;
    let mut wrapped = [0; WRAPPED_LEN];
    wrapped.copy_from_slice(&sealed);
    Ok(wrapped)
}

/// Unwraps a key of [`wrap`].
pub(super) fn unwrap(
    by: &SealingKey,
    aad: &[u8],
    wrapped: &[u8; WRAPPED_LEN],
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let plain = Zeroizing::new(by.open_raw(aad, wrapped)?);
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&plain);
    Ok(key)
}
