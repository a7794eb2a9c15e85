//! What is done to patients: <https://hl7.org/fhir/R4/procedure.html>.

use crate::body::Sex;
use crate::chart::Target;
use crate::codes::{Code, snomed};
use crate::encounters::Setting;
use crate::illnesses::Disease;
use crate::life::Scene;

/// A treatment of an acute illness, at the visit that found it.
const TREATMENTS: &[(Disease, Code, i64)] = &[
    (
        Disease::Appendicitis,
        snomed("80146002", "Appendectomy"),
        740_000,
    ),
    (
        Disease::Infarction,
        snomed("415070008", "Percutaneous coronary intervention"),
        1_490_000,
    ),
    (Disease::Infarction, ELECTROCARDIOGRAM, 9_200),
    (Disease::Stroke, ELECTROCARDIOGRAM, 9_200),
    (
        Disease::Pneumonia,
        snomed("399208008", "Plain X-ray of chest"),
        14_800,
    ),
    (
        Disease::HandLaceration,
        snomed("288086009", "Suture open wound"),
        31_000,
    ),
    (
        Disease::ForearmFracture,
        snomed("274474001", "Bone immobilization"),
        42_500,
    ),
];

const ELECTROCARDIOGRAM: Code = snomed("29303009", "Electrocardiographic procedure");
const ECHOCARDIOGRAM: Code = snomed("40701008", "Echocardiography");
const COLONOSCOPY: Code = snomed("73761001", "Colonoscopy");
const MAMMOGRAM: Code = snomed("24623002", "Screening mammography");
const DEPRESSION_SCREENING: Code = snomed("171207006", "Depression screening");
const MEDICATION_REVIEW: Code = snomed("430193006", "Medication reconciliation");

/// Treatments of what was found at this visit, and screenings by age.
pub(crate) fn record(scene: &mut Scene) {
    let story = scene.story;
    for problem in story.problems_of(scene.visit_number) {
        for (_, code, cents) in TREATMENTS
            .iter()
            .filter(|(d, ..)| *d == problem.illness.disease)
        {
            perform(
                scene,
                *code,
                *cents,
                Some(Target::Own("Condition", problem.id)),
            );
        }
        let heart = [
            Disease::HeartFailure,
            Disease::AtrialFibrillation,
            Disease::Arteriosclerosis,
        ];
        if heart.contains(&problem.illness.disease) {
            perform(
                scene,
                ECHOCARDIOGRAM,
                98_000,
                Some(Target::Own("Condition", problem.id)),
            );
        }
    }
    if scene.is(Setting::Wellness) {
        screen(scene);
    }
    let date = scene.date();
    let takes_drugs = story.problems.iter().any(|problem| {
        problem.is_chronic() && problem.lasts_on(date) && !problem.illness.drugs.is_empty()
    });
    if scene.is(Setting::FollowUp) && takes_drugs {
        perform(scene, MEDICATION_REVIEW, 3_800, None);
    }
}

fn screen(scene: &mut Scene) {
    let age = scene.age;
    if age >= 12.0 {
        perform(scene, DEPRESSION_SCREENING, 2_200, None);
    }
    if (50.0..75.0).contains(&age) && scene.draw.chance(0.1) {
        perform(scene, COLONOSCOPY, 115_000, None);
    }
    if scene.story.person.sex == Sex::Female
        && (45.0..75.0).contains(&age)
        && scene.draw.chance(0.5)
    {
        perform(scene, MAMMOGRAM, 26_500, None);
    }
}

fn perform(scene: &mut Scene, code: Code, cents: i64, reason: Option<Target>) {
    scene.bill.add(code, cents);
    let (subject, encounter) = (scene.story.subject(), scene.visit.target());
    let (start, end) = (scene.visit.during(14), scene.visit.during(28));
    let (clinician, site) = (scene.visit.clinician, scene.visit.site);
    scene.chart.add("Procedure", |w| {
        w.profile("us-core-procedure");
        w.string("status", "completed");
        w.concept_of("code", &[code]);
        w.reference("subject", subject);
        w.reference("encounter", encounter);
        w.period("performedPeriod", start, end);
        w.list("performer", |w| {
            w.element(|w| {
                w.reference_named("actor", clinician.practitioner(), clinician.display);
            });
        });
        w.reference_named("location", site.location(), site.name);
        if let Some(reason) = reason {
            w.references("reasonReference", &[reason]);
        }
    });
}
