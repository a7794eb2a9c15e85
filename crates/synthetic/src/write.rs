//! JSON written as it is thought of: property by property, in order, into one text.
//!
//! A tree in between would cost more than the simulation, and would lose the order in which
//! FHIR resources are usually read.

use crate::chart::Form;

/// JSON under construction. Commas are found from the last byte written, so every method may be
/// called anywhere a member (or an element, for those without a key) may stand.
pub(crate) struct Writer {
    text: String,
    pub(crate) form: Form,
}

impl Writer {
    pub(crate) fn new(form: Form) -> Writer {
        Writer {
            text: String::new(),
            form,
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Room for an average patient, so that the text rarely moves while it grows.
    pub(crate) fn reserve(&mut self) {
        self.text.reserve(512 * 1024);
    }

    pub(crate) fn begin_transaction(&mut self) {
        self.text
            .push_str(r#"{"resourceType":"Bundle","type":"transaction","entry":["#);
    }

    pub(crate) fn end_transaction(&mut self) {
        self.text.push_str("]}");
    }

    /// Ends a line between two JSON texts.
    pub(crate) fn end_line(&mut self) {
        self.text.push('\n');
    }

    pub(crate) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        self.push_string(value);
    }

    /// A string built from several pieces, none of which needs escaping in itself.
    pub(crate) fn joined(&mut self, key: &str, pieces: &[&str]) {
        self.key(key);
        self.text.push('"');
        for piece in pieces {
            self.push_escaped(piece);
        }
        self.text.push('"');
    }

    /// A string written by `body` straight into the text; it must need no escaping.
    pub(crate) fn plain(&mut self, key: &str, body: impl FnOnce(&mut String)) {
        self.key(key);
        self.text.push('"');
        body(&mut self.text);
        self.text.push('"');
    }

    pub(crate) fn integer(&mut self, key: &str, value: i64) {
        self.key(key);
        push_integer(&mut self.text, value);
    }

    pub(crate) fn decimal(&mut self, key: &str, value: Decimal) {
        self.key(key);
        value.write(&mut self.text);
    }

    /// A number as somebody else wrote it.
    pub(crate) fn number_text(&mut self, key: &str, number: &str) {
        self.key(key);
        self.text.push_str(number);
    }

    pub(crate) fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.text.push_str(if value { "true" } else { "false" });
    }

    pub(crate) fn object(&mut self, key: &str, body: impl FnOnce(&mut Writer)) {
        self.key(key);
        self.braces('{', '}', body);
    }

    pub(crate) fn list(&mut self, key: &str, body: impl FnOnce(&mut Writer)) {
        self.key(key);
        self.braces('[', ']', body);
    }

    /// An object as an element of a list, or as a whole text.
    pub(crate) fn element(&mut self, body: impl FnOnce(&mut Writer)) {
        self.separate();
        self.braces('{', '}', body);
    }

    /// A string as an element of a list.
    pub(crate) fn string_element(&mut self, value: &str) {
        self.separate();
        self.push_string(value);
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, key: &str, values: &[&str]) {
        self.list(key, |w| {
            values.iter().for_each(|value| w.string_element(value))
        });
    }

    /// A list of whole numbers.
    pub(crate) fn integers(&mut self, key: &str, values: &[i64]) {
        self.list(key, |w| {
            for value in values {
                w.separate();
                push_integer(&mut w.text, *value);
            }
        });
    }

    fn braces(&mut self, open: char, close: char, body: impl FnOnce(&mut Writer)) {
        self.text.push(open);
        body(self);
        self.text.push(close);
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    fn separate(&mut self) {
        match self.text.as_bytes().last() {
            None | Some(b'{' | b'[' | b':' | b'\n') => {}
            Some(_) => self.text.push(','),
        }
    }

    fn push_string(&mut self, value: &str) {
        self.text.push('"');
        self.push_escaped(value);
        self.text.push('"');
    }

    fn push_escaped(&mut self, value: &str) {
        let needs_escape = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
        if !value.as_bytes().iter().any(needs_escape) {
            self.text.push_str(value);
            return;
        }
        for character in value.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                control if control < ' ' => {
                    self.text
                        .push_str(&format!("\\u{:04x}", u32::from(control)));
                }
                other => self.text.push(other),
            }
        }
    }
}

/// A number with a fixed count of decimal places: what is written is exactly what is computed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Decimal {
    units: i64,
    places: u32,
}

impl Decimal {
    pub(crate) fn rounded(value: f64, places: u32) -> Decimal {
        Decimal {
            units: (value * Decimal::scale(places)).round() as i64,
            places,
        }
    }

    pub(crate) const fn cents(cents: i64) -> Decimal {
        Decimal {
            units: cents,
            places: 2,
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.units as f64 / Decimal::scale(self.places)
    }

    fn scale(places: u32) -> f64 {
        10_i64.pow(places) as f64
    }

    pub(crate) fn write(self, out: &mut String) {
        let scale = 10_i64.pow(self.places);
        if self.units < 0 {
            out.push('-');
        }
        let units = self.units.abs();
        push_integer(out, units / scale);
        if self.places > 0 {
            out.push('.');
            let fraction = units % scale;
            for place in (0..self.places).rev() {
                out.push(char::from(b'0' + (fraction / 10_i64.pow(place) % 10) as u8));
            }
        }
    }
}

fn push_integer(out: &mut String, value: i64) {
    use std::fmt::Write;
    // Writing into a String cannot fail.
    let _ = write!(out, "{value}");
}

/// A resource id: a UUID drawn from the seed (the random kind of RFC 9562, section 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Id(u128);

impl Id {
    pub(crate) fn new(high: u64, low: u64) -> Id {
        let bits = u128::from(high) << 64 | u128::from(low);
        Id(bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    }

    pub(crate) fn write(self, out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for place in (0..32).rev() {
            out.push(char::from(DIGITS[(self.0 >> (place * 4) & 0xf) as usize]));
            if matches!(place, 24 | 20 | 16 | 12) {
                out.push('-');
            }
        }
    }

    pub(crate) fn text(self) -> String {
        let mut out = String::with_capacity(36);
        self.write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_decimal(value: f64, places: u32, expect: &str) {
        let mut out = String::new();
        Decimal::rounded(value, places).write(&mut out);
        assert_eq!(out, expect);
    }

    #[test]
    fn decimals_keep_their_places() {
        check_decimal(72.0, 1, "72.0");
        check_decimal(0.054, 2, "0.05");
        check_decimal(-0.25, 1, "-0.3");
        check_decimal(140.4, 0, "140");
    }

    #[test]
    fn ids_have_the_shape_of_random_uuids() {
        let id = Id::new(u64::MAX, u64::MAX).text();
        assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn strings_are_escaped() {
        let mut w = Writer::new(Form::Lines);
        w.element(|w| w.string("a", "x\"\\\n\u{1}é"));
        assert_eq!(w.into_text(), r#"{"a":"x\"\\\n\u0001é"}"#);
    }
}
