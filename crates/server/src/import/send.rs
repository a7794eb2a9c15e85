//! Sends pieces and understands the answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use salus_fhir::json::{Document, Limits, Node};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender};

use super::Place;
use super::piece::{Content, Piece, line_of};
use super::report::Fault;
use crate::control::{self, Client};

/// How often a piece is sent again when the server says that it cannot just now.
const ATTEMPTS_MAX: u32 = 6;

/// What became of a piece.
pub(super) struct Sent {
    pub(super) number: usize,
    pub(super) next: Place,
    pub(super) loaded: usize,
    pub(super) faults: Vec<Fault>,
}

/// Sends pieces over a connection of its own.
pub(super) struct Worker {
    client: Client,
    path: String,
    run: String,
    pieces: Arc<Mutex<Receiver<Piece>>>,
}

pub(super) fn worker(
    client: Client,
    path: String,
    run: String,
    pieces: Arc<Mutex<Receiver<Piece>>>,
) -> Worker {
    Worker {
        client,
        path,
        run,
        pieces,
    }
}

/// Where a project takes bundles.
pub(super) fn path(project: &str) -> String {
    format!("/p/{project}/fhir")
}

/// An import that cannot go on; giving the command again continues it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("{0}; give the same command again to go on from here")]
    Connection(#[from] control::Error),
    #[error(
        "the server cannot take more just now ({0}); give the same command again to go on from here"
    )]
    Unavailable(StatusCode),
    #[error("the server refuses imports into this project ({0}); does it exist?")]
    Refused(StatusCode),
}

impl Worker {
    /// Sends pieces until there are none or one cannot be sent.
    pub(super) async fn run(mut self, to: Sender<Result<Sent, Stopped>>) {
        loop {
            let piece = self.pieces.lock().await.recv().await;
            let Some(piece) = piece else { return };
            let sent = self.send(piece).await;
            let stop = sent.is_err();
            if to.send(sent).await.is_err() || stop {
                return;
            }
        }
    }

    async fn send(&mut self, piece: Piece) -> Result<Sent, Stopped> {
        let key = format!("import {} {:?}", self.run, piece.next);
        let mut sent = Sent {
            number: piece.number,
            next: piece.next,
            loaded: 0,
            faults: Vec::new(),
        };
        match &piece.content {
            Content::Fault(fault) => sent.faults.push(fault.clone()),
            Content::Bundle(text, entries, first_line) => {
                let line = |entry| first_line - 1 + line_of_entry(text, entry).unwrap_or(1);
                let body = Bytes::copy_from_slice(text);
                let (status, answer) = self.post(&key, body).await?;
                if status.is_success() {
                    let faults = entry_faults(&answer);
                    sent.loaded = entries - faults.len();
                    for (index, reason) in faults {
                        let line = Some(line(index));
                        sent.faults.push(Fault::new(&piece.file, line, reason));
                    }
                } else {
                    let (reason, entry) = reason(status, &answer);
                    let line = Some(entry.map_or(*first_line, line));
                    sent.faults.push(Fault::new(&piece.file, line, reason));
                }
            }
            Content::Entries(entries) => {
                self.send_entries(&key, &piece, entries, &mut sent).await?
            }
        }
        Ok(sent)
    }

    /// All in one transaction; if it is refused, each half by itself, down to
    /// the entry that is at fault. Each has a name of its own, so that none is
    /// carried out twice.
    async fn send_entries(
        &mut self,
        key: &str,
        piece: &Piece,
        entries: &[(usize, String)],
        sent: &mut Sent,
    ) -> Result<(), Stopped> {
        let mut parts = vec![(0, entries)];
        while let Some((first, part)) = parts.pop() {
            let [(line, _), rest @ ..] = part else {
                continue;
            };
            let key = format!("{key} {first} {}", part.len());
            let (status, answer) = self.post(&key, bundle(part)).await?;
            if status.is_success() {
                sent.loaded += part.len();
            } else if rest.is_empty() {
                let (reason, _) = reason(status, &answer);
                sent.faults
                    .push(Fault::new(&piece.file, Some(*line), reason));
            } else {
                let middle = part.len() / 2;
                let (before, after) = part.split_at(middle);
                parts.extend([(first + middle, after), (first, before)]);
            }
        }
        Ok(())
    }

    /// Posts a bundle, again after a pause while the server is unavailable.
    async fn post(&mut self, key: &str, body: Bytes) -> Result<(StatusCode, Bytes), Stopped> {
        let mut attempt = 0;
        loop {
            let sent = self
                .client
                .send(Method::POST, &self.path, Some(key), body.clone());
            let (status, answer) = sent.await?;
            attempt += 1;
            match status {
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                    if attempt == ATTEMPTS_MAX {
                        return Err(Stopped::Unavailable(status));
                    }
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(Stopped::Refused(status));
                }
                _ => return Ok((status, answer)),
            }
        }
    }
}

fn bundle(entries: &[(usize, String)]) -> Bytes {
    let bytes: usize = entries.iter().map(|(_, entry)| entry.len() + 1).sum();
    let mut text = String::with_capacity(bytes + 80);
    text.push_str("{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[");
    for (i, (_, entry)) in entries.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(entry);
    }
    text.push_str("]}");
    text.into()
}

/// The first issue of an answer, and the entry it is about.
fn reason(status: StatusCode, answer: &[u8]) -> (String, Option<usize>) {
    let text = Document::parse(answer.to_vec(), &Limits::default())
        .ok()
        .and_then(|document| issue(document.root()));
    let text = text.unwrap_or_else(|| format!("the server answered {status}"));
    let entry = text
        .split_once("Bundle.entry[")
        .and_then(|(_, rest)| rest.split_once(']'))
        .and_then(|(index, _)| index.parse().ok());
    (text, entry)
}

/// The first issue of an OperationOutcome, as `place: text`.
fn issue(outcome: Node<'_>) -> Option<String> {
    let issue = outcome.get("issue")?.children().next()?;
    let place = issue
        .get("expression")
        .and_then(|list| list.children().next())
        .and_then(Node::str);
    let details = issue.get("details").and_then(|details| details.get("text"));
    let text = details
        .or_else(|| issue.get("diagnostics"))
        .and_then(Node::str)?;
    Some(match place {
        Some(place) => format!("{place}: {text}"),
        None => text.into_owned(),
    })
}

/// The entries of an answer that failed, with the reason.
fn entry_faults(answer: &[u8]) -> Vec<(usize, String)> {
    let Ok(document) = Document::parse(answer.to_vec(), &Limits::default()) else {
        return Vec::new();
    };
    let entries = document.root().get("entry").map(Node::children);
    let mut faults = Vec::new();
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let Some(response) = entry.get("response") else {
            continue;
        };
        let status = response
            .get("status")
            .and_then(Node::plain_str)
            .unwrap_or_default();
        if !status.starts_with('2') {
            let text = response.get("outcome").and_then(issue);
            faults.push((index, text.unwrap_or_else(|| status.to_owned())));
        }
    }
    faults
}

fn line_of_entry(text: &[u8], index: usize) -> Option<usize> {
    let document = Document::parse(text.to_vec(), &Limits::default()).ok()?;
    let entry = document.root().get("entry")?.children().nth(index)?;
    Some(line_of(document.text(), entry.span().start))
}
