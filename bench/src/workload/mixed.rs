//! Ten creates, sixty reads, twenty-five updates and five deletes of a hundred operations, over five types.
//!
//! Each client works on resources of its own, so that it knows the last
//! acknowledged version of each without asking the others. It deletes only
//! what it created: nothing refers to that.

use crate::check;
use crate::client::Session;
use crate::draw::Draw;
use crate::phase::{Phase, Run, measure};
use crate::population::{Stored, kind_of};
use crate::resource::{Facts, Kind, Links};
use crate::workload::load::Shared;
use std::rc::Rc;

const KINDS: [Kind; 5] = [
    Kind::Patient,
    Kind::Encounter,
    Kind::Condition,
    Kind::Observation,
    Kind::MedicationRequest,
];

/// Runs the mix until the time or the count is used up.
pub(crate) async fn run(run: &Rc<Run>, population: &Shared) {
    let client = |phase, number| mix(phase, number, Rc::clone(population));
    measure(run, "mixed", run.limits, client).await;
}

struct Client {
    number: usize,
    clients: usize,
    session: Session,
    draw: Draw,
    population: Shared,
    created: Vec<(Kind, Stored)>,
    serial: u64,
    revision: u32,
}

async fn mix(phase: Rc<Phase>, number: usize, population: Shared) {
    let mut client = Client {
        number,
        clients: phase.run().clients,
        session: phase.session(),
        draw: Draw::new(phase.run().seed, (1 << 40) + number as u64),
        population,
        created: Vec::new(),
        serial: phase.run().serial + ((number as u64) << 32) + (1 << 31),
        revision: 0,
    };
    while phase.more(1) {
        match client.draw.below(100) {
            0..10 => client.create(&phase).await,
            10..70 => client.read(&phase).await,
            70..95 => client.update(&phase).await,
            _ => client.delete(&phase).await,
        }
    }
}

impl Client {
    async fn create(&mut self, phase: &Phase) {
        let kind = KINDS[self.draw.below(KINDS.len())];
        self.serial += 1;
        let facts = Facts::draw(kind, &mut self.draw, self.serial);
        let links = {
            let position = self.any();
            self.links(position)
        };
        if let Some(stored) =
            check::create(phase, &mut self.session, "create", &facts, &links).await
        {
            self.created.push((kind, stored));
        }
    }

    async fn read(&mut self, phase: &Phase) {
        let own = self.draw.below(10) == 0 && !self.created.is_empty();
        let (kind, stored) = if own {
            self.created[self.draw.below(self.created.len())].clone()
        } else {
            let position = self.any();
            (kind_of(position), self.stored(position))
        };
        check::read(phase, &mut self.session, "read", kind.name(), &stored).await;
    }

    async fn update(&mut self, phase: &Phase) {
        let position = self.any();
        self.revision += 1;
        let (facts, links) = (
            self.population.borrow().facts[position],
            self.links(position),
        );
        let mut stored = self.stored(position);
        let next = (&facts, &links, self.revision);
        check::update(phase, &mut self.session, "update", next, &mut stored).await;
        self.population.borrow_mut().stored[position] = stored;
    }

    async fn delete(&mut self, phase: &Phase) {
        let Some((kind, stored)) = self.created.pop() else {
            return self.create(phase).await;
        };
        check::delete(phase, &mut self.session, "delete", kind.name(), &stored).await;
        if self.draw.below(4) == 0 {
            check::gone(phase, &mut self.session, kind.name(), &stored).await;
        }
    }

    /// A position that no other client touches: every `clients`-th is ours.
    fn any(&mut self) -> usize {
        let positions = self.population.borrow().facts.len();
        let own = positions.saturating_sub(self.number).div_ceil(self.clients);
        self.number + self.clients * self.draw.below(own)
    }

    fn stored(&self, position: usize) -> Stored {
        self.population.borrow().stored[position].clone()
    }

    fn links(&self, position: usize) -> Links {
        let population = self.population.borrow();
        population.links(position, |of| population.reference(of))
    }
}
