//! A blob, damaged in any way: what can be read of its header is written back
//! as it was, its layout covers the file exactly, and no frame opens to
//! something that was not sealed in its place.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::{Arc, OnceLock};

use salus_crypto::frames::{FRAME_BYTES, Frames, Header};
use salus_crypto::{Founding, Keyring};

#[path = "../edits.rs"]
mod edits;
use edits::edited;

/// A keyring, and a blob of two frames sealed with it.
static FOUNDED: OnceLock<(Arc<Keyring>, Vec<u8>)> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    bare(input);
    let (keyring, whole) = FOUNDED.get_or_init(found);
    let damaged = edited(whole.clone(), input);
    let Ok(header) = Header::read(&damaged) else {
        return;
    };
    let Some(layout) = header.layout(damaged.len() as u64) else {
        return;
    };
    let mut frames = Frames::new(&header);
    for number in 0..layout.frames {
        let start = layout.start(number) as usize;
        let sealed = &damaged[start..start + layout.sealed(number)];
        let which = (number, number == layout.last());
        let mut plain = Vec::new();
        if frames.open(keyring, which, sealed, &mut plain).is_ok() {
            assert_eq!(sealed, &whole[start..start + sealed.len()]);
            assert!(plain.iter().all(|byte| *byte == 7));
        } else {
            assert!(plain.is_empty(), "nothing is shown that is not authentic");
        }
    }
});

/// The input as a header.
fn bare(input: &[u8]) {
    let Ok(header) = Header::read(input) else {
        return;
    };
    let bytes = header.to_bytes();
    assert_eq!(bytes, input[..bytes.len()]);
    for length in [input.len() as u64, u64::MAX, u64::MAX / 2] {
        if let Some(layout) = header.layout(length) {
            let last = layout.last();
            assert_eq!(layout.start(last) + layout.sealed(last) as u64, length);
        }
    }
}

fn found() -> (Arc<Keyring>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("keys");
    let keyring = Keyring::open(&keys, Founding::New, 1).expect("a new keyring");
    let slot = keyring.slot(1, None, 1).expect("a new key");
    let header = Header::new(1, slot, 1, "a").expect("a header");
    let mut frames = Frames::new(&header);
    let mut whole = header.to_bytes();
    for (number, length) in [(0, FRAME_BYTES), (1, 100)] {
        let plain = vec![7; length];
        let sealed = frames.seal(&keyring, (number, number == 1), &plain, &mut whole);
        sealed.expect("a sealed frame");
    }
    (keyring, whole)
}
