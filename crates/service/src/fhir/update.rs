//! FHIR update: <https://hl7.org/fhir/R4/http.html#update>.
//!
//! Creates the resource when there is none, under the client's id. A client
//! that sets no condition never sees another's write as a conflict: the
//! decision is made again on what that one left.

use bytes::Bytes;
use salus_auth::{Action, Grant, Target};
use salus_fhir::validate::Valid;
use salus_store::{Content, Record};

use super::reply::{Reply, Status};
use super::stored::Stored;
use super::types::ResourceType;
use super::{ATTEMPTS_MAX, WriteCondition, check_id, check_writable, incoming, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

impl Service {
    /// Stores the next version of a resource, or its first.
    pub async fn update(
        &self,
        cx: &Context,
        ty: &str,
        id: &str,
        body: Bytes,
        condition: WriteCondition,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize_on(cx, What::Update, Action::Update, target, id)
            .await?;
        let work = self.update_granted(cx, &grant, ty, id, body, condition);
        self.attempt_on(cx, &grant, What::Update, (ty.name, id), work)
            .await
    }

    async fn update_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        id: &str,
        body: Bytes,
        condition: WriteCondition,
    ) -> Result<Reply, Error> {
        check_writable(ty)?;
        check_id(id)?;
        let document = incoming::parse(body, &self.settings.json)?;
        let valid = incoming::check(document.root(), ty)?;
        incoming::check_same_id(document.root(), id)?;
        for _ in 0..ATTEMPTS_MAX {
            let current = self.snapshot(cx).await?.get(ty.kind, id).await?;
            check_condition(condition, current.as_ref())?;
            let (write, reply) = next_version(cx, grant, ty, id, current.as_ref(), &valid)?;
            let entry = Entry::new(cx, What::Update, Outcome::Success, grant.rule());
            match self.commit(cx, entry, Vec::new(), vec![write]).await {
                Ok(()) => return Ok(reply),
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(salus_store::Error::Conflict { precondition: None }.into())
    }
}

/// The write that follows the current version, and what to answer for it.
fn next_version(
    cx: &Context,
    grant: &Grant,
    ty: ResourceType,
    id: &str,
    current: Option<&Record>,
    valid: &Valid<'_>,
) -> Result<(Write, Reply), Error> {
    let version = current.map_or(1, |record| record.version + 1);
    let exists = current.is_some_and(|record| record.content != Content::Deleted);
    let stored = Stored::of(cx, ty, id, version, valid)?;
    let reply = Reply {
        written: true,
        version: Some(version),
        updated_ms: Some(cx.now_ms),
        location: (!exists).then(|| format!("{}/{id}/_history/{version}", ty.name)),
        body: Some(Bytes::from(stored.text.clone())),
        ..Reply::with(if exists { Status::Ok } else { Status::Created })
    };
    Ok((Write::store(grant, ty, stored), reply))
}

/// Decides `If-Match` and `If-None-Match: *` on the current version.
pub(super) fn check_condition(
    condition: WriteCondition,
    current: Option<&Record>,
) -> Result<(), Error> {
    let exists = current.is_some_and(|record| record.content != Content::Deleted);
    let holds = match condition {
        WriteCondition::None => true,
        WriteCondition::VersionIs(version) => {
            exists && current.is_some_and(|record| record.version == version)
        }
        WriteCondition::Absent => !exists,
    };
    if holds {
        return Ok(());
    }
    Err(Error::new(
        Kind::Precondition,
        match condition {
            WriteCondition::Absent => "the resource exists already (If-None-Match)",
            WriteCondition::VersionIs(_) | WriteCondition::None => {
                "the resource's current version is another one (If-Match); read it again"
            }
        },
    ))
}
