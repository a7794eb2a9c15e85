//! The condition of a rule as the records that it means, for somebody.

use salus_auth::policy::{Bindings, Condition, compartment};
use salus_store::Filter;

use crate::context::Context;
use crate::fhir::search::{pairs, rule};
use crate::fhir::types::ResourceType;

/// Which records of a type a rule is about.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) filter: Filter,
    /// Whether somebody has all that the condition names of them.
    pub(super) whole: bool,
}

/// What a condition means for resources of a type, or why it means nothing.
/// `None`: they are never in the compartment that it names.
pub(super) fn meaning(
    cx: &Context,
    ty: ResourceType,
    text: &str,
    bindings: &Bindings,
) -> Result<Option<Meaning>, String> {
    let condition = Condition::parse(text)?;
    let mut whole = true;
    let mut parts = Vec::with_capacity(2);
    if let Some((name, place)) = condition.compartment {
        let ids = bindings.ids(name, place)?;
        whole &= !ids.is_empty();
        match compartment::of(name, ty.name, &ids) {
            Some(within) => parts.push(within),
            None => return Ok(None),
        }
    }
    if !condition.search.is_empty() {
        let mut parameters = pairs(condition.search);
        for (name, value) in &mut parameters {
            let filled = bindings.fill(name, value)?;
            whole &= filled.whole;
            *value = filled.text;
        }
        let filter = rule::filter(cx, ty, &parameters);
        parts.push(filter.map_err(|issue| format!("{}: {}", issue.expression, issue.details))?);
    }
    let filter = match parts.len() {
        1 => parts.remove(0),
        _ => Filter::All(parts),
    };
    Ok(Some(Meaning { filter, whole }))
}
