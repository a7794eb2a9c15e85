//! The coded concepts the generator uses, and the systems they come from.
//!
//! Provenance: ICD-10-CM is the public-domain release of 2024. SNOMED CT codes are of the
//! International Patient Summary's free set, or appear in the examples of R4 or in Synthea's
//! output. LOINC, RxNorm and CVX codes are those of the R4 and US Core examples and of common
//! panels and orders; a drug whose clinical code was in doubt is coded by its ingredient.

/// A concept of a code system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    pub(crate) system: &'static str,
    pub(crate) code: &'static str,
    pub(crate) display: &'static str,
}

pub(crate) const SNOMED: &str = "http://snomed.info/sct";
pub(crate) const LOINC: &str = "http://loinc.org";
pub(crate) const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub(crate) const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
pub(crate) const CVX: &str = "http://hl7.org/fhir/sid/cvx";
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
/// Identifiers of our invented town.
pub(crate) const MEDICAL_RECORD: &str = "https://synthetic.example.org/medical-record-number";

pub(crate) const fn code(system: &'static str, code: &'static str, display: &'static str) -> Code {
    Code {
        system,
        code,
        display,
    }
}

pub(crate) const fn snomed(id: &'static str, display: &'static str) -> Code {
    code(SNOMED, id, display)
}

pub(crate) const fn loinc(id: &'static str, display: &'static str) -> Code {
    code(LOINC, id, display)
}

pub(crate) const fn rxnorm(id: &'static str, display: &'static str) -> Code {
    code(RXNORM, id, display)
}

pub(crate) const fn icd(id: &'static str, display: &'static str) -> Code {
    code(ICD_10_CM, id, display)
}

pub(crate) const fn cvx(id: &'static str, display: &'static str) -> Code {
    code(CVX, id, display)
}

/// A concept of the United States' race and ethnicity system.
pub(crate) const fn race(id: &'static str, display: &'static str) -> Code {
    code("urn:oid:2.16.840.1.113883.6.238", id, display)
}

/// A concept of HL7's own terminology, `http://terminology.hl7.org/CodeSystem/...`.
macro_rules! hl7 {
    ($system:literal, $code:literal, $display:literal) => {
        $crate::codes::code(
            concat!("http://terminology.hl7.org/CodeSystem/", $system),
            $code,
            $display,
        )
    };
}
pub(crate) use hl7;

pub(crate) const ACTIVE: Code = hl7!("condition-clinical", "active", "Active");
pub(crate) const RESOLVED: Code = hl7!("condition-clinical", "resolved", "Resolved");
pub(crate) const CONFIRMED: Code = hl7!("condition-ver-status", "confirmed", "Confirmed");
pub(crate) const PROBLEM_LIST: Code = hl7!(
    "condition-category",
    "problem-list-item",
    "Problem List Item"
);
pub(crate) const ENCOUNTER_DIAGNOSIS: Code = hl7!(
    "condition-category",
    "encounter-diagnosis",
    "Encounter Diagnosis"
);

pub(crate) const VITAL_SIGNS: Code = hl7!("observation-category", "vital-signs", "Vital Signs");
pub(crate) const LABORATORY: Code = hl7!("observation-category", "laboratory", "Laboratory");
pub(crate) const SOCIAL_HISTORY: Code =
    hl7!("observation-category", "social-history", "Social History");
pub(crate) const ACTIVITY: Code = hl7!("observation-category", "activity", "Activity");
pub(crate) const SURVEY: Code = hl7!("observation-category", "survey", "Survey");

pub(crate) const LOW: Code = hl7!("v3-ObservationInterpretation", "L", "Low");
pub(crate) const NORMAL: Code = hl7!("v3-ObservationInterpretation", "N", "Normal");
pub(crate) const HIGH: Code = hl7!("v3-ObservationInterpretation", "H", "High");

/// A UCUM unit: the code, and how people write it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
}

pub(crate) const fn unit(code: &'static str, text: &'static str) -> Unit {
    Unit { code, text }
}

pub(crate) const CENTIMETRE: Unit = unit("cm", "cm");
pub(crate) const KILOGRAM: Unit = unit("kg", "kg");
pub(crate) const KILOGRAM_PER_SQUARE_METRE: Unit = unit("kg/m2", "kg/m2");
pub(crate) const MILLIMETRE_OF_MERCURY: Unit = unit("mm[Hg]", "mmHg");
pub(crate) const PER_MINUTE: Unit = unit("/min", "/min");
pub(crate) const DEGREE_CELSIUS: Unit = unit("Cel", "C");
pub(crate) const PERCENT: Unit = unit("%", "%");
pub(crate) const DAY: Unit = unit("d", "days");
