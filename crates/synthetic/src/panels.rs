//! The panels of the laboratory: what each measures, and the ranges of healthy adults.

use crate::codes::{Code, PERCENT, Unit, loinc, unit};

/// What is measured, and the range of healthy adults.
pub(crate) struct Analyte {
    pub(crate) code: Code,
    pub(crate) unit: Unit,
    pub(crate) places: u32,
    pub(crate) female: (Option<f64>, Option<f64>),
    pub(crate) male: (Option<f64>, Option<f64>),
}

/// Analytes that are ordered and reported together.
pub(crate) struct Panel {
    pub(crate) code: Code,
    pub(crate) cents: i64,
    pub(crate) analytes: &'static [Analyte],
}

const MG_DL: Unit = unit("mg/dL", "mg/dL");
const MMOL_L: Unit = unit("mmol/L", "mmol/L");
const G_DL: Unit = unit("g/dL", "g/dL");
const THOUSANDS: Unit = unit("10*3/uL", "10*3/uL");
const MILLIONS: Unit = unit("10*6/uL", "10*6/uL");
const FEMTOLITRE: Unit = unit("fL", "fL");
const PICOGRAM: Unit = unit("pg", "pg");
const MILLI_UNITS: Unit = unit("m[IU]/L", "mIU/L");
const MG_G: Unit = unit("mg/g", "mg/g");

const fn within(code: Code, unit: Unit, places: u32, low: f64, high: f64) -> Analyte {
    let range = (Some(low), Some(high));
    Analyte {
        code,
        unit,
        places,
        female: range,
        male: range,
    }
}

const fn below(code: Code, unit: Unit, places: u32, high: f64) -> Analyte {
    let range = (None, Some(high));
    Analyte {
        code,
        unit,
        places,
        female: range,
        male: range,
    }
}

const fn by_sex(
    code: Code,
    unit: Unit,
    places: u32,
    female: (f64, f64),
    male: (f64, f64),
) -> Analyte {
    let female = (Some(female.0), Some(female.1));
    Analyte {
        code,
        unit,
        places,
        female,
        male: (Some(male.0), Some(male.1)),
    }
}

#[rustfmt::skip]
pub(crate) const METABOLIC: Panel = Panel {
    code: loinc("24321-2", "Basic metabolic 2000 panel - Serum or Plasma"),
    cents: 3_820,
    analytes: &[
        within(loinc("2345-7", "Glucose [Mass/volume] in Serum or Plasma"), MG_DL, 0, 70.0, 99.0),
        within(loinc("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma"), MG_DL, 0, 7.0, 20.0),
        by_sex(loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"), MG_DL, 2, (0.50, 1.10), (0.60, 1.30)),
        within(loinc("17861-6", "Calcium [Mass/volume] in Serum or Plasma"), MG_DL, 1, 8.5, 10.5),
        within(loinc("2951-2", "Sodium [Moles/volume] in Serum or Plasma"), MMOL_L, 0, 135.0, 145.0),
        within(loinc("2823-3", "Potassium [Moles/volume] in Serum or Plasma"), MMOL_L, 1, 3.5, 5.1),
        within(loinc("2075-0", "Chloride [Moles/volume] in Serum or Plasma"), MMOL_L, 0, 98.0, 107.0),
        within(loinc("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma"), MMOL_L, 0, 22.0, 30.0),
    ],
};

#[rustfmt::skip]
pub(crate) const LIPIDS: Panel = Panel {
    code: loinc("24331-1", "Lipid 1996 panel - Serum or Plasma"),
    cents: 4_500,
    analytes: &[
        below(loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"), MG_DL, 0, 200.0),
        below(loinc("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"), MG_DL, 0, 150.0),
        by_sex(loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"), MG_DL, 0, (50.0, 90.0), (40.0, 90.0)),
        below(loinc("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation"), MG_DL, 0, 130.0),
    ],
};

#[rustfmt::skip]
pub(crate) const BLOOD_COUNT: Panel = Panel {
    code: loinc("58410-2", "CBC panel - Blood by Automated count"),
    cents: 2_940,
    analytes: &[
        within(loinc("6690-2", "Leukocytes [#/volume] in Blood by Automated count"), THOUSANDS, 1, 4.0, 11.0),
        by_sex(loinc("789-8", "Erythrocytes [#/volume] in Blood by Automated count"), MILLIONS, 2, (3.90, 5.20), (4.30, 5.90)),
        by_sex(loinc("718-7", "Hemoglobin [Mass/volume] in Blood"), G_DL, 1, (12.0, 15.5), (13.5, 17.5)),
        by_sex(loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"), PERCENT, 1, (35.0, 46.0), (40.0, 52.0)),
        within(loinc("787-2", "MCV [Entitic volume] by Automated count"), FEMTOLITRE, 1, 80.0, 100.0),
        within(loinc("785-6", "MCH [Entitic mass] by Automated count"), PICOGRAM, 1, 26.0, 34.0),
        within(loinc("786-4", "MCHC [Mass/volume] by Automated count"), G_DL, 1, 31.0, 36.5),
        within(loinc("777-3", "Platelets [#/volume] in Blood by Automated count"), THOUSANDS, 0, 150.0, 450.0),
    ],
};

#[rustfmt::skip]
pub(crate) const GLYCATED: Panel = Panel {
    code: loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    cents: 3_200,
    analytes: &[within(loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"), PERCENT, 1, 4.0, 5.6)],
};

#[rustfmt::skip]
pub(crate) const THYROID: Panel = Panel {
    code: loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
    cents: 4_100,
    analytes: &[within(loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"), MILLI_UNITS, 2, 0.40, 4.50)],
};

#[rustfmt::skip]
pub(crate) const ALBUMIN: Panel = Panel {
    code: loinc("14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine"),
    cents: 2_750,
    analytes: &[below(loinc("14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine"), MG_G, 0, 30.0)],
};
