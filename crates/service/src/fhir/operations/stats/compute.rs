//! The statistics that can be computed
//! (<http://terminology.hl7.org/CodeSystem/observation-statistics>).

/// One of them.
#[derive(Debug)]
pub(super) struct Statistic {
    /// Its code.
    pub(super) name: &'static str,
    /// Whether it is an amount in the unit of the values.
    pub(super) has_unit: bool,
    how: How,
}

#[derive(Debug)]
enum How {
    Count,
    Total,
    Sum,
    Mean,
    Least,
    Greatest,
    Variance,
    Deviation,
    Skew,
    Kurtosis,
    /// So much of the values lies below.
    Percentile(f64),
    /// Between the quarter below and the one above.
    Quartiles,
}

const fn with_unit(name: &'static str, how: How) -> Statistic {
    Statistic {
        name,
        has_unit: true,
        how,
    }
}

const fn plain(name: &'static str, how: How) -> Statistic {
    Statistic {
        name,
        has_unit: false,
        how,
    }
}

static ALL: &[Statistic] = &[
    with_unit("average", How::Mean),
    with_unit("maximum", How::Greatest),
    with_unit("minimum", How::Least),
    plain("count", How::Count),
    plain("total-count", How::Total),
    with_unit("median", How::Percentile(0.5)),
    with_unit("std-dev", How::Deviation),
    with_unit("sum", How::Sum),
    // In the square of the unit, which has no code.
    plain("variance", How::Variance),
    with_unit("20-percent", How::Percentile(0.2)),
    with_unit("80-percent", How::Percentile(0.8)),
    with_unit("4-lower", How::Percentile(0.25)),
    with_unit("4-upper", How::Percentile(0.75)),
    with_unit("4-dev", How::Quartiles),
    with_unit("5-1", How::Percentile(0.2)),
    with_unit("5-2", How::Percentile(0.4)),
    with_unit("5-3", How::Percentile(0.6)),
    with_unit("5-4", How::Percentile(0.8)),
    plain("skew", How::Skew),
    plain("kurtosis", How::Kurtosis),
];

impl Statistic {
    /// The one of this code.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|known| known.name == name)
    }

    /// The codes of all.
    pub(super) fn names() -> String {
        let names: Vec<&str> = ALL.iter().map(|known| known.name).collect();
        names.join(", ")
    }

    /// Of these values, and of so many observations; `None` if it says nothing
    /// about so few.
    pub(super) fn of(&self, values: &[f64], total: usize) -> Option<f64> {
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        let least = match self.how {
            How::Count | How::Total | How::Sum => 0,
            How::Variance | How::Deviation => 2,
            How::Skew => 3,
            How::Kurtosis => 4,
            How::Mean | How::Least | How::Greatest | How::Percentile(_) | How::Quartiles => 1,
        };
        if values.len() < least {
            return None;
        }
        let mean = sum / count;
        let moment = |power| {
            values
                .iter()
                .map(|value| (value - mean).powi(power))
                .sum::<f64>()
        };
        let variance = moment(2) / (count - 1.0);
        let number = match self.how {
            How::Count => count,
            How::Total => total as f64,
            How::Sum => sum,
            How::Mean => mean,
            How::Least => values.iter().copied().fold(f64::INFINITY, f64::min),
            How::Greatest => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            How::Variance => variance,
            How::Deviation => variance.sqrt(),
            How::Skew => moment(3) / count / (moment(2) / count).powf(1.5),
            How::Kurtosis => moment(4) / count / (moment(2) / count).powi(2) - 3.0,
            How::Percentile(part) => percentile(values, part),
            How::Quartiles => percentile(values, 0.75) - percentile(values, 0.25),
        };
        number.is_finite().then_some(number)
    }
}

fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * (sorted.len() as f64 - 1.0);
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * (place - place.floor())
}

/// A number as a decimal of at most 12 digits.
pub(super) fn decimal(number: f64) -> String {
    let short: f64 = format!("{number:.11e}").parse().unwrap_or(number);
    match short == 0.0 {
        true => "0".to_owned(),
        false => short.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, values: &[f64], expect: &str) {
        let number = Statistic::named(name).unwrap().of(values, 9);
        let text = number.map_or("-".to_owned(), decimal);
        assert_eq!(text, expect, "{name} of {values:?}");
    }

    #[test]
    fn numbers_are_those_of_the_books() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        check("average", &values, "5");
        check("sum", &values, "40");
        check("count", &values, "8");
        check("total-count", &values, "9");
        check("minimum", &values, "2");
        check("maximum", &values, "9");
        check("median", &values, "4.5");
        check("variance", &values, "4.57142857143");
        check("std-dev", &values, "2.1380899353");
        check("4-lower", &values, "4");
        check("4-upper", &values, "5.5");
        check("4-dev", &values, "1.5");
        check("skew", &values, "0.65625");
        check("kurtosis", &values, "-0.21875");
    }

    #[test]
    fn of_too_few_there_is_nothing_to_say() {
        check("average", &[], "-");
        check("count", &[], "0");
        check("sum", &[], "0");
        check("std-dev", &[1.0], "-");
        check("skew", &[1.0, 1.0, 1.0], "-");
        check("median", &[0.1], "0.1");
    }
}
