//! `_query`: searches that have a name
//! (<https://hl7.org/fhir/R4/search.html#query>).
//!
//! A named query is an OperationDefinition of kind `query`. The specification
//! leaves open how one says what is searched. Ours does in an extension, as a
//! search with places for its parameters: `code=http://loinc.org|{code}`. What
//! a client gives is put into values only, after they were taken apart, so it
//! cannot add a parameter or, escaped, an alternative.

mod template;

use salus_auth::{Action, Target};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::search::Control;
use salus_store::{Content, Filter, Param, Query, Record, Test};

use super::{Asked, Place, read};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;

const NAME: &str = "_query";
/// The extension of an OperationDefinition that says what is searched.
pub(crate) const EXTENSION: &str = "urn:salus:named-query";
/// Definitions of one name that are looked at.
const DEFINITIONS_MAX: usize = 20;

/// A named query that was asked for.
pub(super) struct Named {
    /// `_query` and its parameters, as they were sent.
    pairs: Vec<(String, String)>,
    /// What it stands for.
    search: Vec<(String, String)>,
}

impl Service {
    /// Takes a named query and its parameters out of the others.
    pub(super) async fn named(
        &self,
        cx: &Context,
        types: &[ResourceType],
        parameters: &mut Vec<(String, String)>,
        place: &Place,
    ) -> Result<Option<Named>, Error> {
        let mut pairs: Vec<_> = parameters
            .extract_if(.., |(name, _)| name == NAME)
            .collect();
        let name = match &pairs[..] {
            [] => return Ok(None),
            [(_, name)] if !name.is_empty() => name.clone(),
            [_] => {
                return Err(refused(
                    IssueType::Value,
                    "the value must be the name of a query",
                ));
            }
            _ => {
                return Err(refused(
                    IssueType::Value,
                    "the parameter must not be repeated",
                ));
            }
        };
        let body = self.definition(cx, types, &name, place).await?;
        let document = Document::parse(body, &Limits::default());
        let document = document.map_err(|_| faulty("cannot be read"))?;
        let definition = document.root();
        let inputs = template::inputs(definition);
        let is_input =
            |(name, _): &mut (String, String)| inputs.iter().any(|input| input.name == *name);
        let given: Vec<_> = parameters.extract_if(.., is_input).collect();
        let search = template(definition).ok_or_else(|| faulty("has no search"))?;
        let search = template::fill(&search, &inputs, &given)?;
        pairs.extend(given);
        Ok(Some(Named { pairs, search }))
    }

    /// The text of the definition of a query for these types, as the search
    /// sees it.
    async fn definition(
        &self,
        cx: &Context,
        types: &[ResourceType],
        name: &str,
        place: &Place,
    ) -> Result<Vec<u8>, Error> {
        const TYPE: &str = "OperationDefinition";
        let target = Target::Type(TYPE);
        let grant = salus_auth::authorize(&cx.subject, cx.scope, Action::Read, target);
        let grant = grant.map_err(|_| {
            let details = "named queries are for those who may read OperationDefinition";
            let issue = Issue::error(IssueType::Forbidden, "http._query", details);
            Error::with_issues(Kind::Forbidden, vec![issue])
        })?;
        let is = |code: &str, value: &str| {
            let (system, code_asked) = (None, Some(value.into()));
            let test = Test::Token {
                system,
                code: code_asked,
            };
            Filter::Value(Param::named(TYPE, code), test)
        };
        let query = Query {
            kind: salus_store::Kind::named(TYPE),
            filter: Filter::All(vec![
                is("code", name),
                is("kind", "query"),
                is("status", "active"),
                grant.filter().clone(),
            ]),
            sort: Vec::new(),
            limit: DEFINITIONS_MAX,
            after: None,
            rows: Vec::new(),
        };
        let snapshot = self.store.snapshot(cx.scope, place.at).await?;
        let found = snapshot.find(&query).await?;
        let records = found.hits.into_iter().map(|hit| hit.record);
        let mut bodies = records.filter_map(|record| body_for(record, types));
        match (bodies.next(), bodies.next()) {
            (Some(body), None) => Ok(body),
            (None, _) => {
                let details = "there is no such query: no active OperationDefinition of kind query \
                               has this code and is for all types that are searched";
                Err(refused(IssueType::NotSupported, details))
            }
            (Some(_), Some(_)) => {
                let details = "several active definitions have this code and are for all types that are searched";
                Err(refused(IssueType::MultipleMatches, details))
            }
        }
    }
}

impl Named {
    /// What it stands for.
    pub(super) fn search(&self) -> &[(String, String)] {
        &self.search
    }

    /// Adds what it stands for to what else was asked of a type, perhaps among
    /// several.
    pub(super) fn add(
        &self,
        cx: &Context,
        among: &[&'static str],
        terms: &Terms,
        asked: &mut Asked,
    ) -> Result<(), Error> {
        let (own, problems) = read(cx, (asked.ty, among), &self.search, terms);
        if let Some(problem) = problems.into_iter().next() {
            let details = format!("the query is not valid: {}", problem.issue.details);
            return Err(refused(problem.issue.code, details));
        }
        asked.filters.extend(own.filters);
        asked.notices.extend(own.notices);
        asked.pairs.extend(self.pairs.iter().cloned());
        join(&mut asked.control, own.control);
        Ok(())
    }
}

/// What a client says of the result goes before what the query says.
fn join(control: &mut Control, own: Control) {
    if control.sort.is_empty() {
        control.sort = own.sort;
    }
    if control.elements.is_empty() && control.summary.is_none() {
        control.elements = own.elements;
        control.summary = own.summary;
    }
    control.count = control.count.or(own.count);
    control.total = control.total.or(own.total);
    control.includes.extend(own.includes);
    control.reverse_includes.extend(own.reverse_includes);
    control.contained = control.contained.or(own.contained);
    control.contained_type = control.contained_type.or(own.contained_type);
}

/// The text of a definition, if it is of queries for all of the types.
fn body_for(record: Record, searched: &[ResourceType]) -> Option<Vec<u8>> {
    let Content::Body(body) = record.content else {
        return None;
    };
    let document = Document::parse(body.to_vec(), &Limits::default()).ok()?;
    let types = document.root().get("resource")?;
    let names: Vec<_> = types.children().filter_map(Node::str).collect();
    let is_for = |ty: &ResourceType| {
        let all = ["Resource", "DomainResource"];
        let mut names = names.iter();
        names.any(|name| *name == ty.name || all.contains(&&**name))
    };
    searched.iter().all(is_for).then(|| body.to_vec())
}

/// What is searched, as the extension says.
fn template(definition: Node<'_>) -> Option<String> {
    let mut extensions = definition.get("extension")?.children();
    let ours = extensions.find(|it| {
        let url = it.get("url").and_then(Node::str);
        url.is_some_and(|url| url == EXTENSION)
    })?;
    ours.get("valueString")
        .and_then(Node::str)
        .map(|text| text.into_owned())
}

fn faulty(what: &str) -> Error {
    refused(
        IssueType::Value,
        format!("the definition of the query {what}"),
    )
}

fn refused(code: IssueType, details: impl Into<String>) -> Error {
    let issue = Issue::error(code, "http._query", details.into());
    Error::with_issues(Kind::Invalid, vec![issue])
}
