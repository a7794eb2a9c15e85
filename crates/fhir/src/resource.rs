//! A resource in a document: an object that says its type
//! (<https://hl7.org/fhir/R4/resource.html>).
//!
//! [`Resource`] promises only that the type is known, which is enough for
//! what was stored; `Valid` in [`crate::validate`] promises the rest.

use crate::definitions::{self, Parent, Type, TypeId};
use crate::json::Node;

/// A resource whose type is known.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    node: Node<'a>,
    ty: TypeId,
}

impl<'a> Resource<'a> {
    /// The resource at a place in a document, when it names a type of
    /// resource that exists and is not abstract.
    #[must_use]
    pub fn of(node: Node<'a>) -> Option<Resource<'a>> {
        let name = node.get("resourceType")?.plain_str()?;
        let ty = definitions::r4().resource_named(name)?;
        Some(Resource { node, ty })
    }

    /// Where it is.
    #[must_use]
    pub fn node(self) -> Node<'a> {
        self.node
    }

    /// Its type.
    #[must_use]
    pub fn ty(self) -> TypeId {
        self.ty
    }

    /// The facts of its type.
    #[must_use]
    pub fn definition(self) -> &'static Type {
        definitions::r4().ty(self.ty)
    }

    /// The name of its type, such as `Patient`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        self.definition().name
    }

    /// Where to look for its members.
    #[must_use]
    pub fn parent(self) -> Parent {
        Parent::Type(self.ty)
    }

    /// Its logical id, when it has one.
    #[must_use]
    pub fn id(self) -> Option<&'a str> {
        self.node.get("id")?.plain_str()
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;
    use crate::json::{Document, Limits};

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, Option<&str>)>) {
        let document = Document::parse(text.into(), &Limits::default()).unwrap();
        let resource = Resource::of(document.root());
        assert_eq!(
            resource.map(|found| (found.type_name(), found.id())),
            expect
        );
    }

    #[test]
    fn a_resource_says_its_type() {
        check(r#"{"resourceType":"Patient"}"#, Some(("Patient", None)));
        check(
            r#"{"id":"1","resourceType":"Bundle"}"#,
            Some(("Bundle", Some("1"))),
        );
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "{}",
            "[]",
            "null",
            r#"{"resourceType":1}"#,
            r#"{"resourceType":"Resource"}"#,
            r#"{"resourceType":"HumanName"}"#,
            r#"{"resourceType":"patient"}"#,
        ] {
            check(text, None);
        }
    }
}
