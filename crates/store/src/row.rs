//! Index rows: the typed values by which a record is found.

use std::cmp::Ordering;

use crate::ordered::{self, Decimal};
use crate::{Components, Kind, Param, Place, Words};

/// One value of one search parameter of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The parameter.
    pub param: Param,
    /// Its value.
    pub value: Value,
}

/// A typed value, in the form in which it is compared.
///
/// Values have an order: that of the variants, then of the fields as they
/// stand here, numbers as numbers and text byte by byte. [`Self::put_key`]
/// gives bytes of the same order. [`crate::Sort::Value`] sorts by the rank of
/// a value, [`ValueRef::put_rank`].
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A code in a system; either may be empty. Ordered by code first.
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
    /// A number with a unit; system and code may be empty. Ordered by number,
    /// then code, then system.
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
    /// Two or three values that belong together, none of them a composite
    /// and none of them words.
    Composite(Box<[Value]>),
    /// The words of a text.
    Words(Words),
    /// A place on the Earth. Ordered by latitude, then longitude.
    Place(Place),
    /// The words of a passage of the text, to be compared. No index has them:
    /// those of the text lead to the record.
    Passage(Words),
}
salus_phi::guard!(Value);

impl Value {
    /// What kind of value it is, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::String { .. } => "string",
            Self::Date { .. } => "date",
            Self::Number(_) => "number",
            Self::Quantity { .. } => "quantity",
            Self::Reference { .. } => "reference",
            Self::Uri(_) => "uri",
            Self::Composite(_) => "composite",
            Self::Words(_) => "text",
            Self::Passage(_) => "passage",
            Self::Place(_) => "place",
        }
    }

    /// The value without a copy of its text.
    #[must_use]
    pub fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Token { system, code } => ValueRef::Token { code, system },
            Self::String { folded, exact } => ValueRef::String { folded, exact },
            Self::Date { from_ms, to_ms } => ValueRef::Date {
                from_ms: *from_ms,
                to_ms: *to_ms,
            },
            Self::Number(value) => ValueRef::Number(value.as_bytes()),
            Self::Quantity {
                value,
                system,
                code,
            } => ValueRef::Quantity {
                value: value.as_bytes(),
                code,
                system,
            },
            Self::Reference { kind, id } => ValueRef::Reference { kind: *kind, id },
            Self::Uri(uri) => ValueRef::Uri(uri),
            Self::Composite(values) => ValueRef::Composite(Components::of(values)),
            Self::Words(words) => ValueRef::Words(words.as_bytes()),
            Self::Passage(words) => ValueRef::Passage(words.as_bytes()),
            Self::Place(place) => ValueRef::Place(*place),
        }
    }

    /// Whether it is what it may be: only a composite may be something else.
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Composite(values) => {
                COMPONENTS.contains(&values.len())
                    && !values.iter().any(|value| {
                        matches!(
                            value,
                            Self::Composite(_) | Self::Words(_) | Self::Passage(_)
                        )
                    })
            }
            Self::Token { .. }
            | Self::String { .. }
            | Self::Date { .. }
            | Self::Number(_)
            | Self::Quantity { .. }
            | Self::Reference { .. }
            | Self::Uri(_)
            | Self::Words(_)
            | Self::Passage(_)
            | Self::Place(_) => true,
        }
    }

    /// Appends bytes in the order of values. They end themselves, so more may follow.
    pub fn put_key(&self, key: &mut Vec<u8>) {
        self.borrow().put_key(key);
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        self.borrow().cmp(&other.borrow())
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A [`Value`] that borrows its text; its derived order is the order of values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "each field is the one of the same name in `Value`"
)]
pub enum ValueRef<'a> {
    /// See [`Value::Token`].
    Token { code: &'a str, system: &'a str },
    /// See [`Value::String`].
    String { folded: &'a str, exact: &'a str },
    /// See [`Value::Date`].
    Date { from_ms: i64, to_ms: i64 },
    /// See [`Value::Number`]; the bytes of a [`Decimal`].
    Number(&'a [u8]),
    /// See [`Value::Quantity`]; the number as the bytes of a [`Decimal`].
    Quantity {
        value: &'a [u8],
        code: &'a str,
        system: &'a str,
    },
    /// See [`Value::Reference`].
    Reference { kind: Kind, id: &'a str },
    /// See [`Value::Uri`].
    Uri(&'a str),
    /// See [`Value::Composite`].
    Composite(Components<'a>),
    /// See [`Value::Words`]; the bytes of [`Words`].
    Words(&'a [u8]),
    /// See [`Value::Place`].
    Place(Place),
    /// See [`Value::Passage`]; the bytes of [`Words`].
    Passage(&'a [u8]),
}
salus_phi::guard!(ValueRef<'_>);

/// How many components a composite has.
pub(crate) const COMPONENTS: std::ops::RangeInclusive<usize> = 2..=3;

impl ValueRef<'_> {
    /// Whether it has a place in an order. A token with neither system nor
    /// code says only that something is there.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        !matches!(
            self,
            ValueRef::Token {
                code: "",
                system: ""
            }
        )
    }

    /// The value with its own copy of the text; `None` if a number is none.
    #[must_use]
    pub fn to_value(self) -> Option<Value> {
        Some(match self {
            Self::Token { code, system } => Value::Token {
                system: system.into(),
                code: code.into(),
            },
            Self::String { folded, exact } => Value::String {
                folded: folded.into(),
                exact: exact.into(),
            },
            Self::Date { from_ms, to_ms } => Value::Date { from_ms, to_ms },
            Self::Number(value) => Value::Number(Decimal::from_bytes(value)?),
            Self::Quantity {
                value,
                code,
                system,
            } => Value::Quantity {
                value: Decimal::from_bytes(value)?,
                system: system.into(),
                code: code.into(),
            },
            Self::Reference { kind, id } => Value::Reference {
                kind,
                id: id.into(),
            },
            Self::Uri(uri) => Value::Uri(uri.into()),
            Self::Composite(components) => Value::Composite(
                components
                    .iter()
                    .map(Self::to_value)
                    .collect::<Option<_>>()?,
            ),
            Self::Words(words) => Value::Words(Words::from_bytes(words)?),
            Self::Passage(words) => Value::Passage(Words::from_bytes(words)?),
            Self::Place(place) => Value::Place(place),
        })
    }

    /// Appends bytes in the order of values. They end themselves, so more may follow.
    pub fn put_key(&self, key: &mut Vec<u8>) {
        key.push(self.tag());
        match *self {
            Self::Token { code, system } => {
                ordered::put_text(key, code);
                ordered::put_text(key, system);
            }
            Self::String { folded, exact } => {
                ordered::put_text(key, folded);
                ordered::put_text(key, exact);
            }
            Self::Date { from_ms, to_ms } => {
                ordered::put_i64(key, from_ms);
                ordered::put_i64(key, to_ms);
            }
            Self::Number(value) => key.extend_from_slice(value),
            Self::Quantity {
                value,
                code,
                system,
            } => {
                key.extend_from_slice(value);
                ordered::put_text(key, code);
                ordered::put_text(key, system);
            }
            Self::Reference { kind, id } => {
                ordered::put_u32(key, kind.0);
                ordered::put_text(key, id);
            }
            Self::Uri(uri) => ordered::put_text(key, uri),
            Self::Composite(components) => {
                components.iter().for_each(|value| value.put_key(key));
                // Below the number of any variant.
                key.push(0);
            }
            Self::Words(words) | Self::Passage(words) => ordered::put_bytes(key, words),
            Self::Place(place) => {
                ordered::put_i64(key, i64::from(place.latitude()));
                ordered::put_i64(key, i64::from(place.longitude()));
            }
        }
    }

    /// Appends the part of the value by which records are sorted, as bytes in
    /// its order that end themselves: of a token the code, of a string the
    /// folded form, of a quantity the number, of a reference the id (UUIDs
    /// first), then the kind; of all others the whole.
    pub fn put_rank(&self, key: &mut Vec<u8>) {
        match *self {
            Self::Token { code, .. } => {
                key.push(self.tag());
                ordered::put_text(key, code);
            }
            Self::String { folded, .. } => {
                key.push(self.tag());
                ordered::put_text(key, folded);
            }
            Self::Quantity { value, .. } => {
                key.push(self.tag());
                key.extend_from_slice(value);
            }
            Self::Reference { kind, id } => {
                key.push(self.tag());
                ordered::put_id(key, id);
                ordered::put_u32(key, kind.0);
            }
            Self::Date { .. }
            | Self::Number(_)
            | Self::Uri(_)
            | Self::Composite(_)
            | Self::Words(_)
            | Self::Passage(_)
            | Self::Place(_) => self.put_key(key),
        }
    }

    /// The order of the ranks of two values.
    #[must_use]
    pub fn cmp_rank(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Token { code: a, .. }, Self::Token { code: b, .. }) => a.cmp(b),
            (Self::String { folded: a, .. }, Self::String { folded: b, .. }) => a.cmp(b),
            (Self::Quantity { value: a, .. }, Self::Quantity { value: b, .. }) => a.cmp(b),
            (Self::Reference { kind: k, id: a }, Self::Reference { kind: l, id: b }) => {
                let is_text = |id| ordered::uuid_bytes(id).is_none();
                (is_text(a), a, k).cmp(&(is_text(b), b, l))
            }
            _ => self.cmp(other),
        }
    }

    /// The variant's number, from 1 to 15. Part of the stored format: never changes.
    pub(crate) const fn tag(&self) -> u8 {
        match self {
            Self::Token { .. } => 1,
            Self::String { .. } => 2,
            Self::Date { .. } => 3,
            Self::Number(_) => 4,
            Self::Quantity { .. } => 5,
            Self::Reference { .. } => 6,
            Self::Uri(_) => 7,
            Self::Composite(_) => 8,
            Self::Words(_) => 9,
            Self::Place(_) => 10,
            Self::Passage(_) => 11,
        }
    }
}
