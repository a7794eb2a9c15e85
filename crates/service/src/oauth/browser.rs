//! The user of a browser: signed in on our own page, known by a cookie.

use std::sync::Arc;

use salus_auth::record::{Owner, ProfileType, Saved, Session, SystemRecord, User};
use salus_auth::{Action, Secret, Subject, Target, Token, session};
use salus_store::Scope;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::sessions::read;

/// A user who is at a browser.
pub(super) struct Browser {
    pub(super) subject: Arc<Subject>,
    pub(super) home: Scope,
    pub(super) user: Saved<User>,
    pub(super) session: Saved<Session>,
}

impl Browser {
    /// Circumstances in which this user asks.
    pub(super) fn context(&self, cx: &Context) -> Context {
        Context {
            subject: Arc::clone(&self.subject),
            ..cx.clone()
        }
    }
}

impl Browser {
    /// Whether the user is this patient.
    pub(super) fn is_patient(&self, id: &str) -> bool {
        let mut profiles = self.user.value.profiles.iter();
        profiles.any(|profile| profile.ty == ProfileType::Patient && *profile.id == *id)
    }

    /// Whether the user is no patient at all.
    pub(super) fn has_no_patient(&self) -> bool {
        let mut profiles = self.user.value.profiles.iter();
        !profiles.any(|profile| profile.ty == ProfileType::Patient)
    }
}

/// Whether a user has a part in a project: their own one, or one that they administer.
fn belongs(home: Scope, user: &User, project: Scope) -> bool {
    let administers = user.roles.iter().any(|(scope, _)| Scope(*scope) == project);
    home == project || home == Scope::SYSTEM && administers
}

impl Service {
    /// What the forms of a page have to bring back: known to who has the
    /// cookie and was shown the page, and to nobody else.
    pub fn form_token(&self, cookie: &str, about: &str) -> Result<String, Error> {
        let failed = |error| Error::new(Kind::Internal, "no form can be made").caused_by(error);
        let key = self.cursor_key.derive("form").map_err(failed)?;
        let mac = key.mac(format!("{cookie}\n{about}").as_bytes());
        Ok(salus_crypto::base64url(&mac))
    }

    /// A new cookie for that.
    #[must_use]
    pub fn form_cookie(&self) -> String {
        salus_crypto::base64url(&self.random())
    }

    /// Whether a form brings back what its page had.
    pub fn is_form_token(&self, cookie: &str, about: &str, token: &str) -> Result<bool, Error> {
        let expected = self.form_token(cookie, about)?;
        Ok(salus_crypto::same(expected.as_bytes(), token.as_bytes()))
    }

    /// Signs a user in at a browser: the cookie, and how long it is good for in seconds.
    pub async fn sign_in_here(
        &self,
        cx: &Context,
        email: &str,
        password: Secret,
    ) -> Result<(Secret, i64), Error> {
        let (home, proved) = self.prove_password(cx, email, password).await?;
        let lifetime_ms = self.identity(home.scope).session_ms();
        let opened = match proved {
            Ok(user) if belongs(home.scope, &user.value, cx.scope) => {
                let times = (cx.now_ms, lifetime_ms);
                let random = self.random();
                let opened = session::open_for_browser(home.scope, &user, &["pwd"], &random, times);
                opened.map(|opened| (opened, user))
            }
            Err(error) => Err(error),
            Ok(_) => Err(salus_auth::Error::Refused(salus_auth::Refusal::Unknown)),
        };
        let ((cookie, session), user) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.refused(&home, &error).await?;
                return Err(error.into());
            }
        };
        let grant = self
            .authorize(&home, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(
            &home,
            What::SignIn,
            Outcome::Success,
            "signed in at a browser",
        );
        entry.agent = format!("User/{}", user.id).into();
        let write = Write::system(&grant, "Session", session.put()?);
        self.commit(&home, entry, Vec::new(), vec![write]).await?;
        Ok((cookie, lifetime_ms / 1000))
    }

    /// Ends the session of a browser.
    pub async fn sign_out_here(&self, cx: &Context, cookie: &str) -> Result<(), Error> {
        let Some(browser) = self.browser(cx, cookie).await? else {
            return Ok(());
        };
        let cx = &Context {
            scope: browser.home,
            ..browser.context(cx)
        };
        let grant = self.allow(cx, What::SignIn, Action::SignOut).await?;
        let write = Write::system(&grant, "Session", browser.session.delete());
        let entry = Entry::new(cx, What::SignIn, Outcome::Success, "signed out");
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        Ok(())
    }

    /// Who a cookie says is there, if they have a part in this project.
    pub(super) async fn browser(
        &self,
        cx: &Context,
        cookie: &str,
    ) -> Result<Option<Browser>, Error> {
        let Some(token) = Token::parse_cookie(cookie) else {
            return Ok(None);
        };
        let home = token.scope();
        let Some(session) = self.saved_session(&token).await? else {
            return Ok(None);
        };
        let there = Context {
            scope: home,
            ..cx.clone()
        };
        let snapshot = self.snapshot(&there).await?;
        let resumed = self.resumed(&*snapshot, home, &session.value, cx.now_ms);
        let Some(subject) = resumed.await? else {
            return Ok(None);
        };
        let Owner::User(id) = &session.value.owner else {
            return Ok(None);
        };
        let user = read::<User>(snapshot.get(User::KIND, id).await?.as_ref())?;
        let user = user.filter(|user| belongs(home, &user.value, cx.scope));
        Ok(user.map(|user| Browser {
            subject,
            home,
            user,
            session,
        }))
    }
}
