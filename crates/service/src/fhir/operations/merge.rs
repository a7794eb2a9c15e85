//! `Patient/$merge`, after <https://hl7.org/fhir/R5/patient-operation-merge.html>,
//! and `Patient/$merge-undo`.
//!
//! One commit does all of it or nothing: the target gets the identifiers of
//! the source and a link that it replaces it, the source becomes inactive
//! with a link to the target, what refers to the source refers to the target,
//! and a Provenance says which version of each resource became which. From
//! that the merge can be undone, as long as none of them has changed since.
//!
//! References are found by search parameters; those that none knows, such as
//! in extensions, and those to a version stay as they are.

mod undo;

use salus_auth::{Action, Grant, Target};
use salus_fhir::definitions::{self, SearchKind};
use salus_fhir::issue::{Issue, operation_outcome};
use salus_fhir::json::{Node, write};
use salus_fhir::reference::Reference;
use salus_fhir::splice::Splices;
use salus_store::{Content, Filter, Precondition, Query, Record, Snapshot, Test};

use super::parameters::{Writer, invalid, items};
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::reply::Reply;
use crate::fhir::settle::Decision;
use crate::fhir::stored::Stored;
use crate::fhir::types::ResourceType;
use crate::fhir::{check_id, incoming, read, rows};
use crate::pipeline::Write;

pub(super) use undo::UNDO;

pub(super) static MERGE: Operation = Operation {
    name: "merge",
    definition: "urn:salus:operation:merge",
    types: &["Patient"],
    level: &[Level::Type],
    affects_state: true,
    parameters: &[
        Parameter::given("source-patient", "Reference", "The record that ends").required(),
        Parameter::given("target-patient", "Reference", "The record that goes on").required(),
        Parameter::given("preview", "boolean", "Only say what would be done"),
        Parameter {
            name: "outcome",
            ..Parameter::returned("OperationOutcome", "What was done")
        },
        Parameter {
            name: "result",
            ..Parameter::returned("Patient", "The target as it is then")
        },
        Parameter {
            name: "provenance",
            min: 0,
            ..Parameter::returned("Reference", "What the merge can be undone by")
        },
    ],
    searches: false,
    action: Action::Update,
    code: Code::Merge,
};

/// Most resources that may refer to the source.
const REFERRING_MAX: usize = 1000;
/// What a Provenance of a merge says it is.
const ACTIVITY: &str = r#"{"coding":[{"system":"urn:salus:activity","code":"merge"}]}"#;

/// A change of a resource: the version that was and the one that comes.
struct Changed {
    before: Record,
    after: Stored,
}

impl Service {
    pub(super) async fn merge(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let (source, target) = (
            named(cx, asked, "source-patient")?,
            named(cx, asked, "target-patient")?,
        );
        if source == target {
            return Err(invalid("target-patient", "it is the same patient"));
        }
        let preview = match asked.arguments.text("preview")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("preview", "it must be true or false")),
        };
        let what = What::Operation;
        let read = self.authorize_on(cx, what, Action::Read, Target::Type(ty.name), &source);
        let read = read.await?;
        let decide = || async {
            let snapshot = self.snapshot(cx).await?;
            let mut preconditions = Vec::new();
            let source = self.patient(&*snapshot, &read, ty, &source).await?;
            let target = self.patient(&*snapshot, &read, ty, &target).await?;
            let mut all = self.joined(cx, ty, source, target)?;
            let ids = (all[0].before.id.clone(), all[1].before.id.clone());
            for (of, referring) in self
                .referring(cx, &*snapshot, ty, &ids, &mut preconditions)
                .await?
            {
                all.extend(self.turned(cx, of, referring, &ids)?);
            }
            let provenance = self.provenance(cx, &all)?;
            let answer = answer(&all, (!preview).then_some(&*provenance.id));
            let entry = asked.entry(cx, if preview { "preview=true" } else { "" });
            if preview {
                let mut entry = entry;
                entry.shows(all.iter().map(|changed| &changed.before));
                self.record(cx, entry).await?;
                return Ok(Decision::Answer(answer));
            }
            let all = all
                .into_iter()
                .map(|changed| changed.after)
                .chain([provenance]);
            Ok(Decision::Commit {
                entry,
                preconditions,
                writes: all
                    .map(|stored| Write::store(&asked.grant, stored))
                    .collect(),
                answer,
            })
        };
        self.settle(cx, (what, &asked.grant), None, false, decide)
            .await
    }

    async fn patient(
        &self,
        snapshot: &dyn Snapshot,
        grant: &Grant,
        ty: ResourceType,
        id: &str,
    ) -> Result<Record, Error> {
        self.check_visible(snapshot, grant, ty, id).await?;
        let record = snapshot.get(ty.kind, id).await?;
        record
            .filter(|record| record.content != Content::Deleted)
            .ok_or_else(read::absent)
    }

    /// The two patients as they become.
    fn joined(
        &self,
        cx: &Context,
        ty: ResourceType,
        source: Record,
        target: Record,
    ) -> Result<Vec<Changed>, Error> {
        let (old, new) = (self.document_of(&source)?, self.document_of(&target)?);
        for document in [&old, &new] {
            let mut links = items(document.root(), "link");
            if links.any(|link| link.get("type").and_then(Node::plain_str) == Some("replaced-by")) {
                let details = "one of the patients was replaced by another already";
                return Err(Error::new(Kind::Unprocessable, details));
            }
        }
        let texts = (
            ended(old.root(), &target.id),
            continued(new.root(), old.root(), &source.id),
        );
        Ok(vec![
            self.changed(cx, ty, source, texts.0)?,
            self.changed(cx, ty, target, texts.1)?,
        ])
    }

    /// What refers to the source, by type. The commit is to see the same.
    async fn referring(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        patient: ResourceType,
        (source, target): &(Box<str>, Box<str>),
        preconditions: &mut Vec<Precondition>,
    ) -> Result<Vec<(ResourceType, Vec<Record>)>, Error> {
        let mut all = Vec::new();
        let mut count = 0;
        for ty in ResourceType::all() {
            let Some(refers) = refers(ty, patient, source) else {
                continue;
            };
            let mut query = Query {
                kind: ty.kind,
                filter: refers.clone(),
                sort: Vec::new(),
                limit: REFERRING_MAX + 1 - count,
                after: None,
                rows: Vec::new(),
            };
            let hits = snapshot.find(&query).await?.hits;
            count += hits.len();
            if count > REFERRING_MAX {
                let details = format!("more than {REFERRING_MAX} resources refer to the source");
                return Err(Error::new(Kind::Unprocessable, details));
            }
            let ids = hits.iter().map(|hit| hit.record.id.clone()).collect();
            let others = Filter::Not(Filter::Ids(ids).into());
            query.filter = Filter::All(vec![refers, others]);
            preconditions.push(Precondition::NoneMatch(query));
            let records = hits.into_iter().map(|hit| hit.record);
            let records = records
                .filter(|record| ty != patient || (record.id != *source && record.id != *target));
            let records: Vec<Record> = records.collect();
            if !records.is_empty() {
                let of = Target::Type(ty.name);
                self.authorize(cx, What::Operation, Action::Update, of)
                    .await?;
                all.push((ty, records));
            }
        }
        Ok(all)
    }

    /// Resources with their references to the source turned to the target.
    fn turned(
        &self,
        cx: &Context,
        ty: ResourceType,
        records: Vec<Record>,
        (source, target): &(Box<str>, Box<str>),
    ) -> Result<Vec<Changed>, Error> {
        let mut all = Vec::with_capacity(records.len());
        for record in records {
            let document = self.document_of(&record)?;
            let mut splices = Splices::new();
            turn(document.root(), &cx.base, (source, target), &mut splices);
            if !splices.is_empty() {
                let text = splices.apply(document.root());
                all.push(self.changed(cx, ty, record, text)?);
            }
        }
        Ok(all)
    }

    /// The next version of a record.
    fn changed(
        &self,
        cx: &Context,
        ty: ResourceType,
        before: Record,
        text: String,
    ) -> Result<Changed, Error> {
        let document = incoming::parse(text.into(), &self.settings.json)?;
        let valid = incoming::check(document.root(), ty)?;
        let after = Stored::of(cx, ty, &before.id, before.version + 1, &valid)?;
        Ok(Changed { before, after })
    }

    /// Which version of each resource became which.
    fn provenance(&self, cx: &Context, all: &[Changed]) -> Result<Stored, Error> {
        let versions = |version: fn(&Changed) -> u64| {
            let name = move |changed: &Changed| {
                let (ty, id) = (changed.after.ty.name, &changed.after.id);
                format!(
                    r#"{{"reference":"{ty}/{id}/_history/{}"}}"#,
                    version(changed)
                )
            };
            all.iter().map(name).collect::<Vec<_>>()
        };
        let after = versions(|changed| changed.after.version).join(",");
        let before = versions(|changed| changed.before.version).into_iter();
        let before = before.map(|what| format!(r#"{{"role":"revision","what":{what}}}"#));
        let before = before.collect::<Vec<_>>().join(",");
        let mut agent = String::new();
        write::string(&mut agent, cx.subject.label());
        let recorded = crate::time::instant(cx.now_ms);
        let text = format!(
            r#"{{"resourceType":"Provenance","target":[{after}],"recorded":"{recorded}","activity":{ACTIVITY},"agent":[{{"who":{{"identifier":{{"system":"urn:salus:subject","value":{agent}}}}}}}],"entity":[{before}]}}"#
        );
        let ty = ResourceType::named("Provenance");
        let ty = ty.ok_or_else(|| Error::not_found("there is no Provenance"))?;
        let document = incoming::parse(text.into(), &self.settings.json)?;
        let valid = incoming::check(document.root(), ty)?;
        Stored::of(cx, ty, &self.new_id(cx), 1, &valid)
    }
}

/// The id of the patient that a parameter refers to.
fn named(cx: &Context, asked: &Asked<'_>, name: &'static str) -> Result<Box<str>, Error> {
    let fault = || invalid(name, "it must be a reference to a patient, as Patient/1");
    let node = asked.arguments.node(name)?.ok_or_else(fault)?;
    let text = node
        .get("reference")
        .and_then(Node::str)
        .ok_or_else(fault)?;
    let local = Reference::parse(&text, &[&*cx.base]).and_then(Reference::local);
    let local = local
        .filter(|local| local.ty == "Patient")
        .ok_or_else(fault)?;
    check_id(local.id)?;
    Ok(local.id.into())
}

/// What a resource of a type satisfies that refers to a patient.
fn refers(ty: ResourceType, patient: ResourceType, id: &str) -> Option<Filter> {
    if ty.name == ResourceType::AUDIT_EVENT {
        return None;
    }
    let definitions = definitions::r4();
    let parameters = definitions
        .search_parameters(ty.name)
        .iter()
        .filter(|parameter| {
            let mut targets = parameter.targets.iter().map(|id| definitions.ty(*id).name);
            parameter.kind == SearchKind::Reference
                && (parameter.targets.is_empty()
                    || targets.any(|name| [patient.name, "Resource"].contains(&name)))
        });
    let test = || Test::Reference {
        kind: Some(patient.kind),
        id: id.into(),
    };
    let filters: Vec<Filter> = parameters
        .map(|parameter| Filter::Value(rows::param(ty.name, parameter), test()))
        .collect();
    (!filters.is_empty()).then_some(Filter::Any(filters))
}

/// Collects the edits that turn the references to one patient to another.
fn turn(node: Node<'_>, base: &str, (source, target): (&str, &str), splices: &mut Splices<'_>) {
    for child in node.children() {
        if let (Some("reference"), Some(text)) = (child.key(), child.str()) {
            let local = Reference::parse(&text, &[base]).and_then(Reference::local);
            let is_source = local.is_some_and(|local| {
                local.ty == "Patient" && local.id == source && local.version.is_none()
            });
            if is_source {
                splices.replace(child.span(), format!(r#""Patient/{target}""#));
            }
        }
        turn(child, base, (source, target), splices);
    }
}

/// The source: inactive, and replaced.
fn ended(source: Node<'_>, target: &str) -> String {
    let mut splices = Splices::new();
    put(source, "active", "false".to_owned(), &mut splices);
    let link = format!(r#"{{"other":{{"reference":"Patient/{target}"}},"type":"replaced-by"}}"#);
    append(source, "link", vec![link], &mut splices);
    splices.apply(source)
}

/// The target: with the identifiers of the source, which it replaces.
fn continued(target: Node<'_>, source: Node<'_>, id: &str) -> String {
    let mut splices = Splices::new();
    let part = |identifier: Node<'_>, name| {
        let part = identifier.get(name).and_then(|part| part.str());
        part.map(String::from)
    };
    let is_known = |one: &Node<'_>| {
        let mut known = items(target, "identifier");
        known.any(|other| {
            ["system", "value"]
                .iter()
                .all(|name| part(*one, name) == part(other, name))
        })
    };
    let identifiers = items(source, "identifier").filter(|one| !is_known(one));
    append(
        target,
        "identifier",
        identifiers.map(old).collect(),
        &mut splices,
    );
    let link = format!(r#"{{"other":{{"reference":"Patient/{id}"}},"type":"replaces"}}"#);
    append(target, "link", vec![link], &mut splices);
    splices.apply(target)
}

/// An identifier that is not to be used any more.
fn old(identifier: Node<'_>) -> String {
    let mut splices = Splices::new();
    put(identifier, "use", r#""old""#.to_owned(), &mut splices);
    splices.apply(identifier)
}

/// Sets a member of an object.
fn put(object: Node<'_>, name: &str, json: String, splices: &mut Splices<'_>) {
    match object.get(name) {
        Some(member) => splices.replace(member.span(), json),
        None => {
            let end = object.span().end - 1;
            let comma = if object.is_empty() { "" } else { "," };
            splices.replace(end..end, format!(r#"{comma}"{name}":{json}"#));
        }
    }
}

/// Adds to a list that is a member of an object.
fn append(object: Node<'_>, name: &str, values: Vec<String>, splices: &mut Splices<'_>) {
    if values.is_empty() {
        return;
    }
    let values = values.join(",");
    match object.get(name) {
        Some(list) => {
            let end = list.span().end - 1;
            let comma = if list.is_empty() { "" } else { "," };
            splices.replace(end..end, format!("{comma}{values}"));
        }
        None => put(object, name, format!("[{values}]"), splices),
    }
}

/// What was done, or would be.
fn answer(all: &[Changed], provenance: Option<&str>) -> Reply {
    let mut answer = Writer::new();
    let count = all.len().saturating_sub(2);
    let verb = if provenance.is_some() {
        "were"
    } else {
        "would be"
    };
    let issue = Issue::information(format!(
        "the patients {verb} merged; {count} resources {verb} turned to the target"
    ));
    answer.resource("outcome", &operation_outcome(&[issue]));
    if let Some(target) = all.get(1) {
        answer.resource("result", &String::from_utf8_lossy(&target.after.text));
    }
    if let Some(id) = provenance {
        let reference = format!(r#"{{"reference":"Provenance/{id}"}}"#);
        answer.value("provenance", "Reference", &reference);
    }
    reply(answer.finish())
}

#[cfg(test)]
mod tests {
    use salus_fhir::json::{Document, Limits};

    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(text.to_owned().into(), &Limits::default()).unwrap()
    }

    #[test]
    fn the_source_ends_and_the_target_goes_on() {
        let source = document(
            r#"{"active":true,"identifier":[{"system":"s","value":"1","use":"usual"},{"value":"2"}]}"#,
        );
        let target = document(r#"{"identifier":[{"value":"2"}],"link":[]}"#);
        assert_eq!(
            ended(source.root(), "t"),
            r#"{"active":false,"identifier":[{"system":"s","value":"1","use":"usual"},{"value":"2"}],"link":[{"other":{"reference":"Patient/t"},"type":"replaced-by"}]}"#
        );
        assert_eq!(
            continued(target.root(), source.root(), "s"),
            r#"{"identifier":[{"value":"2"},{"system":"s","value":"1","use":"old"}],"link":[{"other":{"reference":"Patient/s"},"type":"replaces"}]}"#
        );
    }

    #[test]
    fn references_are_turned_wherever_they_stand() {
        let text = r#"{"a":{"reference":"Patient/s"},"b":[{"c":{"reference":"http://x/Patient/s"}},
            {"reference":"Patient/s/_history/1"},{"reference":"Patient/ss"},{"d":"Patient/s"}]}"#;
        let document = document(text);
        let mut splices = Splices::new();
        turn(document.root(), "http://x", ("s", "t"), &mut splices);
        let expect = text.replacen("\"Patient/s\"", "\"Patient/t\"", 1);
        let expect = expect.replace("http://x/Patient/s", "Patient/t");
        assert_eq!(splices.apply(document.root()), expect);
    }
}
