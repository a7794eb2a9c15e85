//! Edits of a resource's text that keep every other byte.
//!
//! A write is stored as the client sent it, but for its id, its
//! `meta.versionId` and `meta.lastUpdated`
//! (<https://hl7.org/fhir/R4/http.html#create>), and, in a transaction, its
//! references to other entries (<https://hl7.org/fhir/R4/http.html#trules>).
//! Both collect [`Splices`] on the same resource, and one pass writes the text.

use std::borrow::Cow;
use std::ops::Range;

use crate::definitions::{self, Definitions, Parent};
use crate::json::{Kind, Node, write};

/// Replacements of spans of a document's text.
#[derive(Clone, Default)]
pub struct Splices<'a> {
    edits: Vec<(Range<usize>, Cow<'a, str>)>,
}
salus_phi::guard!(Splices<'_>);

impl<'a> Splices<'a> {
    /// No edits yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `text` in the place of a span; an empty span inserts. Edits at the
    /// same place are written in the order of these calls.
    pub fn replace(&mut self, span: Range<usize>, text: impl Into<Cow<'a, str>>) {
        self.edits.push((span, text.into()));
    }

    /// The text of `node` with all edits made that lie within it. Where two
    /// edits overlap, the one that starts first wins.
    #[must_use]
    pub fn apply(mut self, node: Node<'_>) -> String {
        self.edits.sort_by_key(|(span, _)| (span.start, span.end));
        let text = node.document().text();
        let whole = node.span();
        let added: usize = self.edits.iter().map(|(_, text)| text.len()).sum();
        let mut out = String::with_capacity(whole.len() + added);
        let mut at = whole.start;
        for (span, replacement) in &self.edits {
            if span.start < at || span.end > whole.end {
                continue;
            }
            out.push_str(&text[at..span.start]);
            out.push_str(replacement);
            at = span.end;
        }
        out.push_str(&text[at..whole.end]);
        out
    }
}

/// What the server writes into a resource that it stores.
#[derive(Clone, Copy)]
pub struct Stamp<'a> {
    /// The logical id.
    pub id: &'a str,
    /// `meta.versionId`.
    pub version: &'a str,
    /// `meta.lastUpdated`, an instant.
    pub last_updated: &'a str,
}
salus_phi::guard!(Stamp<'_>);

/// The text of a resource with the stamp in it.
#[must_use]
pub fn stamp(node: Node<'_>, stamp: &Stamp<'_>) -> String {
    let mut splices = Splices::new();
    add_stamp(node, stamp, &mut splices);
    splices.apply(node)
}

/// Collects the edits that stamp a resource.
///
/// A member that is there keeps its place and gets the new value. A missing
/// `id` comes behind `resourceType`, a missing `meta` behind `id`, and missing
/// `versionId` and `lastUpdated` come first within `meta`; its other members
/// stay. A `meta` that is no object is replaced.
pub fn add_stamp(node: Node<'_>, stamp: &Stamp<'_>, splices: &mut Splices<'_>) {
    let id_member = node.get("id");
    if let Some(id) = id_member {
        put(id, stamp.id, splices);
    }
    let meta_member = node.get("meta");
    if let Some(meta) = meta_member {
        stamp_meta(meta, stamp, splices);
    }
    let mut missing = String::new();
    if id_member.is_none() {
        member(&mut missing, "id", stamp.id);
    }
    if meta_member.is_none() {
        comma(&mut missing);
        missing.push_str(r#""meta":"#);
        missing.push_str(&whole_meta(stamp));
    }
    if missing.is_empty() {
        return;
    }
    let before = id_member.or_else(|| node.get("resourceType"));
    insert_behind(node, before, missing, splices);
}

/// The inverse of [`stamp`]: the text without `id`, `meta.versionId` and
/// `meta.lastUpdated`, and without a `meta` that has nothing else.
#[must_use]
pub fn strip(node: Node<'_>) -> String {
    let mut splices = Splices::new();
    let meta = node.get("meta");
    let stamped = |child: &Node<'_>| matches!(child.key(), Some("versionId" | "lastUpdated"));
    let emptied = meta.is_some_and(|meta| meta.children().all(|child| stamped(&child)));
    remove(node, &mut splices, |child| {
        child.key() == Some("id") || (emptied && child.key() == Some("meta"))
    });
    if let (Some(meta), false) = (meta, emptied) {
        remove(meta, &mut splices, |child| stamped(&child));
    }
    splices.apply(node)
}

/// Collects the edits that point links elsewhere: `rewrite` sees each literal
/// and gives its replacement, or `None` to leave it.
///
/// Links are, as the rules of a transaction say, `Reference.reference`,
/// elements of the types uri, url, oid and uuid, and `href` and `src` in the
/// narrative; canonicals are not.
pub fn add_rewrites<F>(node: Node<'_>, mut rewrite: F, splices: &mut Splices<'_>)
where
    F: FnMut(&str) -> Option<String>,
{
    let mut path = Vec::with_capacity(16);
    walk(node, &mut path, &mut rewrite, splices);
}

fn walk<'a>(
    node: Node<'a>,
    path: &mut Vec<Node<'a>>,
    rewrite: &mut dyn FnMut(&str) -> Option<String>,
    splices: &mut Splices<'_>,
) {
    match node.kind() {
        Kind::Object | Kind::Array => {
            path.push(node);
            for child in node.children() {
                walk(child, path, rewrite, splices);
            }
            path.pop();
        }
        Kind::String => link(node, path, rewrite, splices),
        Kind::Number | Kind::Bool | Kind::Null => {}
    }
}

/// Rewrites a string if it is a link. Its type is looked up last, since
/// hardly any text is one that `rewrite` would change.
fn link(
    node: Node<'_>,
    path: &[Node<'_>],
    rewrite: &mut dyn FnMut(&str) -> Option<String>,
    splices: &mut Splices<'_>,
) {
    let Some(text) = node.str() else { return };
    if node.key() == Some("div") {
        if let Some(narrative) = rewrite_narrative(&text, rewrite) {
            splices.replace(node.span(), quoted(&narrative));
        }
        return;
    }
    let reference = node.key() == Some("reference");
    if !reference && !text.starts_with("urn:") && !text.starts_with("http") {
        return;
    }
    if let Some(new) = rewrite(&text)
        && is_link(path, node)
    {
        splices.replace(node.span(), quoted(&new));
    }
}

/// Is the element at the end of this path of a type whose values are links?
fn is_link(path: &[Node<'_>], leaf: Node<'_>) -> bool {
    let definitions = definitions::r4();
    let mut parent: Option<Parent> = None;
    for node in path.iter().chain([&leaf]) {
        if let Some(key) = node.key().filter(|_| parent.is_some()) {
            parent = parent.and_then(|parent| below(definitions, parent, key));
            if parent.is_none() {
                return false;
            }
        }
        if let Some(ty) = node.get("resourceType").and_then(Node::plain_str) {
            parent = definitions.type_named(ty).map(Parent::Type);
        }
    }
    let Some(Parent::Type(ty)) = parent else {
        return false;
    };
    match definitions.ty(ty).name {
        "uri" | "url" | "oid" | "uuid" => true,
        "string" | "http://hl7.org/fhirpath/System.String" => leaf.key() == Some("reference"),
        _ => false,
    }
}

fn below(definitions: &Definitions, parent: Parent, key: &str) -> Option<Parent> {
    definitions.child(parent, key).map(|child| child.parent)
}

/// Rewrites the values of `href="…"` and `src="…"`; `None` if none changed.
fn rewrite_narrative(
    text: &str,
    rewrite: &mut dyn FnMut(&str) -> Option<String>,
) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for name in memchr::memmem::find_iter(text.as_bytes(), b"=\"") {
        let start = name + 2;
        let attribute = &text[..name];
        if start < copied || !(attribute.ends_with(" href") || attribute.ends_with(" src")) {
            continue;
        }
        let Some(length) = text[start..].find('"') else {
            break;
        };
        // A value with entities is none of ours: we never wrote one.
        if let Some(new) = rewrite(&text[start..start + length]) {
            out.push_str(&text[copied..start]);
            out.push_str(&new);
            copied = start + length;
        }
    }
    (copied > 0).then(|| {
        out.push_str(&text[copied..]);
        out
    })
}

fn stamp_meta(meta: Node<'_>, stamp: &Stamp<'_>, splices: &mut Splices<'_>) {
    if meta.kind() != Kind::Object {
        splices.replace(meta.span(), whole_meta(stamp));
        return;
    }
    let mut missing = String::new();
    for (key, value) in [
        ("versionId", stamp.version),
        ("lastUpdated", stamp.last_updated),
    ] {
        match meta.get(key) {
            Some(old) => put(old, value, splices),
            None => member(&mut missing, key, value),
        }
    }
    if !missing.is_empty() {
        insert_behind(meta, None, missing, splices);
    }
}

fn put(old: Node<'_>, value: &str, splices: &mut Splices<'_>) {
    if old.plain_str() != Some(value) {
        splices.replace(old.span(), quoted(value));
    }
}

/// Inserts members behind a member, or as the first ones.
fn insert_behind(
    object: Node<'_>,
    before: Option<Node<'_>>,
    mut members: String,
    splices: &mut Splices<'_>,
) {
    let at = match (before, object.children().next()) {
        (Some(before), _) => {
            members.insert(0, ',');
            before.span().end
        }
        (None, Some(first)) => {
            members.push(',');
            first.member_span().start
        }
        (None, None) => object.span().start + 1,
    };
    splices.replace(at..at, members);
}

/// Removes members, each with one comma: the one before it, or the one behind
/// it when nothing stays before it.
fn remove<'a>(
    object: Node<'a>,
    splices: &mut Splices<'_>,
    mut unwanted: impl FnMut(Node<'a>) -> bool,
) {
    let mut kept_end = None;
    let mut open_start = None;
    for child in object.children() {
        let span = child.member_span();
        if unwanted(child) {
            match kept_end {
                Some(end) => {
                    splices.replace(end..span.end, "");
                    kept_end = Some(span.end);
                }
                None => open_start = open_start.or(Some(span.start)),
            }
        } else {
            if let Some(start) = open_start.take() {
                splices.replace(start..span.start, "");
            }
            kept_end = Some(span.end);
        }
    }
    if let (Some(start), Some(last)) = (open_start, object.children().last()) {
        splices.replace(start..last.span().end, "");
    }
}

fn whole_meta(stamp: &Stamp<'_>) -> String {
    let mut out = String::with_capacity(80);
    member(&mut out, "versionId", stamp.version);
    member(&mut out, "lastUpdated", stamp.last_updated);
    format!("{{{out}}}")
}

fn member(out: &mut String, key: &str, value: &str) {
    comma(out);
    write::string(out, key);
    out.push(':');
    write::string(out, value);
}

fn comma(out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
}

fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    write::string(&mut out, value);
    out
}

#[cfg(test)]
mod tests;
