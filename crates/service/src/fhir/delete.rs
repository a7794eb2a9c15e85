//! FHIR delete: <https://hl7.org/fhir/R4/http.html#delete>.
//!
//! A deletion is a version of its own; history keeps what was there.

use salus_auth::{Action, Grant, Target};
use salus_store::Content;

use super::receipt::Named;
use super::reply::{Reply, Status};
use super::settle::Decision;
use super::types::ResourceType;
use super::update::check_condition;
use super::{WriteOptions, check_id, check_writable, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;

impl Service {
    /// Deletes a resource; deleting what is not there is done already.
    pub async fn delete(
        &self,
        cx: &Context,
        ty: &str,
        id: &str,
        options: &WriteOptions,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize_on(cx, What::Delete, Action::Delete, target, id)
            .await?;
        let work = self.delete_granted(cx, &grant, ty, id, options);
        self.attempt_on(cx, &grant, What::Delete, (ty.name, id), work)
            .await
    }

    async fn delete_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        id: &str,
        options: &WriteOptions,
    ) -> Result<Reply, Error> {
        check_writable(ty)?;
        check_id(id)?;
        let request = [b"delete", ty.name.as_bytes(), id.as_bytes()];
        let named = Named::of(cx, options.idempotency_key.as_deref(), &request);
        let decide = || async {
            let current = self.snapshot(cx).await?.get(ty.kind, id).await?;
            check_condition(options.condition, current.as_ref())?;
            let Some(current) = current.filter(|record| record.content != Content::Deleted) else {
                let entry = Entry::new(cx, What::Delete, Outcome::Success, grant.rule());
                self.record(cx, entry).await?;
                return Ok(Decision::Answer(Reply::with(Status::NoContent)));
            };
            let version = current.version + 1;
            Ok(Decision::Commit {
                entry: Entry::new(cx, What::Delete, Outcome::Success, grant.rule()),
                preconditions: Vec::new(),
                writes: vec![Write::delete(grant, ty, id, version, current.seal)],
                answer: Reply {
                    version: Some(version),
                    ..Reply::with(Status::NoContent)
                },
            })
        };
        self.settle(cx, (What::Delete, grant), named.as_ref(), true, decide)
            .await
    }
}
