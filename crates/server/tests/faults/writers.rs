//! Clients that write while things go wrong, and what they were told.

use std::sync::mpsc::Sender;

use crate::support::draw::Draw;
use crate::support::http::{Answer, Client};
use crate::support::ledger::{Ledger, SYSTEM, Track};
use crate::support::server::Server;

pub(crate) const WRITERS: u64 = 4;
/// Longer than what is kept in a record: it lies in a file of its own.
const FILE_BYTES: usize = 270_000;

/// What was acknowledged, and what is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) ledger: Ledger,
    /// Binaries by their paths, and what makes up their content.
    pub(crate) files: Vec<(String, String)>,
}

impl Written {
    pub(crate) fn absorb(&mut self, other: Self) {
        self.ledger.absorb(other.ledger);
        self.files.extend(other.files);
    }

    /// How many writes were acknowledged.
    pub(crate) fn count(&self) -> u64 {
        self.ledger.versions() + self.files.len() as u64
    }
}

/// The content of a file.
pub(crate) fn content(word: &str) -> String {
    word.repeat(FILE_BYTES / word.len() + 1)
}

/// Lets some clients write so many times each, or until their connections break; each
/// acknowledgement is told.
pub(crate) fn write(
    server: &Server,
    times: u64,
    draw: &mut Draw,
    told: &Sender<()>,
    meanwhile: impl FnOnce(),
) -> Written {
    let seed = draw.bits();
    let mut written = Written::default();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let writer = Writer {
                    name: format!("{seed:016x}-{number}"),
                    client: server.client(),
                    draw: Draw::new(seed ^ number),
                    written: Written::default(),
                    told: told.clone(),
                };
                scope.spawn(move || writer.write(times))
            })
            .collect();
        meanwhile();
        for writer in writers {
            written.absorb(writer.join().unwrap());
        }
    });
    written
}

struct Writer {
    name: String,
    client: Client,
    draw: Draw,
    written: Written,
    told: Sender<()>,
}

impl Writer {
    fn write(mut self, times: u64) -> Written {
        for serial in 0..times {
            let done = match self.draw.below(20) {
                0..10 => self.create(serial),
                10..17 => self.update(serial),
                17..19 => self.delete(serial),
                _ => self.file(serial),
            };
            if done.is_err() {
                break;
            }
        }
        self.written
    }

    fn create(&mut self, serial: u64) -> std::io::Result<()> {
        let identifier = format!("{}-{serial}", self.name);
        let text = patient(&identifier, 1);
        let open = vec![("Patient".to_owned(), identifier, text.clone())];
        match create(&mut self.client, &text) {
            Ok(answer) if answer.status == 201 => {
                self.written.ledger.tracks.push(track(&answer, text));
                let _ = self.told.send(());
            }
            // It says that it cannot confirm it: it may have happened.
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                self.written.ledger.open.push(open);
            }
            Err(error) => {
                self.written.ledger.open.push(open);
                return Err(error);
            }
        }
        Ok(())
    }

    fn update(&mut self, serial: u64) -> std::io::Result<()> {
        let identifier = format!("{}-{serial}", self.name);
        let Some(track) = settled(&mut self.written.ledger) else {
            return self.create(serial);
        };
        let text = patient(&identifier, track.versions.len() + 1);
        let (_, id) = track.path.split_once('/').unwrap();
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}",{text}"#);
        track.open = Some(Some(text.clone()));
        let answer = self.client.send("PUT", &track.path, &[], &body)?;
        match answer.status {
            200 | 201 => {
                track.open = None;
                track.versions.push(Some(text));
                let _ = self.told.send(());
            }
            _ => assert_eq!(answer.status, 503, "{answer:?}"),
        }
        Ok(())
    }

    fn delete(&mut self, serial: u64) -> std::io::Result<()> {
        let Some(track) = settled(&mut self.written.ledger).filter(|track| track.is_alive()) else {
            return self.create(serial);
        };
        track.open = Some(None);
        let answer = self.client.send("DELETE", &track.path, &[], "")?;
        match answer.status {
            200 | 204 => {
                track.open = None;
                track.versions.push(None);
                let _ = self.told.send(());
            }
            _ => assert_eq!(answer.status, 503, "{answer:?}"),
        }
        Ok(())
    }

    fn file(&mut self, serial: u64) -> std::io::Result<()> {
        let word = format!("{}-{serial} ", self.name);
        let kind = [("Content-Type", "text/plain")];
        let answer = self.client.send("POST", "Binary", &kind, &content(&word))?;
        match answer.status {
            201 => {
                let path = format!("Binary/{}", answer.id().unwrap());
                self.written.files.push((path, word));
                let _ = self.told.send(());
            }
            // 507 would promise that it did not happen; what is not known is 503.
            _ => assert_eq!(answer.status, 503, "{answer:?}"),
        }
        Ok(())
    }
}

/// The newest record of which every write was answered.
fn settled(ledger: &mut Ledger) -> Option<&mut Track> {
    let settled = |track: &&mut Track| track.open.is_none();
    ledger.tracks.iter_mut().rev().find(settled)
}

/// Creates a patient, who is known by the text from then on.
pub(crate) fn create(client: &mut Client, text: &str) -> std::io::Result<Answer> {
    let body = format!(r#"{{"resourceType":"Patient",{text}"#);
    client.send("POST", "Patient", &[], &body)
}

pub(crate) fn track(answer: &Answer, text: String) -> Track {
    Track::new(format!("Patient/{}", answer.id().unwrap()), text)
}

pub(crate) fn patient(identifier: &str, revision: usize) -> String {
    format!(
        r#""identifier":[{{"system":"{SYSTEM}","value":"{identifier}"}}],"name":[{{"given":["Revision {revision}"]}}]}}"#
    )
}
