//! Typed values of search parameters, as an index stores them:
//! <https://hl7.org/fhir/R4/search.html#ptypes>.

use std::borrow::Cow;

use super::span::Span;

/// One value of one search parameter of a resource. Texts are borrowed from
/// the resource where they stand there as they are.
#[derive(Clone, PartialEq, Eq, Hash)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub enum Value<'a> {
    /// A code in a system; either may be empty.
    Token {
        /// The system, a URI, or empty.
        system: Cow<'a, str>,
        /// The code, or empty.
        code: Cow<'a, str>,
    },
    /// Words beside a token or a reference, folded: for `:text`.
    Words(Cow<'a, str>),
    /// An identifier with a type of it: for `:of-type`.
    OfType {
        /// The system of the identifier's type.
        system: Cow<'a, str>,
        /// The code of the identifier's type.
        code: Cow<'a, str>,
        /// The identifier's value.
        value: Cow<'a, str>,
    },
    /// Text, folded for matching and as written.
    String {
        /// See [`super::fold`].
        folded: Cow<'a, str>,
        /// As written.
        exact: Cow<'a, str>,
    },
    /// A span of time.
    Date(Span),
    /// A number, as written.
    Number(Cow<'a, str>),
    /// A number with a unit.
    Quantity {
        /// The number, as written.
        value: Cow<'a, str>,
        /// The system of the unit's code, or empty.
        system: Cow<'a, str>,
        /// The unit's code, or empty. The unit in words, where it is not the
        /// code, is a value of its own without a system. Beside a
        /// [`Value::Amount`] there is only one, also without a system.
        code: Cow<'a, str>,
    },
    /// A number with a unit of UCUM, so that all units of one dimension can
    /// be compared.
    Amount {
        /// The number of base units: see [`crate::ucum::Unit::canonical`].
        value: Box<str>,
        /// The base units: a [`crate::ucum::Dimension`], printed.
        unit: Box<str>,
        /// The unit's code, as written.
        code: Cow<'a, str>,
    },
    /// All numbers from one to another, the ends included; at least one end is
    /// there, and a missing one is without limit. Both are of one variant,
    /// [`Value::Number`], [`Value::Quantity`] or [`Value::Amount`], and of one unit.
    Range {
        /// The lower end.
        low: Option<Box<Value<'a>>>,
        /// The upper end.
        high: Option<Box<Value<'a>>>,
    },
    /// A reference to a record of this server.
    Reference {
        /// Its type.
        ty: Cow<'a, str>,
        /// Its id.
        id: Cow<'a, str>,
        /// The version, when the reference names one.
        version: Option<Cow<'a, str>>,
    },
    /// A reference to something that is no record of this server.
    ReferenceUri(Cow<'a, str>),
    /// A reference by business identifier, for `:identifier`.
    ReferenceIdentifier {
        /// The identifier's system, or empty.
        system: Cow<'a, str>,
        /// The identifier's value.
        value: Cow<'a, str>,
    },
    /// A URI.
    Uri(Cow<'a, str>),
    /// A place on the Earth, by its degrees north and east, as written.
    Place {
        /// Degrees north of the equator.
        latitude: &'a str,
        /// Degrees east of Greenwich.
        longitude: &'a str,
    },
    /// Values of one element that belong together, one for each component of
    /// a composite parameter, in their order.
    Composite(Box<[Value<'a>]>),
    /// The element is there without anything that a search compares: for
    /// `:missing` only.
    Present,
}
#[cfg(not(test))]
salus_phi::guard!(Value<'_>);

impl Value<'_> {
    /// Is it something that the parameter itself compares? The others are for
    /// a modifier only.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Token { .. }
            | Self::String { .. }
            | Self::Date(_)
            | Self::Number(_)
            | Self::Quantity { .. }
            | Self::Amount { .. }
            | Self::Range { .. }
            | Self::Reference { .. }
            | Self::ReferenceUri(_)
            | Self::Uri(_)
            | Self::Place { .. }
            | Self::Composite(_) => true,
            Self::Words(_)
            | Self::OfType { .. }
            | Self::ReferenceIdentifier { .. }
            | Self::Present => false,
        }
    }

    /// The span, if it is a date.
    #[must_use]
    pub fn as_date(&self) -> Option<Span> {
        if let Self::Date(span) = self {
            Some(*span)
        } else {
            None
        }
    }
}

/// Longest text of a string value, in bytes. Longer ones are found by their
/// beginning, which is also all that `:exact` and `:contains` compare.
pub const STRING_BYTES_MAX: usize = 256;

/// Longest code, system, id or URI of a value, in bytes. Longer ones are cut,
/// when indexed and when asked for.
pub const CODE_BYTES_MAX: usize = 1024;

/// Most values of one resource.
pub const VALUES_MAX: usize = 65_536;

/// The beginning of a text that is longer than `bytes_max`, cut between
/// characters.
#[must_use]
pub fn clip(text: Cow<'_, str>, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text;
    }
    let end = text.floor_char_boundary(bytes_max);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bytes_max: usize, expected: &str) {
        assert_eq!(clip(Cow::Borrowed(text), bytes_max), expected);
        assert_eq!(clip(Cow::Owned(text.to_owned()), bytes_max), expected);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        check("abc", 3, "abc");
        check("abcd", 3, "abc");
        check("aéb", 2, "a");
        check("é", 1, "");
    }
}
