//! `Patient/$merge-undo`: each resource of a merge becomes again what it was,
//! in a new version, if none has changed since.

use salus_auth::{Action, Target};
use salus_fhir::issue::{Issue, operation_outcome};
use salus_fhir::json::Node;
use salus_fhir::reference::{Local, Reference};
use salus_store::{Content, Record, Snapshot};

use super::super::parameters::{invalid, items};
use super::super::{Asked, Code, Level, Operation, Parameter, reply};
use super::check_sees_all;
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::reply::Reply;
use crate::fhir::settle::Decision;
use crate::fhir::stored::Stored;
use crate::fhir::types::ResourceType;
use crate::fhir::{incoming, read};
use crate::pipeline::Write;

pub(in super::super) static UNDO: Operation = Operation {
    name: "merge-undo",
    definition: "urn:salus:operation:merge-undo",
    types: &["Patient"],
    level: &[Level::Type],
    affects_state: true,
    parameters: &[
        Parameter::given("provenance", "Reference", "The Provenance of the merge").required(),
        Parameter::returned("OperationOutcome", "What was done"),
    ],
    searches: false,
    action: Action::Update,
    code: Code::MergeUndo,
};

impl Service {
    pub(in super::super) async fn undo_merge(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
    ) -> Result<Reply, Error> {
        check_sees_all(cx)?;
        let fault = || invalid("provenance", "it must be a reference, as Provenance/1");
        let node = asked.arguments.node("provenance")?.ok_or_else(fault)?;
        let text = node
            .get("reference")
            .and_then(Node::str)
            .ok_or_else(fault)?;
        let local = Reference::parse(&text, &[&*cx.base]).and_then(Reference::local);
        let local = local
            .filter(|local| local.ty == "Provenance")
            .ok_or_else(fault)?;
        let ty = ResourceType::named("Provenance").ok_or_else(fault)?;
        let (what, target) = (What::Operation, Target::Type(ty.name));
        let grant = self.authorize_on(cx, what, Action::Read, target, local.id);
        let grant = grant.await?;
        let decide = || async {
            let snapshot = self.snapshot(cx).await?;
            self.check_visible(&*snapshot, &grant, ty, local.id).await?;
            let record = snapshot.get(ty.kind, local.id).await?;
            let record = record.filter(|record| record.content != Content::Deleted);
            let record = record.ok_or_else(read::absent)?;
            let document = self.document_of(&record)?;
            let mut writes = Vec::new();
            for (before, after) in versions(document.root())? {
                let stored = self.restored(cx, &*snapshot, before, after).await?;
                writes.push(Write::store(&asked.grant, stored));
            }
            let details = format!("{} resources are again as they were", writes.len());
            let outcome = operation_outcome(&[Issue::information(details)]);
            Ok(Decision::Commit {
                entry: asked.entry(cx, ""),
                preconditions: Vec::new(),
                writes,
                answer: reply(outcome),
            })
        };
        self.settle(cx, (what, &asked.grant), None, false, decide)
            .await
    }

    /// A resource as it was before, if it is as the merge left it.
    async fn restored(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        before: Local<'_>,
        after: Local<'_>,
    ) -> Result<Stored, Error> {
        let ty = ResourceType::named(before.ty).ok_or_else(no_merge)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize_on(cx, What::Operation, Action::Update, target, before.id)
            .await?;
        self.check_visible(snapshot, &grant, ty, before.id).await?;
        let number = |local: Local<'_>| local.version.and_then(|version| version.parse().ok());
        let (before_version, after_version): (Option<u64>, Option<u64>) =
            (number(before), number(after));
        let (Some(earlier), Some(later)) = (before_version, after_version) else {
            return Err(no_merge());
        };
        let current = snapshot.get(ty.kind, before.id).await?;
        if current.is_none_or(|current| current.version != later) {
            let details = format!(
                "{} has changed since the merge; nothing was undone",
                ty.name
            );
            return Err(Error::new(Kind::Conflict, details));
        }
        let record: Option<Record> = snapshot.version(ty.kind, before.id, earlier).await?;
        let document = self.document_of(&record.ok_or_else(no_merge)?)?;
        let valid = incoming::check(document.root(), ty)?;
        Stored::of(cx, ty, before.id, later + 1, &valid)
    }
}

/// The versions before and after a merge, by what its Provenance says.
fn versions(provenance: Node<'_>) -> Result<Vec<(Local<'_>, Local<'_>)>, Error> {
    let coding = provenance
        .get("activity")
        .and_then(|it| items(it, "coding").next());
    let part = |name| {
        coding
            .and_then(|coding| coding.get(name))
            .and_then(Node::plain_str)
    };
    if (part("system"), part("code")) != (Some("urn:salus:activity"), Some("merge")) {
        return Err(no_merge());
    }
    let after: Option<Vec<_>> = items(provenance, "target").map(reference).collect();
    let before: Option<Vec<_>> = items(provenance, "entity")
        .map(|entity| entity.get("what").and_then(reference))
        .collect();
    let (Some(before), Some(after)) = (before, after) else {
        return Err(no_merge());
    };
    let pairs: Vec<_> = before.into_iter().zip(after).collect();
    let fit = pairs.iter().all(|(a, b)| (a.ty, a.id) == (b.ty, b.id));
    match fit && !pairs.is_empty() {
        true => Ok(pairs),
        false => Err(no_merge()),
    }
}

fn reference(node: Node<'_>) -> Option<Local<'_>> {
    Local::parse(node.get("reference")?.plain_str()?)
}

fn no_merge() -> Error {
    Error::new(Kind::Unprocessable, "this is not the Provenance of a merge")
}
