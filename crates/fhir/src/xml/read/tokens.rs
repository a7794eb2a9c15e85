//! Tags in order, whatever stands between them that FHIR allows passed over
//! (<https://www.w3.org/TR/xml/>).

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, Event};
use quick_xml::name::QName;

use super::super::error::{Error, ErrorKind};
use super::tag::{Scopes, Tag};

/// What comes next.
pub(super) enum Token<'t> {
    /// An element begins, and ends too if it is empty.
    Start(Tag<'t>),
    /// The element that began last and has not ended yet ends.
    End,
    /// The text is over.
    Over,
}

pub(super) struct Tokens<'t> {
    text: &'t str,
    reader: Reader<&'t [u8]>,
    scopes: Scopes<'t>,
    /// Where the last token begins.
    start: usize,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Tokens<'t> {
        Tokens {
            text,
            reader: Reader::from_str(text),
            scopes: Scopes::default(),
            start: 0,
        }
    }

    /// Where the last token begins, in bytes.
    pub(super) fn token_start(&self) -> usize {
        self.start
    }

    pub(super) fn next(&mut self) -> Result<Token<'t>, Error> {
        loop {
            self.start = self.position();
            match self.reader.read_event().map_err(|error| not_xml(&error))? {
                Event::Start(tag) => return self.tag(tag.name().0.len(), false),
                Event::Empty(tag) => return self.tag(tag.name().0.len(), true),
                Event::End(_) => {
                    self.scopes.leave();
                    return Ok(Token::End);
                }
                Event::Eof => return Ok(Token::Over),
                Event::Text(text) if is_blank(&text) => {}
                Event::Comment(_) | Event::PI(_) => {}
                Event::Decl(declaration) if self.start == 0 => check_encoding(&declaration)?,
                Event::DocType(_) => {
                    let rule = "a document type is not allowed";
                    return Err(Error::new(ErrorKind::Syntax, rule));
                }
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    let rule = "text is allowed in attributes and narratives only";
                    return Err(Error::new(ErrorKind::Syntax, rule));
                }
                Event::Decl(_) => {
                    let rule = "the XML declaration must come first";
                    return Err(Error::new(ErrorKind::Syntax, rule));
                }
            }
        }
    }

    /// The text of an element with all that is inside it; the next token is
    /// the one behind.
    pub(super) fn whole(&mut self, tag: &Tag<'t>) -> Result<&'t str, Error> {
        if !tag.is_empty {
            let inside = self.reader.read_to_end(QName(tag.name));
            inside.map_err(|error| not_xml(&error))?;
            self.scopes.leave();
        }
        let text = self.text.get(self.start..self.position());
        Ok(text.unwrap_or_default())
    }

    /// The tag that has just been read.
    fn tag(&mut self, name_len: usize, is_empty: bool) -> Result<Token<'t>, Error> {
        let raw = self.text.get(self.start..self.position());
        let raw = raw.and_then(|raw| raw.strip_prefix('<')?.strip_suffix('>'));
        let raw = match is_empty {
            true => raw.and_then(|raw| raw.strip_suffix('/')),
            false => raw,
        };
        let tag = Tag::read(
            raw.unwrap_or_default(),
            name_len,
            is_empty,
            &mut self.scopes,
        )?;
        Ok(Token::Start(tag))
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), Error> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name))
            if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") =>
        {
            Ok(())
        }
        Some(_) => Err(Error::new(ErrorKind::Syntax, "the XML must be UTF-8")),
    }
}

/// The library's words name tags, which may be content: ours do not.
fn not_xml(error: &quick_xml::Error) -> Error {
    let rule = if matches!(error, quick_xml::Error::IllFormed(_)) {
        "must be well-formed XML: tags must be closed in order"
    } else {
        "must be well-formed XML: a tag or comment is not closed"
    };
    Error::new(ErrorKind::Syntax, rule)
}
