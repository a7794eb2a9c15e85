//! `Patient/[id]/$everything` of imported patients, every page, and the check that nothing is missing.

use crate::client::{Ask, Session};
use crate::draw::Draw;
use crate::error::Error;
use crate::phase::{Limits, Phase, Run, measure};
use crate::population::created;
use crate::workload::template::{Bundle, Template, read_folder};
use http::Method;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Patients with more resources are left out: the figure is for those of some five hundred.
const ENTRIES_MAX: usize = 600;
/// Copies of each bundle that are loaded.
const COPIES: u64 = 20;
/// Pages read through `next` links before something must be wrong.
const PAGES_MAX: usize = 100;

/// A patient, and what must be shown of him.
struct Chart {
    id: String,
    references: HashSet<String>,
}

type Charts = Rc<RefCell<Vec<Chart>>>;

/// Loads the patients, then asks for everything until the time or the count is used up.
pub(crate) async fn run(run: &Rc<Run>, folder: &Path) -> Result<(), Error> {
    let mut bundles = read_folder(folder)?;
    bundles.retain(|bundle| bundle.entries <= ENTRIES_MAX);
    if bundles.is_empty() {
        return Err(Error::Bundles {
            path: folder.to_owned(),
            reason: format!("no bundle has {ENTRIES_MAX} entries or fewer"),
        });
    }
    let bundles: Rc<[Template]> = bundles.into();
    let charts = Charts::default();
    let loader = |phase, number| load(phase, number, Rc::clone(&bundles), Rc::clone(&charts));
    measure(run, "load patients", Limits::NONE, loader).await;
    let charts: Rc<[Chart]> = charts.take().into();
    let client = |phase, number| asking(phase, number, Rc::clone(&charts));
    measure(run, "everything", run.limits, client).await;
    Ok(())
}

async fn load(phase: Rc<Phase>, number: usize, bundles: Rc<[Template]>, charts: Charts) {
    if number > 0 {
        return;
    }
    let mut session = phase.session();
    for copy in 0..COPIES {
        for bundle in bundles.iter() {
            let text = bundle.copy(phase.run().serial, copy);
            let ask = Ask {
                prefer: Some("return=minimal"),
                ..Ask::send(Method::POST, "", text.clone())
            };
            let started = Instant::now();
            let answer = session.ask(ask).await;
            let chart = answer.and_then(|answer| {
                answer.expect(&[200])?;
                chart(&text, &answer.body, bundle.entries)
            });
            let outcome = chart.as_ref().map(|_| ()).map_err(Clone::clone);
            phase.record("bundle", bundle.entries as u64, started, outcome);
            charts.borrow_mut().extend(chart);
        }
    }
}

/// The patient of a bundle, and the resources that name him.
fn chart(sent: &str, answer: &[u8], entries: usize) -> Result<Chart, String> {
    let bundle: Bundle = serde_json::from_str(sent).map_err(|error| error.to_string())?;
    let created = created(answer, entries)?;
    let at = created.iter().position(|entry| entry.kind == "Patient");
    let at = at.ok_or("the bundle has no patient")?;
    let urn = bundle.entry[at].full_url.as_str();
    let named = bundle.entry.iter().zip(&created).enumerate();
    let named = named.filter(|(i, (entry, _))| *i == at || entry.resource.get().contains(urn));
    Ok(Chart {
        id: created[at].id.clone(),
        references: named
            .map(|(_, (_, created))| format!("{}/{}", created.kind, created.id))
            .collect(),
    })
}

async fn asking(phase: Rc<Phase>, number: usize, charts: Rc<[Chart]>) {
    let mut session = phase.session();
    let mut draw = Draw::new(phase.run().seed, (6 << 40) + number as u64);
    while !charts.is_empty() && phase.more(1) {
        let chart = &charts[draw.below(charts.len())];
        let started = Instant::now();
        let outcome = everything(&phase, &mut session, chart).await;
        phase.record("everything", 1, started, outcome);
    }
}

/// Reads all pages of one patient.
async fn everything(phase: &Phase, session: &mut Session, chart: &Chart) -> Result<(), String> {
    let mut path = format!("Patient/{}/$everything", chart.id);
    let mut missing: HashSet<&str> = chart.references.iter().map(String::as_str).collect();
    for _ in 0..PAGES_MAX {
        let answer = session.ask(Ask::new(Method::GET, path.as_str())).await?;
        answer.expect(&[200])?;
        let page: Page = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        for entry in page.entry {
            if let Some(reference) = entry.full_url.split("/fhir/").nth(1) {
                missing.remove(reference);
            }
        }
        let next = page.link.into_iter().find(|link| link.relation == "next");
        match next {
            Some(next) => path = phase.run().target.below_base(&next.url),
            None if missing.is_empty() => return Ok(()),
            None => return Err(format!("{} resources are missing", missing.len())),
        }
    }
    Err("the pages have no end".to_owned())
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default)]
    entry: Vec<Shown>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(rename = "fullUrl")]
    full_url: String,
}
