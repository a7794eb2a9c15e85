//! Contained resources are found as if they stood alone, with their container
//! around them.

use std::sync::Arc;

use salus_auth::Subject;
use salus_store::Scope;
use salus_store::memory::Memory;
use serde_json::{Value, json};

use super::ask::Ask;
use super::{Choice, Thing, seeds};
use crate::fhir::Handling;
use crate::fhir::search::host::{Host, context};

/// An Observation and the Patients in it.
struct Container {
    id: String,
    patients: Vec<Thing>,
}

impl Container {
    fn at_random(choice: &mut Choice, id: u64) -> Self {
        let patients = 0..choice.below(3);
        let patients = patients.map(|at| Thing::at_random(choice, "Patient", format!("p{at}")));
        Self {
            id: id.to_string(),
            patients: patients.collect(),
        }
    }

    fn json(&self) -> Value {
        let patients = self.patients.iter();
        let performers = patients.clone().map(|patient| {
            let reference = format!("#{}", patient.id);
            json!({"reference": reference})
        });
        let mut observation = json!({
            "resourceType": "Observation", "id": self.id, "status": "final",
            "code": {"text": "x"},
        });
        if !self.patients.is_empty() {
            observation["performer"] = performers.collect();
            observation["contained"] = patients.map(value).collect();
        }
        observation
    }
}

fn value(thing: &Thing) -> Value {
    let mut value: Value = serde_json::from_str(&thing.json()).unwrap();
    if thing.ty == "Organization" {
        value["name"] = "x".into();
    }
    value
}

/// A question that asks of nothing that refers to contained resources: nothing does.
fn asked(choice: &mut Choice) -> Ask {
    loop {
        let ask = Ask::at_random(choice, "Patient", 2);
        if !ask.is_of_referring() {
            return ask;
        }
    }
}

async fn one(seed: u64) -> usize {
    let choice = &mut Choice(seed);
    let host = Host::over(Arc::new(Memory::new())).await;
    let cx = context(Subject::operator(), Scope(100), 1_400_000_000_000);
    let organizations = (0..7).map(|id| Thing::at_random(choice, "Organization", id.to_string()));
    let mut world: Vec<Thing> = organizations.collect();
    let patients = (0..3).map(|id| Thing::at_random(choice, "Patient", id.to_string()));
    world.extend(patients);
    for thing in &world {
        host.put(&cx, &value(thing)).await.unwrap();
    }
    let containers: Vec<_> = (0..8).map(|id| Container::at_random(choice, id)).collect();
    for container in &containers {
        host.put(&cx, &container.json()).await.unwrap();
    }
    let mut found = 0;
    for _ in 0..10 {
        let asks: Vec<Ask> = (0..=choice.below(2)).map(|_| asked(choice)).collect();
        let id = choice.of(&["", "", "p0", "p1"]);
        let fits = |thing: &&Thing| {
            let visible = ["Organization", "Patient"];
            let mut asks = asks.iter();
            (id.is_empty() || thing.id == id) && asks.all(|it| it.holds(&world, &visible, thing))
        };
        let mut around: Vec<String> = Vec::new();
        let mut alone: Vec<String> = Vec::new();
        for container in &containers {
            let fitting = container.patients.iter().filter(fits);
            let names: Vec<String> = fitting.map(|it| format!("Patient/{}", it.id)).collect();
            if !names.is_empty() {
                around.push(format!("Observation/{}", container.id));
            }
            alone.extend(names);
        }
        let own = world.iter().filter(|thing| thing.ty == "Patient");
        let own: Vec<String> = own
            .filter(fits)
            .map(|it| format!("Patient/{}", it.id))
            .collect();
        found += alone.len();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asks.iter().map(|ask| ask.text("Patient")));
        if !id.is_empty() {
            query.append_pair("_id", id);
        }
        let query = query.finish();
        for (kind, inside) in [("container", &around), ("contained", &alone)] {
            for (which, own) in [("true", &[][..]), ("both", &own[..])] {
                let url =
                    format!("Patient?{query}&_count=3&_contained={which}&_containedType={kind}");
                let answer = host.search(&cx, &url, Handling::Strict).await;
                let answer = answer.unwrap_or_else(|error| panic!("{url}: {:?}", error.issues()));
                let mut have: Vec<String> =
                    answer.pages.into_iter().flat_map(|it| it.matches).collect();
                let mut want = [own, inside].concat();
                have.sort_unstable();
                want.sort_unstable();
                assert_eq!(have, want, "seed {seed}: {url}");
            }
        }
    }
    found
}

#[test]
fn contained_resources_are_found_as_if_they_stood_alone() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let seeds = seeds(60);
    let found: usize = seeds.clone().map(|seed| runtime.block_on(one(seed))).sum();
    assert!(found > seeds.count(), "{found}");
}
