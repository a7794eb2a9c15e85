//! Allergies, taken down at the first visit: <https://hl7.org/fhir/R4/allergyintolerance.html>.
//!
//! Nobody is prescribed what they are known not to bear.

use crate::codes::{CONFIRMED, Code, hl7, rxnorm, snomed};
use crate::draw::Draw;
use crate::life::Scene;
use crate::medications::{self, Drug};
use crate::time::{plus_days, plus_months};

/// An allergy, and how it shows.
pub(crate) struct Allergy {
    code: Code,
    category: &'static str,
    criticality: &'static str,
    reactions: &'static [Code],
    severity: &'static str,
    /// Drugs that bring it on.
    forbids: &'static [&'static Drug],
    /// The share of people who have it.
    share: f64,
}

const HIVES: Code = snomed("247472004", "Hives");
const ITCHING: Code = snomed("418290006", "Itching");
const SNEEZING: Code = snomed("76067001", "Sneezing");
const CONGESTION: Code = snomed("68235000", "Nasal congestion");
const RASH: Code = snomed("271807003", "Eruption of skin");
const ANAPHYLAXIS: Code = snomed("39579001", "Anaphylaxis");
const ANGIOEDEMA: Code = snomed("41291007", "Angioedema");

/// Beginning before the first visit of the records, between the ages of one and ten.
#[rustfmt::skip]
const ALLERGIES: &[Allergy] = &[
    Allergy { code: snomed("91936005", "Allergy to penicillin"), category: "medication", criticality: "high", reactions: &[HIVES, ANGIOEDEMA], severity: "moderate", forbids: PENICILLINS, share: 0.06 },
    Allergy { code: rxnorm("1191", "Aspirin"), category: "medication", criticality: "low", reactions: &[RASH], severity: "mild", forbids: SALICYLATES, share: 0.02 },
    Allergy { code: snomed("91935009", "Allergy to peanut"), category: "food", criticality: "high", reactions: &[ANAPHYLAXIS, HIVES], severity: "severe", forbids: &[], share: 0.02 },
    Allergy { code: snomed("91934008", "Nut allergy"), category: "food", criticality: "high", reactions: &[ANGIOEDEMA], severity: "moderate", forbids: &[], share: 0.015 },
    Allergy { code: snomed("232350006", "Allergy to dust mite protein"), category: "environment", criticality: "low", reactions: &[SNEEZING, CONGESTION], severity: "mild", forbids: &[], share: 0.09 },
    Allergy { code: snomed("232347008", "Allergy to animal dander"), category: "environment", criticality: "low", reactions: &[SNEEZING, ITCHING], severity: "mild", forbids: &[], share: 0.06 },
    Allergy { code: snomed("300916003", "Allergy to latex"), category: "environment", criticality: "low", reactions: &[ITCHING], severity: "mild", forbids: &[], share: 0.01 },
];

const PENICILLINS: &[&Drug] = &[
    &medications::AMOXICILLIN,
    &medications::AMOXICILLIN_CLAVULANATE,
    &medications::PENICILLIN_V,
];
const SALICYLATES: &[&Drug] = &[
    &medications::ASPIRIN,
    &medications::IBUPROFEN,
    &medications::NAPROXEN,
];

/// Before this age, in years, nothing is known yet: such patients have no allergies on record.
const KNOWN_FROM: f64 = 1.2;

/// The allergies somebody is going to have.
pub(crate) fn draw(draw: &mut Draw) -> Vec<&'static Allergy> {
    ALLERGIES
        .iter()
        .filter(|allergy| draw.chance(allergy.share))
        .collect()
}

/// Whether somebody with these allergies must not take the drug.
pub(crate) fn forbid(allergies: &[&Allergy], drug: &Drug) -> bool {
    let mut forbidden = allergies.iter().flat_map(|allergy| allergy.forbids);
    forbidden.any(|forbidden| forbidden.is(drug))
}

pub(crate) fn record(scene: &mut Scene) {
    if scene.is_first() && scene.age >= KNOWN_FROM {
        for allergy in &scene.story.person.allergies {
            write(scene, allergy);
        }
    }
}

fn write(scene: &mut Scene, allergy: &'static Allergy) {
    let born = scene.story.person.born;
    let oldest = ((scene.age - 1.0) * 365.0).min(9.0 * 365.0) as i64;
    let onset = plus_days(
        plus_months(born, 12),
        scene.draw.between(0, oldest.max(1) - 1),
    );
    let (patient, encounter) = (scene.story.subject(), scene.visit.target());
    let (at, clinician) = (scene.visit.during(8), scene.visit.clinician);
    scene.chart.add("AllergyIntolerance", |w| {
        w.profile("us-core-allergyintolerance");
        w.concept(
            "clinicalStatus",
            hl7!("allergyintolerance-clinical", "active", "Active"),
        );
        w.concept(
            "verificationStatus",
            Code {
                system: "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
                ..CONFIRMED
            },
        );
        w.string("type", "allergy");
        w.strings("category", &[allergy.category]);
        w.string("criticality", allergy.criticality);
        w.concept_of("code", &[allergy.code]);
        w.reference("patient", patient);
        w.reference("encounter", encounter);
        w.date("onsetDateTime", onset);
        w.moment("recordedDate", at);
        w.reference_named("recorder", clinician.practitioner(), clinician.display);
        w.list("reaction", |w| {
            w.element(|w| {
                w.list("manifestation", |w| {
                    allergy
                        .reactions
                        .iter()
                        .for_each(|code| w.concept_element(*code));
                });
                w.string("severity", allergy.severity);
            });
        });
    });
}
