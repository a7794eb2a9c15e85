//! Queries: what to find, said once, understood by every engine.

use crate::ordered::Decimal;
use crate::{
    Error, Kind, Param, Place, Record, References, Relevance, Row, Seq, TextTest, Tokens, Wanted,
};

/// A search over the current records of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The kind searched.
    pub kind: Kind,
    /// What a record must satisfy.
    pub filter: Filter,
    /// Order, most significant key first; after all keys, newest write first.
    pub sort: Vec<Sort>,
    /// At most so many hits a page; 0 gives none, and no next position.
    pub limit: usize,
    /// Continue at this position of the same query in the same snapshot.
    pub after: Option<Position>,
    /// Give back each hit's rows of these parameters.
    pub rows: Vec<Param>,
}

/// A condition on one record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Always; the neutral element of `All`.
    Everything,
    /// Never.
    Nothing,
    /// Each of them.
    All(Vec<Filter>),
    /// At least one of them.
    Any(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// Some value of this parameter passes the test.
    Value(Param, Test),
    /// The record's id is one of these.
    Ids(Vec<Box<str>>),
    /// The millisecond of the record's version against a span, as a date.
    Updated(Comparison, i64, i64),
    /// The record refers to one that satisfies a filter: some reference of
    /// `param` points to a record of `kind` that is current in the snapshot,
    /// in the same scope, and does.
    Refers {
        /// The parameter whose references are followed.
        param: Param,
        /// The kind pointed to; references to others are not followed.
        kind: Kind,
        /// What the record pointed to must satisfy.
        filter: Box<Filter>,
    },
    /// The record is referred to by one that satisfies a filter: some record
    /// of `kind`, current in the snapshot and in the same scope, has a
    /// reference of `param` to this one, and does.
    Referred {
        /// The kind that refers.
        kind: Kind,
        /// The parameter of its references.
        param: Param,
        /// What the record that refers must satisfy.
        filter: Box<Filter>,
    },
}
salus_phi::guard!(Filter);

/// A test of one value.
///
/// The spans of dates and numbers are half open; the meaning of each
/// [`Comparison`] of a value's span with the test's is given there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// There is a value at all; a text is none.
    Present,
    /// A token; `None` accepts any, an empty text only an empty one.
    Token {
        /// The system asked for.
        system: Option<Box<str>>,
        /// The code asked for.
        code: Option<Box<str>>,
    },
    /// A token that is one of these.
    Tokens(Tokens),
    /// The folded text begins so.
    StringStarts(Box<str>),
    /// The folded text contains this.
    StringContains(Box<str>),
    /// The folded text ends so.
    StringEnds(Box<str>),
    /// The folded text against this one in the order of texts, byte by byte,
    /// each as a span of one: `Overlaps` is `Equal`, `After` is `Greater`.
    StringOrder(Comparison, Box<str>),
    /// The text is exactly this.
    StringIs(Box<str>),
    /// A date's span against this span.
    Date(Comparison, i64, i64),
    /// A number against the span from (inclusive) to (exclusive). Equal ends
    /// mean that number alone, as `gt`, `lt`, `ge`, `le`, `sa` and `eb` want
    /// it. `Greater` and `After` are above all of the span, `Less` and
    /// `Before` below all of it, `Equal` and `Overlaps` inside.
    Number(Comparison, Decimal, Decimal),
    /// A quantity: its number as above, its unit as a token.
    Quantity {
        /// How the number compares.
        comparison: Comparison,
        /// First number of the span.
        from: Decimal,
        /// First number after it.
        to: Decimal,
        /// The unit's system.
        system: Option<Box<str>>,
        /// The unit's code.
        code: Option<Box<str>>,
    },
    /// A reference to a record; `None` accepts any kind.
    Reference {
        /// The kind pointed to.
        kind: Option<Kind>,
        /// The id pointed to.
        id: Box<str>,
    },
    /// A reference that is one of these.
    References(References),
    /// The URI is this.
    UriIs(Box<str>),
    /// The URI is this or below it in the hierarchy of paths, and behind a `|`
    /// in that of versions: `u|1.2` is below `u|1`, and below `u|` as all that
    /// have a version.
    UriBelow(Box<str>),
    /// The URI is this or above it in the same hierarchy.
    UriAbove(Box<str>),
    /// A composite with as many components as there are tests here, each of
    /// which accepts the component at its place.
    Composite(Vec<Test>),
    /// The words of the text are as wanted.
    Words(TextTest),
    /// The words of a passage are. No index answers that: ask with it for a
    /// text that has those words.
    Passage(Wanted),
    /// A place that is at most so many millimetres from this one.
    Near(Place, u64),
    /// A value of the type that this test is for, which does not pass it;
    /// never, for [`Self::Present`].
    Other(Box<Test>),
}
salus_phi::guard!(Test);

/// How often references may be followed, one inside the other.
const LINKS_MAX: usize = 8;

impl Query {
    /// Refuses what no store need answer; every engine asks this first.
    ///
    /// # Errors
    /// [`Error::Misuse`] if references are followed more than 8 times, one
    /// inside the other, or texts are asked for in too many levels.
    pub fn validate(&self) -> Result<(), Error> {
        self.filter.validate()
    }
}

impl Filter {
    /// As [`Query::validate`] of a query with it.
    ///
    /// # Errors
    /// [`Error::Misuse`], if it asks for more than a store has to be able to do.
    pub fn validate(&self) -> Result<(), Error> {
        if self.links() > LINKS_MAX {
            return Err(Error::Misuse("references are followed too far"));
        }
        if !self.texts_are_valid() {
            return Err(Error::Misuse("a text is asked for in too many levels"));
        }
        Ok(())
    }

    /// Whether this looks at other records than the one it is asked about.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        match self {
            Self::Refers { .. } | Self::Referred { .. } => true,
            Self::All(filters) | Self::Any(filters) => filters.iter().any(Self::is_linked),
            Self::Not(filter) => filter.is_linked(),
            Self::Everything
            | Self::Nothing
            | Self::Value(..)
            | Self::Ids(_)
            | Self::Updated(..) => false,
        }
    }

    /// Visits each value that may help to find all that this accepts: under
    /// `All` and `Any`, and not in the opposite of something or in another
    /// record.
    pub fn each_value<'a>(&'a self, visit: &mut impl FnMut(&'a Self, Param, &'a Test)) {
        match self {
            Self::Value(param, test) => visit(self, *param, test),
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().for_each(|filter| filter.each_value(visit));
            }
            Self::Everything
            | Self::Nothing
            | Self::Not(_)
            | Self::Ids(_)
            | Self::Updated(..)
            | Self::Refers { .. }
            | Self::Referred { .. } => {}
        }
    }

    fn texts_are_valid(&self) -> bool {
        match self {
            Self::Value(_, Test::Words(test)) => test.wanted.is_valid(),
            Self::Value(_, Test::Passage(wanted)) => wanted.is_valid(),
            Self::All(filters) | Self::Any(filters) => filters.iter().all(Self::texts_are_valid),
            Self::Not(filter) | Self::Refers { filter, .. } | Self::Referred { filter, .. } => {
                filter.texts_are_valid()
            }
            Self::Everything
            | Self::Nothing
            | Self::Value(..)
            | Self::Ids(_)
            | Self::Updated(..) => true,
        }
    }

    /// How often references are followed, one inside the other.
    fn links(&self) -> usize {
        match self {
            Self::Refers { filter, .. } | Self::Referred { filter, .. } => 1 + filter.links(),
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().map(Self::links).max().unwrap_or(0)
            }
            Self::Not(filter) => filter.links(),
            Self::Everything
            | Self::Nothing
            | Self::Value(..)
            | Self::Ids(_)
            | Self::Updated(..) => 0,
        }
    }
}

/// How a value's span `[a, b)` relates to the span of the query `[x, y)`,
/// after <https://hl7.org/fhir/R4/search.html#prefix>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Lies within: `x <= a && b <= y`.
    Equal,
    /// Does not lie within.
    NotEqual,
    /// Reaches above: `b > y`.
    Greater,
    /// Reaches below: `a < x`.
    Less,
    /// `Greater` or `Equal`.
    GreaterOrEqual,
    /// `Less` or `Equal`.
    LessOrEqual,
    /// Starts after: `a >= y`.
    After,
    /// Ends before: `b <= x`.
    Before,
    /// Overlaps: `a < y && x < b`. The caller widens the span by its idea of about.
    Overlaps,
}

/// One key of an order. Records without a value come last in both directions;
/// a token with neither system nor code is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sort {
    /// By the least rank of a parameter's values ascending, or the greatest
    /// descending; see [`crate::ValueRef::put_rank`].
    Value {
        /// The parameter.
        param: Param,
        /// Greatest first.
        descending: bool,
    },
    /// By the time of the version.
    Updated {
        /// Newest first.
        descending: bool,
    },
    /// By id; those that are UUIDs stand before all others.
    Id {
        /// Last first.
        descending: bool,
    },
    /// By how well the texts fit, best first.
    Relevance(Relevance),
}

/// Where a page lies, named by a hit beside it: good for the same query (with
/// any limit) on the same snapshot. Anywhere else it gives
/// [`crate::Error::Misuse`] or a wrong page, never a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The page behind the hit whose version has this place in the order of commits.
    After(Seq),
    /// The page that ends with that hit: as many hits as the limit lets in,
    /// and in the same order as ever.
    UpTo(Seq),
    /// The page that ends with the last hit of all.
    End,
}

impl Position {
    /// The place of the hit that is named.
    #[must_use]
    pub fn seq(self) -> Option<Seq> {
        match self {
            Self::After(seq) | Self::UpTo(seq) => Some(seq),
            Self::End => None,
        }
    }

    /// Whether the page is known by its end.
    #[must_use]
    pub fn is_backward(self) -> bool {
        match self {
            Self::After(_) => false,
            Self::UpTo(_) | Self::End => true,
        }
    }
}

/// One page of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The records, in order.
    pub hits: Vec<Hit>,
    /// Where the next page begins; `None` if there is no further hit. A page
    /// up to a hit has it always: only who asked knows what lies behind.
    pub next: Option<Position>,
    /// Where the page before ends; `None` exactly if there is no hit before.
    pub previous: Option<Position>,
}

/// A record on a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The record.
    pub record: Record,
    /// Its rows of the parameters that the query named, in the order of
    /// parameters, and within one as they were put.
    pub rows: Vec<Row>,
}

/// A request for versions, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Of what.
    pub of: HistoryOf,
    /// Only versions written at or after this time, in milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
    /// Only versions that were current at some moment from the first time
    /// (inclusive) to the second (exclusive): written before its end, and not
    /// replaced at or before its beginning. A deletion is current in the
    /// moment in which it happens.
    pub current_ms: Option<(i64, i64)>,
    /// At most so many a page.
    pub limit: usize,
    /// Continue at this position of the same request in the same snapshot.
    pub after: Option<Position>,
}

/// Whose versions.
#[derive(Clone, PartialEq, Eq)]
pub enum HistoryOf {
    /// Of one record.
    Record(Kind, Box<str>),
    /// Of all records of these kinds, deleted ones included.
    Kinds(Vec<Kind>),
}
salus_phi::guard!(HistoryOf);

/// A request for audit entries.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those about this record.
    pub about: Option<(Kind, Box<str>)>,
    /// Only those at or after this time, in milliseconds since 1970 UTC.
    pub from_ms: Option<i64>,
    /// Only those before this time.
    pub to_ms: Option<i64>,
    /// Oldest first instead of newest first.
    pub ascending: bool,
    /// Only those strictly behind this one in the order asked for.
    pub after: Option<Seq>,
    /// At most so many.
    pub limit: usize,
}
salus_phi::guard!(AuditQuery);
