//! Clients that register themselves: <https://www.rfc-editor.org/rfc/rfc7591> and
//! <https://www.rfc-editor.org/rfc/rfc7592>, as far as a project lets them.
//!
//! What such a client may never do is in docs/adr/0039-clients-that-register-themselves.md.

mod manage;
mod register;
mod sweep;
mod tokens;

use std::net::IpAddr;

use parking_lot::Mutex;
use salus_auth::record::{DynamicRegistration, GrantType, RegistrationMode, Saved};
use salus_auth::throttle::Throttle;
use salus_auth::{Action, Grant, Scopes};
use salus_store::Scope;

use super::{Code, Fault, Refused};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::policy;
use crate::records::one;
pub use register::RegisteredClient;
pub use tokens::{InitialTokenToBe, InitialTokenView};

/// What is known of clients that register just now.
#[derive(Default)]
pub(crate) struct Registrations {
    /// How many came to which project from where.
    asks: Mutex<Throttle<(Scope, IpAddr)>>,
    /// Held while one is counted and stored, so that there are never too many.
    turn: tokio::sync::Mutex<()>,
}

/// A setting to be; what is left out is as it is usually.
#[derive(Clone)]
pub struct RegistrationToBe {
    /// Which clients may register.
    pub mode: RegistrationMode,
    /// The scopes that they may have.
    pub scopes: Option<String>,
    /// How they may get tokens.
    pub grant_types: Option<Vec<GrantType>>,
    /// How many there are at most.
    pub clients_max: Option<u32>,
}
salus_phi::guard!(RegistrationToBe);

impl RegistrationToBe {
    fn setting(self) -> Result<DynamicRegistration, Error> {
        let usual = DynamicRegistration::default();
        let scopes = self.scopes.as_deref().map(Scopes::parse).transpose()?;
        let setting = DynamicRegistration {
            mode: self.mode,
            scopes: scopes.unwrap_or(usual.scopes),
            grant_types: self.grant_types.unwrap_or(usual.grant_types),
            clients_max: self.clients_max.unwrap_or(usual.clients_max),
        };
        setting.check()?;
        Ok(setting)
    }
}

impl Service {
    /// The setting of a project, for its administrators.
    pub async fn read_registration(&self, cx: &Context) -> Result<DynamicRegistration, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        let work = async { Ok(self.saved_registration(cx).await?.value) };
        let setting = self.attempt(cx, &grant, What::AdminRead, "DynamicRegistration", work);
        let setting = setting.await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(setting)
    }

    /// Sets what clients may register for from now on.
    pub async fn write_registration(
        &self,
        cx: &Context,
        setting: RegistrationToBe,
    ) -> Result<DynamicRegistration, Error> {
        let (what, action) = (What::AdminWrite, Action::WriteSettings);
        let grant = self.allow(cx, what, action).await?;
        let work = self.change_registration(cx, &grant, setting);
        self.attempt(cx, &grant, what, "DynamicRegistration", work)
            .await
    }

    async fn change_registration(
        &self,
        cx: &Context,
        grant: &Grant,
        setting: RegistrationToBe,
    ) -> Result<DynamicRegistration, Error> {
        let setting = setting.setting()?;
        if policy::scopes::understood(cx, &setting.scopes) != setting.scopes {
            return Err(Error::invalid(
                "scopes: one has a search behind its ? that is not understood for its type",
            ));
        }
        let mut next = self.saved_registration(cx).await?;
        next.value = setting;
        let write = Write::system(grant, "DynamicRegistration", next.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        Ok(next.value)
    }

    /// Whether clients may register in a project, for its documents of discovery.
    pub async fn takes_registrations(&self, cx: &Context) -> Result<bool, Error> {
        let setting = self.saved_registration(cx).await?;
        Ok(setting.value.mode != RegistrationMode::Off)
    }

    async fn saved_registration(&self, cx: &Context) -> Result<Saved<DynamicRegistration>, Error> {
        let id = DynamicRegistration::ID;
        let saved = one::<DynamicRegistration>(&*self.store, cx.scope, id).await?;
        Ok(saved.unwrap_or_else(|| Saved::new(id, DynamicRegistration::default())))
    }

    /// Tells the audit why a client did not get what it asked for.
    async fn told<T>(&self, cx: &Context, done: Result<T, Refused>) -> Result<T, Refused> {
        let (outcome, rule) = match &done {
            Ok(_) => return done,
            Err(Refused::Fault(fault)) => (Outcome::Refused, fault.code.name()),
            Err(Refused::Service(error)) => match error.kind().status().0 {
                500.. => (Outcome::Failed, "registration failed"),
                _ => (Outcome::Refused, "registration refused"),
            },
        };
        let mut entry = Entry::new(cx, What::AdminWrite, outcome, rule);
        entry.ty = "Client".into();
        self.record(cx, entry).await?;
        done
    }
}

/// The scopes whose searches are understood.
fn understood(cx: &Context, scopes: &Scopes) -> Result<Scopes, Fault> {
    let known = policy::scopes::understood(cx, scopes);
    match known.is_empty() {
        false => Ok(known),
        true => Err(Fault::new(
            Code::InvalidClientMetadata,
            "scope has a search behind its ? that is not understood for its type",
        )),
    }
}
