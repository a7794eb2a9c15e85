//! Members of resources.

use std::borrow::Cow;

use salus_fhir::json::Node;

/// The text of a member; nothing when it is absent, empty or no text.
pub(crate) fn text<'n>(node: Node<'n>, key: &str) -> Option<Cow<'n, str>> {
    node.get(key)?.str().filter(|text| !text.is_empty())
}

/// The same as a copy.
pub(crate) fn owned(node: Node<'_>, key: &str) -> Option<Box<str>> {
    text(node, key).map(|text| text.into())
}

/// A text that is not empty.
pub(crate) fn some(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// The items of a member that is a list.
pub(crate) fn items<'n>(node: Node<'n>, key: &str) -> impl Iterator<Item = Node<'n>> {
    let list = node.get(key).filter(|list| list.is_array());
    list.into_iter().flat_map(Node::children)
}

/// Is it a resource of this type?
pub(crate) fn is_a(node: Node<'_>, ty: &str) -> bool {
    text(node, "resourceType").is_some_and(|found| found == ty)
}
