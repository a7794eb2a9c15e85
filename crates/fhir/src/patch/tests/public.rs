//! The public cases of patches, from `tests/patch` of the shared data.

use super::*;
use serde_json::Value;
use std::path::PathBuf;

/// A file of cases, if it is at hand.
fn cases(name: &str) -> Option<String> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = std::env::var_os("SALUS_SHARED").map_or(root, PathBuf::from);
    let text = std::fs::read_to_string(shared.join("data/tests/patch").join(name));
    if text.is_err() {
        eprintln!("skipped: no {name} (SALUS_SHARED names the folder)");
    }
    text.ok()
}

#[test]
fn json_patches_do_as_the_public_cases_say() {
    let Some(text) = cases("json-patch-tests.json") else {
        return;
    };
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 16);
    for case in &cases {
        let patch = Patch::json(parse(&case["patch"].to_string()));
        let after = patch.and_then(|patch| {
            let mut draft = Draft::of(&case["doc"].to_string(), &LIMITS)?;
            let Form::Json(patch) = &patch.0 else {
                panic!("no JSON Patch");
            };
            // Without the pruning of what is empty, which is FHIR's.
            patch.apply(&mut draft)?;
            Ok(draft.into_text())
        });
        match (after, case.get("expected")) {
            (Ok(after), Some(expect)) => {
                let after: Value = serde_json::from_str(&after).unwrap();
                assert_eq!(after, *expect, "{}", case["comment"]);
            }
            (Err(_), None) => assert!(case["error"].is_string()),
            (after, _) => panic!("{}: {after:?}", case["comment"]),
        }
    }
}

const LIMITS: Limits = Limits {
    bytes_max: 1 << 20,
    depth_max: 64,
    nodes_max: 1 << 20,
};

/// The XML of the one element in an element of a case, which may be missing.
fn inside(case: roxmltree::Node<'_, '_>, name: &str) -> Option<String> {
    let part = case.children().find(|node| node.has_tag_name(name))?;
    let element = part.first_element_child()?;
    let text = element.document().input_text();
    Some(text[element.range()].to_owned())
}

fn each_case(text: &str, least: usize, mut check: impl FnMut(roxmltree::Node<'_, '_>, &str)) {
    let document = roxmltree::Document::parse(text).unwrap();
    let cases = document.root_element().children();
    let mut seen = 0;
    for case in cases.filter(|node| node.has_tag_name("case")) {
        check(case, case.attribute("name").unwrap());
        seen += 1;
    }
    assert!(seen >= least, "{seen}");
}

#[test]
fn fhirpath_patches_do_as_the_public_cases_say() {
    let Some(text) = cases("fhir-patch-tests.xml") else {
        return;
    };
    each_case(&text, 33, |case, name| {
        let json = |part: &str| {
            let xml = inside(case, part)?;
            Some(
                crate::xml::read(xml.as_bytes(), &LIMITS).unwrap_or_else(|error| {
                    panic!("{name}: {part}: {error}");
                }),
            )
        };
        let patch = Patch::parameters(parse(&json("diff").unwrap()));
        let after = patch.and_then(|patch| patch.apply(&json("input").unwrap(), &LIMITS));
        match (after, json("output")) {
            (Ok(after), Some(expect)) => {
                let after: Value = serde_json::from_str(&after).unwrap();
                // A narrative is kept as it was written: `&quot;` here, `"` in the patch.
                let expect = expect.replace("&quot;", "\\\"");
                let expect: Value = serde_json::from_str(&expect).unwrap();
                assert_eq!(after, expect, "{name}");
            }
            (Err(_), None) => {}
            (after, expect) => panic!("{name}: {after:?} is not {expect:?}"),
        }
    });
}

#[test]
fn xml_patches_do_as_the_public_cases_say() {
    let Some(text) = cases("xml-patch-tests.xml") else {
        return;
    };
    each_case(&text, 27, |case, name| {
        let patch = case
            .children()
            .find(|node| node.tag_name().name() == "patch");
        let patch = &text[patch.unwrap().range()];
        let after = XmlPatch::read(patch).and_then(|patch| {
            patch.apply(inside(case, "target").unwrap_or_default(), LIMITS.bytes_max)
        });
        match (after, inside(case, "patched")) {
            (Ok(after), Some(expect)) => assert_eq!(plain(&after), plain(&expect), "{name}"),
            (Err(_), None) => {}
            (after, expect) => panic!("{name}: {after:?} is not {expect:?}"),
        }
    });
}

/// XML as it is meant: without spaces between elements, attributes in order.
fn plain(xml: &str) -> String {
    let document = roxmltree::Document::parse(xml).unwrap();
    let root = document.root_element();
    let mut out = String::new();
    let namespaces = root.namespaces();
    let mut namespaces: Vec<_> = namespaces
        .map(|namespace| format!("{:?}={} ", namespace.name(), namespace.uri()))
        .collect();
    namespaces.sort();
    out.push_str(&namespaces.concat());
    write_plain(root, &mut out);
    out
}

fn write_plain(node: roxmltree::Node<'_, '_>, out: &mut String) {
    if node.is_element() {
        let name = node.tag_name();
        out.push_str(&format!(
            "<{}|{}",
            name.namespace().unwrap_or_default(),
            name.name()
        ));
        let attributes = node.attributes();
        let mut attributes: Vec<_> = attributes
            .map(|a| format!(" {}={}", a.name(), a.value()))
            .collect();
        attributes.sort();
        out.push_str(&attributes.concat());
        out.push('>');
        node.children().for_each(|child| write_plain(child, out));
        out.push_str("</>");
    } else if node.is_comment() {
        out.push_str(&format!("<!--{}-->", node.text().unwrap().trim()));
    } else {
        out.push_str(node.text().unwrap_or_default().trim());
    }
}
