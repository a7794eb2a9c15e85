//! The text of a Binary whose content is a blob: without `data`, and with the
//! tag of what is not whole (<https://hl7.org/fhir/R4/search.html#summary>), as
//! searches and bundles show it. Who gets the content with it gets no tag.

use bytes::Bytes;
use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::search::SUBSETTED;
use salus_fhir::splice::Splices;

/// The text of a Binary without its member `data`, marked.
pub(super) fn shortened(binary: Node<'_>) -> String {
    let mut splices = Splices::new();
    let members: Vec<Node<'_>> = binary.children().collect();
    let data = members.iter().position(|node| node.key() == Some("data"));
    if let Some(at) = data {
        cut(&members, at, &mut splices);
    }
    let tags = tags(binary);
    let marked = tags.is_some_and(|tags| tags.children().any(is_mark));
    match (binary.get("meta"), tags) {
        _ if marked => {}
        (_, Some(tags)) => insert(tags, SUBSETTED.to_owned(), &mut splices),
        (Some(meta), None) => insert(meta, format!(r#""tag":[{SUBSETTED}]"#), &mut splices),
        // What is stored always has meta.
        (None, None) => {}
    }
    splices.apply(binary)
}

/// The text of a Binary whose content is not shown with it, marked.
pub(crate) fn marked(text: Bytes) -> Bytes {
    edited(text, |binary| Some(shortened(binary)))
}

/// The text as it was before it was marked, for who gets the content with it.
pub(crate) fn whole(text: Bytes) -> Bytes {
    edited(text, unmarked)
}

fn edited(text: Bytes, edit: impl FnOnce(Node<'_>) -> Option<String>) -> Bytes {
    let limits = Limits {
        bytes_max: usize::MAX,
        ..Limits::default()
    };
    // What is stored is valid.
    let document = Document::parse(text.clone().into(), &limits).ok();
    match document.and_then(|document| edit(document.root())) {
        Some(text) => text.into(),
        None => text,
    }
}

/// The text without the mark, if it has it.
pub(super) fn unmarked(binary: Node<'_>) -> Option<String> {
    let tags: Vec<Node<'_>> = tags(binary)?.children().collect();
    let at = tags.iter().position(|tag| is_mark(*tag))?;
    let mut splices = Splices::new();
    if tags.len() > 1 {
        cut(&tags, at, &mut splices);
    } else {
        let members: Vec<Node<'_>> = binary.get("meta")?.children().collect();
        let at = members.iter().position(|node| node.key() == Some("tag"))?;
        cut(&members, at, &mut splices);
    }
    Some(splices.apply(binary))
}

fn tags(binary: Node<'_>) -> Option<Node<'_>> {
    let tags = binary.get("meta").and_then(|meta| meta.get("tag"));
    tags.filter(|tags| tags.is_array())
}

/// The tag in any spelling: who stores what was shown may have written it anew.
fn is_mark(tag: Node<'_>) -> bool {
    let is = |name, value| tag.get(name).and_then(Node::plain_str) == Some(value);
    is("code", "SUBSETTED") && is("system", SYSTEM)
}

const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// Takes a member or an item out, with one comma beside it.
fn cut(siblings: &[Node<'_>], at: usize, splices: &mut Splices<'_>) {
    let start = |node: &Node<'_>| match node.key() {
        Some(_) => node.member_span().start,
        None => node.span().start,
    };
    let (node, end) = (&siblings[at], siblings[at].span().end);
    let span = match (at.checked_sub(1), siblings.get(at + 1)) {
        (Some(before), _) => siblings[before].span().end..end,
        (None, Some(next)) => start(node)..start(next),
        (None, None) => start(node)..end,
    };
    splices.replace(span, "");
}

/// Appends to an object or an array.
fn insert(to: Node<'_>, text: String, splices: &mut Splices<'_>) {
    let end = to.children().last().map(|last| last.span().end);
    match end {
        Some(end) => splices.replace(end..end, format!(",{text}")),
        None => {
            let end = to.span().end - 1;
            splices.replace(end..end, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str, whole_again: &str) {
        let expected = expected.replace('#', SUBSETTED);
        let document = Document::parse(text.to_owned().into(), &Limits::default()).unwrap();
        let short = shortened(document.root());
        assert_eq!(short, expected);
        assert_eq!(whole(short.clone().into()), whole_again);
        // What is marked is not marked twice.
        let document = Document::parse(short.clone().into(), &Limits::default()).unwrap();
        assert_eq!(shortened(document.root()), short);
    }

    #[test]
    fn data_is_cut_out_wherever_it_stands() {
        check(
            r#"{"a":"b", "data" : "AA=="}"#,
            r#"{"a":"b"}"#,
            r#"{"a":"b"}"#,
        );
        let rest = r#"{ "a":"b"}"#;
        check(r#"{ "data":"AA==" , "a":"b"}"#, rest, rest);
        let rest = r#"{"a":1,"b":{"data":1}}"#;
        check(r#"{"a":1,"data":"AA==","b":{"data":1}}"#, rest, rest);
        check(r#"{"data":"AA=="}"#, "{}", "{}");
        check(r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1}"#);
    }

    #[test]
    fn the_mark_comes_and_goes_and_leaves_nothing() {
        check(
            r#"{"meta":{"versionId":"1" },"data":"AA=="}"#,
            r##"{"meta":{"versionId":"1","tag":[#] }}"##,
            r#"{"meta":{"versionId":"1" }}"#,
        );
        check(
            r#"{"meta":{"tag":[ {"code":"a"} ],"versionId":"1"}}"#,
            r##"{"meta":{"tag":[ {"code":"a"},# ],"versionId":"1"}}"##,
            r#"{"meta":{"tag":[ {"code":"a"} ],"versionId":"1"}}"#,
        );
        let tag = format!(r#"{{"code":"SUBSETTED", "system":"{SYSTEM}"}}"#);
        let marked = format!(r#"{{"meta":{{"tag":[{tag},{{"code":"a"}}]}}}}"#);
        assert_eq!(whole(marked.into()), r#"{"meta":{"tag":[{"code":"a"}]}}"#);
    }
}
