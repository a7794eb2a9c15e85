//! What the disk does to a store: full, damaged, opened twice, of a later format.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use salus_crypto::{Founding, Keyring};
use salus_store::{At, Error, Store};
use tempfile::TempDir;

use super::room::{KIND, Room, batch, observation, put};
use crate::kv::{Kv, Memory, When};
use crate::{Embedded, Options, keys};

#[track_caller]
fn check_refused(opened: Result<std::sync::Arc<Embedded>, Error>, words: &str) {
    match opened {
        Ok(_) => panic!("it opened"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}

#[test]
fn a_store_is_opened_once_at_a_time() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let options = room.options();
    let store = Embedded::open(options.clone()).unwrap();
    check_refused(Embedded::open(options.clone()), "has the store open");
    drop(store);
    Embedded::open(options).unwrap();
}

#[test]
fn a_later_format_is_refused() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let options = room.options();
    drop(Embedded::open(options.clone()).unwrap());
    let key = options.keyring.derive("storage-engine").unwrap();
    let kv = Kv::open(&options.dir.join("engine"), &key, Memory::default()).unwrap();
    let format = (keys::meta("format"), Some(vec![0, 0, 0, 99]));
    kv.write_here(vec![format], When::Now).unwrap();
    kv.close().unwrap();
    drop(kv);
    check_refused(Embedded::open(options), "later version");
}

#[test]
fn other_keys_do_not_open_it() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    room.commit(&store, put("a", 1, "1")).unwrap();
    drop(store);
    let keyring = Keyring::open(&dir.path().join("others"), Founding::New, 0).unwrap();
    let options = Options::new(dir.path().join("store"), keyring);
    check_refused(Embedded::open(options), "damaged");
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn damage_to_any_file_is_noticed() {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    for n in 0..200 {
        room.commit(&store, put(&format!("r{n}"), 1, "1")).unwrap();
    }
    room.runtime.block_on(store.close()).unwrap();
    drop(store);
    let mut all = Vec::new();
    files(&dir.path().join("store/engine"), &mut all);
    let large = |path: &PathBuf| path.metadata().is_ok_and(|about| about.len() > 200);
    let tables = all.into_iter().filter(large);
    let mut damaged = 0;
    for path in tables {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        // In the middle of a table lies what later writes have replaced, and nobody reads.
        let place = file.metadata().unwrap().len() / 4;
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[!byte[0]], place).unwrap();
        let noticed = match Embedded::open(room.options()) {
            Err(Error::Damaged(_)) => true,
            Err(other) => panic!("{}: {other}", path.display()),
            Ok(store) => {
                let checked = room.runtime.block_on(store.check());
                !matches!(checked, Ok(faults) if faults.is_empty())
            }
        };
        assert!(noticed, "{}", path.display());
        file.write_all_at(&byte, place).unwrap();
        damaged += 1;
    }
    assert!(damaged >= 1);
    room.check(&room.open());
}

/// A small disk of its own; gone when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where a test may not mount.
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => {
                eprintln!("skipped: mounting a small disk is not allowed here");
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).output());
    }
}

/// Commits more until the disk is full; gives back how many batches are acknowledged by now.
fn fill(room: &Room, store: &Embedded, before: u64) -> u64 {
    for n in before..100_000 {
        let puts = (0..20).map(|k| {
            let mut put = observation(&format!("r{n}-{k}"), 1, "1");
            let noise: Vec<u8> = (0..2000_u32)
                .map(|i| (i.wrapping_mul(2_654_435_761 + n as u32 * 20 + k) >> 13) as u8)
                .collect();
            put.content = salus_store::Content::Body(noise.into());
            put
        });
        match room.commit(store, batch(puts.collect())) {
            Ok(_) => {}
            Err(Error::Unavailable(_)) => return n,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk never got full");
}

#[track_caller]
fn check_filled(room: &Room, store: &Embedded, batches: u64) {
    let snapshot = room.snapshot(store, At::Now).unwrap();
    for n in 0..batches {
        let id = format!("r{n}-19");
        let record = room.runtime.block_on(snapshot.get(KIND, &id)).unwrap();
        assert!(record.is_some(), "{id} of {batches}");
    }
}

#[test]
fn a_full_disk_refuses_commits_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(64) else {
        return;
    };
    let room = Room::new(disk.0.path());
    std::fs::write(disk.ballast(), vec![1; 20 << 20]).unwrap();
    let options = Options {
        disk_bytes_min: 24 << 20,
        ..room.options()
    };
    let store = Embedded::open(options).unwrap();
    let mut batches = 0;
    // What the engine merges meanwhile may make room again.
    let is_full = (0..20).any(|_| {
        batches = fill(&room, &store, batches);
        room.runtime.block_on(store.ready()).is_err()
    });
    assert!(is_full);
    check_filled(&room, &store, batches);
    std::fs::remove_file(disk.ballast()).unwrap();
    room.runtime.block_on(store.ready()).unwrap();
    room.commit(&store, put("again", 1, "1")).unwrap();
    check_filled(&room, &store, batches);
    room.check(&store);
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_write_loses_nothing() {
    let Some(disk) = SmallDisk::mount(24) else {
        return;
    };
    let room = Room::new(disk.0.path());
    std::fs::write(disk.ballast(), vec![1; 6 << 20]).unwrap();
    let store = room.open();
    let batches = fill(&room, &store, 0);
    // Most often the log met the full disk: what its failed write left behind is not known, not
    // until it is opened again. If it was the keyring, nothing was written, and it goes on.
    let goes_on = room.runtime.block_on(store.ready()).is_ok();
    check_filled(&room, &store, batches);
    std::fs::remove_file(disk.ballast()).unwrap();
    let after = room.commit(&store, put("after", 1, "1"));
    let still_goes_on = room.runtime.block_on(store.ready()).is_ok();
    assert_eq!(after.is_ok(), still_goes_on);
    assert!(goes_on || !still_goes_on);
    drop(store);
    let store = room.open();
    check_filled(&room, &store, batches);
    room.check(&store);
    room.commit(&store, put("again", 1, "1")).unwrap();
}
