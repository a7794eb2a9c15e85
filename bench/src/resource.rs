//! The resources we write: nine linked R4 types, each a plain text made from a few facts.
//!
//! The facts alone decide the text, so that whoever knows them can say what a
//! read or a search must answer.

mod text;

use crate::draw::Draw;
use jiff::Timestamp;

/// The resource types, in the order in which they can be created: links point backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// An organization.
    Organization,
    /// A practitioner.
    Practitioner,
    /// A patient with a managing organization and a general practitioner.
    Patient,
    /// An encounter of a patient.
    Encounter,
    /// A condition found in an encounter.
    Condition,
    /// A measured quantity.
    Observation,
    /// An order of a medication.
    MedicationRequest,
    /// A procedure.
    Procedure,
    /// A report about an observation.
    DiagnosticReport,
}

impl Kind {
    /// All nine.
    pub(crate) const ALL: [Self; 9] = [
        Self::Organization,
        Self::Practitioner,
        Self::Patient,
        Self::Encounter,
        Self::Condition,
        Self::Observation,
        Self::MedicationRequest,
        Self::Procedure,
        Self::DiagnosticReport,
    ];

    /// The type's name in FHIR.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Organization => "Organization",
            Self::Practitioner => "Practitioner",
            Self::Patient => "Patient",
            Self::Encounter => "Encounter",
            Self::Condition => "Condition",
            Self::Observation => "Observation",
            Self::MedicationRequest => "MedicationRequest",
            Self::Procedure => "Procedure",
            Self::DiagnosticReport => "DiagnosticReport",
        }
    }
}

/// What a resource says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Its type.
    pub(crate) kind: Kind,
    /// Into the list of codes of its type; the gender of a patient.
    pub(crate) code: u8,
    /// Into the list of statuses of its type.
    pub(crate) status: u8,
    /// Into [`FAMILIES`] times [`FAMILY_ENDS`].
    pub(crate) family: u8,
    /// Into [`GIVEN`].
    pub(crate) given: u8,
    /// Tenths of the unit.
    pub(crate) value: i32,
    /// Seconds since 1970: birth of a patient (midnight), time of everything else.
    pub(crate) date: i64,
    /// Distinguishes this resource from others of its type in the run.
    pub(crate) serial: u64,
}

/// References to other resources, `Type/id` or `urn:uuid:`.
#[derive(Default, Clone)]
pub(crate) struct Links {
    /// A patient.
    pub(crate) subject: String,
    /// An encounter.
    pub(crate) encounter: String,
    /// An organization.
    pub(crate) organization: String,
    /// A practitioner.
    pub(crate) practitioner: String,
    /// An observation.
    pub(crate) result: String,
}

/// Codes of patients.
pub(crate) const GENDERS: [&str; 2] = ["female", "male"];
/// Starts of family names; three of them share a start, so that a prefix finds several.
pub(crate) const FAMILIES: [&str; 16] = [
    "Abend", "Abel", "Abram", "Brook", "Caldwell", "Dorn", "Ember", "Falk", "Gruber", "Hollis",
    "Ingram", "Jansen", "Keller", "Lorca", "Mendez", "Novak",
];
/// Ends of family names.
pub(crate) const FAMILY_ENDS: [&str; 8] = ["", "son", "ski", "ez", "feld", "ton", "wood", "berg"];
/// Given names.
pub(crate) const GIVEN: [&str; 16] = [
    "Ada", "Adam", "Bela", "Clara", "Dina", "Emil", "Fritz", "Grete", "Hugo", "Ida", "Jonas",
    "Karla", "Leo", "Mina", "Nora", "Otto",
];
/// LOINC code, display, UCUM unit and the value's lowest and highest, in tenths.
pub(crate) const OBSERVATIONS: [(&str, &str, &str, i32, i32); 8] = [
    ("8867-4", "Heart rate", "/min", 480, 1500),
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 900, 1900),
    ("8462-4", "Diastolic blood pressure", "mm[Hg]", 500, 1200),
    ("29463-7", "Body weight", "kg", 400, 1400),
    ("8310-5", "Body temperature", "Cel", 355, 405),
    ("9279-1", "Respiratory rate", "/min", 100, 300),
    (
        "2339-0",
        "Glucose [Mass/volume] in Blood",
        "mg/dL",
        600,
        3000,
    ),
    (
        "2160-0",
        "Creatinine [Mass/volume] in Serum or Plasma",
        "mg/dL",
        5,
        60,
    ),
];
/// SNOMED CT codes of conditions.
pub(crate) const CONDITIONS: [(&str, &str); 8] = [
    ("38341003", "Hypertensive disorder"),
    ("44054006", "Diabetes mellitus type 2"),
    ("195967001", "Asthma"),
    ("36971009", "Sinusitis"),
    ("10509002", "Acute bronchitis"),
    ("396275006", "Osteoarthritis"),
    ("271737000", "Anemia"),
    ("162864005", "Body mass index 30+ - obesity"),
];
/// RxNorm codes of medications.
pub(crate) const MEDICATIONS: [(&str, &str); 6] = [
    ("314076", "lisinopril 10 MG Oral Tablet"),
    ("860975", "metformin hydrochloride 500 MG Oral Tablet"),
    ("245314", "albuterol 5 MG/ML Inhalation Solution"),
    ("313782", "acetaminophen 325 MG Oral Tablet"),
    ("308182", "amoxicillin 250 MG Oral Capsule"),
    ("259255", "atorvastatin 80 MG Oral Tablet"),
];
const PROCEDURES: [(&str, &str); 4] = [
    ("710824005", "Assessment of health and social care needs"),
    ("430193006", "Medication reconciliation"),
    ("171207006", "Depression screening"),
    ("428191000124101", "Documentation of current medications"),
];
const REPORTS: [(&str, &str); 3] = [
    ("34117-2", "History and physical note"),
    ("51990-0", "Basic metabolic panel - Blood"),
    ("58410-2", "CBC panel - Blood by Automated count"),
];
const CLASSES: [(&str, &str); 3] = [
    ("AMB", "ambulatory"),
    ("EMER", "emergency"),
    ("IMP", "inpatient encounter"),
];
const CLINICAL: [&str; 2] = ["active", "resolved"];
const ORDERS: [&str; 3] = ["active", "completed", "stopped"];

/// The system of every identifier we make.
pub(crate) const IDENTIFIERS: &str = "urn:oid:2.999.7";

const LOINC: &str = "http://loinc.org";
const SNOMED: &str = "http://snomed.info/sct";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
const UCUM: &str = "http://unitsofmeasure.org";
const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem";

impl Facts {
    /// Facts that only the draw decides.
    pub(crate) fn draw(kind: Kind, draw: &mut Draw, serial: u64) -> Self {
        const DAY: i64 = 86_400;
        const TIMES: (i64, usize) = (1_546_300_800, 2_400 * 86_400); // from 2019-01-01
        const BIRTHS: (i64, usize) = (-1_262_304_000, 29_000); // from 1930-01-01
        let codes = match kind {
            Kind::Organization | Kind::Practitioner => 1,
            Kind::Patient => GENDERS.len(),
            Kind::Encounter => CLASSES.len(),
            Kind::Condition => CONDITIONS.len(),
            Kind::Observation => OBSERVATIONS.len(),
            Kind::MedicationRequest => MEDICATIONS.len(),
            Kind::Procedure => PROCEDURES.len(),
            Kind::DiagnosticReport => REPORTS.len(),
        };
        // The smaller of two draws: low codes are common, as heart rates are.
        let code = draw.below(codes).min(draw.below(codes));
        let date = if kind == Kind::Patient {
            BIRTHS.0 + DAY * draw.below(BIRTHS.1) as i64
        } else {
            TIMES.0 + draw.below(TIMES.1) as i64
        };
        let (low, high) = OBSERVATIONS
            .get(code)
            .map_or((0, 1), |(.., low, high)| (*low, *high));
        Self {
            kind,
            code: code as u8,
            status: draw.below(6) as u8,
            family: draw.below(FAMILIES.len() * FAMILY_ENDS.len()) as u8,
            given: draw.below(GIVEN.len()) as u8,
            value: low + draw.below((high - low) as usize) as i32,
            date,
            serial,
        }
    }

    /// A patient's or practitioner's family name.
    pub(crate) fn family(&self) -> String {
        let (start, end) = (
            usize::from(self.family) % FAMILIES.len(),
            usize::from(self.family) / FAMILIES.len(),
        );
        format!(
            "{}{}",
            FAMILIES[start],
            FAMILY_ENDS[end % FAMILY_ENDS.len()]
        )
    }

    /// A patient's or practitioner's given name.
    pub(crate) fn given(&self) -> &'static str {
        GIVEN[usize::from(self.given) % GIVEN.len()]
    }

    /// The value of the identifier with the system [`IDENTIFIERS`].
    pub(crate) fn identifier(&self) -> String {
        format!("{}-{}", self.kind.name().to_ascii_lowercase(), self.serial)
    }

    /// The code as a search token, for types that have one.
    pub(crate) fn token(&self) -> String {
        let code = usize::from(self.code);
        match self.kind {
            Kind::Organization | Kind::Practitioner => String::new(),
            Kind::Patient => GENDERS[code].to_owned(),
            Kind::Encounter => CLASSES[code].0.to_owned(),
            Kind::Condition => format!("{SNOMED}|{}", CONDITIONS[code].0),
            Kind::Observation => format!("{LOINC}|{}", OBSERVATIONS[code].0),
            Kind::MedicationRequest => format!("{RXNORM}|{}", MEDICATIONS[code].0),
            Kind::Procedure => format!("{SNOMED}|{}", PROCEDURES[code].0),
            Kind::DiagnosticReport => format!("{LOINC}|{}", REPORTS[code].0),
        }
    }

    /// The status as a search token.
    pub(crate) fn status(&self) -> &'static str {
        match self.kind {
            Kind::Condition => CLINICAL[usize::from(self.status) % CLINICAL.len()],
            Kind::MedicationRequest => ORDERS[usize::from(self.status) % ORDERS.len()],
            Kind::Encounter => "finished",
            Kind::Procedure => "completed",
            Kind::Organization
            | Kind::Practitioner
            | Kind::Patient
            | Kind::Observation
            | Kind::DiagnosticReport => ["final", "amended"][usize::from(self.status) % 2],
        }
    }
}

/// A time as `2024-03-09T10:11:12Z`.
pub(crate) fn instant(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}

/// The UTC day of a time as `2024-03-09`.
pub(crate) fn day(seconds: i64) -> String {
    let mut text = instant(seconds);
    text.truncate(10);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content;

    #[test]
    fn every_kind_is_json_that_differs_by_revision_and_not_by_id() {
        let mut draw = Draw::new(7, 0);
        let links = Links::default();
        for kind in Kind::ALL {
            for serial in 0..100 {
                let facts = Facts::draw(kind, &mut draw, serial);
                let read = |text: String| content::read(text.as_bytes(), &[]).unwrap();
                let first = read(facts.text(&links, None, 1));
                assert_eq!(
                    first.fingerprint,
                    read(facts.text(&links, Some("x"), 1)).fingerprint
                );
                assert_ne!(
                    first.fingerprint,
                    read(facts.text(&links, None, 2)).fingerprint
                );
                assert_eq!(first.id, None);
            }
        }
    }

    #[test]
    fn dates_are_printed_as_fhir_wants_them() {
        assert_eq!(instant(1_546_300_800), "2019-01-01T00:00:00Z");
        assert_eq!(day(-1_262_304_000), "1930-01-01");
    }
}
