//! Segments read back, and what was done to them is named.

use bytes::Bytes;
use salus_crypto::SecretKey;
use salus_store::{LogBatch, LogPart, Scope, Seq};

use super::*;
use crate::{Form, Keys, What};

fn keys() -> Keys {
    Keys::from_secret(SecretKey::from_bytes([1; 32]))
}

/// A batch of a version of so many bytes that do not compress, and an audit entry.
fn batch(seq: u64, bytes: usize) -> LogBatch {
    let mut state = seq;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    LogBatch {
        first: Seq(seq),
        last: Seq(seq + 1),
        time_ms: 1_000 + seq as i64,
        scope: Scope(1),
        chain: [seq as u8; 32],
        parts: vec![
            LogPart::Version(noise.take(bytes).collect::<Vec<u8>>().into()),
            LogPart::Audit {
                leaf: [7; 32],
                entry: Bytes::from_static(b"entry"),
                about: Vec::new(),
            },
        ],
    }
}

fn start() -> Start {
    Start {
        form: Form::Shipped,
        numbers: (1, 1),
        before: [0; 32],
        frontier: Frontier::default(),
        key_slots: 9,
        made_ms: 5,
    }
}

fn sealed(batches: &[LogBatch]) -> Segment {
    Segment::seal(&keys(), start(), batches).unwrap().unwrap()
}

/// What can be read of a segment, and why not more.
fn read(bytes: &Bytes) -> (Vec<LogBatch>, Result<Footer, What>) {
    let mut batches = Vec::new();
    let mut opening = match Opening::new(&keys(), bytes, Some(Frontier::default())) {
        Ok(opening) => opening,
        Err(what) => return (batches, Err(what)),
    };
    loop {
        match opening.next(&keys()) {
            Ok(Some(more)) => batches.extend(more),
            Ok(None) => return (batches, Ok(opening.footer().clone())),
            Err(what) => return (batches, Err(what)),
        }
    }
}

#[test]
fn segments_read_back() {
    let batches = [batch(1, 10), batch(3, 3 * PIECE_BYTES), batch(5, 0)];
    let segment = sealed(&batches);
    let (read, footer) = read(&segment.bytes);
    assert_eq!(read, batches);
    assert_eq!(footer.unwrap(), segment.footer);
    assert_eq!((segment.footer.versions, segment.footer.audit), (3, 3));
    assert_eq!(
        segment.name.to_string(),
        "segments/000000000001-00000000000000000001"
    );
    assert!(Segment::seal(&keys(), start(), &[]).unwrap().is_none());
}

#[test]
fn what_compresses_is_compressed() {
    let mut even = batch(1, 0);
    even.parts[0] = LogPart::Version(vec![7; PIECE_BYTES].into());
    let segment = sealed(&[even.clone()]);
    assert!(segment.bytes.len() < PIECE_BYTES / 10);
    assert_eq!(read(&segment.bytes).0, [even]);
}

#[test]
fn a_change_anywhere_is_noticed() {
    let segment = sealed(&[batch(1, 20)]);
    for at in 0..segment.bytes.len() {
        let mut changed = segment.bytes.to_vec();
        changed[at] ^= 0x10;
        assert!(read(&changed.into()).1.is_err(), "byte {at}");
        assert!(read(&segment.bytes.slice(..at)).1.is_err(), "cut at {at}");
    }
    let longer = [&segment.bytes[..], b"x"].concat();
    assert!(read(&longer.into()).1.is_err());
}

#[test]
fn all_before_a_fault_is_given() {
    let batches: Vec<_> = (0..8).map(|n| batch(1 + 2 * n, PIECE_BYTES / 2)).collect();
    let segment = sealed(&batches);
    let mut changed = segment.bytes.to_vec();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let (read, end) = read(&changed.into());
    assert_eq!(
        end,
        Err(What::Damaged("a frame is not the one that was sealed"))
    );
    assert!((2..4).contains(&read.len()), "{}", read.len());
    assert_eq!(read, batches[..read.len()]);
}

#[test]
fn a_segment_of_another_store_is_foreign() {
    let segment = sealed(&[batch(1, 20)]);
    let other = Keys::from_secret(SecretKey::from_bytes([2; 32]));
    let opened = Opening::new(&other, &segment.bytes, None);
    assert_eq!(opened.err(), Some(What::Foreign));
}

#[test]
fn a_tree_of_other_entries_is_noticed() {
    let segment = sealed(&[batch(1, 20)]);
    let mut other = Frontier::default();
    other.append([1; 32]);
    let mut opening = Opening::new(&keys(), &segment.bytes, Some(other)).unwrap();
    opening.next(&keys()).unwrap();
    assert!(opening.next(&keys()).is_err());
}
