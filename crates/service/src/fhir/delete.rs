//! FHIR delete: <https://hl7.org/fhir/R4/http.html#delete>, and conditional
//! delete: <https://hl7.org/fhir/R4/http.html#cdelete>. What a condition finds
//! is deleted in one commit, all or none of it.
//!
//! A deletion is a version of its own; history keeps what was there.

use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_store::Record;

use super::receipt::Named;
use super::reply::{Reply, Status};
use super::settle::Decision;
use super::types::ResourceType;
use super::update::check_condition;
use super::which::Which;
use super::{WriteCondition, WriteOptions, check_writable, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

impl Service {
    /// Deletes a resource; deleting what is not there is done already.
    pub fn delete<'a>(
        &'a self,
        cx: &'a Context,
        ty: &'a str,
        which: Which<'a>,
        options: &'a WriteOptions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let ty = resource_type(ty)?;
            let target = Target::Type(ty.name);
            let grant = self
                .authorize_on(cx, What::Delete, Action::Delete, target, which.id())
                .await?;
            let work = self.delete_granted(cx, &grant, ty, which, options);
            self.attempt_on(cx, &grant, What::Delete, (ty.name, which.id()), work)
                .await
        })
    }

    async fn delete_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        which: Which<'_>,
        options: &WriteOptions,
    ) -> Result<Reply, Error> {
        check_writable(ty)?;
        let request = [b"delete", ty.name.as_bytes(), &which.mark()];
        let named = Named::of(cx, options.idempotency_key.as_deref(), &request);
        let sought = self.seek(cx, ty, which).await?;
        let decide = || async {
            let snapshot = self.snapshot(cx).await?;
            let (mut found, preconditions) = sought.to_delete(&*snapshot, ty).await?;
            if let (Which::Id(id), false) = (which, found.is_empty())
                && !self.is_seen(cx, &*snapshot, ty, id).await?
            {
                found.clear();
            }
            drop(snapshot);
            check_all(options.condition, &found)?;
            let entry = Entry::new(cx, What::Delete, Outcome::Success, grant.rule());
            if found.is_empty() {
                self.record(cx, entry).await?;
                return Ok(Decision::Answer(Reply::with(Status::NoContent)));
            }
            let answer = deleted(&found);
            let delete = |record: Record| {
                Write::delete(grant, ty, &record.id, record.version + 1, record.seal)
            };
            Ok(Decision::Commit {
                entry,
                preconditions,
                writes: found.into_iter().map(delete).collect(),
                answer,
            })
        };
        self.settle(cx, (What::Delete, grant), named.as_ref(), true, decide)
            .await
    }
}

/// Decides `If-Match` on what is to be deleted: several have no one version.
pub(super) fn check_all(condition: WriteCondition, found: &[Record]) -> Result<(), Error> {
    match (condition, found) {
        (WriteCondition::None, _) => Ok(()),
        (condition, []) => check_condition(condition, None),
        (condition, [record]) => check_condition(condition, Some(record)),
        _ => Err(Error::new(
            Kind::Precondition,
            "If-Match is for one resource, and several match the condition",
        )),
    }
}

/// What to answer once these are deleted.
pub(super) fn deleted(found: &[Record]) -> Reply {
    let version = match found {
        [record] => Some(record.version + 1),
        _ => None,
    };
    Reply {
        version,
        ..Reply::with(Status::NoContent)
    }
}
