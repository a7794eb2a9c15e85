//! Compartments: <https://hl7.org/fhir/R4/compartmentdefinition.html>.
//!
//! A patient's compartment is what belongs to the patient's record: access
//! rules and keys go by it. Membership follows from reference values that are
//! extracted for search anyway.

use crate::search::{Entry, Extractor, Value};

/// The ids of the patients in whose compartment a resource is, each once, in
/// the order of their references. `id` is the resource's own: a Patient is in
/// its own compartment.
///
/// `entries` are the values of the resource, as the extractor of its type gives
/// them.
#[must_use]
pub fn patients<'a>(ty: &str, id: &'a str, entries: &'a [Entry<'_>]) -> Vec<&'a str> {
    let mut ids = Vec::new();
    if ty == "Patient" {
        ids.push(id);
    }
    let Some(extractor) = Extractor::for_type(ty) else {
        return ids;
    };
    for entry in entries {
        let Value::Reference { ty, id, .. } = &entry.value else {
            continue;
        };
        let member = ty == "Patient" && extractor.is_of_patient(entry.parameter);
        if member && !ids.contains(&id.as_ref()) {
            ids.push(id);
        }
    }
    ids
}
