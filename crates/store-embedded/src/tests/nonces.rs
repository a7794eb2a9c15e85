//! The engine's own encryption in copies of one folder.
//!
//! It counts its nonces from one in each file, so what keeps them from repeating is the key of the
//! file: HKDF over a salt of 32 random bytes, which stands in the clear behind the magic `SKTD`.

use std::collections::HashMap;
use std::path::Path;

use salus_store::Store;
use tempfile::TempDir;

use super::room::{Room, batch, copy, observation};

const MAGIC: &[u8] = b"SKTD";
const SALT: std::ops::Range<usize> = 40..72;

/// The salts of all files below a folder, by what each file holds.
fn salts(dir: &Path, found: &mut HashMap<Vec<u8>, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            salts(&path, found);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let starts = bytes.windows(MAGIC.len()).enumerate();
        for (at, _) in starts.filter(|(_, window)| *window == MAGIC) {
            if let Some(salt) = bytes.get(at..).and_then(|header| header.get(SALT)) {
                found.insert(salt.to_vec(), bytes.clone());
            }
        }
    }
}

#[test]
fn clones_that_write_the_same_share_no_key_of_a_file() {
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let write = |room: &Room, round: u64| {
        let store = room.open();
        for i in 0..40 {
            let puts = vec![observation(&format!("o{i}"), round, "1")];
            room.commit(&store, batch(puts)).unwrap();
        }
        room.runtime.block_on(store.close()).unwrap();
    };
    write(&Room::new(dirs[0].path()), 1);
    copy(dirs[0].path(), dirs[1].path());
    let mut before = HashMap::new();
    salts(&dirs[0].path().join("store"), &mut before);
    assert!(!before.is_empty(), "files have headers");
    let after = dirs.each_ref().map(|dir| {
        write(&Room::new(dir.path()), 2);
        let mut found = HashMap::new();
        salts(&dir.path().join("store"), &mut found);
        found
    });
    for one in &after {
        assert!(
            one.keys().any(|salt| !before.contains_key(salt)),
            "it wrote"
        );
        for (salt, file) in one {
            // A file from before the copy is as it was: nothing is added under its key.
            assert!(before.get(salt).is_none_or(|was| was == file));
        }
    }
    let fresh = |salt: &&Vec<u8>| !before.contains_key(*salt);
    assert!(
        !after[0]
            .keys()
            .filter(fresh)
            .any(|salt| after[1].contains_key(salt))
    );
}
