//! How people live: tobacco, food, movement, worries, and what runs in the family.
//! <https://hl7.org/fhir/R4/observation.html>, <https://hl7.org/fhir/R4/familymemberhistory.html>

use crate::codes::{ACTIVITY, Code, SOCIAL_HISTORY, SURVEY, hl7, loinc, snomed, unit};
use crate::encounters::Setting;
use crate::illnesses::{CHRONIC, Disease};
use crate::life::Scene;
use crate::person::Smoking;
use crate::write::Decimal;

const SMOKING: Code = loinc("72166-2", "Tobacco smoking status");
const NEVER: Code = snomed("266919005", "Never smoked tobacco");
const FORMER: Code = snomed("8517006", "Ex-smoker");
const DAILY: Code = snomed("449868002", "Smokes tobacco daily");

const STEPS: Code = loinc("41950-7", "Number of steps in 24 hour Measured");
const EXERCISE_DAYS: Code = loinc(
    "89555-7",
    "How many days per week did you engage in moderate to strenuous physical activity in the last 30 days",
);
const CALORIES: Code = loinc("9052-2", "Calorie intake total");
const FOOD_WORRY: Code = loinc(
    "88122-7",
    "Within the past 12 months we worried whether our food would run out before we got money to buy more [U.S. FSS]",
);
const ALCOHOL: Code = loinc("75626-2", "Total score [AUDIT-C]");

const FOOD_ANSWERS: &[(u32, Code)] = &[
    (82, loinc("LA28398-8", "Never true")),
    (13, loinc("LA6729-3", "Sometimes true")),
    (5, loinc("LA28397-0", "Often true")),
];

const RELATIVES: &[Code] = &[
    hl7!("v3-RoleCode", "MTH", "mother"),
    hl7!("v3-RoleCode", "FTH", "father"),
    hl7!("v3-RoleCode", "SIS", "sister"),
    hl7!("v3-RoleCode", "BRO", "brother"),
];

/// What relatives are asked about.
const HEREDITARY: &[Disease] = &[
    Disease::Diabetes,
    Disease::Hypertension,
    Disease::Hyperlipidemia,
    Disease::Arteriosclerosis,
    Disease::Asthma,
    Disease::Migraine,
];

/// Asks at yearly visits; the family's history once.
pub(crate) fn record(scene: &mut Scene) {
    if scene.is_first() {
        family(scene);
    }
    if !scene.is(Setting::Wellness) {
        return;
    }
    if scene.age >= 12.0 {
        smoking(scene);
        movement(scene);
    }
    if scene.age >= 18.0 {
        food(scene);
        alcohol(scene);
    }
}

fn smoking(scene: &mut Scene) {
    let age = scene.age as i64;
    let status = match scene.story.person.smoking {
        Smoking::Daily { from_age } if age >= from_age => DAILY,
        Smoking::Former { from_age, to_age } if (from_age..to_age).contains(&age) => DAILY,
        Smoking::Former { to_age, .. } if age >= to_age => FORMER,
        Smoking::Never | Smoking::Daily { .. } | Smoking::Former { .. } => NEVER,
    };
    let at = scene.visit.during(6);
    scene.observe(SOCIAL_HISTORY, SMOKING, at, |w| {
        w.concept("valueCodeableConcept", status)
    });
}

fn movement(scene: &mut Scene) {
    let at = scene.visit.during(6);
    let slowed = scene.has(Disease::Obesity) || scene.has(Disease::Osteoarthritis);
    let usual = if slowed { 4800.0 } else { 7600.0 } - (scene.age - 60.0).max(0.0) * 60.0;
    let steps = Decimal::rounded(scene.draw.around(usual, 1200.0).max(300.0), 0);
    let steps_a_day = unit("{steps}/d", "steps per day");
    scene.observe(ACTIVITY, STEPS, at, |w| {
        w.quantity("valueQuantity", steps, steps_a_day)
    });
    let days = Decimal::rounded((steps.value() / 1700.0).min(7.0), 0);
    let days_a_week = unit("d/wk", "days per week");
    scene.observe(ACTIVITY, EXERCISE_DAYS, at, |w| {
        w.quantity("valueQuantity", days, days_a_week);
    });
}

fn food(scene: &mut Scene) {
    let at = scene.visit.during(7);
    let answer = *scene.draw.weighted(FOOD_ANSWERS);
    scene.observe(SURVEY, FOOD_WORRY, at, |w| {
        w.concept("valueCodeableConcept", answer)
    });
    // What keeps the weight: about 31 kcal for each kilogram that a healthy body of the same
    // height would weigh, more for heavier ones.
    let body = &scene.story.person.body;
    let metres = body.height_cm(scene.age) / 100.0;
    let expected = (23.0 + body.bmi(scene.age)) / 2.0 * metres * metres * 28.0;
    let calories = Decimal::rounded(scene.draw.around(expected, 140.0), 0);
    let a_day = unit("kcal/(24.h)", "kcal per day");
    scene.observe(SOCIAL_HISTORY, CALORIES, at, |w| {
        w.quantity("valueQuantity", calories, a_day)
    });
}

fn alcohol(scene: &mut Scene) {
    let at = scene.visit.during(7);
    let score = Decimal::rounded(scene.draw.around(2.2, 1.5).clamp(0.0, 12.0), 0);
    let points = unit("{score}", "score");
    scene.observe(SURVEY, ALCOHOL, at, |w| {
        w.quantity("valueQuantity", score, points)
    });
}

fn family(scene: &mut Scene) {
    let count = scene.draw.below(3) as usize;
    for relative in &RELATIVES[..count] {
        let disease = *scene.draw.pick(HEREDITARY);
        let Some(illness) = CHRONIC.iter().find(|illness| illness.disease == disease) else {
            continue;
        };
        let onset = scene
            .draw
            .between(i64::from(illness.ages.0), i64::from(illness.ages.1));
        let (patient, at) = (scene.story.subject(), scene.visit.during(9));
        scene.chart.add("FamilyMemberHistory", |w| {
            w.string("status", "completed");
            w.reference("patient", patient);
            w.moment("date", at);
            w.concept("relationship", *relative);
            w.list("condition", |w| {
                w.element(|w| {
                    w.concept_of("code", &[illness.snomed]);
                    w.object("onsetAge", |w| {
                        w.quantity_members(Decimal::rounded(onset as f64, 0), unit("a", "years"));
                    });
                });
            });
        });
    }
}
