//! The XHTML of a narrative as a JSON string: its text as it was written,
//! with line ends as XML has them (<https://www.w3.org/TR/xml/#sec-line-ends>).

use super::super::error::{Error, ErrorKind};
use super::super::{XHTML, character};
use super::tag::Tag;
use super::value;

const REMARK: &str = "<!--";

/// The text of a `div`, with its quotes.
pub(super) fn string(out: &mut String, text: &str, tag: &Tag<'_>) -> Result<(), Error> {
    out.push('"');
    let mut rest = text;
    // The element around it has said that there is no other namespace.
    if !tag.has_xmlns
        && let Some(behind) = text.strip_prefix("<div")
    {
        out.push_str("<div xmlns=\\\"");
        out.push_str(XHTML);
        out.push_str("\\\"");
        rest = behind;
    }
    // What is a reference in text is none in a remark.
    while let Some((before, inside)) = rest.split_once(REMARK) {
        let (remark, behind) = inside.split_at(inside.find("-->").unwrap_or(inside.len()));
        value::escaped(out, before, in_text)?;
        out.push_str(REMARK);
        value::escaped(out, remark, in_remark)?;
        rest = behind;
    }
    value::escaped(out, rest, in_text)?;
    out.push('"');
    Ok(())
}

fn in_text(out: &mut String, found: &str, first: u8) -> Result<usize, Error> {
    match first {
        // Only what canonical XML writes for it: a bare one would be a line end.
        b'&' if found.starts_with("&#xD;") => {
            out.push_str("\\r");
            Ok("&#xD;".len())
        }
        // Names that HTML has beside the five mean nothing in XML.
        b'&' if character::reference(found).is_none() => {
            let rule = "& must begin a reference to a character: by number, or one of XML's five";
            Err(Error::new(ErrorKind::Syntax, rule))
        }
        _ => in_remark(out, found, first),
    }
}

fn in_remark(out: &mut String, found: &str, first: u8) -> Result<usize, Error> {
    match first {
        b'\r' => {
            out.push_str("\\n");
            Ok(if found.as_bytes().get(1) == Some(&b'\n') {
                2
            } else {
                1
            })
        }
        _ => value::one(out, found),
    }
}
