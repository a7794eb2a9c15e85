//! The part of CBOR that authenticators write: <https://www.rfc-editor.org/rfc/rfc8949>,
//! in the canonical form of CTAP2, which has no lengths left open, no tags and four levels.
//!
//! A reader takes one item after the other from the front. Nothing is copied, and
//! no length is believed before the bytes are there.

/// Levels of items in items.
const DEPTH_MAX: u8 = 4;

/// What is left to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);
salus_phi::guard!(Reader<'_>);

/// An item, as far as it concerns us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    /// With so many items, or pairs of them, behind it.
    Array(u64),
    Map(u64),
    /// True, false, null, a float.
    Simple,
}
salus_phi::guard!(Item<'_>);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is behind all that was read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next item; `None` if there is none of a form that we know.
    pub(super) fn item(&mut self) -> Option<Item<'a>> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let (major, short) = (first >> 5, first & 31);
        let argument = self.argument(short)?;
        Some(match major {
            0 => Item::Int(i64::try_from(argument).ok()?),
            1 => Item::Int(-1 - i64::try_from(argument).ok()?),
            2 => Item::Bytes(self.take(argument)?),
            3 => Item::Text(std::str::from_utf8(self.take(argument)?).ok()?),
            4 => Item::Array(argument),
            5 => Item::Map(argument),
            7 if short != 24 => Item::Simple,
            _ => return None,
        })
    }

    /// Reads over an item and all that is in it.
    pub(super) fn skip(&mut self) -> Option<()> {
        self.skip_at(DEPTH_MAX)
    }

    fn skip_at(&mut self, depth: u8) -> Option<()> {
        let within = match self.item()? {
            Item::Array(count) => count,
            Item::Map(count) => count.checked_mul(2)?,
            Item::Int(_) | Item::Bytes(_) | Item::Text(_) | Item::Simple => return Some(()),
        };
        let deeper = depth.checked_sub(1)?;
        // Each item takes a byte at least, so a large number ends soon.
        for _ in 0..within {
            self.skip_at(deeper)?;
        }
        Some(())
    }

    fn argument(&mut self, short: u8) -> Option<u64> {
        let count = match short {
            0..=23 => return Some(u64::from(short)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let bytes = self.take(count)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Option<Item<'_>>) {
        assert_eq!(Reader::new(bytes).item(), expect, "{bytes:x?}");
    }

    #[test]
    fn items_are_those_of_the_standard() {
        // RFC 8949, appendix A.
        check(&[0x17], Some(Item::Int(23)));
        check(&[0x18, 0x64], Some(Item::Int(100)));
        check(&[0x19, 0x03, 0xe8], Some(Item::Int(1000)));
        check(&[0x39, 0x01, 0x00], Some(Item::Int(-257)));
        check(&[0x42, 1, 2], Some(Item::Bytes(&[1, 2])));
        check(&[0x64, b'I', b'E', b'T', b'F'], Some(Item::Text("IETF")));
        check(&[0xf5], Some(Item::Simple));
        check(&[0xa2], Some(Item::Map(2)));
        for bad in [
            &[][..],
            &[0x18],
            &[0x42, 1],
            &[0x61, 0xff],
            &[0x5f],
            &[0x1c],
        ] {
            check(bad, None);
        }
        check(
            &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            None,
        );
        check(&[0xc0, 0x00], None);
    }

    #[test]
    fn nothing_deep_or_endless_is_read_over() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            reader.skip().map(|()| reader.rest().len())
        };
        assert_eq!(skip(&[0xa1, 0x01, 0x82, 0x02, 0x03, 0xff]), Some(1));
        assert_eq!(skip(&[0x81, 0x81, 0x81, 0x81, 0x00]), Some(0));
        assert_eq!(skip(&[0x81, 0x81, 0x81, 0x81, 0x81, 0x00]), None);
        assert_eq!(
            skip(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            None
        );
        assert_eq!(
            skip(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            None
        );
    }
}
