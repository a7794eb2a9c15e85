//! What an operation is given, and what it gives back
//! (<https://hl7.org/fhir/R4/parameters.html>).
//!
//! Input comes behind the `?`, in a Parameters resource, or as the one
//! resource that an operation takes
//! (<https://hl7.org/fhir/R4/operations.html#request>); all three are read
//! into [`Arguments`], and what the operation does not take is refused.

use std::borrow::Cow;

use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{Node, write};
use salus_fhir::search::Span;

use super::{Operation, Parameter};
use crate::cursor::CURSOR;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;

/// Most parameters of a call.
const GIVEN_MAX: usize = 1000;

/// What a call gives, each by a parameter that the operation has.
pub(crate) struct Arguments<'a> {
    given: Vec<(&'static Parameter, Given<'a>)>,
    /// The parameters of a search, if the operation takes them.
    pub(super) search: Vec<(String, String)>,
    /// The place of a page.
    pub(super) cursor: Option<&'a str>,
}

/// The value of a parameter.
#[derive(Clone, Copy)]
enum Given<'a> {
    /// From a URL.
    Text(&'a str),
    /// `value[x]` or `resource` of a parameter, or the body.
    Node(Node<'a>),
}

impl<'a> Arguments<'a> {
    /// Reads a call's parameters.
    pub(crate) fn read(
        operation: &'static Operation,
        query: &'a [(String, String)],
        body: Option<Node<'a>>,
    ) -> Result<Self, Error> {
        Self::read_if(operation, query, body, |_| true)
    }

    /// The same, but that what the operation does not take is left out.
    pub(crate) fn read_known(
        operation: &'static Operation,
        query: &'a [(String, String)],
        body: Option<Node<'a>>,
    ) -> Result<Self, Error> {
        Self::read_if(operation, query, body, |name| operation.takes(name))
    }

    fn read_if(
        operation: &'static Operation,
        query: &'a [(String, String)],
        body: Option<Node<'a>>,
        is_read: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut arguments = Self {
            given: Vec::new(),
            search: Vec::new(),
            cursor: None,
        };
        for (name, value) in query {
            match name.as_str() {
                CURSOR => arguments.cursor = Some(value),
                "_format" | "_pretty" => {}
                name if is_read(name) => arguments.add(operation, name, Given::Text(value))?,
                _ => {}
            }
        }
        match body {
            Some(body) if is_parameters(body) => {
                for parameter in items(body, "parameter") {
                    let (name, value) = named(parameter)?;
                    if is_read(&name) {
                        arguments.add(operation, &name, Given::Node(value))?;
                    }
                }
            }
            Some(body) => {
                let whole = operation
                    .body()
                    .ok_or_else(|| Error::invalid("the body must be a Parameters resource"))?;
                arguments.add(operation, whole.name, Given::Node(body))?;
            }
            None => {}
        }
        arguments.check_required(operation)?;
        Ok(arguments)
    }

    fn add(
        &mut self,
        operation: &'static Operation,
        name: &str,
        value: Given<'a>,
    ) -> Result<(), Error> {
        let parameter = operation.given().find(|known| known.name == name);
        if parameter.is_none() && operation.searches && self.search.len() < GIVEN_MAX {
            let text = match value {
                Given::Text(text) => Some(Cow::Borrowed(text)),
                Given::Node(node) => primitive(node),
            };
            let text = text.ok_or_else(|| operation.unknown())?;
            self.search.push((name.to_owned(), text.into_owned()));
            return Ok(());
        }
        let parameter = parameter.ok_or_else(|| operation.unknown())?;
        let before = self.given.iter().filter(|(known, _)| known.name == name);
        if parameter
            .max
            .is_some_and(|max| before.count() >= usize::from(max))
        {
            return Err(refused(parameter, "it must not be repeated"));
        }
        if self.given.len() >= GIVEN_MAX {
            return Err(refused(parameter, "there are too many parameters"));
        }
        if let Given::Node(node) = value {
            check_type(parameter, node)?;
        }
        self.given.push((parameter, value));
        Ok(())
    }

    fn check_required(&self, operation: &Operation) -> Result<(), Error> {
        let is_given = |name| self.given.iter().any(|(known, _)| known.name == name);
        let mut required = operation.given().filter(|known| known.min > 0);
        match required.find(|known| self.cursor.is_none() && !is_given(known.name)) {
            Some(parameter) => Err(refused(parameter, "it is required")),
            None => Ok(()),
        }
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = (&'static Parameter, Given<'a>)> {
        let given = self
            .given
            .iter()
            .filter(move |(known, _)| known.name == name);
        given.copied()
    }

    /// The texts of a primitive parameter.
    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<Cow<'a, str>>, Error> {
        let text = |(parameter, given)| match given {
            Given::Text(text) => Ok(Cow::Borrowed(text)),
            Given::Node(node) => {
                primitive(node).ok_or_else(|| refused(parameter, "it must be a primitive value"))
            }
        };
        self.all(name).map(text).collect()
    }

    /// The text of a primitive parameter that is there once at most.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
        Ok(self.texts(name)?.pop())
    }

    /// The resources, or the values with parts, of a parameter.
    pub(crate) fn nodes(&self, name: &'static str) -> Result<Vec<Node<'a>>, Error> {
        let node = |(parameter, given)| match given {
            Given::Node(node) => Ok(node),
            Given::Text(_) => Err(refused(parameter, "it cannot be in a URL; send Parameters")),
        };
        self.all(name).map(node).collect()
    }

    /// The same of one that is there once at most.
    pub(super) fn node(&self, name: &'static str) -> Result<Option<Node<'a>>, Error> {
        Ok(self.nodes(name)?.pop())
    }

    /// A whole number that is not less or more than these.
    pub(super) fn number(
        &self,
        name: &'static str,
        (least, most): (usize, usize),
    ) -> Result<Option<usize>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number: Option<usize> = text.parse().ok().filter(|number| *number >= least);
        match number {
            Some(number) => Ok(Some(number.min(most))),
            None => Err(invalid(
                name,
                format!("it must be a whole number from {least} on"),
            )),
        }
    }

    /// A date or time of any precision, as written and as a span.
    pub(crate) fn span(&self, name: &'static str) -> Result<Option<(Cow<'a, str>, Span)>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let span = Span::parse(&text)
            .ok_or_else(|| invalid(name, "it must be a date or time, as 2026-05-01"))?;
        Ok(Some((text, span)))
    }

    /// Types of resource, with commas between them or one by one.
    pub(crate) fn types(&self, name: &'static str) -> Result<Option<Vec<ResourceType>>, Error> {
        let texts = self.texts(name)?;
        if texts.is_empty() {
            return Ok(None);
        }
        let names = texts.iter().flat_map(|text| text.split(','));
        let types: Option<Vec<_>> = names.map(ResourceType::named).collect();
        let types = types.ok_or_else(|| {
            invalid(
                name,
                "it must be types of resources, with commas between them",
            )
        })?;
        Ok(Some(types))
    }
}

impl Operation {
    /// What is given to it.
    fn given(&self) -> impl Iterator<Item = &'static Parameter> + use<> {
        self.parameters.iter().filter(|parameter| !parameter.out)
    }

    /// The parameter that may be the whole body: the one that is a resource.
    fn body(&self) -> Option<&'static Parameter> {
        let mut resources = self.given().filter(|parameter| is_resource(parameter.ty));
        let only = resources.next()?;
        resources.next().is_none().then_some(only)
    }

    fn unknown(&self) -> Error {
        let names: Vec<&str> = self.given().map(|parameter| parameter.name).collect();
        let details = match names.as_slice() {
            [] => format!("${} takes no parameters", self.name),
            names => format!("${} takes {} only", self.name, names.join(", ")),
        };
        let issue = Issue::error(IssueType::NotSupported, String::new(), details);
        Error::with_issues(Kind::Invalid, vec![issue])
    }
}

/// A parameter that is not as it must be.
pub(crate) fn invalid(name: &str, details: impl Into<Cow<'static, str>>) -> Error {
    let place = format!("Parameters.parameter.where(name = '{name}')");
    let issue = Issue::error(IssueType::Value, place, details);
    Error::with_issues(Kind::Invalid, vec![issue])
}

fn refused(parameter: &Parameter, details: impl Into<Cow<'static, str>>) -> Error {
    invalid(parameter.name, details)
}

fn is_parameters(body: Node<'_>) -> bool {
    body.get("resourceType").and_then(Node::plain_str) == Some("Parameters")
}

/// The items of a list within an object.
pub(super) fn items<'a>(node: Node<'a>, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    let list = node.get(name).filter(|list| list.is_array());
    list.map(Node::children).into_iter().flatten()
}

/// The name of a parameter and what it holds: a value, a resource, or, if it
/// has parts, itself.
fn named(parameter: Node<'_>) -> Result<(Cow<'_, str>, Node<'_>), Error> {
    let fault = |details: &'static str| {
        let issue = Issue::error(IssueType::Structure, "Parameters.parameter", details);
        Error::with_issues(Kind::Invalid, vec![issue])
    };
    let name = parameter.get("name").and_then(Node::str);
    let name = name.ok_or_else(|| fault("a parameter must have a name"))?;
    let mut held = parameter.children().filter(|member| {
        let key = member.key().unwrap_or_default();
        key == "resource" || key.starts_with("value")
    });
    match (held.next(), held.next(), parameter.get("part")) {
        (Some(value), None, None) => Ok((name, value)),
        (None, None, Some(_)) => Ok((name, parameter)),
        _ => Err(fault(
            "a parameter must have a value, a resource or parts, one of them",
        )),
    }
}

/// Refuses a value of another type than the parameter's.
fn check_type(parameter: &Parameter, node: Node<'_>) -> Result<(), Error> {
    let fits = match node.key() {
        // The whole body.
        None => is_resource(parameter.ty),
        Some("resource") => is_resource(parameter.ty),
        Some(key) => match key.strip_prefix("value") {
            Some(_) if is_primitive(parameter.ty) => primitive(node).is_some(),
            Some(ty) => ty == parameter.ty,
            None => parameter.ty.is_empty(),
        },
    };
    let named = node.get("resourceType").and_then(Node::plain_str);
    let of_type = !is_resource(parameter.ty)
        || parameter.ty == "Resource"
        || named.is_some_and(|named| named == parameter.ty);
    match fits && of_type {
        true => Ok(()),
        false => {
            let ty = if parameter.ty.is_empty() {
                "a parameter with parts"
            } else {
                parameter.ty
            };
            Err(refused(parameter, format!("it must be of type {ty}")))
        }
    }
}

fn is_resource(ty: &str) -> bool {
    ty == "Resource" || ResourceType::named(ty).is_some()
}

fn is_primitive(ty: &str) -> bool {
    ty.starts_with(|first: char| first.is_ascii_lowercase())
}

/// A primitive value as text.
pub(super) fn primitive(node: Node<'_>) -> Option<Cow<'_, str>> {
    let other = || node.number().or(node.bool().map(|_| node.raw()));
    node.str().or_else(|| other().map(Cow::Borrowed))
}

/// Writes a Parameters resource.
pub(super) struct Writer(Parts);

impl Writer {
    pub(super) fn new() -> Self {
        Self(Parts::default())
    }

    /// A value that is JSON already, with its type: `Meta` for `valueMeta`.
    pub(super) fn value(&mut self, name: &str, ty: &str, json: &str) {
        self.0.value(name, ty, json);
    }

    /// A resource.
    pub(super) fn resource(&mut self, name: &str, json: &str) {
        self.0.resource(name, json);
    }

    /// A parameter with parts.
    pub(super) fn parts(&mut self, name: &str, parts: &Parts) {
        self.0.parts(name, parts);
    }

    pub(super) fn finish(self) -> String {
        match self.0.0.is_empty() {
            true => r#"{"resourceType":"Parameters"}"#.to_owned(),
            false => format!(
                r#"{{"resourceType":"Parameters","parameter":[{}]}}"#,
                self.0.0
            ),
        }
    }
}

/// Writes the parts of a parameter.
#[derive(Default)]
pub(super) struct Parts(String);

impl Parts {
    /// A value that is JSON already, with its type.
    pub(super) fn value(&mut self, name: &str, ty: &str, json: &str) {
        self.begin(name);
        self.0.push_str(r#""value"#);
        self.0.push_str(ty);
        self.end(json);
    }

    /// A value that is a text.
    pub(super) fn text(&mut self, name: &str, ty: &str, text: &str) {
        let mut json = String::with_capacity(text.len() + 2);
        write::string(&mut json, text);
        self.value(name, ty, &json);
    }

    /// A resource.
    pub(super) fn resource(&mut self, name: &str, json: &str) {
        self.begin(name);
        self.0.push_str(r#""resource"#);
        self.end(json);
    }

    /// Parts within.
    pub(super) fn parts(&mut self, name: &str, parts: &Self) {
        self.begin(name);
        self.0.push_str(r#""part"#);
        self.end(&format!("[{}]", parts.0));
    }

    fn begin(&mut self, name: &str) {
        self.0.push_str(if self.0.is_empty() {
            r#"{"name":"#
        } else {
            r#",{"name":"#
        });
        write::string(&mut self.0, name);
        self.0.push(',');
    }

    fn end(&mut self, json: &str) {
        self.0.push_str(r#"":"#);
        self.0.push_str(json);
        self.0.push('}');
    }
}
