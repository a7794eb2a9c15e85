//! A search request, read into typed criteria:
//! <https://hl7.org/fhir/R4/search.html#Introduction>.
//!
//! Nothing is guessed: what is not understood is a [`Problem`] that names the
//! part and lists what is allowed, and the caller decides, after the client's
//! `Prefer: handling`, whether to go on without it.

use std::cell::Cell;

use super::control::{self, Control};
use super::name::{self, Clause};
use super::operand::Asking;
use crate::definitions;
use crate::issue::{Issue, IssueType};

/// A search over one type of resource.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// What a resource must satisfy: each of these. With each, the place of its
    /// parameter among those of the request, from 0.
    pub clauses: Vec<(usize, Clause)>,
    /// How the result is to be given.
    pub control: Control,
}

/// A parameter that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its place among the parameters of the request, from 0.
    pub at: usize,
    /// What is wrong, and what is allowed.
    pub issue: Issue,
}

impl Problem {
    /// May a lenient server go on without the parameter? It may when it does not
    /// know the parameter, but not when the value makes no sense.
    #[must_use]
    pub fn is_ignorable(&self) -> bool {
        self.issue.code == IssueType::NotSupported
    }
}

/// Most parameters of a request.
pub const PARAMETERS_MAX: usize = 200;

impl Search {
    /// Reads the parameters of a search for resources of type `ty`, names and
    /// values decoded. Parameters with problems are left out.
    ///
    /// An unknown `ty` is a problem of every parameter.
    #[must_use]
    pub fn parse<N, V>(ty: &str, parameters: &[(N, V)], asking: &Asking<'_>) -> (Self, Vec<Problem>)
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self::parse_among(ty, &[], parameters, asking)
    }

    /// The same for one of several types that are searched together: what
    /// another one of them knows, an order, elements or references may name.
    #[must_use]
    pub fn parse_among<N, V>(
        ty: &str,
        among: &[&'static str],
        parameters: &[(N, V)],
        asking: &Asking<'_>,
    ) -> (Self, Vec<Problem>)
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut search = Self::default();
        let mut problems = Vec::new();
        let known = definitions::r4().resource_named(ty);
        let values = Cell::new(0);
        for (at, (name, value)) in parameters.iter().enumerate() {
            let (name, value) = (name.as_ref(), value.as_ref());
            let read = match known {
                Some(id) if at < PARAMETERS_MAX => search.read(
                    (definitions::r4().ty(id).name, among),
                    (at, name),
                    value,
                    (asking, &values),
                ),
                Some(_) => Err(too_many()),
                None => Err(unknown_type(name)),
            };
            if let Err(issue) = read {
                problems.push(Problem { at, issue });
            }
        }
        (search, problems)
    }

    fn read(
        &mut self,
        (ty, among): (&'static str, &[&'static str]),
        (at, name): (usize, &str),
        value: &str,
        (asking, values): (&Asking<'_>, &Cell<usize>),
    ) -> Result<(), Issue> {
        if control::is_control(name) {
            return self.control.read(asking, (ty, among), name, value);
        }
        let clause = name::clause(ty, name, value, asking, values)?;
        self.check_repeated(&clause, name)?;
        self.clauses.push((at, clause));
        Ok(())
    }

    /// A parameter of a project may say that it must not be repeated.
    fn check_repeated(&self, clause: &Clause, name: &str) -> Result<(), Issue> {
        let Clause::Own(criterion) = clause else {
            return Ok(());
        };
        let (code, limits) = (criterion.parameter.code, criterion.parameter.limits);
        let is_same = |(_, other): &(usize, Clause)| matches!(other, Clause::Own(other) if other.parameter.code == code);
        let once = limits.is_some() && !criterion.parameter.multiple_and;
        if once && self.clauses.iter().any(is_same) {
            let details = "the parameter must not be repeated";
            return Err(Issue::error(
                IssueType::Value,
                name::location(name),
                details,
            ));
        }
        Ok(())
    }
}

fn too_many() -> Issue {
    let details = format!("more than {PARAMETERS_MAX} parameters");
    Issue::error(IssueType::TooCostly, "http", details)
}

fn unknown_type(name: &str) -> Issue {
    let details = "parameters need a type of resource to search";
    Issue::error(IssueType::NotSupported, name::location(name), details)
}

#[cfg(test)]
mod tests;
