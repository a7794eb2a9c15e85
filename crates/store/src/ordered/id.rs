//! Ids as bytes that end themselves: first those that are UUIDs, in 16 bytes
//! each, then all others as text.

use super::{put_text, take_text};

const UUID: u8 = 1;
const TEXT: u8 = 2;

/// Appends an id that ends itself: a UUID in its 16 bytes, any other as text.
pub fn put_id(key: &mut Vec<u8>, id: &str) {
    match uuid_bytes(id) {
        Some(bytes) => {
            key.push(UUID);
            key.extend_from_slice(&bytes);
        }
        None => {
            key.push(TEXT);
            put_text(key, id);
        }
    }
}

/// Takes what [`put_id`] wrote from the front; `None` if it did not.
pub fn take_id(key: &mut &[u8]) -> Option<Box<str>> {
    let (form, rest) = key.split_first()?;
    match *form {
        UUID => {
            let (bytes, rest) = rest.split_first_chunk::<16>()?;
            *key = rest;
            Some(uuid_text(*bytes))
        }
        TEXT => {
            *key = rest;
            take_text(key)
        }
        _ => None,
    }
}

/// The bytes of a UUID in its usual form: lower case, hyphens at their places.
pub(crate) fn uuid_bytes(id: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = id.as_bytes().try_into().ok()?;
    let mut digits = 0_u128;
    for (at, byte) in text.iter().enumerate() {
        let digit = match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        digits = (digits << 4) | u128::from(digit);
    }
    Some(digits.to_be_bytes())
}

fn uuid_text(bytes: [u8; 16]) -> Box<str> {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: &str, length: usize) {
        let mut key = Vec::new();
        put_id(&mut key, id);
        assert_eq!(key.len(), length);
        key.extend_from_slice(b"rest");
        let mut rest = key.as_slice();
        assert_eq!(take_id(&mut rest).as_deref(), Some(id));
        assert_eq!(rest, b"rest");
    }

    #[test]
    fn ids_read_back() {
        check("7d444840-9dc0-11d1-b245-5ffdce74fad2", 17);
        check("7D444840-9DC0-11D1-B245-5FFDCE74FAD2", 38);
        check("7d444840-9dc0-11d1-b245+5ffdce74fad2", 38);
        check("a", 3);
        check("", 2);
    }
}
