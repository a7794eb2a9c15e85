//! Thirty shapes of search with values drawn from the loaded population, and the check of each page.

use crate::client::Session;
use crate::client::{Answer, Ask};
use crate::draw::Draw;
use crate::phase::{Phase, Run, measure};
use crate::population::{PER_PATIENT, Population, encounter_of, kind_of, patient_of};
use crate::resource::Kind;
use crate::workload::load::Shared;
use crate::workload::shapes::{Extra, Order, SHAPES, Shape, is_ours, matches, query};
use http::Method;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

/// Searches prepared for each shape: enough that no cache holds only them.
const WITNESSES: usize = 48;
/// Pages read through `next` links before something must be wrong.
const PAGES_MAX: usize = 100;

/// Runs searches of all shapes until the time or the count is used up.
/// `alone` tells that the server holds no other patients than ours.
pub(crate) async fn run(run: &Rc<Run>, population: &Shared, alone: bool) {
    let mut searches = prepare(&population.borrow(), run.seed, alone);
    searches.retain(|search| search.shape.name.contains(&run.shapes));
    let searches: Rc<[Search]> = searches.into();
    let client =
        |phase, number| searching(phase, number, Rc::clone(population), Rc::clone(&searches));
    measure(run, "search", run.limits, client).await;
}

/// A search and what we know about its answer.
struct Search {
    shape: &'static Shape,
    witness: usize,
    path: String,
    /// Matches among our resources.
    matches: usize,
    /// Nothing else can match.
    exact: bool,
}

fn prepare(population: &Population, seed: u64, alone: bool) -> Vec<Search> {
    let mut draw = Draw::new(seed, 4 << 40);
    let mut searches = Vec::with_capacity(SHAPES.len() * WITNESSES);
    for shape in &SHAPES {
        for _ in 0..WITNESSES {
            let witness = witness(population, shape.kind, &mut draw);
            let found = |candidate: &usize| matches(shape, population, witness, *candidate);
            searches.push(Search {
                shape,
                witness,
                path: query(shape, population, witness),
                matches: candidates(population, shape, witness).filter(found).count(),
                exact: alone || is_ours(shape),
            });
        }
    }
    searches
}

fn witness(population: &Population, kind: Kind, draw: &mut Draw) -> usize {
    let patient = draw.below(population.facts.len() / PER_PATIENT) * PER_PATIENT;
    let slots: Vec<usize> = (patient..patient + PER_PATIENT)
        .filter(|at| kind_of(*at) == kind)
        .collect();
    slots[draw.below(slots.len())]
}

/// Positions that can match: those of the patient when the shape asks for one.
fn candidates(population: &Population, shape: &Shape, witness: usize) -> std::ops::Range<usize> {
    use crate::workload::shapes::Condition::{Encounter, Patient};
    let of_patient = shape
        .conditions
        .iter()
        .any(|condition| [Patient, Encounter].contains(condition));
    match of_patient {
        true => patient_of(witness)..patient_of(witness) + PER_PATIENT,
        false => 0..population.facts.len(),
    }
}

async fn searching(phase: Rc<Phase>, number: usize, population: Shared, searches: Rc<[Search]>) {
    let mut session = phase.session();
    let mut draw = Draw::new(phase.run().seed, (5 << 40) + number as u64);
    while !searches.is_empty() && phase.more(1) {
        let search = &searches[draw.below(searches.len())];
        match search.shape.extra {
            Extra::Pages => pages(&phase, &mut session, &population, search).await,
            Extra::None | Extra::Encounters | Extra::Conditions | Extra::Total => {
                let started = Instant::now();
                let answer = session
                    .ask(Ask::new(Method::GET, search.path.as_str()))
                    .await;
                let outcome =
                    answer.and_then(|answer| check(&answer, &population.borrow(), search));
                record(&phase, search, started, outcome);
            }
        }
    }
}

/// Reads all pages; together they must hold every match exactly once.
async fn pages(phase: &Phase, session: &mut Session, population: &Shared, search: &Search) {
    let mut seen = BTreeSet::new();
    let mut path = search.path.clone();
    for _ in 0..PAGES_MAX {
        let started = Instant::now();
        let answer = session.ask(Ask::new(Method::GET, path.as_str())).await;
        let next = answer.and_then(|answer| page(&answer, &population.borrow(), search, &mut seen));
        let next = next.map(|url| url.map(|url| phase.run().target.below_base(&url)));
        let outcome = next.as_ref().map(|_| ()).map_err(Clone::clone);
        record(phase, search, started, outcome);
        match next {
            Ok(Some(next)) => path = next,
            Ok(None) | Err(_) => return,
        }
    }
    phase.fault(
        search.shape.name,
        Err(format!("GET {}: more than {PAGES_MAX} pages", search.path)),
    );
}

fn record(phase: &Phase, search: &Search, started: Instant, outcome: Result<(), String>) {
    phase.record(
        search.shape.name,
        1,
        started,
        outcome.map_err(|reason| format!("GET {}: {reason}", search.path)),
    );
}

/// Checks one of many pages; the link to the next one, or nothing after the last.
fn page(
    answer: &Answer,
    population: &Population,
    search: &Search,
    seen: &mut BTreeSet<usize>,
) -> Result<Option<String>, String> {
    let bundle = read(answer)?;
    let next = bundle
        .link
        .into_iter()
        .find(|link| link.relation == "next")
        .map(|link| link.url);
    for entry in &bundle.entry {
        let position = position(entry, population, search)?;
        if position.is_some_and(|position| !seen.insert(position)) {
            return Err("a resource stands on two pages".to_owned());
        }
    }
    if next.is_none() && seen.len() != search.matches {
        return Err(format!(
            "{} matches on all pages, expected {}",
            seen.len(),
            search.matches
        ));
    }
    Ok(next)
}

/// Checks a page: each entry satisfies the query, their number and order are right, so is what comes beside them.
fn check(answer: &Answer, population: &Population, search: &Search) -> Result<(), String> {
    let bundle = read(answer)?;
    let kind = search.shape.kind.name();
    let (found, beside): (Vec<_>, Vec<_>) = bundle
        .entry
        .iter()
        .partition(|entry| entry.resource.resource_type == kind);
    let mut positions = Vec::with_capacity(found.len());
    for entry in &found {
        positions.extend(position(entry, population, search)?);
    }
    let distinct: BTreeSet<usize> = positions.iter().copied().collect();
    let expected = search.matches.min(search.shape.count);
    if distinct.len() != positions.len() {
        return Err("a resource stands twice on a page".to_owned());
    }
    if search.exact && found.len() != expected {
        return Err(format!(
            "{} matches on the page, expected {expected} of {}",
            found.len(),
            search.matches
        ));
    }
    if search.shape.extra == Extra::Total && bundle.total != Some(search.matches as u64) {
        return Err(format!(
            "total {:?}, expected {}",
            bundle.total, search.matches
        ));
    }
    in_order(&positions, population, search.shape.order)?;
    besides(&beside, &positions, population, search)
}

/// Where a match is among our resources; nothing if it is not ours and may be there.
fn position(
    entry: &Entry,
    population: &Population,
    search: &Search,
) -> Result<Option<usize>, String> {
    let id = entry.resource.id.as_str();
    match population.position(id) {
        Some(at) if matches(search.shape, population, search.witness, at) => Ok(Some(at)),
        Some(_) => Err(format!("{id} does not satisfy the query")),
        None if search.exact => Err(format!("{id} is nothing that we created")),
        None => Ok(None),
    }
}

fn in_order(positions: &[usize], population: &Population, order: Order) -> Result<(), String> {
    let facts = |at: &usize| &population.facts[*at];
    let sorted = match order {
        Order::Any => true,
        Order::Oldest => positions.is_sorted_by_key(|at| facts(at).date),
        Order::Newest => positions.is_sorted_by_key(|at| -facts(at).date),
        Order::ByFamily => positions.is_sorted_by_key(|at| facts(at).family().to_lowercase()),
    };
    sorted
        .then_some(())
        .ok_or_else(|| format!("the matches are not in order ({order:?})"))
}

fn besides(
    beside: &[&Entry],
    positions: &[usize],
    population: &Population,
    search: &Search,
) -> Result<(), String> {
    let expected = expected_beside(positions, search);
    let got: BTreeSet<usize> = beside
        .iter()
        .filter_map(|entry| population.position(&entry.resource.id))
        .collect();
    match got == expected && beside.len() == expected.len() {
        true => Ok(()),
        false => Err(format!(
            "{} entries beside the matches, expected {}",
            beside.len(),
            expected.len()
        )),
    }
}

fn expected_beside(positions: &[usize], search: &Search) -> BTreeSet<usize> {
    let witness = search.witness;
    match search.shape.extra {
        Extra::None | Extra::Total | Extra::Pages => BTreeSet::new(),
        Extra::Encounters => positions.iter().map(|at| encounter_of(*at)).collect(),
        Extra::Conditions => (witness..witness + PER_PATIENT)
            .filter(|at| kind_of(*at) == Kind::Condition)
            .collect(),
    }
}

fn read(answer: &Answer) -> Result<Bundle, String> {
    answer.expect(&[200])?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("searchset: {error}"))
}

#[derive(Deserialize)]
struct Bundle {
    total: Option<u64>,
    #[serde(default)]
    link: Vec<Link>,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

#[derive(Deserialize)]
struct Entry {
    resource: Head,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "resourceType")]
    resource_type: String,
    id: String,
}

#[cfg(test)]
mod tests;
