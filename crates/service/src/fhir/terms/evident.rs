//! The code system of a code that comes without one, where there is only one
//! that it can be from: that of the value set to which the element is bound.

use salus_fhir::definitions::{self, Parent, SearchParameter, Strength};

/// The system, if all elements of a parameter of a type are bound to value sets
/// of this one only.
pub(super) fn system(ty: &str, parameter: &SearchParameter) -> Option<&'static str> {
    let own = format!("{ty}.");
    let mut only = None;
    for path in parameter.expression.split('|') {
        let path = path.trim().trim_matches(['(', ')']);
        // Of other types, where a parameter is one of several.
        let Some(path) = path.strip_prefix(&own) else {
            continue;
        };
        let system = of_element(ty, path)?;
        if *only.get_or_insert(system) != system {
            return None;
        }
    }
    only
}

/// The one system of an element's value set.
fn of_element(ty: &str, path: &str) -> Option<&'static str> {
    let definitions = definitions::r4();
    let mut parent = Parent::Type(definitions.resource_named(ty)?);
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let child = definitions.child(parent, name)?;
        if names.peek().is_some() {
            parent = child.parent;
            continue;
        }
        let binding = definitions.element(child.element).binding.as_ref()?;
        // Other bindings are advice: a code may be from anywhere.
        if !matches!(binding.strength, Strength::Required | Strength::Extensible) {
            return None;
        }
        let parts = definitions.value_set_of(binding.set?).parts();
        let mut included = parts.iter().filter(|part| !part.excludes);
        let first = included.next().filter(|part| part.sets.is_empty())?.system;
        let is_same = |part: &definitions::Part| part.system == first && part.sets.is_empty();
        let is_only = !first.is_empty() && included.all(is_same);
        return is_only.then_some(first);
    }
    None
}
