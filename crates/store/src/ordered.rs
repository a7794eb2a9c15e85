//! Values as bytes whose order is the order of the values.

/// A decimal of any size and precision. Equal numbers are equal whatever their trailing zeros.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(Box<[u8]>);

impl Decimal {
    /// Reads a JSON number, as `-1.50`, `7` or `2e-3`; `None` if it is not one, or its exponent
    /// lies beyond ±30,000.
    #[must_use]
    pub fn parse(_text: &str) -> Option<Self> {
        None
    }

    /// The bytes, whose order is the order of the numbers.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From bytes that [`Self::as_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}
