//! Members of lists, for `_list` (<https://hl7.org/fhir/R4/search.html#list>).
//!
//! The parameter `item` finds lists by all their entries, those that say that
//! something was deleted from the list too. These rows are the others'.

use salus_fhir::json::Node;
use salus_fhir::reference::Reference;
use salus_store::{Kind, Param, Row, Value};

use super::types::ResourceType;

/// The store's parameter for what is on a list.
pub(crate) fn member_param() -> Param {
    Param::named("List", "item:member")
}

/// Adds the rows of what is on a list, if the resource is one, and of what a
/// Binary belongs to.
pub(crate) fn add_members<S: AsRef<str>>(
    ty: ResourceType,
    node: Node<'_>,
    own_bases: &[S],
    rows: &mut Vec<Row>,
) {
    super::binary::context::add_rows(ty.kind, node, own_bases, rows);
    if ty.name != "List" {
        return;
    }
    let entries = node.get("entry").into_iter().flat_map(Node::children);
    for entry in entries {
        let deleted = entry.get("deleted").and_then(Node::bool);
        let item = entry.get("item").and_then(|item| item.get("reference"));
        let Some(text) = item.and_then(Node::str).filter(|_| deleted != Some(true)) else {
            continue;
        };
        if let Some(Reference::Local(local)) = Reference::parse(&text, own_bases) {
            let value = Value::Reference {
                kind: Kind::named(local.ty),
                id: local.id.into(),
            };
            let row = Row {
                param: member_param(),
                value,
            };
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    Row::sort(rows);
}
