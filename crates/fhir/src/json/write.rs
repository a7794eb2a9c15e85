//! JSON text from values: escapes, and pretty printing for people.

use super::{Kind, Node};

/// Appends `value` as a JSON string with its quotes.
pub fn string(out: &mut String, value: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0C => "\\f",
            0..=0x1F => "\\u00",
            _ => continue,
        };
        out.push_str(&value[plain..at]);
        out.push_str(escape);
        if escape.len() == 4 {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        plain = at + 1;
    }
    out.push_str(&value[plain..]);
    out.push('"');
}

/// The value with line breaks and two spaces of indentation per level. Strings and numbers keep
/// their text.
#[must_use]
pub fn pretty(node: Node<'_>) -> String {
    let mut out = String::with_capacity(node.raw().len() * 3 / 2);
    write_value(&mut out, node, Layout::Lines(0));
    out
}

/// The value without any space between its tokens.
#[must_use]
pub fn compact(node: Node<'_>) -> String {
    let mut out = String::with_capacity(node.raw().len());
    write_value(&mut out, node, Layout::Dense);
    out
}

/// The value of the text between a string's quotes. The parser has checked the escapes of its
/// strings; elsewhere, anything unexpected is kept as it stands.
#[must_use]
pub fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (value, len) = escaped_char(&rest[at..]);
        out.push(value);
        rest = rest.get(at + len..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// The character that the escape at the start of `text` stands for, and the escape's length.
fn escaped_char(text: &str) -> (char, usize) {
    match text.as_bytes().get(1) {
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'u') => unicode_escape(text),
        Some(&other) if other.is_ascii() => (other as char, 2),
        _ => ('\\', 1),
    }
}

fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let first = unit(2).unwrap_or(0xFFFD);
    if let Some(character) = char::from_u32(u32::from(first)) {
        return (character, 6);
    }
    let pair = [first, unit(8).unwrap_or(0xFFFD)];
    match char::decode_utf16(pair).next() {
        Some(Ok(character)) => (character, 12),
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

#[derive(Clone, Copy)]
enum Layout {
    Dense,
    /// With the current depth.
    Lines(usize),
}

impl Layout {
    fn deeper(self) -> Layout {
        match self {
            Layout::Dense => Layout::Dense,
            Layout::Lines(depth) => Layout::Lines(depth + 1),
        }
    }

    fn line(self, out: &mut String) {
        if let Layout::Lines(depth) = self {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    }
}

/// Recursive, to the depth that the document's limits allowed.
fn write_value(out: &mut String, node: Node<'_>, layout: Layout) {
    let (open, close) = match node.kind() {
        Kind::Object => ('{', '}'),
        Kind::Array => ('[', ']'),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => {
            out.push_str(node.raw());
            return;
        }
    };
    out.push(open);
    for (at, child) in node.children().enumerate() {
        if at > 0 {
            out.push(',');
        }
        layout.deeper().line(out);
        if let Some(key) = child.raw_key() {
            out.push('"');
            out.push_str(key);
            out.push_str(match layout {
                Layout::Dense => "\":",
                Layout::Lines(_) => "\": ",
            });
        }
        write_value(out, child, layout.deeper());
    }
    if !node.is_empty() {
        layout.line(out);
    }
    out.push(close);
}
