//! Ids that the server gives: UUIDs of version 7 (RFC 9562), so that what is
//! written together lies together.
//!
//! The last two bytes are the sum of those before. With the time it tells an
//! id of ours from one that a client chose, though it be a UUID too: history
//! says `POST` for one and `PUT` for the other, and nothing else depends on it.

use salus_crypto::random::uuid_text;

/// The id made of this time and these random bytes.
pub(crate) fn mint(now_ms: i64, random: [u8; 16]) -> Box<str> {
    uuid_text(&stamp(random, now_ms)).into()
}

/// Whether the server gave this id at this time.
pub(crate) fn is_ours(id: &str, time_ms: i64) -> bool {
    let Ok(number) = u128::from_str_radix(&id.replace('-', ""), 16) else {
        return false;
    };
    let bytes = number.to_be_bytes();
    stamp(bytes, time_ms) == bytes && uuid_text(&bytes) == id
}

/// Time, version, variant and sum, in the places where they belong.
fn stamp(mut bytes: [u8; 16], now_ms: i64) -> [u8; 16] {
    bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let words = bytes[..14].chunks_exact(2);
    let sum = words.fold(0, |sum: u16, word| {
        sum.wrapping_add(u16::from_be_bytes([word[0], word[1]]))
    });
    bytes[14..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_123;

    #[test]
    fn ids_are_uuids_that_begin_with_their_time() {
        let id = mint(NOW_MS, [0xff; 16]);
        assert_eq!(&*id, "018bcfe5-687b-7fff-bfff-ffffffff79e7");
        assert!(mint(NOW_MS + 1, [0; 16]) > id);
    }

    #[test]
    fn ours_are_told_from_others() {
        let id = mint(NOW_MS, [0x5a; 16]);
        assert!(is_ours(&id, NOW_MS));
        assert!(!is_ours(&id, NOW_MS + 1));
        for other in [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("+{id}"),
            id.replace("5a5a", "5a5b"),
            "018bcfe5-687b-7a5a-9a5a-5a5a5a5a5a5a".to_owned(),
            "a".to_owned(),
            String::new(),
            "f".repeat(64),
        ] {
            assert!(!is_ours(&other, NOW_MS), "{other}");
        }
    }
}
