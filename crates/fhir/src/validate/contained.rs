//! Contained resources (<https://hl7.org/fhir/R4/references.html#contained>):
//! each is referred to from its container, or refers to it (dom-3).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Check;
use super::place::Place;
use crate::issue::IssueType;
use crate::json::Node;

/// The resource to which local references such as `#a` lead.
pub(super) struct Container<'a> {
    pub(super) node: Node<'a>,
    has_contained: bool,
    /// The contained resources by id, once somebody asks.
    ids: Option<HashMap<Cow<'a, str>, Node<'a>>>,
    referred_to: HashSet<Cow<'a, str>>,
    /// Contained resources, by their nodes, that refer to the container.
    referring: HashSet<usize>,
}

impl<'a> Container<'a> {
    pub(super) fn new(node: Node<'a>) -> Container<'a> {
        Container {
            node,
            has_contained: node.get("contained").is_some(),
            ids: None,
            referred_to: HashSet::new(),
            referring: HashSet::new(),
        }
    }

    /// The contained resource of an id.
    pub(super) fn find(&mut self, id: &str) -> Option<Node<'a>> {
        let all = || {
            self.node
                .get("contained")
                .into_iter()
                .flat_map(Node::children)
        };
        let ids = self.ids.get_or_insert_with(|| {
            let mut ids = HashMap::new();
            for resource in all() {
                if let Some(id) = resource.get("id").and_then(Node::str) {
                    ids.entry(id).or_insert(resource);
                }
            }
            ids
        });
        ids.get(id).copied()
    }

    /// Notes that `from`, the container or a contained resource, has a link
    /// with this value, if that is a local one.
    pub(super) fn note(&mut self, from: Node<'a>, link: Node<'a>) {
        if !self.has_contained || !link.raw().starts_with("\"#") {
            return;
        }
        let id = match link.str() {
            Some(Cow::Borrowed(text)) => Cow::Borrowed(text.get(1..).unwrap_or_default()),
            Some(Cow::Owned(text)) => Cow::Owned(text.get(1..).unwrap_or_default().to_owned()),
            None => return,
        };
        if id.is_empty() {
            self.referring.insert(from.index());
        } else {
            self.referred_to.insert(id);
        }
    }

    fn is_linked(&self, contained: Node<'a>) -> bool {
        let id = contained.get("id").and_then(Node::str);
        id.is_some_and(|id| self.referred_to.contains(&id))
            || self.referring.contains(&contained.index())
    }
}

impl<'a> Check<'a, '_> {
    /// dom-3, once the whole container has been walked.
    pub(super) fn contained_are_linked(&mut self, place: &Place<'_>) {
        if !self.container.has_contained {
            return;
        }
        let contained = self.container.node.get("contained").map(Node::children);
        for (index, resource) in contained.into_iter().flatten().enumerate() {
            if !self.container.is_linked(resource) {
                let details =
                    "must be referred to from where it is contained, or refer to there (dom-3)";
                let place = place.child("contained");
                self.fault(IssueType::Invariant, &place.item(index), details);
            }
        }
    }
}
