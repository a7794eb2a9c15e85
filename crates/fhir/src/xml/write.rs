//! JSON to XML text (<https://hl7.org/fhir/R4/xml.html>).
//!
//! XML has elements in the order of the definitions, JSON in any: the members
//! of each object are put in order first, which is seldom any work. What XML
//! cannot hold is refused, never left out.

mod narrative;
mod text;

use super::FHIR;
use super::error::{Error, ErrorKind};
use crate::definitions::{self, Child, Definitions, Parent, Primitive};
use crate::json::{Kind, Node};
use crate::resource::Resource;

/// How the XML is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// Without any space between elements.
    Dense,
    /// A line for each element, two spaces of indentation per level.
    Lines,
}

/// The XML form of a resource, with an XML declaration.
///
/// # Errors
/// For what no valid resource has: unknown members, narratives that are no
/// XHTML, extensions of an element's `id` or an extension's `url`.
pub fn write(node: Node<'_>, layout: Layout) -> Result<String, Error> {
    let mut writer = Writer {
        definitions: definitions::r4(),
        out: String::with_capacity(node.raw().len() * 5 / 4),
        members: Vec::new(),
        layout,
        depth: 0,
    };
    writer
        .out
        .push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    writer.resource(node, true)?;
    Ok(writer.out)
}

struct Writer<'a> {
    definitions: &'static Definitions,
    out: String,
    /// Those of the objects that are open, one object's after the other's.
    members: Vec<Member<'a>>,
    layout: Layout,
    /// How many elements are open.
    depth: usize,
}

/// What makes one or more elements of one name: a member of an object and,
/// for a primitive, what is beside it.
#[derive(Clone, Copy)]
struct Member<'a> {
    key: &'a str,
    child: Child,
    value: Option<Node<'a>>,
    /// The member `_key`.
    beside: Option<Node<'a>>,
}

/// Members of an object that XML has as attributes.
#[derive(Clone, Copy, Default)]
struct Attributes<'a> {
    id: Option<Node<'a>>,
    url: Option<Node<'a>>,
}

impl<'a> Writer<'a> {
    fn resource(&mut self, node: Node<'a>, is_root: bool) -> Result<(), Error> {
        let resource = Resource::of(node).ok_or_else(|| wrong("must be a resource"))?;
        self.content(resource, is_root)
            .map_err(|error| error.within(resource.type_name(), None))
    }

    fn content(&mut self, resource: Resource<'a>, is_root: bool) -> Result<(), Error> {
        let base = self.members.len();
        self.collect(resource.node(), resource.parent(), true)?;
        self.line();
        self.begin(resource.type_name());
        if is_root {
            self.out.push_str(" xmlns=\"");
            self.out.push_str(FHIR);
            self.out.push('"');
        }
        self.children(base, resource.type_name())
    }

    /// An element of a complex type, or what a primitive has beside its value.
    fn object(&mut self, name: &str, node: Node<'a>, parent: Parent) -> Result<(), Error> {
        if !node.is_object() {
            return Err(wrong("must be an object"));
        }
        let base = self.members.len();
        let attributes = self.collect(node, parent, false)?;
        self.begin(name);
        self.attributes(attributes)?;
        self.children(base, name)
    }

    /// Puts the members of an object behind those that are there, in order.
    fn collect(
        &mut self,
        node: Node<'a>,
        parent: Parent,
        is_resource: bool,
    ) -> Result<Attributes<'a>, Error> {
        let mut attributes = Attributes::default();
        let base = self.members.len();
        let mut in_order = true;
        for member in node.children() {
            let key = member.key().unwrap_or_default();
            if is_resource && key == "resourceType" {
                continue;
            }
            let (key, is_beside) = match key.strip_prefix('_') {
                Some(key) => (key, true),
                None => (key, false),
            };
            let child = self
                .definitions
                .child(parent, key)
                .ok_or_else(|| wrong("has a member that is no element of FHIR R4"))?;
            if self.definitions.element(child.element).is_attribute {
                match key {
                    _ if is_beside => return Err(wrong(BESIDE_ATTRIBUTE)),
                    "id" => attributes.id = Some(member),
                    _ => attributes.url = Some(member),
                }
                continue;
            }
            in_order = self.put((base, in_order), key, child, member, is_beside);
        }
        if !in_order {
            let own = self.members.get_mut(base..).unwrap_or_default();
            own.sort_by_key(|member| member.child.ordinal);
        }
        Ok(attributes)
    }

    /// Adds one member to those behind `base`; tells whether they are in
    /// order still.
    fn put(
        &mut self,
        (base, in_order): (usize, bool),
        key: &'a str,
        child: Child,
        node: Node<'a>,
        is_beside: bool,
    ) -> bool {
        let own = self.members.get_mut(base..).unwrap_or_default();
        let last = own.last().map(|last| last.child.ordinal);
        // What belongs to it is its neighbour, as a rule.
        let other = match last {
            Some(last) if last >= child.ordinal || !in_order => {
                own.iter_mut().rev().find(|m| m.key == key)
            }
            _ => None,
        };
        if let Some(other) = other {
            *(if is_beside {
                &mut other.beside
            } else {
                &mut other.value
            }) = Some(node);
            return in_order;
        }
        self.members.push(Member {
            key,
            child,
            value: (!is_beside).then_some(node),
            beside: is_beside.then_some(node),
        });
        in_order && last.is_none_or(|last| last <= child.ordinal)
    }

    /// Writes the members behind `base`, and the end of their element.
    fn children(&mut self, base: usize, name: &str) -> Result<(), Error> {
        let end = self.members.len();
        if base == end {
            self.out.push_str("/>");
            return Ok(());
        }
        self.out.push('>');
        self.depth += 1;
        for at in base..end {
            if let Some(member) = self.members.get(at).copied() {
                self.member(member)?;
            }
        }
        self.members.truncate(base);
        self.depth -= 1;
        self.line();
        self.end(name);
        Ok(())
    }

    /// All elements of one name.
    fn member(&mut self, member: Member<'a>) -> Result<(), Error> {
        let name = self.definitions.element(member.child.element).name;
        let is_array = |node: Option<Node<'a>>| node.is_some_and(Node::is_array);
        if !is_array(member.value) && !is_array(member.beside) {
            return self
                .element(&member, member.value, member.beside)
                .map_err(|error| error.within(name, None));
        }
        let items = |node: Option<Node<'a>>| {
            let array = node.filter(|node| node.is_array());
            array.into_iter().flat_map(Node::children)
        };
        let (mut values, mut beside) = (items(member.value), items(member.beside));
        for index in 0.. {
            let (value, beside) = (values.next(), beside.next());
            if value.is_none() && beside.is_none() {
                break;
            }
            self.element(&member, value, beside)
                .map_err(|error| error.within(name, Some(index)))?;
        }
        Ok(())
    }

    /// One element.
    fn element(
        &mut self,
        member: &Member<'a>,
        value: Option<Node<'a>>,
        beside: Option<Node<'a>>,
    ) -> Result<(), Error> {
        let (value, beside) = (
            value.filter(|n| !n.is_null()),
            beside.filter(|n| !n.is_null()),
        );
        let ty = self.definitions.ty(member.child.ty);
        match (ty.primitive, value, beside) {
            (Some(Primitive::Xhtml), Some(div), None) => self.narrative(div),
            (Some(Primitive::Xhtml), _, Some(_)) => Err(wrong("narratives have no extensions")),
            (Some(_), value, beside) => self.primitive(member, value, beside),
            (None, Some(value), None) if ty.name == "Resource" => {
                self.line();
                self.begin(member.key);
                self.out.push('>');
                self.depth += 1;
                self.resource(value, false)?;
                self.depth -= 1;
                self.line();
                self.end(member.key);
                Ok(())
            }
            (None, Some(value), None) => {
                self.line();
                self.object(member.key, value, member.child.parent)
            }
            (None, _, _) => Err(wrong("must have a value")),
        }
    }

    fn primitive(
        &mut self,
        member: &Member<'a>,
        value: Option<Node<'a>>,
        beside: Option<Node<'a>>,
    ) -> Result<(), Error> {
        let base = self.members.len();
        let attributes = match beside {
            Some(node) if node.is_object() => self.collect(node, member.child.parent, false)?,
            Some(_) => return Err(wrong("must be an object")),
            None => Attributes::default(),
        };
        self.line();
        self.begin(member.key);
        self.attributes(attributes)?;
        if let Some(value) = value {
            self.out.push_str(" value=\"");
            self.value(value)?;
            self.out.push('"');
        }
        self.children(base, member.key)
    }

    fn value(&mut self, value: Node<'a>) -> Result<(), Error> {
        match value.kind() {
            Kind::String => match value.plain_str() {
                Some(text) => text::attribute(&mut self.out, text),
                None => text::attribute(&mut self.out, &value.str().unwrap_or_default()),
            },
            Kind::Number | Kind::Bool => self.out.push_str(value.raw()),
            Kind::Object | Kind::Array | Kind::Null => return Err(wrong("must be one value")),
        }
        Ok(())
    }

    fn narrative(&mut self, div: Node<'a>) -> Result<(), Error> {
        let div = div.str().ok_or_else(|| wrong("must be a string"))?;
        self.line();
        narrative::write(&mut self.out, &div).map_err(|rule| Error::new(ErrorKind::Value, rule))
    }

    fn begin(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
    }

    fn end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn attributes(&mut self, attributes: Attributes<'a>) -> Result<(), Error> {
        for (name, node) in [(" id=\"", attributes.id), (" url=\"", attributes.url)] {
            if let Some(node) = node {
                self.out.push_str(name);
                self.value(node)?;
                self.out.push('"');
            }
        }
        Ok(())
    }

    fn line(&mut self) {
        if self.layout == Layout::Lines {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }
}

const BESIDE_ATTRIBUTE: &str = "an id or url that is an attribute in XML cannot have extensions";

fn wrong(rule: &'static str) -> Error {
    Error::new(ErrorKind::Structure, rule)
}
