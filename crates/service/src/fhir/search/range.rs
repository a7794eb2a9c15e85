//! What a search is over: a type, a compartment, several types
//! (<https://hl7.org/fhir/R4/search.html#context>).

use salus_auth::policy::compartment;
use salus_fhir::definitions;
use salus_fhir::mask::Hidden;
use salus_store::Filter;

use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::fhir::{check_id, resource_type};

/// The resources of one type that a search is over.
#[derive(Clone)]
pub(super) struct Range {
    /// Where it was asked, below the endpoint.
    pub(super) path: String,
    pub(super) ty: ResourceType,
    /// The compartment.
    pub(super) within: Option<Filter>,
    /// `_type`, when that chose the type.
    pub(super) listed: Option<(String, String)>,
}

impl Range {
    /// All resources of a type.
    pub(super) fn of_type(ty: ResourceType) -> Self {
        Self {
            path: ty.name.to_owned(),
            ty,
            within: None,
            listed: None,
        }
    }

    /// All resources of all types, but for audit events, which are kept apart.
    pub(super) fn everything() -> Vec<Self> {
        let all = ResourceType::all().into_iter();
        all.filter(|ty| ty.name != ResourceType::AUDIT_EVENT)
            .map(|ty| Self {
                path: String::new(),
                ..Self::of_type(ty)
            })
            .collect()
    }
}

/// The names of the compartments that can be searched.
#[must_use]
pub fn compartments() -> &'static [&'static str] {
    definitions::r4().compartments()
}

/// The types that a compartment may hold, and what those within it satisfy.
pub(crate) fn compartment(name: &str, id: &str) -> Result<Vec<(ResourceType, Filter)>, Error> {
    let ranges = Compartment::of(name, id)?.ranges().into_iter();
    Ok(ranges
        .filter_map(|range| Some((range.ty, range.within?)))
        .collect())
}

/// Whether what is in a compartment of this name tells of hidden elements of a type.
pub(crate) fn hides_compartment(hidden: &Hidden, name: &str, ty: ResourceType) -> bool {
    let definitions = definitions::r4();
    let mut codes = definitions.compartment(name, ty.name).iter();
    codes.any(|code| {
        let parameter = definitions.search_parameter(ty.name, code);
        parameter.is_some_and(|parameter| hidden.is_read_by(ty.name, parameter))
    })
}

/// The same of the compartments of all resources of a type that satisfy a
/// filter; all of these are in one.
pub(crate) fn compartments_of(owner: ResourceType, owners: &Filter) -> Vec<(ResourceType, Filter)> {
    let refers = |param| Filter::Refers {
        param,
        kind: owner.kind,
        filter: Box::new(owners.clone()),
    };
    let all = Range::everything()
        .into_iter()
        .filter_map(|Range { ty, .. }| {
            let filters: Vec<Filter> = compartment::params(owner.name, ty.name)
                .map(refers)
                .collect();
            match ty == owner {
                true => Some((ty, owners.clone())),
                false => Some((ty, any(filters)?)),
            }
        });
    all.collect()
}

fn any(mut filters: Vec<Filter>) -> Option<Filter> {
    match filters.len() {
        0 => None,
        1 => filters.pop(),
        _ => Some(Filter::Any(filters)),
    }
}

/// The resources of a compartment: <https://hl7.org/fhir/R4/compartmentdefinition.html>.
pub(super) struct Compartment<'a> {
    /// Such as `Patient`.
    name: &'static str,
    /// Of which one.
    id: &'a str,
}

impl<'a> Compartment<'a> {
    /// The compartment that a URL names.
    pub(super) fn of(name: &str, id: &'a str) -> Result<Self, Error> {
        resource_type(name)?;
        let all = compartments();
        let name = all.iter().find(|known| **known == name).ok_or_else(|| {
            let known = all.join(", ");
            Error::not_found(format!("only these have a compartment: {known}"))
        })?;
        check_id(id)?;
        Ok(Self { name, id })
    }

    /// Those of one type.
    pub(super) fn range(&self, ty: ResourceType) -> Result<Range, Error> {
        let within = self.filter(ty).ok_or_else(|| {
            let (ty, name) = (ty.name, self.name);
            Error::not_found(format!("{ty} is not in the compartment of a {name}"))
        })?;
        Ok(Range {
            path: format!("{}/{}/{}", self.name, self.id, ty.name),
            ty,
            within: Some(within),
            listed: None,
        })
    }

    /// Those of all types, but for audit events, which are kept apart.
    pub(super) fn ranges(&self) -> Vec<Range> {
        let all = Range::everything().into_iter();
        all.filter_map(|range| {
            Some(Range {
                path: format!("{}/{}/*", self.name, self.id),
                within: Some(self.filter(range.ty)?),
                ..range
            })
        })
        .collect()
    }

    /// One is in its own compartment. `None` if the type is never in it.
    fn filter(&self, ty: ResourceType) -> Option<Filter> {
        compartment::of(self.name, ty.name, &[self.id])
    }
}
