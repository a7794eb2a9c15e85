//! Notes, checkpoints and keys: what is read is printed as it was, and lines of an export are read
//! as JSON is.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_crypto::checkpoint::{Checkpoint, Note, VerifierKey};
use salus_service::audit::log::{Head, Line};

fuzz_target!(|input: &str| {
    if let Ok(note) = Note::parse(input) {
        assert_eq!(note.to_string(), input, "a note has one form");
        if let Ok(checkpoint) = note.checkpoint() {
            assert_eq!(checkpoint.text(), note.text(), "a checkpoint has one form");
            let file = format!("{note}\n{note}");
            let mut file = &*file;
            for _ in 0..2 {
                let taken = Note::take(&mut file).expect("checkpoints follow each other");
                assert_eq!(taken.as_ref(), Some(&note));
            }
        }
    }
    if let Ok(checkpoint) = Checkpoint::parse(input) {
        assert_eq!(checkpoint.text(), input);
    }
    if let Ok(key) = VerifierKey::parse(input) {
        assert_eq!(key.to_string(), input);
    }
    let mut rest = input;
    let mut before = rest.len() + 1;
    while !matches!(Note::take(&mut rest), Ok(None)) {
        assert!(rest.len() < before, "it gets on");
        before = rest.len();
    }
    let _ = Head::read(input);
    let _ = Line::read(input.as_bytes());
});
