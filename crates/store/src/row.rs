//! Index rows: the typed values by which a record is found.

use crate::ordered::Decimal;
use crate::{Kind, Param};

/// One value of one search parameter of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The parameter.
    pub param: Param,
    /// Its value.
    pub value: Value,
}

/// A typed value, in the form in which it is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A code in a system; either may be empty.
    Token {
        /// The system, a URI, or empty.
        system: Box<str>,
        /// The code.
        code: Box<str>,
    },
    /// Text: folded (case, accents) for matching, and exactly as written.
    String {
        /// The folded form.
        folded: Box<str>,
        /// As written.
        exact: Box<str>,
    },
    /// A span of time, from (inclusive) to (exclusive), in milliseconds since
    /// 1970 UTC. `i64::MIN` and `i64::MAX` stand for open ends.
    Date {
        /// First instant.
        from_ms: i64,
        /// First instant after it.
        to_ms: i64,
    },
    /// A number.
    Number(Decimal),
    /// A number with a unit; system and code may be empty.
    Quantity {
        /// The number.
        value: Decimal,
        /// The system of the unit.
        system: Box<str>,
        /// The code of the unit.
        code: Box<str>,
    },
    /// A reference to a record of this scope.
    Reference {
        /// The kind it points to.
        kind: Kind,
        /// The id it points to.
        id: Box<str>,
    },
    /// A URI, or a reference that is not to a record of this scope.
    Uri(Box<str>),
}
