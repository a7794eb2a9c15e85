//! FHIRPath: the first line is an expression, the rest a document.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::definitions;
use salus_fhir::fhirpath::{Context, Expression, Item, Options};
use salus_fhir::json::{Document, Limits};
use salus_fhir::resource::Resource;

fuzz_target!(|input: &str| {
    let (text, document) = input.split_once('\n').unwrap_or((input, ""));
    let patient = definitions::r4().resource_named("Patient");
    if let Some(patient) = patient {
        let _ = Expression::compile(text, patient);
        let _ = Expression::compile_search(text, patient);
    }
    let Ok(expression) = Expression::compile_with(text, None, Options::default()) else {
        return;
    };
    let Ok(document) = Document::parse(document.as_bytes().to_vec(), &Limits::default()) else {
        return;
    };
    let context = Context {
        now: salus_fhir::primitive::DateTime::from_epoch_ms(1_767_225_600_000),
        steps_max: 20_000,
        ..Context::default()
    };
    let focus = Item::resource(document.root());
    let mut items = Vec::new();
    let first = expression.evaluate(&context, &focus, &mut items).is_ok();
    let count = items.len();
    items.clear();
    let second = expression.evaluate(&context, &focus, &mut items).is_ok();
    assert_eq!((first, count), (second, items.len()), "the same twice");
    let _ = expression.truth(&context, &focus);
    if let Some(resource) = Resource::of(document.root()) {
        if let Ok(compiled) = Expression::compile(text, resource.ty()) {
            items.clear();
            let _ = compiled.evaluate(&context, &focus, &mut items);
        }
    }
});
