//! Values of a search parameter as a client writes them: alternatives,
//! escapes, prefixes, and the forms of each type
//! (<https://hl7.org/fhir/R4/search.html#escaping>).

use std::borrow::Cow;

use super::decimal::Number;
use super::fold::fold;
use super::name;
use super::near::{self, Near};
use super::parameters::Parameters;
use super::span::Span;
use super::text::TextQuery;
use super::value::{CODE_BYTES_MAX, STRING_BYTES_MAX, clip};
use crate::definitions::{self, SearchKind, SearchParameter};
use crate::mask::Hidden;
use crate::reference::{self, Reference};
use crate::ucum::{self, Unit};

/// One value of a criterion.
#[derive(Clone, PartialEq, Eq)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub enum Operand {
    /// For `:missing`: must it be missing, or present?
    Missing(bool),
    /// A token; `None` accepts any, an empty text only an empty one.
    Token {
        /// The system.
        system: Option<Box<str>>,
        /// The code.
        code: Option<Box<str>>,
    },
    /// For `:of-type`: an identifier of a type.
    OfType {
        /// The system of the identifier's type.
        system: Box<str>,
        /// The code of the identifier's type.
        code: Box<str>,
        /// The identifier's value.
        value: Box<str>,
    },
    /// Words of a text: for `_text`, `_content` and `:text`.
    Words(TextQuery),
    /// Words.
    Text {
        /// Folded, see [`super::fold`].
        folded: Box<str>,
        /// As asked, for `:exact`.
        exact: Box<str>,
    },
    /// A span of time; for [`Prefix::Ap`] it is widened already.
    Date(Prefix, Span),
    /// A number, as its prefix means it.
    Number(Prefix, Number),
    /// A number with a unit; the unit as a token.
    Quantity {
        /// How the number compares.
        prefix: Prefix,
        /// The number, as its prefix means it.
        number: Number,
        /// The unit's system.
        system: Option<Box<str>>,
        /// The unit's code, or the unit in words.
        code: Option<Box<str>>,
        /// The same in base units, if the code may be one of UCUM.
        amount: Option<Box<Amount>>,
    },
    /// A record of this server.
    Reference {
        /// Its type, when told or when the parameter leads to one type only.
        ty: Option<&'static str>,
        /// Its id.
        id: Box<str>,
        /// The version, when told.
        version: Option<Box<str>>,
    },
    /// A URI.
    Uri(Box<str>),
    /// Places so near to one.
    Near(Near),
    /// The parts of a composite, in the order of its components.
    Composite(Vec<Operand>),
}
#[cfg(not(test))]
salus_phi::guard!(Operand);

/// What a quantity with a unit of UCUM asks of amounts in base units.
#[derive(Clone, PartialEq, Eq)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub struct Amount {
    /// The number of base units, as the prefix means it.
    pub number: Number,
    /// The base units.
    pub unit: Box<str>,
    /// With `value||code`, only amounts that are written in this unit, beside
    /// those that have it in words. With `value|system|code` nothing: amounts
    /// in any unit of the dimension, and they are all there is to find.
    pub code: Option<Box<str>>,
}
#[cfg(not(test))]
salus_phi::guard!(Amount);

/// How a value compares: <https://hl7.org/fhir/R4/search.html#prefix>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// Equal: within the span of what is asked.
    Eq,
    /// Not equal.
    Ne,
    /// Greater than.
    Gt,
    /// Less than.
    Lt,
    /// Greater or equal.
    Ge,
    /// Less or equal.
    Le,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
    /// About the same.
    Ap,
}

impl Prefix {
    /// As a client writes it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Lt => "lt",
            Self::Ge => "ge",
            Self::Le => "le",
            Self::Sa => "sa",
            Self::Eb => "eb",
            Self::Ap => "ap",
        }
    }
}

impl Operand {
    /// Its prefix, if it is of a kind that has one.
    pub(super) fn prefix(&self) -> Option<Prefix> {
        match self {
            Self::Date(prefix, _) | Self::Number(prefix, _) | Self::Quantity { prefix, .. } => {
                Some(*prefix)
            }
            Self::Missing(_)
            | Self::Token { .. }
            | Self::OfType { .. }
            | Self::Text { .. }
            | Self::Reference { .. }
            | Self::Uri(_)
            | Self::Words(_)
            | Self::Composite(_)
            | Self::Near(_) => None,
        }
    }
}

/// What the meaning of a value depends on besides itself.
#[derive(Clone, Copy)]
pub struct Asking<'s> {
    /// The URLs under which this server answers.
    pub own_bases: &'s [&'s str],
    /// Which parameters there are.
    pub parameters: &'s Parameters,
    /// What the one asking may not see, and so not ask about.
    pub hidden: &'s Hidden,
    /// Now, in milliseconds since 1970 UTC: `ap` on dates is the wider the
    /// longer ago.
    pub now_ms: i64,
}
salus_phi::guard!(Asking<'_>);

/// Most alternatives of one criterion.
pub const ALTERNATIVES_MAX: usize = 1000;

/// What is wrong with a value: how it should have been.
pub(super) type Expected = Cow<'static, str>;

/// The parts of a text between a separator that is not escaped.
pub(super) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut escaped = false;
        let end = text.bytes().position(|b| {
            let found = b == separator && !escaped;
            escaped = b == b'\\' && !escaped;
            found
        });
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    })
}

/// The text without its escapes: `\,` `\$` `\|` and `\\`.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escapes = c == '\\' && matches!(chars.peek(), Some(',' | '$' | '|' | '\\'));
        if let (true, Some(next)) = (escapes, chars.peek()) {
            out.push(*next);
            chars.next();
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Reads one value of a parameter, by the parameter's type.
pub(super) fn operand(
    parameter: &SearchParameter,
    text: &str,
    asking: &Asking<'_>,
) -> Result<Operand, Expected> {
    match parameter.kind {
        SearchKind::Token => token(text),
        SearchKind::String => string(text),
        SearchKind::Date => date(text, asking),
        SearchKind::Number => {
            let (prefix, rest) = prefixed(text)?;
            Ok(Operand::Number(prefix, number(prefix, rest)?))
        }
        SearchKind::Quantity => quantity(text),
        SearchKind::Reference => reference(parameter, text, asking),
        SearchKind::Uri => uri(text),
        SearchKind::Special if near::is_near(parameter) => near::near(text).map(Operand::Near),
        SearchKind::Composite | SearchKind::Special => Err("is not of a type with values".into()),
    }
}

/// `code`, `system|code`, `|code` or `system|`.
pub(super) fn token(text: &str) -> Result<Operand, Expected> {
    let parts: Vec<&str> = split(text, b'|').collect();
    let (system, code) = match parts[..] {
        [code] if !code.is_empty() => (None, Some(code)),
        [system, ""] if !system.is_empty() => (Some(system), None),
        [system, code] if !code.is_empty() => (Some(system), Some(code)),
        _ => return Err("must be code, system|code, |code or system|".into()),
    };
    Ok(Operand::Token {
        system: system.map(code_text),
        code: code.map(code_text),
    })
}

/// `system|code|value`.
pub(super) fn of_type(text: &str) -> Result<Operand, Expected> {
    let parts: Vec<&str> = split(text, b'|').collect();
    match parts[..] {
        [system, code, value] if !code.is_empty() && !value.is_empty() => Ok(Operand::OfType {
            system: code_text(system),
            code: code_text(code),
            value: code_text(value),
        }),
        _ => Err("must be system|code|value, of the identifier's type and the identifier".into()),
    }
}

pub(super) fn string(text: &str) -> Result<Operand, Expected> {
    let exact = clip(unescape(text), STRING_BYTES_MAX);
    let folded = clip(fold(&exact), STRING_BYTES_MAX);
    if folded.is_empty() {
        return Err("must not be empty".into());
    }
    Ok(Operand::Text {
        folded: folded.into(),
        exact: exact.into(),
    })
}

pub(super) fn missing(text: &str) -> Result<Operand, Expected> {
    truth(text).map(Operand::Missing)
}

pub(super) fn truth(text: &str) -> Result<bool, Expected> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// A date as a period that others may overlap, no wider than it is.
pub(super) fn period(text: &str) -> Result<Operand, Expected> {
    Ok(Operand::Date(Prefix::Ap, span(text)?))
}

pub(super) fn uri(text: &str) -> Result<Operand, Expected> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    Ok(Operand::Uri(code_text(text)))
}

fn date(text: &str, asking: &Asking<'_>) -> Result<Operand, Expected> {
    let (prefix, rest) = prefixed(text)?;
    let span = span(rest)?;
    let mut meant = span;
    if prefix == Prefix::Ap {
        // A tenth of the time between then and now, as the specification suggests.
        meant = span.widened(asking.now_ms.abs_diff(span.from_ms).cast_signed() / 10);
    }
    Ok(Operand::Date(prefix, meant))
}

fn span(text: &str) -> Result<Span, Expected> {
    let span = Span::parse(text).ok_or(
        "must be a date, YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss[.fff]][Z|±hh:mm], perhaps with a prefix",
    )?;
    Ok(span)
}

fn number(prefix: Prefix, text: &str) -> Result<Number, Expected> {
    let number = match prefix {
        Prefix::Eq | Prefix::Ne => Number::implied(text),
        Prefix::Ap => Number::about(text),
        Prefix::Gt | Prefix::Lt | Prefix::Ge | Prefix::Le | Prefix::Sa | Prefix::Eb => {
            Number::exactly(text)
        }
    };
    number.ok_or_else(|| "must be a number of 30 digits at most, perhaps with a prefix".into())
}

/// `[prefix]number`, `number|system|code` or `number||code`.
fn quantity(text: &str) -> Result<Operand, Expected> {
    let parts: Vec<&str> = split(text, b'|').collect();
    let (value, system, code) = match parts[..] {
        [value] => (value, None, None),
        [value, system, code] if system.is_empty() || !code.is_empty() => {
            (value, Some(system), Some(code))
        }
        _ => return Err("must be number, number|system|code or number||code".into()),
    };
    let (prefix, rest) = prefixed(value)?;
    let number = number(prefix, rest)?;
    // `||code` asks for the unit in any system.
    let told = |part: &&str| !part.is_empty();
    let system = system.filter(told).map(code_text);
    let code = code.filter(told).map(code_text);
    Ok(Operand::Quantity {
        amount: amount(&number, system.as_deref(), code.as_deref()).map(Box::new),
        prefix,
        number,
        system,
        code,
    })
}

/// The ends of what is asked are scaled as the values are: `5.4` in mg, which
/// is 5.35 up to 5.45 mg, is 0.00535 up to 0.00545 g.
fn amount(number: &Number, system: Option<&str>, code: Option<&str>) -> Option<Amount> {
    if system.is_some_and(|system| system != ucum::SYSTEM) {
        return None;
    }
    let code = code?;
    let unit = Unit::parse(code).ok()?;
    Some(Amount {
        number: Number {
            from: unit.canonical(&number.from)?.into(),
            to: unit.canonical(&number.to)?.into(),
        },
        unit: unit.dimension().to_string().into(),
        code: system.is_none().then(|| code.into()),
    })
}

/// `id`, `Type/id`, or a URL.
fn reference(
    parameter: &SearchParameter,
    text: &str,
    asking: &Asking<'_>,
) -> Result<Operand, Expected> {
    let text = unescape(text);
    if reference::is_id(&text) {
        return Ok(Operand::Reference {
            ty: only_target(parameter),
            id: text.into(),
            version: None,
        });
    }
    match Reference::parse(&text, asking.own_bases) {
        Some(Reference::Local(local)) => Ok(Operand::Reference {
            ty: type_name(local.ty),
            id: local.id.into(),
            version: local.version.map(Into::into),
        }),
        Some(Reference::Absolute { .. } | Reference::Urn(_)) => {
            Ok(Operand::Uri(clip(text, CODE_BYTES_MAX).into()))
        }
        Some(Reference::Contained(_) | Reference::Conditional { .. }) | None => {
            Err("must be an id, Type/id with a known type, or an absolute URL".into())
        }
    }
}

/// The reference of a value under a modifier that names the type.
pub(super) fn typed_reference(
    ty: &'static str,
    text: &str,
    asking: &Asking<'_>,
) -> Result<Operand, Expected> {
    let text = unescape(text);
    let local = Reference::parse(&text, asking.own_bases).and_then(Reference::local);
    let (id, version) = match local {
        Some(local) if local.ty == ty => (local.id, local.version),
        None if reference::is_id(&text) => (&*text, None),
        _ => return Err(format!("must be the id of a {ty}").into()),
    };
    Ok(Operand::Reference {
        ty: Some(ty),
        id: id.into(),
        version: version.map(Into::into),
    })
}

fn only_target(parameter: &SearchParameter) -> Option<&'static str> {
    match name::targets(parameter)[..] {
        [only] => type_name(only),
        _ => None,
    }
}

/// The name of a resource type as the definitions keep it.
pub(super) fn type_name(name: &str) -> Option<&'static str> {
    let definitions = definitions::r4();
    Some(definitions.ty(definitions.resource_named(name)?).name)
}

/// The prefix of a value, `eq` when there is none, and the rest.
fn prefixed(text: &str) -> Result<(Prefix, &str), Expected> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (prefix, rest) = text.split_at(letters);
    let prefix = match prefix {
        "" | "eq" => Prefix::Eq,
        "ne" => Prefix::Ne,
        "gt" => Prefix::Gt,
        "lt" => Prefix::Lt,
        "ge" => Prefix::Ge,
        "le" => Prefix::Le,
        "sa" => Prefix::Sa,
        "eb" => Prefix::Eb,
        "ap" => Prefix::Ap,
        _ => {
            return Err(
                "has an unknown prefix; allowed: eq, ne, gt, lt, ge, le, sa, eb, ap".into(),
            );
        }
    };
    Ok((prefix, rest))
}

fn code_text(text: &str) -> Box<str> {
    clip(unescape(text), CODE_BYTES_MAX).into()
}
