//! A part of a resource: `_summary` and `_elements`
//! (<https://hl7.org/fhir/R4/search.html#summary>).
//!
//! The parts are the text of the resource as it is; what is left out is not
//! written. Each part says of itself in `meta.tag` that it is one, so that
//! nobody stores it over the whole.

use crate::definitions::{self, Child, Definitions, Parent};
use crate::json::{Kind, Node};

/// Which part of a resource is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subset {
    /// The elements marked as summary, at all levels.
    Summary,
    /// Text, id, meta and what is mandatory at the top.
    Text,
    /// All but the text.
    Data,
    /// These elements at the top, by their names in FHIRPath; id, meta and
    /// what is mandatory as well.
    Elements(Vec<&'static str>),
}

/// The tag of a resource that is not whole: <https://hl7.org/fhir/R4/search.html#summary>
pub const SUBSETTED: &str =
    r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

impl Subset {
    /// The part of a resource, as text.
    #[must_use]
    pub fn of(&self, resource: Node<'_>) -> String {
        let definitions = definitions::r4();
        let ty = resource.get("resourceType").and_then(Node::str);
        let id = ty.and_then(|ty| definitions.resource_named(&ty));
        let mut writing = Writing {
            definitions,
            out: String::with_capacity(resource.raw().len() + SUBSETTED.len() + 16),
        };
        let mut members = Members::default();
        let mut has_meta = false;
        writing.out.push('{');
        for member in resource.children() {
            let Some(key) = member.key() else { continue };
            if key == "meta" {
                if member.is_object() {
                    has_meta = true;
                    members.begin(&mut writing.out, "meta");
                    tagged(member, &mut writing.out);
                }
                continue;
            }
            let child = id.and_then(|id| child(definitions, Parent::Type(id), key));
            match self.takes(definitions, key, child) {
                Taken::No => {}
                Taken::Whole => {
                    members.begin(&mut writing.out, key);
                    writing.out.push_str(member.raw());
                }
                Taken::Summary(parent) => {
                    members.begin(&mut writing.out, key);
                    writing.summary(parent, member);
                }
            }
        }
        if !has_meta {
            members.begin(&mut writing.out, "meta");
            untagged(&mut writing.out);
        }
        writing.out.push('}');
        writing.out
    }

    fn takes(&self, definitions: &Definitions, key: &str, child: Option<Child>) -> Taken {
        if matches!(key, "resourceType" | "id") {
            return Taken::Whole;
        }
        let Some(child) = child else {
            return Taken::No;
        };
        let element = definitions.element(child.element);
        let whole = match self {
            Self::Summary if element.is_summary => return Taken::Summary(child.parent),
            Self::Summary => false,
            Self::Text => element.name == "text" || element.min > 0,
            Self::Data => element.name != "text",
            Self::Elements(names) => names.contains(&element.name) || element.min > 0,
        };
        if whole { Taken::Whole } else { Taken::No }
    }
}

/// How much of a member is given.
enum Taken {
    No,
    Whole,
    /// What is summary in it.
    Summary(Parent),
}

/// What a member is; the `_` siblings of primitives are what those are.
fn child(definitions: &Definitions, parent: Parent, key: &str) -> Option<Child> {
    let name = key.strip_prefix('_').unwrap_or(key);
    definitions.child(parent, name)
}

/// The members of an object that is being written.
#[derive(Default)]
pub(crate) struct Members {
    pub(crate) some: bool,
}

impl Members {
    pub(crate) fn begin(&mut self, out: &mut String, key: &str) {
        if self.some {
            out.push(',');
        }
        self.some = true;
        crate::json::write::string(out, key);
        out.push(':');
    }
}

/// `meta`, with the tag once.
pub(crate) fn tagged(meta: Node<'_>, out: &mut String) {
    let mut members = Members::default();
    out.push('{');
    for member in meta.children() {
        let Some(key) = member.key().filter(|key| *key != "tag") else {
            continue;
        };
        members.begin(out, key);
        out.push_str(member.raw());
    }
    members.begin(out, "tag");
    out.push('[');
    let tags = meta.get("tag").filter(|tags| tags.is_array());
    for tag in tags.into_iter().flat_map(Node::children) {
        if !is_tag(tag) {
            out.push_str(tag.raw());
            out.push(',');
        }
    }
    out.push_str(SUBSETTED);
    out.push_str("]}");
}

/// The `meta` of a part of what has none.
pub(crate) fn untagged(out: &mut String) {
    out.push_str(&format!(r#"{{"tag":[{SUBSETTED}]}}"#));
}

/// Whether a tag says that a resource is a part.
pub(crate) fn is_tag(tag: Node<'_>) -> bool {
    let code = tag.get("code").and_then(Node::str);
    code.is_some_and(|code| code == "SUBSETTED")
}

struct Writing {
    definitions: &'static Definitions,
    out: String,
}

impl Writing {
    /// What is summary in a value.
    fn summary(&mut self, parent: Parent, node: Node<'_>) {
        match node.kind() {
            Kind::Object => self.summary_of_object(parent, node),
            Kind::Array => {
                self.out.push('[');
                for (at, item) in node.children().enumerate() {
                    if at > 0 {
                        self.out.push(',');
                    }
                    self.summary(parent, item);
                }
                self.out.push(']');
            }
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => self.out.push_str(node.raw()),
        }
    }

    fn summary_of_object(&mut self, parent: Parent, node: Node<'_>) {
        // A resource inside a resource, as in a Bundle, is given whole.
        let holds_resource = node.get("resourceType").is_some();
        let start = self.out.len();
        let mut members = Members::default();
        self.out.push('{');
        for member in node.children() {
            let Some(key) = member.key() else { continue };
            let child = child(self.definitions, parent, key);
            let is_summary = |child: Child| self.definitions.element(child.element).is_summary;
            if let Some(child) = child.filter(|child| is_summary(*child)) {
                members.begin(&mut self.out, key);
                self.summary(child.parent, member);
            }
        }
        // Nothing in it is marked, as in data types whose parts the
        // definitions do not mark one by one: an empty object is no JSON of FHIR.
        if holds_resource || !members.some {
            self.out.truncate(start);
            self.out.push_str(node.raw());
        } else {
            self.out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Limits};

    const TAGGED: &str = r#""tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]"#;

    /// `TAG` in what is expected stands for the tags of a part.
    #[track_caller]
    fn check(subset: &Subset, resource: &str, expected: &str) {
        let document = Document::parse(resource.into(), &Limits::default()).unwrap();
        let found = subset.of(document.root());
        assert_eq!(found, expected.replace("TAG", TAGGED));
        // A part of a part of the same kind is the same.
        let again = Document::parse(found.clone().into(), &Limits::default()).unwrap();
        assert_eq!(subset.of(again.root()), found);
    }

    const HEART: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"2"},"text":{"status":"empty","div":"d"},"language":"en","status":"final","_status":{"id":"s"},"code":{"text":"x"},"valueQuantity":{"value":1.50},"note":[{"text":"n"}],"interpretation":[{"text":"i"}],"component":[{"id":"c","code":{"text":"y"},"interpretation":[{"text":"j"}],"valueString":"z"}]}"#;

    #[test]
    fn the_summary_is_what_is_marked_at_all_levels() {
        check(
            &Subset::Summary,
            HEART,
            r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"2",TAG},"status":"final","_status":{"id":"s"},"code":{"text":"x"},"valueQuantity":{"value":1.50},"component":[{"code":{"text":"y"},"valueString":"z"}]}"#,
        );
    }

    #[test]
    fn text_data_and_elements() {
        check(
            &Subset::Text,
            HEART,
            r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"2",TAG},"text":{"status":"empty","div":"d"},"status":"final","_status":{"id":"s"},"code":{"text":"x"}}"#,
        );
        check(
            &Subset::Data,
            r#"{"resourceType":"Basic","text":{},"meta":{"tag":[{"code":"a"}]},"code":{}}"#,
            r#"{"resourceType":"Basic","meta":{"tag":[{"code":"a"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]},"code":{}}"#,
        );
        check(
            &Subset::Elements(vec!["value"]),
            HEART,
            r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"2",TAG},"status":"final","_status":{"id":"s"},"code":{"text":"x"},"valueQuantity":{"value":1.50}}"#,
        );
        check(
            &Subset::Elements(Vec::new()),
            r#"{"resourceType":"Patient","meta":7,"name":[]}"#,
            r#"{"resourceType":"Patient","meta":{TAG}}"#,
        );
    }

    #[test]
    fn every_example_has_a_summary_that_is_a_summary() {
        crate::validate::corpus::each_example(|name, text| {
            let Ok(document) = Document::parse(text, &Limits::default()) else {
                return;
            };
            for subset in [Subset::Summary, Subset::Text, Subset::Data] {
                let part = subset.of(document.root());
                let again = Document::parse(part.clone().into(), &Limits::default());
                let again = again.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(subset.of(again.root()), part, "{name}");
            }
        });
    }
}
