//! Vital signs: <https://hl7.org/fhir/R4/observation-vitalsigns.html>.

use crate::codes::{
    CENTIMETRE, Code, DEGREE_CELSIUS, KILOGRAM, KILOGRAM_PER_SQUARE_METRE, MILLIMETRE_OF_MERCURY,
    PER_MINUTE, PERCENT, Unit, VITAL_SIGNS, loinc,
};
use crate::encounters::Setting;
use crate::illnesses::{Course, Disease};
use crate::life::Scene;
use crate::write::{Decimal, Writer};

const HEIGHT: Code = loinc("8302-2", "Body height");
const WEIGHT: Code = loinc("29463-7", "Body weight");
const BMI: Code = loinc("39156-5", "Body mass index (BMI) [Ratio]");
const HEAD: Code = loinc("9843-4", "Head Occipital-frontal circumference");
const BLOOD_PRESSURE: Code = loinc("85354-9", "Blood pressure panel with all children optional");
const SYSTOLIC: Code = loinc("8480-6", "Systolic blood pressure");
const DIASTOLIC: Code = loinc("8462-4", "Diastolic blood pressure");
const HEART_RATE: Code = loinc("8867-4", "Heart rate");
const BREATHS: Code = loinc("9279-1", "Respiratory rate");
const TEMPERATURE: Code = loinc("8310-5", "Body temperature");
const SATURATION: Code = loinc(
    "59408-5",
    "Oxygen saturation in Arterial blood by Pulse oximetry",
);

/// What was measured at a visit.
pub(crate) struct Readings {
    pub(crate) weight_kg: Decimal,
    pub(crate) temperature: Decimal,
    /// Systolic and diastolic; children under three are not measured.
    pub(crate) blood_pressure: Option<(Decimal, Decimal)>,
}

/// Measures: size and weight at routine visits, the rest at every visit.
pub(crate) fn record(scene: &mut Scene) -> Readings {
    let weight_kg = record_size(scene);
    let blood_pressure = (scene.age >= 3.0).then(|| record_blood_pressure(scene));
    let fever = has_fever(scene);
    let body = &scene.story.person.body;
    let (heart_rate, breaths) = (body.heart_rate(scene.age), body.breaths(scene.age));
    let irregular = if scene.has(Disease::AtrialFibrillation) {
        9.0
    } else {
        0.0
    };
    let rate = scene.draw.around(heart_rate + irregular + fever * 9.0, 5.0);
    measure(scene, HEART_RATE, Decimal::rounded(rate, 0), PER_MINUTE);
    let breathing = scene.draw.around(breaths + fever * 2.0, 1.3);
    measure(scene, BREATHS, Decimal::rounded(breathing, 0), PER_MINUTE);
    let temperature = Decimal::rounded(scene.draw.around(36.8 + fever, 0.2), 1);
    measure(scene, TEMPERATURE, temperature, DEGREE_CELSIUS);
    let saturation = saturation(scene);
    measure(scene, SATURATION, saturation, PERCENT);
    Readings {
        weight_kg,
        temperature,
        blood_pressure,
    }
}

/// Height, weight and their ratio, which is computed from what was written down.
fn record_size(scene: &mut Scene) -> Decimal {
    let body = &scene.story.person.body;
    let (height, bmi) = (body.height_cm(scene.age), body.bmi(scene.age));
    let head = body.head_cm(scene.age);
    let height_cm = Decimal::rounded(height, 1);
    let metres = height_cm.value() / 100.0;
    let weight = bmi * metres * metres * scene.draw.around(1.0, 0.012);
    let weight_kg = Decimal::rounded(weight, 1);
    if !matches!(
        scene.visit.setting,
        Setting::Wellness | Setting::FollowUp | Setting::Inpatient
    ) {
        return weight_kg;
    }
    measure(scene, HEIGHT, height_cm, CENTIMETRE);
    measure(scene, WEIGHT, weight_kg, KILOGRAM);
    if scene.age >= 2.0 {
        let bmi = Decimal::rounded(weight_kg.value() / (metres * metres), 1);
        measure(scene, BMI, bmi, KILOGRAM_PER_SQUARE_METRE);
    } else {
        let head_cm = Decimal::rounded(scene.draw.around(head, 0.4), 1);
        measure(scene, HEAD, head_cm, CENTIMETRE);
    }
    weight_kg
}

fn record_blood_pressure(scene: &mut Scene) -> (Decimal, Decimal) {
    let story = scene.story;
    let (age, date) = (scene.age, scene.date());
    let obesity = if story.person.body.bmi(age) > 30.0 {
        3.0
    } else {
        0.0
    };
    let hypertension = match (
        story.has(Disease::Hypertension, date),
        story.is_treated(Disease::Hypertension, date),
    ) {
        (false, _) => 0.0,
        (true, false) => 30.0,
        (true, true) => 11.0,
    };
    let expected = story.person.body.systolic(age) + obesity + hypertension;
    let systolic = Decimal::rounded(scene.draw.around(expected, 5.0), 0);
    let share = scene
        .draw
        .around(if age < 18.0 { 0.60 } else { 0.645 }, 0.02);
    let diastolic = Decimal::rounded(systolic.value() * share, 0);
    let at = scene.visit.during(5);
    scene.observe(VITAL_SIGNS, BLOOD_PRESSURE, at, |w| {
        w.list("component", |w| {
            for (code, value) in [(SYSTOLIC, systolic), (DIASTOLIC, diastolic)] {
                w.element(|w| component(w, code, value, MILLIMETRE_OF_MERCURY));
            }
        });
    });
    (systolic, diastolic)
}

fn component(w: &mut Writer, code: Code, value: Decimal, unit: Unit) {
    w.concept("code", code);
    w.quantity("valueQuantity", value, unit);
}

/// Degrees above normal.
fn has_fever(scene: &mut Scene) -> f64 {
    let date = scene.date();
    let feverish = scene.story.problems.iter().any(|problem| {
        matches!(problem.illness.course, Course::Acute { fever: true, .. })
            && problem.lasts_on(date)
            && problem.days_old(date) < 7
    });
    if feverish {
        scene.draw.around(1.5, 0.35).max(0.4)
    } else {
        0.0
    }
}

fn saturation(scene: &mut Scene) -> Decimal {
    let lungs = if scene.has(Disease::Copd) { 3.5 } else { 0.0 };
    let pneumonia = if scene.has(Disease::Pneumonia) {
        5.0
    } else {
        0.0
    };
    let value = scene.draw.around(98.0 - lungs - pneumonia, 0.7).min(100.0);
    Decimal::rounded(value, 0)
}

fn measure(scene: &mut Scene, code: Code, value: Decimal, unit: Unit) {
    let at = scene.visit.during(5);
    scene.observe(VITAL_SIGNS, code, at, |w| {
        w.quantity("valueQuantity", value, unit)
    });
}
