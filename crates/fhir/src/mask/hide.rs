//! A resource without what is hidden: its text, less some members.

use super::path::Step;
use super::{Hidden, Paths};
use crate::definitions::{self, Child, Definitions, Parent};
use crate::json::{Kind, Node};
use crate::search::subset::{Members, tagged, untagged};

impl Hidden {
    /// The text of a resource without `own`, which is what is hidden of this
    /// one, and without what is hidden of resources within it; `None` if it
    /// is shown as it is.
    #[must_use]
    pub fn hide(&self, resource: Node<'_>, own: &Paths) -> Option<String> {
        if !self.concerns(resource, own) {
            return None;
        }
        Some(self.write(resource, own, true))
    }

    /// The text of a resource without what is hidden, and else as it is: with
    /// its narrative, and without a tag. Nobody is shown this.
    pub(super) fn bare(&self, resource: Node<'_>, own: &Paths) -> String {
        self.write(resource, own, false)
    }

    fn write(&self, resource: Node<'_>, own: &Paths, marks: bool) -> String {
        let mut writing = Writing {
            definitions: definitions::r4(),
            hidden: self,
            marks,
            out: String::with_capacity(resource.raw().len() + 128),
        };
        writing.resource(resource, own, true);
        writing.out
    }

    /// Whether something of a resource, or of one within it, is hidden,
    /// whether or not it has it.
    #[must_use]
    pub fn concerns(&self, resource: Node<'_>, own: &Paths) -> bool {
        !own.is_empty() || self.concerns_within(resource)
    }

    fn concerns_within(&self, resource: Node<'_>) -> bool {
        let parts = |name: &str| resource.get(name).into_iter().flat_map(Node::children);
        let entries = parts("entry").flat_map(|entry| {
            let outcome = entry
                .get("response")
                .and_then(|response| response.get("outcome"));
            entry.get("resource").into_iter().chain(outcome)
        });
        let mut inner = match type_of(resource).as_deref() {
            Some("Bundle") => parts("contained").chain(entries).collect::<Vec<_>>(),
            Some("Parameters") => {
                let mut all = Vec::new();
                parts("parameter").for_each(|parameter| within_parameter(parameter, &mut all));
                all
            }
            Some(_) | None => parts("contained").collect(),
        }
        .into_iter();
        inner.any(|inner| {
            let ty = type_of(inner).unwrap_or_default();
            self.concerns(inner, self.on(&ty))
        })
    }
}

fn type_of(resource: Node<'_>) -> Option<std::borrow::Cow<'_, str>> {
    resource.get("resourceType").and_then(Node::str)
}

fn within_parameter<'n>(parameter: Node<'n>, all: &mut Vec<Node<'n>>) {
    all.extend(parameter.get("resource"));
    let parts = parameter.get("part").into_iter().flat_map(Node::children);
    parts.for_each(|part| within_parameter(part, all));
}

struct Writing<'h> {
    definitions: &'static Definitions,
    hidden: &'h Hidden,
    /// Whether what is a part is said to be one, and has no narrative.
    marks: bool,
    out: String,
}

/// What is left of some paths, below where one stands.
type Ways<'h> = Vec<&'h [Step]>;

impl Writing<'_> {
    fn resource(&mut self, node: Node<'_>, own: &Paths, is_root: bool) {
        let ty = type_of(node).unwrap_or_default();
        let id = self.definitions.resource_named(&ty);
        let parent = id.map(Parent::Type);
        let ways: Ways<'_> = own.iter().map(|path| path.steps()).collect();
        let is_tagged = self.marks && (is_root || self.hidden.concerns(node, own));
        let mut members = Members::default();
        let mut has_meta = false;
        self.out.push('{');
        for member in node.children() {
            let Some(key) = member.key() else { continue };
            match key {
                "meta" if is_tagged && member.is_object() => {
                    has_meta = true;
                    members.begin(&mut self.out, key);
                    tagged(member, &mut self.out);
                }
                "meta" if is_tagged => {}
                // What it says may be what is hidden.
                "text" | "_text" if is_tagged => {}
                _ => self.member(member, (key, parent), &ways, &mut members),
            }
        }
        if is_tagged && !has_meta {
            members.begin(&mut self.out, "meta");
            untagged(&mut self.out);
        }
        self.out.push('}');
    }

    /// A member, unless it is hidden or nothing of it is left.
    fn member(
        &mut self,
        member: Node<'_>,
        (key, parent): (&str, Option<Parent>),
        ways: &Ways<'_>,
        members: &mut Members,
    ) {
        let plain = key.strip_prefix('_').unwrap_or(key);
        let child = parent.and_then(|parent| self.definitions.child(parent, plain));
        let name = child.map_or(plain, |child| self.definitions.element(child.element).name);
        let ways: Ways<'_> = ways
            .iter()
            .filter(|way| way.first().is_some_and(|step| step.name == name))
            .copied()
            .collect();
        let is_hidden = |way: &&[Step]| matches!(way, [step] if step.guard.is_none());
        if ways.iter().any(is_hidden) {
            return;
        }
        let (start, had_some) = (self.out.len(), members.some);
        members.begin(&mut self.out, key);
        if !self.value(member, child, &ways, key.starts_with('_')) {
            self.out.truncate(start);
            members.some = had_some;
        }
    }

    /// Whether something of a value is left.
    fn value(
        &mut self,
        node: Node<'_>,
        child: Option<Child>,
        ways: &Ways<'_>,
        is_beside: bool,
    ) -> bool {
        match node.kind() {
            Kind::Object => self.object(node, child, ways),
            Kind::Array => {
                let start = self.out.len();
                self.out.push('[');
                let mut count = 0;
                for item in node.children() {
                    let before = self.out.len();
                    if count > 0 {
                        self.out.push(',');
                    }
                    if self.value(item, child, ways, is_beside) {
                        count += 1;
                    } else {
                        self.out.truncate(before);
                        // What stands beside primitives has their places.
                        if is_beside {
                            self.out.push_str(if count > 0 { ",null" } else { "null" });
                            count += 1;
                        }
                    }
                }
                self.out.push(']');
                let is_left = count > 0 || node.is_empty();
                if !is_left {
                    self.out.truncate(start);
                }
                is_left
            }
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => {
                self.out.push_str(node.raw());
                true
            }
        }
    }

    fn object(&mut self, node: Node<'_>, child: Option<Child>, ways: &Ways<'_>) -> bool {
        let inner = type_of(node).filter(|ty| {
            child.is_none_or(|child| self.definitions.ty(child.ty).name == "Resource")
                && self.definitions.resource_named(ty).is_some()
        });
        let mut below = Ways::new();
        for way in ways {
            let Some((step, rest)) = way.split_first() else {
                continue;
            };
            let holds = step.guard.as_ref().is_none_or(|(member, text)| {
                let own = node.get(member);
                own.is_some_and(|own| own.str().map_or(own.raw() == &**text, |own| own == **text))
            });
            if holds && rest.is_empty() {
                return false;
            }
            if holds {
                below.push(rest);
            }
        }
        if let Some(ty) = inner {
            let hidden = self.hidden;
            self.resource(node, hidden.on(&ty), false);
            return true;
        }
        let start = self.out.len();
        let mut members = Members::default();
        self.out.push('{');
        for member in node.children() {
            let Some(key) = member.key() else { continue };
            let parent = child.map(|child| child.parent);
            self.member(member, (key, parent), &below, &mut members);
        }
        self.out.push('}');
        let is_left = members.some || node.is_empty();
        if !is_left {
            self.out.truncate(start);
        }
        is_left
    }
}
