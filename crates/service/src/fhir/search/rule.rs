//! The condition of a rule as a filter of the store: the clauses of a search,
//! without what only says how a result is given.
//!
//! What a rule means does not depend on who asks, so its chains look at all
//! records. It is compiled before requests come: what has to be found out in
//! the records first, as the codes of a value set, cannot stand in it.

use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::Control;
use salus_store::Filter;

use super::asked::read;
use crate::context::Context;
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;

/// The records of a type that satisfy all these, in the context of the operator.
pub(crate) fn filter(
    cx: &Context,
    ty: ResourceType,
    parameters: &[(String, String)],
) -> Result<Filter, Issue> {
    let (mut asked, problems) = read(cx, (ty, &[]), parameters, &Terms::default());
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem.issue);
    }
    let only_clauses = is_default(&asked.control);
    if !only_clauses || asked.filters.len() != parameters.len() {
        let details = "a condition takes search criteria only";
        return Err(Issue::error(IssueType::Value, "", details));
    }
    Ok(match asked.filters.len() {
        0 => Filter::Everything,
        1 => asked.filters.remove(0),
        _ => Filter::All(asked.filters),
    })
}

fn is_default(control: &Control) -> bool {
    let Control {
        sort,
        count,
        total,
        includes,
        reverse_includes,
        summary,
        elements,
        format,
        pretty,
        explain,
        contained,
        contained_type,
    } = control;
    let lists = sort.is_empty() && includes.is_empty() && reverse_includes.is_empty();
    let form = format.is_none() && pretty.is_none() && explain.is_none();
    let part = summary.is_none() && elements.is_empty();
    let about = contained.is_none() && contained_type.is_none();
    lists && form && part && about && count.is_none() && total.is_none()
}
