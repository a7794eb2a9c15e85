//! Stamping and rewriting: what comes out is JSON again, says what was put in,
//! and is otherwise what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::json::{Document, Limits};
use salus_fhir::resource::Resource;
use salus_fhir::splice::{Splices, Stamp, add_rewrites, stamp, strip};

fuzz_target!(|text: &[u8]| {
    let Some(document) = parsed(text.to_vec()) else {
        return;
    };
    let root = document.root();
    if Resource::of(root).is_none() {
        return;
    }
    let marks = Stamp {
        id: "a-1",
        version: "7",
        last_updated: "2026-01-01T00:00:00.000Z",
    };
    let stamped = parsed(stamp(root, &marks).into_bytes()).expect("stamped, it is JSON");
    let meta = stamped.root().get("meta").expect("a stamp has meta");
    assert_eq!(
        stamped.root().get("id").and_then(|id| id.plain_str()),
        Some("a-1")
    );
    assert_eq!(meta.get("versionId").and_then(|v| v.plain_str()), Some("7"));
    // Again, it is the same text.
    assert_eq!(stamp(stamped.root(), &marks), stamped.text());
    // Whatever stood in the stamped places is gone with the stamp, so what
    // is left depends on the rest alone.
    let left = strip(stamped.root());
    let left = parsed(left.into_bytes()).expect("stripped, it is JSON");
    assert!(left.root().get("id").is_none());
    assert_eq!(strip(left.root()), left.text(), "nothing is left to strip");

    let mut splices = Splices::new();
    add_rewrites(
        root,
        |link| Some(format!("urn:x:{}", link.len())),
        &mut splices,
    );
    parsed(splices.apply(root).into_bytes()).expect("rewritten, it is JSON");
});

fn parsed(text: Vec<u8>) -> Option<Document> {
    Document::parse(text, &Limits::default()).ok()
}
