//! Clients that registered themselves and that nobody uses go: a week after they came if
//! they were never given a token, else when the last one is long past.

use std::time::Duration;

use salus_auth::record::{Client, Saved};
use salus_auth::{Action, Target};
use salus_store::{At, Scope};

use super::super::clients::Known;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::read;

/// How often it is looked for them.
const EVERY: Duration = Duration::from_secs(3600);

/// Removed in one commit at most.
const AT_ONCE: usize = 100;

impl Service {
    /// Removes them, every hour. Never ends.
    pub async fn keep_registrations(&self) {
        loop {
            match self.sweep_registrations().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "clients that nobody used were removed"),
                Err(error) => {
                    let cause = error.cause();
                    tracing::warn!(cause, "unused clients cannot be removed just now");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Removes those of all projects, and tells how many.
    pub async fn sweep_registrations(&self) -> Result<usize, Error> {
        let mut removed = 0;
        for scope in self.projects.scopes() {
            removed += self.sweep_registered(&self.operator_context(scope)).await?;
        }
        Ok(removed)
    }

    /// Removes those of one project.
    pub(super) async fn sweep_registered(&self, cx: &Context) -> Result<usize, Error> {
        let mut all = self.self_registered(cx.scope).await?;
        all.retain(|client| {
            let own = client.value.self_registered.as_ref();
            own.is_some_and(|own| own.is_forsaken(client.value.created_ms, cx.now_ms))
        });
        if all.is_empty() {
            return Ok(0);
        }
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        for some in all.chunks(AT_ONCE) {
            let write = |client: &Saved<Client>| Write::system(&grant, "Client", client.delete());
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, "nobody used it");
            let writes = some.iter().map(write).collect();
            match self.commit(cx, entry, Vec::new(), writes).await {
                // One is used just now after all: the next time tells.
                Ok(()) | Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sessions.forget_all();
        Ok(all.len())
    }

    /// The clients of a project that registered themselves.
    pub(super) async fn self_registered(&self, scope: Scope) -> Result<Vec<Saved<Client>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let mut query = Client::registered_by_themselves();
        let mut all = Vec::new();
        loop {
            let page = snapshot.find(&query).await?;
            for hit in &page.hits {
                all.extend(read::<Client>(Some(&hit.record))?);
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Notes, once a day, that a client was given a token. Not in the commit that gives it:
    /// two that come at once would be in each other's way.
    pub(in crate::oauth) async fn note_token(
        &self,
        cx: &Context,
        known: &Known,
    ) -> Result<(), Error> {
        let mut client = known.client.clone();
        let own = client.value.self_registered.as_mut();
        if !own.is_some_and(|own| own.note_use(cx.now_ms)) {
            return Ok(());
        }
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "client in use");
        entry.agent = format!("Client/{}", client.id).into();
        let write = Write::aside(&grant, client.put()?);
        match self.commit(cx, entry, Vec::new(), vec![write]).await {
            Ok(()) | Err(salus_store::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
