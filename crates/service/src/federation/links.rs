//! The accounts at providers that are connected with a user: seen and removed by the user and by
//! administrators; and how a user begins to connect another, or proves once more who they are.

use salus_auth::record::{
    Factors, Mail, Owner, PROVIDER_ACCOUNTS_MAX, PROVIDER_REQUEST_LIFETIME_MS, ProviderAccount,
    ProviderPurpose, ProviderRequest, Saved, User,
};
use salus_auth::{Action, Grant, Secret};
use salus_store::{At, Scope};

use crate::Service;
use crate::accounts::check_another;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::oauth::issuer;
use crate::pipeline::Write;
use crate::sessions::Credential;
use crate::time::instant;

/// An account at a provider as its owner and administrators see it.
#[derive(Clone)]
pub struct LinkView {
    /// The id: a hash.
    pub id: Box<str>,
    /// The name of the provider.
    pub provider: Box<str>,
    /// Its name as an issuer.
    pub issuer: String,
    /// Its name for the user.
    pub subject: String,
    /// When it was connected, as an instant.
    pub created: String,
    /// When it was used last.
    pub used: Option<String>,
}
salus_phi::guard!(LinkView);

/// Where a browser goes on what was begun from a session.
#[derive(Debug)]
pub struct ConnectToBe {
    /// Our page that leads to the provider.
    pub url: Secret,
    /// How long it does, in seconds.
    pub expires_in_s: i64,
}

impl Service {
    /// One's own accounts at providers.
    pub async fn list_own_links(&self, cx: &Context) -> Result<Vec<LinkView>, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminRead, Action::ReadAccount).await?;
        self.noted(&cx, &grant, What::AdminRead).await?;
        let links = self.links_of(cx.scope, &id).await?;
        Ok(links.iter().map(view).collect())
    }

    /// Begins to connect an account at a provider with one's own: takes a fresh proof of this one
    /// now, and of the other there.
    pub async fn begin_connect(&self, cx: &Context, provider: &str) -> Result<ConnectToBe, Error> {
        let what = What::AdminWrite;
        let (home, grant, user) = self.own(cx, what, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let purpose = ProviderPurpose::Connect { user: user.clone() };
            self.begin_errand((cx, &home), &grant, provider, purpose)
                .await
        };
        self.attempt_on(&home, &grant, what, ("User", &user), work)
            .await
    }

    /// Begins to prove once more who is at a session, by signing in at a provider anew.
    pub async fn begin_provider_step_up(
        &self,
        cx: &Context,
        credential: Credential<'_>,
        provider: &str,
    ) -> Result<ConnectToBe, Error> {
        let (home, grant, user) = self.own(cx, What::SignIn, Action::WriteAccount).await?;
        let work = async {
            let Some(session) = self.session_of(credential, &user).await? else {
                return Err(Error::new(
                    Kind::Conflict,
                    "this is not a session of your own: the app has to send you to sign in again",
                ));
            };
            let (user, session) = (user.clone(), session.id);
            let purpose = ProviderPurpose::StepUp { user, session };
            self.begin_errand((cx, &home), &grant, provider, purpose)
                .await
        };
        self.attempt_on(&home, &grant, What::SignIn, ("User", &user), work)
            .await
    }

    async fn begin_errand(
        &self,
        (cx, home): (&Context, &Context),
        grant: &Grant,
        provider: &str,
        purpose: ProviderPurpose,
    ) -> Result<ConnectToBe, Error> {
        if cx.scope != home.scope {
            let details = "ask at the address of your own project, /p/system for administrators of \
                           the server";
            return Err(Error::new(Kind::Conflict, details));
        }
        let known = self.active_provider(home.scope, provider).await?;
        known.ok_or_else(|| Error::not_found("there is no such provider"))?;
        let (ticket, saved) = ProviderRequest::ask(provider, purpose, &self.random(), cx.now_ms);
        let mut entry = Entry::new(home, What::AdminWrite, Outcome::Success, grant.rule());
        entry.query = super::of_provider(provider);
        let write = Write::aside(grant, saved.put()?);
        self.commit(home, entry, Vec::new(), vec![write]).await?;
        let ticket = ticket.expose();
        Ok(ConnectToBe {
            url: Secret::new(format!(
                "{}/auth/providers/begin?ticket={ticket}",
                issuer(cx)
            )),
            expires_in_s: PROVIDER_REQUEST_LIFETIME_MS / 1000,
        })
    }

    /// Removes one of one's own accounts at providers: not the last way to sign in.
    pub async fn remove_own_link(&self, cx: &Context, link: &str) -> Result<(), Error> {
        let what = What::AdminWrite;
        let (home, grant, id) = self.own(cx, what, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let user = self.saved_user(home.scope, &id).await?;
            let link = self.link_of(home.scope, &id, link).await?;
            let factors = self.factors(home.scope, &id).await?.value;
            self.check_means(home.scope, &user, &factors, Some(&link.id))
                .await?;
            self.remove_link(&home, &grant, user, link).await
        };
        self.attempt_on(&home, &grant, what, ("User", &id), work)
            .await
    }

    /// The accounts at providers of a user, for administrators.
    pub async fn list_links(&self, cx: &Context, user: &str) -> Result<Vec<LinkView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        let work = async {
            let user = self.saved_user(cx.scope, user).await?;
            self.noted(cx, &grant, What::AdminRead).await?;
            let links = self.links_of(cx.scope, &user.id).await?;
            Ok(links.iter().map(view).collect())
        };
        self.attempt(cx, &grant, What::AdminRead, "User", work)
            .await
    }

    /// Removes an account at a provider of somebody else, for administrators. Their sessions
    /// end; who has no other way to sign in asks for a password by mail.
    pub async fn revoke_link(&self, cx: &Context, user: &str, link: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let saved = self.saved_user(cx.scope, user).await?;
            check_another(cx, user)?;
            self.needs_step_up(cx)?;
            let link = self.link_of(cx.scope, user, link).await?;
            let owner = Owner::User(saved.id.clone());
            self.remove_link(cx, &grant, saved, link).await?;
            self.end_sessions(cx, &grant, &owner, None).await?;
            Ok(())
        };
        self.attempt_on(cx, &grant, What::AdminWrite, ("User", user), work)
            .await
    }

    /// Removes an account and the groups that it put the user into.
    async fn remove_link(
        &self,
        cx: &Context,
        grant: &Grant,
        mut user: Saved<User>,
        link: Saved<ProviderAccount>,
    ) -> Result<(), Error> {
        let mut writes = vec![Write::system(grant, "ProviderAccount", link.delete())];
        let before = user.value.groups.len();
        user.value
            .groups
            .retain(|id| !link.value.groups.contains(id));
        if user.value.groups.len() != before {
            writes.push(Write::system(grant, "User", user.put()?));
        }
        let mail = (Mail::ProviderRemoved, &user);
        self.commit_link(cx, grant, mail, writes, |_| ()).await
    }

    /// That somebody can still sign in, without this account at a provider.
    pub(crate) async fn check_means(
        &self,
        scope: Scope,
        user: &Saved<User>,
        factors: &Factors,
        without: Option<&str>,
    ) -> Result<(), Error> {
        if user.value.password.is_some() || factors.credentials().next().is_some() {
            return Ok(());
        }
        for link in self.links_of(scope, &user.id).await? {
            let provider = self.active_provider(scope, &link.value.provider).await?;
            let works = provider.is_some_and(|one| one.value.issuer == link.value.issuer);
            if works && Some(&*link.id) != without {
                return Ok(());
            }
        }
        Err(Error::new(
            Kind::Conflict,
            "nothing else lets you in: choose a password or add a passkey first",
        ))
    }

    /// What goes with a user who is removed.
    pub(crate) async fn all_links_removed(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &str,
    ) -> Result<Vec<Write>, Error> {
        let links = self.links_of(cx.scope, user).await?;
        let removed = links
            .iter()
            .map(|link| Write::system(grant, "ProviderAccount", link.delete()));
        Ok(removed.collect())
    }

    async fn links_of(
        &self,
        scope: Scope,
        user: &str,
    ) -> Result<Vec<Saved<ProviderAccount>>, Error> {
        let mut query = ProviderAccount::of(user);
        query.limit = PROVIDER_ACCOUNTS_MAX * 2;
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let found = snapshot.find(&query).await?;
        let mut links = Vec::new();
        for hit in &found.hits {
            links.extend(Saved::<ProviderAccount>::read(&hit.record)?);
        }
        links.sort_by_key(|link| link.value.created_ms);
        Ok(links)
    }

    async fn link_of(
        &self,
        scope: Scope,
        user: &str,
        id: &str,
    ) -> Result<Saved<ProviderAccount>, Error> {
        let links = self.links_of(scope, user).await?;
        let found = links.into_iter().find(|link| *link.id == *id);
        found.ok_or_else(|| Error::not_found("there is no such account at a provider"))
    }
}

fn view(link: &Saved<ProviderAccount>) -> LinkView {
    let value = &link.value;
    LinkView {
        id: link.id.clone(),
        provider: value.provider.clone(),
        issuer: value.issuer.clone(),
        subject: value.subject.clone(),
        created: instant(value.created_ms),
        used: (value.used_ms > 0).then(|| instant(value.used_ms)),
    }
}
