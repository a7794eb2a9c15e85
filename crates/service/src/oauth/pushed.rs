//! Requests sent ahead of the user: <https://www.rfc-editor.org/rfc/rfc9126>.

use salus_auth::record::{Pushed, SystemRecord};
use salus_auth::{Action, Target};

use super::clients::Presented;
use super::request::Asked;
use super::{Code, Refused, fault};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::read;

impl Service {
    /// Keeps a request until the user comes: its name.
    pub async fn push(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        (asked, request): (&Asked, String),
    ) -> Result<String, Refused> {
        let known = self.known_client(cx, presented).await?;
        let client = &known.client;
        if *asked.client_id != *client.id {
            return Err(fault(
                Code::InvalidRequest,
                "client_id is of another client",
            ));
        }
        let place = asked.check_place(Some(client));
        place.map_err(|_| fault(Code::InvalidRequest, "redirect_uri is not registered"))?;
        asked.check(client, &cx.base)?;
        let (name, saved) = Pushed::make(&self.random(), &client.id, request, cx.now_ms);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "pushed request");
        entry.agent = format!("Client/{}", client.id).into();
        let (mut preconditions, mut writes) = (Vec::new(), Vec::new());
        writes.push(Write::system(&grant, "Pushed", saved.put()?));
        known.use_up(&grant, &mut preconditions, &mut writes)?;
        let done = self.commit(cx, entry, preconditions, writes).await;
        done.map_err(|error| known.on_conflict(error))?;
        Ok(name)
    }

    /// The request of a name, once, for the client that sent it.
    pub async fn pushed(
        &self,
        cx: &Context,
        client: &str,
        name: &str,
    ) -> Result<Option<String>, Error> {
        let id = Pushed::id(name);
        let record = self.snapshot(cx).await?.get(Pushed::KIND, &id).await?;
        let saved = read::<Pushed>(record.as_ref())?;
        let Some(saved) = saved.filter(|saved| saved.value.is_for(client, cx.now_ms)) else {
            let entry = Entry::new(cx, What::SignIn, Outcome::Refused, "no such pushed request");
            self.record(cx, entry).await?;
            return Ok(None);
        };
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let entry = Entry::new(cx, What::SignIn, Outcome::Success, "pushed request");
        let write = Write::system(&grant, "Pushed", saved.delete());
        let unused = vec![saved.unchanged()];
        match self.commit(cx, entry, unused, vec![write]).await {
            Ok(()) => Ok(Some(saved.value.request)),
            Err(salus_store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
