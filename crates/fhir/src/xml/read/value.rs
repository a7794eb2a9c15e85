//! Values of attributes as JSON: references resolved and white space made
//! even (<https://www.w3.org/TR/xml/#AVNormalize>), then JSON's escapes, in
//! one pass.

use super::super::character;
use super::super::error::{Error, ErrorKind};
use crate::definitions::Primitive;
use crate::json::Kind;

/// The value of a primitive: numbers and booleans as they are.
pub(super) fn primitive(out: &mut String, raw: &str, primitive: Primitive) -> Result<(), Error> {
    let (is_right, rule) = match primitive.json_kind() {
        Kind::Bool => (matches!(raw, "true" | "false"), "must be true or false"),
        Kind::Number if primitive == Primitive::Decimal => (is_number(raw), "must be a decimal"),
        Kind::Number => (is_number(raw), "must be an integer"),
        Kind::String | Kind::Null | Kind::Array | Kind::Object => return string(out, raw),
    };
    if !is_right {
        return Err(Error::new(ErrorKind::Value, rule));
    }
    out.push_str(raw);
    Ok(())
}

/// A string, with its quotes.
pub(super) fn string(out: &mut String, raw: &str) -> Result<(), Error> {
    if raw.is_empty() {
        let rule = "an attribute must not be empty: leave it out instead";
        return Err(Error::new(ErrorKind::Value, rule));
    }
    out.push('"');
    escaped(out, raw, special)?;
    out.push('"');
    Ok(())
}

/// Copies a text, with `special` for what cannot stay as it is; that answers
/// how many bytes it took.
pub(super) fn escaped(
    out: &mut String,
    raw: &str,
    special: fn(&mut String, &str, u8) -> Result<usize, Error>,
) -> Result<(), Error> {
    let mut rest = raw;
    loop {
        let at = rest.bytes().position(|byte| IS_SPECIAL[usize::from(byte)]);
        let Some(at) = at else {
            out.push_str(rest);
            return Ok(());
        };
        let (plain, found) = rest.split_at(at);
        out.push_str(plain);
        let first = found.bytes().next().unwrap_or_default();
        let len = special(out, found, first)?;
        rest = found.get(len..).unwrap_or_default();
    }
}

/// Bytes that XML or JSON may not have as they are.
const IS_SPECIAL: [bool; 256] = character::specials(b"\"&<\\");

fn special(out: &mut String, found: &str, first: u8) -> Result<usize, Error> {
    match first {
        b'&' => {
            let (character, len) = character::reference(found).ok_or_else(|| {
                let rule = "& must begin a reference to a character";
                Error::new(ErrorKind::Syntax, rule)
            })?;
            push(out, character);
            Ok(len)
        }
        b'<' => Err(Error::new(
            ErrorKind::Syntax,
            "attributes must not have a bare <",
        )),
        b'\r' if found.as_bytes().get(1) == Some(&b'\n') => {
            out.push(' ');
            Ok(2)
        }
        b'\t' | b'\n' | b'\r' => {
            out.push(' ');
            Ok(1)
        }
        _ => one(out, found),
    }
}

/// A character that XML may not have, or JSON only with an escape.
pub(super) fn one(out: &mut String, found: &str) -> Result<usize, Error> {
    let first = found.chars().next().filter(|c| character::is_allowed(*c));
    let Some(first) = first else {
        let rule = "XML must not have control characters";
        return Err(Error::new(ErrorKind::Syntax, rule));
    };
    push(out, first);
    Ok(first.len_utf8())
}

/// Adds a character that XML may have.
pub(super) fn push(out: &mut String, character: char) {
    out.push_str(match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        other => return out.push(other),
    });
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}
