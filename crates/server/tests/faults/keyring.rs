//! Rounds on the keyring alone: a process makes, rotates and destroys keys and says what it has
//! done, something goes wrong at one of its calls, and whoever opens the keyring next finds every
//! key that was said to be there, none that was destroyed, and never one in place of another.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use salus_crypto::{Due, Error, Founding, Keyring, RootSource, Shreds, Slot};

use super::Told;
use super::plan::{self, Plan, ROT};
use super::shim::{Fault, Shim, hit};
use crate::support::draw::Draw;

const SCOPE: u32 = 7;
/// What a process does at most.
const DEEDS: u64 = 30;
/// Processes one after the other on a keyring.
const PROCESSES: u64 = 3;
/// The process that does one after the other.
const EACH: &str = "each";
/// How often chance tears what was written at one call.
const TURNS: u64 = 2;
/// What it does: it makes keys, and a new one of each level, and shreds.
const ORDER: [u64; 6] = [0, 9, 11, 14, 17, 0];
/// Places in which something rots, in one round.
const ROTTEN: u64 = 12;
const FOLDER: &str = "SALUS_FAULT_KEYRING";
const SEED: &str = "SALUS_FAULT_KEYRING_SEED";

/// What a process said that it has done.
#[derive(Default)]
struct Said {
    /// Slots of each patient, and what each has sealed.
    sealed: BTreeMap<String, Vec<(u32, Vec<u8>)>>,
    begun: BTreeSet<String>,
    shredded: BTreeSet<String>,
    deeds: u64,
}

/// Plays a round in an empty folder.
pub(crate) fn round(shim: &Shim, plan: &Plan, room: &Path) -> Told {
    let mut draw = plan.draw();
    let (dir, mut said, mut told) = (room.join("keys"), Said::default(), Told::default());
    let is_rot = plan.kind == ROT;
    for process in 0..PROCESSES {
        let mut faults = Vec::new();
        // The first founds it, now and then while something goes wrong.
        if !is_rot && (process > 0 || draw.below(3) == 0) {
            faults.push(Fault::drawn(
                &dir,
                plan.kind,
                plan::calls(plan.place, plan.kind),
                &mut draw,
            ));
        }
        let before = said.deeds;
        let variables = shim.variables(room, &faults, draw.bits());
        said.take(&process_on(
            &dir,
            &process.to_string(),
            &variables,
            draw.bits(),
        ));
        told.hit |= hit(room).exists();
        told.acknowledged += said.deeds - before;
        if dir.join("keyring").exists() {
            told.recovered += holds(&dir, &said);
        } else {
            assert_eq!(said.deeds, 0, "there is no keyring");
        }
    }
    if is_rot {
        told.named = rot(&dir, &said, &mut draw);
        told.hit = true;
    }
    told
}

/// A process that makes, rotates and destroys keys in their order ends at each of its calls, or
/// lives on when one of its writes came short.
#[test]
fn each_step_of_rotation_and_shredding_may_be_the_last() {
    let Some(shim) = Shim::built() else {
        return;
    };
    for (kind, turns) in [("kill", 1), ("power-cut", TURNS), ("short-write", TURNS)] {
        let calls =
            (0..).find(|after| (0..turns).any(|turn| !goes_wrong(&shim, kind, *after, turn)));
        assert!(calls > Some(8), "{kind}: it did not get so far");
    }
}

/// Plays one of these; false when nothing went wrong, since there are not so many calls.
fn goes_wrong(shim: &Shim, kind: &'static str, after: u64, turn: u64) -> bool {
    let room = tempfile::tempdir().unwrap();
    let dir = room.path().join("keys");
    let fault = Fault {
        folder: dir.clone(),
        kind,
        after,
        times: 1,
    };
    let variables = shim.variables(room.path(), &[fault], after * TURNS + turn);
    let mut said = Said::default();
    said.take(&process_on(&dir, EACH, &variables, 1));
    eprintln!("{kind} at call {after}, {turn}: {} deeds", said.deeds);
    if dir.join("keyring").exists() {
        holds(&dir, &said);
    }
    let is_hit = hit(room.path()).exists();
    assert!(is_hit || said.shredded.len() == 1, "it did not get so far");
    is_hit
}

/// Runs this very program as the process that suffers; its lines.
fn process_on(dir: &Path, process: &str, variables: &[(&str, String)], seed: u64) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "keyring::suffers",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, dir)
        .env(SEED, format!("{seed} {process}"))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The process that suffers; nothing to do when the tests are run.
#[test]
fn suffers() {
    let (Ok(dir), Ok(seed)) = (std::env::var(FOLDER), std::env::var(SEED)) else {
        return;
    };
    let (seed, process) = seed.split_once(' ').unwrap();
    let dir = Path::new(&dir);
    let Ok(ring) = Keyring::open(dir, Founding::New, 1) else {
        return;
    };
    let Ok(shreds) = Shreds::open(dir, &ring) else {
        return;
    };
    let mut deeds = Deeds {
        draw: Draw::new(seed.parse().unwrap()),
        source: RootSource::File(dir.join("root.key")),
        known: match process {
            EACH => Vec::new(),
            _ => (0..8).map(|number| format!("p{number}-0")).collect(),
        },
        ring,
        shreds,
    };
    for number in 0..DEEDS {
        let which = match process {
            EACH if number < ORDER.len() as u64 => ORDER[number as usize],
            EACH => return,
            _ => deeds.draw.below(20),
        };
        // A failure is said by silence; the next deed may succeed.
        if let Ok(line) = deeds.one(which, &format!("p{number}-{process}")) {
            // One write for each line, so that a kill leaves whole ones.
            let mut out = std::io::stdout().lock();
            out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
            out.flush().unwrap();
        }
    }
}

struct Deeds {
    draw: Draw,
    ring: Arc<Keyring>,
    shreds: Arc<Shreds>,
    source: RootSource,
    known: Vec<String>,
}

impl Deeds {
    fn one(&mut self, which: u64, fresh: &str) -> Result<String, Error> {
        let at = self.draw.below(self.known.len().max(1) as u64) as usize;
        let known = self.known.get(at).cloned().unwrap_or_default();
        match which {
            0..9 => {
                self.known.push(fresh.to_owned());
                let slot = self.ring.slot(SCOPE, Some(fresh), 1)?;
                self.ring.sync()?;
                self.sealed(fresh, slot)
            }
            9..11 => {
                let slot = self.ring.rotate_patient(SCOPE, &known, 2)?;
                self.sealed(&known, slot)
            }
            11..14 => self
                .ring
                .rotate_root(&self.source, 3)
                .map(|()| "root".into()),
            14..17 => self.rotate(),
            _ => {
                self.shreds.begin(SCOPE, &known, 4)?;
                println!("\nbegun {known}");
                self.shreds.destroy(SCOPE, &known)?;
                self.shreds.finish(SCOPE, &known, 5)?;
                Ok(format!("shredded {known}"))
            }
        }
    }

    fn rotate(&self) -> Result<String, Error> {
        let due = Due {
            scope: Some(SCOPE),
            projects: true,
            patients: false,
            before_ms: i64::MAX,
        };
        match self.ring.rotate(due) {
            Ok(()) | Err(Error::Busy) => {}
            Err(error) => return Err(error),
        }
        while self.ring.rotate_some(2)?.is_some_and(|so_far| !so_far.over) {}
        Ok("rotated".into())
    }

    fn sealed(&self, label: &str, slot: Slot) -> Result<String, Error> {
        let mut sealed = Vec::new();
        self.ring
            .seal(slot, b"round", label.as_bytes(), &mut sealed)?;
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("sealed {label} {} {hex}", slot.number()))
    }
}

impl Said {
    fn take(&mut self, lines: &str) {
        for line in lines.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            self.deeds += 1;
            match words[..] {
                ["sealed", label, slot, hex] => {
                    let pairs = hex.as_bytes().chunks(2);
                    let byte =
                        |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
                    let sealed = (slot.parse().unwrap(), pairs.map(byte).collect());
                    self.sealed
                        .entry(label.to_owned())
                        .or_default()
                        .push(sealed);
                }
                ["begun", label] => drop(self.begun.insert(label.to_owned())),
                ["shredded", label] => drop(self.shredded.insert(label.to_owned())),
                ["root" | "rotated"] => {}
                _ => self.deeds -= 1,
            }
        }
    }
}

/// Opens the keyring on a sound disk and compares: how many keys were found.
#[track_caller]
fn holds(dir: &Path, said: &Said) -> u64 {
    let ring = Keyring::open(dir, Founding::Existing, 6);
    let ring = ring.unwrap_or_else(|why| panic!("the keyring does not open: {why}"));
    let shreds = Shreds::open(dir, &ring);
    let shreds = shreds.unwrap_or_else(|why| panic!("the ledger does not open: {why}"));
    let found = compare(&ring, said, true);
    let listed = shreds.all();
    for label in &said.begun {
        let shredding = listed.iter().find(|one| *one.label == **label);
        let shredding = shredding.unwrap_or_else(|| panic!("{label} is not in the ledger"));
        let done = shredding.done_ms.is_some();
        assert!(
            done || !said.shredded.contains(label),
            "{label} is not done"
        );
        assert!(ring.is_destroyed(SCOPE, label), "{label} has keys");
    }
    while ring
        .rotate_some(7)
        .unwrap()
        .is_some_and(|so_far| !so_far.over)
    {}
    ring.rotate_root(&RootSource::File(dir.join("root.key")), 8)
        .unwrap();
    compare(&ring, said, true);
    let checked = ring.check().unwrap();
    assert_eq!(checked.bad, 0, "{:?}", checked.faults);
    found
}

/// Each key opens what it has sealed and is its patient's; what has no key is said. How many do.
#[track_caller]
fn compare(ring: &Keyring, said: &Said, all: bool) -> u64 {
    let mut found = 0;
    for (label, sealed) in &said.sealed {
        for (slot, text) in sealed {
            match ring.open_sealed(Slot::from_number(*slot), b"round", text) {
                Ok(plain) => {
                    assert_eq!(plain, label.as_bytes(), "slot {slot} is another's");
                    let gone = said.begun.contains(label) && ring.is_destroyed(SCOPE, label);
                    assert!(!gone, "slot {slot} of {label} was destroyed, and opens");
                    found += 1;
                }
                Err(Error::Destroyed(_)) => {
                    assert!(ring.is_destroyed(SCOPE, label), "{label} lost slot {slot}");
                    found += 1;
                }
                Err(why) => assert!(!all, "{label}, slot {slot}: {why}"),
            }
        }
        let least = sealed.iter().map(|(slot, _)| *slot).max();
        let newest = ring.find(SCOPE, Some(label)).map(Slot::number);
        assert!(
            !all || newest >= least || ring.is_destroyed(SCOPE, label),
            "{label} has slot {newest:?}, and had {least:?}"
        );
    }
    found
}

/// Lets bytes rot in one file after the other: how often it was named.
#[track_caller]
fn rot(dir: &Path, said: &Said, draw: &mut Draw) -> u64 {
    let mut named = 0;
    for _ in 0..ROTTEN {
        let files: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|file| file.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        let matters = |path: &Path| {
            let name = path.file_name().unwrap();
            ["keyring", "shreds", "root.key"]
                .iter()
                .any(|own| name == *own)
        };
        // Now and then a root key of before, which opens nothing of the present.
        let all = draw.below(8) == 0;
        let some = files
            .iter()
            .filter(|(path, bytes)| !bytes.is_empty() && (all || matters(path)));
        let some: Vec<_> = some.collect();
        let (path, bytes) = some[draw.below(some.len() as u64) as usize];
        let (rotten, what) = super::rot::spoilt(bytes, draw);
        // The root key is in hexadecimal digits, which are the same in both cases.
        if rotten.eq_ignore_ascii_case(bytes) {
            continue;
        }
        std::fs::write(path, rotten).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_named = is_named(dir, said);
        assert!(
            is_named || !matters(path),
            "{name}, {what}: nothing says so"
        );
        named += u64::from(is_named);
        for path in std::fs::read_dir(dir).unwrap() {
            std::fs::remove_file(path.unwrap().path()).unwrap();
        }
        for (path, bytes) in &files {
            let mut options = std::fs::OpenOptions::new();
            use std::os::unix::fs::OpenOptionsExt;
            let mut file = options
                .write(true)
                .create(true)
                .mode(0o600)
                .open(path)
                .unwrap();
            file.write_all(bytes).unwrap();
        }
    }
    named
}

/// Whether opening, reading or checking says that something is wrong; what is read is right.
#[track_caller]
fn is_named(dir: &Path, said: &Said) -> bool {
    let Ok(ring) = Keyring::open(dir, Founding::Existing, 9) else {
        return true;
    };
    let Ok(_shreds) = Shreds::open(dir, &ring) else {
        return true;
    };
    for label in &said.shredded {
        assert!(ring.is_destroyed(SCOPE, label), "{label} has keys again");
    }
    let found = compare(&ring, said, false);
    let all: usize = said.sealed.values().map(Vec::len).sum();
    found < all as u64 || ring.check().map_or(true, |checked| checked.bad > 0)
}
