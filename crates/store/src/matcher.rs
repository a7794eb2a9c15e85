//! What a [`Filter`] and a [`Sort`] mean, decided on one record in memory.
//!
//! This is the definition: the memory twin answers every query with it,
//! engines check with it what their indexes cannot, and live queries match
//! changes with it.

use std::cmp::Ordering;

use crate::{Comparison, Filter, Kind, Param, Rows, Seq, Sort, Test, ValueRef, ordered};

/// What there is to know about a version of a record when it is matched.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Id of the record.
    pub id: &'a str,
    /// Time of the version.
    pub time_ms: i64,
    /// Its place in the order of commits.
    pub seq: Seq,
    /// Its values.
    pub rows: Rows<'a>,
}
salus_phi::guard!(Candidate<'_>);

impl<'a> Candidate<'a> {
    /// The value by which [`Sort::Value`] sorts this.
    #[must_use]
    pub fn sort_value(&self, param: Param, descending: bool) -> Option<ValueRef<'a>> {
        let values = self.rows.values(param).filter(ValueRef::is_ordered);
        if descending {
            values.max_by(ValueRef::cmp_rank)
        } else {
            values.min_by(ValueRef::cmp_rank)
        }
    }
}

/// The other records of a scope at a point, as [`Filter::matches_among`] asks about them.
pub trait Others {
    /// Why there is no answer.
    type Error;

    /// Whether the current record of this kind and id satisfies a filter;
    /// false if there is none.
    ///
    /// # Errors
    /// As the implementation says.
    fn satisfies(&mut self, kind: Kind, id: &str, filter: &Filter) -> Result<bool, Self::Error>;

    /// Whether a current record of a kind has a reference of a parameter to
    /// the record `to`, and satisfies a filter.
    ///
    /// # Errors
    /// As the implementation says.
    fn referrer_satisfies(
        &mut self,
        to: (Kind, &str),
        kind: Kind,
        param: Param,
        filter: &Filter,
    ) -> Result<bool, Self::Error>;
}

/// When nothing is known of other records.
struct Unknown;

impl Others for Unknown {
    type Error = Self;

    fn satisfies(&mut self, _: Kind, _: &str, _: &Filter) -> Result<bool, Self> {
        Err(Self)
    }

    fn referrer_satisfies(
        &mut self,
        _: (Kind, &str),
        _: Kind,
        _: Param,
        _: &Filter,
    ) -> Result<bool, Self> {
        Err(Self)
    }
}

impl Filter {
    /// Says whether a record satisfies this, whatever other records there
    /// are: never, if that has to be known.
    #[must_use]
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        // The kind matters only to those who refer to it.
        let matches = self.matches_among(Kind(0), candidate, &mut Unknown);
        matches.unwrap_or(false)
    }

    /// Says whether a record of a kind satisfies this among others.
    ///
    /// # Errors
    /// Those of [`Others`].
    pub fn matches_among<O: Others>(
        &self,
        kind: Kind,
        candidate: &Candidate<'_>,
        others: &mut O,
    ) -> Result<bool, O::Error> {
        match self {
            Self::Everything => Ok(true),
            Self::Nothing => Ok(false),
            Self::All(filters) => {
                for filter in filters {
                    if !filter.matches_among(kind, candidate, others)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(filters) => {
                for filter in filters {
                    if filter.matches_among(kind, candidate, others)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(filter) => Ok(!filter.matches_among(kind, candidate, others)?),
            Self::Value(param, Test::Words(test)) => {
                let mut texts = candidate.rows.texts(*param);
                Ok(texts.any(|words| test.points(words).is_some()))
            }
            Self::Value(param, Test::Passage(wanted)) => {
                let mut passages = candidate.rows.passages(*param);
                Ok(passages.any(|words| wanted.is_in(words)))
            }
            Self::Value(param, test) => {
                let mut values = candidate.rows.values(*param);
                Ok(values.any(|value| test.accepts(&value)))
            }
            Self::Ids(ids) => Ok(ids.iter().any(|id| **id == *candidate.id)),
            Self::Updated(comparison, from, to) => {
                let at = candidate.time_ms;
                Ok(comparison.holds_for_span((at, at.saturating_add(1)), (*from, *to)))
            }
            Self::Refers {
                param,
                kind: of,
                filter,
            } => {
                for value in candidate.rows.values(*param) {
                    if let ValueRef::Reference { kind, id } = value
                        && kind == *of
                        && others.satisfies(kind, id, filter)?
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Referred {
                kind: of,
                param,
                filter,
            } => others.referrer_satisfies((kind, candidate.id), *of, *param, filter),
        }
    }
}

impl Test {
    /// Says whether a value passes. A value of another type never does,
    /// unless all that is asked is that there be one.
    #[must_use]
    pub fn accepts(&self, value: &ValueRef<'_>) -> bool {
        match (self, *value) {
            (Self::Present, _) => true,
            (Self::Token { system, code }, ValueRef::Token { code: c, system: s }) => {
                is_any_or(system, s) && is_any_or(code, c)
            }
            (Self::Tokens(tokens), ValueRef::Token { code, system }) => {
                tokens.contains(system, code)
            }
            (Self::StringStarts(start), ValueRef::String { folded, .. }) => {
                folded.starts_with(&**start)
            }
            (Self::StringContains(part), ValueRef::String { folded, .. }) => {
                folded.contains(&**part)
            }
            (Self::StringEnds(end), ValueRef::String { folded, .. }) => folded.ends_with(&**end),
            (Self::StringOrder(comparison, text), ValueRef::String { folded, .. }) => {
                comparison.holds_for_order(folded.cmp(text))
            }
            (Self::StringIs(text), ValueRef::String { exact, .. }) => **text == *exact,
            (Self::Date(comparison, from, to), ValueRef::Date { from_ms, to_ms }) => {
                comparison.holds_for_span((from_ms, to_ms), (*from, *to))
            }
            (Self::Number(comparison, from, to), ValueRef::Number(number)) => {
                comparison.holds_for_number(number, from.as_bytes(), to.as_bytes())
            }
            (Self::Quantity { .. }, ValueRef::Quantity { .. }) => self.accepts_quantity(value),
            (Self::Reference { kind, id }, ValueRef::Reference { kind: k, id: i }) => {
                kind.is_none_or(|kind| kind == k) && **id == *i
            }
            (Self::References(set), ValueRef::Reference { kind, id }) => set.contains(kind, id),
            (Self::UriIs(asked), ValueRef::Uri(uri)) => **asked == *uri,
            (Self::UriBelow(asked), ValueRef::Uri(uri)) => is_below(uri, asked),
            (Self::UriAbove(asked), ValueRef::Uri(uri)) => is_below(asked, uri),
            (Self::Composite(tests), ValueRef::Composite(components)) => {
                let mut components = components.iter();
                let mut tests = tests.iter();
                tests.all(|test| components.next().is_some_and(|value| test.accepts(&value)))
                    && components.next().is_none()
            }
            (Self::Near(center, millimetres), ValueRef::Place(place)) => {
                center.distance_m(place) * 1000.0 <= *millimetres as f64
            }
            (Self::Other(test), _) => test.is_for(value) && !test.accepts(value),
            (
                Self::Token { .. }
                | Self::Tokens(_)
                | Self::StringStarts(_)
                | Self::StringContains(_)
                | Self::StringEnds(_)
                | Self::StringOrder(..)
                | Self::StringIs(_)
                | Self::Date(..)
                | Self::Number(..)
                | Self::Quantity { .. }
                | Self::Reference { .. }
                | Self::References(_)
                | Self::UriIs(_)
                | Self::UriBelow(_)
                | Self::UriAbove(_)
                | Self::Composite(_)
                | Self::Words(_)
                | Self::Passage(_)
                | Self::Near(..),
                _,
            ) => false,
        }
    }

    /// Whether this is a test of values of such a type.
    fn is_for(&self, value: &ValueRef<'_>) -> bool {
        match self {
            Self::Present => true,
            Self::Token { .. } | Self::Tokens(_) => matches!(value, ValueRef::Token { .. }),
            Self::StringStarts(_)
            | Self::StringContains(_)
            | Self::StringEnds(_)
            | Self::StringOrder(..)
            | Self::StringIs(_) => matches!(value, ValueRef::String { .. }),
            Self::Date(..) => matches!(value, ValueRef::Date { .. }),
            Self::Number(..) => matches!(value, ValueRef::Number(_)),
            Self::Quantity { .. } => matches!(value, ValueRef::Quantity { .. }),
            Self::Reference { .. } | Self::References(_) => {
                matches!(value, ValueRef::Reference { .. })
            }
            Self::UriIs(_) | Self::UriBelow(_) | Self::UriAbove(_) => {
                matches!(value, ValueRef::Uri(_))
            }
            Self::Composite(_) => matches!(value, ValueRef::Composite(_)),
            Self::Words(_) => matches!(value, ValueRef::Words(_)),
            Self::Passage(_) => matches!(value, ValueRef::Passage(_)),
            Self::Near(..) => matches!(value, ValueRef::Place(_)),
            Self::Other(test) => test.is_for(value),
        }
    }

    fn accepts_quantity(&self, value: &ValueRef<'_>) -> bool {
        let Self::Quantity {
            comparison,
            from,
            to,
            system,
            code,
        } = self
        else {
            return false;
        };
        let ValueRef::Quantity {
            value: number,
            code: c,
            system: s,
        } = *value
        else {
            return false;
        };
        is_any_or(system, s)
            && is_any_or(code, c)
            && comparison.holds_for_number(number, from.as_bytes(), to.as_bytes())
    }
}

fn is_any_or(asked: &Option<Box<str>>, text: &str) -> bool {
    asked.as_deref().is_none_or(|asked| asked == text)
}

/// `http://a/b` is below itself, `http://a` and `http://a/`, but not below `http://a/bc`.
/// Behind a bar stands a version: `u|1.2` is below `u`, `u|` and `u|1`, but not below `u|1.`.
fn is_below(uri: &str, above: &str) -> bool {
    uri.strip_prefix(above).is_some_and(|rest| {
        let is_version = above.contains('|') && rest.starts_with('.');
        rest.is_empty() || rest.starts_with(['/', '|']) || above.ends_with(['/', '|']) || is_version
    })
}

impl Comparison {
    /// Says whether the span of a value (first) stands in this relation to the span of a query.
    #[must_use]
    pub fn holds_for_span(self, (a, b): (i64, i64), (x, y): (i64, i64)) -> bool {
        let equal = x <= a && b <= y;
        match self {
            Self::Equal => equal,
            Self::NotEqual => !equal,
            Self::Greater => b > y,
            Self::Less => a < x,
            Self::GreaterOrEqual => equal || b > y,
            Self::LessOrEqual => equal || a < x,
            Self::After => a >= y,
            Self::Before => b <= x,
            Self::Overlaps => a < y && x < b,
        }
    }

    /// The same for a value that is this far from what a query asks for.
    #[must_use]
    pub fn holds_for_order(self, order: Ordering) -> bool {
        match self {
            Self::Equal | Self::Overlaps => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Greater | Self::After => order.is_gt(),
            Self::Less | Self::Before => order.is_lt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::LessOrEqual => order.is_le(),
        }
    }

    /// The same for a number, as [`Test::Number`] says; all are bytes of a
    /// [`ordered::Decimal`].
    #[must_use]
    pub fn holds_for_number(self, number: &[u8], from: &[u8], to: &[u8]) -> bool {
        let below = number < from;
        let inside = !below && (number < to || number == from);
        let above = !below && !inside;
        match self {
            Self::Equal | Self::Overlaps => inside,
            Self::NotEqual => !inside,
            Self::Greater | Self::After => above,
            Self::Less | Self::Before => below,
            Self::GreaterOrEqual => inside || above,
            Self::LessOrEqual => inside || below,
        }
    }
}

impl Sort {
    /// The order of two records by these keys, and after all of them the
    /// newest first. No two records are equal.
    #[must_use]
    pub fn compare(keys: &[Self], a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
        let by_keys = keys.iter().map(|key| key.compare_one(a, b));
        let first = by_keys.into_iter().find(|order| order.is_ne());
        first.unwrap_or_else(|| b.seq.cmp(&a.seq))
    }

    fn compare_one(&self, a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
        let (order, descending) = match self {
            Self::Value { param, descending } => {
                match (
                    a.sort_value(*param, *descending),
                    b.sort_value(*param, *descending),
                ) {
                    (Some(a), Some(b)) => (a.cmp_rank(&b), *descending),
                    // Missing is last, whatever the direction.
                    (a, b) => (b.is_some().cmp(&a.is_some()), false),
                }
            }
            Self::Updated { descending } => (a.time_ms.cmp(&b.time_ms), *descending),
            Self::Id { descending } => {
                let is_text = |id| ordered::uuid_bytes(id).is_none();
                let order = (is_text(a.id), a.id).cmp(&(is_text(b.id), b.id));
                (order, *descending)
            }
            Self::Relevance(relevance) => (
                relevance.points(b.rows).cmp(&relevance.points(a.rows)),
                false,
            ),
        };
        if descending { order.reverse() } else { order }
    }

    /// Appends bytes whose order is that of [`Self::compare`], for engines
    /// that sort many records or remember where a page ended.
    pub fn put_key(keys: &[Self], candidate: &Candidate<'_>, bytes: &mut Vec<u8>) {
        for key in keys {
            key.put_one(candidate, bytes);
        }
        ordered::put_u64(bytes, !candidate.seq.0);
    }

    fn put_one(&self, candidate: &Candidate<'_>, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let descending = match self {
            Self::Value { param, descending } => {
                let value = candidate.sort_value(*param, *descending);
                let Some(value) = value else {
                    // Above the tag of any value and its complement.
                    bytes.push(0xFF);
                    return;
                };
                value.put_rank(bytes);
                *descending
            }
            Self::Updated { descending } => {
                ordered::put_i64(bytes, candidate.time_ms);
                *descending
            }
            Self::Id { descending } => {
                ordered::put_id(bytes, candidate.id);
                *descending
            }
            Self::Relevance(relevance) => {
                ordered::put_u32(bytes, !relevance.points(candidate.rows));
                false
            }
        };
        if descending {
            bytes[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
}

#[cfg(test)]
mod tests;
