//! Laboratory results in panels: <https://hl7.org/fhir/R4/diagnosticreport.html>.
//!
//! Values follow the illnesses and each other (LDL from the other lipids, the red cell indices
//! from their counts); the flag is read from the value as written, against the range as written.

use jiff::civil::Date;

use crate::body::Sex;
use crate::chart::Target;
use crate::codes::{Code, HIGH, LABORATORY, LOW, NORMAL, hl7};
use crate::directory;
use crate::encounters::Setting;
use crate::illnesses::Disease;
use crate::life::Scene;
use crate::panels::{ALBUMIN, Analyte, BLOOD_COUNT, GLYCATED, LIPIDS, METABOLIC, Panel, THYROID};
use crate::time::days_between;
use crate::write::{Decimal, Writer};

/// When the yearly panels were last taken.
#[derive(Default)]
pub(crate) struct Record {
    metabolic: Option<Date>,
    lipids: Option<Date>,
}

/// Orders what the visit calls for.
pub(crate) fn record(scene: &mut Scene, last: &mut Record) {
    let routine = matches!(scene.visit.setting, Setting::Wellness | Setting::FollowUp);
    let acute = scene.is(Setting::Inpatient);
    let date = scene.date();
    let due = |last: Option<Date>, days| last.is_none_or(|last| days_between(last, date) >= days);
    let diabetic = scene.has(Disease::Diabetes) || scene.has(Disease::Prediabetes);
    if acute || (routine && scene.age >= 18.0 && due(last.metabolic, 300)) {
        last.metabolic = Some(date);
        let values = metabolic(scene);
        report(scene, &METABOLIC, &values);
        let values = blood_count(scene);
        report(scene, &BLOOD_COUNT, &values);
    }
    if routine && scene.age >= 35.0 && due(last.lipids, 700) {
        last.lipids = Some(date);
        let values = lipids(scene);
        report(scene, &LIPIDS, &values);
    }
    if routine && diabetic {
        let value = glycated(scene);
        report(scene, &GLYCATED, &[value]);
    }
    if routine && scene.has(Disease::Hypothyroidism) {
        let value = thyrotropin(scene);
        report(scene, &THYROID, &[value]);
    }
    if routine && scene.has(Disease::RenalInsufficiency) {
        let value = scene.draw.around(95.0, 35.0).max(8.0);
        report(scene, &ALBUMIN, &[value]);
    }
    if scene.is(Setting::Wellness) && (0.9..1.1).contains(&scene.age) {
        let values = blood_count(scene);
        report(scene, &BLOOD_COUNT, &values);
    }
}

/// Percent of glycated haemoglobin.
fn glycated(scene: &mut Scene) -> f64 {
    let date = scene.date();
    let treated = scene.story.is_treated(Disease::Diabetes, date);
    match (
        scene.has(Disease::Diabetes),
        treated,
        scene.has(Disease::Prediabetes),
    ) {
        (true, false, _) => scene.draw.around(8.2, 0.6).max(6.5),
        (true, true, _) => scene.draw.around(7.0, 0.5).max(5.8),
        (false, _, true) => scene.draw.around(6.05, 0.12).clamp(5.7, 6.4),
        (false, _, false) => scene.draw.around(5.2, 0.15),
    }
}

fn metabolic(scene: &mut Scene) -> Vec<f64> {
    // Average glucose follows the glycated share: 28.7 x A1c - 46.7 (Nathan, 2008). Fasting it is
    // lower, the more so when the average is high.
    let average = 28.7 * glycated(scene) - 46.7;
    let glucose = average - 0.15 * (average - 40.0) + scene.draw.around(0.0, 3.0);
    let kidney = scene.has(Disease::RenalInsufficiency);
    let creatinine = match scene.story.person.sex {
        Sex::Female => 0.78,
        Sex::Male => 0.95,
    };
    let scale = if scene.age < 18.0 { 0.75 } else { 1.0 };
    let d = &mut *scene.draw;
    vec![
        glucose,
        if kidney {
            d.around(31.0, 4.0)
        } else {
            d.around(13.5, 2.5)
        },
        if kidney {
            d.around(1.75, 0.15)
        } else {
            d.around(creatinine * scale, 0.08)
        },
        d.around(9.5, 0.3),
        d.around(140.0, 1.8),
        if kidney {
            d.around(4.9, 0.25)
        } else {
            d.around(4.2, 0.25)
        },
        d.around(102.5, 1.8),
        d.around(26.0, 1.6),
    ]
}

fn lipids(scene: &mut Scene) -> Vec<f64> {
    let date = scene.date();
    let ill = scene.has(Disease::Hyperlipidemia);
    let treated = scene.story.is_treated(Disease::Hyperlipidemia, date);
    let (ldl, triglyceride) = match (ill, treated) {
        (true, false) => (
            scene.draw.around(172.0, 12.0),
            scene.draw.around(185.0, 25.0),
        ),
        (true, true) => (
            scene.draw.around(98.0, 13.0),
            scene.draw.around(135.0, 20.0),
        ),
        (false, _) => (
            scene.draw.around(104.0, 12.0),
            scene.draw.around(108.0, 18.0),
        ),
    };
    let hdl = match scene.story.person.sex {
        Sex::Female => scene.draw.around(60.0, 7.0),
        Sex::Male => scene.draw.around(50.0, 6.0),
    };
    // Friedewald: the measured four agree after rounding, as LDL is the calculated one.
    let (triglyceride, hdl) = (triglyceride.round(), hdl.round());
    let total = (ldl + hdl + triglyceride / 5.0).round();
    vec![total, triglyceride, hdl, total - hdl - triglyceride / 5.0]
}

fn blood_count(scene: &mut Scene) -> Vec<f64> {
    let (hemoglobin, volume) = match (scene.has(Disease::IronDeficiency), scene.story.person.sex) {
        (true, _) => (scene.draw.around(10.4, 0.6), scene.draw.around(74.0, 2.0)),
        (false, Sex::Female) => (scene.draw.around(13.6, 0.55), scene.draw.around(89.0, 2.5)),
        (false, Sex::Male) => (scene.draw.around(15.2, 0.6), scene.draw.around(89.0, 2.5)),
    };
    let hemoglobin = if scene.age < 14.0 {
        hemoglobin.min(13.0)
    } else {
        hemoglobin
    };
    let concentration = scene.draw.around(33.4, 0.6);
    let infection = scene.is(Setting::Inpatient) && !scene.has(Disease::Stroke);
    let leukocytes = if infection { 14.2 } else { 6.9 };
    let hematocrit = Decimal::rounded(hemoglobin / concentration * 100.0, 1).value();
    let erythrocytes = Decimal::rounded(hematocrit * 10.0 / volume, 2).value();
    let hemoglobin = Decimal::rounded(hemoglobin, 1).value();
    vec![
        scene.draw.around(leukocytes, 1.1),
        erythrocytes,
        hemoglobin,
        hematocrit,
        hematocrit * 10.0 / erythrocytes,
        hemoglobin * 10.0 / erythrocytes,
        hemoglobin / hematocrit * 100.0,
        scene.draw.around(255.0, 38.0),
    ]
}

fn thyrotropin(scene: &mut Scene) -> f64 {
    let treated = scene
        .story
        .is_treated(Disease::Hypothyroidism, scene.date());
    if treated {
        scene.draw.around(2.2, 0.6).max(0.5)
    } else {
        scene.draw.around(8.5, 1.6)
    }
}

/// Writes a panel's observations and the report that groups them.
fn report(scene: &mut Scene, panel: &'static Panel, values: &[f64]) {
    let (drawn, reported) = (scene.visit.during(12), scene.visit.end);
    let mut results = Vec::with_capacity(values.len());
    for (analyte, value) in panel.analytes.iter().zip(values) {
        let value = Decimal::rounded(value.max(0.0), analyte.places);
        let range = match scene.story.person.sex {
            Sex::Female => analyte.female,
            Sex::Male => analyte.male,
        };
        let id = scene.observe(LABORATORY, analyte.code, drawn, |w| {
            w.quantity("valueQuantity", value, analyte.unit);
            w.concepts("interpretation", flag(value, range));
            w.list("referenceRange", |w| {
                w.element(|w| reference_range(w, range, analyte))
            });
        });
        results.push(Target::Own("Observation", id));
    }
    scene.bill.add(panel.code, panel.cents);
    let (subject, encounter) = (scene.story.subject(), scene.visit.target());
    let laboratory = directory::LABORATORY.organization();
    scene.chart.add("DiagnosticReport", |w| {
        w.profile("us-core-diagnosticreport-lab");
        w.string("status", "final");
        w.concepts("category", hl7!("v2-0074", "LAB", "Laboratory"));
        w.concept_of("code", &[panel.code]);
        w.reference("subject", subject);
        w.reference("encounter", encounter);
        w.moment("effectiveDateTime", drawn);
        w.moment("issued", reported);
        w.references("performer", &[laboratory]);
        w.references("result", &results);
    });
}

fn flag(value: Decimal, (low, high): (Option<f64>, Option<f64>)) -> Code {
    if low.is_some_and(|low| value.value() < low) {
        LOW
    } else if high.is_some_and(|high| value.value() > high) {
        HIGH
    } else {
        NORMAL
    }
}

fn reference_range(w: &mut Writer, range: (Option<f64>, Option<f64>), analyte: &Analyte) {
    for (key, bound) in [("low", range.0), ("high", range.1)] {
        if let Some(bound) = bound {
            w.quantity(key, Decimal::rounded(bound, analyte.places), analyte.unit);
        }
    }
}
