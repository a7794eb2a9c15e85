//! Lives made of recognisable values, to find out where protected health information leaks to.
//!
//! Every field that could tell something about somebody (45 CFR 164.514(b)(2) lists the kinds)
//! holds a value found nowhere else: store the bundle, use the server, then look for the values
//! where none may be, such as logs, errors and files on disk.

use crate::chart::{Chart, Form, Target};
use crate::codes::{ACTIVE, CONFIRMED, VITAL_SIGNS, hl7};
use crate::draw::Draw;
use crate::notes::push_base64;
use crate::write::Writer;

/// A bundle of marked resources and the values to look for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Markers {
    /// A transaction Bundle, valid R4, that can be loaded like any other.
    pub bundle: String,
    /// What must not appear elsewhere: texts, dates, numbers and encoded forms, as written.
    pub values: Vec<String>,
}

/// The marked resources of a seed: different seeds have no text in common.
pub fn markers(seed: u64) -> Markers {
    let mut chart = Chart::new(Form::Transaction, Draw::new(seed, u64::MAX - 1));
    let mut marks = Marks::new(seed);
    let patient = chart.new_id();
    let subject = Target::Own("Patient", patient);
    for (kind, write) in KINDS {
        let id = if *kind == "Patient" {
            patient
        } else {
            chart.new_id()
        };
        chart.add_as(kind, id, |w| write(w, &mut marks, subject));
    }
    Markers {
        bundle: chart.finish().0,
        values: marks.values,
    }
}

type Write = fn(&mut Writer, &mut Marks, Target);

const KINDS: &[(&str, Write)] = &[
    ("Patient", patient),
    ("RelatedPerson", related_person),
    ("Practitioner", practitioner),
    ("Organization", organization),
    ("Encounter", encounter),
    ("Condition", condition),
    ("Observation", observation),
    ("AllergyIntolerance", allergy),
    ("MedicationRequest", medication_request),
    ("Immunization", immunization),
    ("Procedure", procedure),
    ("DocumentReference", document),
    ("Communication", communication),
    ("Coverage", coverage),
    ("FamilyMemberHistory", family),
    ("QuestionnaireResponse", questionnaire_response),
    ("ServiceRequest", service_request),
    ("Binary", binary),
];

/// Makes values and remembers them.
struct Marks {
    draw: Draw,
    values: Vec<String>,
}

impl Marks {
    fn new(seed: u64) -> Marks {
        Marks {
            draw: Draw::new(seed, u64::MAX - 2),
            values: Vec::new(),
        }
    }

    fn text(&mut self) -> String {
        let text = format!("PHIMARK-{:016x}", self.draw.below(u64::MAX));
        self.keep(text)
    }

    /// A day of years that nobody alive and no clock of ours remembers.
    fn date(&mut self) -> String {
        let (year, month) = (self.draw.between(1801, 1879), self.draw.between(1, 12));
        let date = format!("{year}-{month:02}-{:02}", self.draw.between(1, 28));
        self.keep(date)
    }

    fn moment(&mut self) -> String {
        let minutes = self.draw.between(10, 59);
        format!("{}T11:{minutes}:07.123-05:00", self.date())
    }

    /// Digits that no count, size or time is likely to show.
    fn number(&mut self) -> String {
        let (whole, fraction) = (
            self.draw.between(40_000, 99_999),
            self.draw.between(100_001, 999_999),
        );
        self.keep(format!("{whole}.{fraction}"))
    }

    /// A text in base64: it must be found neither encoded nor decoded.
    fn base64(&mut self) -> String {
        let text = self.text();
        let mut encoded = String::new();
        push_base64(text.as_bytes(), &mut encoded);
        self.keep(encoded)
    }

    fn keep(&mut self, value: String) -> String {
        self.values.push(value.clone());
        value
    }
}

fn patient(w: &mut Writer, m: &mut Marks, _: Target) {
    narrative(w, m);
    w.list("extension", |w| {
        w.element(|w| {
            w.string(
                "url",
                "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
            );
            w.string("valueString", &m.text());
        });
    });
    identifier(w, m);
    names(w, m);
    telecom(w, m);
    w.string("gender", "other");
    w.string("birthDate", &m.date());
    w.string("deceasedDateTime", &m.moment());
    addresses(w, m);
    concept(w, "maritalStatus", m);
    w.list("photo", |w| w.element(|w| attachment(w, m)));
    w.list("contact", |w| {
        w.element(|w| {
            w.object("name", |w| name(w, m));
            telecom(w, m);
            w.object("address", |w| address(w, m));
        });
    });
    w.list("generalPractitioner", |w| {
        w.element(|w| w.string("display", &m.text()))
    });
}

fn related_person(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    named_reference(w, "patient", subject, m);
    names(w, m);
    telecom(w, m);
    w.string("birthDate", &m.date());
    addresses(w, m);
}

fn practitioner(w: &mut Writer, m: &mut Marks, _: Target) {
    identifier(w, m);
    names(w, m);
    telecom(w, m);
    addresses(w, m);
}

fn organization(w: &mut Writer, m: &mut Marks, _: Target) {
    identifier(w, m);
    w.string("name", &m.text());
    w.strings("alias", &[&m.text()]);
    telecom(w, m);
    addresses(w, m);
}

fn encounter(w: &mut Writer, m: &mut Marks, subject: Target) {
    narrative(w, m);
    identifier(w, m);
    w.string("status", "finished");
    w.coding("class", hl7!("v3-ActCode", "AMB", "ambulatory"));
    concepts(w, "type", m);
    named_reference(w, "subject", subject, m);
    period(w, "period", m);
    concepts(w, "reasonCode", m);
}

fn condition(w: &mut Writer, m: &mut Marks, subject: Target) {
    narrative(w, m);
    identifier(w, m);
    w.concept("clinicalStatus", ACTIVE);
    w.concept("verificationStatus", CONFIRMED);
    concept(w, "code", m);
    concepts(w, "bodySite", m);
    named_reference(w, "subject", subject, m);
    w.string("onsetDateTime", &m.moment());
    w.string("recordedDate", &m.moment());
    notes(w, m);
}

fn observation(w: &mut Writer, m: &mut Marks, subject: Target) {
    narrative(w, m);
    identifier(w, m);
    w.string("status", "final");
    w.concepts("category", VITAL_SIGNS);
    concept(w, "code", m);
    named_reference(w, "subject", subject, m);
    w.string("effectiveDateTime", &m.moment());
    quantity(w, "valueQuantity", m);
    notes(w, m);
    w.list("component", |w| {
        w.element(|w| {
            concept(w, "code", m);
            w.string("valueString", &m.text());
        });
    });
}

fn allergy(w: &mut Writer, m: &mut Marks, subject: Target) {
    let status = hl7!("allergyintolerance-clinical", "active", "Active");
    identifier(w, m);
    w.concept("clinicalStatus", status);
    w.concept(
        "verificationStatus",
        hl7!("allergyintolerance-verification", "confirmed", "Confirmed"),
    );
    concept(w, "code", m);
    named_reference(w, "patient", subject, m);
    w.string("onsetString", &m.text());
    w.string("recordedDate", &m.moment());
    notes(w, m);
    w.list("reaction", |w| {
        w.element(|w| {
            concepts(w, "manifestation", m);
            w.string("description", &m.text());
        });
    });
}

fn medication_request(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "active");
    w.string("intent", "order");
    concept(w, "medicationCodeableConcept", m);
    named_reference(w, "subject", subject, m);
    w.string("authoredOn", &m.moment());
    notes(w, m);
    w.list("dosageInstruction", |w| {
        w.element(|w| {
            w.string("text", &m.text());
            w.string("patientInstruction", &m.text());
        });
    });
}

fn immunization(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "completed");
    concept(w, "vaccineCode", m);
    named_reference(w, "patient", subject, m);
    w.string("occurrenceDateTime", &m.moment());
    w.string("lotNumber", &m.text());
    w.string("expirationDate", &m.date());
    notes(w, m);
}

fn procedure(w: &mut Writer, m: &mut Marks, subject: Target) {
    narrative(w, m);
    identifier(w, m);
    w.string("status", "completed");
    concept(w, "code", m);
    named_reference(w, "subject", subject, m);
    period(w, "performedPeriod", m);
    concept(w, "outcome", m);
    notes(w, m);
}

fn document(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "current");
    concept(w, "type", m);
    named_reference(w, "subject", subject, m);
    w.string("date", &m.moment());
    w.string("description", &m.text());
    w.list("content", |w| {
        w.element(|w| w.object("attachment", |w| attachment(w, m)))
    });
}

fn communication(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "completed");
    named_reference(w, "subject", subject, m);
    concept(w, "topic", m);
    w.string("sent", &m.moment());
    w.list("payload", |w| {
        w.element(|w| w.string("contentString", &m.text()))
    });
    notes(w, m);
}

fn coverage(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "active");
    named_reference(w, "subscriber", subject, m);
    w.string("subscriberId", &m.text());
    named_reference(w, "beneficiary", subject, m);
    w.string("dependent", &m.text());
    period(w, "period", m);
    w.list("payor", |w| w.element(|w| w.string("display", &m.text())));
    w.list("class", |w| {
        w.element(|w| {
            concept(w, "type", m);
            w.string("value", &m.text());
            w.string("name", &m.text());
        });
    });
    w.string("network", &m.text());
}

fn family(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "completed");
    named_reference(w, "patient", subject, m);
    w.string("name", &m.text());
    concept(w, "relationship", m);
    w.string("bornDate", &m.date());
    notes(w, m);
    w.list("condition", |w| {
        w.element(|w| {
            concept(w, "code", m);
            w.string("onsetString", &m.text());
        });
    });
}

fn questionnaire_response(w: &mut Writer, m: &mut Marks, subject: Target) {
    w.string("status", "completed");
    named_reference(w, "subject", subject, m);
    w.string("authored", &m.moment());
    w.list("item", |w| {
        w.element(|w| {
            w.string("linkId", "1");
            w.string("text", &m.text());
            w.list("answer", |w| {
                w.element(|w| w.string("valueString", &m.text()))
            });
        });
        w.element(|w| {
            w.string("linkId", "2");
            w.list("answer", |w| {
                w.element(|w| w.string("valueDate", &m.date()))
            });
        });
    });
}

fn service_request(w: &mut Writer, m: &mut Marks, subject: Target) {
    identifier(w, m);
    w.string("status", "active");
    w.string("intent", "order");
    concept(w, "code", m);
    named_reference(w, "subject", subject, m);
    w.string("occurrenceDateTime", &m.moment());
    concepts(w, "reasonCode", m);
    w.string("patientInstruction", &m.text());
    notes(w, m);
}

fn binary(w: &mut Writer, m: &mut Marks, subject: Target) {
    w.string("contentType", "text/plain");
    w.reference("securityContext", subject);
    w.string("data", &m.base64());
}

fn narrative(w: &mut Writer, m: &mut Marks) {
    w.narrative(&m.text());
}

fn identifier(w: &mut Writer, m: &mut Marks) {
    w.list("identifier", |w| {
        w.element(|w| {
            w.joined("system", &["https://example.org/", &m.text()]);
            w.string("value", &m.text());
        });
    });
}

fn names(w: &mut Writer, m: &mut Marks) {
    w.list("name", |w| w.element(|w| name(w, m)));
}

fn name(w: &mut Writer, m: &mut Marks) {
    w.string("text", &m.text());
    w.string("family", &m.text());
    w.strings("given", &[&m.text(), &m.text()]);
    w.strings("suffix", &[&m.text()]);
}

fn telecom(w: &mut Writer, m: &mut Marks) {
    w.list("telecom", |w| {
        for system in ["phone", "email", "url"] {
            w.element(|w| {
                w.string("system", system);
                w.string("value", &m.text());
            });
        }
    });
}

fn addresses(w: &mut Writer, m: &mut Marks) {
    w.list("address", |w| w.element(|w| address(w, m)));
}

fn address(w: &mut Writer, m: &mut Marks) {
    w.string("text", &m.text());
    w.strings("line", &[&m.text()]);
    for part in ["city", "district", "state", "postalCode", "country"] {
        w.string(part, &m.text());
    }
}

fn concept(w: &mut Writer, key: &str, m: &mut Marks) {
    w.object(key, |w| concept_members(w, m));
}

fn concepts(w: &mut Writer, key: &str, m: &mut Marks) {
    w.list(key, |w| w.element(|w| concept_members(w, m)));
}

fn concept_members(w: &mut Writer, m: &mut Marks) {
    w.list("coding", |w| {
        w.element(|w| {
            w.string("system", "https://example.org/codes");
            w.string("code", &m.text());
            w.string("display", &m.text());
        });
    });
    w.string("text", &m.text());
}

fn named_reference(w: &mut Writer, key: &str, target: Target, m: &mut Marks) {
    w.reference_named(key, target, &m.text());
}

fn period(w: &mut Writer, key: &str, m: &mut Marks) {
    // The start must not lie after the end.
    let mut ends = [m.moment(), m.moment()];
    ends.sort();
    w.object(key, |w| {
        w.string("start", &ends[0]);
        w.string("end", &ends[1]);
    });
}

fn quantity(w: &mut Writer, key: &str, m: &mut Marks) {
    w.object(key, |w| {
        w.number_text("value", &m.number());
        w.string("unit", &m.text());
    });
}

fn notes(w: &mut Writer, m: &mut Marks) {
    w.list("note", |w| {
        w.element(|w| {
            w.string("authorString", &m.text());
            w.string("time", &m.moment());
            w.string("text", &m.text());
        });
    });
}

fn attachment(w: &mut Writer, m: &mut Marks) {
    w.string("contentType", "text/plain");
    w.string("data", &m.base64());
    w.joined("url", &["https://example.org/", &m.text()]);
    w.string("title", &m.text());
    w.string("creation", &m.moment());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_marker_is_in_the_bundle_once_and_is_valid_json() {
        let marked = markers(1);
        let bundle: serde_json::Value = serde_json::from_str(&marked.bundle).unwrap();
        let entries = bundle["entry"].as_array().unwrap();
        assert_eq!(entries.len(), KINDS.len());
        assert!(marked.values.len() > 200);
        let mut seen = HashSet::new();
        for value in &marked.values {
            assert!(seen.insert(value), "{value}");
        }
        // A text that is only there encoded cannot be found as it is.
        let hidden = marked
            .values
            .iter()
            .filter(|value| !marked.bundle.contains(*value))
            .count();
        let encoded = KINDS
            .iter()
            .filter(|(kind, _)| matches!(*kind, "Patient" | "DocumentReference" | "Binary"));
        assert_eq!(hidden, encoded.count());
    }

    #[test]
    fn seeds_have_no_marker_in_common() {
        let texts = |seed| -> HashSet<String> {
            let values = markers(seed).values.into_iter();
            values
                .filter(|value| value.starts_with("PHIMARK"))
                .collect()
        };
        assert!(texts(1).is_disjoint(&texts(2)));
    }
}
