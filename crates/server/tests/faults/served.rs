//! A round with a server: clients write while something goes wrong, until it is killed or stopped.
//! Then the archive has all that it said it had, and a server that starts again has all that was
//! acknowledged, ships on, and what is restored from its archive is the same and can be served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::plan::{self, DISK, Place, Plan};
use super::room::{Restored, Room, Template, To};
use super::shim::{Fault, Shim, hit};
use super::writers::{self, WRITERS, Written, content, create, patient, track};
use super::{Told, rot};
use crate::support::draw::Draw;
use crate::support::http::Client;
use crate::support::ledger::{Track, history};
use crate::support::s3::Bucket;
use crate::support::server::{Server, check};

/// What each client writes before the archive is asked how far it is, and after that.
const WRITES: (u64, u64) = (5, 12);
const REASON: &str = "a patient of the rounds asked for it";

/// A patient who may have been shredded.
#[derive(Clone)]
struct Victim {
    track: Track,
    shred: Shred,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shred {
    No,
    /// Nobody answered whether it was done.
    Open,
    Done,
}

struct Round<'a> {
    plan: &'a Plan,
    room: Room,
    draw: Draw,
    written: Written,
    victims: Vec<Victim>,
    told: Told,
}

/// Plays a round in an empty folder.
pub(crate) fn round(shim: &Shim, template: &Template, plan: &Plan, path: &std::path::Path) -> Told {
    let bucket = (plan.place == Place::S3).then(Bucket::start);
    let victim = |track: &Track| Victim {
        track: track.clone(),
        shred: Shred::No,
    };
    let mut round = Round {
        plan,
        draw: plan.draw(),
        room: template.copy(path, bucket),
        written: template.written.clone(),
        victims: template.victims.iter().map(victim).collect(),
        told: Told::default(),
    };
    if plan.kind == plan::ROT {
        return rot::round(&round.room, &template.written, &mut round.draw, plan.place);
    }
    let shipped = round.under_faults(shim);
    round.told.acknowledged = round.written.count();
    // What a folder on a disk that failed holds is looked at before the server goes on.
    let early = plan.place != Place::Store || round.draw.below(4) == 0;
    if early {
        round.archive_holds(shipped.as_ref());
    }
    round.goes_on();
    if !early || round.draw.below(2) == 0 {
        round.is_restored();
    }
    round.told
}

impl Round<'_> {
    /// Serves, writes and ends while something goes wrong; what was acknowledged before the
    /// archive said that it had all of it.
    fn under_faults(&mut self, shim: &Shim) -> Option<Written> {
        let faults = self.faults();
        let bits = self.draw.bits();
        if let To::S3(bucket) = &self.room.to {
            bucket.fail(Some(self.plan.kind), bits);
        }
        let variables = shim.variables(&self.room.path, &faults, bits);
        let shipped = match self.room.start(&variables) {
            Ok(server) => self.serve(server),
            // It may come before it is ready. It says so then, and the next one starts.
            Err(_) => None,
        };
        self.told.hit = hit(&self.room.path).exists();
        if let To::S3(bucket) = &self.room.to {
            self.told.hit |= bucket.hits() > 0;
            bucket.fail(None, 0);
        }
        shipped
    }

    fn faults(&mut self) -> Vec<Fault> {
        let (data, draw) = (self.room.data.clone(), &mut self.draw);
        let archive = self.room.path.join("archive");
        let (store, keys) = (data.join("store"), data.join("keys"));
        let kind = self.plan.kind;
        let folder = match self.plan.place {
            Place::Store | Place::Keyring => store,
            Place::Rotation => keys,
            Place::Archive => archive,
            Place::S3 => return Vec::new(),
            Place::Several => {
                let folders = [store, keys, archive];
                let one = |_| {
                    let kind = DISK[draw.below(DISK.len() as u64) as usize];
                    let at = draw.below(3) as usize;
                    let place = [Place::Store, Place::Rotation, Place::Archive][at];
                    Fault::drawn(&folders[at], kind, plan::calls(place, kind), draw)
                };
                return (0..3).map(one).collect();
            }
        };
        let calls = plan::calls(self.plan.place, kind);
        vec![Fault::drawn(&folder, kind, calls, draw)]
    }

    fn serve(&mut self, mut server: Server) -> Option<Written> {
        let (tell, told) = channel();
        let first = self.write(&server, WRITES.0, &tell, || {});
        self.written.absorb(first);
        let patience = Duration::from_millis(1_500);
        let shipped = self.room.shipped(patience).map(|_| self.written.clone());
        while told.try_recv().is_ok() {}
        let moment = 1 + self.draw.below(WRITES.1 * WRITERS * 5 / 4);
        let stops = self.draw.below(3) == 0;
        let mut draw = Draw::new(self.draw.bits());
        let over = AtomicBool::new(false);
        let second = std::thread::scope(|scope| {
            let keeper = (self.plan.place != Place::Store).then(|| {
                let (room, victims) = (&self.room, self.victims.clone());
                let (over, draw) = (&over, Draw::new(self.draw.bits()));
                let many = matches!(self.plan.place, Place::Rotation);
                scope.spawn(move || keep(room, victims, draw, if many { 6 } else { 1 }, over))
            });
            let second = writers::write(&server, WRITES.1, &mut draw, &tell, || {
                if !stops && acknowledged(&told, moment) {
                    server.signal("KILL");
                }
            });
            over.store(true, Ordering::Relaxed);
            if let Some(keeper) = keeper {
                let kept = keeper.join();
                self.victims = kept.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
            second
        });
        self.written.absorb(second);
        match stops {
            // It may be unable to end well.
            true => drop(server.stop()),
            false => server.kill(),
        }
        shipped
    }

    fn write(
        &mut self,
        server: &Server,
        times: u64,
        tell: &std::sync::mpsc::Sender<()>,
        meanwhile: impl FnOnce(),
    ) -> Written {
        writers::write(server, times, &mut self.draw, tell, meanwhile)
    }

    /// What the archive holds now is a part of what was written, with all that it was said to hold.
    fn archive_holds(&mut self, shipped: Option<&Written>) {
        let restored = self.room.restore("first");
        if shipped.is_none() && restored.status == Some(1) && matches!(self.room.to, To::S3(_)) {
            return; // nothing is there yet
        }
        assert_eq!(restored.status, Some(0), "{restored:?}");
        let server = serve(&restored);
        let mut client = server.client();
        let files = shipped.map_or(&[][..], |shipped| &shipped.files);
        let there = shipped.map_or(&[][..], |shipped| &shipped.ledger.tracks);
        for track in &self.written.ledger.tracks {
            let least = there.iter().find(|there| there.path == track.path);
            let least = least.map_or(0, |there| there.versions.len());
            self.told.recovered += is_part(&mut client, track, least);
        }
        files.iter().for_each(|file| is_there(&mut client, file));
        self.told.shipped = shipped.map_or(0, Written::count);
        // S3 began empty, and may not have come so far.
        if shipped.is_some() || matches!(self.room.to, To::Folder(_)) {
            self.look_at_victims(&mut client);
        }
    }

    /// On sound disks everything is there, more can be written, and the archive gets all of it.
    fn goes_on(&mut self) {
        let server = self.room.start(&[]);
        let server = server.unwrap_or_else(|why| panic!("it does not start again: {why}"));
        let mut client = server.client();
        self.written.ledger.settle(&mut client);
        self.verify(&mut client);
        let text = patient(&format!("after-{:016x}", self.draw.bits()), 1);
        let answer = create(&mut client, &text).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        self.written.ledger.tracks.push(track(&answer, text));
        self.written.ledger.verify_audit(&mut client);
        if self.draw.below(2) == 0 {
            let shipped = self.room.shipped(Duration::from_secs(60));
            assert!(shipped.is_some(), "it ships no more: {}", server.log());
        }
        assert!(server.stop(), "SIGTERM did not end the server well");
        let (status, _) = self.room.salus(&["backup", "status", "--json"], true);
        assert_eq!(status["archives"][0]["behindSeqs"], 0, "{status}");
        self.room.salus(&["backup", "verify", "--json"], true);
        let output = check(&self.room.data);
        assert!(output.status.success(), "salus check: {output:?}");
        if matches!(self.plan.place, Place::Rotation | Place::Several) {
            // It leaves an entry in the audit, which no archive has.
            self.room.salus(&["keys", "check", "--json"], true);
        }
    }

    /// What is restored is the same, and is served and written to.
    fn is_restored(&mut self) {
        let restored = self.room.restore("second");
        assert_eq!(restored.status, Some(0), "{restored:?}");
        let mut server = serve(&restored);
        let mut client = server.client();
        self.verify(&mut client);
        self.told.recovered += self.written.count();
        let answer = create(&mut client, &patient("again", 1)).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        server.kill();
    }

    #[track_caller]
    fn verify(&mut self, client: &mut Client) {
        self.written.ledger.verify_tracks(client);
        for file in &self.written.files {
            is_there(client, file);
        }
        self.look_at_victims(client);
    }

    /// Shredded patients are gone, and others are as they were.
    #[track_caller]
    fn look_at_victims(&self, client: &mut Client) {
        for Victim { track, shred } in &self.victims {
            let answer = client.get(&track.path).unwrap();
            let text = track.versions[0].as_deref().unwrap();
            let right = match shred {
                Shred::No => answer.status == 200 && answer.body.contains(text),
                Shred::Done => answer.status == 410,
                Shred::Open => {
                    answer.status == 410 || answer.status == 200 && answer.body.contains(text)
                }
            };
            assert!(right, "{}: {answer:?}", track.path);
        }
    }
}

/// Rotates and shreds, some times or until it is over; what became of the victims.
fn keep(
    room: &Room,
    mut victims: Vec<Victim>,
    mut draw: Draw,
    times: u64,
    over: &AtomicBool,
) -> Vec<Victim> {
    for _ in 0..times {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let at = draw.below(victims.len() as u64) as usize;
        let victim = &mut victims[at];
        let id = victim.track.path.trim_start_matches("Patient/").to_owned();
        match draw.below(6) {
            0 => drop(room.salus(&["keys", "rotate", "root"], false)),
            1 => drop(room.salus(&["keys", "rotate", "all"], false)),
            2 => drop(room.salus(&["keys", "rotate", "project", "default"], false)),
            3 => drop(room.salus(&["keys", "rotate", "patient", "default", &id], false)),
            _ => {
                victim.shred = victim.shred.max_open();
                let shred = ["shred", "patient", &id, "--reason", REASON, "--yes"];
                let (_, output) = room.salus(&shred, false);
                if output.status.success() {
                    victim.shred = Shred::Done;
                }
            }
        }
    }
    victims
}

impl Shred {
    fn max_open(self) -> Self {
        match self {
            Self::No | Self::Open => Self::Open,
            Self::Done => Self::Done,
        }
    }
}

/// Waits for so many acknowledgements; false if there are none for a while.
fn acknowledged(told: &Receiver<()>, many: u64) -> bool {
    (0..many).all(|_| told.recv_timeout(Duration::from_millis(300)).is_ok())
}

pub(crate) fn serve(restored: &Restored) -> Server {
    let server = Server::try_start(&restored.data);
    server.unwrap_or_else(|why| panic!("what was restored does not start: {why}; {restored:?}"))
}

/// Compares a record with what was written of it: its first versions, at least so many; how many.
#[track_caller]
pub(crate) fn is_part(client: &mut Client, track: &Track, least: usize) -> u64 {
    let path = &track.path;
    let answer = client.get(&format!("{path}/_history?_count=1")).unwrap();
    let there = match answer.status {
        404 => Default::default(),
        _ => history(client, path),
    };
    assert!(
        there.len() >= least,
        "{path}: {least} versions were shipped, and {} are there",
        there.len()
    );
    let written: Vec<_> = track.versions.iter().chain(&track.open).collect();
    for (version, text) in &there {
        let expected = written.get(*version as usize - 1);
        let right = match expected {
            Some(Some(expected)) => text.contains(expected.as_str()),
            Some(None) => text.is_empty(),
            None => false,
        };
        assert!(right, "{path}: version {version} is {text}");
    }
    there.len() as u64
}

#[track_caller]
pub(crate) fn is_there(client: &mut Client, (path, word): &(String, String)) {
    let headers = [("Accept", "text/plain")];
    let answer = client.send("GET", path, &headers, "").unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert!(answer.body == content(word), "{path}: another content");
}
