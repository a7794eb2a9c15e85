//! `_filter`: conditions as an expression
//! (<https://hl7.org/fhir/R4/search_filter.html>).
//!
//! `grammar` reads the text, `meaning` makes clauses of it, by the same code
//! as other parameters: an operator is a prefix or a modifier, a path a chain.

mod grammar;
mod meaning;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use super::name::Clause;
use super::operand::Asking;
use crate::issue::{Issue, IssueType};
use meaning::Meaning;

/// The name of the parameter.
pub(super) const NAME: &str = "_filter";

/// Reads a filter of resources of type `ty`, so many links away from those
/// that are searched. `values` are those that the search has so far.
pub(super) fn clause(
    (ty, depth): (&'static str, usize),
    text: &str,
    asking: &Asking<'_>,
    values: &Cell<usize>,
) -> Result<Clause, Issue> {
    let expression = grammar::parse(text).map_err(|fault| fault.issue(text, IssueType::Value))?;
    Meaning::new(text, asking, values).expression(ty, &expression, depth)
}
