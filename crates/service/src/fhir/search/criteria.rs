//! Criteria of a search as a filter of the store.

use salus_fhir::definitions::SearchKind;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Clause, Criterion, Extractor, Modifier, Operand, Prefix};
use salus_store::ordered::Decimal;
use salus_store::{Comparison, Filter, Kind, Test};

use crate::fhir::rows;
use crate::fhir::types::ResourceType;

/// The filter for one clause, or why it is not served.
pub(super) fn filter(ty: ResourceType, clause: &Clause) -> Result<Filter, Issue> {
    match clause {
        Clause::Own(criterion) => own(ty, criterion),
        Clause::Chain { .. } => Err(unserved("http", "chained parameters are not served yet")),
        Clause::Has { .. } => Err(unserved("http._has", "_has is not served yet")),
    }
}

fn own(ty: ResourceType, criterion: &Criterion) -> Result<Filter, Issue> {
    if let [Operand::Missing(missing)] = criterion.values[..] {
        return Ok(presence(ty, criterion, missing));
    }
    let mut alternatives = Vec::with_capacity(criterion.values.len());
    for operand in &criterion.values {
        let filter = match criterion.parameter.code {
            "_id" => id(operand),
            "_lastUpdated" => updated(operand),
            _ => value(ty, criterion, operand),
        };
        alternatives.push(filter.ok_or_else(|| unserved_form(criterion))?);
    }
    let filter = any(alternatives);
    match criterion.modifier {
        Some(Modifier::Not) => Ok(Filter::Not(filter.into())),
        _ => Ok(filter),
    }
}

/// `:missing`. Each record has an id and a time.
fn presence(ty: ResourceType, criterion: &Criterion, missing: bool) -> Filter {
    let present = match criterion.parameter.code {
        "_id" | "_lastUpdated" => Filter::Everything,
        _ => Filter::Value(rows::param(ty.name, criterion.parameter), Test::Present),
    };
    match (missing, present) {
        (true, Filter::Everything) => Filter::Nothing,
        (true, present) => Filter::Not(present.into()),
        (false, present) => present,
    }
}

/// `Any`, made flat: ids of several alternatives are one list.
fn any(mut alternatives: Vec<Filter>) -> Filter {
    if let Some(ids) = all_ids(&alternatives) {
        return Filter::Ids(ids);
    }
    match alternatives.len() {
        1 => alternatives.remove(0),
        _ => Filter::Any(alternatives),
    }
}

/// The ids, if all alternatives are ids.
fn all_ids(alternatives: &[Filter]) -> Option<Vec<Box<str>>> {
    let mut all = Vec::with_capacity(alternatives.len());
    for filter in alternatives {
        let Filter::Ids(ids) = filter else {
            return None;
        };
        all.extend_from_slice(ids);
    }
    Some(all)
}

fn id(operand: &Operand) -> Option<Filter> {
    let Operand::Token { system: None, code } = operand else {
        return None;
    };
    Some(Filter::Ids(vec![code.clone()?]))
}

fn updated(operand: &Operand) -> Option<Filter> {
    let Operand::Date(prefix, span) = operand else {
        return None;
    };
    let comparison = comparison(*prefix);
    Some(Filter::Updated(comparison, span.from_ms, span.to_ms))
}

fn value(ty: ResourceType, criterion: &Criterion, operand: &Operand) -> Option<Filter> {
    use Modifier as M;
    let param = rows::param(ty.name, criterion.parameter);
    let test = match (operand, criterion.modifier) {
        (Operand::Token { system, code }, None | Some(M::Not)) => token(system, code),
        (Operand::Token { system, code }, Some(M::Identifier)) => {
            let param = rows::identifier_param(ty.name, criterion.parameter);
            return Some(Filter::Value(param, token(system, code)));
        }
        (
            Operand::OfType {
                system,
                code,
                value,
            },
            Some(M::OfType),
        ) => {
            let param = rows::of_type_param(ty.name, criterion.parameter);
            let code = rows::of_type_code(code, value).into();
            return Some(Filter::Value(
                param,
                token(&Some(system.clone()), &Some(code)),
            ));
        }
        (Operand::Text { folded, .. }, Some(M::Text)) => {
            return words(ty, criterion, folded);
        }
        (Operand::Text { folded, .. }, None) => Test::StringStarts(folded.clone()),
        (Operand::Text { folded, .. }, Some(M::Contains)) => Test::StringContains(folded.clone()),
        (Operand::Text { folded, exact }, Some(M::Exact)) => {
            // The index is in the order of folded texts: where to look, then what to find.
            let near = Filter::Value(param, Test::StringStarts(folded.clone()));
            let same = Filter::Value(param, Test::StringIs(exact.clone()));
            return Some(Filter::All(vec![near, same]));
        }
        (Operand::Date(prefix, span), None) => {
            Test::Date(comparison(*prefix), span.from_ms, span.to_ms)
        }
        (Operand::Number(prefix, number), None) => Test::Number(
            comparison(*prefix),
            Decimal::parse(&number.from)?,
            Decimal::parse(&number.to)?,
        ),
        (
            Operand::Quantity {
                prefix,
                number,
                system,
                code,
            },
            None,
        ) => Test::Quantity {
            comparison: comparison(*prefix),
            from: Decimal::parse(&number.from)?,
            to: Decimal::parse(&number.to)?,
            system: system.clone(),
            code: code.clone(),
        },
        (
            Operand::Reference {
                ty: Some(ty),
                id,
                version: Some(version),
            },
            None | Some(M::Type(_)),
        ) => Test::UriIs(rows::versioned(ty, id, version).into()),
        (Operand::Reference { ty, id, .. }, None | Some(M::Type(_))) => Test::Reference {
            kind: ty.map(Kind::named),
            id: id.clone(),
        },
        (Operand::Uri(uri), None | Some(M::Type(_))) => Test::UriIs(uri.clone()),
        (Operand::Uri(uri), Some(M::Below)) if of_uris(criterion) => Test::UriBelow(uri.clone()),
        (Operand::Uri(uri), Some(M::Above)) if of_uris(criterion) => Test::UriAbove(uri.clone()),
        _ => return None,
    };
    Some(Filter::Value(param, test))
}

/// `:text`, which is a search for a string among the words.
fn words(ty: ResourceType, criterion: &Criterion, folded: &str) -> Option<Filter> {
    let extractor = Extractor::for_type(ty.name)?;
    let kept = extractor.kept_under(criterion.parameter);
    let tests = kept.map(|parameter| {
        let param = rows::text_param(ty.name, parameter);
        Filter::Value(param, Test::StringStarts(folded.into()))
    });
    Some(any(tests.collect()))
}

fn of_uris(criterion: &Criterion) -> bool {
    criterion.parameter.kind == SearchKind::Uri
}

fn token(system: &Option<Box<str>>, code: &Option<Box<str>>) -> Test {
    Test::Token {
        system: system.clone(),
        code: code.clone(),
    }
}

fn comparison(prefix: Prefix) -> Comparison {
    match prefix {
        Prefix::Eq => Comparison::Equal,
        Prefix::Ne => Comparison::NotEqual,
        Prefix::Gt => Comparison::Greater,
        Prefix::Lt => Comparison::Less,
        Prefix::Ge => Comparison::GreaterOrEqual,
        Prefix::Le => Comparison::LessOrEqual,
        Prefix::Sa => Comparison::After,
        Prefix::Eb => Comparison::Before,
        Prefix::Ap => Comparison::Overlaps,
    }
}

fn unserved_form(criterion: &Criterion) -> Issue {
    use Modifier as M;
    let location = format!("http.{}", criterion.parameter.code);
    let details = match (criterion.parameter.kind, criterion.modifier) {
        (SearchKind::Token, Some(M::In | M::NotIn | M::Above | M::Below)) => {
            "this modifier needs a terminology service, which is not served yet; \
             allowed: missing, not, of-type, text"
        }
        (SearchKind::Reference, Some(M::Above | M::Below)) => {
            "this modifier is not served yet for references; \
             allowed: identifier, missing, text, a type of target"
        }
        _ => "this form of the parameter is not served",
    };
    unserved(&location, details)
}

fn unserved(location: &str, details: &str) -> Issue {
    Issue::error(
        IssueType::NotSupported,
        location.to_owned(),
        details.to_owned(),
    )
}
