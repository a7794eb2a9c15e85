//! Connecting an account at a provider with one here, when both are proved (ASVS 5.0, 6.8.1):
//! after an unknown one has come, by signing in here, too; from a session, by signing in there.

use salus_auth::record::{
    Foreign, Mail, Owner, PROVIDER_ACCOUNTS_MAX, ProviderAccount, ProviderPurpose, Saved, Status,
    User,
};
use salus_auth::{Action, Error as AuthError, Grant, Refusal, Secret};
use salus_store::At;

use super::of_provider;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::mfa::{Assertion, First};
use crate::oauth::Here;
use crate::pipeline::Write;

/// What somebody signs in here with.
pub enum Own<'a> {
    /// Address and password.
    Password(&'a str, Secret),
    /// A passkey alone.
    Passkey(&'a Assertion),
}
salus_phi::guard!(Own<'_>);

/// What a ticket of an unknown account holds: who they are there, and whether the client that
/// waits takes nobody without a second factor.
type Proved = (Foreign, bool);

impl Service {
    /// The provider, as users see it, whose account waits to be connected.
    pub async fn waiting_at(
        &self,
        cx: &Context,
        (ticket, browser): (&str, &str),
    ) -> Result<Option<String>, Error> {
        let saved = self.provider_request(cx, ticket).await?;
        let foreign = saved.and_then(|saved| saved.value.proved_by(browser, cx.now_ms).cloned());
        let Some(foreign) = foreign else {
            return Ok(None);
        };
        let provider = self.active_provider(cx.scope, &foreign.provider).await?;
        Ok(provider.map(|provider| provider.value.label))
    }

    /// Signs somebody in here who came from a provider as nobody: when all is proved, their
    /// account there is connected.
    pub async fn connect_here(
        &self,
        cx: &Context,
        (ticket, browser): (&str, &str),
        own: Own<'_>,
    ) -> Result<Here, Error> {
        let (foreign, strict) = self.waiting(cx, (ticket, browser)).await?;
        match own {
            Own::Password(email, password) => {
                let (home, proved) = self.prove_password(cx, email, password).await?;
                // A provider of a project lets nobody in who is at home elsewhere.
                let proved = proved.and_then(|user| match home.scope == cx.scope {
                    true => Ok(user),
                    false => Err(AuthError::Refused(Refusal::Unknown)),
                });
                let user = match proved {
                    Ok(user) => user,
                    Err(error) => {
                        self.refused(&home, &error).await?;
                        return Err(error.into());
                    }
                };
                self.use_up_ticket(cx, ticket).await?;
                let first = First::password().connecting(foreign);
                self.proved_here(&home, user, first, strict).await
            }
            Own::Passkey(assertion) => {
                let mut passed = self.passed_passkey(cx, assertion).await?;
                if passed.cx.scope != cx.scope {
                    let error = AuthError::Refused(Refusal::Unknown);
                    self.refused(&passed.cx, &error).await?;
                    return Err(error.into());
                }
                self.use_up_ticket(cx, ticket).await?;
                passed.connects = Some(foreign);
                let (cookie, seconds) = self.open_cookie(passed).await?;
                Ok(Here::In(cookie, seconds))
            }
        }
    }

    async fn waiting(
        &self,
        cx: &Context,
        (ticket, browser): (&str, &str),
    ) -> Result<Proved, Error> {
        let saved = self.provider_request(cx, ticket).await?;
        let proved = saved.and_then(|saved| {
            let foreign = saved.value.proved_by(browser, cx.now_ms)?.clone();
            match saved.value.purpose {
                ProviderPurpose::SignIn { strict, .. } => Some((foreign, strict)),
                ProviderPurpose::Connect { .. } | ProviderPurpose::StepUp { .. } => None,
            }
        });
        proved.ok_or_else(over)
    }

    async fn use_up_ticket(&self, cx: &Context, ticket: &str) -> Result<(), Error> {
        let saved = self.provider_request(cx, ticket).await?.ok_or_else(over)?;
        let rule = "account at a provider: to be connected";
        match self.use_up_request(cx, &saved, rule).await? {
            true => Ok(()),
            false => Err(over()),
        }
    }

    /// Connects an account at a provider with a user, who has proved both.
    pub(crate) async fn connect(
        &self,
        cx: &Context,
        user: &str,
        foreign: &Foreign,
    ) -> Result<(), Error> {
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let work = self.connect_with(cx, &grant, user, foreign);
        self.attempt_on(cx, &grant, What::SignIn, ("User", user), work)
            .await
    }

    async fn connect_with(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &str,
        foreign: &Foreign,
    ) -> Result<(), Error> {
        let mut user = self.saved_user(cx.scope, user).await?;
        let conflict = |details: &str| Err(Error::new(Kind::Conflict, details));
        if user.value.status == Status::Suspended {
            return conflict("this account is suspended");
        }
        let mut account = match self.user_behind(cx, foreign).await? {
            Some((_, known)) if known.id != user.id => {
                return conflict("the account there is connected with somebody else here");
            }
            Some(_) => return Ok(()),
            None => {
                let (_, version) = self.provider_account(cx.scope, &foreign.id()).await?;
                ProviderAccount::connect(foreign, &user.id, version, cx.now_ms)
            }
        };
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let count = snapshot.count(&ProviderAccount::of(&user.id)).await?;
        if count >= PROVIDER_ACCOUNTS_MAX as u64 {
            return conflict("20 accounts at providers are connected with this one already");
        }
        let Some(provider) = self.active_provider(cx.scope, &foreign.provider).await? else {
            return conflict("there is no such provider any more");
        };
        let records = (&mut account, &mut user);
        let mut writes = Vec::new();
        if self.regrouped(cx, &provider, records, foreign).await? {
            writes.push(Write::system(grant, "User", user.put()?));
        }
        writes.push(Write::system(grant, "ProviderAccount", account.put()?));
        self.commit_link(
            cx,
            grant,
            (Mail::ProviderConnected, &user),
            writes,
            |entry| {
                entry.agent = format!("User/{}", user.id).into();
                entry.query = of_provider(&foreign.provider);
            },
        )
        .await
    }

    /// Commits a change of what lets a user in, and tells them by mail.
    pub(super) async fn commit_link(
        &self,
        cx: &Context,
        grant: &Grant,
        (mail, user): (Mail, &Saved<User>),
        mut writes: Vec<Write>,
        describe: impl FnOnce(&mut Entry),
    ) -> Result<(), Error> {
        let to = user.value.email.clone();
        let notice = self.notice(cx, grant, mail, (user, to))?;
        let told = notice.is_some();
        writes.extend(notice);
        let (what, rule) = match grant.action() == Action::SignIn {
            true => (What::SignIn, "account at a provider: connected"),
            false => (What::AdminWrite, grant.rule()),
        };
        let mut entry = Entry::new(cx, what, Outcome::Success, rule);
        describe(&mut entry);
        self.commit(cx, entry, Vec::new(), writes).await?;
        if told {
            self.posted();
        }
        let owner = Owner::User(user.id.clone());
        self.sessions.forget_owner(cx.scope, &owner);
        Ok(())
    }
}

fn over() -> Error {
    Error::new(
        Kind::Forbidden,
        "this took too long, or was done already; begin again with the provider",
    )
}
