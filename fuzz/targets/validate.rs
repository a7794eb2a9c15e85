//! Validation of any resource: it ends, says where each fault is, and tells
//! nothing of the content.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::issue::operation_outcome;
use salus_fhir::json::{Document, Limits};
use salus_fhir::validate;

fuzz_target!(|text: &[u8]| {
    let Ok(document) = Document::parse(text.to_vec(), &Limits::default()) else {
        return;
    };
    let Err(issues) = validate::resource(document.root()) else {
        return;
    };
    assert!(!issues.is_empty(), "refused for no reason");
    let outcome = operation_outcome(&issues);
    let outcome = Document::parse(outcome.into_bytes(), &Limits::default());
    let outcome = outcome.expect("an outcome is JSON");
    validate::resource(outcome.root()).expect("an outcome is a valid resource");
});
