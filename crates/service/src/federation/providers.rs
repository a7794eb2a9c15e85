//! The providers of a project, for its administrators; everyone may know their names.

use salus_auth::record::{
    Create, GroupMapping, PROVIDERS_MAX, Provider, Saved, SecondFactor, is_provider_name,
};
use salus_auth::{Action, Grant, Secret};
use salus_store::Scope;

use crate::AuthMethod;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::oauth::issuer;
use crate::pipeline::Write;
use crate::records::{all, ever, one};
use crate::time::instant;

/// A provider as it is to be.
pub struct ProviderToBe {
    /// What users see.
    pub label: String,
    /// Its name as an issuer.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// How we prove that.
    pub auth: AuthMethod,
    /// The secret; without, that of before stays.
    pub secret: Option<Secret>,
    /// What it is asked for.
    pub scopes: Vec<String>,
    /// For whom accounts are made.
    pub create: Create,
    /// The domains of their addresses.
    pub domains: Vec<String>,
    /// Which groups they are in.
    pub groups: Option<GroupMapping>,
    /// What counts as a second factor.
    pub second_factor: SecondFactor,
    /// Whether anybody signs in by it.
    pub active: bool,
}
salus_phi::guard!(ProviderToBe);

/// A provider as administrators see it.
#[derive(Clone)]
pub struct ProviderView {
    /// Its name in URLs.
    pub name: Box<str>,
    /// What is kept of it.
    pub provider: Provider,
    /// Where it sends users back to: to be registered there.
    pub redirect: String,
    /// When it was set up, as an instant.
    pub created: String,
}
salus_phi::guard!(ProviderView);

/// A provider as everyone sees it.
#[derive(Clone)]
pub struct ProviderName {
    /// Its name in URLs.
    pub name: Box<str>,
    /// What users see.
    pub label: String,
}
salus_phi::guard!(ProviderName);

impl Service {
    /// The providers by which users sign in to a project, for everyone.
    pub async fn provider_names(&self, cx: &Context) -> Result<Vec<ProviderName>, Error> {
        let mut providers = all::<Provider>(&*self.store, cx.scope, PROVIDERS_MAX).await?;
        providers.retain(|saved| saved.value.active);
        let name = |saved: Saved<Provider>| ProviderName {
            label: saved.value.label.clone(),
            name: saved.id,
        };
        Ok(providers.into_iter().map(name).collect())
    }

    /// The providers of a project.
    pub async fn list_providers(&self, cx: &Context) -> Result<Vec<ProviderView>, Error> {
        let action = Action::ReadSettings;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let providers = all::<Provider>(&*self.store, cx.scope, PROVIDERS_MAX).await?;
        Ok(providers.into_iter().map(|saved| view(cx, saved)).collect())
    }

    /// One of them.
    pub async fn read_provider(&self, cx: &Context, name: &str) -> Result<ProviderView, Error> {
        let action = Action::ReadSettings;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let work = async {
            let saved = self.saved_provider(cx.scope, name).await?;
            self.noted(cx, &grant, What::AdminRead).await?;
            Ok(view(cx, saved))
        };
        self.attempt(cx, &grant, What::AdminRead, "Provider", work)
            .await
    }

    /// Sets up a provider; one that is active is asked who it is.
    pub async fn create_provider(
        &self,
        cx: &Context,
        name: &str,
        wanted: ProviderToBe,
    ) -> Result<ProviderView, Error> {
        let action = Action::WriteSettings;
        let grant = self.allow(cx, What::AdminWrite, action).await?;
        let work = async {
            self.needs_step_up(cx)?;
            if !is_provider_name(name) {
                // In the words of the record.
                Provider::new("", "", "", 0).check(name)?;
            }
            let (version, exists) = self.provider_version(cx.scope, name).await?;
            if exists {
                let details = "there is a provider of this name";
                return Err(Error::new(Kind::Conflict, details));
            }
            let known = all::<Provider>(&*self.store, cx.scope, PROVIDERS_MAX).await?;
            if known.len() >= PROVIDERS_MAX {
                let details = format!("a project has {PROVIDERS_MAX} providers at most");
                return Err(Error::new(Kind::Conflict, details));
            }
            let before = (name, version, None);
            self.write_provider(cx, &grant, before, wanted).await
        };
        self.attempt(cx, &grant, What::AdminWrite, "Provider", work)
            .await
    }

    /// Makes a provider what it is to be.
    pub async fn change_provider(
        &self,
        cx: &Context,
        name: &str,
        wanted: ProviderToBe,
    ) -> Result<ProviderView, Error> {
        let action = Action::WriteSettings;
        let grant = self.allow(cx, What::AdminWrite, action).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let saved = self.saved_provider(cx.scope, name).await?;
            let before = (name, saved.version, Some(&saved.value));
            self.write_provider(cx, &grant, before, wanted).await
        };
        self.attempt(cx, &grant, What::AdminWrite, "Provider", work)
            .await
    }

    /// Removes a provider: nobody signs in by it any more.
    pub async fn delete_provider(&self, cx: &Context, name: &str) -> Result<(), Error> {
        let action = Action::WriteSettings;
        let grant = self.allow(cx, What::AdminWrite, action).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let saved = self.saved_provider(cx.scope, name).await?;
            let write = Write::system(&grant, "Provider", saved.delete());
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(())
        };
        self.attempt(cx, &grant, What::AdminWrite, "Provider", work)
            .await
    }

    async fn write_provider(
        &self,
        cx: &Context,
        grant: &Grant,
        (name, version, before): (&str, u64, Option<&Provider>),
        wanted: ProviderToBe,
    ) -> Result<ProviderView, Error> {
        let created_ms = before.map_or(cx.now_ms, |before| before.created_ms);
        let (label, issuer, client_id) = (&wanted.label, &wanted.issuer, &wanted.client_id);
        let mut provider = Provider::new(label, issuer, client_id, created_ms);
        provider.auth = wanted.auth;
        provider.scopes = wanted.scopes;
        provider.create = wanted.create;
        provider.domains = wanted.domains;
        provider.groups = wanted.groups;
        provider.second_factor = wanted.second_factor;
        provider.active = wanted.active;
        provider.take_secret(wanted.secret.as_ref(), before);
        provider.check(name)?;
        self.check_provider(cx, name, &provider).await?;
        let next = Saved {
            id: name.into(),
            version,
            value: provider,
        };
        let write = Write::system(grant, "Provider", next.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        Ok(view(cx, next))
    }

    /// That it can be used: where it is, what it says of itself, and the groups of its mapping.
    async fn check_provider(
        &self,
        cx: &Context,
        name: &str,
        provider: &Provider,
    ) -> Result<(), Error> {
        let mapped = provider
            .groups
            .iter()
            .flat_map(|groups| groups.values.values());
        for id in mapped {
            self.saved_group(cx.scope, id)
                .await
                .map_err(|_| Error::invalid("groups: each must be the id of a group there is"))?;
        }
        let others = all::<Provider>(&*self.store, cx.scope, PROVIDERS_MAX).await?;
        let twice =
            |other: &Saved<Provider>| *other.id != *name && other.value.issuer == provider.issuer;
        if others.iter().any(twice) {
            let details = "there is a provider with this issuer";
            return Err(Error::new(Kind::Conflict, details));
        }
        self.provider_place(&provider.issuer).map_err(|_| {
            Error::invalid(
                "issuer: it is not at an origin that the operator of this server lists in \
                 --provider-origins",
            )
        })?;
        if !provider.active {
            return Ok(());
        }
        let described = self.described(&provider.issuer).await;
        described.map(drop).map_err(|error| {
            let cause = error.cause().unwrap_or_default();
            let details = format!("the provider cannot be used: {cause}");
            Error::new(Kind::Unprocessable, details)
        })
    }

    /// A provider of a project.
    pub(super) async fn saved_provider(
        &self,
        scope: Scope,
        name: &str,
    ) -> Result<Saved<Provider>, Error> {
        let absent = || Error::not_found("there is no such provider");
        if !is_provider_name(name) {
            return Err(absent());
        }
        one::<Provider>(&*self.store, scope, name)
            .await?
            .ok_or_else(absent)
    }

    /// One that users sign in by.
    pub(super) async fn active_provider(
        &self,
        scope: Scope,
        name: &str,
    ) -> Result<Option<Saved<Provider>>, Error> {
        match self.saved_provider(scope, name).await {
            Ok(saved) => Ok(Some(saved).filter(|saved| saved.value.active)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest version of a name, of one that was removed, too.
    async fn provider_version(&self, scope: Scope, name: &str) -> Result<(u64, bool), Error> {
        let (found, version) = ever::<Provider>(&*self.store, scope, name).await?;
        Ok((version, found.is_some()))
    }
}

/// Where a provider sends users back to. Each has a place of its own, so that the answer of one
/// cannot pass for that of another (RFC 9700, 4.4.2).
pub(super) fn redirect(cx: &Context, name: &str) -> String {
    format!("{}/auth/providers/{name}/callback", issuer(cx))
}

fn view(cx: &Context, saved: Saved<Provider>) -> ProviderView {
    ProviderView {
        redirect: redirect(cx, &saved.id),
        created: instant(saved.value.created_ms),
        name: saved.id,
        provider: saved.value,
    }
}
