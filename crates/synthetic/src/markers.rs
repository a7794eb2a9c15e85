//! Lives made of recognisable values, to find out where protected health information leaks to.
//!
//! Every field that could tell something about somebody (45 CFR 164.514(b)(2) lists the kinds)
//! holds a value found nowhere else: store the bundle, use the server, then look for the values
//! where none may be, such as logs, errors and files on disk.

mod fields;

use crate::chart::{Chart, Form, Target};
use crate::codes::{ACTIVE, CONFIRMED, VITAL_SIGNS, hl7};
use crate::draw::Draw;
use crate::write::Writer;
use fields::{
    Marks, address, addresses, attachment, concept, concepts, identifier, name, named_reference,
    names, narrative, notes, period, quantity, telecom,
};

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
