//! The functions by name: <http://hl7.org/fhirpath/N1/#functions> and
//! <https://hl7.org/fhir/R4/fhirpath.html#functions>.

/// A function of the language.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Function {
    Abs,
    Aggregate,
    All,
    AllFalse,
    AllTrue,
    AnyFalse,
    AnyTrue,
    As,
    Ceiling,
    CheckModifiers,
    Children,
    Combine,
    Comparable,
    ConformsTo,
    Contains,
    Converts(Conversion),
    Count,
    Decode,
    Descendants,
    Distinct,
    ElementDefinition,
    Empty,
    Encode,
    EndsWith,
    Escape,
    Exclude,
    Exists,
    Exp,
    Extension,
    First,
    Floor,
    GetValue,
    HasValue,
    HighBoundary,
    HtmlChecks,
    Iif,
    IndexOf,
    Intersect,
    Is,
    IsDistinct,
    Join,
    Last,
    LastIndexOf,
    Length,
    Ln,
    Log,
    LowBoundary,
    Lower,
    Matches,
    MatchesFull,
    MemberOf,
    Not,
    Now,
    OfType,
    Power,
    Precision,
    Repeat,
    Replace,
    ReplaceMatches,
    Resolve,
    Round,
    Select,
    Single,
    Skip,
    Slice,
    Sort,
    Split,
    Sqrt,
    StartsWith,
    SubsetOf,
    Substring,
    SubsumedBy,
    Subsumes,
    SupersetOf,
    Tail,
    Take,
    TimeOfDay,
    To(Conversion),
    ToChars,
    Today,
    Trace,
    Trim,
    Truncate,
    Type,
    Unescape,
    Union,
    Upper,
    Where,
}

/// What `toX()` and `convertsToX()` convert to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Conversion {
    Boolean,
    Integer,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
    Quantity,
}

/// Name, function, and how many arguments it takes at least and at most.
type Row = (&'static str, Function, usize, usize);

/// In the order of names.
const FUNCTIONS: &[Row] = &[
    ("abs", Function::Abs, 0, 0),
    ("aggregate", Function::Aggregate, 1, 2),
    ("all", Function::All, 1, 1),
    ("allFalse", Function::AllFalse, 0, 0),
    ("allTrue", Function::AllTrue, 0, 0),
    ("anyFalse", Function::AnyFalse, 0, 0),
    ("anyTrue", Function::AnyTrue, 0, 0),
    ("as", Function::As, 1, 1),
    ("ceiling", Function::Ceiling, 0, 0),
    ("checkModifiers", Function::CheckModifiers, 0, 16),
    ("children", Function::Children, 0, 0),
    ("combine", Function::Combine, 1, 1),
    ("comparable", Function::Comparable, 1, 1),
    ("conformsTo", Function::ConformsTo, 1, 1),
    ("contains", Function::Contains, 1, 1),
    (
        "convertsToBoolean",
        Function::Converts(Conversion::Boolean),
        0,
        0,
    ),
    ("convertsToDate", Function::Converts(Conversion::Date), 0, 0),
    (
        "convertsToDateTime",
        Function::Converts(Conversion::DateTime),
        0,
        0,
    ),
    (
        "convertsToDecimal",
        Function::Converts(Conversion::Decimal),
        0,
        0,
    ),
    (
        "convertsToInteger",
        Function::Converts(Conversion::Integer),
        0,
        0,
    ),
    (
        "convertsToQuantity",
        Function::Converts(Conversion::Quantity),
        0,
        1,
    ),
    (
        "convertsToString",
        Function::Converts(Conversion::String),
        0,
        0,
    ),
    ("convertsToTime", Function::Converts(Conversion::Time), 0, 0),
    ("count", Function::Count, 0, 0),
    ("decode", Function::Decode, 1, 1),
    ("descendants", Function::Descendants, 0, 0),
    ("distinct", Function::Distinct, 0, 0),
    ("elementDefinition", Function::ElementDefinition, 0, 0),
    ("empty", Function::Empty, 0, 0),
    ("encode", Function::Encode, 1, 1),
    ("endsWith", Function::EndsWith, 1, 1),
    ("escape", Function::Escape, 1, 1),
    ("exclude", Function::Exclude, 1, 1),
    ("exists", Function::Exists, 0, 1),
    ("exp", Function::Exp, 0, 0),
    ("extension", Function::Extension, 1, 1),
    ("first", Function::First, 0, 0),
    ("floor", Function::Floor, 0, 0),
    ("getValue", Function::GetValue, 0, 0),
    ("hasValue", Function::HasValue, 0, 0),
    ("highBoundary", Function::HighBoundary, 0, 1),
    ("htmlChecks", Function::HtmlChecks, 0, 0),
    ("htmlchecks", Function::HtmlChecks, 0, 0),
    ("iif", Function::Iif, 2, 3),
    ("indexOf", Function::IndexOf, 1, 1),
    ("intersect", Function::Intersect, 1, 1),
    ("is", Function::Is, 1, 1),
    ("isDistinct", Function::IsDistinct, 0, 0),
    ("join", Function::Join, 0, 1),
    ("last", Function::Last, 0, 0),
    ("lastIndexOf", Function::LastIndexOf, 1, 1),
    ("length", Function::Length, 0, 0),
    ("ln", Function::Ln, 0, 0),
    ("log", Function::Log, 1, 1),
    ("lowBoundary", Function::LowBoundary, 0, 1),
    ("lower", Function::Lower, 0, 0),
    ("matches", Function::Matches, 1, 1),
    ("matchesFull", Function::MatchesFull, 1, 1),
    ("memberOf", Function::MemberOf, 1, 1),
    ("not", Function::Not, 0, 0),
    ("now", Function::Now, 0, 0),
    ("ofType", Function::OfType, 1, 1),
    ("power", Function::Power, 1, 1),
    ("precision", Function::Precision, 0, 0),
    ("repeat", Function::Repeat, 1, 1),
    ("replace", Function::Replace, 2, 2),
    ("replaceMatches", Function::ReplaceMatches, 2, 2),
    ("resolve", Function::Resolve, 0, 0),
    ("round", Function::Round, 0, 1),
    ("select", Function::Select, 1, 1),
    ("single", Function::Single, 0, 0),
    ("skip", Function::Skip, 1, 1),
    ("slice", Function::Slice, 2, 2),
    ("sort", Function::Sort, 0, 8),
    ("split", Function::Split, 1, 1),
    ("sqrt", Function::Sqrt, 0, 0),
    ("startsWith", Function::StartsWith, 1, 1),
    ("subsetOf", Function::SubsetOf, 1, 1),
    ("substring", Function::Substring, 1, 2),
    ("subsumedBy", Function::SubsumedBy, 1, 1),
    ("subsumes", Function::Subsumes, 1, 1),
    ("supersetOf", Function::SupersetOf, 1, 1),
    ("tail", Function::Tail, 0, 0),
    ("take", Function::Take, 1, 1),
    ("timeOfDay", Function::TimeOfDay, 0, 0),
    ("toBoolean", Function::To(Conversion::Boolean), 0, 0),
    ("toChars", Function::ToChars, 0, 0),
    ("toDate", Function::To(Conversion::Date), 0, 0),
    ("toDateTime", Function::To(Conversion::DateTime), 0, 0),
    ("toDecimal", Function::To(Conversion::Decimal), 0, 0),
    ("toInteger", Function::To(Conversion::Integer), 0, 0),
    ("toQuantity", Function::To(Conversion::Quantity), 0, 1),
    ("toString", Function::To(Conversion::String), 0, 0),
    ("toTime", Function::To(Conversion::Time), 0, 0),
    ("today", Function::Today, 0, 0),
    ("trace", Function::Trace, 1, 2),
    ("trim", Function::Trim, 0, 0),
    ("truncate", Function::Truncate, 0, 0),
    ("type", Function::Type, 0, 0),
    ("unescape", Function::Unescape, 1, 1),
    ("union", Function::Union, 1, 1),
    ("upper", Function::Upper, 0, 0),
    ("where", Function::Where, 1, 1),
];

impl Function {
    /// The function of a name, with the least and largest number of its arguments.
    pub(super) fn named(name: &str) -> Option<(Function, usize, usize)> {
        FUNCTIONS
            .iter()
            .find(|row| row.0 == name)
            .map(|row| (row.1, row.2, row.3))
    }

    /// Does it give its arguments each item of the input as `$this`?
    pub(super) fn has_lambda(self) -> bool {
        matches!(
            self,
            Function::Aggregate
                | Function::All
                | Function::Exists
                | Function::Repeat
                | Function::Select
                | Function::Sort
                | Function::Trace
                | Function::Where
                | Function::Iif
        )
    }

    /// Is every item of its result one of its input?
    pub(super) fn keeps_items(self) -> bool {
        matches!(
            self,
            Function::Distinct
                | Function::Exclude
                | Function::First
                | Function::Intersect
                | Function::Last
                | Function::Single
                | Function::Skip
                | Function::Sort
                | Function::Tail
                | Function::Take
                | Function::Trace
                | Function::Where
        )
    }
}
