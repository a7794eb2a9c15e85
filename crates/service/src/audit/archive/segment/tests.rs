//! Segments read back, and what was done to them is named.

use salus_crypto::Founding;

use super::*;

fn leaf(n: u8, scope: u32) -> TreeLeaf {
    let (scope, body) = (Scope(scope), Bytes::from(vec![n; 40]));
    let (form, salt) = (LeafForm::Placed, [n; 32]);
    TreeLeaf {
        scope,
        seq: Seq(u64::from(n) + 10),
        time_ms: 1000 + i64::from(n),
        leaf: form.leaf(&salt, scope, 1000 + i64::from(n), &body),
        opened: Some(OpenedLeaf { form, salt, body }),
        cleared: false,
    }
}

fn segment() -> Segment {
    Segment {
        head: Head {
            places: (5, 9),
            seqs: (10, 13),
            times_ms: (1000, 1003),
            made_ms: 7,
            roots: ([1; 32], [2; 32]),
        },
        lines: "lines\n".into(),
        leaves: vec![leaf(0, 1), leaf(1, 2), leaf(2, 1), leaf(3, 0)],
    }
}

fn keyring(dir: &std::path::Path) -> std::sync::Arc<Keyring> {
    let keyring = Keyring::open(dir, Founding::New, 0).unwrap();
    for scope in 0..3 {
        keyring.slot(scope, None, 0).unwrap();
    }
    keyring
}

#[test]
fn a_segment_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = keyring(dir.path());
    let keys = Keys::of(&keyring).unwrap();
    let bytes = segment().seal(&keys).unwrap();
    assert_eq!(Segment::open(&keys, &bytes), Ok(segment()));
    assert_eq!(Head::read(&bytes), Some(segment().head));
    assert!(
        !bytes.windows(32).any(|part| part == [3; 32]),
        "it is sealed"
    );
}

#[test]
fn a_change_anywhere_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = keyring(dir.path());
    let keys = Keys::of(&keyring).unwrap();
    let bytes = segment().seal(&keys).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 0x10;
        assert!(Segment::open(&keys, &changed).is_err(), "byte {at}");
        assert!(Segment::open(&keys, &bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Segment::open(&keys, &[&bytes[..], b"x"].concat()).is_err());
    let other = tempfile::tempdir().unwrap();
    let other = self::keyring(other.path());
    let opened = Segment::open(&Keys::of(&other).unwrap(), &bytes);
    assert_eq!(opened, Err(Fault::Changed));
}

#[test]
fn of_a_leaf_that_cannot_be_opened_the_leaf_alone_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = keyring(dir.path());
    let keys = Keys::of(&keyring).unwrap();
    let mut part = segment();
    part.leaves[1] = hidden(part.leaves[1].leaf);
    let bytes = part.seal(&keys).unwrap();
    assert_eq!(Segment::open(&keys, &bytes), Ok(part));
}
