//! Latencies in buckets that grow with the value, as HDR histograms do.
//!
//! 64 buckets for each doubling keep every quantile within 1.6 % of the truth
//! in 15 KB, whatever the number of samples. Values are microseconds.

/// Values at or above this many microseconds (about 19 hours) share the last bucket.
const VALUE_MAX: u64 = (1 << 36) - 1;
const BUCKETS: usize = index(VALUE_MAX) + 1;

/// Counts of durations in microseconds.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// A histogram without samples.
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            count: 0,
            max: 0,
        }
    }

    /// Adds one sample.
    pub(crate) fn record(&mut self, micros: u64) {
        if let Some(count) = self.counts.get_mut(index(micros.min(VALUE_MAX))) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// The number of samples.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The largest sample, exact.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The smallest bucket bound that at least the share `q` (0 to 1) of the samples stay within.
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        let rank = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(bucket).min(self.max);
            }
        }
        self.max
    }
}

const fn index(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(7);
    shift as usize * 64 + (value >> shift) as usize
}

fn upper(bucket: usize) -> u64 {
    let shift = (bucket / 64).saturating_sub(1);
    let mantissa = (bucket - shift * 64) as u64;
    ((mantissa + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for value in 1..100_000 {
            let (before, here) = (index(value - 1), index(value));
            assert!(here == before || here == before + 1, "{value}");
            assert!(
                value <= upper(here) && upper(here) - value <= value / 64,
                "{value}"
            );
        }
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::new();
        (1..=100_000).for_each(|value| histogram.record(value));
        for (q, exact) in [
            (0.5, 50_000.0),
            (0.95, 95_000.0),
            (0.99, 99_000.0),
            (1.0, 100_000.0),
        ] {
            let got = histogram.quantile(q) as f64;
            assert!((got - exact).abs() / exact < 0.02, "{q}: {got}");
        }
        assert_eq!((histogram.max(), histogram.count()), (100_000, 100_000));
    }

    #[test]
    fn an_empty_histogram_and_a_huge_value_are_no_trouble() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), 0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.max(), u64::MAX);
        assert_eq!(histogram.quantile(0.5), VALUE_MAX);
    }
}
