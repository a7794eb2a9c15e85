//! A client looks after its registration (RFC 7592).
//!
//! That it proves itself by a token for nothing else, and not by its secret, is so because
//! it may have none, and may have lost it.

use salus_auth::metadata::Metadata;
use salus_auth::record::{AuthMethod, Client, RegistrationMode, Saved};
use salus_auth::{Action, Grant, Secret, Target, credentials};

use super::super::{Code, Refused, fault};
use super::register::RegisteredClient;
use super::understood;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::pipeline::Write;

impl Service {
    /// What a client is registered as.
    pub async fn own_registration(
        &self,
        cx: &Context,
        (id, access): (&str, Option<&str>),
    ) -> Result<RegisteredClient, Refused> {
        let work = async {
            let (client, access) = self.opened_by(cx, id, access).await?;
            let entry = entry_of(cx, What::AdminRead, &client, "its own registration");
            self.record(cx, entry).await?;
            Ok(RegisteredClient::of(cx, &client, None, access))
        };
        let done = work.await;
        self.told(cx, done).await
    }

    /// Puts what a client says of itself now in the place of what it said. Its token to
    /// do so is replaced.
    pub async fn change_own_registration(
        &self,
        cx: &Context,
        (id, access): (&str, Option<&str>),
        body: &[u8],
    ) -> Result<RegisteredClient, Refused> {
        let work = async {
            let (client, _) = self.opened_by(cx, id, access).await?;
            self.change_registered(cx, client, body).await
        };
        let done = work.await;
        self.told(cx, done).await
    }

    /// Removes a client, because it wants to be; its tokens stop working at once.
    pub async fn end_own_registration(
        &self,
        cx: &Context,
        (id, access): (&str, Option<&str>),
    ) -> Result<(), Refused> {
        let work = async {
            let (client, _) = self.opened_by(cx, id, access).await?;
            let grant = self.grant_of_registration(cx).await?;
            let entry = entry_of(cx, What::AdminWrite, &client, "its own registration");
            let write = Write::system(&grant, "Client", client.delete());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            // Users through whom it acted, too.
            self.sessions.forget_all();
            Ok(())
        };
        let done = work.await;
        self.told(cx, done).await
    }

    async fn change_registered(
        &self,
        cx: &Context,
        mut client: Saved<Client>,
        body: &[u8],
    ) -> Result<RegisteredClient, Refused> {
        let most = self.saved_registration(cx).await?.value;
        if most.mode == RegistrationMode::Off {
            return Err(fault(
                Code::AccessDenied,
                "clients do not change their registration here any more: ask an administrator",
            ));
        }
        let mut metadata = Metadata::read(body, &most)?;
        check_same(&client, &metadata)?;
        metadata.registration.scopes = understood(cx, &metadata.registration.scopes)?;
        let by_secret = metadata.registration.auth == AuthMethod::ClientSecret;
        let new_secret = (by_secret && !client.value.has_secret())
            .then(|| credentials::client_secret(&self.random()));
        let (secret, hash) = new_secret.unzip();
        client.value.change(metadata.registration, hash)?;
        let random = self.random();
        let own = client.value.self_registered.as_mut();
        let access = own.map(|own| own.renew(&random)).ok_or_else(invalid)?;
        let grant = self.grant_of_registration(cx).await?;
        let entry = entry_of(cx, What::AdminWrite, &client, "its own registration");
        let write = Write::system(&grant, "Client", client.put()?);
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        // It may have less now.
        self.sessions.forget_all();
        Ok(RegisteredClient::of(cx, &client, secret, access))
    }

    /// The client whose registration access token this is. Another, one that has gone,
    /// and one that an administrator registered, are all the same (RFC 7592, 2.1).
    async fn opened_by(
        &self,
        cx: &Context,
        id: &str,
        access: Option<&str>,
    ) -> Result<(Saved<Client>, Secret), Refused> {
        let access = access.ok_or_else(invalid)?;
        let client = self.client(cx, id).await?;
        let opened = |client: &Saved<Client>| {
            let own = client.value.self_registered.as_ref();
            client.value.is_active() && own.is_some_and(|own| own.is_opened_by(access))
        };
        let client = client.filter(opened).ok_or_else(invalid)?;
        Ok((client, Secret::new(access.to_owned())))
    }

    async fn grant_of_registration(&self, cx: &Context) -> Result<Grant, Refused> {
        let (what, action) = (What::AdminWrite, Action::SignIn);
        Ok(self.authorize(cx, what, action, Target::System).await?)
    }
}

/// That a client names itself, and no other secret than its own (RFC 7592, 2.2).
fn check_same(client: &Saved<Client>, metadata: &Metadata) -> Result<(), Refused> {
    let named = metadata.client_id.as_deref() == Some(&*client.id);
    let secret = metadata.secret.as_ref();
    let same = secret.is_none_or(|secret| credentials::check_client(Some(client), secret).is_ok());
    match named && same {
        true => Ok(()),
        false => Err(fault(
            Code::InvalidClientMetadata,
            "client_id has to be there and the client's own, and so has client_secret if it is there",
        )),
    }
}

fn entry_of(cx: &Context, what: What, client: &Saved<Client>, rule: &str) -> Entry {
    let mut entry = Entry::new(cx, what, Outcome::Success, rule);
    entry.agent = format!("Client/{}", client.id).into();
    entry
}

fn invalid() -> Refused {
    fault(
        Code::InvalidToken,
        "send the registration access token of this client as Authorization: Bearer",
    )
}
