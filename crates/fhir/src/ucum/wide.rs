//! Whole numbers of 256 bits: just enough to multiply and divide exactly
//! before rounding.

/// Four parts of 64 bits, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide([u64; 4]);

impl Wide {
    pub(super) fn product(a: u128, b: u128) -> Self {
        let (a, b) = (halves(a), halves(b));
        let mut parts = [0_u64; 4];
        for (i, a) in a.into_iter().enumerate() {
            let mut carry = 0_u128;
            for (part, b) in parts.iter_mut().skip(i).zip(b) {
                let sum = u128::from(a) * u128::from(b) + u128::from(*part) + carry;
                *part = low(sum);
                carry = sum >> 64;
            }
            if let Some(part) = parts.get_mut(i + 2) {
                *part = low(carry);
            }
        }
        Self(parts)
    }

    /// As a number of 128 bits, if it is one.
    pub(super) fn small(self) -> Option<u128> {
        let [a, b, c, d] = self.0;
        (c == 0 && d == 0).then(|| u128::from(a) | (u128::from(b) << 64))
    }

    /// A tenth of it, and the digit that is cut off.
    pub(super) fn tenth(self) -> (Self, u128) {
        let mut parts = self.0;
        let mut rest = 0_u128;
        for part in parts.iter_mut().rev() {
            let whole = (rest << 64) | u128::from(*part);
            *part = low(whole / 10);
            rest = whole % 10;
        }
        (Self(parts), rest)
    }

    /// Quotient and remainder; the divisor is neither zero nor above 2^127.
    pub(super) fn divided(self, divisor: u128) -> (Self, u128) {
        if let Some(small) = self.small() {
            let quotient = small / divisor;
            return (Self::product(quotient, 1), small % divisor);
        }
        let mut parts = [0_u64; 4];
        let mut rest = 0_u128;
        for (part, whole) in parts.iter_mut().zip(self.0).rev() {
            for bit in (0..64).rev() {
                rest = (rest << 1) | u128::from((whole >> bit) & 1);
                if rest >= divisor {
                    rest -= divisor;
                    *part |= 1 << bit;
                }
            }
        }
        (Self(parts), rest)
    }
}

fn halves(number: u128) -> [u64; 2] {
    [low(number), low(number >> 64)]
}

/// The lower half.
#[allow(clippy::cast_possible_truncation, reason = "it is cut on purpose")]
fn low(number: u128) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_divide_into_their_factors() {
        let numbers = [1, 7, 10_u128.pow(19), 10_u128.pow(36) + 9, u128::MAX >> 1];
        for a in numbers {
            for b in numbers {
                let (quotient, rest) = Wide::product(a, b).divided(b);
                assert_eq!((quotient.small(), rest), (Some(a), 0), "{a} {b}");
            }
        }
        let (tenth, digit) = Wide::product(u128::MAX, 10).tenth();
        assert_eq!((tenth.small(), digit), (Some(u128::MAX), 0));
        assert_eq!(Wide::product(12, 1).tenth().1, 2);
        assert_eq!(Wide::product(u128::MAX, 2).small(), None);
        assert_eq!(Wide::product(10_u128.pow(38), 10).divided(7).1, 6);
    }
}
