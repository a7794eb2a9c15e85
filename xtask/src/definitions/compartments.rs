//! The compartments of R4: which search parameters put a resource into one.

use std::fmt::Write as _;

use super::package::{Package, items, joined, text_of};

pub(super) const SHAPE: &[&str] = &["compartment resource parameters"];

pub(super) fn derive(package: &Package) -> Result<String, String> {
    let mut out = String::new();
    for definition in package.of_type("CompartmentDefinition") {
        // The package also holds an example, with an address of its own.
        let url = text_of(definition, "url");
        if !url.starts_with("http://hl7.org/fhir/CompartmentDefinition/")
            || url.ends_with("/example")
        {
            continue;
        }
        let code = text_of(definition, "code");
        for resource in items(definition, "resource") {
            let parameters = joined(resource, "param");
            if !parameters.is_empty() {
                let name = text_of(resource, "code");
                let _ = writeln!(out, "{code}\t{name}\t{parameters}");
            }
        }
    }
    Ok(out)
}
