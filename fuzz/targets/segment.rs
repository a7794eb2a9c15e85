//! A segment of a base of an archive, damaged in any way: reading it back never panics, takes no more room
//! than it has, and gives nothing that was not sealed in its place.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::OnceLock;

use bytes::Bytes;
use salus_archive::{
    BaseName, Contents, Footer, Form, Header, Keys, Segment, SegmentName, Start, Whole, read_whole,
};
use salus_crypto::SecretKey;
use salus_store::{LogBatch, LogPart, Scope, Seq};

#[path = "../edits.rs"]
mod edits;
use edits::edited;

/// A segment of two frames and its footer.
static SEALED: OnceLock<(Keys, Segment, Vec<LogBatch>)> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    if let Ok(header) = Header::read(input) {
        assert_eq!(header.to_bytes(), input[..header.to_bytes().len()]);
    }
    if let Some(whole) = Whole::read(input) {
        assert_eq!(whole.to_bytes(), input);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Some((name, part)) = BaseName::parse(text) {
            assert_eq!(name.object(part), text);
        }
        if let Some(name) = SegmentName::parse(text) {
            assert_eq!(name.to_string(), text);
        }
        let _ = Contents::of(text.lines());
    }
    let (keys, segment, batches) = SEALED.get_or_init(sealed);
    let damaged = edited(segment.bytes.to_vec(), input);
    let same = damaged == segment.bytes;
    let (read, end): (Vec<LogBatch>, Option<Footer>) = read_whole(keys, &Bytes::from(damaged));
    assert_eq!(read, batches[..read.len()]);
    assert_eq!(end.is_some(), same);
});

fn sealed() -> (Keys, Segment, Vec<LogBatch>) {
    let keys = Keys::from_secret(SecretKey::from_bytes([1; 32]));
    let batch = |seq: u64| LogBatch {
        first: Seq(seq),
        last: Seq(seq),
        time_ms: 5,
        scope: Scope(1),
        chain: [seq as u8; 32],
        parts: vec![LogPart::Version(vec![seq as u8; 700_000].into())],
    };
    let batches: Vec<_> = (1..=2).map(batch).collect();
    let start = Start {
        form: Form::Base([6; 32]),
        numbers: (1, 1),
        before: [0; 32],
        frontier: Default::default(),
        key_slots: 1,
        made_ms: 5,
    };
    let segment = Segment::seal(&keys, start, &batches).expect("a segment");
    (keys, segment.expect("a segment of batches"), batches)
}
