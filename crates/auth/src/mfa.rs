//! Second factors: what somebody proves besides a password, and by what names
//! that is told to others (RFC 8176).

pub mod passkey;
pub mod recovery;
pub mod totp;

pub use passkey::Passkey;
pub use recovery::RecoveryHash;
pub use totp::Totp;

/// A password.
pub const PASSWORD: &str = "pwd";
/// A code that holds once.
pub const ONE_TIME: &str = "otp";
/// A key that only the owner has.
pub const KEY: &str = "pop";
/// A sign-in elsewhere, at a provider. RFC 8176 has no name for it; others call it so, too.
pub const FEDERATED: &str = "fed";
/// More than one kind of proof.
pub const MULTI: &str = "mfa";

/// What others are told of a sign-in by two factors, and of one by one
/// (<https://refeds.org/profile/mfa>, <https://refeds.org/profile/sfa>).
pub const ACR_MULTI: &str = "https://refeds.org/profile/mfa";
/// See [`ACR_MULTI`].
pub const ACR_SINGLE: &str = "https://refeds.org/profile/sfa";

/// Whether these methods are more than one factor.
#[must_use]
pub fn is_multi(methods: &[String]) -> bool {
    methods.iter().any(|method| method == MULTI)
}

/// The class of a sign-in by these methods (OpenID Connect Core, 2).
#[must_use]
pub fn class_of(methods: &[String]) -> &'static str {
    match is_multi(methods) {
        true => ACR_MULTI,
        false => ACR_SINGLE,
    }
}

/// The same methods and one more, each once.
#[must_use]
pub fn with(methods: &[String], more: &[&str]) -> Vec<String> {
    let mut all = methods.to_vec();
    for method in more {
        if !all.iter().any(|known| known == method) {
            all.push((*method).to_owned());
        }
    }
    all
}

/// Bytes as letters and digits that are not mistaken for each other (RFC 4648, 6), without padding.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (5 - bits) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_is_that_of_the_standard() {
        // RFC 4648, 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn two_kinds_of_proof_are_another_class() {
        let one = with(&[], &[PASSWORD]);
        assert_eq!(class_of(&one), ACR_SINGLE);
        let two = with(&one, &[PASSWORD, ONE_TIME, MULTI]);
        assert_eq!(two, [PASSWORD, ONE_TIME, MULTI]);
        assert_eq!(class_of(&two), ACR_MULTI);
    }
}
