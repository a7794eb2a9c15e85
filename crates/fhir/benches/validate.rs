//! What validating a resource costs, without and with the invariants:
//! `cargo bench -p salus-fhir --bench validate`.

// A bench is a program that prints, and may stop at what should not be.
#![allow(clippy::print_stdout, clippy::expect_used)]

use salus_fhir::definitions::r4;
use salus_fhir::json::{Document, Limits};
use salus_fhir::validate;
use std::hint::black_box;

mod measure;
use measure::measure;

/// As a generator of synthetic patients writes them, without line breaks.
const RESOURCES: &[(&str, &str)] = &[
    (
        "Observation",
        r#"{"resourceType":"Observation","id":"5c1d2a1e-7d4f-4b60-9f3c-0a4f8f0c9d11","meta":{"versionId":"1","lastUpdated":"2024-03-01T09:30:10.123Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}],"text":"Blood pressure panel with all children optional"},"subject":{"reference":"Patient/0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},"encounter":{"reference":"Encounter/a3c5e0f4-9d5b-4f64-8a5e-30a8c9f3ad37"},"effectiveDateTime":"2024-03-01T09:30:10+01:00","issued":"2024-03-01T09:30:10.123+01:00","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic Blood Pressure"}]},"valueQuantity":{"value":79,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}]},"valueQuantity":{"value":121,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}"#,
    ),
    (
        "Patient",
        r#"{"resourceType":"Patient","id":"0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Made by a generator</div>"},"extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2106-3","display":"White"}},{"url":"text","valueString":"White"}]},{"url":"http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName","valueString":"Ada Mill"}],"identifier":[{"system":"http://hospital.example.org","value":"0c3151bd"},{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}],"text":"Medical Record Number"},"system":"http://hospital.example.org","value":"0c3151bd-1cbf"}],"name":[{"use":"official","family":"Mill","given":["Ben"],"prefix":["Mr."]}],"telecom":[{"system":"phone","value":"555-0100","use":"home"}],"gender":"male","birthDate":"1970-01-02","address":[{"line":["1 Long Road"],"city":"Springfield","state":"MA","postalCode":"01101","country":"US","period":{"start":"2001-02-03"}}],"maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M","display":"M"}],"text":"M"},"multipleBirthBoolean":false,"contact":[{"relationship":[{"text":"wife"}],"name":{"text":"Ann Mill"}}],"communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"en-US","display":"English"}],"text":"English"}}]}"#,
    ),
    (
        "Encounter",
        r#"{"resourceType":"Encounter","id":"a3c5e0f4","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"type":[{"coding":[{"system":"http://snomed.info/sct","code":"162673000","display":"General examination"}]}],"subject":{"reference":"Patient/0c3151bd"},"participant":[{"individual":{"reference":"Practitioner/1"},"period":{"start":"2024-03-01T09:30:10+01:00","end":"2024-03-01T10:00:10+01:00"}}],"period":{"start":"2024-03-01T09:30:10+01:00","end":"2024-03-01T10:00:10+01:00"},"serviceProvider":{"reference":"Organization/1"}}"#,
    ),
];

fn main() {
    black_box(r4());
    let bundle = transaction(100);
    let one = ("transaction of 100 Observations", bundle.as_str());
    for (name, text) in RESOURCES.iter().copied().chain([one]) {
        let document = Document::parse(text.into(), &Limits::default()).expect("JSON");
        for invariants in [false, true] {
            let limits = validate::Limits {
                invariants,
                ..validate::Limits::default()
            };
            let how = if invariants { "with" } else { "without" };
            measure(&format!("{name} {how} invariants"), || {
                let valid = validate::resource_within(document.root(), &limits);
                black_box(valid).expect("is valid");
            });
        }
    }
}

fn transaction(entries: usize) -> String {
    let (_, observation) = RESOURCES[0];
    let entries: Vec<String> = (0..entries)
        .map(|n| {
            format!(
                r#"{{"fullUrl":"urn:uuid:5c1d2a1e-7d4f-4b60-9f3c-{n:012}","resource":{observation},"request":{{"method":"POST","url":"Observation"}}}}"#
            )
        })
        .collect();
    let entries = entries.join(",");
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}"#)
}
