//! Whole transaction bundles from a folder, posted again and again with fresh identifiers.
//!
//! A few of the resources of each copy are read back and compared with what was
//! sent, references resolved.

use crate::check::same;
use crate::client::{Ask, Session};
use crate::content;
use crate::error::Error;
use crate::phase::{Phase, Run, measure};
use crate::population::{Created, Stored, created};
use crate::workload::template::{Bundle, Template, UUID, read_folder};
use http::Method;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Bundles of a megabyte and more: a few at once keep the server busy.
const IMPORTERS: usize = 4;
/// Entries of each bundle that are read back.
const READ_BACK: usize = 4;

/// Imports the bundles of a folder in turn until the time or the count is used up.
pub(crate) async fn run(run: &Rc<Run>, folder: &Path) -> Result<(), Error> {
    let bundles: Rc<[Template]> = read_folder(folder)?.into();
    let next = Rc::new(Cell::new(0));
    let client = |phase, number| import(phase, number, Rc::clone(&bundles), Rc::clone(&next));
    measure(run, "import", run.limits, client).await;
    Ok(())
}

async fn import(phase: Rc<Phase>, number: usize, bundles: Rc<[Template]>, next: Rc<Cell<usize>>) {
    let mut session = phase.session();
    if number >= IMPORTERS {
        return;
    }
    loop {
        let copy = next.replace(next.get() + 1);
        let bundle = &bundles[copy % bundles.len()];
        if !phase.more(bundle.entries as u64) {
            return;
        }
        let text = bundle.copy(phase.run().serial, copy as u64);
        let ask = Ask {
            prefer: Some("return=minimal"),
            ..Ask::send(Method::POST, "", text.clone())
        };
        let started = Instant::now();
        let answer = session.ask(ask).await;
        let created = answer.and_then(|answer| {
            answer.expect(&[200])?;
            created(&answer.body, bundle.entries)
        });
        let outcome = created
            .as_ref()
            .map(|_| ())
            .map_err(|reason| format!("{}: {reason}", bundle.name));
        phase.record("bundle", bundle.entries as u64, started, outcome);
        if let Ok(created) = created {
            let outcome = read_back(&phase, &mut session, &text, &created, copy).await;
            phase.fault(
                "read back",
                outcome.map_err(|reason| format!("{}: {reason}", bundle.name)),
            );
        }
    }
}

async fn read_back(
    phase: &Phase,
    session: &mut Session,
    text: &str,
    created: &[Created],
    copy: usize,
) -> Result<(), String> {
    let bundle: Bundle = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let urls = bundle.entry.iter().map(|entry| entry.full_url.as_str());
    let references: HashMap<&str, String> = urls
        .zip(created)
        .map(|(url, entry)| (url, format!("{}/{}", entry.kind, entry.id)))
        .collect();
    for n in 0..READ_BACK {
        let at = (copy * 31 + n * created.len() / READ_BACK) % created.len();
        let resolved = resolve(bundle.entry[at].resource.get(), &references);
        let content = content::read(resolved.as_bytes(), &phase.run().ignore)
            .map_err(|error| error.to_string())?;
        let stored = Stored {
            id: created[at].id.as_str().into(),
            version: created[at].version.as_deref().map(Into::into),
            fingerprint: content.fingerprint,
        };
        let path = format!("{}/{}", created[at].kind, created[at].id);
        let answer = session.ask(Ask::new(Method::GET, path.as_str())).await?;
        same(phase, &answer, &stored).map_err(|reason| format!("GET {path}: {reason}"))?;
    }
    Ok(())
}

/// Replaces every `urn:uuid:` that the bundle defines by what was created for it.
fn resolve(text: &str, references: &HashMap<&str, String>) -> String {
    const URN: &str = "urn:uuid:";
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(URN) {
        let end = at + URN.len() + UUID;
        let reference = rest.get(at..end).and_then(|urn| references.get(urn));
        let (keep, skip) = match reference {
            Some(_) => (at, end),
            None => (at + URN.len(), at + URN.len()),
        };
        resolved.push_str(&rest[..keep]);
        resolved.push_str(reference.map_or("", String::as_str));
        rest = &rest[skip..];
    }
    resolved + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "85c63cf3-278e-454c-b5ba-df5889815eb7";
    const OTHER: &str = "95c63cf3-278e-454c-b5ba-df5889815eb7";

    #[test]
    fn references_of_the_bundle_are_resolved_and_others_stay() {
        let url = format!("urn:uuid:{ONE}");
        let references = HashMap::from([(url.as_str(), "Patient/7".to_owned())]);
        let text = format!("a urn:uuid:{ONE} b urn:uuid:{OTHER} c urn:uuid:");
        let expected = format!("a Patient/7 b urn:uuid:{OTHER} c urn:uuid:");
        assert_eq!(resolve(&text, &references), expected);
    }
}
