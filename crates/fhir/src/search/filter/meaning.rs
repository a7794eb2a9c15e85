//! What a filter means for a type: its comparisons as criteria, its paths as
//! chains.

use std::cell::Cell;

use super::NAME;
use super::grammar::{Compare, Expression, Fault, Link, OPERATORS, Operator, To};
use crate::definitions::{SearchKind, SearchParameter};
use crate::issue::{Issue, IssueType};
use crate::search::name::{Clause, Criterion, Modifier, Reading};
use crate::search::near;
use crate::search::operand::{self, Asking, Expected, Operand, Prefix};

pub(super) struct Meaning<'m> {
    text: &'m str,
    reading: Reading<'m>,
}

impl<'m> Meaning<'m> {
    pub(super) fn new(text: &'m str, asking: &'m Asking<'m>, values: &'m Cell<usize>) -> Self {
        Self {
            text,
            reading: Reading::of(NAME, text, asking, values),
        }
    }

    /// The clause of an expression about resources of a type, so many links away.
    pub(super) fn expression(
        &self,
        ty: &'static str,
        expression: &Expression<'_>,
        depth: usize,
    ) -> Result<Clause, Issue> {
        let each = |all: &[Expression<'_>]| {
            let all = all.iter().map(|one| self.expression(ty, one, depth));
            all.collect::<Result<Vec<_>, _>>()
        };
        Ok(match expression {
            Expression::All(all) => Clause::All(each(all)?),
            Expression::Any(any) => Clause::Any(each(any)?),
            Expression::Not(inner) => Clause::Not(self.expression(ty, inner, depth)?.into()),
            Expression::Compare(compare) => self.path(ty, &compare.links, compare, depth)?,
        })
    }

    fn path(
        &self,
        ty: &'static str,
        links: &[Link<'_>],
        compare: &Compare<'_>,
        depth: usize,
    ) -> Result<Clause, Issue> {
        let at = links.first().map_or(compare.name.at, |link| link.name.at);
        self.placed(at, self.reading.count(depth))?;
        match links.split_first() {
            None => self.criterion(ty, compare).map(Clause::Own),
            Some((link, rest)) => self.link(ty, link, |target| {
                let then = self.path(target, rest, compare, depth + 1)?;
                match &link.to {
                    Some(To::Those(filter)) => {
                        let those = self.expression(target, filter, depth + 1)?;
                        Ok(Clause::All(vec![those, then]))
                    }
                    Some(To::Type(_)) | None => Ok(then),
                }
            }),
        }
    }

    /// A reference that is followed: to those of its types of which all that
    /// is asked is known.
    fn link(
        &self,
        ty: &'static str,
        link: &Link<'_>,
        clause: impl Fn(&'static str) -> Result<Clause, Issue>,
    ) -> Result<Clause, Issue> {
        let name = link.name;
        let reference = self.placed(name.at, self.reading.parameter(ty, name.text))?;
        if reference.kind != SearchKind::Reference {
            let allowed = self
                .reading
                .codes(ty, |parameter| parameter.kind == SearchKind::Reference);
            let details = match link.to {
                Some(To::Those(_)) => "only references can have a filter in brackets",
                Some(To::Type(_)) | None => "only references can be followed",
            };
            return Err(self.unsupported(name.at, format!("{details}; allowed: {allowed}")));
        }
        let candidates = match link.to {
            Some(To::Type(word)) => {
                vec![self.placed(word.at, self.reading.target(reference, word.text))?]
            }
            Some(To::Those(_)) | None => self.placed(name.at, self.reading.targets(reference))?,
        };
        Reading::chain_to(reference, candidates, clause)
    }

    fn criterion(&self, ty: &'static str, compare: &Compare<'_>) -> Result<Criterion, Issue> {
        let name = compare.name;
        let parameter = self.placed(name.at, self.reading.parameter(ty, name.text))?;
        if operators(parameter).is_empty() {
            let details = "this parameter has no operators; it may stand beside the filter";
            return Err(self.unsupported(name.at, details));
        }
        self.placed(compare.value_at, self.reading.count_value())?;
        let allowed = operators(parameter);
        if !allowed.contains(&compare.operator) {
            let names = OPERATORS.iter().filter(|(_, it)| allowed.contains(it));
            let names: Vec<&str> = names.map(|(name, _)| *name).collect();
            let details = format!("{} is compared by {}", parameter.code, names.join(", "));
            return Err(self.unsupported(compare.operator_at, details));
        }
        let (modifier, value) = self
            .compared(ty, parameter, compare)
            .map_err(|expected| self.malformed(compare.value_at, &expected))?;
        let criterion = Criterion {
            parameter,
            modifier,
            values: vec![value],
        };
        let current = self.reading.asking.parameters.check_current(ty, &criterion);
        self.placed(name.at, current.map_err(|not| not.at(String::new())))?;
        Ok(criterion)
    }

    /// The modifier that stands for an operator, and the value under it.
    fn compared(
        &self,
        ty: &'static str,
        parameter: &SearchParameter,
        compare: &Compare<'_>,
    ) -> Result<(Option<Modifier>, Operand), Expected> {
        use Operator as O;
        let (operator, text) = (compare.operator, &*compare.value);
        if operator == O::Pr {
            let present = operand::truth(text)?;
            return Ok((Some(Modifier::Missing), Operand::Missing(!present)));
        }
        match parameter.kind {
            SearchKind::String => Ok((texts(operator), operand::string(&literal(text))?)),
            SearchKind::Number | SearchKind::Date | SearchKind::Quantity => {
                Ok((None, self.measured(parameter, operator, text)?))
            }
            SearchKind::Token | SearchKind::Reference | SearchKind::Uri => {
                let modifier = named(parameter, operator);
                let value = self.reading.value(ty, parameter, modifier, text)?;
                Ok((modifier, value))
            }
            SearchKind::Composite | SearchKind::Special => {
                Ok((None, self.reading.value(ty, parameter, None, text)?))
            }
        }
    }

    /// A number or a date: operators are prefixes, but for `po`.
    fn measured(
        &self,
        parameter: &SearchParameter,
        operator: Operator,
        text: &str,
    ) -> Result<Operand, Expected> {
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err("must have no prefix, and begin with a digit".into());
        }
        if operator == Operator::Po {
            return operand::period(text);
        }
        let known = OPERATORS.iter().find(|(_, known)| *known == operator);
        let prefix = known.map_or("", |(text, _)| *text);
        operand::operand(parameter, &format!("{prefix}{text}"), self.reading.asking)
    }

    fn placed<T>(&self, at: usize, read: Result<T, Issue>) -> Result<T, Issue> {
        read.map_err(|issue| {
            let code = issue.code;
            let details = issue.details;
            Fault { at, details }.issue(self.text, code)
        })
    }

    fn unsupported(&self, at: usize, details: impl Into<Expected>) -> Issue {
        let details = details.into();
        Fault { at, details }.issue(self.text, IssueType::NotSupported)
    }

    fn malformed(&self, at: usize, expected: &str) -> Issue {
        let details = format!("the value {expected}").into();
        Fault { at, details }.issue(self.text, IssueType::Value)
    }
}

/// The operators that a parameter has values for.
fn operators(parameter: &SearchParameter) -> &'static [Operator] {
    use Operator::*;
    match parameter.kind {
        _ if parameter.code == "_id" => &[Eq, Ne, Pr],
        _ if near::is_near(parameter) => &[Eq],
        _ if parameter.expression.is_empty() => &[],
        SearchKind::String => &[Eq, Ne, Co, Sw, Ew, Gt, Lt, Ge, Le, Pr],
        SearchKind::Number | SearchKind::Quantity => &[Eq, Ne, Gt, Lt, Ge, Le, Ap, Sa, Eb, Pr],
        SearchKind::Date => &[Eq, Ne, Gt, Lt, Ge, Le, Ap, Sa, Eb, Po, Pr],
        SearchKind::Token => &[Eq, Ne, Pr, Ss, Sb, In, Ni],
        SearchKind::Reference => &[Eq, Ne, Re, Pr],
        SearchKind::Uri => &[Eq, Ne, Pr, Ss, Sb],
        SearchKind::Composite => &[Eq, Pr],
        SearchKind::Special => &[],
    }
}

/// How texts are compared. Without an operator, by their beginning.
fn texts(operator: Operator) -> Option<Modifier> {
    use Operator as O;
    match operator {
        O::Co => Some(Modifier::Contains),
        O::Ew => Some(Modifier::Ends),
        O::Eq => Some(Modifier::Ordered(Prefix::Eq)),
        O::Ne => Some(Modifier::Ordered(Prefix::Ne)),
        O::Gt => Some(Modifier::Ordered(Prefix::Gt)),
        O::Lt => Some(Modifier::Ordered(Prefix::Lt)),
        O::Ge => Some(Modifier::Ordered(Prefix::Ge)),
        O::Le => Some(Modifier::Ordered(Prefix::Le)),
        O::Sw | O::Ap | O::Sa | O::Eb | O::Pr | O::Po | O::Ss | O::Sb | O::In | O::Ni | O::Re => {
            None
        }
    }
}

/// How what has a name is compared. What the value subsumes is below it.
fn named(parameter: &SearchParameter, operator: Operator) -> Option<Modifier> {
    use Operator as O;
    match operator {
        O::Ne if parameter.code == "_id" => Some(Modifier::Not),
        O::Ne => Some(Modifier::Other),
        O::Ss => Some(Modifier::Below),
        O::Sb => Some(Modifier::Above),
        O::In => Some(Modifier::In),
        O::Ni => Some(Modifier::NotIn),
        O::Eq
        | O::Co
        | O::Sw
        | O::Ew
        | O::Gt
        | O::Lt
        | O::Ge
        | O::Le
        | O::Ap
        | O::Sa
        | O::Eb
        | O::Pr
        | O::Po
        | O::Re => None,
    }
}

/// Text as a value that means just that text.
fn literal(text: &str) -> String {
    text.replace('\\', r"\\")
}
