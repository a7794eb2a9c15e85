//! XML Patch: RFC 5261, on the XML form of a resource.
//!
//! The root of a patch may have any name; the prefixes `f` and `h` are known without a
//! declaration. Namespaces cannot be replaced or removed, nor selected by `id()`: FHIR has no
//! use for them.

use super::Error;
use super::operations::read_all;
use super::selector::{Found, Selector};
use crate::xml::{FHIR, XHTML};
use roxmltree::{Document, Node, ParsingOptions};
use std::ops::Range;

/// How many bytes are parsed for one patch at most, all its steps together.
const WORK_BYTES_MAX: usize = 256 << 20;
const NODES_MAX: u32 = 4_000_000;

/// An XML Patch whose operations are complete.
#[derive(Debug)]
pub(super) struct XmlPatch(Vec<Operation>);

#[derive(Debug)]
struct Operation {
    selector: Selector,
    does: Does,
}

enum Does {
    Add(Content, Place),
    /// As it is written into a start tag; the name comes first.
    Declare(String, String),
    Replace(Content),
    /// Whitespace before and behind goes too.
    Remove(bool, bool),
}
salus_phi::guard!(Does);

#[derive(Clone, Copy, Debug)]
enum Place {
    Append,
    Prepend,
    Before,
    After,
}

/// What an operation brings.
struct Content {
    /// As XML that needs nothing around it.
    xml: String,
    /// As text.
    text: String,
    /// What it is made of, text of spaces left out.
    kinds: Vec<Kind>,
}
salus_phi::guard!(Content);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Element,
    Comment,
    Text,
}

impl XmlPatch {
    pub(super) fn read(text: &str) -> Result<XmlPatch, Error> {
        let document = parse(text)
            .map_err(|position| Error::malformed(format!("the patch is no XML {position}")))?;
        let elements = document.root_element().children().filter(Node::is_element);
        let operations = read_all(elements, operation)?;
        match operations.is_empty() {
            false => Ok(XmlPatch(operations)),
            true => Err(Error::malformed(
                "an XML Patch has elements add, replace or remove in its root",
            )),
        }
    }

    /// The text after all operations.
    pub(super) fn apply(&self, text: String, bytes_max: usize) -> Result<String, Error> {
        let mut text = text;
        let mut work_left = WORK_BYTES_MAX;
        for (n, operation) in self.0.iter().enumerate() {
            work_left = work_left.checked_sub(text.len()).ok_or_else(|| {
                Error::costly("the patch is too much work; send it in parts").of(n)
            })?;
            text = operation.apply(&text).map_err(|error| error.of(n))?;
            if text.len() > bytes_max {
                return Err(Error::costly("the result is too long").of(n));
            }
        }
        match parse(&text) {
            Ok(_) => Ok(text),
            Err(position) => Err(Error::malformed(format!("the result is no XML {position}"))),
        }
    }
}

/// A document, or where it stops being one. Document types are refused.
fn parse(text: &str) -> Result<Document<'_>, String> {
    let options = ParsingOptions {
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).map_err(|error| {
        let position = error.pos();
        format!("(line {}, column {})", position.row, position.col)
    })
}

fn operation(node: Node<'_, '_>) -> Result<Operation, Error> {
    let namespace = |prefix: Option<&str>| {
        let declared = node.lookup_namespace_uri(prefix).map(str::to_owned);
        let known = match prefix {
            Some("f") => Some(FHIR),
            Some("h") => Some(XHTML),
            _ => None,
        };
        declared.or_else(|| known.map(str::to_owned))
    };
    let sel = node.attribute("sel");
    let sel = sel.ok_or_else(|| Error::malformed("needs an attribute `sel`"))?;
    let does = match node.tag_name().name() {
        "add" => addition(node)?,
        "replace" => Does::Replace(content(node)?),
        "remove" => match node.attribute("ws") {
            None => Does::Remove(false, false),
            Some("before") => Does::Remove(true, false),
            Some("after") => Does::Remove(false, true),
            Some("both") => Does::Remove(true, true),
            Some(_) => return Err(Error::malformed("its `ws` is none of before, after, both")),
        },
        _ => {
            return Err(Error::malformed(
                "its element is not known; allowed: add, replace, remove",
            ));
        }
    };
    Ok(Operation {
        selector: Selector::parse(sel, &namespace)?,
        does,
    })
}

fn addition(node: Node<'_, '_>) -> Result<Does, Error> {
    let content = content(node)?;
    if let Some(ty) = node.attribute("type") {
        let name = ty
            .strip_prefix('@')
            .map(str::to_owned)
            .or_else(|| Some(format!("xmlns:{}", ty.strip_prefix("namespace::")?)))
            .filter(|name| is_name(name.strip_prefix("xmlns:").unwrap_or(name)));
        let name = name
            .ok_or_else(|| Error::malformed("its `type` is neither @name nor namespace::prefix"))?;
        return Ok(Does::Declare(name, escaped(&content.text)));
    }
    let place = match node.attribute("pos") {
        None => Place::Append,
        Some("prepend") => Place::Prepend,
        Some("before") => Place::Before,
        Some("after") => Place::After,
        Some(_) => {
            return Err(Error::malformed(
                "its `pos` is none of prepend, before, after",
            ));
        }
    };
    Ok(Does::Add(content, place))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn content(node: Node<'_, '_>) -> Result<Content, Error> {
    let mut content = Content {
        xml: String::new(),
        text: String::new(),
        kinds: Vec::new(),
    };
    for child in node.children() {
        let text = child.text().unwrap_or_default();
        if child.is_element() {
            content.xml.push_str(&standing_alone(child)?);
            content.kinds.push(Kind::Element);
        } else if child.is_comment() {
            content.xml.push_str(&format!("<!--{text}-->"));
            content.kinds.push(Kind::Comment);
        } else if child.is_text() {
            content.xml.push_str(&escaped(text));
            content.text.push_str(text);
            if !text.trim().is_empty() {
                content.kinds.push(Kind::Text);
            }
        } else {
            return Err(Error::malformed(
                "a processing instruction has no place in FHIR",
            ));
        }
    }
    Ok(content)
}

/// An element with the declarations that it takes from around it.
fn standing_alone(element: Node<'_, '_>) -> Result<String, Error> {
    let unread = || Error::malformed("an element of the patch cannot be read");
    let document = element.document().input_text();
    let raw = document.get(element.range()).ok_or_else(unread)?;
    let tag = raw
        .get(..tag_end(raw).ok_or_else(unread)?)
        .ok_or_else(unread)?;
    let mut declarations = String::new();
    for namespace in element.namespaces() {
        let uri = escaped(namespace.uri());
        match namespace.name() {
            None if !tag.contains(" xmlns=") => {
                declarations.push_str(&format!(" xmlns=\"{uri}\""));
            }
            Some(prefix)
                if prefix != "xml"
                    && raw.contains(&format!("{prefix}:"))
                    && !tag.contains(&format!("xmlns:{prefix}=")) =>
            {
                declarations.push_str(&format!(" xmlns:{prefix}=\"{uri}\""));
            }
            Some(_) | None => {}
        }
    }
    let at = 1 + name_of(raw).len();
    let (name, rest) = raw.split_at_checked(at).ok_or_else(unread)?;
    Ok(format!("{name}{declarations}{rest}"))
}

/// The name behind the `<`, with its prefix.
fn name_of(element: &str) -> &str {
    let name = element.get(1..).unwrap_or_default();
    let end = name.find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '>'));
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}

/// Where the `>` of a start tag is.
fn tag_end(element: &str) -> Option<usize> {
    let mut quote = None;
    for (at, letter) in element.char_indices() {
        match (quote, letter) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    None
}

/// Text for between tags, and between quotation marks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter => out.push(letter),
        }
    }
    out
}

impl Operation {
    fn apply(&self, text: &str) -> Result<String, Error> {
        let document = parse(text)
            .map_err(|position| Error::malformed(format!("the result is no XML {position}")))?;
        let found = self.selector.find(&document)?;
        let (span, new) = match &self.does {
            Does::Add(content, place) => add(text, &found, content, *place)?,
            Does::Declare(name, value) => declare(text, &found, name, value)?,
            Does::Replace(content) => replace(&found, content)?,
            Does::Remove(before, behind) => remove(text, &found, (*before, *behind))?,
        };
        let unread = || Error::mismatch("what its `sel` finds cannot be changed");
        let before = text.get(..span.start).ok_or_else(unread)?;
        let behind = text.get(span.end..).ok_or_else(unread)?;
        Ok(format!("{before}{new}{behind}"))
    }
}

type Edit = (Range<usize>, String);

fn at(place: usize, text: &str) -> Edit {
    (place..place, text.to_owned())
}

fn element<'a, 'i>(found: &Found<'a, 'i>) -> Result<Node<'a, 'i>, Error> {
    match found {
        Found::Node(node) if node.is_element() => Ok(*node),
        Found::Node(_) | Found::Attribute(_) => {
            Err(Error::mismatch("its `sel` must find an element"))
        }
    }
}

fn add(text: &str, found: &Found<'_, '_>, content: &Content, place: Place) -> Result<Edit, Error> {
    let node = match (found, place) {
        (Found::Node(node), Place::Before) => return Ok(at(node.range().start, &content.xml)),
        (Found::Node(node), Place::After) => return Ok(at(node.range().end, &content.xml)),
        _ => element(found)?,
    };
    let unread = || Error::mismatch("what its `sel` finds cannot be changed");
    let range = node.range();
    let raw = text.get(range.clone()).ok_or_else(unread)?;
    let end = tag_end(raw).ok_or_else(unread)?;
    let tag = raw.get(..end).ok_or_else(unread)?;
    if let Some(open) = tag.strip_suffix('/') {
        let name = name_of(raw);
        let whole = format!("{}>{}</{name}>", open.trim_end(), content.xml);
        return Ok((range, whole));
    }
    let inside = match place {
        Place::Prepend => end + 1,
        Place::Append | Place::Before | Place::After => raw.rfind("</").ok_or_else(unread)?,
    };
    Ok(at(range.start + inside, &content.xml))
}

fn declare(text: &str, found: &Found<'_, '_>, name: &str, value: &str) -> Result<Edit, Error> {
    let node = element(found)?;
    if node.attribute(name).is_some() {
        return Err(Error::mismatch("the attribute is there already"));
    }
    let raw = text.get(node.range()).unwrap_or_default();
    let place = node.range().start + 1 + name_of(raw).len();
    Ok(at(place, &format!(" {name}=\"{value}\"")))
}

fn replace(found: &Found<'_, '_>, content: &Content) -> Result<Edit, Error> {
    let node = match found {
        Found::Attribute(attribute) => {
            return Ok((attribute.range_value(), escaped(&content.text)));
        }
        Found::Node(node) => *node,
    };
    if node.is_text() {
        return Ok((node.range(), escaped(&content.text)));
    }
    let kind = match node.is_element() {
        true => Kind::Element,
        false => Kind::Comment,
    };
    if content.kinds != [kind] {
        return Err(Error::malformed(
            "what replaces an element is one element, and what replaces a comment one comment",
        ));
    }
    Ok((node.range(), content.xml.trim().to_owned()))
}

fn remove(text: &str, found: &Found<'_, '_>, spaces: (bool, bool)) -> Result<Edit, Error> {
    let node = match found {
        Found::Attribute(attribute) => {
            let mut range = attribute.range();
            let before = text.get(..range.start).unwrap_or_default();
            range.start = before.trim_end().len();
            return Ok((range, String::new()));
        }
        Found::Node(node) => *node,
    };
    let is_root = node.parent().is_some_and(|parent| parent.is_root());
    if is_root && node.is_element() {
        return Err(Error::mismatch("the whole cannot be removed"));
    }
    let mut range = node.range();
    let space = |sibling: Option<Node<'_, '_>>| {
        let found = sibling.filter(|node| node.text().is_some_and(|text| text.trim().is_empty()));
        let found = found.filter(Node::is_text).map(|node| node.range());
        found.ok_or_else(|| Error::mismatch("there are no spaces beside what is removed"))
    };
    if spaces.0 {
        range.start = space(node.prev_sibling())?.start;
    }
    if spaces.1 {
        range.end = space(node.next_sibling())?.end;
    }
    Ok((range, String::new()))
}
