//! What is on a list, as a filter of the store.

use salus_fhir::search::{Current, Listed};
use salus_store::{Filter, Kind, Param, Test};

use crate::fhir::list;
use crate::fhir::types::ResourceType;

/// The Lists of these ids, and the resources that are current.
pub(super) fn parts(ty: ResourceType, listed: &[Listed]) -> (Vec<Box<str>>, Vec<Filter>) {
    let (mut ids, mut filters) = (Vec::new(), Vec::new());
    for one in listed {
        match one {
            Listed::Id(id) => ids.push(id.clone()),
            Listed::Current(current) => filters.push(self::current(ty, *current)),
        }
    }
    (ids, filters)
}

/// Resources that are on a List that satisfies a filter.
pub(super) fn on(list: Filter) -> Filter {
    Filter::Referred {
        kind: Kind::named("List"),
        param: list::member_param(),
        filter: list.into(),
    }
}

/// What a resource must say of itself to be current.
fn current(ty: ResourceType, current: Current) -> Filter {
    let is_any = |code: &str, codes: &[&str]| {
        let param = Param::named(ty.name, code);
        let test = |code: &&str| Test::Token {
            system: None,
            code: Some((*code).into()),
        };
        Filter::Any(
            codes
                .iter()
                .map(|code| Filter::Value(param, test(code)))
                .collect(),
        )
    };
    let wrong = is_any("verification-status", &["refuted", "entered-in-error"]);
    let is_right = Filter::Not(wrong.into());
    let active = ["active", "recurrence", "relapse"];
    match current {
        Current::Problems => Filter::All(vec![is_any("clinical-status", &active), is_right]),
        Current::Medications => is_any("status", &["active"]),
        Current::Allergies => Filter::All(vec![is_any("clinical-status", &["active"]), is_right]),
        Current::DrugAllergies => Filter::All(vec![
            is_any("clinical-status", &["active"]),
            is_any("category", &["medication"]),
            is_right,
        ]),
    }
}
