//! FHIR read and vread: <https://hl7.org/fhir/R4/http.html#read>.
//!
//! Nothing is shown before the audit entry that says so is durable.

use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_fhir::search::Subset;
use salus_store::{Content, Filter, Record, Snapshot};

use super::binary::{is_binary, whole};
use super::reply::{Reply, Status};
use super::types::ResourceType;
use super::{check_id, operations, resource_type, search};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};

/// What a client has already (<https://hl7.org/fhir/R4/http.html#cread>).
#[derive(Clone, Default)]
pub struct ReadConditions {
    /// The versions of `If-None-Match`.
    pub if_none_match: Option<Versions>,
    /// The time of `If-Modified-Since`, in milliseconds since 1970 UTC, to the second.
    pub if_modified_since_ms: Option<i64>,
    /// What stands behind the `?`: `_summary` and `_elements` ask for a part.
    pub parameters: Vec<(String, String)>,
}
salus_phi::guard!(ReadConditions);

/// What an `If-None-Match` names (RFC 9110, 13.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// `*`
    Any,
    /// A list of ETags; those that are not ours are no version.
    Of(Vec<u64>),
}

impl Versions {
    /// Reads a header's value.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "*" => Self::Any,
            tags => Self::Of(tags.split(',').filter_map(super::etag_version).collect()),
        }
    }

    fn hold(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(versions) => versions.contains(&version),
        }
    }
}

impl ReadConditions {
    fn are_none(&self) -> bool {
        self.if_none_match.is_none() && self.if_modified_since_ms.is_none()
    }

    /// `If-None-Match` takes precedence (RFC 9110, 13.2.2).
    fn has(&self, record: &Record) -> bool {
        match (&self.if_none_match, self.if_modified_since_ms) {
            (Some(versions), _) => versions.hold(record.version),
            (None, Some(since_ms)) => record.time_ms / 1000 * 1000 <= since_ms,
            (None, None) => false,
        }
    }
}

impl Service {
    /// The current version of a resource.
    pub fn read<'a>(
        &'a self,
        cx: &'a Context,
        ty: &'a str,
        id: &'a str,
        conditions: &'a ReadConditions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let ty = resource_type(ty)?;
            if ty.name == ResourceType::AUDIT_EVENT {
                let parameters = &conditions.parameters;
                return self.read_audit_event(cx, ty, id, parameters).await;
            }
            let target = Target::Type(ty.name);
            let grant = self
                .authorize_on(cx, What::Read, Action::Read, target, id)
                .await?;
            let work = async {
                check_id(id)?;
                let subset = search::part(ty, &conditions.parameters)?;
                let snapshot = self.snapshot(cx).await?;
                self.check_seen(cx, &*snapshot, &grant, ty, id).await?;
                let known = match conditions.are_none() {
                    true => None,
                    false => snapshot.head(ty.kind, id).await?,
                };
                let record = match known.filter(|head| conditions.has(head)) {
                    Some(head) => Some(head),
                    None => snapshot.get(ty.kind, id).await?,
                };
                if record.is_none()
                    && let Some(reply) = defined(cx, ty, id)
                {
                    let mut entry = Entry::new(cx, What::Read, Outcome::Success, grant.rule());
                    entry.ty = ty.name.into();
                    self.record(cx, entry).await?;
                    return Ok(part_of(reply, subset.as_ref()));
                }
                let version = record.as_ref().map_or(0, |record| record.version);
                let whole = self.show(cx, &grant, What::Read, record, conditions);
                let whole = whole.await?;
                let binary = (ty, id, version);
                self.with_content(cx, &*snapshot, binary, (whole, subset.as_ref()))
                    .await
            };
            self.attempt_on(cx, &grant, What::Read, (ty.name, id), work)
                .await
        })
    }

    /// One version of a resource.
    pub async fn vread(
        &self,
        cx: &Context,
        (ty, id, version): (&str, &str, &str),
        parameters: &[(String, String)],
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize_on(cx, What::Vread, Action::VRead, target, id)
            .await?;
        let work = async {
            check_id(id)?;
            let subset = search::part(ty, parameters)?;
            let version: u64 = version.parse().map_err(|_| absent())?;
            let snapshot = self.snapshot(cx).await?;
            self.check_seen(cx, &*snapshot, &grant, ty, id).await?;
            let record = match snapshot.version(ty.kind, id, version).await {
                Err(error @ salus_store::Error::Purged) => {
                    return Err(self.cold_or(cx, &grant, (ty, id), error.into()).await);
                }
                record => record?,
            };
            let conditions = ReadConditions::default();
            let whole = self.show(cx, &grant, What::Vread, record, &conditions);
            let whole = whole.await?;
            let binary = (ty, id, version);
            self.with_content(cx, &*snapshot, binary, (whole, subset.as_ref()))
                .await
        };
        self.attempt_on(cx, &grant, What::Vread, (ty.name, id), work)
            .await
    }

    /// A record that the grant's filter does not find is not there, whatever
    /// the version: not for a version in which it would have been found, and
    /// not as deleted.
    pub(crate) async fn check_visible(
        &self,
        snapshot: &dyn Snapshot,
        grant: &Grant,
        ty: ResourceType,
        id: &str,
    ) -> Result<(), Error> {
        if *grant.filter() == Filter::Everything {
            return Ok(());
        }
        match self.is_visible(snapshot, grant.filter(), ty, id).await? {
            true => Ok(()),
            false => Err(absent()),
        }
    }

    /// The same; who might read a record that is in cold storage is told so.
    pub(super) async fn check_seen(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        grant: &Grant,
        ty: ResourceType,
        id: &str,
    ) -> Result<(), Error> {
        match self.check_visible(snapshot, grant, ty, id).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.cold_or(cx, grant, (ty, id), error).await),
        }
    }

    /// Whether a filter finds a record.
    pub(crate) async fn is_visible(
        &self,
        snapshot: &dyn Snapshot,
        filter: &Filter,
        ty: ResourceType,
        id: &str,
    ) -> Result<bool, Error> {
        Ok(snapshot.holds(ty.kind, id, filter).await?)
    }

    /// The part that was asked for, with the content of a Binary that is not in its text.
    async fn with_content(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (ty, id, version): (ResourceType, &str, u64),
        (reply, subset): (Reply, Option<&Subset>),
    ) -> Result<Reply, Error> {
        // The smallest Binary with content tells whether the part has it.
        let asked = |subset: &Subset| {
            let smallest = br#"{"resourceType":"Binary","data":"AA=="}"#;
            let part = search::shown(smallest, Some(subset));
            part.windows(6).any(|word| word == br#""data""#)
        };
        let mut reply = part_of(reply, subset);
        if is_binary(ty.kind) && reply.body.is_some() && subset.is_none_or(asked) {
            reply.content = self.content(cx, snapshot, (id, version)).await?;
            if reply.content.is_some() && subset.is_none() {
                reply.body = reply.body.map(whole);
            }
        }
        Ok(reply)
    }

    /// Shows a record to one who may see it, after the audit has it.
    async fn show(
        &self,
        cx: &Context,
        grant: &Grant,
        what: What,
        record: Option<Record>,
        conditions: &ReadConditions,
    ) -> Result<Reply, Error> {
        let record = record.ok_or_else(absent)?;
        if record.content == Content::Deleted {
            let gone = Error::new(Kind::Gone, "this resource has been deleted");
            return Err(match ResourceType::of(record.kind) {
                Some(ty) => self.cold_or(cx, grant, (ty, &record.id), gone).await,
                None => gone,
            });
        }
        let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        entry.shows([&record]);
        self.record(cx, entry).await?;
        if conditions.has(&record) {
            return Ok(Reply {
                body: None,
                status: Status::NotModified,
                ..shown(record)
            });
        }
        Ok(shown(record))
    }
}

/// The reply with the part of its resource that was asked for.
pub(crate) fn part_of(reply: Reply, subset: Option<&Subset>) -> Reply {
    Reply {
        body: reply.body.map(|body| match subset {
            Some(subset) => search::shown(&body, Some(subset)).into_owned().into(),
            None => body,
        }),
        ..reply
    }
}

/// What the server itself has beside the records of a project: the definitions of its operations.
fn defined(cx: &Context, ty: ResourceType, id: &str) -> Option<Reply> {
    if ty.name != "OperationDefinition" {
        return None;
    }
    let definition = operations::definition(id, &cx.base)?;
    Some(Reply {
        body: Some(definition.to_string().into()),
        ..Reply::with(Status::Ok)
    })
}

pub(crate) fn absent() -> Error {
    Error::not_found("there is no such resource, or none that you may see")
}

/// The reply that shows a record.
pub(super) fn shown(record: Record) -> Reply {
    Reply {
        version: Some(record.version),
        updated_ms: Some(record.time_ms),
        body: match record.content {
            Content::Body(body) => Some(body),
            Content::Deleted => None,
        },
        ..Reply::with(Status::Ok)
    }
}
