//! The values of primitive types
//! (<https://hl7.org/fhir/R4/datatypes.html#primitive>).

use std::borrow::Cow;

use crate::definitions::Primitive;
use crate::issue::IssueType;
use crate::json::{Kind, Node};
use crate::primitive::{DateTime, Time};
use crate::reference::is_id;
use crate::xhtml;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is another kind of JSON value.
    Kind,
    /// It is null, which stands for nothing outside of arrays.
    Null,
    /// The value is not one of the type.
    Format,
    /// A string without characters.
    Empty,
    /// A string longer than a mebi-character.
    TooLong,
    /// An xhtml that breaks this rule.
    Xhtml(&'static str),
}

/// Strings hold at most this many characters.
const CHARACTERS_MAX: usize = 1 << 20;

/// Checks the value of a primitive.
pub(super) fn check(node: Node<'_>, primitive: Primitive) -> Result<(), Fault> {
    match (primitive.json_kind(), node.kind()) {
        (Kind::String, Kind::String) => match node.plain_str() {
            Some(text) => string(text, primitive),
            None => string(&node.str().unwrap_or_default(), primitive),
        },
        (Kind::Number, Kind::Number) => number(node.raw(), primitive),
        (expected, found) if expected == found => Ok(()),
        (_, Kind::Null) => Err(Fault::Null),
        (_, _) => Err(Fault::Kind),
    }
}

impl Fault {
    pub(super) fn code(self) -> IssueType {
        match self {
            Fault::Kind | Fault::Null => IssueType::Structure,
            Fault::Format | Fault::Empty | Fault::Xhtml(_) => IssueType::Value,
            Fault::TooLong => IssueType::TooLong,
        }
    }

    pub(super) fn details(self, primitive: Primitive) -> Cow<'static, str> {
        match self {
            Fault::Kind => match primitive.json_kind() {
                Kind::Bool => "must be true or false".into(),
                Kind::Number => "must be a JSON number".into(),
                Kind::Object | Kind::Array | Kind::String | Kind::Null => {
                    "must be a JSON string".into()
                }
            },
            Fault::Null => "must not be null: leave it out instead".into(),
            Fault::Format => format!("must be {}", rule(primitive)).into(),
            Fault::Empty => "must not be an empty string: leave it out instead".into(),
            Fault::TooLong => "must not be longer than 1048576 characters".into(),
            Fault::Xhtml(rule) => rule.into(),
        }
    }
}

fn rule(primitive: Primitive) -> &'static str {
    match primitive {
        Primitive::Base64Binary => "base64 text",
        Primitive::Boolean => "true or false",
        Primitive::Code => "a code: no white space but single spaces inside",
        Primitive::Date => "a date: YYYY, YYYY-MM or YYYY-MM-DD",
        Primitive::DateTime => {
            "a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone"
        }
        Primitive::Decimal => "a decimal",
        Primitive::Id => "an id: 1 to 64 letters, digits, - and .",
        Primitive::Instant => "an instant: YYYY-MM-DDThh:mm:ss with a time zone",
        Primitive::Integer => "an integer from -2147483648 to 2147483647",
        Primitive::PositiveInt => "an integer from 1 to 2147483647",
        Primitive::UnsignedInt => "an integer from 0 to 2147483647",
        Primitive::Oid => "an OID: urn:oid: and numbers with dots between",
        Primitive::Markdown | Primitive::String => {
            "text without control characters but tab and line ends"
        }
        Primitive::Time => "a time: hh:mm:ss",
        Primitive::Canonical | Primitive::Uri | Primitive::Url => "a URI without white space",
        Primitive::Uuid => "a UUID: urn:uuid: and a UUID in lower case",
        Primitive::Xhtml => "XHTML",
    }
}

fn number(text: &str, primitive: Primitive) -> Result<(), Fault> {
    let least = if primitive == Primitive::Integer {
        i32::MIN
    } else if primitive == Primitive::PositiveInt {
        1
    } else if primitive == Primitive::UnsignedInt {
        0
    } else {
        // The grammar of JSON numbers is the one of decimals.
        return Ok(());
    };
    // Parsing refuses fractions, exponents and what 32 bits do not hold.
    match text.parse::<i32>() {
        Ok(value) if value >= least => Ok(()),
        Ok(_) | Err(_) => Err(Fault::Format),
    }
}

fn string(text: &str, primitive: Primitive) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    let is_right = match primitive {
        Primitive::Base64Binary => is_base64(text),
        Primitive::Canonical | Primitive::Uri | Primitive::Url => {
            !text.chars().any(char::is_whitespace)
        }
        Primitive::Code => is_code(text),
        Primitive::Date => DateTime::parse_date(text).is_some(),
        Primitive::DateTime => DateTime::parse(text).is_some(),
        Primitive::Instant => DateTime::parse_instant(text).is_some(),
        Primitive::Time => Time::parse(text).is_some(),
        Primitive::Id => is_id(text),
        Primitive::Oid => is_oid(text),
        Primitive::Uuid => is_uuid(text),
        Primitive::Xhtml => return xhtml::check(text).map_err(Fault::Xhtml),
        Primitive::Markdown | Primitive::String => {
            if text.len() > CHARACTERS_MAX && text.chars().count() > CHARACTERS_MAX {
                return Err(Fault::TooLong);
            }
            !text.bytes().any(is_control)
        }
        // Not written as strings.
        Primitive::Boolean
        | Primitive::Decimal
        | Primitive::Integer
        | Primitive::PositiveInt
        | Primitive::UnsignedInt => false,
    };
    if is_right { Ok(()) } else { Err(Fault::Format) }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// `\s` of XML Schema, whose regular expressions those of the definitions are:
/// <https://www.w3.org/TR/xmlschema-2/#dt-ccesS>. A no-break space is none.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

/// `[^\s]+(\s[^\s]+)*`
fn is_code(text: &str) -> bool {
    let mut was_space = true;
    for letter in text.chars() {
        let is_space = is_space(letter);
        if (is_space && was_space) || letter.is_control() && !is_space {
            return false;
        }
        was_space = is_space;
    }
    !was_space
}

/// `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`
fn is_oid(text: &str) -> bool {
    let Some((first, rest)) = text
        .strip_prefix("urn:oid:")
        .and_then(|t| t.split_once('.'))
    else {
        return false;
    };
    matches!(first, "0" | "1" | "2")
        && rest.split('.').all(|part| {
            part == "0"
                || (!part.is_empty()
                    && !part.starts_with('0')
                    && part.bytes().all(|b| b.is_ascii_digit()))
        })
}

fn is_uuid(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("urn:uuid:") else {
        return false;
    };
    digits.len() == 36
        && digits.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Groups of four, the last of which may end with one or two `=`; white space
/// may be anywhere.
fn is_base64(text: &str) -> bool {
    let (mut digits, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => digits += 1,
            b'=' => padding += 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => return false,
        }
    }
    digits > 0 && padding <= 2 && (digits + padding) % 4 == 0
}
