//! Rotation: what was sealed stays readable, wherever a crash ends it.

use super::super::reroot;
use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Two projects with patients, and what their keys sealed.
pub(super) struct Ward {
    pub(super) folder: Folder,
    pub(super) texts: Vec<(Slot, Vec<u8>)>,
}

impl Ward {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        let ring = folder.opened();
        let mut texts = Vec::new();
        for scope in [1, 2] {
            for label in [None].into_iter().chain(NAMES.map(Some)) {
                let slot = ring.slot(scope, label, 10).unwrap();
                texts.push((slot, sealed(&ring, slot, "text")));
            }
        }
        ring.sync().unwrap();
        Self { folder, texts }
    }

    #[track_caller]
    pub(super) fn reads(&self, ring: &Keyring) {
        for (slot, text) in &self.texts {
            assert_eq!(ring.open_sealed(*slot, b"aad", text).unwrap(), b"text");
        }
        let checked = ring.check().unwrap();
        assert_eq!((checked.bad, checked.faults.len()), (0, 0));
    }

    pub(super) fn copy(&self) -> Folder {
        let copy = Folder::new();
        std::fs::create_dir(copy.dir()).unwrap();
        for entry in std::fs::read_dir(self.folder.dir()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.dir().join(entry.file_name())).unwrap();
        }
        copy
    }
}

fn everything(before_ms: i64) -> Due {
    Due {
        scope: None,
        projects: true,
        patients: true,
        before_ms,
    }
}

fn run(ring: &Keyring) -> Progress {
    loop {
        let progress = ring.rotate_some(100).unwrap().unwrap();
        if progress.over {
            return progress;
        }
    }
}

#[test]
fn a_patients_new_key_seals_what_is_new() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    let before = ring.slot(1, Some("a"), 0).unwrap();
    let after = ring.rotate_patient(1, "a", 20).unwrap();
    assert_ne!(before, after);
    assert_eq!(ring.slot(1, Some("a"), 0).unwrap(), after);
    let unknown = ring.rotate_patient(1, "nobody", 20);
    assert!(matches!(unknown, Err(Error::LabelUnknown)));
    let text = sealed(&ring, after, "new");
    drop(ring);
    let ring = ward.folder.opened();
    assert_eq!(ring.slot(1, Some("a"), 0).unwrap(), after);
    assert_eq!(ring.open_sealed(after, b"aad", &text).unwrap(), b"new");
    ward.reads(&ring);
    assert_eq!(ring.destroy(1, "a").unwrap(), 2, "the old one, too");
    for slot in [before, after] {
        assert!(matches!(ring.key(slot), Err(Error::Destroyed(_))));
    }
}

#[test]
fn a_patient_whose_keys_were_destroyed_may_get_a_new_one() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    ring.destroy(1, "a").unwrap();
    let slot = ring.renew(1, "a", 30).unwrap();
    let text = sealed(&ring, slot, "new");
    drop(ring);
    let ring = ward.folder.opened();
    assert_eq!(ring.slot(1, Some("a"), 0).unwrap(), slot);
    assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"new");
    assert!(matches!(
        ring.key(ward.texts[1].0),
        Err(Error::Destroyed(_))
    ));
    assert!(ring.renew(1, "nobody", 30).is_err());
    assert_eq!(ring.destroy(1, "a").unwrap(), 1);
    drop(ring);
    assert!(ward.folder.opened().is_destroyed(1, "a"));
}

#[test]
fn a_projects_new_key_wraps_those_of_its_patients() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    ring.destroy(1, "c").unwrap();
    let due = Due {
        scope: Some(1),
        patients: false,
        ..everything(50)
    };
    ring.rotate(due).unwrap();
    assert!(matches!(ring.rotate(due), Err(Error::Busy)));
    let progress = run(&ring);
    assert_eq!((progress.rotated, progress.rewrapped), (1, 2));
    assert_eq!(ring.rotate_some(100).unwrap(), None);
    let status = ring.status().unwrap();
    let [one, two] = status.projects.as_slice() else {
        panic!("{status:?}")
    };
    assert_eq!((one.created_ms, one.older), (100, 1));
    assert_eq!((two.created_ms, two.older), (10, 0));
    let expect = PatientKeys {
        count: 2,
        oldest_ms: Some(10),
        older: 0,
        behind: 0,
        destroyed: 1,
    };
    assert_eq!(one.patients, expect);
    drop(ring);
    let ring = ward.folder.opened();
    assert!(ring.is_destroyed(1, "c"), "rotating brings nothing back");
    let kept: Vec<_> = ward
        .texts
        .iter()
        .filter(|(slot, _)| slot.number() != 4)
        .collect();
    for (slot, text) in kept {
        assert_eq!(ring.open_sealed(*slot, b"aad", text).unwrap(), b"text");
    }
}

#[test]
fn all_keys_get_others_and_a_kill_between_two_steps_loses_nothing() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    // More keys than one step looks at.
    for i in 0..600 {
        ring.slot(2, Some(&format!("p{i}")), 10).unwrap();
    }
    ring.rotate(everything(50)).unwrap();
    let mut kills = 0;
    loop {
        let killed = ward.copy();
        let again = killed.opened();
        ward.reads(&again);
        run(&again);
        ward.reads(&again);
        let status = again.status().unwrap();
        for project in &status.projects {
            assert_eq!(project.created_ms, 100);
            assert_eq!(project.patients.behind, 0);
            // Whoever came meanwhile, at 99, is not too old.
            assert!(project.patients.oldest_ms >= Some(99), "{kills}");
            assert!(project.patients.older >= project.patients.count - 1);
        }
        kills += 1;
        if ring.rotate_some(100).unwrap().unwrap().over {
            break;
        }
        // Somebody writes meanwhile.
        let slot = ring.slot(2, Some("new"), 99).unwrap();
        let text = sealed(&ring, slot, "x");
        assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"x");
    }
    assert!(kills > 2, "{kills}");
    drop(ring);
    ward.reads(&ward.folder.opened());
}

#[test]
fn a_step_that_was_half_written_goes_on() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    ring.rotate(Due {
        patients: false,
        ..everything(50)
    })
    .unwrap();
    let before = std::fs::read(ward.folder.ring()).unwrap();
    run(&ring);
    drop(ring);
    let after = std::fs::read(ward.folder.ring()).unwrap();
    // Of the records that lie where others lay, any may have reached the disk.
    for reached in 0..1_u32 << 6 {
        let mut bytes = after.clone();
        let patients = (0..before.len() / LEN).filter(|slot| !matches!(slot, 0 | 1 | 5));
        for (i, slot) in patients.enumerate() {
            if reached & (1 << i) == 0 {
                let place = slot * LEN..(slot + 1) * LEN;
                bytes[place.clone()].copy_from_slice(&before[place]);
            }
        }
        std::fs::write(ward.folder.ring(), &bytes).unwrap();
        let ring = ward.folder.opened();
        ward.reads(&ring);
        ring.rotate(everything(0)).unwrap();
        run(&ring);
        let status = ring.status().unwrap();
        assert!(status.projects.iter().all(|p| p.patients.behind == 0));
    }
}

#[test]
fn a_new_root_key_takes_the_place_of_the_old_one() {
    let ward = Ward::new();
    let ring = ward.folder.opened();
    let purpose = ring.derive("cursor").unwrap();
    let old = ring.status().unwrap().root;
    assert_eq!(old.since_ms, 1_000);
    ring.rotate_root(&RootSource::File(ward.folder.root()), 2_000)
        .unwrap();
    let new = ring.status().unwrap().root;
    assert_eq!(new.since_ms, 2_000);
    assert_ne!(old.id, new.id);
    ring.probe().unwrap();
    ward.reads(&ring);
    let late = ring.slot(3, Some("late"), 0).unwrap();
    let text = sealed(&ring, late, "late");
    ring.sync().unwrap();
    drop(ring);
    let ring = ward.folder.opened();
    ward.reads(&ring);
    assert_eq!(ring.open_sealed(late, b"aad", &text).unwrap(), b"late");
    assert_eq!(
        ring.derive("cursor").unwrap().as_bytes(),
        purpose.as_bytes()
    );
    drop(ring);
    // The old one opens copies from before, and nothing else.
    let kept = ward.folder.dir().join(format!("root.key.{}", old.id));
    std::fs::copy(kept, ward.folder.root()).unwrap();
    ward.folder
        .refused(Founding::Existing, "is not the one of this keyring");
}

/// Ends a rotation of the root key after so many of its steps.
fn killed_after(steps: usize, ward: &Ward) -> Folder {
    let folder = ward.copy();
    let ring = folder.opened();
    let key = [7; 32];
    let root = Root::write(&source::next(&folder.root()), &key).unwrap();
    let records = ring.wrapped_anew(&root, 2_000).unwrap();
    let decided = reroot::Decided::of(String::new(), records);
    if steps > 0 {
        reroot::write(&folder.dir(), &decided).unwrap();
    }
    for record in decided.records().iter().take(steps.saturating_sub(1)) {
        ring.file
            .write_all_at(&record.encode(), place(record.slot))
            .unwrap();
    }
    if steps == 5 {
        reroot::finish(&folder.dir(), &ring.path, &ring.file, &decided).unwrap();
    }
    if steps == 6 {
        reroot::finish(&folder.dir(), &ring.path, &ring.file, &decided).unwrap();
        std::fs::rename(folder.root(), folder.dir().join("root.key.old")).unwrap();
    }
    folder
}

#[test]
fn a_new_root_key_holds_or_the_old_one_wherever_a_crash_ends_it() {
    let ward = Ward::new();
    for steps in 0..=6 {
        let folder = killed_after(steps, &ward);
        let ring = folder.open(Founding::Existing).unwrap();
        ward.reads(&ring);
        let since = ring.status().unwrap().root.since_ms;
        assert_eq!(since, if steps == 0 { 1_000 } else { 2_000 }, "{steps}");
        drop(ring);
        assert!(!folder.dir().join("rotation").exists());
        let ring = folder.open(Founding::Existing).unwrap();
        ward.reads(&ring);
    }
}

#[test]
fn a_damaged_plan_of_a_rotation_is_named_and_left_alone() {
    let ward = Ward::new();
    let folder = killed_after(1, &ward);
    let path = folder.dir().join("rotation");
    let bytes = std::fs::read(&path).unwrap();
    for at in [0, 17, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        folder.refused(Founding::Existing, "does not say what is to be rotated");
    }
    std::fs::write(&path, bytes).unwrap();
    ward.reads(&folder.opened());
}

#[test]
fn a_due_rotation_reads_back() {
    for due in [
        everything(5),
        Due {
            scope: Some(7),
            projects: false,
            ..everything(-1)
        },
    ] {
        assert_eq!(Due::parse(&due.text()), Some(due));
    }
    assert_eq!(Due::parse("salus-rotation-due 1\nscope x\n"), None);
}
