//! How a body grows and ages.
//!
//! The tables are rounded from the published growth medians (CDC 2000), between which we
//! interpolate; traits drawn once for each person move the whole curve.

use crate::draw::Draw;

/// Sex at birth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sex {
    Female,
    Male,
}

/// What a person is born with.
pub(crate) struct Body {
    sex: Sex,
    adult_height_cm: f64,
    adult_bmi: f64,
    systolic_offset: f64,
    heart_rate_offset: f64,
}

/// (age in years, share of the adult height)
#[rustfmt::skip]
const HEIGHT_FEMALE: &[(f64, f64)] = &[
    (0.0, 0.302), (0.5, 0.401), (1.0, 0.453), (2.0, 0.524), (3.0, 0.576), (4.0, 0.619),
    (5.0, 0.662), (6.0, 0.705), (7.0, 0.744), (8.0, 0.781), (9.0, 0.815), (10.0, 0.846),
    (11.0, 0.885), (12.0, 0.928), (13.0, 0.962), (14.0, 0.983), (15.0, 0.993), (16.0, 0.997),
    (18.0, 1.0),
];

#[rustfmt::skip]
const HEIGHT_MALE: &[(f64, f64)] = &[
    (0.0, 0.283), (0.5, 0.380), (1.0, 0.428), (2.0, 0.493), (3.0, 0.541), (4.0, 0.581),
    (5.0, 0.618), (6.0, 0.654), (7.0, 0.691), (8.0, 0.725), (9.0, 0.756), (10.0, 0.785),
    (11.0, 0.813), (12.0, 0.844), (13.0, 0.887), (14.0, 0.929), (15.0, 0.963), (16.0, 0.983),
    (17.0, 0.993), (18.0, 1.0),
];

/// (age in years, body mass index) of a middling child
#[rustfmt::skip]
const CHILD_BMI: &[(f64, f64)] = &[
    (0.0, 13.4), (0.5, 17.2), (1.0, 17.0), (2.0, 16.4), (4.0, 15.6), (6.0, 15.4), (8.0, 15.9),
    (10.0, 16.8), (12.0, 18.0), (14.0, 19.3), (16.0, 20.7), (18.0, 21.9),
];

/// (age in years, centimetres)
#[rustfmt::skip]
const HEAD: &[(f64, f64)] = &[
    (0.0, 34.5), (0.25, 40.0), (0.5, 43.0), (1.0, 46.3), (2.0, 48.5), (3.0, 49.6),
];

/// (age in years, beats per minute)
#[rustfmt::skip]
const HEART_RATE: &[(f64, f64)] = &[
    (0.0, 138.0), (1.0, 118.0), (5.0, 97.0), (10.0, 85.0), (18.0, 74.0), (90.0, 71.0),
];

/// (age in years, breaths per minute)
#[rustfmt::skip]
const BREATHS: &[(f64, f64)] = &[
    (0.0, 40.0), (1.0, 28.0), (5.0, 22.0), (10.0, 19.0), (18.0, 15.0),
];

const MIDDLING_BMI: f64 = 26.0;

impl Body {
    pub(crate) fn new(sex: Sex, draw: &mut Draw) -> Body {
        let adult_height_cm = match sex {
            Sex::Female => draw.around(163.2, 6.3),
            Sex::Male => draw.around(176.5, 6.8),
        };
        Body {
            sex,
            adult_height_cm,
            adult_bmi: draw.around(27.5, 4.4).max(17.8),
            systolic_offset: draw.around(0.0, 6.0),
            heart_rate_offset: draw.around(0.0, 5.0),
        }
    }

    pub(crate) fn is_obese_as_adult(&self) -> bool {
        self.adult_bmi >= 30.5
    }

    pub(crate) fn height_cm(&self, age: f64) -> f64 {
        let table = match self.sex {
            Sex::Female => HEIGHT_FEMALE,
            Sex::Male => HEIGHT_MALE,
        };
        // Discs thin with age: about a millimetre a year after sixty.
        let lost = (age - 60.0).max(0.0) * 0.1;
        self.adult_height_cm * interpolate(table, age) - lost
    }

    pub(crate) fn bmi(&self, age: f64) -> f64 {
        let relative = self.adult_bmi / MIDDLING_BMI - 1.0;
        if age < 18.0 {
            return interpolate(CHILD_BMI, age) * (1.0 + relative * 0.6 * age / 18.0);
        }
        let grown = 21.9 * (1.0 + relative * 0.6);
        let settled = ((age - 18.0) / 17.0).min(1.0);
        let frailty = (age - 70.0).max(0.0) * 0.05;
        grown + (self.adult_bmi - grown) * settled - frailty
    }

    pub(crate) fn head_cm(&self, age: f64) -> f64 {
        interpolate(HEAD, age)
    }

    /// Systolic pressure at rest, without any illness.
    pub(crate) fn systolic(&self, age: f64) -> f64 {
        let base = if age < 18.0 {
            88.0 + age * 1.6
        } else {
            116.0 + (age - 40.0).max(0.0) * 0.2
        };
        base + self.systolic_offset
    }

    pub(crate) fn heart_rate(&self, age: f64) -> f64 {
        interpolate(HEART_RATE, age) + self.heart_rate_offset
    }

    pub(crate) fn breaths(&self, age: f64) -> f64 {
        interpolate(BREATHS, age)
    }
}

/// The value at `x` on the line through the table's points; flat beyond its ends.
fn interpolate(table: &[(f64, f64)], x: f64) -> f64 {
    let mut before = table[0];
    for &point in table {
        if point.0 > x {
            let share = (x - before.0) / (point.0 - before.0);
            return if share > 0.0 {
                before.1 + (point.1 - before.1) * share
            } else {
                before.1
            };
        }
        before = point;
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_grow_and_never_shrink() {
        for seed in 0..50 {
            let body = Body::new(Sex::Female, &mut Draw::new(seed, 0));
            let heights: Vec<f64> = (0..72)
                .map(|quarter| body.height_cm(f64::from(quarter) / 4.0))
                .collect();
            assert!(heights.is_sorted(), "{heights:?}");
            assert!((40.0..60.0).contains(&heights[0]), "{heights:?}");
        }
    }

    #[test]
    fn weight_has_no_step_at_eighteen() {
        let body = Body::new(Sex::Male, &mut Draw::new(1, 0));
        assert!((body.bmi(17.999) - body.bmi(18.0)).abs() < 0.05);
    }
}
