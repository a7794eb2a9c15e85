//! A keyring that takes over what came to the one that it is a copy of.

use super::*;

fn copied(from: &Folder) -> Folder {
    let to = Folder::new();
    std::fs::create_dir_all(to.dir()).unwrap();
    for name in ["root.key", "keyring"] {
        std::fs::copy(from.dir().join(name), to.dir().join(name)).unwrap();
    }
    std::fs::set_permissions(to.root(), std::fs::Permissions::from_mode(0o600)).unwrap();
    to
}

#[test]
fn new_and_destroyed_keys_come_over() {
    let primary = Folder::new();
    let ring = primary.opened();
    let [a, b] = ["a", "b"].map(|id| ring.slot(1, Some(id), 0).unwrap());
    let texts = [(a, sealed(&ring, a, "one")), (b, sealed(&ring, b, "two"))];
    ring.sync().unwrap();
    let copy = copied(&primary);
    let follower = copy.opened();
    assert_eq!(follower.adopt(&primary.dir()).unwrap(), Adopted::default());

    let c = ring.slot(1, Some("c"), 0).unwrap();
    let third = sealed(&ring, c, "three");
    ring.sync().unwrap();
    ring.destroy(1, "a").unwrap();
    let adopted = follower.adopt(&primary.dir()).unwrap();
    assert_eq!((adopted.new, adopted.destroyed), (1, 1));
    assert_eq!(follower.slots(), ring.slots());
    let open = |slot, text: &[u8]| follower.open_sealed(slot, b"aad", text);
    assert_eq!(open(c, &third).unwrap(), b"three");
    assert_eq!(open(b, &texts[1].1).unwrap(), b"two");
    assert!(matches!(open(a, &texts[0].1), Err(Error::Destroyed(_))));
    assert!(follower.is_destroyed(1, "a"));
    assert_eq!(follower.find(1, Some("c")), Some(c));
    // And it goes on with keys of its own, also when it is opened again.
    let own = follower.slot(1, Some("d"), 0).unwrap();
    assert_eq!(own.number(), ring.slots());
    follower.sync().unwrap();
    drop(follower);
    let again = copy.opened();
    assert_eq!(again.find(1, Some("d")), Some(own));
    assert!(again.is_destroyed(1, "a"));
}

#[test]
fn an_old_or_torn_copy_takes_nothing_away() {
    let primary = Folder::new();
    let ring = primary.opened();
    let a = ring.slot(1, Some("a"), 0).unwrap();
    ring.sync().unwrap();
    let old = copied(&primary);
    let follower = old.opened();
    follower.destroy(1, "a").unwrap();
    let slots = follower.slots();
    // The copy has the key still.
    assert_eq!(
        follower.adopt(&primary.dir()).unwrap(),
        Adopted::default(),
        "{a:?}"
    );
    assert!(follower.is_destroyed(1, "a"));
    assert_eq!(follower.slots(), slots);
    // A record that is being copied.
    ring.slot(1, Some("b"), 0).unwrap();
    ring.sync().unwrap();
    let mut bytes = std::fs::read(primary.ring()).unwrap();
    bytes.truncate(bytes.len() - 60);
    let torn = tempfile::tempdir().unwrap();
    std::fs::write(torn.path().join("keyring"), &bytes).unwrap();
    assert_eq!(follower.adopt(torn.path()).unwrap().new, 0);
}

#[test]
fn the_keyring_of_another_is_refused_and_another_root_told() {
    let (primary, other) = (Folder::new(), Folder::new());
    let ring = primary.opened();
    drop(ring);
    drop(other.opened());
    let follower = copied(&primary).opened();
    let adopted = follower.adopt(&other.dir()).unwrap();
    assert!(adopted.another_root && adopted.new == 0);
}
