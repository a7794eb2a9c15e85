//! The journal: a write that ends anywhere loses no key, and brings none back.

use super::super::changes::{Journal, decode};
use super::super::{record::Status, reroot};
use super::rotation::Ward;
use super::*;

/// A ward whose projects have new keys, with the forms of its patients' records before and after.
struct Torn {
    ward: Ward,
    before: Vec<u8>,
    changes: Vec<Record>,
}

impl Torn {
    /// Ended when the changes were written down, and none was in its place.
    fn new() -> Self {
        let ward = Ward::new();
        let ring = ward.folder.opened();
        for scope in [1, 2] {
            let mac = ring.label_mac(scope, None);
            ring.make(scope, mac, None, 20).unwrap();
        }
        ring.sync().unwrap();
        let patients = [2, 3, 4, 6, 7, 8].map(|slot| ring.rewrapped(slot).unwrap());
        let changes: Vec<_> = patients.into_iter().flatten().collect();
        assert_eq!(changes.len(), 6);
        ring.changes.lock().write(&changes).unwrap();
        drop(ring);
        let before = std::fs::read(ward.folder.ring()).unwrap();
        Self {
            ward,
            before,
            changes,
        }
    }

    fn destroying() -> Self {
        let mut torn = Self::new();
        for record in &mut torn.changes {
            (record.status, record.wrapped) = (Status::Destroyed, [0; record::WRAPPED_LEN]);
        }
        let (mut journal, _) = Journal::open(&torn.ward.folder.dir()).unwrap();
        journal.write(&torn.changes).unwrap();
        torn
    }

    /// The keyring as it was, but for these bytes of one record, which are the new ones.
    fn with(&self, record: &Record, bytes: std::ops::Range<usize>) {
        let mut file = self.before.clone();
        let new = record.encode();
        let at = record.slot as usize * LEN;
        file[at + bytes.start..at + bytes.end].copy_from_slice(&new[bytes]);
        std::fs::write(self.ward.folder.ring(), file).unwrap();
    }

    fn journal(&self) -> PathBuf {
        self.ward.folder.dir().join("keyring.changes")
    }

    /// Opens it on a copy, so that it can be opened again as it was.
    fn opened(&self) -> (Folder, Arc<Keyring>) {
        let copy = self.ward.copy();
        let ring = copy.open(Founding::Existing).unwrap();
        assert!(is_empty(&copy));
        (copy, ring)
    }
}

fn is_empty(folder: &Folder) -> bool {
    let bytes = std::fs::read(folder.dir().join("keyring.changes")).unwrap();
    bytes.iter().all(|byte| *byte == 0)
}

#[test]
fn a_key_that_is_wrapped_anew_survives_a_write_cut_anywhere() {
    let torn = Torn::new();
    for cut in (0..=LEN).step_by(8) {
        for bytes in [0..cut, cut..LEN] {
            torn.with(&torn.changes[cut / 8 % 6], bytes);
            let (copy, ring) = torn.opened();
            torn.ward.reads(&ring);
            drop(ring);
            torn.ward.reads(&copy.opened());
        }
    }
    // Without the journal it is the damage that it was.
    torn.with(&torn.changes[0], 50..70);
    std::fs::remove_file(torn.journal()).unwrap();
    let refused = torn.ward.folder.open(Founding::Existing);
    assert!(refused.is_err_and(|error| error.to_string().contains("damaged at slot 2")));
}

#[test]
fn destroying_goes_on_wherever_it_was_cut() {
    let torn = Torn::destroying();
    for cut in (0..=LEN).step_by(16) {
        torn.with(&torn.changes[1], cut..LEN);
        let (copy, ring) = torn.opened();
        let status = ring.status().unwrap();
        let all: u64 = status.projects.iter().map(|p| p.patients.destroyed).sum();
        assert_eq!(all, 6);
        assert!(ring.is_destroyed(1, "a") && ring.is_destroyed(2, "c"));
        drop(ring);
        assert!(copy.opened().is_destroyed(1, "a"));
    }
}

#[test]
fn a_key_that_was_destroyed_never_comes_back() {
    let torn = Torn::new();
    let live = std::fs::read(torn.journal()).unwrap();
    {
        let ring = torn.ward.folder.opened();
        ring.destroy(1, "a").unwrap();
    }
    // A journal from before, as a copy that was taken in the middle may have.
    std::fs::write(torn.journal(), live).unwrap();
    let (_copy, ring) = torn.opened();
    assert!(ring.is_destroyed(1, "a"));
    let slot = torn.ward.texts[1].0;
    assert!(matches!(ring.key(slot), Err(Error::Destroyed(_))));
}

#[test]
fn a_journal_that_was_being_written_is_ignored_and_emptied() {
    let torn = Torn::new();
    let whole = std::fs::read(torn.journal()).unwrap();
    assert_eq!(whole.len(), 32_820);
    let end = 20 + 6 * LEN + 32;
    for cut in 0..end {
        let mut zeros = whole.clone();
        zeros[cut..].fill(0);
        let mut emptied = whole.clone();
        emptied[..=cut].fill(0);
        let changed = [&whole[..cut], &zeros, &emptied].into_iter();
        for bytes in changed.filter(|bytes| *bytes != whole) {
            assert_eq!(decode(bytes), Some(Vec::new()), "{cut}");
            if cut % 60 > 0 {
                continue;
            }
            std::fs::write(torn.journal(), bytes).unwrap();
            let (_copy, ring) = torn.opened();
            torn.ward.reads(&ring);
            let behind = ring.status().unwrap().projects[0].patients.behind;
            assert_eq!(behind, 3, "nothing was changed");
        }
    }
}

#[test]
fn a_journal_that_is_not_understood_is_refused_and_left_alone() {
    let torn = Torn::new();
    let whole = std::fs::read(torn.journal()).unwrap();
    let mut later = whole.clone();
    later[15] = b'2';
    let mut longer = whole.clone();
    longer.push(0);
    // A right hash over what is no record: written by somebody who knew more.
    let mut unknown = whole[..20 + 6 * LEN].to_vec();
    unknown[20] = 9;
    let hash = crate::sha256(&unknown);
    unknown.extend_from_slice(&hash);
    for bytes in [later, longer, unknown] {
        std::fs::write(torn.journal(), &bytes).unwrap();
        torn.ward
            .folder
            .refused(Founding::Existing, "later version");
        assert_eq!(std::fs::read(torn.journal()).unwrap(), bytes);
    }
}

#[test]
fn a_wrong_root_key_changes_nothing() {
    let torn = Torn::new();
    torn.with(&torn.changes[0], 0..60);
    let journal = std::fs::read(torn.journal()).unwrap();
    let right = std::fs::read(torn.ward.folder.root()).unwrap();
    std::fs::remove_file(torn.ward.folder.root()).unwrap();
    Root::create(&torn.ward.folder.root()).unwrap();
    torn.ward
        .folder
        .refused(Founding::Existing, "is not the one of this keyring");
    assert_eq!(std::fs::read(torn.journal()).unwrap(), journal);
    root::write_private(&torn.ward.folder.root(), &right).unwrap();
    torn.ward.reads(&torn.opened().1);
}

#[test]
fn a_keyring_without_the_key_that_wraps_the_new_form_keeps_the_old() {
    let torn = Torn::new();
    // A copy of the keyring that is older than that of the journal: the next key of the second
    // project is not there.
    let mut older = torn.before.clone();
    older.truncate(10 * LEN);
    std::fs::write(torn.ward.folder.ring(), &older).unwrap();
    torn.ward.reads(&torn.opened().1);
    older[6 * LEN + 50] ^= 1;
    std::fs::write(torn.ward.folder.ring(), &older).unwrap();
    torn.ward
        .folder
        .refused(Founding::Existing, "damaged at slot 6");
}

#[test]
fn torn_records_of_a_decided_root_key_are_no_damage() {
    let ward = Ward::new();
    for cut in (0..LEN).step_by(8) {
        let folder = ward.copy();
        let ring = folder.opened();
        let root = Root::write(&source::next(&folder.root()), &[7; 32]).unwrap();
        let records = ring.wrapped_anew(&root, 2_000).unwrap();
        drop(ring);
        let decided = reroot::Decided::of(String::new(), records);
        reroot::write(&folder.dir(), &decided).unwrap();
        folder.edit(|bytes| {
            for record in decided.records() {
                let at = record.slot as usize * LEN;
                bytes[at..at + cut].copy_from_slice(&record.encode()[..cut]);
            }
        });
        let ring = folder.open(Founding::Existing).unwrap();
        ward.reads(&ring);
        assert_eq!(ring.status().unwrap().root.since_ms, 2_000);
        drop(ring);
        ward.reads(&folder.opened());
    }
}

/// Puts a handle that cannot write, which stands for a disk that fails, in the place of one.
fn broken(file: &mut File, path: &Path) -> File {
    std::mem::replace(file, File::open(path).unwrap())
}

#[test]
fn a_disk_that_fails_between_the_steps_hides_no_key_and_keeps_none() {
    let ward = Ward::new();
    let mut ring = ward.folder.opened();
    let own = Arc::get_mut(&mut ring).unwrap();
    own.cache = Cache::new(1);
    let good = broken(&mut own.file, &ward.folder.ring());
    let doomed = ward.texts[1].0;
    // Written down, and not in place.
    ring.destroy(1, "a").unwrap_err();
    assert!(!is_empty(&ward.folder));
    assert!(matches!(ring.key(doomed), Err(Error::Destroyed(_))));
    // Nothing else changes before.
    ring.destroy(2, "a").unwrap_err();
    ring.rotate_root(&ring.source(), 9).unwrap_err();
    let checked = ring.check().unwrap();
    assert_eq!((checked.bad, checked.destroyed), (0, 1));
    // Whoever opens it now goes on.
    let copy = ward.copy();
    assert!(copy.opened().is_destroyed(1, "a"));
    assert!(!copy.opened().is_destroyed(2, "a"));
    Arc::get_mut(&mut ring).unwrap().file = good;
    assert_eq!(ring.destroy(1, "a").unwrap(), 1);
    assert_eq!(ring.destroy(2, "a").unwrap(), 1);
    assert!(is_empty(&ward.folder));
}

#[test]
fn a_journal_that_cannot_be_written_or_emptied_ends_changes_until_it_can() {
    let torn = Torn::new();
    let folder = torn.ward.copy();
    let path = folder.dir().join("keyring.changes");
    let ring = folder.opened();
    let whole = std::fs::read(folder.ring()).unwrap();
    let good = broken(ring.changes.lock().file().unwrap(), &path);
    ring.destroy(1, "a").unwrap_err();
    assert_eq!(std::fs::read(folder.ring()).unwrap(), whole, "not begun");
    *ring.changes.lock().file().unwrap() = good;
    // In place, and written down still.
    let slots: Vec<_> = (0..ring.slots()).collect();
    let mut journal = ring.changes.lock();
    let again: Vec<_> = slots.iter().flat_map(|slot| ring.record(*slot)).collect();
    journal.write(&again).unwrap();
    ring.lay(&again);
    let good = broken(journal.file().unwrap(), &path);
    ring.settle(&mut journal).unwrap_err();
    drop(journal);
    ring.destroy(1, "a").unwrap_err();
    assert!(!is_empty(&folder));
    *ring.changes.lock().file().unwrap() = good;
    assert_eq!(ring.destroy(1, "a").unwrap(), 1);
    assert!(is_empty(&folder));
    drop(ring);
    assert!(folder.opened().is_destroyed(1, "a"));
}

#[test]
fn no_wrapped_key_of_before_stays_anywhere() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    let slot = ring.rotate_patient(1, "a", 20).unwrap().number();
    let mut wrapped = vec![ring.record(slot).unwrap().wrapped];
    ring.rotate(Due {
        scope: None,
        projects: true,
        patients: false,
        before_ms: 50,
    })
    .unwrap();
    while ring.rotate_some(100).unwrap().is_some() {}
    wrapped.push(ring.record(slot).unwrap().wrapped);
    assert_eq!(ring.destroy(1, "a").unwrap(), 2);
    for entry in std::fs::read_dir(ward.folder.dir()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for wrapped in &wrapped {
            let found = bytes.windows(8).any(|part| part == &wrapped[..8]);
            assert!(!found, "{}", path.display());
        }
    }
    let journal = ward.folder.dir().join("keyring.changes");
    let mode = std::fs::metadata(journal).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn more_records_than_the_journal_holds_change_in_turns() {
    let folder = Folder::new();
    let ring = folder.opened();
    let project = ring.slot(1, None, 0).unwrap().number();
    let mac = ring.label_mac(1, Some("p"));
    for _ in 0..600 {
        ring.make(1, mac, Some(project), 1).unwrap();
    }
    assert_eq!(ring.destroy(1, "p").unwrap(), 600);
    assert!(is_empty(&folder));
    drop(ring);
    assert!(folder.opened().is_destroyed(1, "p"));
}

#[test]
fn a_standby_adopts_what_a_primary_left_torn() {
    let torn = Torn::new();
    let standby = torn.ward.copy();
    std::fs::remove_file(standby.dir().join("keyring.changes")).unwrap();
    standby.edit(|bytes| bytes.truncate(4 * LEN));
    let follower = standby.opened();
    torn.with(&torn.changes[0], 0..70);
    let adopted = follower.adopt(&torn.ward.folder.dir()).unwrap();
    assert_eq!((adopted.new, adopted.wrapped), (7, 1));
    torn.ward.reads(&follower);
    assert!(is_empty(&standby));
}

#[test]
fn what_a_standby_adopts_is_whole_wherever_it_ended() {
    let torn = Torn::new();
    let records: Vec<_> = (0..torn.before.len() / LEN)
        .map(|slot| Record::decode_any(torn.before[slot * LEN..].first_chunk().unwrap()).unwrap())
        .collect();
    for cut in (4 * LEN..torn.before.len()).step_by(64) {
        let standby = torn.ward.copy();
        let (mut journal, _) = Journal::open(&standby.dir()).unwrap();
        journal.write(&records[4..]).unwrap();
        // The last sectors came first.
        std::fs::write(standby.ring(), &torn.before).unwrap();
        standby.edit(|bytes| bytes[4 * LEN..cut].fill(0));
        torn.ward.reads(&standby.opened());
        let (mut journal, _) = Journal::open(&standby.dir()).unwrap();
        journal.write(&records[4..]).unwrap();
        standby.edit(|bytes| bytes.truncate(cut));
        torn.ward.reads(&standby.opened());
    }
}
