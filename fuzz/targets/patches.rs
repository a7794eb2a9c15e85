//! Patches: a line of the patch's form, a line with the resource, then the
//! patch. What comes out is JSON, and of JSON Patch nothing in it is empty.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::patch::Patch;

fuzz_target!(|text: &[u8]| {
    let mut parts = text.splitn(3, |byte| *byte == b'\n');
    let (Some(form), Some(resource), Some(patch)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let Ok(resource) = str::from_utf8(resource) else {
        return;
    };
    let is_json = form == b"json";
    let patch = match (
        str::from_utf8(patch),
        Document::parse(patch.to_vec(), &LIMITS),
    ) {
        (Ok(patch), _) if form == b"xml" => Patch::xml(patch),
        (_, Ok(document)) if is_json => Patch::json(document),
        (_, Ok(document)) if form == b"merge" => Patch::merge(document),
        (_, Ok(document)) => Patch::parameters(document),
        _ => return,
    };
    let Ok(patch) = patch else { return };
    let Ok(after) = patch.apply(resource, &LIMITS) else {
        return;
    };
    let after = Document::parse(after.into_bytes(), &LIMITS).expect("patched, it is JSON");
    if is_json {
        let inside = (1..after.nodes_len()).filter_map(|index| after.node(index));
        for node in inside.filter(|node| node.is_object() || node.is_array()) {
            assert!(!Node::is_empty(node), "something empty is left");
        }
    }
});

const LIMITS: Limits = Limits {
    bytes_max: 1 << 16,
    depth_max: 32,
    nodes_max: 1 << 14,
};
