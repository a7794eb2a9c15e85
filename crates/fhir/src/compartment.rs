//! Compartments: <https://hl7.org/fhir/R4/compartmentdefinition.html>.
//!
//! A patient's compartment is what belongs to the patient's record: access
//! rules and keys go by it. Membership follows from reference values that are
//! extracted for search anyway.

use crate::definitions;
use crate::search::{Entry, Value};

/// The ids of the patients in whose compartment a resource is, each once, in
/// the order of their references. `id` is the resource's own: a Patient is in
/// its own compartment.
///
/// `entries` are the values of the resource, as the extractor of its type gives
/// them.
#[must_use]
pub fn patients<'a>(ty: &str, id: &'a str, entries: &'a [Entry<'_>]) -> Vec<&'a str> {
    of("Patient", ty, id, entries)
}

/// The ids of the compartments of one kind (`Patient`, `Encounter`, ...) in
/// which a resource is.
#[must_use]
pub fn of<'a>(kind: &str, ty: &str, id: &'a str, entries: &'a [Entry<'_>]) -> Vec<&'a str> {
    let definitions = definitions::r4();
    let codes = definitions.compartment(kind, ty);
    let parameters = definitions.search_parameters(ty);
    let mut ids = Vec::new();
    if ty == kind {
        ids.push(id);
    }
    for entry in entries {
        let Value::Reference { ty, id, .. } = &entry.value else {
            continue;
        };
        let parameter = parameters.get(usize::from(entry.parameter));
        let member = parameter.is_some_and(|parameter| codes.contains(&parameter.code));
        if member && ty == kind && !ids.contains(&id.as_ref()) {
            ids.push(id);
        }
    }
    ids
}
