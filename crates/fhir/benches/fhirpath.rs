//! What parsing a document and running an expression on it costs:
//! `cargo bench -p salus-fhir --bench fhirpath`.

// A bench is a program that prints, and may stop at what should not be.
#![allow(clippy::print_stdout, clippy::expect_used)]

use salus_fhir::definitions::r4;
use salus_fhir::fhirpath::{Context, Expression, Item};
use salus_fhir::json::{Document, Limits};
use std::hint::black_box;

mod measure;
use measure::measure;

/// As a generator of synthetic patients writes them, without line breaks.
const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"5c1d2a1e-7d4f-4b60-9f3c-0a4f8f0c9d11","meta":{"versionId":"1","lastUpdated":"2024-03-01T09:30:10.123Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}],"text":"Blood pressure panel with all children optional"},"subject":{"reference":"Patient/0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},"encounter":{"reference":"Encounter/a3c5e0f4-9d5b-4f64-8a5e-30a8c9f3ad37"},"effectiveDateTime":"2024-03-01T09:30:10+01:00","issued":"2024-03-01T09:30:10.123+01:00","valueQuantity":{"value":93.50,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic Blood Pressure"}]},"valueQuantity":{"value":79,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}]},"valueQuantity":{"value":121,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}"#;

const EXPRESSIONS: [&str; 13] = [
    "Observation.code",
    "Observation.category.coding.code",
    "Observation.component.code.coding.display",
    "(Observation.value as Quantity) | (Observation.value as SampledData)",
    "Observation.subject.where(resolve() is Patient)",
    "Observation.effective",
    "Resource.meta.lastUpdated",
    "AllergyIntolerance.code | Condition.code | Observation.code | Procedure.code",
    "(Observation.component.value as Quantity) | (Observation.component.value as SampledData)",
    "dataAbsentReason.empty() or value.empty()",
    "value.empty() or component.code.where(coding.intersect(%resource.code.coding).exists()).empty()",
    "component.where(code.coding.code = '8462-4').value.value < 80",
    "descendants().where($this is code).count()",
];

fn main() {
    black_box(r4());
    println!("{:>10}  document of {} bytes", "ns", OBSERVATION.len());
    let bytes = OBSERVATION.as_bytes();
    let limits = Limits::default();
    measure("copy the text", || {
        black_box(bytes.to_vec());
    });
    measure("copy and parse", || {
        black_box(Document::parse(bytes.to_vec(), &limits)).expect("JSON");
    });
    let document = Document::parse(bytes.to_vec(), &limits).expect("JSON");
    let observation = r4().type_named("Observation").expect("Observation");
    measure("compile the longest of the expressions", || {
        black_box(Expression::compile_search(EXPRESSIONS[10], observation)).expect("compiles");
    });
    let focus = Item::resource(document.root());
    let context = Context::default();
    for text in EXPRESSIONS {
        let expression = Expression::compile_search(text, observation).expect("compiles");
        let mut out = Vec::new();
        measure(text, || {
            out.clear();
            expression
                .evaluate(&context, &focus, &mut out)
                .expect("evaluates");
            black_box(&out);
        });
    }
}
