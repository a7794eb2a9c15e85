//! What searches of a type are served, for the CapabilityStatement.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use salus_fhir::definitions::{self, SearchKind, SearchParameter};

use crate::fhir::types::ResourceType;

/// A parameter that is served, with its type as FHIR names it.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// The parameter.
    pub parameter: &'static SearchParameter,
    /// <https://hl7.org/fhir/R4/valueset-search-param-type.html>
    pub kind: &'static str,
}

/// The parameters of a type that are served.
#[must_use]
pub fn parameters(ty: ResourceType) -> Vec<Served> {
    let parameters = definitions::r4().search_parameters(ty.name).iter();
    parameters
        .filter(|parameter| is_served(parameter))
        .filter_map(|parameter| {
            let kind = kind(parameter.kind)?;
            Some(Served { parameter, kind })
        })
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
pub fn includes(ty: ResourceType) -> Vec<String> {
    let references = references(ty);
    references
        .map(|p| format!("{}:{}", ty.name, p.code))
        .collect()
}

/// The values of `_revinclude` for a type: the references of all types that may lead to it.
#[must_use]
pub fn reverse_includes(ty: ResourceType) -> &'static [String] {
    static BY_TARGET: LazyLock<BTreeMap<&'static str, Vec<String>>> = LazyLock::new(|| {
        let mut by_target: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for source in ResourceType::all() {
            for parameter in references(source) {
                for target in parameter.targets {
                    let target = definitions::r4().ty(*target).name;
                    let value = format!("{}:{}", source.name, parameter.code);
                    by_target.entry(target).or_default().push(value);
                }
            }
        }
        by_target
    });
    BY_TARGET.get(ty.name).map_or(&[], Vec::as_slice)
}

fn references(ty: ResourceType) -> impl Iterator<Item = &'static SearchParameter> {
    let parameters = definitions::r4().search_parameters(ty.name).iter();
    parameters.filter(|parameter| parameter.kind == SearchKind::Reference)
}

fn kind(kind: SearchKind) -> Option<&'static str> {
    match kind {
        SearchKind::Token => Some("token"),
        SearchKind::String => Some("string"),
        SearchKind::Date => Some("date"),
        SearchKind::Reference => Some("reference"),
        SearchKind::Number => Some("number"),
        SearchKind::Quantity => Some("quantity"),
        SearchKind::Uri => Some("uri"),
        SearchKind::Composite => Some("composite"),
        // Of those with values, there is only `near`.
        SearchKind::Special => Some("special"),
    }
}
