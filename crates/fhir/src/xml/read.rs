//! XML to JSON text (<https://hl7.org/fhir/R4/xml.html>,
//! <https://hl7.org/fhir/R4/json.html>).
//!
//! One pass, without a tree: each element becomes a member of the object that
//! is being written. Elements of one name are neighbours, so an array is open
//! as long as its element repeats. The ids and extensions of primitives wait
//! in a text of their own, which follows the array as `_name`.
//!
//! What FHIR forbids is refused: unknown elements and attributes, elements
//! out of order, text between them, document types, foreign namespaces.
//! Comments and processing instructions are passed over.

mod narrative;
mod tag;
mod tokens;
mod value;

use super::error::{Error, ErrorKind};
use crate::definitions::{self, Child, Definitions, Element, Parent, Primitive, TypeId};
use crate::json;
use crate::validate::plain;
use tag::{Space, Tag};
use tokens::{Token, Tokens};

/// The JSON form of a resource in XML: compact, members in the order of the
/// definitions. The limits hold for both texts, and for JSON's depth.
///
/// # Errors
/// The first fault, with its place.
pub fn read(xml: &[u8], limits: &json::Limits) -> Result<String, Error> {
    if xml.len() > limits.bytes_max {
        return Err(Error::new(ErrorKind::TooLarge, "the XML is too large"));
    }
    let text = std::str::from_utf8(xml)
        .map_err(|_| Error::new(ErrorKind::Syntax, "the XML must be UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        definitions: definitions::r4(),
        tokens: Tokens::new(text),
        out: String::with_capacity(text.len()),
        depth: 0,
        limits,
    };
    match reader.document() {
        Ok(()) => Ok(reader.out),
        Err(error) => Err(error.at(text, reader.tokens.token_start())),
    }
}

struct Reader<'t, 'l> {
    definitions: &'static Definitions,
    tokens: Tokens<'t>,
    out: String,
    /// How many objects and arrays are open.
    depth: usize,
    limits: &'l json::Limits,
}

/// The element that is being read, as often as it repeats.
struct Group<'t> {
    key: &'t str,
    child: Child,
    element: &'static Element,
    /// Where it begins in the text written, without a comma.
    start: usize,
    /// How many have come.
    count: usize,
    /// Has any of them a value, being primitive?
    has_value: bool,
    /// The id and extensions of the primitives that came, a comma behind each.
    beside: Option<String>,
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Result<(), Error> {
        match self.tokens.next()? {
            Token::Start(tag) => self.resource(&tag)?,
            Token::End | Token::Over => {
                return Err(Error::new(ErrorKind::Syntax, "there is no element"));
            }
        }
        match self.tokens.next()? {
            Token::Over => Ok(()),
            Token::Start(_) | Token::End => Err(Error::new(
                ErrorKind::Syntax,
                "there must be one resource only",
            )),
        }
    }

    /// A resource: the element that has its type's name.
    fn resource(&mut self, tag: &Tag<'t>) -> Result<(), Error> {
        tag.must_be_fhir()?;
        let ty = self.definitions.resource_named(tag.name).ok_or_else(|| {
            let rule = "the element must have the name of a type of resource of FHIR R4";
            Error::new(ErrorKind::Structure, rule)
        })?;
        let name = self.definitions.ty(ty).name;
        self.content(ty, name, tag)
            .map_err(|error| error.within(name, None))
    }

    fn content(&mut self, ty: TypeId, name: &str, tag: &Tag<'t>) -> Result<(), Error> {
        tag.only(&[])?;
        self.deeper()?;
        self.out.push_str("{\"resourceType\":\"");
        self.out.push_str(name);
        self.out.push('"');
        self.members(Parent::Type(ty), tag)?;
        self.out.push('}');
        self.depth -= 1;
        Ok(())
    }

    /// All children of an element, as members of the object that is open.
    fn members(&mut self, parent: Parent, tag: &Tag<'t>) -> Result<(), Error> {
        let mut url = self.url(parent, tag)?;
        let mut group: Option<Group<'t>> = None;
        while let Some(tag) = self.child_of(tag)? {
            let (child, element) = self.known(parent, &tag)?;
            match &mut group {
                Some(group) if group.child.ordinal == child.ordinal => group.again(&tag)?,
                other => {
                    let last = other.as_ref().map(|group| group.child.ordinal);
                    if last.is_some_and(|last| last > child.ordinal) {
                        return Err(out_of_order(element.name));
                    }
                    if let Some(group) = other.take() {
                        self.close(group);
                    }
                    if url.is_some_and(|(ordinal, _)| ordinal < child.ordinal) {
                        self.write_url(&mut url)?;
                    }
                    *other = Some(self.open(tag.name, child, element)?);
                }
            }
            if let Some(group) = &mut group {
                let index = element.repeats().then_some(group.count);
                self.item(group, &tag)
                    .map_err(|error| error.within(element.name, index))?;
                group.count += 1;
            }
        }
        if let Some(group) = group {
            self.close(group);
        }
        self.write_url(&mut url)
    }

    /// The next child, if there is one before the end.
    fn child_of(&mut self, tag: &Tag<'t>) -> Result<Option<Tag<'t>>, Error> {
        if tag.is_empty {
            return Ok(None);
        }
        match self.tokens.next()? {
            Token::Start(child) => Ok(Some(child)),
            Token::End => Ok(None),
            Token::Over => Err(Error::new(ErrorKind::Syntax, "an element is not closed")),
        }
    }

    /// What an element is by its name.
    fn known(&self, parent: Parent, tag: &Tag<'t>) -> Result<(Child, &'static Element), Error> {
        let child = self.definitions.child(parent, tag.name);
        let known = child.map(|child| (child, self.definitions.element(child.element)));
        match known.filter(|(_, element)| !element.is_attribute) {
            Some(known) => Ok(known),
            None => Err(match plain(tag.name) {
                Some(name) => {
                    let rule = format!("unknown element {name}: there is none of that name here");
                    Error::new(ErrorKind::Structure, rule)
                }
                None => Error::new(
                    ErrorKind::Structure,
                    "an element has a name that FHIR does not",
                ),
            }),
        }
    }

    /// Begins a member with the first of its elements.
    fn open(
        &mut self,
        key: &'t str,
        child: Child,
        element: &'static Element,
    ) -> Result<Group<'t>, Error> {
        let start = self.out.len();
        self.comma();
        self.key("", key);
        if element.repeats() {
            self.deeper()?;
            self.out.push('[');
        }
        Ok(Group {
            key,
            child,
            element,
            start,
            count: 0,
            has_value: false,
            beside: None,
        })
    }

    /// Ends a member behind the last of its elements.
    fn close(&mut self, group: Group<'t>) {
        let repeats = group.element.repeats();
        if repeats {
            self.out.push(']');
            self.depth -= 1;
        }
        let Some(beside) = group.beside else {
            return;
        };
        if !group.has_value {
            self.out.truncate(group.start);
        }
        self.comma();
        self.key("_", group.key);
        let items = beside.strip_suffix(',').unwrap_or(&beside);
        if repeats {
            self.out.push('[');
        }
        self.out.push_str(items);
        if repeats {
            self.out.push(']');
        }
    }

    /// One element.
    fn item(&mut self, group: &mut Group<'t>, tag: &Tag<'t>) -> Result<(), Error> {
        if self.out.len() > self.limits.bytes_max {
            return Err(Error::new(ErrorKind::TooLarge, "the resource is too large"));
        }
        if group.count > 0 {
            self.out.push(',');
        }
        let ty = self.definitions.ty(group.child.ty);
        match ty.primitive {
            Some(Primitive::Xhtml) => {
                group.has_value = true;
                self.narrative(tag)
            }
            Some(primitive) => self.primitive(group, tag, primitive),
            None if ty.name == "Resource" => self.inner_resource(tag),
            None => self.complex(group.child.parent, tag),
        }
    }

    /// An element of a complex type, or a backbone.
    fn complex(&mut self, parent: Parent, tag: &Tag<'t>) -> Result<(), Error> {
        tag.must_be_fhir()?;
        tag.only(&["id", "url"])?;
        let start = self.out.len();
        self.object(parent, tag)?;
        if self.out.len() == start + "{}".len() {
            return Err(empty());
        }
        Ok(())
    }

    /// An object with its id, and the members that the children of the tag are.
    fn object(&mut self, parent: Parent, tag: &Tag<'t>) -> Result<(), Error> {
        self.deeper()?;
        self.out.push('{');
        if let Some(id) = tag.id {
            self.key("", "id");
            value::string(&mut self.out, id)?;
        }
        self.members(parent, tag)?;
        self.out.push('}');
        self.depth -= 1;
        Ok(())
    }

    /// A resource inside another: the one child of `contained` or `resource`.
    fn inner_resource(&mut self, tag: &Tag<'t>) -> Result<(), Error> {
        tag.must_be_fhir()?;
        tag.only(&[])?;
        let one = || Error::new(ErrorKind::Structure, "must have one resource inside");
        let resource = self.child_of(tag)?.ok_or_else(one)?;
        self.resource(&resource)?;
        match self.child_of(tag)? {
            None => Ok(()),
            Some(_) => Err(one()),
        }
    }

    /// An element of a primitive type. Its id and extensions go beside.
    fn primitive(
        &mut self,
        group: &mut Group<'t>,
        tag: &Tag<'t>,
        primitive: Primitive,
    ) -> Result<(), Error> {
        tag.must_be_fhir()?;
        tag.only(&["id", "value"])?;
        match tag.value {
            Some(value) => {
                value::primitive(&mut self.out, value, primitive)?;
                group.has_value = true;
            }
            None => self.out.push_str("null"),
        }
        let beside = match (tag.is_empty, tag.id) {
            (true, None) => None,
            _ => self.beside(group.child.parent, tag)?,
        };
        if tag.value.is_none() && beside.is_none() {
            return Err(empty());
        }
        if let Some(text) = beside {
            let others = || "null,".repeat(group.count);
            let all = group.beside.get_or_insert_with(others);
            all.push_str(&text);
            all.push(',');
        } else if let Some(all) = &mut group.beside {
            all.push_str("null,");
        }
        Ok(())
    }

    /// The object of a primitive's id and extensions, if it has any.
    fn beside(&mut self, parent: Parent, tag: &Tag<'t>) -> Result<Option<String>, Error> {
        let around = std::mem::take(&mut self.out);
        let read = self.object(parent, tag);
        let beside = std::mem::replace(&mut self.out, around);
        read?;
        Ok((beside != "{}").then_some(beside))
    }

    /// The attribute `url` of an extension, and the place of its member.
    fn url(&self, parent: Parent, tag: &Tag<'t>) -> Result<Option<(u8, &'t str)>, Error> {
        let Some(url) = tag.url else {
            return Ok(None);
        };
        let child = self.definitions.child(parent, "url");
        match child.filter(|child| self.definitions.element(child.element).is_attribute) {
            Some(child) => Ok(Some((child.ordinal, url))),
            None => Err(tag::unknown_attribute("url")),
        }
    }

    fn write_url(&mut self, url: &mut Option<(u8, &'t str)>) -> Result<(), Error> {
        match url.take() {
            Some((_, url)) => {
                self.comma();
                self.key("", "url");
                value::string(&mut self.out, url)
            }
            None => Ok(()),
        }
    }

    fn narrative(&mut self, tag: &Tag<'t>) -> Result<(), Error> {
        if tag.space != Space::Xhtml || tag.has_prefix {
            let rule = "must be in the namespace http://www.w3.org/1999/xhtml, without a prefix";
            return Err(Error::new(ErrorKind::Structure, rule));
        }
        let text = self.tokens.whole(tag)?;
        narrative::string(&mut self.out, text, tag)
    }

    fn comma(&mut self) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
    }

    fn key(&mut self, prefix: &str, key: &str) {
        self.out.push('"');
        self.out.push_str(prefix);
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > self.limits.depth_max {
            return Err(Error::new(ErrorKind::TooLarge, "is nested too deeply"));
        }
        Ok(())
    }
}

impl Group<'_> {
    /// May the element come once more?
    fn again(&self, tag: &Tag<'_>) -> Result<(), Error> {
        let rule = if self.key != tag.name {
            "must have one type only"
        } else if !self.element.repeats() {
            "must be there once only"
        } else {
            return Ok(());
        };
        let error = Error::new(ErrorKind::Structure, rule);
        Err(error.within(self.element.name, None))
    }
}

fn out_of_order(name: &str) -> Error {
    let rule = "comes too late: elements must be in the order of the definition";
    Error::new(ErrorKind::Structure, rule).within(name, None)
}

fn empty() -> Error {
    let rule = "must not be empty: leave the element out instead";
    Error::new(ErrorKind::Structure, rule)
}
