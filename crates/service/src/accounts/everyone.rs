//! All users of a project are signed out at once: for an administrator who does not know
//! which accounts are in other hands (OWASP ASVS 5.0, 7.4.5).

use salus_auth::record::{self, Authorization, Owner, Saved, Session, SystemRecord};
use salus_auth::{Action, Grant};
use salus_store::{At, Put};

use super::own::current;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::sessions::Credential;

/// Records read, and ended in one commit, at once.
const AT_ONCE: usize = 100;
/// How often it is begun anew because somebody used one of them meanwhile.
const ROUNDS: usize = 16;

impl Service {
    /// Ends the sessions of all users of a project but the one that asks, and what users let
    /// clients do there; how many there were. Programs that act for themselves go on.
    pub async fn end_all_sessions(
        &self,
        cx: &Context,
        credential: Credential<'_>,
    ) -> Result<usize, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            self.needs_step_up(cx)?;
            // Also when there is nobody to be signed out.
            self.noted(cx, &grant, What::AdminWrite).await?;
            let own = current(credential);
            let session = |saved: &Saved<Session>| match &saved.value.owner {
                Owner::User(_) if own.as_deref() != Some(&*saved.id) => Some(saved.delete()),
                Owner::User(_) | Owner::Client(_) => None,
            };
            let agreed = |saved: &Saved<Authorization>| Some(saved.delete());
            let ended = self.end_each(cx, &grant, session).await?;
            let ended = ended + self.end_each(cx, &grant, agreed).await?;
            self.sessions.forget_all();
            Ok(ended)
        };
        self.attempt(cx, &grant, What::AdminWrite, "Session", work)
            .await
    }

    /// Deletes the records of a kind that are to go.
    async fn end_each<T: SystemRecord>(
        &self,
        cx: &Context,
        grant: &Grant,
        ends: impl Fn(&Saved<T>) -> Option<Put>,
    ) -> Result<usize, Error> {
        let mut ended = 0;
        for _ in 0..ROUNDS {
            let (done, whole) = self.end_some(cx, grant, &ends).await?;
            ended += done;
            if whole {
                return Ok(ended);
            }
        }
        Err(Error::new(
            Kind::Conflict,
            "some sessions were in use again and again; try once more",
        ))
    }

    /// The same once: how many went, and whether none was changed meanwhile.
    async fn end_some<T: SystemRecord>(
        &self,
        cx: &Context,
        grant: &Grant,
        ends: impl Fn(&Saved<T>) -> Option<Put>,
    ) -> Result<(usize, bool), Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let name = T::NAME.trim_start_matches("salus:");
        let (mut ended, mut whole, mut after) = (0, true, None);
        loop {
            let page = snapshot.find(&record::all::<T>(AT_ONCE, after)).await?;
            let mut writes = Vec::new();
            for hit in &page.hits {
                let put = Saved::<T>::read(&hit.record)?.and_then(|saved| ends(&saved));
                writes.extend(put.map(|put| Write::system(grant, name, put)));
            }
            let count = writes.len();
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            if count > 0 {
                match self.commit(cx, entry, Vec::new(), writes).await {
                    Ok(()) => ended += count,
                    Err(salus_store::Error::Conflict { .. }) => whole = false,
                    Err(error) => return Err(error.into()),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok((ended, whole));
            }
        }
    }
}
