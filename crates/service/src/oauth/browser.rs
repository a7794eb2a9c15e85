//! The user of a browser: signed in on our own page, known by a cookie.

use std::sync::Arc;

use salus_auth::record::{Mail, Owner, ProfileType, Saved, Session, SystemRecord, User};
use salus_auth::{Action, Secret, Subject, Token, session};
use salus_store::Scope;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::mfa::{Assertion, Enrolment, FactorStep, First, NewFactor, Passed, Proof};
use crate::pipeline::Write;
use crate::records::read;

/// A user who is at a browser.
pub(super) struct Browser {
    pub(super) subject: Arc<Subject>,
    pub(super) home: Scope,
    pub(super) user: Saved<User>,
    pub(super) session: Saved<Session>,
}

/// How a sign-in at a browser goes on.
#[derive(Debug)]
pub enum Here {
    /// It is done: the cookie, and how long it is good for in seconds.
    In(Secret, i64),
    /// A second factor has to follow.
    Factor(FactorStep),
    /// A second factor has to be set up first.
    Enrol(FactorStep, Enrolment),
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

    /// Signs a user in at a browser by their password, as far as that goes.
    /// `strict` is that the client takes nobody without a second factor.
    pub async fn sign_in_here(
        &self,
        cx: &Context,
        email: &str,
        password: Secret,
        strict: bool,
    ) -> Result<Here, Error> {
        let (home, proved) = self.prove_password(cx, email, password).await?;
        let proved = proved.and_then(|user| match belongs(home.scope, &user.value, cx.scope) {
            true => Ok(user),
            false => Err(salus_auth::Error::Refused(salus_auth::Refusal::Unknown)),
        });
        let user = match proved {
            Ok(user) => user,
            Err(error) => {
                self.refused(&home, &error).await?;
                return Err(error.into());
            }
        };
        self.proved_here(&home, user, First::password(), strict)
            .await
    }

    /// How a sign-in at a browser goes on when the first proof is there.
    pub(crate) async fn proved_here(
        &self,
        home: &Context,
        user: Saved<User>,
        first: First,
        strict: bool,
    ) -> Result<Here, Error> {
        if !first.is_multi() {
            let factors = self.factors(home.scope, &user.id).await?;
            if factors.value.any() {
                let step = self.begin_sign_in(home, &user, &factors, (first, false));
                return Ok(Here::Factor(step.await?));
            }
            if strict || self.lacks_factor(home, &user).await? {
                let (step, secret) = self.begin_enrolment(home, &user, first).await?;
                return Ok(Here::Enrol(step, secret));
            }
        }
        let passed = self.passed_first(home, user, first).await?;
        let (cookie, lifetime_s) = self.open_cookie(passed).await?;
        Ok(Here::In(cookie, lifetime_s))
    }

    /// Ends a sign-in at a browser with a second factor: the cookie, and how
    /// long it is good for in seconds.
    pub async fn finish_here(
        &self,
        cx: &Context,
        ticket: &str,
        proof: &Proof,
    ) -> Result<(Secret, i64), Error> {
        let passed = self.passed_factor(cx, ticket, proof).await?;
        self.open_cookie(passed).await
    }

    /// Signs a user in at a browser by a passkey alone.
    pub async fn passkey_here(
        &self,
        cx: &Context,
        assertion: &Assertion,
    ) -> Result<(Secret, i64), Error> {
        let passed = self.passed_passkey(cx, assertion).await?;
        if !belongs(passed.cx.scope, &passed.user.value, cx.scope) {
            let error = salus_auth::Error::Refused(salus_auth::Refusal::Unknown);
            self.refused(&passed.cx, &error).await?;
            return Err(error.into());
        }
        self.open_cookie(passed).await
    }

    /// Ends a sign-in at a browser with a factor that was set up for it: the
    /// cookie, and the recovery codes.
    pub async fn enrol_here(
        &self,
        cx: &Context,
        ticket: &str,
        new: &NewFactor,
    ) -> Result<((Secret, i64), Vec<Secret>), Error> {
        let (passed, codes) = self.passed_enrolment(cx, ticket, new).await?;
        let (home, user) = (passed.cx.clone(), passed.user.clone());
        let opened = self.open_cookie(passed).await?;
        let grant = self.allow(&home, What::SignIn, Action::SignIn).await?;
        self.tell(&home, &grant, Mail::FactorAdded, &user).await;
        Ok((opened, codes))
    }

    /// Opens the session of a browser whose user has proved everything, and connects the account
    /// at a provider by which they came.
    pub(crate) async fn open_cookie(&self, mut passed: Passed) -> Result<(Secret, i64), Error> {
        let connects = passed.connects.take();
        let (cx, user) = (passed.cx.clone(), passed.user.id.clone());
        let home = &passed.cx;
        let lifetime_ms = self.identity(home.scope).session_ms();
        let methods: Vec<&str> = passed.methods.iter().map(|method| &**method).collect();
        let (times, random) = ((home.now_ms, lifetime_ms), self.random());
        let opened = session::open_for_browser(home.scope, &passed.user, &methods, &random, times);
        let (cookie, mut session) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.refused(home, &error).await?;
                return Err(error.into());
            }
        };
        session.value.proved_ms = passed.proved_ms.unwrap_or(home.now_ms);
        let write = Write::system(&passed.grant, "Session", session.put()?);
        let agent = format!("User/{}", passed.user.id);
        self.open_passed(passed, write, (agent, "signed in at a browser"))
            .await?;
        if let Some(foreign) = connects {
            self.connect(&cx, &user, &foreign).await?;
        }
        Ok((cookie, lifetime_ms / 1000))
    }

    /// Ends the session that a browser had when its user signed in anew, whoever's it
    /// was (ASVS 5.0, 7.2.4): to have its cookie is enough.
    pub async fn end_replaced(&self, cx: &Context, cookie: &str) -> Result<(), Error> {
        let Some(token) = Token::parse_cookie(cookie) else {
            return Ok(());
        };
        let Some(session) = self.saved_session(&token).await? else {
            return Ok(());
        };
        let cx = &Context {
            scope: token.scope(),
            ..cx.clone()
        };
        let grant = self.allow(cx, What::SignIn, Action::SignIn).await?;
        let write = Write::system(&grant, "Session", session.delete());
        let entry = Entry::new(cx, What::SignIn, Outcome::Success, "another sign-in");
        match self.commit(cx, entry, Vec::new(), vec![write]).await {
            // Somebody else has ended it.
            Ok(()) | Err(salus_store::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The user whose session a cookie is, if they have a part in this project.
    pub(crate) async fn user_here(
        &self,
        cx: &Context,
        cookie: &str,
    ) -> Result<Option<Box<str>>, Error> {
        let browser = self.browser(cx, cookie).await?;
        Ok(browser.map(|browser| browser.user.id))
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
        // Who has to have a second factor by now signs in once more, with it.
        let user = user.filter(|_| !subject.lacks_factor());
        Ok(user.map(|user| Browser {
            subject,
            home,
            user,
            session,
        }))
    }
}
