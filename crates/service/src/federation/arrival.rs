//! Somebody whom a provider has sent: found by issuer and subject, or made, put into the groups
//! that the provider says, and let in as far as what they proved goes.

use salus_auth::openid::Told;
use salus_auth::record::{
    Create, Email, Foreign, GROUPS_MAX, Link, Owner, Provider, ProviderAccount, ProviderPurpose,
    ProviderRequest, Purpose, Saved, Session, SignUp, Status, User,
};
use salus_auth::{Action, Error as AuthError, Grant, Refusal, mfa};
use salus_store::{At, Precondition, Scope};

use super::answer::{Came, Stop};
use super::of_provider;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::mfa::First;
use crate::pipeline::Write;
use crate::records::{ever, one};

const CONNECTED: &str = "Your account there is connected. You can close this page.";
const PROVED: &str = "This was proof that it is you. You can go back to the app.";
const TAKEN: &str = "The account there is connected with somebody else here.";
const OTHER: &str = "This is not the account that is connected with yours here.";
const ENDED: &str = "The session that this was for has ended, or needs a second factor. Please go \
                     back to the app and begin again.";

impl Service {
    /// What becomes of somebody of whom a provider has told this.
    pub(super) async fn arrived(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        (purpose, browser): (ProviderPurpose, &str),
        told: Told,
    ) -> Result<Result<Came, Stop>, Error> {
        let foreign = self.foreign(cx, provider, &told).await?;
        match purpose {
            ProviderPurpose::SignIn { request, strict } => {
                let user = match self.user_behind(cx, &foreign).await? {
                    Some((account, user)) => Some(
                        self.let_come(cx, provider, (account, user), &foreign)
                            .await?,
                    ),
                    None => self.make_by_provider(cx, provider, &foreign, &told).await?,
                };
                let Some(user) = user else {
                    let purpose = ProviderPurpose::SignIn {
                        request: request.clone(),
                        strict,
                    };
                    return self
                        .unknown(cx, provider, (purpose, request), (browser, foreign))
                        .await
                        .map(Ok);
                };
                let first = First::foreign(&foreign);
                let here = self.proved_here(cx, user, first, strict).await?;
                Ok(Ok(Came::Here { request, here }))
            }
            ProviderPurpose::Connect { user } => match self.connect(cx, &user, &foreign).await {
                Ok(()) => Ok(Ok(Came::Done(CONNECTED))),
                Err(error) if error.kind() == Kind::Conflict => {
                    Ok(Err(Stop("account at a provider: not connected", TAKEN)))
                }
                Err(error) => Err(error),
            },
            ProviderPurpose::StepUp { user, session } => {
                let proved = self.prove_again(cx, (&user, &session), &foreign).await?;
                Ok(proved.map(|()| Came::Done(PROVED)))
            }
        }
    }

    /// Who they are there, and what follows from it here.
    async fn foreign(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        told: &Told,
    ) -> Result<Foreign, Error> {
        let value = &provider.value;
        let given = value.groups.as_ref().and_then(|mapping| {
            let claimed = told.claims.get(&mapping.claim)?;
            Some(mapping.of(claimed))
        });
        let mut groups = Vec::new();
        for id in given.unwrap_or_default() {
            // One that was removed since gives nothing.
            if self.saved_group(cx.scope, &id).await.is_ok() {
                groups.push(id);
            }
        }
        Ok(Foreign {
            provider: provider.id.clone(),
            issuer: value.issuer.clone(),
            subject: told.subject.clone(),
            proved_ms: told.proved_ms.map(|at_ms| at_ms.min(cx.now_ms)),
            two: value.has_proved_two(told.acr.as_deref(), &told.amr),
            groups,
        })
    }

    /// The user whose account at a provider it is: by issuer and subject, never by address
    /// (ASVS 5.0, 6.8.1).
    pub(super) async fn user_behind(
        &self,
        cx: &Context,
        foreign: &Foreign,
    ) -> Result<Option<(Saved<ProviderAccount>, Saved<User>)>, Error> {
        let (account, _) = self.provider_account(cx.scope, &foreign.id()).await?;
        let Some(account) = account else {
            return Ok(None);
        };
        let user = one::<User>(&*self.store, cx.scope, &account.value.user).await?;
        Ok(user.map(|user| (account, user)))
    }

    /// The record of an account at a provider, and its newest version if it was deleted.
    pub(super) async fn provider_account(
        &self,
        scope: Scope,
        id: &str,
    ) -> Result<(Option<Saved<ProviderAccount>>, u64), Error> {
        ever::<ProviderAccount>(&*self.store, scope, id).await
    }

    /// Keeps that an account was used, and the groups that go with it: they count at the
    /// next request. Who is suspended is refused before.
    async fn let_come(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        (mut account, mut user): (Saved<ProviderAccount>, Saved<User>),
        foreign: &Foreign,
    ) -> Result<Saved<User>, Error> {
        if user.value.status == Status::Suspended {
            let error = AuthError::Refused(Refusal::Suspended);
            self.refused(cx, &error).await?;
            return Err(error.into());
        }
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let mut writes = Vec::new();
        if self
            .regrouped(cx, provider, (&mut account, &mut user), foreign)
            .await?
        {
            writes.push(Write::system(&grant, "User", user.put()?));
        }
        account.value.used_ms = cx.now_ms;
        writes.push(Write::system(&grant, "ProviderAccount", account.put()?));
        let changed = writes.len() > 1;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "let in by a provider");
        entry.agent = format!("User/{}", user.id).into();
        entry.query = of_provider(&provider.id);
        self.commit(cx, entry, Vec::new(), writes).await?;
        if changed {
            user.version += 1;
            let owner = Owner::User(user.id.clone());
            self.sessions.forget_owner(cx.scope, &owner);
        }
        Ok(user)
    }

    /// Puts a user into the groups that a provider says, and out of those that it no longer
    /// does; whether anything changed.
    pub(super) async fn regrouped(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        (account, user): (&mut Saved<ProviderAccount>, &mut Saved<User>),
        foreign: &Foreign,
    ) -> Result<bool, Error> {
        let mapping = provider.value.groups.as_ref();
        let mapped = mapping.map(|mapping| mapping.values.values().cloned().collect());
        let mapped: Vec<Box<str>> = mapped.unwrap_or_default();
        let before = user.value.groups.clone();
        let given = foreign.groups.clone();
        let groups = account.value.regroup(before.clone(), &mapped, given);
        if groups == before {
            return Ok(false);
        }
        if groups.len() > GROUPS_MAX {
            let details = "the provider puts this user into more than 100 groups";
            return Err(Error::new(Kind::Unprocessable, details));
        }
        user.value.groups = groups;
        self.membership_of(cx.scope, &user.value).await?;
        Ok(true)
    }

    /// Makes an account for somebody who has none, where provider and project let that be.
    async fn make_by_provider(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        foreign: &Foreign,
        told: &Told,
    ) -> Result<Option<Saved<User>>, Error> {
        let email = told.email.as_ref();
        let email = email.filter(|email| provider.value.takes(email));
        let Some(email) = email.filter(|_| provider.value.create != Create::Never) else {
            return Ok(None);
        };
        // Whose address it is already proves it by signing in.
        if self.user(cx.scope, email).await?.is_some() {
            return Ok(None);
        }
        let Some(link) = self.invitation_of(cx, provider, email).await? else {
            return Ok(None);
        };
        let mut value = self.account_of(cx, &link.value).await?;
        value.verified_ms = Some(cx.now_ms);
        if let (true, Some(name)) = (value.name.is_empty(), &told.name) {
            value.name = name.clone();
        }
        let mut user = Saved::new(self.new_id(cx), value);
        let (_, version) = self.provider_account(cx.scope, &foreign.id()).await?;
        let mut account = ProviderAccount::connect(foreign, &user.id, version, cx.now_ms);
        account.value.used_ms = cx.now_ms;
        let records = (&mut account, &mut user);
        self.regrouped(cx, provider, records, foreign).await?;
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let mut writes = vec![
            Write::system(&grant, "User", user.put()?),
            Write::system(&grant, "ProviderAccount", account.put()?),
        ];
        if link.version > 0 {
            writes.push(Write::system(&grant, "Link", link.delete()));
        }
        self.commit_made(cx, (&user, &provider.id), writes).await?;
        user.version += 1;
        Ok(Some(user))
    }

    async fn commit_made(
        &self,
        cx: &Context,
        (user, provider): (&Saved<User>, &str),
        writes: Vec<Write>,
    ) -> Result<(), Error> {
        let unused = vec![Precondition::NoneMatch(User::with_email(&user.value.email))];
        let rule = "account made by a provider";
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.agent = format!("User/{}", user.id).into();
        entry.query = of_provider(provider);
        Ok(self.commit(cx, entry, unused, writes).await?)
    }

    /// What lets somebody of this address have an account: an invitation, or that the project
    /// is open.
    async fn invitation_of(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        email: &Email,
    ) -> Result<Option<Saved<Link>>, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let found = snapshot.find(&Link::to(email)).await?;
        for hit in &found.hits {
            let link = Saved::<Link>::read(&hit.record)?;
            if let Ok(link) = Link::check(link, &[Purpose::Invitation], cx.now_ms) {
                return Ok(Some(link));
            }
        }
        let open = cx.scope != Scope::SYSTEM
            && self.identity(cx.scope).sign_up == SignUp::Open
            && provider.value.create == Create::VerifiedMail;
        let link = Link::new(Purpose::SignUp, email.clone(), cx.now_ms);
        Ok(open.then(|| Saved::new(self.new_id(cx), link)))
    }

    /// Keeps who they are there until they have proved who they are here.
    async fn unknown(
        &self,
        cx: &Context,
        provider: &Saved<Provider>,
        (purpose, request): (ProviderPurpose, String),
        (browser, foreign): (&str, Foreign),
    ) -> Result<Came, Error> {
        let proof = (browser, foreign);
        let (ticket, saved) = ProviderRequest::prove(purpose, proof, &self.random(), cx.now_ms);
        let grant: Grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let rule = "account at a provider: nobody's here";
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
        entry.query = of_provider(&provider.id);
        let write = Write::aside(&grant, saved.put()?);
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        Ok(Came::Unknown {
            request,
            label: provider.value.label.clone(),
            ticket,
        })
    }

    /// Keeps in a session that it is still its user.
    async fn prove_again(
        &self,
        cx: &Context,
        (user, session): (&str, &str),
        foreign: &Foreign,
    ) -> Result<Result<(), Stop>, Error> {
        let behind = self.user_behind(cx, foreign).await?;
        let Some((_, known)) = behind.filter(|(_, known)| *known.id == *user) else {
            return Ok(Err(Stop("account at a provider: of somebody else", OTHER)));
        };
        let ended = || Ok(Err(Stop("no session to be proved", ENDED)));
        // Who has a second factor here proves it here, unless the provider did as much.
        let factors = self.factors(cx.scope, user).await?;
        if factors.value.any() && !foreign.two || known.value.status == Status::Suspended {
            return ended();
        }
        let found = one::<Session>(&*self.store, cx.scope, session).await?;
        let owner = Owner::User(user.into());
        let found = found.filter(|found| {
            let value = &found.value;
            value.owner == owner && value.expires_ms > cx.now_ms && value.through.is_none()
        });
        let Some(mut found) = found else {
            return ended();
        };
        let first = First::foreign(foreign);
        found.value.methods = mfa::with(&found.value.methods, &first.methods);
        found.value.proved_ms = cx.now_ms;
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "step-up by a provider");
        entry.agent = format!("User/{user}").into();
        entry.query = of_provider(&foreign.provider);
        let write = Write::aside(&grant, found.put()?);
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        self.sessions.forget(&found.id);
        Ok(Ok(()))
    }
}
