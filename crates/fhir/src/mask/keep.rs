//! A resource as somebody sent it who may not see or not change all of it,
//! with what is not theirs as it was.
//!
//! What is hidden as a whole element is not sent, and stays. An element of which
//! a part is hidden, or which has hidden parts in resources within it, must be
//! as its sender sees it, and stays: nobody can tell which part of
//! a list that was changed belongs to which hidden value. What is read-only must
//! be there as it was. So a refusal tells nothing of what is hidden. A narrative
//! that the sender cannot see stays, unless there is a new one.

use std::collections::BTreeSet;

use super::{Hidden, Path, Paths};
use crate::definitions::{self, Parent};
use crate::json::{Document, Limits, Node};
use crate::patch::equal::equal;
use crate::search::subset::{Members, is_tag};

/// What was sent that may not be, or changed that may not be.
// No PHI: names of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The element, as `Patient.telecom`.
    pub path: String,
    /// Whether it is hidden, or part of it is; otherwise it may be seen, but not changed.
    pub is_hidden: bool,
}

/// The text of `sent` with all that is not its sender's to change as it is in
/// `stored`, if there is such a version.
///
/// # Errors
/// Each element that was sent or changed and may not be.
pub fn keep(
    stored: Option<Node<'_>>,
    sent: Node<'_>,
    (hidden, own, read_only): (&Hidden, &Paths, &Paths),
) -> Result<String, Vec<Fault>> {
    let parse = |text: String| Document::parse(text.into(), &Limits::default()).ok();
    // What there is, as its sender sees it; of what is new, all but what is hidden.
    let seen = parse(match stored {
        Some(stored) => {
            let shown = hidden.hide(stored, own);
            shown.unwrap_or_else(|| stored.raw().into())
        }
        None => hidden.bare(sent, own),
    });
    let mut keeping = Keeping {
        sent,
        is_new: stored.is_none(),
        seen: seen.as_ref().map(Document::root),
        whole: BTreeSet::new(),
        parts: BTreeSet::new(),
        faults: Vec::new(),
    };
    keeping.hold_hidden(own);
    keeping.hold_inner(hidden, stored);
    keeping.hold_read_only(read_only);
    if !keeping.faults.is_empty() {
        return Err(keeping.faults);
    }
    let is_part = hidden.concerns(sent, own) || stored.is_some_and(|it| hidden.concerns(it, own));
    let keeps_text = is_part && sent.get("text").is_none();
    Ok(keeping.write(stored, keeps_text, is_part))
}

struct Keeping<'n> {
    sent: Node<'n>,
    is_new: bool,
    /// What hidden parts are not in.
    seen: Option<Node<'n>>,
    /// Elements that are hidden as a whole.
    whole: BTreeSet<&'static str>,
    /// Elements that are hidden in part.
    parts: BTreeSet<&'static str>,
    faults: Vec<Fault>,
}

impl<'n> Keeping<'n> {
    fn hold_hidden(&mut self, own: &Paths) {
        for path in own.iter() {
            let element = path.element();
            match path.is_whole() {
                true => {
                    self.whole.insert(element);
                    if members(self.sent, element).next().is_some() {
                        self.fault(path.to_string(), true);
                    }
                }
                false => self.hold_part(path.ty(), element),
            }
        }
    }

    /// Resources within this one have hidden parts by themselves.
    fn hold_inner(&mut self, hidden: &Hidden, stored: Option<Node<'_>>) {
        let ty = self.sent.get("resourceType").and_then(Node::str);
        let id = ty.and_then(|ty| definitions::r4().resource_named(&ty));
        let Some(ty) = id.map(|id| definitions::r4().ty(id).name) else {
            return;
        };
        let concerns = |node: Node<'_>| hidden.concerns(node, Paths::NONE);
        if !concerns(self.sent) && !stored.is_some_and(concerns) {
            return;
        }
        for element in ["contained", "entry", "parameter"] {
            let is_there =
                |node: Option<Node<'_>>| node.is_some_and(|node| node.get(element).is_some());
            if !self.whole.contains(element) && (is_there(Some(self.sent)) || is_there(stored)) {
                self.hold_part(ty, element);
            }
        }
    }

    fn hold_part(&mut self, ty: &str, element: &'static str) {
        if !self.parts.insert(element) {
            return;
        }
        let is_same = |seen: Node<'_>| alike(self.sent, seen, element);
        let is_same = self.seen.is_some_and(is_same);
        if !is_same {
            self.fault(format!("{ty}.{element}"), true);
        }
    }

    fn hold_read_only(&mut self, read_only: &Paths) {
        for path in read_only.iter() {
            if self.whole.contains(path.element()) {
                continue;
            }
            let sent = at(self.sent, path);
            let seen = self.seen.filter(|_| !self.is_new);
            let seen = seen.map(|seen| at(seen, path)).unwrap_or_default();
            let is_same = sent.len() == seen.len()
                && sent
                    .iter()
                    .zip(&seen)
                    .all(|((place, one), (other_place, other))| {
                        place == other_place && equal(*one, *other)
                    });
            if !is_same {
                self.fault(path.to_string(), false);
            }
        }
    }

    fn fault(&mut self, path: String, is_hidden: bool) {
        self.faults.push(Fault { path, is_hidden });
    }

    fn write(&self, stored: Option<Node<'_>>, keeps_text: bool, is_part: bool) -> String {
        let held = |element: &str| {
            self.whole.contains(element)
                || self.parts.contains(element)
                || keeps_text && element == "text"
        };
        let tags = stored.and_then(|stored| stored.get("meta")?.get("tag"));
        let had_tag = tags.is_some_and(|tags| tags.children().any(is_tag));
        let mut out = String::with_capacity(self.sent.raw().len() + 256);
        let mut written = Members::default();
        out.push('{');
        for member in self.sent.children() {
            let Some(key) = member.key() else { continue };
            if key == "meta" && is_part && !had_tag {
                untag(member, &mut written, &mut out);
            } else if stored.is_none() || !held(element_of(self.sent, key)) {
                written.begin(&mut out, key);
                out.push_str(member.raw());
            }
        }
        for member in stored.into_iter().flat_map(Node::children) {
            let Some(key) = member.key() else { continue };
            if held(element_of(self.sent, key)) {
                written.begin(&mut out, key);
                out.push_str(member.raw());
            }
        }
        out.push('}');
        out
    }
}

/// `meta` without what the server itself has said of a part that it showed.
fn untag(meta: Node<'_>, written: &mut Members, out: &mut String) {
    let tags = meta.get("tag").into_iter().flat_map(Node::children);
    let tags: Vec<&str> = tags.filter(|tag| !is_tag(*tag)).map(Node::raw).collect();
    let others: Vec<Node<'_>> = meta
        .children()
        .filter(|node| node.key() != Some("tag"))
        .collect();
    if tags.is_empty() && others.is_empty() {
        return;
    }
    written.begin(out, "meta");
    let mut members = Members::default();
    out.push('{');
    for member in others {
        members.begin(out, member.key().unwrap_or_default());
        out.push_str(member.raw());
    }
    if !tags.is_empty() {
        members.begin(out, "tag");
        out.push_str(&format!("[{}]", tags.join(",")));
    }
    out.push('}');
}

/// The element that a member of a resource is.
fn element_of<'k>(resource: Node<'_>, key: &'k str) -> &'k str {
    let plain = key.strip_prefix('_').unwrap_or(key);
    let definitions = definitions::r4();
    let ty = resource.get("resourceType").and_then(Node::str);
    let id = ty.and_then(|ty| definitions.resource_named(&ty));
    let child = id.and_then(|id| definitions.child(Parent::Type(id), plain));
    child.map_or(plain, |child| definitions.element(child.element).name)
}

/// The members of a resource that are an element.
fn members<'n>(resource: Node<'n>, element: &'static str) -> impl Iterator<Item = Node<'n>> {
    let is = move |node: &Node<'n>| {
        node.key()
            .is_some_and(|key| element_of(resource, key) == element)
    };
    resource.children().filter(is)
}

/// Whether two resources have the same there.
fn alike(one: Node<'_>, other: Node<'_>, element: &'static str) -> bool {
    let count = members(one, element).count();
    count == members(other, element).count()
        && members(one, element).all(|member| {
            let same = member.key().and_then(|key| other.get(key));
            same.is_some_and(|same| equal(member, same))
        })
}

/// What a path names, with its places: keys, and numbers in lists.
fn at<'n>(resource: Node<'n>, path: &Path) -> Vec<(Vec<(String, usize)>, Node<'n>)> {
    let definitions = definitions::r4();
    let ty = definitions.resource_named(path.ty());
    let mut now = vec![(Vec::new(), resource, ty.map(Parent::Type))];
    for step in path.steps() {
        let mut next = Vec::new();
        for (place, node, parent) in now {
            for member in node.children() {
                let Some(key) = member.key() else { continue };
                let plain = key.strip_prefix('_').unwrap_or(key);
                let child = parent.and_then(|parent| definitions.child(parent, plain));
                let name = child.map_or(plain, |child| definitions.element(child.element).name);
                if name != step.name {
                    continue;
                }
                let parent = child.map(|child| child.parent);
                let items = member.children().enumerate();
                let values: Vec<(usize, Node<'n>)> = match member.is_array() {
                    true => items.collect(),
                    false => vec![(0, member)],
                };
                for (number, value) in values {
                    let mut place: Vec<(String, usize)> = place.clone();
                    place.push((key.to_owned(), number));
                    next.push((place, value, parent));
                }
            }
        }
        now = next;
    }
    now.into_iter()
        .map(|(place, node, _)| (place, node))
        .collect()
}
