//! Criteria of a search as a filter of the store.

use salus_auth::{Action, Target};
use salus_fhir::definitions::{SearchKind, SearchParameter};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Clause, Criterion, Extractor, Listed, Modifier, Number, Operand, Prefix};
use salus_store::ordered::Decimal;
use salus_store::{Comparison, Filter, Kind, Place, Test};

use super::ends;
use super::listed;
use super::terms::is_of_terms;
use super::text;
use crate::context::Context;
use crate::fhir::rows;
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;

/// Makes filters of criteria, within what the one asking may search.
pub(super) struct Criteria<'c> {
    cx: &'c Context,
    /// What had to be found out first.
    terms: &'c Terms,
    /// Types on which a condition was, and that the one asking may not search.
    denied: Vec<&'static str>,
}

impl<'c> Criteria<'c> {
    pub(super) fn of(cx: &'c Context, terms: &'c Terms) -> Self {
        Self {
            cx,
            terms,
            denied: Vec::new(),
        }
    }

    /// The filter for one clause, or why it is not served.
    pub(super) fn filter(&mut self, ty: ResourceType, clause: &Clause) -> Result<Filter, Issue> {
        match clause {
            Clause::Own(criterion) if is_of_terms(criterion) => self.of_terms(ty, criterion),
            Clause::Own(criterion) => own(ty, criterion),
            Clause::Chain { reference, targets } => self.chain(ty, reference, targets),
            Clause::Has {
                ty: from,
                reference,
                clause,
            } => {
                let literal = self.referred(ty, (from, reference), clause)?;
                Ok(self.terms.followed(ty, literal))
            }
            Clause::All(clauses) => Ok(Filter::All(self.each(ty, clauses)?)),
            Clause::Any(clauses) => Ok(any(self.each(ty, clauses)?)),
            Clause::Listed(all) => Ok(self.listed(ty, all)),
            Clause::Not(clause) => Ok(Filter::Not(self.filter(ty, clause)?.into())),
        }
    }

    /// A list holds what it holds for those only who may find it.
    fn listed(&mut self, ty: ResourceType, all: &[Listed]) -> Filter {
        let (ids, mut filters) = listed::parts(ty, all);
        if !ids.is_empty()
            && let Some(list) = ResourceType::named("List")
        {
            let visible = self.visible(list, Filter::Ids(ids));
            filters.push(listed::on(visible));
        }
        any(filters)
    }

    fn each(&mut self, ty: ResourceType, clauses: &[Clause]) -> Result<Vec<Filter>, Issue> {
        let filters = clauses.iter().map(|clause| self.filter(ty, clause));
        filters.collect()
    }

    /// What the one asking should know of conditions that match nothing.
    pub(super) fn notices(&self) -> impl Iterator<Item = Issue> {
        self.denied.iter().map(|ty| {
            let details = format!("you may not search {ty}: a condition on it matches nothing");
            Issue::warning(IssueType::Suppressed, "http", details)
        })
    }

    pub(super) fn terms(&self) -> &'c Terms {
        self.terms
    }

    /// Remembers a type on which a condition was in vain.
    pub(super) fn deny(&mut self, ty: &'static str) {
        if !self.denied.contains(&ty) {
            self.denied.push(ty);
        }
    }

    /// A reference to several types leads to any of them.
    fn chain(
        &mut self,
        ty: ResourceType,
        reference: &SearchParameter,
        targets: &[(&'static str, Clause)],
    ) -> Result<Filter, Issue> {
        let mut alternatives = Vec::with_capacity(targets.len());
        for (target, clause) in targets {
            let literal = self.refers(ty, reference, (target, clause))?;
            alternatives.push(self.terms.followed(ty, literal));
        }
        Ok(any(alternatives))
    }

    /// One refers literally to a resource of a type, of which a clause holds.
    pub(super) fn refers(
        &mut self,
        ty: ResourceType,
        reference: &SearchParameter,
        (target, clause): (&str, &Clause),
    ) -> Result<Filter, Issue> {
        let from = linked_type(ty.name, reference)?;
        let target = linked_type(target, reference)?;
        Ok(Filter::Refers {
            param: rows::param(from.name, reference),
            kind: target.kind,
            filter: self.within(target, clause)?.into(),
        })
    }

    /// A resource of another type, of which a clause holds, refers literally to one.
    pub(super) fn referred(
        &mut self,
        ty: ResourceType,
        (from, reference): (&str, &SearchParameter),
        clause: &Clause,
    ) -> Result<Filter, Issue> {
        let from = linked_type(from, reference)?;
        linked_type(ty.name, reference)?;
        Ok(Filter::Referred {
            kind: from.kind,
            param: rows::param(from.name, reference),
            filter: self.within(from, clause)?.into(),
        })
    }

    /// A condition on another resource holds for those only that the one
    /// asking may find: what is hidden cannot be inferred.
    fn within(&mut self, ty: ResourceType, clause: &Clause) -> Result<Filter, Issue> {
        let filter = self.filter(ty, clause)?;
        Ok(self.visible(ty, filter))
    }

    fn visible(&mut self, ty: ResourceType, filter: Filter) -> Filter {
        let (subject, target) = (&self.cx.subject, Target::Type(ty.name));
        let Ok(grant) = salus_auth::authorize(subject, self.cx.scope, Action::Search, target)
        else {
            self.deny(ty.name);
            return Filter::Nothing;
        };
        let visible = grant.filter();
        if *visible == Filter::Everything {
            return filter;
        }
        Filter::All(vec![visible.clone(), filter])
    }
}

/// A type whose records can be followed to, and from.
fn linked_type(name: &str, reference: &SearchParameter) -> Result<ResourceType, Issue> {
    let known = ResourceType::named(name).filter(|ty| ty.name != ResourceType::AUDIT_EVENT);
    known.ok_or_else(|| {
        let location = format!("http.{}", reference.code);
        unserved(
            &location,
            "audit events are not searched through references",
        )
    })
}

fn own(ty: ResourceType, criterion: &Criterion) -> Result<Filter, Issue> {
    if text::is_text(criterion) {
        return text::filter(ty, criterion).ok_or_else(|| unserved_form(criterion));
    }
    let mut alternatives = Vec::with_capacity(criterion.values.len());
    for operand in &criterion.values {
        let filter = match (criterion.parameter.code, operand) {
            (_, Operand::Missing(missing)) => Some(presence(ty, criterion, *missing)),
            ("_id", _) => id(operand),
            ("_lastUpdated", _) => updated(operand),
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
pub(super) fn any(mut alternatives: Vec<Filter>) -> Filter {
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
    let parameter = criterion.parameter;
    let param = rows::param(ty.name, parameter);
    let test = match (operand, criterion.modifier) {
        (Operand::Composite(parts), None) => return composite(ty, parameter, parts),
        (Operand::Number(..) | Operand::Quantity { .. }, None) => {
            let filters = forms(operand)?
                .into_iter()
                .map(|form| form.filter(ty, parameter));
            return Some(any(filters.collect()));
        }
        (_, None | Some(M::Not | M::Type(_))) => plain(operand)?,
        (Operand::Token { system, code }, Some(M::Identifier)) => {
            let param = rows::identifier_param(ty.name, parameter);
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
            let param = rows::of_type_param(ty.name, parameter);
            let code = rows::of_type_code(code, value).into();
            let test = token(&Some(system.clone()), &Some(code));
            return Some(Filter::Value(param, test));
        }
        (Operand::Text { folded, .. }, Some(M::Contains)) => Test::StringContains(folded.clone()),
        (Operand::Text { folded, .. }, Some(M::Ends)) => Test::StringEnds(folded.clone()),
        (Operand::Text { folded, .. }, Some(M::Ordered(prefix))) => {
            Test::StringOrder(comparison(prefix), folded.clone())
        }
        (_, Some(M::Other)) => {
            let form = Form {
                is_amount: false,
                test: Test::Other(plain(operand)?.into()),
            };
            return Some(form.filter(ty, parameter));
        }
        (Operand::Text { folded, exact }, Some(M::Exact)) => {
            // The index is in the order of folded texts: where to look, then what to find.
            let near = Filter::Value(param, Test::StringStarts(folded.clone()));
            let same = Filter::Value(param, Test::StringIs(exact.clone()));
            return Some(Filter::All(vec![near, same]));
        }
        (Operand::Uri(uri), Some(M::Below)) if of_uris(parameter) => Test::UriBelow(uri.clone()),
        (Operand::Uri(uri), Some(M::Above)) if of_uris(parameter) => Test::UriAbove(uri.clone()),
        _ => return None,
    };
    Some(Filter::Value(param, test))
}

/// How a value is tested without a modifier; `None` if it has no such meaning.
fn plain(operand: &Operand) -> Option<Test> {
    Some(match operand {
        Operand::Token { system, code } => token(system, code),
        Operand::Text { folded, .. } => Test::StringStarts(folded.clone()),
        Operand::Date(prefix, span) => Test::Date(comparison(*prefix), span.from_ms, span.to_ms),
        Operand::Number(prefix, number) => Test::Number(
            comparison(*prefix),
            Decimal::parse(&number.from)?,
            Decimal::parse(&number.to)?,
        ),
        Operand::Quantity {
            prefix,
            number,
            system,
            code,
            ..
        } => quantity(*prefix, number, system.clone(), code.clone())?,
        Operand::Reference {
            ty: Some(ty),
            id,
            version: Some(version),
        } => Test::UriIs(rows::versioned(ty, id, version).into()),
        Operand::Reference { ty, id, .. } => Test::Reference {
            kind: ty.map(Kind::named),
            id: id.clone(),
        },
        Operand::Uri(uri) => Test::UriIs(uri.clone()),
        Operand::Near(near) => Test::Near(
            Place::of_parts(near.latitude, near.longitude)?,
            near.millimetres,
        ),
        Operand::Missing(_)
        | Operand::OfType { .. }
        | Operand::Words(_)
        | Operand::Composite(_) => return None,
    })
}

fn quantity(
    prefix: Prefix,
    number: &Number,
    system: Option<Box<str>>,
    code: Option<Box<str>>,
) -> Option<Test> {
    Some(Test::Quantity {
        comparison: comparison(prefix),
        from: Decimal::parse(&number.from)?,
        to: Decimal::parse(&number.to)?,
        system,
        code,
    })
}

/// A test, and whether it is of values in base units.
#[derive(Clone)]
struct Form {
    is_amount: bool,
    test: Test,
}

impl Form {
    fn filter(self, ty: ResourceType, parameter: &SearchParameter) -> Filter {
        let param = match self.is_amount {
            true => rows::amount_param(ty.name, parameter),
            false => rows::param(ty.name, parameter),
        };
        let ranges = rows::range_param(ty.name, parameter, self.is_amount);
        ends::with_ranges(param, ranges, self.test)
    }
}

/// The tests of which a value passes one, without a modifier. They are
/// several only for quantities: see [`rows::amount_param`].
fn forms(operand: &Operand) -> Option<Vec<Form>> {
    let written = |is_amount, test| Form { is_amount, test };
    let Operand::Quantity {
        prefix,
        amount: Some(amount),
        ..
    } = operand
    else {
        return Some(vec![written(false, plain(operand)?)]);
    };
    let unit = Some(amount.unit.clone());
    let test = quantity(*prefix, &amount.number, amount.code.clone(), unit)?;
    let mut forms = vec![written(true, test)];
    if amount.code.is_some() {
        forms.push(written(false, plain(operand)?));
    }
    Some(forms)
}

/// All parts hold for values of one element.
fn composite(
    ty: ResourceType,
    parameter: &'static SearchParameter,
    parts: &[Operand],
) -> Option<Filter> {
    let mut tuples: Vec<(bool, Vec<Test>)> = vec![(false, Vec::new())];
    for part in parts {
        let forms = forms(part)?;
        let with = |(is_amount, tests): &(bool, Vec<Test>), form: &Form| {
            let longer = tests.iter().chain([&form.test]).cloned().collect();
            (is_amount | form.is_amount, longer)
        };
        tuples = tuples
            .iter()
            .flat_map(|tuple| forms.iter().map(move |form| with(tuple, form)))
            .collect();
    }
    let mut filters = Vec::new();
    for parameter in Extractor::for_type(ty.name)?.kept_under(parameter) {
        filters.extend(tuples.iter().map(|(is_amount, tests)| {
            let form = Form {
                is_amount: *is_amount,
                test: Test::Composite(tests.clone()),
            };
            form.filter(ty, parameter)
        }));
    }
    Some(any(filters))
}

fn of_uris(parameter: &SearchParameter) -> bool {
    parameter.kind == SearchKind::Uri
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
    let location = format!("http.{}", criterion.parameter.code);
    unserved(&location, "this form of the parameter is not served")
}

fn unserved(location: &str, details: &str) -> Issue {
    Issue::error(
        IssueType::NotSupported,
        location.to_owned(),
        details.to_owned(),
    )
}
