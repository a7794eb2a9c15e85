//! The functions by name: <http://hl7.org/fhirpath/N1/#functions> and
//! <https://hl7.org/fhir/R4/fhirpath.html#functions>.

/// A function of the language, by what it works on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Function {
    Empty,
    Exists,
    Not,
    Children,
    Descendants,
    Collection(Collection),
    Lambda(Lambda),
    Type(TypeFunction),
    To(Conversion),
    Converts(Conversion),
    Math(Math),
    Boundary(Boundary),
    Clock(Clock),
    Text(Text),
    Resource(Resource),
}

/// On a collection as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Collection {
    Count,
    First,
    Last,
    Single,
    Tail,
    Skip,
    Take,
    Distinct,
    IsDistinct,
    Truths(Truths),
    Sets(Sets),
}

/// On truth values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Truths {
    AllTrue,
    AllFalse,
    AnyTrue,
    AnyFalse,
}

/// On two collections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sets {
    Union,
    Combine,
    Intersect,
    Exclude,
    SubsetOf,
    SupersetOf,
}

/// With an argument that is evaluated for each item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lambda {
    Aggregate,
    All,
    Iif,
    Repeat,
    Select,
    Sort,
    Trace,
    Where,
}

/// With the name of a type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TypeFunction {
    As,
    Is,
    OfType,
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

/// On a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Math {
    Abs,
    Round,
    Log,
    Power,
    Whole(Whole),
    Real(Real),
}

/// To a whole number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whole {
    Ceiling,
    Floor,
    Truncate,
}

/// To a real number, here a decimal close to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Real {
    Exp,
    Ln,
    Sqrt,
}

/// On the precision of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Boundary {
    Low,
    High,
    Precision,
}

/// On nothing but the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Clock {
    Now,
    TimeOfDay,
    Today,
}

/// On text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Text {
    Join,
    Length,
    Lower,
    Matches,
    MatchesFull,
    Replace,
    ReplaceMatches,
    Substring,
    ToChars,
    Trim,
    Upper,
    With(TextWith),
}

/// On text, with another text as the argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TextWith {
    Contains,
    Decode,
    Encode,
    EndsWith,
    Escape,
    IndexOf,
    LastIndexOf,
    Split,
    StartsWith,
    Unescape,
}

/// FHIR's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Resource {
    Ask(Ask),
    CheckModifiers,
    ElementDefinition,
    Extension,
    GetValue,
    HasValue,
    HtmlChecks,
    Resolve,
    Slice,
    Type,
}

/// Questions about one item and one argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ask {
    Comparable,
    ConformsTo,
    MemberOf,
    SubsumedBy,
    Subsumes,
}

/// Name, function, and how many arguments it takes at least and at most.
type Row = (&'static str, Function, usize, usize);

/// In the order of names.
const FUNCTIONS: &[Row] = &[
    ("abs", Function::Math(Math::Abs), 0, 0),
    ("aggregate", Function::Lambda(Lambda::Aggregate), 1, 2),
    ("all", Function::Lambda(Lambda::All), 1, 1),
    (
        "allFalse",
        Function::Collection(Collection::Truths(Truths::AllFalse)),
        0,
        0,
    ),
    (
        "allTrue",
        Function::Collection(Collection::Truths(Truths::AllTrue)),
        0,
        0,
    ),
    (
        "anyFalse",
        Function::Collection(Collection::Truths(Truths::AnyFalse)),
        0,
        0,
    ),
    (
        "anyTrue",
        Function::Collection(Collection::Truths(Truths::AnyTrue)),
        0,
        0,
    ),
    ("as", Function::Type(TypeFunction::As), 1, 1),
    ("ceiling", Function::Math(Math::Whole(Whole::Ceiling)), 0, 0),
    (
        "checkModifiers",
        Function::Resource(Resource::CheckModifiers),
        0,
        16,
    ),
    ("children", Function::Children, 0, 0),
    (
        "combine",
        Function::Collection(Collection::Sets(Sets::Combine)),
        1,
        1,
    ),
    (
        "comparable",
        Function::Resource(Resource::Ask(Ask::Comparable)),
        1,
        1,
    ),
    (
        "conformsTo",
        Function::Resource(Resource::Ask(Ask::ConformsTo)),
        1,
        1,
    ),
    (
        "contains",
        Function::Text(Text::With(TextWith::Contains)),
        1,
        1,
    ),
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
    ("count", Function::Collection(Collection::Count), 0, 0),
    ("decode", Function::Text(Text::With(TextWith::Decode)), 1, 1),
    ("descendants", Function::Descendants, 0, 0),
    ("distinct", Function::Collection(Collection::Distinct), 0, 0),
    (
        "elementDefinition",
        Function::Resource(Resource::ElementDefinition),
        0,
        0,
    ),
    ("empty", Function::Empty, 0, 0),
    ("encode", Function::Text(Text::With(TextWith::Encode)), 1, 1),
    (
        "endsWith",
        Function::Text(Text::With(TextWith::EndsWith)),
        1,
        1,
    ),
    ("escape", Function::Text(Text::With(TextWith::Escape)), 1, 1),
    (
        "exclude",
        Function::Collection(Collection::Sets(Sets::Exclude)),
        1,
        1,
    ),
    ("exists", Function::Exists, 0, 1),
    ("exp", Function::Math(Math::Real(Real::Exp)), 0, 0),
    ("extension", Function::Resource(Resource::Extension), 1, 1),
    ("first", Function::Collection(Collection::First), 0, 0),
    ("floor", Function::Math(Math::Whole(Whole::Floor)), 0, 0),
    ("getValue", Function::Resource(Resource::GetValue), 0, 0),
    ("hasValue", Function::Resource(Resource::HasValue), 0, 0),
    ("highBoundary", Function::Boundary(Boundary::High), 0, 1),
    ("htmlChecks", Function::Resource(Resource::HtmlChecks), 0, 0),
    ("htmlchecks", Function::Resource(Resource::HtmlChecks), 0, 0),
    ("iif", Function::Lambda(Lambda::Iif), 2, 3),
    (
        "indexOf",
        Function::Text(Text::With(TextWith::IndexOf)),
        1,
        1,
    ),
    (
        "intersect",
        Function::Collection(Collection::Sets(Sets::Intersect)),
        1,
        1,
    ),
    ("is", Function::Type(TypeFunction::Is), 1, 1),
    (
        "isDistinct",
        Function::Collection(Collection::IsDistinct),
        0,
        0,
    ),
    ("join", Function::Text(Text::Join), 0, 1),
    ("last", Function::Collection(Collection::Last), 0, 0),
    (
        "lastIndexOf",
        Function::Text(Text::With(TextWith::LastIndexOf)),
        1,
        1,
    ),
    ("length", Function::Text(Text::Length), 0, 0),
    ("ln", Function::Math(Math::Real(Real::Ln)), 0, 0),
    ("log", Function::Math(Math::Log), 1, 1),
    ("lowBoundary", Function::Boundary(Boundary::Low), 0, 1),
    ("lower", Function::Text(Text::Lower), 0, 0),
    ("matches", Function::Text(Text::Matches), 1, 1),
    ("matchesFull", Function::Text(Text::MatchesFull), 1, 1),
    (
        "memberOf",
        Function::Resource(Resource::Ask(Ask::MemberOf)),
        1,
        1,
    ),
    ("not", Function::Not, 0, 0),
    ("now", Function::Clock(Clock::Now), 0, 0),
    ("ofType", Function::Type(TypeFunction::OfType), 1, 1),
    ("power", Function::Math(Math::Power), 1, 1),
    ("precision", Function::Boundary(Boundary::Precision), 0, 0),
    ("repeat", Function::Lambda(Lambda::Repeat), 1, 1),
    ("replace", Function::Text(Text::Replace), 2, 2),
    ("replaceMatches", Function::Text(Text::ReplaceMatches), 2, 2),
    ("resolve", Function::Resource(Resource::Resolve), 0, 0),
    ("round", Function::Math(Math::Round), 0, 1),
    ("select", Function::Lambda(Lambda::Select), 1, 1),
    ("single", Function::Collection(Collection::Single), 0, 0),
    ("skip", Function::Collection(Collection::Skip), 1, 1),
    ("slice", Function::Resource(Resource::Slice), 2, 2),
    ("sort", Function::Lambda(Lambda::Sort), 0, 8),
    ("split", Function::Text(Text::With(TextWith::Split)), 1, 1),
    ("sqrt", Function::Math(Math::Real(Real::Sqrt)), 0, 0),
    (
        "startsWith",
        Function::Text(Text::With(TextWith::StartsWith)),
        1,
        1,
    ),
    (
        "subsetOf",
        Function::Collection(Collection::Sets(Sets::SubsetOf)),
        1,
        1,
    ),
    ("substring", Function::Text(Text::Substring), 1, 2),
    (
        "subsumedBy",
        Function::Resource(Resource::Ask(Ask::SubsumedBy)),
        1,
        1,
    ),
    (
        "subsumes",
        Function::Resource(Resource::Ask(Ask::Subsumes)),
        1,
        1,
    ),
    (
        "supersetOf",
        Function::Collection(Collection::Sets(Sets::SupersetOf)),
        1,
        1,
    ),
    ("tail", Function::Collection(Collection::Tail), 0, 0),
    ("take", Function::Collection(Collection::Take), 1, 1),
    ("timeOfDay", Function::Clock(Clock::TimeOfDay), 0, 0),
    ("toBoolean", Function::To(Conversion::Boolean), 0, 0),
    ("toChars", Function::Text(Text::ToChars), 0, 0),
    ("toDate", Function::To(Conversion::Date), 0, 0),
    ("toDateTime", Function::To(Conversion::DateTime), 0, 0),
    ("toDecimal", Function::To(Conversion::Decimal), 0, 0),
    ("toInteger", Function::To(Conversion::Integer), 0, 0),
    ("toQuantity", Function::To(Conversion::Quantity), 0, 1),
    ("toString", Function::To(Conversion::String), 0, 0),
    ("toTime", Function::To(Conversion::Time), 0, 0),
    ("today", Function::Clock(Clock::Today), 0, 0),
    ("trace", Function::Lambda(Lambda::Trace), 1, 2),
    ("trim", Function::Text(Text::Trim), 0, 0),
    (
        "truncate",
        Function::Math(Math::Whole(Whole::Truncate)),
        0,
        0,
    ),
    ("type", Function::Resource(Resource::Type), 0, 0),
    (
        "unescape",
        Function::Text(Text::With(TextWith::Unescape)),
        1,
        1,
    ),
    (
        "union",
        Function::Collection(Collection::Sets(Sets::Union)),
        1,
        1,
    ),
    ("upper", Function::Text(Text::Upper), 0, 0),
    ("where", Function::Lambda(Lambda::Where), 1, 1),
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
        matches!(self, Function::Exists | Function::Lambda(_))
    }

    /// Is every item of its result one of its input?
    pub(super) fn keeps_items(self) -> bool {
        match self {
            Function::Collection(function) => matches!(
                function,
                Collection::Distinct
                    | Collection::First
                    | Collection::Last
                    | Collection::Single
                    | Collection::Skip
                    | Collection::Tail
                    | Collection::Take
                    | Collection::Sets(Sets::Exclude | Sets::Intersect)
            ),
            Function::Lambda(function) => {
                matches!(function, Lambda::Sort | Lambda::Trace | Lambda::Where)
            }
            Function::Empty
            | Function::Exists
            | Function::Not
            | Function::Children
            | Function::Descendants
            | Function::Type(_)
            | Function::To(_)
            | Function::Converts(_)
            | Function::Math(_)
            | Function::Boundary(_)
            | Function::Clock(_)
            | Function::Text(_)
            | Function::Resource(_) => false,
        }
    }

    /// Does it depend on the order of its input?
    pub(super) fn is_positional(self) -> bool {
        matches!(
            self,
            Function::Collection(
                Collection::First
                    | Collection::Last
                    | Collection::Skip
                    | Collection::Tail
                    | Collection::Take
            )
        )
    }
}
