//! A resource as a client sent it: parsed, of the type promised, valid.

use bytes::Bytes;
use salus_fhir::json::{self, Document, Node};
use salus_fhir::validate::{self, Valid};

use super::types::ResourceType;
use crate::error::{Error, Kind};

/// Parses a body; the error says where it went wrong.
pub(crate) fn parse(body: Bytes, limits: &json::Limits) -> Result<Document, Error> {
    if body.is_empty() {
        return Err(Error::invalid("the body is empty; send a resource"));
    }
    Document::parse(body.into(), limits)
        .map_err(|error| Error::invalid(format!("the body cannot be read as JSON: {error}")))
}

/// Checks that a resource is what the URL says and follows the definitions.
pub(crate) fn check<'a>(node: Node<'a>, ty: ResourceType) -> Result<Valid<'a>, Error> {
    let named = node.get("resourceType").and_then(Node::plain_str);
    if named.is_some_and(|named| named != ty.name) {
        return Err(Error::invalid(format!(
            "the resource in the body is not of type {}, which the URL names",
            ty.name
        )));
    }
    validate::resource(node).map_err(|issues| Error::with_issues(Kind::Unprocessable, issues))
}

/// Whether a resource says that it is of a type.
pub(crate) fn is(node: Node<'_>, ty: ResourceType) -> bool {
    node.get("resourceType").and_then(Node::plain_str) == Some(ty.name)
}

/// Checks a bundle as [`check`] does, but for what its entries hold.
pub(crate) fn check_around_entries(node: Node<'_>) -> Result<(), Error> {
    let limits = validate::Limits {
        entry_resources: false,
        invariants: false,
        ..validate::Limits::default()
    };
    let checked = validate::resource_within(node, &limits);
    checked
        .map(|_| ())
        .map_err(|issues| Error::with_issues(Kind::Unprocessable, issues))
}

/// Checks that the body's id is the one in the URL
/// (<https://hl7.org/fhir/R4/http.html#update>).
pub(crate) fn check_same_id(node: Node<'_>, id: &str) -> Result<(), Error> {
    match node.get("id").and_then(Node::plain_str) {
        Some(own) if own == id => Ok(()),
        Some(_) => Err(Error::invalid(
            "the id of the resource is not the one in the URL",
        )),
        None => Err(Error::invalid(
            "the resource has no id; an update needs the one in the URL",
        )),
    }
}
