//! The keyring's file, damaged in any way: an error that names it, or keys that
//! work, and the file is not made worse.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::path::PathBuf;
use std::sync::OnceLock;

use salus_crypto::{Founding, Keyring};
use tempfile::TempDir;

/// A folder with a root key, and the keyring that belongs to it.
static FOUNDED: OnceLock<(TempDir, Vec<u8>)> = OnceLock::new();

fuzz_target!(|edits: &[u8]| {
    let (folder, whole) = FOUNDED.get_or_init(found);
    let path: PathBuf = folder.path().join("keys/keyring");
    let damaged = edited(whole.clone(), edits);
    std::fs::write(&path, &damaged).expect("a temporary file");
    match Keyring::open(&folder.path().join("keys"), Founding::Existing, 1) {
        Ok(keyring) => {
            // Whatever it says it has, it can use or refuse.
            for label in [None, Some("patient-1"), Some("patient-2")] {
                if let Some(slot) = keyring.find(1, label) {
                    let mut sealed = Vec::new();
                    if keyring.seal(slot, b"a", b"text", &mut sealed).is_ok() {
                        let text = keyring.open_sealed(slot, b"a", &sealed);
                        assert_eq!(text.expect("sealed by the same key"), b"text");
                    }
                }
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let after = std::fs::read(&path).expect("a temporary file");
            assert_eq!(after, damaged, "what cannot be read is left as it is");
        }
    }
});

fn found() -> (TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("keys");
    let keyring = Keyring::open(&keys, Founding::New, 1).expect("a new keyring");
    for label in [None, Some("patient-1"), Some("patient-2")] {
        keyring.slot(1, label, 1).expect("a new key");
    }
    keyring.sync().expect("a durable keyring");
    drop(keyring);
    let whole = std::fs::read(keys.join("keyring")).expect("a keyring");
    (folder, whole)
}

/// Three bytes make an edit: a place in two, and what is put there. An edit at
/// the end cuts the file or makes it longer.
fn edited(mut file: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(3).take(64) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        match file.get_mut(at) {
            Some(byte) => *byte = edit[2],
            None if at % 2 == 0 => file.truncate(usize::from(edit[2]) * 5),
            None => file.push(edit[2]),
        }
    }
    file
}
