//! What reading and writing XML cost, beside parsing JSON:
//! `cargo bench -p salus-fhir --bench xml`.

// A bench is a program that prints, and may stop at what should not be.
#![allow(clippy::print_stdout, clippy::expect_used)]

use salus_fhir::definitions::r4;
use salus_fhir::json::{Document, Limits};
use salus_fhir::xml::{Layout, read, write};
use std::hint::black_box;

mod measure;
use measure::measure;

/// As a generator of synthetic patients writes it, without line breaks.
const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"5c1d2a1e-7d4f-4b60-9f3c-0a4f8f0c9d11","meta":{"versionId":"1","lastUpdated":"2024-03-01T09:30:10.123Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}],"text":"Blood pressure panel with all children optional"},"subject":{"reference":"Patient/0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},"encounter":{"reference":"Encounter/a3c5e0f4-9d5b-4f64-8a5e-30a8c9f3ad37"},"effectiveDateTime":"2024-03-01T09:30:10+01:00","issued":"2024-03-01T09:30:10.123+01:00","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic Blood Pressure"}]},"valueQuantity":{"value":79,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}]},"valueQuantity":{"value":121,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}"#;

fn main() {
    black_box(r4());
    both_ways("Observation", OBSERVATION.to_owned());
    let entries = vec![format!(r#"{{"resource":{OBSERVATION}}}"#); 100].join(",");
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}"#);
    both_ways("Bundle of 100 Observations", bundle);
}

fn both_ways(name: &str, json: String) {
    let limits = Limits::default();
    let document = Document::parse(json.clone().into(), &limits).expect("JSON");
    let xml = write(document.root(), Layout::Dense).expect("a resource");
    println!("{name}: {} bytes of JSON, {} of XML", json.len(), xml.len());
    measure("parse JSON", || {
        black_box(Document::parse(json.clone().into(), &limits)).expect("JSON");
    });
    measure("write XML", || {
        black_box(write(document.root(), Layout::Dense)).expect("a resource");
    });
    measure("read XML", || {
        black_box(read(xml.as_bytes(), &limits)).expect("XML");
    });
}
