//! Whether everything written is valid R4, by our own validation.

use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::validate;

use super::{TODAY, population};
use crate::{Population, markers};

#[track_caller]
fn check_text(text: &str) {
    let document = Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
    check(document.root());
}

#[track_caller]
fn check(resource: Node<'_>) {
    if let Err(issues) = validate::resource(resource) {
        let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
        panic!("{}\n{}", resource.raw(), issues.join("\n"));
    }
}

#[test]
fn every_resource_is_valid() {
    let population = population(50);
    for life in population.lives() {
        life.text.lines().for_each(check_text);
    }
    population.directory().0.lines().for_each(check_text);
}

#[test]
fn bundles_are_valid() {
    let population = Population::new(7, 3, TODAY);
    check_text(&population.directory().0);
    population.lives().for_each(|life| check_text(&life.text));
}

#[test]
fn marked_resources_are_valid() {
    check_text(&markers(1).bundle);
}
