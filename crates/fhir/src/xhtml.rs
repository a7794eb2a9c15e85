//! The XHTML of narratives
//! (<https://hl7.org/fhir/R4/narrative.html#xhtml>).
//!
//! Checked here, for validation and for FHIRPath's `htmlChecks()` alike: one
//! `div` in the XHTML namespace; tags closed in order; attributes with quotes;
//! no bare `&` or `<`; no doctype, CDATA or processing instruction; only the
//! elements that the clause allows; no event attribute, no link to a script;
//! text or an image to see. What browsers would run never gets in. These are
//! the invariants txt-1 and txt-2. Not checked: which attribute belongs to
//! which element, and the content of styles.

use memchr::memchr2;

/// Elements inside each other at most.
const DEPTH_MAX: usize = 64;
/// Attributes of one element at most.
const ATTRIBUTES_MAX: usize = 32;

const NOT_A_DIV: &str = "must be one XHTML div";
const NO_NAMESPACE: &str = "the div must have the namespace http://www.w3.org/1999/xhtml";
const NOT_CLOSED: &str = "must be well-formed XHTML: tags must be closed in order";
const BAD_TAG: &str = "must be well-formed XHTML: a tag is not right";
const BAD_ENTITY: &str = "must be well-formed XHTML: & must begin a character reference";
const NOT_ALLOWED: &str = "has an XHTML element that narratives must not have";
const ACTIVE: &str = "has an XHTML attribute that narratives must not have: an event or a script";
const FOREIGN: &str = "has an XHTML attribute of another namespace";
const TWICE: &str = "must be well-formed XHTML: an attribute is there twice";
const TOO_MANY: &str = "must not have more than 32 attributes on an XHTML element";
const EMPTY: &str = "must have text or an image to see (txt-2)";
const TOO_DEEP: &str = "must not nest XHTML elements deeper than 64 levels";

/// Sorted. HTML 4.0 chapters 7 to 11 and 15, with links and images.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "style",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
];

/// The text of a narrative without its tags, as far as it can be read. A space
/// stands for each tag; references to characters by number, and the few that
/// XML names, are the characters.
pub(crate) fn text(div: &str) -> String {
    let mut out = String::with_capacity(div.len() / 2);
    let mut rest = div;
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        rest = match found.as_bytes() {
            [b'&', ..] => put_character(found, &mut out),
            _ => {
                out.push(' ');
                behind_tag(found)
            }
        };
    }
    out.push_str(rest);
    out
}

fn behind_tag(found: &str) -> &str {
    let end = if found.starts_with("<!--") {
        "-->"
    } else {
        ">"
    };
    found.split_once(end).map_or("", |(_, rest)| rest)
}

/// Adds the character that `&name;` stands for, a space where it is none that
/// is known; answers what is behind it.
fn put_character<'t>(found: &'t str, out: &mut String) -> &'t str {
    let Ok(rest) = entity(found) else {
        out.push(' ');
        return found.get(1..).unwrap_or_default();
    };
    let name = &found[1..found.len() - rest.len() - 1];
    let number = match name.strip_prefix("#x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => name
            .strip_prefix('#')
            .and_then(|digits| digits.parse().ok()),
    };
    out.push(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => number.and_then(char::from_u32).unwrap_or(' '),
    });
    rest
}

/// Checks a narrative; the fault is a rule for people to read.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    match scan(text)?.seen {
        true => Ok(()),
        false => Err(EMPTY),
    }
}

/// The same, but for whether there is something to see.
pub(crate) fn check_form(text: &str) -> Result<(), &'static str> {
    scan(text).map(|_| ())
}

fn scan(text: &str) -> Result<Scan<'_>, &'static str> {
    let mut scan = Scan {
        open: [""; DEPTH_MAX],
        depth: 0,
        done: false,
        seen: false,
    };
    let mut rest = text.trim();
    if !rest.starts_with("<div") {
        return Err(NOT_A_DIV);
    }
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        let (before, found) = rest.split_at(at);
        scan.text(before)?;
        rest = match found.as_bytes() {
            [b'&', ..] => scan.entity(found)?,
            [_, b'/', ..] => scan.end(found)?,
            // Browsers look for nothing in a style but its end.
            _ if scan.innermost() == Some("style") => return Err(NOT_ALLOWED),
            [_, b'!', ..] => comment(found)?,
            _ => scan.start(found)?,
        };
    }
    scan.text(rest)?;
    match scan.done {
        true => Ok(scan),
        false => Err(NOT_CLOSED),
    }
}

struct Scan<'t> {
    open: [&'t str; DEPTH_MAX],
    depth: usize,
    /// The outermost element has been closed.
    done: bool,
    /// There was something to see.
    seen: bool,
}

impl<'t> Scan<'t> {
    fn text(&mut self, text: &str) -> Result<(), &'static str> {
        let blank = text.trim().is_empty();
        if self.depth == 0 && !blank {
            return Err(NOT_A_DIV);
        }
        self.seen |= !blank;
        Ok(())
    }

    fn innermost(&self) -> Option<&'t str> {
        self.depth
            .checked_sub(1)
            .and_then(|at| self.open.get(at).copied())
    }

    /// A character reference outside of tags, which counts as a text.
    fn entity(&mut self, found: &'t str) -> Result<&'t str, &'static str> {
        if self.depth == 0 {
            return Err(NOT_A_DIV);
        }
        self.seen = true;
        entity(found)
    }

    /// `<name attributes>`; answers what is behind it.
    fn start(&mut self, found: &'t str) -> Result<&'t str, &'static str> {
        let inside = found.get(1..).unwrap_or_default();
        let end = inside
            .find(|c: char| !c.is_ascii_alphanumeric())
            .ok_or(BAD_TAG)?;
        let (name, rest) = inside.split_at(end);
        if ELEMENTS.binary_search(&name).is_err() {
            return Err(if name.is_empty() {
                BAD_TAG
            } else {
                NOT_ALLOWED
            });
        }
        let outermost = self.depth == 0;
        if outermost && (self.done || name != "div") {
            return Err(NOT_A_DIV);
        }
        self.seen |= name == "img";
        let (rest, namespace) = attributes(rest)?;
        if outermost && !namespace {
            return Err(NO_NAMESPACE);
        }
        if let Some(rest) = rest.strip_prefix("/>") {
            self.done |= outermost;
            return Ok(rest);
        }
        *self.open.get_mut(self.depth).ok_or(TOO_DEEP)? = name;
        self.depth += 1;
        rest.strip_prefix('>').ok_or(BAD_TAG)
    }

    /// `</name>`; answers what is behind it.
    fn end(&mut self, found: &'t str) -> Result<&'t str, &'static str> {
        let (name, rest) = found
            .get(2..)
            .and_then(|inside| inside.split_once('>'))
            .ok_or(BAD_TAG)?;
        self.depth = self.depth.checked_sub(1).ok_or(NOT_CLOSED)?;
        if self.open.get(self.depth) != Some(&name.trim_end()) {
            return Err(NOT_CLOSED);
        }
        self.done = self.depth == 0;
        Ok(rest)
    }
}

/// Reads attributes up to `>` or `/>`; tells whether the namespace was one.
fn attributes(text: &str) -> Result<(&str, bool), &'static str> {
    let (mut rest, mut namespace) = (text, false);
    let mut names = [""; ATTRIBUTES_MAX];
    for count in 0..=ATTRIBUTES_MAX {
        let trimmed = rest.trim_start();
        if trimmed.starts_with('>') || trimmed.starts_with("/>") {
            return Ok((trimmed, namespace));
        }
        if trimmed.len() == rest.len() {
            return Err(BAD_TAG);
        }
        let (name, after) = trimmed.split_once('=').ok_or(BAD_TAG)?;
        let name = name.trim_end();
        let after = after.trim_start();
        let quote = match after.as_bytes().first() {
            Some(b'"') => '"',
            Some(b'\'') => '\'',
            _ => return Err(BAD_TAG),
        };
        let (value, behind) = after
            .get(1..)
            .and_then(|inside| inside.split_once(quote))
            .ok_or(BAD_TAG)?;
        attribute(name, value)?;
        if names.iter().take(count).any(|other| *other == name) {
            return Err(TWICE);
        }
        *names.get_mut(count).ok_or(TOO_MANY)? = name;
        namespace |= name == "xmlns" && value == "http://www.w3.org/1999/xhtml";
        rest = behind;
    }
    Err(TOO_MANY)
}

fn attribute(name: &str, value: &str) -> Result<(), &'static str> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.');
    let is_begun = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !is_begun || !name.bytes().all(is_name) || value.contains('<') {
        return Err(BAD_TAG);
    }
    if let Some(at) = value.find('&') {
        let mut rest = value.get(at..).unwrap_or_default();
        while let Some(at) = rest.find('&') {
            rest = entity(rest.get(at..).unwrap_or_default())?;
        }
    }
    // Of namespaces, a narrative has its own.
    let is_foreign = name.split_once(':').is_some_and(|(prefix, rest)| {
        !matches!(prefix, "xml" | "xmlns") || rest.is_empty() || rest.contains(':')
    });
    if is_foreign {
        return Err(FOREIGN);
    }
    let event = name
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("on"));
    let link = ["href", "src"].iter().any(|l| name.eq_ignore_ascii_case(l));
    if event || (link && runs(value)) {
        return Err(ACTIVE);
    }
    Ok(())
}

/// Would a browser run the link? Browsers ignore white space and control
/// characters in a scheme; a character reference could hide one.
fn runs(value: &str) -> bool {
    let mut scheme = String::new();
    for letter in value.chars() {
        match letter {
            ':' => break,
            '/' | '?' | '#' => return false,
            '&' => return true,
            c if c <= ' ' => {}
            c => scheme.push(c.to_ascii_lowercase()),
        }
    }
    matches!(scheme.as_str(), "javascript" | "vbscript")
}

/// `&name;` or `&#number;`; answers what is behind it.
fn entity(found: &str) -> Result<&str, &'static str> {
    let (name, rest) = found
        .get(1..)
        .and_then(|inside| inside.split_once(';'))
        .ok_or(BAD_ENTITY)?;
    let name = name.strip_prefix('#').unwrap_or(name);
    let is_right =
        (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_right { Ok(rest) } else { Err(BAD_ENTITY) }
}

/// `<!-- ... -->`; answers what is behind it. What HTML would take for the end
/// of a remark, and so show or run what follows, must not be inside
/// (<https://html.spec.whatwg.org/multipage/syntax.html#comments>).
fn comment(found: &str) -> Result<&str, &'static str> {
    let (remark, rest) = found
        .strip_prefix("<!--")
        .and_then(|inside| inside.split_once("-->"))
        .ok_or(BAD_TAG)?;
    if remark.starts_with('>') || remark.starts_with("->") || remark.contains("--!>") {
        return Err(BAD_TAG);
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_end_where_browsers_end_them() {
        for remark in ["<!--> <b> -->", "<!---> <b> -->", "<!-- --!> <b> -->"] {
            check_div(&format!("a {remark}"), Err(BAD_TAG));
        }
        check_div("a <!-- > -> <b> -- ! --->", Ok(()));
    }

    #[track_caller]
    fn check_div(inside: &str, expect: Result<(), &'static str>) {
        let text = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inside}</div>");
        assert_eq!(check(&text), expect);
    }

    #[test]
    fn what_narratives_may_have_passes() {
        for inside in [
            "text",
            "a &lt; b &#160; &#xA0;",
            "<p>a<br/>b</p><table border='1'><tbody><tr><td>x</td></tr></tbody></table>",
            "<img src=\"#1\" alt=\"x\"/>",
            "<a href=\"http://example.org/a?b=c&amp;d=e\">link</a>",
            "<a href='Patient/1&amp;x'>link</a>",
            "<!-- a remark --> text",
            "<p class=\"a\"\n style = 'color: red' >x</p >",
        ] {
            check_div(inside, Ok(()));
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        check_div("<p>a", Err(NOT_CLOSED));
        check_div("<b><i>a</b></i>", Err(NOT_CLOSED));
        check_div("a</div>", Err(NOT_CLOSED));
        check_div("a & b", Err(BAD_ENTITY));
        check_div("a < b", Err(BAD_TAG));
        check_div("<p class=x>a</p>", Err(BAD_TAG));
        check_div("<p class='x'id='y'>a</p>", Err(BAD_TAG));
        check_div("<?php ?>", Err(BAD_TAG));
        check_div("<p class='x' class='y'>a</p>", Err(TWICE));
        check_div("<p xml:lang='x' lang='x' xmlns:x='y'>a</p>", Ok(()));
        check_div("<p x:lang='x'>a</p>", Err(FOREIGN));
        check_div("<p 1='x'>a</p>", Err(BAD_TAG));
        let many: String = (0..40).map(|n| format!(" a{n}=''")).collect();
        check_div(&format!("<p{many}>a</p>"), Err(TOO_MANY));
        check_div("<![CDATA[a]]>", Err(BAD_TAG));
        check_div(&"<b>".repeat(70), Err(TOO_DEEP));
    }

    #[test]
    fn what_browsers_would_run_is_refused() {
        check_div("<script>x</script>", Err(NOT_ALLOWED));
        check_div("a<style>b { }</style>", Ok(()));
        check_div("<style><!-- </style><i> --></style>", Err(NOT_ALLOWED));
        check_div("<style><i title='</style>'/></style>", Err(NOT_ALLOWED));
        check_div("<iframe src='x'></iframe>", Err(NOT_ALLOWED));
        check_div("<p onclick='x'>a</p>", Err(ACTIVE));
        check_div("<p onClick='x'>a</p>", Err(ACTIVE));
        check_div("<a href='javascript:x'>a</a>", Err(ACTIVE));
        check_div("<a href=' Java\tScript:x'>a</a>", Err(ACTIVE));
        check_div("<a href='&#106;avascript:x'>a</a>", Err(ACTIVE));
    }

    #[test]
    fn only_one_div_is_right() {
        assert_eq!(check("text"), Err(NOT_A_DIV));
        assert_eq!(check("<p>a</p>"), Err(NOT_A_DIV));
        assert_eq!(check("<div>a</div>"), Err(NO_NAMESPACE));
        let one = "<div xmlns='http://www.w3.org/1999/xhtml'>a</div>";
        assert_eq!(check(&format!(" {one} ")), Ok(()));
        assert_eq!(check(&format!("{one}{one}")), Err(NOT_A_DIV));
        assert_eq!(check(&format!("{one}b")), Err(NOT_A_DIV));
        assert_eq!(check(&format!("&#160;{one}")), Err(NOT_A_DIV));
    }

    #[test]
    fn there_must_be_something_to_see() {
        check_div("", Err(EMPTY));
        check_div(" \n<p> </p><br/><!-- a remark -->", Err(EMPTY));
        check_div("&amp;", Ok(()));
        check_div("<p><img src='#1'/></p>", Ok(()));
        assert_eq!(
            check("<div xmlns='http://www.w3.org/1999/xhtml'/>"),
            Err(EMPTY)
        );
    }

    #[test]
    fn the_text_is_what_is_seen() {
        let check = |inside: &str, expected: &str| assert_eq!(text(inside), expected);
        check("a<br/>b<!-- <p> -->c", "a b c");
        check("x &lt; y &#65;&#x42; &eacute;", "x < y AB  ");
        check("a & b &; <", "a   b  ;  ");
    }

    #[test]
    fn the_list_of_elements_can_be_searched() {
        assert!(ELEMENTS.is_sorted());
    }
}
