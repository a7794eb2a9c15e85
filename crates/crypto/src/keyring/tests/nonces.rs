//! Nonces never repeat, in copies of one folder that do the same neither.

use std::collections::HashSet;

use super::*;
use crate::frames::{Frames, Header};

/// Two copies of one keyring, which know nothing of each other.
fn clones() -> [Folder; 2] {
    let first = Folder::new();
    let ring = first.opened();
    for label in [None, Some("a"), Some("b")] {
        ring.slot(1, label, 0).unwrap();
    }
    ring.sync().unwrap();
    drop(ring);
    let second = Folder::new();
    std::fs::create_dir(second.dir()).unwrap();
    for name in ["root.key", "keyring"] {
        let (from, to) = (first.dir().join(name), second.dir().join(name));
        std::fs::copy(from, to).unwrap();
    }
    [first, second]
}

/// What a sealed text begins with: a version, and 24 bytes of nonce.
fn nonce(sealed: &[u8]) -> [u8; 24] {
    *sealed[1..].first_chunk().unwrap()
}

#[test]
fn clones_that_seal_the_same_share_no_nonce() {
    let folders = clones();
    let mut nonces = HashSet::new();
    let mut count = 0;
    for folder in &folders {
        let ring = folder.opened();
        let slots = [None, Some("a"), Some("b")].map(|label| ring.find(1, label).unwrap());
        for i in 0..2_000 {
            let text = sealed(&ring, slots[i % 3], "the same");
            nonces.insert(nonce(&text));
            count += 1;
        }
        let header = Header::new(1, slots[0], 5, "blob").unwrap();
        let mut frames = Frames::new(&header);
        for number in 0..200 {
            let mut out = Vec::new();
            frames
                .seal(&ring, (number, false), b"same", &mut out)
                .unwrap();
            nonces.insert(nonce(&out));
            count += 1;
        }
        let cursor = ring
            .derive("cursor")
            .unwrap()
            .seal_text(b"", b"same")
            .unwrap();
        nonces.insert(nonce(&crate::from_base64url(&cursor).unwrap()));
        count += 1;
    }
    assert_eq!(nonces.len(), count);
}

#[test]
fn clones_that_make_and_wrap_keys_share_no_nonce_and_no_key() {
    let folders = clones();
    let mut nonces = HashSet::new();
    let mut count = 0;
    for folder in &folders {
        let ring = folder.opened();
        for i in 0..100 {
            ring.slot(1, Some(&format!("p{i}")), 0).unwrap();
        }
        ring.sync().unwrap();
        // Those made by both alike, then all wrapped anew: the root key's and the project's.
        let mut look = |ring: &Keyring, from| {
            ring.each_record(from, u32::MAX, |record| {
                nonces.insert(*record.wrapped.first_chunk::<24>().unwrap());
                count += 1;
                Ok(())
            })
            .unwrap();
        };
        look(&ring, 4);
        ring.rotate_root(&RootSource::File(folder.root()), 10)
            .unwrap();
        ring.rotate(Due {
            scope: None,
            projects: true,
            patients: false,
            before_ms: 10,
        })
        .unwrap();
        while !ring.rotate_some(20).unwrap().unwrap().over {}
        look(&ring, 0);
    }
    assert_eq!(nonces.len(), count);
    let [one, two] = folders.map(|folder| {
        let ring = folder.opened();
        let slot = ring.find(1, Some("p1")).unwrap();
        (sealed(&ring, slot, "x"), slot, ring)
    });
    assert_eq!(one.1, two.1);
    assert!(
        two.2.open_sealed(two.1, b"aad", &one.0).is_err(),
        "another key"
    );
}
