//! Names of search parameters as a client writes them: modifiers, chains and
//! `_has` (<https://hl7.org/fhir/R4/search.html#modifiers>,
//! <https://hl7.org/fhir/R4/search.html#chaining>).

use std::cell::Cell;

use super::composite;
use super::filter;
use super::list::{self, Listed};
use super::near;
use super::operand::{self, ALTERNATIVES_MAX, Asking, Expected, Operand, Prefix};
use super::parameters::Parameters;
use super::path::paths;
use super::text::TextQuery;
use crate::definitions::{self, SearchKind, SearchParameter};
use crate::issue::{Issue, IssueType};

/// A condition on a resource.
#[derive(Clone, Debug)]
pub enum Clause {
    /// On its own values.
    Own(Criterion),
    /// On a resource that it refers to: `subject:Patient.name=…`.
    Chain {
        /// The reference followed.
        reference: &'static SearchParameter,
        /// What a target must satisfy, for each type that it may have.
        targets: Vec<(&'static str, Clause)>,
    },
    /// On a resource that refers to it: `_has:Observation:patient:code=…`.
    Has {
        /// The type of the resource that refers.
        ty: &'static str,
        /// By which of its parameters.
        reference: &'static SearchParameter,
        /// What it must satisfy.
        clause: Box<Clause>,
    },
    /// Each of them.
    All(Vec<Clause>),
    /// At least one of them.
    Any(Vec<Clause>),
    /// The opposite.
    Not(Box<Clause>),
    /// It is on one of these lists.
    Listed(Vec<Listed>),
}

/// A condition on the values of one parameter.
#[derive(Clone, Debug)]
pub struct Criterion {
    /// The parameter. `_id` and `_lastUpdated` are parameters like others.
    pub parameter: &'static SearchParameter,
    /// How the values are compared, when not as usual.
    pub modifier: Option<Modifier>,
    /// The alternatives: one must hold (for `:not` and `:not-in`, none may).
    pub values: Vec<Operand>,
}

/// How values are compared: <https://hl7.org/fhir/R4/search.html#modifiers>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// `:missing`, with [`Operand::Missing`].
    Missing,
    /// `:exact` on strings.
    Exact,
    /// `:contains` on strings.
    Contains,
    /// `:text` on tokens and references, with [`Operand::Words`].
    Text,
    /// `:not` on tokens.
    Not,
    /// `:above`: tokens by their system's hierarchy, URIs by their path.
    Above,
    /// `:below`: as above, the other way.
    Below,
    /// `:in` on tokens: a value set, with [`Operand::Uri`].
    In,
    /// `:not-in` on tokens: a value set, with [`Operand::Uri`].
    NotIn,
    /// `:of-type` on identifiers, with [`Operand::OfType`].
    OfType,
    /// `:identifier` on references, with [`Operand::Token`].
    Identifier,
    /// `:Type` on references, with [`Operand::Reference`] of that type.
    Type(&'static str),
    /// Of `_filter` only: the text ends so.
    Ends,
    /// Of `_filter` only: the whole text, in the order of texts.
    Ordered(Prefix),
    /// Of `_filter` only: some value is another one.
    Other,
}

/// Most links of a chain.
pub const CHAIN_MAX: usize = 6;

/// Most conditions that one parameter may stand for, when a chain has several
/// types at each of its links.
const CLAUSES_MAX: usize = 1000;

/// Most values of a search, those of a chain counted for each of its types.
const VALUES_MAX: usize = 20_000;

/// Reads one parameter of a search for resources of type `ty`. `values` are
/// those that the search has so far.
pub(super) fn clause(
    ty: &'static str,
    name: &str,
    value: &str,
    asking: &Asking<'_>,
    values: &Cell<usize>,
) -> Result<Clause, Issue> {
    Reading::of(name, value, asking, values).clause(ty, name, 0)
}

/// The location of a parameter in an issue: `http.` and its name, unless that
/// is none, but some text that a client put in its place.
pub(super) fn location(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':' | b'.' | b'*');
    if !name.is_empty() && name.len() <= 100 && name.bytes().all(plain) {
        format!("http.{name}")
    } else {
        "http".to_owned()
    }
}

/// A parameter that is read.
pub(super) struct Reading<'r> {
    whole: &'r str,
    value: &'r str,
    pub(super) asking: &'r Asking<'r>,
    /// How many were read so far.
    clauses: Cell<usize>,
    values: &'r Cell<usize>,
}

impl<'r> Reading<'r> {
    pub(super) fn of(
        whole: &'r str,
        value: &'r str,
        asking: &'r Asking<'r>,
        values: &'r Cell<usize>,
    ) -> Self {
        Self {
            whole,
            value,
            asking,
            clauses: Cell::new(0),
            values,
        }
    }

    /// Counts another condition, so many links away.
    pub(super) fn count(&self, depth: usize) -> Result<(), Issue> {
        if depth > CHAIN_MAX {
            return Err(self.too_costly(format!("a chain of more than {CHAIN_MAX} links")));
        }
        self.clauses.set(self.clauses.get() + 1);
        if self.clauses.get() > CLAUSES_MAX {
            let details = "stands for too many chains; name the types, as in subject:Patient.name";
            return Err(self.too_costly(details));
        }
        Ok(())
    }

    /// Counts another value.
    pub(super) fn count_value(&self) -> Result<(), Issue> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > VALUES_MAX {
            let details = format!("the search has more than {VALUES_MAX} values");
            return Err(self.too_costly(details));
        }
        Ok(())
    }

    fn clause(&self, ty: &'static str, name: &str, depth: usize) -> Result<Clause, Issue> {
        self.count(depth)?;
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.has(ty, rest, depth);
        }
        match name.split_once('.') {
            Some((link, rest)) => self.chain(ty, link, rest, depth),
            None if name == filter::NAME => {
                filter::clause((ty, depth), self.value, self.asking, self.values)
            }
            None if name == list::NAME => {
                self.parameter("List", "item")?;
                list::listed(ty, self.value, self.asking.parameters).map(Clause::Listed)
            }
            None => self.own(ty, name).map(Clause::Own),
        }
    }

    fn has(&self, ty: &'static str, text: &str, depth: usize) -> Result<Clause, Issue> {
        let shape = "must be _has:Type:reference:parameter";
        let mut parts = text.splitn(3, ':');
        let (Some(from), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(self.unsupported(shape));
        };
        let Some(from) = operand::type_name(from) else {
            return Err(self.unsupported(format!("{shape}, with a known type of resource")));
        };
        let reference = self.parameter(from, code)?;
        if !leads_to(reference, ty) {
            let allowed = self.codes(from, |parameter| leads_to(parameter, ty));
            let details = format!("{code} of {from} does not refer to {ty}; allowed: {allowed}");
            return Err(self.unsupported(details));
        }
        Ok(Clause::Has {
            ty: from,
            reference,
            clause: Box::new(self.clause(from, rest, depth + 1)?),
        })
    }

    fn chain(
        &self,
        ty: &'static str,
        link: &str,
        rest: &str,
        depth: usize,
    ) -> Result<Clause, Issue> {
        let (code, wanted) = match link.split_once(':') {
            Some((code, wanted)) => (code, Some(wanted)),
            None => (link, None),
        };
        let reference = self.parameter(ty, code)?;
        if reference.kind != SearchKind::Reference {
            let allowed = self.codes(ty, |parameter| parameter.kind == SearchKind::Reference);
            let details = format!("only references can be chained; allowed: {allowed}");
            return Err(self.unsupported(details));
        }
        let chains = reference.limits.map_or(&[][..], |limits| limits.chains);
        let next = rest.split([':', '.']).next().unwrap_or_default();
        if !chains.is_empty() && !chains.contains(&next) {
            let details = format!(
                "{code} cannot be followed by that; allowed: {}",
                chains.join(", ")
            );
            return Err(self.unsupported(details));
        }
        let candidates = match wanted {
            Some(wanted) => vec![self.target(reference, wanted)?],
            None => self.targets(reference)?,
        };
        Self::chain_to(reference, candidates, |target| {
            self.clause(target, rest, depth + 1)
        })
    }

    /// A chain to those of some types of which the rest can be asked.
    pub(super) fn chain_to(
        reference: &'static SearchParameter,
        candidates: Vec<&'static str>,
        clause: impl Fn(&'static str) -> Result<Clause, Issue>,
    ) -> Result<Clause, Issue> {
        let mut targets = Vec::new();
        let mut first_issue = None;
        for target in candidates {
            match clause(target) {
                Ok(clause) => targets.push((target, clause)),
                // A type without the parameter is no fault while another has it;
                // a value that makes no sense is one for any type.
                Err(issue) if issue.code != IssueType::NotSupported => return Err(issue),
                Err(issue) => first_issue = first_issue.or(Some(issue)),
            }
        }
        match first_issue {
            Some(issue) if targets.is_empty() => Err(issue),
            _ => Ok(Clause::Chain { reference, targets }),
        }
    }

    /// The types that a reference may lead to.
    pub(super) fn targets(&self, reference: &SearchParameter) -> Result<Vec<&'static str>, Issue> {
        let names = targets(reference).into_iter();
        let names: Vec<_> = names.filter_map(operand::type_name).collect();
        if names.is_empty() {
            let code = reference.code;
            let details = format!("may lead to any type; name one, as in {code}:Patient.name");
            return Err(self.unsupported(details));
        }
        Ok(names)
    }

    /// The type that a modifier of a reference names.
    pub(super) fn target(
        &self,
        reference: &SearchParameter,
        name: &str,
    ) -> Result<&'static str, Issue> {
        let ty = operand::type_name(name).filter(|ty| leads_to(reference, ty));
        ty.ok_or_else(|| {
            let allowed = targets(reference).join(", ");
            self.unsupported(format!("unknown type of target; allowed: {allowed}"))
        })
    }

    fn own(&self, ty: &'static str, name: &str) -> Result<Criterion, Issue> {
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        let parameter = self.parameter(ty, code)?;
        let is_text = is_text(parameter);
        if is_text && modifier.is_some() {
            return Err(self.unsupported("this parameter has no modifiers"));
        }
        let is_special = parameter.kind == SearchKind::Special && !near::is_near(parameter);
        if !is_text && (is_special || parameter.expression.is_empty()) {
            return Err(self.unsupported("this parameter is not supported"));
        }
        let modifier = match modifier {
            Some(modifier) => Some(self.modifier(ty, parameter, modifier)?),
            None => None,
        };
        let mut values = Vec::new();
        for text in operand::split(self.value, b',') {
            if values.len() == ALTERNATIVES_MAX {
                return Err(self.too_costly(format!("more than {ALTERNATIVES_MAX} alternatives")));
            }
            self.count_value()?;
            let value = self.value(ty, parameter, modifier, text);
            values.push(value.map_err(|expected| self.malformed(&expected))?);
        }
        let criterion = Criterion {
            parameter,
            modifier,
            values,
        };
        let parameters = self.asking.parameters;
        let current = parameters.check_current(ty, &criterion);
        current.map_err(|not| not.at(location(self.whole)))?;
        self.check_limits(&criterion)?;
        Ok(criterion)
    }

    /// What the project's own definition allows.
    fn check_limits(&self, criterion: &Criterion) -> Result<(), Issue> {
        let Some(limits) = criterion.parameter.limits else {
            return Ok(());
        };
        if criterion.values.len() > 1 && !criterion.parameter.multiple_or {
            return Err(self.malformed("must be one: the parameter takes no alternatives"));
        }
        if limits.comparators.is_empty() {
            return Ok(());
        }
        let allowed = |prefix: &Prefix| limits.comparators.contains(&prefix.code());
        let prefixes = criterion.values.iter().filter_map(Operand::prefix);
        if prefixes
            .filter(|prefix| *prefix != Prefix::Eq)
            .all(|prefix| allowed(&prefix))
        {
            return Ok(());
        }
        let allowed = limits.comparators.join(", ");
        Err(self.malformed(&format!(
            "has a prefix that is not allowed; allowed: {allowed}"
        )))
    }

    fn modifier(
        &self,
        ty: &str,
        parameter: &SearchParameter,
        name: &str,
    ) -> Result<Modifier, Issue> {
        let mut allowed = modifiers(parameter.kind).to_vec();
        if let Some(extractor) = self.asking.parameters.extractor(ty) {
            allowed.retain(|(_, modifier)| extractor.has_values_for(parameter, *modifier));
        }
        let listed = parameter.limits.map_or(&[][..], |limits| limits.modifiers);
        if !listed.is_empty() {
            allowed.retain(|(known, _)| listed.contains(&written(known)));
        }
        if let Some((_, modifier)) = allowed.iter().find(|(known, _)| *known == name) {
            return Ok(*modifier);
        }
        let of_type = parameter.kind == SearchKind::Reference
            && (listed.is_empty() || listed.contains(&"type"));
        if of_type && name.starts_with(|c: char| c.is_uppercase()) {
            return self.target(parameter, name).map(Modifier::Type);
        }
        let mut names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
        if of_type {
            names.push("a type of target");
        }
        if names.is_empty() {
            return Err(self.unsupported("this parameter has no modifiers"));
        }
        let details = format!("unknown modifier; allowed: {}", names.join(", "));
        Err(self.unsupported(details))
    }

    pub(super) fn value(
        &self,
        ty: &'static str,
        parameter: &SearchParameter,
        modifier: Option<Modifier>,
        text: &str,
    ) -> Result<Operand, Expected> {
        match modifier {
            Some(Modifier::Missing) => operand::missing(text),
            Some(Modifier::Text) => {
                TextQuery::parse_with_beginnings(&operand::unescape(text)).map(Operand::Words)
            }
            Some(Modifier::In | Modifier::NotIn) => operand::uri(text),
            Some(Modifier::OfType) => operand::of_type(text),
            Some(Modifier::Identifier) => operand::token(text),
            Some(Modifier::Type(target)) => operand::typed_reference(target, text, self.asking),
            None if is_text(parameter) => {
                TextQuery::parse(&operand::unescape(text)).map(Operand::Words)
            }
            None if parameter.kind == SearchKind::Composite => self.composite(ty, parameter, text),
            None
            | Some(
                Modifier::Exact
                | Modifier::Contains
                | Modifier::Not
                | Modifier::Above
                | Modifier::Below
                | Modifier::Ends
                | Modifier::Ordered(_)
                | Modifier::Other,
            ) => operand::operand(parameter, text, self.asking),
        }
    }

    /// `part$part`, each read as the parameter that its component names.
    fn composite(
        &self,
        ty: &'static str,
        parameter: &SearchParameter,
        text: &str,
    ) -> Result<Operand, Expected> {
        let texts: Vec<&str> = operand::split(text, b'$').collect();
        if texts.len() != parameter.components.len() {
            let count = parameter.components.len();
            return Err(format!("must have {count} parts, with $ between them").into());
        }
        let parts = texts
            .iter()
            .zip(parameter.components)
            .map(|(text, component)| {
                let part = composite::part(self.asking.parameters.of(ty), component)
                    .ok_or("has a part that is not supported")?;
                operand::operand(part, text, self.asking)
            });
        Ok(Operand::Composite(parts.collect::<Result<_, _>>()?))
    }

    pub(super) fn parameter(
        &self,
        ty: &'static str,
        code: &str,
    ) -> Result<&'static SearchParameter, Issue> {
        let parameters = self.asking.parameters;
        let Some(parameter) = parameters.find(ty, code) else {
            let allowed = self.codes(ty, |_| true);
            let details = format!("unknown search parameter of {ty}; allowed: {allowed}");
            return Err(self.unsupported(details));
        };
        let ready = parameters.check_ready(ty, parameter);
        ready.map_err(|not| not.at(location(self.whole)))?;
        let hidden = self.asking.hidden;
        hidden.check(ty, parameter, || location(self.whole))?;
        Ok(parameter)
    }

    pub(super) fn codes(&self, ty: &str, wanted: impl Fn(&SearchParameter) -> bool) -> String {
        codes(self.asking.parameters, ty, wanted)
    }

    fn unsupported(&self, details: impl Into<Expected>) -> Issue {
        Issue::error(IssueType::NotSupported, location(self.whole), details)
    }

    fn too_costly(&self, details: impl Into<Expected>) -> Issue {
        Issue::error(IssueType::TooCostly, location(self.whole), details)
    }

    fn malformed(&self, expected: &str) -> Issue {
        let details = format!("the value {expected}");
        Issue::error(IssueType::Value, location(self.whole), details)
    }
}

/// The names of the types that a reference may lead to. `patient` says in its
/// expression that it leads to a Patient only, whatever the element allows.
pub(super) fn targets(parameter: &SearchParameter) -> Vec<&'static str> {
    let paths = paths(parameter.expression).unwrap_or_default();
    let mut only: Vec<&'static str> = paths.iter().filter_map(|path| path.target).collect();
    if only.is_empty() || only.len() < paths.len() {
        let definitions = definitions::r4();
        let names = parameter.targets.iter().map(|id| definitions.ty(*id).name);
        return names.collect();
    }
    only.sort_unstable();
    only.dedup();
    only
}

/// Is it about all the words of a resource, rather than a value?
pub(super) fn is_text(parameter: &SearchParameter) -> bool {
    matches!(parameter.code, "_text" | "_content")
}

fn leads_to(parameter: &SearchParameter, ty: &str) -> bool {
    let mut targets = targets(parameter).into_iter();
    parameter.kind == SearchKind::Reference && targets.any(|name| name == ty || name == "Resource")
}

/// The names of a type's parameters that have a quality, for a message.
pub(super) fn codes(
    parameters: &Parameters,
    ty: &str,
    wanted: impl Fn(&SearchParameter) -> bool,
) -> String {
    let all = parameters.of(ty);
    let names: Vec<&str> = all.filter(|p| wanted(p)).map(|p| p.code).collect();
    names.join(", ")
}

/// A modifier as `SearchParameter.modifier` has it
/// (<https://hl7.org/fhir/R4/valueset-search-modifier-code.html>).
fn written(modifier: &str) -> &str {
    match modifier {
        "of-type" => "ofType",
        other => other,
    }
}

fn modifiers(kind: SearchKind) -> &'static [(&'static str, Modifier)] {
    match kind {
        SearchKind::String => &[
            ("missing", Modifier::Missing),
            ("exact", Modifier::Exact),
            ("contains", Modifier::Contains),
        ],
        SearchKind::Token => &[
            ("missing", Modifier::Missing),
            ("text", Modifier::Text),
            ("not", Modifier::Not),
            ("above", Modifier::Above),
            ("below", Modifier::Below),
            ("in", Modifier::In),
            ("not-in", Modifier::NotIn),
            ("of-type", Modifier::OfType),
        ],
        SearchKind::Reference => &[
            ("missing", Modifier::Missing),
            ("identifier", Modifier::Identifier),
            ("text", Modifier::Text),
            ("above", Modifier::Above),
            ("below", Modifier::Below),
        ],
        SearchKind::Uri => &[
            ("missing", Modifier::Missing),
            ("above", Modifier::Above),
            ("below", Modifier::Below),
        ],
        SearchKind::Date | SearchKind::Number | SearchKind::Quantity | SearchKind::Special => {
            &[("missing", Modifier::Missing)]
        }
        SearchKind::Composite => &[],
    }
}
