//! Start tags: names with their namespaces, and attributes
//! (<https://www.w3.org/TR/xml-names/>).

use std::borrow::Cow;

use quick_xml::events::attributes::{Attribute, Attributes};

use super::super::error::{Error, ErrorKind};
use super::super::{FHIR, XHTML};
use crate::validate::plain;

/// XML Schema's own, which tools write to tell where a schema is.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Attributes of one tag at most.
const ATTRIBUTES_MAX: usize = 64;

/// Which namespace a name is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Space {
    Fhir,
    Xhtml,
    SchemaInstance,
    /// None at all, or one that means nothing here.
    Other,
}

/// A start tag.
#[derive(Clone, Copy)]
pub(super) struct Tag<'t> {
    /// Without its prefix.
    pub(super) name: &'t str,
    pub(super) space: Space,
    pub(super) has_prefix: bool,
    /// Does it say itself what the namespace without prefix is?
    pub(super) has_xmlns: bool,
    /// Is it its own end?
    pub(super) is_empty: bool,
    /// The values of the attributes that FHIR has, as they were written.
    pub(super) id: Option<&'t str>,
    pub(super) url: Option<&'t str>,
    pub(super) value: Option<&'t str>,
    /// The first attribute that FHIR does not have.
    unknown: Option<&'t str>,
}

impl<'t> Tag<'t> {
    /// Takes a tag apart: what is between `<` and `>` or `/>`.
    pub(super) fn read(
        raw: &'t str,
        name_len: usize,
        is_empty: bool,
        scopes: &mut Scopes<'t>,
    ) -> Result<Tag<'t>, Error> {
        let full_name = raw.get(..name_len).unwrap_or_default();
        let (prefix, name) = full_name.split_once(':').unwrap_or(("", full_name));
        let mut tag = Tag {
            name,
            space: Space::Other,
            has_prefix: !prefix.is_empty(),
            has_xmlns: false,
            is_empty,
            id: None,
            url: None,
            value: None,
            unknown: None,
        };
        scopes.enter();
        let mut prefixed = false;
        for attribute in attributes(raw, name_len) {
            let (key, value) = attribute?;
            prefixed |= tag.attribute(key, value, scopes)?;
        }
        tag.space = scopes.of(prefix);
        if prefixed {
            tag.prefixed(raw, name_len, scopes)?;
        }
        if is_empty {
            scopes.leave();
        }
        Ok(tag)
    }

    /// Takes an attribute; tells whether it has a prefix that stands for a
    /// namespace, which may come later.
    fn attribute(
        &mut self,
        key: &'t str,
        value: &'t str,
        scopes: &mut Scopes<'t>,
    ) -> Result<bool, Error> {
        let place = match key {
            "value" => &mut self.value,
            "id" => &mut self.id,
            "url" => &mut self.url,
            "xmlns" => {
                self.has_xmlns = true;
                scopes.bind("", value);
                return Ok(false);
            }
            other => match other.split_once(':') {
                Some(("xmlns", prefix)) => {
                    scopes.bind(prefix, value);
                    return Ok(false);
                }
                Some(_) => return Ok(true),
                None => {
                    self.unknown.get_or_insert(other);
                    return Ok(false);
                }
            },
        };
        match place.replace(value) {
            None => Ok(false),
            Some(_) => Err(Error::new(ErrorKind::Syntax, "an attribute is there twice")),
        }
    }

    /// Attributes with a prefix: only where a schema is may be told.
    fn prefixed(
        &mut self,
        raw: &'t str,
        name_len: usize,
        scopes: &Scopes<'t>,
    ) -> Result<(), Error> {
        for attribute in attributes(raw, name_len) {
            let (key, _) = attribute?;
            let Some((prefix, name)) = key.split_once(':') else {
                continue;
            };
            let is_schema = matches!(name, "schemaLocation" | "noNamespaceSchemaLocation")
                && scopes.of(prefix) == Space::SchemaInstance;
            if prefix != "xmlns" && !is_schema {
                self.unknown.get_or_insert(key);
            }
        }
        Ok(())
    }

    pub(super) fn must_be_fhir(&self) -> Result<(), Error> {
        if self.space == Space::Fhir {
            return Ok(());
        }
        let rule = "must be in the namespace http://hl7.org/fhir";
        Err(Error::new(ErrorKind::Structure, rule))
    }

    /// Refuses all other attributes.
    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Error> {
        let has = [
            ("id", self.id.is_some()),
            ("url", self.url.is_some()),
            ("value", self.value.is_some()),
        ];
        let here = has.iter().filter(|(_, is_here)| *is_here);
        let wrong = here.map(|(name, _)| *name).find(|n| !allowed.contains(n));
        match self.unknown.or(wrong) {
            Some(name) => Err(unknown_attribute(name)),
            None => Ok(()),
        }
    }
}

pub(super) fn unknown_attribute(name: &str) -> Error {
    let rule = match plain(name) {
        Some(name) => format!("must not have the attribute {name}").into(),
        None => Cow::Borrowed("has an attribute that FHIR does not"),
    };
    Error::new(ErrorKind::Structure, rule)
}

/// Names and values as they were written.
fn attributes(raw: &str, name_len: usize) -> impl Iterator<Item = Result<(&str, &str), Error>> {
    let mut attributes = Attributes::new(raw, name_len);
    attributes.with_checks(false);
    let limit = "has too many attributes";
    attributes.enumerate().map(move |(count, read)| match read {
        Ok(_) if count >= ATTRIBUTES_MAX => Err(Error::new(ErrorKind::TooLarge, limit)),
        Ok(Attribute {
            key,
            value: Cow::Borrowed(value),
        }) => Ok((key.0, value)),
        Ok(_) | Err(_) => Err(Error::new(
            ErrorKind::Syntax,
            "must be well-formed XML: attributes must be name=\"value\"",
        )),
    })
}

/// What prefixes stand for, and since which element.
#[derive(Default)]
pub(super) struct Scopes<'t> {
    bound: Vec<(&'t str, Space, usize)>,
    depth: usize,
}

impl<'t> Scopes<'t> {
    fn enter(&mut self) {
        self.depth += 1;
    }

    /// An element ended.
    pub(super) fn leave(&mut self) {
        while self.bound.last().is_some_and(|last| last.2 == self.depth) {
            self.bound.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn bind(&mut self, prefix: &'t str, uri: &str) {
        let space = match uri {
            FHIR => Space::Fhir,
            XHTML => Space::Xhtml,
            SCHEMA_INSTANCE => Space::SchemaInstance,
            _ => Space::Other,
        };
        self.bound.push((prefix, space, self.depth));
    }

    fn of(&self, prefix: &str) -> Space {
        let mut bound = self.bound.iter().rev();
        // Nearly all names have no prefix, and comparing empty slices is slow
        // where the processor has to look whether they point to anything.
        let is = |name: &str| match prefix.is_empty() {
            true => name.is_empty(),
            false => name == prefix,
        };
        let found = bound.find(|(name, _, _)| is(name));
        found.map_or(Space::Other, |(_, space, _)| *space)
    }
}
