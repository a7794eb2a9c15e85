//! Whose records a group stands for: its members, and those of the groups among them.
//!
//! Which version of each group counts is decided when the export begins. What
//! changes later, or is purged meanwhile, is of no matter or fails the job.

use std::collections::HashSet;

use salus_auth::{Action, Target};
use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::reference::Reference;
use salus_fhir::search::Span;
use salus_store::{At, Content, Kind as RecordKind, Record, Scope};

use super::fault;
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;

/// How deep groups may be members of groups, and how many.
const DEPTH_MAX: usize = 8;
const GROUPS_MAX: usize = 1000;

/// A group, in a version.
pub(super) type Version = (Box<str>, u64);

/// Who is listed as a member of a group at some time.
#[derive(Default)]
struct Listed {
    patients: Vec<Box<str>>,
    groups: Vec<Box<str>>,
}

impl Service {
    /// A group and those that are members of it, near or far, each once, for who may read them.
    /// What they may not see, and what is gone, adds nobody.
    pub(super) async fn groups(&self, cx: &Context, id: &str) -> Result<Vec<Version>, Error> {
        let root = self.group(cx, id).await?;
        let mut known = vec![(root.id.clone(), root.version)];
        let mut seen = HashSet::from([root.id.clone()]);
        let mut next = Listed::of(&root, &cx.base, cx.now_ms).groups;
        for _ in 0..DEPTH_MAX {
            let mut deeper = Vec::new();
            next.retain(|id| seen.insert(id.clone()));
            for id in &next {
                let Some(group) = self.nested(cx, id).await? else {
                    continue;
                };
                deeper.extend(Listed::of(&group, &cx.base, cx.now_ms).groups);
                known.push((group.id, group.version));
            }
            if known.len() > GROUPS_MAX {
                break;
            }
            next = deeper;
            if next.iter().all(|id| seen.contains(id)) {
                return Ok(known);
            }
        }
        let details = format!(
            "the group has groups as members deeper than {DEPTH_MAX}, or more than {GROUPS_MAX}"
        );
        Err(Error::new(Kind::Unprocessable, details))
    }

    /// The patients that these versions of groups list.
    pub(super) async fn patients_of(
        &self,
        scope: Scope,
        groups: &[Version],
        (base, now_ms): (&str, i64),
    ) -> Result<HashSet<Box<str>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let mut all = HashSet::new();
        for (id, version) in groups {
            let record = snapshot.version(kind(), id, *version).await?;
            let record = record.ok_or_else(fault)?;
            all.extend(Listed::of(&record, base, now_ms).patients);
        }
        Ok(all)
    }

    /// The group that is asked for, for who may read it.
    async fn group(&self, cx: &Context, id: &str) -> Result<Record, Error> {
        let ty = ResourceType::named("Group").ok_or_else(fault)?;
        let (what, target) = (What::Operation, Target::Type(ty.name));
        let grant = self
            .authorize_on(cx, what, Action::Read, target, id)
            .await?;
        // The members are in what is exported.
        if !cx.subject.hidden().on(ty.name).is_empty() {
            let details = "you may not see all of this group, and so not export its members";
            return Err(Error::new(Kind::Forbidden, details));
        }
        let snapshot = self.snapshot(cx).await?;
        self.check_visible(&*snapshot, &grant, ty, id).await?;
        let record = snapshot.get(ty.kind, id).await?;
        let record = record.ok_or_else(crate::fhir::read::absent)?;
        match record.content {
            Content::Body(_) => Ok(record),
            Content::Deleted => Err(Error::new(Kind::Gone, "this group has been deleted")),
        }
    }

    /// A group among the members of another, if it can be seen.
    async fn nested(&self, cx: &Context, id: &str) -> Result<Option<Record>, Error> {
        match self.group(cx, id).await {
            Ok(group) => Ok(Some(group)),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Listed {
    /// The members at a time: those that are not inactive, and whose period it is.
    fn of(group: &Record, base: &str, now_ms: i64) -> Self {
        let mut listed = Self::default();
        let Content::Body(body) = &group.content else {
            return listed;
        };
        let Ok(document) = Document::parse(body.to_vec(), &Limits::default()) else {
            return listed;
        };
        let members = document.root().get("member").map(Node::children);
        for member in members.into_iter().flatten() {
            let reference = member.get("entity").and_then(|it| it.get("reference"));
            let Some(reference) = reference.and_then(Node::str) else {
                continue;
            };
            let Some(Reference::Local(local)) = Reference::parse(&reference, &[base]) else {
                continue;
            };
            match local.ty {
                _ if !is_active(member, now_ms) => {}
                "Patient" => listed.patients.push(local.id.into()),
                "Group" => listed.groups.push(local.id.into()),
                _ => {}
            }
        }
        listed
    }
}

fn is_active(member: Node<'_>, now_ms: i64) -> bool {
    let inactive = member.get("inactive").and_then(Node::bool) == Some(true);
    let span = |name| Span::parse(&member.get("period")?.get(name)?.str()?);
    let begun = span("start").is_none_or(|start| start.from_ms <= now_ms);
    let ended = span("end").is_some_and(|end| end.to_ms <= now_ms);
    !inactive && begun && !ended
}

fn kind() -> RecordKind {
    RecordKind::named("Group")
}
