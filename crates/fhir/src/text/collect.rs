//! Which strings of a resource are its text.

use std::borrow::Cow;

use super::Text;
use crate::definitions::{self, Child, Parent, Primitive};
use crate::json::Node;
use crate::search::fold;
use crate::xhtml;

/// Objects inside each other at most; documents are not deeper.
const DEPTH_MAX: usize = 128;
/// Strings that repeat one of so many before them are left out.
const REMEMBERED: usize = 16;

/// Strings that are addresses, not text.
const ADDRESSES: [&str; 3] = ["Element.id", "Identifier.value", "Reference.reference"];

pub(super) fn collect(resource: Node<'_>, text: &mut Text) {
    let narrative = resource.get("text").and_then(|text| text.get("div"));
    if let Some(div) = narrative.and_then(Node::str) {
        push(text, &xhtml::text(&div));
    }
    text.narrative = text.folded.len();
    let mut walk = Walk {
        text,
        seen: Vec::with_capacity(REMEMBERED),
        narrative: narrative.map(Node::index),
    };
    if let Some(parent) = of_resource(resource) {
        walk.members(parent, resource, 0);
    }
}

fn of_resource(resource: Node<'_>) -> Option<Parent> {
    let ty = resource.get("resourceType")?.plain_str()?;
    definitions::r4().resource_named(ty).map(Parent::Type)
}

/// Adds a line.
fn push(text: &mut Text, string: &str) {
    let folded = fold(string);
    if !folded.is_empty() {
        text.folded.push_str(&folded);
        text.folded.push('\n');
    }
}

struct Walk<'w, 'a> {
    text: &'w mut Text,
    /// Strings met lately: a code's text and its display are often the same.
    seen: Vec<Cow<'a, str>>,
    /// The place of what was taken already.
    narrative: Option<usize>,
}

impl<'a> Walk<'_, 'a> {
    fn members(&mut self, parent: Parent, object: Node<'a>, depth: usize) {
        let definitions = definitions::r4();
        if depth > DEPTH_MAX {
            return;
        }
        for member in object.children() {
            let child = member.key().and_then(|key| definitions.child(parent, key));
            let Some(child) = child else {
                continue;
            };
            if member.is_array() {
                let items = member.children();
                items.for_each(|item| self.value(&child, item, depth));
            } else {
                self.value(&child, member, depth);
            }
        }
    }

    fn value(&mut self, child: &Child, value: Node<'a>, depth: usize) {
        if value.is_object() {
            // A resource inside says itself what it is.
            let parent = of_resource(value).unwrap_or(child.parent);
            self.members(parent, value, depth + 1);
            return;
        }
        let definitions = definitions::r4();
        let primitive = definitions.ty(child.ty).primitive;
        if matches!(primitive, Some(Primitive::String | Primitive::Markdown)) {
            let path = definitions.element(child.element).path;
            if !ADDRESSES.contains(&path) {
                self.string(value);
            }
        } else if primitive == Some(Primitive::Xhtml)
            && self.narrative != Some(value.index())
            && let Some(div) = value.str()
        {
            push(self.text, &xhtml::text(&div));
        }
    }

    fn string(&mut self, value: Node<'a>) {
        let Some(string) = value.str() else {
            return;
        };
        if self.seen.contains(&string) {
            return;
        }
        push(self.text, &string);
        if self.seen.len() == REMEMBERED {
            self.seen.remove(0);
        }
        self.seen.push(string);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Limits};

    #[track_caller]
    fn check(json: &str, narrative: &str, rest: &str) {
        let document = Document::parse(json.as_bytes().to_vec(), &Limits::default()).unwrap();
        let text = Text::of(document.root());
        let (first, second) = text.folded.split_at(text.narrative);
        assert_eq!((first, second), (narrative, rest));
    }

    #[test]
    fn strings_and_markdown_are_text() {
        check(
            r#"{"resourceType":"Observation","id":"x","status":"final",
            "code":{"coding":[{"system":"http://loinc.org","code":"8302-2","display":"Body Height"}],
            "text":"Body Height"},"valueQuantity":{"value":1,"unit":"cm"},
            "note":[{"text":"Müde\n gemessen"}]}"#,
            "",
            "body height\ncm\nmude gemessen\n",
        );
    }

    #[test]
    fn addresses_are_no_text() {
        check(
            r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"123"}],
            "managingOrganization":{"reference":"Organization/1","display":"Clinic"},
            "name":[{"id":"a","family":"Chalmers"}]}"#,
            "",
            "clinic\nchalmers\n",
        );
    }

    #[test]
    fn the_narrative_comes_first_and_contained_ones_do_not_count_as_one() {
        let div = |text: &str| {
            format!(
                r#"{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>"}}"#
            )
        };
        let json = format!(
            r#"{{"resourceType":"Patient","name":[{{"text":"Ann"}}],"contained":[
            {{"resourceType":"Organization","name":"Clinic","text":{}}}],"text":{}}}"#,
            div("inside"),
            div("<p>Heart&amp;<b>attack</b></p>"),
        );
        check(&json, "heart& attack\n", "ann\nclinic\ninside\n");
    }
}
