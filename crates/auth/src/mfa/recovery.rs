//! Codes for who has lost everything else: look-up secrets of NIST SP 800-63B, 5.1.2.
//!
//! Each has 120 random bits, so that a hash is enough to keep them by (ASVS
//! 5.0, 6.5.2: 112 or more), and each holds once.

use salus_crypto::same;
use serde::{Deserialize, Serialize};

use super::base32;
use crate::{Secret, token};

/// How many there are at a time.
pub const COUNT: usize = 10;
/// Random bytes of a code.
pub const BYTES: usize = 15;
const GROUP: usize = 6;
const LEN: usize = BYTES * 8 / 5;

/// What a code is checked against.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryHash(Box<str>);

impl std::fmt::Debug for RecoveryHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryHash")
    }
}

/// A code, in groups to be read and typed, and what it is checked against.
#[must_use]
pub fn make(random: &[u8; BYTES]) -> (Secret, RecoveryHash) {
    let plain = base32(random).to_lowercase();
    let mut shown = String::with_capacity(LEN + LEN / GROUP);
    for (i, letter) in plain.chars().enumerate() {
        if i > 0 && i % GROUP == 0 {
            shown.push('-');
        }
        shown.push(letter);
    }
    (Secret::new(shown), RecoveryHash(token::id(&plain)))
}

/// Takes a code out of those that there are, if it is one of them.
pub fn take(codes: &mut Vec<RecoveryHash>, given: &str) -> bool {
    if given.len() > 4 * LEN {
        return false;
    }
    let plain: String = given.chars().filter(|c| c.is_alphanumeric()).collect();
    let plain = plain.to_lowercase();
    if plain.len() != LEN {
        return false;
    }
    let hash = token::id(&plain);
    let count = codes.len();
    codes.retain(|code| !same(code.0.as_bytes(), hash.as_bytes()));
    codes.len() < count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_holds_once_however_it_is_typed() {
        let (one, first) = make(&[1; BYTES]);
        let (two, second) = make(&[2; BYTES]);
        assert_eq!(one.expose(), "aeaqca-ibaeaq-caibae-aqcaib");
        let mut codes = vec![first, second];
        assert!(!take(&mut codes, ""));
        assert!(!take(&mut codes, "aeaqca-ibaeaq-caibae-aqcaic"));
        assert!(take(&mut codes, " AEAQCA ibaeaqcaibaeaqcaib"));
        assert!(!take(&mut codes, one.expose()));
        assert!(take(&mut codes, two.expose()));
        assert!(codes.is_empty());
        assert!(!take(&mut codes, &"a".repeat(1 << 20)));
    }
}
