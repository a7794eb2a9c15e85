//! Loads the population that the mixed and the search workload work on, in transactions of about 500 entries.

use crate::check;
use crate::client::{Ask, Session};
use crate::error::Error;
use crate::phase::{Limits, Phase, Run, measure};
use crate::population::Population;
use crate::resource::{Kind, Links};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// So many bundles, and the first and the last tenth of them are measured by themselves.
const BUNDLES_OF_TENTHS: usize = 100;

/// The population as its clients share it: borrowed between waits, never across one.
pub(crate) type Shared = Rc<RefCell<Population>>;

/// Writes about so many resources; fails when one of them could not be written.
pub(crate) async fn run(run: &Rc<Run>, resources: usize) -> Result<Shared, Error> {
    let population = Rc::new(RefCell::new(Population::new(
        resources.max(run.clients),
        run.seed,
        run.serial,
    )));
    let bundles = population.borrow().bundles();
    let next = Rc::new(Cell::new(0));
    let ready = Rc::new(tokio::sync::Semaphore::new(0));
    for (name, until) in parts(bundles) {
        let client = |phase, number| {
            load(
                phase,
                number,
                Rc::clone(&population),
                (Rc::clone(&next), until),
                Rc::clone(&ready),
            )
        };
        measure(run, name, Limits::NONE, client).await;
        failure(run)?;
    }
    Ok(population)
}

/// The phases of a load, each with the bundle before which it ends.
fn parts(bundles: usize) -> Vec<(&'static str, usize)> {
    match bundles {
        BUNDLES_OF_TENTHS.. => vec![
            ("load first", bundles / 10),
            ("load", bundles - bundles / 10),
            ("load last", bundles),
        ],
        _ => vec![("load", bundles)],
    }
}

/// The first reason why something in the last phase was not written.
fn failure(run: &Run) -> Result<(), Error> {
    let first_reason = run.phases.borrow().last().and_then(|phase| {
        phase
            .tally
            .classes()
            .find_map(|(_, class)| class.reasons.first().cloned())
    });
    first_reason.map_or(Ok(()), |reason| Err(Error::Load(reason)))
}

/// The first client creates what all patients share, once; then all take bundles.
async fn load(
    phase: Rc<Phase>,
    client: usize,
    population: Shared,
    (next, until): (Rc<Cell<usize>>, usize),
    ready: Rc<tokio::sync::Semaphore>,
) {
    let mut session = phase.session();
    if client == 0 && !ready.is_closed() {
        share(&phase, &mut session, &population).await;
        ready.close();
    }
    // Nobody ever releases a permit: closing the semaphore is the signal.
    let _ = ready.acquire().await;
    while next.get() < until {
        let positions = population.borrow().bundle(next.replace(next.get() + 1));
        let ask = population.borrow().transaction(positions.clone());
        let started = Instant::now();
        let answer = session.ask(ask).await;
        let entries = positions.len() as u64;
        let outcome = answer.and_then(|answer| {
            answer.expect(&[200])?;
            population.borrow_mut().created(positions, &answer.body)
        });
        phase.record("transaction", entries, started, outcome);
    }
}

async fn share(phase: &Phase, session: &mut Session, population: &Shared) {
    let shared: Vec<_> = population.borrow().shared().collect();
    for facts in shared {
        let Some(stored) = check::create(phase, session, "create", &facts, &Links::default()).await
        else {
            return;
        };
        let reference = format!("{}/{}", facts.kind.name(), stored.id);
        let mut population = population.borrow_mut();
        if facts.kind == Kind::Organization {
            population.organizations.push(reference);
        } else {
            population.practitioners.push(reference);
        }
    }
}

/// Whether the server holds no patient yet, so that ours are all that a search may find.
pub(crate) async fn server_is_empty(run: &Run) -> bool {
    #[derive(serde::Deserialize)]
    struct Total {
        total: Option<u64>,
    }
    let mut session = Session::new(Rc::clone(&run.target));
    let ask = Ask::new(http::Method::GET, "Patient?_total=accurate&_count=1");
    let Ok(answer) = session.ask(ask).await else {
        return false;
    };
    serde_json::from_slice(&answer.body).is_ok_and(|total: Total| total.total == Some(0))
}
