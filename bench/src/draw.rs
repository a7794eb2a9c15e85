//! Seeded choices: the same seed makes the same data and the same requests.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014): one multiplication chain a draw and
//! no set-up, so each resource can have a generator of its own.

/// A sequence of choices.
#[derive(Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The sequence for one thing (a client, a resource) of a run.
    pub(crate) fn new(seed: u64, thing: u64) -> Self {
        let mut draw = Self(seed ^ thing.wrapping_mul(0xd134_2543_de82_ef95));
        draw.bits();
        draw
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but without `end`; 0 for an empty range.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_with_their_seed_and_stay_in_range() {
        let (mut one, mut same, mut other) = (Draw::new(1, 2), Draw::new(1, 2), Draw::new(1, 3));
        let list = |draw: &mut Draw| (0..50).map(|_| draw.below(10)).collect::<Vec<_>>();
        let (one, same, other) = (list(&mut one), list(&mut same), list(&mut other));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert!((0..10).all(|n| one.iter().chain(&other).any(|m| *m == n)));
        assert_eq!(Draw::new(1, 2).below(0), 0);
    }
}
