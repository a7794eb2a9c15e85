//! Code systems and value sets as anyone may send them: what is read can be
//! expanded, and what is expanded is bounded.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;

use salus_fhir::json::{Document, Limits};
use salus_terminology::{CODES_MAX, CodeSystem, Direction, Library, ValueSet};

fuzz_target!(|input: &str| {
    // The first line is a code system, the second a value set on it.
    let (first, second) = input.split_once('\n').unwrap_or((input, ""));
    let read = |text: &str| Document::parse(text.as_bytes().to_vec(), &Limits::default()).ok();
    let mut library = Library::default();
    if let Some(Ok(system)) = read(first).map(|document| CodeSystem::read(document.root())) {
        let url = system.url().to_owned();
        for code in ["a", "b"] {
            let below = system.related(code, Direction::Below).map(Iterator::count);
            assert!(below.is_err() || below.is_ok_and(|count| count <= system.len()));
            assert_eq!(system.subsumes(code, code).is_ok(), below.is_ok());
        }
        library.add_system(&url, Arc::new(system));
    }
    if let Some(Ok(set)) = read(second).map(|document| ValueSet::read(document.root())) {
        let set = Arc::new(set);
        let url = set.url().unwrap_or("urn:v").to_owned();
        library.add_set(&url, Arc::clone(&set)).unwrap();
        if let Ok(members) = library.expand(&set) {
            assert!(members.codes().len() <= CODES_MAX);
            let all = members
                .codes()
                .all(|(system, code)| members.contains(system, code));
            assert!(all);
        }
    }
});
