//! Characters of XML and references to them
//! (<https://www.w3.org/TR/xml/#charsets>, <https://www.w3.org/TR/xml/#sec-references>).

/// May XML have this character at all, as itself or by reference?
pub(super) fn is_allowed(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => other >= ' ',
    }
}

/// A table of bytes to look at closer: these, controls, and those that may
/// begin a character that is not allowed.
pub(super) const fn specials(bytes: &[u8]) -> [bool; 256] {
    let mut is = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        is[control] = true;
        control += 1;
    }
    let mut at = 0;
    while at < bytes.len() {
        is[bytes[at] as usize] = true;
        at += 1;
    }
    // The first byte of U+FFFE and U+FFFF.
    is[0xEF] = true;
    is
}

/// The character that the reference at the start of `text` stands for, and
/// the reference's length: one of the five names, or a number.
pub(super) fn reference(text: &str) -> Option<(char, usize)> {
    let name = name(text)?;
    let character = match name.strip_prefix('#') {
        Some(number) => numbered(number)?,
        None => match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        },
    };
    Some((character, name.len() + 2))
}

/// What is between `&` and `;` at the start of `text`.
pub(super) fn name(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('&')?;
    let end = inside.bytes().take(32).position(|byte| byte == b';')?;
    inside.get(..end)
}

fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // Parsing would take a sign too.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(number).filter(|character| is_allowed(*character))
}
