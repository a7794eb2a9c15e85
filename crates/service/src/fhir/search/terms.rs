//! `:in`, `:not-in`, and `:above` and `:below` on tokens and references, as
//! filters: what they ask was found out before (see [`crate::fhir::terms`]).

use salus_fhir::definitions::SearchKind;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::reference::Canonical;
use salus_fhir::search::{Criterion, Modifier, Operand};
use salus_store::{Filter, Kind, Param, Test};
use salus_terminology::Error as Unknown;

use super::criteria::{Criteria, any};
use crate::fhir::rows;
use crate::fhir::terms::{Known, Wanted};
use crate::fhir::types::ResourceType;

/// More references than these are said as one to any of so many records.
const REFERENCES_MAX: usize = 64;

/// Does a criterion ask for what has to be found out first?
pub(super) fn is_of_terms(criterion: &Criterion) -> bool {
    let kind = criterion.parameter.kind;
    match criterion.modifier {
        Some(Modifier::In | Modifier::NotIn) => true,
        Some(Modifier::Above | Modifier::Below) => {
            matches!(kind, SearchKind::Token | SearchKind::Reference)
        }
        _ => false,
    }
}

impl Criteria<'_> {
    /// The filter for a criterion of this kind, or why there is none.
    pub(super) fn of_terms(
        &mut self,
        ty: ResourceType,
        criterion: &Criterion,
    ) -> Result<Filter, Issue> {
        let param = rows::param(ty.name, criterion.parameter);
        let mut alternatives = Vec::with_capacity(criterion.values.len());
        for operand in &criterion.values {
            let filter = match Wanted::of(ty.name, criterion, operand) {
                Some(Ok(wanted)) => self.known(param, &wanted),
                Some(Err(expected)) => Err(format!("the value {expected}").into()),
                None => canonical(param, criterion, operand),
            };
            let filter = filter.map_err(|fault| fault.issue(criterion))?;
            alternatives.push(filter);
        }
        let filter = any(alternatives);
        match criterion.modifier {
            Some(Modifier::NotIn) => Ok(Filter::Not(filter.into())),
            _ => Ok(filter),
        }
    }

    fn known(&mut self, param: Param, wanted: &Wanted) -> Result<Filter, Fault> {
        match (self.terms().known(wanted), wanted) {
            (Some(Known::Codes(codes)), _) => Ok(codes.filter(param)),
            (Some(Known::Records(ids)), Wanted::Records(_, ty, id)) => {
                Ok(references(param, Kind::named(ty), id, ids))
            }
            (Some(Known::Denied), Wanted::Records(_, ty, _)) => {
                self.deny(ty);
                Ok(Filter::Nothing)
            }
            (Some(Known::Unknown(error)), _) => Err(Fault::of(*error)),
            (None | Some(Known::Denied | Known::Records(_)), _) => {
                Err(Fault::of(Unknown::UnknownValueSet))
            }
        }
    }
}

/// A reference to a record or one of others.
fn references(param: Param, kind: Kind, id: &str, others: &[Box<str>]) -> Filter {
    let to = |id: &str| {
        let (kind, id) = (Some(kind), id.into());
        Filter::Value(param, Test::Reference { kind, id })
    };
    if others.len() <= REFERENCES_MAX {
        let all = others.iter().map(|id| &**id).chain([id]);
        return any(all.map(to).collect());
    }
    let filter = Filter::Ids(others.to_vec()).into();
    let refers = Filter::Refers {
        param,
        kind,
        filter,
    };
    Filter::Any(vec![to(id), refers])
}

/// A canonical URL: with a version, the versions that begin with it (`1.0` and
/// `1.0.1`) or with which it begins; without one, by the path of the URL.
fn canonical(param: Param, criterion: &Criterion, operand: &Operand) -> Result<Filter, Fault> {
    let (SearchKind::Reference, Operand::Uri(uri)) = (criterion.parameter.kind, operand) else {
        return Err("the value must be Type/id or a URL".into());
    };
    let value = |test| Filter::Value(param, test);
    let asked = Canonical::parse(uri);
    match (criterion.modifier, asked.version) {
        (Some(Modifier::Below), _) => Ok(value(Test::UriBelow(uri.clone()))),
        (_, None) => Ok(value(Test::UriAbove(uri.clone()))),
        (_, Some(version)) => {
            let ends = version.match_indices('.').map(|(at, _)| at);
            let ends = ends.chain([version.len()]);
            let versions = ends.filter_map(|end| version.get(..end));
            let uris = versions.map(|version| format!("{}|{version}", asked.url));
            Ok(any(uris
                .map(|uri| value(Test::UriIs(uri.into())))
                .collect()))
        }
    }
}

/// Why there is no filter.
struct Fault {
    code: IssueType,
    details: String,
}

impl Fault {
    fn of(error: Unknown) -> Self {
        let code = match error.is_absence() {
            true => IssueType::NotFound,
            false => IssueType::Value,
        };
        Self {
            code,
            details: error.to_string(),
        }
    }

    fn issue(self, criterion: &Criterion) -> Issue {
        let location = format!("http.{}", criterion.parameter.code);
        Issue::error(self.code, location, self.details)
    }
}

impl From<&str> for Fault {
    fn from(details: &str) -> Self {
        details.to_owned().into()
    }
}

impl From<String> for Fault {
    fn from(details: String) -> Self {
        Self {
            code: IssueType::Value,
            details,
        }
    }
}
