//! Reading a `SearchParameter` resource: what it adds to the parameters of a
//! project, or why it cannot be served
//! (<https://hl7.org/fhir/R4/searchparameter.html>).
//!
//! A definition lives as long as the process, as those of R4 do, so that
//! criteria can point to it. Equal ones are kept once, and there is a limit:
//! see docs/adr/0016-parameters-of-projects.md.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::extract::Extractor;
use super::parameters::Parameters;
use super::path::{Path, paths};
use crate::definitions::{self, Component, Limits, SearchKind, SearchParameter, TypeId, TypeKind};
use crate::issue::{Issue, IssueType};
use crate::json::Node;

/// A parameter of a project, for one type of resource.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The type.
    pub ty: &'static str,
    /// The parameter; equal definitions are the same one.
    pub parameter: &'static SearchParameter,
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty && std::ptr::eq(self.parameter, other.parameter)
    }
}

const AUDIT: &str = "AuditEvent";
/// Longest text of a definition, in bytes.
const TEXT_BYTES_MAX: usize = 16_384;
/// Most definitions of one process, all projects and all their versions.
const DEFINITIONS_MAX: usize = 200_000;
/// Most bytes of their texts.
const DEFINITIONS_BYTES_MAX: usize = 128 << 20;

/// What a `SearchParameter` adds to each type of its bases. One that is not
/// active adds nothing, nor does one that stands for a parameter of R4.
/// `known` are the project's parameters, of which its components may be some.
///
/// # Errors
/// Why it cannot be served.
pub fn define(node: Node<'_>, known: &Parameters) -> Result<Vec<Own>, Issue> {
    if text(node, "status")? != "active" {
        return Ok(Vec::new());
    }
    let definition = Definition {
        node,
        known,
        code: text(node, "code")?,
        url: text(node, "url")?,
        kind: text(node, "type")?,
    };
    let mut own = Vec::new();
    for ty in definition.types()? {
        if let Some(parameter) = definition.on(ty)? {
            own.push(Own { ty, parameter });
        }
    }
    Ok(own)
}

struct Definition<'d> {
    node: Node<'d>,
    known: &'d Parameters,
    code: Cow<'d, str>,
    url: Cow<'d, str>,
    kind: Cow<'d, str>,
}

impl Definition<'_> {
    /// The types of its bases, each once.
    fn types(&self) -> Result<Vec<&'static str>, Issue> {
        let definitions = definitions::r4();
        let mut found = Vec::new();
        for base in texts(self.node, "base")? {
            let id = definitions.type_named(&base);
            let is_base = |id: &TypeId| {
                definitions.ty(*id).kind == TypeKind::Resource
                    || matches!(&*base, "Resource" | "DomainResource")
            };
            let id = id
                .filter(is_base)
                .ok_or_else(|| refused("base", "names something that is no type of resource"))?;
            let all = definitions.resource_types();
            found.extend(
                all.filter(|ty| definitions.is_subtype(ty.id, id))
                    .map(|ty| ty.name),
            );
        }
        found.sort_unstable();
        found.dedup();
        // They are kept apart, without an index.
        found.retain(|ty| *ty != AUDIT);
        if found.is_empty() {
            return Err(refused(
                "base",
                "must name a type of resource other than AuditEvent",
            ));
        }
        Ok(found)
    }

    /// What it is for a type; `None` if it stands for a parameter of R4.
    fn on(&self, ty: &'static str) -> Result<Option<&'static SearchParameter>, Issue> {
        if let Some(known) = definitions::r4().search_parameter(ty, &self.code) {
            if self.stands_for(ty, known)? {
                return Ok(None);
            }
            let details = format!("is the code of another parameter of {ty} in FHIR R4");
            return Err(refused("code", details));
        }
        let shape = self.shape(ty)?;
        let parameter = keep(shape)?;
        Extractor::can_read(definitions::r4(), ty, parameter).map_err(|reason| {
            refused(
                "expression",
                reason.unwrap_or_else(|| {
                    format!(
                        "leads to nothing of {ty} that a parameter of type {} compares",
                        self.kind
                    )
                }),
            )
        })?;
        Ok(Some(parameter))
    }

    /// Packages repeat the parameters of R4, narrowed to one type, to say what
    /// servers must support: those are served already.
    fn stands_for(&self, ty: &str, known: &SearchParameter) -> Result<bool, Issue> {
        let derived = optional(self.node, "derivedFrom")?.unwrap_or_default();
        let expression = optional(self.node, "expression")?.unwrap_or_default();
        let of_r4 =
            |url: &str| url == known.url || url.starts_with("http://hl7.org/fhir/SearchParameter/");
        let same_kind = SearchKind::named(&self.kind) == Some(known.kind);
        let same_expression = definitions::part_for(&expression, ty) == known.expression;
        Ok(*self.url == *known.url || same_kind && (of_r4(&derived) || same_expression))
    }

    fn shape(&self, ty: &'static str) -> Result<Shape, Issue> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let begins = self.code.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins || !self.code.bytes().all(plain) || self.code.len() > 64 {
            let details =
                "must begin with a letter, and have letters, digits, - and _ only, 64 at most";
            return Err(refused("code", details));
        }
        // A special parameter means what its text says, and no program reads that.
        let kind = SearchKind::named(&self.kind).filter(|kind| *kind != SearchKind::Special);
        let kind = kind.ok_or_else(|| {
            let allowed = "number, date, string, token, reference, composite, quantity, uri";
            refused(
                "type",
                format!("is not one that can be served; allowed: {allowed}"),
            )
        })?;
        let expression = optional(self.node, "expression")?.unwrap_or_default();
        let expression = definitions::part_for(&expression, ty).into_owned();
        if expression.trim().is_empty() {
            return Err(refused(
                "expression",
                "is missing: there is nothing to index by",
            ));
        }
        let components = self.components(ty)?;
        let count_is_right = match components.len() {
            2 | 3 => kind == SearchKind::Composite,
            count => count == 0 && kind != SearchKind::Composite,
        };
        if !count_is_right {
            return Err(refused(
                "component",
                "must be there 2 or 3 times for a composite, and for no other",
            ));
        }
        Ok(Shape {
            code: self.code.clone().into_owned(),
            url: self.url.clone().into_owned(),
            kind,
            expression: expression.trim().to_owned(),
            targets: self.targets()?,
            components,
            multiple_or: self.node.get("multipleOr").and_then(Node::bool) != Some(false),
            multiple_and: self.node.get("multipleAnd").and_then(Node::bool) != Some(false),
            modifiers: texts(self.node, "modifier")?,
            comparators: texts(self.node, "comparator")?,
            chains: texts(self.node, "chain")?,
        })
    }

    fn targets(&self) -> Result<Vec<TypeId>, Issue> {
        let definitions = definitions::r4();
        let named = texts(self.node, "target")?;
        let ids = named.iter().map(|name| definitions.type_named(name));
        let mut ids: Vec<TypeId> = ids
            .collect::<Option<_>>()
            .ok_or_else(|| refused("target", "names an unknown type"))?;
        if ids.is_empty() && &*self.kind == "reference" {
            ids.extend(definitions.type_named("Resource"));
        }
        Ok(ids)
    }

    fn components(&self, ty: &'static str) -> Result<Vec<Part>, Issue> {
        let mut parts = Vec::new();
        for component in items(self.node, "component").take(4) {
            let url = text(component, "definition")?;
            let mut all = self.known.of(ty);
            let parameter = all.find(|p| p.url == url && p.kind != SearchKind::Composite);
            let parameter = parameter.ok_or_else(|| {
                let details = format!("names no parameter of {ty} that can be part of a composite");
                refused("component.definition", details)
            })?;
            let expression = text(component, "expression")?;
            if !is_plain(&expression) {
                let details = "must be a path without conditions";
                return Err(refused("component.expression", details));
            }
            parts.push(Part {
                url: url.into_owned(),
                expression: expression.into_owned(),
                parameter: std::ptr::from_ref(parameter).addr(),
                of: parameter,
            });
        }
        Ok(parts)
    }
}

/// Is it a path that leads from an element to all that is there?
fn is_plain(expression: &str) -> bool {
    let rest = expression.strip_prefix("%resource.").unwrap_or(expression);
    let plain = |path: &Path<'_>| {
        let mut steps = path.steps.iter();
        path.target.is_none() && steps.all(|step| step.guard.is_none() && step.index.is_none())
    };
    paths(rest).is_some_and(|paths| paths.iter().all(plain))
}

fn refused(member: &str, details: impl Into<Cow<'static, str>>) -> Issue {
    let place = format!("SearchParameter.{member}");
    Issue::error(IssueType::NotSupported, place, details)
}

fn optional<'a>(node: Node<'a>, member: &str) -> Result<Option<Cow<'a, str>>, Issue> {
    let text = node.get(member).and_then(Node::str);
    if text
        .as_ref()
        .is_some_and(|text| text.len() > TEXT_BYTES_MAX)
    {
        let details = format!("is longer than {TEXT_BYTES_MAX} bytes");
        return Err(refused(member, details));
    }
    Ok(text)
}

fn text<'a>(node: Node<'a>, member: &str) -> Result<Cow<'a, str>, Issue> {
    optional(node, member)?.ok_or_else(|| refused(member, "is missing"))
}

fn items<'a>(node: Node<'a>, member: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    let list = node.get(member).filter(|list| list.is_array());
    list.into_iter().flat_map(Node::children)
}

/// A list of codes.
fn texts(node: Node<'_>, member: &str) -> Result<Vec<String>, Issue> {
    let all = items(node, member).filter_map(Node::str);
    let all: Vec<String> = all.map(Cow::into_owned).collect();
    if all.len() > 500 || all.iter().any(|text| text.len() > 64) {
        return Err(refused(member, "is too long"));
    }
    Ok(all)
}

/// A definition, before it is kept.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    code: String,
    url: String,
    kind: SearchKind,
    expression: String,
    targets: Vec<TypeId>,
    components: Vec<Part>,
    multiple_or: bool,
    multiple_and: bool,
    modifiers: Vec<String>,
    comparators: Vec<String>,
    chains: Vec<String>,
}

/// A component, and the parameter that says how it is compared.
struct Part {
    url: String,
    expression: String,
    /// Where the parameter is: that of R4 or one that is kept, for ever.
    parameter: usize,
    of: &'static SearchParameter,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.expression, self.parameter)
            == (&other.url, &other.expression, other.parameter)
    }
}

impl Eq for Part {}

impl std::hash::Hash for Part {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.url, &self.expression, self.parameter).hash(state);
    }
}

#[derive(Default)]
struct Kept {
    all: HashMap<Shape, &'static SearchParameter>,
    bytes: usize,
}

/// The definition as it is kept, from now on or already.
fn keep(shape: Shape) -> Result<&'static SearchParameter, Issue> {
    static KEPT: Mutex<Option<Kept>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    if let Some(known) = kept.all.get(&shape) {
        return Ok(known);
    }
    let bytes = kept.bytes + shape.bytes();
    if kept.all.len() >= DEFINITIONS_MAX || bytes > DEFINITIONS_BYTES_MAX {
        let details =
            "there were too many different search parameters since the server was started";
        return Err(Issue::error(
            IssueType::Throttled,
            "SearchParameter",
            details,
        ));
    }
    kept.bytes = bytes;
    let parameter = shape.leak();
    kept.all.insert(shape, parameter);
    Ok(parameter)
}

impl Shape {
    fn bytes(&self) -> usize {
        let lists = [&self.modifiers, &self.comparators, &self.chains];
        let lists = lists.into_iter().flatten().map(|text| text.len() + 64);
        let parts = self.components.iter();
        let parts = parts.map(|part| part.url.len() + part.expression.len() + 128);
        let texts = self.code.len() + self.url.len() + self.expression.len();
        // Once as the key and once as it is leaked.
        2 * (lists.chain(parts).sum::<usize>() + texts + 512)
    }

    fn leak(&self) -> &'static SearchParameter {
        fn text(text: &str) -> &'static str {
            String::leak(text.to_owned())
        }
        fn texts(texts: &[String]) -> &'static [&'static str] {
            Vec::leak(texts.iter().map(|one| text(one)).collect())
        }
        let component = |part: &Part| Component {
            definition: text(&part.url),
            expression: text(&part.expression),
            parameter: Some(part.of),
        };
        Box::leak(Box::new(SearchParameter {
            code: text(&self.code),
            kind: self.kind,
            expression: text(&self.expression),
            targets: Vec::leak(self.targets.clone()),
            components: Vec::leak(self.components.iter().map(component).collect()),
            multiple_or: self.multiple_or,
            multiple_and: self.multiple_and,
            url: text(&self.url),
            limits: Some(Limits {
                modifiers: texts(&self.modifiers),
                comparators: texts(&self.comparators),
                chains: texts(&self.chains),
            }),
        }))
    }
}

#[cfg(test)]
mod tests;
