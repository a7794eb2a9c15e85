//! The note of a visit, as an attached text: <https://hl7.org/fhir/R4/documentreference.html>.

use std::fmt::Write;

use crate::codes::{Code, code, loinc};
use crate::encounters::Setting;
use crate::life::Scene;
use crate::vitals::Readings;

const PROGRESS: Code = loinc("11506-3", "Progress note");
const HISTORY: Code = loinc("34117-2", "History and physical note");
const EMERGENCY: Code = loinc("34111-5", "Emergency department Note");
const DISCHARGE: Code = loinc("18842-5", "Discharge summary");

pub(crate) fn record(scene: &mut Scene, readings: &Readings) {
    let kind = match scene.visit.setting {
        Setting::Wellness => HISTORY,
        Setting::Illness | Setting::FollowUp => PROGRESS,
        Setting::Emergency => EMERGENCY,
        Setting::Inpatient => DISCHARGE,
    };
    let text = note(scene, readings);
    let visit = scene.visit;
    let subject = scene.story.subject();
    scene.chart.add("DocumentReference", |w| {
        w.profile("us-core-documentreference");
        w.string("status", "current");
        w.string("docStatus", "final");
        w.concept_of("type", &[kind]);
        let system = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category";
        w.concepts("category", code(system, "clinical-note", "Clinical Note"));
        w.reference("subject", subject);
        w.moment("date", visit.end);
        w.list("author", |w| {
            w.element(|w| {
                w.reference_members(visit.clinician.practitioner());
                w.string("display", visit.clinician.display);
            });
        });
        w.reference_named("custodian", visit.site.organization(), visit.site.name);
        w.list("content", |w| {
            w.element(|w| {
                w.object("attachment", |w| {
                    w.string("contentType", "text/plain; charset=utf-8");
                    w.plain("data", |out| push_base64(text.as_bytes(), out));
                    w.string("title", kind.display);
                    w.moment("creation", visit.end);
                });
            });
        });
        w.object("context", |w| {
            w.references("encounter", &[visit.target()]);
            w.period("period", visit.start, visit.end);
        });
    });
}

/// Plain sentences from what the visit recorded.
fn note(scene: &Scene, readings: &Readings) -> String {
    let (story, date) = (scene.story, scene.date());
    let person = &story.person;
    let mut text = String::with_capacity(512);
    let age = scene.age as i64;
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "{} is a {age}-year-old {}.",
        person.display(),
        person.gender()
    );
    let (kind, _) = scene.visit.kind(scene.age);
    let _ = writeln!(text, "Seen for: {}.", kind.display);
    for problem in story.problems_of(scene.visit_number) {
        let _ = writeln!(
            text,
            "Found: {} since {}.",
            problem.illness.snomed.display, problem.onset
        );
    }
    let known: Vec<&str> = story
        .problems
        .iter()
        .filter(|problem| problem.is_chronic() && problem.lasts_on(date))
        .map(|problem| problem.illness.snomed.display)
        .collect();
    if !known.is_empty() {
        let _ = writeln!(text, "Known problems: {}.", known.join(", "));
    }
    text.push_str("Weight ");
    readings.weight_kg.write(&mut text);
    text.push_str(" kg, temperature ");
    readings.temperature.write(&mut text);
    if let Some((systolic, diastolic)) = readings.blood_pressure {
        text.push_str(" C, blood pressure ");
        systolic.write(&mut text);
        text.push('/');
        diastolic.write(&mut text);
        text.push_str(" mmHg.\n");
    } else {
        text.push_str(" C.\n");
    }
    text.push_str(match scene.visit.setting {
        Setting::Wellness => "No complaints. Seen again in a year.\n",
        Setting::Illness => "Advised rest and fluids. Comes back if it does not get better.\n",
        Setting::FollowUp => "Stable. Goes on as before.\n",
        Setting::Emergency => "Treated and sent home.\n",
        Setting::Inpatient if scene.visit.ends_life => "Died despite treatment.\n",
        Setting::Inpatient => "Left the hospital in good condition.\n",
    });
    text
}

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn push_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 0x3f;
            let is_padding = place > chunk.len();
            out.push(if is_padding {
                '='
            } else {
                char::from(ALPHABET[digit as usize])
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let mut out = String::new();
        push_base64(text.as_bytes(), &mut out);
        assert_eq!(out, expect);
    }

    #[test]
    fn base64_matches_the_vectors_of_the_rfc() {
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
        check("foobar", "Zm9vYmFy");
    }
}
