//! Text in attributes: what a reader would change is written by number
//! (<https://www.w3.org/TR/xml/#AVNormalize>).

use super::super::character;

/// The value of an attribute in `"`. Characters that XML does not have become
/// U+FFFD.
pub(super) fn attribute(out: &mut String, value: &str) {
    let mut rest = value;
    loop {
        let at = rest.bytes().position(|byte| IS_SPECIAL[usize::from(byte)]);
        let Some(at) = at else {
            return out.push_str(rest);
        };
        let (plain, found) = rest.split_at(at);
        out.push_str(plain);
        let Some(special) = found.chars().next() else {
            return;
        };
        match special {
            '"' => out.push_str("&quot;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(allowed(other)),
        }
        rest = found.get(special.len_utf8()..).unwrap_or_default();
    }
}

/// The character, or U+FFFD for one that XML does not have.
pub(super) fn allowed(character: char) -> char {
    match character::is_allowed(character) {
        true => character,
        false => char::REPLACEMENT_CHARACTER,
    }
}

const IS_SPECIAL: [bool; 256] = character::specials(b"\"&<");
