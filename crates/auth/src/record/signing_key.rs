//! The keys with which a project signs what others check.
//!
//! The private part lies in the record, which is sealed as every record is.
//! A key that was replaced signs no more, and others may check its signatures
//! for a day longer, which is more than any of them is good for.

use salus_crypto::signing::{Algorithm, SigningKey as Key};
use salus_crypto::{base64url, from_base64url};
use salus_store::Row;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{Saved, SystemRecord};
use crate::Error;
use crate::jwk::{algorithm, algorithm_name};

/// How long others may check with a key that was replaced.
const OVERLAP_MS: i64 = 24 * 60 * 60 * 1000;
/// The age at which a key is replaced by itself.
const AGE_MAX_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// A key. Its id is random, and its name in the set of public keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    algorithm: String,
    pkcs8: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When another took its place.
    #[serde(default)]
    pub replaced_ms: Option<i64>,
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.pkcs8.zeroize();
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.algorithm)
    }
}

impl SystemRecord for SigningKey {
    const NAME: &'static str = "salus:SigningKey";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl SigningKey {
    /// What every project signs with. OpenID Connect asks for RS256.
    pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384];

    /// A key of these bytes, as `salus_crypto` made them.
    #[must_use]
    pub fn new(id: &str, algorithm: Algorithm, pkcs8: &[u8], now_ms: i64) -> Saved<Self> {
        let key = Self {
            algorithm: algorithm_name(algorithm).to_owned(),
            pkcs8: base64url(pkcs8),
            created_ms: now_ms,
            replaced_ms: None,
        };
        Saved::new(id, key)
    }

    /// The key itself.
    ///
    /// # Errors
    /// When the record does not hold one.
    pub fn open(&self) -> Result<Key, Error> {
        const BROKEN: Error = Error::Record(SigningKey::NAME);
        let algorithm = algorithm(&self.algorithm).ok_or(BROKEN)?;
        let pkcs8 = from_base64url(&self.pkcs8)
            .map(Zeroizing::new)
            .ok_or(BROKEN)?;
        Key::from_pkcs8(algorithm, &pkcs8).map_err(|_| BROKEN)
    }

    /// Whether it signs.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.replaced_ms.is_none()
    }

    /// Whether others may check with it.
    #[must_use]
    pub fn is_shown(&self, now_ms: i64) -> bool {
        let until = self.replaced_ms.map(|at| at.saturating_add(OVERLAP_MS));
        until.is_none_or(|until| now_ms < until)
    }

    /// Whether it has signed for long enough.
    #[must_use]
    pub fn is_old(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.created_ms) > AGE_MAX_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_key_is_shown_for_a_day() {
        let pkcs8 = Key::generate(Algorithm::Es256).unwrap();
        let mut key = SigningKey::new("k", Algorithm::Es256, &pkcs8, 1000).value;
        assert_eq!(key.open().unwrap().algorithm(), Algorithm::Es256);
        assert!(key.signs() && key.is_shown(i64::MAX) && !key.is_old(1000));
        assert!(key.is_old(1001 + AGE_MAX_MS));
        key.replaced_ms = Some(5000);
        assert!(!key.signs());
        assert!(key.is_shown(5000 + OVERLAP_MS - 1));
        assert!(!key.is_shown(5000 + OVERLAP_MS));
        assert!(!format!("{key:?}").contains(&*key.pkcs8));
    }
}
