//! JSON text to tape: every text is refused, or kept byte for byte and the same
//! however it is laid out.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::json::{Document, Kind, Limits, Node, write};

fuzz_target!(|text: &[u8]| {
    let Ok(document) = Document::parse(text.to_vec(), &Limits::default()) else {
        return;
    };
    assert_eq!(document.text().as_bytes(), text);
    let count = walk(document.root());
    assert_eq!(count, document.nodes_len());
    let compact = write::compact(document.root());
    let pretty = write::pretty(document.root());
    let again = Document::parse(pretty.into_bytes(), &Limits::default());
    let again = again.expect("what we lay out can be read");
    assert_eq!(write::compact(again.root()), compact);
    assert_eq!(again.nodes_len(), count);
});

/// Reads all there is of a value and counts its nodes.
fn walk(node: Node<'_>) -> usize {
    assert_eq!(&node.document().text()[node.span()], node.raw());
    if let Some(text) = node.str() {
        let mut written = String::new();
        write::string(&mut written, &text);
        let again = Document::parse(written.into_bytes(), &Limits::default());
        let again = again.expect("a string that we write can be read");
        assert_eq!(again.root().str().as_deref(), Some(&*text));
    }
    let mut count = 1;
    for child in node.children() {
        assert!(node.index() < child.index() && child.end_index() <= node.end_index());
        if let (Kind::Object, Some(key)) = (node.kind(), child.key()) {
            assert_eq!(node.get(key).map(Node::index), Some(child.index()));
        }
        count += walk(child);
    }
    assert_eq!(node.end_index() - node.index(), count);
    count
}
