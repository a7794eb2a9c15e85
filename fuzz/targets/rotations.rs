//! The files beside a keyring that tell of root keys, rotations and changes, and records
//! of keys that came after others, damaged in any way: an error that changes
//! nothing, or the keys that there were.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use salus_crypto::{Due, Founding, Keyring, RootFault, RootSource, Slot, WrapsRoot};
use tempfile::TempDir;

const FILES: [&str; 5] = [
    "keyring",
    "root.wrapped",
    "rotation",
    "rotation.due",
    "keyring.changes",
];

/// The last of them, which has to have a right hash to be read at all.
const CHANGES: usize = 4;

/// A keyring with rotated keys, its files, and what a key has sealed.
struct Founded {
    folder: TempDir,
    files: Vec<Vec<u8>>,
    sealed: (Slot, Vec<u8>),
}

static FOUNDED: OnceLock<Founded> = OnceLock::new();

/// Keeps the root key in the open: what is tried is the reading around it.
struct Plain;

impl WrapsRoot for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn wrap(&self, _id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        Ok(key.to_vec())
    }

    fn unwrap(&self, _id: &str, wrapped: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>, RootFault> {
        let key = wrapped
            .try_into()
            .map_err(|_| RootFault::WrongKey("length"))?;
        Ok(zeroize::Zeroizing::new(key))
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, edits)) = input.split_first() else {
        return;
    };
    let founded = FOUNDED.get_or_init(found);
    let keys = founded.folder.path().join("keys");
    let which = usize::from(*which) % FILES.len();
    for (at, (name, whole)) in FILES.iter().zip(&founded.files).enumerate() {
        let bytes = match at == which {
            // The first edit may make the file the rest of the input.
            true if edits.first() == Some(&255) => edits[1..].to_vec(),
            true if which == CHANGES => hashed(edited(whole.clone(), edits)),
            true => edited(whole.clone(), edits),
            false => whole.clone(),
        };
        let path = keys.join(name);
        let _ = std::fs::remove_file(&path);
        if !bytes.is_empty() {
            std::fs::write(path, bytes).expect("a temporary file");
        }
    }
    let before = files(&keys);
    let source = RootSource::Wrapped(Arc::new(Plain));
    match Keyring::open_from(&keys, &source, Founding::Existing, 1) {
        Ok(keyring) => {
            let (slot, sealed) = &founded.sealed;
            if let Ok(text) = keyring.open_sealed(*slot, b"a", sealed) {
                assert_eq!(text, b"text");
            }
            let _ = (keyring.due(), keyring.check());
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(
                files(&keys) == before,
                "what cannot be read is left as it is"
            );
        }
    }
});

fn found() -> Founded {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("keys");
    let source = RootSource::Wrapped(Arc::new(Plain));
    let keyring = Keyring::open_from(&keys, &source, Founding::New, 1).expect("a new keyring");
    let slot = keyring.slot(1, Some("patient"), 1).expect("a new key");
    let mut sealed = Vec::new();
    keyring
        .seal(slot, b"a", b"text", &mut sealed)
        .expect("sealed");
    keyring.rotate_patient(1, "patient", 2).expect("a next key");
    keyring.rotate_root(&source, 3).expect("a next root key");
    let due = Due {
        scope: Some(1),
        projects: true,
        patients: true,
        before_ms: 9,
    };
    keyring.rotate(due).expect("noted");
    drop(keyring);
    let mut files = files(&keys);
    files[CHANGES] = changes(&files[0]);
    Founded {
        files,
        folder,
        sealed: (slot, sealed),
    }
}

/// A journal with all records of a keyring, as if it had been ended while it wrote them.
fn changes(keyring: &[u8]) -> Vec<u8> {
    let count = (keyring.len() / 128) as u32;
    let mut journal = b"salus-changing 1".to_vec();
    journal.extend_from_slice(&count.to_be_bytes());
    journal.extend_from_slice(keyring);
    journal.resize(20 + 256 * 128 + 32, 0);
    hashed(journal)
}

/// Puts the right hash behind the records.
fn hashed(mut journal: Vec<u8>) -> Vec<u8> {
    let count = journal.get(16..20).and_then(|bytes| bytes.try_into().ok());
    let end = count.map_or(0, |count| {
        20 + u32::from_be_bytes(count) as usize % 257 * 128
    });
    if let Some((checked, rest)) = journal.split_at_mut_checked(end)
        && rest.len() >= 32
    {
        rest[..32].copy_from_slice(&salus_crypto::sha256(checked));
    }
    journal
}

fn files(keys: &Path) -> Vec<Vec<u8>> {
    FILES
        .iter()
        .map(|name| std::fs::read(keys.join(name)).unwrap_or_default())
        .collect()
}

/// Three bytes make an edit: a place in two, and what is put there. An edit
/// behind the end cuts the file or makes it longer.
fn edited(mut file: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(3).take(64) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        let kept = file.len().saturating_sub(usize::from(edit[2]));
        match file.get_mut(at) {
            Some(byte) => *byte = edit[2],
            None if at % 2 == 0 => file.truncate(kept),
            None => file.push(edit[2]),
        }
    }
    file
}
