//! What people fall ill with, at which ages, how often, and what is prescribed.
//!
//! Risks are rounded so that the population looks familiar; they are not epidemiology.

use crate::codes::{Code, icd, snomed};
use crate::medications::{
    ACETAMINOPHEN, ALBUTEROL, ALENDRONATE, ALLOPURINOL, AMLODIPINE, AMOXICILLIN,
    AMOXICILLIN_CLAVULANATE, APIXABAN, ASPIRIN, ATORVASTATIN, CLOPIDOGREL, Drug, ESCITALOPRAM,
    FERROUS_SULFATE, FLUTICASONE, FUROSEMIDE, HYDROCHLOROTHIAZIDE, IBUPROFEN, LEVOTHYROXINE,
    LISINOPRIL, METFORMIN, METOPROLOL, NAPROXEN, NITROFURANTOIN, OMEPRAZOLE, PENICILLIN_V,
    SERTRALINE, SUMATRIPTAN, TIOTROPIUM,
};

/// The illnesses other parts of a life ask about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disease {
    AllergicRhinitis,
    Anxiety,
    Appendicitis,
    Arteriosclerosis,
    Asthma,
    AtrialFibrillation,
    Bronchitis,
    Concussion,
    Conjunctivitis,
    Copd,
    Depression,
    Dermatitis,
    Diabetes,
    ForearmFracture,
    Gastroenteritis,
    Gout,
    HandLaceration,
    HeartFailure,
    Hyperlipidemia,
    Hypertension,
    Hypothyroidism,
    Infarction,
    Influenza,
    IronDeficiency,
    LowBackPain,
    Migraine,
    Obesity,
    Osteoarthritis,
    Osteoporosis,
    Otitis,
    Pharyngitis,
    Pneumonia,
    Prediabetes,
    Reflux,
    RenalInsufficiency,
    Sinusitis,
    Sprain,
    StrepThroat,
    Stroke,
    UpperRespiratory,
    UrinaryInfection,
}

/// Where an acute illness is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Clinic,
    Emergency,
    /// A hospital stay of about this many nights.
    Ward(i64),
}

/// How an illness goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    /// For life, seen again after so many months (0: at the yearly visits only).
    Chronic { follow_up_months: i64 },
    /// Over after about so many days.
    Acute {
        days: i64,
        place: Place,
        fever: bool,
    },
}

/// One illness of the table.
pub(crate) struct Illness {
    pub(crate) disease: Disease,
    pub(crate) snomed: Code,
    pub(crate) icd: Code,
    /// Ages at which it begins.
    pub(crate) ages: (u8, u8),
    /// Chronic: of a thousand people, how many get it. Acute: its share among the acute ones.
    pub(crate) frequency: u32,
    pub(crate) course: Course,
    pub(crate) drugs: &'static [&'static Drug],
}

macro_rules! chronic {
    ($disease:ident, $snomed:expr, $icd:expr, $ages:expr, $frequency:literal, $months:literal, $drugs:expr) => {
        Illness {
            disease: Disease::$disease,
            snomed: $snomed,
            icd: $icd,
            ages: $ages,
            frequency: $frequency,
            course: Course::Chronic {
                follow_up_months: $months,
            },
            drugs: $drugs,
        }
    };
}

macro_rules! acute {
    ($disease:ident, $snomed:expr, $icd:expr, $ages:expr, $frequency:literal, $days:literal, $place:expr, $fever:literal, $drugs:expr) => {
        Illness {
            disease: Disease::$disease,
            snomed: $snomed,
            icd: $icd,
            ages: $ages,
            frequency: $frequency,
            course: Course::Acute {
                days: $days,
                place: $place,
                fever: $fever,
            },
            drugs: $drugs,
        }
    };
}

/// Chronic illnesses, causes before consequences: `conditions` raises a risk by what came before.
#[rustfmt::skip]
pub(crate) const CHRONIC: &[Illness] = &[
    chronic!(Obesity, snomed("414916001", "Obesity"), icd("E66.9", "Obesity, unspecified"), (18, 40), 0, 0, &[]),
    chronic!(AllergicRhinitis, snomed("61582004", "Allergic rhinitis"), icd("J30.9", "Allergic rhinitis, unspecified"), (4, 40), 140, 0, &[&FLUTICASONE]),
    chronic!(Dermatitis, snomed("24079001", "Atopic dermatitis"), icd("L20.9", "Atopic dermatitis, unspecified"), (0, 12), 90, 0, &[]),
    chronic!(Asthma, snomed("195967001", "Asthma"), icd("J45.909", "Unspecified asthma, uncomplicated"), (3, 45), 85, 6, &[&ALBUTEROL, &FLUTICASONE]),
    chronic!(Prediabetes, snomed("9414007", "Impaired glucose tolerance"), icd("R73.03", "Prediabetes"), (28, 60), 200, 12, &[]),
    chronic!(Diabetes, snomed("44054006", "Type 2 diabetes mellitus"), icd("E11.9", "Type 2 diabetes mellitus without complications"), (35, 75), 110, 4, &[&METFORMIN]),
    chronic!(Hyperlipidemia, snomed("55822004", "Hyperlipidemia"), icd("E78.5", "Hyperlipidemia, unspecified"), (30, 70), 280, 12, &[&ATORVASTATIN]),
    chronic!(Hypertension, snomed("59621000", "Essential hypertension"), icd("I10", "Essential (primary) hypertension"), (30, 75), 330, 6, &[&LISINOPRIL, &HYDROCHLOROTHIAZIDE, &AMLODIPINE]),
    chronic!(RenalInsufficiency, snomed("433144002", "Chronic kidney disease stage 3"), icd("N18.30", "Chronic kidney disease, stage 3 unspecified"), (55, 80), 30, 6, &[]),
    chronic!(Arteriosclerosis, snomed("53741008", "Coronary arteriosclerosis"), icd("I25.10", "Atherosclerotic heart disease of native coronary artery without angina pectoris"), (48, 80), 50, 6, &[&ASPIRIN, &METOPROLOL]),
    chronic!(AtrialFibrillation, snomed("49436004", "Atrial fibrillation"), icd("I48.91", "Unspecified atrial fibrillation"), (58, 88), 60, 6, &[&APIXABAN]),
    chronic!(HeartFailure, snomed("84114007", "Heart failure"), icd("I50.9", "Heart failure, unspecified"), (62, 88), 30, 3, &[&FUROSEMIDE]),
    chronic!(Copd, snomed("13645005", "Chronic obstructive lung disease"), icd("J44.9", "Chronic obstructive pulmonary disease, unspecified"), (48, 78), 15, 4, &[&TIOTROPIUM, &ALBUTEROL]),
    chronic!(Depression, snomed("370143000", "Major depressive disorder"), icd("F32.9", "Major depressive disorder, single episode, unspecified"), (15, 65), 120, 6, &[&SERTRALINE]),
    chronic!(Anxiety, snomed("21897009", "Generalized anxiety disorder"), icd("F41.1", "Generalized anxiety disorder"), (14, 60), 70, 6, &[&ESCITALOPRAM]),
    chronic!(Migraine, snomed("37796009", "Migraine"), icd("G43.909", "Migraine, unspecified, not intractable, without status migrainosus"), (12, 45), 90, 12, &[&SUMATRIPTAN]),
    chronic!(Hypothyroidism, snomed("40930008", "Hypothyroidism"), icd("E03.9", "Hypothyroidism, unspecified"), (25, 75), 55, 12, &[&LEVOTHYROXINE]),
    chronic!(Reflux, snomed("235595009", "Gastroesophageal reflux disease"), icd("K21.9", "Gastro-esophageal reflux disease without esophagitis"), (25, 70), 150, 12, &[&OMEPRAZOLE]),
    chronic!(IronDeficiency, snomed("87522002", "Iron deficiency anemia"), icd("D50.9", "Iron deficiency anemia, unspecified"), (14, 80), 50, 6, &[&FERROUS_SULFATE]),
    chronic!(LowBackPain, snomed("279039007", "Low back pain"), icd("M54.50", "Low back pain, unspecified"), (25, 70), 160, 12, &[&NAPROXEN]),
    chronic!(Osteoarthritis, snomed("239873007", "Osteoarthritis of knee"), icd("M17.9", "Osteoarthritis of knee, unspecified"), (48, 80), 170, 12, &[&ACETAMINOPHEN]),
    chronic!(Osteoporosis, snomed("64859006", "Osteoporosis"), icd("M81.0", "Age-related osteoporosis without current pathological fracture"), (60, 85), 90, 12, &[&ALENDRONATE]),
    chronic!(Gout, snomed("90560007", "Gout"), icd("M10.9", "Gout, unspecified"), (40, 75), 40, 12, &[&ALLOPURINOL]),
];

/// Acute illnesses and injuries.
#[rustfmt::skip]
pub(crate) const ACUTE: &[Illness] = &[
    acute!(UpperRespiratory, snomed("54150009", "Upper respiratory infection"), icd("J06.9", "Acute upper respiratory infection, unspecified"), (0, 99), 180, 9, Place::Clinic, true, &[]),
    acute!(Pharyngitis, snomed("195662009", "Acute viral pharyngitis"), icd("J02.9", "Acute pharyngitis, unspecified"), (3, 80), 110, 8, Place::Clinic, true, &[]),
    acute!(StrepThroat, snomed("43878008", "Streptococcal sore throat"), icd("J02.0", "Streptococcal pharyngitis"), (4, 18), 80, 10, Place::Clinic, true, &[&PENICILLIN_V]),
    acute!(Otitis, snomed("65363002", "Otitis media"), icd("H66.90", "Otitis media, unspecified, unspecified ear"), (0, 8), 230, 12, Place::Clinic, true, &[&AMOXICILLIN]),
    acute!(Sinusitis, snomed("444814009", "Viral sinusitis"), icd("J01.90", "Acute sinusitis, unspecified"), (8, 90), 110, 15, Place::Clinic, false, &[]),
    acute!(Bronchitis, snomed("10509002", "Acute bronchitis"), icd("J20.9", "Acute bronchitis, unspecified"), (2, 95), 110, 14, Place::Clinic, false, &[&ACETAMINOPHEN]),
    acute!(Influenza, snomed("6142004", "Influenza"), icd("J11.1", "Influenza due to unidentified influenza virus with other respiratory manifestations"), (1, 99), 60, 9, Place::Clinic, true, &[&ACETAMINOPHEN]),
    acute!(Conjunctivitis, snomed("9826008", "Conjunctivitis"), icd("H10.9", "Unspecified conjunctivitis"), (1, 60), 40, 7, Place::Clinic, false, &[]),
    acute!(Gastroenteritis, snomed("25374005", "Gastroenteritis"), icd("A09", "Infectious gastroenteritis and colitis, unspecified"), (0, 99), 60, 5, Place::Clinic, true, &[]),
    acute!(UrinaryInfection, snomed("68566005", "Urinary tract infectious disease"), icd("N39.0", "Urinary tract infection, site not specified"), (16, 95), 80, 8, Place::Clinic, false, &[&NITROFURANTOIN]),
    acute!(Sprain, snomed("44465007", "Sprain of ankle"), icd("S93.401A", "Sprain of unspecified ligament of right ankle, initial encounter"), (8, 75), 60, 24, Place::Clinic, false, &[&IBUPROFEN]),
    acute!(ForearmFracture, snomed("17222009", "Closed fracture of distal end of radius"), icd("S52.501A", "Unspecified fracture of the lower end of right radius, initial encounter for closed fracture"), (5, 90), 30, 60, Place::Emergency, false, &[&ACETAMINOPHEN]),
    acute!(Concussion, snomed("62106007", "Concussion with no loss of consciousness"), icd("S06.0X0A", "Concussion without loss of consciousness, initial encounter"), (6, 85), 22, 30, Place::Emergency, false, &[&ACETAMINOPHEN]),
    acute!(HandLaceration, snomed("284549007", "Laceration of hand"), icd("S61.411A", "Laceration without foreign body of right hand, initial encounter"), (3, 85), 36, 18, Place::Emergency, false, &[]),
    acute!(Appendicitis, snomed("85189001", "Acute appendicitis"), icd("K35.80", "Unspecified acute appendicitis"), (8, 45), 10, 16, Place::Ward(2), true, &[&AMOXICILLIN_CLAVULANATE]),
    acute!(Pneumonia, snomed("233604007", "Pneumonia"), icd("J18.9", "Pneumonia, unspecified organism"), (2, 99), 24, 21, Place::Ward(4), true, &[&AMOXICILLIN_CLAVULANATE]),
    acute!(Infarction, snomed("22298006", "Myocardial infarction"), icd("I21.9", "Acute myocardial infarction, unspecified"), (52, 95), 14, 28, Place::Ward(5), false, &[&CLOPIDOGREL]),
    acute!(Stroke, snomed("230690007", "Cerebrovascular accident"), icd("I63.9", "Cerebral infarction, unspecified"), (58, 95), 10, 40, Place::Ward(7), false, &[&CLOPIDOGREL]),
];

/// What the last stay in hospital was for.
pub(crate) fn is_fatal(disease: Disease) -> bool {
    matches!(
        disease,
        Disease::Pneumonia | Disease::Infarction | Disease::Stroke
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::PathBuf;

    use super::*;

    fn shared() -> PathBuf {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::env::var_os("SALUS_SHARED").map_or(root.join("../shared"), PathBuf::from)
    }

    #[test]
    fn diagnoses_are_those_of_the_published_icd_10_cm() {
        let path = shared().join("data/terminology/icd10cm/icd10cm-codes-2024.txt");
        let Ok(table) = std::fs::read_to_string(&path) else {
            println!("skipped: {} is not here", path.display());
            return;
        };
        let known: HashMap<&str, &str> = table
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace))
            .collect();
        for illness in CHRONIC.iter().chain(ACUTE) {
            let code = illness.icd.code.replace('.', "");
            assert_eq!(known[code.as_str()].trim(), illness.icd.display);
        }
    }
}
