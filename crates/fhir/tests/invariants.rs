//! The invariants of R4 on real records: every rule that counts as an error runs on every
//! element it is for, and holds. Synthea's records are believed to be valid; a rule that fails
//! here would be a fault of the engine.

// All of this is test code, in functions that the lints do not know as such.
#![allow(clippy::expect_used)]

use salus_fhir::definitions::{Invariant, Parent, TypeId, r4};
use salus_fhir::fhirpath::{Context, Expression, Item, Options, Shape};
use salus_fhir::json::{Document, Limits, Node};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Enough for every kind of resource, and quick.
const RESOURCES_MAX: usize = 400;

type Rules = Vec<(&'static str, Expression)>;

#[test]
fn invariants_hold_on_synthetic_records() {
    let Some(document) = bundle() else {
        println!("skipped: there are no records in the shared folder");
        return;
    };
    let all = Expression::compile_with("$this | descendants()", None, Options::default());
    let all = all.expect("compiles");
    let mut rules = HashMap::new();
    let mut broken = BTreeSet::new();
    let (mut resources, mut checked) = (0, 0);
    let entries = document.root().get("entry").expect("entries");
    for resource in entries.children().filter_map(|entry| entry.get("resource")) {
        resources += 1;
        if resources > RESOURCES_MAX {
            break;
        }
        let mut elements = Vec::new();
        let focus = Item::resource(resource);
        let context = Context::default();
        all.evaluate(&context, &focus, &mut elements).expect("runs");
        for element in &elements {
            checked += check(resource, element, &mut rules, &mut broken);
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(checked > 1000, "{checked}");
}

fn check(
    resource: Node<'_>,
    item: &Item<'_>,
    rules: &mut HashMap<(TypeId, Parent), Rules>,
    broken: &mut BTreeSet<String>,
) -> usize {
    let Some(shape) = item.element().and_then(|element| element.shape) else {
        return 0;
    };
    let rules = rules
        .entry((shape.ty, shape.parent))
        .or_insert_with(|| rules_of(shape));
    let context = Context {
        resource: Some(resource),
        ..Context::default()
    };
    for (key, rule) in rules.iter() {
        let name = r4().ty(shape.ty).name;
        match rule.truth(&context, item) {
            // Empty breaks nothing: ref-1 says nothing of a Reference with a display only.
            Ok(Some(true) | None) => {}
            Ok(Some(false)) => {
                broken.insert(format!("{key} on {name}"));
            }
            Err(error) => {
                broken.insert(format!("{key} on {name} fails: {error}"));
            }
        }
    }
    rules.len()
}

/// The rules of a type with those that it inherits, and those of a backbone element.
fn rules_of(shape: Shape) -> Rules {
    let mut invariants: Vec<Invariant> = Vec::new();
    let mut ty = Some(shape.ty);
    while let Some(id) = ty {
        invariants.extend(r4().ty(id).invariants);
        ty = r4().ty(id).base;
    }
    if let Parent::Element(element) = shape.parent {
        invariants.extend(r4().element(element).invariants);
    }
    invariants
        .into_iter()
        .filter(|rule| rule.is_error)
        .map(|rule| {
            let options = Options::default();
            let compiled = Expression::compile_with(rule.expression, Some(shape), options);
            (rule.key, compiled.expect(rule.key))
        })
        .collect()
}

/// The smallest of the shared bundles.
fn bundle() -> Option<Document> {
    let folder = shared().join("data/synthea");
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let files = files.filter(|file| file.path().extension().is_some_and(|end| end == "json"));
    let size = |file: &std::fs::DirEntry| file.metadata().map_or(u64::MAX, |data| data.len());
    let smallest = files.min_by_key(|file| (size(file), file.path()))?;
    let text = std::fs::read(smallest.path()).expect("readable");
    Some(Document::parse(text, &Limits::default()).expect("JSON"))
}

fn shared() -> PathBuf {
    match std::env::var_os("SALUS_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    }
}
