//! The server is killed with SIGKILL while clients write, and must have every acknowledged write afterwards.
//!
//! Five rounds by default; `SALUS_CRASH_ROUNDS=200` and `SALUS_CRASH_SEED=7` make it longer or different.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use support::draw::Draw;
use support::http::{Answer, Client};
use support::ledger::{Ledger, PATIENT_UUID, SYSTEM, Track, history};
use support::server::{Server, check};

const WRITERS: u64 = 8;
/// A round is killed after fewer acknowledgements than this.
const ACKNOWLEDGED_MAX: u64 = 800;

#[test]
fn acknowledged_writes_survive_sigkill() {
    let (rounds, seed) = (
        setting("SALUS_CRASH_ROUNDS", 5),
        setting("SALUS_CRASH_SEED", 1),
    );
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut draw = Draw::new(seed);
    let mut ledger = Ledger::default();
    let contended = Contended::create(&mut Server::start(&data).client());
    for round in 0..rounds {
        eprintln!(
            "round {round} of {rounds}, seed {seed}, {} resources so far",
            ledger.tracks.len()
        );
        let mut fresh = write_until_killed(&data, round, &mut draw, &contended);
        if draw.below(2) == 0 {
            Server::start_and_kill(&data, draw.below(60_000));
        }
        let server = Server::start(&data);
        let mut client = server.client();
        fresh.settle(&mut client);
        ledger.absorb(fresh);
        ledger.verify(&mut client);
        contended.verify(&mut client);
        // Whether the next server finds a clean end or another crash.
        assert!(
            draw.below(2) == 0 || server.stop(),
            "SIGTERM did not end the server well"
        );
    }
    verify_at_the_end(&data, &ledger);
}

#[track_caller]
fn verify_at_the_end(data: &Path, ledger: &Ledger) {
    let server = Server::start(data);
    ledger.verify_audit(&mut server.client());
    assert!(server.stop(), "SIGTERM did not end the server well");
    let output = check(data);
    assert!(output.status.success(), "salus check: {output:?}");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// One resource that all writers update at once: `If-Match` lets one of them win each version.
struct Contended {
    path: String,
    acknowledged: Mutex<BTreeMap<u64, String>>,
}

impl Contended {
    fn create(client: &mut Client) -> Self {
        let text = basic("contended");
        let answer = client
            .send("POST", "Basic", &[], &resource("Basic", None, &text))
            .unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        Self {
            path: format!("Basic/{}", answer.id().unwrap()),
            acknowledged: Mutex::new(BTreeMap::from([(1, text)])),
        }
    }

    fn update(&self, client: &mut Client, name: &str) -> std::io::Result<bool> {
        let current = client.get(&self.path)?.version().unwrap();
        let (_, id) = self.path.split_once('/').unwrap();
        let text = basic(name);
        let body = resource("Basic", Some(id), &text);
        let answer = client.send(
            "PUT",
            &self.path,
            &[("If-Match", &format!("W/\"{current}\""))],
            &body,
        )?;
        if answer.status == 412 {
            return Ok(false);
        }
        assert_eq!(
            (answer.status, answer.version()),
            (200, Some(current + 1)),
            "{answer:?}"
        );
        let before = self.acknowledged.lock().unwrap().insert(current + 1, text);
        assert_eq!(
            before,
            None,
            "version {} of the contended resource was acknowledged twice",
            current + 1
        );
        Ok(true)
    }

    #[track_caller]
    fn verify(&self, client: &mut Client) {
        let history = history(client, &self.path);
        let contiguous = history.keys().copied().eq(1..=history.len() as u64);
        assert!(
            contiguous,
            "the contended resource lacks versions: {:?}",
            history.keys()
        );
        for (version, text) in self.acknowledged.lock().unwrap().iter() {
            let kept = history
                .get(version)
                .unwrap_or_else(|| panic!("contended version {version} is lost"));
            assert!(
                kept.contains(text.as_str()),
                "contended version {version}: {kept} has not {text}"
            );
        }
    }
}

fn write_until_killed(data: &Path, round: u64, draw: &mut Draw, contended: &Contended) -> Ledger {
    let mut server = Server::start(data);
    let moment = 20 + draw.below(ACKNOWLEDGED_MAX - 20);
    let seed = draw.bits();
    let (acknowledge, acknowledged) = channel();
    std::thread::scope(|scope| {
        let start = |number: u64| {
            let writer = Writer {
                name: format!("r{round}w{number}"),
                client: server.client(),
                draw: Draw::new(seed ^ number),
                ledger: Ledger::default(),
                acknowledge: acknowledge.clone(),
                serial: 0,
            };
            scope.spawn(move || writer.write(contended))
        };
        let writers: Vec<_> = (0..WRITERS).map(start).collect();
        drop(acknowledge);
        wait(&acknowledged, moment, &server);
        server.kill();
        let mut ledger = Ledger::default();
        writers
            .into_iter()
            .for_each(|writer| ledger.absorb(writer.join().unwrap()));
        ledger
    })
}

fn wait(acknowledged: &Receiver<()>, moment: u64, server: &Server) {
    for _ in 0..moment {
        let one = acknowledged.recv_timeout(Duration::from_secs(60));
        one.unwrap_or_else(|error| {
            panic!(
                "no acknowledgement: {error}; the log ends: {}",
                server.log()
            )
        });
    }
}

struct Writer {
    name: String,
    client: Client,
    draw: Draw,
    ledger: Ledger,
    acknowledge: Sender<()>,
    serial: u64,
}

impl Writer {
    /// Writes until the connection breaks; what was acknowledged, and what was open then.
    fn write(mut self, contended: &Contended) -> Ledger {
        loop {
            self.serial += 1;
            let done = match self.draw.below(20) {
                0..7 => self.create(),
                7..12 => self.update(),
                12..16 => self.transaction(),
                16..18 => self.delete(),
                _ => {
                    let name = format!("{}-{}", self.name, self.serial);
                    contended.update(&mut self.client, &name)
                }
            };
            match done {
                Ok(true) => self.acknowledge.send(()).unwrap_or_default(),
                Ok(false) => {}
                Err(_) => return self.ledger,
            }
        }
    }

    fn create(&mut self) -> std::io::Result<bool> {
        let identifier = format!("{}-{}", self.name, self.serial);
        let text = patient(&identifier, 1);
        let open = vec![("Patient".to_owned(), identifier, text.clone())];
        let answer = self
            .client
            .send("POST", "Patient", &[], &resource("Patient", None, &text));
        let answer = answer.inspect_err(|_| self.ledger.open.push(open))?;
        assert_eq!(
            (answer.status, answer.version()),
            (201, Some(1)),
            "{answer:?}"
        );
        let path = format!("Patient/{}", answer.id().unwrap());
        self.ledger.tracks.push(Track::new(path, text));
        Ok(true)
    }

    fn update(&mut self) -> std::io::Result<bool> {
        let Some(at) = self.choose() else {
            return self.create();
        };
        let track = &mut self.ledger.tracks[at];
        let before = track.versions.len();
        let (kind, id) = track.path.split_once('/').unwrap();
        let identifier = format!("{}-{}", self.name, self.serial);
        let text = match kind {
            "Patient" => patient(&identifier, before + 1),
            _ => observation(&identifier, before + 1, "Patient/none"),
        };
        let body = resource(kind, Some(id), &text);
        let condition = format!("W/\"{before}\"");
        track.open = Some(Some(text.clone()));
        let answer = self
            .client
            .send("PUT", &track.path, &[("If-Match", &condition)], &body)?;
        assert_eq!(
            (answer.status, answer.version()),
            (200, Some(before as u64 + 1)),
            "{answer:?}"
        );
        track.open = None;
        track.versions.push(Some(text));
        Ok(true)
    }

    fn delete(&mut self) -> std::io::Result<bool> {
        let Some(at) = self.choose() else {
            return self.create();
        };
        let track = &mut self.ledger.tracks[at];
        track.open = Some(None);
        let answer = self.client.send("DELETE", &track.path, &[], "")?;
        assert!([200, 204].contains(&answer.status), "{answer:?}");
        track.open = None;
        track.versions.push(None);
        Ok(true)
    }

    fn transaction(&mut self) -> std::io::Result<bool> {
        let name = format!("{}-{}", self.name, self.serial);
        let subject = format!("urn:uuid:{PATIENT_UUID}");
        let mut entries = vec![("Patient".to_owned(), name.clone(), patient(&name, 1))];
        for n in 0..self.draw.below(5) {
            let identifier = format!("{name}-{n}");
            let text = observation(&identifier, 1, &subject);
            entries.push(("Observation".to_owned(), identifier, text));
        }
        let answer = self
            .client
            .send("POST", "", &[], &bundle(&entries, &subject));
        let answer = answer.inspect_err(|_| self.ledger.open.push(entries.clone()))?;
        let created = created(&answer);
        assert_eq!(created.len(), entries.len(), "{answer:?}");
        for (path, (_, _, text)) in created.iter().zip(entries) {
            self.ledger.tracks.push(Track::new(
                path.clone(),
                text.replace(&subject, &created[0]),
            ));
        }
        Ok(true)
    }

    /// A living resource of this writer.
    fn choose(&mut self) -> Option<usize> {
        let tracks = &self.ledger.tracks;
        let alive: Vec<usize> = (0..tracks.len())
            .filter(|at| tracks[*at].is_alive())
            .collect();
        let at = self.draw.below(alive.len().max(1) as u64);
        alive.get(at as usize).copied()
    }
}

#[track_caller]
fn created(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let bundle = answer.json();
    let location = |entry: &serde_json::Value| {
        let response = &entry["response"];
        assert!(
            response["status"].as_str().unwrap().starts_with("201"),
            "{response}"
        );
        let path = response["location"]
            .as_str()
            .unwrap()
            .split("/_history/")
            .next()
            .unwrap();
        let mut segments = path.rsplit('/');
        let id = segments.next().unwrap();
        format!("{}/{id}", segments.next().unwrap())
    };
    bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(location)
        .collect()
}

/// A resource whose text after type and id is exactly `text`.
fn resource(kind: &str, id: Option<&str>, text: &str) -> String {
    let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
    format!(r#"{{"resourceType":"{kind}",{id}{text}"#)
}

fn bundle(entries: &[(String, String, String)], first_url: &str) -> String {
    let entry = |(n, (kind, _, text)): (usize, &(String, String, String))| {
        let url = match n {
            0 => format!(r#""fullUrl":"{first_url}","#),
            _ => String::new(),
        };
        let resource = resource(kind, None, text);
        format!(r#"{{{url}"resource":{resource},"request":{{"method":"POST","url":"{kind}"}}}}"#)
    };
    let entries: Vec<String> = entries.iter().enumerate().map(entry).collect();
    format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#,
        entries.join(",")
    )
}

// Spaces, an escape and a decimal's last zero must come back as they were sent.
fn patient(identifier: &str, revision: usize) -> String {
    format!(
        concat!(
            r#""identifier":[{{"system":"{}","value":"{}"}}],"active" : true,"#,
            r#""name":[{{"family":"Cr\u0061sh","given":["Revision {}"]}}],  "birthDate":"1970-01-01"}}"#,
        ),
        SYSTEM, identifier, revision
    )
}

fn observation(identifier: &str, revision: usize, subject: &str) -> String {
    format!(
        concat!(
            r#""identifier":[{{"system":"{}","value":"{}"}}],"status":"final","#,
            r#""code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}]}},"#,
            r#""subject":{{"reference":"{}"}},"valueQuantity":{{"value":{}.50,"unit":"/min"}}}}"#,
        ),
        SYSTEM, identifier, subject, revision
    )
}

fn basic(identifier: &str) -> String {
    format!(
        r#""identifier":[{{"system":"{SYSTEM}","value":"{identifier}"}}],"code":{{"text":"contended"}}}}"#
    )
}
