//! Who reads or writes a record that is in cold storage: it is told to those who might read it,
//! and for others it is not there.

use salus_auth::{Action, Grant, Target};
use salus_store::At;

use super::known::{cold, elsewhere, finds, refused};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;

impl Service {
    /// What to tell of a record that is not to be seen here: that it is in cold storage, if it is and
    /// policy would show it.
    pub(crate) async fn cold_or(
        &self,
        cx: &Context,
        grant: &Grant,
        (ty, id): (ResourceType, &str),
        error: Error,
    ) -> Error {
        // On the whole store: this record is nobody's to see, and nothing of it is shown.
        let snapshot = match self.store.snapshot(cx.scope, At::Now).await {
            Ok(snapshot) => snapshot,
            Err(_) => return error,
        };
        match cold(&*snapshot, ty, id).await {
            Ok(Some(cold)) if finds(grant.filter(), &cold) == Some(true) => elsewhere(),
            Ok(_) | Err(_) => error,
        }
    }

    /// Refuses writes over records that are in cold storage; asked when a commit was refused.
    pub(crate) async fn refuse_over_cold(
        &self,
        cx: &Context,
        writes: &[Write],
    ) -> Result<(), Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        for write in writes {
            let put = write.put();
            let Some(ty) = ResourceType::of(put.kind) else {
                continue;
            };
            let Some(left) = cold(&*snapshot, ty, &put.id).await? else {
                continue;
            };
            let target = Target::Type(ty.name);
            let grant = salus_auth::authorize(&cx.subject, cx.scope, Action::Read, target).ok();
            let seen = grant.is_some_and(|grant| finds(grant.filter(), &left) == Some(true));
            return Err(match seen {
                true => refused(),
                false => crate::fhir::read::absent(),
            });
        }
        Ok(())
    }
}
