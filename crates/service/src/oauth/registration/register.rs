//! A client registers itself (RFC 7591, 3).

use salus_auth::metadata::Metadata;
use salus_auth::record::{
    AuthMethod, Client, DynamicRegistration, InitialToken, RegistrationMode, Saved, SelfRegistered,
    SystemRecord,
};
use salus_auth::throttle::Limit;
use salus_auth::{Action, Secret, Target, credentials};
use salus_store::Precondition;

use super::super::{Code, Refused, fault, issuer};
use super::understood;
use crate::Service;
use crate::accounts::network;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::projects::{ClientView, view_client};
use crate::records::one;

/// Clients from one address: so many at once, and then one a minute.
const BY_ADDRESS: Limit = Limit::Rate(20, 60_000);

/// A client that registered itself, as it is told of itself.
pub struct RegisteredClient {
    /// What it is.
    pub client: ClientView,
    /// When it registered, in seconds since 1970 UTC.
    pub issued_s: i64,
    /// Its secret, if it got one just now.
    pub secret: Option<Secret>,
    /// What it looks after its registration with.
    pub access: Secret,
    /// Where.
    pub place: String,
}
salus_phi::guard!(RegisteredClient);

impl RegisteredClient {
    pub(super) fn of(
        cx: &Context,
        client: &Saved<Client>,
        secret: Option<Secret>,
        access: Secret,
    ) -> Self {
        Self {
            client: view_client(client),
            issued_s: client.value.created_ms.div_euclid(1000),
            secret,
            access,
            place: format!("{}/auth/register/{}", issuer(cx), client.id),
        }
    }
}

impl Service {
    /// Registers a client by what it says of itself; `initial` is the token that it may need.
    pub async fn register(
        &self,
        cx: &Context,
        initial: Option<&str>,
        body: &[u8],
    ) -> Result<RegisteredClient, Refused> {
        let done = self.try_register(cx, initial, body).await;
        self.told(cx, done).await
    }

    async fn try_register(
        &self,
        cx: &Context,
        initial: Option<&str>,
        body: &[u8],
    ) -> Result<RegisteredClient, Refused> {
        self.count_registration(cx)?;
        let most = self.saved_registration(cx).await?.value;
        let initial = self.may_register(cx, &most, initial).await?;
        let mut registration = Metadata::read(body, &most)?.registration;
        registration.scopes = understood(cx, &registration.scopes)?;
        let (secret, hash) = credentials::client_secret(&self.random());
        let secret = (registration.auth == AuthMethod::ClientSecret).then_some(secret);
        let (access, own) = SelfRegistered::make(&self.random());
        let id = self.new_id(cx);
        let mut client = Client::registered(&id, registration, Some(hash), cx.now_ms)?;
        client.value.self_registered = Some(own);
        let _turn = self.registrations.turn.lock().await;
        self.make_room(cx, &most).await?;
        self.put_registered(cx, &client, initial).await?;
        Ok(RegisteredClient::of(cx, &client, secret, access))
    }

    fn count_registration(&self, cx: &Context) -> Result<(), Error> {
        let Some(from) = cx.remote.map(network) else {
            return Ok(());
        };
        let mut asks = self.registrations.asks.lock();
        let counted = asks.attempt(&(cx.scope, from), BY_ADDRESS, cx.now_ms);
        counted.map_err(|_| {
            Error::new(
                Kind::Throttled,
                "too many clients asked from this address; wait a minute before the next",
            )
        })
    }

    /// The token that a client registers with, if it has to have one.
    async fn may_register(
        &self,
        cx: &Context,
        most: &DynamicRegistration,
        initial: Option<&str>,
    ) -> Result<Option<Saved<InitialToken>>, Refused> {
        match most.mode {
            RegistrationMode::Open => return Ok(None),
            RegistrationMode::Off => {
                return Err(fault(
                    Code::AccessDenied,
                    "clients do not register themselves here: ask an administrator",
                ));
            }
            RegistrationMode::Token => {}
        }
        let invalid = || {
            fault(
                Code::InvalidToken,
                "send an initial access token as Authorization: Bearer, one that has not ended \
                 and was not used up",
            )
        };
        let id = InitialToken::id(initial.ok_or_else(invalid)?);
        let saved = one::<InitialToken>(&*self.store, cx.scope, &id).await?;
        let saved = saved.filter(|saved| saved.value.holds(cx.now_ms));
        saved.map(Some).ok_or_else(invalid)
    }

    /// That there is room for one more, when those have gone that nobody uses.
    async fn make_room(&self, cx: &Context, most: &DynamicRegistration) -> Result<(), Refused> {
        self.sweep_registered(&self.operator_context(cx.scope))
            .await?;
        let there = self.self_registered(cx.scope).await?.len();
        match usize::try_from(most.clients_max).is_ok_and(|most| there < most) {
            true => Ok(()),
            false => Err(fault(
                Code::AccessDenied,
                "as many clients have registered as may: ask an administrator",
            )),
        }
    }

    async fn put_registered(
        &self,
        cx: &Context,
        client: &Saved<Client>,
        initial: Option<Saved<InitialToken>>,
    ) -> Result<(), Refused> {
        let grant = self
            .authorize(cx, What::AdminWrite, Action::SignIn, Target::System)
            .await?;
        let absent = Precondition::VersionIs {
            kind: Client::KIND,
            id: client.id.clone(),
            version: None,
        };
        let mut preconditions = vec![absent];
        let mut writes = vec![Write::system(&grant, "Client", client.put()?)];
        if let Some(mut initial) = initial {
            preconditions.push(InitialToken::unchanged(&initial));
            initial.value.uses += 1;
            writes.push(Write::system(&grant, "InitialToken", initial.put()?));
        }
        let mut entry = Entry::new(cx, What::AdminWrite, Outcome::Success, "registered itself");
        entry.agent = format!("Client/{}", client.id).into();
        Ok(self.commit(cx, entry, preconditions, writes).await?)
    }
}
