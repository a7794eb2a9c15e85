//! Randomness, all of it from the generator of the cryptographic library.
//!
//! It is seeded by the operating system and by processor noise, and notices
//! forks; nothing here can be seeded by a caller.

use crate::Error;

/// Fills a buffer with random bytes.
///
/// # Errors
/// When the generator cannot be seeded.
pub fn fill(buffer: &mut [u8]) -> Result<(), Error> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| Error::Library("no randomness"))
}

/// The generator itself, for what of the library draws from it.
pub(crate) fn source() -> aws_lc_rs::rand::SystemRandom {
    aws_lc_rs::rand::SystemRandom::new()
}

/// So many random bytes.
///
/// # Errors
/// When the generator cannot be seeded.
pub fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut buffer = [0; N];
    fill(&mut buffer)?;
    Ok(buffer)
}

/// A random UUID, version 4, in lower case: a valid FHIR id.
///
/// # Errors
/// When the generator cannot be seeded.
pub fn uuid() -> Result<String, Error> {
    let mut raw = bytes::<16>()?;
    raw[6] = (raw[6] & 0x0f) | 0x40;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    Ok(uuid_text(&raw))
}

/// Random bytes as URL-safe text without padding, for secrets that people copy.
///
/// # Errors
/// When the generator cannot be seeded.
pub fn text<const N: usize>() -> Result<String, Error> {
    let raw = zeroize::Zeroizing::new(bytes::<N>()?);
    Ok(crate::base64url(&*raw))
}

/// A UUID as text: lower case, with hyphens (RFC 9562, 4).
#[must_use]
pub fn uuid_text(raw: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (i, byte) in raw.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_form_and_differ() {
        let id = uuid().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert_ne!(id, uuid().unwrap());
        assert_eq!(
            uuid_text(&[0xab; 16]),
            "abababab-abab-abab-abab-abababababab"
        );
    }

    #[test]
    fn texts_are_as_long_as_their_bytes_need() {
        assert_eq!(text::<32>().unwrap().len(), 43);
    }
}
