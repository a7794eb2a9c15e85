//! A batch of the log in a segment. Part of the stored format 1 of segments:
//!
//! | bytes | |
//! |---|---|
//! | 8 | length of the rest |
//! | 8, 8 | first and last seq |
//! | 8 | time, in milliseconds since 1970 UTC |
//! | 4 | scope |
//! | 32 | chain of changes up to it |
//! | 4 | how many parts |
//! | rest | the parts |
//!
//! A part begins with a byte: 1, a version: its length in 4 bytes, its bytes. 2, an audit entry:
//! its leaf in 32, its length in 4, its bytes, the number of records it is about in 4, and of
//! each the kind in 4 and the id. 3, a purge: kind in 4, id, `below` in 8. An id is its length in
//! 1 byte, and its bytes.

use bytes::{Buf, Bytes};
use salus_store::{Kind, LogBatch, LogPart, Purge, Scope, Seq};

const VERSION: u8 = 1;
const AUDIT: u8 = 2;
const PURGE: u8 = 3;

/// Bytes of the length before a batch.
pub(crate) const LENGTH_LEN: usize = 8;

/// Appends a batch; `None` if something in it is longer than the format can say.
pub(crate) fn put(batch: &LogBatch, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_LEN]);
    out.extend_from_slice(&batch.first.0.to_be_bytes());
    out.extend_from_slice(&batch.last.0.to_be_bytes());
    out.extend_from_slice(&batch.time_ms.to_be_bytes());
    out.extend_from_slice(&batch.scope.0.to_be_bytes());
    out.extend_from_slice(&batch.chain);
    out.extend_from_slice(&u32::try_from(batch.parts.len()).ok()?.to_be_bytes());
    for part in &batch.parts {
        put_part(part, out)?;
    }
    let length = (out.len() - start - LENGTH_LEN) as u64;
    out[start..start + LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
    Some(())
}

fn put_part(part: &LogPart, out: &mut Vec<u8>) -> Option<()> {
    match part {
        LogPart::Version(bytes) => {
            out.push(VERSION);
            put_bytes(bytes, out)
        }
        LogPart::Audit { leaf, entry, about } => {
            out.push(AUDIT);
            out.extend_from_slice(leaf);
            put_bytes(entry, out)?;
            out.extend_from_slice(&u32::try_from(about.len()).ok()?.to_be_bytes());
            about.iter().try_for_each(|(kind, id)| {
                out.extend_from_slice(&kind.0.to_be_bytes());
                put_id(id, out)
            })
        }
        LogPart::Purged(Purge { kind, id, below }) => {
            out.push(PURGE);
            out.extend_from_slice(&kind.0.to_be_bytes());
            put_id(id, out)?;
            out.extend_from_slice(&below.to_be_bytes());
            Some(())
        }
    }
}

fn put_bytes(bytes: &Bytes, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_be_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

fn put_id(id: &str, out: &mut Vec<u8>) -> Option<()> {
    out.push(u8::try_from(id.len()).ok()?);
    out.extend_from_slice(id.as_bytes());
    Some(())
}

/// How long the rest of a batch is, if its length is whole.
pub(crate) fn length(bytes: &[u8]) -> Option<u64> {
    bytes
        .first_chunk()
        .map(|length| u64::from_be_bytes(*length))
}

/// The batch that these bytes are, all of them and without its length; `None` if they are none.
pub(crate) fn take(mut bytes: Bytes) -> Option<LogBatch> {
    let first = Seq(bytes.try_get_u64().ok()?);
    let last = Seq(bytes.try_get_u64().ok()?);
    let time_ms = bytes.try_get_i64().ok()?;
    let scope = Scope(bytes.try_get_u32().ok()?);
    let chain = take_hash(&mut bytes)?;
    let count = bytes.try_get_u32().ok()?;
    // A number is not believed before what it counts is there.
    let mut parts = Vec::with_capacity((count as usize).min(bytes.len()));
    for _ in 0..count {
        parts.push(take_part(&mut bytes)?);
    }
    (bytes.is_empty() && first <= last && first.0 >= 1).then_some(LogBatch {
        first,
        last,
        time_ms,
        scope,
        chain,
        parts,
    })
}

fn take_part(bytes: &mut Bytes) -> Option<LogPart> {
    Some(match bytes.try_get_u8().ok()? {
        VERSION => LogPart::Version(take_bytes(bytes)?),
        AUDIT => {
            let leaf = take_hash(bytes)?;
            let entry = take_bytes(bytes)?;
            let count = bytes.try_get_u32().ok()?;
            let mut about = Vec::with_capacity((count as usize).min(bytes.len()));
            for _ in 0..count {
                about.push((Kind(bytes.try_get_u32().ok()?), take_id(bytes)?));
            }
            LogPart::Audit { leaf, entry, about }
        }
        PURGE => LogPart::Purged(Purge {
            kind: Kind(bytes.try_get_u32().ok()?),
            id: take_id(bytes)?,
            below: bytes.try_get_u64().ok()?,
        }),
        _ => return None,
    })
}

fn take_hash(bytes: &mut Bytes) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    bytes.try_copy_to_slice(&mut hash).ok()?;
    Some(hash)
}

fn take_bytes(bytes: &mut Bytes) -> Option<Bytes> {
    let length = bytes.try_get_u32().ok()? as usize;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn take_id(bytes: &mut Bytes) -> Option<Box<str>> {
    let length = usize::from(bytes.try_get_u8().ok()?);
    let id = (length <= bytes.len()).then(|| bytes.split_to(length))?;
    std::str::from_utf8(&id).ok().map(Box::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> LogBatch {
        LogBatch {
            first: Seq(4),
            last: Seq(5),
            time_ms: -1,
            scope: Scope(7),
            chain: [8; 32],
            parts: vec![
                LogPart::Version(Bytes::from_static(b"body")),
                LogPart::Audit {
                    leaf: [9; 32],
                    entry: Bytes::from_static(b"entry"),
                    about: vec![(Kind(1), "a".into()), (Kind(2), "b".into())],
                },
                LogPart::Purged(Purge {
                    kind: Kind(3),
                    id: "c".into(),
                    below: 6,
                }),
            ],
        }
    }

    #[test]
    fn batches_read_back_and_nothing_shorter_or_longer_does() {
        let mut bytes = Vec::new();
        put(&batch(), &mut bytes).unwrap();
        assert_eq!(length(&bytes), Some((bytes.len() - LENGTH_LEN) as u64));
        let bytes = Bytes::from(bytes).slice(LENGTH_LEN..);
        assert_eq!(take(bytes.clone()), Some(batch()));
        for cut in 0..bytes.len() {
            assert_eq!(take(bytes.slice(..cut)), None, "cut at {cut}");
        }
        assert_eq!(take([&bytes[..], b"x"].concat().into()), None);
    }

    #[test]
    fn a_count_that_is_not_true_takes_no_room() {
        let mut bytes = Vec::new();
        put(&batch(), &mut bytes).unwrap();
        bytes[LENGTH_LEN + 60..LENGTH_LEN + 64].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(take(Bytes::from(bytes).slice(LENGTH_LEN..)), None);
    }
}
