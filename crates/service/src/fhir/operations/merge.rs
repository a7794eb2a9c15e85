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

mod texts;
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
use texts::{continued, ended, turn};

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

/// Who does not see all of what refers to a patient cannot turn it to another.
fn check_sees_all(cx: &Context) -> Result<(), Error> {
    let barred = cx.subject.hidden().check_all(|| "http".to_owned());
    barred.map_err(|issue| Error::with_issues(Kind::Forbidden, vec![issue]))
}

/// A change of a resource: the version that was and the one that comes.
struct Changed {
    before: Record,
    after: Stored,
}

/// What a merge changes: the source, the target, and what refers to the source.
struct Plan {
    changed: Vec<Changed>,
    /// That nothing else refers to it when the merge is committed.
    preconditions: Vec<Precondition>,
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
        check_sees_all(cx)?;
        let (what, of) = (What::Operation, Target::Type(ty.name));
        let read = self.authorize_on(cx, what, Action::Read, of, &source);
        let read = read.await?;
        let decide = || async {
            let plan = self.plan_merge(cx, &read, ty, (&source, &target)).await?;
            self.merged(cx, asked, plan, preview).await
        };
        self.settle(cx, (what, &asked.grant), None, false, decide)
            .await
    }

    /// What a merge changes, as things are now.
    async fn plan_merge(
        &self,
        cx: &Context,
        read: &Grant,
        ty: ResourceType,
        (source, target): (&str, &str),
    ) -> Result<Plan, Error> {
        let snapshot = self.snapshot(cx).await?;
        let old = self.patient(&*snapshot, read, ty, source).await?;
        let new = self.patient(&*snapshot, read, ty, target).await?;
        let mut plan = Plan {
            changed: self.joined(cx, ty, old, new)?,
            preconditions: Vec::new(),
        };
        let mut room = REFERRING_MAX;
        for of in ResourceType::all() {
            let query = refers(ty, source, of).map(|filter| visible(cx, of, filter));
            let Some(query) = query else { continue };
            let records = referring(&*snapshot, query, &mut room, &mut plan).await?;
            let others = |one: &Record| of != ty || (*one.id != *source && *one.id != *target);
            let records: Vec<Record> = records.into_iter().filter(others).collect();
            if !records.is_empty() {
                let (what, action) = (What::Operation, Action::Update);
                self.authorize(cx, what, action, Target::Type(of.name))
                    .await?;
                let turned = self.turned(cx, of, records, (source, target))?;
                plan.changed.extend(turned);
            }
        }
        Ok(plan)
    }

    /// What is decided: to do it, or only to say what would be done.
    async fn merged(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        plan: Plan,
        preview: bool,
    ) -> Result<Decision<Reply>, Error> {
        let provenance = self.provenance(cx, &plan.changed)?;
        let answer = answer(&plan.changed, (!preview).then_some(&*provenance.id));
        if preview {
            let mut entry = asked.entry(cx, "preview=true");
            entry.shows(plan.changed.iter().map(|changed| &changed.before));
            self.record(cx, entry).await?;
            return Ok(Decision::Answer(answer));
        }
        let after = plan.changed.into_iter().map(|changed| changed.after);
        let stored = after.chain([provenance]);
        Ok(Decision::Commit {
            entry: asked.entry(cx, ""),
            preconditions: plan.preconditions,
            writes: stored
                .map(|stored| Write::store(&asked.grant, stored))
                .collect(),
            answer,
        })
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

    /// Resources with their references to the source turned to the target.
    fn turned(
        &self,
        cx: &Context,
        ty: ResourceType,
        records: Vec<Record>,
        (source, target): (&str, &str),
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

/// The records that a query finds. The commit is to see the same.
async fn referring(
    snapshot: &dyn Snapshot,
    mut query: Query,
    room: &mut usize,
    plan: &mut Plan,
) -> Result<Vec<Record>, Error> {
    query.limit = *room + 1;
    let hits = snapshot.find(&query).await?.hits;
    let Some(rest) = room.checked_sub(hits.len()) else {
        let details = format!("more than {REFERRING_MAX} resources refer to the source");
        return Err(Error::new(Kind::Unprocessable, details));
    };
    *room = rest;
    let records: Vec<Record> = hits.into_iter().map(|hit| hit.record).collect();
    let ids = records.iter().map(|record| record.id.clone()).collect();
    let others = Filter::Not(Filter::Ids(ids).into());
    query.filter = Filter::All(vec![query.filter, others]);
    plan.preconditions.push(Precondition::NoneMatch(query));
    Ok(records)
}

/// The query for what the caller may see of a type. What is hidden stays as it
/// is, and is not told of.
fn visible(cx: &Context, ty: ResourceType, filter: Filter) -> Query {
    let target = Target::Type(ty.name);
    let filter = match salus_auth::authorize(&cx.subject, cx.scope, Action::Update, target) {
        Ok(grant) => Filter::All(vec![filter, grant.filter().clone()]),
        // Refused where there is any.
        Err(_) => filter,
    };
    Query {
        kind: ty.kind,
        filter,
        sort: Vec::new(),
        limit: 0,
        after: None,
        rows: Vec::new(),
    }
}

/// What a resource of a type satisfies that refers to a patient.
fn refers(patient: ResourceType, id: &str, ty: ResourceType) -> Option<Filter> {
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
