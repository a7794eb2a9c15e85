//! Seeded lives that the generator loads and then asks about.
//!
//! Each patient has the same number of resources in the same slots, so that
//! the position of a resource says what it is and whom it belongs to.

use crate::client::{Ask, reference_of};
use crate::content;
use crate::draw::Draw;
use crate::resource::{Facts, Kind, Links};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;

/// Resources of one patient: himself first.
pub(crate) const PER_PATIENT: usize = 100;
/// Slots of encounters; the slots after them are conditions, medication requests, and observations to the end.
pub(crate) const ENCOUNTERS: std::ops::Range<usize> = 1..7;
const CONDITIONS: std::ops::Range<usize> = 7..12;
const MEDICATIONS: std::ops::Range<usize> = 12..20;
/// Patients in one transaction: 500 entries.
const PATIENTS_PER_BUNDLE: usize = 5;
/// Organizations and practitioners that the patients share.
const SHARED: usize = 20;

/// What the server acknowledged about one resource.
#[derive(Clone, Default)]
pub(crate) struct Stored {
    /// Its id.
    pub(crate) id: Rc<str>,
    /// Its last acknowledged version, if the server told.
    pub(crate) version: Option<Box<str>>,
    /// The content of that version.
    pub(crate) fingerprint: u64,
}

/// All resources of the run that searches may find.
pub(crate) struct Population {
    /// What each says.
    pub(crate) facts: Vec<Facts>,
    /// Where each is, in the same order.
    pub(crate) stored: Vec<Stored>,
    /// `Organization/id`.
    pub(crate) organizations: Vec<String>,
    /// `Practitioner/id`.
    pub(crate) practitioners: Vec<String>,
    /// Position of each id.
    positions: HashMap<Rc<str>, u32>,
    serial: u64,
}

impl Population {
    /// At least one patient, and about as many resources as asked for. Serials start at `serial`.
    pub(crate) fn new(resources: usize, seed: u64, serial: u64) -> Self {
        let resources = resources.max(1).next_multiple_of(PER_PATIENT);
        let facts = |position: usize| {
            let mut draw = Draw::new(seed, position as u64);
            Facts::draw(kind_of(position), &mut draw, serial + position as u64)
        };
        Self {
            facts: (0..resources).map(facts).collect(),
            stored: vec![Stored::default(); resources],
            organizations: Vec::new(),
            practitioners: Vec::new(),
            positions: HashMap::with_capacity(resources),
            serial,
        }
    }

    /// Number of transactions that load everything.
    pub(crate) fn bundles(&self) -> usize {
        (self.facts.len() / PER_PATIENT).div_ceil(PATIENTS_PER_BUNDLE)
    }

    /// The positions in one of the transactions.
    pub(crate) fn bundle(&self, bundle: usize) -> std::ops::Range<usize> {
        let size = PATIENTS_PER_BUNDLE * PER_PATIENT;
        (bundle * size).min(self.facts.len())..((bundle + 1) * size).min(self.facts.len())
    }

    /// The transaction of those positions.
    pub(crate) fn transaction(&self, positions: std::ops::Range<usize>) -> Ask {
        let mut body = String::from(r#"{"resourceType":"Bundle","type":"transaction","entry":["#);
        for position in positions {
            let comma = if body.ends_with('[') { "" } else { "," };
            let text = self.facts[position].text(&self.links(position, urn), None, 0);
            let (url, kind) = (urn(position), kind_of(position).name());
            // Writing to a String cannot fail.
            let _ = write!(
                body,
                r#"{comma}{{"fullUrl":"{url}","resource":{text},"request":{{"method":"POST","url":"{kind}"}}}}"#
            );
        }
        body.push_str("]}");
        Ask {
            prefer: Some("return=minimal"),
            ..Ask::send(http::Method::POST, "", body)
        }
    }

    /// Takes note of what a transaction created.
    pub(crate) fn created(
        &mut self,
        positions: std::ops::Range<usize>,
        answer: &[u8],
    ) -> Result<(), String> {
        let created = created(answer, positions.len())?;
        for (position, created) in positions.clone().zip(created) {
            if created.kind != kind_of(position).name() {
                return Err(format!("entry {position} became a {}", created.kind));
            }
            self.remember(
                position,
                created.id.into(),
                created.version.map(String::into),
            );
        }
        for position in positions {
            let text =
                self.facts[position].text(&self.links(position, |of| self.reference(of)), None, 0);
            let content = content::read(text.as_bytes(), &[]).map_err(|error| error.to_string())?;
            self.stored[position].fingerprint = content.fingerprint;
        }
        Ok(())
    }

    /// Takes note of where a resource is.
    pub(crate) fn remember(&mut self, position: usize, id: Rc<str>, version: Option<Box<str>>) {
        self.positions.insert(Rc::clone(&id), position as u32);
        self.stored[position].id = id;
        self.stored[position].version = version;
    }

    /// Shared resources to create first: organizations, then practitioners.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Facts> {
        let kinds = [Kind::Organization, Kind::Practitioner];
        let serial = self.serial;
        kinds.into_iter().flat_map(move |kind| {
            (0..SHARED as u64)
                .map(move |n| Facts::draw(kind, &mut Draw::new(serial, n), serial + n))
        })
    }

    /// Links of a resource, with references to other positions printed by `reference`.
    pub(crate) fn links(&self, position: usize, reference: impl Fn(usize) -> String) -> Links {
        let shared = |list: &[String]| {
            let patient = patient_of(position) / PER_PATIENT;
            list.get(patient % list.len().max(1))
                .cloned()
                .unwrap_or_default()
        };
        Links {
            subject: reference(patient_of(position)),
            encounter: reference(encounter_of(position)),
            organization: shared(&self.organizations),
            practitioner: shared(&self.practitioners),
            result: String::new(),
        }
    }

    /// `Type/id` of a position.
    pub(crate) fn reference(&self, position: usize) -> String {
        format!("{}/{}", kind_of(position).name(), self.stored[position].id)
    }

    /// The position of an id that we loaded.
    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).map(|position| *position as usize)
    }
}

/// The type of the resource at a position.
pub(crate) fn kind_of(position: usize) -> Kind {
    match position % PER_PATIENT {
        0 => Kind::Patient,
        slot if ENCOUNTERS.contains(&slot) => Kind::Encounter,
        slot if CONDITIONS.contains(&slot) => Kind::Condition,
        slot if MEDICATIONS.contains(&slot) => Kind::MedicationRequest,
        _ => Kind::Observation,
    }
}

/// The position of the patient whom a resource belongs to.
pub(crate) fn patient_of(position: usize) -> usize {
    position - position % PER_PATIENT
}

/// The position of the encounter in which something was recorded.
pub(crate) fn encounter_of(position: usize) -> usize {
    patient_of(position) + ENCOUNTERS.start + position % PER_PATIENT % ENCOUNTERS.len()
}

fn urn(position: usize) -> String {
    format!("urn:uuid:5a105be2-0000-4000-8000-{position:012x}")
}

/// One entry of a transaction-response.
pub(crate) struct Created {
    /// The resource's type.
    pub(crate) kind: String,
    /// Its id.
    pub(crate) id: String,
    /// Its version, if told.
    pub(crate) version: Option<String>,
}

/// Reads a transaction-response in which every entry must have been created.
pub(crate) fn created(answer: &[u8], entries: usize) -> Result<Vec<Created>, String> {
    let bundle: Bundle =
        serde_json::from_slice(answer).map_err(|error| format!("transaction-response: {error}"))?;
    if bundle.kind != "transaction-response" || bundle.entry.len() != entries {
        return Err(format!(
            "{} with {} entries for {entries}",
            bundle.kind,
            bundle.entry.len()
        ));
    }
    bundle
        .entry
        .iter()
        .map(|entry| created_by(&entry.response))
        .collect()
}

fn created_by(response: &Response) -> Result<Created, String> {
    if !response.status.starts_with("201") {
        return Err(format!("an entry has status {}", response.status));
    }
    let location = response.location.as_deref().unwrap_or_default();
    let (kind, id) = reference_of(location).ok_or("an entry has no location")?;
    let version = response
        .etag
        .as_deref()
        .map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
    Ok(Created {
        kind: kind.to_owned(),
        id: id.to_owned(),
        version: version.map(str::to_owned),
    })
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    status: String,
    location: Option<String>,
    etag: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_say_what_a_resource_is_and_whom_it_belongs_to() {
        let population = Population::new(150, 1, 0);
        assert_eq!(population.facts.len(), 200);
        assert_eq!(population.bundles(), 1);
        assert_eq!(population.bundle(0), 0..200);
        for position in 0..200 {
            assert_eq!(population.facts[position].kind, kind_of(position));
            assert_eq!(kind_of(patient_of(position)), Kind::Patient);
            assert_eq!(kind_of(encounter_of(position)), Kind::Encounter);
            assert_eq!(patient_of(encounter_of(position)), patient_of(position));
        }
    }

    #[test]
    fn a_transaction_response_must_hold_one_creation_for_each_entry() {
        let entry = r#"{"response":{"status":"201 Created","location":"Patient/7/_history/1","etag":"W/\"1\""}}"#;
        let answer =
            |kind, entries| format!(r#"{{"type":"{kind}","entry":[{entries}]}}"#).into_bytes();
        let good = created(&answer("transaction-response", entry), 1).unwrap();
        assert_eq!(
            (good[0].kind.as_str(), good[0].id.as_str()),
            ("Patient", "7")
        );
        assert_eq!(good[0].version.as_deref(), Some("1"));
        assert!(created(&answer("transaction-response", entry), 2).is_err());
        assert!(created(&answer("batch-response", entry), 1).is_err());
        let updated = entry.replace("201 Created", "200 OK");
        assert!(created(&answer("transaction-response", &updated), 1).is_err());
        let nowhere = entry.replace("Patient/7/_history/1", "");
        assert!(created(&answer("transaction-response", &nowhere), 1).is_err());
    }

    #[test]
    fn a_loaded_bundle_is_remembered_with_resolved_references() {
        let mut population = Population::new(100, 1, 0);
        let entry = |n: usize| {
            let kind = kind_of(n).name();
            format!(r#"{{"response":{{"status":"201","location":"{kind}/i{n}/_history/1"}}}}"#)
        };
        let entries: Vec<String> = (0..100).map(entry).collect();
        let answer = format!(
            r#"{{"type":"transaction-response","entry":[{}]}}"#,
            entries.join(",")
        );
        population.created(0..100, answer.as_bytes()).unwrap();
        assert_eq!(population.position("i42"), Some(42));
        let links = population.links(42, |of| population.reference(of));
        assert_eq!(links.subject, "Patient/i0");
        let stored = population.facts[42].text(&links, Some("i42"), 0);
        let content = content::read(stored.as_bytes(), &[]).unwrap();
        assert_eq!(content.fingerprint, population.stored[42].fingerprint);
    }
}
