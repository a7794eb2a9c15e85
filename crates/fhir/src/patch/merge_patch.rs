//! JSON Merge Patch: RFC 7396. What is an object on both sides is merged, `null` removes, and
//! everything else, arrays too, takes the place of what was there.

use super::draft::Draft;
use super::operations::too_many;
use super::pointer::Pointer;
use super::{Error, OPERATIONS_MAX};
use crate::json::{Document, Kind, Node, write};

/// An object to be merged into a resource.
#[derive(Debug)]
pub(super) struct MergePatch(Document);

impl MergePatch {
    pub(super) fn read(document: Document) -> Result<MergePatch, Error> {
        match document.root().kind() {
            Kind::Object => Ok(MergePatch(document)),
            Kind::Array | Kind::String | Kind::Number | Kind::Bool | Kind::Null => Err(
                Error::malformed("a JSON Merge Patch of a resource is an object"),
            ),
        }
    }

    pub(super) fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        let mut steps = 0;
        merge(draft, &Pointer::default(), self.0.root(), &mut steps)
    }
}

/// Merges an object into the one at a path.
fn merge(
    draft: &mut Draft<'_>,
    path: &Pointer,
    object: Node<'_>,
    steps: &mut usize,
) -> Result<(), Error> {
    for member in object.children() {
        let at = path.child(member.key().unwrap_or_default());
        let there = at.find(draft.root()).map(|node| node.is_object());
        match (member.kind(), there) {
            (Kind::Null, None) => continue,
            (Kind::Object, Some(true)) => {
                merge(draft, &at, member, steps)?;
                continue;
            }
            (Kind::Null, Some(_)) => draft.remove(&at)?,
            _ => {
                let mut value = String::new();
                without_nulls(member, &mut value);
                draft.add(&at, &value)?;
            }
        }
        *steps += 1;
        if *steps > OPERATIONS_MAX {
            return Err(too_many());
        }
    }
    Ok(())
}

/// A value as it is merged into nothing. Arrays stay as they are.
fn without_nulls(node: Node<'_>, out: &mut String) {
    if !node.is_object() {
        out.push_str(node.raw());
        return;
    }
    out.push('{');
    let kept = node.children().filter(|child| child.kind() != Kind::Null);
    for (n, child) in kept.enumerate() {
        if n > 0 {
            out.push(',');
        }
        write::string(out, child.key().unwrap_or_default());
        out.push(':');
        without_nulls(child, out);
    }
    out.push('}');
}
