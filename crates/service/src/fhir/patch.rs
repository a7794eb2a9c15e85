//! FHIR patch: <https://hl7.org/fhir/R4/http.html#patch>, by id and by a condition.
//!
//! The patch is applied to what the newest state has, and anew when another
//! commit came first; the result is checked and stored as that of an update. A
//! patch that changes nothing makes no version. Who may not read the type is
//! not shown what the patch left.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::policy::{Deed, visible};
use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{Document, Node};
use salus_fhir::patch::{self, Patch};
use salus_store::{Content, Precondition, Record, Snapshot};

use super::read::{absent, shown};
use super::receipt::Named;
use super::reply::{Place, Reply, Status};
use super::settle::Decision;
use super::stored::Stored;
use super::types::ResourceType;
use super::update::check_condition;
use super::which::{Sought, Which};
use super::{WriteCondition, WriteOptions, check_writable, incoming, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchFormat {
    /// JSON Patch, RFC 6902.
    Json,
    /// JSON Merge Patch, RFC 7396.
    Merge,
    /// XML Patch, RFC 5261.
    Xml,
    /// A Parameters resource, <https://hl7.org/fhir/R4/fhirpatch.html>; any
    /// other object is merged.
    FhirPath,
}

impl PatchFormat {
    /// The media types of patches, as the CapabilityStatement lists them.
    pub const MEDIA_TYPES: [&str; 5] = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/xml-patch+xml",
        "application/fhir+json",
        "application/fhir+xml",
    ];

    /// The format of a media type, without its parameters. A Parameters resource in XML has
    /// become JSON before it is here.
    #[must_use]
    pub fn of_media_type(ty: &str) -> Option<Self> {
        Some(match &*ty.to_ascii_lowercase() {
            "application/json-patch+json" => Self::Json,
            "application/merge-patch+json" => Self::Merge,
            "application/xml-patch+xml" => Self::Xml,
            "application/fhir+json" | "application/json" | "text/json" => Self::FhirPath,
            _ => return None,
        })
    }

    fn mark(self) -> &'static [u8] {
        match self {
            Self::Json => b"json",
            Self::Merge => b"merge",
            Self::Xml => b"xml",
            Self::FhirPath => b"fhirpath",
        }
    }
}

/// A patch, and what it is for.
pub(super) struct Patching<'a> {
    pub(super) ty: ResourceType,
    pub(super) sought: &'a Sought<'a>,
    pub(super) patch: &'a Patch,
    pub(super) condition: WriteCondition,
}

/// What a patch comes to on one state.
pub(super) struct Patched {
    pub(super) current: Record,
    /// The resource as it will be; `None` if it stays as it is.
    pub(super) document: Option<Document>,
    pub(super) preconditions: Vec<Precondition>,
}

impl Service {
    /// Changes a part of a resource.
    pub fn patch<'a>(
        &'a self,
        cx: &'a Context,
        ty: &'a str,
        which: Which<'a>,
        (format, body): (PatchFormat, Bytes),
        options: &'a WriteOptions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let ty = resource_type(ty)?;
            let target = Target::Type(ty.name);
            let grant = self
                .authorize_on(cx, What::Patch, Action::Patch, target, which.id())
                .await?;
            let work = self.patch_granted(cx, &grant, (ty, which), (format, body), options);
            self.attempt_on(cx, &grant, What::Patch, (ty.name, which.id()), work)
                .await
        })
    }

    async fn patch_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        (ty, which): (ResourceType, Which<'_>),
        (format, body): (PatchFormat, Bytes),
        options: &WriteOptions,
    ) -> Result<Reply, Error> {
        check_writable(ty)?;
        let (mark, key) = (which.mark(), options.idempotency_key.as_deref());
        let request = [b"patch", ty.name.as_bytes(), &mark, format.mark(), &body];
        let named = Named::of(cx, key, &request);
        let patch = self.understand_patch(format, body)?;
        let sought = self.seek(cx, ty, which).await?;
        let patching = Patching {
            ty,
            sought: &sought,
            patch: &patch,
            condition: options.condition,
        };
        let visible = may_read(cx, ty);
        let decide = || async {
            let snapshot = self.snapshot(cx).await?;
            let patched = self.patched(&*snapshot, grant, &patching).await?;
            drop(snapshot);
            let entry = Entry::new(cx, What::Patch, Outcome::Success, grant.rule());
            let version = patched.current.version + 1;
            let Some(document) = &patched.document else {
                return self.unchanged(cx, entry, ty, patched.current).await;
            };
            let valid = incoming::check(document.root(), ty)?;
            let stored = Stored::of(cx, ty, &patched.current.id, version, &valid)?;
            let answer = stored.reply(cx, Status::Ok);
            Ok(Decision::Commit {
                entry,
                preconditions: patched.preconditions,
                writes: vec![Write::store(grant, stored)],
                answer,
            })
        };
        let settled = self
            .settle(cx, (What::Patch, grant), named.as_ref(), visible, decide)
            .await?;
        Ok(Reply {
            body: settled.body.filter(|_| visible),
            ..settled
        })
    }

    /// Reads a patch.
    pub(super) fn understand_patch(
        &self,
        format: PatchFormat,
        body: Bytes,
    ) -> Result<Patch, Error> {
        let limits = &self.settings.json;
        let patch = match format {
            PatchFormat::Json => Patch::json(incoming::parse(body, limits)?),
            PatchFormat::Merge => Patch::merge(incoming::parse(body, limits)?),
            PatchFormat::FhirPath => {
                let document = incoming::parse(body, limits)?;
                match is_parameters(document.root()) {
                    true => Patch::parameters(document),
                    false => Patch::merge(document),
                }
            }
            PatchFormat::Xml => {
                let text = str::from_utf8(&body);
                Patch::xml(text.map_err(|_| Error::invalid("the body is not UTF-8"))?)
            }
        };
        patch.map_err(refusal)
    }

    /// Applies a patch to what a snapshot shows.
    pub(super) async fn patched(
        &self,
        snapshot: &dyn Snapshot,
        grant: &Grant,
        patching: &Patching<'_>,
    ) -> Result<Patched, Error> {
        let ty = patching.ty;
        if let Sought::Id(id) = patching.sought {
            self.check_visible(snapshot, grant, ty, id).await?;
        }
        let one = patching.sought.one(snapshot, ty).await?;
        let current = one.current.ok_or_else(|| match patching.sought {
            Sought::Id(_) => absent(),
            Sought::Matching(_) => Error::not_found("no resource matches the condition"),
        })?;
        // A patch can ask what a record says, which takes the right to read it.
        if let Some(seen) = visible(grant.subject(), Deed::Read, ty.kind)
            && !self.is_visible(snapshot, &seen, ty, &current.id).await?
        {
            return Err(absent());
        }
        check_condition(patching.condition, Some(&current))?;
        let Content::Body(body) = &current.content else {
            return Err(Error::new(Kind::Gone, "this resource has been deleted"));
        };
        let unreadable = || Error::new(Kind::Internal, "the server cannot read what it stored");
        let before = str::from_utf8(body).map_err(|_| unreadable())?;
        let limits = &self.settings.json;
        let after = patching.patch.apply(before, limits).map_err(refusal)?;
        let document = match after == before {
            true => None,
            false => {
                let document = Document::parse(after.into_bytes(), limits);
                let document = document.map_err(|error| unreadable().caused_by(error))?;
                check_kept(document.root(), ty, &current)?;
                Some(document)
            }
        };
        Ok(Patched {
            current,
            document,
            preconditions: one.preconditions,
        })
    }

    async fn unchanged(
        &self,
        cx: &Context,
        mut entry: Entry,
        ty: ResourceType,
        current: Record,
    ) -> Result<Decision<Reply>, Error> {
        entry.shows([&current]);
        self.record(cx, entry).await?;
        let place = Place {
            ty,
            id: current.id.clone(),
        };
        Ok(Decision::Answer(Reply {
            place: Some(place),
            written: true,
            ..shown(current)
        }))
    }
}

fn is_parameters(node: Node<'_>) -> bool {
    let ty = node.get("resourceType").and_then(Node::str);
    !node.is_object() || ty.as_deref() == Some("Parameters")
}

/// Whether the caller may be shown resources of a type.
pub(super) fn may_read(cx: &Context, ty: ResourceType) -> bool {
    let target = Target::Type(ty.name);
    salus_auth::authorize(&cx.subject, cx.scope, Action::Read, target).is_ok()
}

/// Refuses a change of what makes the resource this one.
fn check_kept(node: Node<'_>, ty: ResourceType, current: &Record) -> Result<(), Error> {
    let refuse = |part: &'static str| {
        let issue = Issue::error(
            IssueType::BusinessRule,
            format!("{}.{part}", ty.name),
            "a patch does not change the type, the id or the version of a resource",
        );
        Err(Error::with_issues(Kind::Invalid, vec![issue]))
    };
    let text = |node: Option<Node<'_>>| node.and_then(Node::str).unwrap_or_default().into_owned();
    if text(node.get("resourceType")) != ty.name {
        return refuse("resourceType");
    }
    if text(node.get("id")) != *current.id {
        return refuse("id");
    }
    let version = node.get("meta").and_then(|meta| meta.get("versionId"));
    if version.is_some() && text(version) != current.version.to_string() {
        return refuse("meta.versionId");
    }
    Ok(())
}

/// What a patch that cannot be applied is answered (RFC 5789, 2.2).
fn refusal(error: patch::Error) -> Error {
    let (kind, code) = match error.kind {
        patch::ErrorKind::Malformed => (Kind::Invalid, IssueType::Invalid),
        patch::ErrorKind::Invalid => (Kind::Unprocessable, IssueType::Structure),
        patch::ErrorKind::Mismatch => (Kind::Conflict, IssueType::Processing),
        patch::ErrorKind::TooCostly => (Kind::Unprocessable, IssueType::TooCostly),
    };
    let issue = Issue::error(code, String::new(), error.to_string());
    Error::with_issues(kind, vec![issue])
}
