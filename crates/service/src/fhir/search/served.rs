//! What searches of a type are served, for the CapabilityStatement.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use salus_fhir::definitions::{self, SearchKind, SearchParameter};
use salus_fhir::search::Parameters;

use crate::fhir::types::ResourceType;

/// The parameters of a type that are served.
#[must_use]
pub fn parameters(known: &Parameters, ty: ResourceType) -> Vec<&'static SearchParameter> {
    known
        .of(ty.name)
        .filter(|parameter| is_served(parameter))
        .collect()
}

/// Those without a path are not about values, and each is its own case.
fn is_served(parameter: &SearchParameter) -> bool {
    !parameter.expression.is_empty() || matches!(parameter.code, "_text" | "_content")
}

/// The parameters of a type that are served and have no values: each has a
/// meaning of its own.
#[must_use]
pub fn specials(ty: ResourceType) -> Vec<&'static str> {
    let audit = ty.name == ResourceType::AUDIT_EVENT;
    // Audit events are on no list.
    let all = ["_filter", "_query", "_list"].into_iter();
    all.filter(|name| !audit || *name != "_list").collect()
}

/// The values of `_include` for a type.
#[must_use]
pub fn includes(known: &Parameters, ty: ResourceType) -> Vec<String> {
    references(known, ty)
        .map(|p| format!("{}:{}", ty.name, p.code))
        .collect()
}

/// The values of `_revinclude` for a type: the references of all types that may lead to it.
#[must_use]
pub fn reverse_includes(known: &Parameters, ty: ResourceType) -> Vec<String> {
    static BY_TARGET: LazyLock<BTreeMap<&'static str, Vec<String>>> = LazyLock::new(|| {
        let mut by_target: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for source in ResourceType::all() {
            for parameter in references(Parameters::r4(), source) {
                for target in parameter.targets {
                    let target = definitions::r4().ty(*target).name;
                    let value = format!("{}:{}", source.name, parameter.code);
                    by_target.entry(target).or_default().push(value);
                }
            }
        }
        by_target
    });
    let mut values = BY_TARGET.get(ty.name).cloned().unwrap_or_default();
    for source in known.own_types() {
        let own = known.own_of(source);
        let references = own.filter(|parameter| parameter.kind == SearchKind::Reference);
        let leads = references.filter(|parameter| {
            let mut targets = parameter.targets.iter();
            targets.any(|target| definitions::r4().ty(*target).name == ty.name)
        });
        values.extend(leads.map(|parameter| format!("{source}:{}", parameter.code)));
    }
    values
}

fn references(
    known: &Parameters,
    ty: ResourceType,
) -> impl Iterator<Item = &'static SearchParameter> {
    let parameters = known.of(ty.name);
    parameters.filter(|parameter| parameter.kind == SearchKind::Reference)
}
