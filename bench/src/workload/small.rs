//! Small transactions, a patient with one observation of him, and reads by id.

use crate::check;
use crate::client::{Answer, Ask};
use crate::content;
use crate::draw::Draw;
use crate::phase::{Phase, Run, measure};
use crate::population::{Stored, created};
use crate::resource::{Facts, Kind, Links};
use http::Method;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

const PATIENT: &str = "urn:uuid:5a105be2-0000-4000-8000-000000000001";
const OBSERVATION: &str = "urn:uuid:5a105be2-0000-4000-8000-000000000002";

/// What each client created.
type Pairs = Rc<RefCell<Vec<Vec<(Stored, Stored)>>>>;

/// Runs the transactions, then the reads, each within the same bounds.
pub(crate) async fn run(run: &Rc<Run>) {
    let pairs: Pairs = Rc::new(RefCell::new((0..run.clients).map(|_| Vec::new()).collect()));
    let client = |phase, number| transactions(phase, number, Rc::clone(&pairs));
    measure(run, "small write", run.limits, client).await;
    let client = |phase, number| reads(phase, number, Rc::clone(&pairs));
    measure(run, "small read", run.limits, client).await;
}

async fn transactions(phase: Rc<Phase>, client: usize, pairs: Pairs) {
    let mut session = phase.session();
    let mut draw = Draw::new(phase.run().seed, (2 << 40) + client as u64);
    let mut serial = phase.run().serial + ((client as u64) << 32) + (3 << 30);
    while phase.more(1) {
        serial += 1;
        let patient = Facts::draw(Kind::Patient, &mut draw, serial);
        let observation = Facts::draw(Kind::Observation, &mut draw, serial);
        let ask = Ask {
            prefer: Some("return=minimal"),
            ..Ask::send(Method::POST, "", transaction(&patient, &observation))
        };
        let started = Instant::now();
        let answer = session.ask(ask).await;
        let pair = answer.and_then(|answer| pair(&answer, &patient, &observation));
        let outcome = pair.as_ref().map(|_| ()).map_err(Clone::clone);
        phase.record("transaction", 1, started, outcome);
        pairs.borrow_mut()[client].extend(pair);
    }
}

async fn reads(phase: Rc<Phase>, client: usize, pairs: Pairs) {
    let mut session = phase.session();
    let mut draw = Draw::new(phase.run().seed, (3 << 40) + client as u64);
    let pairs = std::mem::take(&mut pairs.borrow_mut()[client]);
    while !pairs.is_empty() && phase.more(1) {
        let (patient, observation) = &pairs[draw.below(pairs.len())];
        let (kind, stored) = match draw.below(2) {
            0 => ("Patient", patient),
            _ => ("Observation", observation),
        };
        check::read(&phase, &mut session, "read", kind, stored).await;
    }
}

/// Patients without an organization and practitioner: this workload needs no other data.
fn links(subject: &str) -> Links {
    Links {
        subject: subject.to_owned(),
        ..Links::default()
    }
}

fn transaction(patient: &Facts, observation: &Facts) -> String {
    let patient = patient.text(&links(""), None, 0);
    let observation = observation.text(&links(PATIENT), None, 0);
    format!(
        concat!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":["#,
            r#"{{"fullUrl":"{}","resource":{},"request":{{"method":"POST","url":"Patient"}}}},"#,
            r#"{{"fullUrl":"{}","resource":{},"request":{{"method":"POST","url":"Observation"}}}}]}}"#,
        ),
        PATIENT, patient, OBSERVATION, observation
    )
}

/// The reads that follow compare with this content, so a reference left unresolved shows there.
fn pair(answer: &Answer, patient: &Facts, observation: &Facts) -> Result<(Stored, Stored), String> {
    answer.expect(&[200])?;
    let created: [_; 2] = created(&answer.body, 2)?
        .try_into()
        .map_err(|_| "not two entries")?;
    let kinds = created.each_ref().map(|entry| entry.kind.as_str());
    if kinds != ["Patient", "Observation"] {
        return Err(format!("created {kinds:?}"));
    }
    let subject = links(&format!("Patient/{}", created[0].id));
    let texts = [
        patient.text(&links(""), None, 0),
        observation.text(&subject, None, 0),
    ];
    let [patient, observation] = created;
    Ok((stored(patient, &texts[0])?, stored(observation, &texts[1])?))
}

fn stored(created: crate::population::Created, text: &str) -> Result<Stored, String> {
    let content = content::read(text.as_bytes(), &[]).map_err(|error| error.to_string())?;
    Ok(Stored {
        id: created.id.into(),
        version: created.version.map(String::into),
        fingerprint: content.fingerprint,
    })
}
