//! The XPath of XML Patch: RFC 5261, 4.1. Steps to children with positions and comparisons,
//! and at the end an attribute, a text or a comment. FHIR has its values in attributes, so a
//! comparison may be with a path that ends in one: `f:identifier[f:value/@value='1']`.

use super::Error;
use roxmltree::{Attribute, Document, Node};

/// A selector that was understood, its prefixes resolved.
#[derive(Debug)]
pub(super) struct Selector {
    steps: Vec<Step>,
    last: Last,
}

#[derive(Debug)]
struct Step {
    /// `None` is any element.
    name: Option<Name>,
    predicates: Vec<Predicate>,
}

#[derive(Eq, PartialEq)]
struct Name {
    namespace: Option<String>,
    local: String,
}
salus_phi::guard!(Name);

enum Predicate {
    /// From 1.
    Position(usize),
    Equals {
        path: Vec<Name>,
        attribute: Option<Name>,
        value: String,
    },
}
salus_phi::guard!(Predicate);

#[derive(Debug)]
enum Last {
    Element,
    Attribute(Name),
    Text(Option<usize>),
    Comment(Option<usize>),
}

/// What a selector finds.
pub(super) enum Found<'a, 'i> {
    Node(Node<'a, 'i>),
    Attribute(Attribute<'a, 'i>),
}

impl Selector {
    /// Reads a selector; `namespace` knows what a prefix stands for, and the lack of one.
    pub(super) fn parse(
        text: &str,
        namespace: &dyn Fn(Option<&str>) -> Option<String>,
    ) -> Result<Selector, Error> {
        let mut reader = Reader {
            rest: text.trim(),
            namespace,
        };
        let selector = reader.selector();
        selector.filter(|_| reader.rest.is_empty()).ok_or_else(|| {
            Error::malformed(
                "its `sel` cannot be read; allowed are paths such as f:Patient/f:name[1], \
                     f:a[f:b/@value='c'], with /@name, /text() or /comment() at the end",
            )
        })
    }

    /// The one node that it selects.
    pub(super) fn find<'a, 'i>(&self, document: &'a Document<'i>) -> Result<Found<'a, 'i>, Error> {
        let mut nodes = vec![document.root()];
        for step in &self.steps {
            nodes = nodes.into_iter().flat_map(|node| step.from(node)).collect();
        }
        let found: Vec<_> = nodes
            .into_iter()
            .flat_map(|node| self.last.of(node))
            .collect();
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some(found), None) => Ok(found),
            (None, _) => Err(Error::mismatch("its `sel` finds nothing")),
            (Some(_), Some(_)) => Err(Error::mismatch(
                "its `sel` finds several nodes, and must find one",
            )),
        }
    }
}

impl Step {
    fn from<'a, 'i>(&self, node: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
        let children = node.children().filter(Node::is_element);
        let named = |child: &Node<'_, '_>| self.name.as_ref().is_none_or(|name| name.is(*child));
        let mut found: Vec<_> = children.filter(named).collect();
        for predicate in &self.predicates {
            match predicate {
                Predicate::Position(position) => {
                    let at = position
                        .checked_sub(1)
                        .and_then(|at| found.get(at).copied());
                    found = at.into_iter().collect();
                }
                Predicate::Equals {
                    path,
                    attribute,
                    value,
                } => found.retain(|node| equals(*node, (path, attribute.as_ref()), value)),
            }
        }
        found
    }
}

fn equals(node: Node<'_, '_>, (path, attribute): (&[Name], Option<&Name>), value: &str) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return match attribute {
            Some(name) => name.on(node).is_some_and(|found| found.value() == value),
            None => {
                let inside = node.descendants().filter(|node| node.is_text());
                inside.filter_map(|node| node.text()).collect::<String>() == value
            }
        };
    };
    let mut children = node.children().filter(|child| first.is(*child));
    children.any(|child| equals(child, (rest, attribute), value))
}

impl Name {
    fn is(&self, node: Node<'_, '_>) -> bool {
        let name = node.tag_name();
        node.is_element()
            && name.name() == self.local
            && name.namespace().unwrap_or_default() == self.namespace.as_deref().unwrap_or_default()
    }

    fn on<'a, 'i>(&self, node: Node<'a, 'i>) -> Option<Attribute<'a, 'i>> {
        let mut attributes = node.attributes();
        attributes.find(|found| {
            found.name() == self.local && found.namespace() == self.namespace.as_deref()
        })
    }
}

impl Last {
    fn of<'a, 'i>(&self, node: Node<'a, 'i>) -> Vec<Found<'a, 'i>> {
        let nth = |position: Option<usize>, is: fn(&Node<'a, 'i>) -> bool| {
            let all = node.children().filter(is);
            match position {
                Some(position) => all.skip(position - 1).take(1).map(Found::Node).collect(),
                None => all.map(Found::Node).collect(),
            }
        };
        match self {
            Last::Element => vec![Found::Node(node)],
            Last::Attribute(name) => {
                let found = name.on(node);
                found.map(Found::Attribute).into_iter().collect()
            }
            Last::Text(position) => nth(*position, Node::is_text),
            Last::Comment(position) => nth(*position, Node::is_comment),
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    namespace: &'t dyn Fn(Option<&str>) -> Option<String>,
}

impl<'t> Reader<'t> {
    fn selector(&mut self) -> Option<Selector> {
        self.take("/");
        let mut steps = Vec::new();
        loop {
            if let Some(last) = self.last()? {
                let is_inside = !steps.is_empty();
                return is_inside.then_some(Selector { steps, last });
            }
            steps.push(self.step()?);
            if !self.take("/") {
                let last = Last::Element;
                return Some(Selector { steps, last });
            }
        }
    }

    /// What ends a selector, if it is not an element.
    fn last(&mut self) -> Option<Option<Last>> {
        if self.take("@") {
            return Some(Some(Last::Attribute(self.name(false)?)));
        }
        if self.take("text()") {
            return Some(Some(Last::Text(self.position()?)));
        }
        if self.take("comment()") {
            return Some(Some(Last::Comment(self.position()?)));
        }
        Some(None)
    }

    /// A position in brackets, if there is one.
    fn position(&mut self) -> Option<Option<usize>> {
        if !self.take("[") {
            return Some(None);
        }
        let position = self.number()?;
        self.space();
        self.take("]").then_some(Some(position))
    }

    fn step(&mut self) -> Option<Step> {
        let name = match self.take("*") {
            true => None,
            false => Some(self.name(true)?),
        };
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.predicate()?);
            self.space();
            if !self.take("]") {
                return None;
            }
        }
        Some(Step { name, predicates })
    }

    fn predicate(&mut self) -> Option<Predicate> {
        self.space();
        if self.rest.starts_with(|first: char| first.is_ascii_digit()) {
            return self.number().map(Predicate::Position);
        }
        let (mut path, mut attribute) = (Vec::new(), None);
        if !self.take(".") {
            loop {
                if self.take("@") {
                    attribute = Some(self.name(false)?);
                    break;
                }
                path.push(self.name(true)?);
                if !self.take("/") {
                    break;
                }
            }
        }
        self.space();
        if !self.take("=") {
            return None;
        }
        self.space();
        let quote = self
            .rest
            .chars()
            .next()
            .filter(|first| matches!(first, '\'' | '"'))?;
        let (value, rest) = self.rest.get(1..)?.split_once(quote)?;
        self.rest = rest;
        Some(Predicate::Equals {
            path,
            attribute,
            value: value.to_owned(),
        })
    }

    fn number(&mut self) -> Option<usize> {
        self.space();
        let digits = self.until(|letter| !letter.is_ascii_digit());
        digits.parse().ok().filter(|number| *number > 0)
    }

    /// A name; one without a prefix is in the default namespace if it is of an element.
    fn name(&mut self, of_element: bool) -> Option<Name> {
        let first = self.letters()?;
        if self.take(":") {
            let namespace = (self.namespace)(Some(first))?;
            return Some(Name {
                namespace: Some(namespace),
                local: self.letters()?.to_owned(),
            });
        }
        Some(Name {
            namespace: of_element.then(|| (self.namespace)(None)).flatten(),
            local: first.to_owned(),
        })
    }

    fn letters(&mut self) -> Option<&'t str> {
        let is_of_name =
            |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        let name = self.until(|letter| !is_of_name(letter));
        let starts = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
        starts.then_some(name)
    }

    fn until(&mut self, is_end: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}
