//! Operations: <https://hl7.org/fhir/R4/operations.html>.
//!
//! [`OPERATIONS`] says of each by which name it is called, on what, with which
//! parameters, and what the caller must be allowed to do; a file beside this
//! one carries it out. The route table has a row for each way to call it.

mod definition;
mod diff;
mod document;
mod everything;
mod export;
mod import;
mod lastn;
mod matching;
mod merge;
mod meta;
mod metas;
mod parameters;
mod process_message;
mod purge_history;
mod reindex;
mod stats;
mod validate;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Operation as Name, Target};
use salus_fhir::json::Document;
use salus_store::{Content, Record};

pub use definition::VERSIONS;
pub(crate) use definition::definition;

use super::reply::{Reply, Status};
use super::types::ResourceType;
use super::writer::BundleWriter;
use super::{check_id, incoming, read, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use meta::Change;
pub(crate) use parameters::{Arguments, invalid};

/// What can be called.
#[derive(Debug)]
pub struct Operation {
    /// Its name behind the `$`.
    pub name: &'static str,
    /// The canonical URL of its OperationDefinition.
    pub definition: &'static str,
    /// The types of resource that have it; none is all of them.
    pub types: &'static [&'static str],
    /// On what it is called.
    pub level: &'static [Level],
    /// Whether it may change something.
    pub affects_state: bool,
    /// What it takes and gives.
    pub parameters: &'static [Parameter],
    /// Whether the parameters of a search are parameters of it, too.
    searches: bool,
    /// What the caller must be allowed to do to the type.
    action: Action,
    code: Code,
}

/// What an operation is called on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `[base]/$name`
    System,
    /// `[base]/[type]/$name`
    Type,
    /// `[base]/[type]/[id]/$name`
    Instance,
}

impl Level {
    fn of(ty: Option<ResourceType>, id: &str) -> Self {
        match (ty, id) {
            (None, _) => Self::System,
            (Some(_), "") => Self::Type,
            (Some(_), _) => Self::Instance,
        }
    }

    fn described(&self) -> &'static str {
        match self {
            Self::System => "the endpoint",
            Self::Type => "a type",
            Self::Instance => "an instance",
        }
    }
}

/// A parameter of an operation.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it is of the answer, not of the request.
    pub out: bool,
    /// How often it is there at least.
    pub min: u8,
    /// How often at most; `None` is any number.
    pub max: Option<u8>,
    /// Its type, of data or of resource.
    pub ty: &'static str,
    /// What it means.
    pub documentation: &'static str,
    /// What it is made of, if it has no type.
    pub parts: &'static [Parameter],
}

impl Parameter {
    const fn given(name: &'static str, ty: &'static str, documentation: &'static str) -> Self {
        Self {
            name,
            out: false,
            min: 0,
            max: Some(1),
            ty,
            documentation,
            parts: &[],
        }
    }

    const fn of_parts(
        name: &'static str,
        parts: &'static [Self],
        documentation: &'static str,
    ) -> Self {
        Self {
            parts,
            ..Self::given(name, "", documentation)
        }
    }

    const fn returned(ty: &'static str, documentation: &'static str) -> Self {
        Self {
            name: "return",
            out: true,
            min: 1,
            ..Self::given("return", ty, documentation)
        }
    }

    const fn required(self) -> Self {
        Self { min: 1, ..self }
    }

    const fn repeated(self) -> Self {
        Self { max: None, ..self }
    }
}

/// The operations, for the code to tell one from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// It begins a job and has a way of its own in.
    Aside,
    Diff,
    Document,
    Everything,
    Lastn,
    Match,
    Merge,
    MergeUndo,
    Meta,
    MetaAdd,
    MetaDelete,
    ProcessMessage,
    PurgeHistory,
    Reindex,
    Stats,
    Validate,
}

/// Every operation.
pub static OPERATIONS: &[&Operation] = &[
    &diff::DIFF,
    &document::DOCUMENT,
    &everything::PATIENT,
    &everything::ENCOUNTER,
    &export::SYSTEM,
    &export::PATIENT,
    &export::GROUP,
    &import::IMPORT,
    &lastn::LASTN,
    &matching::MATCH,
    &merge::MERGE,
    &merge::UNDO,
    &meta::META,
    &meta::ADD,
    &meta::DELETE,
    &process_message::PROCESS_MESSAGE,
    &purge_history::PURGE_HISTORY,
    &reindex::REINDEX,
    &stats::STATS,
    &validate::VALIDATE,
];

/// A call of an operation.
pub struct Invocation<'a> {
    /// The operation's name, without the `$`.
    pub name: &'a str,
    /// The type in the URL, or nothing.
    pub ty: &'a str,
    /// The id in the URL, or nothing.
    pub id: &'a str,
    /// Whether it came by a method that may change something.
    pub posted: bool,
    /// What stands behind the `?`.
    pub query: Vec<(String, String)>,
    /// A Parameters resource, or the one resource that the operation takes, or nothing.
    pub body: Bytes,
}
salus_phi::guard!(Invocation<'_>);

/// A call that was allowed and understood.
struct Asked<'a> {
    operation: &'static Operation,
    grant: Grant,
    /// Of a call on the whole system, none.
    ty: Option<ResourceType>,
    /// Of a call on an instance.
    id: &'a str,
    posted: bool,
    arguments: Arguments<'a>,
}

/// Whether what an operation of this name is for changes something, now or later.
pub(crate) fn only_writes(name: &str) -> bool {
    let mut named = OPERATIONS.iter().filter(|known| known.name == name);
    named.any(|operation| operation.only_writes() || operation.code == Code::Aside)
}

/// What an operation of this name does where it is called, as policy decides it; `None` if it
/// is not called there.
pub(crate) fn action_of(name: Name, ty: Option<ResourceType>, of_one: bool) -> Option<Action> {
    let mut named = OPERATIONS.iter().filter(|known| known.name == name.name());
    let operation = named.find(|operation| operation.is_of(ty))?;
    let level = match (ty, of_one) {
        (None, _) => Level::System,
        (Some(_), false) => Level::Type,
        (Some(_), true) => Level::Instance,
    };
    Some(operation.action(level))
}

impl Service {
    /// Carries out an operation.
    pub async fn operate(&self, cx: &Context, call: Invocation<'_>) -> Result<Reply, Error> {
        let ty = match call.ty {
            "" => None,
            name => Some(resource_type(name)?),
        };
        let level = Level::of(ty, call.id);
        let named = || OPERATIONS.iter().filter(|known| known.name == call.name);
        let fits = |operation: &&&Operation| operation.is_of(ty);
        let operation = named().find(fits).or_else(|| named().next());
        let known = operation.zip(Name::named(call.name));
        let known = known.ok_or_else(|| Error::not_found("there is no such operation"));
        let (operation, called) = known?;
        let target = ty.map_or(Target::System, |ty| Target::Type(ty.name));
        let (what, name) = (What::Operation, ty.map_or("", |ty| ty.name));
        // Failures and refusals tell which operation it was; only what is done tells more.
        let asks = format!("${}", operation.name);
        let grant = self
            .authorize_operation(cx, (called, operation.action(level)), target, call.id)
            .await?;
        let work = self.operate_granted(cx, &grant, operation, ty, &call);
        self.attempt_asking(cx, &grant, what, (name, call.id, &asks), work)
            .await
    }

    fn operate_granted<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
        operation: &'static Operation,
        ty: Option<ResourceType>,
        call: &'a Invocation<'a>,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            operation.check(ty, call.id)?;
            if operation.only_writes() && !call.posted {
                return Err(Error::invalid(
                    "this operation changes something; send it by POST",
                ));
            }
            if !call.id.is_empty() {
                check_id(call.id)?;
            }
            let document = match call.body.is_empty() {
                true => None,
                false => Some(incoming::parse(call.body.clone(), &self.settings.json)?),
            };
            let body = document.as_ref().map(|document| document.root());
            let arguments = Arguments::read(operation, &call.query, body)?;
            let asked = Asked {
                operation,
                grant: grant.clone(),
                ty,
                id: call.id,
                posted: call.posted,
                arguments,
            };
            match operation.code {
                Code::Aside => Err(Error::invalid(
                    "this operation takes its time; send it by itself, with Prefer: respond-async",
                )),
                Code::Diff => self.diff(cx, &asked).await,
                Code::Document => self.document(cx, &asked).await,
                Code::Everything => self.everything(cx, &asked).await,
                Code::Lastn => self.lastn(cx, &asked).await,
                Code::Match => self.match_patients(cx, &asked).await,
                Code::Merge => self.merge(cx, &asked).await,
                Code::MergeUndo => self.undo_merge(cx, &asked).await,
                Code::Meta if asked.id.is_empty() => self.metas(cx, &asked).await,
                Code::Meta => self.meta(cx, &asked).await,
                Code::MetaAdd => self.change_meta(cx, &asked, Change::Add).await,
                Code::MetaDelete => self.change_meta(cx, &asked, Change::Delete).await,
                Code::ProcessMessage => self.process_message(&asked),
                Code::PurgeHistory => self.purge_history(cx, &asked).await,
                Code::Reindex => self.reindex(cx, &asked).await,
                Code::Stats => self.stats(cx, &asked).await,
                Code::Validate => self.validate(cx, &asked).await,
            }
        })
    }

    /// The current version of the instance that an operation is called on,
    /// for one who may read it.
    async fn current(
        &self,
        cx: &Context,
        read: &Grant,
        asked: &Asked<'_>,
    ) -> Result<Record, Error> {
        self.current_of(cx, read, asked.ty()?, asked.id).await
    }

    /// The same of any instance.
    async fn current_of(
        &self,
        cx: &Context,
        read: &Grant,
        ty: ResourceType,
        id: &str,
    ) -> Result<Record, Error> {
        let snapshot = self.snapshot(cx).await?;
        self.check_visible(&*snapshot, read, ty, id).await?;
        let record = snapshot.get(ty.kind, id).await?;
        let record = record.ok_or_else(read::absent)?;
        match record.content {
            Content::Body(_) => Ok(record),
            Content::Deleted => Err(Error::new(Kind::Gone, "this resource has been deleted")),
        }
    }

    /// What is stored of a resource, to be looked into.
    fn document_of(&self, record: &Record) -> Result<Document, Error> {
        match &record.content {
            Content::Body(body) => incoming::parse(body.clone(), &self.settings.json),
            Content::Deleted => Err(Error::new(Kind::Gone, "this resource has been deleted")),
        }
    }
}

impl Operation {
    /// Whether a type has it.
    #[must_use]
    pub fn is_of(&self, ty: Option<ResourceType>) -> bool {
        match ty {
            None => self.level.contains(&Level::System),
            Some(_) if self.level == [Level::System] => false,
            Some(ty) => self.types.is_empty() || self.types.contains(&ty.name),
        }
    }

    fn only_writes(&self) -> bool {
        // A document may be kept, but need not be.
        self.affects_state && self.code != Code::Document
    }

    /// Whether it has a parameter of this name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let mut parameters = self.parameters.iter();
        parameters.any(|parameter| !parameter.out && parameter.name == name)
    }

    /// What the caller must be allowed to do, where it is called.
    fn action(&self, level: Level) -> Action {
        match (self.code, level) {
            // Of all resources, not of one.
            (Code::Meta | Code::Everything, Level::Type) => Action::Search,
            (Code::Meta, Level::System) => Action::HistorySystem,
            (_, _) => self.action,
        }
    }

    fn check(&self, ty: Option<ResourceType>, id: &str) -> Result<(), Error> {
        let (name, types) = (self.name, self.types.join(", "));
        if !self.is_of(ty) {
            return Err(Error::not_found(format!(
                "${name} is an operation of {types} only"
            )));
        }
        if !self.level.contains(&Level::of(ty, id)) {
            let on: Vec<&str> = self.level.iter().map(Level::described).collect();
            let on = on.join(" or ");
            return Err(Error::not_found(format!("${name} is called on {on}")));
        }
        Ok(())
    }
}

impl Asked<'_> {
    /// The type in the URL; only operations of the whole system have none.
    fn ty(&self) -> Result<ResourceType, Error> {
        self.ty
            .ok_or_else(|| Error::invalid("the operation is called on a type"))
    }

    /// The audit entry of what was done, about nothing yet.
    fn entry(&self, cx: &Context, query: &str) -> Entry {
        let mut entry = Entry::new(cx, What::Operation, Outcome::Success, self.grant.rule());
        entry.ty = self.ty.map_or("", |ty| ty.name).into();
        let question = if query.is_empty() { "" } else { "?" };
        entry.query = format!("${}{question}{query}", self.operation.name).into();
        entry
    }
}

/// The reply that is this text.
fn reply(body: impl Into<Bytes>) -> Reply {
    Reply {
        body: Some(body.into()),
        ..Reply::with(Status::Ok)
    }
}

/// Resources as the matches of a search that has one page.
fn searchset(cx: &Context, records: &[Record], own: String) -> Bytes {
    let bytes = records.iter().map(|record| match &record.content {
        Content::Body(body) => body.len() + 160,
        Content::Deleted => 0,
    });
    let mut bundle = BundleWriter::new("searchset", bytes.sum());
    bundle.total(records.len() as u64);
    bundle.links(&[("self", own)]);
    for record in records {
        let (Some(ty), Content::Body(body)) = (ResourceType::of(record.kind), &record.content)
        else {
            continue;
        };
        let mut entry = bundle.begin_entry();
        entry.text("fullUrl", &format!("{}/{}/{}", cx.base, ty.name, record.id));
        entry.json("resource", body);
        entry.object("search", &[("mode", "match")]);
        entry.end();
    }
    bundle.finish()
}

/// The letters that mean something in a value of a search, by themselves.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, ',' | '|' | '$' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
