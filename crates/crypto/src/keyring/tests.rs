//! The keyring through its one door: open, use, damage, open again.

mod adopt;
mod changes;
mod nonces;
mod rotation;
mod sources;

use super::*;
use std::os::unix::fs::PermissionsExt;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    fn ring(&self) -> PathBuf {
        self.dir().join("keyring")
    }

    fn root(&self) -> PathBuf {
        self.dir().join("root.key")
    }

    fn open(&self, founding: Founding) -> Result<Arc<Keyring>, Error> {
        Keyring::open(&self.dir(), founding, 1_000)
    }

    /// Opens what must open.
    fn opened(&self) -> Arc<Keyring> {
        self.open(Founding::New).unwrap()
    }

    #[track_caller]
    fn refused(&self, founding: Founding, expect: &str) {
        let before = self.bytes();
        let error = self.open(founding).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
        assert_eq!(self.bytes(), before, "a refusal changes nothing");
    }

    fn bytes(&self) -> [Option<Vec<u8>>; 2] {
        [self.root(), self.ring()].map(|path| std::fs::read(path).ok())
    }

    fn edit(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.ring()).unwrap();
        change(&mut bytes);
        std::fs::write(self.ring(), bytes).unwrap();
    }
}

fn sealed(ring: &Keyring, slot: Slot, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    ring.seal(slot, b"aad", text.as_bytes(), &mut out).unwrap();
    out
}

#[test]
fn a_key_survives_and_is_the_same() {
    let folder = Folder::new();
    let ring = folder.opened();
    let project = ring.slot(1, None, 5).unwrap();
    let patient = ring.slot(1, Some("p1"), 5).unwrap();
    let texts = [project, patient].map(|slot| (slot, sealed(&ring, slot, "text")));
    let purpose = ring.derive("cursor").unwrap();
    ring.sync().unwrap();
    drop(ring);

    let ring = folder.open(Founding::Existing).unwrap();
    assert_eq!(ring.find(1, None), Some(project));
    assert_eq!(ring.find(1, Some("p1")), Some(patient));
    assert_eq!(ring.slot(1, Some("p1"), 6).unwrap(), patient);
    assert_eq!(ring.slots(), 3);
    for (slot, text) in texts {
        assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"text");
        assert!(ring.open_sealed(slot, b"other", &text).is_err());
    }
    assert_eq!(
        ring.derive("cursor").unwrap().as_bytes(),
        purpose.as_bytes()
    );
}

#[test]
fn labels_and_scopes_have_keys_of_their_own() {
    let folder = Folder::new();
    let ring = folder.opened();
    let mut slots = Vec::new();
    for scope in [0, 1, 256] {
        for label in [None, Some(""), Some("a"), Some("b"), Some("\0a")] {
            assert_eq!(ring.find(scope, label), None);
            slots.push(ring.slot(scope, label, 0).unwrap());
        }
    }
    let text = sealed(&ring, slots[0], "x");
    for (i, slot) in slots.iter().enumerate() {
        let opened = ring.open_sealed(*slot, b"aad", &text);
        assert_eq!(opened.is_ok(), i == 0);
    }
    slots.sort();
    slots.dedup();
    assert_eq!(slots.len(), 15);
}

#[test]
fn a_key_not_synced_is_gone_and_its_number_is_not_confused() {
    let folder = Folder::new();
    let ring = folder.opened();
    let kept = ring.slot(1, Some("kept"), 0).unwrap();
    ring.sync().unwrap();
    let lost = ring.slot(1, Some("lost"), 0).unwrap();
    let text = sealed(&ring, lost, "x");
    // Usable at once, from memory.
    assert_eq!(ring.open_sealed(lost, b"aad", &text).unwrap(), b"x");
    drop(ring);
    let ring = folder.opened();
    assert!(ring.find(1, Some("kept")).is_some());
    assert!(ring.find(1, Some("lost")).is_none());
    assert!(matches!(
        ring.open_sealed(lost, b"aad", &text),
        Err(Error::SlotUnknown(_))
    ));
    assert_eq!(ring.slot(1, Some("kept"), 0).unwrap(), kept);
}

#[test]
fn a_failed_sync_loses_nothing() {
    let folder = Folder::new();
    let mut ring = folder.opened();
    let slot = ring.slot(1, Some("p"), 0).unwrap();
    // A handle that cannot write stands for a full or read-only disk.
    let ring_mut = Arc::get_mut(&mut ring).unwrap();
    let good = std::mem::replace(&mut ring_mut.file, File::open(folder.ring()).unwrap());
    for _ in 0..2 {
        let error = ring.sync().unwrap_err();
        assert!(matches!(error, Error::Io { doing: "write", .. }), "{error}");
    }
    let text = sealed(&ring, slot, "x");
    Arc::get_mut(&mut ring).unwrap().file = good;
    ring.sync().unwrap();
    drop(ring);
    let ring = folder.open(Founding::Existing).unwrap();
    assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"x");
}

#[test]
fn many_threads_make_one_key() {
    let folder = Folder::new();
    let ring = folder.opened();
    let slots: Vec<Vec<Slot>> = std::thread::scope(|threads| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                threads.spawn(|| {
                    (0..50)
                        .map(|i| {
                            let slot = ring.slot(i % 2, Some(&format!("p{i}")), 0).unwrap();
                            ring.sync().unwrap();
                            slot
                        })
                        .collect()
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    assert!(slots.iter().all(|of_thread| *of_thread == slots[0]));
    assert_eq!(ring.slots(), 1 + 2 + 50);
    assert_eq!(
        std::fs::metadata(folder.ring()).unwrap().len(),
        u64::from(ring.slots()) * LEN as u64
    );
}

#[test]
fn more_keys_than_the_cache_holds_still_open() {
    let folder = Folder::new();
    let mut ring = folder.opened();
    Arc::get_mut(&mut ring).unwrap().cache = Cache::new(16);
    let texts: Vec<_> = (0..100)
        .map(|i| {
            let slot = ring.slot(1, Some(&i.to_string()), 0).unwrap();
            (slot, sealed(&ring, slot, &i.to_string()))
        })
        .collect();
    for round in 0..2 {
        for (i, (slot, text)) in texts.iter().enumerate() {
            let opened = ring.open_sealed(*slot, b"aad", text).unwrap();
            assert_eq!(opened, i.to_string().as_bytes(), "round {round}");
        }
        // The first round reads from memory, the second from the file.
        ring.sync().unwrap();
    }
}

#[test]
fn files_are_private() {
    let folder = Folder::new();
    drop(folder.opened());
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.dir()), 0o700);
    assert_eq!(mode(folder.root()), 0o600);
    assert_eq!(mode(folder.ring()), 0o600);
    for mode in [0o640, 0o604, 0o660] {
        let exposed = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.root(), exposed).unwrap();
        folder.refused(Founding::Existing, "may be read by others");
    }
}

#[test]
fn a_missing_or_wrong_file_is_named() {
    let folder = Folder::new();
    folder.refused(Founding::Existing, "keys/keyring is missing");
    drop(folder.opened());

    let root = std::fs::read(folder.root()).unwrap();
    std::fs::remove_file(folder.root()).unwrap();
    folder.refused(Founding::New, "keys/root.key is missing");
    folder.refused(Founding::Existing, "keys/root.key is missing");

    root::write_private(&folder.root(), b"salus-root-key 1\nabc\n").unwrap();
    folder.refused(Founding::Existing, "is not a root key");
    root::write_private(&folder.root(), &[0xff; 80]).unwrap();
    folder.refused(Founding::Existing, "is not a root key");

    std::fs::remove_file(folder.root()).unwrap();
    Root::create(&folder.root()).unwrap();
    folder.refused(Founding::Existing, "is not the one of this keyring");

    root::write_private(&folder.root(), &root).unwrap();
    std::fs::remove_file(folder.ring()).unwrap();
    folder.refused(Founding::Existing, "keys/keyring is missing");
}

#[test]
fn a_founding_that_a_crash_ended_is_resumed() {
    let folder = Folder::new();
    drop(folder.opened());
    std::fs::remove_file(folder.ring()).unwrap();
    let root = std::fs::read(folder.root()).unwrap();
    std::fs::write(folder.dir().join("keyring.new"), b"half").unwrap();
    folder.opened().slot(1, None, 0).unwrap();
    assert_eq!(std::fs::read(folder.root()).unwrap(), root);

    let folder = Folder::new();
    std::fs::create_dir(folder.dir()).unwrap();
    std::fs::write(folder.dir().join("root.new"), b"half").unwrap();
    drop(folder.opened());
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir(folder.dir()).unwrap();
    std::fs::write(folder.dir().join("notes"), b"").unwrap();
    folder.refused(Founding::New, "is not empty");
    // Copying a keyring that did not come so far leaves these: a new one would not open the store.
    for name in ["shreds", "keyring.changes", "rotation"] {
        let folder = Folder::new();
        std::fs::create_dir(folder.dir()).unwrap();
        std::fs::write(folder.dir().join(name), b"").unwrap();
        folder.refused(Founding::New, "is not empty");
    }
}

#[test]
fn one_process_has_it() {
    let folder = Folder::new();
    let ring = folder.opened();
    let error = folder.open(Founding::Existing).unwrap_err();
    assert!(matches!(error, Error::Locked(_)), "{error}");
    drop(ring);
    folder.open(Founding::Existing).unwrap();
}

/// Project and first patient synced one after the other: slots 1 and 2.
fn with_two_groups() -> Folder {
    let folder = Folder::new();
    let ring = folder.opened();
    for label in [None, Some("a"), Some("b")] {
        ring.slot(1, label, 0).unwrap();
        ring.sync().unwrap();
    }
    folder
}

#[test]
fn a_torn_end_is_repaired_and_its_slot_not_reused() {
    for torn in 1..LEN {
        let folder = with_two_groups();
        folder.edit(|bytes| bytes.truncate(3 * LEN + torn));
        let ring = folder.opened();
        assert_eq!(ring.find(1, Some("b")), None, "{torn} bytes");
        assert!(ring.find(1, Some("a")).is_some());
        let slot = ring.slot(1, Some("b"), 0).unwrap();
        assert_eq!(slot.number(), 4);
        ring.sync().unwrap();
        let text = sealed(&ring, slot, "x");
        drop(ring);
        let ring = folder.opened();
        assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"x");
        assert!(matches!(
            ring.open_sealed(Slot(3), b"aad", &text),
            Err(Error::SlotUnknown(_))
        ));
    }
}

#[test]
fn blocks_that_never_reached_the_disk_are_repaired() {
    let folder = Folder::new();
    let ring = folder.opened();
    ring.slot(1, None, 0).unwrap();
    ring.sync().unwrap();
    for label in ["a", "b", "c"] {
        ring.slot(1, Some(label), 0).unwrap();
    }
    ring.sync().unwrap();
    drop(ring);
    // Of one write, the middle is missing: possible before the sync ends.
    folder.edit(|bytes| bytes[3 * LEN..4 * LEN].fill(0));
    let ring = folder.opened();
    assert_eq!(ring.find(1, Some("b")), None);
    assert!(ring.find(1, Some("c")).is_some());
    ring.slot(1, Some("b"), 0).unwrap();
    ring.sync().unwrap();
    drop(ring);
    assert!(folder.opened().find(1, Some("b")).is_some());
}

#[test]
fn damage_elsewhere_is_named_and_left_alone() {
    for slot in 0..3 {
        let folder = with_two_groups();
        folder.edit(|bytes| bytes[slot * LEN + 50] ^= 1);
        folder.refused(Founding::Existing, &format!("damaged at slot {slot}"));
    }
    let folder = with_two_groups();
    folder.edit(Vec::clear);
    folder.refused(Founding::Existing, "damaged at slot 0");
    let folder = with_two_groups();
    folder.edit(|bytes| {
        let copied: Vec<u8> = bytes[2 * LEN..3 * LEN].to_vec();
        bytes[LEN..2 * LEN].copy_from_slice(&copied);
    });
    folder.refused(Founding::Existing, "damaged at slot 1");
}

#[test]
fn a_record_forged_with_a_right_checksum_does_not_unwrap() {
    let folder = with_two_groups();
    folder.edit(|bytes| {
        let at = bytes[2 * LEN..].first_chunk().copied().unwrap();
        let mut forged = Record::decode(&at, 2).unwrap();
        forged.scope = 2;
        bytes[2 * LEN..3 * LEN].copy_from_slice(&forged.encode());
    });
    let ring = folder.opened();
    let error = ring.seal(Slot(2), b"", b"", &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Damaged { slot: 2, .. }), "{error}");
}

#[test]
fn a_destroyed_key_opens_nothing() {
    let folder = with_two_groups();
    folder.edit(|bytes| {
        let at = bytes[2 * LEN..].first_chunk().copied().unwrap();
        let mut record = Record::decode(&at, 2).unwrap();
        record.status = record::Status::Destroyed;
        record.wrapped = [0; record::WRAPPED_LEN];
        bytes[2 * LEN..3 * LEN].copy_from_slice(&record.encode());
    });
    let ring = folder.opened();
    let error = ring.seal(Slot(2), b"", b"", &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Destroyed(Slot(2))), "{error}");
}

#[test]
fn destroying_a_label_ends_its_keys_and_stays_so() {
    let folder = Folder::new();
    let ring = folder.opened();
    let kept = ring.slot(1, Some("kept"), 0).unwrap();
    let gone = ring.slot(1, Some("gone"), 0).unwrap();
    let texts = [kept, gone].map(|slot| sealed(&ring, slot, "x"));
    let wrapped = ring.record(gone.number()).unwrap().wrapped;
    assert_eq!(ring.destroy(1, "gone").unwrap(), 1);
    assert_eq!(ring.destroy(1, "gone").unwrap(), 0, "once is enough");
    let check = |ring: &Keyring| {
        let opened = ring.open_sealed(gone, b"aad", &texts[1]);
        assert!(matches!(opened, Err(Error::Destroyed(slot)) if slot == gone));
        let again = ring.slot(1, Some("gone"), 0);
        assert!(matches!(again, Err(Error::LabelDestroyed)));
        assert_eq!(ring.find(1, Some("gone")), None);
        assert!(ring.is_destroyed(1, "gone") && !ring.is_destroyed(2, "gone"));
        assert_eq!(ring.open_sealed(kept, b"aad", &texts[0]).unwrap(), b"x");
    };
    check(&ring);
    drop(ring);
    let file = std::fs::read(folder.ring()).unwrap();
    assert!(!file.windows(8).any(|part| part == &wrapped[..8]));
    check(&folder.opened());
}

#[test]
fn a_label_without_a_key_can_be_barred_from_one() {
    let folder = Folder::new();
    let ring = folder.opened();
    assert_eq!(ring.destroy(1, "never").unwrap(), 0);
    drop(ring);
    let ring = folder.opened();
    assert!(ring.is_destroyed(1, "never"));
    let refused = ring.slot(1, Some("never"), 0);
    assert!(matches!(refused, Err(Error::LabelDestroyed)));
    ring.slot(1, Some("other"), 0).unwrap();
    ring.sync().unwrap();
}

#[test]
fn a_destruction_that_the_disk_refused_is_done_again() {
    let folder = Folder::new();
    let mut ring = folder.opened();
    let slot = ring.slot(1, Some("p"), 0).unwrap();
    ring.sync().unwrap();
    let text = sealed(&ring, slot, "x");
    let ring_mut = Arc::get_mut(&mut ring).unwrap();
    let good = std::mem::replace(&mut ring_mut.file, File::open(folder.ring()).unwrap());
    let failed = ring.destroy(1, "p").unwrap_err();
    assert!(matches!(failed, Error::Io { .. }), "{failed}");
    let refused = ring.slot(1, Some("p"), 0);
    assert!(matches!(refused, Err(Error::LabelDestroyed)), "already");
    Arc::get_mut(&mut ring).unwrap().file = good;
    assert_eq!(ring.destroy(1, "p").unwrap(), 1);
    assert!(ring.open_sealed(slot, b"aad", &text).is_err());
}

#[test]
fn nobody_brings_a_key_back_while_it_is_destroyed() {
    let folder = Folder::new();
    let ring = folder.opened();
    let slot = ring.slot(1, Some("p"), 0).unwrap();
    let text = sealed(&ring, slot, "x");
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| while ring.open_sealed(slot, b"aad", &text).is_ok() {});
        }
        assert_eq!(ring.destroy(1, "p").unwrap(), 1);
        assert!(ring.open_sealed(slot, b"aad", &text).is_err());
    });
    assert!(ring.open_sealed(slot, b"aad", &text).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    })]

    /// Whatever happens to the file: it opens with right keys, or not at all.
    #[test]
    fn no_edit_gives_a_wrong_key(
        at in 0..5 * LEN,
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..300),
        cut in 0..6 * LEN,
    ) {
        let folder = with_two_groups();
        let ring = folder.opened();
        let slots = ["a", "b"].map(|label| ring.find(1, Some(label)).unwrap());
        let texts = slots.map(|slot| sealed(&ring, slot, "text"));
        drop(ring);
        folder.edit(|file| {
            let end = (at + bytes.len()).min(file.len());
            if at < end {
                file[at..end].copy_from_slice(&bytes[..end - at]);
            }
            file.truncate(cut);
        });
        if let Ok(ring) = folder.open(Founding::Existing) {
            for ((label, slot), text) in ["a", "b"].into_iter().zip(slots).zip(texts) {
                if let Ok(opened) = ring.open_sealed(slot, b"aad", &text) {
                    proptest::prop_assert_eq!(opened, b"text");
                }
                let found = ring.find(1, Some(label));
                proptest::prop_assert!(found.is_none_or(|found| found == slot));
            }
        }
    }
}

#[test]
fn the_file_names_no_patient() {
    let folder = Folder::new();
    let ring = folder.opened();
    ring.slot(1, Some("marker-patient"), 0).unwrap();
    ring.sync().unwrap();
    let bytes = std::fs::read(folder.ring()).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"marker"));
}
