//! The operations every workload is made of, each with the check of its answer.

use crate::client::{Answer, Ask};
use crate::content::{self, Content};
use crate::phase::Phase;
use crate::population::Stored;
use crate::resource::{Facts, Links};
use http::Method;
use std::rc::Rc;
use std::time::Instant;

const REPRESENTATION: Option<&str> = Some("return=representation");

/// Creates a resource; what comes back must be what was sent.
pub(crate) async fn create(
    phase: &Phase,
    session: &mut crate::client::Session,
    class: &'static str,
    facts: &Facts,
    links: &Links,
) -> Option<Stored> {
    let text = facts.text(links, None, 0);
    let sent = content::read(text.as_bytes(), &[])
        .map(|content| content.fingerprint)
        .unwrap_or_default();
    let ask = Ask {
        prefer: REPRESENTATION,
        ..Ask::send(Method::POST, facts.kind.name(), text)
    };
    let started = Instant::now();
    let stored = session
        .ask(ask)
        .await
        .and_then(|answer| created(phase, &answer, sent));
    let (stored, outcome) = split(stored);
    phase.record(
        class,
        1,
        started,
        outcome.map_err(|reason| format!("POST {}: {reason}", facts.kind.name())),
    );
    stored
}

/// Updates a resource to another revision; the version must change.
pub(crate) async fn update(
    phase: &Phase,
    session: &mut crate::client::Session,
    class: &'static str,
    (facts, links, revision): (&Facts, &Links, u32),
    stored: &mut Stored,
) {
    let text = facts.text(links, Some(&stored.id), revision);
    let sent = content::read(text.as_bytes(), &[])
        .map(|content| content.fingerprint)
        .unwrap_or_default();
    let path = format!("{}/{}", facts.kind.name(), stored.id);
    let ask = Ask {
        prefer: REPRESENTATION,
        if_match: stored
            .version
            .as_deref()
            .filter(|_| phase.run().if_match)
            .map(str::to_owned),
        ..Ask::send(Method::PUT, path.as_str(), text)
    };
    let started = Instant::now();
    let next = session
        .ask(ask)
        .await
        .and_then(|answer| updated(phase, &answer, sent, stored));
    let (next, outcome) = split(next);
    phase.record(
        class,
        1,
        started,
        outcome.map_err(|reason| format!("PUT {path}: {reason}")),
    );
    if let Some(next) = next {
        *stored = next;
    }
}

/// Reads a resource; it must have the last acknowledged version and content.
pub(crate) async fn read(
    phase: &Phase,
    session: &mut crate::client::Session,
    class: &'static str,
    kind: &str,
    stored: &Stored,
) {
    let path = format!("{kind}/{}", stored.id);
    let started = Instant::now();
    let answer = session.ask(Ask::new(Method::GET, path.as_str())).await;
    let outcome = answer.and_then(|answer| same(phase, &answer, stored));
    phase.record(
        class,
        1,
        started,
        outcome.map_err(|reason| format!("GET {path}: {reason}")),
    );
}

/// Deletes a resource.
pub(crate) async fn delete(
    phase: &Phase,
    session: &mut crate::client::Session,
    class: &'static str,
    kind: &str,
    stored: &Stored,
) {
    let path = format!("{kind}/{}", stored.id);
    let started = Instant::now();
    let answer = session.ask(Ask::new(Method::DELETE, path.as_str())).await;
    let outcome = answer.and_then(|answer| answer.expect(&[200, 202, 204]));
    phase.record(
        class,
        1,
        started,
        outcome.map_err(|reason| format!("DELETE {path}: {reason}")),
    );
}

/// Reads a deleted resource: 410 where the server keeps versions.
pub(crate) async fn gone(
    phase: &Phase,
    session: &mut crate::client::Session,
    kind: &str,
    stored: &Stored,
) {
    let path = format!("{kind}/{}", stored.id);
    let started = Instant::now();
    let answer = session.ask(Ask::new(Method::GET, path.as_str())).await;
    let outcome = answer.and_then(|answer| answer.expect(&phase.run().gone));
    phase.record(
        "read deleted",
        1,
        started,
        outcome.map_err(|reason| format!("GET {path} after DELETE: {reason}")),
    );
}

fn created(phase: &Phase, answer: &Answer, sent: u64) -> Result<Stored, String> {
    answer.expect(&[200, 201])?;
    let content = body(phase, answer)?;
    let id = content
        .id
        .as_deref()
        .or(answer.location_id())
        .ok_or("no id in body or Location")?;
    if answer.location_id().is_some_and(|located| located != id) {
        return Err(format!("Location names another id than the body: {id}"));
    }
    if !answer.body.is_empty() && content.fingerprint != sent {
        return Err(differs("the created resource is not what was sent", answer));
    }
    Ok(Stored {
        id: Rc::from(id),
        version: answer
            .version()
            .or(content.version.as_deref())
            .map(Into::into),
        fingerprint: sent,
    })
}

fn updated(phase: &Phase, answer: &Answer, sent: u64, before: &Stored) -> Result<Stored, String> {
    answer.expect(&[200, 201])?;
    let content = body(phase, answer)?;
    if content.id.as_deref().is_some_and(|id| *id != *before.id) {
        return Err("the updated resource has another id".to_owned());
    }
    if !answer.body.is_empty() && content.fingerprint != sent {
        return Err(differs("the updated resource is not what was sent", answer));
    }
    let version: Option<Box<str>> = answer
        .version()
        .or(content.version.as_deref())
        .map(Into::into);
    if version.is_some() && version == before.version {
        return Err("an update with other content kept the version".to_owned());
    }
    Ok(Stored {
        id: Rc::clone(&before.id),
        version,
        fingerprint: sent,
    })
}

/// Whether an answer is the stored resource.
pub(crate) fn same(phase: &Phase, answer: &Answer, stored: &Stored) -> Result<(), String> {
    answer.expect(&[200])?;
    let content = body(phase, answer)?;
    if content.id.as_deref() != Some(&stored.id) {
        return Err(format!("id {:?}", content.id));
    }
    let version = content.version.as_deref().or(answer.version());
    if stored.version.is_some() && version != stored.version.as_deref() {
        return Err(format!(
            "version {version:?}, acknowledged was {:?}",
            stored.version
        ));
    }
    if content.fingerprint != stored.fingerprint {
        return Err(differs("the content is not what was acknowledged", answer));
    }
    Ok(())
}

fn body(phase: &Phase, answer: &Answer) -> Result<Content, String> {
    if answer.body.is_empty() {
        return Ok(Content::default());
    }
    content::read(&answer.body, &phase.run().ignore).map_err(|error| format!("body: {error}"))
}

fn differs(reason: &str, answer: &Answer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body)
        .chars()
        .take(300)
        .collect();
    format!("{reason}: {text}")
}

fn split<T>(result: Result<T, String>) -> (Option<T>, Result<(), String>) {
    match result {
        Ok(value) => (Some(value), Ok(())),
        Err(reason) => (None, Err(reason)),
    }
}
