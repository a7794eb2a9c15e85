//! What a kick-off asks for, understood or refused:
//! <https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters>.

use std::borrow::Cow;

use salus_auth::{Action, Grant, Operation};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::Node;
use salus_fhir::reference::{Reference, is_id};
use salus_fhir::search::Span;

use super::choice::part;
use super::{Export, Level, Provenance};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::operations::{Arguments, Invocation, OPERATIONS, Operation as Row, invalid};
use crate::fhir::types::ResourceType;
use crate::fhir::{Handling, check_id, incoming, resource_type};
use crate::jobs::record::Work;

/// The formats that can be asked for, which are one.
const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];
/// Searches, elements and patients of one export at most.
const LIST_MAX: usize = 10_000;

impl Service {
    /// Begins an export; the id of its job. `url` is the whole URL that was asked.
    pub async fn export(
        &self,
        cx: &Context,
        call: Invocation<'_>,
        (handling, url): (Handling, String),
    ) -> Result<Box<str>, Error> {
        let ty = match call.ty {
            "" => None,
            name => Some(resource_type(name)?),
        };
        let name = ty.map_or("", |ty| ty.name);
        let (what, called) = (What::Operation, (Operation::EXPORT, Action::Job));
        let target = ty.map_or(salus_auth::Target::System, |ty| {
            salus_auth::Target::Type(ty.name)
        });
        let grant = self.authorize_operation(cx, called, target, call.id);
        let grant = grant.await?;
        let work = self.export_granted(cx, &grant, (&call, ty), (handling, url));
        self.attempt_on(cx, &grant, what, (name, call.id), work)
            .await
    }

    async fn export_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        (call, ty): (&Invocation<'_>, Option<ResourceType>),
        (handling, url): (Handling, String),
    ) -> Result<Box<str>, Error> {
        self.needs_step_up(cx)?;
        let operation = operation(call, ty)?;
        let document = match call.body.is_empty() {
            true => None,
            false => Some(incoming::parse(call.body.clone(), &self.settings.json)?),
        };
        let body = document.as_ref().map(|document| document.root());
        let lenient = handling == Handling::Lenient;
        let arguments = match lenient {
            true => Arguments::read_known(operation, &call.query, body)?,
            false => Arguments::read(operation, &call.query, body)?,
        };
        let level = match (ty, call.id) {
            (None, _) => Level::System,
            (Some(_), "") => Level::Patient,
            (Some(_), id) => Level::Group(id.to_owned()),
        };
        let asked = Export::read(&arguments, level, lenient, &cx.base)?;
        self.check_export(cx, &asked).await?;
        let mut entry = Entry::new(cx, What::Operation, Outcome::Success, grant.rule());
        entry.ty = ty.map_or("", |ty| ty.name).into();
        let text = url.split_once('?').map_or("", |(_, text)| text);
        entry.query = format!("$export?{text}").into();
        for id in asked.patients.iter().flatten() {
            concerns(&mut entry, "Patient", id);
        }
        if let Level::Group(id) = &asked.level {
            concerns(&mut entry, "Group", id);
        }
        let id = self.new_id(cx);
        let work = Work::Export(Box::new(asked));
        self.begin_job(cx, grant, entry, (id, url), work).await
    }

    /// Refuses now what would fail later.
    async fn check_export(&self, cx: &Context, asked: &Export) -> Result<(), Error> {
        if let Level::Group(id) = &asked.level {
            self.groups(cx, id).await?;
        }
        let types = self.export_types(cx, asked).await?;
        for (ty, text) in &asked.filters {
            let ty = types.iter().find(|known| known.name == *ty);
            let ty = ty.ok_or_else(|| {
                invalid("_typeFilter", "it must be about a type that is exported")
            })?;
            self.type_filter(cx, *ty, text).await?;
        }
        for element in &asked.elements {
            check_element(element, &types)?;
        }
        Ok(())
    }
}

fn concerns(entry: &mut Entry, ty: &'static str, id: &str) {
    let entity = Entity {
        ty: ty.into(),
        id: id.into(),
        version: 0,
    };
    let kind = salus_store::Kind::named(ty);
    entry.concerns(entity, kind, &salus_store::SealKey::Scope);
}

/// The row of the table that a call is for.
fn operation(call: &Invocation<'_>, ty: Option<ResourceType>) -> Result<&'static Row, Error> {
    let mut named = OPERATIONS.iter().filter(|known| known.name == "export");
    let fits = |known: &&&'static Row| match (ty.map(|ty| ty.name), call.id) {
        (None, _) => known.types.is_empty(),
        (Some("Patient"), "") => known.types == ["Patient"],
        (Some("Group"), id) if !id.is_empty() => known.types == ["Group"],
        (Some(_), _) => false,
    };
    if ty.is_some_and(|ty| ty.name == "Group") && !call.id.is_empty() {
        check_id(call.id)?;
    }
    named.find(fits).copied().ok_or_else(|| {
        Error::not_found("$export is called on the system, on Patient or on one Group")
    })
}

impl Export {
    fn read(
        arguments: &Arguments<'_>,
        level: Level,
        lenient: bool,
        base: &str,
    ) -> Result<Self, Error> {
        if let Some(format) = arguments.text("_outputFormat")? {
            // A + that was not encoded has become a space.
            if !FORMATS.contains(&&*format.replace(' ', "+")) {
                return Err(invalid(
                    "_outputFormat",
                    format!("allowed: {}", FORMATS.join(", ")),
                ));
            }
        }
        let time = |name| -> Result<Option<i64>, Error> {
            let span = arguments.span(name)?;
            Ok(span.map(|(_, span): (Cow<'_, str>, Span)| span.from_ms))
        };
        Ok(Self {
            since_ms: time("_since")?,
            until_ms: time("_until")?,
            types: types(arguments, &level, lenient)?,
            filters: filters(arguments)?,
            elements: list(arguments, "_elements")?,
            patients: patients(arguments, base)?,
            provenance: provenance(arguments, lenient)?,
            level,
            point: None,
        })
    }
}

fn types(
    arguments: &Arguments<'_>,
    level: &Level,
    lenient: bool,
) -> Result<Option<Vec<String>>, Error> {
    let Some(mut types) = arguments.types("_type")? else {
        return Ok(None);
    };
    let allowed = level.types();
    let may = |ty: &ResourceType| allowed.contains(ty);
    if lenient {
        types.retain(may);
    }
    if !types.iter().all(may) || types.is_empty() {
        let details = match level {
            Level::System => "it must be types that can be exported",
            Level::Patient | Level::Group(_) => "it must be types in the compartment of a patient",
        };
        return Err(invalid("_type", details));
    }
    Ok(Some(types.iter().map(|ty| ty.name.to_owned()).collect()))
}

/// `Type?query`, with commas between them. A query may have commas, too: one
/// ends where the next begins.
fn filters(arguments: &Arguments<'_>) -> Result<Vec<(String, String)>, Error> {
    let fault = || invalid("_typeFilter", "it must be searches as Type?parameter=value");
    let mut filters: Vec<(String, String)> = Vec::new();
    for text in arguments.texts("_typeFilter")? {
        let mut first = true;
        for part in text.split(',') {
            match part.split_once('?') {
                Some((ty, query)) if ResourceType::named(ty).is_some() => {
                    filters.push((ty.to_owned(), query.to_owned()));
                }
                _ if first => return Err(fault()),
                _ => {
                    let (_, query) = filters.last_mut().ok_or_else(fault)?;
                    query.push(',');
                    query.push_str(part);
                }
            }
            first = false;
        }
    }
    match filters.len() > LIST_MAX {
        true => Err(invalid("_typeFilter", "there are too many searches")),
        false => Ok(filters),
    }
}

fn list(arguments: &Arguments<'_>, name: &'static str) -> Result<Vec<String>, Error> {
    let texts = arguments.texts(name)?;
    let items = texts.iter().flat_map(|text| text.split(','));
    let items: Vec<String> = items.map(|item| item.trim().to_owned()).collect();
    match items.len() > LIST_MAX || items.iter().any(String::is_empty) {
        true => Err(invalid(
            name,
            "it must be a list with commas between its items",
        )),
        false => Ok(items),
    }
}

/// An element must be one of its type, or of one of the types at least.
fn check_element(element: &str, types: &[ResourceType]) -> Result<(), Error> {
    let known = match element.split_once('.') {
        Some((ty, name)) => ResourceType::named(ty).is_some_and(|ty| part(ty, name).is_ok()),
        None => types.iter().any(|ty| part(*ty, element).is_ok()),
    };
    match known {
        true => Ok(()),
        false => Err(invalid(
            "_elements",
            "it must be elements at the top of resources, as name or Patient.name",
        )),
    }
}

fn patients(arguments: &Arguments<'_>, base: &str) -> Result<Option<Vec<String>>, Error> {
    let nodes = arguments.nodes("patient")?;
    if nodes.is_empty() {
        return Ok(None);
    }
    let id = |node: &Node<'_>| {
        let text = node.get("reference").and_then(Node::str)?;
        match Reference::parse(&text, &[base]) {
            Some(Reference::Local(local)) if local.ty == "Patient" && is_id(local.id) => {
                Some(local.id.to_owned())
            }
            _ => None,
        }
    };
    let ids: Option<Vec<String>> = nodes.iter().map(id).collect();
    let ids = ids.ok_or_else(|| invalid("patient", "it must be references as Patient/[id]"))?;
    Ok(Some(ids))
}

fn provenance(arguments: &Arguments<'_>, lenient: bool) -> Result<Option<Provenance>, Error> {
    let mut wanted = None;
    for item in list(arguments, "includeAssociatedData")? {
        match item.as_str() {
            "LatestProvenanceResources" => wanted = wanted.or(Some(Provenance::Latest)),
            "RelevantProvenanceResources" => wanted = Some(Provenance::Relevant),
            _ if lenient => {}
            _ => {
                let place = "Parameters.parameter.where(name = 'includeAssociatedData')";
                let details = "allowed: LatestProvenanceResources, RelevantProvenanceResources";
                let issue = Issue::error(IssueType::NotSupported, place, details);
                return Err(Error::with_issues(Kind::Invalid, vec![issue]));
            }
        }
    }
    Ok(wanted)
}
