//! FHIR delete: <https://hl7.org/fhir/R4/http.html#delete>.
//!
//! A deletion is a version of its own; history keeps what was there.

use salus_auth::{Action, Grant, Target};
use salus_store::Content;

use super::reply::{Reply, Status};
use super::types::ResourceType;
use super::update::check_condition;
use super::{ATTEMPTS_MAX, WriteCondition, check_id, check_writable, resource_type};
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
        condition: WriteCondition,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize_on(cx, What::Delete, Action::Delete, target, id)
            .await?;
        let work = self.delete_granted(cx, &grant, ty, id, condition);
        self.attempt_on(cx, &grant, What::Delete, (ty.name, id), work)
            .await
    }

    async fn delete_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        id: &str,
        condition: WriteCondition,
    ) -> Result<Reply, Error> {
        check_writable(ty)?;
        check_id(id)?;
        for _ in 0..ATTEMPTS_MAX {
            let current = self.snapshot(cx).await?.get(ty.kind, id).await?;
            check_condition(condition, current.as_ref())?;
            let entry = Entry::new(cx, What::Delete, Outcome::Success, grant.rule());
            let Some(current) = current.filter(|record| record.content != Content::Deleted) else {
                self.record(cx, &entry, Vec::new()).await?;
                return Ok(Reply::with(Status::NoContent));
            };
            let version = current.version + 1;
            let write = Write::delete(grant, ty, id, version, current.seal);
            match self.commit(cx, entry, Vec::new(), vec![write]).await {
                Ok(()) => {
                    return Ok(Reply {
                        version: Some(version),
                        ..Reply::with(Status::NoContent)
                    });
                }
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(salus_store::Error::Conflict { precondition: None }.into())
    }
}
