//! `encode`, `decode`, `escape` and `unescape`
//! (<https://build.fhir.org/ig/HL7/FHIRPath/#additional-string-functions>).

use crate::json::write;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const HTML: [(&str, char); 5] = [
    ("&amp;", '&'),
    ("&lt;", '<'),
    ("&gt;", '>'),
    ("&quot;", '"'),
    ("&#39;", '\''),
];

/// The text in a format; nothing for an unknown one.
pub(super) fn encode(text: &str, format: &str) -> Option<String> {
    match format {
        "hex" => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        "base64" => Some(to_base64(text.as_bytes(), BASE64)),
        "urlbase64" => Some(to_base64(text.as_bytes(), URL_BASE64)),
        _ => None,
    }
}

/// The text that was encoded; nothing when it was not.
pub(super) fn decode(text: &str, format: &str) -> Option<String> {
    let bytes = match format {
        "hex" => from_hex(text)?,
        "base64" => from_base64(text, BASE64)?,
        "urlbase64" => from_base64(text, URL_BASE64)?,
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

/// The text as it may stand in HTML or in a JSON string.
pub(super) fn escape(text: &str, target: &str) -> Option<String> {
    match target {
        "html" => {
            let mut out = String::with_capacity(text.len());
            for character in text.chars() {
                match HTML.iter().find(|(_, plain)| *plain == character) {
                    Some((entity, _)) => out.push_str(entity),
                    None => out.push(character),
                }
            }
            Some(out)
        }
        "json" => {
            let mut out = String::with_capacity(text.len() + 2);
            write::string(&mut out, text);
            out.pop();
            Some(out.split_off(1))
        }
        _ => None,
    }
}

/// The reverse of [`escape`].
pub(super) fn unescape(text: &str, target: &str) -> Option<String> {
    match target {
        "html" => {
            let mut out = String::with_capacity(text.len());
            let mut rest = text;
            while let Some(at) = rest.find('&') {
                out.push_str(rest.get(..at)?);
                rest = rest.get(at..)?;
                match HTML.iter().find(|(entity, _)| rest.starts_with(entity)) {
                    Some((entity, plain)) => {
                        out.push(*plain);
                        rest = rest.get(entity.len()..)?;
                    }
                    None => {
                        out.push('&');
                        rest = rest.get(1..)?;
                    }
                }
            }
            out.push_str(rest);
            Some(out)
        }
        "json" => Some(write::unescape(text)),
        _ => None,
    }
}

fn to_base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = group >> (18 - 6 * at) & 63;
            out.push(match at <= chunk.len() {
                true => char::from(alphabet[digit as usize]),
                false => '=',
            });
        }
    }
    out
}

fn from_base64(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group = 0u32;
        for byte in chunk {
            let digit = alphabet.iter().position(|known| known == byte)?;
            group = group << 6 | digit as u32;
        }
        group <<= 6 * (4 - chunk.len());
        let bytes = [(group >> 16) as u8, (group >> 8) as u8, group as u8];
        out.extend_from_slice(bytes.get(..chunk.len().checked_sub(1)?)?);
    }
    Some(out)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digit = |at: usize| (pair.get(at).copied()? as char).to_digit(16);
            u8::try_from(digit(0)? << 4 | digit(1)?).ok()
        })
        .collect()
}
