//! Seeded chance.
//!
//! The sampling is our own, over the raw words of ChaCha8: the output must not change when a
//! library refines its distributions, and it uses only `+ - * /`, which every machine rounds alike.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::write::Id;

/// One independent sequence of random choices.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// The sequence `stream` of `seed`: sequences of one seed do not overlap.
    pub(crate) fn new(seed: u64, stream: u64) -> Draw {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Draw(rng)
    }

    /// A number in `0..count`; `count` must not be 0.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        // The high half of the product; its bias is below count / 2^64.
        let product = u128::from(self.0.next_u64()) * u128::from(count);
        (product >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(low.abs_diff(high) + 1) as i64
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A bell-shaped number around `mean` with standard deviation `spread`, never further from
    /// the mean than 3.5 spreads.
    pub(crate) fn around(&mut self, mean: f64, spread: f64) -> f64 {
        // The sum of four uniform numbers has mean 2 and variance 1/3.
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        mean + spread * (sum - 2.0) * 1.732
    }

    /// One of `items`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// One of `items`, each as likely as its weight says; the weights must not all be 0.
    pub(crate) fn weighted<'a, T>(&mut self, items: &'a [(u32, T)]) -> &'a T {
        let total = items.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut left = self.below(total);
        for (weight, item) in items {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return item,
            }
        }
        &items[items.len() - 1].1
    }

    /// A resource id.
    pub(crate) fn id(&mut self) -> Id {
        Id::new(self.0.next_u64(), self.0.next_u64())
    }
}
