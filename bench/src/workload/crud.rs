//! Nine linked resource types created by many clients, then read, updated, and deleted in reverse.
//!
//! The reverse order leaves no reference dangling, so that servers which guard
//! references accept it too.

use crate::check;
use crate::draw::Draw;
use crate::phase::{Limits, Phase, Run, measure};
use crate::population::Stored;
use crate::resource::{Facts, Kind, Links};
use std::cell::RefCell;
use std::rc::Rc;

/// One deleted resource in so many is read again.
const READ_DELETED: usize = 16;

struct Item {
    facts: Facts,
    links: Links,
    stored: Stored,
}

/// What each client created, in that order.
type Items = Rc<RefCell<Vec<Vec<Item>>>>;

/// Runs the four phases. The bounds are those of the creation; the others go over what it created.
pub(crate) async fn run(run: &Rc<Run>) {
    let items: Items = Rc::new(RefCell::new((0..run.clients).map(|_| Vec::new()).collect()));
    let create = |phase, client| create(phase, client, Rc::clone(&items));
    measure(run, "crud create", run.limits, create).await;
    let read = |phase, client| read(phase, client, Rc::clone(&items));
    measure(run, "crud read", Limits::NONE, read).await;
    let update = |phase, client| update(phase, client, Rc::clone(&items));
    measure(run, "crud update", Limits::NONE, update).await;
    let delete = |phase, client| delete(phase, client, Rc::clone(&items));
    measure(run, "crud delete", Limits::NONE, delete).await;
}

async fn create(phase: Rc<Phase>, client: usize, items: Items) {
    let mut session = phase.session();
    let mut draw = Draw::new(phase.run().seed, client as u64);
    let mut serial = phase.run().serial + ((client as u64) << 32);
    while phase.more(Kind::ALL.len() as u64) {
        let mut links = Links::default();
        for kind in Kind::ALL {
            serial += 1;
            let facts = Facts::draw(kind, &mut draw, serial);
            let Some(stored) = check::create(&phase, &mut session, "create", &facts, &links).await
            else {
                break;
            };
            let before = links.clone();
            link(&mut links, kind, &stored);
            let item = Item {
                facts,
                links: before,
                stored,
            };
            items.borrow_mut()[client].push(item);
        }
    }
}

fn link(links: &mut Links, kind: Kind, stored: &Stored) {
    let reference = format!("{}/{}", kind.name(), stored.id);
    match kind {
        Kind::Organization => links.organization = reference,
        Kind::Practitioner => links.practitioner = reference,
        Kind::Patient => links.subject = reference,
        Kind::Encounter => links.encounter = reference,
        Kind::Observation => links.result = reference,
        Kind::Condition | Kind::MedicationRequest | Kind::Procedure | Kind::DiagnosticReport => {}
    }
}

async fn read(phase: Rc<Phase>, client: usize, items: Items) {
    let mut session = phase.session();
    let mut at = 0;
    while let Some((kind, stored)) = nth(&items, client, at).filter(|_| phase.more(1)) {
        check::read(&phase, &mut session, "read", kind.name(), &stored).await;
        at += 1;
    }
}

async fn update(phase: Rc<Phase>, client: usize, items: Items) {
    let mut session = phase.session();
    let mut list = std::mem::take(&mut items.borrow_mut()[client]);
    for item in &mut list {
        let next = (&item.facts, &item.links, 1);
        check::update(&phase, &mut session, "update", next, &mut item.stored).await;
    }
    items.borrow_mut()[client] = list;
}

async fn delete(phase: Rc<Phase>, client: usize, items: Items) {
    let mut session = phase.session();
    let list = std::mem::take(&mut items.borrow_mut()[client]);
    for (at, item) in list.iter().enumerate().rev() {
        let kind = item.facts.kind.name();
        check::delete(&phase, &mut session, "delete", kind, &item.stored).await;
        if at % READ_DELETED == 0 {
            check::gone(&phase, &mut session, kind, &item.stored).await;
        }
    }
}

fn nth(items: &Items, client: usize, at: usize) -> Option<(Kind, Stored)> {
    items.borrow()[client]
        .get(at)
        .map(|item| (item.facts.kind, item.stored.clone()))
}
