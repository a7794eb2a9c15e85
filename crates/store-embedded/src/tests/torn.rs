//! What a kill or a power cut in the middle of a write leaves of the log.

use std::fs;
use std::path::{Path, PathBuf};

use salus_store::{At, Batch, Content, Error, Store};
use tempfile::TempDir;

use super::room::{KIND, Numbers, Room, batch, copy, observation};
use crate::Embedded;

/// Larger than a block of the log, so that most records are in pieces.
const BODY_BYTES: usize = 50_000;
const BATCHES: usize = 5;

#[test]
fn a_log_cut_short_anywhere_opens_with_all_that_was_whole() {
    let (dir, ends) = killed();
    let whole = fs::read(newest_log(dir.path())).unwrap();
    let mut numbers = Numbers(7);
    let blocks = (1..=whole.len() as u64 >> 15).flat_map(|block| {
        let start = block << 15;
        [start - 3, start, start + 3, start + 7]
    });
    let mut cuts: Vec<u64> = blocks.filter(|cut| *cut < whole.len() as u64).collect();
    cuts.extend((0..20).map(|_| numbers.below(whole.len() as u64)));
    cuts.extend(ends.iter().flat_map(|end| [end - 1, *end]));
    for cut in cuts {
        check_cut(dir.path(), &whole, cut as usize, &ends);
    }
}

/// As it is when the length of a file reached the disk before its last pages.
#[test]
fn a_log_that_ends_in_zeros_opens_with_all_that_was_whole() {
    let (dir, ends) = killed();
    let log = newest_log(dir.path());
    let mut bytes = fs::read(&log).unwrap();
    let keep = ends[2] as usize + 10_000;
    bytes.truncate(keep);
    bytes.resize((keep | 0x7FFF) + 1 + 8_000, 0);
    fs::write(&log, &bytes).unwrap();
    assert_eq!(found(dir.path()).unwrap(), 3);
}

/// A length that rotted may seem to go on behind the end, as that of a record that was cut short.
#[test]
fn heads_of_records_that_rotted_are_told_from_an_end() {
    let (dir, ends) = killed();
    let log = newest_log(dir.path());
    let whole = fs::read(&log).unwrap();
    // The records of the second batch begin where the first one ends; a block of the third is in between.
    for at in [ends[0] as usize, (ends[2] as usize >> 15) << 15] {
        for (byte, change) in [(0, 1), (4, 0x7f), (4, 0x40), (5, 0xff), (6, 0x20)] {
            let mut bytes = whole.clone();
            bytes[at + byte] ^= change;
            fs::write(&log, &bytes).unwrap();
            let found = found(dir.path());
            assert!(
                matches!(found, Err(Error::Damaged(_))),
                "{byte} of {at}: {found:?}"
            );
        }
    }
    fs::write(&log, &whole).unwrap();
    assert_eq!(found(dir.path()).unwrap(), BATCHES);
}

#[test]
fn a_log_that_rotted_is_refused_at_its_end_too() {
    let (dir, ends) = killed();
    let log = newest_log(dir.path());
    let whole = fs::read(&log).unwrap();
    for at in [ends[0] + 100, ends[BATCHES - 1] - 100] {
        let mut bytes = whole.clone();
        bytes[at as usize] ^= 1;
        fs::write(&log, &bytes).unwrap();
        assert!(matches!(found(dir.path()), Err(Error::Damaged(_))));
    }
    fs::write(&log, &whole).unwrap();
    assert_eq!(found(dir.path()).unwrap(), BATCHES);
}

/// The folder of a store that was killed, and how long its log was when each
/// batch was acknowledged.
fn killed() -> (TempDir, Vec<u64>) {
    let dir = TempDir::new().unwrap();
    let room = Room::new(dir.path());
    let store = room.open();
    let ends = (0..BATCHES).map(|n| {
        room.commit(&store, large(n)).unwrap();
        newest_log(dir.path()).metadata().unwrap().len()
    });
    let ends = ends.collect();
    drop(store);
    (dir, ends)
}

fn large(n: usize) -> Batch {
    let mut put = observation(&format!("r{n}"), 1, "1");
    let mut numbers = Numbers(n as u64);
    let noise: Vec<u8> = (0..BODY_BYTES).map(|_| numbers.below(256) as u8).collect();
    put.content = Content::Body(noise.into());
    batch(vec![put])
}

fn newest_log(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("store/engine/wal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let logs = paths.filter(|path| path.extension().is_some_and(|end| end == "wal"));
    logs.max().unwrap()
}

#[track_caller]
fn check_cut(dir: &Path, whole: &[u8], cut: usize, ends: &[u64]) {
    let copied = TempDir::new().unwrap();
    copy(dir, copied.path());
    fs::write(newest_log(copied.path()), &whole[..cut]).unwrap();
    let acknowledged = ends.iter().filter(|end| **end <= cut as u64).count();
    let found = found(copied.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
    assert_eq!(found, acknowledged, "cut at {cut}");
}

/// So many batches from the first are there, and none after them.
fn found(dir: &Path) -> Result<usize, Error> {
    let room = Room::new(dir);
    let store = Embedded::open(room.options())?;
    room.check(&store);
    let snapshot = room.snapshot(&store, At::Now)?;
    let is_there = |n: usize| {
        let record = room.runtime.block_on(snapshot.get(KIND, &format!("r{n}")));
        record.unwrap().is_some()
    };
    let there: Vec<bool> = (0..BATCHES).map(is_there).collect();
    assert!(there.is_sorted_by(|before, after| before >= after));
    room.commit(&store, batch(vec![observation("after", 1, "1")]))?;
    room.runtime.block_on(store.close())?;
    Ok(there.into_iter().filter(|there| *there).count())
}
